//! The lease engine: each rule.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::model::dhcp::{Dhcp, Mode, Serve, Subnet};

mod any_run;
mod kept;

pub(super) fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, last)
}

pub(super) fn mac(last: u8) -> Mac {
    Mac::new([2, 0, 0, 0, 0, last]).unwrap()
}

/// The unit that is listed with [`mac`].
fn unit(last: u8) -> DeviceId {
    DeviceId(u128::from(last))
}

fn subnet(third: u8, pool: (u8, u8)) -> Subnet {
    let at = |last| Ipv4Addr::new(10, 99, third, last);
    Subnet {
        net: format!("10.99.{third}.0/24").parse().unwrap(),
        pools: vec![(at(pool.0), at(pool.1))],
        exclude: vec![(at(12), at(13))],
        router: Some(at(1)),
        dns: Vec::new(),
        ntp: Vec::new(),
        domain: None,
        lease_time: 3600,
        site: None,
        options: Vec::new(),
    }
}

pub(super) fn leases() -> Leases {
    Leases::new(Dhcp {
        mode: Mode::Server,
        serve: Serve::All,
        client_id: true,
        subnets: vec![subnet(0, (10, 41)), subnet(1, (10, 200))],
        ..Dhcp::default()
    })
}

fn start() -> Timestamp {
    "2026-11-23T09:00:00Z".parse().unwrap()
}

