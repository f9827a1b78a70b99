//! Files of lines: `ini`, `ios`, `text`.

use super::{ParseError, Parsed};

/// `name = value` or `name: value`, `[section]`, comments of `#`, `;` and `!`.
pub(super) fn ini(text: &str) -> Result<Parsed, ParseError> {
    let mut parsed = Parsed::default();
    let mut section = String::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';', '!']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            let Some(name) = name.strip_suffix(']') else {
                let what = "a section is not closed";
                return Err(ParseError { line: at + 1, what });
            };
            section = format!("{name}|");
            continue;
        }
        let (name, value) = line.split_once(['=', ':']).unwrap_or((line, "there"));
        let key = format!("{section}{}", name.trim_end());
        if value.trim().is_empty() {
            parsed.empty.insert(key.clone());
        }
        parsed.add(key);
    }
    Ok(parsed)
}

/// Commands; one that is indented belongs to the last one that is less so.
pub(super) fn ios(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut above: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let command = line.trim_start();
        if command.is_empty() || command.starts_with(['!', '#']) {
            continue;
        }
        let depth = line.len().saturating_sub(command.len());
        above.retain(|(other, _)| *other < depth);
        let word = command.split_whitespace().next().unwrap_or_default();
        let key = match above.last() {
            Some((_, parent)) => format!("{parent}>{word}"),
            None => word.to_owned(),
        };
        parsed.add(key.clone());
        above.push((depth, key));
    }
    parsed
}

/// Lines, by number.
pub(super) fn text(text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    for at in 1..=text.lines().count() {
        parsed.add(format!("line {at}"));
    }
    parsed
}
