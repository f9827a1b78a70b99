//! The configuration file: text → raw keys → [`Config`].
//!
//! Owns the keys of contract section 2, their defaults, and what is said about a wrong one. Knows
//! neither the store nor a listener. Paths are taken as written: relative ones belong to the
//! working directory, as the shell's do.
//!
//! A key whose part is not in this version is known here, so that it is told apart from a typing
//! error: any other value than "off" is a `not-built` problem, never taken in silence.

mod dhcp;
mod problem;
mod raw;
mod reader;
mod resolve;
pub mod rows;
pub mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use self::problem::{Kind, Problem};
use self::raw::RawConfig;
use self::reader::{Reader, Source};
use self::rows::Rows;
use crate::model::dhcp::Dhcp;

/// The word that stands for the vendor folders inside the binary, in `profiles` and
/// `firmware_policies`.
pub const BUILTIN: &str = "builtin:";

/// With the headers of IPv4, UDP and TFTP it fills an Ethernet frame.
const MAX_BLKSIZE: u16 = 1468;

/// What the server goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Store, own CA, keys, socket.
    pub data: PathBuf,
    /// Earlier ones win.
    pub profiles: Vec<Folder>,
    pub firmware_policies: Vec<Folder>,
    pub certs: Folder,
    /// Base URLs with a trailing `/`; `None`: from the first address as bound.
    pub public_url: Option<String>,
    pub public_http_url: Option<String>,
    pub public_tftp: Option<String>,
    /// Lower case.
    pub public_aliases: Vec<String>,
    /// A reload publishes what changed.
    pub auto_publish: bool,
    /// `sled:NAME`, under `data`.
    pub store_url: String,
    pub listen: Listen,
    /// The largest TFTP block that is granted, in octets.
    pub max_blksize: u16,
    pub certificates: Vec<CertificateFiles>,
    /// Sites, waivers and call servers, as far as the file names them.
    pub rows: Rows,
    pub dhcp: Dhcp,
    /// The account that a server that was started as root goes on under.
    pub user: Option<String>,
}

/// A folder of data files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folder {
    /// The copy inside the binary.
    Builtin,
    /// Nobody named it: where it is not there, the copy inside the binary stands in.
    Default(PathBuf),
    /// Named in the file: it must be there.
    Named(PathBuf),
}

/// Addresses of each door; empty is off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    pub https: Vec<SocketAddr>,
    pub http: Vec<SocketAddr>,
    /// A group's address, or one of ours; IPv4.
    pub sip_pnp: Vec<SocketAddr>,
    pub tftp: Vec<SocketAddr>,
    pub admin: Vec<SocketAddr>,
}

/// A server certificate that somebody else issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Default for Config {
    /// What holds without a file.
    fn default() -> Self {
        Self {
            data: PathBuf::from("data"),
            profiles: vec![Folder::Default(PathBuf::from("profiles"))],
            firmware_policies: vec![Folder::Default(PathBuf::from("firmware-policies"))],
            certs: Folder::Default(PathBuf::from("certs")),
            public_url: None,
            public_http_url: None,
            public_tftp: None,
            public_aliases: Vec::new(),
            auto_publish: true,
            store_url: "sled:store".to_owned(),
            listen: Listen {
                https: vec![SocketAddr::from(([127, 0, 0, 1], 8443))],
                http: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
                sip_pnp: Vec::new(),
                tftp: Vec::new(),
                admin: vec![SocketAddr::from(([127, 0, 0, 1], 8470))],
            },
            max_blksize: MAX_BLKSIZE,
            certificates: Vec::new(),
            rows: Rows::default(),
            dhcp: Dhcp::default(),
            user: None,
        }
    }
}

impl Config {
    /// Reads a file. Every problem in it is told at once.
    pub fn read(file: &Path) -> Result<Self, Vec<Problem>> {
        sound(Self::look(file))
    }

    /// Reads what can be read of a file, with every problem in it; defaults stand in for what is
    /// wrong. For `check`, which goes on with the folders that it names.
    pub fn look(file: &Path) -> (Self, Vec<Problem>) {
        let shown = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => Self::look_at(&shown, &text),
            Err(error) => {
                let problem = Problem {
                    file: shown,
                    line: None,
                    kind: Kind::Unreadable,
                    what: format!("cannot be read: {error}"),
                    hint: String::new(),
                };
                (Self::default(), vec![problem])
            }
        }
    }

    /// Reads the text of a file; `file` is only named in problems.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        sound(Self::look_at(file, text))
    }

    fn look_at(file: &str, text: &str) -> (Self, Vec<Problem>) {
        let source = Source::new(file, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        let is_toml = errors.is_empty();
        for error in errors {
            let line = source.line(error.span().map_or(0, |span| span.start));
            let what = error.message().replace('\n', "; ");
            source.tell(line, Kind::WrongValue, what, "this is not TOML");
        }
        let config = if is_toml {
            let raw = RawConfig::read(Reader::new(&source, table.get_ref()));
            resolve::config(&source, raw)
        } else {
            Self::default()
        };
        (config, source.into_problems())
    }

    /// The socket of the verbs.
    pub fn admin_socket(&self) -> PathBuf {
        self.data.join("admin.sock")
    }
}

fn sound((config, problems): (Config, Vec<Problem>)) -> Result<Config, Vec<Problem>> {
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(problems)
    }
}
