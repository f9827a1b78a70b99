//! `$((…))`: whole numbers, with variables and assignments.

use super::variables::Variables;

/// The value of an expression. Assignments go into `variables`.
pub(super) fn value(text: &str, variables: &mut Variables) -> Result<i64, String> {
    let mut reader = Reader {
        text: text.chars().collect(),
        at: 0,
        variables,
        depth: 0,
    };
    let value = reader.whole()?;
    reader.blanks();
    if reader.at < reader.text.len() {
        return Err(format!("the number {text:?} is not understood"));
    }
    Ok(value)
}

/// Operators by their strength, weakest first; the longer of two that begin alike stands first.
const OPERATORS: [(&str, u8); 13] = [
    ("||", 1),
    ("&&", 2),
    ("==", 3),
    ("!=", 3),
    ("<=", 4),
    (">=", 4),
    ("<", 4),
    (">", 4),
    ("+", 5),
    ("-", 5),
    ("*", 6),
    ("/", 6),
    ("%", 6),
];

struct Reader<'v> {
    text: Vec<char>,
    at: usize,
    variables: &'v mut Variables,
    depth: u8,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(|ch| ch.is_whitespace()) {
            self.at += 1;
        }
    }

    fn takes(&mut self, mark: &str) -> bool {
        self.blanks();
        let fits = mark
            .chars()
            .enumerate()
            .all(|(at, ch)| self.text.get(self.at + at) == Some(&ch));
        if fits {
            self.at += mark.len();
        }
        fits
    }

    /// With a choice: both ends of it are worked out, one counts.
    fn whole(&mut self) -> Result<i64, String> {
        let value = self.binary(0)?;
        if !self.takes("?") {
            return Ok(value);
        }
        let yes = self.whole()?;
        if !self.takes(":") {
            return Err("a choice without its other end".to_owned());
        }
        let no = self.whole()?;
        Ok(if value == 0 { no } else { yes })
    }

    fn binary(&mut self, weakest: u8) -> Result<i64, String> {
        let mut left = self.unary()?;
        loop {
            let begun = self.at;
            let found = OPERATORS.iter().find(|(mark, _)| self.takes(mark));
            let Some((mark, strength)) = found.filter(|(_, strength)| *strength > weakest) else {
                self.at = begun;
                return Ok(left);
            };
            let right = self.binary(*strength)?;
            let result = match *mark {
                "||" => Some(i64::from(left != 0 || right != 0)),
                "&&" => Some(i64::from(left != 0 && right != 0)),
                "==" => Some(i64::from(left == right)),
                "!=" => Some(i64::from(left != right)),
                "<=" => Some(i64::from(left <= right)),
                ">=" => Some(i64::from(left >= right)),
                "<" => Some(i64::from(left < right)),
                ">" => Some(i64::from(left > right)),
                "+" => left.checked_add(right),
                "-" => left.checked_sub(right),
                "*" => left.checked_mul(right),
                "/" => left.checked_div(right),
                _ => left.checked_rem(right),
            };
            left = result.ok_or_else(|| format!("{left} {mark} {right} has no value"))?;
        }
    }

    fn unary(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > 40 {
            return Err("a number nested this deep".to_owned());
        }
        let value = if self.takes("(") {
            let value = self.whole()?;
            if !self.takes(")") {
                return Err("a parenthesis without its end".to_owned());
            }
            value
        } else if self.takes("!") {
            i64::from(self.unary()? == 0)
        } else if self.takes("-") {
            self.unary()?.saturating_neg()
        } else {
            self.atom()?
        };
        self.depth -= 1;
        Ok(value)
    }

    fn atom(&mut self) -> Result<i64, String> {
        self.blanks();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let word: String = rest
            .iter()
            .copied()
            .skip_while(|ch| *ch == '$')
            .take_while(|ch| ch.is_ascii_alphanumeric() || *ch == '_')
            .collect();
        let dollars = rest.iter().take_while(|ch| **ch == '$').count();
        self.at += dollars + word.len();
        if word.is_empty() {
            let text: String = self.text.iter().collect();
            return Err(format!("the number {text:?} is not understood"));
        }
        if word.starts_with(|ch: char| ch.is_ascii_digit()) {
            return word.parse().map_err(|_| format!("{word} is no number"));
        }
        let old = self.variables.get(&word).map_or("0", String::as_str);
        let old: i64 = old.trim().parse().unwrap_or(0);
        for (mark, step) in [("++", 1), ("--", -1)] {
            if self.takes(mark) {
                self.set(&word, old.saturating_add(step));
                return Ok(old);
            }
        }
        for (mark, sign) in [("+=", 1), ("-=", -1)] {
            if self.takes(mark) {
                let value = self.binary(0)?.saturating_mul(sign);
                let value = old.saturating_add(value);
                self.set(&word, value);
                return Ok(value);
            }
        }
        let begun = self.at;
        if self.takes("=") && !self.takes("=") {
            let value = self.binary(0)?;
            self.set(&word, value);
            return Ok(value);
        }
        self.at = begun;
        Ok(old)
    }

    fn set(&mut self, name: &str, value: i64) {
        self.variables.insert(name.to_owned(), value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_worked_out() {
        let mut variables = Variables::default();
        variables.insert("a".to_owned(), "7".to_owned());
        for (text, expect) in [
            ("1 + 2 * 3", 7),
            ("(1 + 2) * 3 - -1", 10),
            ("a - 2 - 1", 4),
            ("$a + 900", 907),
            ("a >= 7 && a < 8", 1),
            ("a == 7 || 0", 1),
            ("b", 0),
            ("c = a + 1", 8),
            ("c++", 8),
            ("c", 9),
            ("c += 1", 10),
            ("!c", 0),
            ("a < 15 ? a * 60 : 900", 420),
            ("(0 ? 1 : 2) + 1", 3),
        ] {
            assert_eq!(value(text, &mut variables), Ok(expect), "{text}");
        }
        for bad in ["", "1 +", "1 / 0", "(1", "1 2", "1 ? 2"] {
            value(bad, &mut variables).unwrap_err();
        }
    }
}
