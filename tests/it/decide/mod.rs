//! The decision, request by request: who gets what (trust.md sections 1 to 5). Three families of a
//! vendor that does not exist pull in different directions: one keeps what a file omits, one
//! resets it, one asks once.

mod proof;
mod scene;

use dialtone::engine::verdict::{Decision, Verdict, Which};
use dialtone::model::access::Class;
use dialtone::model::device::Lifecycle;
use dialtone::model::enrolment::Place;
use dialtone::model::event::AlertKind;
use dialtone::model::identity::{Assurance, Channel, Digest, Mac};
use dialtone::model::site::{Corroborate, Doubt, Site, Waiver};
use jiff::Timestamp;

use self::scene::{MAC, OTHER, Scene, at};

/// What is compared: what is answered at which grant, and why.
fn told(verdict: &Verdict) -> String {
    let what = match &verdict.decision {
        Decision::Refuse => "refuse".to_owned(),
        Decision::Point(_) => "point".to_owned(),
        Decision::Bootstrap(plan) | Decision::Serve(plan) => {
            let grant = match (plan.grant.site, plan.grant.credential, plan.grant.key) {
                (false, false, false) => "public",
                (true, false, false) => "site",
                (true, true, false) => "credential",
                (true, true, true) => "key",
                other => panic!("{other:?} is no grant"),
            };
            let which = match plan.which {
                Which::Normal => "normal",
                Which::Bootstrap => "bootstrap",
            };
            // A bootstrap is never all of it.
            let partial = if plan.partial && plan.which == Which::Normal {
                " partial"
            } else {
                ""
            };
            format!("{which} {grant}{partial}")
        }
    };
    format!("{what}: {}", verdict.reason)
}

#[track_caller]
fn check(scene: &Scene, expect: &str) -> Verdict {
    let verdict = scene.decide();
    assert_eq!(told(&verdict), expect);
    verdict
}

fn kinds(verdict: &Verdict) -> Vec<AlertKind> {
    verdict.alerts.iter().map(|alert| alert.kind).collect()
}

#[test]
fn below_l1_the_inventory_does_not_exist() {
    for channel in [Channel::Http, Channel::Https] {
        for (family, model) in [
            ("keeps", "K1"),
            ("resets", "R1"),
            ("once", "O1"),
            ("old", "P1"),
        ] {
            for path in ["02005e000001.cfg", "common.cfg", "spare.cfg", "none.cfg"] {
                let scene = |listed, lifecycle| {
                    Scene::new(family, model).with(|scene| {
                        scene.channel = channel;
                        scene.path = format!("{family}/{path}");
                        scene.listed = listed;
                        scene.device.config_mut().lifecycle = lifecycle;
                    })
                };
                let unknown = scene(false, Lifecycle::Listed).decide();
                for lifecycle in [Lifecycle::Listed, Lifecycle::Suspended, Lifecycle::Retired] {
                    let listed = scene(true, lifecycle).decide();
                    assert_eq!(unknown.decision, listed.decision, "{family}/{path}");
                }
            }
        }
    }
}

#[test]
fn a_stranger_gets_the_bootstrap_where_the_family_keeps_and_the_refusal_where_it_resets() {
    check(
        &Scene::new("keeps", "K1").with(|s| s.listed = false),
        "bootstrap public: bootstrap",
    );
    check(
        &Scene::new("resets", "R1").with(|s| s.listed = false),
        "refuse: not-listed",
    );
    check(
        &Scene::new("once", "O1").with(|s| s.listed = false),
        "refuse: not-listed",
    );
    check(
        &Scene::new("old", "P1").with(|s| s.listed = false),
        "refuse: not-listed",
    );
}

#[test]
fn credentials_at_l1_need_https_and_an_open_window() {
    check(
        &Scene::new("keeps", "K1").leased(),
        "normal credential: served",
    );
    check(
        &Scene::new("keeps", "K1").leased().plain(),
        "bootstrap public: plain-transport",
    );
    check(
        &Scene::new("resets", "R1").leased().plain(),
        "bootstrap public: plain-transport",
    );
    let late = |scene: &mut Scene| scene.now = at(24 * 61);
    check(
        &Scene::new("keeps", "K1").leased().with(late),
        "bootstrap public: outside-window",
    );
    // What would be reset is refused once the unit is no longer armed.
    check(
        &Scene::new("resets", "R1").leased().with(late),
        "refuse: outside-window",
    );
    let early = |scene: &mut Scene| scene.now = at(-1);
    check(
        &Scene::new("keeps", "K1").leased().with(early),
        "bootstrap public: outside-window",
    );
}

