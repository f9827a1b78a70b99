//! `init`: asks, or takes flags, and writes a configuration and a systemd unit.

mod network;
mod unit;

use std::fs::{self, OpenOptions};
use std::io::{IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde_json::json;

use self::unit::{next_steps, systemd};
use super::exit::{Exit, Fail};
use super::globals::Globals;
use super::out;
use crate::config::{Config, values};

/// `init`.
#[derive(Args, Debug)]
pub(super) struct Init {
    /// Host name or address that devices reach this server by
    #[arg(long, value_name = "HOST")]
    name: Option<String>,
    /// Interface, or address, that devices come in on [default: all]
    #[arg(long, value_name = "NAME|ADDRESS")]
    interface: Option<String>,
    /// Name of the first site
    #[arg(long)]
    site: Option<String>,
    /// Networks of that site [default: the interface's]
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    prefixes: Vec<IpNet>,
    /// What we do on DHCP [default: off]
    #[arg(long, value_name = "MODE")]
    dhcp: Option<Dhcp>,
    /// Addresses that we may lease, with --dhcp server
    #[arg(long, value_name = "FIRST-LAST")]
    pool: Vec<String>,
    /// Router that units are told, with --dhcp server [default: this machine's, if it is on their network]
    #[arg(long, value_name = "ADDRESS")]
    router: Option<Ipv4Addr>,
    /// DNS servers that units are told, with --dhcp server [default: this machine's]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    dns: Vec<Ipv4Addr>,
    /// Server certificate with its chain, PEM [default: one of our own CA]
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Where the systemd unit goes
    #[arg(long, value_name = "FILE")]
    unit: Option<PathBuf>,
    /// Write over files that are there
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dhcp {
    Off,
    Server,
    Observe,
    Inform,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    host: String,
    listen: IpAddr,
    /// HTTPS and HTTP.
    ports: (u16, u16),
    data: PathBuf,
    site: String,
    prefixes: Vec<IpNet>,
    timezone: String,
    /// Chain and key.
    certificate: Option<(PathBuf, PathBuf)>,
    dhcp: Option<Leasing>,
}

/// DHCP on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Leasing {
    mode: &'static str,
    interface: String,
    /// The interface's network.
    subnet: IpNet,
    pools: Vec<String>,
    router: Option<Ipv4Addr>,
    dns: Vec<Ipv4Addr>,
}

/// Where things go on a machine that we run as root, and elsewhere.
const ROOT_CONFIG: &str = "/etc/dialtone/dialtone.toml";
const ROOT_DATA: &str = "/var/lib/dialtone";
const UNITS: &str = "/etc/systemd/system";
/// The account that the unit runs under.
const ACCOUNT: &str = "dialtone";

impl Init {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let root = rustix::process::geteuid().is_root();
        let file = globals
            .config
            .clone()
            .unwrap_or_else(|| PathBuf::from(if root { ROOT_CONFIG } else { "dialtone.toml" }));
        let file = absolute(&file)?;
        let unit = match &self.unit {
            Some(unit) => absolute(unit)?,
            None if root && Path::new(UNITS).is_dir() => Path::new(UNITS).join("dialtone.service"),
            None => file.with_file_name("dialtone.service"),
        };
        let data = globals.data.clone();
        let data = data.unwrap_or_else(|| PathBuf::from(if root { ROOT_DATA } else { "data" }));
        let force = self.force;
        for file in [&file, &unit] {
            if file.exists() && !force {
                let what = format!("{} is there already", file.display());
                return Err(Fail::usage("exists", what)
                    .next("name another with --config and --unit, or write over it with --force"));
            }
        }
        let plan = self.plan(absolute(&data)?, root)?;
        let text = plan.configuration();
        // What we write must be what we read.
        if let Err(problems) = Config::parse(&file.display().to_string(), &text) {
            return Err(super::globals::refused(&problems));
        }
        write(&file, &text)?;
        let binary = std::env::current_exe()
            .map_err(|error| Fail::failed("binary", format!("where is this binary: {error}")))?;
        write(&unit, &systemd(&binary, &file, &plan))?;
        let done = json!({
            "configuration": file.display().to_string(),
            "unit": unit.display().to_string(),
        });
        let columns = [("configuration", "/configuration"), ("unit", "/unit")];
        globals.out().record(&done, &columns)?;
        let written = Globals {
            config: Some(file),
            ..globals.clone()
        };
        next_steps(&plan, &written, &unit, root);
        let exit = super::check::told(&written)?;
        // Where a server runs with this already, it knows more.
        if exit == Exit::Done && !globals.json && plan.data.join("admin.sock").exists() {
            return super::health::doctor(&written);
        }
        Ok(exit)
    }

    fn plan(self, data: PathBuf, root: bool) -> Result<Plan, Fail> {
        let wrong = |flag: &str, what: String| Fail::usage("usage", format!("{flag}: {what}"));
        let asked = |given: Option<String>, question: &str, standard: &str| match given {
            Some(given) => Some(given),
            None if !std::io::stdin().is_terminal() => None,
            None => {
                let answer = out::ask(&format!("{question} [{standard}]: "))?;
                Some(answer).filter(|answer| !answer.is_empty())
            }
        };
        let name = asked(
            self.name,
            "Name or address that devices reach us by",
            "none",
        )
        .ok_or_else(|| {
            let next = "dialtone init --name prov.example.net --site hq";
            Fail::usage("usage", "--name is needed where nobody can be asked").next(next)
        })?;
        let host = values::host(&name).map_err(|what| wrong("--name", what))?;
        let choices = network::interfaces().join(", ");
        let question = format!("Interface that devices come in on ({choices})");
        let interface = asked(self.interface, &question, "all");
        let net = match interface.as_deref().filter(|text| *text != "all") {
            None => None,
            Some(text) => Some(self_or_interface(text).ok_or_else(|| {
                let what = format!("{text:?} is no address, and no interface with one");
                wrong("--interface", what)
            })?),
        };
        let mode = match self.dhcp {
            Some(mode) => mode,
            None => match asked(
                None,
                "What we do on DHCP: off, server, observe, inform",
                "off",
            ) {
                Some(word) => Dhcp::from_str(&word, true)
                    .map_err(|_| wrong("--dhcp", format!("{word:?} is no mode")))?,
                None => Dhcp::Off,
            },
        };
        let mut dhcp = leasing(mode, interface.as_deref(), net)?;
        if let Some(dhcp) = dhcp.as_mut().filter(|_| mode == Dhcp::Server) {
            dhcp.pools = match self.pool.is_empty() {
                true => asked(None, "Addresses that we may lease, FIRST-LAST", "none")
                    .into_iter()
                    .collect(),
                false => self.pool,
            };
            if dhcp.pools.is_empty() {
                let what = "--dhcp server needs --pool FIRST-LAST";
                return Err(Fail::usage("usage", what));
            }
            let known = network::router_in(&dhcp.subnet);
            dhcp.router = match self.router {
                Some(router) => Some(router),
                None => told(
                    &asked,
                    "--router",
                    "Router of that network",
                    known.as_slice(),
                )?
                .first()
                .copied(),
            };
            dhcp.dns = match self.dns.is_empty() {
                true => told(&asked, "--dns", "Its DNS servers", &network::resolvers())?,
                false => self.dns,
            };
        }
        let site = asked(self.site, "Name of the first site", "main");
        let site = site.unwrap_or_else(|| "main".to_owned());
        let site = values::name(&site).map_err(|what| wrong("--site", what))?;
        let prefixes = match (self.prefixes.is_empty(), net) {
            (false, _) => self.prefixes,
            // A single address is no network.
            (true, Some(net)) if net.prefix_len() < net.max_prefix_len() => vec![net],
            (true, _) => Vec::new(),
        };
        let prefixes = prefixes.iter().map(IpNet::trunc).collect();
        let chain = match self.certificate {
            Some(chain) => Some(chain),
            None => asked(
                None,
                "Server certificate with its chain, PEM",
                "our own CA's",
            )
            .map(PathBuf::from),
        };
        let key = match (&chain, self.key) {
            (Some(_), None) => asked(None, "Its key, PEM", "none").map(PathBuf::from),
            (_, key) => key,
        };
        let certificate = match (chain, key) {
            (Some(chain), Some(key)) => Some((absolute(&chain)?, absolute(&key)?)),
            (Some(_), None) => {
                let what = "a certificate needs its key".to_owned();
                return Err(wrong("--key", what));
            }
            (None, Some(_) | None) => None,
        };
        let here = TimeZone::system();
        Ok(Plan {
            host,
            listen: net.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |net| net.addr()),
            ports: if root { (443, 80) } else { (8443, 8080) },
            data,
            site,
            prefixes,
            timezone: here.iana_name().unwrap_or("UTC").to_owned(),
            certificate,
            dhcp,
        })
    }
}

