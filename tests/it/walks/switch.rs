//! Walk 7: a switch without a certificate, a script and then HTTPS, a configuration with an SNMPv3
//! user: it comes up after one confirmation, given before, during or three hours after its first
//! contact.

use dialtone::model::activation::{Flag, State};
use dialtone::model::identity::{DeviceId, Serial};
use dialtone::simulate::{Identity, Unit};
use jiff::ToSpan as _;

use super::scene::{Listed, Scene};
use crate::simulate_bench::conduct;

const FAMILY: &str = "arista/eos";
const SERIAL: &str = "WTW23490441";
const IP: &str = "127.0.1.21";
/// What is printed on the switch; the port that asks for an address has another one.
const MAC: &str = "2cdde9f6f99b";
const PORT: &str = "2cdde9f6f9a3";

async fn scene() -> (Scene, DeviceId) {
    let scene = Scene::by_lease().await;
    let id = scene
        .list(&Listed {
            family: FAMILY,
            model: "CCS-710P-16P",
            mac: Some(MAC),
            serial: Some(SERIAL),
            account: None,
            secrets: &[
                ("admin_password", "adm1n-of-it"),
                ("snmp_v3_auth", "auth-of-it-1"),
                ("snmp_v3_priv", "priv-of-it-1"),
            ],
            texts: &[("hostname", "sw-1"), ("snmp_v3_user", "watcher")],
        })
        .await;
    // The lease is the port's; the client's own packet named the serial.
    scene.lease_of(IP, PORT, Serial::parse(SERIAL)).await;
    (scene, id)
}

fn switch(scene: &Scene) -> Unit {
    let conduct = conduct(FAMILY);
    let who = Identity::sample(&conduct).unwrap();
    assert_eq!(who.serial, SERIAL);
    let mut around = scene.around(IP);
    around.pointer = Some(format!("{}ztp/bootstrap", scene.server.http()));
    Unit::factory(conduct, who, around).unwrap()
}

/// A person confirms this very unit: `device arm --keys`, without voiding what it was given.
async fn confirm(scene: &Scene, id: DeviceId) {
    scene.change(id, |config| config.arming.keys = true).await;
}

async fn is_up(scene: &Scene, id: DeviceId, switch: &Unit) {
    let told = scene.told(id).await;
    let account = switch.account();
    let account = account.unwrap_or_else(|| panic!("no configuration: {told:#?}"));
    assert_eq!(account.password.expose(), "adm1n-of-it");
    let activation = scene.activation(id).await;
    assert_eq!(activation.state, State::Active, "{told:#?}");
    assert!(!activation.flags.contains(&Flag::NeedsConfirmation));
    assert!(scene.alerts(id).await.is_empty());
}

#[tokio::test]
async fn walk_7_confirmed_before_first_contact() {
    let (scene, id) = scene().await;
    confirm(&scene, id).await;
    let mut switch = switch(&scene);
    switch.boot_until_quiet(4).await;
    is_up(&scene, id, &switch).await;
    scene.stop().await;
}

#[tokio::test]
async fn walk_7_confirmed_three_hours_after_first_contact() {
    let (scene, id) = scene().await;
    let mut switch = switch(&scene);
    switch.boot_until_quiet(4).await;
    assert!(switch.account().is_none());
    let told = scene.told(id).await;
    let activation = scene.activation(id).await;
    assert!(
        activation.flags.contains(&Flag::NeedsConfirmation),
        "{told:#?}"
    );
    scene.pass(3.hours()).await;
    confirm(&scene, id).await;
    for _ in 0..4 {
        if switch.account().is_none() {
            switch.boot_until_quiet(2).await;
        }
    }
    is_up(&scene, id, &switch).await;
    scene.stop().await;
}
