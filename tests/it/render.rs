//! Rendering through the public API: withholding by class, strictness, limits, escaping, bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use dialtone::catalog::inputs::{AccountLine, Filled, Inputs, Unit, Urls};
use dialtone::catalog::revision::{RenderError, RevisionError, Which};
use dialtone::catalog::{Catalog, Files, Problem, Revision};
use dialtone::model::access::Grant;
use dialtone::model::identity::Mac;
use dialtone::model::profile::Value;
use dialtone::model::secret::Secret;

pub(crate) const SCHEMA: &str = r#"
[colour]
type = "text"
class = "public"
meaning = "a public text"
[domain]
type = "text"
class = "site"
meaning = "a site's text"
default = "example.net"
[password]
type = "secret"
class = "credential"
meaning = "a credential"
[wifi]
type = "secret"
class = "key"
meaning = "a key"
[items]
type = "list"
class = "public"
meaning = "a list"
"#;

const FAMILY: &str = r#"
family = "gear"
label = "Gear"
reach = "full"
models = ["G1"]
asks = "every boot"
[transport]
first = ["http"]
trusts = "none"
after = "own-ca"
tls = "1.2"
[sources]
order = ["dhcp"]
pin = false
ceiling = "L2"
[absent]
means = "reset"
[refusal]
http = 404
[report]
registered = "{report}/ok"
[[artefact]]
id = "config"
kind = "device-config"
paths = ["{mac}.cfg"]
scope = "unit"
template = "config.j2"
format = "FORMAT"
media_type = "text/x-config"
[[artefact]]
id = "common"
kind = "common-config"
paths = ["common.cfg"]
scope = "family"
template = "common.j2"
format = "ini"
[[artefact]]
id = "ca"
kind = "ca"
paths = ["ca.pem"]
scope = "family"
"#;

const SAMPLE: &str = r#"
[unit]
mac = "02005e000001"
model = "G1"
[variables]
colour = "red"
password = "hunter2"
wifi = "radio"
items = ["a", "b"]
[[lines]]
n = 1
user = "214"
password = "line-secret"
"#;

/// A vendor with one family whose configuration is `template`.
pub(crate) fn folders(format: &str, template: &str) -> Files {
    let mut files = Files::default();
    for (path, text) in [
        ("schema.toml", SCHEMA),
        (
            "acme/vendor.toml",
            "vendor = \"acme\"\nnames = [\"Acme\"]\n",
        ),
        ("acme/gear/family.toml", &FAMILY.replace("FORMAT", format)),
        ("acme/gear/sample.toml", SAMPLE),
        ("acme/gear/config.j2", template),
        ("acme/gear/common.j2", ""),
    ] {
        files.0.insert(path.to_owned(), text.as_bytes().to_vec());
    }
    files
}

pub(crate) fn problems(files: &Files) -> Vec<String> {
    let (_, problems) = Catalog::from_files(files);
    problems.iter().map(Problem::to_string).collect()
}

pub(crate) fn open(files: &Files) -> Arc<Revision> {
    let (catalog, problems) = Catalog::from_files(files);
    let catalog = catalog.unwrap_or_else(|| panic!("{problems:?}"));
    let bundle = catalog.draft("acme", "gear", "default").expect("a draft");
    Revision::open(&bundle.bytes).expect("it opens")
}

/// What a test puts in; everything else is fixed.
pub(crate) struct Given {
    pub(crate) grant: Grant,
    pub(crate) values: BTreeMap<String, Filled>,
    pub(crate) user: String,
}

impl Given {
    pub(crate) fn at(grant: Grant) -> Self {
        let secret = |text: &str| Filled::Secret(Secret::new(text.to_owned()));
        Self {
            grant,
            values: BTreeMap::from([
                (
                    "colour".to_owned(),
                    Filled::Plain(Value::Text("red".to_owned())),
                ),
                ("password".to_owned(), secret("hunter2")),
                ("wifi".to_owned(), secret("radio")),
            ]),
            user: "214".to_owned(),
        }
    }

