//! Patterns (manifest.md section 2): one text that matches a whole text, and formats one.
//!
//! A pattern becomes a regular expression of the `regex` crate, so matching takes linear time
//! whatever a stranger sends.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

use self::ends::{Ends, Said, table_of};
use super::manifest::{Table, fold};
use crate::model::identity::Mac;

/// Beginnings that one pattern is written out for; what more it says of its beginning is left out.
const MOST_BEGINNINGS: usize = 64;

/// What the holes of a pattern may stand for: the vendor's models, aliases and tables.
#[derive(Debug, Default)]
pub struct Names<'a> {
    /// Listed spelling by every accepted spelling (models and aliases).
    pub models: BTreeMap<String, String>,
    pub tables: Option<&'a BTreeMap<String, Table>>,
}

/// Where a pattern is matched: in a path a run never holds `/`, and a model must be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    Path,
    Text,
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: String,
    nocase: bool,
    parts: Vec<Part>,
    ends: Ends,
    regex: Regex,
    /// It matches the empty text.
    takes_nothing: bool,
    /// The hole of each capture group, in order.
    groups: Vec<Hole>,
    models: BTreeMap<String, String>,
    tables: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Hole(Hole),
    Literal(String),
    Optional(Vec<Self>),
}

/// A hole and its form.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hole {
    name: String,
    form: String,
}

/// What a pattern found. Fields that have no hole, or whose hole was absent, are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub mac: Option<Mac>,
    pub serial: Option<String>,
    /// The listed spelling where the model is listed.
    pub model: Option<String>,
    /// Several models of one family that a table's key stands for.
    pub models: Vec<String>,
    pub firmware: Option<String>,
    pub hardware: Option<String>,
    pub part: Option<String>,
    pub user: Option<String>,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("`{0}` is opened and not closed")]
    Unclosed(char),
    #[error("`{0}` closes nothing; write it twice to mean itself")]
    Unopened(char),
    #[error("there is no hole `{{{0}}}`")]
    Hole(String),
    #[error("there is no table `{0}`")]
    Table(String),
    #[error("`{0}` is no run of character classes")]
    Class(String),
    #[error("the pattern grows too large")]
    Size,
}

const HEX: &str = "[0-9A-Fa-f]";
const MAC_FORMS: [&str; 9] = [
    "",
    "lower",
    "upper",
    "colon",
    "dash",
    "under",
    "upper-dash",
    "upper-colon",
    "dash4",
];
const MODEL_FORMS: [&str; 4] = ["", "lower", "upper", "lower-under"];

impl Pattern {
    /// Reads a pattern; `nocase` ignores case everywhere.
    pub fn parse(
        text: &str,
        ground: Ground,
        nocase: bool,
        names: &Names<'_>,
    ) -> Result<Self, PatternError> {
        let mut chars = text.chars().peekable();
        let parts = pieces(&mut chars, false)?;
        let mut builder = Builder {
            ground,
            names,
            groups: Vec::new(),
            regex: String::new(),
        };
        builder.write(&parts)?;
        let regex = RegexBuilder::new(&format!("^(?:{})$", builder.regex))
            .case_insensitive(nocase)
            .dot_matches_new_line(true)
            .size_limit(4 << 20)
            .build()
            .map_err(|_| PatternError::Size)?;
        let tables = names.tables.map(|tables| {
            tables
                .iter()
                .map(|(name, table)| (name.clone(), table.0.clone()))
                .collect()
        });
        Ok(Self {
            source: text.to_owned(),
            nocase,
            ends: Ends::of(&parts, ground, nocase),
            parts,
            takes_nothing: regex.is_match(""),
            regex,
            groups: builder.groups,
            models: names
                .models
                .iter()
                .map(|(said, listed)| (fold(said), listed.clone()))
                .collect(),
            tables: tables.unwrap_or_default(),
        })
    }

    /// The pattern as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it matches where there is nothing.
    pub(super) fn takes_nothing(&self) -> bool {
        self.takes_nothing
    }

    /// The octets that a text which it matches may begin with; none where that may be any.
    pub(super) fn first(&self) -> Vec<u8> {
        self.cases(self.ends.first())
    }

    /// Those that it may end with.
    pub(super) fn last(&self) -> Vec<u8> {
        self.cases(self.ends.last())
    }

