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
}
