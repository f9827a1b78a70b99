//! `{pointer}`: the base URL of the first transport that a factory unit can complete with the
//! certificate that we have (trust.md section 3).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::catalog::manifest::Family;
use crate::engine::https::{self, Shown, When};
use crate::model::identity::Channel;

/// Where units may be sent. A base that nobody else can reach is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bases {
    /// `https://…/`.
    pub https: Option<String>,
    /// `http://…/`.
    pub http: Option<String>,
    /// Host name or address of the TFTP server.
    pub tftp: Option<String>,
    /// Somebody else than our own CA signed the certificate that is shown for `https`.
    pub public_certificate: bool,
}

/// A base URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// Without a `/` at the end.
    pub url: String,
    pub scheme: &'static str,
    /// Without brackets.
    pub host: String,
    /// `ipv4`, `ipv6` or `hostname`.
    pub host_kind: &'static str,
    pub port: u16,
    /// Empty, or with a `/` at its beginning and none at its end.
    pub path: String,
}

/// The pointer of a unit of this model; `None` where it can complete no transport that we have.
pub fn choose(family: &Family, model: &str, bases: &Bases) -> Option<Pointer> {
    let transports = family.transport.first.of(model)?;
    transports.iter().find_map(|channel| match channel {
        Channel::Https if completes(family, model, bases) => {
            parts("https", 443, bases.https.as_deref()?)
        }
        Channel::Http => parts("http", 80, bases.http.as_deref()?),
        Channel::Tftp => parts("tftp", 69, &format!("tftp://{}", bases.tftp.as_deref()?)),
        Channel::Https
        | Channel::Dhcp
        | Channel::SipPnp
        | Channel::Registrar
        | Channel::Report
        | Channel::Admin => None,
    })
}

/// Whether a factory unit takes the server certificate that we show.
fn completes(family: &Family, model: &str, bases: &Bases) -> bool {
    let shown = match (&bases.https, bases.public_certificate) {
        (None, _) => Shown::Nothing,
        (Some(_), true) => Shown::Public,
        (Some(_), false) => Shown::Own,
    };
    https::opens(family, model, shown, When::Factory).is_ok()
}

fn parts(scheme: &'static str, port: u16, url: &str) -> Option<Pointer> {
    let url = url.trim_end_matches('/');
    let rest = url.strip_prefix(scheme)?.strip_prefix("://")?;
    let (authority, path) = match rest.split_once('/') {
        Some((authority, _)) => (authority, rest.get(authority.len()..)?),
        None => (rest, ""),
    };
    let (host, said) = match authority.strip_prefix('[') {
        Some(inside) => {
            let (host, after) = inside.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        // An address of version 6 without brackets has more than one colon and no port.
        None if authority.matches(':').count() > 1 => (authority, None),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let host_kind = if host.parse::<Ipv4Addr>().is_ok() {
        "ipv4"
    } else if host.parse::<Ipv6Addr>().is_ok() {
        "ipv6"
    } else {
        "hostname"
    };
    let url = if host_kind == "ipv6" && !authority.starts_with('[') {
        format!("{scheme}://[{host}]{path}")
    } else {
        url.to_owned()
    };
    Some(Pointer {
        url,
        scheme,
        host: host.to_owned(),
        host_kind,
        port: said.map_or(Some(port), |said| said.parse().ok())?,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_taken_apart() {
        fn check(scheme: &'static str, url: &str, expect: (&str, &str, &str, u16, &str)) {
            let pointer = parts(scheme, 80, url).expect("a pointer");
            let said = (
                pointer.url.as_str(),
                pointer.host.as_str(),
                pointer.host_kind,
                pointer.port,
                pointer.path.as_str(),
            );
            assert_eq!(said, expect, "{url}");
        }
        let name = "prov.example.net";
        check(
            "http",
            "http://prov.example.net/",
            ("http://prov.example.net", name, "hostname", 80, ""),
        );
        check(
            "http",
            "http://prov.example.net:8080/a/b/",
            (
                "http://prov.example.net:8080/a/b",
                name,
                "hostname",
                8080,
                "/a/b",
            ),
        );
        check(
            "http",
            "http://[2001:db8::1]:81/",
            ("http://[2001:db8::1]:81", "2001:db8::1", "ipv6", 81, ""),
        );
        check(
            "tftp",
            "tftp://2001:db8::1",
            ("tftp://[2001:db8::1]", "2001:db8::1", "ipv6", 80, ""),
        );
        check(
            "tftp",
            "tftp://192.0.2.1",
            ("tftp://192.0.2.1", "192.0.2.1", "ipv4", 80, ""),
        );
        assert_eq!(parts("http", 80, "ftp://192.0.2.1"), None);
        assert_eq!(parts("http", 80, "http://a:b/"), None);
    }
}
