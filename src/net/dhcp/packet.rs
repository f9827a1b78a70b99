//! A DHCP datagram to a [`Packet`]: a walk of our own over the raw options. Pure.
//!
//! Tolerant of what real clients send (no end option, options in `file` and `sname`, one option in
//! several parts that are not adjacent), never of what reaches past the end.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::engine::facts::{DhcpFacts, Facts, Target};
use crate::model::dhcp::Kind;
use crate::model::identity::{Channel, Mac};
use crate::model::lease::RelayPort;

/// The fixed part of a message with its magic cookie, in octets (RFC 2131 section 2).
pub const HEADER: usize = 240;
/// The longest datagram that is read.
pub const LONGEST: usize = 8192;
pub(super) const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// All parts of all options together, joined (RFC 3396), in octets.
const JOINED: usize = 4096;

/// Option codes that the server itself reads or writes (RFC 2132 unless said).
pub mod code {
    pub const PAD: u8 = 0;
    pub const MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS: u8 = 6;
    pub const DOMAIN: u8 = 15;
    pub const NTP: u8 = 42;
    pub const REQUESTED: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const MESSAGE: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const PARAMETERS: u8 = 55;
    pub const MAX_SIZE: u8 = 57;
    pub const RENEWAL: u8 = 58;
    pub const REBINDING: u8 = 59;
    pub const CLIENT_ID: u8 = 61;
    /// RFC 3046.
    pub const RELAY: u8 = 82;
    /// RFC 3011.
    pub const SUBNET: u8 = 118;
    pub const END: u8 = 255;
}

/// Why a datagram is dropped unread. The words are stable: `dhcp_bad{reason}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bad {
    /// Shorter than the fixed part.
    Short,
    /// Longer than [`LONGEST`].
    Long,
    /// A reply where a request is wanted, or the other way round.
    Direction,
    /// A hardware address longer than its field.
    HardwareLength,
    /// No DHCP: another magic cookie, or BOOTP's.
    Magic,
    /// An option reaches past the end of its field.
    Truncated,
    /// The parts of options come to more than 4 kB.
    TooMuch,
    /// No option 53 of one octet with a known value.
    MessageType,
}

impl Bad {
    /// The label in counters and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
            Self::Direction => "direction",
            Self::HardwareLength => "hardware-length",
            Self::Magic => "magic",
            Self::Truncated => "truncated",
            Self::TooMuch => "too-much",
            Self::MessageType => "message-type",
        }
    }
}

/// Which way a message goes: the field `op`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Request,
    Reply,
}

/// One message, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub kind: Kind,
    pub htype: u8,
    pub hlen: u8,
    pub xid: u32,
    /// The client cannot take unicast before it has its address.
    pub broadcast: bool,
    pub flags: u16,
    pub ciaddr: Ipv4Addr,
    pub yiaddr: Ipv4Addr,
    pub siaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
    /// As sent, with what follows the address.
    pub chaddr: [u8; 16],
    /// Where the hardware is Ethernet and the address can be a unit's.
    pub mac: Option<Mac>,
    /// Each option once, its parts joined in their order.
    pub options: BTreeMap<u8, Vec<u8>>,
}

/// Reads a message that goes in this direction.
pub fn parse(datagram: &[u8], direction: Direction) -> Result<Packet, Bad> {
    if datagram.len() > LONGEST {
        return Err(Bad::Long);
    }
    let (header, rest) = datagram.split_at_checked(HEADER).ok_or(Bad::Short)?;
    let mut fields = Fields(header);
    let [op, htype, hlen, _hops] = fields.take()?;
    let wanted = match direction {
        Direction::Request => 1,
        Direction::Reply => 2,
    };
    if op != wanted {
        return Err(Bad::Direction);
    }
    if hlen > 16 {
        return Err(Bad::HardwareLength);
    }
    let xid = u32::from_be_bytes(fields.take()?);
    // Seconds since it began to ask.
    fields.take::<2>()?;
    let flags = u16::from_be_bytes(fields.take()?);
    let mut address = || fields.take::<4>().map(Ipv4Addr::from);
    let (ciaddr, yiaddr, siaddr, giaddr) = (address()?, address()?, address()?, address()?);
    let chaddr: [u8; 16] = fields.take()?;
    let sname: [u8; 64] = fields.take()?;
    let file: [u8; 128] = fields.take()?;
    if fields.take::<4>()? != MAGIC {
        return Err(Bad::Magic);
    }
    let mut options = Options::default();
    options.walk(rest)?;
    // What the fields of an overloaded message say of overloading means nothing: no loops.
    let overload = options.parts.get(&code::OVERLOAD).cloned();
    let overload = overload.as_deref().unwrap_or_default().first().copied();
    let overload = overload.unwrap_or_default();
    if overload & 1 != 0 {
        options.walk(&file)?;
    }
    if overload & 2 != 0 {
        options.walk(&sname)?;
    }
    let kind = options.parts.get(&code::MESSAGE);
    let kind = kind
        .and_then(|octets| Kind::read(octets))
        .ok_or(Bad::MessageType)?;
    let [a, b, c, d, e, f, ..] = chaddr;
    let mac = Mac::new([a, b, c, d, e, f]).ok();
    Ok(Packet {
        kind,
        htype,
        hlen,
        xid,
        broadcast: flags & 0x8000 != 0,
        flags,
        ciaddr,
        yiaddr,
        siaddr,
        giaddr,
        chaddr,
        mac: mac.filter(|_| htype == 1 && hlen == 6),
        options: options.parts,
    })
}

