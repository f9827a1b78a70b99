//! TFTP for devices: plain transfers and hostile packets. Names follow hostile-cases C, and the
//! lines `tftp-core` of the behaviours.

use std::collections::BTreeSet;
use std::time::Duration;

use dialtone::answer::Delivery;
use dialtone::engine::facts::Method;
use dialtone::model::identity::Channel;
use dialtone::net::limits::TftpLimits;

use crate::device_plane::small;
use crate::tftp_support::{Client, QUIET, Server, ack, oack, rrq};

fn full() -> bool {
    std::env::var_os("DIALTONE_FULL").is_some()
}

/// A folder with a file of so many octets, none of which repeats a block.
pub(crate) fn big(octets: u32) -> (tempfile::TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let file: Vec<u8> = (0..octets / 4 + 1)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_be_bytes())
        .take(usize::try_from(octets).unwrap())
        .collect();
    std::fs::write(folder.path().join("big"), &file).unwrap();
    (folder, file)
}

#[tokio::test]
async fn a_file_arrives_whole_and_the_core_hears_of_its_end() {
    let server = Server::plain();
    let client = Client::new(server.address).await;
    assert_eq!(client.whole("/a.cfg", &[]).await, small());
    let facts = server.asked().await;
    assert_eq!((facts.channel, facts.method), (Channel::Tftp, Method::Get));
    assert_eq!(facts.target.path, "a.cfg");
    assert_eq!(facts.source.unwrap().to_string(), "127.0.0.1");
    assert_eq!(server.delivered().await, (1, Delivery::Whole, 6144));
    // 6144 is twelve blocks of 512 and an empty one; an empty file is one empty block.
    assert_eq!(client.whole("empty.cfg", &[]).await, b"");
    assert_eq!(server.delivered().await, (2, Delivery::Whole, 0));
    assert_eq!(client.whole("r/sssssssssss/ok", &[]).await, b"");
}

#[tokio::test]
async fn every_size_of_a_block_and_window_carries_the_same_file() {
    let (folder, file) = big(100_000);
    let server = Server::with((folder.path().join("big"), 100_000));
    for (size, window) in [
        ("8", "1"),
        ("512", "1"),
        ("1428", "1"),
        ("1468", "8"),
        ("9000", "64"),
    ] {
        if size == "8" && !full() {
            continue;
        }
        let got = crate::tftp_lossy::read(server.address, "big.bin", size, window).await;
        assert_eq!(got, file, "{size} {window}");
        assert_eq!(server.delivered().await, (3, Delivery::Whole, 100_000));
    }
}

#[tokio::test]
async fn answers_come_from_the_address_that_was_asked() {
    for (bound, asked, own) in [
        ("0.0.0.0:0", "127.0.0.77", "127.0.0.1:0"),
        ("[::]:0", "127.0.0.77", "127.0.0.1:0"),
        ("[::]:0", "::1", "[::1]:0"),
        ("[::1]:0", "::1", "[::1]:0"),
    ] {
        let server = Server::start(bound, None, TftpLimits::default());
        let to = (
            asked.parse::<std::net::IpAddr>().unwrap(),
            server.address.port(),
        );
        for name in ["a.cfg", "none"] {
            let client = Client::at(own, to.into()).await;
            client.read(name, &[]).await;
            let got = client.got().await;
            assert_eq!(got.from.ip().to_string(), asked, "{bound} {name}");
            assert_ne!(got.from.port(), server.address.port(), "a port of its own");
        }
        let facts = server.asked().await;
        let source = facts.source.unwrap();
        assert!(!source.to_string().contains("ffff"), "{source}");
        assert_eq!(
            Client::at(own, to.into()).await.whole("a.cfg", &[]).await,
            small()
        );
    }
}

