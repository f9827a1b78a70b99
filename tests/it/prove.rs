//! What a load proves about templates, and that no value ever becomes a key.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use dialtone::catalog::manifest::Format;
use dialtone::catalog::reparse;
use dialtone::catalog::revision::{RenderError, Which};
use dialtone::catalog::{Catalog, Files};
use dialtone::model::access::Grant;
use proptest::prelude::*;

use crate::render::{Given, folders, open, problems};

fn replace(files: &mut Files, path: &str, from: &str, to: &str) {
    let bytes = files.0.get_mut(path).expect("the file");
    let text = String::from_utf8(bytes.clone()).expect("a text");
    assert!(text.contains(from), "{path} holds {from}");
    *bytes = text.replacen(from, to, 1).into_bytes();
}

#[test]
fn a_template_that_could_fail_does_not_load() {
    fn check(format: &str, template: &str, expect: &str) {
        let files = folders(format, template);
        assert!(
            Catalog::from_files(&files).0.is_none(),
            "{template}: it must not load"
        );
        let told = problems(&files);
        let found = told.iter().any(|told| told.contains(expect));
        assert!(found, "{template}: {told:?}");
    }
    let undefined = |line: u32, name: &str, at: &str| {
        format!("acme/gear/config.j2:{line}: undefined value: `{name}` is undefined (grant {at}")
    };
    // Withheld by class.
    check(
        "ini",
        "a = {{ domain }}\n",
        &undefined(1, "domain", "public"),
    );
    check(
        "ini",
        "\na = {{ password }}\n",
        &undefined(2, "password", "public"),
    );
    let site = "{% if grant.site %}\na = {{ password }}\n{% endif %}\n";
    check("ini", site, &undefined(2, "password", "site"));
    let credential = "{% if grant.credential %}\na = {{ wifi }}\n{% endif %}\n";
    check("ini", credential, &undefined(2, "wifi", "credential"));
    check(
        "ini",
        "{% for line in lines %}\n{% endfor %}\n",
        &undefined(1, "lines", "public"),
    );
    // May be absent.
    check("ini", "a = {{ colour }}\n", "where nothing optional is set");
    check("ini", "a = {{ ca.url }}\n", "where nothing optional is set");
    check(
        "ini",
        "a = {{ unit.serial }}\n",
        &undefined(1, "unit.serial", "public"),
    );
    let token = "{% if grant.credential %}\na = {{ url.token }}\n{% endif %}\n";
    check("ini", token, "without a token");
    let line = "{% if grant.credential %}{% for line in lines %}\na = {{ line.auth }}\n{% endfor %}{% endif %}\n";
    check("ini", line, &undefined(2, "line.auth", "credential"));
    // Not of its format, or not to be found.
    check(
        "xml",
        "<a>\n",
        "acme/gear/config.j2: line 2 of what it makes: an element is not closed",
    );
    check("json", "{\"a\": \"{{ url.https }}\"}\n", "it is no JSON");
    check("shell", "a=\"\n", "a quote or bracket is not closed");
    check(
        "ini",
        "a = {{ url.https | safe }}\n",
        "config.j2:1: unknown filter",
    );
    check("ini", "{% include 'other.j2' %}", "config.j2:1: ");
    // A value where a name stands, or inside quotes of the template's own.
    let guarded = |text: &str| format!("{{% if colour is defined %}}{text}{{% endif %}}\n");
    let could = "a text set as `colour` could add or hide a key";
    check("ini", &guarded("{{ colour }} = 1"), could);
    check("shell", &guarded("echo \"{{ colour }}\""), could);
    check("shell", &guarded("echo '{{ colour }}'"), could);
    check("python", &guarded("x = \"{{ colour }}\""), could);
    check(
        "xml",
        &format!("<r>{}</r>", guarded("<{{ colour }}/>")),
        could,
    );
    check(
        "junos",
        &guarded("system { host-name \"{{ colour }}\"; }"),
        could,
    );
    check("ios", &guarded("{{ colour }}"), could);
}

#[test]
fn a_sample_is_checked_and_needed() {
    fn check(from: &str, to: &str, expect: &str) {
        let mut files = folders("ini", "a = 1\n");
        replace(&mut files, "acme/gear/sample.toml", from, to);
        let told = problems(&files);
        let found = told.iter().any(|told| told.contains(expect));
        assert!(found, "{to}: {told:?}");
    }
    let file = "acme/gear/sample.toml";
    check(
        "colour =",
        "color =",
        &format!("{file}:6: color: there is no variable color; did you mean colour?"),
    );
    check(
        "colour = \"red\"",
        "colour = 5",
        &format!("{file}:6: colour: a text is wanted"),
    );
    check("02005e000001", "02005e00000", &format!("{file}:3: mac:"));
    check("n = 1", "m = 1", &format!("{file}:11: unknown field `m`"));
    let mut files = folders("ini", "a = 1\n");
    files.0.remove(file);
    assert!(
        problems(&files)
            .iter()
            .any(|told| told.contains("sample.toml: it is missing"))
    );
}

