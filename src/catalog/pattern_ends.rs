//! What every text that a pattern matches begins with, ends with and holds. Most texts of strangers and
//! of other vendors' units are refused by these, which cost nothing beside the expression; and where a
//! pattern is one hole between two texts, they often are all that it says.

use std::collections::BTreeMap;

use super::{Ground, Hole, Part};
use crate::catalog::manifest::fold;

/// Letters of ASCII alone have no case here.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    head: String,
    tail: String,
    /// The longest text that it cannot be without between its ends.
    inner: String,
    /// The one hole between the ends, where there is nothing else.
    alone: Alone,
    /// The head is all.
    whole: bool,
}

/// What is known of a hole that is alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Alone {
    Mac,
    /// A model that must be listed.
    Model,
    Table,
    #[default]
    Other,
}

/// What the ends say of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// It does not match.
    No,
    /// It matches, and this is in the pattern's one hole, if there is any.
    Held(&'a str),
    /// The expression knows.
    Open,
}

impl Ends {
    pub(super) fn of(parts: &[Part], ground: Ground, nocase: bool) -> Self {
        let literal = |part: Option<&Part>| match part {
            Some(Part::Literal(text)) => text.clone(),
            Some(Part::Hole(_) | Part::Optional(_)) | None => String::new(),
        };
        let head = literal(parts.first());
        // One literal alone is the head.
        let tail = literal(parts.get(1..).and_then(<[Part]>::last));
        let between = parts
            .get(usize::from(!head.is_empty())..)
            .unwrap_or_default();
        let middle = between.len() - usize::from(!tail.is_empty());
        let inner = between.iter().take(middle);
        let inner = inner.map(|part| literal(Some(part)));
        let inner = inner.filter(|text| text.is_ascii());
        let inner = inner.max_by_key(String::len).unwrap_or_default();
        let alone = match between {
            [Part::Hole(hole)] | [Part::Hole(hole), Part::Literal(_)] if !nocase => {
                Alone::of(hole, ground)
            }
            _ => Alone::Other,
        };
        Self {
            whole: matches!(parts, [Part::Literal(_)]),
            head,
            tail,
            inner,
            alone,
        }
    }

    /// The last octet of every text that the pattern matches, if it is always the same one.
    pub(super) fn last(&self) -> Option<u8> {
        let end = if self.whole { &self.head } else { &self.tail };
        end.bytes().next_back()
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<u8> {
        self.head.bytes().next()
    }

    /// `models` by folded spelling, `tables` by name.
    pub(super) fn say<'a>(
        &self,
        text: &'a str,
        nocase: bool,
        groups: &[Hole],
        models: &BTreeMap<String, String>,
        tables: &BTreeMap<String, BTreeMap<String, Vec<String>>>,
    ) -> Said<'a> {
        let (head, tail, octets) = (self.head.as_bytes(), self.tail.as_bytes(), text.as_bytes());
        let same =
            |said: &[u8], own: &[u8]| said == own || nocase && said.eq_ignore_ascii_case(own);
        let ends = |said: Option<&[u8]>, own: &[u8]| said.is_some_and(|said| same(said, own));
        let fits = octets.len() >= head.len() + tail.len()
            && ends(octets.get(..head.len()), head)
            && ends(octets.get(octets.len() - tail.len()..), tail);
        if !fits {
            return Said::No;
        }
        let Some(held) = text.get(head.len()..octets.len() - tail.len()) else {
            return Said::Open;
        };
        let inner = self.inner.as_bytes();
        // Beyond ASCII letters may have a case that is another letter's.
        if !inner.is_empty()
            && (!nocase || text.is_ascii())
            && !held
                .as_bytes()
                .windows(inner.len())
                .any(|said| same(said, inner))
        {
            return Said::No;
        }
        let known = match self.alone {
            Alone::Other if self.whole => held.is_empty(),
            Alone::Mac => is_mac(held),
            Alone::Model if held.is_ascii() && !models.contains_key(&fold(held)) => false,
            Alone::Table => groups.first().is_some_and(|hole| {
                let table = tables.get(table_of(&hole.name));
                table.is_some_and(|table| table.contains_key(held))
            }),
            Alone::Model | Alone::Other => return Said::Open,
        };
        if known { Said::Held(held) } else { Said::No }
    }
}

impl Alone {
    fn of(hole: &Hole, ground: Ground) -> Self {
        match (hole.name.as_str(), ground) {
            ("mac", _) => Self::Mac,
            ("model", Ground::Path) => Self::Model,
            (name, _) if name.starts_with("model@") => Self::Table,
            _ => Self::Other,
        }
    }
}

/// The table that a hole's name stands for.
pub(super) fn table_of(name: &str) -> &str {
    name.strip_prefix("model@").unwrap_or(name)
}

/// Whether a text is an address in one of the forms that a hole takes.
fn is_mac(text: &str) -> bool {
    let octets = text.as_bytes();
    let (size, separators): (usize, &[u8]) = match octets.len() {
        12 => (12, &[]),
        14 => (4, b".-"),
        17 => (2, b":-._"),
        _ => return false,
    };
    let separator = octets.get(size);
    separator.is_none_or(|first| separators.contains(first))
        && octets.iter().enumerate().all(|(at, octet)| {
            if at % (size + 1) == size {
                Some(octet) == separator
            } else {
                octet.is_ascii_hexdigit()
            }
        })
}
