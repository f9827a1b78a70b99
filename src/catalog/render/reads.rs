//! What a template reads, found in its text: names, and the files that it includes.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Environment;

use super::Sources;
use crate::catalog::Problem;
use crate::catalog::manifest::Family;
use crate::catalog::vocabulary::{RESERVED, Vocabulary};

/// Names with parts, which are told apart.
const PARTED: [&str; 5] = ["ca", "grant", "report", "unit", "url"];

/// A name of an include: with a folder as it is, else beside the file that includes it.
pub(super) fn joined(name: &str, parent: &str, known: impl Fn(&str) -> bool) -> String {
    if let Some((folder, _)) = parent.rsplit_once('/')
        && !name.contains('/')
    {
        let beside = format!("{folder}/{name}");
        if known(&beside) {
            return beside;
        }
    }
    name.to_owned()
}

/// The template and all that it names: every quoted text that is a template's name.
pub(super) fn files(name: &str, sources: &Sources) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        let Some(source) = sources.get(&name) else {
            continue;
        };
        if !found.insert(name.clone()) {
            continue;
        }
        for quoted in source.split(['"', '\'']) {
            if quoted.ends_with(".j2") {
                open.push(joined(quoted, &name, |name| sources.contains_key(name)));
            }
        }
    }
    found
}

/// Names that the files read, each with the first file that does.
pub(super) fn names(
    environment: &Environment<'_>,
    files: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for file in files {
        let Ok(template) = environment.get_template(file) else {
            continue;
        };
        for name in template.undeclared_variables(true) {
            let head = name.split('.').next().unwrap_or(&name).to_owned();
            if PARTED.contains(&head.as_str()) {
                let parts: Vec<&str> = name.splitn(3, '.').take(2).collect();
                let whole = parts.join(".");
                found.entry(whole).or_insert_with(|| file.clone());
            }
            found.entry(head).or_insert_with(|| file.clone());
        }
    }
    found
}

/// Tells names that are neither in the vocabulary nor made by the templates themselves.
pub(super) fn unknown(
    family: &Family,
    reads: &BTreeMap<String, String>,
    files: &BTreeSet<String>,
    sources: &Sources,
    vocabulary: &Vocabulary,
    problems: &mut Vec<Problem>,
) {
    for (name, file) in reads {
        let known = name.contains('.')
            || vocabulary.0.contains_key(name)
            || RESERVED.contains(&name.as_str())
            || files
                .iter()
                .any(|file| sources.get(file).is_some_and(|source| makes(source, name)));
        if known {
            continue;
        }
        let line = sources.get(file).and_then(|source| {
            let holds = |line: &str| words(line).any(|word| word == name);
            source.lines().position(holds).map(|at| at + 1)
        });
        let hint = match vocabulary.nearest(name) {
            Some(near) => format!("did you mean {near}?"),
            None => "profiles/schema.toml lists the variables".to_owned(),
        };
        let path = format!("{}/{file}", family.vendor);
        let what = format!("there is no variable {name}");
        let problem = Problem::error(&path, line, what, &hint);
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
}

/// Whether a template gives a name a value: `set`, `for`, `with`, a macro or an import.
fn makes(source: &str, name: &str) -> bool {
    let tags = source.split("{%").skip(1);
    let tags = tags.filter_map(|rest| rest.split("%}").next());
    tags.into_iter().any(|tag| {
        let mut words = words(tag);
        let first = words.next().unwrap_or_default();
        let gives = ["call", "for", "from", "import", "macro", "set", "with"];
        gives.contains(&first) && words.any(|word| word == name)
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|ch: char| !ch.is_ascii_alphanumeric() && ch != '_')
        .filter(|word| !word.is_empty())
}
