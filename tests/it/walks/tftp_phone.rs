//! Walk 4 over TFTP alone, and hostile-cases C15: what a plain transport may have.

use std::net::SocketAddr;

use dialtone::model::activation::{Flag, Proof, State};
use dialtone::model::identity::DeviceId;
use jiff::ToSpan as _;

use super::scene::{Listed, Scene};
use crate::tftp_support::Client;

const FAMILY: &str = "cisco/spa";
const MAC: &str = "000e08d57d72";
const IP: &str = "127.0.1.9";
const SECRET: &str = "CANARY-214-1";

fn listed() -> Listed<'static> {
    Listed {
        family: FAMILY,
        model: "SPA942",
        mac: Some(MAC),
        account: Some(("214", SECRET)),
        ..Listed::default()
    }
}

async fn client(scene: &Scene, ip: &str) -> Client {
    let server: SocketAddr = scene.server.running.addresses.tftp[0];
    Client::at(&format!("{ip}:0"), server).await
}

/// Servings that the unit's window counted, and whether it is bound.
async fn window(scene: &Scene, id: DeviceId) -> (u32, bool) {
    let window = scene.device(id).await.status_copy().window;
    (window.servings, window.bound_to.is_some())
}

#[tokio::test]
async fn walk_4_over_tftp_a_plain_phone_comes_up_with_a_waiver_and_not_before() {
    let scene = Scene::by_lease().await;
    let id = scene.list(&listed()).await;
    scene.lease(IP, MAC).await;
    let mut phone = scene.unit_by_tftp(FAMILY, MAC, IP);
    phone.boot_until_quiet(4).await;
    assert!(phone.account().is_none());
    let activation = scene.activation(id).await;
    let told = scene.told(id).await;
    assert!(activation.flags.contains(&Flag::NeedsWaiver), "{told:#?}");

    scene.waive("SPA942").await;
    scene.pass(1.hours()).await;
    let stories = phone.boot_until_quiet(4).await;
    let by_tftp = format!("{stories:?}").contains("tftp://");
    let account = phone.account().unwrap_or_else(|| panic!("no account"));
    assert_eq!(account.password.expose(), SECRET);
    let activation = scene.activation(id).await;
    let told = scene.told(id).await;
    assert_eq!(
        (activation.state, activation.proof),
        (State::Served, Some(Proof::NonePossible)),
        "{told:#?}"
    );
    // The file of its model came over TFTP, and sent it on to our plain address for its own.
    assert!(by_tftp, "{stories:#?}");
    scene.stop().await;
}

#[tokio::test]
async fn c15_a_secret_goes_over_tftp_to_nobody_but_whom_a_waiver_names() {
    let scene = Scene::by_lease().await;
    let id = scene.list(&listed()).await;
    let name = format!("{MAC}.xml");
    let ask = async |ip: &str, name: &str| {
        let client = client(&scene, ip).await;
        client.read(name, &[]).await;
        let got = client.got().await;
        if got.packet[1] == 3 {
            let got = client.whole(name, &[]).await;
            assert!(!String::from_utf8_lossy(&got).contains("CANARY"), "{ip}");
        }
        got.packet
    };
    // Below L1 the listed name and another are the same; without a waiver L1 is not enough.
    let other = "000e08d57d73.xml";
    assert_eq!(
        ask("127.0.1.8", &name).await.len(),
        ask("127.0.1.8", other).await.len()
    );
    scene.lease(IP, MAC).await;
    ask(IP, &name).await;
    assert_eq!(window(&scene, id).await.0, 0);
    scene.waive("SPA942").await;
    ask("127.0.1.8", &name).await;
    let whole = client(&scene, IP).await.whole(&name, &[]).await;
    assert!(String::from_utf8_lossy(&whole).contains(SECRET));
    assert_eq!(window(&scene, id).await, (1, true));
    settled(&scene, id, "whole").await;
    let told = scene.told(id).await;
    let arrived = format!("tftp delivery pass whole {name} L1");
    assert_eq!(told.last(), Some(&arrived), "{told:#?}");
    let activation = scene.activation(id).await;
    assert_eq!(
        (activation.state, activation.proof),
        (State::Served, Some(Proof::NonePossible))
    );
    scene.stop().await;
}