#[test]
fn a_prefix_corroborates_only_where_the_site_says_so() {
    let prefix = |scene: &mut Scene| {
        if let Some(site) = scene.sites.get_mut("hq") {
            site.corroborate = Corroborate::Prefix;
        }
    };
    check(
        &Scene::new("keeps", "K1"),
        "bootstrap public: needs-corroboration",
    );
    check(
        &Scene::new("keeps", "K1").with(prefix),
        "normal credential: served",
    );
    let nat = |scene: &mut Scene| {
        prefix(scene);
        if let Some(site) = scene.sites.get_mut("hq") {
            site.nat = true;
        }
    };
    check(
        &Scene::new("keeps", "K1").with(nat),
        "bootstrap public: needs-corroboration",
    );
    check(
        &Scene::new("keeps", "K1").leased().with(nat),
        "bootstrap public: needs-corroboration",
    );
}

#[test]
fn a_prefix_that_was_believed_too_often_is_believed_no_more() {
    let prefix = |change: fn(&mut Site), beside: u32| {
        Scene::new("keeps", "K1").with(|scene| {
            let site = scene.sites.get_mut("hq").unwrap();
            site.corroborate = Corroborate::Prefix;
            change(site);
            scene.beside = beside;
        })
    };
    let expects = |site: &mut Site| site.expect = 2;
    let verdict = check(&prefix(expects, 1), "normal credential: served");
    assert_eq!(verdict.crowded, None);
    let verdict = check(&prefix(expects, 2), "bootstrap public: prefix-doubted");
    assert_eq!(verdict.crowded.as_deref(), Some("hq"));
    // Nobody said how many there are.
    check(&prefix(|_| {}, 500), "normal credential: served");
    let doubted = || prefix(|site| site.doubt = Some(Doubt::NeverReported), 0);
    let verdict = check(&doubted(), "bootstrap public: prefix-doubted");
    assert_eq!(verdict.crowded, None);
    // What proves more goes on.
    check(&doubted().leased(), "normal credential: served");
    let token = doubted().with(|scene| scene.token = Some(1));
    check(&token, "normal credential: served");
    // It is the doubt only for whom the prefix would have been the proof.
    let late = doubted().with(|scene| scene.now = at(24 * 61));
    check(&late, "bootstrap public: needs-corroboration");
}

#[test]
fn a_unit_that_cannot_take_our_own_ca_is_never_sent_to_https() {
    let unit = |channel| {
        Scene::new("same", "S1")
            .leased()
            .with(move |scene| scene.channel = channel)
    };
    let public = |scene: &mut Scene| scene.certified.push("*.example.net".to_owned());
    let sent = |verdict: &Verdict| match &verdict.decision {
        Decision::Bootstrap(plan) | Decision::Serve(plan) => (plan.https, plan.token),
        Decision::Refuse | Decision::Point(_) => panic!("{}", told(verdict)),
    };
    // Our own CA signed what is shown: nothing but a waiver helps, and it is told.
    let verdict = check(&unit(Channel::Http), "refuse: needs-waiver");
    let flags = verdict.unit.unwrap().status.activation.flags;
    assert!(format!("{flags:?}").contains("NeedsWaiver"));
    let stranger = |scene: &mut Scene| scene.lease = false;
    check(
        &unit(Channel::Http).with(stranger),
        "refuse: needs-corroboration",
    );
    let waived = unit(Channel::Http).with(|scene| {
        scene.waivers.push(Waiver {
            site: "hq".to_owned(),
            models: vec!["S1".to_owned()],
            until: at(100),
            why: "its CAs are built in".to_owned(),
        });
    });
    let verdict = check(&waived, "normal credential: served");
    assert_eq!(sent(&verdict), (false, false));
    // With a public one it is as any other.
    let verdict = check(
        &unit(Channel::Http).with(public),
        "bootstrap public: plain-transport",
    );
    assert_eq!(sent(&verdict), (true, false));
    let verdict = check(
        &unit(Channel::Https).with(public),
        "normal credential: served",
    );
    assert_eq!(sent(&verdict), (true, true));
    let shown = Scene::new("same", "S1").with(stranger).with(public).plain();
    check(&shown, "bootstrap public: needs-corroboration");
    // A certificate for another name is none for this base; a request by HTTPS shows that it opens it.
    let other = |scene: &mut Scene| scene.certified.push("prov.example.org".to_owned());
    check(&unit(Channel::Http).with(other), "refuse: needs-waiver");
    let verdict = check(&unit(Channel::Https), "normal credential: served");
    assert_eq!(sent(&verdict), (true, true));
    // A site's own base counts for its units.
    let site = |scene: &mut Scene| {
        let hq = scene.sites.get_mut("hq").unwrap();
        hq.public_url = Some("https://hq.example.org:8443/".to_owned());
        scene.certified.push("hq.example.org".to_owned());
    };
    check(
        &unit(Channel::Http).with(site),
        "bootstrap public: plain-transport",
    );
}

