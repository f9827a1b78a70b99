//! What a unit is told by DHCP and PnP, and who it is taken for: the pure part.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dialtone::catalog::{Catalog, Files};
use dialtone::engine::boot::Beginning;
use dialtone::engine::facts::{DhcpFacts, Facts, PnpFacts};
use dialtone::engine::identify::claims;
use dialtone::engine::known::{Known, World};
use dialtone::engine::point::{self, Trouble};
use dialtone::engine::reply::{Bases, Reply, choose};
use dialtone::engine::resolve::{Found, Values};
use dialtone::engine::target;
use dialtone::engine::verdict::{Decision, Verdict, reason};
use dialtone::model::activation::{CheckKind, Outcome, State};
use dialtone::model::device::{Config, Device, Lifecycle, Status};
use dialtone::model::enrolment::Arming;
use dialtone::model::identity::{BootId, Channel, DeviceId, Mac, Serial};
use dialtone::model::profile::{Layer, Resolved, Value, Variables};
use jiff::{SignedDuration, Timestamp};

use crate::render::folders;

const VENDOR: &str = r#"
vendor = "acme"
names = ["Acme"]
default_family = "gear"
oui = ["02005e"]
[[recognise]]
channel = "dhcp"
options = { 60 = "Acme {model}" }
[[recognise]]
channel = "dhcp"
options = { 60 = "Acme;{serial}" }
[[recognise]]
channel = "sip-pnp"
event = { vendor = "Acme" }
[table.number]
"4" = "http"
"5" = "https"
[table.kind]
"1" = "hostname"
"2" = "ipv4"
"#;

const OTHER: &str = r#"
vendor = "bolt"
names = ["Bolt"]
default_family = "thing"
[[recognise]]
channel = "dhcp"
options = { 60 = "Bolt" }
"#;

/// Two vendors; the first one's family says `more`.
fn catalog(more: &str) -> Arc<Catalog> {
    let mut files = folders("ini", "a = 1\n");
    let family = &files.0["acme/gear/family.toml"];
    let family = String::from_utf8(family.clone()).unwrap();
    let family = family.replacen("models = [\"G1\"]", "models = [\"G1\", \"G2\"]", 1);
    put(&mut files, "acme/vendor.toml", VENDOR);
    let thing = family.replace("family = \"gear\"", "family = \"thing\"");
    put(&mut files, "bolt/vendor.toml", OTHER);
    put(&mut files, "bolt/thing/family.toml", &thing);
    for name in ["sample.toml", "config.j2", "common.j2"] {
        let held = files.0[&format!("acme/gear/{name}")].clone();
        files.0.insert(format!("bolt/thing/{name}"), held);
    }
    let gear = family.replacen("[report]", &format!("{more}\n[report]"), 1);
    put(&mut files, "acme/gear/family.toml", &gear);
    let (catalog, problems) = Catalog::from_files(&files);
    catalog.unwrap_or_else(|| panic!("{problems:#?}"))
}

fn put(files: &mut Files, path: &str, text: &str) {
    files.0.insert(path.to_owned(), text.as_bytes().to_vec());
}

fn bases() -> Bases {
    Bases {
        https: Some("https://prov.example.net:8443/x/".to_owned()),
        http: Some("http://prov.example.net/".to_owned()),
        tftp: Some("192.0.2.1".to_owned()),
        public_certificate: false,
    }
}

const CHADDR: &str = "02005e000001";

fn asks(options: &[(u8, &[u8])]) -> Facts {
    let mut facts = Facts::new(Channel::Dhcp, target::parse(b"/").unwrap());
    let options = options
        .iter()
        .map(|(code, octets)| (*code, octets.to_vec()));
    facts.dhcp = Some(DhcpFacts {
        message: "discover".to_owned(),
        chaddr: Mac::parse(CHADDR).ok(),
        options: options.collect(),
        ..DhcpFacts::default()
    });
    facts
}

