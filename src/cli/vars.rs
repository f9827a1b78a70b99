//! `var …`: variables of everything in a scope.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals, Session};
use super::settings::{Settings, pair};

/// `var …`.
#[derive(Args, Debug)]
pub(super) struct Var {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Every value that people set, by scope
    List,
    /// The vocabulary: every variable with its type, class and meaning
    Vocabulary,
    /// The values of one scope
    Show {
        #[command(flatten)]
        scope: Scope,
    },
    /// Set values; what is not named stays
    #[command(visible_alias = "add")]
    Set(Set),
    /// Take values away
    Remove {
        #[command(flatten)]
        scope: Scope,
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

#[derive(Args, Debug)]
struct Scope {
    /// global, tenant, site:NAME, group:NAME or user:NAME
    #[arg(long, default_value = "global", value_parser = scope)]
    scope: (String, String),
}

#[derive(Args, Debug)]
struct Set {
    #[command(flatten)]
    scope: Scope,
    /// NAME=VALUE
    #[arg(value_name = "NAME=VALUE", value_parser = pair)]
    values: Vec<(String, String)>,
    #[command(flatten)]
    settings: Settings,
    /// Check everything and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Layer and name of a scope; `_` where the layer has no names.
fn scope(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        None if matches!(text, "global" | "tenant") => Ok((text.to_owned(), "_".to_owned())),
        Some((layer @ ("site" | "group" | "user"), name)) if !name.is_empty() => {
            Ok((layer.to_owned(), name.to_owned()))
        }
        Some(_) | None => Err("not global, tenant, site:NAME, group:NAME or user:NAME".to_owned()),
    }
}

impl Scope {
    fn call(&self) -> Call {
        Call::to(&["vars", &self.scope.0, &self.scope.1])
    }
}

impl Var {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        match self.verb {
            Verb::List => {
                let scopes = session.list(&Call::to(&["vars"]), None)?;
                session.out.list(
                    &scopes,
                    &[
                        ("LAYER", "/layer"),
                        ("NAME", "/name"),
                        ("VARIABLES", "/variables"),
                        ("CHANGED", "/changed_at"),
                    ],
                )?;
            }
            Verb::Vocabulary => {
                let words = session.list(&Call::to(&["vocabulary"]), None)?;
                session.out.list(
                    &words,
                    &[
                        ("NAME", "/name"),
                        ("TYPE", "/type"),
                        ("CLASS", "/class"),
                        ("DEFAULT", "/default"),
                        ("MEANING", "/meaning"),
                    ],
                )?;
            }
            Verb::Show { scope } => show(&session, &session.get(&scope.call())?)?,
            Verb::Set(set) => {
                let settings = set.settings.and(set.values);
                let variables = settings.variables(&session)?;
                if variables.is_empty() {
                    return Err(Fail::usage("missing-field", "no NAME=VALUE was given"));
                }
                let call = set.scope.call().flag("dry_run", set.dry_run);
                let body = json!({"variables": variables});
                show(&session, &session.send(Method::PATCH, &call, Some(&body))?)?;
            }
            Verb::Remove { scope, names } => {
                let gone: Map<String, Value> =
                    names.into_iter().map(|name| (name, Value::Null)).collect();
                let body = json!({"variables": gone});
                let changed = session.send(Method::PATCH, &scope.call(), Some(&body))?;
                show(&session, &changed)?;
            }
        }
        DONE
    }
}

fn show(session: &Session, scope: &Value) -> Result<(), Fail> {
    if session.out.json {
        return session.out.document(scope);
    }
    let variables = scope.get("variables").and_then(Value::as_object);
    let rows: Vec<Value> = variables
        .into_iter()
        .flatten()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    session
        .out
        .list(&rows, &[("NAME", "/name"), ("VALUE", "/value")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_layer_and_a_name() {
        let of = |layer: &str, name: &str| Ok((layer.to_owned(), name.to_owned()));
        assert_eq!(scope("global"), of("global", "_"));
        assert_eq!(scope("site:hq"), of("site", "hq"));
        for bad in ["site", "site:", "device:x", "global:x", ""] {
            assert!(scope(bad).is_err(), "{bad}");
        }
    }
}
