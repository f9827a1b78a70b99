//! From a decision and a family's pointer to a reply. Pure.

use std::net::Ipv4Addr;

use super::packet::{Packet, code};
use super::reply::Reply;
use crate::answer::Pointed;
use crate::engine::lease::Answer;
use crate::model::dhcp::{Kind, Subnet};

/// The longest name that the `file` field holds with its end.
const FILE: usize = 127;
const BROADCAST: u8 = 28;

/// What the server is called, and what the unit's family is told.
pub(super) struct Terms<'a> {
    pub(super) server: Ipv4Addr,
    pub(super) pointer: Option<&'a Pointed>,
    /// The network's own options too, or nothing but the family's.
    pub(super) network: bool,
}

/// The reply that tells a client the answer; none where it is silence.
pub(super) fn reply(to: &Packet, answer: &Answer, terms: &Terms<'_>) -> Option<Reply> {
    let none = Ipv4Addr::UNSPECIFIED;
    let server = (code::SERVER, terms.server.octets().to_vec());
    let (kind, yiaddr, subnet, lease_time) = match answer {
        Answer::Silent => return None,
        Answer::Nak(_) => {
            return Some(Reply {
                kind: Kind::Nak,
                ciaddr: none,
                yiaddr: none,
                siaddr: none,
                file: Vec::new(),
                options: vec![server],
            });
        }
        Answer::Inform(subnet) => (Kind::Ack, none, subnet.as_deref(), None),
        Answer::Offer(grant) => (
            Kind::Offer,
            grant.ip,
            Some(&*grant.subnet),
            Some(grant.lease_time),
        ),
        Answer::Ack(grant) => (
            Kind::Ack,
            grant.ip,
            Some(&*grant.subnet),
            Some(grant.lease_time),
        ),
    };
    let mut options = vec![server];
    if let Some(seconds) = lease_time {
        options.extend(times(to, seconds));
    }
    let (mut family, mut rest) = (Vec::new(), Vec::new());
    if let Some(subnet) = subnet.filter(|_| terms.network) {
        rest = network(to, subnet);
    }
    // RFC 3011 section 3: whoever heeds it sends it back.
    if let Some(named) = to.options.get(&code::SUBNET) {
        rest.push((code::SUBNET, named.clone()));
    }
    if let Some(pointer) = terms.pointer {
        let own = |number: &u8| pointer.options.iter().any(|(known, _)| known == number);
        rest.retain(|(number, _)| !own(number));
        family.clone_from(&pointer.options);
    }
    // What does not fit moves to fields that many boot ROMs do not read, or is lost: without a mask
    // and a router nothing is reached, without the family's options nothing is configured; the rest
    // comes last.
    let needed = |(number, _): &(u8, Vec<u8>)| [code::MASK, code::ROUTER].contains(number);
    let (first, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(needed);
    options.extend(first.into_iter().chain(family).chain(rest));
    let file = terms.pointer.and_then(|pointer| pointer.file.as_deref());
    let file = file.map(str::as_bytes).filter(|name| name.len() <= FILE);
    Some(Reply {
        kind,
        ciaddr: if kind == Kind::Ack { to.ciaddr } else { none },
        yiaddr,
        siaddr: terms
            .pointer
            .and_then(|pointer| pointer.siaddr)
            .unwrap_or(none),
        file: file.map(<[u8]>::to_vec).unwrap_or_default(),
        options,
    })
}

/// 51, and where they are asked for 58 and 59: half and seven eighths of it (RFC 2131 section 4.4.5).
fn times(to: &Packet, seconds: u32) -> Vec<(u8, Vec<u8>)> {
    let asked = to.option(code::PARAMETERS);
    [
        (code::LEASE_TIME, seconds, true),
        (code::RENEWAL, seconds / 2, asked.contains(&code::RENEWAL)),
        (
            code::REBINDING,
            seconds - seconds / 8,
            asked.contains(&code::REBINDING),
        ),
    ]
    .into_iter()
    .filter(|(.., wanted)| *wanted)
    .map(|(number, value, _)| (number, value.to_be_bytes().to_vec()))
    .collect()
}

/// The network's options: its mask, what the client asks for of the rest (all where it does not
/// say), and what the configuration gives every client.
fn network(to: &Packet, subnet: &Subnet) -> Vec<(u8, Vec<u8>)> {
    let list = |ips: &[Ipv4Addr]| -> Vec<u8> { ips.iter().flat_map(Ipv4Addr::octets).collect() };
    let router: Vec<Ipv4Addr> = subnet.router.into_iter().collect();
    let domain = subnet.domain.clone().unwrap_or_default().into_bytes();
    let asked = to.option(code::PARAMETERS);
    let wanted = |number: u8| asked.is_empty() || asked.contains(&number);
    let mut options = vec![(code::MASK, subnet.net.netmask().octets().to_vec())];
    let own = [
        (code::ROUTER, list(&router), wanted(code::ROUTER)),
        (code::DNS, list(&subnet.dns), wanted(code::DNS)),
        (code::DOMAIN, domain, wanted(code::DOMAIN)),
        (
            BROADCAST,
            list(&[subnet.net.broadcast()]),
            asked.contains(&BROADCAST),
        ),
        (code::NTP, list(&subnet.ntp), wanted(code::NTP)),
    ];
    for (number, value, wanted) in own {
        if wanted && !value.is_empty() {
            options.push((number, value));
        }
    }
    for (number, value) in &subnet.options {
        options.retain(|(known, _)| known != number);
        options.push((*number, value.clone()));
    }
    options
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::packet::{Direction, parse};
    use super::*;
    use crate::answer::Ticket;
    use crate::engine::lease::Grant;

    /// A client without option 57 gets a datagram of 576 octets: the network's long lists give way.
    #[test]
    fn what_the_family_is_told_goes_before_the_network_s_lists() {
        let mut octets = vec![1, 1, 6, 0, 0, 0, 0, 7];
        octets.resize(236, 0);
        octets.extend_from_slice(&super::super::packet::MAGIC);
        octets.extend_from_slice(&[53, 1, 1, 255]);
        let to = parse(&octets, Direction::Request).unwrap();
        let servers = vec![Ipv4Addr::new(10, 99, 0, 1); 60];
        let subnet = Arc::new(Subnet {
            net: "10.99.0.0/16".parse().unwrap(),
            pools: Vec::new(),
            exclude: Vec::new(),
            router: Some(Ipv4Addr::new(10, 99, 0, 1)),
            dns: servers,
            ntp: Vec::new(),
            domain: None,
            lease_time: 3600,
            site: None,
            options: vec![(119, vec![7; 200]), (66, b"the network's".to_vec())],
        });
        let pointer = Pointed {
            options: vec![(43, vec![1; 90]), (66, vec![2; 40]), (160, vec![3; 40])],
            siaddr: None,
            file: None,
            lease: 0,
            url: None,
            ticket: Ticket::NOBODY,
        };
        let answer = Answer::Offer(Grant {
            ip: Ipv4Addr::new(10, 99, 10, 1),
            lease_time: subnet.lease_time,
            subnet,
            fresh: false,
        });
        let terms = Terms {
            server: Ipv4Addr::new(10, 99, 0, 1),
            pointer: Some(&pointer),
            network: true,
        };
        let reply = reply(&to, &answer, &terms).unwrap();
        let codes: Vec<u8> = reply.options.iter().map(|(number, _)| *number).collect();
        assert_eq!(codes, [54, 51, 1, 3, 43, 66, 160, 6, 119]);
        let (octets, left) = reply.encode(&to);
        assert_eq!(left, [6, 119]);
        let read = parse(&octets, Direction::Reply).unwrap();
        assert_eq!(read.options.get(&52), None, "all in the options field");
        for (number, value) in &pointer.options {
            assert_eq!(read.option(*number), value, "{number}");
        }
    }
}
