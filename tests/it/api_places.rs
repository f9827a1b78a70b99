//! Sites, variables, waivers, groups, call servers, bulk calls, and the configuration's own rows.

use dialtone::admin::settings::apply_config;
use dialtone::config::Config;
use dialtone::model::profile::Layer;
use dialtone::store::Owner;
use http::Method;
use serde_json::{Value, json};

use crate::api::{Server, desk};

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_site_has_its_life() {
    let server = Server::start();
    let made = server
        .post(
            "/sites",
            json!({"name": "hq", "prefixes": ["10.99.0.0/16"]}),
        )
        .await;
    assert_eq!(made.status, 201);
    let expect = json!({
        "name": "hq", "prefixes": ["10.99.0.0/16"], "timezone": "UTC", "nat": false, "expect": 0,
        "corroborate": "lease", "prefix_doubt": null, "keys_at_l2": false, "public_url": null, "public_http_url": null,
        "public_tftp": null, "change_window": "", "devices": 0, "version": 1,
    });
    assert_eq!(made.good(), expect);
    server
        .post("/sites", json!({"name": "hq"}))
        .await
        .fails(409, "name-taken");
    server
        .post("/sites", json!({}))
        .await
        .fails(422, "missing-field");
    server
        .post("/sites", json!({"name": "a/b"}))
        .await
        .fails(422, "value-invalid");
    let bad = json!({
        "prefixes": ["10.1.2.3/16"], "timezone": "Mars", "corroborate": "hope", "public_url": "http://x",
        "change_window": "noon",
    });
    let told = server
        .patch("/sites/hq", bad)
        .await
        .fails(422, "value-invalid");
    assert_eq!(told["errors"].as_array().unwrap().len(), 5, "{told}");
    let dry = server
        .patch("/sites/hq?dry_run=true", json!({"nat": true}))
        .await;
    assert_eq!(dry.good()["nat"], true);
    let set = json!({"corroborate": "prefix", "public_url": "https://a.example"});
    let set = server.patch("/sites/hq", set).await.good();
    assert_eq!(set["public_url"], "https://a.example/");
    assert_eq!((&set["nat"], &set["version"]), (&json!(false), &json!(2)));
    let stale = [("if-match", "\"1\"")];
    let told = server
        .call(
            Method::PATCH,
            "/sites/hq",
            Some(json!({"nat": true})),
            &stale,
        )
        .await;
    told.fails(412, "version-mismatch");
    // Now the site's word lets a unit come up.
    let mut body = desk("001565000001");
    body["site"] = json!("hq");
    let device = server.post("/devices", body).await.good();
    assert_eq!(device["activation"]["flags"], json!([]));
    assert_eq!(
        device["activation"]["next_step"],
        "Plug it in at hq: it asks by itself. If it does not: The maker's redirect service may answer first; the phone then shows another company's settings. Remove the unit there and reset it."
    );
    server.delete("/sites/hq").await.fails(409, "in-use");
    server
        .post("/devices/001565000001/move", json!({"site": null}))
        .await
        .good();
    server.delete("/sites/hq").await.good();
    server.get("/sites/hq").await.fails(404, "not-found");
    assert_eq!(
        names(&server.get("/sites").await.good()),
        Vec::<&str>::new()
    );
}

