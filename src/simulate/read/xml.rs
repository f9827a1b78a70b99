//! XML of settings: what an element, an attribute and a name are is told by the conduct.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::super::conduct::XmlRules;
use super::{Sheet, entity};

/// The deepest nesting that is read.
const DEEPEST: usize = 16;

/// An element that is open.
struct Open {
    /// Its part of a name; empty for an element that only groups.
    part: String,
    /// The element's own name, for `attributes_of`.
    element: String,
    /// It holds other elements.
    holds: bool,
    /// Its value came with an attribute.
    valued: bool,
}

/// Reads a file whose root element must be one of `roots`, where there are any.
pub(in super::super) fn read(
    bytes: &[u8],
    roots: &[String],
    rules: &XmlRules,
) -> Result<Sheet, String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err("no UTF-8 text".to_owned());
    };
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut sheet = Sheet::default();
    let mut open: Vec<Open> = Vec::new();
    let mut value = String::new();
    let mut seen = false;
    loop {
        let at = reader.buffer_position();
        let wrong = |what: &str| format!("octet {at}: {what}");
        let event = reader.read_event();
        match event.map_err(|error| wrong(&error.to_string()))? {
            Event::Start(tag) => {
                begin(&tag, &mut open, &mut sheet, roots, rules).map_err(|why| wrong(&why))?;
                seen = true;
                value.clear();
            }
            Event::Empty(tag) => {
                begin(&tag, &mut open, &mut sheet, roots, rules).map_err(|why| wrong(&why))?;
                seen = true;
                end(&mut open, &mut sheet, "", rules);
            }
            Event::End(_) => {
                end(&mut open, &mut sheet, value.trim(), rules);
                value.clear();
            }
            Event::Text(text) => value.push_str(&text),
            Event::CData(text) => value.push_str(&text),
            Event::GeneralRef(reference) => entity(&reference, &mut value).map_err(wrong)?,
            Event::DocType(_) => return Err(wrong("a document type")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    if seen && open.is_empty() {
        Ok(sheet)
    } else {
        Err("ends too early".to_owned())
    }
}

/// Takes an element's begin in, with what its attributes say.
fn begin(
    tag: &BytesStart<'_>,
    open: &mut Vec<Open>,
    sheet: &mut Sheet,
    roots: &[String],
    rules: &XmlRules,
) -> Result<(), String> {
    let element = tag.name().as_ref().to_owned();
    if open.is_empty() && !roots.is_empty() && !roots.contains(&element) {
        return Err(format!("the root is {element}, not {}", roots.join(" or ")));
    }
    if open.len() >= DEEPEST {
        return Err("nested too deep".to_owned());
    }
    let root = open.is_empty();
    if let Some(outer) = open.last_mut() {
        outer.holds = true;
    }
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|error| error.to_string())?.into_owned();
        attributes.push((attribute.key.as_ref().to_owned(), value));
    }
    let of = |name: &str| {
        let mut found = attributes.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.clone())
    };
    let mut part = if root || rules.groups.contains(&element) {
        String::new()
    } else {
        element.clone()
    };
    if let Some(number) = rules.index.iter().find_map(|name| of(name))
        && !part.is_empty()
    {
        part = format!("{part}[{number}]");
    }
    let named = (!rules.name.is_empty()).then(|| of(&rules.name)).flatten();
    let value = (!rules.value.is_empty())
        .then(|| of(&rules.value))
        .flatten();
    let groups = part.is_empty() && !root;
    if let Some(name) = &named {
        name.clone_into(&mut part);
    }
    open.push(Open {
        part,
        element: element.clone(),
        holds: false,
        valued: false,
    });
    if rules.attributes {
        sheet.entries.extend(attributes);
        return Ok(());
    }
    if named.is_some() && !rules.value.is_empty() {
        let name = name_of(open, rules);
        sheet.entries.push((name, value.unwrap_or_default()));
        if let Some(own) = open.last_mut() {
            own.valued = true;
            // What it groups is named by itself alone.
            if groups {
                own.part.clear();
            }
        }
    }
    if rules.attributes_of.contains(&element) {
        let name = name_of(open, rules);
        let own = attributes.into_iter();
        let own = own.map(|(key, value)| (format!("{name}@{key}"), value));
        sheet.entries.extend(own);
    }
    Ok(())
}

/// Takes an element's end in: one that holds no other is a setting.
fn end(open: &mut Vec<Open>, sheet: &mut Sheet, value: &str, rules: &XmlRules) {
    let setting = open.len() > 1
        && !rules.attributes
        && open.last().is_some_and(|own| !own.holds && !own.valued);
    if setting {
        let grouping = open.last().is_some_and(|own| own.part.is_empty());
        // With nothing but attributes it has been read already.
        let told = open
            .last()
            .is_some_and(|own| value.is_empty() && rules.attributes_of.contains(&own.element));
        if !grouping && !told {
            sheet.entries.push((name_of(open, rules), value.to_owned()));
        }
    }
    open.pop();
}