#[test]
fn a_waiver_names_its_model_its_site_and_its_day() {
    let waiver = |site: &str, model: &str, until: Timestamp| {
        let waiver = Waiver {
            site: site.to_owned(),
            models: vec![model.to_owned()],
            until,
            why: "TLS 1.0".to_owned(),
        };
        move |scene: &mut Scene| scene.waivers.push(waiver)
    };
    let old = || Scene::new("old", "P1").leased().plain();
    let verdict = check(&old(), "refuse: needs-waiver");
    let unit = verdict.unit.unwrap();
    assert!(format!("{:?}", unit.status.activation.flags).contains("NeedsWaiver"));
    check(
        &old().with(waiver("hq", "P1", at(100))),
        "normal credential: served",
    );
    check(
        &old().with(waiver("hq", "*", at(100))),
        "normal credential: served",
    );
    check(
        &old().with(waiver("hq", "K1", at(100))),
        "refuse: needs-waiver",
    );
    check(
        &old().with(waiver("other", "P1", at(100))),
        "refuse: needs-waiver",
    );
    check(
        &old().with(waiver("hq", "P1", at(0))),
        "refuse: needs-waiver",
    );
}

#[test]
fn a_token_is_worth_l2_over_https_alone() {
    let token = |scene: &mut Scene| scene.token = Some(1);
    let verdict = check(
        &Scene::new("keeps", "K1").with(token),
        "normal credential: served",
    );
    assert_eq!(verdict.unit.unwrap().status.ratchet.mark, Assurance::L2);
    let verdict = check(
        &Scene::new("keeps", "K1").with(token).plain(),
        "refuse: token-on-plain-transport",
    );
    let unit = verdict.unit.as_ref().unwrap();
    assert!(unit.status.ratchet.void && unit.before_answer);
    assert_eq!(kinds(&verdict), [AlertKind::AssuranceDowngrade]);
    // Void from then on, over HTTPS too.
    let void = |scene: &mut Scene| {
        token(scene);
        scene.device.status_mut().ratchet.void = true;
    };
    check(&Scene::new("keeps", "K1").with(void), "refuse: token-void");
    let old = |scene: &mut Scene| {
        scene.token = Some(1);
        scene.device.config_mut().arming.generation = 2;
    };
    let verdict = check(&Scene::new("keeps", "K1").with(old), "refuse: token-void");
    assert_eq!(kinds(&verdict), [AlertKind::TokenMismatch]);
    let nobody = |scene: &mut Scene| {
        scene.token = Some(1);
        scene.listed = false;
    };
    check(
        &Scene::new("keeps", "K1").with(nobody),
        "refuse: token-void",
    );
}

#[test]
fn a_certificate_is_worth_l3_when_it_is_the_units_own() {
    let verdict = check(
        &Scene::new("keeps", "C1").certified(MAC, true),
        "normal key: served",
    );
    assert_eq!(verdict.level, Assurance::L3);
    // Any other proves nothing.
    check(
        &Scene::new("keeps", "C1").certified(MAC, false),
        "bootstrap public: needs-corroboration",
    );
    check(
        &Scene::new("keeps", "C1").certified("generic", true),
        "bootstrap public: needs-corroboration",
    );
    let verdict = check(
        &Scene::new("keeps", "C1").certified(OTHER, true),
        "refuse: identifiers-disagree",
    );
    assert!(verdict.own_file_refused);
}