#[tokio::test]
async fn a_waiver_names_models_and_ends() {
    let server = Server::start();
    server
        .post(
            "/sites",
            json!({"name": "hq", "prefixes": ["10.0.0.0/8"], "corroborate": "prefix"}),
        )
        .await
        .good();
    let body = json!({"serial": "S1", "vendor": "cisco", "model": "SPA942", "site": "hq"});
    let device = server.post("/devices", body).await.good();
    assert_eq!(device["activation"]["flags"], json!(["needs-waiver"]));
    let step = device["activation"]["next_step"].as_str().unwrap();
    let command = "Do: dialtone waiver add --site hq --model SPA942 --until 2027-11-23 --why \"speaks TLS 1.0 only\"";
    assert!(step.ends_with(command), "{step}");
    let waive = |models: Value, until: &str| json!({"site": "hq", "models": models, "until": until, "why": "old"});
    server
        .post("/waivers", waive(json!(["SPA942X"]), "2027-01-01"))
        .await
        .fails(422, "model-unknown");
    server
        .post("/waivers", waive(json!([]), "2027-01-01"))
        .await
        .fails(422, "missing-field");
    server
        .post("/waivers", waive(json!(["*"]), "2026-01-01"))
        .await
        .fails(422, "time-invalid");
    let mut body = waive(json!(["*"]), "2027-01-01");
    body["site"] = json!("nowhere");
    server
        .post("/waivers", body)
        .await
        .fails(422, "site-unknown");
    let made = server
        .post(
            "/waivers",
            waive(json!(["spa-942", "SPA504G"]), "2027-11-23"),
        )
        .await;
    assert_eq!(made.status, 201);
    let expect = json!({
        "site": "hq", "models": ["SPA504G", "SPA942"], "allow": "credential-over-plain",
        "until": "2027-11-23T23:59:59Z", "why": "old", "expired": false,
    });
    assert_eq!(made.good(), expect);
    let device = server.get("/devices/S1").await.good();
    assert_eq!(device["activation"]["flags"], json!([]));
    server
        .post(
            "/waivers",
            waive(json!(["SPA504G", "SPA942"]), "2028-01-01"),
        )
        .await
        .good();
    let all = server.get("/waivers?site=hq").await.good();
    assert_eq!(
        all["items"].as_array().unwrap().len(),
        1,
        "the same models again replace"
    );
    let gone = server.delete("/waivers?site=hq&model=SPA942").await.good();
    assert_eq!(gone["items"][0]["models"], json!(["SPA942"]));
    let left = server.get("/waivers").await.good();
    assert_eq!(left["items"][0]["models"], json!(["SPA504G"]));
    server
        .delete("/waivers?site=hq&model=SPA942")
        .await
        .fails(404, "not-found");
    server.delete("/waivers").await.fails(422, "missing-field");
}

