//! How a value is written into each format, so that none becomes a second key, line or command.
//!
//! `ini`, `ios`, `text` and `xml` write the value in place; `json`, `junos`, `python` and `shell`
//! write a whole literal with its quotes. What a format cannot carry is refused, never changed.

use std::fmt::{self, Write};

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, Output, State};
use zeroize::Zeroizing;

use super::skeleton::Slot;
use crate::catalog::manifest::Format;

/// A value that a format cannot carry. It holds the value to find its name, and never shows it.
pub(super) struct Unfit {
    pub(super) text: Zeroizing<String>,
    pub(super) why: &'static str,
}

impl fmt::Debug for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unfit({})", self.why)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why)
    }
}

impl std::error::Error for Unfit {}

impl Unfit {
    pub(super) fn error(text: &str, why: &'static str) -> Error {
        let unfit = Self {
            text: Zeroizing::new(text.to_owned()),
            why,
        };
        Error::new(
            ErrorKind::InvalidOperation,
            "the format cannot carry a value",
        )
        .with_source(unfit)
    }
}

/// Writes the value of one `{{ }}`.
pub(super) fn write(
    format: Format,
    out: &mut Output<'_>,
    _: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    // What macros and captures made was escaped when it was written.
    if value.is_safe() {
        return Ok(out.write_str(value.as_str().unwrap_or_default())?);
    }
    // Most texts are written as they are, and need no copy of their own.
    if let Some(text) = value.as_str()
        && matches!(format, Format::Ini | Format::Text | Format::Xml)
        && text.bytes().all(is_plain)
    {
        return Ok(out.write_str(text)?);
    }
    let mut text = Zeroizing::new(String::new());
    put(format, &mut text, value)?;
    Ok(out.write_str(&text)?)
}

/// Octets that no format of lines or elements writes in another way.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\'')
}

fn put(format: Format, out: &mut String, value: &Value) -> Result<(), Error> {
    let odd = |what: &'static str| Err(Error::new(ErrorKind::InvalidOperation, what));
    match value.kind() {
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::None => return odd("none is no value of a file"),
        ValueKind::Bool => {
            let yes = value.is_true();
            out.push_str(match (format, yes) {
                (Format::Python, true) => "True",
                (Format::Python, false) => "False",
                (_, true) => "true",
                (_, false) => "false",
            });
        }
        ValueKind::Number => write!(out, "{value}").map_err(Error::from)?,
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            self::text(format, text, out).map_err(|why| Unfit::error(text, why))?;
        }
        ValueKind::Seq | ValueKind::Iterable if is_nested(format) => {
            out.push('[');
            for (at, item) in value.try_iter()?.enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                put(format, out, &item)?;
            }
            out.push(']');
        }
        ValueKind::Map if is_nested(format) => {
            out.push('{');
            for (at, key) in value.try_iter()?.enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                let name = Value::from(key.to_string());
                put(format, out, &name)?;
                out.push_str(": ");
                put(format, out, &value.get_item(&key)?)?;
            }
            out.push('}');
        }
        ValueKind::Plain if value.downcast_object_ref::<Slot>().is_some() => {
            let quote = quote(format);
            write!(out, "{quote}{value}{quote}").map_err(Error::from)?;
        }
        ValueKind::Bytes
        | ValueKind::Seq
        | ValueKind::Iterable
        | ValueKind::Map
        | ValueKind::Plain
        | ValueKind::Invalid
        | _ => return odd("a list, table or function cannot be written here; name a part of it"),
    }
    Ok(())
}

/// What stands around a text that is a whole literal.
fn quote(format: Format) -> &'static str {
    match format {
        Format::Json | Format::Python => "\"",
        Format::Shell => "'",
        Format::Ini | Format::Ios | Format::Junos | Format::Text | Format::Xml => "",
    }
}

/// Whether a text is written inside of a literal as it is.
pub(super) fn is_plain_inside(format: Format, text: &str) -> bool {
    let quoted = !quote(format).is_empty();
    let as_it_is = |byte: u8| is_plain(byte) && (!quoted || byte != b'\\');
    text.bytes().all(as_it_is)
}

