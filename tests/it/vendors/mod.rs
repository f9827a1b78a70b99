//! The manifests and templates of each vendor against files that were written for a device of the
//! test's own: what it gets at each grant, byte for byte, and that nothing below its class holds one
//! of its secrets. Every folder with a `device.toml` is a case: a new vendor needs no Rust here.
//! `UPDATE_GOLDEN=1` rewrites the files; `DIALTONE_VENDOR=name` checks one vendor alone.

mod arista;
mod cisco;
mod conduct;
mod dhcp;
mod kept;
mod mutation;
mod requests;
mod scripts;
mod yealink;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use dialtone::catalog::inputs::{AccountLine, Filled, FunctionKey, Inputs, Unit, Urls};
use dialtone::catalog::manifest::{Artefact, ArtefactScope, Family};
use dialtone::catalog::pattern::Found;
use dialtone::catalog::revision::{RenderError, Which};
use dialtone::catalog::vocabulary::{Kind, Vocabulary};
use dialtone::catalog::{Catalog, Files, Revision, load};
use dialtone::model::access::{Class, Grant};
use dialtone::model::identity::{Mac, Serial};
use dialtone::model::profile::Value;
use dialtone::model::secret::Secret;
use serde::Deserialize;

pub(crate) const FIXTURES: &str = "tests/fixtures/vendors";

/// Our folders, read once.
pub(crate) fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| load::read_folders(&[PathBuf::from("profiles")]).expect("profiles/"))
}

pub(crate) fn catalog() -> &'static Arc<Catalog> {
    static CATALOG: OnceLock<Arc<Catalog>> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let (catalog, problems) = Catalog::from_files(files());
        catalog.unwrap_or_else(|| panic!("{problems:#?}"))
    })
}

