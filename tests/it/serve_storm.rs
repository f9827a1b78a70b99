//! A boot storm that the server is killed in, and a disk that is full.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dialtone::cli::client::Api;
use dialtone::model::identity::Mac;
use dialtone::simulate::{Clock, Identity, Surroundings, Unit};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::device_plane::foreign;
use crate::serve_process::{Process, SITE, configure, device, enter, get, sized, store_is_clean};
use crate::simulate_bench::conduct;
use crate::walks::resets;

/// The unit's own time: it waits in no time at all.
struct Hurried(Mutex<Timestamp>);

impl Clock for Hurried {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn pass(&self, time: Duration) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        let time = SignedDuration::try_from(time).unwrap();
        *self.0.lock().unwrap() += time;
        Box::pin(std::future::ready(true))
    }
}

pub(crate) fn unit(family: &str, model: &str, mac: &str, from: IpAddr, pointer: &str) -> Unit {
    let conduct = conduct(family);
    let mut who = Identity::sample(&conduct).unwrap();
    who.mac = Mac::parse(mac).unwrap();
    who.model = model.to_owned();
    let around = Surroundings {
        pointer: Some(pointer.to_owned()),
        bind: Some(from),
        client_certificate: None,
        public_roots: Vec::new(),
        vendor_roots: Vec::new(),
        registrar_ok: true,
        python: true,
        longest: Duration::from_secs(6 * 3600),
        clock: Arc::new(Hurried(Mutex::new(dialtone::cli::clock::now()))),
    };
    Unit::factory(conduct, who, around).unwrap()
}

pub(crate) fn state(device: &Value) -> &str {
    device["activation"]["state"].as_str().unwrap()
}

async fn state_of(api: &Api, mac: &str) -> String {
    state(&device(api, mac).await).to_owned()
}

/// `kill -9` three times while phones boot: what was acknowledged is there, the store is clean, no
/// phone that got its account has a window that was never used, and all come up in the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_outlives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "", SITE);
    let count = sized(24, 400);
    let mut server = Process::start(&folder);
    // The same addresses after each start: phones keep what they were told.
    let text = fs::read_to_string(folder.path().join("dialtone.toml")).unwrap();
    let text = text
        .replacen("127.0.0.1:0", server.address("https"), 1)
        .replacen("127.0.0.1:0", server.address("http"), 1);
    fs::write(folder.path().join("dialtone.toml"), text).unwrap();
    let pointer = server.http();
    let mut units = Vec::new();
    for n in 0..count {
        let mac = format!("805ec0{n:06x}");
        enter(&server.api(), "yealink", "T46S", &mac, "CANARY-line").await;
        let [high, low] = (n + 1).to_be_bytes();
        let from = IpAddr::from([127, 74, high, low]);
        units.push((
            mac.clone(),
            unit("yealink/sip-t4-t5", "T46S", &mac, from, &pointer),
        ));
    }
    for kill_at in [1, count / 4, count / 2] {
        let mut booting = JoinSet::new();
        for (mac, mut unit) in units.drain(..) {
            booting.spawn(async move {
                unit.boot_until_quiet(6).await;
                (mac, unit)
            });
        }
        // Killed when so many are done; the others are anywhere.
        for _ in 0..kill_at {
            units.push(booting.join_next().await.unwrap().unwrap());
        }
        server.kill();
        units.extend(booting.join_all().await);
        store_is_clean(&folder);
        server = Process::start(&folder);
        for (mac, unit) in &units {
            let device = device(&server.api(), mac).await;
            if unit.account().is_some() {
                let used = device["window"]["servings"].as_u64().unwrap() > 0;
                assert!(used || state(&device) == "active", "{device:#}");
            }
        }
    }
    for (mac, unit) in &mut units {
        for _ in 0..4 {
            unit.boot_until_quiet(6).await;
            if state_of(&server.api(), mac).await == "active" {
                break;
            }
        }
        assert!(unit.account().is_some(), "{mac}");
        assert_eq!(state_of(&server.api(), mac).await, "active", "{mac}");
    }
    server.stop();
    store_is_clean(&folder);
}

/// What of a whole response is its entity tag.
fn etag(answer: &str) -> String {
    let mut headers = answer.lines().filter_map(|line| line.split_once(": "));
    let tag = headers.find(|(name, _)| name.eq_ignore_ascii_case("etag"));
    tag.unwrap_or_else(|| panic!("no tag: {answer}"))
        .1
        .to_owned()
}

/// A server whose data stands on 200 MB of its own, and the file that fills them: a file system in a
/// mount namespace of its own, so that nobody needs to be root.
fn on_a_small_disk(folder: &Path) -> (Process, PathBuf) {
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    let mut command = Command::new("unshare");
    let mount = "mount -t tmpfs -o size=200m tmpfs \"$0\" && exec \"$@\"";
    command
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "--",
            "sh",
            "-c",
            mount,
        ])
        .arg(&data)
        .arg(env!("CARGO_BIN_EXE_dialtone"));
    let mut server = Process::start_by(command, folder);
    let inside = format!("/proc/{}/root{}", server.id(), data.display());
    server.data = Path::new(&inside).to_owned();
    let filler = server.data.join("filler");
    (server, filler)
}

