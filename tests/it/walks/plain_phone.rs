//! Walk 4: a phone whose TLS is too old for us.

use dialtone::model::activation::{Flag, Proof, State};
use dialtone::model::profile::Value;
use jiff::ToSpan as _;

use super::scene::{Listed, Scene};

const FAMILY: &str = "cisco/spa";
const MAC: &str = "000e08d57d72";
const IP: &str = "127.0.1.9";

fn listed() -> Listed<'static> {
    Listed {
        family: FAMILY,
        model: "SPA942",
        mac: Some(MAC),
        ..Listed::default()
    }
}

#[tokio::test]
async fn walk_4_a_plain_phone_comes_up_with_a_waiver_and_not_before() {
    let scene = Scene::by_lease().await;
    let id = scene.list(&listed()).await;
    scene.lease(IP, MAC).await;
    let mut phone = scene.unit(FAMILY, MAC, IP);
    phone.boot_until_quiet(4).await;
    assert!(phone.account().is_none());
    let activation = scene.activation(id).await;
    assert!(
        activation.flags.contains(&Flag::NeedsWaiver),
        "{:#?}",
        scene.told(id).await
    );

    scene.waive("SPA942").await;
    scene.pass(1.hours()).await;
    phone.boot_until_quiet(4).await;
    let account = phone.account().unwrap_or_else(|| panic!("no account"));
    assert_eq!(account.password.expose(), "s3cret-of-214");
    let activation = scene.activation(id).await;
    assert_eq!(
        (activation.state, activation.proof),
        (State::Served, Some(Proof::NonePossible)),
        "{:#?}",
        scene.told(id).await
    );
    assert!(!activation.flags.contains(&Flag::NeedsWaiver));

    // Served is the end: the window is shut, and what it has it keeps.
    scene.pass(1.hours()).await;
    phone.boot_until_quiet(4).await;
    assert!(phone.account().is_some());
    let told = scene.told(id).await;
    assert!(
        told.iter().any(|line| line.contains("outside-window")),
        "{told:#?}"
    );

    // A password that a person changes opens it again, for this place.
    scene.secret(id, "line.1.password", "new-s3cret").await;
    scene
        .change(id, |config| {
            let name = "locale".to_owned();
            config
                .variables
                .0
                .insert(name, Value::Text("de-DE".to_owned()));
        })
        .await;
    scene.pass(1.hours()).await;
    phone.boot_until_quiet(4).await;
    let account = phone.account().unwrap_or_else(|| panic!("no account"));
    assert_eq!(
        account.password.expose(),
        "new-s3cret",
        "{:#?}",
        scene.told(id).await
    );
    scene.stop().await;
}