fn told(more: &str, facts: &Facts, bases: &Bases, values: &Values) -> Reply {
    let catalog = catalog(more);
    let claims = claims(facts, &catalog);
    let nobody = Known::default();
    let who = point::who(&claims, &nobody, &catalog);
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

fn device(vendor: &str, family: &str, model: &str) -> Device {
    let start = Timestamp::UNIX_EPOCH;
    Device {
        id: DeviceId(1),
        config: Config {
            mac: Mac::parse(CHADDR).ok(),
            serial: None,
            vendor: vendor.to_owned(),
            family: family.to_owned(),
            model: model.to_owned(),
            site: Some("hq".to_owned()),
            groups: Vec::new(),
            user: None,
            profile: "default".to_owned(),
            variables: Variables::default(),
            lines: Vec::new(),
            keys: Vec::new(),
            lifecycle: Lifecycle::Listed,
            arming: Arming {
                generation: 1,
                from: start,
                until: start,
                open_at: None,
                keys: false,
                without_certificate: false,
                exposed: Vec::new(),
            },
            note: String::new(),
            changed_at: start,
            created_at: start,
            release: false,
            version: 1,
        },
        status: Status {
            generation: 1,
            ..Status::default()
        },
    }
}

/// Decides for a unit, at second `at` of its time.
fn decide(facts: &Facts, known: &Known, before: Option<&Beginning>, at: i64) -> Verdict {
    let catalog =
        catalog("[[dhcp]]\noptions = { 66 = \"{pointer}\" }\n[sip_pnp]\nurl = \"{pointer}/\"");
    let claims = claims(facts, &catalog);
    let who = point::who(&claims, known, &catalog);
    let world = World {
        now: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(at),
        fresh_boot: BootId(u64::try_from(at).unwrap() + 1),
        sites: &BTreeMap::new(),
        zones: &BTreeMap::new(),
        waivers: &[],
        published: &BTreeMap::new(),
        anchored: &BTreeSet::new(),
        registrar: false,
        https: true,
    };
    let told = (&bases(), &Values::new());
    point::decide(facts, &claims, &who, told, before, &world)
}

fn listed(vendor: &str, family: &str, model: &str) -> Known {
    Known {
        by_mac: Some(device(vendor, family, model)),
        ..Known::default()
    }
}

fn is_pointed(verdict: &Verdict) -> bool {
    matches!(verdict.decision, Decision::Point(_))
}

#[test]
fn who_is_told_a_pointer_and_who_nothing() {
    // Every unit of a recognised family, listed or not, by the same words.
    let known = listed("acme", "gear", "G1");
    let class = asks(&[(60, b"Acme G1")]);
    let stranger = decide(&class, &Known::default(), None, 0);
    let own = decide(&class, &known, None, 0);
    assert!(is_pointed(&stranger) && stranger.sighting);
    assert_eq!(stranger.decision, own.decision);
    assert!(own.alerts.is_empty() && !own.sighting);
    // No class, no client identifier: by its maker's part, else by the inventory's MAC.
    assert!(is_pointed(&decide(&asks(&[]), &Known::default(), None, 0)));
    let mut nameless = asks(&[]);
    nameless.dhcp.as_mut().unwrap().chaddr = Mac::parse("060000000001").ok();
    let verdict = decide(&nameless, &Known::default(), None, 0);
    assert_eq!(verdict.reason, reason::NOT_RECOGNISED);
    assert!(!is_pointed(&verdict) && !verdict.sighting);
    assert!(is_pointed(&decide(&nameless, &known, None, 0)));
    // Its own words name another vendor than the inventory: an alert, and nothing.
    let verdict = decide(&class, &listed("bolt", "thing", "G1"), None, 0);
    assert_eq!(verdict.reason, reason::DISAGREE);
    assert_eq!(verdict.alerts.len(), 1);
    assert!(verdict.alerts[0].text.contains("bolt") && verdict.alerts[0].text.contains("acme"));
    // The maker's part alone is no word against the record.
    let verdict = decide(&asks(&[]), &listed("bolt", "thing", "G1"), None, 0);
    assert!(verdict.alerts.is_empty());
    // Another server answers: it is noted, and told nothing.
    let mut observed = asks(&[(60, b"Acme G1")]);
    observed.dhcp.as_mut().unwrap().observed = true;
    let verdict = decide(&observed, &known, None, 0);
    assert!(!is_pointed(&verdict));
    assert_eq!(verdict.unit.unwrap().outcome, Outcome::Pass);
}

#[test]
fn the_model_is_the_unit_s_word_and_else_the_inventory_s() {
    let catalog = catalog("");
    let check = |options: &[(u8, &[u8])], known: &Known, expect: &str| {
        let claims = claims(&asks(options), &catalog);
        let who = point::who(&claims, known, &catalog);
        let model = who.kind.and_then(|kind| kind.model);
        assert_eq!(model.as_deref(), Some(expect), "{options:?}");
    };
    let known = listed("acme", "gear", "G2");
    check(&[(60, b"Acme g-1")], &known, "G1");
    check(&[(60, b"Acme;S1")], &known, "G2");
    check(&[], &known, "G2");
}

#[test]
fn identifiers_that_point_at_two_units_are_told_nothing() {
    let mut second = device("acme", "gear", "G1");
    second.id = DeviceId(2);
    let class = asks(&[(60, b"Acme G1")]);
    let by_client = Known {
        by_client: Some(second.clone()),
        ..listed("acme", "gear", "G1")
    };
    let verdict = decide(&class, &by_client, None, 0);
    assert!(!is_pointed(&verdict) && verdict.unit.is_none());
    assert_eq!(verdict.alerts.len(), 2);
    // The same unit by both is one.
    let by_client = Known {
        by_client: Some(device("acme", "gear", "G1")),
        ..listed("acme", "gear", "G1")
    };
    assert!(is_pointed(&decide(&class, &by_client, None, 0)));
    // A serial that the record denies.
    let mut known = listed("acme", "gear", "G1");
    known.by_mac.as_mut().unwrap().config.serial = Serial::parse("S2");
    let verdict = decide(&asks(&[(60, b"Acme;S1")]), &known, None, 0);
    assert_eq!(
        (verdict.reason, verdict.alerts.len()),
        (reason::DISAGREE, 1)
    );
    // A port whose MAC is not the printed one, named by its serial.
    let mut unit = device("acme", "gear", "G1");
    unit.config.mac = Mac::parse("02005e0000ff").ok();
    unit.config.serial = Serial::parse("S1");
    let known = Known {
        by_serial: Some(unit),
        ..Known::default()
    };
    let verdict = decide(&asks(&[(60, b"Acme;S1")]), &known, None, 0);
    assert!(is_pointed(&verdict) && verdict.alerts.is_empty());
    let seen = verdict.unit.unwrap().status.seen;
    assert_eq!(seen.asking_mac, Mac::parse(CHADDR).ok());
    // Serials of two units in one packet never reach the record of either.
    let catalog = catalog("");
    let mut claims = claims(&class, &catalog);
    claims.conflict = Some(dialtone::engine::identify::Conflict {
        certificate: false,
        macs: Vec::new(),
        serials: Vec::new(),
    });
    let known = Known {
        disagreeing: vec![DeviceId(3)],
        ..Known::default()
    };
    let who = point::who(&claims, &known, &catalog);
    assert_eq!(who.trouble, Some(Trouble::Identifiers(vec![DeviceId(3)])));
}

#[test]
fn a_client_identifier_names_a_mac_or_a_serial() {
    let check = |octets: &[u8], mac: Option<&str>, serial: Option<&str>| {
        let facts = asks(&[(61, octets)]);
        let (found, named) = point::client(facts.dhcp.as_ref().unwrap());
        assert_eq!(found, mac.map(|mac| Mac::parse(mac).unwrap()), "{octets:?}");
        assert_eq!(named.as_ref().map(Serial::as_str), serial, "{octets:?}");
    };
    check(&[1, 2, 0, 0x5e, 0, 0, 9], Some("02005e000009"), None);
    check(&[1, 0, 0, 0, 0, 0, 0], None, None);
    check(&[1, 2, 0, 0x5e], None, None);
    check(b"\0FOC1234X0AB\0", None, Some("FOC1234X0AB"));
    check(b"\0a b", None, None);
    check(&[255, 1, 2, 3, 4, 0, 1], None, None);
    check(&[], None, None);
}

/// Plays a unit's packets and says which of them began a boot.
fn boots(packets: &[(i64, Packet)]) -> Vec<bool> {
    let mut unit = device("acme", "gear", "G1");
    let mut before: Option<Beginning> = None;
    let mut begun = Vec::new();
    for (at, packet) in packets {
        let mut facts = asks(&[(60, b"Acme G1")]);
        match packet {
            Packet::Discover(segment) => {
                facts.dhcp.as_mut().unwrap().interface = Some((*segment).to_owned());
            }
            Packet::Request(codes, ciaddr) => {
                let dhcp = facts.dhcp.as_mut().unwrap();
                dhcp.message = "request".to_owned();
                dhcp.ciaddr = ciaddr.then(|| [10, 99, 0, 7].into());
                dhcp.options
                    .extend(codes.iter().map(|code| (*code, vec![10, 99, 0, 1])));
            }
            Packet::Subscribe(call_id) => {
                facts = Facts::new(Channel::SipPnp, target::parse(b"/").unwrap());
                facts.pnp = Some(PnpFacts {
                    vendor: Some("Acme".to_owned()),
                    mac: Mac::parse(CHADDR).ok(),
                    call_id: (*call_id).to_owned(),
                    ..PnpFacts::default()
                });
            }
            Packet::File => {
                let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(*at);
                let id = BootId(u64::try_from(*at).unwrap() + 1);
                dialtone::engine::boot::note(&mut unit.status, Some("config"), false, id, now);
                continue;
            }
        }
        let known = Known {
            by_mac: Some(unit.clone()),
            ..Known::default()
        };
        let verdict = decide(&facts, &known, before.as_ref(), *at);
        let change = verdict.unit.expect("the unit");
        let new = unit.status.boots.last().map(|boot| boot.id) != Some(change.boot);
        let arrival = point::arrival(&facts);
        before = Some(Beginning::after(before.as_ref(), &arrival, new));
        begun.push(new);
        if !change.quiet {
            unit.status = *change.status;
        }
    }
    begun
}

enum Packet {
    Discover(&'static str),
    Request(&'static [u8], bool),
    Subscribe(&'static str),
    File,
}

#[test]
fn a_boot_begins_where_the_contract_says() {
    use Packet::{Discover, File, Request, Subscribe};
    let check = |packets: &[(i64, Packet)], expect: &[bool]| {
        assert_eq!(boots(packets), expect);
    };
    // Discover, request and PnP of one boot; then a restart, which has another Call-ID.
    check(
        &[
            (0, Discover("eth1")),
            (1, Request(&[50, 54], false)),
            (3, Subscribe("a")),
            (4, Subscribe("a")),
            (5, File),
            (20, Discover("eth1")),
            (21, Subscribe("b")),
            (22, File),
            (30, Subscribe("c")),
        ],
        &[true, false, false, false, true, false, true],
    );
    // A DISCOVER that is sent again; then one on another VLAN, after the file that named it.
    check(
        &[
            (0, Discover("eth1")),
            (4, Discover("eth1")),
            (8, File),
            (60, Discover("eth2")),
            (61, File),
            (300, Discover("eth2")),
        ],
        &[true, false, false, true],
    );
    // INIT-REBOOT begins one; renewing and rebinding (a client address) do not, nor does a file.
    check(
        &[
            (0, Request(&[50], false)),
            (1, File),
            (600, Request(&[], true)),
            (900, Request(&[50, 54], false)),
            (1000, Request(&[50], false)),
        ],
        &[true, false, false, true],
    );
}

#[test]
fn a_contact_moves_the_unit_and_is_written_once_a_boot() {
    let known = listed("acme", "gear", "G1");
    let verdict = decide(&asks(&[(60, b"Acme G1")]), &known, None, 0);
    let change = verdict.unit.unwrap();
    assert_eq!(
        (change.kind, change.outcome),
        (CheckKind::Seen, Outcome::Pass)
    );
    assert_eq!(change.status.activation.state, State::Seen);
    assert!(!change.quiet && !change.before_answer);
    let mut again = known.clone();
    again.by_mac.as_mut().unwrap().status = *change.status;
    let verdict = decide(&asks(&[(60, b"Acme G1")]), &again, None, 2);
    assert!(is_pointed(&verdict) && verdict.unit.unwrap().quiet);
    // Where a family has no PnP there is none to tell, and a person sees why.
    let mut facts = Facts::new(Channel::SipPnp, target::parse(b"/").unwrap());
    facts.pnp = Some(PnpFacts {
        vendor: Some("Acme".to_owned()),
        call_id: "x".to_owned(),
        ..PnpFacts::default()
    });
    let verdict = decide(&facts, &Known::default(), None, 0);
    let Decision::Point(reply) = verdict.decision else {
        panic!("a pointer")
    };
    assert_eq!(
        reply.url.as_deref(),
        Some("https://prov.example.net:8443/x/")
    );
    assert!(reply.options.is_empty());
}