#[tokio::test]
async fn variables_are_merged_replaced_and_sealed() {
    let server = Server::start();
    let empty = server.get("/vars/global/_").await.good();
    assert_eq!(
        (&empty["version"], &empty["variables"]),
        (&json!(0), &json!({}))
    );
    let set = |variables: Value| json!({"variables": variables});
    let path = "/vars/global/_";
    let body =
        set(json!({"locale": "de-DE", "admin_password": "CANARY-9", "ntp_server": "ntp.example"}));
    let made = server.patch(path, body).await.good();
    let expect = json!({"locale": "de-DE", "admin_password": "***", "ntp_server": "ntp.example"});
    assert_eq!((&made["variables"], &made["version"]), (&expect, &json!(1)));
    let owner = Owner::Scope(Layer::Global, String::new());
    let sealed = server
        .hub
        .store
        .secret(&owner, "admin_password")
        .await
        .unwrap()
        .unwrap();
    let opened = server
        .hub
        .keys
        .open(&sealed, &owner.aad("admin_password"))
        .unwrap();
    assert_eq!(opened.expose(), "CANARY-9");
    let same = server
        .patch(path, set(json!({"admin_password": "CANARY-9"})))
        .await
        .good();
    assert_eq!(same["version"], 1, "nothing changed");
    let less = server
        .patch(path, set(json!({"ntp_server": null})))
        .await
        .good();
    assert_eq!(
        less["variables"],
        json!({"locale": "de-DE", "admin_password": "***"})
    );
    let kept = server
        .call(
            Method::PUT,
            path,
            Some(set(json!({"admin_password": "***"}))),
            &[],
        )
        .await;
    assert_eq!(kept.good()["variables"], json!({"admin_password": "***"}));
    let gone = server
        .call(
            Method::PUT,
            path,
            Some(set(json!({"locale": "fr-FR"}))),
            &[],
        )
        .await;
    assert_eq!(gone.good()["variables"], json!({"locale": "fr-FR"}));
    assert!(
        server
            .hub
            .store
            .secret(&owner, "admin_password")
            .await
            .unwrap()
            .is_none()
    );
    let bad = server
        .patch(path, set(json!({"localle": "x"})))
        .await
        .fails(422, "variable-unknown");
    assert_eq!(bad["errors"][0]["hint"], "did you mean locale?");
    server
        .patch(path, set(json!({"locale": 7})))
        .await
        .fails(422, "value-invalid");
    server
        .patch(path, set(json!({"locale": "a\u{0}b"})))
        .await
        .fails(422, "value-invalid");
    server
        .patch(path, set(json!({"admin_password": "***"})))
        .await
        .fails(422, "value-invalid");
    server
        .patch("/vars/site/hq", set(json!({})))
        .await
        .fails(422, "site-unknown");
    server.get("/vars/device/x").await.fails(404, "not-found");
    server
        .patch("/vars/group/sales", set(json!({"locale": "de-DE"})))
        .await
        .good();
    let all = server.get("/vars").await.good();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        server.delete(path).await.good()["variables"],
        json!({"locale": "fr-FR"})
    );
    assert_eq!(server.get(path).await.good()["version"], 0);
    let words = server.get("/vocabulary").await.good();
    let words = words["items"].as_array().unwrap();
    let locale = words.iter().find(|word| word["name"] == "locale").unwrap();
    assert_eq!(
        (&locale["type"], &locale["class"]),
        (&json!("text"), &json!("public"))
    );
    let trail = server.hub.store.audit(0, 100).await.unwrap();
    assert!(
        trail.iter().all(|entry| !entry.detail.contains("CANARY")),
        "{trail:?}"
    );
}

#[tokio::test]
async fn a_device_has_variables_of_its_own() {
    let server = Server::start();
    let mut body = desk("001565000001");
    body["variables"] = json!({"locale": "de-DE", "admin_password": "CANARY-7"});
    let made = server.post("/devices", body).await.good();
    assert_eq!(
        made["variables"],
        json!({"locale": "de-DE", "admin_password": "***"})
    );
    let change = json!({"variables": {"admin_password": null}});
    let changed = server.patch("/devices/001565000001", change).await.good();
    assert_eq!(changed["variables"], json!({"locale": "de-DE"}));
    let device = server
        .hub
        .store
        .find("001565000001")
        .await
        .unwrap()
        .unwrap();
    let secret = server
        .hub
        .store
        .secret(&Owner::Device(device.id), "admin_password")
        .await;
    assert_eq!(secret.unwrap(), None);
}

#[tokio::test]
async fn call_servers_are_entered_and_kept_while_lines_use_them() {
    let server = Server::start();
    let path = "/pbxs/berlin";
    let put = async |body: Value| server.call(Method::PUT, path, Some(body), &[]).await;
    put(json!({"sip_server": "a b"}))
        .await
        .fails(422, "value-invalid");
    put(json!({"sip_server": "a", "transport": "pigeon"}))
        .await
        .fails(422, "value-invalid");
    put(json!({"sip_server": "a", "sites": ["x"]}))
        .await
        .fails(422, "site-unknown");
    put(json!({"name": "munich", "sip_server": "a"}))
        .await
        .fails(422, "value-invalid");
    let made = put(json!({"name": "berlin", "sip_server": "pbx1.example.net", "transport": "tls"}))
        .await
        .good();
    let expect = json!({
        "name": "berlin", "sip_server": "pbx1.example.net", "backup": null, "outbound_proxy": null,
        "transport": "tls", "srtp": false, "sites": [],
    });
    assert_eq!(made, expect);
    assert_eq!(
        put(made).await.good(),
        expect,
        "what is shown can be put back"
    );
    let mut body = desk("001565000001");
    body["lines"] = json!([{"n": 1, "user": "214", "pbx": "berlin"}]);
    server.post("/devices", body).await.good();
    server.delete(path).await.fails(409, "in-use");
    server.delete("/devices/001565000001").await.good();
    server.delete(path).await.good();
    assert_eq!(server.get("/pbxs").await.good()["items"], json!([]));
}

