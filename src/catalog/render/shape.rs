//! The shape of a file: all that its bytes depend on but the texts that its templates only write. Two
//! units whose files have one shape share a skeleton.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::flow::Used;
use super::{escape, skeleton};
use crate::catalog::inputs::{AccountLine, Filled, FunctionKey, Inputs, Unit, Urls};
use crate::catalog::vocabulary::{Kind, Vocabulary};
use crate::model::access::Grant;
use crate::model::profile::Value;
use crate::model::secret::Secret;

/// A shape, to be compared with others of the same revision, artefact and kind of template. No secret
/// is in it.
pub type Shape = Arc<[u8]>;

/// What goes into a hole. Lines and keys are told by their place in the inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hole {
    /// A variable of the vocabulary.
    Value(String),
    Line(usize, LineText),
    Key(usize, KeyText),
    Unit(UnitText),
    /// `url.token`.
    Token,
    /// `report.base`.
    Report,
    /// `version`, which is known when the rest is there.
    Version,
}

/// A text of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineText {
    Auth,
    Backup,
    Display,
    Label,
    OutboundProxy,
    Password,
    Server,
    Transport,
    User,
}

/// A text of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyText {
    Kind,
    Label,
    Page,
    Value,
}

/// A text of the unit. Its model is no hole: what fits into a family depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitText {
    Mac,
    MacColon,
    MacDash,
    MacUpper,
    MacUpperColon,
    Serial,
}

impl LineText {
    pub(super) const ALL: [Self; 9] = [
        Self::Auth,
        Self::Backup,
        Self::Display,
        Self::Label,
        Self::OutboundProxy,
        Self::Password,
        Self::Server,
        Self::Transport,
        Self::User,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Backup => "backup",
            Self::Display => "display",
            Self::Label => "label",
            Self::OutboundProxy => "outbound_proxy",
            Self::Password => "password",
            Self::Server => "server",
            Self::Transport => "transport",
            Self::User => "user",
        }
    }

    pub(super) fn of(self, line: &AccountLine) -> Option<&str> {
        match self {
            Self::Auth => line.auth.as_deref(),
            Self::Backup => line.backup.as_deref(),
            Self::Display => line.display.as_deref(),
            Self::Label => line.label.as_deref(),
            Self::OutboundProxy => line.outbound_proxy.as_deref(),
            Self::Password => line.password.as_ref().map(Secret::expose),
            Self::Server => line.server.as_deref(),
            Self::Transport => line.transport.as_deref(),
            Self::User => Some(&line.user),
        }
    }
}

impl KeyText {
    pub(super) const ALL: [Self; 4] = [Self::Kind, Self::Label, Self::Page, Self::Value];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Label => "label",
            Self::Page => "page",
            Self::Value => "value",
        }
    }

    pub(super) fn of(self, key: &FunctionKey) -> &str {
        match self {
            Self::Kind => &key.kind,
            Self::Label => &key.label,
            Self::Page => &key.page,
            Self::Value => &key.value,
        }
    }
}

impl UnitText {
    pub(super) const ALL: [Self; 6] = [
        Self::Mac,
        Self::MacColon,
        Self::MacDash,
        Self::MacUpper,
        Self::MacUpperColon,
        Self::Serial,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mac => "mac",
            Self::MacColon => "mac_colon",
            Self::MacDash => "mac_dash",
            Self::MacUpper => "mac_upper",
            Self::MacUpperColon => "mac_upper_colon",
            Self::Serial => "serial",
        }
    }

    pub(super) fn of<'a>(self, unit: &Unit<'a>) -> Option<Cow<'a, str>> {
        Some(Cow::Owned(match self {
            Self::Mac => unit.mac?.bare(),
            Self::MacColon => unit.mac?.joined(":"),
            Self::MacDash => unit.mac?.joined("-"),
            Self::MacUpper => unit.mac?.bare().to_uppercase(),
            Self::MacUpperColon => unit.mac?.joined(":").to_uppercase(),
            Self::Serial => return unit.serial.map(|serial| Cow::Borrowed(serial.as_str())),
        }))
    }
}

/// Which values of a template can be holes.
#[derive(Debug)]
pub(super) struct Spared {
    values: BTreeSet<String>,
    lines: Vec<LineText>,
    keys: Vec<KeyText>,
    unit: Vec<UnitText>,
    token: bool,
    report: bool,
    version: bool,
}

