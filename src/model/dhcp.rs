//! The words of DHCPv4: how the server serves, and the networks that it serves.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Options that are the server's own business or the client's, with pad and end: no manifest and no
/// network gives them. Two of one code are read as one long value (RFC 3396).
pub const OWN_OPTIONS: [u8; 15] = [0, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 61, 82, 118, 255];

/// The variable of a unit that keeps an address for it.
pub const KEPT_ADDRESS: &str = "dhcp_address";

/// How the server takes part in DHCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Off,
    /// Grants leases.
    Server,
    /// Never sends a packet: learns who is there.
    Observe,
    /// Answers DHCPINFORM, and adds nothing else.
    Inform,
}

impl Mode {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Server => "server",
            Self::Observe => "observe",
            Self::Inform => "inform",
        }
    }
}

/// What a message is: option 53 (RFC 2132 section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Discover,
    Offer,
    Request,
    Decline,
    Ack,
    Nak,
    Release,
    Inform,
}

impl Kind {
    /// The value on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Decline => 4,
            Self::Ack => 5,
            Self::Nak => 6,
            Self::Release => 7,
            Self::Inform => 8,
        }
    }

    /// Reads the value of the option.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let [number] = octets else { return None };
        [
            Self::Discover,
            Self::Offer,
            Self::Request,
            Self::Decline,
            Self::Ack,
            Self::Nak,
            Self::Release,
            Self::Inform,
        ]
        .into_iter()
        .find(|kind| kind.number() == *number)
    }

    /// The word in records and facts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Offer => "offer",
            Self::Request => "request",
            Self::Decline => "decline",
            Self::Ack => "ack",
            Self::Nak => "nak",
            Self::Release => "release",
            Self::Inform => "inform",
        }
    }
}

/// Who gets an address; others get silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serve {
    All,
    /// Listed units.
    Known,
    /// Listed units, and whoever a manifest recognises.
    #[default]
    KnownAndRecognised,
}

/// `[dhcp]`, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Dhcp {
    pub mode: Mode,
    pub interfaces: Vec<String>,
    pub serve: Serve,
    /// A client is its MAC and its option 61 together; else its MAC alone.
    pub client_id: bool,
    /// Trusted relays, by their giaddr: option 82 counts only from these.
    pub relays: Vec<Ipv4Addr>,
    /// Look for other servers, and give way to one.
    pub probe: bool,
    /// Other servers that are no reason to give way.
    pub allow_other: Vec<Ipv4Addr>,
    pub subnets: Vec<Subnet>,
}

impl Default for Dhcp {
    /// What holds where the configuration says nothing.
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            interfaces: Vec::new(),
            serve: Serve::default(),
            client_id: true,
            relays: Vec::new(),
            probe: true,
            allow_other: Vec::new(),
            subnets: Vec::new(),
        }
    }
}

/// One network.
#[derive(Clone, Debug, PartialEq)]
pub struct Subnet {
    pub net: Ipv4Net,
    /// First and last address of each pool.
    pub pools: Vec<(Ipv4Addr, Ipv4Addr)>,
    pub exclude: Vec<(Ipv4Addr, Ipv4Addr)>,
    pub router: Option<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
    pub ntp: Vec<Ipv4Addr>,
    pub domain: Option<String>,
    /// Seconds.
    pub lease_time: u32,
    pub site: Option<String>,
    /// For every client, as encoded.
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Subnet {
    /// Whether clients of this network may have the address: not the network's own name, its
    /// broadcast address, its router, or one that is excluded.
    pub fn may_give(&self, ip: Ipv4Addr) -> bool {
        let ends =
            self.net.prefix_len() < 31 && (ip == self.net.network() || ip == self.net.broadcast());
        self.net.contains(&ip)
            && !ends
            && self.router != Some(ip)
            && !self
                .exclude
                .iter()
                .any(|(from, to)| (*from..=*to).contains(&ip))
    }

    /// Whether the address lies in a pool and may be given.
    pub fn pools_hold(&self, ip: Ipv4Addr) -> bool {
        self.pools
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&ip))
            && self.may_give(ip)
    }
}
