//! A site whose prefix is the proof, and one host that says one unit's name after the other: it stops
//! being a proof, people are told, and the command that they are told lets it be believed again.

use std::sync::Arc;

use dialtone::answer::{Answer, Body, Delivery, Door};
use dialtone::engine::facts::Facts;
use dialtone::engine::target;
use dialtone::model::identity::{Channel, DeviceId};
use dialtone::model::site::Doubt;
use dialtone::service::Service;
use jiff::ToSpan as _;

use super::commands::Shell;
use super::scene::{Listed, Scene};

const PASSWORD: &str = "s3cret-of-214";

fn mac(n: u32) -> String {
    format!("805ec0d57d{n:02x}")
}

async fn list(scene: &Scene, units: u32) -> Vec<DeviceId> {
    let mut ids = Vec::new();
    for n in 0..units {
        let mac = mac(n);
        let listed = Listed {
            mac: Some(&mac),
            ..Listed::default()
        };
        ids.push(scene.list(&listed).await);
    }
    ids
}

/// Whether a host within the prefix that says this unit's name has its password.
async fn takes(door: &Service, n: u32) -> bool {
    let path = format!("/{}.cfg", mac(n));
    let mut facts = Facts::new(Channel::Https, target::parse(path.as_bytes()).unwrap());
    facts.source = Some([127, 0, 1, 44].into());
    let Answer::File(file) = door.answer(facts).await else {
        return false;
    };
    let Body::Bytes(bytes) = &file.body else {
        panic!("a file from disk");
    };
    let length = u64::try_from(bytes.len()).unwrap();
    door.delivered(&file.ticket, Delivery::Whole, length).await;
    String::from_utf8_lossy(bytes).contains(PASSWORD)
}

fn doubt(scene: &Scene) -> Option<Doubt> {
    scene.hub().store.settings().unwrap().sites["hq"].doubt
}

/// It is red in doctor, and the next step's command, as it stands there, lets it be believed again.
async fn told_and_let(scene: &Scene, unit: u32) {
    let shell = Shell::of(scene);
    let told = shell.runs("dialtone doctor --json || true").await;
    assert!(told.contains("\"prefix-doubted\""), "{told}");
    let command = shell.next_command(&mac(unit)).await;
    assert_eq!(command, "dialtone site set hq --corroborate prefix");
    scene.pass(1.minutes()).await;
    shell.runs(&command).await;
    assert_eq!(doubt(scene), None);
}

#[tokio::test]
async fn a_prefix_is_believed_for_as_many_units_as_the_site_expects() {
    let scene = Scene::by_prefix_expecting(1).await;
    let ids = list(&scene, 2).await;
    let mut phone = scene.unit("yealink/sip-t4-t5", &mac(0), "127.0.1.41");
    phone.boot_until_quiet(6).await;
    assert!(phone.account().is_some(), "{:#?}", scene.told(ids[0]).await);
    // A server that was started since knows it too.
    let again = Service::new(Arc::clone(scene.server.hub()));
    again.sweep().await.unwrap();
    assert!(!takes(&again, 1).await);
    assert_eq!(doubt(&scene), Some(Doubt::MoreThanExpected));
    let told = scene.told(ids[1]).await;
    assert!(
        told.iter().any(|line| line.contains(" prefix-doubted ")),
        "{told:#?}"
    );
    // The first one has its token, and goes on.
    phone.boot_until_quiet(2).await;
    assert!(phone.account().is_some());

    told_and_let(&scene, 1).await;
    assert!(takes(&scene.service, 1).await);
    scene.stop().await;
}

#[tokio::test]
async fn a_prefix_is_believed_no_more_after_six_units_that_never_report() {
    let scene = Scene::by_prefix().await;
    let ids = list(&scene, 7).await;
    for n in 0..6 {
        assert!(takes(&scene.service, n).await, "{n}");
    }
    // They stall, and the sweep after that counts them.
    scene.pass(20.minutes()).await;
    assert_eq!(doubt(&scene), None);
    scene.pass(1.minutes()).await;
    assert_eq!(doubt(&scene), Some(Doubt::NeverReported));
    assert!(!takes(&scene.service, 6).await);
    let told = scene.told(ids[6]).await;
    assert!(told[0].contains(" prefix-doubted "), "{told:#?}");

    told_and_let(&scene, 6).await;
    // What was before is settled.
    scene.pass(1.minutes()).await;
    assert_eq!(doubt(&scene), None);
    assert!(takes(&scene.service, 6).await);
    scene.stop().await;
}