    pub(crate) fn with(mut self, name: &str, text: &str) -> Self {
        let value = Filled::Plain(Value::Text(text.to_owned()));
        self.values.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn render(
        &self,
        revision: &Revision,
        artefact: &str,
        which: Which,
    ) -> Result<String, RenderError> {
        let made = self.with_inputs(|inputs| revision.render(artefact, which, inputs))?;
        Ok(String::from_utf8(made.bytes.to_vec()).expect("UTF-8"))
    }

    /// With everything that a rendering may need.
    pub(crate) fn with_inputs<T>(&self, of: impl FnOnce(&Inputs<'_>) -> T) -> T {
        let line = AccountLine {
            n: 1,
            enabled: true,
            user: self.user.clone(),
            auth: None,
            password: Some(Secret::new("line-secret".to_owned())),
            display: None,
            label: None,
            server: None,
            backup: None,
            outbound_proxy: None,
            transport: None,
            srtp: false,
            port: None,
            handset: None,
            shared: false,
        };
        let inputs = Inputs {
            grant: self.grant,
            unit: Unit {
                mac: Mac::parse("02:00:5e:00:00:01").ok(),
                serial: None,
                model: Some("G1"),
            },
            urls: Urls {
                https: Some("https://prov.example.net/".to_owned()),
                http: Some("http://prov.example.net/".to_owned()),
                token: Some(Secret::new("https://prov.example.net/u/T0KEN/".to_owned())),
                report: Some(Secret::new("https://prov.example.net/r/S3CRET".to_owned())),
            },
            ca_pem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            values: &self.values,
            lines: &[line],
            keys: &[],
            release: false,
            version: None,
        };
        of(&inputs)
    }
}

#[test]
fn what_the_grant_withholds_is_not_there() {
    let template = "{% if colour is defined %}\na = {{ colour }}\n{% endif %}\n\
        {% if grant.site %}\nb = {{ domain }}\n{% endif %}\n\
        {% if grant.credential and password is defined and url.token is defined %}\n\
        c = {{ password }} {{ url.token }} {{ report.registered }}\n\
        {% for line in lines %}\nd{{ line.n }} = {{ line.user }} {{ line.password | default('-') }}\n{% endfor %}\n{% endif %}\n\
        {% if grant.key and wifi is defined %}\ne = {{ wifi }}\n{% endif %}\n";
    let revision = open(&folders("ini", template));
    let full = "a = red\nb = example.net\n\
        c = hunter2 https://prov.example.net/u/T0KEN/ https://prov.example.net/r/S3CRET/ok\n\
        d1 = 214 line-secret\ne = radio\n";
    let lines: Vec<&str> = full.split_inclusive('\n').collect();
    for ((name, grant), count) in Grant::ladder().into_iter().zip([1, 2, 4, 5]) {
        let made = Given::at(grant).render(&revision, "config", Which::Normal);
        assert_eq!(made, Ok(lines[..count].concat()), "{name}");
    }
}

#[test]
fn the_unit_and_the_urls_are_told() {
    let template = "{% if url.http is defined %}\n{{ unit.mac }} {{ unit.mac_colon }} {{ unit.mac_dash }} {{ unit.mac_upper }} \
        {{ unit.mac_upper_colon }} {{ unit.model }} {{ url.https }} {{ url.http }} {{ ca.url }} \
        {{ 1 if unit.serial is defined else 0 }} {{ release }}\n{{ ca.pem | pem }}\n{% endif %}\n";
    let revision = open(&folders("ini", template));
    let made = Given::at(Grant::PUBLIC).render(&revision, "config", Which::Normal);
    let expect = "02005e000001 02:00:5e:00:00:01 02-00-5e-00-00-01 02005E000001 \
        02:00:5E:00:00:01 G1 https://prov.example.net/ http://prov.example.net/ \
        http://prov.example.net/ca.pem 0 false\n\
        -----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(made.as_deref(), Ok(expect));
}

#[test]
fn a_familys_file_never_holds_a_credential() {
    let mut files = folders("ini", "");
    let template = "s = {{ 1 if grant.site else 0 }}\n\
        {% if grant.credential %}\np = {{ password }}\n{% endif %}\n";
    let path = "acme/gear/common.j2".to_owned();
    files.0.insert(path, template.into());
    let made = Given::at(Grant::ALL).render(&open(&files), "common", Which::Normal);
    assert_eq!(made.as_deref(), Ok("s = 1\n"));
}

#[test]
fn a_value_that_a_format_cannot_carry_is_named_and_not_shown() {
    let revision = open(&folders(
        "ini",
        "a = {{ colour | default('-') }}\n\n{% if grant.credential %}\n{% for line in lines %}\nb = x{{ line.user }}\n{% endfor %}\n{% endif %}\n",
    ));
    let given = Given::at(Grant::PUBLIC).with("colour", "evil\npassword = x");
    let error = given
        .render(&revision, "config", Which::Normal)
        .expect_err("unfit");
    let told = error.to_string();
    assert!(
        told.starts_with("acme/gear/config.j2:1: colour cannot"),
        "{told}"
    );
    assert!(!told.contains("evil"), "{told}");
    let mut given = Given::at(Grant::ALL);
    given.user = "evil\r".to_owned();
    let error = given
        .render(&revision, "config", Which::Normal)
        .expect_err("unfit");
    let told = error.to_string();
    assert!(
        told.starts_with("acme/gear/config.j2:5: lines[1].user cannot"),
        "{told}"
    );
    assert!(!format!("{error:?}{told}").contains("evil"), "{told}");
}

#[test]
fn a_revision_is_its_bytes() {
    let files = folders("ini", "a = {{ colour | default('-') }}\n");
    let draft = |files: &Files| {
        let (catalog, problems) = Catalog::from_files(files);
        let catalog = catalog.unwrap_or_else(|| panic!("{problems:?}"));
        catalog.draft("acme", "gear", "default").expect("a draft")
    };
    let bundle = draft(&files);
    assert_eq!(
        bundle,
        draft(&files),
        "the same folders give the same bytes"
    );
    let opened = Revision::open(&bundle.bytes).expect("it opens");
    assert_eq!(opened.digest, bundle.digest);
    let mut other = files.clone();
    other.0.insert("other/gear/x.j2".to_owned(), b"x".to_vec());
    assert_eq!(
        draft(&other).digest,
        bundle.digest,
        "another vendor's file counts for nothing"
    );
    for path in ["acme/gear/config.j2", "acme/vendor.toml", "schema.toml"] {
        let mut other = files.clone();
        other.0.get_mut(path).expect("a file").push(b'\n');
        assert_ne!(draft(&other).digest, bundle.digest, "{path}");
    }
    // Cut anywhere, or with any octet changed, it does not open and does not panic.
    for at in (0..bundle.bytes.len()).step_by(7) {
        assert!(Revision::open(&bundle.bytes[..at]).is_err());
        let mut bytes = bundle.bytes.clone();
        bytes[at] ^= 1;
        assert!(Revision::open(&bytes).is_err(), "octet {at}");
    }
    let head = Revision::open(b"something else").map(|revision| revision.digest);
    assert_eq!(head, Err(RevisionError::Head));
}

#[test]
fn an_unknown_name_is_told_with_its_line_and_the_nearest() {
    fn check(template: &str, expect: &str) {
        let told = problems(&folders("ini", template));
        let found = told.iter().any(|told| told.contains(expect));
        assert!(found, "{template}: {told:?}");
    }
    let near = "acme/gear/config.j2:2: there is no variable domian (did you mean domain?)";
    check("a = 1\n{% if grant.site %}{{ domian }}{% endif %}\n", near);
    check("{% if %}", "config.j2:1: syntax error");
}

proptest::proptest! {
    /// Any content behind a sound head and check sum: an error, never a panic.
    #[test]
    fn no_bundle_makes_a_panic(content in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), cut in 0_usize..400) {
        use sha2::{Digest as _, Sha256};
        let (catalog, _) = Catalog::from_files(&folders("ini", "a = 1\n"));
        let bundle = catalog.expect("it loads").draft("acme", "gear", "default").expect("a draft");
        let mut bytes = bundle.bytes[..cut.min(bundle.bytes.len() - 32)].to_vec();
        bytes.extend(content);
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        proptest::prop_assert!(Revision::open(&bytes).is_err());
    }
}
