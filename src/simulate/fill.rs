//! Texts of a conduct with holes: `{mac}`, `{mac:colon}`, `{model}`, `{serial}`, words by model.
//! `{{` and `}}` are the characters themselves.

use std::collections::BTreeMap;

use super::Problem;
use super::conduct::Conduct;
use super::unit::Identity;

/// Holes that every unit fills by itself.
pub(super) const OWN: [&str; 14] = [
    "mac",
    "mac:upper",
    "mac:colon",
    "mac:upper-colon",
    "mac:dash",
    "mac:upper-dash",
    "mac:dot4",
    "serial",
    "model",
    "model:lower",
    "firmware",
    "ip",
    "user",
    "line",
];

/// The names in the holes of a text.
pub(super) fn holes(text: &str) -> Result<Vec<String>, Problem> {
    let mut found = Vec::new();
    let text_ = text.replace("{{", "").replace("}}", "");
    let mut rest = text_.as_str();
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return Err(Problem(format!("{text:?}: a hole is not closed")));
        };
        found.push(name.to_owned());
        rest = after;
    }
    Ok(found)
}

/// What one unit says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Filler {
    words: BTreeMap<String, String>,
    /// The unit's own macros, longest first, with what they stand for.
    macros: Vec<(String, String)>,
}

impl Filler {
    /// Fails where the conduct has no word for this model.
    pub(super) fn new(conduct: &Conduct, who: &Identity) -> Result<Self, Problem> {
        let mac = who.mac;
        let mut words = BTreeMap::from([
            ("mac".to_owned(), mac.bare()),
            ("mac:upper".to_owned(), mac.bare().to_uppercase()),
            ("mac:colon".to_owned(), mac.joined(":")),
            ("mac:upper-colon".to_owned(), mac.joined(":").to_uppercase()),
            ("mac:dash".to_owned(), mac.joined("-")),
            ("mac:upper-dash".to_owned(), mac.joined("-").to_uppercase()),
            ("mac:dot4".to_owned(), by_four(&mac.bare())),
            ("serial".to_owned(), who.serial.clone()),
            ("model".to_owned(), who.model.clone()),
            ("model:lower".to_owned(), who.model.to_lowercase()),
            ("firmware".to_owned(), who.firmware.clone()),
            ("ip".to_owned(), String::new()),
            ("user".to_owned(), String::new()),
            ("line".to_owned(), String::new()),
        ]);
        words.extend(conduct.unit.more.clone());
        for (word, by_model) in &conduct.words {
            let Some(text) = by_model.get(&who.model) else {
                let model = &who.model;
                return Err(Problem(format!(
                    "the conduct of {} has no {word} for the model {model:?}",
                    conduct.family
                )));
            };
            words.insert(word.clone(), text.clone());
        }
        let mut filler = Self {
            words,
            macros: Vec::new(),
        };
        filler.macros = conduct
            .macros
            .iter()
            .map(|(name, text)| (name.clone(), text.clone()))
            .collect();
        filler
            .macros
            .sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        Ok(filler)
    }

    /// Sets a word that changes while the unit runs.
    pub(super) fn set(&mut self, word: &str, text: String) {
        self.words.insert(word.to_owned(), text);
    }