    fn cases(&self, octet: Option<u8>) -> Vec<u8> {
        let mut octets = Vec::from_iter(octet);
        if self.nocase {
            octets.extend(octet.map(|octet| octet.to_ascii_lowercase()));
            octets.extend(octet.map(|octet| octet.to_ascii_uppercase()));
        }
        octets.sort_unstable();
        octets.dedup();
        octets
    }

    /// Matches the whole of `text`. A hole that stands twice must hold the same both times; an
    /// all-zero, broadcast or multicast address is no MAC.
    pub fn find(&self, text: &str) -> Option<Found> {
        let (groups, models, tables) = (&self.groups, &self.models, &self.tables);
        let mut found = Found::default();
        match self.ends.say(text, self.nocase, groups, models, tables) {
            Said::No => return None,
            Said::Held(held) => {
                if let Some(hole) = groups.first() {
                    self.take(hole, held, &mut found)?;
                }
            }
            Said::Open => {
                let captures = self.regex.captures(text)?;
                for (at, hole) in groups.iter().enumerate() {
                    if let Some(held) = captures.get(at + 1) {
                        self.take(hole, held.as_str(), &mut found)?;
                    }
                }
            }
        }
        Some(found)
    }

    /// What stands in one hole.
    fn take(&self, hole: &Hole, held: &str, found: &mut Found) -> Option<()> {
        match hole.name.as_str() {
            "mac" => {
                let mac = Mac::parse(held).ok()?;
                if found.mac.replace(mac).is_some_and(|other| other != mac) {
                    return None;
                }
            }
            "model" => {
                let listed = self.models.get(&fold(held)).cloned();
                same(&mut found.model, &listed.unwrap_or_else(|| held.to_owned()))?;
            }
            "serial" => same(&mut found.serial, held)?,
            "firmware" if hole.form == "under" => {
                same(&mut found.firmware, &held.replace('_', "."))?
            }
            "firmware" => same(&mut found.firmware, held)?,
            "hardware" => same(&mut found.hardware, held)?,
            "part" => same(&mut found.part, held)?,
            "user" => same(&mut found.user, held)?,
            table => {
                let models = self.tables.get(table_of(table));
                let models = models.and_then(|table| table.get(held));
                match models.map(Vec::as_slice) {
                    Some([one]) => same(&mut found.model, one)?,
                    Some(several) => found.models = several.to_vec(),
                    None => {}
                }
            }
        }
        Some(())
    }

    /// What a text that it matches begins with: up to the first hole but the model's, which is
    /// `model`, with and without each literal that may stand there. Where case does not count, as
    /// written and in either case.
    pub fn beginnings(&self, model: Option<&str>) -> Vec<String> {
        let mut texts = vec![String::new()];
        for part in &self.parts {
            match (part, model) {
                (Part::Literal(literal), _) => {
                    texts.iter_mut().for_each(|text| text.push_str(literal));
                }
                (Part::Hole(hole), Some(model)) if hole.name == "model" => {
                    let found = Found {
                        model: Some(model.to_owned()),
                        ..Found::default()
                    };
                    let written = written(&hole.name, &hole.form, &found).unwrap_or_default();
                    texts.iter_mut().for_each(|text| text.push_str(&written));
                }
                (Part::Optional(parts), _) => match parts.as_slice() {
                    // Each one doubles them.
                    [Part::Literal(literal)] if texts.len() < MOST_BEGINNINGS => {
                        let with: Vec<String> = texts
                            .iter()
                            .map(|text| format!("{text}{literal}"))
                            .collect();
                        texts.extend(with);
                    }
                    _ => break,
                },
                (Part::Hole(_), _) => break,
            }
        }
        // What begins with a shorter one is said by it.
        texts.sort_unstable();
        texts.dedup_by(|longer, text| longer.starts_with(text.as_str()));
        let mut all = texts.clone();
        for text in texts.iter().filter(|_| self.nocase) {
            all.extend([text.to_uppercase(), text.to_lowercase()]);
            // The first word as a name, and in capitals; the rest as it was.
            let (word, rest) = match text.split_once(' ') {
                Some((word, rest)) => (word, format!(" {rest}")),
                None => (text.as_str(), String::new()),
            };
            let (first, letters) = word.split_at_checked(1).unwrap_or(("", word));
            let named = format!("{}{}{rest}", first.to_uppercase(), letters.to_lowercase());
            let loud = format!("{}{rest}", word.to_uppercase());
            all.extend([named, loud]);
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The text that one ends in, where anything may stand before it, and nothing else is asked for.
    pub fn ending(&self) -> Option<&str> {
        let any = |part: &Part| matches!(part, Part::Hole(hole) if hole.name == "_");
        match self.parts.as_slice() {
            [Part::Optional(parts), Part::Literal(text)] => match parts.as_slice() {
                [part] if any(part) => Some(text),
                _ => None,
            },
            [part, Part::Literal(text)] if any(part) => Some(text),
            _ => None,
        }
    }

    /// Whether the pattern holds a hole that names one unit.
    pub fn names_unit(&self) -> bool {
        self.groups
            .iter()
            .any(|hole| matches!(hole.name.as_str(), "mac" | "serial"))
    }

    /// Writes the text that the pattern stands for. `None` where a value is missing, or where the
    /// pattern has a hole that cannot be formatted. Optional parts are left out.
    pub fn format(&self, values: &Found) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Optional(_) => {}
                Part::Hole(hole) => text.push_str(&self.form(hole, values)?),
            }
        }
        Some(text)
    }

    fn form(&self, hole: &Hole, values: &Found) -> Option<String> {
        match hole.name.strip_prefix("model@") {
            Some(table) => {
                let keys = self.tables.get(table)?;
                let model = values.model.as_ref()?;
                keys.iter()
                    .find(|(_, models)| models.contains(model))
                    .map(|(key, _)| key.clone())
            }
            None => written(&hole.name, &hole.form, values),
        }
    }
}