impl Spared {
    pub(super) fn new(used: &Used, vocabulary: &Vocabulary) -> Self {
        let texts = vocabulary.0.iter().filter(|(name, variable)| {
            matches!(variable.kind, Kind::Secret | Kind::Text) && used.spares(name)
        });
        let line = |text: &LineText| used.spares(&format!("lines[].{}", text.name()));
        let key = |text: &KeyText| used.spares(&format!("keys[].{}", text.name()));
        let unit = |text: &UnitText| used.spares(&format!("unit.{}", text.name()));
        let reports = ["report.base", "report.failed", "report.registered"];
        Self {
            values: texts.map(|(name, _)| name.clone()).collect(),
            lines: LineText::ALL.into_iter().filter(line).collect(),
            keys: KeyText::ALL.into_iter().filter(key).collect(),
            unit: UnitText::ALL.into_iter().filter(unit).collect(),
            token: used.spares("url.token"),
            report: reports.iter().all(|name| used.spares(name)),
            version: used.spares("version"),
        }
    }

    pub(super) fn value(&self, name: &str) -> bool {
        self.values.contains(name)
    }

    pub(super) fn line(&self, text: LineText) -> bool {
        self.lines.contains(&text)
    }

    pub(super) fn key(&self, text: KeyText) -> bool {
        self.keys.contains(&text)
    }

    pub(super) fn unit(&self, text: UnitText) -> bool {
        self.unit.contains(&text)
    }

    /// The shape of a file. `None` where a secret in it is used otherwise than a hole can be, or a text
    /// could be mistaken for a hole's mark. `ca_url` is given where the template reads it.
    pub(super) fn shape(
        &self,
        inputs: &Inputs<'_>,
        grant: Grant,
        ca_url: Option<&str>,
    ) -> Option<Shape> {
        // Every field is named: what is added to the inputs is a part of the shape.
        let Inputs {
            grant: _,
            unit,
            urls,
            ca_pem,
            values,
            lines,
            keys,
            release,
            version,
        } = inputs;
        let mut shape = Writer {
            bytes: Vec::with_capacity(2048),
            sound: true,
        };
        for yes in [grant.site, grant.credential, grant.key, *release] {
            shape.bytes.push(u8::from(yes));
        }
        self.unit_shape(unit, &mut shape);
        let Urls {
            https,
            http,
            token,
            report,
        } = urls;
        for text in [https.as_deref(), http.as_deref(), Some(*ca_pem), ca_url] {
            shape.text(false, text);
        }
        shape.secret(self.token, token.as_ref());
        shape.secret(self.report, report.as_ref());
        shape.secret(self.version, version.as_ref());
        for (name, filled) in *values {
            shape.text(false, Some(name));
            match filled {
                Filled::Secret(secret) => shape.secret(self.value(name), Some(secret)),
                Filled::Plain(Value::Text(text)) => shape.text(self.value(name), Some(text)),
                Filled::Plain(value) => shape.value(value),
            }
        }
        shape.bytes.push(END);
        for line in *lines {
            self.line_shape(line, &mut shape);
        }
        shape.bytes.push(END);
        for key in *keys {
            self.key_shape(key, &mut shape);
        }
        shape.sound.then(|| shape.bytes.into())
    }

    fn unit_shape(&self, unit: &Unit<'_>, shape: &mut Writer) {
        let Unit { mac, serial, model } = unit;
        shape.text(false, *model);
        // A MAC that is written is a hole in each of its forms.
        let macs = UnitText::ALL.into_iter();
        let mut macs = macs.filter(|text| *text != UnitText::Serial);
        let is_free = macs.all(|text| self.unit(text));
        match mac {
            Some(_) if is_free => shape.bytes.push(HOLE),
            Some(mac) => shape.text(false, Some(&mac.bare())),
            None => shape.bytes.push(ABSENT),
        }
        let serial = serial.map(|serial| serial.as_str());
        shape.text(self.unit(UnitText::Serial), serial);
    }

