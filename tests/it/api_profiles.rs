//! Revisions over the API: published, listed, compared, rendered.

use std::sync::Arc;

use dialtone::admin::profile::auto_publish;
use dialtone::catalog::{Catalog, Files};
use serde_json::{Value, json};

use crate::api::{Server, desk, ours};

/// The folders with one file changed.
fn edited(path: &str, from: &str, to: &str) -> Arc<Catalog> {
    let mut files: Files = ours();
    let text = String::from_utf8(files.0[path].clone()).unwrap();
    assert!(text.contains(from), "{path} holds {from}");
    files
        .0
        .insert(path.to_owned(), text.replacen(from, to, 1).into_bytes());
    let (catalog, problems) = Catalog::from_files(&files);
    catalog.unwrap_or_else(|| panic!("{problems:?}"))
}

fn find<'a>(list: &'a Value, family: &str, profile: &str) -> &'a Value {
    let items = list["items"].as_array().unwrap();
    let found = items
        .iter()
        .find(|item| item["family"] == family && item["profile"] == profile);
    found.unwrap_or_else(|| panic!("{family} {profile} in {list}"))
}

#[tokio::test]
async fn a_draft_is_in_force_only_once_published() {
    let server = Server::start();
    let first = auto_publish(&server.hub).await.unwrap();
    assert!(
        first
            .iter()
            .any(|row| row.kind.1 == "spa" && row.devices == 0)
    );
    assert!(
        !first.iter().any(|row| row.kind.1 == "recognised"),
        "nobody is served from it"
    );
    assert!(auto_publish(&server.hub).await.unwrap().is_empty());
    server.post("/devices", desk("001565000001")).await.good();
    let listed = server.get("/profiles").await.good();
    let before = find(&listed, "sip-t4-t5", "default");
    assert_eq!(
        (&before["devices"], &before["changed"]),
        (&json!(1), &json!(false))
    );
    let target = server.get("/devices/001565000001").await.good();
    assert_eq!(target["activation"]["target_revision"], before["published"]);

    server.hub.catalog.store(edited(
        "yealink/sip-t4-t5/device.cfg.j2",
        "\n",
        "\n# a comment that changes the file\n",
    ));
    let listed = server.get("/profiles").await.good();
    let after = find(&listed, "sip-t4-t5", "default");
    assert_eq!(
        (&after["changed"], &after["published"]),
        (&json!(true), &before["published"])
    );
    let body = json!({"reason": "a comment", "vendor": "yealink"});
    let plan = server
        .post("/profiles/publish?dry_run=true", body.clone())
        .await
        .good();
    assert_eq!(
        (&plan["dry_run"], &plan["devices"]),
        (&json!(true), &json!(1))
    );
    let done = server.post("/profiles/publish", body.clone()).await.good();
    assert_eq!(done["published"], plan["published"]);
    assert_eq!(done["published"][0]["to"], after["draft"]);
    let again = server.post("/profiles/publish", body).await.good();
    assert_eq!(again["published"], json!([]));
    let past = server
        .get("/profiles/history?family=sip-t4-t5")
        .await
        .good();
    let past = past["items"].as_array().unwrap();
    let current: Vec<&Value> = past.iter().map(|row| &row["current"]).collect();
    assert_eq!(current, [&json!(true), &json!(false)]);
    assert_eq!(past[0]["reason"], "a comment");
    let bad = json!({"vendor": "nobody"});
    server
        .post("/profiles/publish", bad)
        .await
        .fails(422, "vendor-unknown");
}

#[tokio::test]
async fn the_first_unit_of_a_kind_has_a_revision_at_once() {
    let server = Server::start();
    let made = server.post("/devices", desk("001565000001")).await.good();
    let target = server.get("/devices/001565000001").await.good();
    assert!(
        target["activation"]["target_revision"].is_string(),
        "{target}"
    );
    assert_eq!(made["version"], 1);
    let listed = server.get("/profiles").await.good();
    let row = find(&listed, "sip-t4-t5", "default");
    assert_eq!(row["reason"], "the first unit of this kind");
}

#[tokio::test]
async fn the_folders_are_linted_and_covered() {
    let server = Server::start();
    let lint = server.get("/profiles/lint").await.good();
    let items = lint["items"].as_array().unwrap();
    assert!(
        items.iter().all(|item| item["severity"] == "warning"),
        "{lint}"
    );
    let told = |file: &str, what: &str| {
        let mut of = items.iter().filter(|item| item["file"] == file);
        let told = of.any(|item| item["what"].as_str().unwrap().contains(what));
        assert!(told, "{file}: {what}");
    };
    told("onie/onie/family.toml", "unconfirmed: transport.tls");
    told("onie/onie/family.toml", "neither mapped nor unsupported: ");
    let covered = server.get("/profiles?coverage=true").await.good();
    assert!(
        covered["variables"]
            .as_array()
            .unwrap()
            .contains(&json!("locale"))
    );
    let families = covered["families"].as_array().unwrap();
    let phones = families
        .iter()
        .find(|row| row["family"] == "sip-t4-t5")
        .unwrap();
    assert_eq!(phones["reads"]["admin_password"], "mapped");
    let loader = families.iter().find(|row| row["family"] == "onie");
    let loader = loader.unwrap();
    assert_eq!(loader["reads"]["hostname"], "unsupported");
    assert!(loader["sources"]["hostname"].is_string(), "{loader}");
    assert_eq!(loader["reads"]["nos_images"], "mapped");
    assert_eq!(loader["reads"]["voicemail_number"], Value::Null);
}

