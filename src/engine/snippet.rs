//! The replies of all families as classes for a DHCP server that stands already: which clients, and
//! what they are given. Pure; `profiles/_snippets` writes them down in each server's own words.
//!
//! Such a server compares beginnings of options, and knows no record and no pattern: a pattern
//! becomes the texts that it can begin with, model by model. What cannot be said so is left out, and
//! said.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::reply::{self, Ask, Bases, Reply, Terms};
use super::resolve::Values;
use crate::catalog::Catalog;
use crate::catalog::manifest::{
    Condition, DhcpReply, Family, OptionMatch, Reach, Rule, Vendor, fold,
};
use crate::model::identity::Channel;

/// RFC 3004.
const USER_CLASS: u8 = 77;

/// Clients that are given the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// `VENDOR-FAMILY`, with a number where there are several.
    pub name: String,
    pub label: String,
    /// Any of them makes a client one of this class.
    pub tests: Vec<Test>,
    /// Makers' parts that do, where no class of `unless` holds: six hex digits each.
    pub macs: Vec<String>,
    pub unless: Vec<String>,
    pub options: Vec<(u8, Vec<u8>)>,
    pub siaddr: Option<Ipv4Addr>,
    pub file: Option<String>,
}

/// All of `all`, and none of `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    pub all: Vec<Atom>,
    pub none: Vec<Atom>,
}

/// An option that begins with these octets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Atom {
    pub code: u8,
    pub begins: Vec<u8>,
}

/// Every class, and what could not be said.
pub fn classes(catalog: &Catalog, bases: &Bases, values: &Values) -> (Vec<Class>, Vec<String>) {
    let (mut classes, mut left_out) = (Vec::new(), Vec::new());
    for vendor in catalog.vendors.values() {
        let before = classes.len();
        for family in vendor.families.values().filter(|one| is_pointed(one)) {
            let terms = Terms {
                vendor,
                family,
                bases,
                values,
            };
            of_family(terms, catalog, &mut classes, &mut left_out);
        }
        let own: Vec<String> = classes
            .iter()
            .skip(before)
            .map(|one| one.name.clone())
            .collect();
        classes.extend(by_maker(vendor, bases, values, own));
    }
    apart(&mut classes);
    (classes, left_out)
}

fn is_pointed(family: &Family) -> bool {
    family.reach != Reach::None && !family.dhcp.is_empty()
}

/// A block's clients, by what they are given.
fn of_family(
    terms: Terms<'_>,
    catalog: &Catalog,
    classes: &mut Vec<Class>,
    left_out: &mut Vec<String>,
) {
    let (vendor, family) = (terms.vendor, terms.family);
    let (words, unsaid) = words(vendor, family, catalog);
    let unsaid = unsaid.iter().map(|code| {
        format!(
            "{}/{}: clients that are known by more than the beginning of option {code}",
            vendor.id, family.id
        )
    });
    left_out.extend(unsaid);
    let mut earlier: Vec<Atom> = Vec::new();
    let mut count = 0;
    for block in &family.dhcp {
        let Some(when) = conditions(block) else {
            left_out.push(format!(
                "{}/{}: a reply that depends on what the client asks for",
                vendor.id, family.id
            ));
            continue;
        };
        let mut groups: Vec<(Reply, BTreeSet<Test>)> = Vec::new();
        for (atoms, model) in &words {
            let fits = block.when_models.is_empty()
                || model
                    .as_ref()
                    .is_some_and(|model| block.when_models.contains(model));
            if !fits {
                continue;
            }
            let ask = Ask {
                model: model.as_deref(),
                ..Ask::default()
            };
            let reply = reply::of_block(block, &ask, terms);
            if reply.is_empty() {
                continue;
            }
            let tests = joined(atoms, &when).into_iter().map(|all| Test {
                all,
                none: earlier.clone(),
            });
            match groups.iter_mut().find(|(known, _)| *known == reply) {
                Some((_, known)) => known.extend(tests),
                None => groups.push((reply, tests.collect())),
            }
        }
        for (reply, tests) in groups.into_iter().filter(|(_, tests)| !tests.is_empty()) {
            count += 1;
            let name = match count {
                1 => format!("{}-{}", vendor.id, family.id),
                n => format!("{}-{}-{n}", vendor.id, family.id),
            };
            classes.push(Class {
                name,
                label: family.label.clone(),
                tests: tests.into_iter().collect(),
                options: reply.options,
                siaddr: reply.siaddr,
                file: reply.file,
                ..Class::default()
            });
        }
        if let [one] = when.as_slice() {
            earlier.extend(one.iter().cloned());
        }
    }
}

