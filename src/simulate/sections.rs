//! JSON with sections: plugins that are fetched and run, a configuration that is fetched and kept,
//! gone through in the order of their names.

use serde_json::{Map, Value};

use super::belief::Belief;
use super::conduct::ScriptRules;
use super::run::Cut;
use super::script::{Ended, Shell};
use super::story::{Purpose, Story};
use super::unit::Unit;

/// The most runs of a plugin that wants to be run again.
const MOST: usize = 60;

/// What became of all sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Each ended well.
    Done,
    /// One failed, and everything begins anew.
    Anew,
    /// One failed, and that is the end.
    Over,
    /// It is none of these files.
    Unreadable,
    Left,
}

/// What became of one section.
enum Part {
    Done,
    Failed,
    Left,
}

impl Unit {
    pub(super) async fn play_sections(
        &mut self,
        rules: &ScriptRules,
        body: &[u8],
        belief: &Belief,
        story: &mut Story,
    ) -> Result<Outcome, Cut> {
        let root: Option<Value> = serde_json::from_slice(body).ok();
        let root = root.as_ref().and_then(|root| root.get("ztp")?.as_object());
        let Some(root) = root.cloned() else {
            story.made_unreadable("no JSON with a key ztp".to_owned());
            return Ok(Outcome::Unreadable);
        };
        let mut failed = false;
        let mut names: Vec<&String> = root.keys().collect();
        names.sort();
        for name in names {
            let Some(section) = root.get(name).and_then(Value::as_object) else {
                continue;
            };
            let part = self.play_section(rules, name, section, belief, story);
            match part.await? {
                Part::Done => {}
                Part::Left => return Ok(Outcome::Left),
                Part::Failed => {
                    story.notes.push(format!("the section {name} failed"));
                    failed |= !is(section, "ignore-result");
                    if is(section, "halt-on-failure") {
                        break;
                    }
                }
            }
        }
        Ok(match (failed, is(&root, "restart-ztp-on-failure")) {
            (false, _) => Outcome::Done,
            (true, true) => Outcome::Anew,
            (true, false) => Outcome::Over,
        })
    }

    async fn play_section(
        &mut self,
        rules: &ScriptRules,
        name: &str,
        section: &Map<String, Value>,
        belief: &Belief,
        story: &mut Story,
    ) -> Result<Part, Cut> {
        let kind = name.trim_start_matches(|ch: char| ch.is_ascii_digit() || ch == '-');
        if let Some(plugin) = section.get("plugin") {
            let Some(script) = self.fetched(plugin, belief, story).await? else {
                return Ok(Part::Failed);
            };
            let Ok(text) = String::from_utf8(script) else {
                return Ok(Part::Failed);
            };
            let again = section.get("suspend-exit-code").and_then(Value::as_i64);
            for _ in 0..MOST {
                let ended = Box::pin(Shell::new(self, story).play(&text)).await;
                return Ok(match ended {
                    Ended::With(0) | Ended::Reload | Ended::Stopped => Part::Done,
                    Ended::With(code) if Some(i64::from(code)) == again => continue,
                    Ended::Cut => return Err(Cut),
                    Ended::Left => Part::Left,
                    Ended::Confused(why) => {
                        story.notes.push(format!("the plugin: {why}"));
                        Part::Failed
                    }
                    Ended::With(_) => Part::Failed,
                });
            }
            return Ok(Part::Failed);
        }
        if kind != "configdb-json" {
            story
                .notes
                .push(format!("the section {name} is not played"));
            return Ok(Part::Done);
        }
        let source = section.get("url").unwrap_or(&Value::Null);
        let Some(file) = self.fetched(source, belief, story).await? else {
            return Ok(Part::Failed);
        };
        if serde_json::from_slice::<Map<String, Value>>(&file).is_err() {
            story.made_unreadable("no JSON object".to_owned());
            return Ok(Part::Failed);
        }
        let clears = section.get("clear-config").is_none_or(|value| !no(value));
        if clears || is(section, "save-config") {
            let name = rules.configuration.clone();
            self.flash.files.insert(name, file);
        }
        Ok(Part::Done)
    }

    /// What a URL of the file names: a text, or `url` or `source` within an object.
    async fn fetched(
        &mut self,
        value: &Value,
        belief: &Belief,
        story: &mut Story,
    ) -> Result<Option<Vec<u8>>, Cut> {
        let mut value = value;
        for _ in 0..3 {
            let inner = value.get("url").or_else(|| value.get("source"));
            value = inner.unwrap_or(value);
        }
        let Some(url) = value.as_str() else {
            return Ok(None);
        };
        let headers = self.own_headers();
        let purpose = Purpose::Script;
        let body = self.get(url, purpose, &headers, belief, story).await?;
        Ok(body.ok())
    }
}

fn is(section: &Map<String, Value>, name: &str) -> bool {
    match section.get(name) {
        Some(Value::Bool(value)) => *value,
        Some(Value::String(value)) => value == "true",
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

fn no(value: &Value) -> bool {
    *value == Value::Bool(false) || *value == Value::String("false".to_owned())
}

/// The leaves of a JSON object: `A/B/C` and the value.
pub(super) fn leaves(bytes: &[u8]) -> Vec<(String, String)> {
    let Ok(root) = serde_json::from_slice::<Value>(bytes) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut open = vec![(String::new(), root)];
    while let Some((path, value)) = open.pop() {
        let below = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}/{name}")
            }
        };
        match value {
            Value::Object(items) => {
                open.extend(items.into_iter().map(|(name, item)| (below(&name), item)));
            }
            Value::Array(items) => {
                let numbered = items.into_iter().enumerate();
                open.extend(numbered.map(|(at, item)| (below(&at.to_string()), item)));
            }
            Value::String(text) => found.push((path, text)),
            Value::Null => found.push((path, String::new())),
            Value::Bool(value) => found.push((path, value.to_string())),
            Value::Number(value) => found.push((path, value.to_string())),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn leaves_are_named_by_their_path() {
        let mut found = leaves(br#"{"A":{"b|c":{"d":"1"},"e":true},"F":[2,null]}"#);
        found.sort();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            found,
            [
                pair("A/b|c/d", "1"),
                pair("A/e", "true"),
                pair("F/0", "2"),
                pair("F/1", "")
            ]
        );
        assert!(leaves(b"<html>").is_empty());
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            drop(leaves(&bytes));
        }
    }
}
