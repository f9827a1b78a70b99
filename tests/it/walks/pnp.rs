//! Walk 1 with SIP PnP there: a phone that takes its server from the NOTIFY, and what is recorded.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use dialtone::hub::News;
use dialtone::model::activation::{CheckKind, State};
use dialtone::model::identity::Channel;
use dialtone::simulate::pnp::{self, Subscriber};
use dialtone::store::Write;
use jiff::ToSpan as _;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::scene::{Listed, Scene};
use crate::device_plane::PATIENCE;

const FAMILY: &str = "yealink/sip-t4-t5";
const MAC: &str = "805ec0d57d72";
const IP: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 7);

impl Scene {
    /// The site's units are told our plain address.
    async fn point_at_http(&self) {
        let rows = self.hub().store.settings().unwrap();
        let mut site = rows.sites["hq"].clone();
        site.public_http_url = Some(self.server.http());
        self.write(vec![Write::PutSite(site)]).await;
    }

    fn sip_pnp(&self) -> SocketAddr {
        self.server.running.addresses.sip_pnp[0]
    }

    /// What a phone is told that asks with this Call-ID; comes back when it is on record that it
    /// took it.
    async fn ask(&self, mac: &str, call_id: &str) -> pnp::Told {
        let mut news = self.hub().news.subscribe();
        let who = Subscriber {
            user: format!("MAC%3a{mac}"),
            event: "vendor=\"Yealink\";model=\"T46S\";version=\"66.86.0.15\"".to_owned(),
            agent: "Yealink SIP-T46S 66.86.0.15".to_owned(),
            call_id: call_id.to_owned(),
            ip: IP,
        };
        let told = pnp::ask(&who, self.sip_pnp()).await.expect("it is told");
        if mac == MAC {
            let taken = async {
                loop {
                    if let News::Check(check) = news.recv().await.unwrap()
                        && check.reason == "acknowledged"
                    {
                        break;
                    }
                }
            };
            timeout(PATIENCE, taken).await.expect("it is on record");
        }
        told
    }
}

#[tokio::test]
async fn walk_1_pnp_there() {
    let scene = Scene::by_lease().await;
    scene.point_at_http().await;
    let id = scene.list(&Listed::default()).await;
    scene.lease(&IP.to_string(), MAC).await;
    let mut phone = scene.unit(FAMILY, MAC, &IP.to_string());
    phone.around.pointer = None;

    let told = scene.ask(MAC, "boot-1").await;
    assert!(told.answered);
    assert_eq!(told.url, scene.server.http());
    assert_eq!(scene.activation(id).await.state, State::Seen);
    phone.around.pointer = Some(told.url);
    phone.boot_until_quiet(6).await;
    assert!(phone.account().is_some(), "{:#?}", scene.told(id).await);
    assert_eq!(scene.activation(id).await.state, State::Active);
    // One boot over both channels.
    let checks = scene.checks(id).await;
    let by_pnp: Vec<(CheckKind, &str)> = checks
        .iter()
        .filter(|check| check.channel == Channel::SipPnp)
        .map(|check| (check.kind, check.reason.as_str()))
        .collect();
    assert_eq!(
        by_pnp,
        [
            (CheckKind::Seen, "pointed"),
            (CheckKind::Delivery, "acknowledged")
        ]
    );
    let first = checks.first().unwrap().boot;
    let began = checks
        .iter()
        .take_while(|check| check.boot == first)
        .count();
    assert!(began > 3, "{:#?}", scene.told(id).await);

    // Three restarts, each a boot of its own: PnP is there, and the phone is pinned.
    for n in 2..5 {
        scene.pass(2.minutes()).await;
        let boots = scene.device(id).await.status.boots.len();
        let told = scene.ask(MAC, &format!("boot-{n}")).await;
        phone.around.pointer = Some(told.url);
        phone.boot_until_quiet(3).await;
        assert!(phone.account().is_some());
        let device = scene.device(id).await;
        assert_eq!(
            device.status.boots.len(),
            boots + 1,
            "{:#?}",
            scene.told(id).await
        );
        assert_eq!(scene.activation(id).await.state, State::Active);
    }
    assert!(
        scene.alerts(id).await.is_empty(),
        "{:?}",
        scene.alerts(id).await
    );

    // A factory reset takes it back to PnP: it asks as new.
    scene.pass(1.hours()).await;
    phone.factory_reset();
    let told = scene.ask(MAC, "boot-9").await;
    phone.around.pointer = Some(told.url);
    phone.boot_until_quiet(6).await;
    assert!(phone.account().is_none());
    scene.pass(20.minutes()).await;
    let activation = scene.activation(id).await;
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
    scene.stop().await;
}

/// E24: a forged MAC is told the base, as anybody of its family is, and nothing of the unit.
#[tokio::test]
async fn e24_a_forged_mac_is_told_the_base_url_alone() {
    let scene = Scene::by_lease().await;
    scene.point_at_http().await;
    let id = scene.list(&Listed::default()).await;
    let listed = scene.ask(MAC, "forged").await;
    let stranger = scene.ask("805ec0000099", "other").await;
    assert_eq!(listed.url, scene.server.http());
    assert_eq!(listed.url, stranger.url);
    // Nor can anybody learn that a MAC is listed as another maker's.
    let other = "805ec0d57d73";
    let listed = Listed {
        family: "snom/desk",
        model: "D785",
        mac: Some(other),
        ..Listed::default()
    };
    let id_of_other = scene.list(&listed).await;
    assert_eq!(scene.ask(other, "third").await.url, stranger.url);
    let alerts = scene.alerts(id_of_other).await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    // The stranger is noted among the sightings, the forger as a contact at L0.
    let rows = scene.hub().sightings.lock().unwrap().list();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].channel, Channel::SipPnp);
    let told = scene.told(id).await;
    assert!(told.iter().all(|line| line.ends_with(" L0")), "{told:#?}");

    // What is malformed or none of ours is silence, and what is well asked is answered after it.
    let socket = UdpSocket::bind((IP, 0)).await.unwrap();
    let own = socket.local_addr().unwrap();
    let subscribe = |call_id: &str, more: &str| {
        format!(
            "SUBSCRIBE sip:MAC%3a805ec0000098@x SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKb;rport\r\n\
             From: <sip:a@x>;tag=1\r\nTo: <sip:a@x>\r\nCall-ID: {call_id}\r\nCSeq: 1 SUBSCRIBE\r\n\
             Event: ua-profile;vendor=\"Yealink\";model=\"T46S\"\r\n{more}\r\n"
        )
    };
    let good = subscribe("good", "");
    for hostile in [
        subscribe("1", &format!("X: {}\r\n", "a".repeat(5000))),
        subscribe("2", "Content-Length: 900\r\n"),
        subscribe("3", "").replace("SUBSCRIBE", "NOTIFY"),
        subscribe("4", "")
            .replace("Yealink", "Nobody")
            .replace("805ec0", "020000"),
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKb\r\nCSeq: 1 NOTIFY\r\n\r\n".to_owned(),
        good,
    ] {
        socket
            .send_to(hostile.as_bytes(), scene.sip_pnp())
            .await
            .unwrap();
    }
    let mut buffer = vec![0; 4096];
    let got = timeout(PATIENCE, socket.recv_from(&mut buffer)).await;
    let (length, from) = got.expect("an answer").unwrap();
    let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert!(answer.contains("Call-ID: good\r\n"), "{answer}");
    assert_eq!(from.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    scene.stop().await;
}
