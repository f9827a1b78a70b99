//! What each family's DHCP client is given, option by option: `<vendor>/<family>.dhcp.golden`,
//! written by hand from the sheets. A code that the file does not name fails, as one that is missing.
//!
//! A block is `> {options of the client, "chaddr": …}`, then a line an option in ascending order,
//! `CODE "text"` or `CODE hex 00ff`, and `lease` (the shortest, in seconds), `siaddr` and `file`; each
//! with `# its source`. In the first line `"listed": "MODEL"` makes it a listed unit of the family, `"vars": {…}` sets the site's values.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use dialtone::catalog::Catalog;
use dialtone::engine::facts::{DhcpFacts, Facts};
use dialtone::engine::identify::claims;
use dialtone::engine::known::Known;
use dialtone::engine::point;
use dialtone::engine::reply::{Bases, Reply};
use dialtone::engine::resolve;
use dialtone::engine::target::parse;
use dialtone::model::device::{Config, Device, Lifecycle};
use dialtone::model::enrolment::Arming;
use dialtone::model::identity::{Channel, DeviceId, Mac};
use dialtone::model::profile::{Layer, Scope, Value as Set, Variables};
use serde_json::{Map, Value};

use super::{FIXTURES, catalog, vendors};

/// What the files are written for: our HTTPS certificate is the own CA's.
fn bases() -> Bases {
    Bases {
        https: Some("https://prov.example.net/".to_owned()),
        http: Some("http://prov.example.net/".to_owned()),
        tftp: Some("192.0.2.1".to_owned()),
        public_certificate: false,
    }
}

