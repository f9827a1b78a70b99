//! What is kept for a unit, of it, and beside it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::*;

/// What is offered as kept can be taken up: by a unit known by its serial at another MAC, by one
/// whose MAC nobody wrote down; of two units with one address the second gets one of the pool.
#[test]
fn what_is_kept_for_a_unit_is_granted_to_it() {
    let mut leases = leases();
    let leases = &mut leases;
    leases.reserve(BTreeMap::from([(ip(10), unit(9)), (ip(50), unit(8))]));
    let as_unit = |of: u8, at, ask| Ask {
        unit: Some(unit(of)),
        reserved: Some(at),
        ..ask
    };
    for (of, from, at) in [(9, 20, ip(10)), (8, 21, ip(50))] {
        let asks = as_unit(of, at, ask(Kind::Discover, from));
        check(leases, &asks, 0, &format!("offer reserved {at}"));
        let takes = as_unit(of, at, select(from, at));
        check(leases, &takes, 0, &format!("ack same-address {at}"));
        let renews = as_unit(of, at, renew(from, at));
        check(leases, &renews, 1, &format!("ack renewed {at}"));
    }
    // Its own, but in its other port's hands; and another unit's.
    for (of, from) in [(9, 22), (7, 23)] {
        let asks = as_unit(of, ip(10), ask(Kind::Discover, from));
        let told = leases.decide(&asks, at(2));
        assert_eq!(told.why, Why::ReservedInUse);
        let got = told.ip.unwrap();
        let takes = as_unit(of, ip(10), select(from, got));
        check(leases, &takes, 2, &format!("ack same-address {got}"));
    }
    // The address of a unit that was listed a moment ago is in no map yet.
    let fresh = as_unit(6, ip(60), ask(Kind::Discover, 6));
    check(leases, &fresh, 3, "offer reserved 10.99.0.60");
    let takes = as_unit(6, ip(60), select(6, ip(60)));
    check(leases, &takes, 3, "ack same-address 10.99.0.60");
}

#[test]
fn a_kept_address_that_somebody_else_uses_is_left_alone() {
    let kept = |ask| Ask {
        reserved: Some(ip(50)),
        ..ask
    };
    let discover = kept(ask(Kind::Discover, 8));
    let reserved = || {
        let mut leases = leases();
        leases.reserve(BTreeMap::from([(ip(50), unit(8))]));
        check(&mut leases, &discover, 0, "offer reserved 10.99.0.50");
        leases
    };
    // Found by our own probe, and by the client.
    let mut probed = reserved();
    probed.conflict(ip(50), at(1800));
    let mut declined = reserved();
    declined.decide(&kept(select(8, ip(50))), at(0));
    let decline = Ask {
        kind: Kind::Decline,
        ..kept(select(8, ip(50)))
    };
    check(&mut declined, &decline, 1, "silence declined 10.99.0.50");
    for mut leases in [probed, declined] {
        check(
            &mut leases,
            &discover,
            2,
            "offer reserved-in-use 10.99.0.10",
        );
        leases.expire(at(1801), 1000);
        let again = leases.decide(&discover, at(1802));
        assert_eq!(told(&again), "offer reserved 10.99.0.50");
        assert!(
            matches!(again.answer, Answer::Offer(grant) if grant.fresh),
            "probed again"
        );
    }
}

