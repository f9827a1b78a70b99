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
    let mut rest = Vec::new();
    if let Some(subnet) = subnet.filter(|_| terms.network) {
        rest = network(to, subnet);
    }
    // RFC 3011 section 3: whoever heeds it sends it back.
    if let Some(named) = to.options.get(&code::SUBNET) {
        rest.push((code::SUBNET, named.clone()));
    }
    let family = terms.pointer.map(|pointer| pointer.options.as_slice());
    for (number, value) in family.unwrap_or_default() {
        rest.retain(|(known, _)| known != number);
        rest.push((*number, value.clone()));
    }
    options.append(&mut rest);
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
