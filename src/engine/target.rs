//! A request target to words: decoded once, and what it must not show taken off.

use super::facts::Target;
use crate::model::secret::Secret;

/// The longest target that is read, in octets.
pub const MOST: usize = 2048;

/// Why a target is no name of ours. All of them get the refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("control octets or octets that are no UTF-8")]
    Octets,
    #[error("a percent sign without two hex digits")]
    Percent,
    #[error("dot segments or empty segments")]
    Segments,
    #[error("longer than {MOST} octets")]
    TooLong,
}

/// Reads a target as sent, with or without query: percent-decoding once, `\` as `/`, one leading
/// `/` off, then `u/TOKEN/` and `r/SECRET/` (trust.md section 5).
pub fn parse(raw: &[u8]) -> Result<Target, Malformed> {
    if raw.len() > MOST {
        return Err(Malformed::TooLong);
    }
    let (path, query) = match raw.iter().position(|byte| *byte == b'?') {
        Some(at) => (
            raw.get(..at).unwrap_or_default(),
            raw.get(at + 1..).unwrap_or_default(),
        ),
        None => (raw, &[][..]),
    };
    let decoded = String::from_utf8(decode(path)?)
        .map_err(|_| Malformed::Octets)?
        .replace('\\', "/");
    let query = std::str::from_utf8(query).map_err(|_| Malformed::Octets)?;
    if decoded.chars().chain(query.chars()).any(char::is_control) {
        return Err(Malformed::Octets);
    }
    let path = decoded.strip_prefix('/').unwrap_or(&decoded);
    let inner = path.strip_suffix('/').unwrap_or(path);
    if !inner.is_empty()
        && inner
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
    {
        return Err(Malformed::Segments);
    }
    let mut target = Target {
        path: path.to_owned(),
        query: query.to_owned(),
        ..Target::default()
    };
    for (mark, report) in [("u/", false), ("r/", true)] {
        let Some((secret, rest)) = path
            .strip_prefix(mark)
            .and_then(|rest| rest.split_once('/'))
        else {
            continue;
        };
        let slot = if report {
            &mut target.report
        } else {
            &mut target.token
        };
        *slot = Some(Secret::new(secret.to_owned()));
        target.path = rest.to_owned();
    }
    Ok(target)
}

fn decode(path: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let hex = digits.filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let value = hex
            .and_then(|two| u8::from_str_radix(two, 16).ok())
            .ok_or(Malformed::Percent)?;
        decoded.push(value);
        rest = after.get(2..).unwrap_or_default();
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn targets_are_decoded_once_and_lose_their_secrets() {
        fn check(raw: &str, expect: Result<&str, Malformed>) {
            let shown = parse(raw.as_bytes()).map(|target| target.shown());
            assert_eq!(shown, expect.map(str::to_owned), "{raw}");
        }
        check("/001565aabbcc.cfg", Ok("001565aabbcc.cfg"));
        check("/a/b.cfg?x=1", Ok("a/b.cfg"));
        check("\\SEP1.xml", Ok("SEP1.xml"));
        check("/u/CANARY/001565aabbcc.cfg", Ok("u/~/001565aabbcc.cfg"));
        check("/r/CANARY/ok?mac=1", Ok("r/~/ok"));
        check("/a%20b.cfg", Ok("a b.cfg"));
        check("/%252e%252e", Ok("%2e%2e"));
        check("/p/..%2f..%2fetc/passwd", Err(Malformed::Segments));
        check("/p/.%2e/", Err(Malformed::Segments));
        check("//etc/passwd", Err(Malformed::Segments));
        check("..\\..\\", Err(Malformed::Segments));
        check("/p/%00", Err(Malformed::Octets));
        check("/%c0%ae", Err(Malformed::Octets));
        check("/%4", Err(Malformed::Percent));
        check(&"x".repeat(4000), Err(Malformed::TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_panic(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _target = parse(&raw);
        }

        #[test]
        fn a_token_is_never_shown(token in "[a-z2-7]{26}", name in "[a-z0-9]{1,12}") {
            let target = parse(format!("/u/{token}/{name}").as_bytes()).unwrap();
            prop_assert!(!target.shown().contains(&token));
            let debug = format!("{target:?}");
            prop_assert!(!debug.contains(&token));
        }
    }
}
