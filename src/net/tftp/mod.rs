//! TFTP for devices: read requests become facts, answers become blocks (RFC 1350, 2347, 2348,
//! 2349, 7440).
//!
//! [`packet`], [`terms`] and [`transfer`] are pure; `serve` has the sockets. Nobody writes here,
//! and no name from the network is a path: a name is matched by the core, and bytes come from it.

pub mod packet;
mod serve;
mod socket;
mod source;
mod table;
pub mod terms;
pub mod transfer;

pub use self::serve::{MaxBlock, Plane, run};
pub use self::socket::{Listener, bind};
