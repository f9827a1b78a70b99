//! Walk 7 by a lease of our own: a switch whose front port asks, with a MAC that is printed nowhere and
//! with its serial. It comes up after one confirmation: before, while its script waits, or after hours.

use std::sync::Arc;
use std::time::Duration;

use dialtone::model::identity::{Mac, Serial};
use dialtone::simulate::{Clock as _, Identity, Unit};
use jiff::SignedDuration;

use super::super::commands::{Meanwhile, Shell};
use super::super::port::Port;
use super::Stage;
use crate::simulate_bench::conduct;

const FAMILY: &str = "arista/eos";

/// Somebody does what the next step says when so much time has passed since the switch was listed.
pub(super) fn walk_7(stage: &Stage, number: u8, after: SignedDuration) {
    let shell = Shell::of(&stage.scene);
    let conduct = conduct(FAMILY);
    let mut who = Identity::sample(&conduct).unwrap();
    let (mac, serial) = (
        format!("2cdde9f6f9{number:02x}"),
        format!("WTW2349044{number}"),
    );
    (who.mac, who.serial) = (Mac::parse(&mac).unwrap(), serial.clone());
    stage.wait(shell.runs(&format!(
        "dialtone device add --mac {mac} --serial {serial} --vendor arista --model CCS-710P-16P \
         --site hq --set hostname=sw-{number} --set admin_password=adm1n-of-it --set \
         snmp_v3_user=watcher --set snmp_v3_auth=auth-of-it-1 --set snmp_v3_priv=priv-of-it-1"
    )));
    let confirms = {
        let (shell, mac) = (shell.clone(), mac.clone());
        move || {
            let (shell, mac) = (shell.clone(), mac.clone());
            async move {
                let command = shell.next_command(&mac).await;
                assert!(command.ends_with("--keys"), "{command}");
                shell.runs(&command).await;
            }
        }
    };
    let clock = Arc::new(Meanwhile::new(&stage.scene, after, confirms));
    let mut around = stage.scene.around("127.0.4.1");
    (around.bind, around.pointer) = (None, None);
    around.clock = clock.clone();
    let mut switch = Unit::factory(conduct, who, around).unwrap();
    if after.is_zero() {
        stage.wait(clock.pass(Duration::ZERO));
    }

    let mut port = Port::new(&stage.lab, "c1");
    port.station = Some(Mac::parse(&format!("2cdde9f6fa{number:02x}")).unwrap());
    let mut stories = port.boots(&mut switch);
    for _ in 0..60 {
        match port.waits(&mut switch) {
            Some(story) => stories.push(story),
            None => break,
        }
    }
    let account = switch.account();
    let account = account.unwrap_or_else(|| panic!("no configuration: {stories:#?}"));
    assert_eq!(account.password.expose(), "adm1n-of-it");
    let user = "snmp-server user watcher ";
    assert!(switch.settings().keys().any(|line| line.starts_with(user)));
    let activation = stage.wait(shell.activation(&mac));
    assert_eq!(activation["state"], "active", "{activation:#}");
    assert_eq!(
        activation["flags"].as_array().map(Vec::len),
        Some(0),
        "{activation:#}"
    );
    let waited = clock.waited();
    assert!(
        waited >= after && waited < after + SignedDuration::from_mins(40),
        "{waited}"
    );

    // The lease is the port's, and names the serial.
    let leases = stage.wait(stage.scene.hub().store.leases()).unwrap();
    let lease = leases.iter().find(|lease| Some(lease.mac) == port.station);
    assert_eq!(lease.unwrap().serial, Serial::parse(&serial));
}

#[test]
fn walk_7_by_a_lease_of_our_own_to_a_port_that_is_not_the_printed_one() {
    let stage = Stage::of_one_wire();
    walk_7(&stage, 1, SignedDuration::ZERO);
    walk_7(&stage, 2, SignedDuration::from_mins(7));
    walk_7(&stage, 3, SignedDuration::from_hours(3));
    stage.stop();
}