/// Writes a text into a literal that is begun already, as [`text`] would have written it there.
/// What `text` takes as a whole only, such as a PEM text, is refused.
pub(super) fn inside(format: Format, part: &str, out: &mut String) -> Result<(), &'static str> {
    if has_breaks(part) {
        return Err("it has to be written as a whole");
    }
    let quote = quote(format);
    if quote.is_empty() {
        return text(format, part, out);
    }
    let mut whole = Zeroizing::new(String::new());
    text(format, part, &mut whole)?;
    let within = whole.strip_prefix(quote);
    let within = within.and_then(|rest| rest.strip_suffix(quote));
    out.push_str(within.ok_or("it has no quotes")?);
    Ok(())
}

fn is_nested(format: Format) -> bool {
    matches!(format, Format::Json | Format::Python)
}

/// Writes a text in a format, or says why it cannot be carried.
pub(crate) fn text(format: Format, text: &str, out: &mut String) -> Result<(), &'static str> {
    match format {
        Format::Ini => line(text, out),
        Format::Ios => {
            if text.is_empty() {
                return Err("an empty text is no word of a command");
            }
            if text.chars().any(char::is_whitespace) {
                return Err(
                    "a blank would make two words of it; `| rest` writes the rest of a line",
                );
            }
            line(text, out)
        }
        Format::Text if is_pem(text) => {
            out.push_str(text);
            Ok(())
        }
        Format::Text => line(text, out),
        Format::Xml => xml(text, out),
        Format::Json => quoted(text, out, |ch, out| write!(out, "\\u{:04x}", u32::from(ch))),
        Format::Python if !is_pem(text) && text.chars().any(breaks) => {
            Err("a line break or control character could begin a second command further on")
        }
        Format::Python => quoted(text, out, |ch, out| write!(out, "\\x{:02x}", u32::from(ch))),
        Format::Junos => junos(text, out),
        Format::Shell => shell(text, out),
    }
}

/// Characters that some parser takes as the end of a line, or that end a text in C.
fn breaks(ch: char) -> bool {
    ch.is_control() || matches!(ch, '\u{2028}' | '\u{2029}')
}

/// Whether a text has a character that some parser takes as an end.
pub(super) fn has_breaks(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b' '..=b'~');
    !text.bytes().all(plain) && text.chars().any(breaks)
}

fn line(text: &str, out: &mut String) -> Result<(), &'static str> {
    if text.chars().any(breaks) {
        return Err("a line break or control character would leave its line");
    }
    out.push_str(text);
    Ok(())
}

/// The rest of a command line: blanks stay, and no second command begins.
pub(super) fn rest(text: &str) -> Result<(), &'static str> {
    if text.chars().any(breaks) {
        return Err("a line break or control character would leave its line");
    }
    let after_blank = |(at, _): (usize, &str)| {
        text.get(..at)
            .is_some_and(|before| before.is_empty() || before.ends_with(char::is_whitespace))
    };
    if text.match_indices(';').any(after_blank) {
        return Err("a `;` after a blank begins a second command");
    }
    Ok(())
}

fn xml(text: &str, out: &mut String) -> Result<(), &'static str> {
    for ch in text.chars() {
        match ch {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            ch if ch.is_control() || matches!(ch, '\u{fffe}' | '\u{ffff}') => {
                return Err("XML cannot hold a control character");
            }
            ch => out.push(ch),
        }
    }
    Ok(())
}

fn quoted(
    text: &str,
    out: &mut String,
    escape: impl Fn(char, &mut String) -> fmt::Result,
) -> Result<(), &'static str> {
    out.push('"');
    for ch in text.chars() {
        match ch {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => return Err("a NUL ends a text in many programs"),
            // Valid unescaped, and an end of line to some readers.
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            ch if ch.is_control() => drop(escape(ch, out)),
            ch => out.push(ch),
        }
    }
    out.push('"');
    Ok(())
}

