//! Preconditions and ranges of a GET (RFC 9110 sections 13 and 14), for one known body.

/// What part of a body to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// `first..=last`, inside the body.
    Slice(u64, u64),
    /// 416.
    Unsatisfiable,
}

/// Reads a `Range` header. More than one range, another unit or a syntax error: the whole body,
/// as if nothing had been asked (RFC 9110 section 14.2), so that no request makes us send more
/// than the file.
pub(crate) fn part(header: &str, length: u64) -> Part {
    let Some(spec) = header.trim().strip_prefix("bytes=") else {
        return Part::Whole;
    };
    let spec = spec.trim();
    let Some((from, to)) = spec.split_once('-') else {
        return Part::Whole;
    };
    let (from, to) = (number(from.trim()), number(to.trim()));
    match (from, to) {
        (Number::Is(first), Number::Is(last)) if first > last => Part::Whole,
        (Number::Is(first), _) if matches!(to, Number::Is(_) | Number::Empty) => {
            if first >= length {
                return Part::Unsatisfiable;
            }
            let end = length.saturating_sub(1);
            match to {
                Number::Is(last) => Part::Slice(first, last.min(end)),
                Number::Empty | Number::No => Part::Slice(first, end),
            }
        }
        (Number::Empty, Number::Is(0)) => Part::Unsatisfiable,
        (Number::Empty, Number::Is(last)) if length > 0 => {
            Part::Slice(length.saturating_sub(last), length.saturating_sub(1))
        }
        (Number::Empty, Number::Is(_)) => Part::Unsatisfiable,
        (Number::Is(_) | Number::Empty | Number::No, _) => Part::Whole,
    }
}

/// Whether an `If-None-Match` header names this entity tag; weak ones count (section 13.1.2).
/// `*` does not: who has no bytes of this file is not told that it has them.
pub(crate) fn none_match(header: &str, etag: &str) -> bool {
    header.split(',').any(|given| {
        let given = given.trim();
        let given = given.strip_prefix("W/").unwrap_or(given);
        unquoted(given) == Some(etag)
    })
}

/// Whether an `If-Range` header allows a part: the same strong tag (section 13.1.5).
pub(crate) fn if_range(header: &str, etag: &str) -> bool {
    unquoted(header.trim()) == Some(etag)
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

#[derive(Clone, Copy)]
enum Number {
    Empty,
    Is(u64),
    No,
}

/// Digits only: no sign, no blanks; what does not fit counts as the largest number.
fn number(text: &str) -> Number {
    if text.is_empty() {
        Number::Empty
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Number::Is(text.parse().unwrap_or(u64::MAX))
    } else {
        Number::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn b7_ranges() {
        fn check(header: &str, expect: Part) {
            assert_eq!(part(header, 100), expect, "{header}");
        }
        check("bytes=0-0", Part::Slice(0, 0));
        check("bytes=10-19", Part::Slice(10, 19));
        check("bytes=90-1000", Part::Slice(90, 99));
        check("bytes=50-", Part::Slice(50, 99));
        check("bytes=-10", Part::Slice(90, 99));
        check("bytes=-1000", Part::Slice(0, 99));
        check("bytes=0-18446744073709551616", Part::Slice(0, 99));
        check("bytes=-0", Part::Unsatisfiable);
        check("bytes=100-", Part::Unsatisfiable);
        check("bytes=9999999999-", Part::Unsatisfiable);
        check("bytes=99999999999999999999999-", Part::Unsatisfiable);
        check(&format!("bytes={}", "0-0,".repeat(10_000)), Part::Whole);
        check("bytes=0-10,5-20", Part::Whole);
        check("bytes=20-10", Part::Whole);
        check("bytes=+1-2", Part::Whole);
        check("bytes=a-b", Part::Whole);
        check("bytes=-", Part::Whole);
        check("items=0-1", Part::Whole);
        check("", Part::Whole);
        assert_eq!(part("bytes=0-", 0), Part::Unsatisfiable);
        assert_eq!(part("bytes=-5", 0), Part::Unsatisfiable);
    }

    #[test]
    fn entity_tags() {
        assert!(none_match("\"abc\"", "abc"));
        assert!(none_match("\"x\", W/\"abc\"", "abc"));
        assert!(!none_match("abc", "abc"));
        assert!(!none_match("*", "abc"));
        assert!(if_range("\"abc\"", "abc"));
        assert!(!if_range("W/\"abc\"", "abc"));
        assert!(!if_range("Wed, 21 Oct 2015 07:28:00 GMT", "abc"));
    }

    proptest! {
        #[test]
        fn a_part_lies_inside(header in "(bytes=)?[0-9a, -]{0,30}", length in 0_u64..1000) {
            if let Part::Slice(first, last) = part(&header, length) {
                prop_assert!(first <= last && last < length);
            }
        }
    }
}