/// Hostile-cases C17, on the whole way to a phone's file: slashes before a name say nothing, its case
/// is what the vendor's folder says.
#[tokio::test]
async fn c17_a_name_is_what_its_vendor_says() {
    let scene = Scene::by_lease().await;
    scene.waive("7941G").await;
    // Each has its file once.
    for (before, n) in ["", "/", "\\", "\\\\"].into_iter().zip(5..) {
        let (mac, ip) = (format!("00112233445{n}"), format!("127.0.1.{n}"));
        let listed = Listed {
            family: "cisco/sep",
            model: "7941G",
            mac: Some(&mac),
            account: Some(("214", SECRET)),
            ..Listed::default()
        };
        let id = scene.list(&listed).await;
        scene.lease(&ip, &mac).await;
        let name = format!("{before}SEP{mac}.cnf.xml");
        let file = client(&scene, &ip).await.whole(&name, &[]).await;
        let told = scene.told(id).await;
        assert!(
            String::from_utf8_lossy(&file).contains(SECRET),
            "{name} {told:#?}"
        );
        scene.arm(id).await;
    }
    let ip = "127.0.1.5";
    for name in [
        "sep001122334455.cnf.xml",
        "SEP00112233445F.cnf.xml",
        "SEP001122334455.CNF.XML",
        "SEP001122334455.cnf.xml.sgn",
    ] {
        let answer = client(&scene, ip).await.asks(name, &[]).await;
        assert_eq!(answer, Err(1), "{name}");
    }
    scene.stop().await;
}

#[tokio::test]
async fn a_request_that_nobody_answers_uses_no_serving_up() {
    let scene = Scene::by_lease().await;
    let id = scene.list(&listed()).await;
    scene.lease(IP, MAC).await;
    scene.waive("SPA942").await;
    let name = format!("{MAC}.xml");
    // Asked for its size eight times: no octet of the file left, and nothing is used up.
    for _ in 0..8 {
        let client = client(&scene, IP).await;
        client.read(&name, &[("tsize", "0")]).await;
        let got = client.got().await;
        assert_eq!(got.packet[1], 6, "{:?}", got.packet);
        client.reply(b"\0\x05\0\0no\0", got.from).await;
        settled(&scene, id, "unanswered").await;
    }
    assert_eq!(
        window(&scene, id).await,
        (0, true),
        "{:#?}",
        scene.told(id).await
    );
    // A forged one: its block goes out once, and after a while it is as if nobody had asked.
    let forged = client(&scene, IP).await;
    forged.read(&name, &[]).await;
    forged.got().await;
    assert_eq!(window(&scene, id).await, (1, true));
    settled(&scene, id, "unanswered").await;
    assert_eq!(window(&scene, id).await, (0, true));
    let whole = client(&scene, IP).await.whole(&name, &[]).await;
    assert!(String::from_utf8_lossy(&whole).contains(SECRET));
    settled(&scene, id, "whole").await;
    assert_eq!(window(&scene, id).await, (1, true));
    scene.stop().await;
}

/// Waits until the last check is the end of a transfer with this reason.
async fn settled(scene: &Scene, id: DeviceId, reason: &str) {
    let mut news = scene.hub().news.subscribe();
    let wait = async {
        loop {
            let checks = scene.checks(id).await;
            let last = checks.iter().max_by_key(|check| check.seq);
            if last.is_some_and(|check| check.reason == reason) {
                return;
            }
            drop(news.recv().await);
        }
    };
    let came = tokio::time::timeout(crate::device_plane::PATIENCE, wait).await;
    came.expect("the transfer's end is recorded");
}

/// The waterfall of names of a switch's installer: a fast ERROR 1 for each, for a time-out would stop it.
#[tokio::test]
async fn net_030_each_name_of_the_waterfall_is_refused_at_once() {
    let scene = Scene::by_lease().await;
    let client = client(&scene, IP).await;
    let file = "onie-installer-x86_64";
    let mut names = vec![format!("00-11-22-33-44-55/{file}")];
    names.extend(
        (1..=8)
            .rev()
            .map(|end| format!("{}/{file}", &"C000020A"[..end])),
    );
    assert_eq!(names.len(), 9);
    for name in names {
        client.read(&name, &[]).await;
        assert_eq!(client.error().await, 1, "{name}");
    }
    scene.stop().await;
}
