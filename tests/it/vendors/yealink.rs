//! Desk phones of Yealink: bootstrap, pin, release, and what a lesser file must not take away.

use dialtone::catalog::revision::Which;
use dialtone::model::access::Grant;

use super::{Case, Settings, cases, check_kept};

/// `key = value` lines; `user_password` stands twice by design.
fn read(text: &str) -> Settings {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(" ="));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

fn at(case: &Case, which: Which, grant: Grant) -> Settings {
    read(&case.render("device-config", which, grant, false).unwrap())
}

#[test]
fn a_greater_file_holds_what_a_lesser_one_does() {
    for case in cases("yealink") {
        let case = Case::new("yealink", &case);
        if case.family().id != "sip-t4-t5" {
            continue;
        }
        check_kept(&case, read);
        let common = case.render("common-config", Which::Normal, Grant::ALL, false);
        let device = at(&case, Which::Normal, Grant::ALL);
        for name in read(&common.unwrap()).keys() {
            assert!(device.contains_key(name), "{name}");
        }
    }
}

#[test]
fn the_pin_and_its_undoing_name_the_same_settings() {
    let case = Case::new("yealink", "full");
    let device = at(&case, Which::Normal, Grant::ALL);
    let release = case
        .render("device-config", Which::Normal, Grant::ALL, true)
        .unwrap();
    let released = read(&release);
    for (name, pinned, free) in [
        (
            "static.auto_provision.server.url",
            "https://prov.example.net/u/TOKEN-CANARY/",
            "",
        ),
        ("static.auto_provision.dhcp_option.enable", "0", "1"),
        ("static.auto_provision.pnp_enable", "0", "1"),
    ] {
        assert_eq!(
            (device[name].as_str(), released[name].as_str()),
            (pinned, free),
            "{name}"
        );
    }
    // Nothing of ours stays behind, and the account is not touched.
    for (name, value) in &device {
        let ours = value.contains("prov.example.net");
        assert!(
            !ours || released.get(name).is_some_and(String::is_empty),
            "{name}"
        );
    }
    assert!(!release.contains("account.") && !release.contains("linekey."));
}

#[test]
fn a_stranger_is_not_bound_to_us() {
    let case = Case::new("yealink", "full");
    let bootstrap = at(&case, Which::Bootstrap, Grant::ALL);
    assert!(
        !bootstrap
            .keys()
            .any(|name| name.contains("dhcp_option") || name.contains("pnp"))
    );
    assert_eq!(
        bootstrap["static.trusted_certificates.url"],
        "http://prov.example.net/yealink-ca.pem"
    );
    assert_eq!(
        bootstrap["static.auto_provision.server.url"],
        "https://prov.example.net/"
    );
}
