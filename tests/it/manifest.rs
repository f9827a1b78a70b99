//! The manifests themselves: they load clean, each mistake is told with its place, a new vendor
//! needs no Rust, and a changed pattern is noticed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dialtone::catalog::manifest::Artefact;
use dialtone::catalog::{Ask, Catalog, Files, HintKind, load};
use dialtone::engine::facts::{DhcpFacts, Facts, Target};
use dialtone::engine::identify::claims;
use dialtone::model::certificate::{Name, PeerCertificate};
use dialtone::model::identity::Channel;
use dialtone::model::secret::Foreign;
use proptest::prelude::*;

use crate::render::folders;

fn ours() -> Files {
    load::read_folders(&[PathBuf::from("profiles")]).expect("profiles/ is there")
}

/// One vendor's folder, another's beside it and what all vendors share, with one file changed.
fn with(path: &str, text: &str) -> Files {
    let (vendor, _) = path.split_once('/').expect("a file of a vendor");
    let mut files = ours();
    files.0.retain(|name, _| {
        name.split_once('/').is_none_or(|(folder, _)| {
            folder.starts_with('_') || folder == vendor || folder == "cisco"
        })
    });
    files.0.insert(path.to_owned(), text.as_bytes().to_vec());
    files
}

#[test]
fn our_manifests_load_without_a_problem() {
    let files = ours();
    let (catalog, problems) = Catalog::from_files(&files);
    assert!(problems.is_empty(), "{problems:?}");
    let folders = files.0.keys().filter(|path| path.ends_with("/vendor.toml"));
    assert_eq!(catalog.expect("a catalogue").vendors.len(), folders.count());
}

#[test]
fn lint_tells_what_is_unconfirmed_left_unsaid_or_another_vendors_too() {
    let mut files = folders("ini", "a = {{ url.https }}\n");
    let rule = |agent: &str| format!("[[recognise]]\nchannel = \"http\"\nagent = \"{agent}\"\n");
    let vendor = |id: &str, rule: String| format!("vendor = \"{id}\"\nnames = [\"{id}\"]\n{rule}");
    let mut put = |path: &str, text: String| files.0.insert(path.to_owned(), text.into_bytes());
    let unsure = "[unconfirmed]\nkeys = [\"certificate\"]\n";
    put(
        "acme/vendor.toml",
        vendor("acme", rule("Gear {model} {mac}")) + unsure,
    );
    put(
        "bolt/vendor.toml",
        vendor("bolt", rule("Gear {model}[ {mac}]")),
    );
    put(
        "cord/vendor.toml",
        vendor("cord", rule("Gear {model} {mac}") + "common = true\n"),
    );
    let family = String::from_utf8(files.0["acme/gear/family.toml"].clone()).unwrap();
    let unsupported = "[unsupported]\ncolour = \"manual p.1\"\nnothing = \"manual p.2\"\n";
    let family = family.replacen("[transport]", &format!("{unsupported}[transport]"), 1);
    files
        .0
        .insert("acme/gear/family.toml".to_owned(), family.into_bytes());
    let (catalog, problems) = Catalog::from_files(&files);
    let catalog = catalog.unwrap_or_else(|| panic!("{problems:#?}"));
    let told: Vec<String> = catalog.lint().iter().map(ToString::to_string).collect();
    let expect = [
        "acme/vendor.toml:7: unconfirmed: certificate",
        "acme/vendor.toml:5: \"Gear G1 00005e0053aa\" is matched by a rule of bolt too (bolt/vendor.toml:5)",
        "acme/gear/family.toml:9: unsupported: there is no variable nothing",
        "acme/gear/family.toml: neither mapped nor unsupported: 4 of 5 variables: domain items password wifi",
    ];
    for (told, expect) in told.iter().zip(expect) {
        assert!(told.starts_with(expect), "{told} is not {expect}");
    }
    assert_eq!(told.len(), expect.len(), "{told:#?}");
    let ours = crate::vendors::catalog().lint();
    let rivals = ours
        .iter()
        .filter(|problem| problem.what.contains("is matched"));
    let rivals: Vec<String> = rivals.map(ToString::to_string).collect();
    assert!(rivals.is_empty(), "{rivals:#?}");
}