/// What a hole's value looks like in its form; `None` where the value is missing, or where there
/// is no such hole.
pub fn written(hole: &str, form: &str, values: &Found) -> Option<String> {
    Some(match (hole, form) {
        ("mac", form) => mac_form(values.mac?, form),
        ("model", "lower") => values.model.as_ref()?.to_lowercase(),
        ("model", "upper") => values.model.as_ref()?.to_uppercase(),
        ("model", "lower-under") => values
            .model
            .as_ref()?
            .to_lowercase()
            .replace(['-', ' '], "_"),
        ("model", _) => values.model.clone()?,
        ("serial", _) => values.serial.clone()?,
        ("firmware", "under") => values.firmware.as_ref()?.replace('.', "_"),
        ("firmware", _) => values.firmware.clone()?,
        ("hardware", _) => values.hardware.clone()?,
        ("part", _) => values.part.clone()?,
        ("user", _) => values.user.clone()?,
        ("ws", _) => " ".to_owned(),
        (_, _) => return None,
    })
}

fn same(slot: &mut Option<String>, held: &str) -> Option<()> {
    match slot {
        Some(other) if other != held => None,
        Some(_) => Some(()),
        None => {
            *slot = Some(held.to_owned());
            Some(())
        }
    }
}

fn mac_form(mac: Mac, form: &str) -> String {
    match form {
        "upper" => mac.bare().to_uppercase(),
        "colon" => mac.joined(":"),
        "dash" => mac.joined("-"),
        "under" => mac.joined("_"),
        "upper-dash" => mac.joined("-").to_uppercase(),
        "upper-colon" => mac.joined(":").to_uppercase(),
        "dash4" => {
            let [a, b, c, d, e, f] = mac.octets();
            format!("{a:02x}{b:02x}-{c:02x}{d:02x}-{e:02x}{f:02x}")
        }
        _ => mac.bare(),
    }
}

fn pieces(chars: &mut Peekable<Chars<'_>>, inside: bool) -> Result<Vec<Part>, PatternError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    while let Some(ch) = chars.next() {
        let doubled = matches!(ch, '{' | '}' | '[' | ']') && chars.peek() == Some(&ch);
        if doubled && !(ch == ']' && inside) {
            chars.next();
            literal.push(ch);
            continue;
        }
        match ch {
            '{' => {
                flush(&mut literal, &mut parts);
                parts.push(Part::Hole(hole(chars)?));
            }
            '[' => {
                flush(&mut literal, &mut parts);
                parts.push(Part::Optional(pieces(chars, true)?));
            }
            ']' if inside => {
                flush(&mut literal, &mut parts);
                return Ok(parts);
            }
            '}' | ']' => return Err(PatternError::Unopened(ch)),
            _ => literal.push(ch),
        }
    }
    if inside {
        return Err(PatternError::Unclosed('['));
    }
    flush(&mut literal, &mut parts);
    Ok(parts)
}

fn flush(literal: &mut String, parts: &mut Vec<Part>) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal)));
    }
}

