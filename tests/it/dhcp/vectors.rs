//! Lines of the vectors about the protocol itself and about relays, each by its id.

use std::net::Ipv4Addr;

use dialtone::model::dhcp::Kind;
use dialtone::model::lease::RelayPort;
use dialtone::net::dhcp::packet::{Bad, Direction, Packet, parse};
use dialtone::net::dhcp::reply::Reply;

/// A request of a phone with these octets as options, behind the message type.
pub(super) fn request(kind: Kind, options: &[u8]) -> Vec<u8> {
    let mut octets = vec![1, 1, 6, 0, 0x11, 0x22, 0x33, 0x44];
    octets.resize(28, 0);
    octets.extend_from_slice(&[0x80, 0x5e, 0xc0, 0xd5, 0x7d, 0x72]);
    octets.resize(236, 0);
    octets.extend_from_slice(&[99, 130, 83, 99, 53, 1, kind.number()]);
    octets.extend_from_slice(options);
    octets
}

/// An option with its code and length.
pub(super) fn option(code: u8, value: &[u8]) -> Vec<u8> {
    [&[code, u8::try_from(value.len()).unwrap()], value].concat()
}

pub(super) fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn read(options: &[u8]) -> Packet {
    parse(&request(Kind::Discover, options), Direction::Request).unwrap()
}

/// The octets of a plain offer to it.
fn offered(to: &Packet) -> Vec<u8> {
    let offer = Reply {
        kind: Kind::Offer,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        yiaddr: Ipv4Addr::new(10, 99, 10, 1),
        siaddr: Ipv4Addr::UNSPECIFIED,
        file: Vec::new(),
        options: vec![(54, vec![10, 99, 0, 1]), (66, b"a".to_vec())],
    };
    let (octets, left) = offer.encode(to);
    assert!(left.is_empty());
    octets
}

#[test]
fn net_054_option_82_is_read_and_comes_back_last_and_unchanged() {
    let sent = hex("01074769312f302f370206aabbccddeeff");
    let packet = read(&[option(82, &sent), option(61, &[1, 2]), vec![255]].concat());
    let relay = packet.relay();
    assert_eq!(relay.circuit.unwrap(), hex("4769312f302f37"));
    assert_eq!(relay.remote.unwrap(), hex("aabbccddeeff"));
    let octets = offered(&packet);
    let end = octets.iter().rposition(|octet| *octet == 255).unwrap();
    assert!(octets[..end].ends_with(&option(82, &sent)));
}

#[test]
fn net_056_option_61_comes_back() {
    let id = hex("01001122334455");
    let packet = read(&[option(61, &id), vec![255]].concat());
    let reply = parse(&offered(&packet), Direction::Reply).unwrap();
    assert_eq!(reply.option(61), id);
}

#[test]
fn net_059_an_overloaded_message_has_options_in_its_other_fields() {
    let with = |overload: u8, file: &[u8], sname: &[u8]| {
        let mut octets = request(Kind::Discover, &[52, 1, overload, 67, 1, b'a', 255]);
        octets[108..108 + file.len()].copy_from_slice(file);
        octets[44..44 + sname.len()].copy_from_slice(sname);
        parse(&octets, Direction::Request)
    };
    let file = hex("43030102ff");
    // 67 with three octets: the last of them is no end.
    assert_eq!(with(0, &file, &[]).unwrap().option(67), b"a");
    assert_eq!(with(1, &file, &[]).unwrap().option(67), [b'a', 1, 2, 255]);
    let both = with(3, &[67, 1, b'b', 255], &[67, 1, b'c', 255]).unwrap();
    assert_eq!(both.option(67), b"abc", "options, then file, then sname");
    assert_eq!(
        with(2, &[67, 1, b'b', 255], &[67, 1, b'c', 255])
            .unwrap()
            .option(67),
        b"ac"
    );
    // An option 52 in there means nothing.
    let looping = with(1, &[52, 1, 3, 255], &[67, 1, b'c', 255]).unwrap();
    assert_eq!(looping.option(67), b"a");
    let mut over = vec![0; 128];
    over[126..].copy_from_slice(&[67, 9]);
    assert_eq!(with(1, &over, &[]), Err(Bad::Truncated));
}

/// The octets are the port's name byte for byte, and come back so; what people are shown of it is the
/// port that the relay's make of name stands for.
fn circuit(sent: &str, expect: &str) {
    let sent = hex(sent);
    let packet = read(&[option(82, &sent), vec![255]].concat());
    let port = packet.relay().port().unwrap();
    assert_eq!(port.circuit, sent[2..]);
    let reply = parse(&offered(&packet), Direction::Reply).unwrap();
    assert_eq!(reply.option(82), sent);
    let named = port.named().unwrap();
    let number = |number: Option<u32>| number.map(|n| n.to_string()).unwrap_or_default();
    let fields = [
        number(named.slot),
        number(named.module),
        named.port.to_string(),
        number(named.sub),
        named.vlan.clone().unwrap_or_default(),
    ];
    assert_eq!(fields.join(","), expect, "{named}");
}

#[test]
fn net_077_a_circuit_of_slashes_and_colons() {
    circuit("010c65742d302f302f303a302e30", "0,0,0,0,");
}

#[test]
fn net_079_a_circuit_of_words() {
    circuit(
        "011345746865726e657431343a566c616e32303031",
        ",,14,,Vlan2001",
    );
}

#[test]
fn net_080_a_circuit_of_port_and_vlan() {
    circuit("010b4769312f31303a32303230", "1,,10,,2020");
}

#[test]
fn net_081_a_circuit_of_unit_and_subinterface() {
    circuit("0106616535322e30", ",,52,0,");
}

/// What is of no make that we know stays octets.
#[test]
fn other_circuits_name_no_port() {
    for other in [
        "",
        "14",
        "Vlan20",
        "Gi",
        "Gi1/",
        "Gi/1",
        "Gi1/2/3/4",
        "Gi1:",
        "Gi1:a b",
        "Gi1.",
        "Gi1.x",
        "Gi1:2.x",
        "Gi99999999999",
        "Gi1;2",
        "\u{e9}1",
    ] {
        let port = RelayPort {
            circuit: other.as_bytes().to_vec(),
            remote: Vec::new(),
        };
        assert_eq!(port.named(), None, "{other}");
    }
}
