//! A peer's certificate as facts: names compared as parsed RDNs, never as text.

use super::identity::Digest;

/// Attributes of a name in their order: (`CN`, `O`, `OU`, `L`, `ST`, `serialNumber` ..., value).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name(pub Vec<(String, String)>);

impl Name {
    /// The values of one attribute; `S` is read as `ST`.
    pub fn values<'a>(&'a self, attribute: &'a str) -> impl Iterator<Item = &'a str> {
        let wanted = if attribute == "S" { "ST" } else { attribute };
        self.0
            .iter()
            .filter(move |(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    }
}

/// What a client showed in its handshake. The handshake's signature was checked; the chain was
/// judged for each vendor afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    pub subject: Name,
    /// `None` where only names are known (`explain`).
    pub issuer: Option<Name>,
    /// DNS names and URIs of the subject alternative name.
    pub alternatives: Vec<String>,
    pub fingerprint: Option<Digest>,
    /// Vendors (folder names) with an anchor that this chain ends in.
    pub verified: Vec<String>,
    /// It chains to our own CA.
    pub own: bool,
    /// Why no anchor took it, as a stable code: `no-anchor`, `expired`, `not-yet-valid`,
    /// `bad-signature`, `self-signed`, `weak`, `malformed`.
    pub trouble: Option<String>,
}

/// Whether one of a certificate's names is this one; a wildcard stands for one label.
pub fn covers(names: &[String], name: &str) -> bool {
    names.iter().any(|own| {
        own.eq_ignore_ascii_case(name)
            || own.strip_prefix("*.").is_some_and(|zone| {
                name.split_once('.')
                    .is_some_and(|(host, rest)| !host.is_empty() && rest.eq_ignore_ascii_case(zone))
            })
    })
}