async fn phone(server: &Server) -> Value {
    auto_publish(&server.hub).await.unwrap();
    let site = json!({"name": "hq", "prefixes": ["10.0.0.0/8"], "corroborate": "prefix"});
    server.post("/sites", site).await.good();
    let mut body = desk("001565000001");
    body["site"] = json!("hq");
    body["lines"] =
        json!([{"n": 1, "user": "214", "password": "CANARY-L", "server": "pbx.example.net"}]);
    body["variables"] = json!({"admin_password": "CANARY-A", "locale": "de-DE"});
    server.post("/devices", body).await.good()
}

#[tokio::test]
async fn a_device_is_rendered_as_its_level_allows() {
    let server = Server::start();
    phone(&server).await;
    let path = "/devices/001565000001/render";
    let file = |rendered: &Value, id: &str| {
        let files = rendered["files"].as_array().unwrap();
        let found = files.iter().find(|file| file["id"] == id);
        found
            .unwrap_or_else(|| panic!("{id} in {rendered}"))
            .clone()
    };
    let full = server.get(path).await.good();
    assert_eq!(
        (&full["as"], &full["grant"]["credential"]),
        (&json!("L2"), &json!(true))
    );
    let config = file(&full, "device-config");
    assert_eq!(
        (&config["path"], &config["which"]),
        (&json!("001565000001.cfg"), &json!("normal"))
    );
    let text = full.to_string();
    assert!(!text.contains("CANARY"), "{text}");
    let body = config["body"].as_str().unwrap();
    assert!(body.contains("***") && body.contains("214"), "{body}");
    assert!(body.contains("https://prov.example.net/u/~/"), "{body}");
    let value = |name: &str| {
        let values = full["values"].as_array().unwrap();
        values
            .iter()
            .find(|value| value["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        value("locale"),
        json!({"name": "locale", "value": "de-DE", "layer": "device"})
    );
    assert_eq!(value("admin_password")["value"], "***");

    let stranger = server
        .get(&format!("{path}?as=L0&file=device-config"))
        .await
        .good();
    let config = file(&stranger, "device-config");
    assert_eq!(stranger["files"].as_array().unwrap().len(), 1);
    assert_eq!(config["which"], "bootstrap");
    let body = config["body"].as_str().unwrap();
    assert!(!body.contains("214") && !body.contains("/u/"), "{body}");
    let by_path = server
        .get(&format!("{path}?file=001565000001.cfg"))
        .await
        .good();
    assert_eq!(by_path["files"][0]["id"], "device-config");

    let before = server.hub.store.audit(0, 100).await.unwrap().len();
    let open = server
        .get(&format!("{path}?show_secrets=true"))
        .await
        .good();
    let body = file(&open, "device-config").to_string();
    assert!(
        body.contains("CANARY-L") && body.contains("CANARY-A"),
        "{body}"
    );
    let trail = server.hub.store.audit(0, 100).await.unwrap();
    assert_eq!(
        (trail.len(), trail.last().unwrap().action.as_str()),
        (before + 1, "device.show-secrets")
    );
    server
        .get(&format!("{path}?file=nothing"))
        .await
        .fails(404, "not-found");
    server
        .get(&format!("{path}?as=L9"))
        .await
        .fails(400, "query-invalid");
}

#[tokio::test]
async fn two_revisions_are_compared_device_by_device() {
    let server = Server::start();
    phone(&server).await;
    let same = server.get("/profiles/diff").await.good();
    assert_eq!(
        (&same["changed"], &same["devices"]),
        (&json!(0), &json!([]))
    );
    server.hub.catalog.store(edited(
        "yealink/sip-t4-t5/device.cfg.j2",
        "\n",
        "\n# a comment that changes the file\n",
    ));
    let diff = server.get("/profiles/diff?vendor=yealink").await.good();
    assert_eq!(
        (&diff["changed"], &diff["unchanged"], &diff["more"]),
        (&json!(1), &json!(0), &json!(0))
    );
    let files = &diff["devices"][0]["files"];
    assert_eq!(files[0]["file"], "001565000001.cfg");
    assert_eq!(
        files[0]["lines"],
        json!(["+# a comment that changes the file"])
    );
    assert!(!diff.to_string().contains("CANARY"));
    let one = server
        .get("/profiles/diff?device=001565000001")
        .await
        .good();
    assert_eq!(one["changed"], 1);
    let nothing = format!("sha256:{}", "0".repeat(64));
    let kind = "vendor=yealink&family=sip-t4-t5&profile=default";
    server
        .get(&format!("/profiles/diff?{kind}&from={nothing}"))
        .await
        .fails(404, "not-found");
    server
        .get(&format!("/profiles/diff?from={nothing}"))
        .await
        .fails(422, "missing-field");
}
