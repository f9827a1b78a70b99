//! Replies: encodings, placeholders, blocks, the pointer.

use dialtone::catalog::Catalog;
use dialtone::engine::facts::Facts;
use dialtone::engine::identify::claims;
use dialtone::engine::known::Known;
use dialtone::engine::point;
use dialtone::engine::reply::{Bases, Reply, choose};
use dialtone::engine::resolve::{Found, Values};
use dialtone::model::profile::{Layer, Resolved, Value};

use super::{asks, bases, catalog, put};
use crate::render::folders;

pub(super) fn told(more: &str, facts: &Facts, bases: &Bases, values: &Values) -> Reply {
    let catalog = catalog(more);
    let claims = claims(facts, &catalog);
    let nobody = Known::default();
    let who = point::who(facts.channel, &claims, &nobody, &catalog);
    let kind = who.kind.expect("it is recognised");
    point::reply(facts, &claims, &kind, bases, values)
}

fn values(rows: &[(&str, Value)]) -> Values {
    let found = rows.iter().map(|(name, value)| {
        let resolved = Resolved {
            value: value.clone(),
            layer: Layer::Site,
        };
        let scope = "hq".to_owned();
        ((*name).to_owned(), Found { resolved, scope })
    });
    found.collect()
}

#[test]
fn each_encoding_is_written() {
    fn check(text: &str, expect: &[u8]) {
        let more = format!("[[dhcp]]\noptions = {{ 43 = {text} }}");
        let facts = asks(&[(60, b"Acme G1")]);
        let values = values(&[
            ("colour", Value::Text("red".to_owned())),
            ("domain", Value::Text("192.0.2.9".to_owned())),
            (
                "items",
                Value::List(vec![
                    Value::Text("192.0.2.7".to_owned()),
                    Value::Text("192.0.2.8".to_owned()),
                ]),
            ),
        ]);
        let reply = told(&more, &facts, &bases(), &values);
        let got = reply.options.first().map(|(_, octets)| octets.as_slice());
        assert_eq!(got, (!expect.is_empty()).then_some(expect), "{text}");
    }
    check("\"{pointer}/\"", b"https://prov.example.net:8443/x/");
    check("{ text_nul = \"{tftp}\" }", b"192.0.2.1\0");
    check("{ hex = \"00ff\" }", &[0, 255]);
    check("{ u8 = 255 }", &[255]);
    check("{ u16 = 258 }", &[1, 2]);
    check("{ u32 = 16909060 }", &[1, 2, 3, 4]);
    check("{ bool8 = true }", &[1]);
    check(
        "{ ip_list = [\"{tftp}\", \"{items}\", \"{pointer.host}\"] }",
        &[192, 0, 2, 1, 192, 0, 2, 7, 192, 0, 2, 8],
    );
    check(
        "{ uri_list16 = [\"{colour}\", \"ab\"] }",
        b"\x00\x03red\x00\x02ab",
    );
    // Sub-options 0 and 255 are data, and go out in ascending order.
    check(
        "{ tlv = { 255 = { u8 = 9 }, 0 = \"{colour}\", 10 = { u16 = 1 }, 2 = \"x\" } }",
        b"\x00\x03red\x02\x01x\x0a\x02\x00\x01\xff\x01\x09",
    );
    check("{ tlv16 = { 300 = \"{colour}\" } }", b"\x01\x2c\x00\x03red");
    // ONIE's, as isc-dhcpd's configuration of the project has it (vectors net-028).
    check(
        "{ enterprise = 42623, tlv = { 1 = \"http://192.0.2.1/i.bin\" } }",
        b"\x00\x00\xa6\x7f\x18\x01\x16http://192.0.2.1/i.bin",
    );
    // Parts of the pointer, tables backwards, a macro of the unit's own.
    check(
        "\"5A1D;B{pointer.host_kind@kind};K{pointer.scheme@number};I{pointer.host};J{pointer.port}\"",
        b"5A1D;B1;K5;Iprov.example.net;J8443",
    );
    check("\"{pointer.path}/{{mac}}\"", b"/x/{mac}");
    check(
        "\"{mac:upper-dash} {model:lower}\"",
        b"02-00-5E-00-00-01 g1",
    );
    check("\"/{artefact.config}\"", b"/02005e000001.cfg");
    // A part of its own.
    check("\"a[,b={serial}]\"", b"a");
    check("\"a[,b={colour}][,c={serial}]d\"", b"a,b=redd");
    check("\"[[{colour}]]\"", b"[red]");
    check("\"[{serial}]\"", b"");
    // Unset: left out, and with it what would be empty.
    check("\"{serial}\"", b"");
    check("\"{ip:hex}/a\"", b"");
    check(
        "{ tlv = { 1 = \"{serial}\", 2 = \"{firmware.name}\" } }",
        b"",
    );
    check(
        "{ tlv = { 1 = \"{serial}\", 2 = \"{colour}\" } }",
        b"\x02\x03red",
    );
    check("{ enterprise = 9, tlv = { 1 = \"{serial}\" } }", b"");
    check("{ ip_list = [\"{pointer.host}\"] }", b"");
}

