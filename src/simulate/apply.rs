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
    let entries = counting(conduct, entries);
    let starts = |starts: &[String], name: &str| starts.iter().any(|start| name.starts_with(start));
    let overwrites = rules.overwrite.as_ref().is_some_and(|when| {
        let value = entries.get(when.setting.as_str());
        value.is_some_and(|value| when.is.has(value))
    });
    let resets = rules.absent == Absent::Reset;
    let mut after = before.clone();
    if overwrites || resets {
        let touched = |name: &str| {
            let only = &rules.overwrite_only;
            resets || only.is_empty() || starts(only, name)
        };
        let gone: Vec<String> = after
            .keys()
            .filter(|name| !entries.contains_key(name.as_str()))
            .filter(|name| touched(name) && !starts(&rules.spares, name))
            .cloned()
            .collect();
        for name in gone {
            reset(conduct, &mut after, &name);
        }
    }
    for (name, value) in entries {
        if rules.resets.iter().any(|reset| reset == value) {
            reset(conduct, &mut after, name);
        } else {
            after.insert(name.to_owned(), value.to_owned());
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

/// The entries that the unit takes, each name once.
fn counting<'a>(conduct: &Conduct, entries: &'a [(String, String)]) -> BTreeMap<&'a str, &'a str> {
    let mut found: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in entries {
        if !conduct.file.first_counts || !found.contains_key(name.as_str()) {
            found.insert(name, value);
        }
    }
    if let Some(guarded) = &conduct.file.guarded {
        let is_on = |name: &str| found.get(name) == Some(&guarded.is.as_str());
        let closed = !is_on(&guarded.all);
        let off: Vec<&str> = found
            .keys()
            .filter(|name| name.starts_with(&guarded.start))
            .filter(|name| closed || !is_on(&format!("{name}{}", guarded.switch)))
            .copied()
            .collect();
        for name in off {
            found.remove(name);
        }
    }
    found
}

/// Puts one setting back to the factory's.
fn reset(conduct: &Conduct, settings: &mut BTreeMap<String, String>, name: &str) {
    match conduct.factory.get(name) {
        Some(value) => settings.insert(name.to_owned(), value.clone()),
        None => settings.remove(name),
    };
}

/// Whether a version, a number with dots, is higher than another; anything is higher than none.
pub(super) fn is_higher(version: &str, known: Option<&String>) -> bool {
    let parts = |text: &str| -> Vec<u64> {
        let parts = text.trim().split('.');
        parts.map(|part| part.parse().unwrap_or(0)).collect()
    };
    known.is_none_or(|known| parts(version) > parts(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONDUCT: &str = r#"
family = "a/b"
reads = "nothing"
[unit]
mac = "02:00:5e:00:00:01"
model = "M"
firmware = "1"
[sources]
order = ["pointer"]
[trust]
tls = "1.2"
factory = "public"
[[request]]
name = "x"
[factory]
"dev.a" = "factory"
[file]
"#;

    fn after(rules: &str, entries: &[(&str, &str)]) -> Vec<(String, String)> {
        let conduct = Conduct::parse(&format!("{CONDUCT}{rules}")).unwrap();
        let before = BTreeMap::from([
            ("dev.a".to_owned(), "1".to_owned()),
            ("acc.1".to_owned(), "214".to_owned()),
        ]);
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let entries: Vec<(String, String)> = entries.iter().map(own).collect();
        planned(&conduct, &before, &entries).0.into_iter().collect()
    }

    fn check(rules: &str, entries: &[(&str, &str)], expect: &[(&str, &str)]) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let expect: Vec<(String, String)> = expect.iter().map(own).collect();
        assert_eq!(after(rules, entries), expect, "{rules}");
    }

    #[test]
    fn what_is_not_named_is_kept_or_reset() {
        let x = ("x", "1");
        check("", &[x], &[("acc.1", "214"), ("dev.a", "1"), x]);
        check("absent = \"reset\"", &[x], &[("dev.a", "factory"), x]);
        let spares = "absent = \"reset\"\nspares = [\"dev.\"]";
        check(spares, &[x], &[("dev.a", "1"), x]);
        let wipes = "overwrite = { setting = \"w\", is = \"\" }\noverwrite_only = [\"acc.\"]";
        check(wipes, &[("w", "")], &[("dev.a", "1"), ("w", "")]);
        check(
            "resets = [\"\"]",
            &[("dev.a", "")],
            &[("acc.1", "214"), ("dev.a", "factory")],
        );
    }

    #[test]
    fn the_first_or_the_last_counts_and_switches_are_needed() {
        let twice = [("acc.1", "a"), ("acc.1", "b")];
        check("", &twice, &[("acc.1", "b"), ("dev.a", "1")]);
        check(
            "first_counts = true",
            &twice,
            &[("acc.1", "a"), ("dev.a", "1")],
        );
        let guarded =
            "guarded = { start = \"dev.\", switch = \".set\", all = \"all.set\", is = \"1\" }";
        let on = ("all.set", "1");
        check(
            guarded,
            &[("dev.a", "2"), on],
            &[("acc.1", "214"), on, ("dev.a", "1")],
        );
        let both = [("dev.a", "2"), ("dev.a.set", "1"), on];
        check(guarded, &both, &[("acc.1", "214"), on, ("dev.a", "2")]);
    }

    #[test]
    fn versions_are_compared_part_by_part() {
        let known = "2.0009".to_owned();
        assert!(is_higher("2.0010", Some(&known)));
        assert!(!is_higher("2.0009", Some(&known)));
        assert!(is_higher("1", None));
    }
}
