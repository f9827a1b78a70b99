//! Name and value on a line, with `#` comments: what stands between them is told by the conduct.

use super::super::conduct::LineRules;
use super::Sheet;

/// Reads a file whose first line must begin with `first_line`.
pub(in super::super) fn read(
    bytes: &[u8],
    first_line: &str,
    rules: &LineRules,
) -> Result<Sheet, String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err("no UTF-8 text".to_owned());
    };
    if !text.starts_with(first_line) {
        return Err(format!("does not begin with {first_line}"));
    }
    let [longest, name_at_most, value_at_most] = rules.longest;
    let within = |length: usize, most: usize| most == 0 || length <= most;
    let mut sheet = Sheet::default();
    for (at, whole) in text.split_inclusive('\n').enumerate() {
        let mut odd = || sheet.odd.push(format!("line {}", at.saturating_add(1)));
        let line = whole.trim_end_matches(['\r', '\n']);
        if rules.crlf && !whole.ends_with("\r\n") {
            odd();
            continue;
        }
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let marks: Vec<char> = rules.marks.chars().collect();
        let plain = line.trim_start().trim_start_matches(marks.as_slice());
        let Some((name, value)) = plain.split_once(&rules.separator) else {
            odd();
            continue;
        };
        let pair = if rules.quoted {
            let inner = value
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            let Some(value) = inner.filter(|_| !name.ends_with([' ', '\t'])) else {
                odd();
                continue;
            };
            (name, value)
        } else {
            let cut = if rules.trailing_comments {
                value.find(" #").and_then(|at| value.get(..at))
            } else {
                None
            };
            (name.trim(), cut.unwrap_or(value).trim())
        };
        let (name, value) = pair;
        let sized = within(whole.len(), longest)
            && within(name.len(), name_at_most)
            && within(value.len(), value_at_most);
        if name.is_empty() || !sized {
            odd();
            continue;
        }
        let name = if rules.lower {
            name.to_lowercase()
        } else {
            name.to_owned()
        };
        sheet.entries.push((name, value.to_owned()));
    }
    Ok(sheet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(rules: &str, text: &str, expect: &[(&str, &str)], odd: &[&str]) {
        let rules: LineRules = toml::from_str(rules).unwrap();
        let sheet = read(text.as_bytes(), "", &rules).unwrap();
        let entries = sheet.entries.iter();
        let entries: Vec<(&str, &str)> = entries.map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(entries, expect, "{text}");
        assert_eq!(sheet.odd, odd, "{text}");
    }

    const COLON: &str =
        "separator = \":\"\nmarks = \"!^\"\nlower = true\ntrailing_comments = true\n";
    const QUOTED: &str =
        "separator = \"=\"\nquoted = true\ncrlf = true\nlongest = [537, 32, 500]\n";

    #[test]
    fn names_end_at_the_first_separator() {
        check(
            COLON,
            "# a comment\nSIP line1 user name: 214\n!^sip proxy ip: 192.0.2.1 # the PBX\n\
             download protocol:HTTPS\r\naction uri startup: https://h:1/x#y\nempty:\nodd\n",
            &[
                ("sip line1 user name", "214"),
                ("sip proxy ip", "192.0.2.1"),
                ("download protocol", "HTTPS"),
                ("action uri startup", "https://h:1/x#y"),
                ("empty", ""),
            ],
            &["line 7"],
        );
    }

    #[test]
    fn quoted_values_are_taken_as_they_are() {
        let long = format!("L=\"{}\"\r\n", "x".repeat(501));
        check(
            QUOTED,
            &format!(
                "# first\r\nA=\"b = \"c\" \"\r\nB=\"\"\r\nC = \"x\"\r\nD=x\r\nE=\"no end\"\n{long}"
            ),
            &[("A", "b = \"c\" "), ("B", "")],
            &["line 4", "line 5", "line 6", "line 7"],
        );
    }

    #[test]
    fn a_file_without_its_first_line_is_refused() {
        let rules: LineRules = toml::from_str(QUOTED).unwrap();
        read(b"<html>", "# First #", &rules).unwrap_err();
        read(b"\xff", "", &rules).unwrap_err();
        read(b"# First # of all\r\nA=\"1\"\r\n", "# First #", &rules).unwrap();
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for rules in [COLON, QUOTED, ""] {
                let rules: LineRules = toml::from_str(rules).unwrap();
                drop(read(&bytes, "", &rules));
            }
        }
    }
}
