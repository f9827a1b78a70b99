//! How transfers over TFTP end: by the client's word, by a signal to stop.

use std::time::Duration;

use dialtone::answer::Delivery;
use dialtone::net::limits::TftpLimits;

use crate::tftp_support::{Client, Server};

#[tokio::test]
async fn a_client_s_error_ends_the_transfer_at_once() {
    let server = Server::plain();
    let client = Client::new(server.address).await;
    client.read("a.cfg", &[("tsize", "0")]).await;
    let got = client.got().await;
    client.reply(b"\0\x05\0\0only the size\0", got.from).await;
    assert_eq!(server.delivered().await, (1, Delivery::Unanswered, 0));
    client.read("a.cfg", &[]).await;
    let got = client.got().await;
    client.ack(1, got.from).await;
    client.got().await;
    client.reply(b"\0\x05\0\x03disk full\0", got.from).await;
    assert_eq!(server.delivered().await, (1, Delivery::Broken, 512));
    assert_eq!(server.plane.held(), 0);
    // A first block went out: who refuses it may have it.
    client.read("a.cfg", &[]).await;
    let got = client.got().await;
    client.reply(b"\0\x05\0\0no\0", got.from).await;
    assert_eq!(server.delivered().await, (1, Delivery::Broken, 0));
}

#[tokio::test]
async fn f16_transfers_at_work_are_finished_and_no_new_one_begins() {
    let server = Server::plain();
    let client = Client::new(server.address).await;
    client.read("a.cfg", &[("blksize", "1468")]).await;
    let got = client.got().await;
    client.ack(0, got.from).await;
    client.got().await;
    server.stop.drain.cancel();
    for block in 1..=5 {
        client.ack(block, got.from).await;
        if block < 5 {
            client.block(block + 1).await;
        }
    }
    assert_eq!(server.delivered().await, (1, Delivery::Whole, 6144));
    server.ended().await.unwrap();

    let server = Server::plain();
    client_begins(&server).await;
    server.stop.drain.cancel();
    server.stop.now.cancel();
    server.ended().await.unwrap();
}

async fn client_begins(server: &Server) {
    let client = Client::new(server.address).await;
    client.read("a.cfg", &[]).await;
    client.got().await;
}

#[tokio::test]
async fn f16_a_slow_transfer_is_waited_for_so_long() {
    let limits = TftpLimits {
        drain: Duration::from_millis(50),
        ..TftpLimits::default()
    };
    let server = Server::start("127.0.0.1:0", None, limits);
    client_begins(&server).await;
    server.stop.drain.cancel();
    server.ended().await.unwrap();
}