/// Addresses that somebody names when asked; else those that are known.
fn told(
    asked: &impl Fn(Option<String>, &str, &str) -> Option<String>,
    flag: &str,
    question: &str,
    known: &[Ipv4Addr],
) -> Result<Vec<Ipv4Addr>, Fail> {
    let shown: Vec<String> = known.iter().map(ToString::to_string).collect();
    let standard = match shown.is_empty() {
        true => "none".to_owned(),
        false => shown.join(","),
    };
    let Some(answer) = asked(None, question, &standard) else {
        return Ok(known.to_vec());
    };
    let read = |text: &str| {
        let what = format!("{flag}: {text:?} is not an IPv4 address");
        text.trim().parse().map_err(|_| Fail::usage("usage", what))
    };
    answer.split(',').map(read).collect()
}

/// What is written of DHCP, or what is missing for it.
fn leasing(
    mode: Dhcp,
    interface: Option<&str>,
    net: Option<IpNet>,
) -> Result<Option<Leasing>, Fail> {
    let mode = match mode {
        Dhcp::Off => return Ok(None),
        Dhcp::Server => "server",
        Dhcp::Observe => "observe",
        Dhcp::Inform => "inform",
    };
    let named = interface.filter(|text| text.parse::<IpAddr>().is_err());
    let (Some(name), Some(subnet)) = (named, net) else {
        return Err(Fail::usage(
            "usage",
            "--dhcp needs --interface with the name of one",
        ));
    };
    Ok(Some(Leasing {
        mode,
        interface: name.to_owned(),
        subnet: subnet.trunc(),
        pools: Vec::new(),
        router: None,
        dns: Vec::new(),
    }))
}