#[test]
fn a_family_that_keeps_is_never_emptied() {
    fn check(template: &str, expect: Option<&str>) {
        let mut files = folders("ini", template);
        let keep = "means = \"keep\"\nsource = \"a page\"\nnever = [\"overwrite = 1\"]";
        replace(
            &mut files,
            "acme/gear/family.toml",
            "means = \"reset\"",
            keep,
        );
        let told = problems(&files);
        match expect {
            Some(expect) => {
                let found = told.iter().any(|told| told.contains(expect));
                assert!(found, "{template}: {told:?}");
            }
            None => assert_eq!(told, Vec::<String>::new(), "{template}"),
        }
    }
    let guard = "{% if grant.site %}\na = {{ domain }}\n{% endif %}\n";
    check(guard, None);
    check(
        "a = {{ domain if grant.site else '' }}\n",
        Some("a is empty at grant public"),
    );
    let more = format!("{guard}{{% if not grant.site %}}\nb = 1\n{{% endif %}}\n");
    check(
        &more,
        Some("b is set at grant public and not in the full file"),
    );
    check(
        "overwrite=1\n",
        Some("it makes `overwrite = 1`, which `never` forbids"),
    );
}

#[test]
fn a_pin_is_included_where_the_manifest_says_so() {
    let mut files = folders("ini", "a = 1\n");
    replace(
        &mut files,
        "acme/gear/family.toml",
        "pin = false",
        "pin = true",
    );
    let told = problems(&files);
    for part in ["gear/pin.j2", "gear/release.j2"] {
        let expect = format!("no template includes {part}");
        assert!(told.iter().any(|told| told.contains(&expect)), "{told:?}");
    }
    let template = "{% if release %}{% include 'release.j2' %}\n{% elif grant.credential and url.token is defined %}\
        {% include \"gear/pin.j2\" %}\n{% endif %}\n";
    files
        .0
        .insert("acme/gear/config.j2".to_owned(), template.into());
    files.0.insert(
        "acme/gear/pin.j2".to_owned(),
        b"url = {{ url.token }}\n".to_vec(),
    );
    files
        .0
        .insert("acme/gear/release.j2".to_owned(), b"url =\n".to_vec());
    assert_eq!(problems(&files), Vec::<String>::new());
}

#[test]
fn a_profile_may_replace_a_template_and_is_proved_too() {
    let mut files = folders("ini", "a = 1\n");
    let profile = "[templates]\n\"acme/gear/config.j2\" = \"b = {{ url.https }}\\n\"\n";
    files
        .0
        .insert("_site/office.toml".to_owned(), profile.into());
    let (catalog, problems) = Catalog::from_files(&files);
    let catalog = catalog.unwrap_or_else(|| panic!("{problems:?}"));
    let made = |profile: &str| {
        let bundle = catalog.draft("acme", "gear", profile).expect("a draft");
        let revision = dialtone::catalog::Revision::open(&bundle.bytes).expect("it opens");
        Given::at(Grant::PUBLIC).render(&revision, "config", Which::Normal)
    };
    assert_eq!(made("default").as_deref(), Ok("a = 1\n"));
    assert_eq!(
        made("office").as_deref(),
        Ok("b = https://prov.example.net/\n")
    );
    replace(&mut files, "_site/office.toml", "url.https", "password");
    let told = crate::render::problems(&files);
    assert!(
        told.iter()
            .any(|told| told.contains("`password` is undefined")),
        "{told:?}"
    );
}

/// hostile-cases E25: each is stopped at load, with its line, in a process that may not have 400 MB.
#[test]
fn a_template_cannot_take_what_it_likes() {
    let cases = [
        ("{{ 'a' * 100000000 }}", "config.j2:2"),
        (
            "{{ '%1000000000d' | format(1) }}",
            "config.j2:2: unknown filter",
        ),
        (
            "{% set n = namespace(x='aaaaaaaa') %}{% for a in [1,2,3,4,5,6,7,8] %}{% for b in [1,2,3,4,5,6,7,8] %}\
          {% set n.x = n.x ~ n.x %}{% endfor %}{% endfor %}{{ n.x | length }}",
            "config.j2:2",
        ),
        (
            "{% set n = namespace(x=[1]) %}{% for a in [1,2,3,4,5,6,7,8] %}{% for b in [1,2,3,4,5,6,7,8] %}\
          {% set n.x = n.x + n.x %}{% endfor %}{% endfor %}",
            "config.j2:2",
        ),
        (
            "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
            "config.j2:2",
        ),
        ("{% include 'config.j2' %}", "config.j2:2"),
        (
            "{% for a in range(100000000) %}x{% endfor %}",
            "config.j2:2",
        ),
        (
            "{% set l = [1,2,3,4,5,6,7,8,9,0] %}{% for a in l %}{% for b in l %}{% for c in l %}{% for d in l %}\
          {% for e in l %}{% for f in l %}{% for g in l %}{% for h in l %}x{% endfor %}{% endfor %}{% endfor %}\
          {% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
            "config.j2:2",
        ),
        (
            "{{ 'aaaaaaaa' | replace('a', 'a' * 10000) | replace('a', 'a' * 10000) | length }}",
            "config.j2:2",
        ),
        (
            "{{ ('x' * 3000000) | list | join('yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy') }}",
            "config.j2:2",
        ),
    ];
    for (template, expect) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let files = folders("text", &format!("\n{template}\n"));
        for (path, bytes) in &files.0 {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, bytes).expect("a file");
        }
        let lint = format!(
            "ulimit -v 400000; ulimit -t 10; exec '{}' profile lint --profiles '{}'",
            env!("CARGO_BIN_EXE_dialtone"),
            folder.path().display(),
        );
        let done = Command::new("sh")
            .args(["-c", &lint])
            .output()
            .expect("sh runs");
        let told = String::from_utf8_lossy(&done.stdout);
        assert_eq!(done.status.code(), Some(2), "{template}: {done:?}");
        assert!(told.contains(expect), "{template}: {told}");
    }
}