/// Clients that say nothing of themselves: by their maker's part, as the vendor's default family.
fn by_maker(vendor: &Vendor, bases: &Bases, values: &Values, unless: Vec<String>) -> Option<Class> {
    let family = vendor.families.get(vendor.default_family.as_ref()?)?;
    let open = |block: &&DhcpReply| {
        block.when_options.is_empty() && block.when_asks.is_empty() && block.when_models.is_empty()
    };
    let block = family
        .dhcp
        .iter()
        .find(open)
        .filter(|_| is_pointed(family))?;
    let terms = Terms {
        vendor,
        family,
        bases,
        values,
    };
    let reply = reply::of_block(block, &Ask::default(), terms);
    if reply.is_empty() || vendor.oui.is_empty() {
        return None;
    }
    Some(Class {
        name: format!("{}-by-maker", vendor.id),
        label: format!("{}, by the address alone", family.label),
        macs: vendor.oui.iter().cloned().collect(),
        unless,
        options: reply.options,
        siaddr: reply.siaddr,
        file: reply.file,
        ..Class::default()
    })
}

/// A rule's beginnings, and the model that it is, where it says one.
type Word = (Vec<Atom>, Option<String>);

/// What this family's clients may begin with, and the options whose beginning does not say it.
fn words(vendor: &Vendor, family: &Family, catalog: &Catalog) -> (Vec<Word>, BTreeSet<u8>) {
    let (mut found, mut unsaid) = (Vec::new(), BTreeSet::new());
    let rules = vendor
        .rules
        .iter()
        .filter(|rule| rule.channels.contains(&Channel::Dhcp));
    for rule in rules {
        let Condition::Options(conditions) = &rule.condition else {
            continue;
        };
        for model in models(rule, conditions, family, vendor) {
            let said = model.as_deref();
            let parts = conditions
                .iter()
                .map(|(code, matcher)| atoms(*code, matcher, said).ok_or(*code));
            let parts = match parts.collect::<Result<Vec<_>, _>>() {
                Ok(parts) => parts,
                Err(code) => {
                    unsaid.insert(code);
                    continue;
                }
            };
            let mut all: Vec<Vec<Atom>> = vec![Vec::new()];
            for part in parts {
                all = all
                    .iter()
                    .flat_map(|have| {
                        part.iter()
                            .map(move |atom| [have.as_slice(), std::slice::from_ref(atom)].concat())
                    })
                    .collect();
            }
            let listed = said.and_then(|said| catalog.family_of_model(&vendor.id, said));
            let model = listed.map(|(_, model)| model);
            found.extend(all.into_iter().map(|atoms| (atoms, model.clone())));
        }
    }
    (found, unsaid)
}

/// The models that a rule is written out for; `None` is a rule that names none.
fn models(
    rule: &Rule,
    conditions: &[(u8, OptionMatch)],
    family: &Family,
    vendor: &Vendor,
) -> Vec<Option<String>> {
    let names = conditions.iter().any(|(_, matcher)| match matcher {
        OptionMatch::Text(pattern) => pattern.source().contains("{model"),
        OptionMatch::Hex(_) | OptionMatch::Tlv { .. } | OptionMatch::EnterpriseText { .. } => false,
    });
    let own = match &rule.family {
        Some(named) => *named == family.id,
        None => vendor.default_family.as_ref() == Some(&family.id),
    };
    if !names || rule.family.is_some() {
        return if own {
            vec![rule.model.clone()]
        } else {
            Vec::new()
        };
    }
    let aliases = family.aliases.keys();
    let mut all: BTreeMap<String, Option<String>> = BTreeMap::new();
    for model in family.models.iter().chain(aliases) {
        for spelt in spellings(model) {
            all.entry(spelt.clone()).or_insert(Some(spelt));
        }
    }
    all.into_values().collect()
}

/// A model as it may be written: as listed, with `-` between letters and digits, and with small
/// letters behind its digits.
fn spellings(model: &str) -> Vec<String> {
    let digit = model.find(|ch: char| ch.is_ascii_digit());
    let parts = digit.map(|at| model.split_at(at));
    let dashed = parts
        .filter(|(letters, _)| !letters.is_empty() && !letters.ends_with(['-', '_', ' ']))
        .map(|(letters, rest)| format!("{letters}-{rest}"));
    let small = parts.map(|(letters, rest)| format!("{letters}{}", rest.to_lowercase()));
    [Some(model.to_owned()), dashed, small]
        .into_iter()
        .flatten()
        .filter(|spelt| fold(spelt) == fold(model))
        .collect()
}

