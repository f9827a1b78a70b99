//! A changed `public_url` strands nobody who was pinned to the one before.

use dialtone::cli::client::{Api, Call};
use dialtone::model::activation::State;
use jiff::ToSpan as _;
use serde_json::Value;

use super::scene::{Listed, Scene};
const FAMILY: &str = "yealink/sip-t4-t5";
const MAC: &str = "805ec0d57d72";
const IP: &str = "127.0.1.9";

/// Sets the base that units are told, and reloads.
async fn tell(scene: &Scene, base: &str) {
    let file = scene.server.path("dialtone.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let rest = text.lines().filter(|line| !line.starts_with("public_url"));
    let rest: Vec<&str> = rest.collect();
    let text = format!("public_url = {base:?}\n{}\n", rest.join("\n"));
    std::fs::write(&file, text).unwrap();
    let reloaded = scene.server.running.reload().await;
    assert_eq!(reloaded, Ok(Vec::new()));
}

async fn findings(scene: &Scene) -> Vec<String> {
    let api = Api::at(&scene.server.path("data/admin.sock"));
    let report = api.get(&Call::to(&["doctor"])).await.unwrap();
    let found = report["findings"].as_array().unwrap().clone();
    let former = found.iter().filter(|one| one["code"] == "former-host");
    let text = |one: &Value| one["subject"].as_str().unwrap().to_owned();
    former.map(text).collect()
}

#[tokio::test]
async fn a_pinned_unit_is_reached_at_its_old_name() {
    let scene = Scene::by_lease().await;
    let port = scene.server.running.addresses.https[0].port();
    let (old, new) = (
        format!("https://localhost:{port}"),
        format!("https://127.0.0.1:{port}"),
    );
    tell(&scene, &old).await;
    let id = scene.list(&Listed::default()).await;
    scene.lease(IP, MAC).await;
    let mut phone = scene.unit(FAMILY, MAC, IP);
    phone.boot_until_quiet(6).await;
    assert!(phone.account().is_some(), "{:#?}", scene.told(id).await);
    scene.pass(20.minutes()).await;
    let stories = phone.boot_until_quiet(3).await;
    let asked = format!("{stories:?}");
    assert!(asked.contains(&format!("{old}/u/")), "{asked}");
    assert!(findings(&scene).await.is_empty());

    tell(&scene, &new).await;
    assert_eq!(findings(&scene).await, ["localhost"]);
    scene.pass(20.minutes()).await;
    let stories = phone.boot_until_quiet(3).await;
    let asked = format!("{stories:?}");
    assert!(asked.contains(&format!("{old}/u/")), "{asked}");
    assert!(phone.account().is_some(), "{:#?}", scene.told(id).await);
    // Now it knows the new one.
    assert!(findings(&scene).await.is_empty());
    scene.pass(20.minutes()).await;
    let asked = format!("{:?}", phone.boot_until_quiet(3).await);
    assert!(asked.contains(&format!("{new}/u/")), "{asked}");
    assert!(!asked.contains("localhost"), "{asked}");
    assert_eq!(scene.activation(id).await.state, State::Active);

    // Nobody is pinned any more: the old name goes at the next change.
    scene.arm(id).await;
    tell(&scene, &format!("{new}/p")).await;
    assert!(scene.hub().former.load().is_empty());
    scene.stop().await;
}
