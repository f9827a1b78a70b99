//! DHCPv4: datagrams to asks, decisions to datagrams, and the sockets.
//!
//! What becomes of a request is decided by the lease door
//! ([`service::leases`](crate::service::leases): an address) and by the device door (what a
//! family's units are told). `packet`, `reply`, `compose`, `frame`, `conflict` are pure; `wire` has
//! the sockets, `serve` and `run` what is done with them.

mod compose;
mod conflict;
mod frame;
pub mod packet;
pub mod reply;
mod run;
mod serve;
mod wire;

pub use self::run::{Server, bind};
pub use self::wire::{Wire, WireError};
