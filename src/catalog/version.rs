//! Firmware versions and the ranges of them that a folder serves.

use std::fmt;

/// Numbers of a version that are compared.
const MOST: usize = 8;

/// Comparisons such as `>=66.84, <70`; all must hold.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FirmwareRange {
    text: String,
    parts: Vec<(Sign, Vec<u64>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    AtLeast,
    AtMost,
    Above,
    Below,
    Is,
}

/// Longer signs first.
const SIGNS: [(&str, Sign); 5] = [
    (">=", Sign::AtLeast),
    ("<=", Sign::AtMost),
    (">", Sign::Above),
    ("<", Sign::Below),
    ("=", Sign::Is),
];

impl FirmwareRange {
    /// Reads comparisons parted by commas, each a sign and numbers parted by dots.
    pub fn parse(text: &str) -> Option<Self> {
        let part = |part: &str| {
            let part = part.trim();
            let signs = SIGNS.iter();
            let mut found =
                signs.filter_map(|(sign, means)| Some((*means, part.strip_prefix(sign)?)));
            let (sign, version) = found.next()?;
            let version = version.trim();
            let plain = version
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.');
            let numbers = numbers(version)?;
            plain.then_some((sign, numbers))
        };
        Some(Self {
            text: text.to_owned(),
            parts: text.split(',').map(part).collect::<Option<_>>()?,
        })
    }

    /// Whether a version that a unit names lies within. Of a text that begins with no number nothing
    /// can be said: it does.
    pub fn holds(&self, version: &str) -> bool {
        let Some(version) = numbers(version) else {
            return true;
        };
        self.parts.iter().all(|(sign, bound)| {
            let order = version.cmp(bound);
            match sign {
                Sign::AtLeast => order.is_ge(),
                Sign::AtMost => order.is_le(),
                Sign::Above => order.is_gt(),
                Sign::Below => order.is_lt(),
                Sign::Is => order.is_eq(),
            }
        })
    }
}

impl fmt::Display for FirmwareRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for FirmwareRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// The numbers that a version begins with, up to the first letter; zeros at the end do not count.
/// `15.6(3)M2` is 15, 6, 3.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let version = version.trim_start_matches(['v', 'V']);
    let end = version.find(|ch: char| ch.is_ascii_alphabetic());
    let (numbers, _) = version.split_at_checked(end.unwrap_or(version.len()))?;
    if !numbers.starts_with(|ch: char| ch.is_ascii_digit()) {
        return None;
    }
    let parts = numbers.split(|ch: char| !ch.is_ascii_digit());
    let parts = parts.filter(|part| !part.is_empty()).take(MOST);
    let mut parts: Vec<u64> = parts.map(|part| part.parse().unwrap_or(u64::MAX)).collect();
    while parts.last() == Some(&0) {
        parts.pop();
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        fn check(range: &str, version: &str, expect: bool) {
            let parsed = FirmwareRange::parse(range).expect("a range");
            assert_eq!(parsed.holds(version), expect, "{version} {range}");
        }
        check(">=2.2.10", "2.2.9", false);
        check(">=2.2.10", "2.2.10", true);
        check(">=2.2.10", "2.12.16.17", true);
        check(">=2.2.10", "0.0.10", false);
        check(">=7", "6.5.20", false);
        check(">=7", "7.3.15", true);
        check(">=5.0", "5", true);
        check(">=5.0", "5.1.0", true);
        check(">=5.0", "4.4.5", false);
        check(">=66.84, <70", "66.86.0.15", true);
        check(">=66.84, <70", "70.0", false);
        check(">=66.84, <70", "66.83.0.1", false);
        check("<=70", "70.0.0", true);
        check("<=70", "70.1", false);
        check("=2.1", "2.1.0", true);
        check("=2.1", "2.1.1", false);
        check(">15.6", "15.6(3)M2", true);
        check(">5", "v5.0.1-rc1", true);
        // Nothing can be said of it.
        check(">=7", "unknown", true);
        check(">=7", "", true);
        check(">=7", "99999999999999999999999", true);
    }

    #[test]
    fn a_range_is_signs_and_numbers() {
        for wrong in ["", "66.84", ">=", ">=a", ">=1.2b", ">=1,", "~1", ">= 1 2"] {
            assert!(FirmwareRange::parse(wrong).is_none(), "{wrong}");
        }
    }
}
