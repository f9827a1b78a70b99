//! `[ … ]`: what a script asks about files and texts.

use super::regex;

/// Whether the words hold. `file` gives a file's size.
pub(super) fn holds(
    words: &[String],
    file: impl Fn(&str) -> Option<usize>,
) -> Result<bool, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    any(&words, &file)
}

fn any(words: &[&str], file: &dyn Fn(&str) -> Option<usize>) -> Result<bool, String> {
    for mark in [["-o", "||"], ["-a", "&&"]] {
        let found = words.iter().rposition(|word| mark.contains(word));
        if let Some(at) = found
            && at > 0
            && let (Some(left), Some(right)) = (words.get(..at), words.get(at + 1..))
        {
            let (left, right) = (any(left, file)?, any(right, file)?);
            return Ok(if mark.contains(&"-o") {
                left || right
            } else {
                left && right
            });
        }
    }
    let wrong = || format!("the question {words:?} is not understood");
    match words {
        [] => Ok(false),
        [text] => Ok(!text.is_empty()),
        ["!", rest @ ..] => Ok(!any(rest, file)?),
        ["(", inner @ .., ")"] => any(inner, file),
        [operator, operand] => match *operator {
            "-z" => Ok(operand.is_empty()),
            "-n" => Ok(!operand.is_empty()),
            "-s" => Ok(file(operand).is_some_and(|size| size > 0)),
            "-e" | "-f" | "-r" | "-x" | "-w" => Ok(file(operand).is_some()),
            // Folders need not be made here.
            "-d" => Ok(true),
            _ => Err(wrong()),
        },
        [left, operator, right] => match *operator {
            "=" | "==" => {
                Ok(regex::made(&format!("(?s)^{}$", regex::of_glob(right)))?.is_match(left))
            }
            "!=" => Ok(!regex::made(&format!("(?s)^{}$", regex::of_glob(right)))?.is_match(left)),
            "=~" => Ok(regex::made(right)?.is_match(left)),
            "<" => Ok(left < right),
            ">" => Ok(left > right),
            operator => {
                let number = |text: &str| text.trim().parse::<i64>();
                let (Ok(left), Ok(right)) = (number(left), number(right)) else {
                    return Ok(false);
                };
                match operator {
                    "-eq" => Ok(left == right),
                    "-ne" => Ok(left != right),
                    "-lt" => Ok(left < right),
                    "-le" => Ok(left <= right),
                    "-gt" => Ok(left > right),
                    "-ge" => Ok(left >= right),
                    _ => Err(wrong()),
                }
            }
        },
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_answered() {
        for (words, expect) in [
            ("-s /full", true),
            ("-s /empty", false),
            ("-f /empty", true),
            ("! -e /none", true),
            ("a = a", true),
            ("a != a", false),
            ("abc == a*", true),
            ("2 -ge 10", false),
            ("-n x -a -n y", true),
            ("1 -lt 2 && 3 -lt 2", false),
            ("x", true),
        ] {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            let file = |name: &str| match name {
                "/full" => Some(3),
                "/empty" => Some(0),
                _ => None,
            };
            assert_eq!(holds(&words, file), Ok(expect), "{words:?}");
        }
    }
}
