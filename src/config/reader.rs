//! Walks a TOML table key by key. Knows lines, remembers every problem, and tells the keys that
//! nobody asked for with the nearest one that somebody did.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Kind, Problem};

/// A value and the line that it stands in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) line: u32,
}

/// The file: its name, its line starts, and what is wrong in it so far.
pub(super) struct Source<'t> {
    file: &'t str,
    starts: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Source<'t> {
    pub(super) fn new(file: &'t str, text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            file,
            starts: breaks.map(|(at, _)| at + 1).collect(),
            problems: RefCell::new(Vec::new()),
        }
    }

    /// The file, as problems name it.
    pub(super) fn file(&self) -> &str {
        self.file
    }

    /// The line, from 1, of an offset.
    pub(super) fn line(&self, offset: usize) -> u32 {
        let before = self.starts.partition_point(|start| *start <= offset);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }

    pub(super) fn tell(&self, line: u32, kind: Kind, what: String, hint: &str) {
        self.problems.borrow_mut().push(Problem {
            file: self.file.to_owned(),
            line: Some(line),
            kind,
            what,
            hint: hint.to_owned(),
        });
    }

    /// Every problem, in the order of the lines.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        problems
    }
}

/// One table under reading.
pub(super) struct Reader<'s, 't> {
    source: &'s Source<'t>,
    table: &'s DeTable<'s>,
    /// `dhcp.` or empty.
    path: String,
    line: u32,
    asked: RefCell<Vec<&'static str>>,
}

impl<'s, 't> Reader<'s, 't> {
    pub(super) fn new(source: &'s Source<'t>, table: &'s DeTable<'s>) -> Self {
        Self {
            source,
            table,
            path: String::new(),
            line: 1,
            asked: RefCell::new(Vec::new()),
        }
    }

    /// The line of the table's head.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    fn find(&self, key: &'static str) -> Option<(&'s Spanned<DeValue<'s>>, u32)> {
        self.asked.borrow_mut().push(key);
        let (name, value) = self.table.get_key_value(key)?;
        Some((value, self.source.line(name.span().start)))
    }

    fn wrong(&self, line: u32, key: &str, wanted: &str, got: &DeValue<'_>) {
        let what = format!("{}{key} is {wanted}, not {}", self.path, kind_of(got));
        self.source.tell(line, Kind::WrongValue, what, "");
    }

    pub(super) fn text(&self, key: &'static str) -> Option<At<String>> {
        let (value, line) = self.find(key)?;
        // A bare TOML date is as good as its text: `until = 2027-03-31`.
        let date = value.get_ref().as_datetime().map(ToString::to_string);
        let Some(text) = value.get_ref().as_str().map(str::to_owned).or(date) else {
            self.wrong(line, key, "a text", value.get_ref());
            return None;
        };
        Some(At { value: text, line })
    }

    pub(super) fn bool(&self, key: &'static str) -> Option<At<bool>> {
        let (value, line) = self.find(key)?;
        let Some(value) = value.get_ref().as_bool() else {
            self.wrong(line, key, "true or false", value.get_ref());
            return None;
        };
        Some(At { value, line })
    }

    pub(super) fn number(&self, key: &'static str) -> Option<At<u32>> {
        let (value, line) = self.find(key)?;
        let number = value.get_ref().as_integer().and_then(|integer| {
            u32::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
        });
        let Some(value) = number else {
            self.wrong(line, key, "a whole number from 0 on", value.get_ref());
            return None;
        };
        Some(At { value, line })
    }

    /// A list of texts; one text alone stands for a list of one.
    pub(super) fn texts(&self, key: &'static str) -> Option<At<Vec<At<String>>>> {
        let (value, line) = self.find(key)?;
        if let Some(text) = value.get_ref().as_str() {
            let value = vec![At {
                value: text.to_owned(),
                line,
            }];
            return Some(At { value, line });
        }
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(line, key, "a list of texts", value.get_ref());
            return None;
        };
        let mut list = Vec::new();
        for item in array.iter() {
            let line = self.source.line(item.span().start);
            match item.get_ref().as_str() {
                Some(text) => list.push(At {
                    value: text.to_owned(),
                    line,
                }),
                None => self.wrong(line, key, "a list of texts", item.get_ref()),
            }
        }
        Some(At { value: list, line })
    }

    /// The tables of `[[key]]`, or of an inline list of tables.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Self> {
        let Some((value, line)) = self.find(key) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(line, key, "a list of tables", value.get_ref());
            return Vec::new();
        };
        let mut list = Vec::new();
        for item in array.iter() {
            let line = self.source.line(item.span().start);
            match item.get_ref().as_table() {
                Some(table) => list.push(self.inner(key, table, line)),
                None => self.wrong(line, key, "a list of tables", item.get_ref()),
            }
        }
        list
    }

    /// The table of `[key]`.
    pub(super) fn table(&self, key: &'static str) -> Option<Self> {
        let (value, line) = self.find(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(line, key, "a table", value.get_ref());
            return None;
        };
        Some(self.inner(key, table, line))
    }

    fn inner(&self, key: &str, table: &'s DeTable<'s>, line: u32) -> Self {
        Self {
            source: self.source,
            table,
            path: format!("{}{key}.", self.path),
            line,
            asked: RefCell::new(Vec::new()),
        }
    }

    /// Every key of a table whose keys are free (`options = { 42 = "…" }`) with its text.
    pub(super) fn free(self) -> Vec<(String, At<String>)> {
        let mut pairs = Vec::new();
        for (name, value) in self.table {
            let line = self.source.line(name.span().start);
            match value.get_ref().as_str() {
                Some(text) => pairs.push((
                    name.get_ref().to_string(),
                    At {
                        value: text.to_owned(),
                        line,
                    },
                )),
                None => self.wrong(line, name.get_ref(), "a text", value.get_ref()),
            }
        }
        pairs
    }

    /// Tells the keys that nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.into_inner();
        for name in self.table.keys() {
            let key: &str = name.get_ref();
            if asked.contains(&key) {
                continue;
            }
            let line = self.source.line(name.span().start);
            let what = format!("no key {}{key}", self.path);
            let hint = match nearest(key, &asked) {
                Some(near) => format!("did you mean {}{near}?", self.path),
                None => format!("known here: {}", asked.join(", ")),
            };
            self.source.tell(line, Kind::UnknownKey, what, &hint);
        }
    }
}

/// The known word that is nearest to `word`, if one is near at all.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let closeness = |near: &str| strsim::jaro_winkler(word, near);
    known
        .iter()
        .copied()
        .filter(|near| closeness(near) > 0.75)
        .max_by(|a, b| closeness(a).total_cmp(&closeness(b)))
}

fn kind_of(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {:?}", shortened(text)),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(_) => "a number with a point".to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