/// Walk 6 of trust.md: a unit that resets what a file omits keeps its account on a full disk. It gets
/// its whole file or the refusal, never the shared file that it would fall back to.
#[tokio::test(flavor = "multi_thread")]
async fn walk_6_a_full_disk_takes_no_account() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in resets::files() {
        let file = folder.path().join("profiles").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let profiles = folder.path().join("profiles").display().to_string();
    let top = format!("profiles = [{profiles:?}, \"builtin:\"]");
    configure(folder.path(), &top, SITE);
    let (server, filler) = on_a_small_disk(folder.path());
    let mac = "02005e000001";
    enter(&server.api(), "acme", "R1", mac, "CANARY-own").await;
    let https = server.address("https").to_owned();
    let asks = async |name: &str| {
        let url = format!("https://{https}/{name}");
        let words = [
            "-ski",
            "--interface",
            "127.75.2.1",
            "-A",
            resets::AGENT,
            &url,
        ];
        let output = foreign("curl", &words).await;
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let own = format!("{mac}.conf");
    let held = asks(&own).await;
    assert!(held.contains("CANARY-own"), "{held}");

    fs::write(&filler, vec![1; 190 << 20]).unwrap();
    let own = asks(&own).await;
    assert!(own.starts_with("HTTP/1.1 503"), "{own}");
    let shared = asks("wipes.conf").await;
    assert!(shared.starts_with("HTTP/1.1 503"), "{shared}");
    server.stop();
}

/// F4: known units boot while the reserve lasts; then nobody gets a secret, and whoever has its
/// file keeps it; with space again all is as before.
#[tokio::test(flavor = "multi_thread")]
async fn f4_a_full_disk_serves_what_it_may_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "", SITE);
    let (server, filler) = on_a_small_disk(folder.path());
    let fill = |megabytes: usize| fs::write(&filler, vec![1; megabytes << 20]).unwrap();

    let macs = ["000e08bb0001", "000e08bb0002", "000e08bb0003"];
    for mac in macs {
        enter(
            &server.api(),
            "cisco",
            "SPA942",
            mac,
            &format!("CANARY-{mac}"),
        )
        .await;
    }
    let http = server.address("http").to_owned();
    let asks = async |n: usize| {
        let path = format!("/{}.xml", macs[n]);
        get(&format!("127.75.0.{}", n + 1), &http, &path, "").await
    };

    // A phone that is up, at its own URL.
    enter(
        &server.api(),
        "yealink",
        "T46S",
        "805ec0000001",
        "CANARY-up",
    )
    .await;
    let from = IpAddr::from([127, 75, 1, 1]);
    let pointer = server.http();
    let mut phone = unit("yealink/sip-t4-t5", "T46S", "805ec0000001", from, &pointer);
    let stories = phone.boot_until_quiet(6).await;
    assert!(phone.account().is_some(), "{stories:#?}");
    let stories = phone.boot_until_quiet(3).await;
    let mut own = stories.iter().flat_map(|story| story.urls());
    let own = own.rfind(|url| url.contains("/u/") && url.ends_with(".cfg"));
    let own = own.expect("it asks at its own URL").to_owned();
    let asks_own = async |header: &str| {
        let from = from.to_string();
        let words = ["-ski", "--interface", &from, "-H", header, &own];
        let output = foreign("curl", &words).await;
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let held = asks_own("accept: */*").await;
    assert!(held.contains("CANARY-up"), "{held}");

    // Below the spare space people change nothing, and a listed phone still comes up.
    fill(150);
    let row = json!({"vendor": "cisco", "model": "SPA942", "mac": "000e08bb0009", "site": "hq"});
    let call = dialtone::cli::client::Call::to(&["devices"]);
    let refused = server
        .api()
        .send(http::Method::POST, &call, Some(&row))
        .await;
    assert_eq!(refused.unwrap_err().code, "disk-full");
    let first = asks(0).await;
    assert!(first.contains("CANARY-000e08bb0001"), "{first}");

    // With the reserve gone no secret leaves; whoever has its file is told so.
    fill(190);
    let second = asks(1).await;
    assert!(!second.contains("CANARY"), "{second}");
    assert!(!second.starts_with("HTTP/1.1 200"), "{second}");
    let again = asks_own(&format!("if-none-match: {}", etag(&held))).await;
    assert!(again.starts_with("HTTP/1.1 304"), "{again}");
    let other = asks_own("if-none-match: \"other\"").await;
    assert!(!other.contains("CANARY"), "{other}");
    phone.boot_until_quiet(3).await;
    assert!(phone.account().is_some(), "it keeps its account");

    // Space again, and no restart.
    fs::remove_file(&filler).unwrap();
    let third = asks(2).await;
    assert!(third.contains("CANARY-000e08bb0003"), "{third}");
    let second = asks(1).await;
    assert!(second.contains("CANARY-000e08bb0002"), "{second}");
    server.stop();
}
