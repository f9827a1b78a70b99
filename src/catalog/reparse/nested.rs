//! Files with depth: `xml`, `json`, `junos`.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::Value;

use super::{ParseError, Parsed, Scan};

/// One root, no DTD, no entities but the five and those by number.
pub(super) fn xml(text: &str) -> Result<Parsed, ParseError> {
    let mut parsed = Parsed::default();
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    // Each open element: its path, and whether it holds anything.
    let mut open: Vec<(String, bool)> = Vec::new();
    let mut roots = 0_u32;
    loop {
        let offset = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let wrong = |what| ParseError::at(text, offset.min(text.len()), what);
        let event = reader.read_event();
        let event = event.map_err(|_| wrong("it is no well-formed XML"))?;
        let fill = |open: &mut Vec<(String, bool)>| {
            if let Some((_, held)) = open.last_mut() {
                *held = true;
            }
        };
        match event {
            Event::Start(tag) => {
                fill(&mut open);
                let path = element(&tag, open.last(), &mut parsed).map_err(wrong)?;
                roots = roots.saturating_add(u32::from(open.is_empty()));
                open.push((path, false));
            }
            Event::Empty(tag) => {
                fill(&mut open);
                let path = element(&tag, open.last(), &mut parsed).map_err(wrong)?;
                roots = roots.saturating_add(u32::from(open.is_empty()));
                if tag.attributes().next().is_none() {
                    parsed.empty.insert(path);
                }
            }
            Event::End(_) => match open.pop() {
                Some((path, false)) => drop(parsed.empty.insert(path)),
                Some((_, true)) => {}
                None => return Err(wrong("an element ends that was not begun")),
            },
            Event::Text(held) => {
                let blank = held.trim_ascii().is_empty();
                if open.is_empty() && !blank {
                    return Err(wrong("text stands outside the root"));
                }
                if !blank {
                    fill(&mut open);
                }
            }
            Event::CData(_) => fill(&mut open),
            Event::GeneralRef(name) => {
                let known = ["amp", "lt", "gt", "quot", "apos"];
                if !name.is_char_ref() && !known.contains(&&name[..]) {
                    return Err(wrong("an entity is not one of the five"));
                }
                fill(&mut open);
            }
            Event::DocType(_) => return Err(wrong("a DTD is refused")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof if !open.is_empty() => return Err(wrong("an element is not closed")),
            Event::Eof if roots != 1 => return Err(wrong("there is not one root")),
            Event::Eof => return Ok(parsed),
        }
    }
}

fn element(
    tag: &BytesStart<'_>,
    parent: Option<&(String, bool)>,
    parsed: &mut Parsed,
) -> Result<String, &'static str> {
    let qualified = tag.name();
    let name: &str = qualified.as_ref();
    let usable = |ch: char| ch.is_alphanumeric() || matches!(ch, '_' | '-' | '.' | ':');
    if !name.chars().all(usable) {
        return Err("an element has no usable name");
    }
    let path = match parent {
        Some((parent, _)) => format!("{parent}/{name}"),
        None => name.to_owned(),
    };
    parsed.add(path.clone());
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| "an attribute cannot be read")?;
        let name: &str = attribute.key.as_ref();
        let key = format!("{path}@{name}");
        if attribute.value.is_empty() {
            parsed.empty.insert(key.clone());
        }
        parsed.add(key);
    }
    Ok(path)
}

pub(super) fn json(text: &str) -> Result<Parsed, ParseError> {
    let root: Value = serde_json::from_str(text).map_err(|error| ParseError {
        line: error.line().max(1),
        what: "it is no JSON",
    })?;
    let mut parsed = Parsed::default();
    let mut open = vec![(String::new(), &root)];
    while let Some((path, value)) = open.pop() {
        if !path.is_empty() {
            parsed.add(path.clone());
        }
        match value {
            Value::Object(items) => {
                open.extend(
                    items
                        .iter()
                        .map(|(name, item)| (format!("{path}/{name}"), item)),
                );
            }
            Value::Array(items) => {
                let items = items.iter().enumerate();
                open.extend(items.map(|(at, item)| (format!("{path}/{at}"), item)));
            }
            Value::String(text) if text.is_empty() => drop(parsed.empty.insert(path)),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    Ok(parsed)
}

/// Statements in braces, or one `set` command a line.
pub(super) fn junos(text: &str) -> Result<Parsed, ParseError> {
    let mut parsed = Parsed::default();
    let mut scan = Scan::new(text);
    let mut words: Vec<String> = Vec::new();
    let mut path: Vec<String> = Vec::new();
    // A command a line, where the first word is one of these.
    let commands = ["set", "delete", "deactivate", "activate", "load", "commit"];
    let first = text.lines().map(str::trim);
    let mut first = first.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let first = first.next().and_then(|line| line.split_whitespace().next());
    let by_line = first.is_some_and(|word| commands.contains(&word));
    while let Some(ch) = scan.next() {
        match ch {
            '\n' if by_line => command(&mut words, &mut parsed),
            ch if ch.is_whitespace() => {}
            '#' => drop(scan.run(|ch| ch != '\n')),
            '/' if scan.skip("*") => {
                if !scan.past("*/") {
                    return Err(scan.wrong("a comment is not closed"));
                }
            }
            '{' if !by_line => {
                let name = statement(&mut words, &path, &mut parsed);
                path.push(name);
            }
            '}' if !by_line => {
                if path.pop().is_none() || !words.is_empty() {
                    return Err(scan.wrong("a `}` closes nothing, or a `;` is missing before it"));
                }
            }
            ';' if !by_line => drop(statement(&mut words, &path, &mut parsed)),
            '"' => {
                quoted(&mut scan)?;
                // A word that touches a quote is a text that was quoted twice.
                let open = |ch: char| ch.is_whitespace() || "{};]".contains(ch);
                if !scan.peek().is_none_or(open) {
                    return Err(scan.wrong("a quoted text touches a word"));
                }
                words.push("\"\"".to_owned());
            }
            ch => {
                let rest = scan.run(|ch| !ch.is_whitespace() && !"{};\"".contains(ch));
                if scan.peek() == Some('"') {
                    return Err(scan.wrong("a quoted text touches a word"));
                }
                words.push(format!("{ch}{rest}"));
            }
        }
    }
    if by_line {
        command(&mut words, &mut parsed);
    }
    if path.is_empty() && words.is_empty() {
        Ok(parsed)
    } else {
        Err(scan.wrong("a `}` or `;` is missing"))
    }
}

fn quoted(scan: &mut Scan<'_>) -> Result<(), ParseError> {
    loop {
        match scan.next() {
            Some('\\') => drop(scan.next()),
            Some('"') => return Ok(()),
            Some('\n') | None => return Err(scan.wrong("a quoted text is not closed")),
            Some(_) => {}
        }
    }
}

fn statement(words: &mut Vec<String>, path: &[String], parsed: &mut Parsed) -> String {
    let name = words.drain(..).next().unwrap_or_default();
    let mut key = path.to_vec();
    key.push(name.clone());
    parsed.add(key.join("/"));
    name
}

fn command(words: &mut Vec<String>, parsed: &mut Parsed) {
    let count = words.len().saturating_sub(1).max(1);
    let named: Vec<String> = words.drain(..).take(count).collect();
    if !named.is_empty() {
        parsed.add(named.join(" "));
    }
}
