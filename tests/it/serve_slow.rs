//! hostile-cases B4: connections that say next to nothing, and a phone beside them. Small in each
//! run; with `DIALTONE_FULL=1` 2,000 of them, with the limits in seconds.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::device_plane::{read_to_end, status};
use crate::serve_process::{Process, SITE, configure, connect, enter, get, sized};

const MAC: &str = "805ec0d57d72";

/// Files and sockets that the server holds.
fn open_files(server: &Process) -> usize {
    let folder = format!("/proc/{}/fd", server.id());
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn b4_two_thousand_slow_connections_keep_no_phone_waiting() {
    let count = sized(64, 2000);
    let full = count > 64;
    let folder = tempfile::tempdir().unwrap();
    configure(
        folder.path(),
        "",
        &SITE.replace("127.0.0.0/8", "127.78.0.0/16"),
    );
    let server = Process::start(&folder);
    enter(&server.api(), "yealink", "T46S", MAC, "CANARY-line").await;
    let http = server.address("http").to_owned();
    let path = format!("/{MAC}.cfg");
    let asks = async || {
        let began = Instant::now();
        let answer = get("127.78.0.1", &http, &path, "").await;
        assert_eq!(status(&answer), "200", "{answer}");
        began.elapsed()
    };
    asks().await;
    let (files, memory) = (open_files(&server), server.memory("VmRSS:"));
    // An octet of a head, from eight at each address; then nothing.
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut slow = JoinSet::new();
    for n in 0..count {
        let [high, low] = (n / 8 + 1).to_be_bytes();
        let (from, http) = (format!("127.66.{high}.{low}"), http.clone());
        let tell = tell.clone();
        slow.spawn(async move {
            let mut stream = connect(&from, &http).await;
            // One that is turned away at once has nobody to write to.
            drop(stream.write_all(b"G").await);
            let began = Instant::now();
            tell.send(()).unwrap();
            read_to_end(&mut stream).await;
            began.elapsed()
        });
    }
    for _ in 0..count {
        told.recv().await.unwrap();
    }
    let mut took = Vec::new();
    for _ in 0..sized(8, 400) {
        took.push(asks().await);
    }
    let grown = server.memory("VmRSS:").saturating_sub(memory);
    assert!(grown < 64 << 10, "{grown} kB more");
    if full {
        took.sort();
        let p99 = took[took.len() * 99 / 100];
        assert!(p99 < Duration::from_secs(1), "{p99:?}");
        while let Some(ended) = slow.join_next().await {
            let ended = ended.unwrap();
            assert!(ended < Duration::from_secs(15), "{ended:?}");
        }
    }
    slow.shutdown().await;
    // What they held comes back.
    let wait = async {
        while open_files(&server) > files + 4 {
            asks().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .expect("their sockets are closed");
    server.stop();
}
