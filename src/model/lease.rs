//! Addresses that tie a source to a unit.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;

use super::identity::{Mac, Serial};

/// A lease that we granted, or saw granted.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    pub ip: IpAddr,
    pub mac: Mac,
    /// The serial that the client's own DHCP packet named.
    pub serial: Option<Serial>,
    pub port: Option<RelayPort>,
    pub source: LeaseSource,
    pub since: Timestamp,
    pub until: Timestamp,
}

/// Who granted a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseSource {
    Own,
    Observed,
}

/// Circuit and remote id that a trusted relay put into option 82.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayPort {
    pub circuit: Vec<u8>,
    pub remote: Vec<u8>,
}

/// A port as a switch names it in a circuit id: `Gi1/10:2020`, `et-0/0/0:0.0`, `Ethernet14:Vlan2001`.
/// For people; what tells two places apart is the octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortName {
    pub slot: Option<u32>,
    pub module: Option<u32>,
    pub port: u32,
    pub sub: Option<u32>,
    pub vlan: Option<String>,
}

impl RelayPort {
    /// The port that the circuit id names; `None` where it is of another make.
    pub fn named(&self) -> Option<PortName> {
        let text = std::str::from_utf8(&self.circuit).ok()?;
        let rest = text.trim_start_matches(|ch: char| ch.is_ascii_alphabetic());
        let kind = text.strip_suffix(rest)?;
        if kind.is_empty() || kind.eq_ignore_ascii_case("vlan") {
            return None;
        }
        let rest = rest.strip_prefix(['-', ' ']).unwrap_or(rest);
        let digits = rest.trim_start_matches(|ch: char| ch.is_ascii_digit() || ch == '/');
        let numbers = rest.strip_suffix(digits)?.split('/');
        let numbers: Vec<u32> = numbers.map(|n| n.parse().ok()).collect::<Option<_>>()?;
        let mut named = match *numbers.as_slice() {
            [port] => PortName {
                port,
                ..PortName::default()
            },
            [slot, port] => PortName {
                slot: Some(slot),
                port,
                ..PortName::default()
            },
            [slot, module, port] => PortName {
                slot: Some(slot),
                module: Some(module),
                port,
                ..PortName::default()
            },
            _ => return None,
        };
        // A channel with its unit, a unit alone, or a VLAN.
        match (digits.strip_prefix(':'), digits.strip_prefix('.')) {
            (None, None) if digits.is_empty() => {}
            (Some(after), _) => match after.split_once('.') {
                Some((channel, unit)) => {
                    unit.parse::<u32>().ok()?;
                    named.sub = Some(channel.parse().ok()?);
                }
                None => {
                    let word = |ch: char| ch.is_ascii_alphanumeric();
                    let plain = !after.is_empty() && after.chars().all(word);
                    named.vlan = Some(plain.then(|| after.to_owned())?);
                }
            },
            (None, Some(unit)) => named.sub = Some(unit.parse().ok()?),
            (None, None) => return None,
        }
        Some(named)
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (word, number) in [("slot", self.slot), ("module", self.module)] {
            if let Some(number) = number {
                write!(f, "{word} {number}, ")?;
            }
        }
        write!(f, "port {}", self.port)?;
        if let Some(sub) = self.sub {
            write!(f, ", subinterface {sub}")?;
        }
        match &self.vlan {
            Some(vlan) => write!(f, ", VLAN {vlan}"),
            None => Ok(()),
        }
    }
}