pub(super) fn at(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

pub(super) fn ask(kind: Kind, last: u8) -> Ask {
    Ask {
        kind,
        mac: mac(last),
        client: Vec::new(),
        serial: None,
        source: Ipv4Addr::UNSPECIFIED,
        ciaddr: None,
        giaddr: None,
        requested: None,
        to_us: None,
        link: None,
        subnet: None,
        port: None,
        via: vec![ip(1)],
        trusted: false,
        unit: Some(unit(last)),
        recognised: false,
        reserved: None,
        least: 0,
    }
}

fn select(last: u8, ip: Ipv4Addr) -> Ask {
    Ask {
        requested: Some(ip),
        to_us: Some(true),
        ..ask(Kind::Request, last)
    }
}

fn reboot(last: u8, ip: Ipv4Addr) -> Ask {
    Ask {
        requested: Some(ip),
        ..ask(Kind::Request, last)
    }
}

fn renew(last: u8, ip: Ipv4Addr) -> Ask {
    Ask {
        ciaddr: Some(ip),
        source: ip,
        ..ask(Kind::Request, last)
    }
}

/// Answer, code and address in a word.
fn told(decision: &Decision) -> String {
    let ip = decision.ip.map(|ip| ip.to_string()).unwrap_or_default();
    let answer = board::answered(&decision.answer);
    format!("{answer} {} {ip}", decision.why.as_str())
}

fn check(leases: &mut Leases, ask: &Ask, second: i64, expect: &str) {
    assert_eq!(told(&leases.decide(ask, at(second))), expect, "{ask:?}");
}

#[test]
fn a_client_gets_an_address_keeps_it_and_gets_it_again() {
    let mut leases = leases();
    let leases = &mut leases;
    check(
        leases,
        &ask(Kind::Discover, 1),
        0,
        "offer free-address 10.99.0.10",
    );
    check(
        leases,
        &ask(Kind::Discover, 2),
        0,
        "offer free-address 10.99.0.11",
    );
    // 12 and 13 are excluded.
    check(
        leases,
        &ask(Kind::Discover, 3),
        0,
        "offer free-address 10.99.0.14",
    );
    let acked = leases.decide(&select(1, ip(10)), at(1));
    assert_eq!(told(&acked), "ack same-address 10.99.0.10");
    let Some(LeaseWrite::Put(row)) = acked.write else {
        panic!("it is written first");
    };
    assert_eq!((row.mac, row.until), (mac(1), at(3601)));
    check(leases, &renew(1, ip(10)), 1800, "ack renewed 10.99.0.10");
    check(leases, &reboot(1, ip(10)), 1801, "ack renewed 10.99.0.10");
    check(
        leases,
        &ask(Kind::Discover, 1),
        1802,
        "offer same-address 10.99.0.10",
    );
    let over = leases.expire(at(1801 + 3600), 1000);
    assert_eq!(over, [LeaseWrite::Remove(ip(10), LeaseSource::Own)]);
    check(
        leases,
        &ask(Kind::Discover, 1),
        6000,
        "offer same-address 10.99.0.10",
    );
}

#[test]
fn what_is_not_so_is_told_by_a_nak_and_what_we_do_not_know_by_silence() {
    let mut leases = leases();
    let leases = &mut leases;
    leases.decide(&ask(Kind::Discover, 1), at(0));
    leases.decide(&select(1, ip(10)), at(0));
    check(leases, &select(2, ip(10)), 1, "nak taken 10.99.0.10");
    check(leases, &renew(2, ip(10)), 1, "nak taken 10.99.0.10");
    check(
        leases,
        &reboot(2, Ipv4Addr::new(192, 0, 2, 7)),
        1,
        "nak wrong-network 192.0.2.7",
    );
    check(
        leases,
        &reboot(2, Ipv4Addr::new(10, 99, 1, 20)),
        1,
        "nak wrong-network 10.99.1.20",
    );
    check(
        leases,
        &reboot(2, ip(20)),
        1,
        "silence no-record 10.99.0.20",
    );
    check(leases, &renew(2, ip(20)), 1, "ack adopted 10.99.0.20");
    let not_from_there = Ask {
        source: ip(66),
        ..renew(3, ip(21))
    };
    check(leases, &not_from_there, 1, "silence no-record 10.99.0.21");
    check(
        leases,
        &reboot(3, ip(100)),
        1,
        "silence not-of-pool 10.99.0.100",
    );
    check(
        leases,
        &select(3, ip(100)),
        1,
        "nak not-of-pool 10.99.0.100",
    );
    let stray = renew(3, Ipv4Addr::new(198, 51, 100, 1));
    check(leases, &stray, 1, "silence no-network 198.51.100.1");
    let elsewhere = Ask {
        to_us: Some(false),
        ..select(4, ip(30))
    };
    leases.decide(&ask(Kind::Discover, 4), at(1));
    let before = leases.taken("10.99.0.0/24".parse().unwrap());
    check(leases, &elsewhere, 2, "silence other-server ");
    assert_eq!(
        leases.taken("10.99.0.0/24".parse().unwrap()),
        before - 1,
        "the offer is free again"
    );
}

#[test]
fn the_network_is_the_relay_s_word_before_the_interface_s() {
    let other = Ipv4Addr::new(10, 99, 1, 1);
    let base = ask(Kind::Discover, 1);
    let relayed = Ask {
        giaddr: Some(other),
        ..base.clone()
    };
    check(&mut leases(), &relayed, 0, "offer free-address 10.99.1.10");
    let linked = Ask {
        link: Some(ip(0)),
        ..relayed
    };
    check(&mut leases(), &linked, 0, "offer free-address 10.99.0.10");
    let named = Ask {
        subnet: Some(other),
        ..base.clone()
    };
    check(&mut leases(), &named, 0, "offer free-address 10.99.1.10");
    let stranger = Ask {
        unit: None,
        ..named
    };
    check(&mut leases(), &stranger, 0, "offer free-address 10.99.0.10");
    let nowhere = Ask {
        giaddr: Some(Ipv4Addr::new(192, 0, 2, 1)),
        ..base
    };
    check(&mut leases(), &nowhere, 0, "silence no-network ");
}

#[test]
fn the_inventory_keeps_addresses() {
    let mut leases = leases();
    let leases = &mut leases;
    leases.reserve(BTreeMap::from([(ip(10), unit(9)), (ip(50), unit(8))]));
    check(
        leases,
        &ask(Kind::Discover, 1),
        0,
        "offer free-address 10.99.0.11",
    );
    let asks = Ask {
        requested: Some(ip(10)),
        ..ask(Kind::Discover, 2)
    };
    check(leases, &asks, 0, "offer free-address 10.99.0.14");
    check(leases, &reboot(2, ip(10)), 0, "nak taken 10.99.0.10");
    let kept = |kind, last, at| Ask {
        reserved: Some(at),
        ..ask(kind, last)
    };
    check(
        leases,
        &kept(Kind::Discover, 9, ip(10)),
        0,
        "offer reserved 10.99.0.10",
    );
    // Outside the pools too.
    check(
        leases,
        &kept(Kind::Discover, 8, ip(50)),
        0,
        "offer reserved 10.99.0.50",
    );
    let takes = Ask {
        reserved: Some(ip(50)),
        ..select(8, ip(50))
    };
    check(leases, &takes, 0, "ack same-address 10.99.0.50");
    // Under another client identifier it is still the unit's.
    let other_id = Ask {
        client: vec![7],
        ..kept(Kind::Discover, 8, ip(50))
    };
    check(leases, &other_id, 0, "offer reserved 10.99.0.50");
    // Given to another before it was kept.
    leases.reserve(BTreeMap::from([(ip(11), unit(7))]));
    check(
        leases,
        &kept(Kind::Discover, 7, ip(11)),
        0,
        "offer reserved-in-use 10.99.0.15",
    );
}

#[test]
fn an_identifier_makes_another_client_of_one_mac_within_bounds() {
    let mut all = leases();
    let with = |id: u8| Ask {
        client: vec![id],
        ..ask(Kind::Discover, 1)
    };
    let mut got = Vec::new();
    for id in 0..4 {
        got.extend(all.decide(&with(id), at(0)).ip);
    }
    got.dedup();
    assert_eq!(got.len(), 4);
    check(&mut all, &with(9), 0, "silence one-mac ");
    let mut plain = leases();
    plain.plan.client_id = false;
    check(&mut plain, &with(1), 0, "offer free-address 10.99.0.10");
    check(&mut plain, &with(2), 0, "offer same-address 10.99.0.10");
}

#[test]
fn only_the_holder_releases_and_declines() {
    let mut leases = leases();
    let leases = &mut leases;
    leases.decide(&ask(Kind::Discover, 1), at(0));
    leases.decide(&select(1, ip(10)), at(0));
    let release = |last, source| Ask {
        ciaddr: Some(ip(10)),
        source,
        ..ask(Kind::Release, last)
    };
    check(
        leases,
        &release(2, ip(10)),
        1,
        "silence not-its-own 10.99.0.10",
    );
    check(
        leases,
        &release(1, ip(99)),
        1,
        "silence not-its-own 10.99.0.10",
    );
    let released = leases.decide(&release(1, ip(10)), at(1));
    let removed = LeaseWrite::Remove(ip(10), LeaseSource::Own);
    assert_eq!(released.write, Some(removed));
    check(
        leases,
        &ask(Kind::Discover, 1),
        2,
        "offer same-address 10.99.0.10",
    );
    let decline = |last| Ask {
        requested: Some(ip(10)),
        to_us: Some(true),
        ..ask(Kind::Decline, last)
    };
    check(leases, &decline(2), 2, "silence not-its-own 10.99.0.10");
    check(leases, &decline(1), 2, "silence declined 10.99.0.10");
    check(
        leases,
        &ask(Kind::Discover, 1),
        3,
        "offer free-address 10.99.0.11",
    );
    leases.expire(at(3 + 1800), 1000);
    let wants = Ask {
        requested: Some(ip(10)),
        ..ask(Kind::Discover, 5)
    };
    check(leases, &wants, 1900, "offer as-asked 10.99.0.10");
}

#[test]
fn who_is_served_is_the_configuration_s_word() {
    fn check_serve(serve: Serve, listed: bool, recognised: bool, expect: &str) {
        let mut leases = leases();
        leases.plan.serve = serve;
        let ask = Ask {
            unit: listed.then_some(unit(1)),
            recognised,
            ..ask(Kind::Discover, 1)
        };
        let answer = leases.decide(&ask, at(0)).answer;
        assert_eq!(board::answered(&answer), expect, "{serve:?}");
    }
    check_serve(Serve::All, false, false, "offer");
    check_serve(Serve::Known, false, true, "silence");
    check_serve(Serve::Known, true, false, "offer");
    check_serve(Serve::KnownAndRecognised, false, true, "offer");
    check_serve(Serve::KnownAndRecognised, true, false, "offer");
    check_serve(Serve::KnownAndRecognised, false, false, "silence");
}

/// hostile-cases D6.
#[test]
fn d6_strangers_never_get_all_of_a_pool() {
    let port = |n: u8| RelayPort {
        circuit: vec![n],
        remote: Vec::new(),
    };
    let stranger = |n: u32, circuit: u8| {
        let [_, b, c, d] = n.to_be_bytes();
        Ask {
            mac: Mac::new([6, 0, 0, b, c, d]).unwrap(),
            unit: None,
            recognised: true,
            port: Some(port(circuit)),
            giaddr: Some(Ipv4Addr::new(10, 99, 1, 1)),
            trusted: true,
            ..ask(Kind::Discover, 1)
        }
    };
    let mut leases = leases();
    let net = "10.99.1.0/24".parse().unwrap();
    let total = leases.total(net);
    let mut reasons = BTreeMap::new();
    for n in 0..65_536_u32 {
        let circuit = u8::try_from(n % 40).unwrap();
        let mut ask = stranger(n, circuit);
        let offered = leases.decide(&ask, at(0));
        *reasons.entry(offered.why.as_str()).or_insert(0) += 1;
        if let Answer::Offer(grant) = offered.answer {
            ask.kind = Kind::Request;
            ask.requested = Some(grant.ip);
            ask.to_us = Some(true);
            leases.decide(&ask, at(0));
        }
    }
    assert_eq!(leases.taken(net), total - kept_for_listed(total));
    assert!(reasons.contains_key("pool-kept"), "{reasons:?}");
    let known = Ask {
        giaddr: Some(Ipv4Addr::new(10, 99, 1, 1)),
        ..ask(Kind::Discover, 1)
    };
    assert_eq!(
        board::answered(&leases.decide(&known, at(0)).answer),
        "offer"
    );
    // Through one port alone, and without taking the offers up.
    let mut leases = self::leases();
    let offers = (0..500).filter(|n| leases.decide(&stranger(*n, 1), at(0)).ip.is_some());
    assert_eq!(offers.count(), usize::try_from(STRANGERS_OF_PORT).unwrap());
    let mut leases = self::leases();
    let quiet = |n: u32| stranger(n, u8::try_from(n % 200).unwrap());
    let offers = (0..500).filter(|n| leases.decide(&quiet(*n), at(0)).ip.is_some());
    assert_eq!(
        u64::try_from(offers.count()).unwrap(),
        offers_to_strangers(total)
    );
    // They are free again soon.
    leases.expire(at(21), 1000);
    assert_eq!(leases.taken(net), 0);
}

#[test]
fn a_restart_knows_what_was_durable() {
    let mut before = leases();
    before.decide(
        &Ask {
            client: vec![1, 2],
            ..ask(Kind::Discover, 1)
        },
        at(0),
    );
    let taken = Ask {
        client: vec![1, 2],
        ..select(1, ip(10))
    };
    let Some(LeaseWrite::Put(row)) = before.decide(&taken, at(0)).write else {
        panic!("a row");
    };
    let mut after = leases();
    after.load([row], |_| true);
    check(
        &mut after,
        &ask(Kind::Discover, 2),
        1,
        "offer free-address 10.99.0.11",
    );
    let renews = Ask {
        client: vec![1, 2],
        ..renew(1, ip(10))
    };
    check(&mut after, &renews, 1, "ack renewed 10.99.0.10");
    let other = Ask {
        client: vec![3],
        ..renew(1, ip(10))
    };
    check(&mut after, &other, 1, "nak taken 10.99.0.10");
}
