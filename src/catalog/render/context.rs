//! What a template sees: the inputs, less what the grant withholds.

use std::collections::BTreeMap;

use minijinja::value::Value;

use super::shape::{Hole, KeyText, LineText, UnitText};
use super::skeleton::Fill;

use crate::catalog::inputs::{AccountLine, Filled, FunctionKey, Inputs};
use crate::catalog::manifest::{ArtefactKind, Family};
use crate::catalog::pattern::Found;
use crate::catalog::vocabulary::Vocabulary;
use crate::model::access::Grant;
use crate::model::profile;
use crate::model::secret::Secret;

type Names = BTreeMap<&'static str, Value>;

/// The context of one rendering. `grant` is what holds here: at most the inputs' own.
pub(super) fn build(
    family: &Family,
    vocabulary: &Vocabulary,
    inputs: &Inputs<'_>,
    grant: Grant,
    fill: &mut Fill<'_>,
) -> Value {
    let mut root: BTreeMap<&str, Value> = BTreeMap::new();
    for (name, variable) in &vocabulary.0 {
        if !grant.allows(variable.class) {
            continue;
        }
        let value = match (inputs.values.get(name), &variable.default) {
            (Some(Filled::Secret(secret)), _) => {
                Some(fill.secret(|| Hole::Value(name.clone()), secret))
            }
            (Some(Filled::Plain(profile::Value::Text(text))), _) => {
                let hole = || Hole::Value(name.clone());
                Some(fill.text(|spared| spared.value(name), hole, text))
            }
            (Some(Filled::Plain(value)), _) => of(value),
            (None, default) => default.as_ref().and_then(of),
        };
        if let Some(value) = value {
            root.insert(name, value);
        }
    }
    root.insert("unit", Value::from(unit(family, inputs, fill)));
    root.insert(
        "grant",
        Value::from(Names::from([
            ("site", Value::from(grant.site)),
            ("credential", Value::from(grant.credential)),
            ("key", Value::from(grant.key)),
        ])),
    );
    let mut url = Names::new();
    put(&mut url, "https", inputs.urls.https.as_deref());
    put(&mut url, "http", inputs.urls.http.as_deref());
    let mut report = Names::new();
    if grant.credential {
        if let Some(token) = &inputs.urls.token {
            url.insert("token", fill.secret(|| Hole::Token, token));
        }
        if let Some(secret) = &inputs.urls.report {
            report.insert("base", fill.secret(|| Hole::Report, secret));
            let base = fill.secret_text(Hole::Report, secret);
            for (name, pattern) in [
                ("registered", &family.report.registered),
                ("failed", &family.report.failed),
            ] {
                let told = pattern.as_ref().map(|text| text.replace("{report}", &base));
                put(&mut report, name, told.as_deref());
            }
        }
        let lines = inputs.lines.iter().enumerate();
        root.insert(
            "lines",
            lines.map(|(at, one)| line(at, one, fill)).collect(),
        );
        let keys = inputs.keys.iter().enumerate();
        root.insert("keys", keys.map(|(at, one)| key(at, one, fill)).collect());
    }
    let mut ca = Names::new();
    if !inputs.ca_pem.is_empty() {
        ca.insert("pem", Value::from(inputs.ca_pem));
        put(&mut ca, "url", ca_url(family, inputs).as_deref());
    }
    root.insert("url", Value::from(url));
    root.insert("report", Value::from(report));
    root.insert("ca", Value::from(ca));
    root.insert("release", Value::from(inputs.release));
    if let Some(version) = &inputs.version {
        root.insert("version", fill.secret(|| Hole::Version, version));
    }
    Value::from(root)
}

fn put(names: &mut Names, name: &'static str, text: Option<&str>) {
    if let Some(text) = text {
        names.insert(name, Value::from(text));
    }
}

fn unit(family: &Family, inputs: &Inputs<'_>, fill: &mut Fill<'_>) -> Names {
    let mut unit = Names::new();
    for text in UnitText::ALL {
        if let Some(held) = text.of(&inputs.unit) {
            let value = fill.text(|spared| spared.unit(text), || Hole::Unit(text), &held);
            unit.insert(text.name(), value);
        }
    }
    put(&mut unit, "model", inputs.unit.model);
    // How much fits: what a family keeps has to be taken away by name.
    let model = inputs.unit.model.unwrap_or_default();
    for (name, most) in [
        ("lines", family.capacity.lines.of(model)),
        ("keys", family.capacity.keys.of(model)),
    ] {
        if let Some(most) = most {
            unit.insert(name, Value::from(*most));
        }
    }
    unit
}

