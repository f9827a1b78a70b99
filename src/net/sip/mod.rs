//! SIP PnP: a multicast SUBSCRIBE for `ua-profile` asks where the configuration is (RFC 6080).
//!
//! Octets become facts and the core's answer becomes a 200 and a NOTIFY; nothing is decided here.
//! What is told is a base URL, the same for every unit of a family.

pub mod exchange;
pub mod message;
pub mod notify;
mod run;
pub mod subscribe;

pub use run::{Listener, Plane, bind, run};
