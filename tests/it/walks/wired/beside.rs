//! Walk 3: a DHCP server stands already. It has our snippet, and we look on, or know the site's prefix
//! alone. By the leases that we see the other walks go as by our own.

use std::process::Command;

use dialtone::model::activation::State;
use dialtone::model::identity::{Channel, LevelBy};
use dialtone::store::CheckFilter;
use jiff::{SignedDuration, ToSpan as _};

use super::super::families::{walk_6_in, walk_in, walks};
use super::super::port::Port;
use super::super::scene::Listed;
use super::certificate::{certified_stage, walk_5};
use super::families::walk_8;
use super::switch::walk_7;
use super::{NETWORK, Stage};
use crate::dhcp::wire::lab::{Background, Lab};
use crate::dhcp::wire::raw::Tap;
use crate::simulate_bench::conduct;

const FAMILY: &str = "yealink/sip-t4-t5";
const MAC: &str = "805ec0d57d72";

impl Stage {
    /// `dhcp snippet FORMAT`, by the configuration of this server.
    fn snippet(&self, format: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_dialtone"))
            .args(["dhcp", "snippet", format, "--config"])
            .arg(self.scene.server.path("dialtone.toml"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn dnsmasq(&self) -> Background {
        let text = format!(
            "port=0\ninterface=eth0\nbind-interfaces\nno-ping\nleasefile-ro\nuser=root\npid-file=\ndhcp-authoritative\ndhcp-range=10.99.20.1,10.99.20.99,1h\n{}",
            self.snippet("dnsmasq")
        );
        let file = self.lab.path("dnsmasq.conf");
        std::fs::write(&file, text).unwrap();
        self.lab.spawn(
            "other",
            "dnsmasq",
            &["-k", "-C", &file.display().to_string()],
        )
    }

    fn kea(&self) -> Background {
        self.kea_with("")
    }

    /// With more of its subnet.
    fn kea_with(&self, more: &str) -> Background {
        let classes = self.lab.path("classes.json");
        std::fs::write(&classes, self.snippet("kea")).unwrap();
        let text = format!(
            r#"{{ "Dhcp4": {{
  "interfaces-config": {{ "interfaces": ["eth0"] }},
  "lease-database": {{ "type": "memfile", "persist": false }},
  "client-classes": <?include "{}"?>,
  "subnet4": [ {{ "id": 1, "subnet": "10.99.0.0/16", "pools": [ {{ "pool": "10.99.21.1-10.99.21.99" }} ]{more} }} ]
}} }}"#,
            classes.display()
        );
        let file = self.lab.path("kea.json");
        std::fs::write(&file, text).unwrap();
        let folder = self.lab.folder.path().display().to_string();
        let script = format!(
            "export KEA_PIDFILE_DIR={folder} KEA_LOCKFILE_DIR={folder}; exec kea-dhcp4 -c {}",
            file.display()
        );
        self.lab.spawn("other", "sh", &["-c", &script])
    }
}

/// A phone that is unpacked nine days after it was listed, beside this server.
fn walk_3(mode: &str, corroborate: &str, other: fn(&Stage) -> Background, by: LevelBy) {
    let mut lab = Lab::new();
    lab.host("other", "sw", Some("10.99.0.3/16"));
    lab.host("c1", "sw", None);
    let dhcp = format!("interface = [\"eth0\"]\n{NETWORK}");
    let site = format!("corroborate = {corroborate:?}");
    let stage = Stage::new(lab, mode, &site, &dhcp);
    let tap = stage.lab.tap("srv");
    let _other = other(&stage);
    let id = stage.wait(stage.scene.list(&Listed::default()));
    stage.wait(stage.scene.pass(9.days()));
    let mut around = stage.scene.around("127.0.4.1");
    (around.bind, around.pointer) = (None, None);
    let mut phone = stage.scene.unit_in(FAMILY, MAC, around);
    let port = Port::new(&stage.lab, "c1");
    for boot in 0..4 {
        port.boots(&mut phone);
        let told = stage.wait(stage.scene.told(id));
        assert!(phone.account().is_some(), "{boot}: {told:#?}");
        stage.wait(stage.scene.pass(20.minutes()));
    }
    for told in port.told() {
        assert_eq!(told.server.unwrap().to_string(), "10.99.0.3");
    }
    let device = stage.wait(stage.scene.device(id));
    let status = device.status_now();
    assert_eq!(status.activation.state, State::Active);
    let checks = stage.wait(stage.scene.checks(id));
    assert!(
        checks.iter().any(|check| check.level_by == by),
        "{checks:#?}"
    );
    let looked = checks.iter().any(|check| check.channel == Channel::Dhcp);
    assert_eq!(looked, mode == "observe");
    // A factory reset, and arm.
    phone.factory_reset();
    stage.wait(stage.scene.arm(id));
    port.boots(&mut phone);
    assert!(phone.account().is_some());
    let alerts = stage.wait(stage.scene.alerts(id));
    assert!(alerts.is_empty(), "{alerts:?}");
    we_said_nothing(&tap);
    stage.stop();
}

