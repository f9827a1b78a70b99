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
    /// When a person last let the prefix be believed: who came before that is no question any more.
    pub believed_since: Option<Timestamp>,
    /// The prefix is believed no more, until a person lets it.
    pub doubt: Option<Doubt>,
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
            believed_since: None,
            doubt: None,
            keys_at_l2: false,
            public_url: None,
            public_http_url: None,
            public_tftp: None,
            change_window: String::new(),
            version: 0,
        }
    }

    /// Whether its prefix alone corroborates a unit now.
    pub fn believes_prefix(&self) -> bool {
        self.corroborate == Corroborate::Prefix && !self.nat && self.doubt.is_none()
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

/// What a prefix was believed for that nobody expected (trust.md section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// More units than the site expects.
    MoreThanExpected,
    /// Units that took their credentials and never reported.
    NeverReported,
}

impl Doubt {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MoreThanExpected => "more-than-expected",
            Self::NeverReported => "never-reported",
        }
    }

    /// Reads what [`Doubt::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::MoreThanExpected, Self::NeverReported]
            .into_iter()
            .find(|doubt| doubt.as_str() == text)
    }

    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::MoreThanExpected => {
                "its prefix was the proof of as many units as the site expects, and one more asked"
            }
            Self::NeverReported => {
                "more than five units within an hour had their credentials by its prefix alone and never reported"
            }
        }
    }
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
