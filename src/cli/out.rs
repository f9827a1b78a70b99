//! Stdout for data, stderr for messages. A closed pipe is no error: whoever read has enough.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::exit::Fail;

/// How output is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    /// One JSON document on stdout in place of text.
    pub(crate) json: bool,
    colour: bool,
}

/// A colour with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tint {
    Bad,
    Good,
    Plain,
    Warn,
}

impl Tint {
    /// The tint of a state, level or outcome word.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "active" | "green" | "pass" | "handed-over" => Self::Good,
            "served" | "stalled" | "yellow" | "warning" | "partial" => Self::Warn,
            "failed" | "red" | "error" | "fail" | "refused" => Self::Bad,
            _ => Self::Plain,
        }
    }
}

impl Out {
    /// Colour only on a terminal, and never with `NO_COLOR`.
    pub(crate) fn new(json: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            json,
            colour: wanted && io::stdout().is_terminal(),
        }
    }

    /// The word in its tint, where colour is on.
    pub(crate) fn tinted(self, word: &str, tint: Tint) -> String {
        let code = match tint {
            Tint::Bad => "31",
            Tint::Good => "32",
            Tint::Warn => "33",
            Tint::Plain => return word.to_owned(),
        };
        if self.colour {
            format!("\u{1b}[{code}m{word}\u{1b}[0m")
        } else {
            word.to_owned()
        }
    }

    /// A line of data.
    pub(crate) fn line(self, text: &str) -> Result<(), Fail> {
        self.raw(text.as_bytes()).and_then(|()| self.raw(b"\n"))
    }

    /// Data as it is.
    pub(crate) fn raw(self, bytes: &[u8]) -> Result<(), Fail> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(closed()),
            Err(error) => Err(Fail::failed("stdout", format!("cannot write: {error}"))),
        }
    }

    /// A JSON document: pretty for people, in one line for a pipe.
    pub(crate) fn document(self, value: &Value) -> Result<(), Fail> {
        let text = if io::stdout().is_terminal() {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        match text {
            Ok(text) => self.line(&text),
            Err(error) => Err(Fail::failed("internal", error)),
        }
    }

    /// A list: a JSON array, or a table of `columns` (head, JSON pointer).
    pub(crate) fn list(self, items: &[Value], columns: &[(&str, &str)]) -> Result<(), Fail> {
        if self.json {
            return self.document(&Value::Array(items.to_vec()));
        }
        if items.is_empty() {
            note("nothing to show");
            return Ok(());
        }
        self.line(&table(items, columns))
    }

    /// One record: a JSON object, or `key  value` lines of `columns`.
    pub(crate) fn record(self, item: &Value, columns: &[(&str, &str)]) -> Result<(), Fail> {
        if self.json {
            return self.document(item);
        }
        let width = columns.iter().map(|(head, _)| head.len()).max();
        for (head, pointer) in columns {
            let text = cell(item.pointer(pointer).unwrap_or(&Value::Null));
            if text != "-" {
                let width = width.unwrap_or(0);
                self.line(&format!("{head:width$}  {text}"))?;
            }
        }
        Ok(())
    }
}

/// The code of the failure that means "whoever reads has gone": `run` ends with 0 then.
pub(crate) const CLOSED: &str = "stdout-closed";

fn closed() -> Fail {
    Fail::failed(CLOSED, "nobody reads any more")
}

/// A table with a head, as columns apart by blanks.
pub(crate) fn table(items: &[Value], columns: &[(&str, &str)]) -> String {
    let mut builder = Builder::default();
    builder.push_record(columns.iter().map(|(head, _)| (*head).to_owned()));
    for item in items {
        builder.push_record(
            columns
                .iter()
                .map(|(_, pointer)| cell(item.pointer(pointer).unwrap_or(&Value::Null))),
        );
    }
    let mut table = builder.build();
    table.with(Style::blank());
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// A value as one cell; control characters are shown, never sent to the terminal.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(value) => if *value { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => printable(text),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Object(map) if map.is_empty() => "-".to_owned(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| format!("{}={}", printable(key), cell(value)))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// The text with control and direction characters escaped; line ends stay out as well.
pub(crate) fn printable(text: &str) -> String {
    crate::model::secret::Foreign::new(text.as_bytes()).to_string()
}

/// A message for the person.
pub(crate) fn note(text: &str) {
    let mut stderr = io::stderr().lock();
    // Nobody can be told that stderr is gone.
    drop(writeln!(stderr, "{text}"));
}

/// A failure for the person: what, where, what to do next.
pub(crate) fn failure(fail: &Fail) {
    note(&format!("dialtone: {}", fail.what));
    for detail in &fail.details {
        note(&format!("  {detail}"));
    }
    if !fail.next.is_empty() {
        note(&format!("  next: {}", fail.next));
    }
}

/// Asks yes or no on a terminal; without one the answer is yes, because a script cannot answer.
pub(crate) fn confirmed(question: &str) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return true;
    }
    let answer = ask(&format!("{question} [y/N] "));
    matches!(answer.as_deref(), Some("y" | "Y" | "yes"))
}

/// Asks for a line; `None` where nobody answers.
pub(crate) fn ask(question: &str) -> Option<String> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}").ok()?;
    stderr.flush().ok()?;
    drop(stderr);
    let mut answer = String::new();
    match io::stdin().read_line(&mut answer) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(answer.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cell_is_one_printable_line() {
        for (value, expect) in [
            (json!(null), "-"),
            (json!(""), "-"),
            (json!(true), "yes"),
            (json!(["a", 1]), "a,1"),
            (json!({"a": "b"}), "a=b"),
            (json!("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\u{a}"),
        ] {
            assert_eq!(cell(&value), expect);
        }
    }

    #[test]
    fn a_table_has_its_columns_in_order() {
        let items = [json!({"a": {"b": 1}, "c": "x"}), json!({"c": "long"})];
        let text = table(&items, &[("C", "/c"), ("B", "/a/b")]);
        assert_eq!(text, " C      B\n x      1\n long   -");
    }
}
