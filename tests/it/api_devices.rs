//! Devices over the API: entered, changed, armed, taken away; every refusal by its code.

use dialtone::model::event::Sighting;
use dialtone::model::identity::{Channel, Mac};
use dialtone::store::{KnownAsk, Owner};
use http::Method;
use serde_json::{Value, json};

use crate::api::{Server, desk};

#[tokio::test]
async fn a_device_is_entered_and_armed() {
    let server = Server::start();
    let mac = Mac::parse("001565aabbcc").unwrap();
    server.hub.sightings.lock().unwrap().note(
        Sighting {
            mac: Some(mac),
            serial: None,
            vendor: None,
            family: None,
            model: None,
            firmware: None,
            ip: [127, 0, 0, 1].into(),
            site: None,
            channel: Channel::Http,
            first: server.hub.now(),
            last: server.hub.now(),
            count: 1,
            reason: "not-listed".to_owned(),
        },
        true,
    );
    let body = json!({
        "mac": "00-15-65-AA-BB-CC", "vendor": "Yealink", "model": "sip-t46s", "groups": ["sales"],
        "lines": [{"n": 1, "user": "214", "password": "CANARY-214", "server": "pbx.example.net"}],
        "keys": [{"page": "phone", "n": 2, "type": "blf", "value": "215", "label": "Ben", "line": 1}],
        "note": "by the door",
    });
    let dry = server.post("/devices?dry_run=true", body.clone()).await;
    assert_eq!(
        (dry.status.as_u16(), dry.header("dry-run")),
        (200, Some("true"))
    );
    let dry = dry.good();
    assert_eq!(server.get("/devices").await.good()["items"], json!([]));

    let made = server.post("/devices", body).await;
    assert_eq!(
        (made.status.as_u16(), made.header("etag")),
        (201, Some("\"1\""))
    );
    let text = made.body.to_string();
    assert!(!text.contains("CANARY"), "{text}");
    let mut made = made.good();
    assert_eq!(made["mac"], "00:15:65:aa:bb:cc");
    assert_eq!(
        (made["model"].as_str(), made["family"].as_str()),
        (Some("T46S"), Some("sip-t4-t5"))
    );
    assert_eq!(made["lines"][0]["password"], "***");
    assert_eq!(made["window"]["armed_until"], "2027-01-22T12:00:00Z");
    assert_eq!(made["activation"]["state"], "expected");
    assert_eq!(made["activation"]["flags"], json!(["needs-corroboration"]));
    let id = made["id"].as_str().unwrap().to_owned();
    // The dry run said what it would be.
    made["id"] = Value::Null;
    made["version"] = dry["version"].clone();
    assert_eq!(made, dry);
    for name in ["001565aabbcc", "0015.65aa.bbcc", &id] {
        let shown = server.get(&format!("/devices/{name}")).await.good();
        assert_eq!(shown["id"], id.as_str(), "{name}");
    }
    assert!(server.hub.sightings.lock().unwrap().list().is_empty());
}

#[tokio::test]
async fn a_password_is_sealed_for_its_row_and_its_tokens_are_known() {
    let server = Server::start();
    let body = json!({
        "serial": "SN-1", "vendor": "arista", "model": "vEOS",
        "lines": [{"n": 1, "user": "a", "password": "CANARY-1"}],
    });
    server.post("/devices", body).await.good();
    let device = server.hub.store.find("SN-1").await.unwrap().unwrap();
    let owner = Owner::Device(device.id);
    let sealed = server
        .hub
        .store
        .secret(&owner, "line.1.password")
        .await
        .unwrap();
    let opened = server
        .hub
        .keys
        .open(&sealed.unwrap(), &owner.aad("line.1.password"));
    assert_eq!(opened.unwrap().expose(), "CANARY-1");
    for generation in 1..=2 {
        let keys = &server.hub.keys;
        let ask = KnownAsk {
            token: Some(keys.digest_of(&keys.unit_token(device.id, generation))),
            report: Some(keys.digest_of(&keys.report_secret(device.id, generation))),
            ..KnownAsk::default()
        };
        let known = server.hub.store.known(&ask).await.unwrap();
        let found = (
            known.by_token.map(|(_, n)| n),
            known.by_report.map(|(_, n)| n),
        );
        assert_eq!(found, (Some(generation), Some(generation)));
        // The next arming makes the next generation, and the one before is void.
        server.post("/devices/SN-1/arm", json!({})).await.good();
        let known = server.hub.store.known(&ask).await.unwrap();
        assert!(known.by_token.is_none() && known.by_report.is_none());
    }
}

