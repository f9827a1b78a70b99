//! Imports through the API: dry run, commit, report, again, atomic, two at once.

use std::collections::BTreeSet;
use std::path::PathBuf;

use dialtone::model::device::Device;
use dialtone::model::site::{Corroborate, Site};
use dialtone::store::{Batch, Filter, Owner, Write};
use http::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Server, raw};
use crate::import_support::{BAD, CANARY, ROWS, bad_rows, large};

fn site(name: &str) -> Write {
    Write::PutSite(Site {
        prefixes: vec!["10.99.0.0/16".parse().unwrap()],
        corroborate: Corroborate::Prefix,
        ..Site::new(name)
    })
}

/// A server that knows the site hq.
async fn server() -> Server {
    let server = Server::start();
    let batch = Batch::now(vec![site("hq")]);
    server.hub.store.commit(batch).await.unwrap();
    server
}

async fn upload(server: &Server, query: &str, file: &str) -> Answer {
    let path = format!("/api/v1/imports?filename=list.csv{query}");
    let bytes = file.as_bytes().to_vec();
    raw(
        &server.socket,
        Method::POST,
        &path,
        bytes,
        &[("content-type", "text/csv")],
    )
    .await
}

async fn devices(server: &Server) -> Vec<Device> {
    let store = &server.hub.store;
    store
        .devices(&Filter::default(), None, usize::MAX)
        .await
        .unwrap()
}

fn counts(report: &Value) -> [u64; 5] {
    ["rows", "create", "update", "unchanged", "rejected"].map(|key| report[key].as_u64().unwrap())
}

const HEAD: &str = "mac,vendor,model,site,extension,sip_password\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_rows_are_planned_committed_reported_and_done_once() {
    let server = server().await;
    let (rows, bad) = (u64::try_from(ROWS).unwrap(), u64::try_from(BAD).unwrap());
    // The dry run lists everything and changes nothing.
    let planned = upload(&server, "&dry_run=true", &large(false)).await;
    assert_eq!(planned.header("dry-run"), Some("true"));
    let planned = planned.good();
    assert_eq!(counts(&planned), [rows, rows - bad, 0, 0, bad]);
    golden("dry-run.json", &planned);
    let told: BTreeSet<u64> = planned["problems"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rows"].as_array().unwrap())
        .map(|row| row.as_u64().unwrap())
        .collect();
    assert_eq!(told, bad_rows().keys().map(|row| u64::from(*row)).collect());
    assert_eq!(devices(&server).await.len(), 0);
    assert!(server.hub.store.jobs().await.unwrap().is_empty());
    assert!(server.hub.store.audit(0, 10).await.unwrap().is_empty());
    // The commit does what the dry run said.
    let done = upload(&server, "", &large(false)).await.good();
    assert_eq!(counts(&done), counts(&planned));
    assert_eq!(done["problems"], planned["problems"]);
    assert_eq!(done["committed"], json!(true));
    let stored = devices(&server).await;
    assert_eq!(stored.len(), ROWS - BAD);
    for device in &stored {
        let secrets = server
            .hub
            .store
            .secrets(&Owner::Device(device.id))
            .await
            .unwrap();
        assert_eq!(secrets.len(), 1, "{}", device.id);
        assert!(device.config.lines[0].has_password);
    }
    // Each device has its token.
    let keys = &server.hub.keys;
    let token = keys.digest_of(&keys.unit_token(stored[0].id, 1));
    let ask = dialtone::store::KnownAsk {
        token: Some(token),
        ..Default::default()
    };
    let known = server.hub.store.known(&ask).await.unwrap();
    assert_eq!(known.by_token.unwrap().0.id, stored[0].id);
    // Nothing that is shown holds a password; only the rejected rows themselves do.
    let job = done["job"].as_str().unwrap().to_owned();
    let list = server.get("/imports").await.good();
    let one = server.get(&format!("/imports/{job}")).await.good();
    assert_eq!(one["state"], json!("partly"));
    assert_eq!(list["items"][0]["problems"][0].get("items"), None);
    for shown in [&planned, &done, &list, &one] {
        assert!(!shown.to_string().contains(CANARY));
    }
    let body = server
        .hub
        .store
        .job(&job)
        .await
        .unwrap()
        .unwrap()
        .body
        .unwrap();
    let canary = CANARY.as_bytes();
    assert!(!body.windows(canary.len()).any(|part| part == canary));
    let report = raw(
        &server.socket,
        Method::GET,
        &format!("/api/v1/imports/{job}/report"),
        Vec::new(),
        &[],
    )
    .await;
    assert_eq!(
        report.header("content-type"),
        Some("text/csv; charset=utf-8")
    );
    let report = String::from_utf8(report.bytes.to_vec()).unwrap();
    assert_eq!(report.lines().count(), BAD + 1);
    for line in report.lines().skip(1) {
        assert!(line.contains(CANARY), "{line}");
    }
    // What happened is on record.
    let audit = server.hub.store.audit(0, 10).await.unwrap();
    let actions: Vec<&str> = audit.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["import.begin", "import", "import.report"]);
    assert!(audit[1].detail.contains("970 created"), "{:?}", audit[1]);
    // Again: nothing changes.
    let again = upload(&server, "", &large(false)).await.good();
    assert_eq!(counts(&again), [rows, 0, 0, rows - bad, bad]);
    assert_eq!(devices(&server).await, stored);
    // The report, corrected, is what failed and nothing else.
    let corrected = upload(&server, "", &large(true)).await.good();
    assert_eq!(counts(&corrected), [rows, bad, 0, rows - bad, 0]);
    assert_eq!(corrected["state"], Value::Null);
    let one = server
        .get(&format!("/imports/{}", corrected["job"].as_str().unwrap()))
        .await;
    assert_eq!(one.good()["state"], json!("done"));
    assert_eq!(devices(&server).await.len(), ROWS);
}

