//! `sample.toml`: a unit that does not exist, with which every load renders every file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::inputs::{AccountLine, Filled, FunctionKey, Inputs, Unit, Urls};
use super::problem::line_at;
use super::site_profile::assigned;
use super::vocabulary::{Kind, Vocabulary, from_toml, text_of};
use super::{Files, Problem};
use crate::model::access::Grant;
use crate::model::identity::{Mac, Serial};
use crate::model::profile::Value;
use crate::model::secret::Secret;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    unit: RawUnit,
    #[serde(default)]
    variables: BTreeMap<String, toml::Value>,
    #[serde(default)]
    lines: Vec<Line>,
    #[serde(default)]
    keys: Vec<Key>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUnit {
    mac: Option<String>,
    serial: Option<String>,
    model: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
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
    port: Option<u16>,
    handset: Option<u16>,
    #[serde(default)]
    shared: bool,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    page: String,
    n: u16,
    kind: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    label: String,
    #[serde(default = "one")]
    line: u16,
}

fn one() -> u16 {
    1
}

/// The unit of one family.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    pub(super) mac: Option<Mac>,
    pub(super) serial: Option<Serial>,
    pub(super) model: Option<String>,
    values: BTreeMap<String, (Kind, Value)>,
    lines: Vec<Line>,
    keys: Vec<Key>,
}

/// Reads a family's sample. `None` where there is none, which is told only where it is needed.
pub(super) fn read(
    files: &Files,
    path: &str,
    vocabulary: &Vocabulary,
    problems: &mut Vec<Problem>,
) -> Option<Sample> {
    let text = text_of(files, path, problems)?;
    let raw: Raw = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            let line = error.span().map(|span| line_at(text, span.start));
            let hint = "a sample has [unit], [variables], [[lines]] and [[keys]]";
            let what = error.message().to_owned();
            problems.push(Problem::error(path, line, what, hint));
            return None;
        }
    };
    let mut wrong = |name: &str, what: String, hint: &str| {
        problems.push(Problem::error(path, assigned(text, name), what, hint));
    };
    let mut sample = Sample {
        model: raw.unit.model,
        lines: raw.lines,
        keys: raw.keys,
        ..Sample::default()
    };
    if let Some(mac) = raw.unit.mac {
        match Mac::parse(&mac) {
            Ok(mac) => sample.mac = Some(mac),
            Err(error) => wrong("mac", format!("mac: {error}"), "12 hex digits"),
        }
    }
    if let Some(serial) = raw.unit.serial {
        sample.serial = Serial::parse(&serial);
        if sample.serial.is_none() {
            let what = "serial: it is no serial".to_owned();
            wrong("serial", what, "visible ASCII without blanks");
        }
    }
    for (name, value) in &raw.variables {
        let read = from_toml(value).and_then(|value| {
            vocabulary.check(name, &value)?;
            Ok(value)
        });
        match (read, vocabulary.0.get(name)) {
            (Ok(value), Some(variable)) => {
                sample.values.insert(name.clone(), (variable.kind, value));
            }
            (Ok(_), None) => {}
            (Err(what), _) => {
                let hint = "profiles/schema.toml lists the variables";
                wrong(name, format!("{name}: {what}"), hint);
            }
        }
    }
    Some(sample)
}

/// A text of a sample: where it stands, so that a proof can put another in its place.
pub(super) type Change<'a> = dyn FnMut(&str, &str) -> Option<String> + 'a;

/// What one rendering of a sample gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) grant: Grant,
    /// With token and report URL.
    pub(super) token: bool,
    pub(super) release: bool,
    /// Nothing that may be absent is there.
    pub(super) bare: bool,
    pub(super) mac: bool,
    pub(super) serial: bool,
    pub(super) model: bool,
}

/// An owned set of inputs.
pub(super) struct Filling {
    case: Case,
    mac: Option<Mac>,
    serial: Option<Serial>,
    model: Option<String>,
    values: BTreeMap<String, Filled>,
    lines: Vec<AccountLine>,
    keys: Vec<FunctionKey>,
}

const CA: &str =
    "-----BEGIN CERTIFICATE-----\nMIIBsampleSAMPLE0123456789+/==\n-----END CERTIFICATE-----\n";

impl Sample {
    /// The texts that people set, by their places.
    pub(super) fn places(&self) -> Vec<String> {
        let mut places = Vec::new();
        let case = Case::full(Grant::ALL);
        drop(self.fill(case, &mut |place, _| {
            places.push(place.to_owned());
            None
        }));
        places
    }

