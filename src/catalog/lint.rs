//! What a person should look at in folders that load, and which part of the vocabulary each family has.

use std::collections::{BTreeMap, BTreeSet};

use super::hint::Ask;
use super::manifest::{Condition, Family, Reach, Rule, Vendor};
use super::parse::reply;
use super::pattern::Found;
use super::problem::line_of;
use super::site_profile::DEFAULT;
use super::{Catalog, Problem, Revision};
use crate::model::identity::Mac;

/// How a family has one item of the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covered {
    /// A file of it, or a reply, reads it.
    Mapped,
    /// The same, and no source confirms it.
    Unconfirmed,
    /// Its units have no such thing, by this source.
    Unsupported(String),
}

impl Covered {
    /// The word that is shown.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Mapped => "mapped",
            Self::Unconfirmed => "unconfirmed",
            Self::Unsupported(_) => "unsupported",
        }
    }
}

impl Catalog {
    /// Warnings, vendor by vendor.
    pub fn lint(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for vendor in self.vendors.values() {
            let file = format!("{}/vendor.toml", vendor.id);
            self.unconfirmed(&file, &vendor.unconfirmed, &mut found);
            self.rivals(vendor, &mut found);
            for family in vendor.families.values() {
                let file = format!("{}/{}/family.toml", vendor.id, family.id);
                self.unconfirmed(&file, &family.unconfirmed, &mut found);
                self.unsaid(family, &file, &mut found);
            }
        }
        found
    }

    /// Artefacts that none of these requests asks for: each is a vendor, a family and an artefact's id.
    pub fn unasked(&self, asked: &BTreeSet<(String, String, String)>) -> Vec<Problem> {
        let mut found = Vec::new();
        for family in self.vendors.values().flat_map(|of| of.families.values()) {
            let file = format!("{}/{}/family.toml", family.vendor, family.id);
            for artefact in &family.artefacts {
                let own = (
                    family.vendor.clone(),
                    family.id.clone(),
                    artefact.id.clone(),
                );
                if !asked.contains(&own) {
                    let line = self.line(&file, &format!("id = {:?}", artefact.id));
                    let what = format!("no fixture asks for the artefact {}", artefact.id);
                    let hint = "a line of requests.jsonl with its path, as a unit sends it";
                    found.push(Problem::warning(&file, line, what, hint));
                }
            }
        }
        found
    }

    /// The vocabulary as a family has it; items of which it says nothing are left out.
    pub fn coverage(&self, family: &Family) -> BTreeMap<&str, Covered> {
        let reads = self.read_by(family);
        let names = self.vocabulary.0.keys().map(String::as_str);
        let covered = names.filter_map(|name| {
            let how = if !reads.contains(name) {
                Covered::Unsupported(family.unsupported.get(name)?.clone())
            } else if family.unconfirmed.iter().any(|key| key == name) {
                Covered::Unconfirmed
            } else {
                Covered::Mapped
            };
            Some((name, how))
        });
        covered.collect()
    }

    /// What the files and replies of a family read, with the default profile.
    fn read_by(&self, family: &Family) -> BTreeSet<String> {
        let mut names = reply::variables(None, family.sip_pnp.as_deref());
        for block in &family.dhcp {
            names.extend(reply::variables(Some(block), None));
        }
        let draft = self.draft(&family.vendor, &family.id, DEFAULT);
        // What loads opens.
        let revision = draft.and_then(|draft| Revision::open(&draft.bytes).ok());
        for artefact in &family.artefacts {
            let reads = revision.as_ref().and_then(|open| open.reads(&artefact.id));
            names.extend(reads.into_iter().flatten().cloned());
        }
        names
    }

    fn line(&self, file: &str, needle: &str) -> Option<usize> {
        let text = std::str::from_utf8(self.files.0.get(file)?).ok()?;
        line_of(text, needle)
    }

    fn unconfirmed(&self, file: &str, keys: &[String], found: &mut Vec<Problem>) {
        for key in keys {
            let line = self.line(file, &format!("{key:?}"));
            let what = format!("unconfirmed: {key}");
            found.push(Problem::warning(file, line, what, "no source shows it"));
        }
    }

