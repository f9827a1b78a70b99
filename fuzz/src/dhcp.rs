//! A DHCP packet, from its octets to the octets of a reply, with everything on the way written down
//! as trace logging would (Kea once fell at debug level alone: formatting is attack surface too).

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use dialtone::catalog::{Catalog, load};
use dialtone::engine::identify::claims;
use dialtone::engine::known::Known;
use dialtone::engine::point;
use dialtone::engine::reply::Bases;
use dialtone::engine::resolve::Values;
use dialtone::model::dhcp::Kind;
use dialtone::net::dhcp::packet::{Direction, Heard, Packet, parse};
use dialtone::net::dhcp::reply::Reply;

const RELAY: u8 = 82;
const CLIENT: u8 = 61;

/// Packets of clients that behave.
pub fn seeds() -> Vec<Vec<u8>> {
    let option = |code: u8, value: &[u8]| {
        let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
        [&[code, length], value].concat()
    };
    let packet = |options: &[Vec<u8>]| {
        let mut octets = vec![1, 1, 6, 0, 0x11, 0x22, 0x33, 0x44];
        octets.resize(28, 0);
        octets.extend_from_slice(&[0x80, 0x5e, 0xc0, 0xd5, 0x7d, 0x72]);
        octets.resize(236, 0);
        octets.extend_from_slice(&[99, 130, 83, 99, 53, 1, 1]);
        octets.extend(options.concat());
        octets.push(255);
        octets
    };
    vec![
        packet(&[
            option(60, b"yealink"),
            option(55, &[1, 3, 6, 43, 66, 67, 160]),
            option(12, b"SIP-T46S"),
        ]),
        packet(&[
            option(60, b"Juniper-qfx10002-36q-DN817"),
            option(82, b"\x01\x07Gi1/0/7\x02\x06\xaa\xbb\xcc\xdd\xee\xff"),
            option(61, &[1, 0, 0x11, 0x22, 0x33, 0x44, 0x55]),
        ]),
        packet(&[
            option(60, b"onie_vendor:x86_64-dell_s6000_s1220-r0"),
            option(61, b"\0CN0TESTSERIAL"),
            option(77, b"\x14onie_dhcp_user_class"),
            option(125, b"\0\0\xa6\x7f\x1d\x01\x10dell_s6000_s1220\x04\x06x86_64\x05\x010"),
        ]),
        packet(&[
            option(
                60,
                b"\0\0\x36\x3d\x2f\x01\x07Polycom\x02\x15SoundPointIP-SPIP_601\x04\x0dSIP/3.1/08-Ju",
            ),
            option(124, b"\0\0\0\x09\x1bSN:FGE194714QS;PID:NCS-5508"),
            option(52, &[3]),
        ]),
    ]
}

fn catalog() -> &'static Arc<Catalog> {
    static CATALOG: OnceLock<Arc<Catalog>> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let found = [here.join("profiles"), here.join("../profiles")];
        let folders: Vec<_> = found.into_iter().filter(|folder| folder.exists()).collect();
        let files = load::read_folders(&folders).expect("profiles");
        Catalog::from_files(&files).0.expect("a catalogue")
    })
}

/// Plays one datagram from a trusted relay, from another, and as one that is looked at only.
pub fn play(datagram: &[u8]) {
    let packet = match parse(datagram, Direction::Request) {
        Ok(packet) => packet,
        Err(bad) => {
            written(&(bad, bad.as_str()));
            return;
        }
    };
    written(&packet);
    written(&packet.relay());
    written(&packet.relay().port().and_then(|port| port.named()));
    for (trusted, observed) in [(true, false), (false, false), (true, true)] {
        let heard = Heard {
            interface: "eth0",
            link: &[],
            site: None,
            trusted,
            observed,
            unplaced: observed,
        };
        let facts = packet.facts(&heard);
        written(&facts);
        let claims = claims(&facts, catalog());
        written(&claims);
        let nobody = Known::default();
        let who = point::who(facts.channel, &claims, &nobody, catalog());
        let bases = Bases {
            https: Some("https://prov.example.net/".to_owned()),
            http: Some("http://prov.example.net/".to_owned()),
            tftp: Some("192.0.2.1".to_owned()),
            public_certificate: false,
        };
        let told = who
            .kind
            .map(|kind| point::reply(&facts, &claims, &kind, &bases, &Values::new()));
        let (options, file) = told
            .map(|told| (told.options, told.file))
            .unwrap_or_default();
        let more = [(54, vec![10, 99, 0, 1]), (51, vec![0, 0, 14, 16])];
        let reply = Reply {
            kind: Kind::Offer,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::new(10, 99, 10, 1),
            siaddr: Ipv4Addr::UNSPECIFIED,
            file: file.unwrap_or_default().into_bytes(),
            options: more.into_iter().chain(options).collect(),
        };
        answered(&packet, &reply);
    }
}

/// A reply is a packet again, goes back to its client, and brings back what has to come back.
fn answered(packet: &Packet, reply: &Reply) {
    let (octets, left) = reply.encode(packet);
    written(&left);
    let back = parse(&octets, Direction::Reply).expect("a reply is a packet");
    written(&back);
    assert_eq!(
        (back.xid, back.giaddr, back.chaddr, back.kind),
        (packet.xid, packet.giaddr, packet.chaddr, Kind::Offer)
    );
    assert_eq!(back.option(54), [10, 99, 0, 1]);
    for code in [RELAY, CLIENT] {
        let came = back.option(code);
        assert!(came.is_empty() || came == packet.option(code), "{code}");
    }
}

/// As a log line has it.
fn written(what: &impl std::fmt::Debug) {
    let line = format!("{what:?}");
    assert!(!line.contains('\n') && !line.contains('\u{1b}'), "{line}");
}
