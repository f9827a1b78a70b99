//! What follows an answer: delivered, reported, silent (contract section 3).

use std::path::PathBuf;
use std::sync::Arc;

use dialtone::catalog::manifest::Family;
use dialtone::catalog::revision::Which;
use dialtone::catalog::{Catalog, load};
use dialtone::engine::outcome::{Sent, Word, delivered, is_waiting, reported, sweep};
use dialtone::model::activation::{Outcome, Proof, State};
use dialtone::model::device::{Config, Device, Lifecycle, Line, Status};
use dialtone::model::enrolment::{Arming, Place};
use dialtone::model::identity::{Assurance, BootId, DeviceId, Digest};
use dialtone::model::profile::Variables;
use jiff::{SignedDuration, Timestamp};

fn family(vendor: &str, family: &str) -> Arc<Family> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let files = load::read_folders(&[root]).unwrap();
    let (catalog, problems) = Catalog::from_files(&files);
    let catalog = catalog.unwrap_or_else(|| panic!("{problems:#?}"));
    Arc::clone(catalog.family(vendor, family).unwrap())
}

fn device(vendor: &str, family: &str, model: &str, lines: u16) -> Device {
    let line = |n| Line {
        n,
        enabled: true,
        user: format!("20{n}"),
        ..Line::default()
    };
    let config = Config {
        mac: None,
        serial: None,
        vendor: vendor.to_owned(),
        family: family.to_owned(),
        model: model.to_owned(),
        site: None,
        groups: Vec::new(),
        user: None,
        profile: "default".to_owned(),
        variables: Variables::default(),
        lines: (1..=lines).map(line).collect(),
        keys: Vec::new(),
        lifecycle: Lifecycle::Listed,
        arming: Arming {
            generation: 1,
            from: at(0),
            until: at(10_000),
            open_at: None,
            keys: false,
            without_certificate: false,
            exposed: Vec::new(),
        },
        note: String::new(),
        changed_at: at(0),
        created_at: at(0),
        release: false,
        version: 1,
    };
    let mut status = Status {
        generation: 1,
        assurance: Assurance::L2,
        ..Status::default()
    };
    status.activation.state = State::Seen;
    status.activation.since = Some(at(0));
    status.window.open_since = Some(at(0));
    Device {
        id: DeviceId(1),
        config: Arc::new(config),
        status: Arc::new(status),
    }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
}

fn sent(artefact: &str) -> Sent {
    Sent {
        generation: 1,
        boot: BootId(1),
        artefact: artefact.to_owned(),
        which: Which::Normal,
        partial: false,
        level: Assurance::L2,
        place: Place::default(),
        revision: Digest([1; 32]),
        digest: Digest([2; 32]),
    }
}

/// The state after these files arrived in this order.
fn after(family: &Family, device: &Device, files: &[Sent]) -> Status {
    let mut status = Status::clone(&device.status);
    for file in files {
        delivered(device, &mut status, family, file, false, at(1));
    }
    status
}

#[test]
fn served_is_every_required_file_of_one_boot_whole() {
    let yealink = family("yealink", "sip-t4-t5");
    let phone = device("yealink", "sip-t4-t5", "T46S", 1);
    let check = |sent: Sent, expect: State| {
        let status = after(&yealink, &phone, &[sent]);
        assert_eq!(status.activation.state, expect);
    };
    check(sent("device-config"), State::Served);
    let own = || sent("device-config");
    check(sent("common-config"), State::Seen);
    check(
        Sent {
            partial: true,
            ..own()
        },
        State::Seen,
    );
    check(
        Sent {
            which: Which::Bootstrap,
            ..own()
        },
        State::Seen,
    );
    check(
        Sent {
            generation: 2,
            ..own()
        },
        State::Seen,
    );

    let eos = family("arista", "eos");
    let switch = device("arista", "eos", "vEOS", 0);
    let required: Vec<Sent> = eos
        .artefacts
        .iter()
        .filter(|artefact| artefact.required && artefact.template.is_some())
        .map(|artefact| sent(&artefact.id))
        .collect();
    assert_eq!(
        after(&eos, &switch, &required).activation.state,
        State::Served
    );
    let halves = [
        sent("install"),
        Sent {
            boot: BootId(2),
            ..sent("startup-config")
        },
    ];
    assert_eq!(after(&eos, &switch, &halves).activation.state, State::Seen);
}

