//! What happened, over the API; who may ask; what the TCP listener answers; anchors.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::Ordering;

use dialtone::hub::News;
use dialtone::model::activation::{Check, CheckKind, Outcome};
use dialtone::model::event::{Alert, AlertKind};
use dialtone::model::identity::{Assurance, BootId, Channel, DeviceId, LevelBy};
use dialtone::store::{Batch, Write};
use dialtone::web;
use http::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::{Server, desk};

fn check(server: &Server, device: DeviceId, boot: u64) -> Check {
    Check {
        seq: 0,
        at: server.hub.now(),
        device,
        boot: BootId(boot),
        channel: Channel::Https,
        kind: CheckKind::Request,
        outcome: Outcome::Pass,
        path: Some("u/~/x.cfg".to_owned()),
        assurance: Assurance::L2,
        level_by: LevelBy::Token,
        revision: None,
        digest: None,
        bytes: Some(10),
        ip: Some([10, 0, 0, 1].into()),
        reason: "served".to_owned(),
        text: String::new(),
    }
}

#[tokio::test]
async fn checks_are_listed_by_time_site_and_device() {
    let server = Server::start();
    for mac in ["001565000001", "001565000002"] {
        server.post("/devices", desk(mac)).await.good();
    }
    let ids = [1, 2].map(DeviceId);
    for minute in 0..30_u64 {
        server
            .clock
            .store(i64::try_from(minute).unwrap() * 60, Ordering::SeqCst);
        let id = ids[usize::from(minute % 3 == 0)];
        let write = Write::AddCheck(check(&server, id, minute / 10));
        server
            .hub
            .store
            .commit(Batch::now(vec![write]))
            .await
            .unwrap();
    }
    let seqs = async |path: &str| -> Vec<u64> {
        let found = server.get(path).await.good();
        let items = found["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["seq"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(seqs("/activation?limit=1000").await.len(), 30);
    let since = "2026-11-23T12:20:00Z";
    assert_eq!(
        seqs(&format!("/activation?since={since}")).await,
        (21..=30).collect::<Vec<_>>()
    );
    assert_eq!(seqs("/devices/001565000002/events").await.len(), 10);
    assert_eq!(
        seqs("/activation?device=001565000002&limit=3").await,
        [1, 4, 7]
    );
    assert_eq!(
        seqs("/activation?device=001565000002&limit=3&after=7").await,
        [10, 13, 16]
    );
    assert_eq!(seqs("/activation?site=hq").await, Vec::<u64>::new());
    let page = server.get("/activation?limit=30").await.good();
    assert_eq!(page["next"], Value::Null);
    let expect = json!({
        "seq": 1, "at": "2026-11-23T12:00:00Z", "device": ids[1].to_string(), "boot": "0000000000000000",
        "channel": "https", "kind": "request", "outcome": "pass", "path": "u/~/x.cfg", "assurance": "L2",
        "level_by": "token", "profile_revision": null, "digest": null, "bytes": 10, "ip": "10.0.0.1",
        "reason": "served", "text": "",
    });
    assert_eq!(page["items"][0], expect);
    let trace = server.get("/devices/001565000002/trace").await.good();
    let boots = trace["boots"].as_array().unwrap();
    assert_eq!(boots.len(), 3);
    assert_eq!(
        boots[0]["steps"][0]["text"],
        "asked for u/~/x.cfg over HTTPS (L2 by token): served, 10 octets"
    );
    server
        .get("/activation?since=yesterday")
        .await
        .fails(422, "time-invalid");
    server
        .get("/activation?device=nobody")
        .await
        .fails(404, "not-found");
    let totals = server.get("/activation/summary").await.good();
    assert_eq!(
        (&totals["total"], &totals["states"]),
        (&json!(2), &json!({"expected": 2}))
    );
    server
        .get("/activation/summary?site=hq")
        .await
        .fails(404, "not-found");
}

#[tokio::test]
async fn alerts_and_the_trail_are_listed() {
    let server = Server::start();
    server.post("/devices", desk("001565000001")).await.good();
    let alert = Alert {
        kind: AlertKind::OtherPlace,
        device: DeviceId(1),
        first: server.hub.now(),
        last: server.hub.now(),
        count: 2,
        places: vec!["here".to_owned(), "there".to_owned()],
        text: "asked from elsewhere".to_owned(),
    };
    let write = Write::PutAlert(alert);
    server
        .hub
        .store
        .commit(Batch::now(vec![write]))
        .await
        .unwrap();
    let found = server.get("/alerts").await.good();
    let item = &found["items"][0];
    assert_eq!(
        (&item["kind"], &item["name"]),
        (&json!("other-place"), &json!("001565000001"))
    );
    let trail = server.get("/audit?limit=1").await.good();
    assert_eq!(trail["items"][0]["action"], "device.add");
    let subject = format!("device 001565000001 {}", DeviceId(1));
    assert_eq!(trail["items"][0]["subject"], subject.as_str());
    assert_eq!(server.admin.sightings().len(), 0);
}

/// An alert goes when a person looked at it, or when its unit is armed anew; both are in the trail.
#[tokio::test]
async fn an_alert_goes_when_it_was_looked_at() {
    let server = Server::start();
    dialtone::admin::profile::auto_publish(&server.hub)
        .await
        .unwrap();
    server.post("/devices", desk("001565000001")).await.good();
    let raise = async |kind: AlertKind, device: DeviceId| {
        let alert = Alert {
            kind,
            device,
            first: server.hub.now(),
            last: server.hub.now(),
            count: 3,
            places: Vec::new(),
            text: String::new(),
        };
        let batch = Batch::now(vec![Write::PutAlert(alert)]);
        server.hub.store.commit(batch).await.unwrap();
    };
    let level = async || server.get("/status").await.good()["level"].clone();
    let last = async |action: &str| {
        let trail = server.hub.store.audit(0, 100).await.unwrap();
        let entry = trail.iter().rfind(|entry| entry.action == action).unwrap();
        (entry.subject.clone(), entry.detail.clone())
    };
    raise(AlertKind::OtherPlace, DeviceId(1)).await;
    raise(AlertKind::UntrustedOption82, DeviceId(0)).await;
    assert_eq!(level().await, "red");

    let network = "/alerts/untrusted-option82/_";
    let dry = server.delete(&format!("{network}?dry_run=true")).await;
    assert_eq!(dry.good()["count"], 3);
    server.delete(network).await.good();
    server.delete(network).await.fails(404, "not-found");
    let (subject, detail) = last("alert.remove").await;
    assert_eq!(
        (subject.as_str(), detail.as_str()),
        ("the network", "untrusted-option82, 3 times")
    );
    let told = server.delete("/alerts/other-plaice/001565000001").await;
    let told = told.fails(404, "not-found");
    assert_eq!(told["hint"], "did you mean other-place?");
    assert_eq!(level().await, "red");
    let gone = server.delete("/alerts/other-place/00:15:65:00:00:01").await;
    assert_eq!(gone.good()["name"], "001565000001");
    assert_ne!(level().await, "red");

    raise(AlertKind::TokenTwoPlaces, DeviceId(1)).await;
    server
        .post("/devices/001565000001/suspend", json!({}))
        .await
        .good();
    assert_eq!(level().await, "red", "only arming settles it");
    server
        .post("/devices/001565000001/arm", json!({}))
        .await
        .good();
    assert_ne!(level().await, "red");
    let (_, detail) = last("device.arm").await;
    assert!(detail.contains("alert token-two-places"), "{detail}");
}

/// `activation watch --since` shows the past and goes on; the totals take the same word.
#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_where_watching_begins() {
    use std::io::BufRead as _;

    let server = Server::start();
    server.post("/devices", desk("001565000001")).await.good();
    for minute in [0, 10, 20] {
        server.clock.store(minute * 60, Ordering::SeqCst);
        let write = Write::AddCheck(check(&server, DeviceId(1), 1));
        let batch = Batch::now(vec![write]);
        server.hub.store.commit(batch).await.unwrap();
    }
    let since = "2026-11-23T12:05:00Z";
    let socket = format!("unix:{}", server.socket.display());
    let mut watching = std::process::Command::new(env!("CARGO_BIN_EXE_dialtone"))
        .args(["activation", "watch", "--json", "--since", since])
        .args(["--server", &socket])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(watching.stdout.take().unwrap()).lines();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let check: Value = serde_json::from_str(&line).unwrap();
            drop(told.send(check["at"].as_str().unwrap().to_owned()));
        }
    });
    assert_eq!(heard.recv().await.unwrap(), "2026-11-23T12:10:00Z");
    assert_eq!(heard.recv().await.unwrap(), "2026-11-23T12:20:00Z");
    // One that it has shown, and a new one.
    let news = |check: Check| server.hub.tell(News::Check(check.into()));
    news(check(&server, DeviceId(1), 1));
    server.clock.store(30 * 60, Ordering::SeqCst);
    news(check(&server, DeviceId(1), 1));
    assert_eq!(heard.recv().await.unwrap(), "2026-11-23T12:30:00Z");
    watching.kill().unwrap();
    watching.wait().unwrap();

    let total = async |query: &str| {
        let path = format!("/activation/summary?since={query}");
        server.get(&path).await.good()["total"].clone()
    };
    assert_eq!(total("2026-11-23T00:00:00Z").await, 0, "it was never seen");
    let mut device = server.hub.store.device(DeviceId(1)).await.unwrap().unwrap();
    device.status = device.status_now();
    device.status_mut().activation.since = Some(server.hub.now());
    let write = Write::PutStatus {
        id: device.id,
        expect: device.status.version,
        status: Box::new(device.status_copy()),
    };
    let batch = Batch::now(vec![write]);
    server.hub.store.commit(batch).await.unwrap();
    assert_eq!(total("2026-11-23T12:30:00Z").await, 1);
    assert_eq!(total("2026-11-23T12:31:00Z").await, 0);
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_tcp_shows_little() {
    let server = Server::start();
    let mode = std::fs::metadata(&server.socket)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(server.dir.path().join("admin.sock"), server.socket);
    assert!(
        web::bind_unix(&server.socket).is_err(),
        "one that answers is left alone"
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(web::serve_tcp(
        server.state.clone(),
        listener,
        None,
        stop.clone(),
    ));
    let ask = async |method: Method, path: &str| {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        crate::api::over(stream, method, path, Vec::new(), &[]).await
    };
    assert_eq!(ask(Method::GET, "/livez").await.bytes, "ok\n");
    assert_eq!(ask(Method::GET, "/readyz").await.status, 200);
    for path in ["/api/v1/devices", "/api/openapi.json", "/x"] {
        ask(Method::GET, path).await.fails(403, "socket-only");
    }
    ask(Method::POST, "/livez")
        .await
        .fails(405, "method-not-allowed");
    stop.cancel();
    serving.await.unwrap();
    // A socket whose server is gone is replaced.
    let gone = server.dir.path().join("gone.sock");
    drop(web::bind_unix(&gone).unwrap());
    assert!(web::bind_unix(&gone).is_ok());
}

#[tokio::test]
async fn an_anchor_is_taken_with_its_fingerprint_only() {
    let server = Server::start();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let own = server.get("/ca").await.good();
    assert!(
        own["certificates"][0]["pem"]
            .as_str()
            .unwrap()
            .contains("BEGIN CERTIFICATE")
    );
    let fingerprint = {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(certificate.der());
        let hex: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        hex.join(":")
    };
    let body = |vendor: &str, fingerprint: &str| json!({"vendor": vendor, "pem": certificate.pem(), "fingerprint": fingerprint});
    let other = "0".repeat(64);
    let trust = "/ca/trust";
    server
        .post(trust, body("yealink", &other))
        .await
        .fails(422, "fingerprint-mismatch");
    server
        .post(trust, body("nobody", &fingerprint))
        .await
        .fails(422, "vendor-unknown");
    let bad = json!({"vendor": "yealink", "pem": "x", "fingerprint": fingerprint});
    server.post(trust, bad).await.fails(422, "pem-invalid");
    server
        .post(trust, json!({}))
        .await
        .fails(422, "missing-field");
    server
        .post("/ca/trust?dry_run=true", body("yealink", &fingerprint))
        .await
        .good();
    assert!(server.hub.store.anchors().await.unwrap().is_empty());
    let taken = server
        .post(trust, body("Yealink", &fingerprint))
        .await
        .good();
    assert_eq!(taken["vendor"], "yealink");
    let stored = server.hub.store.anchors().await.unwrap();
    assert_eq!(stored, [("yealink".to_owned(), certificate.der().to_vec())]);
}
