//! The vocabulary, `profiles/schema.toml`: every variable with its type, class, meaning, default.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::problem::{line_at, line_of};
use super::{Files, Problem};
use crate::model::access::Class;
use crate::model::profile::Value;

/// The vocabulary's file.
pub(crate) const FILE: &str = "schema.toml";

/// Words that a template finds beside the variables: no variable has such a name.
pub(crate) const RESERVED: [&str; 19] = [
    "ca",
    "caller",
    "debug",
    "dict",
    "false",
    "grant",
    "keys",
    "lines",
    "loop",
    "namespace",
    "none",
    "range",
    "release",
    "report",
    "self",
    "true",
    "unit",
    "url",
    "version",
];

/// Variables by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vocabulary(pub BTreeMap<String, Variable>);

/// One variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    pub kind: Kind,
    pub class: Class,
    /// For people.
    pub meaning: String,
    /// Without one it is undefined until somebody sets it.
    pub default: Option<Value>,
}

impl Variable {
    /// Whether the store keeps its values sealed: secrets by their kind, and texts of class
    /// `credential` or `key`.
    pub fn is_sealed(&self) -> bool {
        match self.kind {
            Kind::Secret => true,
            Kind::Text => self.class >= Class::Credential,
            Kind::Bool | Kind::Int | Kind::List | Kind::Table => false,
        }
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    /// Of anything but secrets.
    List,
    /// A text that the store keeps sealed; no file and no default holds one.
    Secret,
    Table,
    Text,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Bool,
        Self::Int,
        Self::List,
        Self::Secret,
        Self::Table,
        Self::Text,
    ];

    /// The word of `type` in the vocabulary.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::List => "list",
            Self::Secret => "secret",
            Self::Table => "table",
            Self::Text => "text",
        }
    }

    /// Reads what [`Kind::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// A value as people type it: `true` or `yes`, a whole number, `a, b` or a JSON list, a JSON
    /// object. A secret is read as a text, which the caller seals. The error names what is wanted,
    /// never the value.
    pub fn read(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Bool => match text {
                "true" | "yes" | "on" | "1" => Ok(Value::Bool(true)),
                "false" | "no" | "off" | "0" => Ok(Value::Bool(false)),
                _ => Err("true or false is wanted".to_owned()),
            },
            Self::Int => {
                let number = text.trim().parse();
                number
                    .map(Value::Int)
                    .map_err(|_| "a whole number is wanted".to_owned())
            }
            Self::List if !text.trim_start().starts_with('[') => {
                let items = text.split(',').map(str::trim);
                let items = items.filter(|item| !item.is_empty());
                Ok(Value::List(
                    items.map(|item| Value::Text(item.to_owned())).collect(),
                ))
            }
            Self::List | Self::Table => {
                let json: serde_json::Value = serde_json::from_str(text)
                    .map_err(|_| format!("a {} in JSON is wanted", self.as_str()))?;
                let value = from_json(&json)?;
                self.check(&value)?;
                Ok(value)
            }
            Self::Secret | Self::Text => Ok(Value::Text(text.to_owned())),
        }
    }

    /// Whether a value is of this kind. The error never holds the value.
    pub fn check(self, value: &Value) -> Result<(), String> {
        let fits = match (self, value) {
            (Self::Bool, Value::Bool(_))
            | (Self::Int, Value::Int(_))
            | (Self::Secret, Value::Secret | Value::Text(_))
            | (Self::Text, Value::Text(_)) => true,
            (Self::List, Value::List(items)) => items.iter().all(is_open),
            (Self::Table, Value::Table(items)) => items.values().all(is_open),
            (_, _) => false,
        };
        if fits {
            Ok(())
        } else {
            Err(format!("a {} is wanted", self.as_str()))
        }
    }
}

/// Whether no secret is in it.
fn is_open(value: &Value) -> bool {
    match value {
        Value::Secret => false,
        Value::List(items) => items.iter().all(is_open),
        Value::Table(items) => items.values().all(is_open),
        Value::Bool(_) | Value::Int(_) | Value::Text(_) => true,
    }
}

