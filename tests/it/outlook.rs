//! Which units would come up today, and the one command for those that would not.

use std::collections::BTreeSet;
use std::sync::Arc;

use dialtone::engine::https::{self, Shown, When, Why};
use dialtone::engine::outlook::{Around, Block, outlook};
use dialtone::model::access::Class;
use dialtone::model::activation::State;
use dialtone::model::device::{Device, Lifecycle, Status};
use dialtone::model::identity::{Assurance, DeviceId};
use dialtone::model::site::{Corroborate, Doubt, Site, Waiver};

use crate::store_sample::{at, plain};
use crate::vendors::catalog;

struct Case {
    device: Device,
    site: Option<Site>,
    waivers: Vec<Waiver>,
    shown: Shown,
    leased: bool,
    class: Class,
}

fn case(vendor: &str, family: &str, model: &str) -> Case {
    let mut config = plain(1);
    vendor.clone_into(&mut config.vendor);
    family.clone_into(&mut config.family);
    model.clone_into(&mut config.model);
    config.site = Some("hq".to_owned());
    let status = Status {
        generation: config.arming.generation,
        ..Status::default()
    };
    Case {
        device: Device {
            id: DeviceId(1),
            config: Arc::new(config),
            status: Arc::new(status),
        },
        site: Some(Site {
            prefixes: vec!["10.0.0.0/8".parse().unwrap()],
            corroborate: Corroborate::Prefix,
            ..Site::new("hq")
        }),
        waivers: Vec::new(),
        shown: Shown::Own,
        leased: false,
        class: Class::Credential,
    }
}

fn desk() -> Case {
    case("yealink", "sip-t4-t5", "T46S")
}

fn old() -> Case {
    case("cisco", "spa", "SPA942")
}

fn waiver(model: &str, until: i64) -> Waiver {
    Waiver {
        site: "hq".to_owned(),
        models: vec![model.to_owned()],
        until: at(until),
        why: "old".to_owned(),
    }
}

fn judge(case: &Case) -> Result<(), Block> {
    let catalog = catalog();
    let config = &case.device.config;
    let around = Around {
        vendor: &catalog.vendors[&config.vendor],
        family: catalog.family(&config.vendor, &config.family).unwrap(),
        site: case.site.as_ref(),
        waivers: &case.waivers,
        anchored: &BTreeSet::new(),
        shown: case.shown,
        http: true,
        leased: case.leased,
        class: case.class,
        now: at(60),
    };
    outlook(&case.device, &around)
}

