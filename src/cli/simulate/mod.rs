//! `simulate`: boots units of chosen families against any server, and says what each made of it.

mod dhcp_only;
mod fleet;
mod kinds;
mod seat;
mod told;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use self::fleet::{Member, Patience, play};
use self::kinds::Kind;
use self::seat::Seat;
use super::exit::{Exit, Fail};
use super::globals::{Globals, read_file};
use super::out::{self, Out};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::engine::reply::Bases;
use crate::model::identity::Mac;
use crate::service::point;
use crate::simulate::dhcp::Wire;
use crate::simulate::{ClientCertificate, Identity, Surroundings};

/// Where a server with the defaults listens for units on plain HTTP.
const SERVER: &str = "http://127.0.0.1:8080/";
/// Where units ask by SIP PnP.
const GROUP: &str = "224.0.1.75:5060";
/// Where Debian and its kin keep the public roots.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The longest that a script waits in one run.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// The most units of one run.
const MOST: u32 = 100_000;

/// `simulate …`.
///
/// `--server` is what DHCP would hand out to the units: http://, https:// or tftp://, a folder that ends in
/// `/`, or a whole name where the family takes one. With --dhcp, --relay or --pnp the units ask for it.
#[derive(Args, Debug)]
pub(super) struct Simulate {
    /// vendor/family; several times for several [default: every family with a boot.toml]
    #[arg(long, value_name = "VENDOR/FAMILY")]
    family: Vec<String>,
    /// The conduct to play, in place of a family's own
    #[arg(long, value_name = "FILE", conflicts_with = "family")]
    boot: Option<PathBuf>,
    /// How many units of each family
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u32,
    /// The first unit's MAC; the others follow [default: the conduct's]
    #[arg(long, value_name = "MAC")]
    mac_from: Option<String>,
    /// The first unit's serial; its last digits count up [default: the conduct's]
    #[arg(long, value_name = "SERIAL")]
    serial_from: Option<String>,
    /// The units' model [default: the conduct's]
    #[arg(long)]
    model: Option<String>,
    /// The units' firmware [default: the conduct's]
    #[arg(long)]
    firmware: Option<String>,
    /// The first unit's own address, such as 127.0.1.1; the others follow [default: the machine's]
    #[arg(long, value_name = "ADDRESS")]
    source_from: Option<IpAddr>,
    /// The units ask for their addresses on this interface, and give them to it while they run; as root
    #[arg(long, value_name = "INTERFACE", conflicts_with_all = ["relay", "source_from"])]
    dhcp: Option<String>,
    /// They ask through a relay with this address of the machine's own, such as for thousands; their
    /// addresses must be the machine's own: ip route add local NETWORK dev lo
    #[arg(
        long,
        value_name = "ADDRESS",
        requires = "dhcp_server",
        conflicts_with = "source_from"
    )]
    relay: Option<Ipv4Addr>,
    /// The server that the relay asks
    #[arg(long, value_name = "ADDRESS", requires = "relay")]
    dhcp_server: Option<Ipv4Addr>,
    /// Prints what the network's own DHCP server offers to each kind of unit, and what is wrong with it;
    /// takes no address and boots nothing
    #[arg(long)]
    dhcp_only: bool,
    /// They ask by SIP PnP as well, and follow it where somebody answers
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = GROUP)]
    pnp: Option<SocketAddr>,
    /// A client certificate with its chain, in PEM; every unit shows it
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// What a unit that trusts the public roots trusts, in PEM [default: the machine's roots]
    #[arg(long, value_name = "FILE")]
    public_roots: Option<PathBuf>,
    /// What a unit that trusts its maker only trusts, in PEM
    #[arg(long, value_name = "FILE")]
    vendor_roots: Option<PathBuf>,
    /// The call server refuses the units
    #[arg(long)]
    not_registered: bool,
    /// Let scripts in Python that a server gives run on this machine: there are stand-ins around
    /// them, and no prison. Only against a server of your own
    #[arg(long)]
    run_python: bool,
    /// How many units at once
    #[arg(long, value_name = "N", default_value_t = 16)]
    parallel: u32,
    /// How long a unit waits in all, where it would wait before it asks again
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    patience: u32,
}

