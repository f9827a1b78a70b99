//! What a transport decoded from a request. Nothing here is believed yet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::model::certificate::PeerCertificate;
use crate::model::identity::{Channel, Mac};
use crate::model::lease::RelayPort;
use crate::model::secret::{Foreign, Secret};

/// One request as words of the core. Every transport decodes to it.
#[derive(Clone, Debug)]
pub struct Facts {
    pub channel: Channel,
    pub method: Method,
    pub target: Target,
    /// Lower-case names; values as sent, also with control bytes.
    pub headers: Vec<(String, Foreign)>,
    pub source: Option<IpAddr>,
    /// The host that was asked for, without port: only compared with our own names.
    pub host: Option<String>,
    pub certificate: Option<PeerCertificate>,
    pub dhcp: Option<DhcpFacts>,
    pub pnp: Option<PnpFacts>,
}

impl Facts {
    /// Facts of a request for `target`, with nothing else known.
    pub fn new(channel: Channel, target: Target) -> Self {
        Self {
            channel,
            method: Method::Get,
            target,
            headers: Vec::new(),
            source: None,
            host: None,
            certificate: None,
            dhcp: None,
            pnp: None,
        }
    }

    /// The first header of that lower-case name.
    pub fn header(&self, name: &str) -> Option<&Foreign> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }
}

/// What is done with the target. Other methods never become facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    #[default]
    Get,
    Head,
}

/// A request target with what it must not show taken off (trust.md section 5).
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// Decoded once, `\` as `/`, no leading `/`, no query, no `u/…` or `r/…`.
    pub path: String,
    /// As sent, without `?`.
    pub query: String,
    /// From `u/TOKEN/`.
    pub token: Option<Secret>,
    /// From `r/SECRET/WORD`; then `path` is the word.
    pub report: Option<Secret>,
}

impl Target {
    /// How the target is recorded: `u/~/name`, `r/~/word`.
    pub fn shown(&self) -> String {
        match (&self.token, &self.report) {
            (_, Some(_)) => format!("r/~/{}", self.path),
            (Some(_), None) => format!("u/~/{}", self.path),
            (None, None) => self.path.clone(),
        }
    }
}

/// What a DHCP client said.
#[derive(Clone, Debug, Default)]
pub struct DhcpFacts {
    /// `discover`, `request`, `inform` ...
    pub message: String,
    pub chaddr: Option<Mac>,
    /// The address that the client has; none where it has none yet.
    pub ciaddr: Option<IpAddr>,
    pub options: BTreeMap<u8, Vec<u8>>,
    pub giaddr: Option<IpAddr>,
    /// The interface that heard it.
    pub interface: Option<String>,
    /// Addresses of the network that the client is on: what its relay names, else the interface's own.
    pub link: Vec<IpAddr>,
    /// The site that the configuration gives to that network.
    pub site: Option<String>,
    /// Option 82 of a trusted relay.
    pub port: Option<RelayPort>,
    /// Somebody else's server answers: we only look on.
    pub observed: bool,
    /// Its relay says where it is and speaks from elsewhere, as anybody can: no boot begins with it.
    pub unplaced: bool,
}

impl DhcpFacts {
    /// Whether the unit's boot begins with it: a DISCOVER, or a REQUEST for an address that it had
    /// before (INIT-REBOOT, RFC 2131 section 4.3.2).
    pub fn begins(&self) -> bool {
        const ADDRESS: u8 = 50;
        const SERVER: u8 = 54;
        let has = |code: u8| self.options.contains_key(&code);
        if self.unplaced {
            return false;
        }
        match self.message.as_str() {
            "discover" => true,
            "request" => self.ciaddr.is_none() && has(ADDRESS) && !has(SERVER),
            _ => false,
        }
    }

    /// Names the segment that it came from.
    pub fn segment(&self) -> String {
        let interface = self.interface.as_deref().unwrap_or_default();
        match self.giaddr {
            Some(relay) => format!("{interface} {relay}"),
            None => interface.to_owned(),
        }
    }
}

/// What a SUBSCRIBE for `ua-profile` said.
#[derive(Clone, Debug, Default)]
pub struct PnpFacts {
    pub vendor: Option<String>,
    pub model: Option<String>,
    pub version: Option<String>,
    pub mac: Option<Mac>,
    pub agent: Option<Foreign>,
    pub call_id: String,
    /// It came from no network that the host is on: from a site of ours, or its source is a lie.
    pub routed: bool,
}
