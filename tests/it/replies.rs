//! How a family is answered and driven, as the manifest says it: every encoding, every mistake.

use std::collections::BTreeMap;

use dialtone::catalog::manifest::{Filter, OptionValue, PushWay};
use dialtone::catalog::{Catalog, Files};

use crate::render::folders;

fn with(from: &str, to: &str) -> Files {
    let mut files = folders("ini", "a = 1\n");
    let bytes = files.0.get_mut("acme/gear/family.toml").expect("the file");
    let text = String::from_utf8(bytes.clone()).expect("a text");
    assert!(text.contains(from), "the manifest holds {from}");
    *bytes = text.replacen(from, to, 1).into_bytes();
    files
}

fn read(more: &str) -> Result<std::sync::Arc<dialtone::catalog::manifest::Family>, Vec<String>> {
    let (catalog, problems) = Catalog::from_files(&with("[report]", &format!("{more}\n[report]")));
    let catalog =
        catalog.ok_or_else(|| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(catalog.family("acme", "gear").expect("the family").clone())
}

#[test]
fn each_encoding_is_read() {
    fn check(text: &str, expect: &OptionValue) {
        let more = format!("[[dhcp]]\noptions = {{ 43 = {text} }}");
        let family = read(&more).unwrap_or_else(|told| panic!("{text}: {told:?}"));
        assert_eq!(family.dhcp[0].options.get(&43), Some(expect), "{text}");
    }
    let text = |text: &str| OptionValue::Text(text.to_owned());
    let pointer = || text("{pointer}/");
    check("\"{pointer}/\"", &pointer());
    check(
        "{ text_nul = \"{tftp}\" }",
        &OptionValue::TextNul("{tftp}".to_owned()),
    );
    check("{ hex = \"00ff\" }", &OptionValue::Hex(vec![0, 255]));
    check("{ u8 = 255 }", &OptionValue::U8(255));
    check("{ u16 = 65535 }", &OptionValue::U16(65535));
    check("{ u32 = 4294967295 }", &OptionValue::U32(u32::MAX));
    check("{ bool8 = true }", &OptionValue::Bool8(true));
    check(
        "{ ip_list = [\"{tftp}\"] }",
        &OptionValue::IpList(vec!["{tftp}".to_owned()]),
    );
    check(
        "{ uri_list16 = [\"{pointer}\"] }",
        &OptionValue::UriList16(vec!["{pointer}".to_owned()]),
    );
    let tlv = BTreeMap::from([(0, pointer()), (255, OptionValue::U8(1))]);
    check(
        "{ tlv = { 0 = \"{pointer}/\", 255 = { u8 = 1 } } }",
        &OptionValue::Tlv(tlv),
    );
    let tlv = BTreeMap::from([(300, pointer())]);
    check(
        "{ tlv16 = { 300 = \"{pointer}/\" } }",
        &OptionValue::Tlv16(tlv),
    );
    let tlv = BTreeMap::from([(1, text("{artefact.config}"))]);
    let enterprise = OptionValue::Enterprise {
        enterprise: 42623,
        tlv,
    };
    check(
        "{ enterprise = 42623, tlv = { 1 = \"{artefact.config}\" } }",
        &enterprise,
    );
    for variable in [
        "{colour}",
        "{domain}",
        "{pointer.host}:{pointer.port}",
        "{ip:hex}",
        "{mac:upper}",
        "{{x}}",
    ] {
        check(&format!("\"{variable}\""), &text(variable));
    }
}

#[test]
fn the_rest_of_a_family_is_read() {
    let family = read(
        "[[dhcp]]\nwhen = { 77 = \"iPXE\", asks = [143], model = [\"G1\"] }\noptions = { 66 = \"{pointer}/\" }\n\
         echo = [60]\nsiaddr = \"{tftp}\"\nfile = \"{artefact.config}\"\n\
         [sip_pnp]\nurl = \"{pointer}/\"\n\
         [push]\nrefetch = \"check-sync\"\nby = [\"pbx\", \"contact\"]\n\
         [firmware]\ntold_by = \"config\"\nname = \"{model}-{firmware}.rom\"",
    )
    .unwrap_or_else(|told| panic!("{told:?}"));
    let block = &family.dhcp[0];
    assert_eq!(block.when_options.len(), 1);
    assert_eq!(
        (&block.when_asks[..], &block.when_models[..]),
        (&[143][..], &["G1".to_owned()][..])
    );
    assert_eq!(
        (block.echo.as_slice(), block.siaddr.as_deref()),
        (&[60][..], Some("{tftp}"))
    );
    assert_eq!(family.sip_pnp.as_deref(), Some("{pointer}/"));
    assert_eq!(family.push.refetch.as_deref(), Some("check-sync"));
    assert_eq!(family.push.by, [PushWay::Pbx, PushWay::Contact]);
    assert_eq!(
        family.firmware.as_ref().map(|rule| rule.told_by.as_str()),
        Some("config")
    );
    let files = with(
        "template = \"config.j2\"",
        "template = \"config.j2\"\nfilters = [\"md5-line\"]",
    );
    let catalog = Catalog::from_files(&files).0.expect("it loads");
    let family = catalog.family("acme", "gear").expect("the family");
    assert_eq!(family.artefacts[0].filters, [Filter::Md5Line]);
}

#[test]
fn mistakes_are_told_with_their_line() {
    fn check(more: &str, line: usize, expect: &str) {
        let told = read(more).expect_err("it must not load");
        // The first line of what is added.
        let first = with("[report]", "MARK\n[report]");
        let text = String::from_utf8_lossy(&first.0["acme/gear/family.toml"]).into_owned();
        let at = text
            .lines()
            .position(|line| line == "MARK")
            .expect("the mark");
        let at = format!("acme/gear/family.toml:{}: ", at + line);
        let found = told
            .iter()
            .any(|told| told.starts_with(&at) && told.contains(expect));
        assert!(found, "{more}: {at} {told:?}");
    }
    let option = |text: &str| format!("[[dhcp]]\noptions = {{ 43 = {text} }}");
    check(
        &option("\"{pointr.host}\""),
        2,
        "there is no placeholder `{pointr.host}`",
    );
    check(&option("\"{artefact.boat}\""), 2, "there is no placeholder");
    check(&option("\"{model@number}\""), 2, "there is no placeholder");
    check(&option("\"{pointer\""), 2, "a brace is not closed");
    check(
        &option("\"{domian}\""),
        2,
        "there is no variable domian (did you mean domain?)",
    );
    check(&option("\"{password}\""), 2, "password is a secret");
    check(&option("{ u8 = 256 }"), 2, "a number up to 255");
    check(&option("{ hex = \"0\" }"), 2, "is not pairs of hex digits");
    check(
        &option("{ utf16 = \"a\" }"),
        2,
        "there is no encoding `utf16`",
    );
    check(
        &option("{ enterprise = 9, hex = \"00\" }"),
        2,
        "`enterprise` goes with `tlv`",
    );
    check(&option("{ tlv = { 256 = \"a\" } }"), 2, "is no sub-option");
    check(
        "[[dhcp]]\nwhen = { model = [\"G9\"] }",
        2,
        "does not list G9",
    );
    check(
        "[[dhcp]]\noptions = { 255 = \"x\" }",
        2,
        "`255` is no option",
    );
    check(
        "[[dhcp]]\noptions = { 54 = \"x\" }",
        2,
        "the server writes option 54 itself",
    );
    check(
        "[[dhcp]]\necho = [124, 82]\noptions = { 66 = \"x\" }",
        2,
        "the server writes option 82 itself",
    );
    check("[[dhcp]]\nreply = 1", 2, "unknown field `reply`");
    check(
        "[sip_pnp]\nurl = \"{nowhere.x}\"",
        2,
        "there is no placeholder",
    );
    check("[push]\nby = [\"mail\"]", 2, "is no word of the format");
    check(
        "[firmware]\ntold_by = \"boat\"\nname = \"x\"",
        2,
        "names no artefact",
    );
    check(
        "[firmware]\ntold_by = \"config\"\nname = \"{x}\"",
        3,
        "there is no hole",
    );
    fn checked(from: &str, to: &str, expect: &str) {
        let (_, problems) = Catalog::from_files(&with(from, to));
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.contains(expect)), "{told:?}");
    }
    checked(
        "asks =",
        "firmware_range = \"66.84\"\nasks =",
        "is no range",
    );
    let gzip = "template = \"config.j2\"\nfilters = [\"gzip\"]";
    checked(
        "template = \"config.j2\"",
        gzip,
        "the filter gzip is not built yet",
    );
    for (block, expect) in [
        ("options = { 66 = \"a[b\" }", "a part in brackets"),
        ("options = { 66 = \"a]b[\" }", "a part in brackets"),
        ("options = { 66 = \"a\" }\nlease = \"long\"", "is no time"),
    ] {
        let block = format!("[[dhcp]]\n{block}\n[report]");
        checked("[report]", &block, expect);
    }
    checked(
        "[report]",
        "[report]\nstates = { UP = \"good\" }",
        "is no word of the format",
    );
    // A file whose units look at its number has the number in it.
    let version = "template = \"config.j2\"\nversion_field = \"serial\"";
    checked(
        "template = \"config.j2\"",
        version,
        "it has no `serial` with `{{ version }}` in it",
    );
    let shared = "template = \"common.j2\"\nversion_field = \"a\"";
    checked(
        "template = \"common.j2\"",
        shared,
        "version_field without a file of one unit",
    );
}