/// The fixed part, taken field by field.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(Bad::Short)?;
        self.0 = rest;
        Ok(*field)
    }
}

#[derive(Default)]
struct Options {
    parts: BTreeMap<u8, Vec<u8>>,
    joined: usize,
}

impl Options {
    /// Reads the options of one field up to its end option, or to its end.
    fn walk(&mut self, mut field: &[u8]) -> Result<(), Bad> {
        while let Some((code, rest)) = field.split_first() {
            match *code {
                code::PAD => field = rest,
                code::END => return Ok(()),
                code => {
                    let (value, rest) = value(rest).ok_or(Bad::Truncated)?;
                    self.joined = self.joined.saturating_add(value.len());
                    if self.joined > JOINED {
                        return Err(Bad::TooMuch);
                    }
                    self.parts.entry(code).or_default().extend_from_slice(value);
                    field = rest;
                }
            }
        }
        Ok(())
    }
}

/// The value that a length octet announces, and what follows it.
fn value(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

impl Packet {
    /// The octets of an option; empty where it is not there.
    pub fn option(&self, code: u8) -> &[u8] {
        self.options
            .get(&code)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// An option that is one address.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        address(self.option(code))
    }

    /// The sub-options of option 82 (RFC 3046), up to the first that reaches past its end; of one
    /// that is there twice the first counts.
    pub fn relay(&self) -> Relay {
        let mut relay = Relay::default();
        let mut rest = self.option(code::RELAY);
        while let Some((number, after)) = rest.split_first() {
            let Some((octets, after)) = value(after) else {
                break;
            };
            rest = after;
            match number {
                1 => drop(relay.circuit.get_or_insert_with(|| octets.to_vec())),
                2 => drop(relay.remote.get_or_insert_with(|| octets.to_vec())),
                5 => relay.link = relay.link.or_else(|| address(octets)),
                11 => relay.server = relay.server.or_else(|| address(octets)),
                _ => {}
            }
        }
        relay
    }

    /// The message as words of the core. Option 82 and the relay's port are left out where the
    /// relay is not trusted.
    pub fn facts(&self, heard: &Heard<'_>) -> Facts {
        let mut options = self.options.clone();
        if !heard.trusted {
            options.remove(&code::RELAY);
        }
        let ciaddr = given(self.ciaddr).map(IpAddr::V4);
        Facts {
            source: ciaddr,
            dhcp: Some(DhcpFacts {
                message: self.kind.as_str().to_owned(),
                chaddr: self.mac,
                ciaddr,
                options,
                giaddr: given(self.giaddr).map(IpAddr::V4),
                interface: Some(heard.interface.to_owned()),
                link: heard.link.iter().copied().map(IpAddr::V4).collect(),
                site: heard.site.map(str::to_owned),
                port: heard.trusted.then(|| self.relay().port()).flatten(),
                observed: heard.observed,
                unplaced: heard.unplaced,
            }),
            ..Facts::new(Channel::Dhcp, Target::default())
        }
    }
}

/// How a message was heard.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard<'a> {
    pub interface: &'a str,
    /// Addresses of the network that the client is on.
    pub link: &'a [Ipv4Addr],
    /// What the configuration says of that network.
    pub site: Option<&'a str>,
    /// It came through a relay that the configuration trusts.
    pub trusted: bool,
    /// We only look on.
    pub observed: bool,
    /// Its relay speaks from elsewhere than it says.
    pub unplaced: bool,
}

/// An address field that says something.
pub fn given(ip: Ipv4Addr) -> Option<Ipv4Addr> {
    Some(ip).filter(|ip| !ip.is_unspecified())
}

fn address(octets: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(octets).ok().map(Ipv4Addr::from)
}

/// What a relay added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relay {
    pub circuit: Option<Vec<u8>>,
    pub remote: Option<Vec<u8>>,
    /// The network that the client is on (RFC 3527).
    pub link: Option<Ipv4Addr>,
    /// What the client is to take for the server (RFC 5107).
    pub server: Option<Ipv4Addr>,
}

impl Relay {
    /// The port that the client hangs on, where the relay names one.
    pub fn port(self) -> Option<RelayPort> {
        let named = self.circuit.is_some() || self.remote.is_some();
        named.then(|| RelayPort {
            circuit: self.circuit.unwrap_or_default(),
            remote: self.remote.unwrap_or_default(),
        })
    }
}
