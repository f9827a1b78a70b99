//! Switches that run what they are given, against Python's file server and scripts written by hand from
//! the vendors' sheets.

use std::time::Duration;

use dialtone::simulate::{Again, Unit};

use crate::simulate_bench::{Server, asked, surroundings, unit};

fn switch(family: &str, server: &Server, name: &str) -> Unit {
    unit(family, surroundings(&format!("{}{name}", server.base)))
}

fn account(unit: &Unit) -> Option<(String, String)> {
    let account = unit.account()?;
    Some((account.user, account.password.expose().to_owned()))
}

fn own(user: &str, password: &str) -> Option<(String, String)> {
    Some((user.to_owned(), password.to_owned()))
}

const COMMITS: &str = "#!/bin/sh\ncat > /var/tmp/c <<'DT'\nsystem {\n  host-name sw-1;\n  ROOT\n  login { user admin \
    { authentication { encrypted-password \"$6$a$b\"; } } }\n}\nMORE\nDT\n\
    cli -c \"configure; load override /var/tmp/c; commit and-quit\" || exit 3\n\
    echo said > /var/tmp/after\n";
const ROOT: &str = "root-authentication { encrypted-password \"$6$r$r\"; }";
const GOES_ON: &str = "chassis { auto-image-upgrade; }\nevent-options { policy p { events e; then { \
    change-configuration { commands { \"delete chassis auto-image-upgrade\"; } } } } }";

#[tokio::test]
async fn a_commit_needs_a_root_password_and_ends_the_script_without_its_line() {
    let server = Server::plain();
    server.put(
        "boot",
        &COMMITS.replace("ROOT", "").replace("MORE", GOES_ON),
    );
    let mut junos = switch("juniper/junos", &server, "boot");
    let story = junos.boot().await;
    assert_eq!(
        story.again,
        Some(Again::After(Duration::from_secs(60))),
        "{story:#?}"
    );
    assert_eq!(account(&junos), None);

    // The line is gone with the commit: the rest of the script is not played.
    server.put("boot", &COMMITS.replace("ROOT", ROOT).replace("MORE", ""));
    let mut junos = switch("juniper/junos", &server, "boot");
    junos.boot_until_quiet(3).await;
    assert_eq!(account(&junos), own("admin", "$6$a$b"));
    assert!(junos.file("/var/tmp/after").is_none());

    // With the line and a policy that takes it out later, the script goes on.
    server.put(
        "boot",
        &COMMITS.replace("ROOT", ROOT).replace("MORE", GOES_ON),
    );
    let mut junos = switch("juniper/junos", &server, "boot");
    let stories = junos.boot_until_quiet(3).await;
    assert_eq!(account(&junos), own("admin", "$6$a$b"), "{stories:#?}");
    assert!(junos.file("/var/tmp/after").is_some());
    assert!(stories.last().unwrap().steps.is_empty(), "{stories:#?}");
}

#[tokio::test]
async fn an_installer_is_run_again_until_it_ends_well() {
    let server = Server::plain();
    server.put("nos", "<html>an error page</html>");
    let mut onie = switch("onie/onie", &server, "nos");
    let story = onie.boot().await;
    assert_eq!(
        story.again,
        Some(Again::After(Duration::from_secs(20))),
        "{story:#?}"
    );
    server.put(
        "nos",
        "#!/bin/sh\n[ \"$(onie-sysinfo -p)\" = x86_64-dell_s6000_s1220-r0 ] || exit 1\nexit 0\n",
    );
    onie.wait().await.unwrap();
    assert!(onie.file("/dev/nos").is_some());
    let story = onie.boot().await;
    assert!(
        story.steps.is_empty(),
        "the system has the switch: {story:#?}"
    );
}

const SECTIONS: &str = r#"{"ztp":{"02-configdb-json":{"url":{"source":"BASEconfig.json"}},
    "01-own":{"plugin":{"url":"BASEplugin","ignore-section-data":true},"halt-on-failure":true}MORE}}"#;

#[tokio::test]
async fn sections_are_played_in_the_order_of_their_names() {
    let server = Server::plain();
    let told = |more: &str| SECTIONS.replace("BASE", &server.base).replace("MORE", more);
    let plugin = "#!/bin/bash\nserial=$(decode-syseeprom -s)\n[ \"$serial\" = CN1 ] || exit 1\n\
                  echo 'admin:$6$a$b' | chpasswd -e\nexit CODE\n";
    server.put("ztp.json", &told(",\"restart-ztp-on-failure\":true"));
    server.put("plugin", &plugin.replace("CODE", "1"));
    server.put(
        "config.json",
        r#"{"DEVICE_METADATA":{"localhost":{"hostname":"sw-1"}}}"#,
    );
    let mut sonic = switch("sonic/sonic", &server, "ztp.json");
    let story = sonic.boot().await;
    assert_eq!(asked(&story, &server.base), ["ztp.json", "plugin"]);
    assert_eq!(story.again, Some(Again::After(Duration::from_secs(300))));

    server.put("plugin", &plugin.replace("CODE", "0"));
    let stories = sonic.boot_until_quiet(3).await;
    assert_eq!(
        asked(&stories[0], &server.base),
        ["ztp.json", "plugin", "config.json"]
    );
    assert_eq!(account(&sonic), own("admin", "$6$a$b"), "{stories:#?}");
    assert_eq!(sonic.setting("DEVICE_METADATA/localhost/hostname"), "sw-1");
    let log = server.log();
    assert!(log[0].ends_with("SONiC-ZTP/0.1"), "{log:?}");

    // Without that word a failure is the end.
    server.put("ztp.json", &told(""));
    server.put("plugin", &plugin.replace("CODE", "1"));
    let mut sonic = switch("sonic/sonic", &server, "ztp.json");
    let story = sonic.boot().await;
    assert_eq!(story.again, None);
    assert!(sonic.boot().await.steps.is_empty());
}

#[tokio::test]
async fn a_script_needs_its_marker_and_a_changed_switch_is_not_asked_again() {
    let server = Server::plain();
    let script = "#!/bin/bash\nMARK\nusermod -p '$6$a$b' cumulus\nexit CODE\n";
    let put = |mark: &str, code: &str| {
        server.put("ztp", &script.replace("MARK", mark).replace("CODE", code));
    };
    put("#", "0");
    let mut switch = switch("cumulus/linux", &server, "ztp");
    let story = switch.boot().await;
    assert_eq!((story.again, account(&switch)), (None, None), "no marker");
    put("# CUMULUS-AUTOPROVISIONING", "1");
    switch.boot().await;
    put("# CUMULUS-AUTOPROVISIONING", "0");
    let story = switch.boot().await;
    assert!(
        story.steps.is_empty(),
        "it counts as configured by hand: {story:#?}"
    );
    switch.factory_reset();
    switch.boot_until_quiet(3).await;
    assert_eq!(account(&switch), own("cumulus", "$6$a$b"));
}