    fn line_shape(&self, line: &AccountLine, shape: &mut Writer) {
        let AccountLine {
            n,
            enabled,
            user: _,
            auth: _,
            password,
            display: _,
            label: _,
            server: _,
            backup: _,
            outbound_proxy: _,
            transport: _,
            srtp,
            port,
            handset,
            shared,
        } = line;
        shape.bytes.push(MORE);
        shape.bytes.extend(n.to_le_bytes());
        for yes in [*enabled, *srtp, *shared, port.is_some(), handset.is_some()] {
            shape.bytes.push(u8::from(yes));
        }
        for number in [port, handset].into_iter().flatten() {
            shape.bytes.extend(number.to_le_bytes());
        }
        for text in LineText::ALL {
            if text == LineText::Password {
                shape.secret(self.line(text), password.as_ref());
            } else {
                shape.text(self.line(text), text.of(line));
            }
        }
    }

    fn key_shape(&self, key: &FunctionKey, shape: &mut Writer) {
        let FunctionKey {
            page: _,
            n,
            kind: _,
            value: _,
            label: _,
            line,
        } = key;
        shape.bytes.push(MORE);
        shape.bytes.extend(n.to_le_bytes());
        shape.bytes.extend(line.to_le_bytes());
        for text in KeyText::ALL {
            shape.text(self.key(text), Some(text.of(key)));
        }
    }
}

const ABSENT: u8 = 0;
const HOLE: u8 = 1;
const TEXT: u8 = 2;
const BOOL: u8 = 3;
const INT: u8 = 4;
const LIST: u8 = 5;
const TABLE: u8 = 6;
const SEALED: u8 = 7;
const MORE: u8 = 8;
const END: u8 = 9;

/// A shape that is being written; texts with their length, so that no two read the same.
struct Writer {
    bytes: Vec<u8>,
    sound: bool,
}

impl Writer {
    fn text(&mut self, spared: bool, text: Option<&str>) {
        match text {
            None => self.bytes.push(ABSENT),
            Some(text) if spared && is_hole(text) => self.bytes.push(HOLE),
            Some(text) => {
                self.sound &= !skeleton::has_marks(text);
                self.bytes.push(TEXT);
                self.length(text.len());
                self.bytes.extend_from_slice(text.as_bytes());
            }
        }
    }

    fn secret(&mut self, spared: bool, secret: Option<&Secret>) {
        self.sound &= spared || secret.is_none();
        let there = secret.map_or(ABSENT, |_| HOLE);
        self.bytes.push(there);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(yes) => self.bytes.extend([BOOL, u8::from(*yes)]),
            Value::Int(number) => {
                self.bytes.push(INT);
                self.bytes.extend(number.to_le_bytes());
            }
            Value::List(items) => {
                self.bytes.push(LIST);
                self.length(items.len());
                for item in items {
                    self.value(item);
                }
            }
            Value::Table(items) => {
                self.bytes.push(TABLE);
                self.length(items.len());
                for (key, item) in items {
                    self.text(false, Some(key));
                    self.value(item);
                }
            }
            Value::Text(text) => self.text(false, Some(text)),
            Value::Secret => self.bytes.push(SEALED),
        }
    }

    fn length(&mut self, length: usize) {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.bytes.extend(length.to_le_bytes());
    }
}

/// Whether a text can be a hole where its template only writes it: it is there to a template, and a
/// format that can carry it writes it character by character.
pub(super) fn is_hole(text: &str) -> bool {
    !text.is_empty() && !escape::has_breaks(text)
}

/// The text of a hole among the inputs of a rendering.
pub(crate) fn text_of<'a>(inputs: &'a Inputs<'_>, hole: &Hole) -> Option<Cow<'a, str>> {
    let secret = |secret: &'a Option<Secret>| secret.as_ref().map(Secret::expose);
    Some(Cow::Borrowed(match hole {
        Hole::Value(name) => match inputs.values.get(name)? {
            Filled::Secret(secret) => secret.expose(),
            Filled::Plain(Value::Text(text)) => text,
            Filled::Plain(_) => return None,
        },
        Hole::Line(at, text) => text.of(inputs.lines.get(*at)?)?,
        Hole::Key(at, text) => text.of(inputs.keys.get(*at)?),
        Hole::Unit(text) => return text.of(&inputs.unit),
        Hole::Token => secret(&inputs.urls.token)?,
        Hole::Report => secret(&inputs.urls.report)?,
        Hole::Version => secret(&inputs.version)?,
    }))
}