#[tokio::test]
async fn every_refusal_has_its_code_and_names_its_field() {
    let server = Server::start();
    server.post("/devices", desk("001565000001")).await.good();
    let check = async |body: Value, status: u16, code: &str, field: &str| {
        let answer = server.post("/devices", body).await;
        let told = answer.fails(status, code);
        let fields: Vec<&str> = told["errors"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|error| error["field"].as_str())
            .collect();
        assert!(fields.contains(&field), "{told}");
    };
    let with = |key: &str, value: Value| {
        let mut body = desk("001565000002");
        body[key] = value;
        body
    };
    check(with("mac", json!("00156")), 422, "mac-invalid", "mac").await;
    check(
        with("mac", json!("ffffffffffff")),
        422,
        "mac-invalid",
        "mac",
    )
    .await;
    check(with("mac", json!("001565000001")), 409, "mac-taken", "mac").await;
    check(with("mac", Value::Null), 422, "missing-field", "mac").await;
    check(
        with("serial", json!("a b")),
        422,
        "serial-invalid",
        "serial",
    )
    .await;
    check(
        with("vendor", json!("yaelink")),
        422,
        "vendor-unknown",
        "vendor",
    )
    .await;
    check(with("model", json!("T46X")), 422, "model-unknown", "model").await;
    check(
        with("family", json!("spa")),
        422,
        "family-unknown",
        "family",
    )
    .await;
    check(with("site", json!("hq")), 422, "site-unknown", "site").await;
    check(
        with("profile", json!("x")),
        422,
        "profile-unknown",
        "profile",
    )
    .await;
    check(
        with("groups", json!(["a/b"])),
        422,
        "value-invalid",
        "groups",
    )
    .await;
    check(with("groups", json!("a")), 422, "value-invalid", "groups").await;
    check(with("colour", json!(1)), 422, "unknown-field", "colour").await;
    check(
        with("arm_for", json!("soon")),
        422,
        "duration-invalid",
        "arm_for",
    )
    .await;
    check(
        with("arm_from", json!("soon")),
        422,
        "time-invalid",
        "arm_from",
    )
    .await;
    let colour = json!({"colour": 1});
    check(
        with("variables", colour),
        422,
        "variable-unknown",
        "variables.colour",
    )
    .await;
    let lines = |line: Value| with("lines", json!([line]));
    check(
        lines(json!({"n": 17, "user": "a"})),
        422,
        "too-many-lines",
        "line.17",
    )
    .await;
    check(lines(json!({"n": 1})), 422, "line-invalid", "line.1.user").await;
    check(
        lines(json!({"n": 0, "user": "a"})),
        422,
        "line-invalid",
        "line.0",
    )
    .await;
    check(
        lines(json!({"n": 1, "user": "a b"})),
        422,
        "line-invalid",
        "line.1.user",
    )
    .await;
    check(
        lines(json!({"n": 1, "user": "a", "pbx": "x"})),
        422,
        "line-invalid",
        "line.1.pbx",
    )
    .await;
    check(
        lines(json!({"n": 1, "user": "a", "password": "a\nb=c"})),
        422,
        "line-invalid",
        "line.1.password",
    )
    .await;
    check(
        lines(json!({"user": "a"})),
        422,
        "missing-field",
        "lines.0.n",
    )
    .await;
    check(
        lines(json!({"n": 1, "usr": "a"})),
        422,
        "unknown-field",
        "lines.0.usr",
    )
    .await;
    let keys = |key: Value| with("keys", json!([key]));
    check(
        keys(json!({"n": 99, "type": "blf"})),
        422,
        "key-invalid",
        "keys.phone.99",
    )
    .await;
    check(
        keys(json!({"n": 1, "type": "blff"})),
        422,
        "key-invalid",
        "keys.phone.1",
    )
    .await;
    check(
        keys(json!({"page": "side", "n": 1, "type": "blf"})),
        422,
        "key-invalid",
        "keys.side.1",
    )
    .await;
    // A side car has 40 keys, and a phone six of them.
    for page in ["expansion-6.41", "expansion-7.1"] {
        let (car, n) = page.split_once('.').unwrap();
        let n: u16 = n.parse().unwrap();
        let key = keys(json!({"page": car, "n": n, "type": "blf"}));
        check(key, 422, "key-invalid", &format!("keys.{page}")).await;
    }
    // All of it at once, and nothing of it is stored.
    let told = server
        .post(
            "/devices",
            json!({"mac": "x", "vendor": "yealink", "colour": 1}),
        )
        .await;
    assert_eq!(
        told.body["errors"].as_array().unwrap().len(),
        1,
        "{}",
        told.body
    );
    let told = server
        .post(
            "/devices",
            json!({"mac": "x", "site": "y", "vendor": "yealink"}),
        )
        .await;
    let told = told.fails(422, "mac-invalid");
    assert_eq!(told["errors"].as_array().unwrap().len(), 3, "{told}");
    assert_eq!(
        server.get("/devices").await.good()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn what_is_no_call_is_told_as_such() {
    let server = Server::start();
    let headers = [("content-type", "text/plain")];
    let told = server
        .call(Method::POST, "/devices", Some(json!({})), &headers)
        .await;
    told.fails(415, "media-type");
    server
        .post("/devices", json!([]))
        .await
        .fails(400, "body-invalid");
    server.get("/nowhere").await.fails(404, "not-found");
    server.get("/devices/nobody").await.fails(404, "not-found");
    server
        .get("/devices?colour=red")
        .await
        .fails(422, "unknown-field");
    server
        .get("/devices?state=odd")
        .await
        .fails(400, "query-invalid");
    server
        .get("/devices?limit=0")
        .await
        .fails(400, "query-invalid");
    server
        .delete("/devices")
        .await
        .fails(405, "method-not-allowed");
    server.post("/devices", desk("001565000001")).await.good();
    server
        .post("/devices/001565000001/swap", json!({}))
        .await
        .fails(501, "not-built");
    server
        .post("/devices/001565000001/paint", json!({}))
        .await
        .fails(404, "not-found");
    let large = json!({"note": "x".repeat(2 << 20)});
    server.post("/devices", large).await.fails(413, "too-large");
}

#[tokio::test]
async fn a_change_keeps_what_it_does_not_name() {
    let server = Server::start();
    let mut body = desk("001565000001");
    body["lines"] = json!([{"n": 1, "user": "214", "password": "one"}, {"n": 2, "user": "215"}]);
    body["groups"] = json!(["a", "b"]);
    server.post("/devices", body).await.good();
    let path = "/devices/001565000001";
    // The whole record of lines back, with its mask: nothing changes.
    let shown = server.get(path).await.good();
    let same = server.patch(path, json!({"lines": shown["lines"]})).await;
    assert_eq!(same.header("etag"), Some("\"1\""), "{}", same.body);

    let lines =
        json!([{"n": 1, "display": "Anna"}, {"n": 2, "remove": true}, {"n": 3, "user": "x"}]);
    let changed = server
        .patch(path, json!({"lines": lines, "groups": ["c"]}))
        .await
        .good();
    assert_eq!(changed["version"], 2);
    assert_eq!(changed["groups"], json!(["c"]));
    let lines = changed["lines"].as_array().unwrap();
    let numbers: Vec<&Value> = lines.iter().map(|line| &line["n"]).collect();
    assert_eq!(numbers, [&json!(1), &json!(3)]);
    assert_eq!(
        (&lines[0]["user"], &lines[0]["password"]),
        (&json!("214"), &json!("***"))
    );

    let stale = [("if-match", "\"1\"")];
    let note = json!({"note": "x"});
    let told = server
        .call(Method::PATCH, path, Some(note.clone()), &stale)
        .await;
    told.fails(412, "version-mismatch");
    let fresh = [("if-match", "\"2\"")];
    let told = server.call(Method::PATCH, path, Some(note), &fresh).await;
    assert_eq!(told.good()["version"], 3);
    // Another MAC is another unit.
    let moved = server
        .patch(path, json!({"mac": "001565000009"}))
        .await
        .good();
    assert_eq!(moved["window"]["armed_until"], "2027-01-22T12:00:00Z");
    let device = server
        .hub
        .store
        .find("001565000009")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(device.config.arming.generation, 2);
    server.get(path).await.fails(404, "not-found");
}

#[tokio::test]
async fn a_life_with_its_verbs() {
    let server = Server::start();
    server.post("/devices", desk("001565000001")).await.good();
    let verb = async |verb: &str, body: Value| {
        server
            .post(&format!("/devices/001565000001/{verb}"), body)
            .await
    };
    let state = |device: &Value| device["lifecycle"].as_str().unwrap().to_owned();
    assert_eq!(state(&verb("suspend", json!({})).await.good()), "suspended");
    assert_eq!(verb("suspend", json!({})).await.good()["version"], 2);
    assert_eq!(state(&verb("resume", json!({})).await.good()), "listed");
    let armed = verb("arm", json!({"for": "2d", "open": true, "keys": true}))
        .await
        .good();
    assert_eq!(armed["window"]["armed_until"], "2026-11-25T12:00:00Z");
    assert_eq!(armed["window"]["keys"], true);
    let off = verb("disarm", json!({})).await.good();
    assert_eq!(off["window"]["armed_until"], "2026-11-23T12:00:00Z");
    assert_eq!(
        verb("note", json!({"text": "hello"})).await.good()["note"],
        "hello"
    );
    verb("note", json!({})).await.fails(422, "missing-field");
    verb("move", json!({"site": "nowhere"}))
        .await
        .fails(422, "site-unknown");
    assert_eq!(
        verb("move", json!({"site": null})).await.good()["site"],
        Value::Null
    );
    assert_eq!(verb("release", json!({})).await.good()["release"], true);
    assert_eq!(state(&verb("retire", json!({})).await.good()), "retired");
    verb("arm", json!({})).await.fails(409, "wrong-state");
    assert_eq!(state(&verb("resume", json!({})).await.good()), "listed");
    let dry = server
        .call(
            Method::DELETE,
            "/devices/001565000001?dry_run=true",
            None,
            &[],
        )
        .await;
    assert_eq!(dry.good()["note"], "hello");
    assert_eq!(
        server.delete("/devices/001565000001").await.good()["note"],
        "hello"
    );
    server
        .delete("/devices/001565000001")
        .await
        .fails(404, "not-found");
    let trail = server.hub.store.audit(0, 100).await.unwrap();
    let actions: Vec<&str> = trail.iter().map(|entry| entry.action.as_str()).collect();
    let expect = [
        "device.add",
        "device.suspend",
        "device.resume",
        "device.arm",
        "device.disarm",
        "device.note",
        "device.release",
        "device.retire",
        "device.resume",
        "device.delete",
    ];
    assert_eq!(actions, expect);
    let us = format!("uid:{}", rustix::process::geteuid().as_raw());
    assert!(trail.iter().all(|entry| entry.actor == us));
}

#[tokio::test]
async fn lists_go_page_by_page() {
    let server = Server::start();
    for n in 0..25 {
        let mut body = desk(&format!("0015650000{n:02x}"));
        body["groups"] = json!([if n % 2 == 0 { "even" } else { "odd" }]);
        server.post("/devices", body).await.good();
    }
    let mut after = String::new();
    let mut pages = Vec::new();
    loop {
        let page = server
            .get(&format!("/devices?group=even&limit=5{after}"))
            .await
            .good();
        pages.push(page["items"].as_array().unwrap().len());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(pages, [5, 5, 3]);
    let found = server.get("/devices?lifecycle=retired").await.good();
    assert_eq!(found["items"], json!([]));
    let found = server
        .get("/devices?state=expected&model=T46S&limit=1000")
        .await
        .good();
    assert_eq!(found["items"].as_array().unwrap().len(), 25);
}

#[tokio::test]
async fn two_changes_at_once_both_hold() {
    let server = std::sync::Arc::new(Server::start());
    server.post("/devices", desk("001565000001")).await.good();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 1..=8 {
        let server = std::sync::Arc::clone(&server);
        tasks.spawn(async move {
            let body = json!({"lines": [{"n": n, "user": format!("u{n}")}]});
            server.patch("/devices/001565000001", body).await.good();
        });
    }
    tasks.join_all().await;
    let shown = server.get("/devices/001565000001").await.good();
    assert_eq!(shown["lines"].as_array().unwrap().len(), 8);
    assert_eq!(shown["version"], 9);
}
