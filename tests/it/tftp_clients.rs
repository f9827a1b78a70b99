//! TFTP with clients that others wrote: curl, tftp-hpa, atftp, busybox.

use std::net::SocketAddr;
use std::path::Path;

use dialtone::answer::Delivery;

use crate::device_plane::{foreign, small};
use crate::tftp::big;
use crate::tftp_support::Server;

/// The command lines that read `name` into `out`.
fn clients(server: SocketAddr, name: &str, out: &Path) -> Vec<(&'static str, Vec<String>)> {
    let (host, port) = (server.ip().to_string(), server.port().to_string());
    let out = out.display().to_string();
    let url = format!("tftp://{server}/{name}");
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    let curl = |more: &[&str]| {
        let mut line = words(&["-sS", "-o", &out, &url]);
        line.extend(words(more));
        ("curl", line)
    };
    let atftp = |more: &[&str]| {
        let mut line = words(more);
        line.extend(words(&["-g", "-r", name, "-l", &out, &host, &port]));
        ("atftp", line)
    };
    let busybox = |more: &[&str]| {
        let mut line = words(&["tftp", "-g", "-r", name, "-l", &out]);
        line.extend(words(more));
        line.extend(words(&[&host, &port]));
        ("busybox", line)
    };
    vec![
        curl(&[]),
        curl(&["--tftp-blksize", "1428"]),
        curl(&["--tftp-no-options"]),
        (
            "tftp",
            words(&["-m", "binary", &host, &port, "-c", "get", name, &out]),
        ),
        atftp(&[]),
        atftp(&["--option", "blksize 1428", "--option", "windowsize 8"]),
        busybox(&[]),
        busybox(&["-b", "1428"]),
    ]
}

async fn all_read(server: &Server, name: &str, expect: &[u8], ticket: u64) {
    let folder = tempfile::tempdir().unwrap();
    for (n, (program, line)) in clients(server.address, name, &folder.path().join("out"))
        .into_iter()
        .enumerate()
    {
        let out = folder.path().join("out");
        drop(std::fs::remove_file(&out));
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let output = foreign(program, &line).await;
        let got = std::fs::read(&out).unwrap_or_default();
        assert!(
            got == expect,
            "{program} {line:?}: {} octets of {}; {}{}",
            got.len(),
            expect.len(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let (delivered, how, bytes) = server.delivered().await;
        assert_eq!((delivered, how), (ticket, Delivery::Whole), "{n} {program}");
        assert_eq!(bytes, u64::try_from(expect.len()).unwrap());
    }
}

#[tokio::test]
async fn curl_tftp_hpa_atftp_and_busybox_read_a_small_file() {
    all_read(&Server::plain(), "a.cfg", &small(), 1).await;
}

#[tokio::test]
async fn curl_tftp_hpa_atftp_and_busybox_read_a_large_file() {
    let full = std::env::var_os("DIALTONE_FULL").is_some();
    let octets: u32 = if full { 40_000_000 } else { 2_000_000 };
    let (folder, file) = big(octets);
    let server = Server::with((folder.path().join("big"), octets.into()));
    all_read(&server, "big.bin", &file, 3).await;
}

#[tokio::test]
async fn a_file_that_is_not_there_is_an_error_to_each() {
    let server = Server::plain();
    let folder = tempfile::tempdir().unwrap();
    for name in ["none.cfg", "../../etc/passwd"] {
        for (program, line) in clients(server.address, name, &folder.path().join("out")) {
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            let output = foreign(program, &line).await;
            let got = std::fs::read(folder.path().join("out")).unwrap_or_default();
            assert!(got.is_empty(), "{program} {line:?}");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).to_lowercase();
            assert!(
                !output.status.success() || said.contains("not found"),
                "{program} {line:?}: {said}"
            );
        }
    }
}

#[tokio::test]
async fn ipv6_clients_are_served_as_well() {
    let server = Server::start("[::1]:0", None, Default::default());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    let url = format!("tftp://{}/a.cfg", server.address);
    let output = foreign("curl", &["-sS", "-g", "-o", &out, &url]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read(&out).unwrap(), small());
    assert_eq!(server.asked().await.source.unwrap().to_string(), "::1");
}