impl Simulate {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let out = Out::new(globals.json);
        let server = globals.server.as_deref().unwrap_or(SERVER);
        let schemes = ["http://", "https://", "tftp://"];
        if !schemes.iter().any(|scheme| server.starts_with(scheme)) {
            let what = format!("--server {server:?} is none of http://, https:// and tftp://");
            let next = "name the address that units are pointed at, such as http://127.0.0.1:8080/";
            return Err(Fail::usage("server-invalid", what).next(next));
        }
        if self.count == 0 || self.count > MOST || self.parallel == 0 {
            let what = format!("--count is 1 to {MOST}, and --parallel 1 or more");
            return Err(Fail::usage("count-invalid", what));
        }
        let config = globals.configuration()?;
        let catalog = kinds::catalogue(&config)?;
        let kinds = self.kinds(&catalog)?;
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()
            .map_err(|error| Fail::failed("runtime", error))?;
        let entered = runtime.enter();
        let wire = self.wire()?;
        drop(entered);
        if self.dhcp_only {
            let Some(wire) = wire else {
                let what = "--dhcp-only needs --dhcp INTERFACE, or --relay and --dhcp-server";
                return Err(Fail::usage("dhcp-only", what));
            };
            let members = self.members(&kinds, server, None)?;
            let bases = self.bases(globals, &config);
            return runtime.block_on(dhcp_only::run(&wire, members, &catalog, &bases, out));
        }
        let patience = Duration::from_secs(self.patience.into());
        let seat = Seat::new(wire, self.dhcp.clone(), self.pnp, patience).map(Arc::new);
        let members = self.members(&kinds, server, seat.as_ref())?;
        let bar = indicatif::ProgressBar::new(u64::try_from(members.len()).unwrap_or(u64::MAX));
        let patience = Patience::seconds(self.patience);
        let flown = runtime.block_on(play(members, self.parallel, patience, &bar));
        if let Some(seat) = seat {
            runtime.block_on(seat.leave());
        }
        bar.finish_and_clear();
        told::show(out, &flown)?;
        Ok(if flown.units.iter().all(|unit| unit.came_up()) {
            Exit::Done
        } else {
            Exit::Failed
        })
    }

    /// Where our own server would send units: to `--server`, else as the configuration says.
    fn bases(&self, globals: &Globals, config: &Config) -> Bases {
        let Some(named) = &globals.server else {
            return point::bases_at(None, &super::server::bases_of(config));
        };
        let mut bases = Bases::default();
        let own = Some(named.clone());
        match named.split_once("://") {
            Some(("https", _)) => (bases.https, bases.public_certificate) = (own, true),
            Some(("tftp", host)) => bases.tftp = Some(host.trim_end_matches('/').to_owned()),
            Some(_) | None => bases.http = own,
        }
        bases
    }

    /// The sockets by which units ask for addresses, where they do.
    fn wire(&self) -> Result<Option<Wire>, Fail> {
        let opened = match (&self.dhcp, self.relay, self.dhcp_server) {
            (Some(interface), _, _) => Wire::interface(interface),
            (None, Some(relay), Some(server)) => Wire::relay(relay, server),
            (None, _, _) => return Ok(None),
        };
        let failed = |error: std::io::Error| {
            let next = "port 68 of an interface, and port 67 of a relay, are root's";
            Fail::failed(
                "dhcp-socket",
                format!("units cannot ask for addresses: {error}"),
            )
            .next(next)
        };
        opened.map(Some).map_err(failed)
    }

    fn kinds(&self, catalog: &Catalog) -> Result<Vec<Kind>, Fail> {
        if let Some(file) = &self.boot {
            let text = String::from_utf8(read_file(file)?)
                .map_err(|_| Fail::usage("boot-invalid", "the file is no text"))?;
            return Ok(vec![Kind::of_text(&file.display().to_string(), &text)?]);
        }
        let mut kinds = Vec::new();
        let named = if self.family.is_empty() {
            kinds::known()
        } else {
            self.family.clone()
        };
        for family in &named {
            let kind = Kind::of_family(family, self.model.as_deref(), catalog)?;
            if kind.self_consistent {
                out::note(&format!(
                    "{family}: no boot.toml; played by its manifest: self-consistent only"
                ));
            }
            kinds.push(kind);
        }
        Ok(kinds)
    }

    /// The units, each with an address, a MAC and a serial of its own.
    fn members(
        &self,
        kinds: &[Kind],
        server: &str,
        seat: Option<&Arc<Seat>>,
    ) -> Result<Vec<Member>, Fail> {
        let around = Surroundings {
            pointer: None,
            bind: None,
            client_certificate: self.certificate()?,
            public_roots: roots(self.public_roots.as_deref(), Some(Path::new(ROOTS)))?,
            vendor_roots: roots(self.vendor_roots.as_deref(), None)?,
            registrar_ok: !self.not_registered,
            python: self.run_python,
            longest: LONGEST,
            clock: Arc::new(Patience::seconds(self.patience)),
        };
        let mut members = Vec::new();
        let mut place = 0;
        for kind in kinds {
            if self.dhcp_only && !kind.knows_dhcp() {
                let family = kind.family();
                out::note(&format!("{family}: nobody wrote down what it says by DHCP"));
                continue;
            }
            let first = self.first(kind)?;
            for number in 0..self.count {
                let who = Identity {
                    mac: after(first.mac, number)?,
                    serial: counted(&first.serial, number),
                    ..first.clone()
                };
                let conduct = kind.of_unit(&who)?;
                let pointer = kind.pointer(server, &who);
                let around = Surroundings {
                    pointer: Some(pointer),
                    bind: self.source_from.map(|from| address(from, place)),
                    ..around.clone()
                };
                members.push(Member {
                    conduct,
                    who,
                    around,
                    self_consistent: kind.self_consistent,
                    seat: seat.cloned(),
                });
                place += 1;
            }
        }
        Ok(members)
    }

    /// The first unit of a kind, with what the flags say of it.
    fn first(&self, kind: &Kind) -> Result<Identity, Fail> {
        let mut first = kind.sample()?;
        if let Some(text) = &self.mac_from {
            first.mac = Mac::parse(text)
                .map_err(|error| Fail::usage("mac-invalid", format!("{text:?}: {error}")))?;
        }
        for (own, flag) in [
            (&mut first.serial, &self.serial_from),
            (&mut first.model, &self.model),
            (&mut first.firmware, &self.firmware),
        ] {
            if let Some(text) = flag {
                own.clone_from(text);
            }
        }
        Ok(first)
    }

    fn certificate(&self) -> Result<Option<Arc<ClientCertificate>>, Fail> {
        let (Some(chain), Some(key)) = (&self.client_cert, &self.client_key) else {
            return Ok(None);
        };
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(&read_file(key)?)
            .map_err(|error| Fail::usage("pem-invalid", format!("{}: {error}", key.display())))?;
        Ok(Some(Arc::new(ClientCertificate { chain, key })))
    }
}