/// `device.toml`: the test's own device, with everything that a rendering may need.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    vendor: String,
    family: String,
    #[serde(default)]
    unit: WrittenUnit,
    #[serde(default)]
    urls: BTreeMap<String, String>,
    #[serde(default)]
    variables: BTreeMap<String, toml::Value>,
    #[serde(default)]
    lines: Vec<WrittenLine>,
    #[serde(default)]
    keys: Vec<WrittenKey>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUnit {
    mac: Option<String>,
    serial: Option<String>,
    model: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLine {
    n: u16,
    #[serde(default = "yes")]
    enabled: bool,
    user: String,
    auth: Option<String>,
    password: Option<String>,
    display: Option<String>,
    label: Option<String>,
    server: Option<String>,
    backup: Option<String>,
    outbound_proxy: Option<String>,
    transport: Option<String>,
    #[serde(default)]
    srtp: bool,
    #[serde(default)]
    shared: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    page: String,
    n: u16,
    kind: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    label: String,
    line: u16,
}

/// A case of a vendor: its device, and where its files are.
pub(crate) struct Case {
    folder: PathBuf,
    pub(crate) revision: Arc<Revision>,
    written: Written,
    mac: Option<Mac>,
    serial: Option<Serial>,
    values: BTreeMap<String, Filled>,
    lines: Vec<AccountLine>,
    keys: Vec<FunctionKey>,
    ca: String,
}

impl Case {
    /// A case with our own folders.
    pub(crate) fn new(vendor: &str, case: &str) -> Self {
        Self::with(catalog(), vendor, case)
    }

    pub(crate) fn with(catalog: &Catalog, vendor: &str, case: &str) -> Self {
        let folder = Path::new(FIXTURES).join(vendor).join(case);
        let text = fs::read_to_string(folder.join("device.toml")).expect("device.toml");
        let written: Written = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
        let bundle = catalog.draft(&written.vendor, &written.family, "default");
        let revision = Revision::open(&bundle.expect("a draft").bytes).expect("it opens");
        let secret = |text: &String| Secret::new(text.clone());
        let lines = written.lines.iter().map(|line| AccountLine {
            n: line.n,
            enabled: line.enabled,
            user: line.user.clone(),
            auth: line.auth.clone(),
            password: line.password.as_ref().map(secret),
            display: line.display.clone(),
            label: line.label.clone(),
            server: line.server.clone(),
            backup: line.backup.clone(),
            outbound_proxy: line.outbound_proxy.clone(),
            transport: line.transport.clone(),
            srtp: line.srtp,
            port: None,
            handset: None,
            shared: line.shared,
        });
        let keys = written.keys.iter().map(|key| FunctionKey {
            page: key.page.clone(),
            n: key.n,
            kind: key.kind.clone(),
            value: key.value.clone(),
            label: key.label.clone(),
            line: key.line,
        });
        Self {
            mac: written
                .unit
                .mac
                .as_ref()
                .map(|mac| Mac::parse(mac).expect("a MAC")),
            serial: written
                .unit
                .serial
                .as_ref()
                .and_then(|text| Serial::parse(text)),
            values: values(&written.variables, &revision.vocabulary),
            lines: lines.collect(),
            keys: keys.collect(),
            ca: fs::read_to_string(Path::new(FIXTURES).join("ca.pem")).expect("ca.pem"),
            folder,
            revision,
            written,
        }
    }

    pub(crate) fn family(&self) -> &Family {
        &self.revision.family
    }

    /// One file as text.
    pub(crate) fn render(
        &self,
        artefact: &str,
        which: Which,
        grant: Grant,
        release: bool,
    ) -> Result<String, RenderError> {
        let inputs = self.inputs(grant, release);
        let made = self.revision.render(artefact, which, &inputs)?;
        Ok(String::from_utf8(made.bytes.to_vec()).expect("UTF-8"))
    }

    fn inputs(&self, grant: Grant, release: bool) -> Inputs<'_> {
        let url = |name: &str| self.written.urls.get(name).cloned();
        Inputs {
            grant,
            unit: Unit {
                mac: self.mac,
                serial: self.serial.as_ref(),
                model: self.written.unit.model.as_deref(),
            },
            urls: Urls {
                https: url("https"),
                http: url("http"),
                token: url("token").map(Secret::new),
                report: url("report").map(Secret::new),
            },
            ca_pem: &self.ca,
            values: &self.values,
            lines: &self.lines,
            keys: &self.keys,
            release,
            version: Some(Secret::new("10001".to_owned())),
        }
    }

    /// The name that the unit asks an artefact by; none where its name says nothing of this unit.
    fn path(&self, artefact: &Artefact) -> Option<String> {
        let known = Found {
            mac: self.mac,
            serial: self
                .serial
                .as_ref()
                .map(|serial| serial.as_str().to_owned()),
            model: self.written.unit.model.clone(),
            ..Found::default()
        };
        artefact.paths.iter().find_map(|path| path.format(&known))
    }

    /// Every file that the unit could be given, by `rung/path`.
    pub(crate) fn made(&self) -> BTreeMap<String, String> {
        let mut made = BTreeMap::new();
        for artefact in &self.family().artefacts {
            let Some(path) = self.path(artefact) else {
                continue;
            };
            let mut put = |rung: &str, text: Result<String, RenderError>| {
                let text = text.unwrap_or_else(|error| panic!("{rung}/{path}: {error}"));
                made.insert(format!("{rung}/{path}"), text);
            };
            let mut lower = None;
            for (rung, grant) in Grant::ladder() {
                if artefact.bootstrap.is_some() {
                    let text = self.render(&artefact.id, Which::Bootstrap, grant, false);
                    if text.as_ref().ok() != lower.as_ref() {
                        lower = text.clone().ok();
                        put(&format!("bootstrap/{rung}"), text);
                    }
                }
            }
            if artefact.template.is_none() {
                continue;
            }
            let mut lower = None;
            for (rung, grant) in Grant::ladder() {
                if !grant.allows(artefact.useful_from) {
                    continue;
                }
                let text = self.render(&artefact.id, Which::Normal, grant, false);
                // What a higher grant does not change is written once.
                if text.as_ref().ok() != lower.as_ref() {
                    lower = text.clone().ok();
                    put(rung, text);
                }
            }
            if artefact.useful_from >= Class::Credential {
                let text = self.render(&artefact.id, Which::Normal, Grant::ALL, true);
                if text.as_ref().ok() != lower.as_ref() {
                    put("release", text);
                }
            }
        }
        made
    }

    /// Secrets of this device by the class that they have.
    fn canaries(&self) -> Vec<(Class, String)> {
        let mut found = Vec::new();
        for name in ["token", "report"] {
            found.extend(
                self.written
                    .urls
                    .get(name)
                    .map(|url| (Class::Credential, url.clone())),
            );
        }
        let passwords = self
            .written
            .lines
            .iter()
            .filter_map(|line| line.password.clone());
        found.extend(passwords.map(|password| (Class::Credential, password)));
        for (name, value) in &self.written.variables {
            let class = self.revision.vocabulary.0[name].class;
            // A short text stands in many words.
            if let Some(text) = value.as_str().filter(|text| text.len() > 5)
                && class > Class::Public
            {
                found.push((class, text.to_owned()));
            }
        }
        found
    }

    /// Compares every file with its golden one, and looks for secrets where they may not be.
    pub(crate) fn check(&self) {
        let made = self.made();
        let rungs = [
            "bootstrap",
            "public",
            "site",
            "credential",
            "key",
            "release",
        ];
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            for rung in rungs {
                drop(fs::remove_dir_all(self.folder.join(rung)));
            }
            for (path, text) in &made {
                let path = self.folder.join(path);
                fs::create_dir_all(path.parent().expect("a folder")).expect("room");
                fs::write(&path, text).expect("room");
            }
        }
        let different = self.differences(&made, &rungs);
        assert!(different.is_empty(), "{}", different.join("\n"));
        self.check_canaries();
    }

    pub(crate) fn differences(
        &self,
        made: &BTreeMap<String, String>,
        rungs: &[&str],
    ) -> Vec<String> {
        let mut golden = BTreeSet::new();
        for rung in rungs {
            walk(&self.folder, &self.folder.join(rung), &mut golden);
        }
        let mut different = Vec::new();
        for path in golden.iter().filter(|path| !made.contains_key(*path)) {
            different.push(format!("{path} is not made"));
        }
        for (path, text) in made {
            let held = fs::read_to_string(self.folder.join(path)).unwrap_or_default();
            if held != *text {
                let shown = self.folder.join(path);
                different.push(format!(
                    "{}: {}",
                    shown.display(),
                    first_difference(&held, text)
                ));
            }
        }
        different
    }

    /// Rendered at every grant, also where the file would not be given.
    fn check_canaries(&self) {
        let canaries = self.canaries();
        for artefact in &self.family().artefacts {
            for (rung, grant) in Grant::ladder() {
                for (which, there) in [
                    (Which::Normal, artefact.template.is_some()),
                    (Which::Bootstrap, artefact.bootstrap.is_some()),
                ] {
                    if !there {
                        continue;
                    }
                    let text = self.render(&artefact.id, which, grant, false);
                    let text =
                        text.unwrap_or_else(|error| panic!("{} {rung}: {error}", artefact.id));
                    let allowed = match artefact.scope {
                        ArtefactScope::Family => Grant {
                            site: grant.site,
                            ..Grant::PUBLIC
                        },
                        ArtefactScope::Unit => grant,
                    };
                    for (class, secret) in &canaries {
                        let id = &artefact.id;
                        let fits = allowed.allows(*class) || !text.contains(secret);
                        assert!(fits, "{id} at {rung} holds a {}", class.as_str());
                    }
                }
            }
        }
    }
}

