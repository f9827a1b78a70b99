//! Patterns of shells, of `grep` and of `sed`, as the `regex` crate writes them.

use regex::{Regex, RegexBuilder};

/// A compiled pattern, bounded in size.
pub(super) fn made(source: &str) -> Result<Regex, String> {
    RegexBuilder::new(source)
        .size_limit(1 << 20)
        .build()
        .map_err(|_| format!("the pattern {source:?} is not understood"))
}

/// `*`, `?` and `[…]`.
pub(super) fn of_glob(glob: &str) -> String {
    let mut source = String::new();
    let mut chars = glob.chars();
    while let Some(ch) = chars.next() {
        match ch {
            '*' => source.push_str(".*"),
            '?' => source.push('.'),
            '[' => {
                source.push('[');
                for (at, ch) in chars.by_ref().enumerate() {
                    match ch {
                        '!' if at == 0 => source.push('^'),
                        ']' if at > 0 => break,
                        ch => source.push(ch),
                    }
                }
                source.push(']');
            }
            ch => source.push_str(&regex::escape(&ch.to_string())),
        }
    }
    source
}

/// A basic expression, where groups and counts are escaped and plain ones are not.
pub(super) fn of_basic(basic: &str) -> String {
    let mut source = String::new();
    let mut chars = basic.chars().peekable();
    let mut first = true;
    while let Some(ch) = chars.next() {
        match ch {
            '\\' => match chars.next() {
                Some(mark @ ('(' | ')' | '{' | '}' | '|' | '+' | '?')) => source.push(mark),
                Some(other) => {
                    source.push('\\');
                    source.push(other);
                }
                None => source.push_str("\\\\"),
            },
            '(' | ')' | '{' | '}' | '|' | '+' | '?' => {
                source.push('\\');
                source.push(ch);
            }
            '*' if first => source.push_str("\\*"),
            '[' => {
                source.push('[');
                let mut at = 0;
                while let Some(ch) = chars.next() {
                    if ch == ']' && at > 0 {
                        break;
                    }
                    if ch == '[' && chars.peek() == Some(&':') {
                        // A class such as [:space:] stands as it is.
                        source.push('[');
                        source.extend(chars.by_ref().take_while(|ch| *ch != ']'));
                        source.push(']');
                        at += 1;
                        continue;
                    }
                    if matches!(ch, '\\' | '[' | '&' | '~') && !(ch == '[' && at == 0) {
                        source.push('\\');
                    }
                    at += usize::from(!(ch == '^' && at == 0));
                    source.push(ch);
                }
                source.push(']');
            }
            ch => source.push(ch),
        }
        first = ch == '^';
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_there() {
        for (basic, text, expect) in [
            (
                r#".*"a": *"\([A-Za-z0-9._:-]*\)".*"#,
                r#"  "a": "b-1:2","#,
                true,
            ),
            ("^[Dd]ate: ", "Date: x", true),
            ("a+b", "a+b", true),
            (r"a\+b", "aab", true),
            ("[^(]x", "ax", true),
            ("^[[:space:]]*x$", "  x", true),
        ] {
            assert_eq!(
                made(&of_basic(basic)).unwrap().is_match(text),
                expect,
                "{basic}"
            );
        }
        let glob = made(&format!("^{}$", of_glob("a*[!0-9].c?"))).unwrap();
        assert!(glob.is_match("axyz.cd"));
        assert!(!glob.is_match("axy1.cd"));
    }
}