/// Every reply on the wire is the other server's.
fn we_said_nothing(tap: &Tap) {
    let datagrams = tap.datagrams_from(67);
    let replies = datagrams.iter().filter(|(_, octets)| octets[0] != 1);
    let mut theirs = replies.map(|(_, octets)| {
        let mut options = octets[240..].windows(6);
        options.any(|part| part == [54, 4, 10, 99, 0, 3])
    });
    assert!(theirs.all(|theirs| theirs), "we said something");
}

/// What the checks of the whole stage rest on, where it is a lease or a prefix: only what we saw.
fn saw_and_gave_nothing(stage: &Stage, tap: &Tap) {
    let all = CheckFilter {
        limit: 10_000,
        ..CheckFilter::default()
    };
    let checks = stage.wait(stage.scene.hub().store.checks(&all)).unwrap();
    let by = |by: LevelBy| checks.iter().filter(|check| check.level_by == by).count();
    assert!(by(LevelBy::Observed) > 5, "{}", by(LevelBy::Observed));
    assert_eq!(by(LevelBy::Lease) + by(LevelBy::Prefix), 0);
    we_said_nothing(tap);
}

/// Walk 1 by a phone that meets us by plain HTTP, walk 4 by one that never leaves it, walk 6 by one that
/// forgets, walk 7 by a switch whose port has a MAC of its own, and walk 8 by one that its own server's
/// administrator told where we are, as the snippet cannot.
#[test]
fn walks_1_4_6_7_and_8_beside_kea_by_the_leases_that_we_see() {
    let mut lab = Lab::new();
    lab.host("other", "sw", Some("10.99.0.3/16"));
    lab.host("c1", "sw", None);
    let dhcp = format!("interface = [\"eth0\"]\n{NETWORK}");
    let stage = Stage::new(lab, "observe", "", &dhcp);
    let tap = stage.lab.tap("srv");
    let reserved = format!(
        r#", "reservations": [ {{ "hw-address": "{}", "option-data": [
  {{ "name": "boot-file-name", "data": "http://10.99.0.1/sonic/ztp.json", "always-send": true }} ] }} ]"#,
        conduct("sonic/sonic").unit.mac
    );
    let _kea = stage.kea_with(&reserved);
    for family in ["snom/desk", "cisco/sep"] {
        for (number, walk) in walks(|walk| walk.family == family) {
            let port = Port::new(&stage.lab, "c1");
            stage.wait(walk_in(&stage.scene, Some(port), &walk, number));
        }
    }
    for (number, walk) in walks(|walk| walk.family == "polycom/ucs") {
        let port = Port::new(&stage.lab, "c1");
        stage.wait(walk_6_in(&stage.scene, Some(port), &walk, number));
    }
    walk_7(&stage, 1, SignedDuration::from_mins(7));
    let told = walk_8(&stage);
    assert_eq!(told.server.unwrap().to_string(), "10.99.0.3");
    saw_and_gave_nothing(&stage, &tap);
    stage.stop();
}

/// Walk 2 by a phone that opens HTTPS at once, and walk 5 by one whose maker gave it a certificate.
#[test]
fn walks_2_and_5_beside_kea_by_the_leases_that_we_see() {
    let mut lab = Lab::new();
    lab.host("other", "sw", Some("10.99.0.3/16"));
    lab.host("c1", "sw", None);
    let (stage, public) = certified_stage(lab, "observe");
    let tap = stage.lab.tap("srv");
    let _kea = stage.kea();
    for (number, walk) in walks(|walk| walk.family == "fanvil/x") {
        let mut port = Port::new(&stage.lab, "c1");
        port.public_roots = vec![public.der.clone()];
        stage.wait(walk_in(&stage.scene, Some(port), &walk, number));
    }
    walk_5(&stage, &public, LevelBy::Observed);
    saw_and_gave_nothing(&stage, &tap);
    stage.stop();
}

#[test]
fn walk_3_beside_kea_by_the_leases_that_we_see() {
    walk_3("observe", "lease", Stage::kea, LevelBy::Observed);
}

#[test]
fn walk_3_beside_dnsmasq_by_the_site_s_prefix() {
    walk_3("off", "prefix", Stage::dnsmasq, LevelBy::Prefix);
}