/// An address, or the one of an interface.
fn self_or_interface(text: &str) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(IpNet::from(address)),
        Err(_) => network::address_of(text),
    }
}

impl Plan {
    fn configuration(&self) -> String {
        let base = |scheme: &str, port: u16, usual: u16| {
            let host = match self.host.parse::<IpAddr>() {
                Ok(IpAddr::V6(address)) => format!("[{address}]"),
                Ok(IpAddr::V4(_)) | Err(_) => self.host.clone(),
            };
            if port == usual {
                format!("{scheme}://{host}")
            } else {
                format!("{scheme}://{host}:{port}")
            }
        };
        let (https, http) = self.ports;
        let listen = |port| quoted(&SocketAddr::new(self.listen, port).to_string());
        let prefixes = self.prefixes.iter();
        let prefixes: Vec<String> = prefixes.map(|net| quoted(&net.to_string())).collect();
        let mut text = format!(
            "# Written by `dialtone init`. docs/configuration.md explains every key, and\n\
             # `dialtone check` tells what is wrong in this file.\n\
             data = {}\n\
             public_url = {}\n\
             public_http_url = {}\n\n\
             [listen]\n\
             https = [{}]\n\
             http = [{}]\n\
             admin = [\"127.0.0.1:8470\"]\n\n",
            quoted(&self.data.display().to_string()),
            quoted(&base("https", https, 443)),
            quoted(&base("http", http, 80)),
            listen(https),
            listen(http),
        );
        if let Some((chain, key)) = &self.certificate {
            text.push_str(&format!(
                "[tls]\ncertificate = [{{ chain_file = {}, key_file = {} }}]\n\n",
                quoted(&chain.display().to_string()),
                quoted(&key.display().to_string()),
            ));
        }
        text.push_str(&format!(
            "[[site]]\nname = {}\nprefixes = [{}]\ntimezone = {}\n\n",
            quoted(&self.site),
            prefixes.join(", "),
            quoted(&self.timezone),
        ));
        match &self.dhcp {
            None => text.push_str("[dhcp]\nmode = \"off\"\n"),
            Some(dhcp) => {
                let pools: Vec<String> = dhcp.pools.iter().map(|pool| quoted(pool)).collect();
                text.push_str(&format!(
                    "[dhcp]\nmode = {}\ninterface = [{}]\n\n\
                     [[dhcp.subnet]]\nsubnet = {}\npools = [{}]\nsite = {}\n",
                    quoted(dhcp.mode),
                    quoted(&dhcp.interface),
                    quoted(&dhcp.subnet.to_string()),
                    pools.join(", "),
                    quoted(&self.site),
                ));
                if let Some(router) = dhcp.router {
                    text.push_str(&format!("router = \"{router}\"\n"));
                }
                if !dhcp.dns.is_empty() {
                    let dns = dhcp.dns.iter().map(|ip| quoted(&ip.to_string()));
                    let dns: Vec<String> = dns.collect();
                    text.push_str(&format!("dns = [{}]\n", dns.join(", ")));
                }
            }
        }
        text
    }
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn absolute(path: &Path) -> Result<PathBuf, Fail> {
    std::path::absolute(path)
        .map_err(|error| Fail::usage("path", format!("{}: {error}", path.display())))
}

fn write(file: &Path, text: &str) -> Result<(), Fail> {
    let failed = |error: std::io::Error| {
        Fail::failed(
            "unwritable",
            format!("{} cannot be written: {error}", file.display()),
        )
    };
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut to = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(file)
        .map_err(failed)?;
    to.write_all(text.as_bytes()).map_err(failed)?;
    to.sync_all().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            host: "prov.example.net".to_owned(),
            listen: "10.99.0.2".parse().expect("an address"),
            ports: (443, 80),
            data: PathBuf::from("/var/lib/dialtone"),
            site: "hq".to_owned(),
            prefixes: vec!["10.99.0.0/16".parse().expect("a prefix")],
            timezone: "Europe/Berlin".to_owned(),
            certificate: Some((
                PathBuf::from("/etc/c \"1\".pem"),
                PathBuf::from("/etc/k.pem"),
            )),
            dhcp: None,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let config = Config::parse("x", &plan().configuration()).expect("no problem");
        assert_eq!(config.data, PathBuf::from("/var/lib/dialtone"));
        let url = config.public_url.as_deref();
        assert_eq!(url, Some("https://prov.example.net/"));
        assert_eq!(
            config.listen.https,
            ["10.99.0.2:443".parse().expect("an address")]
        );
        assert_eq!(config.rows.sites.len(), 1);
        let chain = config.certificates.first().map(|files| files.chain.clone());
        assert_eq!(chain, Some(PathBuf::from("/etc/c \"1\".pem")));

        let net = "10.99.0.2/16".parse().ok();
        assert!(leasing(Dhcp::Server, None, net).is_err());
        let leasing = leasing(Dhcp::Server, Some("eth1"), net).expect("all that is needed");
        let leasing = Plan {
            dhcp: leasing.map(|leasing| Leasing {
                pools: vec!["10.99.10.0-10.99.99.255".to_owned()],
                router: Some("10.99.0.1".parse().expect("an address")),
                dns: vec!["10.99.0.53".parse().expect("an address")],
                ..leasing
            }),
            ..plan()
        };
        let config = Config::parse("x", &leasing.configuration()).expect("no problem");
        assert_eq!(config.dhcp.mode.as_str(), "server");
        let subnet = config.dhcp.subnets.first().expect("one network");
        assert_eq!(subnet.router, "10.99.0.1".parse().ok());
        assert_eq!(
            subnet.dns,
            ["10.99.0.53".parse::<Ipv4Addr>().expect("an address")]
        );
        let unit = systemd(Path::new("/bin/d"), Path::new("/etc/d.toml"), &leasing);
        assert!(unit.contains("AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_NET_RAW\n"));

        let other = Plan {
            host: "2001:db8::1".to_owned(),
            ports: (8443, 8080),
            prefixes: Vec::new(),
            certificate: None,
            ..plan()
        };
        let config = Config::parse("x", &other.configuration()).expect("no problem");
        let url = config.public_url.as_deref();
        assert_eq!(url, Some("https://[2001:db8::1]:8443/"));
    }

    #[test]
    fn the_unit_names_what_it_starts() {
        let path = |text: &str| PathBuf::from(text);
        let unit = systemd(&path("/bin/d"), &path("/etc/d.toml"), &plan());
        assert!(unit.contains("\nExecStart=/bin/d serve --config /etc/d.toml\n"));
        assert!(unit.contains("\nType=notify\n"));
        assert!(unit.contains("\nStateDirectory=dialtone\n"));
        let elsewhere = Plan {
            data: path("/srv/d"),
            ..plan()
        };
        let unit = systemd(&path("/bin/d"), &path("/etc/d.toml"), &elsewhere);
        assert!(unit.contains("\nUser=dialtone\nReadWritePaths=/srv/d\n"));
    }
}
