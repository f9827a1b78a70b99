//! What the engine's fuel does not count: lists are joined lazily, so that `x + x`, done again and
//! again, takes memory without bound. A `+` therefore has a literal on one side.

/// The line, from 1, of the first `+` that could join two lists of any length.
pub(super) fn unbounded_sum(source: &str) -> Option<usize> {
    let mut line = 1_usize;
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (before, tag) = rest.split_at_checked(at)?;
        line = line.saturating_add(breaks(before));
        let inside = tag.get(2..).unwrap_or_default();
        let (end, is_code) = match tag.as_bytes().get(1) {
            Some(b'{') => ("}}", true),
            Some(b'%') => ("%}", true),
            Some(b'#') => ("#}", false),
            Some(_) | None => {
                rest = tag.get(1..).unwrap_or_default();
                continue;
            }
        };
        let (code, after) = split_code(inside, end, is_code);
        if is_code && let Some(found) = sum(code) {
            return Some(line.saturating_add(found));
        }
        line = line.saturating_add(breaks(code));
        rest = after;
    }
    None
}

fn breaks(text: &str) -> usize {
    text.matches('\n').count()
}

/// The code up to the tag's end; an end inside quotes does not count.
fn split_code<'a>(inside: &'a str, end: &str, is_code: bool) -> (&'a str, &'a str) {
    let mut quote = None;
    let mut escaped = false;
    for (at, ch) in inside.char_indices() {
        match quote {
            Some(open) => {
                if ch == open && !escaped {
                    quote = None;
                }
                escaped = ch == '\\' && !escaped;
            }
            None if is_code && matches!(ch, '"' | '\'') => quote = Some(ch),
            None => {
                let (code, rest) = inside.split_at_checked(at).unwrap_or((inside, ""));
                if let Some(after) = rest.strip_prefix(end) {
                    return (code, after);
                }
            }
        }
    }
    (inside, "")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Close,
    Dot,
    Literal,
    Name,
    Open,
    Other,
    Plus,
}

/// The line, from 0, of a `+` without a literal.
fn sum(code: &str) -> Option<usize> {
    let tokens = tokens(code);
    let kind = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(|(kind, _, _)| *kind);
    for (at, (token, line, _)) in tokens.iter().enumerate() {
        // A `+` at a tag's edge is about white space.
        let edge = at == 0 || at.saturating_add(1) == tokens.len();
        if *token != Token::Plus || edge {
            continue;
        }
        let before = at.checked_sub(1);
        let dotted = at.checked_sub(2);
        let literal_before =
            kind(before) == Some(Token::Literal) && kind(dotted) != Some(Token::Dot);
        if !literal_before && !literal_after(&tokens, at.saturating_add(1)) {
            return Some(*line);
        }
    }
    None
}

/// Whether a literal stands at `at`, and nothing is done to it before it is added.
fn literal_after(tokens: &[(Token, usize, char)], at: usize) -> bool {
    let after = match tokens.get(at) {
        Some((Token::Literal, _, _)) => at.saturating_add(1),
        Some((Token::Open, _, '[')) => {
            let mut depth = 0_usize;
            let mut end = None;
            for (at, (token, _, _)) in tokens.iter().enumerate().skip(at) {
                match token {
                    Token::Open => depth = depth.saturating_add(1),
                    Token::Close => depth = depth.saturating_sub(1),
                    Token::Dot | Token::Literal | Token::Name | Token::Other | Token::Plus => {}
                }
                if depth == 0 {
                    end = Some(at.saturating_add(1));
                    break;
                }
            }
            match end {
                Some(end) => end,
                None => return false,
            }
        }
        Some(_) | None => return false,
    };
    match tokens.get(after) {
        Some((Token::Open, _, ch)) => *ch == '{',
        Some((Token::Dot, _, _)) => false,
        Some((_, _, ch)) => *ch != '|',
        None => true,
    }
}

/// Tokens with their line, from 0, and first character.
fn tokens(code: &str) -> Vec<(Token, usize, char)> {
    let mut found = Vec::new();
    let mut line = 0_usize;
    let mut chars = code.chars().peekable();
    while let Some(ch) = chars.next() {
        let token = match ch {
            '\n' => {
                line = line.saturating_add(1);
                continue;
            }
            ch if ch.is_whitespace() => continue,
            '"' | '\'' => {
                let mut escaped = false;
                for inner in chars.by_ref() {
                    line = line.saturating_add(usize::from(inner == '\n'));
                    if inner == ch && !escaped {
                        break;
                    }
                    escaped = inner == '\\' && !escaped;
                }
                Token::Literal
            }
            ch if ch.is_alphanumeric() || ch == '_' => {
                while chars
                    .next_if(|next| next.is_alphanumeric() || *next == '_')
                    .is_some()
                {}
                if ch.is_ascii_digit() {
                    Token::Literal
                } else {
                    Token::Name
                }
            }
            '+' => Token::Plus,
            '.' => Token::Dot,
            '(' | '[' | '{' => Token::Open,
            ')' | ']' | '}' => Token::Close,
            _ => Token::Other,
        };
        found.push((token, line, ch));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_needs_a_literal() {
        fn check(source: &str, expect: Option<usize>) {
            assert_eq!(unbounded_sum(source), expect, "{source}");
        }
        check(
            "{{ a + 1 }}{{ 1 + a }}{{ a + 'x' }}{% set x = x + [a[0], b] %}",
            None,
        );
        check("a + b {# a + b #} {{ 'a + b' }} {{ \"}} a + b\" }}", None);
        check("{%+ if a +%}{{ a * 60 + 5 }}", None);
        check("\n{{ 1 }}\n{{ a + b }}", Some(3));
        check("{% set x =\n x + x %}", Some(2));
        check("{{ a + [a][0] }}", Some(1));
        check("{{ a + [a] | first }}", Some(1));
        check("{{ a + '' | default(a, true) }}", Some(1));
        check("{{ a + (a) }}", Some(1));
        check("{{ a.0 + a }}", Some(1));
        check("{{ a[0] + a }}", Some(1));
        check("{{ a + [1] + a }}", Some(1));
        check("{{ a + }}", None);
    }
}