    /// A text of the conduct with its holes filled.
    pub(super) fn text(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            filled.push_str(before);
            let mut chars = after.chars();
            let mark = chars.next().unwrap_or('{');
            if chars.next() == Some(mark) {
                filled.push(mark);
                rest = chars.as_str();
                continue;
            }
            let inside = after.get(1..).unwrap_or_default();
            let Some((name, after)) = inside.split_once('}') else {
                filled.push(mark);
                rest = inside;
                continue;
            };
            filled.push_str(self.words.get(name).map_or("", String::as_str));
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    /// The unit's own macros by their names without the mark before them.
    pub(super) fn own_macros(&self) -> BTreeMap<String, String> {
        let own = self.macros.iter();
        own.map(|(name, text)| (name.trim_start_matches('$').to_owned(), self.text(text)))
            .collect()
    }

    /// A text that the unit was given, with its own macros (`$mac`) filled.
    pub(super) fn given(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(ch) = rest.chars().next() {
            let hit = self
                .macros
                .iter()
                .find_map(|(name, text)| Some((rest.strip_prefix(name.as_str())?, text)));
            if let Some((after, text)) = hit {
                filled.push_str(&self.text(text));
                rest = after;
            } else {
                filled.push(ch);
                rest = rest.get(ch.len_utf8()..).unwrap_or_default();
            }
        }
        filled
    }
}

/// Digits in groups of four with dots between them.
fn by_four(digits: &str) -> String {
    let (a, rest) = digits.split_at_checked(4).unwrap_or((digits, ""));
    let (b, c) = rest.split_at_checked(4).unwrap_or((rest, ""));
    format!("{a}.{b}.{c}")
}

/// A text with `<NAME>` for settings and `[…]` for parts that are left out where a setting in them
/// is empty; `None` where one outside is. A value that is a whole URL stands for all before it, and
/// for nothing where `bare` is set.
pub(super) fn from_settings<'a>(
    text: &str,
    bare: bool,
    setting: &dyn Fn(&str) -> &'a str,
) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['<', '[']) {
        let (before, after) = rest.split_at(at);
        filled.push_str(before);
        if let Some(part) = after.strip_prefix('[') {
            let (part, after) = part.split_once(']')?;
            filled.push_str(&from_settings(part, bare, setting).unwrap_or_default());
            rest = after;
        } else {
            let (name, after) = after.strip_prefix('<')?.split_once('>')?;
            let value = setting(name).trim();
            let whole = value.contains("://");
            if value.is_empty() || (whole && bare) {
                return None;
            }
            if whole {
                filled.clear();
            }
            filled.push_str(value);
            rest = after;
        }
    }
    filled.push_str(rest);
    // A folder that was given with its `/` has one all the same.
    if filled.ends_with("//") {
        filled.pop();
    }
    Some(filled)
}

/// Whether a URL names a file: its last part has a dot in it.
pub(super) fn names_file(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let path = rest.split(['?', '#']).next().unwrap_or("");
    path.rsplit_once('/')
        .is_some_and(|(_, last)| last.contains('.'))
}

/// `reference` as a unit understands it below `base`: a whole URL, a path from the root, or a name
/// beside what `base` names.
pub(super) fn join(base: &str, reference: &str) -> String {
    if reference.contains("://") {
        return reference.to_owned();
    }
    let Some((scheme, rest)) = base.split_once("://") else {
        return reference.to_owned();
    };
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    if reference.starts_with('/') {
        return format!("{scheme}://{host}{reference}");
    }
    let path = path.split(['?', '#']).next().unwrap_or("/");
    let folder = path.rfind('/').and_then(|at| path.get(..=at));
    format!("{scheme}://{host}{}{reference}", folder.unwrap_or("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_joined_as_a_unit_joins_them() {
        for (base, reference, expect) in [
            ("http://h:1/", "a.cfg", "http://h:1/a.cfg"),
            ("http://h", "a.cfg", "http://h/a.cfg"),
            ("http://h/u/T/", "a.cfg", "http://h/u/T/a.cfg"),
            ("http://h/x/a.boot", "b.cfg", "http://h/x/b.cfg"),
            ("http://h/x/", "/b.cfg", "http://h/b.cfg"),
            ("http://h/x/", "https://g/b", "https://g/b"),
        ] {
            assert_eq!(join(base, reference), expect);
        }
    }

    #[test]
    fn addresses_are_made_of_settings() {
        let setting = |name: &str| match name {
            "server" => "h.test",
            "dir" => "/u/T/",
            "url" => "http://g/p/",
            _ => "",
        };
        for (text, expect) in [
            ("https://<server>/", Some("https://h.test/")),
            (
                "https://<server>[:<port>]<dir>/",
                Some("https://h.test/u/T/"),
            ),
            ("https://<url>/", Some("http://g/p/")),
            ("https://<port>/", None),
            ("https://<server", None),
        ] {
            assert_eq!(
                from_settings(text, false, &setting).as_deref(),
                expect,
                "{text}"
            );
        }
        assert_eq!(from_settings("https://<url>/", true, &setting), None);
    }

    #[test]
    fn a_file_has_a_dot() {
        for (url, expect) in [
            ("http://h.test", false),
            ("http://h.test/", false),
            ("http://h.test/p", false),
            ("http://h.test/p/a.cfg?x=/b", true),
        ] {
            assert_eq!(names_file(url), expect, "{url}");
        }
    }

    #[test]
    fn holes_are_named() {
        assert_eq!(
            holes("a{mac:colon}b{x}").unwrap(),
            ["mac:colon", "x"].map(str::to_owned)
        );
        holes("a{mac").unwrap_err();
    }
}