/// Compares with a kept document; `UPDATE_EXPECT=1` writes it.
fn golden(name: &str, found: &Value) {
    let path = PathBuf::from("tests/fixtures/imports").join(name);
    let found = format!("{found:#}\n");
    if std::env::var("UPDATE_EXPECT").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &found).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == found,
        "{} differs; UPDATE_EXPECT=1 writes it",
        path.display()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn units_that_could_not_come_up_today_are_named_with_the_remedy() {
    let server = server().await;
    let file = format!(
        "{HEAD}001565000001,yealink,T46S,hq,214,a\n000e08000001,cisco,SPA942,hq,215,b\n000e08000002,cisco,SPA942,hq,216,c\n001565000002,yealink,T46S,,217,d\n"
    );
    let report = upload(&server, "", &file).await.good();
    let blocked: Vec<(&str, &Value)> = report["not_today"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (group["code"].as_str().unwrap(), &group["devices"]))
        .collect();
    assert_eq!(
        blocked,
        [
            (
                "needs-waiver",
                &json!(["00:0e:08:00:00:01", "00:0e:08:00:00:02"])
            ),
            ("needs-corroboration", &json!(["00:15:65:00:00:02"])),
        ]
    );
    let command = report["not_today"][0]["command"].as_str().unwrap();
    assert!(
        command.starts_with("dialtone waiver add --site hq --model SPA942 --until 20"),
        "{command}"
    );
    // Armed for later.
    let later = "001565000003,yealink,T46S,hq,218,e\n";
    let query = "&arm_from=2027-01-01T00:00:00Z&arm_for=30d";
    let report = upload(&server, query, &format!("{HEAD}{later}"))
        .await
        .good();
    assert_eq!(report["not_today"][0]["code"], json!("not-armed-yet"));
    let device = server
        .hub
        .store
        .find("001565000003")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        device.config.arming.from.to_string(),
        "2027-01-01T00:00:00Z"
    );
    assert_eq!(
        device.config.arming.until.to_string(),
        "2027-01-31T00:00:00Z"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn atomic_is_everything_or_nothing() {
    let server = server().await;
    let good = "001565000001,yealink,T46S,hq,214,CANARY-1\n";
    let file = format!("{HEAD}{good}00156,yealink,T46S,hq,215,CANARY-2\n");
    let report = upload(&server, "&atomic=true", &file).await.good();
    assert_eq!(counts(&report), [2, 1, 0, 0, 1]);
    assert_eq!(report["committed"], json!(false));
    assert_eq!(devices(&server).await.len(), 0);
    // What was wrong can be fetched.
    let job = report["job"].as_str().unwrap();
    let shown = server.get(&format!("/imports/{job}")).await.good();
    assert_eq!(shown["state"], json!("failed"));
    let path = format!("/api/v1/imports/{job}/report");
    let rows = raw(&server.socket, Method::GET, &path, Vec::new(), &[]).await;
    let rows = String::from_utf8(rows.bytes.to_vec()).unwrap();
    assert!(
        rows.contains("00156,yealink,T46S,hq,215,CANARY-2,mac-invalid,"),
        "{rows}"
    );
    let report = upload(&server, "&atomic=true", &format!("{HEAD}{good}"))
        .await
        .good();
    assert_eq!(report["committed"], json!(true));
    assert_eq!(devices(&server).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_changes_than_expected_is_refused() {
    let server = server().await;
    let file = large(true);
    let refused = upload(&server, "&expect_changes=3", &file).await;
    refused.fails(409, "too-many-changes");
    assert_eq!(devices(&server).await.len(), 0);
    let done = upload(&server, &format!("&expect_changes={ROWS}"), &file).await;
    assert_eq!(counts(&done.good())[1], u64::try_from(ROWS).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_as_a_whole_is_told() {
    let server = server().await;
    let fails = async |query: &str, file: &str, status: u16, code: &str| {
        let before = devices(&server).await.len();
        let problem = upload(&server, query, file).await.fails(status, code);
        assert_eq!(devices(&server).await.len(), before);
        problem
    };
    let row = "001565000001,yealink,T46S,hq,214,a\n";
    let file = format!("{HEAD}{row}");
    let open = fails("", &format!("{HEAD}\"{row}"), 422, "file-invalid").await;
    assert_eq!(open["errors"][0]["field"], json!("row 2"));
    fails("", "", 422, "file-invalid").await;
    fails("", HEAD, 422, "file-invalid").await;
    fails("", "a,b\n1,2\n", 422, "file-invalid").await;
    let wide = format!("mac{}\n1\n", ",x".repeat(300));
    fails("", &wide, 422, "file-invalid").await;
    let long = format!("mac\n{}\n", "x".repeat(70_000));
    fails("", &long, 422, "file-invalid").await;
    let map = fails("&map=mac=Geraet", &file, 422, "value-invalid").await;
    assert_eq!(map["errors"][0]["field"], json!("map"));
    fails(
        "&map=var.nonsense=extension",
        &file,
        422,
        "variable-unknown",
    )
    .await;
    fails("&map=office", &file, 501, "not-built").await;
    fails("&arm_for=soon", &file, 422, "duration-invalid").await;
    fails("&arm_from=soon", &file, 422, "time-invalid").await;
    fails("&expect_changes=many", &file, 400, "query-invalid").await;
    fails("&dryrun=true", &file, 422, "unknown-field").await;
    fails("", "PK\u{3}\u{4}", 501, "not-built").await;
    fails("", " [{\"mac\":1}]", 501, "not-built").await;
    fails("", "<?xml version=\"1.0\"?><!DOCTYPE x>", 501, "not-built").await;
    for verb in ["retry", "undo"] {
        let path = format!("/imports/1/{verb}");
        server.post(&path, json!({})).await.fails(501, "not-built");
    }
    server.get("/imports/nothing").await.fails(404, "not-found");
    server
        .get("/imports/nothing/report")
        .await
        .fails(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_make_each_device_once() {
    let server = server().await;
    let file = large(true);
    let (one, other) = tokio::join!(upload(&server, "", &file), upload(&server, "", &file));
    let (one, other) = (counts(&one.good()), counts(&other.good()));
    let all = u64::try_from(ROWS).unwrap();
    for found in [one, other] {
        assert_eq!(
            (found[1] + found[3], found[2], found[4]),
            (all, 0, 0),
            "{found:?}"
        );
    }
    assert_eq!(one[1] + other[1], all);
    assert_eq!(devices(&server).await.len(), ROWS);
    crate::store::is_clean(&server.hub.store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_model_arms_anew_and_a_retired_unit_stays_retired() {
    let server = server().await;
    let file = |model: &str, password: &str| {
        format!("{HEAD}001565000001,yealink,{model},hq,214,{password}\n")
    };
    upload(&server, "", &file("T46S", "a")).await.good();
    let before = devices(&server).await.remove(0);
    // A new password: the row is changed, and the unit stays what it is.
    let report = upload(&server, "", &file("T46S", "b")).await.good();
    assert_eq!(counts(&report), [1, 0, 1, 0, 0]);
    let after = devices(&server).await.remove(0);
    assert_eq!(after.config.arming, before.config.arming);
    assert_eq!(after.config.version, before.config.version + 1);
    let owner = Owner::Device(after.id);
    let sealed = server
        .hub
        .store
        .secret(&owner, "line.1.password")
        .await
        .unwrap()
        .unwrap();
    let opened = server
        .hub
        .keys
        .open(&sealed, &owner.aad("line.1.password"))
        .unwrap();
    assert_eq!(opened.expose(), "b");
    let report = upload(&server, "", &file("T48S", "b")).await.good();
    assert_eq!(counts(&report), [1, 0, 1, 0, 0]);
    let anew = devices(&server).await.remove(0);
    assert_eq!(anew.config.arming.generation, 2);
    server
        .post("/devices/001565000001/retire", json!({}))
        .await
        .good();
    let report = upload(&server, "", &file("T48S", "c")).await.good();
    assert_eq!(counts(&report), [1, 0, 1, 0, 0]);
    assert!(report["warnings"].to_string().contains("not-listed"));
    let report = upload(&server, "", &file("T46S", "c")).await.good();
    assert_eq!(counts(&report), [1, 0, 0, 0, 1]);
    assert_eq!(report["problems"][0]["code"], json!("mac-conflict"));
}