    /// The sample as inputs; `change` may put another text in the place of each.
    pub(super) fn fill(&self, case: Case, change: &mut Change<'_>) -> Filling {
        let mut text = |place: &str, text: &str| {
            let other = change(place, text);
            other.unwrap_or_else(|| text.to_owned())
        };
        let mut values = BTreeMap::new();
        for (name, (kind, value)) in &self.values {
            if case.bare {
                break;
            }
            let value = changed(name, value, &mut text);
            let filled = match (kind, value) {
                (Kind::Secret, Value::Text(text)) => Filled::Secret(Secret::new(text)),
                (_, value) => Filled::Plain(value),
            };
            values.insert(name.clone(), filled);
        }
        let lines = self.lines.iter().map(|line| line.fill(case, &mut text));
        let lines = lines.collect();
        let keys = self.keys.iter().filter(|_| !case.bare);
        let keys = keys.map(|key| FunctionKey {
            page: key.page.clone(),
            n: key.n,
            kind: key.kind.clone(),
            value: text(&format!("keys {} {} value", key.page, key.n), &key.value),
            label: text(&format!("keys {} {} label", key.page, key.n), &key.label),
            line: key.line,
        });
        Filling {
            case,
            mac: self.mac.filter(|_| case.mac),
            serial: self.serial.clone().filter(|_| case.serial),
            model: self.model.clone().filter(|_| case.model),
            values,
            lines,
            keys: keys.collect(),
        }
    }
}

/// A value with its texts changed.
fn changed(place: &str, value: &Value, text: &mut dyn FnMut(&str, &str) -> String) -> Value {
    match value {
        Value::Text(held) => Value::Text(text(place, held)),
        Value::List(items) => {
            let items = items.iter().enumerate();
            let items = items.map(|(at, item)| changed(&format!("{place} {at}"), item, text));
            Value::List(items.collect())
        }
        Value::Table(items) => {
            let items = items.iter();
            let items = items.map(|(name, item)| {
                let item = changed(&format!("{place} {name}"), item, text);
                (name.clone(), item)
            });
            Value::Table(items.collect())
        }
        Value::Bool(_) | Value::Int(_) | Value::Secret => value.clone(),
    }
}

impl Line {
    fn fill(&self, case: Case, text: &mut dyn FnMut(&str, &str) -> String) -> AccountLine {
        let mut part = |name: &str, held: &Option<String>| {
            let held = held.as_ref().filter(|_| !case.bare)?;
            Some(text(&format!("lines {} {name}", self.n), held))
        };
        let auth = part("auth", &self.auth);
        let password = part("password", &self.password);
        let display = part("display", &self.display);
        let label = part("label", &self.label);
        let server = part("server", &self.server);
        let backup = part("backup", &self.backup);
        let outbound_proxy = part("outbound_proxy", &self.outbound_proxy);
        AccountLine {
            n: self.n,
            enabled: self.enabled,
            user: text(&format!("lines {} user", self.n), &self.user),
            auth,
            password: password.map(Secret::new),
            display,
            label,
            server,
            backup,
            outbound_proxy,
            transport: self.transport.clone().filter(|_| !case.bare),
            srtp: self.srtp,
            port: self.port.filter(|_| !case.bare),
            handset: self.handset.filter(|_| !case.bare),
            shared: self.shared,
        }
    }
}

impl Case {
    /// Everything there.
    pub(super) fn full(grant: Grant) -> Self {
        Self {
            grant,
            token: true,
            release: false,
            bare: false,
            mac: true,
            serial: true,
            model: true,
        }
    }
}

impl Filling {
    /// The inputs of one rendering.
    pub(super) fn inputs(&self) -> Inputs<'_> {
        let text = |there: bool, text: &str| there.then(|| text.to_owned());
        let secret = |there: bool, held: &str| text(there, held).map(Secret::new);
        Inputs {
            grant: self.case.grant,
            unit: Unit {
                mac: self.mac,
                serial: self.serial.as_ref(),
                model: self.model.as_deref(),
            },
            urls: Urls {
                https: text(true, "https://prov.example.net/"),
                http: text(!self.case.bare, "http://prov.example.net/"),
                token: secret(self.case.token, "https://prov.example.net/u/sampleTOKEN/"),
                report: secret(self.case.token, "https://prov.example.net/r/sampleREPORT"),
            },
            ca_pem: CA,
            values: &self.values,
            lines: &self.lines,
            keys: &self.keys,
            release: self.case.release,
            version: None,
        }
    }
}
