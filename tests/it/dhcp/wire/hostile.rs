//! hostile-cases D1 to D11 on the wire. After each the server answers a phone as before.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use dialtone::model::dhcp::Kind;

use super::lab::{Lab, network};
use super::raw::{Message, Raw};
use crate::dhcp::vectors::{hex, option, request};
use crate::serve_process::{Process, sized};

const RELAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// A server, and a relay at 10.99.0.2 that it trusts.
fn scene(log: &str) -> (Lab, Process, Raw) {
    let mut lab = Lab::new();
    lab.host("rly", "sw", Some("10.99.0.2/16"));
    let dhcp = network("server", "probe = false\nrelays = [\"10.99.0.2\"]");
    let server = lab.serve_at("srv", "10.99.0.1", &dhcp, log);
    let relay = lab.relay("rly", RELAY);
    (lab, server, relay)
}

/// The next reply is the one to this phone's question, and nothing else was said.
fn is_well(relay: &Raw, last: u8) {
    let ask = Message::new(Kind::Discover, last).through(RELAY);
    relay.send_to(&ask.octets(), SERVER);
    let reply = relay.next();
    assert_eq!((reply.kind, reply.xid), (Kind::Offer, u32::from(last)));
    assert_eq!(reply.option(66), b"http://prov.example.net/");
    relay.is_silent();
}

/// Datagrams that are no request, each with its counter.
fn d1() -> Vec<(Vec<u8>, &'static str)> {
    let good = Message::new(Kind::Discover, 1).through(RELAY).octets();
    let with = |at: usize, octet: u8| {
        let mut bad = good.clone();
        bad[at] = octet;
        bad
    };
    let mut cases: Vec<(Vec<u8>, &str)> = [0, 1, 100, 239]
        .map(|length| (good[..length].to_vec(), "short"))
        .into();
    cases.push((with(236, 0), "magic"));
    cases.push((with(0, 2), "direction"));
    let kinds = |octets: &[u8]| [&good[..240], octets].concat();
    cases.push((kinds(&[255]), "message-type"));
    cases.push((kinds(&[53, 1, 1, 53, 1, 1, 255]), "message-type"));
    cases.push((kinds(&[53, 1, 0, 255]), "message-type"));
    cases.push((kinds(&[53, 1, 255, 255]), "message-type"));
    cases
}

#[test]
fn d1_what_is_no_request_is_counted_and_dropped() {
    let (lab, server, relay) = scene("dialtone=info");
    let cases = d1();
    for (datagram, _) in &cases {
        relay.send_to(datagram, SERVER);
    }
    is_well(&relay, 9);
    let standing = lab.until(&server, &["dhcp"], |said| {
        let dropped = said["dropped"].as_object().unwrap().values();
        dropped.filter_map(serde_json::Value::as_u64).sum::<u64>() == 10
    });
    for reason in ["short", "magic", "direction", "message-type"] {
        let expect = cases.iter().filter(|(_, told)| *told == reason).count();
        assert_eq!(standing["dropped"][reason], expect, "{reason}");
    }
}

/// Options at their limits: those that are read get an offer, the others are dropped.
fn d2() -> Vec<(Vec<u8>, bool)> {
    let ask = |options: &[u8]| {
        let mut octets = request(Kind::Discover, &[&option(60, b"yealink"), options].concat());
        octets[10] = 0x80;
        octets[24..28].copy_from_slice(&RELAY.octets());
        octets
    };
    let part = option(12, &[7; 255]);
    let mut looping = ask(&[52, 1, 3, 255]);
    looping[44..48].copy_from_slice(&[52, 1, 3, 255]);
    looping[108..112].copy_from_slice(&[52, 1, 3, 255]);
    vec![
        (ask(&[12, 200, 1]), false),
        (ask(&[12]), false),
        (ask(&[]), true),
        (ask(&[61, 0, 82, 0, 43, 0, 12, 0]), true),
        (looping, true),
        (ask(&part.repeat(4)), true),
        (ask(&part.repeat(20)), false),
    ]
}

#[test]
fn d2_options_are_read_within_their_fields_or_dropped() {
    let (_lab, _server, relay) = scene("dialtone=info");
    for (datagram, answered) in d2() {
        relay.send_to(&datagram, SERVER);
        if answered {
            assert_eq!(relay.next().kind, Kind::Offer);
        }
    }
    is_well(&relay, 9);
}

