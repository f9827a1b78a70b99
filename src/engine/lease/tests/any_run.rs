//! The invariants over any run of requests.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

/// What happens next: a request, or somebody else's answer at an address.
#[derive(Clone, Debug)]
enum Event {
    Asked(Box<Ask>),
    Claimed(Ipv4Addr),
}

/// The address that the inventory keeps for some units; two of them want the same.
fn kept(last: u8) -> Option<Ipv4Addr> {
    match last {
        9 | 18 => Some(ip(20)),
        27 => Some(ip(44)),
        36 => Some(ip(10)),
        _ => None,
    }
}

fn any_event() -> impl Strategy<Value = (Event, i64)> {
    let kind = prop_oneof![
        4 => Just(Kind::Discover),
        6 => Just(Kind::Request),
        1 => Just(Kind::Decline),
        1 => Just(Kind::Release),
        1 => Just(Kind::Inform),
    ];
    let address = || {
        proptest::option::of(
            (0_u8..2, 8_u8..46).prop_map(|(third, last)| Ipv4Addr::new(10, 99, third, last)),
        )
    };
    let rest = (
        any::<bool>(),
        proptest::option::of(any::<bool>()),
        0_u8..3,
        0_i64..1500,
        // Nothing, a relay that is trusted with its port, one that is not.
        0_u8..4,
    );
    let asked = (kind, 1_u8..60, address(), address(), rest).prop_map(
        |(kind, last, requested, ciaddr, (listed, to_us, client, pass, relay))| {
            let client = vec![client; usize::from(client)];
            let asked = Ask {
                requested,
                ciaddr,
                reserved: kept(last).filter(|_| listed),
                unit: listed.then_some(unit(last)),
                to_us,
                client,
                source: ciaddr.unwrap_or(Ipv4Addr::UNSPECIFIED),
                giaddr: (relay > 1).then_some(ip(2)),
                trusted: relay == 2,
                port: (relay == 2).then(|| RelayPort {
                    circuit: vec![last % 3],
                    remote: Vec::new(),
                }),
                ..ask(kind, last)
            };
            (Event::Asked(Box::new(asked)), pass)
        },
    );
    let claimed = (8_u8..46).prop_map(|last| (Event::Claimed(ip(last)), 0));
    prop_oneof![9 => asked, 1 => claimed]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No address is two clients', what is granted may be given, what is offered may be taken up,
    /// and the counts are right.
    #[test]
    fn no_address_is_held_twice(events in proptest::collection::vec(any_event(), 1..400)) {
        let mut leases = leases();
        let reserved: BTreeMap<Ipv4Addr, DeviceId> =
            (0..60).rev().filter_map(|last| Some((kept(last)?, unit(last)))).collect();
        leases.reserve(reserved.clone());
        let mut granted: BTreeMap<Ipv4Addr, (Mac, Vec<u8>, bool, Timestamp)> = BTreeMap::new();
        let mut stored: BTreeMap<Ipv4Addr, Lease> = BTreeMap::new();
        let mut now = start();
        for (event, pass) in events {
            now += SignedDuration::from_secs(pass / 50);
            for write in leases.expire(now, 1000) {
                apply(&mut stored, write);
            }
            granted.retain(|_, (.., until)| *until > now);
            let ask = match event {
                Event::Asked(ask) => *ask,
                Event::Claimed(ip) => {
                    leases.conflict(ip, now + SignedDuration::from_secs(20));
                    continue;
                }
            };
            let decision = leases.decide(&ask, now);
            if let Answer::Offer(grant) = &decision.answer {
                let takes = Ask {
                    kind: Kind::Request,
                    requested: Some(grant.ip),
                    to_us: Some(true),
                    ciaddr: None,
                    ..ask.clone()
                };
                let mut then = Leases::new(leases.plan.clone());
                then.reserve(reserved.clone());
                then.held.clone_from(&leases.held);
                then.plan(leases.plan.clone());
                let taken = then.decide(&takes, now);
                prop_assert!(matches!(taken.answer, Answer::Ack(_)), "{:?}", taken);
            }
            if let Answer::Ack(grant) = &decision.answer {
                prop_assert!(grant.subnet.may_give(grant.ip));
                let owner = reserved.get(&grant.ip);
                prop_assert!(owner.is_none() || owner.copied() == ask.unit);
                if let Some((mac, client, kept, _)) = granted.get(&grant.ip) {
                    prop_assert_eq!(*mac, ask.mac, "{}", grant.ip);
                    prop_assert!(*client == ask.client || *kept || ask.reserved.is_some());
                }
                let until = end(now, grant.lease_time);
                let row = (ask.mac, ask.client.clone(), ask.reserved.is_some(), until);
                granted.insert(grant.ip, row);
                prop_assert!(matches!(&decision.write, Some(LeaseWrite::Put(row)) if row.mac == ask.mac && row.until == until));
            }
            if let Some(write) = decision.write {
                if let LeaseWrite::Remove(ip, _) = &write {
                    granted.remove(ip);
                }
                apply(&mut stored, write);
            }
            for subnet in leases.subnets.clone() {
                let live = leases.held.iter().filter(|(ip, row)| {
                    subnet.pools_hold(**ip) && row.state != table::State::Past
                });
                prop_assert_eq!(u64::try_from(live.count()).unwrap(), leases.taken(subnet.net));
            }
            for circuit in 0..3 {
                let port = RelayPort { circuit: vec![circuit], remote: Vec::new() };
                let behind = leases.held.values().filter(|row| {
                    row.stranger && row.state != table::State::Past && row.port.as_ref() == Some(&port)
                });
                prop_assert_eq!(u32::try_from(behind.count()).unwrap(), leases.strangers_of_port(&port));
            }
        }
        // What a restart finds is what was granted.
        let live = leases.held.iter().filter(|(_, row)| row.state == table::State::Leased);
        let live: Vec<Ipv4Addr> = live.map(|(ip, _)| *ip).collect();
        prop_assert_eq!(live, stored.keys().copied().collect::<Vec<_>>());
    }
}

fn apply(stored: &mut BTreeMap<Ipv4Addr, Lease>, write: LeaseWrite) {
    match write {
        LeaseWrite::Put(row) => {
            let std::net::IpAddr::V4(ip) = row.ip else {
                panic!("IPv4");
            };
            stored.insert(ip, row);
        }
        LeaseWrite::Remove(ip, _) => drop(stored.remove(&ip)),
    }
}