/// The name of the innermost open element.
fn name_of(open: &[Open], rules: &XmlRules) -> String {
    let parts = open.iter().map(|own| own.part.as_str());
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(&rules.join)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(rules: &str, text: &str, expect: &[(&str, &str)]) {
        let rules: XmlRules = toml::from_str(rules).unwrap();
        let sheet = read(text.as_bytes(), &[], &rules).unwrap();
        let entries = sheet.entries.iter();
        let entries: Vec<(&str, &str)> = entries.map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(entries, expect, "{text}");
    }

    #[test]
    fn elements_become_settings() {
        check(
            "",
            "<?xml version=\"1.0\"?><p><!-- x --><A ua=\"na\">1 &amp; 2&#x41;</A><B/>\
             <C></C><r><D>3</D><e><F>4</F></e></r><A>last</A></p>",
            &[
                ("A", "1 & 2A"),
                ("B", ""),
                ("C", ""),
                ("r/D", "3"),
                ("r/e/F", "4"),
                ("A", "last"),
            ],
        );
    }

    #[test]
    fn attributes_become_settings() {
        check(
            "attributes = true",
            "<PHONE_CONFIG><ALL reg.1.address=\"214\" a=\"x&#10;y\nz\"/><w device.set=\"1\"/></PHONE_CONFIG>",
            &[
                ("reg.1.address", "214"),
                ("a", "x\ny z"),
                ("device.set", "1"),
            ],
        );
    }

    #[test]
    fn numbers_and_groups_are_part_of_names_as_told() {
        check(
            "groups = [\"phone-settings\", \"functionKeys\"]\nindex = [\"idx\"]\n\
             attributes_of = [\"file\", \"certificate\"]",
            "<settings><phone-settings e=\"2\"><user_name idx=\"1\" perm=\"RW\">214</user_name>\
             <setting_server perm=\"R\">http://h/</setting_server></phone-settings>\
             <setting-files><file url=\"http://h/a.xml\"/></setting-files>\
             <certificates><certificate type=\"base64\">QUJD</certificate></certificates>\
             <functionKeys e=\"2\"><fkey idx=\"0\">line</fkey></functionKeys></settings>",
            &[
                ("user_name[1]", "214"),
                ("setting_server", "http://h/"),
                ("setting-files/file@url", "http://h/a.xml"),
                ("certificates/certificate@type", "base64"),
                ("certificates/certificate", "QUJD"),
                ("fkey[0]", "line"),
            ],
        );
        check(
            "index = [\"button\"]",
            "<device><sipProfile><sipLines><line button=\"1\" lineIndex=\"1\"><name>214</name>\
             </line></sipLines></sipProfile></device>",
            &[("sipProfile/sipLines/line[1]/name", "214")],
        );
    }

    #[test]
    fn items_are_named_by_an_attribute() {
        check(
            "name = \"name\"\njoin = \".\"\ngroups = [\"config\"]",
            "<gs_provision version=\"1\"><mac>c074ad0b63ee</mac><config version=\"2\">\
             <item name=\"account.1.enable\">Yes</item><item name=\"a.b\"><part name=\"c\">v</part>\
             </item><P47>x</P47></config></gs_provision>",
            &[
                ("mac", "c074ad0b63ee"),
                ("account.1.enable", "Yes"),
                ("a.b.c", "v"),
                ("P47", "x"),
            ],
        );
        check(
            "name = \"name\"\nvalue = \"value\"\ngroups = [\"nvm\", \"oper\", \"param\"]",
            "<provisioning version=\"1.1\"><firmware><file version=\"1\"/></firmware><nvm>\
             <param name=\"A.1.B\" value=\"x\"/><oper name=\"add_hs\" value=\"00001\">\
             <param name=\"hs.RegStatus\" value=\"ToReg\"/></oper>\
             <oper name=\"DeleteNotProvisionedHS\"/></nvm></provisioning>",
            &[
                ("firmware/file", ""),
                ("A.1.B", "x"),
                ("add_hs", "00001"),
                ("hs.RegStatus", "ToReg"),
                ("DeleteNotProvisionedHS", ""),
            ],
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
            "<p a=\"1\" a=\"2\"/>",
        ] {
            read(bad.as_bytes(), &["p".to_owned()], &XmlRules::default()).unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let attributes = XmlRules { attributes: true, ..XmlRules::default() };
            drop(read(&bytes, &[], &attributes));
        }

        #[test]
        fn any_elements_are_read_or_refused(text in "(<[ab]( [nv]=\"[&;x<]{0,3}\")?/?>|</[ab]>|&[a-z#0-9]{1,4};|[xy\\n]){0,30}") {
            let named = XmlRules {
                name: "n".to_owned(),
                value: "v".to_owned(),
                groups: vec!["b".to_owned()],
                attributes_of: vec!["a".to_owned()],
                ..XmlRules::default()
            };
            drop(read(text.as_bytes(), &[], &named));
        }
    }
}
