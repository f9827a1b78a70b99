//! Readers of our own for what templates make: which keys a file holds. They prove that no value
//! became a key; they are not meant to read the files of others.

mod lines;
mod nested;
mod python;
mod shell;

use std::collections::{BTreeMap, BTreeSet};

use super::manifest::Format;

/// The keys of a file, each with how often it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    pub keys: BTreeMap<String, usize>,
    /// Those that have an empty value somewhere.
    pub empty: BTreeSet<String>,
}

impl Parsed {
    fn add(&mut self, key: impl Into<String>) {
        let count = self.keys.entry(key.into()).or_insert(0);
        *count = count.saturating_add(1);
    }
}

/// Why a text is not of its format: the line, from 1, and what is wrong there. It holds no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of what it makes: {what}")]
pub struct ParseError {
    pub line: usize,
    pub what: &'static str,
}

impl ParseError {
    fn at(text: &str, offset: usize, what: &'static str) -> Self {
        Self {
            line: super::problem::line_at(text, offset),
            what,
        }
    }
}

/// Reads a file of a format.
///
/// A key is for `ini` the section and name, for `ios` and `junos` the path of first words, for `xml`
/// the path of elements and attributes, for `json` the path of names, for `text` the number of a
/// line. Of scripts the keys are commands, operators, expansions and words that are no literals.
pub fn parse(format: Format, text: &str) -> Result<Parsed, ParseError> {
    match format {
        Format::Ini => lines::ini(text),
        Format::Ios => Ok(lines::ios(text)),
        Format::Json => nested::json(text),
        Format::Junos => nested::junos(text),
        Format::Python => python::parse(text),
        Format::Shell => shell::parse(text),
        Format::Text => Ok(lines::text(text)),
        Format::Xml => nested::xml(text),
    }
}

/// A text, character by character.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let ch = self.peek()?;
        self.at = self.at.saturating_add(ch.len_utf8());
        Some(ch)
    }

    fn skip(&mut self, word: &str) -> bool {
        let there = self.rest().starts_with(word);
        if there {
            self.at = self.at.saturating_add(word.len());
        }
        there
    }

    /// Takes characters while they fit.
    fn run(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|ch| !fits(ch)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(end);
        rest.get(..end).unwrap_or_default()
    }

    /// Takes everything up to and with `end`; false where it is not there.
    fn past(&mut self, end: &str) -> bool {
        match self.rest().find(end) {
            Some(found) => {
                self.at = self.at.saturating_add(found).saturating_add(end.len());
                true
            }
            None => {
                self.at = self.text.len();
                false
            }
        }
    }

    fn wrong(&self, what: &'static str) -> ParseError {
        ParseError::at(self.text, self.at, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(format: Format, text: &str) -> Vec<String> {
        let parsed = parse(format, text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let told = parsed.keys.iter().map(|(key, count)| match count {
            1 => key.clone(),
            count => format!("{key} x{count}"),
        });
        told.collect()
    }

    #[test]
    fn keys_are_found() {
        fn check(format: Format, text: &str, expect: &[&str]) {
            assert_eq!(keys(format, text), expect, "{format:?} {text:?}");
        }
        let ini = "#!version:1\n; c\na.b = 1\nc:\n[s]\na.b=x=y\na.b=2\n";
        check(Format::Ini, ini, &["a.b", "c", "s|a.b x2"]);
        let ios = "! c\nhostname x\ninterface E1\n   switchport mode trunk\n   no shutdown\ninterface E2\nend\n";
        let expect = [
            "end",
            "hostname",
            "interface x2",
            "interface>no",
            "interface>switchport",
        ];
        check(Format::Ios, ios, &expect);
        let xml = "<?xml version=\"1.0\"?>\n<a><b x=\"1\">t&amp;</b><b/></a>";
        check(Format::Xml, xml, &["a", "a/b x2", "a/b@x"]);
        let json = "{\"a\": [1, {\"b\": null}], \"c\": \"\"}";
        check(Format::Json, json, &["/a", "/a/0", "/a/1", "/a/1/b", "/c"]);
        let junos = "system { host-name a; login { user \"x y\"; } }\n/* c */ snmp;";
        let expect = [
            "snmp",
            "system",
            "system/host-name",
            "system/login",
            "system/login/user",
        ];
        check(Format::Junos, junos, &expect);
        let set = "set system host-name a\n# c\nset snmp \"b c\"\n";
        check(Format::Junos, set, &["set snmp", "set system host-name"]);
        check(Format::Text, "a\nb\n", &["line 1", "line 2"]);
        let shell = "a='x;y' # c\nif b \"$a $(c 'd')\"; then e > f; fi\n";
        let expect = [
            "# ", "$(", "$a", "\\n x2", "a=''", "b", "c", "e", "fi", "if", "op ; x2", "op >",
            "then", "word x3",
        ];
        check(Format::Shell, shell, &expect);
        let python = "x = f(\"a\", r'b')  # c\n";
        let expect = ["# ", "(", ")", ",", "=", "\\n", "f", "r", "string x2", "x"];
        check(Format::Python, python, &expect);
    }

    #[test]
    fn empty_values_are_told() {
        fn check(format: Format, text: &str, expect: &[&str]) {
            let parsed = parse(format, text).expect("it parses");
            let told: Vec<&str> = parsed.empty.iter().map(String::as_str).collect();
            assert_eq!(told, expect, "{format:?} {text:?}");
        }
        check(Format::Ini, "a =\nb = 1\n", &["a"]);
        check(Format::Xml, "<a><b></b><c/><d>1</d></a>", &["a/b", "a/c"]);
        check(Format::Json, "{\"a\":\"\",\"b\":1}", &["/a"]);
    }

    #[test]
    fn what_is_no_file_of_its_format_is_told() {
        fn check(format: Format, text: &str, line: usize) {
            let told = parse(format, text).map_err(|error| error.line);
            assert_eq!(told, Err(line), "{format:?} {text:?}");
        }
        check(Format::Ini, "a = 1\n[b\n", 2);
        check(Format::Xml, "<a>\n</b>", 2);
        check(Format::Xml, "<a>\n", 2);
        check(Format::Xml, "<!DOCTYPE a>\n<a/>", 1);
        check(Format::Xml, "<a>&x;</a>", 1);
        check(Format::Xml, "<a/><b/>", 1);
        check(Format::Xml, "<a x='1' x='2'/>", 1);
        check(Format::Json, "{\n\"a\":}", 2);
        check(Format::Junos, "a {\n b;\n", 3);
        check(Format::Junos, "a \"b\"c;\n", 1);
        check(Format::Shell, "a 'b\n", 2);
        check(Format::Shell, "a \"$(b\"\n", 2);
        check(Format::Shell, "cat <<E\nx\n", 3);
        check(Format::Python, "a = 'b\n'\n", 1);
        check(Format::Python, "a = '''b\n", 2);
    }
}
