//! What a file does to the settings.

use std::collections::{BTreeMap, BTreeSet};

use super::conduct::{Absent, Conduct};

/// The settings after these entries, and the names of those that changed.
pub(super) fn planned(
    conduct: &Conduct,
    before: &BTreeMap<String, String>,
    entries: &[(String, String)],
) -> (BTreeMap<String, String>, Vec<String>) {
    let rules = &conduct.file;
    let overwrites = rules.overwrite.as_ref().is_some_and(|when| {
        let last = entries.iter().rev().find(|(name, _)| *name == when.setting);
        last.is_some_and(|(_, value)| *value == when.is)
    });
    let mut after = before.clone();
    if overwrites || rules.absent == Absent::Reset {
        let named: BTreeSet<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        let spared = |name: &str| {
            let spares = &rules.overwrite_spares;
            overwrites && spares.iter().any(|start| name.starts_with(start))
        };
        let gone: Vec<String> = after
            .keys()
            .filter(|name| !named.contains(name.as_str()) && !spared(name))
            .cloned()
            .collect();
        for name in gone {
            reset(conduct, &mut after, &name);
        }
    }
    for (name, value) in entries {
        if rules.resets.contains(value) {
            reset(conduct, &mut after, name);
        } else {
            after.insert(name.clone(), value.clone());
        }
    }
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .cloned()
        .collect();
    (after, changed)
}

/// Puts one setting back to the factory's.
fn reset(conduct: &Conduct, settings: &mut BTreeMap<String, String>, name: &str) {
    match conduct.factory.get(name) {
        Some(value) => settings.insert(name.to_owned(), value.clone()),
        None => settings.remove(name),
    };
}