#[test]
fn d3_hardware_addresses_that_no_unit_has() {
    let (lab, server, relay) = scene("dialtone=info");
    let good = Message::new(Kind::Discover, 1).through(RELAY).octets();
    for (htype, hlen) in [(1, 0), (1, 7), (1, 16), (1, 17), (1, 255), (255, 6)] {
        let mut bad = good.clone();
        (bad[1], bad[2]) = (htype, hlen);
        relay.send_to(&bad, SERVER);
    }
    let mut nobody = good;
    nobody[28..34].fill(0);
    relay.send_to(&nobody, SERVER);
    is_well(&relay, 9);
    let standing = lab.until(&server, &["dhcp"], |said| said["dropped"]["no-mac"] == 5);
    assert_eq!(standing["dropped"]["hardware-length"], 2);
}

#[test]
fn d4_option_82_from_nobody_s_relay_counts_for_nothing() {
    let (mut lab, server, relay) = scene("dialtone=info");
    lab.host("c1", "sw", None);
    let client = lab.client("c1");
    let sent = hex("010474657374");
    let ask = Message::new(Kind::Discover, 5).with(82, &sent);
    client.send(&ask.octets());
    let offer = client.next();
    assert_eq!(
        offer.option(82),
        sent,
        "served without it, and it comes back"
    );
    let mut take = ask
        .with(50, &offer.yiaddr.octets())
        .with(54, &SERVER.octets());
    take.kind = Kind::Request;
    client.send(&take.octets());
    assert_eq!(client.next().kind, Kind::Ack);
    let alerts = lab.until(&server, &["alerts"], |said| {
        said["items"] != serde_json::json!([])
    });
    assert_eq!(alerts["items"][0]["kind"], "untrusted-option82");
    let leases = lab.leases(&server);
    assert_eq!(leases[0]["relay"], serde_json::Value::Null);
    is_well(&relay, 9);
}

/// A relay's address is easily written: the datagram must come from the relay.
#[test]
fn d4_a_relay_s_address_in_a_client_s_packet_counts_for_nothing() {
    let (mut lab, server, relay) = scene("dialtone=info");
    lab.host("c1", "sw", Some("10.99.0.11/16"));
    let client = lab.client("c1");
    let ask = Message::new(Kind::Discover, 5)
        .through(RELAY)
        .with(82, &hex("010474657374"));
    client.send_to(&ask.octets(), SERVER);
    let offer = relay.next();
    let mut take = ask
        .with(50, &offer.yiaddr.octets())
        .with(54, &SERVER.octets());
    take.kind = Kind::Request;
    client.send_to(&take.octets(), SERVER);
    assert_eq!(relay.next().kind, Kind::Ack);
    let leases = lab.leases(&server);
    assert_eq!(leases[0]["relay"], serde_json::Value::Null);
    let alerts = lab.until(&server, &["alerts"], |said| {
        said["items"] != serde_json::json!([])
    });
    let alert = &alerts["items"][0];
    assert_eq!(alert["kind"], "untrusted-option82");
    assert_eq!(alert["places"][0], "relay 10.99.0.2, from 10.99.0.11");
    // The same from the relay itself.
    relay.send_to(&take.octets(), SERVER);
    assert_eq!(relay.next().kind, Kind::Ack);
    let leases = lab.leases(&server);
    assert_eq!(leases[0]["relay"]["circuit_id"], "74657374");
    is_well(&relay, 9);
}

fn d5() -> Vec<Vec<u8>> {
    let many: Vec<u8> = (0..127).flat_map(|number| [number, 0]).collect();
    vec![
        vec![1],
        vec![1, 200, 7],
        hex("010402030405060708"),
        many,
        vec![5, 1, 9],
        vec![0; 255],
        vec![11, 4, 1, 2, 3],
    ]
}

#[test]
fn d5_option_82_comes_back_as_it_was_however_it_is_built() {
    let (_lab, _server, relay) = scene("dialtone=info");
    for (at, sent) in d5().into_iter().enumerate() {
        let last = u8::try_from(at).unwrap();
        let ask = Message::new(Kind::Discover, last)
            .through(RELAY)
            .with(82, &sent);
        relay.send_to(&ask.octets(), SERVER);
        assert_eq!(relay.next().option(82), sent);
    }
    is_well(&relay, 99);
}

