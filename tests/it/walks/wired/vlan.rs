//! A change of VLAN within one boot: the network that a phone starts in sends it to its own (option
//! 132), its link is moved there, and there it comes up.

use dialtone::model::activation::State;
use dialtone::model::profile::{Layer, Scope, Value, Variables};
use dialtone::store::Write;
use jiff::ToSpan as _;

use super::super::port::Port;
use super::super::scene::Listed;
use super::{NETWORK, Stage};
use crate::dhcp::wire::lab::Lab;
use crate::simulate_bench::conduct;

const FAMILY: &str = "yealink/sip-t4-t5";
const MAC: &str = "805ec0d57d72";
const VOICE: &str = "[[dhcp.subnet]]\nsubnet = \"10.98.0.0/16\"\npools = [\"10.98.10.0-10.98.10.99\"]\nlease_time = \"90d\"\nrouter = \"10.98.0.1\"\nsite = \"hq\"\n";

/// Two wires that we serve, with a host for a unit at the first one, and the site's VLAN.
fn two_wires() -> Stage {
    let mut lab = Lab::new();
    lab.switch("voice");
    lab.plug("srv", "eth1", "voice", Some("10.98.0.1/16"));
    lab.host("c1", "sw", None);
    let dhcp = format!("interface = [\"eth0\", \"eth1\"]\n{NETWORK}{VOICE}");
    let stage = Stage::new(lab, "server", "", &dhcp);
    stage.wait(async {
        let values = [("vlan_id", 120), ("vlan_priority", 5)];
        let values = values.map(|(name, value)| (name.to_owned(), Value::Int(value)));
        let scope = Scope {
            layer: Layer::Site,
            name: "hq".to_owned(),
            variables: Variables(values.into()),
            changed_at: None,
            version: 0,
        };
        stage.scene.write(vec![Write::PutScope(scope)]).await;
    });
    stage
}

#[test]
fn a_phone_that_is_sent_to_its_vlan_stays_in_one_boot() {
    let mut stage = two_wires();
    let id = stage.wait(stage.scene.list(&Listed::default()));
    let mut around = stage.scene.around("127.0.4.1");
    (around.bind, around.pointer) = (None, None);
    let mut phone = stage.scene.unit_in(FAMILY, MAC, around);

    let told = Port::new(&stage.lab, "c1").takes_its_address(&mut phone);
    assert_eq!(phone.belongs(&told), Some(120));
    assert_eq!(told.ip.unwrap().octets()[..2], [10, 99]);
    stage.wait(stage.scene.pass(30.seconds()));
    stage.lab.unplug("c1", "eth0");
    stage.lab.plug("c1", "eth0", "voice", None);
    // The address that it had is no address there, and it is told so.
    let port = Port::new(&stage.lab, "c1");
    let told = port.takes_its_address(&mut phone);
    assert_eq!(told.ip.unwrap().octets()[..2], [10, 98]);
    let boots = |stage: &Stage| stage.wait(stage.scene.device(id)).status_copy().boots;
    let first = boots(&stage);
    let [boot] = &first[..] else {
        panic!("{first:?}");
    };
    port.boots(&mut phone);
    let told = stage.wait(stage.scene.told(id));
    assert!(phone.account().is_some(), "{told:#?}");
    let state = stage.wait(stage.scene.activation(id)).state;
    assert_eq!(state, State::Active, "{told:#?}");
    // What it asked for first is in the boot that began on the other VLAN.
    let known = boots(&stage);
    assert_eq!(known[0].id, boot.id);
    assert!(!known[0].asked.is_empty(), "{known:?}");

    // Three restarts in its own network, a boot each.
    for _ in 0..3 {
        stage.wait(stage.scene.pass(20.minutes()));
        let before = boots(&stage).len();
        port.boots(&mut phone);
        assert!(phone.account().is_some());
        assert_eq!(boots(&stage).len(), before + 1);
    }
    let alerts = stage.wait(stage.scene.alerts(id));
    assert!(alerts.is_empty(), "{alerts:?}");
    stage.stop();
}

/// A phone that is told its VLAN by these octets of an option goes there, and comes up in that boot.
fn moves(stage: &mut Stage, family: &str, options: &[(u8, &str)], ends: State) {
    let conduct = conduct(family);
    let mac = conduct.unit.mac.clone();
    let id = stage.wait(stage.scene.list(&Listed {
        family,
        model: &conduct.unit.model,
        mac: Some(&mac),
        ..Listed::default()
    }));
    let mut around = stage.scene.around("127.0.4.1");
    (around.bind, around.pointer) = (None, None);
    let mut phone = stage.scene.unit_in(family, &mac, around);
    let first = Port::new(&stage.lab, "c1").takes_its_address(&mut phone);
    for (code, part) in options {
        let value = String::from_utf8_lossy(&first.options[code]).into_owned();
        assert!(value.contains(part), "{family} {code}: {value:?}");
    }
    assert_eq!(phone.belongs(&first), Some(120), "{family}");
    assert_eq!(first.ip.unwrap().octets()[..2], [10, 99]);
    stage.wait(stage.scene.pass(30.seconds()));
    stage.lab.unplug("c1", "eth0");
    stage.lab.plug("c1", "eth0", "voice", None);
    let port = Port::new(&stage.lab, "c1");
    port.takes_its_address(&mut phone);
    let boots = stage.wait(stage.scene.device(id)).status_copy().boots;
    assert_eq!(boots.len(), 1, "{family}: {boots:?}");
    for _ in 0..3 {
        if phone.account().is_none() {
            port.boots(&mut phone);
        }
    }
    let told = stage.wait(stage.scene.told(id));
    assert!(phone.account().is_some(), "{family}: {told:#?}");
    assert!(
        port.told()
            .iter()
            .all(|told| told.ip.unwrap().octets()[..2] == [10, 98])
    );
    let status = stage.wait(stage.scene.device(id)).status_now();
    assert_eq!(status.activation.state, ends, "{told:#?}");
    let alerts = stage.wait(stage.scene.alerts(id));
    assert!(alerts.is_empty(), "{alerts:?}");
    stage.lab.unplug("c1", "eth0");
    stage.lab.plug("c1", "eth0", "sw", None);
}

#[test]
fn phones_that_are_told_their_vlan_with_its_priority_and_by_an_option_of_their_maker() {
    let mut stage = two_wires();
    moves(
        &mut stage,
        "snom/desk",
        &[(132, "120"), (133, "5")],
        State::Active,
    );
    moves(
        &mut stage,
        "avaya/j100",
        &[(242, "L2QVLAN=120")],
        State::Served,
    );
    stage.stop();
}
