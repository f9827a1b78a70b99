//! What spreadsheets do to identifiers (hostile-cases E3): recognised and explained, never
//! repaired.

/// Why a cell is no longer what somebody typed, in words.
pub fn of_mac(cell: &str) -> Option<String> {
    if let Some(why) = of_any(cell) {
        return Some(why);
    }
    let digits = cell.bytes().all(|byte| byte.is_ascii_hexdigit());
    match cell.len() {
        7..=11 if digits => Some(format!(
            "{} digits in place of 12: a spreadsheet drops leading zeros of what it takes for a number",
            cell.len()
        )),
        _ => None,
    }
}

/// The same for serials, extensions and accounts.
pub fn of_number(cell: &str) -> Option<String> {
    of_any(cell)
        .or_else(|| looks_like_date(cell).then(|| "a spreadsheet made a date of it".to_owned()))
}

/// The same for passwords, which may look like a date.
pub fn of_secret(cell: &str) -> Option<String> {
    of_any(cell)
}

/// An error value that a formula left behind.
pub fn is_error_value(cell: &str) -> bool {
    matches!(
        cell,
        "#N/A"
            | "#REF!"
            | "#VALUE!"
            | "#NAME?"
            | "#DIV/0!"
            | "#NULL!"
            | "#NUM!"
            | "#NV"
            | "#WERT!"
            | "#BEZUG!"
    ) || (cell.len() >= 4 && cell.bytes().all(|byte| byte == b'#'))
}

/// `1.56E+11`, `1,56E+11`, `90110560.0`.
fn of_any(cell: &str) -> Option<String> {
    let (mantissa, exponent) = match cell.split_once(['E', 'e']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (cell, None),
    };
    let (whole, part) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
    let number = !whole.is_empty()
        && whole
            .bytes()
            .chain(part.bytes())
            .all(|byte| byte.is_ascii_digit());
    match exponent {
        Some(exponent) if number && exponent.starts_with('+') => {
            let digits = exponent.trim_start_matches('+');
            let power = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            power.then(|| {
                "a spreadsheet rounded it to a number with an exponent: its digits are lost"
                    .to_owned()
            })
        }
        None if number
            && mantissa.len() > whole.len()
            && part.bytes().all(|byte| byte == b'0')
            && whole.len() > 3 =>
        {
            Some("a spreadsheet took it for a number".to_owned())
        }
        Some(_) | None => None,
    }
}

/// `Mar-01`, `01-Mrz`, `1. Mrz`, `2026-03-01 00:00:00`.
fn looks_like_date(cell: &str) -> bool {
    const MONTHS: [&str; 18] = [
        "jan", "feb", "mar", "mrz", "mär", "apr", "may", "mai", "jun", "jul", "aug", "sep", "oct",
        "okt", "nov", "dec", "dez", "fev",
    ];
    let lower = cell.to_lowercase();
    let parts: Vec<&str> = lower
        .split(['-', '.', ' ', '/'])
        .filter(|part| !part.is_empty())
        .collect();
    let number = |part: &&str| part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    let month = |part: &&str| MONTHS.contains(part);
    match parts.as_slice() {
        [a, b] => (month(a) && number(b)) || (number(a) && month(b)),
        [a, b, c] => number(a) && month(b) && number(c),
        [year, month, day, time] => {
            year.len() == 4 && [year, month, day].into_iter().all(number) && *time == "00:00:00"
        }
        _ => false,
    }
}

/// A value as our own exports write it: what a spreadsheet would take for a formula gets a quote
/// in front (hostile-cases E2).
pub fn defuse(value: &str) -> String {
    if is_formula(value) {
        format!("'{value}")
    } else {
        value.to_owned()
    }
}

/// What [`defuse`] wrote, as it was.
pub fn refuse(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula(rest) => rest,
        Some(_) | None => cell,
    }
}

fn is_formula(value: &str) -> bool {
    value
        .trim_start_matches('\'')
        .starts_with(['=', '+', '-', '@', '\t', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn damage_is_recognised() {
        for bad in [
            "1.56E+11",
            "1,56E+11",
            "2E+11",
            "1565AABBCC",
            "15650000012",
            "1565000001.0",
        ] {
            assert!(of_mac(bad).is_some(), "{bad}");
        }
        for good in [
            "001565aabbcc",
            "00:15:65:aa:bb:cc",
            "hello",
            "12",
            "805E0C123456",
            "001565E12345",
        ] {
            assert_eq!(of_mac(good), None, "{good}");
        }
        for bad in [
            "4.93E+11",
            "Mar-01",
            "01-Mar",
            "1. Mrz",
            "2026-03-01 00:00:00",
            "90110560.0",
            "1-Okt-26",
        ] {
            assert!(of_number(bad).is_some(), "{bad}");
        }
        for good in [
            "214",
            "+4930123456",
            "0301234",
            "anna",
            "anna-1",
            "1E10",
            "12-14",
            "10.99",
            "JPE1234",
        ] {
            assert_eq!(of_number(good), None, "{good}");
        }
        assert!(is_error_value("#N/A") && is_error_value("#######") && !is_error_value("#21"));
    }

    proptest! {
        #[test]
        fn what_we_export_comes_back(value in "['=+@a\t-]{0,6}") {
            let held = defuse(&value);
            prop_assert_eq!(refuse(&held), value.as_str());
        }
    }

    #[test]
    fn formulas_are_defused() {
        for formula in ["=cmd|'/c calc'!A1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(defuse(formula), format!("'{formula}"));
        }
        assert_eq!(defuse("anna"), "anna");
    }
}
