//! Walks 1 and 3: a desk phone that refuses private CAs and has no certificate.

use dialtone::model::activation::{Proof, State};
use dialtone::model::identity::Assurance;
use jiff::ToSpan as _;

use super::scene::{Listed, Scene};

const FAMILY: &str = "yealink/sip-t4-t5";
const MAC: &str = "805ec0d57d72";
const IP: &str = "127.0.1.7";

#[tokio::test]
async fn walk_1_from_the_box_to_its_account_and_back_again() {
    let scene = Scene::by_lease().await;
    let id = scene.list(&Listed::default()).await;
    scene.lease(IP, MAC).await;
    let mut phone = scene.unit(FAMILY, MAC, IP);

    // The bootstrap over plain HTTP, then HTTPS within two requests, then its account.
    let stories = phone.boot_until_quiet(6).await;
    assert!(
        phone.account().is_some(),
        "{stories:#?}\n{:#?}",
        scene.told(id).await
    );
    assert_eq!(phone.account().unwrap().password.expose(), "s3cret-of-214");
    let activation = scene.activation(id).await;
    assert_eq!(
        (activation.state, activation.proof),
        (State::Active, Some(Proof::Report)),
        "{:#?}",
        scene.told(id).await
    );

    // Three restarts at its token URL.
    for _ in 0..3 {
        scene.pass(20.minutes()).await;
        phone.boot_until_quiet(3).await;
        assert!(phone.account().is_some());
    }
    let device = scene.device(id).await;
    assert_eq!(
        device.status.ratchet.mark,
        Assurance::L2,
        "{:#?}",
        scene.told(id).await
    );
    assert!(device.status.window.closed_at.is_some());

    // A power cut in the middle.
    phone.power_cut_after(2);
    phone.boot().await;
    phone.boot_until_quiet(3).await;
    assert!(phone.account().is_some());
    assert!(
        scene.alerts(id).await.is_empty(),
        "{:?}",
        scene.alerts(id).await
    );

    // A factory reset: it asks as new, gets no account, and a person sees it.
    scene.pass(1.hours()).await;
    phone.factory_reset();
    phone.boot_until_quiet(6).await;
    assert!(phone.account().is_none());
    scene.pass(20.minutes()).await;
    let activation = scene.activation(id).await;
    assert_eq!(activation.state, State::Stalled);
    assert_eq!(activation.stage.as_deref(), Some("asks-as-new"));
    assert!(
        scene.alerts(id).await.is_empty(),
        "{:?}",
        scene.alerts(id).await
    );

    scene.arm(id).await;
    phone.factory_reset();
    phone.boot_until_quiet(6).await;
    assert!(phone.account().is_some(), "{:#?}", scene.told(id).await);
    assert_eq!(scene.activation(id).await.state, State::Active);
    scene.stop().await;
}

#[tokio::test]
async fn walk_3_by_prefix_nine_days_after_the_import() {
    let scene = Scene::by_prefix().await;
    let id = scene.list(&Listed::default()).await;
    scene.pass(9.days()).await;
    let mut phone = scene.unit(FAMILY, MAC, IP);
    phone.boot_until_quiet(6).await;
    assert!(phone.account().is_some(), "{:#?}", scene.told(id).await);
    assert_eq!(scene.activation(id).await.state, State::Active);
    scene.stop().await;
}

#[tokio::test]
async fn walk_2_with_a_public_certificate_it_is_https_at_once() {
    let scene = Scene::by_lease().await;
    let id = scene.list(&Listed::default()).await;
    scene.lease(IP, MAC).await;
    let mut phone = scene.unit(FAMILY, MAC, IP);
    // Our CA stands for one that the factory trusts.
    phone.around.public_roots = vec![scene.ca()];
    phone.around.pointer = Some(scene.server.https());
    phone.boot_until_quiet(6).await;
    assert!(phone.account().is_some(), "{:#?}", scene.told(id).await);
    let told = scene.told(id).await;
    // Our own CA, which is public, is all that it takes over the plain transport.
    let plain: Vec<&String> = told
        .iter()
        .filter(|line| line.starts_with("http "))
        .collect();
    assert!(
        plain.iter().all(|line| line.contains("-ca.pem")),
        "{told:#?}"
    );
    assert_eq!(scene.activation(id).await.state, State::Active);
    scene.stop().await;
}