#[tokio::test]
async fn many_devices_at_once_with_a_result_for_each() {
    let server = Server::start();
    for n in 1..=4 {
        let mut body = desk(&format!("00156500000{n}"));
        body["groups"] = json!([if n < 4 { "sales" } else { "store" }]);
        server.post("/devices", body).await.good();
    }
    assert_eq!(
        server.get("/groups").await.good()["items"],
        json!([{"name": "sales", "devices": 3}, {"name": "store", "devices": 1}])
    );
    let bulk =
        async |query: &str, body: Value| server.post(&format!("/devices:bulk{query}"), body).await;
    let suspend = json!({"action": "suspend", "select": {"group": "sales"}});
    let counts = |report: &Value| {
        ["matched", "changed", "unchanged", "rejected"].map(|key| report[key].as_u64().unwrap())
    };
    let plan = bulk("?dry_run=true", suspend.clone()).await.good();
    assert_eq!(counts(&plan), [3, 3, 0, 0]);
    assert_eq!(
        counts(&bulk("", suspend.clone()).await.good()),
        [3, 3, 0, 0]
    );
    assert_eq!(counts(&bulk("", suspend).await.good()), [3, 0, 3, 0]);
    let named = json!({"action": "note", "select": {"devices": ["001565000001", "nobody"]}, "options": {"text": "x"}});
    let report = bulk("", named).await.good();
    assert_eq!(counts(&report), [1, 1, 0, 1]);
    let nobody = json!({"id": null, "mac": null, "name": "nobody", "outcome": "rejected", "code": "not-found", "detail": "there is no device \"nobody\""});
    assert_eq!(report["items"][0], nobody);
    let set = json!({"action": "set", "select": {"all": true}, "options": {"variables": {"locale": "de-DE"}}});
    assert_eq!(counts(&bulk("", set).await.good()), [4, 4, 0, 0]);
    bulk("", json!({"action": "arm", "select": {}}))
        .await
        .fails(422, "missing-field");
    bulk("", json!({"action": "paint", "select": {"all": true}}))
        .await
        .fails(422, "value-invalid");
    bulk("", json!({"action": "arm", "select": {"colour": 1}}))
        .await
        .fails(422, "unknown-field");
    bulk(
        "",
        json!({"action": "arm", "select": {"all": true}, "options": {"fro": 1}}),
    )
    .await
    .fails(422, "unknown-field");
    let gone = json!({"action": "delete", "select": {"group": "sales", "lifecycle": "suspended"}});
    assert_eq!(counts(&bulk("", gone).await.good()), [3, 3, 0, 0]);
    assert_eq!(
        server.get("/devices").await.good()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn the_configuration_s_rows_win_at_every_start() {
    let server = Server::start();
    let text = r#"
        [[site]]
        name = "hq"
        prefixes = ["10.0.0.0/8"]
        [[waiver]]
        site = "hq"
        models = ["spa942"]
        allow = "credential-over-plain"
        until = "2027-03-31"
        why = "old"
        [[pbx]]
        name = "berlin"
        sip_server = "pbx1.example.net"
    "#;
    let config = Config::parse("x.toml", text).unwrap();
    assert_eq!(apply_config(&server.hub, &config).await.unwrap().len(), 3);
    assert!(
        apply_config(&server.hub, &config).await.unwrap().is_empty(),
        "nothing is left to do"
    );
    let waivers = server.get("/waivers").await.good();
    assert_eq!(waivers["items"][0]["models"], json!(["SPA942"]));
}

/// What the file does not name is said by verbs and outlives a start; what it names is refused with
/// its line, and what stands in it cannot be taken away by a verb.
#[tokio::test]
async fn a_verb_and_the_file_never_say_two_things() {
    let server = Server::start();
    let text = [
        "[[site]]",
        "name = \"hq\"",
        "prefixes = [\"10.0.0.0/8\"]",
        "[[pbx]]",
        "name = \"berlin\"",
        "sip_server = \"pbx1.example.net\"",
        "[[waiver]]",
        "site = \"hq\"",
        "models = [\"spa942\"]",
        "allow = \"credential-over-plain\"",
        "until = 2027-03-31",
        "why = \"old\"",
    ]
    .join("\n");
    let config = Config::parse("etc/x.toml", &text).unwrap();
    apply_config(&server.hub, &config).await.unwrap();

    let open = json!({"corroborate": "prefix", "timezone": "Europe/Berlin"});
    server.patch("/sites/hq", open).await.good();
    let other = |prefix: &str| json!({"prefixes": [prefix], "nat": true});
    let told = server.patch("/sites/hq", other("10.1.0.0/16")).await;
    let told = told.fails(409, "set-in-file");
    assert_eq!(told["errors"][0]["field"], "prefixes", "{told}");
    assert!(
        told["detail"]
            .as_str()
            .unwrap()
            .starts_with("etc/x.toml:3 ")
    );
    let same = server.patch("/sites/hq", other("10.0.0.0/8")).await.good();
    assert_eq!(same["nat"], true, "the file's own word is no trouble");
    let gone = server.delete("/sites/hq").await.fails(409, "set-in-file");
    assert!(gone["detail"].as_str().unwrap().contains("etc/x.toml:1,"));

    let path = "/pbxs/berlin";
    let put = async |body: Value| server.call(Method::PUT, path, Some(body), &[]).await;
    put(json!({"sip_server": "pbx1.example.net", "backup": "pbx2.example.net"}))
        .await
        .good();
    let told = put(json!({"sip_server": "pbx9.example.net"})).await;
    let told = told.fails(409, "set-in-file");
    assert!(
        told["detail"]
            .as_str()
            .unwrap()
            .starts_with("etc/x.toml:6 ")
    );
    server.delete(path).await.fails(409, "set-in-file");

    let waive = |models: Value, until: &str| json!({"site": "hq", "models": models, "until": until, "why": "old"});
    server
        .post("/waivers", waive(json!(["SPA942"]), "2028-03-31"))
        .await
        .fails(409, "set-in-file");
    server
        .delete("/waivers?site=hq")
        .await
        .fails(409, "set-in-file");

    // The next start.
    assert!(apply_config(&server.hub, &config).await.unwrap().is_empty());
    let site = server.get("/sites/hq").await.good();
    let kept = ["corroborate", "timezone", "nat", "prefixes"].map(|key| site[key].clone());
    let expect = json!(["prefix", "Europe/Berlin", true, ["10.0.0.0/8"]]);
    assert_eq!(json!(kept), expect);
    let pbxs = server.get("/pbxs").await.good();
    assert_eq!(pbxs["items"][0]["backup"], "pbx2.example.net");

    // A file that names it now wins, and takes what it does not name as it is.
    let text = format!("{text}\n").replace("name = \"hq\"", "name = \"hq\"\nnat = false");
    let config = Config::parse("etc/x.toml", &text).unwrap();
    assert_eq!(
        apply_config(&server.hub, &config).await.unwrap(),
        ["site hq"]
    );
    let site = server.get("/sites/hq").await.good();
    assert_eq!(
        (&site["nat"], &site["corroborate"]),
        (&json!(false), &json!("prefix"))
    );
    server
        .patch("/sites/hq", json!({"nat": true}))
        .await
        .fails(409, "set-in-file");
}