fn from_json(json: &serde_json::Value) -> Result<Value, String> {
    use serde_json::Value as Json;
    match json {
        Json::Bool(yes) => Ok(Value::Bool(*yes)),
        Json::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .ok_or_else(|| "whole numbers are wanted".to_owned()),
        Json::String(text) => Ok(Value::Text(text.clone())),
        Json::Array(items) => Ok(Value::List(
            items.iter().map(from_json).collect::<Result<_, _>>()?,
        )),
        Json::Object(items) => Ok(Value::Table(
            items
                .iter()
                .map(|(key, item)| Ok((key.clone(), from_json(item)?)))
                .collect::<Result<_, String>>()?,
        )),
        Json::Null => Err("null is no value".to_owned()),
    }
}

/// A value as TOML has it; floats and times are no values of ours.
pub(crate) fn from_toml(value: &toml::Value) -> Result<Value, String> {
    match value {
        toml::Value::String(text) => Ok(Value::Text(text.clone())),
        toml::Value::Integer(number) => Ok(Value::Int(*number)),
        toml::Value::Boolean(yes) => Ok(Value::Bool(*yes)),
        toml::Value::Array(items) => Ok(Value::List(
            items.iter().map(from_toml).collect::<Result<_, _>>()?,
        )),
        toml::Value::Table(items) => Ok(Value::Table(
            items
                .iter()
                .map(|(key, item)| Ok((key.clone(), from_toml(item)?)))
                .collect::<Result<_, String>>()?,
        )),
        toml::Value::Float(_) | toml::Value::Datetime(_) => {
            Err("a text, a whole number, true or false, a list or a table is wanted".to_owned())
        }
    }
}

impl Vocabulary {
    /// The known name that is nearest to one that is not known, as a hint.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        let far = |known: &&String| strsim::damerau_levenshtein(name, known);
        let nearest = self.0.keys().min_by_key(far)?;
        (far(&nearest) <= 3.max(name.len() / 3)).then_some(nearest.as_str())
    }

    /// Why `value` cannot be set as `name`: there is no such variable, or it is of another kind.
    pub fn check(&self, name: &str, value: &Value) -> Result<(), String> {
        match self.0.get(name) {
            Some(variable) => variable.kind.check(value),
            None => Err(match self.nearest(name) {
                Some(near) => format!("there is no variable {name}; did you mean {near}?"),
                None => format!("there is no variable {name}"),
            }),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    class: String,
    meaning: String,
    default: Option<toml::Value>,
}

/// Reads the vocabulary; without a file it is empty.
pub(crate) fn parse(files: &Files, problems: &mut Vec<Problem>) -> Vocabulary {
    let Some(text) = text_of(files, FILE, problems) else {
        return Vocabulary::default();
    };
    let raw: BTreeMap<String, Raw> = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            let line = error.span().map(|span| line_at(text, span.start));
            let hint = "each [NAME] has type, class, meaning, and may have a default";
            let what = error.message().to_owned();
            problems.push(Problem::error(FILE, line, what, hint));
            return Vocabulary::default();
        }
    };
    let mut read = BTreeMap::new();
    for (name, raw) in raw {
        match variable(&name, &raw) {
            Ok(variable) => {
                read.insert(name, variable);
            }
            Err((what, hint)) => {
                let line = line_of(text, &format!("[{name}]"));
                let what = format!("{name}: {what}");
                problems.push(Problem::error(FILE, line, what, hint));
            }
        }
    }
    Vocabulary(read)
}

