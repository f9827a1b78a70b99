//! Which network a client is on.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;

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
    let chosen = ask.subnet.filter(|_| ask.trusted || ask.listed());
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

/// Where a message came from, and where it says so.
#[derive(Clone, Copy, Debug)]
pub struct From<'a> {
    pub kind: Kind,
    /// Of the datagram.
    pub source: Ipv4Addr,
    pub ciaddr: Option<Ipv4Addr>,
    pub giaddr: Option<Ipv4Addr>,
    /// It came from a relay that the configuration trusts.
    pub trusted: bool,
    /// Our own addresses.
    pub own: &'a [Ipv4Addr],
    /// The networks of the interface.
    pub link: &'a [Ipv4Net],
}

/// How far that may be believed. A datagram to our own address comes from anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The wire itself, or a relay that is trusted: who is there may be learned from it.
    Wire,
    /// A relay or a client that speaks from where it says it is.
    Placed,
    /// A relay that says it is in a network of ours, and speaks from elsewhere. It is answered
    /// there, and nothing more is made of it.
    Said,
    /// No answer goes there: nobody is answered at another's address.
    Nobody,
}

/// Judges where a message came from.
pub fn origin(subnets: &[Arc<Subnet>], from: &From<'_>) -> Origin {
    let source = from.source;
    let near = from.link.iter().any(|net| net.contains(&source));
    match (from.giaddr, from.ciaddr) {
        (Some(relay), _) if !is_relay(subnets, from.trusted, relay, from.own) => Origin::Nobody,
        (Some(_), _) if from.trusted => Origin::Wire,
        (Some(relay), _) => {
            let served = holding(subnets, source).is_some();
            if near || served || source == relay {
                Origin::Placed
            } else {
                Origin::Said
            }
        }
        (None, None) if near || source.is_unspecified() => Origin::Wire,
        (None, Some(own)) if own != source || from.own.contains(&own) => Origin::Nobody,
        (None, Some(_)) if near => Origin::Wire,
        // It goes on with an address of another network. Nobody begins there without a relay.
        (None, Some(_)) if from.kind != Kind::Discover => Origin::Placed,
        (None, _) => Origin::Nobody,
    }
}

/// The network's own name, or its broadcast address.
pub fn is_end(subnet: &Subnet, ip: Ipv4Addr) -> bool {
    let net = subnet.net;
    net.prefix_len() < 31 && (ip == net.network() || ip == net.broadcast())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ip, leases};
    use super::*;

    #[test]
    fn who_says_where_it_is_is_believed_as_far_as_it_can_be_seen() {
        fn check(kind: Kind, source: &str, giaddr: &str, ciaddr: &str, trusted: bool, is: Origin) {
            let leases = leases();
            let some = |text: &str| text.parse::<Ipv4Addr>().ok();
            let from = From {
                kind,
                source: some(source).unwrap_or(Ipv4Addr::UNSPECIFIED),
                ciaddr: some(ciaddr),
                giaddr: some(giaddr),
                trusted,
                own: &[ip(1)],
                link: &["10.99.0.0/24".parse().unwrap()],
            };
            let told = origin(leases.subnets(), &from);
            assert_eq!(told, is, "{kind:?} {source} {giaddr} {ciaddr} {trusted}");
        }
        use Kind::{Discover, Inform, Request};
        use Origin::{Nobody, Placed, Said, Wire};
        // On the wire, without an address, with one, with one that is not its own.
        check(Discover, "", "", "", false, Wire);
        check(Discover, "10.99.0.66", "", "", false, Wire);
        check(Request, "10.99.0.66", "", "10.99.0.66", false, Wire);
        check(Request, "10.99.0.66", "", "10.99.0.67", false, Nobody);
        check(Request, "10.99.0.1", "", "10.99.0.1", false, Nobody);
        // From three routers away.
        check(Discover, "198.51.100.9", "", "", false, Nobody);
        check(Request, "198.51.100.9", "", "", false, Nobody);
        check(Discover, "198.51.100.9", "", "198.51.100.9", false, Nobody);
        check(Request, "198.51.100.9", "", "198.51.100.9", false, Placed);
        check(Inform, "198.51.100.9", "", "198.51.100.9", false, Placed);
        // Through a relay.
        check(Discover, "10.98.0.1", "10.98.0.1", "", true, Wire);
        check(Discover, "10.98.0.1", "10.98.0.1", "", false, Nobody);
        check(Discover, "10.99.1.1", "10.99.1.1", "", false, Placed);
        check(Discover, "10.99.0.2", "10.99.1.1", "", false, Placed);
        check(Discover, "198.51.100.9", "10.99.1.1", "", false, Said);
    }
}
