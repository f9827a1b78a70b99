//! Leases: which address a DHCP client gets, and why (RFC 2131 section 4.3). Pure.
//!
//! - `table`: who holds which address. `space`: the addresses of a network that are free.
//! - `decide`: from an [`Ask`] to a [`Decision`]. `network`: which network a client is on.
//! - `observe`: leases of another server, learned from what clients say.
//! - `rivals`: whether another server is there. `board`: the last decision for each client.
//!
//! **Invariant:** no address is held by two clients. **Invariant:** what strangers hold is bounded
//! by the pools, and never all of a pool.

pub mod board;
mod decide;
pub mod network;
pub mod observe;
pub mod rivals;
mod space;
mod table;
#[cfg(test)]
mod tests;
mod why;

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;

pub use self::table::{Filled, Leases};
pub use self::why::Why;
use crate::model::dhcp::{Kind, Subnet};
use crate::model::identity::{DeviceId, Mac, Serial};
use crate::model::lease::{Lease, LeaseSource, RelayPort};

/// What a client asks, and what is known of it.
#[derive(Clone, Debug)]
pub struct Ask {
    pub kind: Kind,
    pub mac: Mac,
    /// Option 61; empty where it sent none.
    pub client: Vec<u8>,
    /// What its own packet named.
    pub serial: Option<Serial>,
    /// The address that the datagram came from.
    pub source: Ipv4Addr,
    pub ciaddr: Option<Ipv4Addr>,
    pub giaddr: Option<Ipv4Addr>,
    /// Option 50.
    pub requested: Option<Ipv4Addr>,
    /// Option 54: whether it names us. `None` where it is not there.
    pub to_us: Option<bool>,
    /// Sub-option 5 of a trusted relay.
    pub link: Option<Ipv4Addr>,
    /// Option 118.
    pub subnet: Option<Ipv4Addr>,
    /// The port, where a trusted relay names it.
    pub port: Option<RelayPort>,
    /// Addresses of the interface that it came in by.
    pub via: Vec<Ipv4Addr>,
    /// It came from a relay that the configuration trusts.
    pub trusted: bool,
    /// The listed unit that it is, or says that it is.
    pub unit: Option<DeviceId>,
    pub recognised: bool,
    /// The address that the inventory keeps for it.
    pub reserved: Option<Ipv4Addr>,
    /// The shortest lease, in seconds, that its family takes.
    pub least: u32,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub answer: Answer,
    pub why: Why,
    /// The address that it is about.
    pub ip: Option<Ipv4Addr>,
    /// What must be durable before the answer.
    pub write: Option<LeaseWrite>,
}

/// What the client is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Offer(Grant),
    Ack(Grant),
    /// Options alone (DHCPINFORM). `None` where no network of the configuration holds the client.
    Inform(Option<Arc<Subnet>>),
    Nak(Arc<Subnet>),
    Silent,
}

/// An address for a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    pub ip: Ipv4Addr,
    pub subnet: Arc<Subnet>,
    /// Seconds.
    pub lease_time: u32,
    /// The client did not have it before: somebody else may use it unasked.
    pub fresh: bool,
}

/// A change of the stored leases.
#[derive(Clone, Debug, PartialEq)]
pub enum LeaseWrite {
    Put(Lease),
    /// Where the row is of this source: another's is not ours to end.
    Remove(Ipv4Addr, LeaseSource),
}

/// How long what we offer is kept for the client.
pub const OFFER_LISTED: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
/// The same for a client that nobody listed.
pub const OFFER_STRANGER: jiff::SignedDuration = jiff::SignedDuration::from_secs(20);
/// How long an address that somebody else uses is left alone.
pub const CONFLICT: jiff::SignedDuration = jiff::SignedDuration::from_mins(30);
/// Strangers behind one port of a relay that hold an address or an offer.
pub const STRANGERS_OF_PORT: u32 = 32;
/// Addresses that one MAC holds in one network, under several client identifiers.
pub const OF_ONE_MAC: usize = 4;
/// The longest client identifier that is taken: one part of an option. It is kept for every address.
pub const LONGEST_CLIENT: usize = 255;

/// Addresses of a network that strangers leave to listed units.
pub(crate) fn kept_for_listed(total: u64) -> u64 {
    total / 8
}

/// Offers to strangers of one network, not yet taken up, by relay or segment.
pub(crate) fn offers_to_strangers(total: u64) -> u64 {
    (total / 4).max(16)
}

impl Ask {
    /// Somebody listed it.
    pub fn listed(&self) -> bool {
        self.unit.is_some()
    }
}

impl Decision {
    pub(crate) fn silent(why: Why, ip: Option<Ipv4Addr>) -> Self {
        Self {
            answer: Answer::Silent,
            why,
            ip,
            write: None,
        }
    }
}

/// The end of a lease that begins now.
pub(crate) fn end(now: Timestamp, seconds: u32) -> Timestamp {
    now.saturating_add(jiff::SignedDuration::from_secs(i64::from(seconds)))
        .unwrap_or(Timestamp::MAX)
}