#[test]
fn the_first_block_whose_when_holds_answers() {
    let more = "[[dhcp]]\nwhen = { 77 = \"iPXE\" }\noptions = { 67 = \"ipxe\" }\n\
                [[dhcp]]\nwhen = { asks = [143, 66] }\noptions = { 67 = \"asks\" }\n\
                [[dhcp]]\nwhen = { model = [\"G2\"] }\noptions = { 67 = \"model\" }\n\
                [[dhcp]]\nwhen = { 60 = \"Acme G1\", 12 = \"{_}\" }\noptions = { 67 = \"name\" }\n";
    let check = |options: &[(u8, &[u8])], expect: &str| {
        let reply = told(more, &asks(options), &bases(), &Values::new());
        let got = reply.options.first().map(|(_, octets)| octets.clone());
        assert_eq!(got.unwrap_or_default(), expect.as_bytes(), "{options:?}");
    };
    check(&[(60, b"Acme G2"), (77, b"iPXE"), (55, &[143, 66])], "ipxe");
    check(&[(60, b"Acme G2"), (55, &[66, 1, 143])], "asks");
    check(&[(60, b"Acme G2"), (55, &[66])], "model");
    check(&[(60, b"Acme g-1"), (12, b"x")], "");
    check(&[(60, b"Acme G1"), (12, b"x")], "name");
    check(&[(60, b"Acme G1")], "");
}

#[test]
fn options_ascend_and_echoes_are_the_request_s_own_octets() {
    let more = "[[dhcp]]\noptions = { 150 = { ip_list = [\"{tftp}\"] }, 66 = \"a\", 43 = { u8 = 1 } }\n\
                echo = [125, 60, 77, 66]\nsiaddr = \"{tftp}\"\nfile = \"{artefact.config}\"";
    let facts = asks(&[(60, b"Acme G1\0"), (125, &[0, 0, 0, 9, 0]), (66, b"mine")]);
    let reply = told(more, &facts, &bases(), &Values::new());
    assert_eq!(
        reply.options,
        [
            (43, vec![1]),
            (60, b"Acme G1\0".to_vec()),
            (66, b"a".to_vec()),
            (125, vec![0, 0, 0, 9, 0]),
            (150, vec![192, 0, 2, 1]),
        ]
    );
    assert_eq!(reply.siaddr, Some([192, 0, 2, 1].into()));
    assert_eq!(reply.file.as_deref(), Some("02005e000001.cfg"));
}

#[test]
fn the_pointer_is_the_first_transport_that_the_unit_completes() {
    fn check(transport: &str, bases: &Bases, expect: Option<&str>) {
        let mut files = folders("ini", "a = 1\n");
        let path = "acme/gear/family.toml";
        let text = String::from_utf8(files.0[path].clone()).unwrap();
        let (head, rest) = text.split_once("[transport]").unwrap();
        let (_, tail) = rest.split_once("[sources]").unwrap();
        let text = format!("{head}[transport]\nafter = \"own-ca\"\n{transport}\n[sources]{tail}");
        put(&mut files, path, &text);
        let (catalog, problems) = Catalog::from_files(&files);
        let catalog = catalog.unwrap_or_else(|| panic!("{transport}: {problems:#?}"));
        let family = catalog.family("acme", "gear").unwrap();
        let pointer = choose(family, "G1", bases);
        let got = pointer.map(|pointer| pointer.url);
        assert_eq!(got.as_deref(), expect, "{transport} {bases:?}");
    }
    let all = "first = [\"https\", \"http\", \"tftp\"]";
    let own = bases();
    let public = Bases {
        public_certificate: true,
        ..bases()
    };
    let https = Some("https://prov.example.net:8443/x");
    let http = Some("http://prov.example.net");
    // It does not check, or takes any: our own CA's will do.
    for trusts in ["none", "own"] {
        let transport = format!("{all}\ntrusts = \"{trusts}\"\ntls = \"1.2\"");
        check(&transport, &own, https);
    }
    let transport = format!("{all}\ntrusts = \"public\"\ntls = \"1.2\"");
    check(&transport, &own, http);
    check(&transport, &public, https);
    // Its maker's CA did not sign our certificate, and never will.
    let transport = format!("{all}\ntrusts = \"vendor-ca:acme\"\ntls = \"1.3\"");
    check(&transport, &public, http);
    let transport = format!("{all}\ntrusts = \"none\"\ntls = \"1.1\"");
    check(&transport, &public, http);
    // By model.
    let transport = format!("{all}\ntrusts = {{ G1 = \"own\" }}\ntls = {{ G1 = \"1.2\" }}");
    check(&transport, &own, https);
    // What we do not have is passed over.
    let only = |https: Option<&str>, http: Option<&str>, tftp: Option<&str>| Bases {
        https: https.map(str::to_owned),
        http: http.map(str::to_owned),
        tftp: tftp.map(str::to_owned),
        public_certificate: true,
    };
    let transport = format!("{all}\ntrusts = \"public\"\ntls = \"1.2\"");
    let tftp = only(None, None, Some("boot.example.net"));
    check(&transport, &tftp, Some("tftp://boot.example.net"));
    check(&transport, &only(None, None, None), None);
    let transport = "first = [\"tftp\"]\ntrusts = \"none\"\ntls = \"1.2\"";
    check(
        transport,
        &only(Some("https://a/"), Some("http://a/"), None),
        None,
    );
}