#[test]
fn a_certificate_that_is_bound_to_the_record_is_worth_l4_and_another_one_nothing() {
    let bound = |octet: u8| {
        Scene::new("keeps", "C1")
            .certified(MAC, true)
            .with(|scene| {
                scene.device.status_mut().ratchet.certificate = Some(Digest([octet; 32]));
            })
    };
    let verdict = check(&bound(9), "normal key: served");
    assert_eq!(verdict.level, Assurance::L4);
    // Its own lease and window, or its token, make no difference.
    let leased = bound(8).leased();
    let verdict = check(&leased, "bootstrap public: other-certificate");
    assert_eq!(kinds(&verdict), [AlertKind::OtherCertificate]);
    let token = bound(8).with(|scene| scene.token = Some(1));
    let verdict = check(&token, "refuse: other-certificate");
    assert_eq!(kinds(&verdict), [AlertKind::OtherCertificate]);
    // Arming it again takes the binding back.
    let armed = bound(8).with(|scene| scene.device.config_mut().arming.generation = 2);
    let verdict = check(&armed, "normal key: served");
    assert_eq!(verdict.level, Assurance::L3);
}

#[test]
fn a_unit_that_carries_a_certificate_is_expected_to_show_it() {
    let anchored = |scene: &mut Scene| {
        scene.anchored.insert("acme".to_owned());
    };
    let verdict = check(
        &Scene::new("keeps", "C1").leased().with(anchored),
        "bootstrap public: certificate-expected",
    );
    assert_eq!(kinds(&verdict), [AlertKind::CertificateExpected]);
    let without = |scene: &mut Scene| {
        anchored(scene);
        scene.device.config_mut().arming.without_certificate = true;
    };
    check(
        &Scene::new("keeps", "C1").leased().with(without),
        "normal credential: served",
    );
    // A model that carries none is not held to it.
    check(
        &Scene::new("keeps", "K1").leased().with(anchored),
        "normal credential: served",
    );
}

#[test]
fn identifiers_that_disagree_are_refused() {
    let agent = |scene: &mut Scene| scene.agent = Some(format!("Acme K1 {OTHER}"));
    check(
        &Scene::new("keeps", "K1").leased().with(agent),
        "refuse: identifiers-disagree",
    );
    let other = |scene: &mut Scene| {
        scene.token = Some(1);
        scene.path = "keeps/02005e000002.cfg".to_owned();
        scene.device.config_mut().mac = Mac::parse(MAC).ok();
    };
    // The token is one unit's, the name another's that nobody knows: the name is not the token's.
    check(
        &Scene::new("keeps", "K1").with(other),
        "refuse: token-mismatch",
    );
}

#[test]
fn a_key_needs_more_than_a_token() {
    let key = |scene: &mut Scene| {
        scene.needs = Class::Key;
        scene.token = Some(1);
    };
    check(
        &Scene::new("keeps", "K1").with(key),
        "normal credential partial: served",
    );
    let confirmed = |scene: &mut Scene| {
        key(scene);
        scene.device.config_mut().arming.keys = true;
    };
    check(
        &Scene::new("keeps", "K1").with(confirmed),
        "normal key: served",
    );
    let site = |scene: &mut Scene| {
        key(scene);
        if let Some(site) = scene.sites.get_mut("hq") {
            site.keys_at_l2 = true;
        }
    };
    check(&Scene::new("keeps", "K1").with(site), "normal key: served");
    // A unit that asks once waits until everything is granted.
    let once = |scene: &mut Scene| scene.needs = Class::Key;
    let verdict = check(
        &Scene::new("once", "O1").leased().with(once),
        "bootstrap credential: needs-confirmation",
    );
    assert!(verdict.unit.unwrap().before_answer);
    check(
        &Scene::new("once", "O1").with(key),
        "bootstrap credential: needs-confirmation",
    );
    check(
        &Scene::new("once", "O1").with(confirmed),
        "normal key: served",
    );
    // A unit that would lose what it had keeps what it has.
    let had = |scene: &mut Scene| {
        key(scene);
        scene.device.status_mut().served_whole_at = Some(at(0));
    };
    check(&Scene::new("resets", "R1").with(had), "refuse: withheld");
}

