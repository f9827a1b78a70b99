//! What the manifests make of a request: one hint for each kind and file, the first rule that matches.

use std::collections::BTreeMap;

use super::Catalog;
use super::manifest::{CertificateRule, Condition, OptionMatch, PnpMatch, Rule, Vendor};
use super::pattern::Found;
use crate::model::certificate::{Name, PeerCertificate};
use crate::model::identity::{Channel, Mac};

/// The parts of a request that rules look at.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub channel: Channel,
    /// Decoded, without a leading `/`.
    pub path: Option<&'a str>,
    pub agent: Option<&'a str>,
    /// Lower-case names.
    pub headers: &'a [(String, String)],
    pub options: Option<&'a BTreeMap<u8, Vec<u8>>>,
    pub pnp: Option<PnpAsk<'a>>,
    pub certificate: Option<&'a PeerCertificate>,
}

/// Words of a PnP Event header.
#[derive(Clone, Copy, Debug, Default)]
pub struct PnpAsk<'a> {
    pub vendor: Option<&'a str>,
    pub model: Option<&'a str>,
    pub version: Option<&'a str>,
}

/// Which part of a request spoke. The number of `Options` is its rank: 60, 77, 124, 125, the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HintKind {
    Agent,
    Certificate,
    Headers,
    Options(u8),
    Path,
    Pnp,
}

/// What one rule says. Most requests fit several rules, so what the catalogue has is not copied.
#[derive(Clone, Debug)]
pub struct Hint<'a> {
    pub kind: HintKind,
    pub vendor: &'a str,
    pub generic: bool,
    /// Other vendors use this name too.
    pub common: bool,
    pub family: Option<&'a str>,
    pub artefact: Option<&'a str>,
    pub model: Option<String>,
    pub mac: Option<Mac>,
    pub serial: Option<String>,
    pub firmware: Option<String>,
    pub hardware: Option<String>,
    /// A certificate that many units share.
    pub shared: bool,
    /// `file:line`.
    pub at: &'a str,
}

impl Catalog {
    /// Every hint of a request, vendor by vendor.
    pub fn hints(&self, ask: &Ask<'_>) -> Vec<Hint<'_>> {
        let mut hints = Vec::new();
        let mut spoken: Vec<usize> = Vec::new();
        let mut near = self.index.near(ask).peekable();
        for (at, vendor) in self.vendors.values().enumerate() {
            while let Some(place) = near.next_if(|place| place.vendor == at) {
                if spoken.contains(&place.group) {
                    continue;
                }
                let rule = vendor.rules.get(place.rule);
                if let Some(hint) = rule.and_then(|rule| of_rule(vendor, rule, ask)) {
                    spoken.push(place.group);
                    hints.push(hint);
                }
            }
            if let Some(certificate) = ask.certificate {
                hints.extend(
                    vendor
                        .certificates
                        .iter()
                        .find_map(|rule| of_certificate(vendor, rule, certificate)),
                );
            }
        }
        hints
    }

    /// Whether a rule looks at this header; its name is in lower case.
    pub fn reads_header(&self, name: &str) -> bool {
        self.index.reads(name)
    }
}

fn of_rule<'a>(vendor: &'a Vendor, rule: &'a Rule, ask: &Ask<'_>) -> Option<Hint<'a>> {
    if !rule.channels.contains(&ask.channel) {
        return None;
    }
    let beside = match &rule.beside {
        Some(pattern) => pattern.find(ask.path?)?,
        None => Found::default(),
    };
    let mut found = match &rule.condition {
        Condition::Agent(pattern) => pattern.find(ask.agent?)?,
        Condition::Path(pattern) => {
            let path = ask.path?;
            // An artefact's name counts under any folder.
            pattern.find(path).or_else(|| {
                rule.artefact.as_ref()?;
                path.match_indices('/')
                    .find_map(|(at, _)| pattern.find(path.get(at + 1..)?))
            })?
        }
        Condition::Headers(wanted) => {
            let mut joined = Found::default();
            for (name, pattern) in wanted {
                match ask.headers.iter().find(|(key, _)| key == name) {
                    Some((_, value)) => join(&mut joined, pattern.find(value)?)?,
                    None if pattern.takes_nothing() => {}
                    None => return None,
                }
            }
            joined
        }
        Condition::Options(wanted) => {
            let options = ask.options?;
            let mut joined = Found::default();
            for (code, matcher) in wanted {
                join(&mut joined, option(matcher, options.get(code)?)?)?;
            }
            joined
        }
        Condition::Pnp(wanted) => pnp(wanted, ask.pnp?)?,
    };
    join(&mut found, beside)?;
    Some(Hint {
        kind: rule.condition.kind(),
        vendor: &vendor.id,
        generic: vendor.generic,
        common: rule.common,
        family: rule.family.as_deref(),
        artefact: rule.artefact.as_deref(),
        model: found.model.or_else(|| rule.model.clone()),
        mac: found.mac,
        serial: found.serial,
        firmware: found.firmware,
        hardware: found.hardware,
        shared: false,
        at: &rule.at,
    })
}

