//! The server as a whole: start, ready, reload, anchors, shutdown, start again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use dialtone::answer::Delivery;
use dialtone::cli::server::ServerError;
use dialtone::store::{Batch, StoreError, Write};
use jiff::ToSpan as _;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::device_plane::{FakeDoor, PATIENCE, Told, foreign};
use crate::support::{Server, TestClock};
use crate::tls::{ca, pem_to_der, unit};

async fn server(more: &str) -> (Server, UnboundedReceiver<Told>) {
    let (door, heard) = FakeDoor::new(None);
    (Server::start_with(more, |_| door).await, heard)
}

/// curl that trusts the server's own CA.
async fn curl(server: &Server, url: &str, more: &[&str]) -> String {
    let ca = server.path("data/ca/ca.pem").display().to_string();
    let mut arguments = vec!["-sS", "-f", "--cacert", &ca, url];
    arguments.extend(more);
    let output = foreign("curl", &arguments).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn it_serves_both_doors_and_starts_again_as_the_same() {
    let (server, mut heard) = server("").await;
    let mode = fs::metadata(server.path("data")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);
    for base in [server.https(), server.http()] {
        let body = curl(&server, &format!("{base}a.cfg"), &[]).await;
        assert_eq!(body.len(), 6144);
        assert!(matches!(heard.recv().await, Some(Told::Asked(_))));
        let delivered = heard.recv().await;
        assert!(matches!(
            delivered,
            Some(Told::Delivered(1, Delivery::Whole, _))
        ));
    }
    let bases = server.hub().bases.load_full();
    assert_eq!(bases.https, Some(server.https()));
    assert_eq!(bases.http, Some(server.http()));
    let ca_was = server.hub().ca_pem.clone();

    let folder = server.stop().await;
    let (door, _heard) = FakeDoor::new(None);
    let again = Server::start_in(folder, TestClock::new(), "", |_| door).await;
    let again = again.unwrap();
    assert_eq!(again.hub().ca_pem, ca_was);
    curl(&again, &format!("{}a.cfg", again.https()), &[]).await;
    again.stop().await;
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let (server, _heard) = server("").await;
    let config = dialtone::config::Config::read(&server.path("dialtone.toml")).unwrap();
    let options = dialtone::cli::server::Options::new(config);
    let (door, _told) = FakeDoor::new(None);
    let second = dialtone::cli::server::start_with(options, |_| door).await;
    assert!(matches!(
        second.err(),
        Some(ServerError::Store(StoreError::Locked { .. }))
    ));
    server.stop().await;
}

#[tokio::test]
async fn an_anchor_that_a_person_gives_counts_at_the_next_handshake() {
    let (server, mut heard) = server("").await;
    let root = ca("Vendor Root");
    root.sign(&unit("001565aabbcc"), server.folder.path(), "unit");
    let ask = async |heard: &mut UnboundedReceiver<Told>| {
        let (cert, key) = (server.path("unit.pem"), server.path("unit.key"));
        let (cert, key) = (cert.display().to_string(), key.display().to_string());
        let url = format!("{}a.cfg", server.https());
        curl(&server, &url, &["--cert", &cert, "--key", &key]).await;
        loop {
            let told = timeout(PATIENCE, heard.recv()).await.unwrap();
            if let Some(Told::Asked(facts)) = told {
                return facts.certificate.unwrap().verified;
            }
        }
    };
    assert!(ask(&mut heard).await.is_empty());
    let anchor = Write::PutAnchor {
        vendor: "acme".to_owned(),
        der: pem_to_der(&root.pem),
    };
    let batch = Batch::now(vec![anchor]);
    server.hub().store.commit(batch).await.unwrap();
    assert_eq!(ask(&mut heard).await, ["acme"]);
    assert!(server.hub().anchored.load().contains("acme"));
    // Its certificate ends in 2040, by the server's own clock.
    server.clock.pass(20.years());
    assert!(ask(&mut heard).await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_reload_takes_everything_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let profiles = folder.path().join("profiles");
    fs::create_dir(&profiles).unwrap();
    let more = |rest: &str| format!("profiles = [{:?}, \"builtin:\"]\n{rest}", profiles);
    let (door, _heard) = FakeDoor::new(None);
    let server = Server::start_in(folder, TestClock::new(), &more(""), |_| door)
        .await
        .unwrap();
    let was = server.hub().catalog.load_full();
    let bases = server.hub().bases.load_full();

    // A broken manifest, an unknown key, a certificate that is not there: each keeps all.
    let vendor = profiles.join("acme");
    fs::create_dir(&vendor).unwrap();
    fs::write(vendor.join("vendor.toml"), "vendor = ").unwrap();
    server.configure(&more("public_url = \"https://new.example\""));
    let told = server.running.reload().await.unwrap_err();
    assert!(told.iter().any(|line| line.contains("acme")), "{told:?}");
    fs::remove_dir_all(&vendor).unwrap();
    server.configure(&more("public_urll = \"https://new.example\""));
    let told = server.running.reload().await.unwrap_err();
    assert!(
        told.iter().any(|line| line.contains("public_url")),
        "{told:?}"
    );
    let tls = "[tls]\ncertificate = [{ chain_file = \"/nonexistent/a\", key_file = \"/nonexistent/b\" }]\n";
    server.configure(&more(tls));
    let told = server.running.reload().await.unwrap_err();
    assert!(
        told.iter().any(|line| line.contains("/nonexistent/a")),
        "{told:?}"
    );
    assert!(std::sync::Arc::ptr_eq(
        &was,
        &server.hub().catalog.load_full()
    ));
    assert_eq!(bases, server.hub().bases.load_full());

    let refused = &server.hub().counts.reloads_refused;
    assert_eq!(refused.load(std::sync::atomic::Ordering::Relaxed), 3);

    // All is well: names, catalogue and certificate follow.
    server.configure(&more("public_url = \"https://new.example\""));
    assert_eq!(server.running.reload().await, Ok(Vec::new()));
    let url = server.hub().bases.load().https.clone();
    assert_eq!(url.as_deref(), Some("https://new.example/"));
    assert!(!std::sync::Arc::ptr_eq(
        &was,
        &server.hub().catalog.load_full()
    ));
    let port = server.running.addresses.https[0].port();
    let to = format!("new.example:{port}:127.0.0.1");
    let url = format!("https://new.example:{port}/a.cfg");
    let (connect, name) = ("--resolve", to.as_str());
    // The door of this test knows other names; the handshake is what counts.
    let output = foreign(
        "curl",
        &[
            "-sS",
            "--cacert",
            &server.path("data/ca/ca.pem").display().to_string(),
            connect,
            name,
            &url,
        ],
    )
    .await;
    assert!(output.status.success(), "{output:?}");
    server.stop().await;
}
