//! `key = value` lines with `#` comments, and `include:config` lines.

use super::Sheet;

/// Reads a file; `first_line`, where it is not empty, must be its first line.
pub(in super::super) fn read(bytes: &[u8], first_line: &str, model: &str) -> Result<Sheet, String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err("no UTF-8 text".to_owned());
    };
    let mut lines = text.lines();
    if !first_line.is_empty() && lines.next().map(str::trim_end) != Some(first_line) {
        return Err(format!("does not begin with {first_line}"));
    }
    let mut sheet = Sheet::default();
    for (at, line) in lines.enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match include(line, model) {
            Some(Some(target)) => sheet.includes.push(target),
            Some(None) => {}
            None => match line.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    let pair = (key.trim().to_owned(), value.trim().to_owned());
                    sheet.entries.push(pair);
                }
                Some(_) | None => sheet.odd.push(format!("line {}", at + 2)),
            },
        }
    }
    Ok(sheet)
}

/// The target of an `include:config` line; `Some(None)` where it is for other models.
fn include(line: &str, model: &str) -> Option<Option<String>> {
    let (models, rest) = match line.strip_prefix('[') {
        Some(rest) => {
            let (models, rest) = rest.split_once(']')?;
            (Some(models), rest)
        }
        None => (None, line),
    };
    let target = rest.trim_start().strip_prefix("include:config")?.trim();
    let target = target.trim_matches('"').to_owned();
    let ours = models.is_none_or(|list| list.split(',').any(|name| name.trim() == model));
    Some(ours.then_some(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_settings_and_includes() {
        let text = "#!version:1.0.0.1\n# a comment\na.b = c = d \r\n\nempty =\n\
                    include:config \"x.cfg\"\n[T1, T2]include:config y.cfg\n[T3]include:config z.cfg\nodd\n";
        let sheet = read(text.as_bytes(), "#!version:1.0.0.1", "T2").unwrap();
        let entries: Vec<(&str, &str)> = sheet
            .entries
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(entries, [("a.b", "c = d"), ("empty", "")]);
        assert_eq!(sheet.includes, ["x.cfg", "y.cfg"]);
        assert_eq!(sheet.odd, ["line 9"]);
    }

    #[test]
    fn a_page_of_an_error_is_no_file() {
        read(b"<html>not found</html>", "#!version:1.0.0.1", "T2").unwrap_err();
        read(b"\xff\xfe", "", "T2").unwrap_err();
    }
}
