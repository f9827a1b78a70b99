//! Which rules a request could match, by its channel, the first or last octet of its texts and the headers
//! that it has, so that the others are not even looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::hint::{Ask, HintKind};
use super::manifest::{Condition, Rule, Vendor};
use super::pattern::Pattern;
use crate::model::identity::Channel;

/// Every rule of every vendor, as the vendors stand in the catalogue.
#[derive(Debug, Default)]
pub(super) struct Index {
    places: Vec<Place>,
    by: BTreeMap<(Channel, Key), Vec<usize>>,
    /// Names of headers that a rule looks at, each with the rules that it must be there for.
    headers: BTreeMap<String, Vec<usize>>,
}

/// Where a rule is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Position of its vendor, and its own among the vendor's.
    pub(super) vendor: usize,
    pub(super) rule: usize,
    /// The rules of which the first one that matches counts.
    pub(super) group: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// The text begins with this octet.
    Agent(u8),
    AnyAgent,
    /// Rules that need none of the headers which they look at.
    Headers,
    /// One of its options.
    Options(u8),
    /// The path ends in this octet.
    Path(u8),
    AnyPath,
    Pnp,
}

impl Index {
    pub(super) fn of(vendors: &BTreeMap<String, Arc<Vendor>>) -> Self {
        let mut index = Self::default();
        let mut groups: Vec<(usize, HintKind, Option<&str>)> = Vec::new();
        for (vendor, held) in vendors.values().enumerate() {
            for (rule, said) in held.rules.iter().enumerate() {
                // The first rule of a file that matches counts, for each kind: artefacts are rules of
                // their family's file, the others of the vendor's.
                let file = said.artefact.as_ref().and(said.family.as_deref());
                let own = (vendor, said.condition.kind(), file);
                let group = groups.iter().position(|group| *group == own);
                let group = group.unwrap_or_else(|| {
                    groups.push(own);
                    groups.len() - 1
                });
                let at = index.places.len();
                index.places.push(Place {
                    vendor,
                    rule,
                    group,
                });
                for key in keys(said) {
                    for channel in &said.channels {
                        index.by.entry((*channel, key)).or_default().push(at);
                    }
                }
                if let Condition::Headers(wanted) = &said.condition {
                    for (name, _) in wanted {
                        index.headers.entry(name.clone()).or_default();
                    }
                    let rules = needed(wanted).and_then(|name| index.headers.get_mut(name));
                    rules.into_iter().for_each(|rules| rules.push(at));
                }
            }
        }
        index
    }

    /// Rules that could match, in their order.
    pub(super) fn near(&self, ask: &Ask<'_>) -> impl Iterator<Item = Place> {
        let mut found: Vec<usize> = Vec::with_capacity(64);
        let mut all = |key: Key| {
            found.extend(self.by.get(&(ask.channel, key)).into_iter().flatten());
        };
        if let Some(agent) = ask.agent {
            agent
                .bytes()
                .next()
                .map(Key::Agent)
                .into_iter()
                .for_each(&mut all);
            all(Key::AnyAgent);
        }
        if let Some(path) = ask.path {
            path.bytes()
                .next_back()
                .map(Key::Path)
                .into_iter()
                .for_each(&mut all);
            all(Key::AnyPath);
        }
        all(Key::Headers);
        for code in ask.options.into_iter().flat_map(BTreeMap::keys) {
            all(Key::Options(*code));
        }
        if ask.pnp.is_some() {
            all(Key::Pnp);
        }
        for (name, _) in ask.headers {
            found.extend(self.headers.get(name).into_iter().flatten());
        }
        found.sort_unstable();
        found.dedup();
        found
            .into_iter()
            .filter_map(|at| self.places.get(at).copied())
    }

    /// Whether a rule looks at this header.
    pub(super) fn reads(&self, header: &str) -> bool {
        self.headers.contains_key(header)
    }
}

/// The first header without which a rule does not match.
fn needed(wanted: &[(String, Pattern)]) -> Option<&String> {
    let needed = wanted.iter().find(|(_, pattern)| !pattern.takes_nothing());
    needed.map(|(name, _)| name)
}

/// What a request has that a rule can match: one of these.
fn keys(rule: &Rule) -> Vec<Key> {
    let of = |octets: Vec<u8>, key: fn(u8) -> Key, any: Key| match octets.as_slice() {
        [] => vec![any],
        octets => octets.iter().copied().map(key).collect(),
    };
    match &rule.condition {
        Condition::Agent(pattern) => of(pattern.first(), Key::Agent, Key::AnyAgent),
        Condition::Path(pattern) => of(pattern.last(), Key::Path, Key::AnyPath),
        Condition::Headers(wanted) if needed(wanted).is_some() => Vec::new(),
        Condition::Headers(_) => vec![Key::Headers],
        // All of them must be there.
        Condition::Options(wanted) => {
            let first = wanted.first();
            first
                .map(|(code, _)| Key::Options(*code))
                .into_iter()
                .collect()
        }
        Condition::Pnp(_) => vec![Key::Pnp],
    }
}

impl Condition {
    /// The kind of its hints.
    pub(super) fn kind(&self) -> HintKind {
        match self {
            Self::Agent(_) => HintKind::Agent,
            Self::Headers(_) => HintKind::Headers,
            Self::Options(wanted) => {
                let rank = |(code, _): &(u8, _)| match code {
                    60 => 0,
                    77 => 1,
                    124 => 2,
                    125 => 3,
                    _ => 4,
                };
                HintKind::Options(wanted.iter().map(rank).min().unwrap_or(u8::MAX))
            }
            Self::Path(_) => HintKind::Path,
            Self::Pnp(_) => HintKind::Pnp,
        }
    }
}