/// Reads to the brace that closes the hole; a form may hold counts of its own.
fn hole(chars: &mut Peekable<Chars<'_>>) -> Result<Hole, PatternError> {
    let mut depth = 1_u32;
    let mut text = String::new();
    for ch in chars.by_ref() {
        match ch {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let (name, form) = text.split_once(':').unwrap_or((&text, ""));
            return Ok(Hole {
                name: name.to_owned(),
                form: form.to_owned(),
            });
        }
        text.push(ch);
    }
    Err(PatternError::Unclosed('{'))
}

struct Builder<'a> {
    ground: Ground,
    names: &'a Names<'a>,
    groups: Vec<Hole>,
    regex: String,
}

impl Builder<'_> {
    fn write(&mut self, parts: &[Part]) -> Result<(), PatternError> {
        for part in parts {
            match part {
                Part::Literal(literal) => self.regex.push_str(&regex::escape(literal)),
                Part::Optional(inner) => {
                    self.regex.push_str("(?:");
                    self.write(inner)?;
                    self.regex.push_str(")?");
                }
                Part::Hole(hole) => self.hole(hole)?,
            }
        }
        Ok(())
    }

    fn hole(&mut self, hole: &Hole) -> Result<(), PatternError> {
        let run = match self.ground {
            Ground::Path => r"[^\s/]+?",
            Ground::Text => r"\S+?",
        };
        let wrong = || PatternError::Hole(format!("{}:{}", hole.name, hole.form));
        let class = match (hole.name.as_str(), hole.form.as_str()) {
            ("_", "") => {
                self.regex.push_str(".*?");
                return Ok(());
            }
            ("ws", "") => {
                self.regex.push_str(r"[ \t]+");
                return Ok(());
            }
            ("mac", form) if MAC_FORMS.contains(&form) => mac_class(),
            ("model", form) if MODEL_FORMS.contains(&form) => self.model_class(run),
            ("serial", class) if !class.is_empty() => counted(class)?,
            ("firmware", "" | "under") | ("serial" | "hardware" | "part" | "user", "") => {
                run.to_owned()
            }
            (name, "") if name.starts_with("model@") => self.table_class(name)?,
            _ => return Err(wrong()),
        };
        self.groups.push(hole.clone());
        write!(self.regex, "({class})").map_err(|_| PatternError::Size)
    }

    fn model_class(&self, run: &str) -> String {
        let mut spellings: Vec<&String> = self.names.models.keys().collect();
        spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
        let mut class = String::from("(?i:");
        for (at, spelling) in spellings.iter().enumerate() {
            if at > 0 {
                class.push('|');
            }
            let letters: Vec<String> = fold(spelling)
                .chars()
                .map(|ch| regex::escape(&ch.to_string()))
                .collect();
            class.push_str(&letters.join("[ _-]*"));
        }
        class.push(')');
        match (self.ground, spellings.is_empty()) {
            // No model is listed: a path can name none.
            (Ground::Path, true) => r"[^\s\S]".to_owned(),
            (Ground::Path, false) => class,
            (Ground::Text, true) => run.to_owned(),
            (Ground::Text, false) => format!("{class}|{run}"),
        }
    }

    fn table_class(&self, name: &str) -> Result<String, PatternError> {
        let name = table_of(name);
        let table = self.names.tables.and_then(|tables| tables.get(name));
        let Some(table) = table else {
            return Err(PatternError::Table(name.to_owned()));
        };
        let mut keys: Vec<String> = table.0.keys().map(|key| regex::escape(key)).collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
        Ok(keys.join("|"))
    }
}

fn mac_class() -> String {
    let mut forms = vec![format!("{HEX}{{12}}")];
    for separator in [":", "-", r"\.", "_"] {
        forms.push(format!("{HEX}{{2}}(?:{separator}{HEX}{{2}}){{5}}"));
    }
    for separator in [r"\.", "-"] {
        forms.push(format!("{HEX}{{4}}(?:{separator}{HEX}{{4}}){{2}}"));
    }
    forms.join("|")
}

/// Classes with counts, and nothing else of the syntax.
fn counted(class: &str) -> Result<String, PatternError> {
    let plain = class
        .chars()
        .all(|ch| ch.is_ascii_alphanumeric() || "[]{},-_^.".contains(ch));
    if plain && Regex::new(class).is_ok() {
        Ok(class.to_owned())
    } else {
        Err(PatternError::Class(class.to_owned()))
    }
}

#[path = "pattern_ends.rs"]
mod ends;
#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
