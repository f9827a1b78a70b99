//! A configuration in braces, or as `set` lines: each becomes its `set` line.

/// The deepest nesting that is read.
const DEEPEST: usize = 32;

/// The lines of a configuration without `set` before them, in the order of the text.
pub(in super::super) fn read(text: &str) -> Result<Vec<String>, String> {
    let mut lines = text.lines().map(str::trim);
    let plain = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    if plain.is_some_and(|line| line.starts_with("set ")) {
        let lines = text.lines().map(str::trim);
        let set = lines.filter_map(|line| line.strip_prefix("set "));
        return Ok(set.map(|line| line.trim().to_owned()).collect());
    }
    braces(text)
}

fn braces(text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(ch) = rest.chars().next() {
        let after = rest.get(ch.len_utf8()..).unwrap_or_default();
        rest = match ch {
            '#' => after.split_once('\n').map_or("", |(_, after)| after),
            '/' if after.starts_with('*') => after.split_once("*/").map_or("", |(_, after)| after),
            '{' => {
                if open.len() >= DEEPEST || words.is_empty() {
                    return Err("a brace that nothing stands before, or too deep".to_owned());
                }
                open.push(std::mem::take(&mut words).join(" "));
                after
            }
            '}' => {
                if !words.is_empty() || open.pop().is_none() {
                    return Err("a brace that closes nothing".to_owned());
                }
                after
            }
            ';' => {
                if words.is_empty() {
                    return Err("a statement with nothing in it".to_owned());
                }
                statement(&open, &std::mem::take(&mut words), &mut found);
                after
            }
            '"' => {
                let (word, after) = quoted(after).ok_or("a text without its end")?;
                words.push(word);
                after
            }
            ch if ch.is_whitespace() => after,
            _ => {
                let end = rest.find(|ch: char| ch.is_whitespace() || "{};\"".contains(ch));
                let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
                words.push(word.to_owned());
                after
            }
        };
    }
    if open.is_empty() && words.is_empty() {
        Ok(found)
    } else {
        Err("it ends in the middle of a statement".to_owned())
    }
}

/// A statement below what is open; a list in `[ ]` is one line for each.
fn statement(open: &[String], words: &[String], found: &mut Vec<String>) {
    let below = |words: &[String]| {
        let parts = open.iter().chain(words);
        parts.map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    let begin = words.iter().position(|word| word == "[");
    let list = begin.and_then(|begin| Some((words.get(..begin)?, words.get(begin..)?)));
    match list {
        Some((head, list)) => {
            for item in list.iter().filter(|item| *item != "[" && *item != "]") {
                let mut line = head.to_vec();
                line.push(item.clone());
                found.push(below(&line));
            }
        }
        None => found.push(below(words)),
    }
}

/// A text in quotes, with what stands behind it; the first quote is gone already.
fn quoted(rest: &str) -> Option<(String, &str)> {
    let mut word = String::from("\"");
    let mut chars = rest.char_indices();
    while let Some((at, ch)) = chars.next() {
        match ch {
            '\\' => word.push(chars.next()?.1),
            '"' => {
                word.push('"');
                return Some((word, rest.get(at.checked_add(1)?..)?));
            }
            ch => word.push(ch),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn braces_become_lines() {
        let text = "# x\nsystem {\n    host-name sw-1; /* y */\n    root-authentication {\n        \
                    encrypted-password \"$6$a b;c\"; ## SECRET-DATA\n    }\n}\nvlans { v10 { vlan-id 10; } }\n\
                    a [ b c ];\n";
        assert_eq!(
            read(text).unwrap(),
            [
                "system host-name sw-1",
                "system root-authentication encrypted-password \"$6$a b;c\"",
                "vlans v10 vlan-id 10",
                "a b",
                "a c"
            ]
        );
        assert_eq!(read("\nset a b\ndelete c\nset d\n").unwrap(), ["a b", "d"]);
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        for bad in ["a {", "a { b", "}", "a \"b", "{ }", "a;;", "a { b }"] {
            read(bad).unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([a\"{};\\[\\]#\\\\ \n]|/\\*|\\*/|set ){0,60}") {
            drop(read(&text));
        }
    }
}
