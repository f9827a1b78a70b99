//! A TLS handshake that dies is an activation check of the unit at that address, or stands on its
//! sighting (contract section 3). Played by curl and openssl.

use dialtone::hub::News;
use dialtone::model::activation::{CheckKind, Outcome};
use dialtone::model::identity::Mac;
use tokio::process::Command;
use tokio::sync::broadcast::Receiver;

use super::scene::{Listed, Scene};

const MAC: &str = "805ec0d57d72";

/// Lets a program of somebody else try from `ip`; it must fail.
async fn fails(program: &str, words: &[&str]) {
    let ended = Command::new(program)
        .args(words)
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(!ended.status.success(), "{program} {words:?}");
}

fn https(scene: &Scene) -> String {
    let base = scene.hub().bases.load().https.clone();
    base.expect("a base")
}

async fn distrusts(scene: &Scene, ip: &str) {
    let url = format!("{}{MAC}.cfg", https(scene));
    fails("curl", &["-sS", "--interface", ip, &url]).await;
}

async fn is_too_old(scene: &Scene, ip: &str) {
    let url = https(scene);
    let to = url.trim_start_matches("https://").trim_end_matches('/');
    let words = [
        "s_client",
        "-bind",
        ip,
        "-connect",
        to,
        "-tls1_1",
        "-cipher",
        "ALL:@SECLEVEL=0",
    ];
    fails("openssl", &words).await;
}

async fn heard(news: &mut Receiver<News>, wanted: impl Fn(&News) -> bool) {
    while !wanted(&news.recv().await.expect("news")) {}
}

#[tokio::test]
async fn a_handshake_that_dies_is_a_check_of_the_unit_with_that_lease() {
    let scene = Scene::by_lease().await;
    let id = scene
        .list(&Listed {
            family: "yealink/sip-t4-t5",
            model: "T46S",
            mac: Some(MAC),
            ..Listed::default()
        })
        .await;
    scene.lease("127.0.1.21", MAC).await;
    let mut news = scene.hub().news.subscribe();
    distrusts(&scene, "127.0.1.21").await;
    heard(&mut news, |news| matches!(news, News::Check(_))).await;
    is_too_old(&scene, "127.0.1.21").await;
    heard(&mut news, |news| matches!(news, News::Check(_))).await;
    // An address that is nobody's says nothing of the unit.
    distrusts(&scene, "127.0.1.22").await;
    let checks = scene.checks(id).await;
    let told: Vec<_> = checks
        .iter()
        .map(|check| (check.kind, check.outcome, check.reason.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                CheckKind::Tls,
                Outcome::Fail,
                "tls-client-rejects-certificate"
            ),
            (CheckKind::Tls, Outcome::Fail, "tls-too-old"),
        ]
    );
    scene.stop().await;
}

#[tokio::test]
async fn a_handshake_of_a_unit_that_is_not_listed_stands_on_its_sighting() {
    let scene = Scene::by_lease().await;
    let ip = "127.0.1.23";
    let url = scene.hub().bases.load().http.clone();
    let url = format!("{}{MAC}.cfg", url.expect("a base"));
    let agent = "Yealink SIP-T46S 66.85.0.5 80:5e:c0:d5:7d:72";
    let asked = Command::new("curl")
        .args([
            "-sS",
            "-o",
            "/dev/null",
            "--interface",
            ip,
            "-A",
            agent,
            &url,
        ])
        .status()
        .await
        .expect("curl");
    assert!(asked.success());
    let reason = || {
        let rows = scene.hub().sightings.lock().expect("the sightings");
        let rows = rows.list();
        let row = rows.iter().find(|row| row.mac == Mac::parse(MAC).ok());
        row.expect("a sighting").reason.clone()
    };
    assert_eq!(reason(), "not-listed");
    let mut news = scene.hub().news.subscribe();
    distrusts(&scene, ip).await;
    heard(&mut news, |news| matches!(news, News::Quarantine(_))).await;
    assert_eq!(reason(), "tls-client-rejects-certificate");
    scene.stop().await;
}