fn variable(name: &str, raw: &Raw) -> Result<Variable, (String, &'static str)> {
    let letters = |ch: char| ch.is_ascii_lowercase() || ch.is_ascii_digit() || ch == '_';
    if !name.starts_with(|ch: char| ch.is_ascii_lowercase()) || !name.chars().all(letters) {
        let hint = "a letter, then letters, digits and _";
        return Err(("is no name of a variable".to_owned(), hint));
    }
    if RESERVED.contains(&name) {
        let hint = "templates have another value of that name";
        return Err(("is a word of templates".to_owned(), hint));
    }
    let kind = Kind::parse(&raw.kind).ok_or_else(|| {
        let hint = "known are bool, int, list, secret, table, text";
        (format!("type = \"{}\" is no type", raw.kind), hint)
    })?;
    let class = Class::parse(&raw.class).ok_or_else(|| {
        let hint = "known are public, site, credential, key";
        (format!("class = \"{}\" is no class", raw.class), hint)
    })?;
    let default = match (&raw.default, kind) {
        (None, _) => None,
        (Some(_), Kind::Secret) => {
            let what = "a secret has no default".to_owned();
            return Err((what, "set it for a scope or a device"));
        }
        (Some(value), _) => {
            let hint = "the default is of the variable's type";
            let value = from_toml(value).map_err(|what| (what, hint))?;
            kind.check(&value).map_err(|what| (what, hint))?;
            Some(value)
        }
    };
    Ok(Variable {
        kind,
        class,
        meaning: raw.meaning.clone(),
        default,
    })
}

/// A file as a text; one that is not UTF-8 is told.
pub(crate) fn text_of<'a>(
    files: &'a Files,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Option<&'a str> {
    let text = std::str::from_utf8(files.0.get(path)?);
    if text.is_err() {
        let what = "is not UTF-8".to_owned();
        problems.push(Problem::error(path, None, what, "save it as UTF-8"));
    }
    text.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_kind() {
        let text = |text: &str| Value::Text(text.to_owned());
        let table = BTreeMap::from([("a".to_owned(), Value::Bool(true))]);
        let cases = [
            (Kind::Bool, "yes", Some(Value::Bool(true))),
            (Kind::Bool, "maybe", None),
            (Kind::Int, "-3", Some(Value::Int(-3))),
            (Kind::Int, "3.5", None),
            (
                Kind::List,
                "a, b,",
                Some(Value::List(vec![text("a"), text("b")])),
            ),
            (Kind::List, "[1]", Some(Value::List(vec![Value::Int(1)]))),
            (Kind::List, "[1.5]", None),
            (Kind::Table, "{\"a\":true}", Some(Value::Table(table))),
            (Kind::Table, "[]", None),
            (Kind::Text, "7", Some(text("7"))),
            (Kind::Secret, "x", Some(text("x"))),
        ];
        for (kind, input, expect) in cases {
            assert_eq!(kind.read(input).ok(), expect, "{kind:?} {input}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        fn check(text: &str, line: usize, expect: &str) {
            let mut files = Files::default();
            files.0.insert(FILE.to_owned(), text.as_bytes().to_vec());
            let mut problems = Vec::new();
            parse(&files, &mut problems);
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let at = format!("{FILE}:{line}: ");
            assert!(
                told.iter()
                    .any(|told| told.starts_with(&at) && told.contains(expect)),
                "{told:?}"
            );
        }
        let ok = "[a]\ntype = \"text\"\nclass = \"public\"\nmeaning = \"\"\n";
        check(&format!("{ok}colour = 1\n"), 5, "unknown field `colour`");
        check(&ok.replace("text", "word"), 1, "is no type");
        check(&ok.replace("public", "open"), 1, "is no class");
        check(&format!("{ok}default = 3\n"), 1, "a text is wanted");
        check(
            &ok.replace("\"text\"", "\"secret\"\ndefault = \"x\""),
            1,
            "no default",
        );
        check(&ok.replace("[a]", "[lines]"), 1, "is a word of templates");
        check(&ok.replace("[a]", "[A-b]"), 1, "is no name");
    }

    #[test]
    fn an_unknown_name_is_told_with_the_nearest() {
        let mut files = Files::default();
        let text = "[sip_domain]\ntype = \"text\"\nclass = \"site\"\nmeaning = \"\"\n";
        files.0.insert(FILE.to_owned(), text.as_bytes().to_vec());
        let vocabulary = parse(&files, &mut Vec::new());
        let told = vocabulary.check("sip_domian", &Value::Bool(true));
        assert_eq!(
            told,
            Err("there is no variable sip_domian; did you mean sip_domain?".to_owned())
        );
        assert!(vocabulary.check("colour", &Value::Bool(true)).is_err());
    }
}
