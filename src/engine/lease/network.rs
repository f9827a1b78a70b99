//! Which network a client is on.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::Ask;
use crate::model::dhcp::{Kind, Subnet};

/// The network that an address belongs to.
pub fn holding(subnets: &[Arc<Subnet>], ip: Ipv4Addr) -> Option<&Arc<Subnet>> {
    subnets
        .iter()
        .filter(|subnet| subnet.net.contains(&ip))
        .max_by_key(|subnet| subnet.net.prefix_len())
}

/// The network of a client, by the first of these that is there: the link that its relay names
/// (RFC 3527), the network that it names itself (RFC 3011), the relay's own address, its own, the
/// interface that it came in by. What is there and names no network of ours is no network.
pub fn of<'a>(subnets: &'a [Arc<Subnet>], ask: &Ask) -> Option<&'a Arc<Subnet>> {
    // A stranger on the wire does not choose for itself whose pool it eats from.
    let chosen = ask.subnet.filter(|_| ask.trusted || ask.listed);
    let own = ask.ciaddr.filter(|_| ask.kind != Kind::Discover);
    if let Some(named) = ask.link.or(chosen).or(ask.giaddr).or(own) {
        return holding(subnets, named);
    }
    ask.via.iter().find_map(|ip| holding(subnets, *ip))
}

/// Whether an answer may go to a relay at this address: a host's address in a network that we
/// serve, or of a relay that the configuration trusts, and not our own.
pub fn is_relay(subnets: &[Arc<Subnet>], trusted: bool, ip: Ipv4Addr, own: &[Ipv4Addr]) -> bool {
    let host = !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast());
    let served = holding(subnets, ip).is_some_and(|subnet| !is_end(subnet, ip));
    host && !own.contains(&ip) && (trusted || served)
}

/// The network's own name, or its broadcast address.
pub fn is_end(subnet: &Subnet, ip: Ipv4Addr) -> bool {
    let net = subnet.net;
    net.prefix_len() < 31 && (ip == net.network() || ip == net.broadcast())
}
