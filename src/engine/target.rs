//! A raw request target as [`Target`]: decoded once, secrets taken off (trust.md section 5).
//!
//! The result is a name to match against patterns. It is never a path of the file system, and
//! this module knows nothing about which names exist.

use crate::engine::facts::Target;
use crate::model::secret::Secret;

/// The longest name that is taken, in octets after decoding.
pub const LONGEST_NAME: usize = 1024;
/// The longest query that is taken, in octets as sent.
pub const LONGEST_QUERY: usize = 4096;
/// The longest token or report secret that is taken.
const LONGEST_SECRET: usize = 128;
/// Below a folder, a segment counts as a token only from this length on: our own have 26
/// characters, and a folder that happens to be named `u` keeps its file.
const SHORTEST_NESTED: usize = 20;

/// Why a target names nothing. It is answered by a refusal; the target itself is not recorded,
/// because nobody can say where in it a secret lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a control character in the name or query")]
    Control,
    #[error("dot segments")]
    DotSegment,
    #[error("a percent sign without two hexadecimal digits")]
    Escape,
    #[error("not UTF-8")]
    NotUtf8,
    #[error("a unit token or report secret that is empty, too long or given twice")]
    Secret,
    #[error("too long")]
    TooLong,
}

/// Reads a target in origin form (`/name?query`), or a bare name as TFTP has it.
///
/// Percent signs are decoded once, `\` counts as `/`, repeated slashes as one. `u/TOKEN/` and
/// `r/SECRET/` are taken off where the name begins, and also below a folder (a base URL may
/// have one) when what follows has the length of a token.
pub fn parse(raw: &[u8]) -> Result<Target, Malformed> {
    let (name, query) = match raw.iter().position(|byte| *byte == b'?') {
        Some(at) => (
            raw.get(..at).unwrap_or_default(),
            raw.get(at + 1..).unwrap_or_default(),
        ),
        None => (raw, &b""[..]),
    };
    if query.len() > LONGEST_QUERY || name.len() > LONGEST_NAME * 3 + 1 {
        return Err(Malformed::TooLong);
    }
    if query.iter().any(|byte| !(0x20..0x7f).contains(byte)) {
        return Err(Malformed::Control);
    }
    let query = String::from_utf8(query.to_vec()).map_err(|_| Malformed::NotUtf8)?;
    let name = decode(name)?;
    if name.len() > LONGEST_NAME + 1 {
        return Err(Malformed::TooLong);
    }
    if name.chars().any(char::is_control) {
        return Err(Malformed::Control);
    }
    let mut target = strip(&name)?;
    target.query = query;
    Ok(target)
}

/// Decodes `%XX` once and turns `\` into `/`. Overlong UTF-8 is no UTF-8.
fn decode(name: &[u8]) -> Result<String, Malformed> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name.iter();
    while let Some(byte) = rest.next() {
        let byte = if *byte == b'%' {
            let high = rest.next().and_then(|digit| hex(*digit));
            let low = rest.next().and_then(|digit| hex(*digit));
            match (high, low) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(Malformed::Escape),
            }
        } else {
            *byte
        };
        decoded.push(if byte == b'\\' { b'/' } else { byte });
    }
    String::from_utf8(decoded).map_err(|_| Malformed::NotUtf8)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Whether a segment says that the next one is a secret.
fn marks(segment: &str) -> bool {
    segment.eq_ignore_ascii_case("u") || segment.eq_ignore_ascii_case("r")
}

