//! A rendered file with holes where its secrets go, and the other texts of its unit: what may be kept
//! between requests, because no secret is in it (design.md section 3), and shared by all units whose
//! files have its shape.
//!
//! It is rendered with a [`Slot`] in place of each such text, where the templates do nothing with it but
//! write it ([`super::flow`]): whatever else they do depends on its characters. Whoever keeps skeletons
//! compares the first one of each kind with the file itself besides.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value};
use zeroize::Zeroizing;

use super::shape::{self, Hole, Spared};
use super::{MOST, escape};
use crate::catalog::manifest::Format;
use crate::model::secret::Secret;

/// Around the number of a slot, in characters that no one types (Unicode's private plane 15).
const OPEN: char = '\u{f0000}';
const CLOSE: char = '\u{f0001}';

/// A rendered file without the texts of its unit.
#[derive(Debug)]
pub struct Skeleton {
    format: Format,
    text: String,
    /// What goes into the holes, each once.
    wanted: Vec<Hole>,
    /// Where each hole is, as an offset into `text` in rising order, and which of `wanted` goes there.
    holes: Vec<(usize, usize)>,
}

impl Skeleton {
    /// One without holes.
    #[cfg(test)]
    pub(crate) fn plain(text: String) -> Self {
        Self {
            format: Format::Text,
            text,
            wanted: Vec::new(),
            holes: Vec::new(),
        }
    }

    /// Memory that it takes, in octets.
    pub fn size(&self) -> usize {
        let wanted = self.wanted.len() * (size_of::<Hole>() + 16);
        self.text.len() + wanted + self.holes.len() * size_of::<(usize, usize)>()
    }

    /// What it needs to be filled.
    pub fn wanted(&self) -> &[Hole] {
        &self.wanted
    }

    /// The file with these texts, one for each that is wanted, in order. `None` where one of them cannot
    /// be written as it is: then the file has to be rendered.
    pub(crate) fn fill<T: AsRef<str>>(&self, texts: &[T]) -> Option<Zeroizing<Vec<u8>>> {
        // An empty text is none to a template: `{% if %}` would have gone the other way.
        let empty = |text: &T| text.as_ref().is_empty();
        if texts.len() != self.wanted.len() || texts.iter().any(empty) {
            return None;
        }
        let room = self.holes.iter().filter_map(|(_, at)| texts.get(*at));
        let room: usize = room.map(|text| text.as_ref().len()).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(self.text.len() + 2 * room));
        let mut from = 0;
        let mut piece = Zeroizing::new(String::new());
        for (to, wanted) in &self.holes {
            out.extend_from_slice(self.text.get(from..*to)?.as_bytes());
            from = *to;
            let text = texts.get(*wanted)?.as_ref();
            if escape::is_plain_inside(self.format, text) {
                out.extend_from_slice(text.as_bytes());
            } else {
                piece.clear();
                escape::inside(self.format, text, &mut piece).ok()?;
                out.extend_from_slice(piece.as_bytes());
            }
        }
        out.extend_from_slice(self.text.get(from..)?.as_bytes());
        (out.len() <= MOST).then_some(out)
    }

    /// Takes the marks of slots out of a file that was rendered with them.
    pub(super) fn read(format: Format, rendered: &[u8], slots: &Slots) -> Option<Self> {
        let rendered = std::str::from_utf8(rendered).ok()?;
        let mut text = String::with_capacity(rendered.len());
        let mut holes = Vec::new();
        // By the number of the slot: where it is in `wanted`.
        let mut places = vec![None; slots.0.len()];
        let mut wanted: Vec<Hole> = Vec::new();
        let mut rest = rendered;
        while let Some((before, behind)) = rest.split_once(OPEN) {
            let (number, after) = behind.split_once(CLOSE)?;
            let number: usize = number.parse().ok()?;
            let place = places.get_mut(number)?;
            let at = *place.get_or_insert_with(|| {
                wanted.extend(slots.0.get(number).cloned());
                wanted.len().saturating_sub(1)
            });
            text.push_str(before);
            holes.push((text.len(), at));
            rest = after;
        }
        text.push_str(rest);
        text.shrink_to_fit();
        Some(Self {
            format,
            text,
            wanted,
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
    // The first octet of both, which few texts hold.
    text.as_bytes().contains(&0xf3) && text.contains([OPEN, CLOSE])
}

/// The holes of one rendering, by the number of their slot.
#[derive(Debug, Default)]
pub(super) struct Slots(Vec<Hole>);

impl Slots {
    fn slot(&mut self, hole: Hole) -> Slot {
        let number = self.0.len();
        self.0.push(hole);
        Slot(number)
    }
}

/// Stands for a text in a template.
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

/// What goes into a template: texts as they are, or a slot for each that is spared.
pub(super) enum Fill<'a> {
    Shown,
    Slots(&'a mut Slots, &'a Spared),
}

impl Fill<'_> {
    /// A secret, which is a slot wherever there are slots.
    pub(super) fn secret(&mut self, hole: impl FnOnce() -> Hole, secret: &Secret) -> Value {
        match self {
            Self::Shown => Value::from(secret.expose()),
            Self::Slots(slots, _) => Value::from_object(slots.slot(hole())),
        }
    }

    /// A secret as text, for texts that hold it.
    pub(super) fn secret_text(&mut self, hole: Hole, secret: &Secret) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Shown => secret.expose().to_owned(),
            Self::Slots(slots, _) => slots.slot(hole).to_string(),
        })
    }

    /// Another text, which is a slot where the templates spare it.
    pub(super) fn text(
        &mut self,
        spares: impl FnOnce(&Spared) -> bool,
        hole: impl FnOnce() -> Hole,
        text: &str,
    ) -> Value {
        match self {
            Self::Slots(slots, spared) if spares(spared) && shape::is_hole(text) => {
                Value::from_object(slots.slot(hole()))
            }
            Self::Shown | Self::Slots(..) => Value::from(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skeleton(format: Format, text: &str) -> Skeleton {
        let mut slots = Slots::default();
        let mark = slots.slot(Hole::Token).to_string();
        let rendered = text.replace('@', &mark);
        Skeleton::read(format, rendered.as_bytes(), &slots).expect("marks")
    }

    #[test]
    fn secrets_are_written_as_the_format_wants_them() {
        fn check(format: Format, text: &str, secret: &str, expect: Option<&str>) {
            let skeleton = skeleton(format, text);
            assert!(!has_marks(&skeleton.text), "{text}");
            assert_eq!(skeleton.wanted(), [Hole::Token]);
            let filled = skeleton.fill(&[secret]);
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
        let slots = Slots(vec![Hole::Token]);
        for bad in ["a \u{f0000}", "\u{f0000}x\u{f0001}", "\u{f0000}7\u{f0001}"] {
            assert!(Skeleton::read(Format::Ini, bad.as_bytes(), &slots).is_none());
        }
    }
}
