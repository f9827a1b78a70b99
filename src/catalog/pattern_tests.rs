//! Patterns: every hole matches what it says and formats what it matched.

use proptest::prelude::*;

use super::*;

fn names(tables: &BTreeMap<String, Table>) -> Names<'_> {
    let models = [("T46S", "T46S"), ("SIP-T46S", "T46S"), ("VP T49G", "T49G")];
    Names {
        models: models
            .into_iter()
            .map(|(said, listed)| (said.to_owned(), listed.to_owned()))
            .collect(),
        tables: Some(tables),
    }
}

fn tables() -> BTreeMap<String, Table> {
    let mut table = Table::default();
    table.0.insert("000000000066".into(), vec!["T46S".into()]);
    table
        .0
        .insert("000000000025".into(), vec!["W52P".into(), "W56P".into()]);
    BTreeMap::from([("common".to_owned(), table)])
}

/// `mac|model|serial|firmware` of a match, `-` for what is not there; empty where none.
fn check(pattern: &str, ground: Ground, text: &str, expect: &str) {
    let tables = tables();
    let pattern = Pattern::parse(pattern, ground, false, &names(&tables)).unwrap();
    let shown = pattern.find(text).map(|found| {
        let dash = |field: Option<String>| field.unwrap_or_else(|| "-".to_owned());
        let mac = dash(found.mac.map(|mac| mac.bare()));
        format!(
            "{mac}|{}|{}|{}",
            dash(found.model),
            dash(found.serial),
            dash(found.firmware)
        )
    });
    assert_eq!(
        shown.unwrap_or_default(),
        expect,
        "{} on {text}",
        pattern.source()
    );
}

#[test]
fn patterns_match_whole_texts() {
    let agent = "Phone [SIP-]{model} {firmware} {mac:colon}";
    check(
        agent,
        Ground::Text,
        "Phone SIP-T46S 66.86 00:15:65:aa:bb:cc",
        "001565aabbcc|T46S|-|66.86",
    );
    check(
        agent,
        Ground::Text,
        "Phone t46s 66.86 001565AABBCC",
        "001565aabbcc|T46S|-|66.86",
    );
    check(
        agent,
        Ground::Text,
        "Phone X99 66.86 001565AABBCC",
        "001565aabbcc|X99|-|66.86",
    );
    check(
        agent,
        Ground::Text,
        "Phone VP-T49G 1 001565AABBCC",
        "001565aabbcc|T49G|-|1",
    );
    check(
        agent,
        Ground::Text,
        "Phone T46S 66.86 00:15:6525ef16a7c",
        "",
    );
    check(agent, Ground::Text, "Phone T46S 66.86 000000000000", "");
    check(
        "{mac:lower}.cfg",
        Ground::Path,
        "001565AABBCC.cfg",
        "001565aabbcc|-|-|-",
    );
    check("{mac}.cfg", Ground::Path, "x001565AABBCC.cfg", "");
    check(
        "y{model@common}.cfg",
        Ground::Path,
        "y000000000066.cfg",
        "-|T46S|-|-",
    );
    check(
        "y{model@common}.cfg",
        Ground::Path,
        "y000000000025.cfg",
        "-|-|-|-",
    );
    check("y{model@common}.cfg", Ground::Path, "y000000000099.cfg", "");
    check("{model}.bin", Ground::Path, "X99.bin", "");
    check(
        "{serial:[A-Z]{2}[0-9]{3,}}-x",
        Ground::Text,
        "AB1234-x",
        "-|-|AB1234|-",
    );
    check("{serial:[A-Z]{2}[0-9]{3,}}-x", Ground::Text, "AB12-x", "");
    check("a{ws}{firmware}", Ground::Text, "a   1.2", "-|-|-|1.2");
    check("{{mac}}/[[x]]", Ground::Path, "{mac}/[x]", "-|-|-|-");
    check(
        "fw_{firmware:under}",
        Ground::Text,
        "fw_1_0_5",
        "-|-|-|1.0.5",
    );
    check(
        "{mac}/{mac:upper}",
        Ground::Path,
        "001565aabbcc/001565AABBCC",
        "001565aabbcc|-|-|-",
    );
    check(
        "{mac}/{mac:upper}",
        Ground::Path,
        "001565aabbcc/001565AABBCD",
        "",
    );
}

#[test]
fn how_texts_begin_and_end() {
    let tables = tables();
    for (text, nocase, begins, ends) in [
        ("a-{model}-x{mac}", false, &["a-T46S-x"][..], None),
        ("[\u{0}]acme-{mac}", false, &["\u{0}acme-", "acme-"], None),
        ("[{_}]x", false, &[""], Some("x")),
        ("{_}x", false, &[""], Some("x")),
        ("{_}x{mac}", false, &[""], None),
        ("x[y]", false, &["x"], None),
        (
            "acme[ ]pnp",
            true,
            &[
                "ACME PNP", "ACME pnp", "ACMEPNP", "Acme pnp", "Acmepnp", "acme pnp", "acmepnp",
            ],
            None,
        ),
    ] {
        let pattern = Pattern::parse(text, Ground::Text, nocase, &names(&tables)).unwrap();
        assert_eq!(pattern.beginnings(Some("T46S")), begins, "{text}");
        assert_eq!(pattern.ending(), ends, "{text}");
    }
}

#[test]
fn what_is_no_pattern_is_told() {
    let tables = tables();
    for (text, expect) in [
        ("{mac", PatternError::Unclosed('{')),
        ("[x", PatternError::Unclosed('[')),
        ("x}", PatternError::Unopened('}')),
        ("{nothing}", PatternError::Hole("nothing:".into())),
        ("{model@none}", PatternError::Table("none".into())),
        ("{serial:(a+)+}", PatternError::Class("(a+)+".into())),
    ] {
        let error = Pattern::parse(text, Ground::Path, false, &names(&tables)).unwrap_err();
        assert_eq!(error, expect, "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_formatted_is_found_again(octets: [u8; 6], form in 0_usize..9) {
        let Ok(mac) = Mac::new(octets) else { return Ok(()) };
        let text = format!("a{{mac:{}}}.cfg", MAC_FORMS[form]).replace(":}", "}");
        let pattern = Pattern::parse(&text, Ground::Path, false, &Names::default()).unwrap();
        let values = Found { mac: Some(mac), ..Found::default() };
        let written = pattern.format(&values).unwrap();
        prop_assert_eq!(pattern.find(&written), Some(values));
    }

    #[test]
    fn no_text_makes_a_panic(pattern in ".{0,40}", text in ".{0,200}") {
        let tables = tables();
        if let Ok(pattern) = Pattern::parse(&pattern, Ground::Text, true, &names(&tables)) {
            let _found = pattern.find(&text);
        }
    }
}
