//! What a template reads, found in its text: names, and the files that it includes.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Environment;

use super::Sources;
use crate::catalog::Problem;
use crate::catalog::manifest::Family;
use crate::catalog::vocabulary::{RESERVED, Variable, Vocabulary};

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

/// Names of secrets that are no variables: a line's, and those in URLs; and what is filled in as they
/// are.
const SECRETS: [&str; 4] = ["password", "report", "token", "version"];

/// Whether the files do nothing with a secret but write it, or ask whether it is there. Then what is
/// written beside it is the same for every secret. In doubt, no.
pub(super) fn only_written(
    files: &BTreeSet<String>,
    sources: &Sources,
    vocabulary: &Vocabulary,
) -> bool {
    let secret = |word: &str| {
        let variable = vocabulary.0.get(word);
        SECRETS.contains(&word) || variable.is_some_and(Variable::is_sealed)
    };
    let mut sources = files.iter().filter_map(|file| sources.get(file));
    sources.all(|source| {
        let mut rest = source.as_str();
        while let Some((open, behind)) = rest
            .find("{{")
            .into_iter()
            .chain(rest.find("{%"))
            .chain(rest.find("{#"))
            .min()
            .map(|at| rest.split_at(at).1.split_at(2))
        {
            let close = match open {
                "{{" => "}}",
                "{%" => "%}",
                _ => "#}",
            };
            let Some((tag, after)) = behind.split_once(close) else {
                return false;
            };
            rest = after;
            let tag = tag.trim_matches(['-', '+']).trim();
            if open != "{#" && words(tag).any(secret) && !is_plain(open, tag, &secret) {
                return false;
            }
        }
        true
    })
}

/// Whether a tag with a secret in it writes it as it is, or asks whether it is there.
fn is_plain(open: &str, tag: &str, secret: &impl Fn(&str) -> bool) -> bool {
    let path = |text: &str| {
        text.chars()
            .all(|ch| ch.is_ascii_alphanumeric() || matches!(ch, '_' | '.'))
    };
    if open == "{{" {
        // Names side by side, and one with a word for where it is not there.
        let bare = match tag.split_once('|') {
            Some((name, filter)) => {
                let filter = filter.trim();
                let alone = filter.matches(['(', ')', '|']).count() == 2;
                if !(filter.starts_with("default(") && filter.ends_with(')') && alone) {
                    return false;
                }
                name
            }
            None => tag,
        };
        return bare.split('~').map(str::trim).all(|part| {
            let quoted = part.len() > 1 && part.starts_with('"') && part.ends_with('"');
            path(part) || quoted && part.matches('"').count() == 2
        });
    }
    let (verb, condition) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
    let (bare, condition) = match (verb, condition.split_once('=')) {
        ("if" | "elif", _) => (true, condition),
        ("set", Some((name, value))) if path(name.trim()) => (false, value),
        _ => return false,
    };
    let spaced = condition.replace('(', " ( ").replace(')', " ) ");
    let parts: Vec<&str> = spaced.split_whitespace().collect();
    const BETWEEN: [&str; 5] = ["(", ")", "and", "not", "or"];
    parts.iter().enumerate().all(|(at, part)| {
        if !words(part).any(secret) {
            return true;
        }
        let before = at.checked_sub(1).and_then(|at| parts.get(at));
        let after: Vec<&str> = parts.iter().skip(at + 1).take(3).copied().collect();
        let asked = matches!(
            after.as_slice(),
            ["is", "defined", ..] | ["is", "not", "defined"]
        );
        let alone = bare && after.first().is_none_or(|next| BETWEEN.contains(next));
        path(part) && (asked || alone) && before.is_none_or(|word| BETWEEN.contains(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_only_written() {
        fn check(source: &str, expect: bool) {
            let vocabulary = Vocabulary::default();
            let sources = Sources::from([("a/b.j2".to_owned(), source.to_owned())]);
            let files = BTreeSet::from(["a/b.j2".to_owned()]);
            assert_eq!(
                only_written(&files, &sources, &vocabulary),
                expect,
                "{source}"
            );
        }
        check("x = {{ line.password }}\n", true);
        check("x = {{- admin ~ \":\" ~ line.password -}}\n", true);
        check("x = {{ line.password | default(\"\") }}\n", true);
        check("{% if line.password is defined %}{% endif %}", true);
        check(
            "{% if grant.credential and (url.token or report.failed) %}{% endif %}",
            true,
        );
        check("{% set login = a and (url.token is not defined) %}", true);
        check("{# {{ line.password | upper }} #}", true);
        check(
            "{{ user | upper }}{% for line in lines %}{{ line.n + 1 }}{% endfor %}",
            true,
        );
        check("x = {{ line.password | upper }}\n", false);
        check("x = {{ line.password | default(\"\") | trim }}\n", false);
        check("x = {{ url.token[1:] }}\n", false);
        check("{% set text = line.password %}{{ text }}", false);
        check("{% if \"#\" in line.password %}{% endif %}", false);
        check("{% if line.password == \"a\" %}{% endif %}", false);
        check("{% if line.password | length > 3 %}{% endif %}", false);
        check("{% for one in [line.password] %}{% endfor %}", false);
        check("{{ lines | map(attribute=\"password\") | first }}", false);
        check("{{ quoted(line.password) }}", false);
    }
}