#[test]
fn an_upgrade_of_the_proof_does_not_close_a_revision() {
    // A revision was proved when it was made; opened later, rendering itself still stops what is wrong.
    let revision = open(&folders("ini", "a = {{ colour | default('none') }}\n"));
    let given = Given::at(Grant::PUBLIC).with("colour", "x\u{2028}y");
    let error = given
        .render(&revision, "config", Which::Normal)
        .expect_err("unfit");
    assert!(matches!(error, RenderError::Unfit { .. }), "{error}");
}

/// A template of each format, with a value everywhere that one may stand.
const TEMPLATES: [(&str, Format, &str); 8] = [
    ("ini", Format::Ini, "[s]\na = {{ v }}\nb: {{ v }}\nc = 1\n"),
    (
        "ios",
        Format::Ios,
        "hostname {{ v }}\ninterface E1\n   description {{ v | rest }}\n   no shutdown\n",
    ),
    (
        "json",
        Format::Json,
        "{\"a\": {{ v }}, \"b\": [{{ v }}, {{ [v, {'k': v}] }}]}\n",
    ),
    (
        "junos",
        Format::Junos,
        "system { host-name {{ v }}; login { message {{ v }}; } }\n",
    ),
    (
        "python",
        Format::Python,
        "a = {{ v }}\nb = {{ 'x' ~ v }} + {{ [v] }}\n",
    ),
    (
        "shell",
        Format::Shell,
        "a={{ v }}\necho {{ v ~ 'x' }}/y \"$a\" | cat\n",
    ),
    ("text", Format::Text, "{{ v }}\nb {{ v }}\n"),
    (
        "xml",
        Format::Xml,
        "<a b=\"{{ v }}\" c='{{ v }}'><d>x{{ v }}</d></a>\n",
    ),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Any text as any variable in each format: an error that does not show it, or the same keys.
    #[test]
    fn no_value_becomes_a_key(value in hostile()) {
        static REVISIONS: std::sync::OnceLock<BTreeMap<&str, (std::sync::Arc<dialtone::catalog::Revision>, reparse::Parsed)>> =
            std::sync::OnceLock::new();
        let revisions = REVISIONS.get_or_init(|| {
            let each = TEMPLATES.iter().map(|(name, format, template)| {
                let source = template.replace("{{ v", "{{ colour").replace(" v", " colour").replace("[v", "[colour");
                let source = format!("{{% if colour is defined %}}\n{source}{{% else %}}\n{}{{% endif %}}\n",
                    if *format == Format::Xml { "<a/>\n" } else if *format == Format::Json { "{}\n" } else { "" });
                let revision = open(&folders(name, &source));
                let made = Given::at(Grant::PUBLIC).render(&revision, "config", Which::Normal).expect("harmless");
                (*name, (revision, reparse::parse(*format, &made).expect("it parses")))
            });
            each.collect()
        });
        for (name, format, _) in TEMPLATES {
            let (revision, expect) = &revisions[name];
            match Given::at(Grant::PUBLIC).with("colour", &value).render(revision, "config", Which::Normal) {
                Ok(made) => {
                    let parsed = reparse::parse(format, &made);
                    prop_assert_eq!(parsed.as_ref().map(|parsed| &parsed.keys), Ok(&expect.keys), "{}: {:?}", name, made);
                }
                Err(RenderError::Unfit { variable, .. }) => prop_assert_eq!(variable, "colour"),
                Err(other) => prop_assert!(false, "{}: {}", name, other),
            }
        }
    }
}

/// Texts that break formats more often than any would.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z]{1,3}".prop_map(|text| text),
        1 => proptest::sample::select(vec![
            "\n", "\r", "\0", "\t", " ", "\u{85}", "\u{2028}", "\"", "'", "`", "$(", ")", "${", "}", ";", "#", "!",
            "</", "<", ">", "]]>", "-->", "&", "&amp;", "\\", "=", ":", "[", "]", "{", "/*", "*/", "//", "\\n", "\\\"",
            "%s", "{{", "{%", "|", "<<EOF", "'''", "\"\"\"", "\u{7f}", "\u{1b}[", "a\npassword = x", "-----BEGIN X-----",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(|ch| ch.to_string()),
    ];
    proptest::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}
