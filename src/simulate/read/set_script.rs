//! `SET NAME value` lines with `IF $NAME SEQ text GOTO label`, `GOTO label`, `# label` and
//! `GET file`. A comment begins with `##`.

use std::collections::BTreeMap;

use super::{Get, Sheet};

/// The most lines that are gone through: a script may jump back.
const MOST: usize = 20_000;

/// Reads a script; `own` is what the unit says of itself, such as `MODEL4`.
pub(in super::super) fn read(
    bytes: &[u8],
    own: &BTreeMap<String, String>,
) -> Result<Sheet, String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err("no UTF-8 text".to_owned());
    };
    let lines: Vec<&str> = text.lines().collect();
    let words = |line: &str| {
        line.split_ascii_whitespace()
            .next()
            .unwrap_or("")
            .to_owned()
    };
    let known = ["SET", "IF", "GOTO", "GET"];
    if !lines
        .iter()
        .any(|line| known.contains(&words(line).as_str()))
    {
        return Err("no line of it is known".to_owned());
    }
    let mut sheet = Sheet::default();
    let mut at = 0;
    for _ in 0..MOST {
        let Some(line) = lines.get(at) else {
            return Ok(sheet);
        };
        at = at.saturating_add(1);
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut target = None;
        if let Some(rest) = line.strip_prefix("SET ") {
            match setting(rest) {
                Some(pair) => sheet.entries.push(pair),
                None => sheet.odd.push(format!("line {at}")),
            }
        } else if let Some(name) = line.strip_prefix("GET ") {
            sheet.gets.push(Get {
                after: sheet.entries.len(),
                name: name.trim().to_owned(),
            });
        } else if let Some(label) = line.strip_prefix("GOTO ") {
            target = Some(label.trim());
        } else if let Some(rest) = line.strip_prefix("IF ") {
            match condition(rest, own, &sheet) {
                Some((true, label)) => target = Some(label),
                Some((false, _)) => {}
                None => sheet.odd.push(format!("line {at}")),
            }
        } else {
            sheet.odd.push(format!("line {at}"));
        }
        if let Some(label) = target {
            let found = lines.iter().position(|line| {
                let named = line.strip_prefix("# ");
                named.is_some_and(|name| name.trim_end() == label)
            });
            match found {
                Some(found) => at = found,
                // Without its label it goes on with the next line.
                None => sheet.odd.push(format!("line {at}")),
            }
        }
    }
    Err("it goes round and round".to_owned())
}

/// Name and value of a `SET`. A value with blanks stands in quotes.
fn setting(rest: &str) -> Option<(String, String)> {
    let (name, value) = rest.trim_start().split_once([' ', '\t'])?;
    let value = value.trim();
    let value = match value.strip_prefix('"') {
        Some(inner) => inner.split_once('"')?.0,
        None if value.contains([' ', '\t']) || value.is_empty() => return None,
        None => value,
    };
    Some((name.to_owned(), value.to_owned()))
}

/// `$NAME SEQ text GOTO label`: whether it holds, and the label.
fn condition<'a>(
    rest: &'a str,
    own: &BTreeMap<String, String>,
    sheet: &Sheet,
) -> Option<(bool, &'a str)> {
    let (condition, label) = rest.split_once(" GOTO ")?;
    let (name, text) = condition.split_once(" SEQ ")?;
    let name = name.trim().strip_prefix('$')?;
    let set = sheet.entries.iter().rev().find(|(key, _)| key == name);
    let value = own.get(name).or_else(|| set.map(|(_, value)| value));
    let text = text.trim().trim_matches('"');
    let holds = value.is_some_and(|value| value.eq_ignore_ascii_case(text));
    Some((holds, label.trim()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn own() -> BTreeMap<String, String> {
        BTreeMap::from([("MODEL4".to_owned(), "J179".to_owned())])
    }

    #[test]
    fn settings_jumps_and_files() {
        let text = "## upgrade\nIF $MODEL4 SEQ J129 GOTO J129_SW\nIF $MODEL4 SEQ J179 GOTO J179_SW\n\
                    GOTO END\n# J129_SW\nSET APPNAME a.bin\nGOTO GETSET\n# J179_SW\n\
                    SET APPNAME b.bin\nSET NAME \"two words\"\nSET BAD two words\n# GETSET\n\
                    GET $MACADDR.cfg\nSET LATER 1\n# END\nodd\n";
        let sheet = read(text.as_bytes(), &own()).unwrap();
        let entry = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            sheet.entries,
            [
                entry("APPNAME", "b.bin"),
                entry("NAME", "two words"),
                entry("LATER", "1")
            ]
        );
        let get = Get {
            after: 2,
            name: "$MACADDR.cfg".to_owned(),
        };
        assert_eq!(sheet.gets, [get]);
        assert_eq!(sheet.odd, ["line 11", "line 16"]);
    }

    #[test]
    fn what_is_no_script_is_refused() {
        read(b"<html>not found</html>", &own()).unwrap_err();
        read(b"# A\nGOTO A\n", &own()).unwrap_err();
        read(b"\xff", &own()).unwrap_err();
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(read(&bytes, &own()));
        }

        #[test]
        fn any_lines_are_read_or_refused(text in "((SET|GET|IF|GOTO|#) ?([$A]{0,2}( SEQ | GOTO |\"| ))*\\n){0,8}") {
            drop(read(text.as_bytes(), &own()));
        }
    }
}
