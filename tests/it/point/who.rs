//! Who is told a pointer, and who nothing.

use dialtone::engine::facts::{Facts, PnpFacts};
use dialtone::engine::identify::{Conflict, claims};
use dialtone::engine::known::Known;
use dialtone::engine::point::{self, Trouble};
use dialtone::engine::target;
use dialtone::engine::verdict::reason;
use dialtone::model::activation::{Outcome, State};
use dialtone::model::identity::{Channel, DeviceId, Mac, Serial};

use super::{
    CHADDR, POINTERS, asks, catalog, catalog_where, decide, decide_by, device, is_pointed, listed,
};

#[test]
fn who_is_told_a_pointer_and_who_nothing() {
    // Every unit of a recognised family, listed or not, by the same words.
    let known = listed("acme", "gear", "G1");
    let class = asks(&[(60, b"Acme G1")]);
    let stranger = decide(&class, &Known::default(), None, 0);
    let own = decide(&class, &known, None, 0);
    assert!(is_pointed(&stranger) && stranger.sighting);
    assert_eq!(stranger.decision, own.decision);
    assert!(own.alerts.is_empty() && !own.sighting);
    // No class, no client identifier: by its maker's part, else by the inventory's MAC.
    assert!(is_pointed(&decide(&asks(&[]), &Known::default(), None, 0)));
    let mut nameless = asks(&[]);
    nameless.dhcp.as_mut().unwrap().chaddr = Mac::parse("060000000001").ok();
    let verdict = decide(&nameless, &Known::default(), None, 0);
    assert_eq!(verdict.reason, reason::NOT_RECOGNISED);
    assert!(!is_pointed(&verdict) && !verdict.sighting);
    assert!(is_pointed(&decide(&nameless, &known, None, 0)));
    // Its own words name another vendor than the inventory: an alert, and nothing.
    let verdict = decide(&class, &listed("bolt", "thing", "G1"), None, 0);
    assert_eq!(verdict.reason, reason::DISAGREE);
    assert_eq!(verdict.alerts.len(), 1);
    assert!(verdict.alerts[0].text.contains("bolt") && verdict.alerts[0].text.contains("acme"));
    // The maker's part alone is no word against the record.
    let verdict = decide(&asks(&[]), &listed("bolt", "thing", "G1"), None, 0);
    assert!(verdict.alerts.is_empty());
    // Another server answers: it is noted, and told nothing.
    let mut observed = asks(&[(60, b"Acme G1")]);
    observed.dhcp.as_mut().unwrap().observed = true;
    let verdict = decide(&observed, &known, None, 0);
    assert!(!is_pointed(&verdict));
    assert_eq!(verdict.unit.unwrap().outcome, Outcome::Pass);
}

#[test]
fn a_unit_that_is_only_pointed_elsewhere_ends_as_handed_over() {
    let catalog = catalog_where(POINTERS, "reach = \"full\"", "reach = \"pointer\"");
    let known = listed("acme", "gear", "G1");
    let class = asks(&[(60, b"Acme G1")]);
    let end = |facts: &Facts| {
        let verdict = decide_by(&catalog, facts, &known, None, 0);
        let state = verdict.unit.as_ref().unwrap().status.activation.state;
        (is_pointed(&verdict), state)
    };
    assert_eq!(end(&class), (true, State::HandedOver));
    // Somebody else's server told it where to go, if anybody did.
    let mut observed = class.clone();
    observed.dhcp.as_mut().unwrap().observed = true;
    assert_eq!(end(&observed), (false, State::Seen));
    // A family that we configure is not at its end by it.
    let verdict = decide(&class, &known, None, 0);
    let state = verdict.unit.unwrap().status.activation.state;
    assert_eq!(state, State::Seen);
}

/// A loader and the system that it installs are one unit with one record.
#[test]
fn a_loaders_word_is_none_against_the_record_of_what_it_installs() {
    let proof = "[report]\nproof = [\"firmware\"]";
    let catalog = catalog_where(POINTERS, "[report]", proof);
    let class = asks(&[(60, b"Acme G1")]);
    let own = decide_by(&catalog, &class, &listed("acme", "gear", "G1"), None, 0);
    let system = listed("bolt", "thing", "G1");
    let verdict = decide_by(&catalog, &class, &system, None, 0);
    assert!(is_pointed(&verdict) && verdict.alerts.is_empty());
    assert_eq!(verdict.decision, own.decision);
    assert!(verdict.unit.is_some() && !verdict.sighting);
    // Nor is that of the system against the loader's.
    let verdict = decide_by(
        &catalog,
        &asks(&[(60, b"Bolt")]),
        &listed("acme", "gear", "G1"),
        None,
        0,
    );
    assert!(verdict.alerts.is_empty() && verdict.unit.is_some());
}

#[test]
fn the_model_is_the_unit_s_word_and_else_the_inventory_s() {
    let catalog = catalog("");
    let check = |options: &[(u8, &[u8])], known: &Known, expect: &str| {
        let claims = claims(&asks(options), &catalog);
        let who = point::who(Channel::Dhcp, &claims, known, &catalog);
        let model = who.kind.and_then(|kind| kind.model);
        assert_eq!(model.as_deref(), Some(expect), "{options:?}");
    };
    let known = listed("acme", "gear", "G2");
    check(&[(60, b"Acme g-1")], &known, "G1");
    check(&[(60, b"Acme;S1")], &known, "G2");
    check(&[], &known, "G2");
}