#[test]
fn the_first_certificate_that_was_served_whole_is_the_records() {
    let yealink = family("yealink", "sip-t4-t5");
    let phone = device("yealink", "sip-t4-t5", "T46S", 1);
    let shown = |level: Assurance, octet: u8| {
        let mut sent = sent("device-config");
        sent.level = level;
        sent.place.certificate = Some(Digest([octet; 32]));
        sent
    };
    let check = |files: &[Sent], expect: Option<u8>| {
        let bound = after(&yealink, &phone, files).ratchet.certificate;
        assert_eq!(bound, expect.map(|octet| Digest([octet; 32])), "{files:?}");
    };
    let partial = Sent {
        partial: true,
        ..shown(Assurance::L3, 7)
    };
    check(&[shown(Assurance::L2, 7)], None);
    check(std::slice::from_ref(&partial), None);
    check(&[partial, shown(Assurance::L3, 8)], Some(8));
    check(&[shown(Assurance::L3, 8), shown(Assurance::L3, 9)], Some(8));
}

#[test]
fn where_nothing_can_prove_more_served_is_the_end_and_closes_the_window() {
    let spa = family("cisco", "spa");
    let phone = device("cisco", "spa", "SPA942", 1);
    let status = after(&spa, &phone, &[sent("device-config")]);
    assert_eq!(status.activation.state, State::Served);
    assert_eq!(status.activation.proof, Some(Proof::NonePossible));
    assert!(status.window.closed_at.is_some() && !is_waiting(&status));
}

#[test]
fn active_is_every_enabled_line() {
    let yealink = family("yealink", "sip-t4-t5");
    let phone = device("yealink", "sip-t4-t5", "T46S", 2);
    let check = |reports: &[(Word, Option<&str>)], expect: State| {
        let mut status = after(&yealink, &phone, &[sent("device-config")]);
        for (word, line) in reports {
            reported(&phone, &mut status, &yealink, word, *line, at(2));
        }
        assert_eq!(status.activation.state, expect, "{reports:?}");
    };
    check(&[(Word::Ok, None)], State::Active);
    check(&[(Word::Ok, Some("201"))], State::Served);
    check(
        &[(Word::Ok, Some("201")), (Word::Ok, Some("2"))],
        State::Active,
    );
    check(&[(Word::Ok, Some("999"))], State::Served);
    check(&[(Word::Failed, Some("201"))], State::Failed);
    check(&[(Word::Failed, None), (Word::Ok, None)], State::Active);
    check(&[(Word::Step("half".to_owned()), None)], State::Served);
    let mut status = after(&yealink, &phone, &[sent("device-config")]);
    let said = reported(&phone, &mut status, &yealink, &Word::Ok, None, at(2));
    assert_eq!(said, Outcome::Pass);
    assert!(status.window.closed_at.is_some());
}

#[test]
fn a_report_is_one_of_its_words() {
    for (text, expect) in [
        ("ok", Some(Word::Ok)),
        ("ok/", Some(Word::Ok)),
        ("failed", Some(Word::Failed)),
        ("step/image", Some(Word::Step("image".to_owned()))),
        ("state/REFUSED", Some(Word::State("REFUSED".to_owned()))),
        ("state/", None),
        ("state/a/b", None),
        ("step/", None),
        ("step/a b", None),
        ("OK", None),
        ("", None),
    ] {
        assert_eq!(Word::parse(text), expect, "{text}");
    }
}

/// One URL for good and bad news: the manifest says which word is which.
#[test]
fn a_state_means_what_the_manifest_says() {
    let aastra = family("aastra", "sip");
    let means = |state: &str| Word::State(state.to_owned()).meant(&aastra);
    assert_eq!(means("REGISTERED"), Word::Ok);
    for bad in ["UNREGISTERED", "EXPIRED", "REFUSED", "TIMEOUT"] {
        assert_eq!(means(bad), Word::Failed, "{bad}");
    }
    assert_eq!(means("ELSE"), Word::Step("ELSE".to_owned()));
    let yealink = family("yealink", "sip-t4-t5");
    let unknown = Word::State("REGISTERED".to_owned()).meant(&yealink);
    assert_eq!(unknown, Word::Step("REGISTERED".to_owned()));
}

#[test]
fn silence_stalls_with_its_stage() {
    let yealink = family("yealink", "sip-t4-t5");
    let check = |change: &dyn Fn(&mut Status), minute: i64, expect: Option<&str>| {
        let phone = device("yealink", "sip-t4-t5", "T46S", 1);
        let mut status = phone.status_copy();
        change(&mut status);
        sweep(&mut status, &yealink, at(minute));
        assert_eq!(status.activation.stage.as_deref(), expect);
    };
    check(&|_| {}, 14, None);
    check(&|_| {}, 16, Some("configuration"));
    let served = |status: &mut Status| {
        status.activation.state = State::Served;
        status.served_whole_at = Some(at(10));
    };
    check(&served, 16, None);
    check(&served, 26, Some("registration"));
    let new = |status: &mut Status| {
        status.activation.state = State::Active;
        status.ratchet.shared_since = Some(at(10));
    };
    check(&new, 20, None);
    check(&new, 26, Some("asks-as-new"));
}