/// Adds what a further part found; two parts that disagree are no match.
fn join(into: &mut Found, more: Found) -> Option<()> {
    fn one<T: PartialEq>(slot: &mut Option<T>, more: Option<T>) -> Option<()> {
        match (slot.as_ref(), more) {
            (Some(have), Some(more)) if *have != more => None,
            (None, more) => {
                *slot = more;
                Some(())
            }
            (Some(_), _) => Some(()),
        }
    }
    one(&mut into.mac, more.mac)?;
    one(&mut into.serial, more.serial)?;
    one(&mut into.model, more.model)?;
    one(&mut into.firmware, more.firmware)?;
    one(&mut into.hardware, more.hardware)?;
    one(&mut into.part, more.part)
}

/// Option texts are Latin-1, trailing NULs off.
fn latin1(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    bytes
        .iter()
        .take(end)
        .map(|byte| char::from(*byte))
        .collect()
}

/// Whether an option's octets are what a rule or a reply's `when` says.
pub fn matches(matcher: &OptionMatch, bytes: &[u8]) -> bool {
    option(matcher, bytes).is_some()
}

fn option(matcher: &OptionMatch, bytes: &[u8]) -> Option<Found> {
    match matcher {
        OptionMatch::Text(pattern) => pattern.find(&latin1(bytes)),
        OptionMatch::Hex(wanted) => (wanted == bytes).then(Found::default),
        OptionMatch::EnterpriseText { enterprise, text } => {
            let inside = enterprise_of(bytes, *enterprise)?;
            text.find(&latin1(inside))
        }
        OptionMatch::Tlv { enterprise, parts } => {
            let inside = match enterprise {
                Some(number) => enterprise_of(bytes, *number)?,
                None => bytes,
            };
            let mut joined = Found::default();
            for (code, pattern) in parts {
                join(
                    &mut joined,
                    pattern.find(&latin1(sub_option(inside, *code)?))?,
                )?;
            }
            Some(joined)
        }
    }
}

/// The data after an enterprise number and its length octet; a wrong length is tolerated.
fn enterprise_of(bytes: &[u8], wanted: u32) -> Option<&[u8]> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    (u32::from_be_bytes(*number) == wanted).then_some(rest.get(1..).unwrap_or_default())
}

fn sub_option(mut bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [code, length, rest @ ..] = bytes {
        let length = usize::from(*length).min(rest.len());
        let (held, after) = rest.split_at(length);
        if *code == wanted {
            return Some(held);
        }
        bytes = after;
    }
    None
}

fn pnp(wanted: &PnpMatch, said: PnpAsk<'_>) -> Option<Found> {
    let mut joined = Found::default();
    for (pattern, text) in [
        (&wanted.vendor, said.vendor),
        (&wanted.model, said.model),
        (&wanted.version, said.version),
    ] {
        if let Some(pattern) = pattern {
            join(&mut joined, pattern.find(text?)?)?;
        }
    }
    joined.model = joined.model.or_else(|| said.model.map(str::to_owned));
    joined.firmware = joined.firmware.or_else(|| said.version.map(str::to_owned));
    Some(joined)
}

fn of_certificate<'a>(
    vendor: &'a Vendor,
    rule: &'a CertificateRule,
    shown: &PeerCertificate,
) -> Option<Hint<'a>> {
    let has = |name: &Name, attribute: &str, wanted: &str| {
        name.values(attribute).any(|value| value == wanted)
    };
    if let Some(issuer) = &shown.issuer
        && !rule
            .issuer
            .iter()
            .all(|(attribute, wanted)| has(issuer, attribute, wanted))
    {
        return None;
    }
    let mut hint = Hint {
        kind: HintKind::Certificate,
        vendor: &vendor.id,
        generic: vendor.generic,
        common: false,
        family: None,
        artefact: None,
        model: None,
        mac: None,
        serial: None,
        firmware: None,
        hardware: None,
        shared: true,
        at: &rule.at,
    };
    let shared = |names: &BTreeMap<String, String>| {
        names
            .iter()
            .all(|(attribute, wanted)| has(&shown.subject, attribute, wanted))
    };
    if rule.shared.iter().any(shared) {
        return Some(hint);
    }
    let mut joined = Found::default();
    for (attribute, pattern) in &rule.subject {
        let mut values = shown.subject.values(attribute);
        let value = values.next()?;
        // Two values of one attribute that differ name two units: no match (hostile-cases A12).
        if values.any(|other| other != value) {
            return None;
        }
        join(&mut joined, pattern.find(value)?)?;
    }
    hint.shared = false;
    hint.model = joined.model;
    hint.mac = joined.mac;
    hint.serial = joined.serial;
    Some(hint)
}

#[cfg(test)]
#[path = "hint_tests.rs"]
mod tests;