/// The verb reads what units send, and tells what none of them asks for: here what one vendor's would.
#[test]
fn lint_tells_what_no_fixture_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let without = "aastra";
    for entry in fs::read_dir(crate::vendors::FIXTURES).unwrap().flatten() {
        let requests = entry.path().join("requests.jsonl");
        if requests.exists() && entry.file_name() != without {
            let own = folder.path().join(entry.file_name());
            fs::create_dir(&own).unwrap();
            fs::copy(requests, own.join("requests.jsonl")).unwrap();
        }
    }
    let done = Command::new(env!("CARGO_BIN_EXE_dialtone"))
        .args(["profile", "lint", "--json", "--fixtures"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let told: Vec<serde_json::Value> = serde_json::from_slice(&done.stdout).unwrap();
    let told = told.iter().filter_map(|problem| {
        let what = problem["what"]
            .as_str()?
            .strip_prefix("no fixture asks for the artefact ")?;
        Some(format!("{}: {what}", problem["file"].as_str()?))
    });
    let own = crate::vendors::catalog();
    let families = own.vendors[without].families.values();
    let expect = families.flat_map(|family| {
        let of = |one: &Artefact| format!("{without}/{}/family.toml: {}", family.id, one.id);
        family.artefacts.iter().map(of).collect::<Vec<_>>()
    });
    assert_eq!(Vec::from_iter(told), Vec::from_iter(expect));
}

#[test]
fn mistakes_are_told_all_at_once_with_their_place() {
    fn check(path: &str, from: &str, to: &str, expect: &str) {
        let text = fs::read_to_string(Path::new("profiles").join(path)).expect("the manifest");
        assert!(text.contains(from), "{path} holds {from}");
        let (catalog, problems) = Catalog::from_files(&with(path, &text.replacen(from, to, 1)));
        assert!(catalog.is_none(), "{to}: it must not load");
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(
            told.iter()
                .any(|problem| problem.starts_with(path) && problem.contains(expect)),
            "{told:?}"
        );
    }
    let vendor = "yealink/vendor.toml";
    let family = "yealink/sip-t4-t5/family.toml";
    check(
        vendor,
        "default_family",
        "defualt_family",
        ":5: unknown field `defualt_family`",
    );
    check(vendor, "\"001565\"", "\"00156Z\"", "is no OUI");
    check(vendor, "{ws}{mac}\"", "{ws}{mac:odd}\"", "there is no hole");
    check(vendor, "= \"T46S\"", "= \"T46X\"", "which no family lists");
    check(
        family,
        "reach = \"full\"",
        "reach = \"most\"",
        "is no word of the format",
    );
    check(family, "http = 404", "http = 418", "is no refusal");
    check(
        family,
        "y{model@common}.cfg",
        "y{model@commen}.cfg",
        "there is no table",
    );
    check(
        family,
        "source = ",
        "# source = ",
        "`keep` without a source",
    );
    check(
        family,
        "fallback_of = \"boot\"",
        "fallback_of = \"boat\"",
        "names no artefact",
    );
    check(
        family,
        "stall_after = \"15m\"",
        "stall_after = \"soon\"",
        "is no time",
    );
    check(
        family,
        "\"T46S\",",
        "\"T46S\", \"t-46s\",",
        "is the same as",
    );
    check(
        "yealink/vendor.toml",
        "\"001565\"",
        "\"000e08\"",
        "is listed by cisco too",
    );
}

/// A template that no golden file shows could change and nobody would see it.
#[test]
fn every_template_has_a_golden_file() {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let catalog = Catalog::from_files(&ours()).0.expect("it loads");
    let mut bare = Vec::new();
    for vendor in catalog.vendors.values() {
        let folder = Path::new("tests/fixtures/vendors").join(&vendor.id);
        let mut goldens = Vec::new();
        walk(&folder, &mut goldens);
        let mut shown = BTreeMap::new();
        for golden in &goldens {
            let inside = golden.strip_prefix(&folder).expect("below the folder");
            // CASE/GRANT/PATH as the unit asks for it.
            let mut parts = inside.components();
            parts.next();
            let grant = parts.next().map(|part| part.as_os_str().to_owned());
            let path = parts.as_path().to_string_lossy().into_owned();
            let ask = Ask {
                channel: Channel::Http,
                path: Some(&path),
                agent: None,
                headers: &[],
                options: None,
                pnp: None,
                certificate: None,
            };
            for hint in catalog.hints(&ask) {
                if let (Some(family), Some(artefact)) = (hint.family, hint.artefact) {
                    let bootstrap = grant.as_ref().is_some_and(|grant| grant == "bootstrap");
                    shown.insert((hint.vendor, family, artefact, bootstrap), ());
                }
            }
        }
        for family in vendor.families.values() {
            for artefact in &family.artefacts {
                for (there, bootstrap) in [
                    (artefact.template.is_some(), false),
                    (artefact.bootstrap.is_some(), true),
                ] {
                    let key = (
                        vendor.id.as_str(),
                        family.id.as_str(),
                        artefact.id.as_str(),
                        bootstrap,
                    );
                    if there && !shown.contains_key(&key) {
                        bare.push(key);
                    }
                }
            }
        }
    }
    assert!(bare.is_empty(), "{bare:?}");
}

#[test]
fn a_new_vendor_is_a_folder_and_no_rust() {
    let mut files = Files::default();
    let vendor = r#"
vendor = "acme"
names = ["Acme"]
default_family = "gear"
[[recognise]]
channel = "http"
headers = { x-acme-serial = "{serial:[A-Z]{2}[0-9]{6}}" }
[[recognise]]
channel = "dhcp"
options = { 124 = { enterprise = 9, text = "SN:{serial};PID:{model}" } }
[table.number]
"0042" = "G1"
"#;
    let family = r#"
family = "gear"
label = "Gear"
reach = "full"
models = ["G1", "G2"]
asks = "once"
[transport]
first = ["http"]
trusts = "none"
after = "same"
tls = "none"
[sources]
order = ["dhcp"]
pin = false
ceiling = "L1"
[absent]
means = "reset"
[refusal]
http = "close"
tftp = "silence"
[[artefact]]
id = "config"
kind = "device-config"
paths = ["conf/{serial}_{model@number}.xml"]
scope = "unit"
format = "xml"
"#;
    files.0.insert("acme/vendor.toml".into(), vendor.into());
    files
        .0
        .insert("acme/gear/family.toml".into(), family.into());
    let (catalog, problems) = Catalog::from_files(&files);
    let catalog = catalog.unwrap_or_else(|| panic!("{problems:?}"));
    let headers = [("x-acme-serial".to_owned(), "AB123456".to_owned())];
    let mut enterprise = vec![0, 0, 0, 9, 16];
    enterprise.extend(b"SN:AB123456;PID:G2");
    let options = BTreeMap::from([(124, enterprise)]);
    let ask = Ask {
        channel: Channel::Http,
        path: Some("x/conf/AB123456_0042.xml"),
        agent: None,
        headers: &headers,
        options: None,
        pnp: None,
        certificate: None,
    };
    let hints = catalog.hints(&ask);
    assert_eq!(hints.len(), 2);
    assert!(
        hints
            .iter()
            .all(|hint| hint.serial.as_deref() == Some("AB123456") && hint.mac.is_none())
    );
    let path = hints
        .iter()
        .find(|hint| hint.kind == HintKind::Path)
        .expect("the path speaks");
    assert_eq!(
        (path.model.as_deref(), path.artefact),
        (Some("G1"), Some("config"))
    );
    let hints = catalog.hints(&Ask {
        channel: Channel::Dhcp,
        path: None,
        headers: &[],
        options: Some(&options),
        ..ask
    });
    assert_eq!(hints.len(), 1);
    assert_eq!(
        (hints[0].model.as_deref(), hints[0].kind),
        (Some("G2"), HintKind::Options(2))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes as path, agent, header, option or subject: claims, and never a panic.
    #[test]
    fn no_request_makes_a_panic(
        path in ".{0,80}",
        agent in proptest::collection::vec(any::<u8>(), 0..200),
        header in proptest::collection::vec(any::<u8>(), 0..80),
        option in proptest::collection::vec(any::<u8>(), 0..80),
        code in any::<u8>(),
        subject in ".{0,80}",
    ) {
        static CATALOG: std::sync::OnceLock<std::sync::Arc<Catalog>> = std::sync::OnceLock::new();
        let catalog = CATALOG.get_or_init(|| Catalog::from_files(&ours()).0.expect("it loads"));
        for channel in [Channel::Http, Channel::Https, Channel::Tftp, Channel::Dhcp, Channel::SipPnp] {
            let target = Target { path: path.clone(), ..Target::default() };
            let mut facts = Facts::new(channel, target);
            facts.headers = vec![
                ("user-agent".to_owned(), Foreign::new(&agent)),
                ("x-arista-systemmac".to_owned(), Foreign::new(&header)),
            ];
            let options = BTreeMap::from([(60, option.clone()), (code, option.clone())]);
            facts.dhcp = Some(DhcpFacts { options, ..DhcpFacts::default() });
            facts.certificate = Some(PeerCertificate {
                subject: Name(vec![("CN".to_owned(), subject.clone()), ("L".to_owned(), subject.clone())]),
                issuer: None,
                alternatives: Vec::new(),
                fingerprint: None,
                verified: Vec::new(),
                own: false,
                trouble: None,
            });
            let claimed = claims(&facts, catalog);
            prop_assert!(claimed.conflict.is_none() || claimed.mac.is_none());
        }
    }

    #[test]
    fn no_certificate_makes_a_panic(der in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(dialtone::pki::read(&der).trouble.is_some());
    }
}
