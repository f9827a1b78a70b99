//! What a vendor's units really send, and what must be made of it: recognition without a store.
//! `three.jsonl` is from real traffic; `requests.jsonl` of each vendor adds a line for each rule,
//! address range, number and spelling of its manifests, with where it is from.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dialtone::catalog::Catalog;
use dialtone::catalog::pattern::Found;
use dialtone::engine::explain::explain;
use dialtone::engine::facts::{DhcpFacts, Facts};
use dialtone::engine::reply::Bases;
use dialtone::engine::target;
use dialtone::model::certificate::PeerCertificate;
use dialtone::model::identity::{Channel, Mac};
use dialtone::model::secret::Foreign;
use dialtone::net::sip::subscribe;
use dialtone::pki;
use serde_json::{Value, json};

use super::{FIXTURES, catalog, vendors};

const THREE: &str = include_str!("../../fixtures/vectors/three.jsonl");

/// A line of a file: `facts` of a request, `import` of words in an inventory, or `name` of a file.
pub(super) struct Vector {
    id: String,
    asked: Asked,
    expect: Vec<(String, Value)>,
}

enum Asked {
    Facts(Box<Facts>),
    Import { vendor: String, model: String },
    Name { artefact: [String; 3], known: Found },
}

fn text(value: &Value, name: &str) -> Option<String> {
    value[name].as_str().map(str::to_owned)
}

fn read(line: &str) -> Vector {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let asked = if let Some(words) = line.get("import") {
        Asked::Import {
            vendor: text(words, "vendor").unwrap(),
            model: text(words, "model").unwrap_or_default(),
        }
    } else if let Some(name) = line.get("name") {
        Asked::Name {
            artefact: ["vendor", "family", "artefact"].map(|word| text(name, word).unwrap()),
            known: Found {
                mac: text(name, "mac").map(|mac| Mac::parse(&mac).unwrap()),
                serial: text(name, "serial"),
                model: text(name, "model"),
                ..Found::default()
            },
        }
    } else {
        Asked::Facts(Box::new(facts(&line["facts"])))
    };
    let expect = line["expect"].as_object().expect("an object");
    assert!(line["source"].is_string(), "{}: no source", line["id"]);
    Vector {
        id: text(&line, "id").unwrap(),
        asked,
        expect: expect.clone().into_iter().collect(),
    }
}

fn facts(said: &Value) -> Facts {
    let channel = Channel::parse(said["channel"].as_str().unwrap()).unwrap();
    let path = said["path"].as_str().unwrap_or("/");
    let mut facts = Facts::new(channel, target::parse(path.as_bytes()).unwrap());
    for (name, value) in said["headers"].as_object().into_iter().flatten() {
        let value = Foreign::new(value.as_str().unwrap().as_bytes());
        facts.headers.push((name.clone(), value));
    }
    if let Some(dhcp) = said.get("dhcp") {
        let options = dhcp["options"].as_object().into_iter().flatten();
        let octets = |value: &Value| match value["hex"].as_str() {
            Some(hex) => (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect(),
            None => value["text"].as_str().unwrap().as_bytes().to_vec(),
        };
        facts.dhcp = Some(DhcpFacts {
            chaddr: text(dhcp, "chaddr").map(|mac| Mac::parse(&mac).unwrap()),
            options: options
                .map(|(code, value)| (code.parse().unwrap(), octets(value)))
                .collect::<BTreeMap<u8, Vec<u8>>>(),
            ..DhcpFacts::default()
        });
    }
    if let Some(message) = said["subscribe"].as_str() {
        facts.pnp = Some(subscribe::parse(message.as_bytes()).unwrap());
    }
    if let Some(shown) = said.get("peer_certificate") {
        facts.certificate = Some(PeerCertificate {
            subject: pki::written_name(shown["subject"].as_str().unwrap()),
            issuer: shown["issuer"].as_str().map(pki::written_name),
            alternatives: Vec::new(),
            fingerprint: None,
            verified: Vec::new(),
            own: false,
            trouble: None,
        });
    }
    facts
}

/// The lines of a vendor, and those of all three.
pub(super) fn vectors(vendor: &str) -> Vec<Vector> {
    let path = Path::new(FIXTURES).join(vendor).join("requests.jsonl");
    let own = fs::read_to_string(path).expect("requests.jsonl");
    own.lines().chain(THREE.lines()).map(read).collect()
}

fn answer(catalog: &Catalog, asked: &Asked) -> Value {
    match asked {
        Asked::Facts(facts) => {
            let told = explain(facts, catalog, &Bases::default());
            let claims = &told.claims;
            json!({
                "vendor": claims.vendor,
                "family": claims.family,
                "model": claims.model,
                "mac": claims.mac.map(|mac| mac.to_string()),
                "serial": claims.serial.as_ref().map(ToString::to_string),
                "firmware": claims.firmware,
                "hardware": claims.hardware,
                "artefact": told.artefact,
                "reason": told.reason,
                "shared": claims.certificate.as_ref().map(|shown| shown.shared),
                "certificate": claims.certificate.as_ref().map(|shown| shown.vendor.clone()),
            })
        }
        Asked::Import { vendor, model } => {
            let vendor = catalog.vendor_named(vendor).map(|vendor| vendor.id.clone());
            let id = vendor.clone().unwrap_or_default();
            let listed = catalog.family_of_model(&id, model);
            json!({
                "vendor": vendor,
                "family": listed.as_ref().map(|(family, _)| family.id.clone()),
                "model": listed.map(|(_, model)| model),
            })
        }
        Asked::Name { artefact, known } => {
            let [vendor, family, id] = artefact;
            let family = catalog.family(vendor, family);
            let artefact = family.and_then(|family| family.artefact(id));
            let path =
                artefact.and_then(|one| one.paths.iter().find_map(|path| path.format(known)));
            json!({ "path": path })
        }
    }
}

/// What is answered differently from what a line expects.
pub(super) fn differences(catalog: &Catalog, vectors: &[Vector]) -> Vec<String> {
    let mut different = Vec::new();
    for vector in vectors {
        let answer = answer(catalog, &vector.asked);
        for (field, wanted) in &vector.expect {
            if answer[field] != *wanted {
                let id = &vector.id;
                different.push(format!("{id}: {field} is {}, not {wanted}", answer[field]));
            }
        }
    }
    different
}

#[test]
fn every_request_is_answered_as_expected() {
    for vendor in vendors() {
        let different = differences(catalog(), &vectors(&vendor));
        assert!(different.is_empty(), "{}", different.join("\n"));
    }
}