/// Where the family fetches our CA by plain HTTP.
pub(super) fn ca_url(family: &Family, inputs: &Inputs<'_>) -> Option<String> {
    let base = inputs.urls.http.as_ref()?;
    let known = Found {
        mac: inputs.unit.mac,
        serial: inputs.unit.serial.map(|serial| serial.as_str().to_owned()),
        model: inputs.unit.model.map(str::to_owned),
        ..Found::default()
    };
    let own = |kind: ArtefactKind| kind == ArtefactKind::Ca;
    let artefact = family
        .artefacts
        .iter()
        .find(|artefact| own(artefact.kind))?;
    let path = artefact.paths.iter().find_map(|path| path.format(&known))?;
    Some(format!("{base}{path}"))
}

fn line(at: usize, line: &AccountLine, fill: &mut Fill<'_>) -> Value {
    let mut names = Names::from([
        ("n", Value::from(line.n)),
        ("enabled", Value::from(line.enabled)),
        ("srtp", Value::from(line.srtp)),
        ("shared", Value::from(line.shared)),
    ]);
    for text in LineText::ALL {
        let hole = || Hole::Line(at, text);
        let value = match (text, &line.password) {
            (LineText::Password, password) => {
                let password = password.as_ref();
                password.map(|secret| fill.secret(hole, secret))
            }
            (text, _) => {
                let held = text.of(line);
                held.map(|held| fill.text(|spared| spared.line(text), hole, held))
            }
        };
        names.extend(value.map(|value| (text.name(), value)));
    }
    for (name, number) in [("port", line.port), ("handset", line.handset)] {
        if let Some(number) = number {
            names.insert(name, Value::from(number));
        }
    }
    Value::from(names)
}

fn key(at: usize, key: &FunctionKey, fill: &mut Fill<'_>) -> Value {
    let mut names = Names::from([("n", Value::from(key.n)), ("line", Value::from(key.line))]);
    for text in KeyText::ALL {
        let hole = || Hole::Key(at, text);
        let value = fill.text(|spared| spared.key(text), hole, text.of(key));
        names.insert(text.name(), value);
    }
    Value::from(names)
}

/// A value as templates have it; a secret that nobody opened is not defined.
fn of(value: &profile::Value) -> Option<Value> {
    Some(match value {
        profile::Value::Bool(yes) => Value::from(*yes),
        profile::Value::Int(number) => Value::from(*number),
        profile::Value::Text(text) => Value::from(text.as_str()),
        profile::Value::List(items) => items.iter().filter_map(of).collect(),
        profile::Value::Table(items) => {
            let items = items.iter();
            let items = items.filter_map(|(key, item)| Some((key.clone(), of(item)?)));
            Value::from(items.collect::<BTreeMap<String, Value>>())
        }
        profile::Value::Secret => return None,
    })
}

/// The name of the first text that `is` is true for: to tell which value a format cannot carry.
pub(super) fn name_of(inputs: &Inputs<'_>, mut is: impl FnMut(&str) -> bool) -> Option<String> {
    let lines = inputs.lines.iter();
    for line in lines {
        for text in LineText::ALL {
            if text.of(line).is_some_and(&mut is) {
                return Some(format!("lines[{}].{}", line.n, text.name()));
            }
        }
    }
    for key in inputs.keys {
        for text in KeyText::ALL {
            if is(text.of(key)) {
                return Some(format!("keys[{} {}].{}", key.page, key.n, text.name()));
            }
        }
    }
    for (name, filled) in inputs.values {
        let found = match filled {
            Filled::Secret(secret) => is(secret.expose()),
            Filled::Plain(value) => holds(value, &mut is),
        };
        if found {
            return Some(name.clone());
        }
    }
    let urls = &inputs.urls;
    let others = [
        (
            "unit.serial",
            inputs.unit.serial.map(|serial| serial.as_str()),
        ),
        ("unit.model", inputs.unit.model),
        ("url.https", urls.https.as_deref()),
        ("url.http", urls.http.as_deref()),
        ("url.token", urls.token.as_ref().map(Secret::expose)),
        ("report", urls.report.as_ref().map(Secret::expose)),
        ("ca.pem", Some(inputs.ca_pem)),
    ];
    let mut others = others.into_iter();
    others
        .find(|(_, text)| text.is_some_and(&mut is))
        .map(|(name, _)| name.to_owned())
}

fn holds(value: &profile::Value, is: &mut impl FnMut(&str) -> bool) -> bool {
    match value {
        profile::Value::Text(text) => is(text),
        profile::Value::List(items) => items.iter().any(|item| holds(item, is)),
        profile::Value::Table(items) => items.values().any(|item| holds(item, is)),
        profile::Value::Bool(_) | profile::Value::Int(_) | profile::Value::Secret => false,
    }
}
