//! hostile-cases F9: peers whose network is gone in the middle of a download.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dialtone::answer::Delivery;
use dialtone::model::identity::Channel;
use dialtone::net::admission::Admission;
use dialtone::net::limits::Limits;
use dialtone::net::listen::{self, Plane, Stop};
use tokio::time::timeout;

use super::lab::{Lab, run};
use crate::device_plane::{FakeDoor, PATIENCE, Told};
use crate::serve_process::sized;

/// The pause that nobody can make shorter for a test: the kernel's own timer gives a peer up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f9_peers_that_vanish_in_a_download_are_given_up() {
    let count = usize::from(sized(40, 5000));
    let full = count > 40;
    let mut lab = Lab::new();
    lab.host("c", "sw", Some("10.99.0.9/16"));
    let folder = tempfile::tempdir().unwrap();
    let big = folder.path().join("big");
    let length = 64 << 20;
    std::fs::File::create(&big)
        .unwrap()
        .set_len(length)
        .unwrap();
    let usual = Limits::default();
    let limits = Limits {
        per_address: count,
        connections: 2 * count,
        strangers_percent: 100,
        // Nothing else may end them.
        response_grace: Duration::from_secs(3600),
        vanished: if full {
            usual.vanished
        } else {
            Duration::from_secs(1)
        },
        ..usual
    };
    let (door, mut heard) = FakeDoor::new(Some((big, length)));
    let admission = Arc::new(Admission::strangers(&limits));
    let plane = Plane::new(door, limits, admission);
    let listener = lab.within("srv", || TcpListener::bind("10.99.0.1:0").unwrap());
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let stop = Stop::default();
    let serving = listen::run(listener, Channel::Http, Arc::new(plane), stop.clone());
    let serving = tokio::spawn(serving);

    let peers = lab.within("c", move || {
        let peer = |_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /big.bin HTTP/1.1\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 64]).unwrap();
            stream
        };
        (0..count).map(peer).collect::<Vec<_>>()
    });
    run(
        "ip",
        &["-n", &lab.full("sw"), "link", "set", "c-eth0", "down"],
    );
    let gone = Instant::now();
    let mut broken = 0;
    while broken < count {
        let told = timeout(PATIENCE.max(Duration::from_secs(60)), heard.recv()).await;
        match told.expect("all are given up").expect("the door lives") {
            Told::Delivered(_, how, bytes) => {
                assert_eq!(how, Delivery::Broken);
                assert!(bytes < length);
                broken += 1;
            }
            Told::Asked(_) | Told::HandshakeFailed(_) => {}
        }
    }
    if full {
        assert!(
            gone.elapsed() < Duration::from_secs(60),
            "{:?}",
            gone.elapsed()
        );
    }
    // Nothing of theirs is at work: the listener has nobody to wait for.
    stop.drain.cancel();
    let ended = timeout(Duration::from_secs(10), serving).await;
    ended.expect("at once").unwrap().unwrap();
    drop(peers);
}
