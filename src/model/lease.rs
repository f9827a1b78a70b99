//! Addresses that tie a source to a unit.

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
