//! A rendered file with holes where its secrets go: what may be kept between requests, because no
//! secret is in it (design.md section 3).
//!
//! It is rendered with a [`Slot`] in place of each secret, where the templates do nothing with a secret
//! but write it ([`super::reads::only_written`]): whatever else they do depends on its characters, and
//! such a file is rendered anew each time. Whoever keeps skeletons compares the first one of each kind
//! with the file itself besides.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value};
use zeroize::Zeroizing;

use super::escape;
use crate::catalog::inputs::{Filled, Inputs};
use crate::catalog::manifest::Format;
use crate::model::secret::Secret;

/// Around the number of a slot, in characters that no one types (Unicode's private plane 15).
const OPEN: char = '\u{f0000}';
const CLOSE: char = '\u{f0001}';

/// Which secret goes into a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretName {
    /// A variable of the vocabulary.
    Value(String),
    /// The password of this line.
    Line(u16),
    /// `url.token`.
    Token,
    /// `report.base`.
    Report,
    /// `version`, which is known when the rest is there.
    Version,
}

/// A rendered file without its secrets.
#[derive(Clone, Debug)]
pub struct Skeleton {
    format: Format,
    text: String,
    /// Where each hole is, as an offset into `text` in rising order, and what goes there.
    holes: Vec<(usize, SecretName)>,
}

impl Skeleton {
    /// Memory that it takes, in octets.
    pub fn size(&self) -> usize {
        let hole = size_of::<(usize, SecretName)>() + 16;
        self.text.len() + self.holes.len() * hole
    }

    /// The secrets that it needs, one for each hole.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        self.holes.iter().map(|(_, name)| name)
    }

    /// The file with these secrets, one for each hole, in order. `None` where one of them cannot be
    /// written as it is: then the file has to be rendered.
    pub(crate) fn fill(&self, secrets: &[Secret]) -> Option<Zeroizing<Vec<u8>>> {
        if secrets.len() != self.holes.len() {
            return None;
        }
        let room = secrets
            .iter()
            .map(|secret| secret.expose().len())
            .sum::<usize>();
        let mut out = Zeroizing::new(Vec::with_capacity(self.text.len() + 2 * room));
        let mut from = 0;
        let mut piece = Zeroizing::new(String::new());
        for ((at, _), secret) in self.holes.iter().zip(secrets) {
            out.extend_from_slice(self.text.get(from..*at)?.as_bytes());
            from = *at;
            piece.clear();
            // An empty secret is no secret to a template: `{% if %}` would have gone the other way.
            if secret.expose().is_empty() {
                return None;
            }
            escape::inside(self.format, secret.expose(), &mut piece).ok()?;
            out.extend_from_slice(piece.as_bytes());
        }
        out.extend_from_slice(self.text.get(from..)?.as_bytes());
        Some(out)
    }

    /// Takes the marks of slots out of a file that was rendered with them.
    pub(super) fn read(format: Format, rendered: &[u8], slots: &Slots) -> Option<Self> {
        let rendered = std::str::from_utf8(rendered).ok()?;
        let mut text = String::with_capacity(rendered.len());
        let mut holes = Vec::new();
        let mut rest = rendered;
        while let Some((before, behind)) = rest.split_once(OPEN) {
            let (number, after) = behind.split_once(CLOSE)?;
            let number: usize = number.parse().ok()?;
            text.push_str(before);
            holes.push((text.len(), slots.0.get(number)?.clone()));
            rest = after;
        }
        text.push_str(rest);
        text.shrink_to_fit();
        Some(Self {
            format,
            text,
            holes,
        })
    }
}

/// Whether files of a format can have holes: what is written of a text does not depend on the whole
/// of it, but for what [`escape::inside`] refuses.
pub(super) fn fits(format: Format) -> bool {
    match format {
        Format::Ini
        | Format::Json
        | Format::Python
        | Format::Shell
        | Format::Text
        | Format::Xml => true,
        // A word's quotes depend on all of its characters.
        Format::Ios | Format::Junos => false,
    }
}

/// Whether a file could be mistaken for one with holes.
pub(super) fn has_marks(text: &str) -> bool {
    text.contains([OPEN, CLOSE])
}