/// A renewal is unicast: it passes no relay that would add the port again (RFC 2131 section 4.4.5).
#[test]
fn a_renewal_keeps_the_port_and_the_serial() {
    let port = RelayPort {
        circuit: vec![1],
        remote: vec![2],
    };
    let relay = Ipv4Addr::new(10, 99, 0, 2);
    let through = |ask| Ask {
        giaddr: Some(relay),
        trusted: true,
        port: Some(port.clone()),
        serial: Serial::parse("ABC123"),
        unit: None,
        ..ask
    };
    let direct = |ask| Ask { unit: None, ..ask };
    let mut leases = leases();
    let stored = |decision: &Decision| match &decision.write {
        Some(LeaseWrite::Put(row)) => (row.serial.clone(), row.port.clone()),
        other => panic!("{other:?}"),
    };
    for last in 1..=20 {
        let offer = leases.decide(&through(ask(Kind::Discover, last)), at(0));
        let ip = offer.ip.unwrap();
        leases.decide(&through(select(last, ip)), at(0));
        let renewed = leases.decide(&direct(renew(last, ip)), at(1800));
        assert_eq!(renewed.why, Why::Renewed);
        let kept = (Serial::parse("ABC123"), Some(port.clone()));
        assert_eq!(stored(&renewed), kept);
    }
    assert_eq!(
        leases.strangers_of_port(&port),
        20,
        "still behind that port"
    );
    // Nor does a relay that nobody trusts say where it is.
    let elsewhere = Ask {
        giaddr: Some(ip(3)),
        ..direct(renew(1, ip(10)))
    };
    let renewed = leases.decide(&elsewhere, at(1850));
    assert_eq!(stored(&renewed).1, Some(port.clone()));
    // It asks on the wire itself after a restart: it was moved.
    let moved = leases.decide(&direct(reboot(1, ip(10))), at(1900));
    assert_eq!(stored(&moved), (Serial::parse("ABC123"), None));
    assert_eq!(leases.strangers_of_port(&port), 19);
}

#[test]
fn strangers_have_one_share_whatever_relay_they_name() {
    let mut leases = leases();
    let total = leases.total("10.99.1.0/24".parse().unwrap());
    let offers = (0..200_u8).filter(|n| {
        let stranger = Ask {
            unit: None,
            giaddr: Some(Ipv4Addr::new(10, 99, 1, *n)),
            ..ask(Kind::Discover, *n)
        };
        leases.decide(&stranger, at(0)).ip.is_some()
    });
    let most = offers_to_strangers(total);
    assert_eq!(u64::try_from(offers.count()).unwrap(), most);
}

#[test]
fn a_client_identifier_is_no_longer_than_an_option() {
    let with = |length| Ask {
        client: vec![7; length],
        ..ask(Kind::Discover, 1)
    };
    let mut leases = leases();
    check(&mut leases, &with(256), 0, "silence long-client ");
    check(&mut leases, &with(255), 0, "offer free-address 10.99.0.10");
}

/// Beside another server nobody is offered an address, and nobody loses one.
#[test]
fn what_is_ours_goes_on_beside_another_server() {
    let mut leases = leases();
    leases.decide(&ask(Kind::Discover, 1), at(0));
    leases.decide(&select(1, ip(10)), at(0));
    let elsewhere = Ask {
        to_us: Some(false),
        ..select(1, ip(10))
    };
    let of = |kind| Ask {
        ciaddr: Some(ip(10)),
        ..ask(kind, 1)
    };
    for (ask, expect) in [
        (ask(Kind::Discover, 1), false),
        (select(2, ip(11)), true),
        (elsewhere, false),
        (reboot(1, ip(10)), true),
        (renew(1, ip(10)), true),
        (renew(2, ip(10)), false),
        (reboot(2, ip(11)), false),
        (of(Kind::Release), true),
        (of(Kind::Decline), true),
        (of(Kind::Inform), true),
    ] {
        assert_eq!(leases.is_ours(&ask), expect, "{ask:?}");
    }
}

/// A switch that takes no offer for less than an hour gets an hour where the network says less.
#[test]
fn a_family_gets_no_lease_that_is_too_short_for_it() {
    let short = |least: u32, expect: u32| {
        let mut network = subnet(0, (10, 41));
        network.lease_time = 600;
        let mut leases = Leases::new(Dhcp {
            mode: Mode::Server,
            serve: Serve::All,
            subnets: vec![network],
            ..Dhcp::default()
        });
        let asks = Ask {
            least,
            ..ask(Kind::Discover, 5)
        };
        let Answer::Offer(offer) = leases.decide(&asks, at(0)).answer else {
            panic!("no offer");
        };
        assert_eq!(offer.lease_time, expect);
        let takes = Ask {
            kind: Kind::Request,
            requested: Some(offer.ip),
            to_us: Some(true),
            ..asks
        };
        let Answer::Ack(ack) = leases.decide(&takes, at(1)).answer else {
            panic!("no lease");
        };
        assert_eq!(ack.lease_time, expect);
        let held = leases.row(ack.ip).unwrap();
        assert_eq!(held.until, at(1 + i64::from(expect)));
    };
    short(0, 600);
    short(3600, 3600);
    short(60, 600);
}
