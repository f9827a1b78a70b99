//! The walks of trust.md section 8: a whole server, simulated units that trust only what the
//! factory unit trusts, real sockets. A lease or a prefix put in by the test stands for DHCP; in `wired`
//! the units ask for their addresses, in namespaces.

mod canaries;
mod certificate;
mod commands;
mod desk_phone;
mod families;
mod handshake;
mod kinds;
mod lossy;
mod moved;
mod plain_phone;
mod pnp;
mod port;
mod prefix;
mod release;
pub(crate) mod resets;
mod scene;
mod switch;
mod tftp_phone;
mod tools;
mod wired;