#[tokio::test]
async fn refusals_are_the_manifest_s_and_alike_for_every_name() {
    let server = Server::plain();
    let mut seen = BTreeSet::new();
    for name in [
        "none",
        "001565aabbcc.cfg",
        "../../etc/passwd",
        "a\nb",
        "\u{1b}[2J",
        "%zz",
    ] {
        let client = Client::new(server.address).await;
        client.read(name, &[]).await;
        seen.insert(client.got().await.packet);
    }
    let alike: Vec<_> = seen.into_iter().collect();
    assert_eq!(alike, [b"\0\x05\0\x01File not found\0".to_vec()]);
    let client = Client::new(server.address).await;
    client.read("busy", &[]).await;
    assert_eq!(client.error().await, 0);
    client.read("close", &[]).await;
    assert!(client.within(QUIET).await.is_empty(), "silence");
    client.read("gone.bin", &[]).await;
    assert_eq!(client.error().await, 0);
    assert_eq!(server.delivered().await, (5, Delivery::Unanswered, 0));
}

#[tokio::test]
async fn net_060_without_options_the_first_reply_is_block_1() {
    let server = Server::plain();
    let client = Client::new(server.address).await;
    client.read("a.cfg", &[]).await;
    let got = client.got().await;
    assert_eq!(got.packet[..4], [0, 3, 0, 1]);
    assert_eq!(got.packet[4..], small()[..512]);
}

#[tokio::test]
async fn net_061_options_are_granted_and_ack_0_is_waited_for() {
    let (folder, file) = big(2000);
    let server = Server::with((folder.path().join("big"), 2000));
    let client = Client::new(server.address).await;
    let options = [("blksize", "1468"), ("tsize", "0"), ("timeout", "3")];
    client.read("big.bin", &options).await;
    let got = client.got().await;
    let agreed: Vec<_> = oack(&got.packet).into_iter().collect();
    let expect = [("blksize", "1468"), ("timeout", "3"), ("tsize", "2000")];
    let expect = expect.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(agreed, expect);
    assert!(
        client.within(QUIET).await.is_empty(),
        "nothing before ACK 0"
    );
    client.ack(0, got.from).await;
    assert_eq!(client.got().await.packet[4..], file[..1468]);
}

#[tokio::test]
async fn net_062_option_names_know_no_case_and_values_are_lowered() {
    let (folder, _) = big(2000);
    let server = Server::with((folder.path().join("big"), 2000));
    let client = Client::new(server.address).await;
    let options = [("BLKSIZE", "70000"), ("windowsize", "16")];
    client.read("big.bin", &options).await;
    let agreed = oack(&client.got().await.packet);
    assert_eq!(agreed["blksize"], "1468");
    assert_eq!(agreed["windowsize"], "16");
}

#[tokio::test]
async fn net_063_c3_no_name_is_a_path() {
    let server = Server::plain();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
    let link = folder.path().join("link").display().to_string();
    for name in [
        "../../etc/passwd",
        "..\\..\\",
        "/etc/passwd",
        "/srv/tftp-private/x",
        &link,
        "//x",
        "a/../../x",
        ".",
        "",
        "%2e%2e/x",
        "C:\\x",
        "..",
        "/proc/self/environ",
    ] {
        let client = Client::new(server.address).await;
        client.read(name, &[]).await;
        assert_eq!(client.error().await, 1, "{name:?}");
    }
    // What the core was asked is a name without dot segments; what has one never reached it.
    for told in server.heard().await {
        let crate::device_plane::Told::Asked(facts) = told else {
            panic!("nothing was sent: {told:?}");
        };
        let mut parts = facts.target.path.split('/');
        assert!(parts.all(|part| part != "." && part != ".."));
    }
}

#[tokio::test]
async fn c1_c2_odd_packets_are_ignored_or_get_error_4() {
    let server = Server::plain();
    let client = Client::new(server.address).await;
    for packet in [
        &b""[..],
        b"\0",
        b"\0\x04",
        b"\0\x04\0",
        b"\0\0",
        b"\0\x07",
        b"\xff\xff",
        b"\0\x03\0\x01x",
        b"\0\x05\0\x05x\0",
        b"\0\x06",
    ] {
        client.send(packet).await;
    }
    assert!(client.within(QUIET).await.is_empty());
    let long = [
        b"\0\x01".to_vec(),
        vec![b'n'; 65_000],
        b"\0octet\0".to_vec(),
    ]
    .concat();
    let many = rrq("a.cfg", "octet", &[("a", "b"); 500]);
    for packet in [
        b"\0\x01".to_vec(),
        b"\0\x01a.cfg".to_vec(),
        b"\0\x01a\0octet".to_vec(),
        long,
        many,
    ] {
        client.send(&packet).await;
        assert_eq!(client.error().await, 4);
    }
    assert_eq!(client.whole("a.cfg", &[]).await, small());
}

