//! How things stand: doctor, status, the page, metrics, events, the backup.

use std::time::Duration;

use bytes::Bytes;
use dialtone::catalog::Catalog;
use dialtone::hub::{Bases, News};
use dialtone::model::activation::{Check, CheckKind, Outcome};
use dialtone::model::event::Sighting;
use dialtone::model::identity::{Assurance, BootId, Channel, DeviceId, LevelBy, Mac};
use dialtone::store::{self, Batch, Write};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::api::{Server, desk, raw};

fn codes(report: &Value) -> Vec<(&str, &str)> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| {
            let (level, code) = (&finding["level"], &finding["code"]);
            (level.as_str().unwrap(), code.as_str().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn doctor_says_what_is_wrong_and_what_mends_it() {
    let server = Server::start();
    dialtone::admin::profile::auto_publish(&server.hub)
        .await
        .unwrap();
    assert_eq!(
        server.get("/doctor").await.good(),
        json!({"level": "green", "findings": [], "models": []})
    );
    server
        .post(
            "/sites",
            json!({"name": "hq", "prefixes": ["10.0.0.0/8"], "corroborate": "prefix"}),
        )
        .await
        .good();
    server
        .post("/sites", json!({"name": "far", "prefixes": ["10.0.0.0/8"]}))
        .await
        .good();
    for (mac, site) in [("001565000001", "hq"), ("001565000002", "far")] {
        let mut body = desk(mac);
        body["site"] = json!(site);
        server.post("/devices", body).await.good();
    }
    let pbx = json!({"sip_server": "pbx1.example.net"});
    let put = server
        .call(Method::PUT, "/pbxs/berlin", Some(pbx), &[])
        .await;
    put.good();
    let body = json!({
        "serial": "S1", "vendor": "cisco", "model": "SPA942", "site": "hq",
        "lines": [{"n": 1, "user": "214", "pbx": "berlin"}],
    });
    server.post("/devices", body).await.good();
    let report = server.get("/doctor").await.good();
    let found = codes(&report);
    assert!(found.contains(&("red", "corroborate-prefix")), "{found:?}");
    assert!(
        found.contains(&("yellow", "needs-corroboration")),
        "{found:?}"
    );
    assert!(found.contains(&("yellow", "needs-waiver")), "{found:?}");
    assert_eq!(report["level"], "red");
    let models = report["models"].as_array().unwrap();
    let spa = models.iter().find(|row| row["model"] == "SPA942").unwrap();
    let expect = json!({
        "vendor": "cisco", "family": "spa", "model": "SPA942", "site": "hq", "devices": 1, "reach": "full",
        "first": ["http", "tftp"], "trusts": "vendor-ca:cisco", "tls": "1.0", "ceiling": "L1",
        "window": {"armed": 1, "open": 0}, "waiver": null, "today": 0,
        "firmware": {"serves": null, "seen": [], "told_by": null, "name": null}, "registrar": ["berlin"],
        "blocked": [{"code": "needs-waiver", "count": 1}],
    });
    assert_eq!(spa, &expect);
    // What it says mends it.
    let waiver = json!({"site": "hq", "models": ["SPA942"], "until": "2027-11-23", "why": "speaks TLS 1.0 only"});
    server.post("/waivers", waiver).await.good();
    let far = server.get("/doctor?site=far").await.good();
    assert_eq!(far["models"].as_array().unwrap().len(), 1);
    assert!(!codes(&far).contains(&("red", "corroborate-prefix")));
    let hq = server.get("/doctor?site=hq").await.good();
    assert!(!codes(&hq).contains(&("yellow", "needs-waiver")));
    // Which way another version goes.
    let mut files = crate::vendors::files().clone();
    files
        .0
        .retain(|path, _| path.starts_with("cisco/") || !path.contains('/'));
    let family = files.0.get_mut("cisco/spa/family.toml").unwrap();
    family
        .extend(b"\n[firmware]\ntold_by = \"device-config\"\nname = \"{model}-{firmware}.bin\"\n");
    let (catalog, problems) = Catalog::from_files(&files);
    let catalog = catalog.unwrap_or_else(|| panic!("{problems:#?}"));
    server.hub.catalog.store(catalog);
    let hq = server.get("/doctor?site=hq").await.good();
    let told = json!({
        "serves": null, "seen": [], "told_by": "device-config", "name": "{model}-{firmware}.bin",
    });
    assert_eq!(hq["models"][0]["firmware"], told, "{hq}");
    server
        .get("/doctor?site=nowhere")
        .await
        .fails(404, "not-found");
    server
        .hub
        .bases
        .store(std::sync::Arc::new(Bases::default()));
    let report = server.get("/doctor").await.good();
    assert!(codes(&report).contains(&("red", "no-https-base")));
    let status = server.get("/status").await.good();
    assert_eq!(
        (&status["level"], &status["devices"]),
        (&json!("red"), &json!(3))
    );
    assert_eq!(status["states"], json!({"expected": 3}));
}

fn check(device: DeviceId, text: &str) -> Check {
    Check {
        seq: 0,
        at: crate::api::START.parse().unwrap(),
        device,
        boot: BootId(1),
        channel: Channel::Https,
        kind: CheckKind::Request,
        outcome: Outcome::Refused,
        path: Some(text.to_owned()),
        assurance: Assurance::L0,
        level_by: LevelBy::Mac,
        revision: None,
        digest: None,
        bytes: None,
        ip: None,
        reason: "needs-corroboration".to_owned(),
        text: String::new(),
    }
}

#[tokio::test]
async fn the_page_shows_units_and_no_secret_and_escapes() {
    let server = Server::start();
    let mut body = desk("001565000001");
    body["lines"] = json!([{"n": 1, "user": "214", "password": "CANARY-P"}]);
    body["variables"] = json!({"admin_password": "CANARY-A"});
    server.post("/devices", body).await.good();
    let evil = "<img src=x onerror=alert(1)>";
    let writes = vec![Write::AddCheck(check(DeviceId(1), evil))];
    server.hub.store.commit(Batch::now(writes)).await.unwrap();
    server
        .hub
        .sightings
        .lock()
        .unwrap()
        .note(sighting(evil), true);
    let ask = async |path: &str| raw(&server.socket, Method::GET, path, Vec::new(), &[]).await;
    let page = ask("/").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    let html = String::from_utf8(page.bytes.to_vec()).unwrap();
    for wanted in [
        "00:15:65:00:00:01",
        "T46S",
        "expected",
        "needs-corroboration",
        "&lt;img",
        "dialtone device add",
    ] {
        assert!(html.contains(wanted), "{wanted} in {html}");
    }
    let document = ask("/status.json").await;
    let json = document.body.to_string();
    for page in [&html, &json] {
        assert!(!page.contains("CANARY"), "{page}");
    }
    assert!(!html.contains("<img"), "{html}");
    assert_eq!(document.body["units"][0]["name"], "001565000001");
    assert_eq!(document.body["checks"][0]["name"], "001565000001");
    for (asset, media) in [
        ("status.css", "text/css"),
        ("status.js", "text/javascript"),
        ("icon.svg", "image/svg"),
    ] {
        let answer = ask(&format!("/assets/{asset}")).await;
        assert!(answer.header("content-type").unwrap().starts_with(media));
        assert!(html.contains(&format!("/assets/{asset}")), "{asset}");
    }
    ask("/assets/secret").await.fails(404, "not-found");
    let metrics = ask("/metrics").await;
    let text = String::from_utf8(metrics.bytes.to_vec()).unwrap();
    assert!(
        text.contains("dialtone_devices{state=\"expected\"} 1\n"),
        "{text}"
    );
    assert!(text.contains("dialtone_quarantine 1\n"), "{text}");
    assert!(!text.contains("001565"), "no label names a device: {text}");
}

fn sighting(model: &str) -> Sighting {
    let at = crate::api::START.parse().unwrap();
    Sighting {
        mac: Mac::parse("001565000099").ok(),
        serial: None,
        vendor: Some("yealink".to_owned()),
        family: None,
        model: Some(model.to_owned()),
        firmware: None,
        ip: [10, 0, 0, 9].into(),
        site: None,
        channel: Channel::Http,
        first: at,
        last: at,
        count: 1,
        reason: "not-listed".to_owned(),
    }
}

/// The octets of a stream of events until `done` says that there are enough.
async fn stream(server: &Server, path: &str) -> Incoming {
    let socket = tokio::net::UnixStream::connect(&server.socket)
        .await
        .unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", "x")
        .body(Full::<Bytes>::default())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body()
}

async fn until(body: &mut Incoming, text: &mut String, done: &str) {
    let read = async {
        while !text.contains(done) {
            let frame = body.frame().await.expect("the stream goes on").unwrap();
            text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(20), read).await;
    assert!(read.is_ok(), "{done} in {text}");
}

#[tokio::test]
async fn events_come_as_they_happen() {
    let server = Server::start();
    server.post("/sites", json!({"name": "hq"})).await.good();
    let mut all = stream(&server, "/api/v1/events").await;
    let mut devices = stream(&server, "/api/v1/events?kinds=device&site=hq").await;
    let mut page = stream(&server, "/status/events").await;
    let mut text = [String::new(), String::new(), String::new()];
    until(&mut all, &mut text[0], ": hello\n\n").await;
    until(&mut devices, &mut text[1], ": hello\n\n").await;
    until(&mut page, &mut text[2], ": hello\n\n").await;
    server.post("/devices", desk("001565000001")).await.good();
    until(&mut all, &mut text[0], "\"mac\":\"00:15:65:00:00:01\"").await;
    server.hub.tell(News::Check(std::sync::Arc::new(check(
        DeviceId(1),
        "x.cfg",
    ))));
    server
        .hub
        .tell(News::Quarantine(std::sync::Arc::new(sighting("T46S"))));
    until(&mut all, &mut text[0], "event: quarantine\ndata: {").await;
    assert!(text[0].contains("event: check\ndata: {"), "{}", text[0]);
    server
        .post("/devices/001565000001/move", json!({"site": "hq"}))
        .await
        .good();
    until(&mut devices, &mut text[1], "\"site\":\"hq\"").await;
    assert!(
        !text[1].contains("event: check") && !text[1].contains("quarantine"),
        "{}",
        text[1]
    );
    until(&mut page, &mut text[2], "event: device\ndata: {\"id\":").await;
    assert!(
        !text[2].contains("\"lines\""),
        "the page is told of no record: {}",
        text[2]
    );
    server
        .get("/events?kinds=weather")
        .await
        .fails(400, "query-invalid");
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed() {
    let server = Server::start();
    let mut all = stream(&server, "/api/v1/events?kinds=check").await;
    let mut text = String::new();
    until(&mut all, &mut text, ": hello\n\n").await;
    // More than the reader, its queue, the socket and the news can hold, without a pause in
    // between.
    let long = "x".repeat(4000);
    for n in 0..3000_u64 {
        let mut check = check(DeviceId(1), &long);
        check.seq = n;
        server.hub.tell(News::Check(std::sync::Arc::new(check)));
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    until(&mut all, &mut text, "event: lost\ndata: {\"missed\":").await;
}

#[tokio::test]
async fn readers_of_events_are_bounded() {
    let server = Server::start();
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(stream(&server, "/api/v1/events").await);
    }
    server.get("/events").await.fails(503, "not-ready");
}

#[tokio::test]
async fn a_backup_is_what_restore_reads() {
    let server = Server::start();
    server.post("/devices", desk("001565000001")).await.good();
    let answer = server.get("/backup").await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    let file = server.dir.path().join("backup");
    std::fs::write(&file, &answer.bytes).unwrap();
    let summary = store::verify(&file).unwrap();
    let files: Vec<String> = summary
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    assert!(files.contains(&"keys/site.key".to_owned()), "{files:?}");
    let trail = server.hub.store.audit(0, 10).await.unwrap();
    assert_eq!(trail.last().unwrap().action, "backup");
}
