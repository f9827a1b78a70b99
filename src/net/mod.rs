//! Transports: bytes to [`Facts`](crate::engine::facts::Facts) and
//! [`Answer`](crate::answer::Answer) to bytes.
//!
//! **Invariant:** nothing here decides. A transport is generic over
//! [`Door`](crate::answer::Door) and knows neither the store nor the engine's rules; pure
//! decoding and encoding are apart from the sockets.

pub mod admission;
mod body;
mod connection;
pub mod dhcp;
pub mod guard;
mod http;
pub mod limits;
mod links;
pub mod listen;
mod pipe;
mod range;
pub mod sip;
pub mod tftp;
pub mod tls;
mod verifier;
