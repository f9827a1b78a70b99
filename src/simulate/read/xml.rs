//! One element per key below a root; nested elements are keys with `/` between the names.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use super::Sheet;

/// The deepest nesting that is read.
const DEEPEST: usize = 8;

/// Reads a file whose root element must be `root`, where that is not empty.
pub(in super::super) fn read(bytes: &[u8], root: &str) -> Result<Sheet, String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err("no UTF-8 text".to_owned());
    };
    let mut reader = Reader::from_str(text);
    let mut sheet = Sheet::default();
    let mut path: Vec<String> = Vec::new();
    let mut value = String::new();
    let mut leaf = false;
    let mut seen = false;
    loop {
        let at = reader.buffer_position();
        let event = reader
            .read_event()
            .map_err(|error| format!("octet {at}: {error}"))?;
        match event {
            Event::Start(element) => {
                let name = element.name().as_ref().to_owned();
                seen |= enter(&path, &name, root)?;
                path.push(name);
                if path.len() > DEEPEST {
                    return Err(format!("octet {at}: nested too deep"));
                }
                value.clear();
                leaf = true;
            }
            Event::Empty(element) => {
                let name = element.name().as_ref().to_owned();
                seen |= enter(&path, &name, root)?;
                if !path.is_empty() {
                    path.push(name);
                    keep(&mut sheet, &path, "");
                    path.pop();
                }
                leaf = false;
            }
            Event::End(_) => {
                if leaf && path.len() > 1 {
                    keep(&mut sheet, &path, value.trim());
                }
                leaf = false;
                path.pop();
            }
            Event::Text(text) => value.push_str(&text),
            Event::CData(text) => value.push_str(&text),
            Event::GeneralRef(reference) => {
                let number = reference
                    .resolve_char_ref()
                    .map_err(|error| format!("octet {at}: {error}"))?;
                match number {
                    Some(ch) => value.push(ch),
                    None => value.push_str(
                        resolve_predefined_entity(&reference)
                            .ok_or_else(|| format!("octet {at}: an entity of its own"))?,
                    ),
                }
            }
            Event::DocType(_) => return Err(format!("octet {at}: a document type")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    if seen && path.is_empty() {
        Ok(sheet)
    } else {
        Err("ends too early".to_owned())
    }
}

/// Whether this is the root, and the right one.
fn enter(path: &[String], name: &str, root: &str) -> Result<bool, String> {
    if path.is_empty() && !root.is_empty() && name != root {
        return Err(format!("the root is {name}, not {root}"));
    }
    Ok(true)
}

/// Keeps one setting, named by the elements below the root.
fn keep(sheet: &mut Sheet, path: &[String], value: &str) {
    let name = path.get(1..).unwrap_or_default().join("/");
    sheet.entries.push((name, value.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_become_settings() {
        let text = "<?xml version=\"1.0\"?><p><!-- x --><A ua=\"na\">1 &amp; 2&#x41;</A><B/>\
                    <C></C><r><D>3</D><e><F>4</F></e></r><A>last</A></p>";
        let sheet = read(text.as_bytes(), "p").unwrap();
        let entries: Vec<(&str, &str)> = sheet
            .entries
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            entries,
            [
                ("A", "1 & 2A"),
                ("B", ""),
                ("C", ""),
                ("r/D", "3"),
                ("r/e/F", "4"),
                ("A", "last"),
            ]
        );
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        for bad in [
            "",
            "<html><body/></html>",
            "<p><A>1</A>",
            "<p><A>1</B></p>",
            "<!DOCTYPE p [<!ENTITY x \"y\">]><p><A>&x;</A></p>",
            "<p><A>&nbsp;</A></p>",
        ] {
            read(bad.as_bytes(), "p").unwrap_err();
        }
    }
}