#[test]
fn a_window_is_bound_to_the_place_of_its_first_credential() {
    let verdict = check(
        &Scene::new("keeps", "K1").leased(),
        "normal credential: served",
    );
    let unit = verdict.unit.unwrap();
    assert!(unit.before_answer);
    let bound = unit.status.window.bound_to.clone().unwrap();
    assert_eq!(bound.lease, Mac::parse(MAC).ok());
    let elsewhere = |scene: &mut Scene| {
        scene.device.status_mut().window = unit.status.window.clone();
        scene.device.status_mut().window.bound_to = Some(Place {
            lease: Mac::parse(OTHER).ok(),
            ..bound.clone()
        });
    };
    let verdict = check(
        &Scene::new("keeps", "K1").leased().with(elsewhere),
        "bootstrap public: other-place",
    );
    assert_eq!(kinds(&verdict), [AlertKind::OtherPlace]);
}

#[test]
fn a_file_is_given_three_times_in_a_boot() {
    let mut scene = Scene::new("keeps", "K1").leased();
    for n in 1..=4 {
        let verdict = scene.decide();
        let expect = if n <= 3 {
            "normal credential: served"
        } else {
            "refuse: too-often"
        };
        assert_eq!(told(&verdict), expect, "{n}");
        scene.device.status = (*verdict.unit.unwrap().status).into();
    }
}

#[test]
fn a_unit_below_its_mark_is_a_stranger_and_noted() {
    let marked = |scene: &mut Scene| {
        scene.device.status_mut().ratchet.mark = Assurance::L2;
        scene.device.status_mut().ratchet.served_at = Some(Place {
            site: Some("hq".to_owned()),
            lease: Mac::parse(MAC).ok(),
            ..Place::default()
        });
        scene.device.status_mut().activation.state = dialtone::model::activation::State::Active;
    };
    let verdict = check(
        &Scene::new("keeps", "K1").leased().with(marked),
        "bootstrap public: at-shared-url",
    );
    assert!(kinds(&verdict).is_empty());
    let status = verdict.unit.unwrap().status;
    assert!(status.ratchet.shared_since.is_some());
    // A family without a pin cannot be held to it.
    let verdict = check(
        &Scene::new("once", "O1").leased().with(marked),
        "normal credential: served",
    );
    assert!(kinds(&verdict).is_empty());
}

#[test]
fn a_shared_file_is_no_way_round_a_refusal() {
    let spare = |scene: &mut Scene| scene.path = "keeps/spare.cfg".to_owned();
    check(
        &Scene::new("keeps", "K1").with(spare),
        "normal public: served",
    );
    let refused = |scene: &mut Scene| {
        spare(scene);
        scene.refused.insert("device".to_owned());
    };
    check(
        &Scene::new("keeps", "K1").with(refused),
        "refuse: fallback-of-a-refused-file",
    );
}

#[test]
fn who_is_out_of_service_is_refused_at_its_token_and_told() {
    let retired = |scene: &mut Scene| {
        scene.token = Some(1);
        scene.device.config_mut().lifecycle = Lifecycle::Retired;
    };
    let verdict = check(&Scene::new("keeps", "K1").with(retired), "refuse: retired");
    assert_eq!(kinds(&verdict), [AlertKind::RetiredUnitActive]);
    // One that is to be released first gets that file, and nothing of its own.
    let leaving = |scene: &mut Scene| {
        retired(scene);
        scene.device.config_mut().release = true;
    };
    let verdict = check(
        &Scene::new("keeps", "K1").with(leaving),
        "normal public partial: served",
    );
    assert!(kinds(&verdict).is_empty());
    let Decision::Serve(plan) = &verdict.decision else {
        panic!("{verdict:?}");
    };
    assert!(plan.release && !plan.credential);
    check(
        &Scene::new("keeps", "K1").with(leaving).plain(),
        "refuse: token-on-plain-transport",
    );
    let shared = |scene: &mut Scene| {
        leaving(scene);
        scene.token = None;
    };
    let verdict = check(
        &Scene::new("keeps", "K1").leased().with(shared),
        "bootstrap public: retired",
    );
    assert_eq!(kinds(&verdict), [AlertKind::RetiredUnitActive]);
    let suspended = |scene: &mut Scene| {
        scene.token = Some(1);
        scene.device.config_mut().lifecycle = Lifecycle::Suspended;
    };
    check(
        &Scene::new("keeps", "K1").with(suspended),
        "refuse: suspended",
    );
}