fn values(
    written: &BTreeMap<String, toml::Value>,
    vocabulary: &Vocabulary,
) -> BTreeMap<String, Filled> {
    let mut values = BTreeMap::new();
    for (name, value) in written {
        let variable = vocabulary.0.get(name);
        let variable = variable.unwrap_or_else(|| panic!("{name} is not in the vocabulary"));
        let filled = match (variable.kind, value) {
            (Kind::Secret, toml::Value::String(text)) => Filled::Secret(Secret::new(text.clone())),
            (kind, value) => {
                let value = plain(value);
                kind.check(&value)
                    .unwrap_or_else(|why| panic!("{name}: {why}"));
                Filled::Plain(value)
            }
        };
        values.insert(name.clone(), filled);
    }
    values
}

fn plain(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::Text(text.clone()),
        toml::Value::Integer(number) => Value::Int(*number),
        toml::Value::Boolean(yes) => Value::Bool(*yes),
        toml::Value::Array(items) => Value::List(items.iter().map(plain).collect()),
        toml::Value::Table(items) => Value::Table(
            items
                .iter()
                .map(|(name, item)| (name.clone(), plain(item)))
                .collect(),
        ),
        toml::Value::Float(_) | toml::Value::Datetime(_) => panic!("{value} is no value"),
    }
}