fn octets(value: &Value) -> Vec<u8> {
    match value["hex"].as_str() {
        Some(hex) => (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
            .collect(),
        None => value["text"]
            .as_str()
            .expect("text or hex")
            .as_bytes()
            .to_vec(),
    }
}

fn facts(said: &Map<String, Value>) -> Facts {
    let mut facts = Facts::new(Channel::Dhcp, parse(b"/").expect("a target"));
    let mac = said.get("chaddr").and_then(Value::as_str);
    let codes = said.iter().filter_map(|(code, value)| {
        let code: u8 = code.parse().ok()?;
        Some((code, octets(value)))
    });
    facts.dhcp = Some(DhcpFacts {
        message: "discover".to_owned(),
        chaddr: mac.map(|mac| Mac::parse(mac).expect("a MAC")),
        options: codes.collect(),
        ..DhcpFacts::default()
    });
    facts
}

fn listed(vendor: &str, family: &str, model: &str, mac: Option<Mac>) -> Device {
    Device {
        id: DeviceId(1),
        config: Arc::new(Config {
            mac,
            serial: None,
            vendor: vendor.to_owned(),
            family: family.to_owned(),
            model: model.to_owned(),
            site: None,
            groups: Vec::new(),
            user: None,
            profile: "default".to_owned(),
            variables: Variables::default(),
            lines: Vec::new(),
            keys: Vec::new(),
            lifecycle: Lifecycle::Listed,
            arming: Arming {
                generation: 1,
                from: jiff::Timestamp::UNIX_EPOCH,
                until: jiff::Timestamp::UNIX_EPOCH,
                open_at: None,
                keys: false,
                without_certificate: false,
                exposed: Vec::new(),
            },
            note: String::new(),
            changed_at: jiff::Timestamp::UNIX_EPOCH,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            release: false,
            version: 1,
        }),
        status: Arc::default(),
    }
}

/// What the client of a block's first line is given, and its family.
fn given(
    catalog: &Catalog,
    vendor: &str,
    family: &str,
    said: &Map<String, Value>,
) -> (Reply, bool) {
    let facts = facts(said);
    let claims = claims(&facts, catalog);
    let chaddr = facts.dhcp.as_ref().and_then(|dhcp| dhcp.chaddr);
    let model = said.get("listed").and_then(Value::as_str);
    let known = Known {
        by_mac: model.map(|model| listed(vendor, family, model, chaddr)),
        ..Known::default()
    };
    let vars = said.get("vars").and_then(Value::as_object);
    let rows = vars.into_iter().flatten().map(|(name, value)| {
        let set = match value {
            Value::Number(number) => Set::Int(number.as_i64().expect("a number")),
            Value::Bool(on) => Set::Bool(*on),
            Value::String(text) => Set::Text(text.clone()),
            Value::Null | Value::Array(_) | Value::Object(_) => panic!("{name}: {value}"),
        };
        (name.clone(), set)
    });
    let scope = Scope {
        layer: Layer::Global,
        name: String::new(),
        variables: Variables(rows.collect()),
        changed_at: None,
        version: 1,
    };
    let scopes = BTreeMap::from([((Layer::Global, String::new()), scope)]);
    let profile = &catalog.profiles["default"];
    let values = resolve::of_site(None, &scopes, profile, &catalog.vocabulary);
    let who = point::who(facts.channel, &claims, &known, catalog);
    match &who.kind {
        Some(kind) => {
            let own = kind.vendor.id == vendor && kind.family.id == family;
            (point::reply(&facts, &claims, kind, &bases(), &values), own)
        }
        None => (Reply::default(), false),
    }
}

/// The lines that a reply is written as, without their sources.
fn lines(reply: &Reply) -> Vec<String> {
    let written = |octets: &[u8]| {
        let plain = octets
            .iter()
            .all(|octet| octet.is_ascii_graphic() || *octet == b' ');
        if plain {
            format!("{:?}", String::from_utf8_lossy(octets))
        } else {
            octets.iter().fold("hex ".to_owned(), |mut text, octet| {
                write!(text, "{octet:02x}").expect("a text");
                text
            })
        }
    };
    let options = reply.options.iter();
    let mut lines: Vec<String> = options
        .map(|(code, octets)| format!("{code} {}", written(octets)))
        .collect();
    lines.extend((reply.lease > 0).then(|| format!("lease {}", reply.lease)));
    lines.extend(reply.siaddr.map(|ip| format!("siaddr {ip}")));
    lines.extend(reply.file.as_ref().map(|file| format!("file {file:?}")));
    lines
}

/// A line of a file, `hex` only where it is no text; the source is looked for and taken off.
fn expected(line: &str) -> Result<String, String> {
    let (said, source) = line
        .rsplit_once(" #")
        .ok_or_else(|| format!("`{line}` has no source"))?;
    if source.trim().is_empty() {
        return Err(format!("`{line}` has no source"));
    }
    let said = said.trim_end();
    let Some((code, hex)) = said.split_once(" hex ") else {
        return Ok(said.to_owned());
    };
    let reply = Reply {
        options: vec![(0, octets(&serde_json::json!({ "hex": hex.to_lowercase() })))],
        ..Reply::default()
    };
    Ok(lines(&reply)[0].replacen('0', code, 1))
}

/// Checks one file's blocks; every difference is told.
pub(super) fn check(catalog: &Catalog, vendor: &str, family: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut blocks = 0;
    for block in text
        .split("\n> ")
        .map(|block| block.strip_prefix("> ").unwrap_or(block))
    {
        let mut rows = block
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let Some(head) = rows.next() else { continue };
        blocks += 1;
        let said: Map<String, Value> = match serde_json::from_str(head) {
            Ok(said) => said,
            Err(error) => {
                wrong.push(format!("{vendor}/{family}: {head}: {error}"));
                continue;
            }
        };
        let (reply, own) = given(catalog, vendor, family, &said);
        let (mut expect, mut bad) = (Vec::new(), Vec::new());
        for row in rows {
            match expected(row) {
                Ok(line) => expect.push(line),
                Err(told) => bad.push(told),
            }
        }
        if !own && !expect.is_empty() {
            bad.push("the client is not taken for this family".to_owned());
        }
        let got = lines(&reply);
        if got != expect {
            bad.push(format!("got {got:#?}, expected {expect:#?}"));
        }
        wrong.extend(
            bad.iter()
                .map(|told| format!("{vendor}/{family}: {head}: {told}")),
        );
    }
    if blocks == 0 {
        wrong.push(format!("{vendor}/{family}: the file has no block"));
    }
    wrong
}

/// The files of a vendor: family and text.
pub(super) fn golden(vendor: &str) -> Vec<(String, String)> {
    let folder = Path::new(FIXTURES).join(vendor);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(String, String)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let family = name.strip_suffix(".dhcp.golden")?.to_owned();
            Some((family, fs::read_to_string(entry.path()).ok()?))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn each_family_s_client_is_given_the_golden_options() {
    let catalog = catalog();
    let mut wrong = Vec::new();
    for vendor in vendors() {
        for (family, text) in golden(&vendor) {
            wrong.extend(check(catalog, &vendor, &family, &text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_golden_file_that_says_something_else_fails() {
    let check = |text: &str| !check(catalog(), "yealink", "sip-t4-t5", text).is_empty();
    let head = "> {\"60\":{\"text\":\"yealink\"}}\n";
    let right = "66 \"http://prov.example.net/\" # source\n";
    assert!(!check(&format!("{head}{right}")));
    for wrong in [
        "",
        "66 \"http://prov.example.net/\"\n",
        "66 \"http://prov.example.net/\" #\n",
        "66 \"http://prov.example.net\" # source\n",
        "67 \"http://prov.example.net/\" # source\n",
    ] {
        assert!(check(&format!("{head}{wrong}")), "{wrong}");
    }
    assert!(check(&format!("{head}43 hex 00 # source\n{right}")));
    assert!(check(&format!(
        "> {{\"60\":{{\"text\":\"other\"}}}}\n{right}"
    )));
    assert!(check(""));
}
