//! hostile-cases F2, F14 and F16 against `serve` as a process: killed, reloaded, stopped.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::device_plane::read_to_end;
use crate::serve_process::{
    Process, SITE, ask, configure, connect, device, enter, get, sized, store_is_clean,
};

/// F2: whoever received a credential has used its window, also when the server was killed as the
/// first octet left.
#[tokio::test(flavor = "multi_thread")]
async fn f2_a_window_is_used_before_the_first_secret_leaves() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "", SITE);
    let mut leaked = 0;
    for seed in 0..sized(6, 60) {
        let server = Process::start(&folder);
        let mac = format!("000e08aa{seed:04x}");
        enter(&server.api(), "cisco", "SPA942", &mac, "CANARY-line").await;
        let from = format!("127.70.{}.{}", seed / 200, seed % 200 + 1);
        let mut stream = connect(&from, server.address("http")).await;
        ask(&mut stream, &format!("/{mac}.xml"), "").await;
        let mut got = Vec::new();
        if seed % 3 != 0 {
            // As the first octets of the file are there; else as the request is sent.
            let mut some = [0; 64];
            while got.len() < usize::from(seed % 3) * 400 {
                let count = stream.read(&mut some).await.unwrap();
                assert!(count > 0, "{}", String::from_utf8_lossy(&got));
                got.extend_from_slice(&some[..count]);
            }
        }
        server.kill();
        got.extend_from_slice(read_to_end(&mut stream).await.as_bytes());

        store_is_clean(&folder);
        let server = Process::start(&folder);
        let device = device(&server.api(), &mac).await;
        let window = &device["window"];
        if String::from_utf8_lossy(&got).contains("CANARY") {
            leaked += 1;
            assert!(
                window["servings"].as_u64().unwrap() >= 1,
                "{seed}: {device:#}"
            );
            assert!(
                window["bound_to"] != serde_json::json!({}),
                "{seed}: {device:#}"
            );
        }
        server.stop();
    }
    assert!(leaked > 0, "no round came as far as a secret");
}

/// F14: a reload with something wrong keeps everything, says why, and drops no request.
#[tokio::test(flavor = "multi_thread")]
async fn f14_a_broken_reload_changes_nothing_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let profiles = folder.path().join("profiles");
    let vendor = profiles.join("acme");
    fs::create_dir_all(&vendor).unwrap();
    let top = |more: &str| format!("profiles = [{:?}, \"builtin:\"]\n{more}", profiles);
    configure(folder.path(), &top(""), SITE);
    let server = Process::start(&folder);
    enter(
        &server.api(),
        "yealink",
        "T46S",
        "001565aabbcc",
        "CANARY-line",
    )
    .await;

    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let load: Vec<_> = (1..=4)
        .map(|n| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let to = server.address("http").to_owned();
            tokio::spawn(async move {
                let from = format!("127.71.0.{n}");
                while !stop.load(Ordering::Relaxed) {
                    let answer = get(&from, &to, "/y000000000066.cfg", "").await;
                    let good = answer.starts_with("HTTP/1.1 200 OK");
                    assert!(good, "{answer}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let broken = vendor.join("vendor.toml");
    let tls = "[tls]\ncertificate = [{ chain_file = \"/nonexistent/a\", key_file = \"/nonexistent/b\" }]\n";
    for round in 0..sized(6, 99) {
        let why = match round % 3 {
            0 => {
                fs::write(&broken, "vendor = ").unwrap();
                "acme/vendor.toml"
            }
            1 => {
                configure(folder.path(), &top("public_urll = \"x\""), SITE);
                "public_urll"
            }
            _ => {
                configure(folder.path(), &top(""), &format!("{tls}{SITE}"));
                "/nonexistent/a"
            }
        };
        server.signal(Signal::HUP);
        server.logged(why);
        server.logged("nothing was reloaded");
        drop(fs::remove_file(&broken));
        configure(folder.path(), &top(""), SITE);
    }
    configure(
        folder.path(),
        &top("public_aliases = [\"b.example\"]"),
        SITE,
    );
    server.signal(Signal::HUP);
    server.logged("\"reloaded\"");
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.expect("every request was answered");
    }
    assert!(answered.load(Ordering::Relaxed) > 0);
    server.stop();
}

/// F16: what is at work is finished, exit 0; nothing is half sent, and the store is whole.
#[tokio::test(flavor = "multi_thread")]
async fn f16_a_signal_to_stop_finishes_what_is_at_work() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "", SITE);
    let mut server = Process::start(&folder);
    enter(
        &server.api(),
        "yealink",
        "T46S",
        "001565aabbcc",
        "CANARY-line",
    )
    .await;
    let began = Arc::new(tokio::sync::Barrier::new(101));
    let load: Vec<_> = (0..100)
        .map(|n| {
            let to = server.address("http").to_owned();
            let began = Arc::clone(&began);
            tokio::spawn(async move {
                let from = format!("127.72.0.{}", n + 1);
                let mut stream = connect(&from, &to).await;
                let mut whole = 0_u64;
                loop {
                    match exchange(&mut stream).await {
                        Exchange::Whole => whole += 1,
                        Exchange::Closed => return Ok(whole),
                        Exchange::Broken(got) => return Err(got),
                    }
                    if whole == 1 {
                        began.wait().await;
                    }
                }
            })
        })
        .collect();
    began.wait().await;
    server.signal(Signal::TERM);
    for task in load {
        let ended = task.await.unwrap();
        assert!(
            ended.is_ok_and(|whole| whole >= 1),
            "a response was cut off"
        );
    }
    assert_eq!(server.wait().code(), Some(0));
    store_is_clean(&folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn f16_a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "", SITE);
    let mut server = Process::start(&folder);
    // Half a head: the server waits for the rest, for ten seconds.
    let mut stream = connect("127.73.0.1", server.address("http")).await;
    stream
        .write_all(b"GET /x HTTP/1.1\r\nhost: ")
        .await
        .unwrap();
    server.signal(Signal::TERM);
    server.logged("stopping");
    let began = Instant::now();
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(8));
    drop(stream);
    store_is_clean(&folder);
}

enum Exchange {
    Whole,
    /// Closed before the first octet of a response.
    Closed,
    Broken(String),
}

/// One request and its response, with `Content-Length`, on a connection that stays.
async fn exchange(stream: &mut tokio::net::TcpStream) -> Exchange {
    let request = b"GET /y000000000066.cfg HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    if stream.write_all(request).await.is_err() {
        return Exchange::Closed;
    }
    let mut got = Vec::new();
    let mut some = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&got);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_lowercase();
            let length = length
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.expect("a length").parse().expect("a number");
            if body.len() >= length {
                return Exchange::Whole;
            }
        }
        match stream.read(&mut some).await {
            Ok(count) if count > 0 => got.extend_from_slice(&some[..count]),
            Ok(_) | Err(_) if got.is_empty() => return Exchange::Closed,
            Ok(_) | Err(_) => return Exchange::Broken(String::from_utf8_lossy(&got).into_owned()),
        }
    }
}