fn walk(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(root, &path, found);
        } else {
            let inside = path.strip_prefix(root).expect("below the root");
            found.insert(inside.to_str().expect("UTF-8").to_owned());
        }
    }
}

fn first_difference(held: &str, made: &str) -> String {
    let mut pairs = held.lines().zip(made.lines()).enumerate();
    match pairs.find(|(_, (held, made))| held != made) {
        Some((at, (held, made))) => format!("line {}: `{held}` became `{made}`", at + 1),
        None => format!(
            "{} lines became {}",
            held.lines().count(),
            made.lines().count()
        ),
    }
}

/// The settings of a file, by name, each with its last value.
pub(crate) type Settings = BTreeMap<String, String>;

/// For families that keep what a file leaves out: whatever a lesser file sets, a greater one of the
/// same unit sets too, and nothing is set to nothing.
pub(crate) fn check_kept(case: &Case, read: impl Fn(&str) -> Settings) {
    for artefact in &case.family().artefacts {
        let mut lower = Settings::new();
        let id = &artefact.id;
        let mut step = |text: Result<String, RenderError>, rung: &str| {
            let settings = read(&text.unwrap_or_else(|error| panic!("{id} {rung}: {error}")));
            for (name, value) in &settings {
                assert!(!value.is_empty(), "{id} at {rung}: {name} has no value");
            }
            for name in lower.keys() {
                assert!(
                    settings.contains_key(name),
                    "{id} at {rung} leaves out {name}"
                );
            }
            lower = settings;
        };
        if artefact.bootstrap.is_some() {
            let text = case.render(id, Which::Bootstrap, Grant::PUBLIC, false);
            step(text, "bootstrap");
        }
        for (rung, grant) in Grant::ladder() {
            if artefact.template.is_some() && grant.allows(artefact.useful_from) {
                step(case.render(id, Which::Normal, grant, false), rung);
            }
        }
    }
}

/// The vendors to check: all that we ship, or the one that was named.
pub(crate) fn vendors() -> Vec<String> {
    let named = std::env::var("DIALTONE_VENDOR").ok();
    let all = catalog().vendors.keys();
    let wanted = all.filter(|vendor| named.as_ref().is_none_or(|named| named == *vendor));
    let found: Vec<String> = wanted.cloned().collect();
    assert!(!found.is_empty(), "there is no vendor {named:?}");
    found
}

/// The cases of a vendor: its folders that hold a device.
pub(crate) fn cases(vendor: &str) -> Vec<String> {
    let folder = Path::new(FIXTURES).join(vendor);
    let mut found: Vec<String> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .flatten()
        .filter(|entry| entry.path().join("device.toml").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

#[test]
fn files_are_as_written() {
    for vendor in vendors() {
        for case in cases(&vendor) {
            Case::new(&vendor, &case).check();
        }
    }
}

/// Each family that makes files has a device, and so golden files.
#[test]
fn every_family_with_files_has_a_device() {
    for vendor in vendors() {
        let cases = cases(&vendor);
        let cases: Vec<Case> = cases.iter().map(|case| Case::new(&vendor, case)).collect();
        for family in catalog().vendors[&vendor].families.values() {
            let makes = family.artefacts.iter().any(|one| one.template.is_some());
            let there = cases.iter().any(|case| case.written.family == family.id);
            assert!(!makes || there, "{vendor}/{}: no device.toml", family.id);
        }
    }
}