/// Takes secrets off and joins what is left.
fn strip(name: &str) -> Result<Target, Malformed> {
    let mut target = Target::default();
    let folder = name.ends_with('/');
    let mut segments = name.split('/').filter(|segment| !segment.is_empty());
    let mut path = String::with_capacity(name.len());
    while let Some(segment) = segments.next() {
        if segment == "." || segment == ".." {
            return Err(Malformed::DotSegment);
        }
        let token = segment.eq_ignore_ascii_case("u");
        if marks(segment) {
            let next = segments.clone().next();
            let taken = match next {
                // `u/u/TOKEN`: the first is a folder.
                Some(secret) if marks(secret) => false,
                Some(secret) => path.is_empty() || secret.len() >= SHORTEST_NESTED,
                // `u` alone is an ordinary name; `u/` is a token that is missing.
                None => path.is_empty() && folder,
            };
            if taken {
                let secret = next.unwrap_or_default();
                let _ = segments.next();
                let place = if token {
                    &mut target.token
                } else {
                    &mut target.report
                };
                let twice = place.as_ref().is_some_and(|held| held.expose() != secret);
                let dots = secret == "." || secret == "..";
                if secret.is_empty() || secret.len() > LONGEST_SECRET || twice || dots {
                    return Err(Malformed::Secret);
                }
                *place = Some(Secret::new(secret.to_owned()));
                continue;
            }
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(segment);
    }
    if folder && !path.is_empty() {
        path.push('/');
    }
    if path.len() > LONGEST_NAME {
        return Err(Malformed::TooLong);
    }
    target.path = path;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(raw: &str, path: &str, shown: &str) {
        let target = parse(raw.as_bytes()).unwrap_or_else(|why| panic!("{raw}: {why}"));
        assert_eq!(target.path, path, "{raw}");
        assert_eq!(target.shown(), shown, "{raw}");
    }

    #[test]
    fn names_are_decoded_once() {
        check("/001565aabbcc.cfg", "001565aabbcc.cfg", "001565aabbcc.cfg");
        check("001565aabbcc.cfg", "001565aabbcc.cfg", "001565aabbcc.cfg");
        check("/a%20b", "a b", "a b");
        check("/%252e%252e/x", "%2e%2e/x", "%2e%2e/x");
        check(
            "\\SEP001122334455.cnf.xml",
            "SEP001122334455.cnf.xml",
            "SEP001122334455.cnf.xml",
        );
        check("//host//file", "host/file", "host/file");
        check("/", "", "");
        check("/folder/", "folder/", "folder/");
        check("/C:\\x", "C:/x", "C:/x");
        check("/%C3%A4.cfg", "ä.cfg", "ä.cfg");
    }

    #[test]
    fn what_cannot_be_a_name_is_malformed() {
        fn bad(raw: &[u8], expect: Malformed) {
            assert_eq!(
                parse(raw).unwrap_err(),
                expect,
                "{}",
                String::from_utf8_lossy(raw)
            );
        }
        bad(b"/p/..%2f..%2fetc/passwd", Malformed::DotSegment);
        bad(b"/p/.%2e/", Malformed::DotSegment);
        bad(b"..\\..", Malformed::DotSegment);
        bad(b"/./x", Malformed::DotSegment);
        bad(b"/p/%00", Malformed::Control);
        bad(b"/p/%0d%0aSet-Cookie:", Malformed::Control);
        bad(b"/p\x7f", Malformed::Control);
        bad(b"/%c0%ae%c0%ae/x", Malformed::NotUtf8);
        bad(b"/%ff", Malformed::NotUtf8);
        bad(b"/%zz", Malformed::Escape);
        bad(b"/x%4", Malformed::Escape);
        bad(b"/x?a\nb", Malformed::Control);
        bad("x".repeat(4000).as_bytes(), Malformed::TooLong);
        bad("x".repeat(LONGEST_NAME + 1).as_bytes(), Malformed::TooLong);
        bad(
            format!("/u/{}/x", "t".repeat(129)).as_bytes(),
            Malformed::Secret,
        );
        bad(b"/u/", Malformed::Secret);
        bad(b"/u/../x", Malformed::Secret);
        bad(b"/u/one/u/two/x", Malformed::Secret);
    }

    #[test]
    fn tokens_and_report_secrets_are_taken_off() {
        const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz";
        for (raw, path, shown) in [
            ("/u/TOKEN/y.cfg?x=1", "y.cfg", "u/~/y.cfg"),
            ("/u/TOKEN", "", "u/~/"),
            ("//u//TOKEN//y.cfg", "y.cfg", "u/~/y.cfg"),
            ("/u%2fTOKEN%2fy.cfg", "y.cfg", "u/~/y.cfg"),
            ("/prov/u/TOKEN/y.cfg", "prov/y.cfg", "u/~/prov/y.cfg"),
            ("/u/TOKEN/u/TOKEN/y.cfg", "y.cfg", "u/~/y.cfg"),
            ("/U/TOKEN/y.cfg", "y.cfg", "u/~/y.cfg"),
        ] {
            let target = parse(raw.replace("TOKEN", TOKEN).as_bytes()).unwrap();
            assert_eq!(
                target.token.as_ref().map(Secret::expose),
                Some(TOKEN),
                "{raw}"
            );
            assert_eq!(
                (target.path.as_str(), target.shown().as_str()),
                (path, shown),
                "{raw}"
            );
        }
        let target = parse(format!("/r/{TOKEN}/registered").as_bytes()).unwrap();
        assert_eq!(target.report.as_ref().map(Secret::expose), Some(TOKEN));
        assert_eq!(
            (target.path.as_str(), target.shown().as_str()),
            ("registered", "r/~/registered")
        );
        // An ordinary folder of that name keeps its file.
        check(
            "/firmware/u/boot.bin",
            "firmware/u/boot.bin",
            "firmware/u/boot.bin",
        );
        check("/u", "u", "u");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_target_or_malformed(raw in proptest::collection::vec(any::<u8>(), 0..2000)) {
            if let Ok(target) = parse(&raw) {
                prop_assert!(target.path.len() <= LONGEST_NAME);
                prop_assert!(!target.path.chars().any(char::is_control));
                prop_assert!(target.path.split('/').all(|segment| segment != ".." && segment != "."));
            }
        }

        #[test]
        fn a_token_is_never_shown(
            before in "(/|//|/prov/|/a/b/|\\\\|/%75/|)",
            kind in "(u|r|U|R|%75|%72)",
            slash in "(/|//|%2f|\\\\)",
            token in "[a-z2-7]{26,52}",
            after in "(|/|/[a-zA-Z0-9._%/-]{0,40})",
        ) {
            let raw = format!("{before}{kind}{slash}{token}{after}");
            if let Ok(target) = parse(raw.as_bytes()) {
                prop_assert!(!target.shown().contains(&token), "{} -> {}", raw, target.shown());
                let debug = format!("{:?}", target);
                prop_assert!(!debug.contains(&token));
            }
        }
    }
}
