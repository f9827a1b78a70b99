//! Python as tokens: names, operators, line ends and comments are keys, literals are not.

use super::{ParseError, Parsed, Scan};

pub(super) fn parse(text: &str) -> Result<Parsed, ParseError> {
    let mut parsed = Parsed::default();
    let mut scan = Scan::new(text);
    while let Some(ch) = scan.peek() {
        match ch {
            '\n' => {
                scan.next();
                parsed.add("\\n");
            }
            ch if ch.is_whitespace() => drop(scan.next()),
            '#' => {
                scan.run(|ch| ch != '\n');
                parsed.add("# ");
            }
            '"' | '\'' => {
                string(&mut scan, ch)?;
                parsed.add("string");
            }
            ch if ch.is_ascii_digit() => {
                scan.run(|ch| ch.is_ascii_alphanumeric() || matches!(ch, '.' | '_'));
                parsed.add("number");
            }
            ch if ch.is_alphabetic() || ch == '_' => {
                let name = scan.run(|ch| ch.is_alphanumeric() || ch == '_');
                parsed.add(name);
            }
            ch => {
                scan.next();
                parsed.add(ch.to_string());
            }
        }
    }
    Ok(parsed)
}

fn string(scan: &mut Scan<'_>, quote: char) -> Result<(), ParseError> {
    let triple = quote.to_string().repeat(3);
    let long = scan.skip(&triple);
    if !long {
        scan.next();
    }
    loop {
        if long && scan.skip(&triple) {
            return Ok(());
        }
        let before = scan.at;
        match scan.next() {
            Some('\\') => drop(scan.next()),
            Some(ch) if ch == quote && !long => return Ok(()),
            Some('\n') if !long => {
                scan.at = before;
                return Err(scan.wrong("a text is not closed"));
            }
            None => return Err(scan.wrong("a text is not closed")),
            Some(_) => {}
        }
    }
}
