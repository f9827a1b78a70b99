//! DHCP: the vectors' lines, and real clients, relays and servers on wires of our own.
//!
//! `wire` needs root: each of its tests makes network namespaces and removes them.

mod desk;
mod vectors;
pub(crate) mod wire;