/// In the large size 65,536 within ten seconds, each by somebody else.
#[test]
fn d6_a_flood_of_strangers_leaves_a_listed_unit_its_address() {
    let (_lab, server, relay) = scene("dialtone=warn");
    server.add("805ec0000063", "T46S");
    let memory = server.memory("VmRSS:");
    let began = Instant::now();
    for number in 0..sized(1024, u16::MAX) {
        let [high, low] = number.to_be_bytes();
        let mut ask = Message::new(Kind::Discover, low).through(RELAY);
        (ask.mac[3], ask.mac[4]) = (1, high);
        relay.send_to(&ask.with(82, &[1, 1, low % 4]).octets(), SERVER);
    }
    let (took, full) = (began.elapsed(), sized(0, 1) == 1);
    assert!(!full || took < Duration::from_secs(10), "{took:?}");
    let mut ask = Message::new(Kind::Discover, 0x63);
    ask.xid = 77;
    let reply = relay.ask_until_answered(&ask.through(RELAY).octets(), SERVER, 77);
    assert_eq!(reply.kind, Kind::Offer);
    let grown = server.memory("VmRSS:").saturating_sub(memory);
    assert!(grown < 64 << 10, "{grown} kB more");
}

/// Texts that somebody's page, terminal or sheet may take for more than they are.
fn d7() -> Vec<Vec<u8>> {
    [
        &b"<script>alert(1)</script>"[..],
        b"\x1b[31mred\x1b]0;t\x07",
        b"a\nb\r\n",
        &[0xff; 255],
        b"\xc3\x28",
        b"{{7*7}}",
        b"=cmd|' /C calc'!A0",
    ]
    .map(<[u8]>::to_vec)
    .into()
}

#[test]
fn d7_texts_stay_octets() {
    let (lab, server, relay) = scene("dialtone=trace");
    for (at, text) in d7().into_iter().enumerate() {
        let last = u8::try_from(at).unwrap();
        let mut ask = Message::new(Kind::Discover, last).through(RELAY);
        for code in [12, 60, 61, 77, 124] {
            ask = ask.with(code, &text);
        }
        relay.send_to(
            &ask.with(
                82,
                &[
                    &[1, u8::try_from(text.len().min(200)).unwrap()],
                    &text[..text.len().min(200)],
                ]
                .concat(),
            )
            .octets(),
            SERVER,
        );
    }
    let ask = Message::new(Kind::Discover, 99).through(RELAY);
    relay.send_to(&ask.octets(), SERVER);
    while relay.next().xid != 99 {}
    let said = serde_json::to_string(&lab.leases(&server)).unwrap();
    for bad in ["<script>", "\u{1b}", "{{7*7}}", "=cmd"] {
        assert!(!said.contains(bad), "{bad:?} in {said}");
    }
    are_clean(&server.told());
}

/// Every line of a log is one record, with no octet that a terminal obeys; and none is missing.
fn are_clean(lines: &[String]) {
    for line in lines {
        let record: Result<serde_json::Value, _> = serde_json::from_str(line);
        let plain = !line.chars().any(char::is_control);
        assert!(record.is_ok() && plain, "{line:?}");
    }
    let end = lines.iter().any(|line| line.contains("\"stopping: "));
    assert!(end, "{:?}", lines.last());
}

#[test]
fn d8_a_request_for_an_address_of_nobody_s_network() {
    let (mut lab, _server, relay) = scene("dialtone=info");
    lab.host("c1", "sw", Some("10.99.0.11/16"));
    let client = lab.client("c1");
    let stray = Message::new(Kind::Request, 1)
        .from(Ipv4Addr::new(192, 0, 2, 9))
        .with(118, &[0; 3])
        .with(12, b"")
        .with(81, &[0; 3]);
    client.send_to(&stray.octets(), SERVER);
    let own = Message::new(Kind::Request, 2).from(Ipv4Addr::new(10, 99, 0, 11));
    client.send_to(&own.octets(), SERVER);
    is_well(&relay, 9);
    client.is_silent();
}

#[test]
fn d9_another_server_s_answers_are_no_requests_and_an_alert() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", Some("10.99.0.66/16"));
    let server = lab.serve(&network("server", ""));
    let rogue = lab.relay("c1", Ipv4Addr::new(10, 99, 0, 66));
    let mut answer = Message::new(Kind::Offer, 1)
        .with(54, &[10, 99, 0, 66])
        .octets();
    answer[0] = 2;
    rogue.broadcast(&answer, 68);
    rogue.send_to(&answer, SERVER);
    let alerts = lab.until(&server, &["alerts"], |said| {
        said["items"] != serde_json::json!([])
    });
    assert_eq!(alerts["items"][0]["kind"], "other-dhcp-server");
    let place = alerts["items"][0]["places"][0].as_str().unwrap();
    assert!(place.starts_with("eth0: 10.99.0.66 at "), "{place}");
    let doctor = lab.until(&server, &["doctor"], |_| true);
    assert!(doctor.to_string().contains("other-dhcp-server"));
    lab.until(&server, &["dhcp"], |said| said["dropped"]["direction"] == 1);
}

