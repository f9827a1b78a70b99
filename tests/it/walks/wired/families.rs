//! Walks 1, 2, 4, 6 and 8: each family's unit from the box, by a lease of our own and by what came with it.

use dialtone::model::activation::State;
use dialtone::model::identity::{Channel, LevelBy};
use dialtone::simulate::dhcp::Told;
use dialtone::store::CheckFilter;

use super::super::families::{IMAGE, Meets, walk_6_in, walk_in, walks};
use super::super::port::Port;
use super::super::scene::Listed;
use super::Stage;
use super::certificate::certified_stage;
use crate::dhcp::wire::lab::Lab;
use crate::simulate_bench::conduct;

#[test]
fn each_family_comes_up_by_a_lease_of_our_own() {
    let stage = Stage::of_one_wire();
    std::fs::write(stage.lab.path("nos"), IMAGE).unwrap();
    let folder = stage.lab.folder.path().display().to_string();
    let images = ["httpd", "-f", "-p", "10.99.0.1:8000", "-h", &folder];
    let _images = stage.lab.spawn("srv", "busybox", &images);
    stage.wait(stage.scene.offers_image("http://10.99.0.1:8000/nos"));
    // Without a public certificate there is no HTTPS for those who trust no other.
    for (number, walk) in walks(|walk| walk.meets != Meets::Public) {
        let port = Port::new(&stage.lab, "c1");
        stage.wait(walk_in(&stage.scene, Some(port), &walk, number));
    }
    // Nobody came up by anything but the lease, its token or its report.
    let all = CheckFilter {
        limit: 10_000,
        ..CheckFilter::default()
    };
    let checks = stage.wait(stage.scene.hub().store.checks(&all));
    let checks = checks.unwrap();
    let by = |by: LevelBy| checks.iter().filter(|check| check.level_by == by).count();
    assert!(by(LevelBy::Lease) > 10, "{}", by(LevelBy::Lease));
    assert_eq!(by(LevelBy::Prefix), 0);
    stage.stop();
}

/// Walk 2: with a certificate that the factory trusts the lease points to HTTPS, and nothing but what is
/// public goes over plain HTTP.
#[test]
fn walk_2_by_a_lease_of_our_own() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", None);
    let (stage, ca) = certified_stage(lab, "server");
    for (number, walk) in walks(|walk| walk.meets == Meets::Public) {
        let mut port = Port::new(&stage.lab, "c1");
        port.public_roots = vec![ca.der.clone()];
        stage.wait(walk_in(&stage.scene, Some(port), &walk, number));
    }
    let all = CheckFilter {
        limit: 10_000,
        ..CheckFilter::default()
    };
    let checks = stage.wait(stage.scene.hub().store.checks(&all)).unwrap();
    let plain = checks.iter().filter(|check| check.channel == Channel::Http);
    assert_eq!(plain.count(), 0);
    let over_tls = checks
        .iter()
        .filter(|check| check.channel == Channel::Https);
    assert!(over_tls.count() > 20);
    stage.stop();
}

#[test]
fn walk_6_by_a_lease_of_our_own() {
    let stage = Stage::of_one_wire();
    for (number, walk) in walks(|walk| walk.resets && walk.meets == Meets::OwnCa) {
        let port = Port::new(&stage.lab, "c1");
        stage.wait(walk_6_in(&stage.scene, Some(port), &walk, number));
    }
    stage.stop();
}

#[test]
fn walk_8_a_unit_that_says_nothing_is_known_by_its_mac() {
    let stage = Stage::of_one_wire();
    let told = walk_8(&stage);
    assert_eq!(told.options[&67], b"http://10.99.0.1/sonic/ztp.json");
    stage.stop();
}

/// A switch that sends no class and no identifier is known by the inventory's MAC. What it was told
/// first.
pub(super) fn walk_8(stage: &Stage) -> Told {
    let family = "sonic/sonic";
    let sample = conduct(family).unit.mac.clone();
    let listed = Listed {
        family,
        model: "S5248F",
        mac: Some(&sample),
        account: None,
        texts: &[("hostname", "sw-1")],
        secrets: &[("admin_password_sha512", "$6$rounds$hash")],
        ..Listed::default()
    };
    let mut around = stage.scene.around("127.0.4.1");
    (around.bind, around.pointer) = (None, None);
    let mut unit = stage.scene.unit_in(family, &sample, around);
    let mut port = Port::new(&stage.lab, "c1");
    port.says_nothing = true;
    let id = stage.wait(stage.scene.list(&listed));
    for _ in 0..3 {
        port.boots(&mut unit);
    }
    let told = stage.wait(stage.scene.told(id));
    assert!(unit.account().is_some(), "{told:#?}");
    let state = stage.wait(stage.scene.activation(id)).state;
    assert_eq!(state, State::Active, "{told:#?}");
    port.told().remove(0)
}