/// The secrets of one rendering, by the number of their slot.
#[derive(Debug, Default)]
pub(super) struct Slots(Vec<SecretName>);

impl Slots {
    /// A value that stands for this secret.
    pub(super) fn put(&mut self, name: SecretName) -> Value {
        Value::from_object(self.slot(name))
    }

    /// The mark of this secret as text, for texts that hold it.
    pub(super) fn mark(&mut self, name: SecretName) -> String {
        self.slot(name).to_string()
    }

    fn slot(&mut self, name: SecretName) -> Slot {
        let number = self.0.len();
        self.0.push(name);
        Slot(number)
    }
}

/// Stands for a secret in a template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot(usize);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{OPEN}{}{CLOSE}", self.0)
    }
}

impl Object for Slot {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

/// What goes into a template: secrets as they are, or a slot for each.
pub(super) enum Secrets<'a> {
    Shown,
    Slots(&'a mut Slots),
}

impl Secrets<'_> {
    pub(super) fn value(&mut self, name: impl FnOnce() -> SecretName, secret: &Secret) -> Value {
        match self {
            Self::Shown => Value::from(secret.expose()),
            Self::Slots(slots) => slots.put(name()),
        }
    }

    pub(super) fn text(&mut self, name: SecretName, secret: &Secret) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Shown => secret.expose().to_owned(),
            Self::Slots(slots) => slots.mark(name),
        })
    }
}

/// The secret of a hole among the inputs of a rendering.
pub(crate) fn of_inputs<'a>(inputs: &'a Inputs<'_>, name: &SecretName) -> Option<&'a Secret> {
    match name {
        SecretName::Value(name) => match inputs.values.get(name)? {
            Filled::Secret(secret) => Some(secret),
            Filled::Plain(_) => None,
        },
        SecretName::Line(n) => {
            let line = inputs.lines.iter().find(|line| line.n == *n)?;
            line.password.as_ref()
        }
        SecretName::Token => inputs.urls.token.as_ref(),
        SecretName::Report => inputs.urls.report.as_ref(),
        SecretName::Version => inputs.version.as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skeleton(format: Format, text: &str) -> Skeleton {
        let mut slots = Slots::default();
        let mark = slots.mark(SecretName::Token);
        let rendered = text.replace('@', &mark);
        Skeleton::read(format, rendered.as_bytes(), &slots).expect("marks")
    }

    #[test]
    fn secrets_are_written_as_the_format_wants_them() {
        fn check(format: Format, text: &str, secret: &str, expect: Option<&str>) {
            let skeleton = skeleton(format, text);
            assert!(!has_marks(&skeleton.text), "{text}");
            let secrets: Vec<Secret> = skeleton
                .secrets()
                .map(|_| Secret::new(secret.to_owned()))
                .collect();
            let filled = skeleton.fill(&secrets);
            let filled = filled.map(|bytes| String::from_utf8(bytes.to_vec()).expect("UTF-8"));
            assert_eq!(filled.as_deref(), expect, "{format:?} {secret:?}");
        }
        check(
            Format::Ini,
            "a = @\nb = x@",
            "p;1",
            Some("a = p;1\nb = xp;1"),
        );
        check(Format::Ini, "a = @", "p\nb = 2", None);
        check(Format::Ini, "a = @", "", None);
        check(Format::Xml, "<a>@</a>", "<&>", Some("<a>&lt;&amp;&gt;</a>"));
        check(
            Format::Json,
            "{\"a\": \"@\"}",
            "q\"\\",
            Some("{\"a\": \"q\\\"\\\\\"}"),
        );
        check(Format::Shell, "A='@'", "it's", Some("A='it'\\''s'"));
        check(Format::Python, "a = \"@\"", "a\nb", None);
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check(Format::Text, "@", pem, None);
    }

    #[test]
    fn a_mark_without_its_end_is_no_skeleton() {
        let slots = Slots(vec![SecretName::Token]);
        for bad in ["a \u{f0000}", "\u{f0000}x\u{f0001}", "\u{f0000}7\u{f0001}"] {
            assert!(Skeleton::read(Format::Ini, bad.as_bytes(), &slots).is_none());
        }
    }
}