#[tokio::test]
async fn c4_nobody_writes() {
    let server = Server::plain();
    let client = Client::new(server.address).await;
    client.send(b"\0\x02a.cfg\0octet\0").await;
    assert_eq!(client.error().await, 2);
    assert!(server.heard().await.is_empty());
}

#[tokio::test]
async fn c5_netascii_is_translated_and_other_modes_are_refused() {
    let (folder, _) = big(2000);
    let server = Server::with((folder.path().join("big"), 2000));
    let client = Client::new(server.address).await;
    for mode in ["mail", "MAIL", "octetx"] {
        client.send(rrq("a.cfg", mode, &[])).await;
        assert_eq!(client.error().await, 4);
    }
    client.send(rrq("text.cfg", "NetASCII", &[])).await;
    let got = client.got().await;
    assert_eq!(got.packet[4..], *b"one\r\ntwo\r\0three\0\r\n");
    client.ack(1, got.from).await;
    assert_eq!(server.delivered().await, (6, Delivery::Whole, 18));
    // A binary from disk would arrive broken.
    client.send(rrq("big.bin", "netascii", &[])).await;
    assert_eq!(client.error().await, 4);
}

#[tokio::test]
async fn c6_c8_c9_options_are_granted_within_bounds() {
    let server = Server::plain();
    let client = Client::new(server.address).await;
    type Options<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(Options<'_>, Option<&str>)] = &[
        (&[("blksize", "0")], None),
        (&[("blksize", "7"), ("blksize", "1024")], None),
        (&[("blksize", "8")], Some("blksize=8")),
        (&[("blksize", "65464")], Some("blksize=1468")),
        (&[("blksize", "65465")], Some("blksize=1468")),
        (&[("blksize", "4294967296")], Some("blksize=1468")),
        (&[("blksize", "-1"), ("tsize", "0")], Some("tsize=6144")),
        (&[("blksize", "abc")], None),
        (&[("blksize", "")], None),
        (
            &[("blksize", "600"), ("blksize", "700")],
            Some("blksize=600"),
        ),
        (&[("tsize", "1000000000000000000")], Some("tsize=6144")),
        (&[("tsize", "junk")], None),
        (&[("timeout", "0")], None),
        (&[("timeout", "255")], Some("timeout=255")),
        (&[("timeout", "256")], None),
        (&[("windowsize", "0")], None),
        (&[("windowsize", "65535")], Some("windowsize=64")),
        (&[("multicast", "")], None),
    ];
    for (options, expect) in cases {
        client.read("a.cfg", options).await;
        let got = client.got().await;
        match expect {
            None => assert_eq!(got.packet[..4], [0, 3, 0, 1], "{options:?}"),
            Some(expect) => {
                let agreed: Vec<_> = oack(&got.packet)
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                assert_eq!(agreed, [*expect], "{options:?}");
            }
        }
        client.reply(b"\0\x05\0\x08no\0", got.from).await;
        server.delivered().await;
    }
}

#[tokio::test]
async fn c7_a_silent_peer_gets_one_block_and_little_more() {
    let (folder, _) = big(200_000);
    let server = Server::with((folder.path().join("big"), 200_000));
    let wait = Duration::from_secs(if full() { 16 } else { 4 });
    let mut clients = Vec::new();
    for options in [
        &[][..],
        &[("windowsize", "65535")],
        &[("blksize", "1468"), ("windowsize", "65535")],
    ] {
        let client = Client::new(server.address).await;
        let request = rrq("big.bin", "octet", options);
        client.send(&request).await;
        clients.push((
            client,
            request.len(),
            if options.len() == 2 { 1468 } else { 512 },
        ));
    }
    for (client, request, block) in clients {
        let came = client.within(wait).await;
        assert!(came.len() <= 4, "{}", came.len());
        let octets: usize = came.iter().map(|got| got.packet.len()).sum();
        assert!(octets <= 3 * request + block, "{octets} for {request}");
        assert!(!came.is_empty());
    }
    if full() {
        for _ in 0..3 {
            assert_eq!(server.delivered().await, (3, Delivery::Unanswered, 0));
        }
        assert_eq!(server.plane.held(), 0);
    }
}

