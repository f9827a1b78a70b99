//! What a lease is worth, who is taken for a copy, and what the answer tells of the inventory.

use dialtone::model::activation::Flag;
use dialtone::model::enrolment::Place;
use dialtone::model::event::AlertKind;
use dialtone::model::identity::{Assurance, Mac, Serial};
use jiff::{SignedDuration, Timestamp};

use super::scene::{MAC, OTHER, Scene, at};
use super::{check, kinds};

#[test]
fn a_record_that_contradicts_a_request_is_not_told() {
    let serial = |listed: bool| {
        Scene::new("keeps", "K1").with(|scene| {
            scene.listed = listed;
            scene.agent = Some(format!("AcmeS K1 {MAC} FAKE1"));
            scene.device.config_mut().serial = Serial::parse("REAL1");
        })
    };
    let verdict = check(&serial(true), "bootstrap public: identifiers-disagree");
    assert_eq!(kinds(&verdict), [AlertKind::IdentifiersDisagree]);
    assert_eq!(verdict.decision, serial(false).decide().decision);
}

#[test]
fn a_lease_is_worth_its_own_mac_until_it_ends() {
    let lease = |family: &str, model: &str, mac: &str, until: Timestamp| {
        Scene::new(family, model).leased().with(|scene| {
            scene.lease_of = Mac::parse(mac).unwrap();
            scene.lease_until = until;
        })
    };
    let refused = "bootstrap public: needs-corroboration";
    check(
        &lease("keeps", "K1", MAC, at(2)),
        "normal credential: served",
    );
    check(&lease("keeps", "K1", OTHER, at(2)), refused);
    check(&lease("keeps", "K1", MAC, at(1)), refused);
    check(&lease("keeps", "K1", OTHER, at(2)).plain(), refused);
    // A family whose ports have the addresses behind the printed one.
    check(
        &lease("once", "O1", OTHER, at(2)),
        "normal credential: served",
    );
    for (mac, level) in [
        ("02:00:5e:00:00:03", Assurance::L1),
        ("02:00:5e:00:00:04", Assurance::L0),
        ("02:00:5e:00:00:00", Assurance::L0),
    ] {
        assert_eq!(
            lease("once", "O1", mac, at(2)).decide().level,
            level,
            "{mac}"
        );
    }
}

/// How it is asked, what is answered, whether it is an alarm.
type Case = (fn(&mut Scene), &'static str, bool);

#[test]
fn a_copy_of_a_pinned_units_name_is_alarmed() {
    let copied = |change: fn(&mut Scene)| {
        Scene::new("keeps", "K1").with(|scene| {
            scene.device.status_mut().ratchet.mark = Assurance::L2;
            scene.device.status_mut().ratchet.served_at = Some(Place {
                site: Some("hq".to_owned()),
                lease: Mac::parse(MAC).ok(),
                prefix: Some("10.0.0.0/8".to_owned()),
                ..Place::default()
            });
            change(scene);
        })
    };
    let no_proof = "bootstrap public: needs-corroboration";
    let shared = "bootstrap public: at-shared-url";
    let cases: [Case; 6] = [
        // The unit itself, its lease forgotten.
        (|_| {}, no_proof, false),
        (|scene| scene.lease = true, shared, false),
        // Another's address on its network.
        (
            |scene| (scene.lease, scene.lease_of) = (true, Mac::parse(OTHER).unwrap()),
            no_proof,
            true,
        ),
        // Another network.
        (
            |scene| {
                if let Some(site) = scene.sites.get_mut("hq") {
                    site.prefixes = vec!["192.0.2.0/24".parse().unwrap()];
                }
            },
            no_proof,
            true,
        ),
        // Its own lease, and not the one of the place where it was served.
        (
            |scene| {
                scene.lease = true;
                let home = scene.device.status_mut().ratchet.served_at.as_mut();
                home.unwrap().lease = Mac::parse(OTHER).ok();
            },
            shared,
            true,
        ),
        // No mark, nothing to copy.
        (
            |scene| {
                scene.device.status_mut().ratchet.mark = Assurance::L0;
                (scene.lease, scene.lease_of) = (true, Mac::parse(OTHER).unwrap());
            },
            no_proof,
            false,
        ),
    ];
    for (at, (change, expect, alarmed)) in cases.into_iter().enumerate() {
        let verdict = check(&copied(change), expect);
        let wanted = if alarmed {
            vec![AlertKind::AssuranceDowngrade]
        } else {
            Vec::new()
        };
        assert_eq!(kinds(&verdict), wanted, "case {at}");
    }
}

#[test]
fn a_version_that_the_files_are_not_for_gets_none_of_them() {
    let said = |model: &str, version: &str| {
        Scene::new("keeps", model).with(|scene| {
            scene.agent = Some(format!("AcmeF {model} {version} {MAC}"));
        })
    };
    let refused = "refuse: firmware-out-of-range";
    let verdict = check(&said("K1", "2.1.9").leased(), refused);
    let seen = verdict.unit.unwrap().status.seen.firmware;
    assert_eq!(seen.as_deref(), Some("2.1.9"));
    check(&said("K1", "2.1.9"), refused);
    check(
        &said("K1", "2.1.9").with(|scene| scene.token = Some(1)),
        refused,
    );
    // Listed or not.
    let unlisted = said("K1", "2.1.9").with(|scene| scene.listed = false);
    check(&unlisted, refused);
    // Who says another model than the record's does not learn which it is.
    let other = |listed| {
        said("K1", "1.0").with(|scene| {
            scene.agent = Some(format!("AcmeF C1 1.0 {MAC}"));
            scene.listed = listed;
        })
    };
    let strangers = check(&other(false), "bootstrap public: bootstrap");
    assert_eq!(other(true).decide().decision, strangers.decision);
    check(&other(true).leased(), refused);
    check(&said("K1", "2.2").leased(), "normal credential: served");
    check(&said("C1", "1.0").leased(), "normal credential: served");
}

#[test]
fn a_reboot_loop_ends() {
    let mut scene = Scene::new("keeps", "K1").leased();
    let mut looped = Vec::new();
    for minutes in [0, 10, 20, 30, 40, 50, 60, 70, 100, 400] {
        scene.now = at(1) + SignedDuration::from_mins(minutes);
        scene.device.status_mut().window.current = None;
        let status = *scene.decide().unit.unwrap().status;
        looped.push(status.activation.flags.contains(&Flag::RebootLoop));
        scene.device.status = status.into();
    }
    assert_eq!(looped, [vec![false; 8], vec![true, false]].concat());
}
