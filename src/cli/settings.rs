//! `NAME=VALUE` words: variables by the vocabulary's types, and a unit's lines.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::client::Call;
use super::exit::Fail;
use super::globals::{Session, read_file};

/// What `--set`, `--set-file` and `--unset` say.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Settings {
    /// A variable, or line.N.FIELD with FIELD user, auth, password, pbx, server, display, label,
    /// port, handset, shared or enabled
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// The same, the value from a file (- is stdin): keeps secrets off the command line
    #[arg(long, value_name = "NAME=FILE", value_parser = pair)]
    set_file: Vec<(String, String)>,
    /// Take a variable away, or a line with line.N
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
}

/// Splits `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("not of the form NAME=VALUE".to_owned()),
    }
}

impl Settings {
    /// With more pairs after those of `--set`.
    pub(super) fn and(mut self, pairs: Vec<(String, String)>) -> Self {
        self.set.extend(pairs);
        self
    }

    /// Every `NAME=VALUE`, files read.
    fn pairs(&self) -> Result<Vec<(String, String)>, Fail> {
        let mut pairs = self.set.clone();
        for (name, file) in &self.set_file {
            let bytes = read_file(&PathBuf::from(file))?;
            let text = String::from_utf8(bytes).map_err(|_| {
                Fail::usage("value-invalid", format!("{file} is not a text in UTF-8"))
            })?;
            pairs.push((name.clone(), text.trim_end_matches(['\r', '\n']).to_owned()));
        }
        Ok(pairs)
    }

    /// Only variables: for `var`. `None` values take one away.
    pub(super) fn variables(&self, session: &Session) -> Result<Map<String, Value>, Fail> {
        let (variables, lines) = self.both(session)?;
        match lines.first() {
            Some(_) => Err(Fail::usage("value-invalid", "lines belong to devices only")),
            None => Ok(variables),
        }
    }

    /// Adds `variables` and `lines` to the body of a device, where something was said of them.
    pub(super) fn put_into(
        &self,
        session: &Session,
        body: &mut Map<String, Value>,
    ) -> Result<(), Fail> {
        let (variables, lines) = self.both(session)?;
        if !variables.is_empty() {
            body.insert("variables".to_owned(), Value::Object(variables));
        }
        if !lines.is_empty() {
            body.insert("lines".to_owned(), Value::Array(lines));
        }
        Ok(())
    }

    fn both(&self, session: &Session) -> Result<(Map<String, Value>, Vec<Value>), Fail> {
        let mut variables = Map::new();
        let mut lines = Lines::default();
        let pairs = self.pairs()?;
        let plain = |(name, _): &&(String, String)| line_field(name).is_none();
        let types = match pairs.iter().find(plain) {
            Some(_) => vocabulary(session)?,
            None => Map::new(),
        };
        for (name, value) in pairs {
            match line_field(&name) {
                Some((n, field)) => lines.set(n, field, &value)?,
                None => {
                    let kind = types.get(&name).and_then(Value::as_str).unwrap_or("text");
                    let value = typed(&name, kind, &value)?;
                    variables.insert(name, value);
                }
            }
        }
        for name in &self.unset {
            match name.strip_prefix("line.").map(str::parse::<u16>) {
                Some(Ok(n)) => lines.0.push(json!({"n": n, "remove": true})),
                Some(Err(_)) | None => {
                    variables.insert(name.clone(), Value::Null);
                }
            }
        }
        Ok((variables, lines.0))
    }
}

/// Names of variables and their types.
fn vocabulary(session: &Session) -> Result<Map<String, Value>, Fail> {
    let items = session.list(&Call::to(&["vocabulary"]), None)?;
    let pairs = items.into_iter().filter_map(|item| {
        let name = item.get("name")?.as_str()?.to_owned();
        Some((name, item.get("type")?.clone()))
    });
    Ok(pairs.collect())
}

/// A text as a value of the vocabulary's type.
fn typed(name: &str, kind: &str, text: &str) -> Result<Value, Fail> {
    let wrong = |wanted: &str| {
        Err(Fail::usage(
            "value-invalid",
            format!("{name} is {wanted}, not {text:?}"),
        ))
    };
    match kind {
        "bool" => match text {
            "true" | "yes" | "on" | "1" => Ok(json!(true)),
            "false" | "no" | "off" | "0" => Ok(json!(false)),
            _ => wrong("true or false"),
        },
        "int" => match text.parse::<i64>() {
            Ok(number) => Ok(json!(number)),
            Err(_) => wrong("a whole number"),
        },
        kind if kind.starts_with("list") => {
            if text.starts_with('[') {
                return serde_json::from_str(text).or_else(|_| wrong("a list"));
            }
            let items = text.split(',').map(str::trim);
            Ok(items.filter(|item| !item.is_empty()).collect())
        }
        _ => Ok(json!(text)),
    }
}

/// The line and the field that a name means, as in `line.2.password`.
fn line_field(name: &str) -> Option<(u16, &str)> {
    const FIELDS: [&str; 11] = [
        "user", "auth", "password", "pbx", "server", "display", "label", "port", "handset",
        "shared", "enabled",
    ];
    let (n, field) = name.strip_prefix("line.")?.split_once('.')?;
    let n = n.parse().ok()?;
    FIELDS.contains(&field).then_some((n, field))
}

#[derive(Default)]
struct Lines(Vec<Value>);

impl Lines {
    fn set(&mut self, n: u16, field: &str, text: &str) -> Result<(), Fail> {
        let name = format!("line.{n}.{field}");
        let value = match field {
            "port" | "handset" => typed(&name, "int", text)?,
            "shared" | "enabled" => typed(&name, "bool", text)?,
            _ => json!(text),
        };
        let at = self
            .0
            .iter()
            .position(|line| line.get("n") == Some(&json!(n)));
        let at = at.unwrap_or(self.0.len());
        if at == self.0.len() {
            self.0.push(json!({"n": n}));
        }
        if let Some(Value::Object(line)) = self.0.get_mut(at) {
            line.insert(field.to_owned(), value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_follow_the_vocabulary() {
        #[expect(clippy::needless_pass_by_value, reason = "short calls")]
        fn check(kind: &str, text: &str, expect: Option<Value>) {
            assert_eq!(expect, typed("x", kind, text).ok(), "{kind} {text}");
        }
        check("bool", "yes", Some(json!(true)));
        check("bool", "maybe", None);
        check("int", "-3", Some(json!(-3)));
        check("int", "3.5", None);
        check("list", "a, b,", Some(json!(["a", "b"])));
        check("list", "[\"a,b\"]", Some(json!(["a,b"])));
        check("secret", "true", Some(json!("true")));
        check("text", "", Some(json!("")));
    }

    #[test]
    fn a_name_is_a_line_field_or_a_variable() {
        assert_eq!(line_field("line.2.password"), Some((2, "password")));
        assert_eq!(line_field("line.x.password"), None);
        assert_eq!(line_field("line.1.colour"), None);
        assert_eq!(line_field("locale"), None);
    }

    #[test]
    fn a_line_is_one_object() {
        let mut lines = Lines::default();
        lines.set(1, "user", "214").expect("a text");
        lines.set(2, "user", "215").expect("a text");
        lines.set(1, "port", "5060").expect("a number");
        assert_eq!(
            lines.0,
            [
                json!({"n": 1, "user": "214", "port": 5060}),
                json!({"n": 2, "user": "215"})
            ]
        );
        assert!(lines.set(1, "shared", "perhaps").is_err());
    }
}