/// What each of these is answered with, by a server that logs so much; and its log.
fn answers(log: &str, datagrams: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<String>) {
    let (_lab, server, relay) = scene(log);
    // Those that ask here have their addresses before: who is first counts for nothing.
    let known = hex("805ec0d57d72").try_into().unwrap();
    for (mac, xid) in [(None, 1), (Some(known), 2)] {
        let mut ask = Message::new(Kind::Discover, 1).through(RELAY);
        ask.mac = mac.unwrap_or(ask.mac);
        ask.xid = 900 + xid;
        relay.send_to(&ask.octets(), SERVER);
        assert_eq!(relay.next().xid, ask.xid);
    }
    for datagram in datagrams {
        relay.send_to(datagram, SERVER);
    }
    let mut answers = Vec::new();
    while let Some(answer) = relay.soon() {
        answers.push(answer);
    }
    answers.sort_unstable();
    (answers, server.told())
}

#[test]
fn d10_every_packet_again_with_trace() {
    let d7 = d7().into_iter().map(|text| {
        let ask = Message::new(Kind::Discover, 1).through(RELAY);
        ask.with(12, &text).with(60, &text).octets()
    });
    let d5 = d5().into_iter().map(|sent| {
        let ask = Message::new(Kind::Discover, 1).through(RELAY);
        ask.with(82, &sent).octets()
    });
    let d1 = d1().into_iter().map(|(datagram, _)| datagram);
    let d2 = d2().into_iter().map(|(datagram, _)| datagram);
    let datagrams: Vec<Vec<u8>> = d1.chain(d2).chain(d5).chain(d7).collect();
    let (quiet, _) = answers("dialtone=warn", &datagrams);
    let (traced, lines) = answers("trace", &datagrams);
    assert_eq!(traced, quiet);
    assert!(quiet.len() > 10, "{}", quiet.len());
    assert!(lines.iter().any(|line| line.contains("\"TRACE\"")));
    are_clean(&lines);
}

#[test]
fn d11_no_answer_leaves_the_networks_that_we_serve() {
    let (mut lab, _server, relay) = scene("dialtone=info");
    lab.host("c1", "sw", Some("10.99.0.11/16"));
    let (tap, client) = (lab.tap("srv"), lab.client("c1"));
    for giaddr in [
        "255.255.255.255",
        "127.0.0.1",
        "10.99.0.1",
        "224.0.0.1",
        "10.99.255.255",
        "192.0.2.1",
    ] {
        let ask = Message::new(Kind::Discover, 1).through(giaddr.parse().unwrap());
        client.send_to(&ask.octets(), SERVER);
    }
    for ciaddr in ["10.99.0.77", "192.0.2.1", "255.255.255.255"] {
        for kind in [Kind::Inform, Kind::Request] {
            let ask = Message::new(kind, 1).from(ciaddr.parse().unwrap());
            client.send_to(&ask.octets(), SERVER);
        }
    }
    is_well(&relay, 9);
    let left = tap.datagrams_from(67).into_iter();
    let left = left.filter(|(_, octets)| octets[0] == 2);
    let left: Vec<u16> = left.map(|(to, _)| to).collect();
    assert_eq!(left, [67], "the good one");
}

#[test]
fn d12_nothing_listens_for_dhcpv6() {
    let (lab, _server, _relay) = scene("dialtone=info");
    for table in ["/proc/net/udp6", "/proc/net/udp"] {
        let sockets = lab.output("srv", "cat", &[table]).stdout;
        let sockets = String::from_utf8(sockets).unwrap();
        // 547 in hexadecimal, as the kernel writes a local port.
        assert!(!sockets.contains(":0223 "), "{sockets}");
    }
    let packets = lab.output("srv", "cat", &["/proc/net/udp"]).stdout;
    let packets = String::from_utf8(packets).unwrap();
    assert!(packets.contains(":0043 "), "67 is listened on: {packets}");
}