/// The certificates of a file; where none is named, those of `usual` if it is there.
fn roots(named: Option<&Path>, usual: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, Fail> {
    match (named, usual) {
        (Some(file), _) => certificates(file),
        (None, Some(file)) if file.is_file() => certificates(file),
        (None, Some(_) | None) => Ok(Vec::new()),
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Fail> {
    let bytes = read_file(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found
        .map_err(|error| Fail::usage("pem-invalid", format!("{}: {error}", file.display())))?;
    if found.is_empty() {
        let what = format!("{}: no certificate in PEM", file.display());
        return Err(Fail::usage("pem-invalid", what));
    }
    Ok(found)
}

/// The MAC that stands `number` after this one.
fn after(mac: Mac, number: u32) -> Result<Mac, Fail> {
    let [_, _, a, b, c, d, e, f] = mac.number().wrapping_add(u64::from(number)).to_be_bytes();
    Mac::new([a, b, c, d, e, f]).map_err(|_| {
        Fail::usage(
            "mac-invalid",
            format!("{number} after {mac} is no unit's MAC"),
        )
    })
}

/// The serial with its last digits counted up; their number stays the same.
fn counted(serial: &str, number: u32) -> String {
    let digits = serial.len()
        - serial
            .trim_end_matches(|ch: char| ch.is_ascii_digit())
            .len();
    let (head, tail) = serial.split_at(serial.len() - digits.min(9));
    match tail.parse::<u64>() {
        Ok(last) if number > 0 => {
            let next = last + u64::from(number);
            format!("{head}{next:0width$}", width = tail.len())
        }
        Ok(_) | Err(_) => serial.to_owned(),
    }
}

/// The address that stands `place` after this one.
fn address(from: IpAddr, place: u32) -> IpAddr {
    match from {
        IpAddr::V4(ip) => IpAddr::V4(u32::from(ip).wrapping_add(place).into()),
        IpAddr::V6(ip) => IpAddr::V6(u128::from(ip).wrapping_add(place.into()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_each_other() {
        let mac = Mac::parse("00156500ffff").unwrap();
        assert_eq!(after(mac, 1).unwrap().bare(), "001565010000");
        assert!(after(Mac::parse("00ffffffffff").unwrap(), 1).is_err());
        assert_eq!(counted("WTW23490449", 2), "WTW23490451");
        assert_eq!(counted("ABC099", 1), "ABC100");
        assert_eq!(counted("CBT141100HR", 3), "CBT141100HR");
        assert_eq!(counted("", 3), "");
        let from = "127.0.1.255".parse().unwrap();
        assert_eq!(address(from, 1).to_string(), "127.0.2.0");
    }
}
