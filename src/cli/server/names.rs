//! What the server is called: the bases that units are told, the names in its certificate, and
//! the line that says that it is ready. Pure.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::json;

use crate::config::Config;
use crate::hub::{Bases, FormerHost};
use crate::model::identity::Channel;
use crate::model::site::Site;

/// Where units ask that are told a host alone.
const TFTP_PORT: u16 = 69;

/// Where the listeners are, as bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    pub https: Vec<SocketAddr>,
    pub http: Vec<SocketAddr>,
    pub sip_pnp: Vec<SocketAddr>,
    pub tftp: Vec<SocketAddr>,
    pub admin: Vec<SocketAddr>,
    /// Interfaces.
    pub dhcp: Vec<String>,
    pub admin_socket: PathBuf,
}

impl Addresses {
    /// The one line on stdout (contract section 2).
    pub fn ready_line(&self) -> String {
        let doors = json!({
            "https": shown(&self.https),
            "http": shown(&self.http),
            "tftp": shown(&self.tftp),
            "dhcp": self.dhcp,
            "sip_pnp": shown(&self.sip_pnp),
            "admin": shown(&self.admin),
            "field": [],
            "admin_socket": self.admin_socket.display().to_string(),
        });
        format!("ready {doors}")
    }
}

fn shown(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(SocketAddr::to_string).collect()
}

/// The bases: the configuration's, else the first address as bound. A wildcard is no base: nobody
/// could reach it. Loopback is one, so that a trial on one machine works; `doctor` says what it is.
/// `certified` are names in certificates that somebody else issued.
pub(super) fn bases(config: &Config, addresses: &Addresses, certified: Vec<String>) -> Bases {
    let bound = |scheme: &str, list: &[SocketAddr]| {
        let first = list.first().filter(|first| !first.ip().is_unspecified())?;
        Some(format!("{scheme}://{first}/"))
    };
    let https = || bound("https", &addresses.https);
    let http = || bound("http", &addresses.http);
    let tftp = || {
        let first = addresses.tftp.first();
        let first = first.filter(|first| !first.ip().is_unspecified())?;
        Some(match first.port() {
            TFTP_PORT => first.ip().to_string(),
            _ => first.to_string(),
        })
    };
    // No unit elsewhere can reach what is bound to loopback: it is told nothing, not that.
    let reached = |list: &[SocketAddr]| list.first().is_some_and(|first| !first.ip().is_loopback());
    let pointers = [
        (
            Channel::Https,
            config.public_url.is_some() || reached(&addresses.https),
        ),
        (
            Channel::Http,
            config.public_http_url.is_some() || reached(&addresses.http),
        ),
        (
            Channel::Tftp,
            config.public_tftp.is_some() || reached(&addresses.tftp),
        ),
    ];
    Bases {
        https: config.public_url.clone().or_else(https),
        http: config.public_http_url.clone().or_else(http),
        tftp: config.public_tftp.clone().or_else(tftp),
        aliases: config.public_aliases.clone(),
        pointers: pointers
            .into_iter()
            .filter(|(_, told)| *told)
            .map(|(channel, _)| channel)
            .collect(),
        certified,
    }
}

/// Hosts of the HTTPS bases that units are told.
pub(super) fn https_hosts<'a>(
    config: &Config,
    addresses: &Addresses,
    sites: impl Iterator<Item = &'a Site>,
) -> Vec<String> {
    let global = bases(config, addresses, Vec::new()).https.into_iter();
    let of_sites = sites.filter_map(|site| site.public_url.clone());
    let mut hosts: Vec<String> = global
        .chain(of_sites)
        .filter_map(|url| host(&url))
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Host names and addresses of our own server certificate: of every HTTPS base, alias and address
/// that speaks TLS, and of bases of before. Sorted, each once, never empty.
pub(super) fn certificate_names<'a>(
    config: &Config,
    addresses: &Addresses,
    sites: impl Iterator<Item = &'a Site>,
    former: &[FormerHost],
) -> Vec<String> {
    let urls = config.public_url.iter().cloned();
    let of_sites = sites.filter_map(|site| site.public_url.clone());
    let people = addresses
        .admin
        .iter()
        .filter(|address| !address.ip().is_loopback());
    let bound = addresses.https.iter().chain(people).map(SocketAddr::ip);
    let mut names: Vec<String> = urls
        .chain(of_sites)
        .filter_map(|url| host(&url))
        .chain(config.public_aliases.iter().cloned())
        .chain(former.iter().map(|old| old.host.clone()))
        .chain(
            bound
                .filter(|ip| !ip.is_unspecified())
                .map(|ip| ip.to_string()),
        )
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        names.push("localhost".to_owned());
    }
    names
}

/// The host of a URL, in lower case, without brackets.
fn host(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    Some(host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(https: &str) -> Addresses {
        Addresses {
            https: vec![https.parse().expect("an address")],
            ..Addresses::default()
        }
    }

    #[test]
    fn the_ready_line_is_the_contract_s() {
        let addresses = Addresses {
            admin_socket: PathBuf::from("data/admin.sock"),
            ..addresses("127.0.0.1:8443")
        };
        assert_eq!(
            addresses.ready_line(),
            r#"ready {"admin":[],"admin_socket":"data/admin.sock","dhcp":[],"field":[],"http":[],"https":["127.0.0.1:8443"],"sip_pnp":[],"tftp":[]}"#
        );
    }

    #[test]
    fn a_wildcard_is_no_base_and_loopback_is_one() {
        let mut config = Config::default();
        let base = |config: &Config, https| bases(config, &addresses(https), Vec::new()).https;
        assert_eq!(base(&config, "0.0.0.0:443"), None);
        assert_eq!(base(&config, "[::]:443"), None);
        let loopback = base(&config, "[::1]:443");
        assert_eq!(loopback.as_deref(), Some("https://[::1]:443/"));
        let tftp = |config: &Config, tftp: &str| {
            let addresses = Addresses {
                tftp: vec![tftp.parse().expect("an address")],
                ..Addresses::default()
            };
            bases(config, &addresses, Vec::new()).tftp
        };
        assert_eq!(tftp(&config, "0.0.0.0:69"), None);
        let host = tftp(&config, "[2001:db8::1]:69");
        assert_eq!(host.as_deref(), Some("2001:db8::1"));
        let other = tftp(&config, "192.0.2.1:6969");
        assert_eq!(other.as_deref(), Some("192.0.2.1:6969"));
        config.public_tftp = Some("tftp.example".to_owned());
        let named = tftp(&config, "0.0.0.0:69");
        assert_eq!(named.as_deref(), Some("tftp.example"));
        config.public_url = Some("https://a.example/".to_owned());
        let named = base(&config, "0.0.0.0:443");
        assert_eq!(named.as_deref(), Some("https://a.example/"));
    }

    #[test]
    fn the_certificate_has_every_name_once() {
        let mut config = Config::default();
        let none = || std::iter::empty();
        let wildcard = addresses("0.0.0.0:443");
        let names = certificate_names(&config, &wildcard, none(), &[]);
        assert_eq!(names, ["localhost"]);
        config.public_url = Some("https://A.example:8443/x/".to_owned());
        config.public_aliases = vec!["a.example".to_owned(), "b.example".to_owned()];
        let old = FormerHost {
            host: "old.example".to_owned(),
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        let names = certificate_names(&config, &addresses("[::1]:443"), none(), &[old]);
        assert_eq!(names, ["::1", "a.example", "b.example", "old.example"]);
    }
}
