//! The index finds what a look at every rule finds.

use std::path::PathBuf;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::catalog::load;
use crate::catalog::pattern::Pattern;

/// Our folders, which other tests prove.
fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<std::sync::Arc<Catalog>> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let files = load::read_folders(&[PathBuf::from("profiles")]).expect("profiles/");
        let (catalog, problems) = Catalog::but(&files, &|_| true);
        catalog.unwrap_or_else(|| panic!("{problems:?}"))
    })
}

/// What every rule says, one after the other.
fn tried(ask: &Ask<'_>) -> Vec<Hint<'static>> {
    let mut hints = Vec::new();
    for vendor in catalog().vendors.values() {
        let mut kinds: Vec<(HintKind, Option<&str>)> = Vec::new();
        for rule in &vendor.rules {
            let file = rule.artefact.as_ref().and(rule.family.as_deref());
            if let Some(hint) = of_rule(vendor, rule, ask)
                && !kinds.contains(&(hint.kind, file))
            {
                kinds.push((hint.kind, file));
                hints.push(hint);
            }
        }
    }
    hints
}

/// How many hints there are.
fn check(ask: &Ask<'_>) -> usize {
    let found = catalog().hints(ask);
    assert_eq!(format!("{found:?}"), format!("{:?}", tried(ask)), "{ask:?}");
    found.len()
}

/// A text that a pattern may match, with or without what is optional in it.
fn spelled(pattern: &Pattern, model: &str, whole: bool) -> String {
    let mut text = String::new();
    let mut depth = 0;
    let mut rest = pattern.source();
    while let Some(ch) = rest.chars().next() {
        let (_, after) = rest.split_at(ch.len_utf8());
        rest = after;
        match ch {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ if depth > 0 && !whole => {}
            '{' => {
                let (hole, after) = rest.split_once('}').unwrap_or((rest, ""));
                // A class has braces of its own.
                let (class, after) = match hole.split_once('{') {
                    Some((hole, _)) => {
                        (hole, after.rsplit_once('}').map_or(after, |(_, rest)| rest))
                    }
                    None => (hole, after),
                };
                rest = after;
                let name = class.split(':').next().unwrap_or_default();
                text.push_str(match name {
                    "mac" => "001565aabbcc",
                    "model" => model,
                    "serial" => "FCH1234A0BC",
                    "firmware" => "1.2.3.4",
                    "ws" => " ",
                    _ => "1",
                });
            }
            ch => text.push(ch),
        }
    }
    text
}

/// One request for each rule, such that it may match: its words and its path.
struct Said {
    channel: Channel,
    agent: Option<String>,
    path: Option<String>,
    headers: Vec<(String, String)>,
    options: BTreeMap<u8, Vec<u8>>,
}

fn said() -> &'static Vec<Said> {
    static SAID: OnceLock<Vec<Said>> = OnceLock::new();
    SAID.get_or_init(|| {
        let mut all = Vec::new();
        for vendor in catalog().vendors.values() {
            let models = vendor.families.values().flat_map(|family| &family.models);
            let model = models.into_iter().next().map_or("M1", String::as_str);
            let rules = vendor.rules.iter();
            for (rule, whole) in rules.flat_map(|rule| [(rule, false), (rule, true)]) {
                let spell = |pattern: &Pattern| spelled(pattern, model, whole);
                let mut one = Said {
                    channel: *rule.channels.first().unwrap(),
                    agent: None,
                    path: rule.beside.as_ref().map(&spell),
                    headers: Vec::new(),
                    options: BTreeMap::new(),
                };
                match &rule.condition {
                    Condition::Agent(pattern) => one.agent = Some(spell(pattern)),
                    Condition::Path(pattern) => one.path = Some(spell(pattern)),
                    Condition::Headers(wanted) => {
                        let headers = wanted.iter();
                        one.headers = headers
                            .map(|(key, held)| (key.clone(), spell(held)))
                            .collect();
                    }
                    Condition::Options(wanted) => {
                        for (code, matcher) in wanted {
                            let held = match matcher {
                                OptionMatch::Text(pattern) => spell(pattern).into_bytes(),
                                OptionMatch::Hex(octets) => octets.clone(),
                                OptionMatch::EnterpriseText { enterprise, text } => {
                                    let mut held = enterprise.to_be_bytes().to_vec();
                                    held.push(1);
                                    held.extend(spell(text).into_bytes());
                                    held
                                }
                                OptionMatch::Tlv { .. } => vec![1, 1, b'x'],
                            };
                            one.options.insert(*code, held);
                        }
                    }
                    Condition::Pnp(_) => {}
                }
                all.push(one);
            }
        }
        all
    })
}

fn ask<'a>(one: &'a Said, path: Option<&'a str>, agent: Option<&'a str>) -> Ask<'a> {
    Ask {
        channel: one.channel,
        path,
        agent,
        headers: &one.headers,
        options: Some(&one.options),
        pnp: Some(PnpAsk {
            vendor: Some("acme"),
            model: Some("M1"),
            version: Some("1.2.3"),
        }),
        certificate: None,
    }
}

#[test]
fn the_index_finds_what_every_rule_says() {
    let mut found = 0;
    for one in said() {
        found += check(&ask(one, one.path.as_deref(), one.agent.as_deref()));
    }
    // Most were spelled such that their rule matches.
    assert!(found > said().len() / 2, "{found} of {}", said().len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_index_finds_it_in_any_text(
        one in 0_usize..1000,
        other in 0_usize..1000,
        channel in prop::sample::select(vec![
            Channel::Dhcp, Channel::SipPnp, Channel::Tftp, Channel::Http, Channel::Https,
        ]),
        folder in "([a-z]{1,3}/)?",
        more in "\\PC{0,3}",
        turned in 0_u8..3,
    ) {
        let all = said();
        let (one, other) = (&all[one % all.len()], &all[other % all.len()]);
        let path = one.path.as_ref().or(other.path.as_ref());
        let path = path.map(|path| format!("{folder}{path}{more}"));
        let agent = other.agent.as_ref().or(one.agent.as_ref());
        let agent = agent.map(|agent| match turned {
            0 => agent.to_uppercase(),
            1 => agent.to_lowercase(),
            _ => format!("{agent}{more}"),
        });
        let asked = ask(one, path.as_deref(), agent.as_deref());
        check(&Ask { channel, ..asked });
    }
}