#[test]
fn the_first_thing_that_keeps_a_unit_and_the_command_that_mends_it() {
    fn check(mut case: Case, change: impl FnOnce(&mut Case), expect: Option<(&str, &str)>) {
        change(&mut case);
        let found = judge(&case).err();
        let names = ["020000000001".to_owned()];
        let told = found.map(|block| (block.code().to_owned(), block.command(&names)));
        let expect = expect.map(|(code, command)| (code.to_owned(), command.to_owned()));
        assert_eq!(told, expect);
    }
    check(desk(), |_| {}, None);
    check(
        desk(),
        |case| case.shown = Shown::Nothing,
        Some((
            "no-https-base",
            "dialtone site set hq --public-url https://NAME/",
        )),
    );
    check(
        desk(),
        |case| case.site.as_mut().unwrap().doubt = Some(Doubt::NeverReported),
        Some((
            "prefix-doubted",
            "dialtone site set hq --corroborate prefix",
        )),
    );
    for (family, model, version, inside) in [
        ("fanvil/x", "X6U", "2.2.9", false),
        ("fanvil/x", "X6U", "2.4.5", true),
        ("fanvil/x", "X6U-Pro", "0.0.10", true),
        ("snom/desk-3xx", "320", "6.5.20", false),
        ("snom/desk-3xx", "320", "8.4.18", true),
        ("cumulus/linux", "VX", "4.4.5", false),
        ("cumulus/linux", "VX", "5.1.0", true),
    ] {
        let (vendor, family) = family.split_once('/').unwrap();
        let mut case = case(vendor, family, model);
        case.shown = Shown::Public;
        case.device.status_mut().seen.firmware = Some(version.to_owned());
        let found = judge(&case).err();
        let found = found.is_some_and(|block| block.code() == "firmware-out-of-range");
        assert_eq!(found, !inside, "{model} {version}");
    }
    let lease = |case: &mut Case| case.site.as_mut().unwrap().corroborate = Corroborate::Lease;
    check(
        desk(),
        lease,
        Some((
            "needs-corroboration",
            "dialtone site set hq --corroborate prefix",
        )),
    );
    check(
        desk(),
        |case| {
            lease(case);
            case.leased = true;
        },
        None,
    );
    check(
        desk(),
        |case| case.site.as_mut().unwrap().nat = true,
        Some(("needs-corroboration", "")),
    );
    check(
        desk(),
        |case| {
            case.site = None;
            case.device.config_mut().site = None;
        },
        Some((
            "needs-corroboration",
            "dialtone device move 020000000001 --to SITE",
        )),
    );
    check(
        desk(),
        |case| case.device.config_mut().arming.from = at(3600),
        Some(("not-armed-yet", "dialtone device arm 020000000001")),
    );
    check(
        desk(),
        |case| case.device.config_mut().arming.until = at(30),
        Some(("not-armed-yet", "dialtone device arm 020000000001")),
    );
    check(
        desk(),
        |case| case.class = Class::Key,
        Some((
            "needs-confirmation",
            "dialtone device arm 020000000001 --keys",
        )),
    );
    check(
        desk(),
        |case| case.device.config_mut().lifecycle = Lifecycle::Suspended,
        Some(("suspended", "dialtone device resume 020000000001")),
    );
    check(
        case("yealink", "recognised", "T20P"),
        |_| {},
        Some(("not-served", "")),
    );
    let waive = "dialtone waiver add --site hq --model SPA942 --until 2028-01-15 --why \"speaks TLS 1.0 only\"";
    check(old(), |_| {}, Some(("needs-waiver", waive)));
    // What no file of ours can teach another CA.
    let fixed = || case("gigaset", "nx70", "N870 IP PRO");
    let command = "dialtone waiver add --site hq --model 'N870 IP PRO' --until 2028-01-15 --why \"takes a public certificate only, and ours is from our own CA\"";
    check(fixed(), |_| {}, Some(("needs-waiver", command)));
    check(fixed(), |case| case.shown = Shown::Public, None);
    check(
        old(),
        |case| case.waivers = vec![waiver("SPA942", 30)],
        Some(("needs-waiver", waive)),
    );
    check(
        old(),
        |case| case.waivers = vec![waiver("SPA942", 90)],
        None,
    );
    check(old(), |case| case.waivers = vec![waiver("*", 90)], None);
}

#[test]
fn a_unit_that_is_up_is_no_question() {
    let mut up = desk();
    up.site = None;
    up.device.status_mut().activation.state = State::Active;
    assert_eq!(judge(&up), Ok(()));
    up.device.status_mut().activation.state = State::Stalled;
    up.device.status_mut().ratchet.mark = Assurance::L2;
    assert_eq!(judge(&up), Ok(()));
    up.device.status_mut().activation.stage = Some("asks-as-new".to_owned());
    assert_eq!(judge(&up), Err(Block::AsksAsNew));
}

#[test]
fn equal_troubles_are_one_group() {
    let (first, mut second) = (old(), old());
    second.device.id = DeviceId(2);
    assert_eq!(judge(&first), judge(&second));
    second.device.config_mut().model = "SPA504G".to_owned();
    assert_ne!(judge(&first), judge(&second));
}

#[test]
fn who_opens_https_with_us_and_who_does_not() {
    let catalog = catalog();
    let check = |family: &str, model: &str, at_first: [Option<Why>; 2], told: [Option<Why>; 2]| {
        let (vendor, family) = family.split_once('/').unwrap();
        let family = catalog.family(vendor, family).unwrap();
        for (when, expect) in [(When::Factory, at_first), (When::Told, told)] {
            for (shown, expect) in [Shown::Own, Shown::Public].into_iter().zip(expect) {
                let found = https::opens(family, model, shown, when).err();
                assert_eq!(found, expect, "{vendor} {model} {shown:?} {when:?}");
            }
            let without = https::opens(family, model, Shown::Nothing, when);
            assert!(without.is_err(), "{vendor} {model}");
        }
    };
    let public = Some(Why::NeedsPublic);
    check("yealink/sip-t4-t5", "T46S", [public, None], [None, None]);
    check("fanvil/x", "X4", [public, None], [public, None]);
    check("avaya/j100", "J179", [None, None], [None, None]);
    let tls = Some(Why::Tls(10));
    check("cisco/spa", "SPA942", [tls, tls], [tls, tls]);
    let not_used = Some(Why::NotUsed);
    check(
        "juniper/junos",
        "ex2200-48t-4g",
        [not_used; 2],
        [None, None],
    );
    let none = Some(Why::Tls(0));
    check("onie/onie", "", [none; 2], [none; 2]);
}
