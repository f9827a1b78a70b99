//! hostile-cases F1: `kill -9` in the middle of an import into a real server.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use dialtone::store::{Filter, KnownAsk, Owner, Store};
use http::Method;
use tempfile::TempDir;

use crate::api::{Answer, raw};
use crate::device_plane::PATIENCE;
use crate::import_support::good;
use crate::power_cut::Random;
use crate::store_sample::open;

/// A server in a process of its own.
pub(crate) struct Process(Child);

impl Process {
    /// Starts one and waits until it is ready.
    pub(crate) fn serve(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dialtone"))
            .args(["serve", "--config"])
            .arg(folder.join("dialtone.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("ready "), "{ready:?}");
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A data folder and its configuration, with the site hq.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "data = {:?}\n[listen]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\nadmin = []\n[[site]]\nname = \"hq\"\nprefixes = [\"10.99.0.0/16\"]\ncorroborate = \"prefix\"\n",
        folder.path().join("data").display().to_string()
    );
    std::fs::write(folder.path().join("dialtone.toml"), text).unwrap();
    folder
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("data/admin.sock")
}

async fn import(socket: PathBuf, file: String) -> Answer {
    let path = "/api/v1/imports?filename=list.csv";
    raw(&socket, Method::POST, path, file.into_bytes(), &[]).await
}

/// Devices of one batch. What is seen of a batch may not be durable yet; the ones before it are,
/// because a batch is begun when the one before is acknowledged.
const BATCH: u64 = 250;

/// The newest import: its state, and how many devices it says that it has done.
async fn progress(socket: &Path) -> (String, u64) {
    let path = "/api/v1/imports";
    let list = raw(socket, Method::GET, path, Vec::new(), &[]).await.good();
    let newest = list["items"].as_array().unwrap().last().cloned();
    newest.map_or((String::new(), 0), |import| {
        let state = import["state"].as_str().unwrap().to_owned();
        (state, import["done"].as_u64().unwrap())
    })
}

/// How many devices the store holds, each of them whole.
async fn whole(store: &Store) -> u64 {
    crate::store::is_clean(store).await;
    let devices = store
        .devices(&Filter::default(), None, usize::MAX)
        .await
        .unwrap();
    for device in &devices {
        let lines = &device.config.lines;
        assert!(lines.len() == 1 && lines[0].has_password, "{}", device.id);
        let secret = store
            .secret(&Owner::Device(device.id), "line.1.password")
            .await
            .unwrap();
        assert!(secret.is_some(), "{}", device.id);
        let ask = KnownAsk {
            macs: vec![device.config.mac.unwrap()],
            ..KnownAsk::default()
        };
        assert_eq!(store.known(&ask).await.unwrap().by_mac.len(), 1);
    }
    u64::try_from(devices.len()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_import_keeps_what_it_acknowledged_and_goes_on_at_the_next_start() {
    let full = std::env::var("DIALTONE_FULL").is_ok_and(|value| value == "1");
    let (kills, rows) = if full { (200, 10_000) } else { (3, 2_000) };
    let file = good(rows);
    let rows = u64::try_from(rows).unwrap();
    let mut random = Random(7);
    let mut home = folder();
    let mut held = 0;
    let mut begun = false;
    for _ in 0..kills {
        let socket = socket(home.path());
        let server = Process::serve(home.path());
        // It is sent once: what is broken off goes on by itself.
        let upload = (!begun).then(|| tokio::spawn(import(socket.clone(), file.clone())));
        let stop_at = held + random.below(rows - held);
        let mut done = 0;
        while done < stop_at {
            let (state, now) = progress(&socket).await;
            done = now;
            if state == "done" {
                break;
            }
        }
        server.kill();
        if let Some(upload) = upload {
            // The connection broke, or the answer came just before.
            drop(upload.await);
        }
        let store = open(&home.path().join("data"), "sled:store");
        let there = whole(&store).await;
        begun = !store.jobs().await.unwrap().is_empty();
        drop(store);
        let acknowledged = done.saturating_sub(BATCH).max(held);
        assert!(there >= acknowledged, "{there} of {acknowledged}");
        held = there;
        if held == rows {
            home = folder();
            (held, begun) = (0, false);
        }
    }
    // To the end.
    let socket = socket(home.path());
    let server = Process::serve(home.path());
    if !begun {
        import(socket.clone(), file.clone()).await.good();
    }
    let end = async { while progress(&socket).await.0 != "done" {} };
    tokio::time::timeout(PATIENCE, end)
        .await
        .expect("it goes on by itself");
    let imports = "/api/v1/imports";
    let list = raw(&socket, Method::GET, imports, Vec::new(), &[])
        .await
        .good();
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "one job all the time: {list:#}");
    let count = |key: &str| items[0][key].as_u64().unwrap();
    assert_eq!((count("update"), count("rejected")), (0, 0));
    assert_eq!(count("create") + count("unchanged"), rows);
    if begun {
        assert_eq!(count("unchanged"), held);
        let trail = raw(&socket, Method::GET, "/api/v1/audit", Vec::new(), &[]);
        let trail = trail.await.good().to_string();
        assert!(trail.contains("import.resume"), "{trail}");
    }
    server.kill();
    let store = open(&home.path().join("data"), "sled:store");
    assert_eq!(whole(&store).await, rows);
    // The file is gone with the last of it.
    let id = store.jobs().await.unwrap().remove(0).id;
    let body = store.job(&id).await.unwrap().unwrap().body.unwrap();
    assert!(body.len() < 4096, "{}", body.len());
}