#[test]
fn identifiers_that_point_at_two_units_are_told_nothing() {
    let mut second = device("acme", "gear", "G1");
    second.id = DeviceId(2);
    let class = asks(&[(60, b"Acme G1")]);
    let by_client = Known {
        by_client: Some(second),
        ..listed("acme", "gear", "G1")
    };
    let verdict = decide(&class, &by_client, None, 0);
    assert!(!is_pointed(&verdict) && verdict.unit.is_none());
    assert_eq!(verdict.alerts.len(), 2);
    // The same unit by both is one.
    let by_client = Known {
        by_client: Some(device("acme", "gear", "G1")),
        ..listed("acme", "gear", "G1")
    };
    assert!(is_pointed(&decide(&class, &by_client, None, 0)));
    // A serial that the record denies.
    let mut known = listed("acme", "gear", "G1");
    known.by_mac.as_mut().unwrap().config_mut().serial = Serial::parse("S2");
    let verdict = decide(&asks(&[(60, b"Acme;S1")]), &known, None, 0);
    assert_eq!(
        (verdict.reason, verdict.alerts.len()),
        (reason::DISAGREE, 1)
    );
    // A port whose MAC is not the printed one, named by its serial.
    let mut unit = device("acme", "gear", "G1");
    unit.config_mut().mac = Mac::parse("02005e0000ff").ok();
    unit.config_mut().serial = Serial::parse("S1");
    let known = Known {
        by_serial: Some(unit),
        ..Known::default()
    };
    let verdict = decide(&asks(&[(60, b"Acme;S1")]), &known, None, 0);
    assert!(is_pointed(&verdict) && verdict.alerts.is_empty());
    let seen = verdict.unit.unwrap().status.seen;
    assert_eq!(seen.asking_mac, Mac::parse(CHADDR).ok());
    // Serials of two units in one packet never reach the record of either.
    let catalog = catalog("");
    let mut claims = claims(&class, &catalog);
    claims.conflict = Some(Conflict {
        certificate: false,
        macs: Vec::new(),
        serials: Vec::new(),
    });
    let known = Known {
        disagreeing: vec![DeviceId(3)],
        ..Known::default()
    };
    let who = point::who(Channel::Dhcp, &claims, &known, &catalog);
    assert_eq!(who.trouble, Some(Trouble::Identifiers(vec![DeviceId(3)])));
}

#[test]
fn a_client_identifier_names_a_mac_or_a_serial() {
    let check = |octets: &[u8], mac: Option<&str>, serial: Option<&str>| {
        let facts = asks(&[(61, octets)]);
        let (found, named) = point::client(facts.dhcp.as_ref().unwrap());
        assert_eq!(found, mac.map(|mac| Mac::parse(mac).unwrap()), "{octets:?}");
        assert_eq!(named.as_ref().map(Serial::as_str), serial, "{octets:?}");
    };
    check(&[1, 2, 0, 0x5e, 0, 0, 9], Some("02005e000009"), None);
    check(&[1, 0, 0, 0, 0, 0, 0], None, None);
    check(&[1, 2, 0, 0x5e], None, None);
    check(b"\0FOC1234X0AB\0", None, Some("FOC1234X0AB"));
    check(b"\0a b", None, None);
    check(&[255, 1, 2, 3, 4, 0, 1], None, None);
    check(&[], None, None);
}

/// By PnP nobody learns that a MAC is listed, as which vendor's, with which serial, or where.
#[test]
fn pnp_answers_as_if_there_were_no_inventory() {
    let mut facts = Facts::new(Channel::SipPnp, target::parse(b"/").unwrap());
    facts.pnp = Some(PnpFacts {
        vendor: Some("Acme".to_owned()),
        mac: Mac::parse(CHADDR).ok(),
        call_id: "a".to_owned(),
        ..PnpFacts::default()
    });
    let stranger = decide(&facts, &Known::default(), None, 0);
    assert!(is_pointed(&stranger));
    let mut two = listed("acme", "gear", "G1");
    let mut second = device("acme", "gear", "G1");
    second.id = DeviceId(2);
    two.by_serial = Some(second);
    for (known, alerts) in [
        (listed("acme", "gear", "G2"), 0),
        (listed("bolt", "thing", "G1"), 1),
        (two, 2),
    ] {
        let verdict = decide(&facts, &known, None, 0);
        assert_eq!(verdict.decision, stranger.decision);
        // Whose unit it is taken for is seen in the records alone.
        assert_eq!(verdict.alerts.len(), alerts);
    }
    // The record's site has no part in it; that of DHCP has.
    let known = listed("acme", "gear", "G1");
    let site = |facts: &Facts| {
        let catalog = catalog("");
        let claims = claims(facts, &catalog);
        let who = point::who(facts.channel, &claims, &known, &catalog);
        super::world(0, |world| point::site(facts, &who, world))
    };
    assert_eq!(site(&facts), None);
    assert_eq!(site(&asks(&[])).as_deref(), Some("hq"));
    // A source that is neither near nor at a site gets silence, listed or not.
    facts.pnp.as_mut().unwrap().routed = true;
    for known in [Known::default(), known.clone()] {
        let verdict = decide(&facts, &known, None, 0);
        assert_eq!(verdict.reason, reason::OUTSIDE);
        assert!(!is_pointed(&verdict) && verdict.unit.is_none() && !verdict.sighting);
    }
}