fn junos(text: &str, out: &mut String) -> Result<(), &'static str> {
    if text.chars().any(breaks) {
        return Err("a line break or control character would leave its statement");
    }
    let plain = |ch: char| ch.is_ascii_alphanumeric() || "._:/@+-".contains(ch);
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('/') {
        out.push_str(text);
        return Ok(());
    }
    out.push('"');
    for ch in text.chars() {
        if matches!(ch, '"' | '\\') {
            out.push('\\');
        }
        out.push(ch);
    }
    out.push('"');
    Ok(())
}

fn shell(text: &str, out: &mut String) -> Result<(), &'static str> {
    if !is_pem(text) && text.chars().any(breaks) {
        return Err("a line break or control character could begin a second command further on");
    }
    out.push('\'');
    for ch in text.chars() {
        if ch == '\'' {
            out.push_str("'\\''");
        } else {
            out.push(ch);
        }
    }
    out.push('\'');
    Ok(())
}

/// Whether a text is PEM and nothing else: it cannot hold a key or command of any format.
pub(crate) fn is_pem(text: &str) -> bool {
    let mut inside = false;
    let mut blocks = 0_u32;
    for line in text.lines() {
        let label = |line: &str, word: &str| {
            let label = line.strip_prefix(word)?.strip_suffix("-----")?;
            let fits = |ch: char| ch.is_ascii_uppercase() || ch.is_ascii_digit() || ch == ' ';
            label.chars().all(fits).then_some(())
        };
        let base64 = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '+' | '/' | '=');
        match inside {
            false if label(line, "-----BEGIN ").is_some() => inside = true,
            true if label(line, "-----END ").is_some() => {
                inside = false;
                blocks = blocks.saturating_add(1);
            }
            false if line.is_empty() => {}
            true if line.chars().all(base64) => {}
            _ => return false,
        }
    }
    blocks > 0 && !inside && !text.contains('\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_writes_or_refuses() {
        fn check(format: Format, input: &str, expect: Option<&str>) {
            let mut out = String::new();
            let told = text(format, input, &mut out).ok().map(|()| out);
            assert_eq!(told.as_deref(), expect, "{format:?} {input:?}");
        }
        check(Format::Ini, "a;b #c \"d\" $(e)", Some("a;b #c \"d\" $(e)"));
        check(Format::Ios, "p@ss;w", Some("p@ss;w"));
        check(Format::Ios, "a b", None);
        check(Format::Ios, "", None);
        check(
            Format::Xml,
            "</a>&\"'\n",
            Some("&lt;/a&gt;&amp;&quot;&apos;&#10;"),
        );
        check(
            Format::Json,
            "a\"\\\n\u{1}ä",
            Some("\"a\\\"\\\\\\n\\u0001ä\""),
        );
        check(Format::Python, "a'\"\\", Some("\"a'\\\"\\\\\""));
        check(Format::Shell, "$(x)`'y", Some("'$(x)`'\\''y'"));
        check(Format::Junos, "ge-0/0/1", Some("ge-0/0/1"));
        check(Format::Junos, "a; b\"", Some("\"a; b\\\"\""));
        check(Format::Junos, "", Some("\"\""));
        check(Format::Text, "a b", Some("a b"));
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA+/=\n-----END CERTIFICATE-----\n";
        check(Format::Text, pem, Some(pem));
        check(Format::Shell, pem, Some(&format!("'{pem}'")));
        check(Format::Text, &pem.replace("AAAA", "a: b"), None);
        let line_formats = [
            Format::Ini,
            Format::Ios,
            Format::Text,
            Format::Junos,
            Format::Shell,
            Format::Python,
        ];
        for format in line_formats {
            for bad in ["a\nb", "a\rb", "a\0b", "a\u{1b}b", "a\u{85}b", "a\u{2028}b"] {
                check(format, bad, None);
            }
        }
        for format in [Format::Xml, Format::Json] {
            check(format, "a\0b", None);
        }
    }

    #[test]
    fn an_unfit_value_never_shows() {
        let unfit = Unfit {
            text: Zeroizing::new("hunter2".to_owned()),
            why: "why",
        };
        assert_eq!(format!("{unfit:?} {unfit}"), "Unfit(why) why");
    }
}
