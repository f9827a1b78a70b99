//! Sites, waivers and call servers: the places that units stand in.

use ipnet::IpNet;
use jiff::Timestamp;

/// The time zone of a site where nobody names another.
pub const UTC: &str = "UTC";

/// A place with prefixes and a clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    pub name: String,
    pub prefixes: Vec<IpNet>,
    /// IANA name.
    pub timezone: String,
    /// One address is many units: no address corroborates anything here.
    pub nat: bool,
    /// Units expected, for caps; 0 means those listed there.
    pub expect: u32,
    pub corroborate: Corroborate,
    /// Class `key` is given at L2 (shown red).
    pub keys_at_l2: bool,
    /// Base URL of this site if other than the global one.
    pub public_url: Option<String>,
    pub public_http_url: Option<String>,
    pub public_tftp: Option<String>,
    /// `Mon-Thu 20:00-05:00`, or empty.
    pub change_window: String,
    pub version: u64,
}

impl Site {
    /// A site of which nobody said more than its name.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            prefixes: Vec::new(),
            timezone: UTC.to_owned(),
            nat: false,
            expect: 0,
            corroborate: Corroborate::default(),
            keys_at_l2: false,
            public_url: None,
            public_http_url: None,
            public_tftp: None,
            change_window: String::new(),
            version: 0,
        }
    }
}

/// What ties an address to a unit at this site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Corroborate {
    #[default]
    Lease,
    /// The site's prefix is enough (shown red).
    Prefix,
}

/// A person's word that models at a site may have credentials over a plain transport.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiver {
    pub site: String,
    /// Model names, or `*`.
    pub models: Vec<String>,
    pub until: Timestamp,
    pub why: String,
}

/// A call server that units register at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pbx {
    pub name: String,
    pub sip_server: String,
    pub backup: Option<String>,
    pub outbound_proxy: Option<String>,
    /// `udp`, `tcp` or `tls`.
    pub transport: Option<String>,
    pub srtp: bool,
    pub sites: Vec<String>,
}