    /// Items of the vocabulary that a family neither has nor says that it has not.
    fn unsaid(&self, family: &Family, file: &str, found: &mut Vec<Problem>) {
        for name in family.unsupported.keys() {
            let line = self.line(file, name);
            if !self.vocabulary.0.contains_key(name) {
                let what = format!("unsupported: there is no variable {name}");
                found.push(Problem::warning(file, line, what, "schema.toml has them"));
            }
        }
        let makes = family.artefacts.iter().any(|one| one.template.is_some());
        if family.reach != Reach::Full || !makes {
            return;
        }
        let covered = self.coverage(family);
        let all = self.vocabulary.0.keys().map(String::as_str);
        let unsaid: Vec<&str> = all.filter(|name| !covered.contains_key(name)).collect();
        if !unsaid.is_empty() {
            let what = format!(
                "neither mapped nor unsupported: {} of {} variables: {}",
                unsaid.len(),
                self.vocabulary.0.len(),
                unsaid.join(" ")
            );
            let hint = "[unsupported] NAME = \"source\", where its units have no such thing";
            found.push(Problem::warning(file, None, what, hint));
        }
    }

    /// Rules that match what a whole rule of another vendor would write.
    fn rivals(&self, vendor: &Vendor, found: &mut Vec<Problem>) {
        let whole = |rule: &&Rule| !rule.common && !vendor.generic;
        for rule in vendor.rules.iter().filter(whole) {
            let Some(sample) = Sample::of(vendor, rule) else {
                continue;
            };
            let mut others = BTreeMap::new();
            let ask = sample.ask(rule);
            for hint in ask.iter().flat_map(|ask| self.hints(ask)) {
                let whole = !hint.common && !hint.generic && hint.kind == rule.condition.kind();
                if whole && hint.vendor != vendor.id {
                    others.insert(hint.vendor, hint.at);
                }
            }
            let (file, line) = rule.at.rsplit_once(':').unwrap_or((&rule.at, ""));
            for (other, at) in others {
                let what = format!(
                    "{:?} is matched by a rule of {other} too ({at})",
                    sample.text
                );
                let hint = "common = true where vendors share a name";
                found.push(Problem::warning(file, line.parse().ok(), what, hint));
            }
        }
    }
}

/// What a unit would say that a rule by agent or path matches.
struct Sample {
    text: String,
    beside: Option<String>,
}

impl Sample {
    fn of(vendor: &Vendor, rule: &Rule) -> Option<Self> {
        let (Condition::Agent(pattern) | Condition::Path(pattern)) = &rule.condition else {
            return None;
        };
        let families = vendor.families.values();
        let models = families.flat_map(|family| &family.models).map(Some);
        models.chain([None]).find_map(|model| {
            let unit = unit(vendor, model.cloned())?;
            let text = pattern.format(&unit)?;
            let beside = match &rule.beside {
                Some(beside) => Some(beside.format(&unit)?),
                None => None,
            };
            // Holes with classes of their own may not take what stands for all of them.
            pattern.find(&text)?;
            Some(Self { text, beside })
        })
    }

    fn ask<'a>(&'a self, rule: &Rule) -> Option<Ask<'a>> {
        let by_path = matches!(rule.condition, Condition::Path(_));
        let text = Some(self.text.as_str());
        Some(Ask {
            channel: rule.channels.first().copied()?,
            path: if by_path {
                text
            } else {
                self.beside.as_deref()
            },
            agent: text.filter(|_| !by_path),
            headers: &[],
            options: None,
            pnp: None,
            certificate: None,
        })
    }
}

/// A unit that stands for all of a vendor's.
fn unit(vendor: &Vendor, model: Option<String>) -> Option<Found> {
    let oui = vendor.oui.first().map_or("00005e", String::as_str);
    let word = |text: &str| Some(text.to_owned());
    Some(Found {
        mac: Some(Mac::parse(&format!("{oui}0053aa")).ok()?),
        model,
        models: Vec::new(),
        serial: word("0123456789"),
        firmware: word("1.2.3"),
        hardware: word("1"),
        part: word("1234"),
        user: word("214"),
    })
}