/// The beginnings of one option; `None` where they cannot be said.
fn atoms(code: u8, matcher: &OptionMatch, model: Option<&str>) -> Option<Vec<Atom>> {
    let begins: Vec<Vec<u8>> = match matcher {
        OptionMatch::Text(pattern) => match pattern.ending().filter(|_| code == USER_CLASS) {
            // A class, with its length before it as RFC 3004 has it, or without.
            Some(text) => {
                let text = octets(text);
                let length = u8::try_from(text.len()).ok()?;
                vec![[&[length], text.as_slice()].concat(), text]
            }
            None => {
                let texts = pattern.beginnings(model);
                texts.iter().map(|text| octets(text)).collect()
            }
        },
        OptionMatch::Hex(octets) => vec![octets.clone()],
        OptionMatch::EnterpriseText { enterprise, .. }
        | OptionMatch::Tlv {
            enterprise: Some(enterprise),
            ..
        } => vec![enterprise.to_be_bytes().to_vec()],
        OptionMatch::Tlv {
            enterprise: None, ..
        } => Vec::new(),
    };
    // What may begin with anything is not told apart by its beginning.
    if begins.is_empty() || begins.iter().any(Vec::is_empty) {
        return None;
    }
    let atoms = begins.into_iter().map(|begins| Atom { code, begins });
    Some(atoms.collect())
}

/// Texts of options are octets, each a character.
fn octets(text: &str) -> Vec<u8> {
    let octets = text.chars().map(u32::from);
    octets.filter_map(|ch| u8::try_from(ch).ok()).collect()
}

/// The ways in which a block's `when` holds; `None` where it cannot be said.
fn conditions(block: &DhcpReply) -> Option<Vec<Vec<Atom>>> {
    if !block.when_asks.is_empty() {
        return None;
    }
    let mut ways: Vec<Vec<Atom>> = vec![Vec::new()];
    for (code, matcher) in &block.when_options {
        let part = atoms(*code, matcher, None)?;
        ways = ways
            .iter()
            .flat_map(|have| {
                part.iter()
                    .map(move |atom| [have.as_slice(), std::slice::from_ref(atom)].concat())
            })
            .collect();
    }
    Some(ways)
}

/// A rule's atoms with each way of a `when`: of two beginnings of one option the longer stands, and
/// two that contradict each other are nobody's.
fn joined(atoms: &[Atom], when: &[Vec<Atom>]) -> Vec<Vec<Atom>> {
    when.iter()
        .filter_map(|way| {
            let mut all: Vec<Atom> = atoms.to_vec();
            for atom in way {
                match all.iter_mut().find(|have| have.code == atom.code) {
                    None => all.push(atom.clone()),
                    Some(have) if same(&have.begins, &atom.begins) => {
                        if atom.begins.len() > have.begins.len() {
                            have.begins.clone_from(&atom.begins);
                        }
                    }
                    Some(_) => return None,
                }
            }
            Some(all)
        })
        .collect()
}

/// Whether one of two begins with the other, without regard to case: classes are written out in
/// several cases.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.iter()
        .zip(other)
        .all(|(a, b)| a.eq_ignore_ascii_case(b))
}

/// A beginning that a longer one of another class goes on from does not hold where that one does.
fn apart(classes: &mut [Class]) {
    let mut known: BTreeSet<(Atom, usize)> = BTreeSet::new();
    for (at, class) in classes.iter().enumerate() {
        for test in &class.tests {
            known.extend(test.all.iter().map(|atom| (atom.clone(), at)));
        }
    }
    for (at, class) in classes.iter_mut().enumerate() {
        for test in &mut class.tests {
            let mut none: BTreeSet<Atom> = test.none.iter().cloned().collect();
            for atom in &test.all {
                let from = (atom.clone(), usize::MAX);
                let longer = known.range(from..).take_while(|(other, _)| {
                    other.code == atom.code && other.begins.starts_with(&atom.begins)
                });
                let others = longer.filter(|(other, of)| *of != at && other != atom);
                none.extend(others.map(|(other, _)| other.clone()));
            }
            // What a shorter one keeps out, a longer one need not.
            test.none.clear();
            for atom in none {
                let kept = test.none.last().is_some_and(|last| {
                    last.code == atom.code && atom.begins.starts_with(&last.begins)
                });
                if !kept {
                    test.none.push(atom);
                }
            }
        }
    }
}
