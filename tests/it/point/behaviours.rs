//! Lines of the vectors about what a reply holds, each by its id: the format writes the octets that
//! real servers of these families send. The families' own replies are in their `dhcp.golden`.

use std::collections::BTreeSet;
use std::path::Path;

use dialtone::engine::explain::explain;
use dialtone::engine::facts::Facts;
use dialtone::engine::reply::{Bases, Reply};
use dialtone::engine::resolve::Values;
use dialtone::engine::target;
use dialtone::model::identity::Channel;
use serde_json::Value;

use super::asks;
use super::replies::told;
use crate::vendors::catalog;

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The reply that a block of these options gives to a recognised client.
fn reply(options: &str, bases: &Bases) -> Reply {
    let more = format!("[[dhcp]]\noptions = {{ {options} }}");
    told(&more, &asks(&[(60, b"Acme G1")]), bases, &Values::new())
}

#[track_caller]
fn check(options: &str, bases: &Bases, expect: &[(u8, &str)]) {
    let reply = reply(options, bases);
    let got: Vec<(u8, String)> = reply
        .options
        .iter()
        .map(|(code, octets)| (*code, hex(octets)))
        .collect();
    let expect: Vec<(u8, String)> = expect
        .iter()
        .map(|(code, octets)| (*code, (*octets).to_owned()))
        .collect();
    assert_eq!(got, expect);
}

fn at(http: &str) -> Bases {
    Bases {
        http: Some(http.to_owned()),
        ..Bases::default()
    }
}

#[test]
fn net_012_several_servers_in_150() {
    let tftp = Bases {
        tftp: Some("192.0.2.1".to_owned()),
        ..Bases::default()
    };
    let options = "150 = { ip_list = [\"{tftp}\", \"192.0.2.2\"] }";
    check(options, &tftp, &[(150, "c0000201c0000202")]);
}

/// What a server or relay reads in such an option is what our format writes into it.
#[test]
fn net_015_a_plug_and_play_text_with_a_name() {
    let text = "43 = \"5A1D;B{pointer.host_kind@kind};K{pointer.scheme@number};I{pointer.host};J{pointer.port}\"";
    let bases = Bases {
        https: Some("https://pnp.example.net/".to_owned()),
        public_certificate: true,
        ..Bases::default()
    };
    let written = "354131443b42313b4b353b49706e702e6578616d706c652e6e65743b4a343433";
    check(text, &bases, &[(43, written)]);
}

#[test]
fn net_083_a_plug_and_play_text_with_an_address() {
    let text = "43 = \"5A;B{pointer.host_kind@kind};K{pointer.scheme@number};I{pointer.host};J{pointer.port}\"";
    let written = "35413b42323b4b343b4931302e322e332e343b4a3830";
    check(text, &at("http://10.2.3.4/"), &[(43, written)]);
}

#[test]
fn net_016_sub_option_0_is_data() {
    let options = "150 = { ip_list = [\"{pointer.host}\"] }, 43 = { tlv = { 3 = \"{pointer.scheme}\", 0 = \"jinstall.tgz\", 1 = \"ex4300.conf\" } }";
    let expect = [
        (
            43,
            "000c6a696e7374616c6c2e74677a010b6578343330302e636f6e66030468747470",
        ),
        (150, "c000020a"),
    ];
    check(options, &at("http://192.0.2.10/"), &expect);
}

#[test]
fn net_017_a_time_as_text() {
    let options = "43 = { tlv = { 7 = \"3600\", 3 = \"ftp\", 1 = \"a.conf\" } }";
    let expect = "0106612e636f6e660303667470070433363030";
    check(options, &Bases::default(), &[(43, expect)]);
}

#[test]
fn net_018_a_port_as_text() {
    let options =
        "43 = { tlv = { 1 = \"a.conf\", 3 = \"{pointer.scheme}\", 5 = \"{pointer.port}\" } }";
    let expect = "0106612e636f6e66030468747470050438303830";
    check(options, &at("http://192.0.2.1:8080/"), &[(43, expect)]);
}

#[test]
fn net_028_an_installer_in_114_and_125() {
    let options = "114 = \"{pointer}/i.bin\", 125 = { enterprise = 42623, tlv = { 1 = \"{pointer}/i.bin\" } }";
    let expect = [
        (114, "687474703a2f2f3139322e302e322e312f692e62696e"),
        (
            125,
            "0000a67f180116687474703a2f2f3139322e302e322e312f692e62696e",
        ),
    ];
    check(options, &at("http://192.0.2.1/"), &expect);
}

#[test]
fn net_037_a_script_in_239() {
    let expect = "687474703a2f2f3139322e302e322e312f64656d6f2e7368";
    check(
        "239 = \"{pointer}/demo.sh\"",
        &at("http://192.0.2.1/"),
        &[(239, expect)],
    );
}

/// A server that stands already gives 66 and 67; the unit joins them, and asks us for that name.
#[test]
fn net_035_a_name_from_somebody_else_s_server_is_known() {
    let facts = Facts::new(Channel::Tftp, target::parse(b"ztp.json").unwrap());
    let told = explain(&facts, catalog(), &Bases::default());
    assert_eq!(told.claims.family.as_deref(), Some("sonic"));
    assert_eq!(told.artefact, Some("boot"));
}

/// Each line of the vectors' behaviours that speaks of these families, of DHCP, TFTP or relays has a
/// test with its id in its name.
#[test]
fn every_behaviour_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = String::new();
    let mut open = vec![root.join("tests/it"), root.join("src")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                texts.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let lines = include_str!("../../fixtures/vectors/behaviours.jsonl").lines();
    let ids: BTreeSet<String> = lines
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["id"].as_str().unwrap().replace('-', "_"))
        .collect();
    assert_eq!(ids.len(), 22);
    let without: Vec<&String> = ids
        .iter()
        .filter(|id| !texts.contains(&format!("fn {id}_")))
        .collect();
    assert!(without.is_empty(), "{without:?}");
}