#[tokio::test]
async fn c10_a_stranger_is_told_and_the_transfer_goes_on() {
    let server = Server::plain();
    let client = Client::new(server.address).await;
    let stranger = Client::new(server.address).await;
    client.read("a.cfg", &[]).await;
    let got = client.got().await;
    for packet in [&ack(1)[..], b"\0\x03\0\x01x", b"\0"] {
        stranger.reply(packet, got.from).await;
        assert_eq!(stranger.error().await, 5);
    }
    // An ERROR is no question: answering it, two servers would never end.
    stranger.reply(b"\0\x05\0\0bye\0", got.from).await;
    assert!(stranger.within(QUIET).await.is_empty());
    client.reply(b"\0\x03\0\x01x", got.from).await;
    let elsewhere = Client::at("127.0.0.9:0", server.address).await;
    elsewhere.reply(ack(1), got.from).await;
    assert_eq!(elsewhere.error().await, 5);
    client.ack(1, got.from).await;
    loop {
        let got = client.got().await;
        if got.packet[3] == 2 {
            break;
        }
    }
    assert!(server.heard().await.len() == 1, "it goes on");
}

#[tokio::test]
async fn c11_repeated_acknowledgements_send_the_next_block_once() {
    let server = Server::plain();
    let client = Client::new(server.address).await;
    client.read("a.cfg", &[]).await;
    let got = client.got().await;
    for _ in 0..1000 {
        client.ack(1, got.from).await;
    }
    let first = client.got().await;
    assert_eq!(first.packet[..4], [0, 3, 0, 2]);
    client.ack(2, got.from).await;
    // Copies of block 2 can only be the timer's: after 50 ms, then after 100.
    let mut second = 0;
    loop {
        let got = client.got().await;
        if got.packet[3] == 3 {
            break;
        }
        second += 1;
    }
    assert!(second <= 2, "{second}");
}

#[tokio::test]
async fn c12_a_future_block_is_ignored_and_block_numbers_wrap() {
    let server = Server::plain();
    let client = Client::new(server.address).await;
    client.read("a.cfg", &[]).await;
    let got = client.got().await;
    for future in [2, 3, 13, 0x7fff, 0xffff, 0] {
        client.ack(future, got.from).await;
    }
    client.ack(1, got.from).await;
    assert_eq!(client.got().await.packet[..4], [0, 3, 0, 2]);
    // With blocks of 64 octets 5 MB wrap as 40 MB do at 512.
    let octets: u32 = if full() { 40_000_000 } else { 5_000_000 };
    let size = if full() { "512" } else { "64" };
    let (folder, file) = big(octets);
    let server = Server::with((folder.path().join("big"), octets.into()));
    let got = crate::tftp_lossy::read(server.address, "big.bin", size, "32").await;
    assert!(got == file);
    assert_eq!(server.delivered().await.1, Delivery::Whole);
}

#[tokio::test]
async fn c14_a_flood_leaves_confirmed_transfers_alone() {
    let limits = TftpLimits {
        transfers: if full() { 1024 } else { 64 },
        ..TftpLimits::default()
    };
    let most = limits.transfers;
    let server = Server::start("127.0.0.1:0", None, limits);
    let client = Client::new(server.address).await;
    client.read("a.cfg", &[]).await;
    let running = client.got().await;
    client.ack(1, running.from).await;
    assert_eq!(client.got().await.packet[3], 2);

    // One address has 16 at most.
    let crowd = Client::at("127.3.0.1:0", server.address).await;
    let mut ports = Vec::new();
    for _ in 0..20 {
        let port = Client::at("127.3.0.1:0", server.address).await;
        port.read("a.cfg", &[]).await;
        ports.push(port);
    }
    crowd.read("a.cfg", &[]).await;
    assert!(crowd.within(QUIET).await.is_empty(), "the seventeenth");
    assert_eq!(server.plane.held(), 17);

    // Nobody of these is there; each has an address of its own.
    let flood = if full() { 5000 } else { 400 };
    for n in 0..flood {
        let own = format!("127.2.{}.{}:0", n / 250, n % 250 + 1);
        Client::at(&own, server.address)
            .await
            .read("a.cfg", &[])
            .await;
        assert!(server.plane.held() <= most);
    }
    // A unit that asks now is answered, and the transfer that was confirmed goes on.
    let late = Client::at("127.4.0.1:0", server.address).await;
    assert_eq!(late.whole("a.cfg", &[]).await, small());
    client.ack(2, running.from).await;
    loop {
        if client.got().await.packet[3] == 3 {
            break;
        }
    }
}

