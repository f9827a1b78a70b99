//! `dhcp snippet`: real servers take it, and give their clients what our own replies hold, compared
//! on packets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use dialtone::model::dhcp::Kind;
use dialtone::net::dhcp::packet::Packet;

use crate::dhcp::wire::golden::golden;
use crate::dhcp::wire::lab::{Background, Lab, network};
use crate::dhcp::wire::raw::{Message, Raw};

const CONFIG: &str = r#"
public_url = "https://prov.example.net"
public_http_url = "http://prov.example.net"
public_tftp = "192.0.2.1"
[[site]]
name = "branch"
prefixes = ["10.97.0.0/24"]
public_http_url = "http://branch.example.net"
"#;

/// The verb's output, and its exit code.
fn snippet(folder: &Path, words: &[&str]) -> (String, i32) {
    let file = folder.join("dialtone.toml");
    std::fs::write(&file, CONFIG).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dialtone"))
        .args(["dhcp", "snippet", "--config"])
        .arg(&file)
        .args(words)
        .output()
        .expect("dialtone");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (
        if text.is_empty() { told } else { text },
        output.status.code().unwrap_or(-1),
    )
}

/// A site that a verb made is the running server's to tell, and our TFTP address is the
/// configuration's.
#[tokio::test(flavor = "multi_thread")]
async fn a_site_of_a_verb_and_our_own_tftp_address_are_told() {
    let server = crate::api::Server::start();
    let site = serde_json::json!({"name": "made", "public_http_url": "http://made.example.net"});
    server.post("/sites", site).await.good();
    let file = server.dir.path().join("d.toml");
    let text = "public_url = \"https://prov.example.net\"\n[listen]\ntftp = [\"192.0.2.10:69\"]\n\
                [[site]]\nname = \"written\"\npublic_http_url = \"http://written.example.net\"\n";
    std::fs::write(&file, text).unwrap();
    let told = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dialtone"))
            .args(["dhcp", "snippet", "dnsmasq", "--config"])
            .arg(&file)
            .arg("--data")
            .arg(server.dir.path())
            .args(words)
            .output()
            .expect("dialtone");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (text, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (text, _) = told(&[]);
    assert!(text.contains("192.0.2.10"), "{text}");
    assert!(!text.contains("made.example.net"));
    let (text, why) = told(&["--site", "made"]);
    assert!(text.contains("http://made.example.net"), "{why}");
    let (text, why) = told(&["--site", "written"]);
    assert!(text.contains("http://written.example.net"), "{why}");
    let (text, why) = told(&["--site", "nowhere"]);
    assert!(text.is_empty() && why.contains("nowhere"), "{why}");
}

/// Codes that every DHCP reply has for reasons of its own.
const PLAIN: [u8; 14] = [1, 3, 6, 12, 15, 28, 51, 53, 54, 58, 59, 61, 81, 82];

/// What a reply holds beyond those.
fn held(reply: &Packet) -> BTreeMap<u8, Vec<u8>> {
    let mut held = reply.options.clone();
    held.retain(|code, _| !PLAIN.contains(code));
    held
}

const OURS: [u8; 4] = [10, 99, 0, 1];
const THEIRS: [u8; 4] = [10, 99, 0, 3];

/// Asks, all at once, and takes what this server says of this kind to each; by the asks' numbers.
fn hear(client: &Raw, asks: &[Message], kind: Kind, server: [u8; 4]) -> BTreeMap<u32, Packet> {
    for ask in asks {
        client.send(&ask.octets());
    }
    let mut heard = BTreeMap::new();
    while heard.len() < asks.len()
        && let Some(reply) = client.reply_soon()
    {
        let own = asks.iter().any(|ask| ask.xid == reply.xid);
        if own && reply.kind == kind && reply.option(54) == server {
            heard.insert(reply.xid, reply);
        }
    }
    heard
}

/// The ACKs of this server, by the whole exchange; who has none asks again, as units do.
fn acknowledged(client: &Raw, asks: &[Message], server: [u8; 4]) -> BTreeMap<u32, Packet> {
    let mut acks = BTreeMap::new();
    for _ in 0..60 {
        let mut left = asks.to_vec();
        left.retain(|ask| !acks.contains_key(&ask.xid));
        let offers = hear(client, &left, Kind::Offer, server);
        let takes = left.iter().filter_map(|ask| {
            let offered = offers.get(&ask.xid)?.yiaddr.octets();
            let mut take = ask.clone();
            take.kind = Kind::Request;
            Some(take.with(50, &offered).with(54, &server))
        });
        let takes: Vec<Message> = takes.collect();
        acks.extend(hear(client, &takes, Kind::Ack, server));
        if acks.len() == asks.len() {
            return acks;
        }
    }
    panic!("{server:?} acknowledged {} of {}", acks.len(), asks.len());
}

/// Every client of the golden files, beside us on one wire, is given the same by a server with our
/// snippet, in that server's own habit. Where the snippet says that it leaves a reply of a family out,
/// the client may be given another code more or less, and each as we give it.
fn is_the_same(
    other: impl Fn(&Lab, &[&str]) -> (Background, String),
    habit: impl Fn(u8, &mut Vec<u8>),
) {
    let mut lab = Lab::new();
    lab.host("other", "sw", Some("10.99.0.3/16"));
    lab.host("c1", "sw", None);
    let more = "probe = false\nserve = \"all\"\nclient_id = false\nallow_other = [\"10.99.0.3\"]";
    let server = lab.serve(&network("server", more));
    let client = lab.client("c1");
    let (mut codes, mut wrong) = (BTreeSet::new(), Vec::new());
    for vlan in [false, true] {
        let words: &[&str] = if vlan { &["--vlan", "120"] } else { &[] };
        if vlan {
            server.verb(&["var", "set", "vlan_id=120"]);
        }
        let (_other, left_out) = other(&lab, words);
        let mut units = golden();
        let values: &[&str] = if vlan { &["vlan_id"] } else { &[] };
        units.retain(|unit| !unit.has("listed") && unit.values() == values);
        let asks = units.iter().zip(1_u32..).map(|(unit, xid)| {
            let mut ask = Message::new(Kind::Discover, 0);
            (ask.mac, ask.xid, ask.options) = (unit.mac(), xid, Vec::new());
            unit.says()
                .iter()
                .fold(ask, |ask, (code, octets)| ask.with(*code, octets))
        });
        let mut asks: Vec<Message> = asks.collect();
        // Somebody of nobody's.
        let mut nobody = Message::new(Kind::Discover, 0);
        (nobody.mac, nobody.options) = ([2, 0, 0x5e, 0, 0, 2], Vec::new());
        asks.push(nobody.with(60, b"nobody's class"));
        let ours = acknowledged(&client, &asks, OURS);
        let theirs = acknowledged(&client, &asks, THEIRS);
        for by in [&ours, &theirs] {
            assert_eq!(held(&by[&0]), BTreeMap::new(), "nobody of ours");
        }
        for (unit, xid) in units.iter().zip(1_u32..) {
            unit.check(&ours[&xid], "by us");
            let (mut ours, mut theirs) = (held(&ours[&xid]), held(&theirs[&xid]));
            theirs
                .iter_mut()
                .for_each(|(code, octets)| habit(*code, octets));
            codes.extend(ours.keys().copied());
            if left_out.contains(&format!(" {}: a reply", unit.family)) {
                theirs.retain(|code, _| ours.contains_key(code));
                ours.retain(|code, _| theirs.contains_key(code));
                assert!(!ours.is_empty());
            }
            if theirs != ours {
                let (family, said) = (&unit.family, &unit.said);
                wrong.push(format!("{family} {said:?}: {theirs:?}, ours {ours:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What each family is told by, 132 and 242 with a VLAN too.
    let all = [43, 66, 67, 114, 125, 132, 150, 160, 239, 242];
    assert_eq!(Vec::from_iter(codes), all);
}

/// A configuration of Kea around the classes.
fn kea(folder: &Path, snippet: &str) -> PathBuf {
    std::fs::write(folder.join("classes.json"), snippet).unwrap();
    let classes = folder.join("classes.json").display().to_string();
    let config = format!(
        r#"{{ "Dhcp4": {{
  "interfaces-config": {{ "interfaces": ["eth0"] }},
  "lease-database": {{ "type": "memfile", "persist": false }},
  "valid-lifetime": 3600,
  "client-classes": <?include "{classes}"?>,
  "subnet4": [ {{ "id": 1, "subnet": "10.99.0.0/16", "pools": [ {{ "pool": "10.99.21.1-10.99.21.200" }} ] }} ]
}} }}"#
    );
    let file = folder.join("kea.json");
    std::fs::write(&file, config).unwrap();
    file
}

fn dnsmasq(folder: &Path, snippet: &str) -> PathBuf {
    let config = format!(
        "port=0\ninterface=eth0\nbind-interfaces\nno-ping\nleasefile-ro\nuser=root\npid-file=\n\
         dhcp-authoritative\ndhcp-range=10.99.20.1,10.99.20.200,1h\n{snippet}"
    );
    let file = folder.join("dnsmasq.conf");
    std::fs::write(&file, config).unwrap();
    file
}

/// The verb's text, for the server beside us.
fn beside(lab: &Lab, format: &str, words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dialtone"))
        .args(["dhcp", "snippet", format, "--config"])
        .arg(lab.path("srv").join("dialtone.toml"))
        .args(words)
        .output()
        .expect("dialtone");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn kea_and_dnsmasq_take_the_snippets() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&[][..], &["--vlan", "120"], &["--site", "branch"]] {
        let text = |format: &str| {
            let (text, code) = snippet(folder.path(), &[&[format], words].concat());
            assert_eq!(code, 0, "{text}");
            text
        };
        let file = kea(folder.path(), &text("kea"));
        let output = Command::new("kea-dhcp4")
            .arg("-t")
            .arg(&file)
            .output()
            .expect("kea-dhcp4");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{told}{}",
            String::from_utf8_lossy(&output.stdout)
        );
        let file = dnsmasq(folder.path(), &text("dnsmasq"));
        let mut test = Command::new("dnsmasq");
        let output = test
            .arg("--test")
            .arg("-C")
            .arg(&file)
            .output()
            .expect("dnsmasq");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn kea_with_our_snippet_gives_what_we_give() {
    let start = |lab: &Lab, words: &[&str]| {
        let text = beside(lab, "kea", words);
        let (folder, file) = (lab.folder.path().display(), kea(lab.folder.path(), &text));
        let script = format!(
            "export KEA_PIDFILE_DIR={folder} KEA_LOCKFILE_DIR={folder}; exec kea-dhcp4 -c {}",
            file.display()
        );
        (lab.spawn("other", "sh", &["-c", &script]), text)
    };
    is_the_same(start, |_, _| {});
}

#[test]
fn dnsmasq_with_our_snippet_gives_what_we_give() {
    let start = |lab: &Lab, words: &[&str]| {
        let text = beside(lab, "dnsmasq", words);
        let file = dnsmasq(lab.folder.path(), &text).display().to_string();
        (lab.spawn("other", "dnsmasq", &["-k", "-C", &file]), text)
    };
    // It ends the texts of 66 and 67 with a NUL whatever it is told.
    is_the_same(start, |code, octets| {
        if matches!(code, 66 | 67) {
            assert_eq!(octets.pop(), Some(0));
        }
    });
}

#[test]
fn the_verb_lists_the_folder_and_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (list, code) = snippet(folder.path(), &[]);
    assert_eq!(code, 0);
    let formats: Vec<&str> = list.lines().collect();
    assert_eq!(
        formats,
        [
            "cisco-ios",
            "dnsmasq",
            "isc",
            "kea",
            "mikrotik",
            "opnsense",
            "windows"
        ]
    );
    // Each is written, with the site's own address where one is named.
    for format in formats {
        let (text, code) = snippet(folder.path(), &[format, "--site", "branch"]);
        assert_eq!(code, 0, "{format}: {text}");
        let (plain, hex) = ("http://branch.example.net", "687474703a2f2f6272616e6368");
        let bare = text.replace([':', ' ', ','], "").replace("0x", "");
        assert!(
            text.contains(plain) || bare.contains(hex),
            "{format}: {text}"
        );
    }
    let (told, code) = snippet(folder.path(), &["windos"]);
    assert_eq!(code, 2);
    assert!(told.contains("windows"), "{told}");
    let (told, code) = snippet(folder.path(), &["kea", "--site", "nowhere"]);
    assert_eq!(code, 2);
    assert!(told.contains("nowhere"), "{told}");
}
