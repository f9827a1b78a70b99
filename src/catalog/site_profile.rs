//! An operator's profiles, `profiles/_site/<name>.toml`: variables, variables by model, and
//! templates that stand in for a vendor's.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::problem::{line_at, line_of};
use super::vocabulary::{Kind, Vocabulary, from_toml, text_of};
use super::{Files, Problem};
use crate::model::profile::{Value, Variables};

/// The profile that is there without a file.
pub const DEFAULT: &str = "default";

/// One profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SiteProfile {
    /// The file's name without `.toml`.
    pub name: String,
    pub label: String,
    pub variables: Variables,
    /// By model, as the manifest spells it.
    pub models: BTreeMap<String, Variables>,
    /// Sources by `vendor/family/file.j2`: used instead of that file.
    pub templates: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    label: String,
    #[serde(default)]
    variables: BTreeMap<String, toml::Value>,
    #[serde(default)]
    models: BTreeMap<String, BTreeMap<String, toml::Value>>,
    #[serde(default)]
    templates: BTreeMap<String, String>,
}

/// The file of a profile.
pub(crate) fn file_of(name: &str) -> String {
    format!("_site/{name}.toml")
}

/// Reads every profile; `default` is always among them.
pub(crate) fn parse_all(
    files: &Files,
    vocabulary: &Vocabulary,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Arc<SiteProfile>> {
    let mut profiles = BTreeMap::new();
    for path in files.0.keys() {
        let name = path
            .strip_prefix("_site/")
            .and_then(|rest| rest.strip_suffix(".toml"));
        let Some(name) = name else { continue };
        let usable = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(usable) {
            let hint = "letters, digits, - . and _";
            let what = "is no name of a profile".to_owned();
            problems.push(Problem::error(path, None, what, hint));
            continue;
        }
        let profile = parse(files, name, vocabulary, problems);
        profiles.insert(name.to_owned(), Arc::new(profile));
    }
    let empty = || {
        Arc::new(SiteProfile {
            name: DEFAULT.to_owned(),
            ..SiteProfile::default()
        })
    };
    profiles.entry(DEFAULT.to_owned()).or_insert_with(empty);
    profiles
}

/// Reads one profile; without a file it is empty.
pub(crate) fn parse(
    files: &Files,
    name: &str,
    vocabulary: &Vocabulary,
    problems: &mut Vec<Problem>,
) -> SiteProfile {
    let mut profile = SiteProfile {
        name: name.to_owned(),
        ..SiteProfile::default()
    };
    let path = file_of(name);
    let Some(text) = text_of(files, &path, problems) else {
        return profile;
    };
    let raw: Raw = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            let line = error.span().map(|span| line_at(text, span.start));
            let hint = "a profile has label, [variables], [models.MODEL] and [templates]";
            let what = error.message().to_owned();
            problems.push(Problem::error(&path, line, what, hint));
            return profile;
        }
    };
    let mut read = |values: &BTreeMap<String, toml::Value>| {
        variables(&path, text, values, vocabulary, problems)
    };
    profile.variables = read(&raw.variables);
    for (model, values) in &raw.models {
        profile.models.insert(model.clone(), read(values));
    }
    for name in raw.templates.keys() {
        if !files.0.contains_key(name) || !name.ends_with(".j2") {
            let what = format!("there is no template {name}");
            let hint = "name the file that it replaces, as vendor/family/file.j2";
            problems.push(Problem::error(&path, line_of(text, name), what, hint));
        }
    }
    profile.label = raw.label;
    profile.templates = raw.templates;
    profile
}

/// Values of a file, checked against the vocabulary. A secret stands in no file.
fn variables(
    path: &str,
    text: &str,
    values: &BTreeMap<String, toml::Value>,
    vocabulary: &Vocabulary,
    problems: &mut Vec<Problem>,
) -> Variables {
    let mut read = BTreeMap::new();
    for (name, value) in values {
        let is_secret = vocabulary
            .0
            .get(name)
            .is_some_and(|variable| variable.kind == Kind::Secret);
        let value = if is_secret {
            Err("a secret stands in no file; set it for a scope or a device".to_owned())
        } else {
            from_toml(value).and_then(|value| vocabulary.check(name, &value).map(|()| value))
        };
        match value {
            Ok(value) => drop(read.insert(name.clone(), value)),
            Err(what) => {
                let line = assigned(text, name);
                let what = format!("{name}: {what}");
                let hint = "`dialtone var list --vocabulary` lists them";
                problems.push(Problem::error(path, line, what, hint));
            }
        }
    }
    Variables(read)
}

/// The line that sets `name`, else the first that holds it.
pub(crate) fn assigned(text: &str, name: &str) -> Option<usize> {
    let sets = |line: &str| {
        let rest = line.trim_start().strip_prefix(name).unwrap_or_default();
        rest.trim_start().starts_with('=')
    };
    let at = text.lines().position(sets).map(|at| at + 1);
    at.or_else(|| line_of(text, name))
}

impl SiteProfile {
    /// What it sets for everything that uses it.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.variables.0.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(profile: &str) -> Files {
        let schema = "[sip_domain]\ntype = \"text\"\nclass = \"site\"\nmeaning = \"\"\n\
            [admin_password]\ntype = \"secret\"\nclass = \"credential\"\nmeaning = \"\"\n";
        let mut files = Files::default();
        for (path, text) in [
            ("schema.toml", schema),
            ("acme/gear/a.j2", ""),
            ("_site/office.toml", profile),
        ] {
            files.0.insert(path.to_owned(), text.as_bytes().to_vec());
        }
        files
    }

    fn read(profile: &str) -> (BTreeMap<String, Arc<SiteProfile>>, Vec<String>) {
        let files = files(profile);
        let mut problems = Vec::new();
        let vocabulary = super::super::vocabulary::parse(&files, &mut problems);
        let read = parse_all(&files, &vocabulary, &mut problems);
        (read, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_profile_is_read_and_default_is_always_there() {
        let (profiles, problems) = read(
            "[variables]\nsip_domain = \"a\"\n[models.G1]\nsip_domain = \"b\"\n\
             [templates]\n\"acme/gear/a.j2\" = \"x\"\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
        assert_eq!(names, ["default", "office"]);
        let b = Value::Text("b".to_owned());
        assert_eq!(profiles["office"].models["G1"].0["sip_domain"], b);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        fn check(profile: &str, line: usize, expect: &str) {
            let (_, told) = read(profile);
            let at = format!("_site/office.toml:{line}: ");
            assert!(
                told.iter()
                    .any(|told| told.starts_with(&at) && told.contains(expect)),
                "{told:?}"
            );
        }
        check(
            "[variables]\nsip_domian = \"a\"\n",
            2,
            "did you mean sip_domain?",
        );
        check("[variables]\nsip_domain = 5\n", 2, "a text is wanted");
        check(
            "[variables]\n\nadmin_password = \"a\"\n",
            3,
            "a secret stands in no file",
        );
        check(
            "[templates]\n\"acme/gear/b.j2\" = \"\"\n",
            2,
            "there is no template",
        );
        check("[variable]\n", 1, "unknown field `variable`");
    }
}