#[tokio::test]
async fn c16_a_request_again_is_one_transfer_and_another_port_a_second() {
    let server = Server::plain();
    let client = Client::new(server.address).await;
    client.read("a.cfg", &[]).await;
    let first = client.got().await;
    for _ in 0..3 {
        client.read("a.cfg", &[]).await;
    }
    let again = client.got().await;
    assert_eq!((again.from, &again.packet), (first.from, &first.packet));
    assert_eq!(server.plane.held(), 1);
    client.ack(1, first.from).await;
    client.read("a.cfg", &[]).await;
    let other = Client::new(server.address).await;
    assert_eq!(other.whole("a.cfg", &[]).await, small());
    let told = server.heard().await;
    let asked = told
        .iter()
        .filter(|told| format!("{told:?}").starts_with("Asked"));
    assert_eq!(asked.count(), 2, "once for each port");
    // Another file from the same port: the unit started again.
    client.read("empty.cfg", &[]).await;
    loop {
        let got = client.got().await;
        if got.from != first.from {
            assert_eq!(got.packet, [0, 3, 0, 1]);
            break;
        }
    }
}

#[tokio::test]
async fn c16_copies_of_a_request_wait_for_the_core_s_one_answer() {
    let server = Server::plain();
    let client = Client::new(server.address).await;
    for _ in 0..3 {
        client.read("wait.cfg", &[]).await;
    }
    assert_eq!(server.asked().await.target.path, "wait.cfg");
    let other = Client::new(server.address).await;
    assert_eq!(
        other.whole("a.cfg", &[]).await,
        small(),
        "nobody else waits"
    );
    server.door.release.notify_one();
    let got = client.got().await;
    assert_eq!(got.packet[..4], [0, 3, 0, 1]);
    client.ack(1, got.from).await;
    loop {
        let next = client.got().await;
        assert_eq!(next.from, got.from);
        if next.packet[3] == 2 {
            break;
        }
    }
    let told = server.heard().await;
    assert!(
        !told
            .iter()
            .any(|told| format!("{told:?}").contains("wait.cfg"))
    );
}

#[tokio::test]
async fn slashes_and_case_are_left_to_the_core() {
    let server = Server::plain();
    let client = Client::new(server.address).await;
    for (name, expect) in [
        ("SEP001122334455.cnf.xml", "SEP001122334455.cnf.xml"),
        ("sep001122334455.cnf.xml", "sep001122334455.cnf.xml"),
        ("/SEP001122334455.cnf.xml", "SEP001122334455.cnf.xml"),
        ("\\\\SEP001122334455.cnf.xml", "SEP001122334455.cnf.xml"),
        ("u/abcdefghijklmnopqrstuvwxyz/x.cfg", "x.cfg"),
    ] {
        client.read(name, &[]).await;
        assert_eq!(client.error().await, 1);
        let facts = server.asked().await;
        assert_eq!(facts.target.path, expect);
        assert_eq!(facts.target.token.is_some(), name.starts_with("u/"));
    }
}

#[tokio::test]
async fn what_the_core_decides_too_late_is_given_back() {
    let limits = TftpLimits {
        answer_time: Duration::ZERO,
        ..TftpLimits::default()
    };
    let server = Server::start("127.0.0.1:0", None, limits);
    let client = Client::new(server.address).await;
    client.read("wait.cfg", &[]).await;
    server.asked().await;
    server.door.release.notify_one();
    assert_eq!(server.delivered().await, (4, Delivery::Unanswered, 0));
}
