//! A vendor that nobody has written before: folders in a temporary place, no Rust touched.

use std::collections::BTreeMap;
use std::fs;

use dialtone::catalog::inputs::{Filled, Inputs, Unit, Urls};
use dialtone::catalog::manifest::Format;
use dialtone::catalog::revision::{RenderError, Which};
use dialtone::catalog::{Ask, Catalog, HintKind, Revision, load, reparse};
use dialtone::model::access::{Class, Grant};
use dialtone::model::identity::{Channel, Serial};
use dialtone::model::profile::Value;
use dialtone::model::secret::Secret;
use md5::{Digest as _, Md5};

const FILES: [(&str, &str); 8] = [
    (
        "schema.toml",
        r#"
[sip_domain]
type = "text"
class = "site"
meaning = "domain of the accounts"
[admin_password]
type = "secret"
class = "credential"
meaning = "password of the administrator"
[snmp_key]
type = "secret"
class = "key"
meaning = "key of SNMPv3"
"#,
    ),
    (
        "_site/lab.toml",
        "[variables]\nsip_domain = \"lab.example.net\"\n[models.Q20]\nsip_domain = \"q20.example.net\"\n",
    ),
    (
        "quux/vendor.toml",
        r#"
vendor = "quux"
names = ["Quux", "Quux Networks"]
default_family = "gate"
[[recognise]]
channel = "http"
headers = { x-quux-serial = "{serial:QX[0-9]{8}}" }
[[recognise]]
channel = "dhcp"
options = { 124 = { enterprise = 9, text = "SN:{serial};PID:{model}" } }
[table.board]
"0a" = "Q10"
"14" = "Q20"
"#,
    ),
    (
        "quux/gate/family.toml",
        r#"
family = "gate"
label = "Gates"
reach = "full"
models = ["Q10", "Q20"]
aliases = { "Q20-B" = "Q20" }
asks = "once"
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
http = "close"
tftp = "silence"
[bootstrap]
next = "include"
[[artefact]]
id = "script"
kind = "script"
paths = ["start/{model@board}.py"]
scope = "family"
order = 1
template = "start.py.j2"
format = "python"
media_type = "text/x-python"
filters = ["md5-line"]
[[artefact]]
id = "config"
kind = "device-config"
paths = ["conf/{serial}.xml"]
scope = "unit"
order = 2
template = "config.xml.j2"
bootstrap = "wait.xml.j2"
format = "xml"
media_type = "application/xml"
useful_from = "credential"
[[dhcp]]
when = { asks = [67] }
options = { 67 = "{pointer}/{artefact.script}", 43 = { enterprise = 424242, tlv = { 1 = "{pointer}/" } } }
[report]
registered = "{report}/ok"
failed = "{report}/failed"
proof = ["report"]
stall_after = "20m"
[push]
restart = "reboot"
by = ["contact"]
"#,
    ),
    (
        "quux/gate/start.py.j2",
        "#!/usr/bin/env python3\nBASE = {{ url.https }}\nCA = {{ ca.pem }}\n\
         BOARD = {{ unit.model | default(\"any\") }}\n",
    ),
    (
        "quux/gate/config.xml.j2",
        r#"<gate serial="{{ unit.serial }}">
  {% if grant.site and sip_domain is defined %}
  <domain>{{ sip_domain }}</domain>
  {% endif %}
  {% if grant.credential %}
  {% if admin_password is defined %}
  <admin password="{{ admin_password }}"/>
  {% endif %}
  {% if report.registered is defined %}
  <report ok="{{ report.registered }}" failed="{{ report.failed }}"/>
  {% endif %}
  {% for line in lines %}
  <account n="{{ line.n }}" user="{{ line.user }}"/>
  {% endfor %}
  {% endif %}
  {% if grant.key and snmp_key is defined %}
  <snmp key="{{ snmp_key }}"/>
  {% endif %}
</gate>
"#,
    ),
    (
        "quux/gate/wait.xml.j2",
        "<wait for=\"{{ url.https | default(\"\") }}conf/{{ unit.serial }}.xml\"/>\n",
    ),
    (
        "quux/gate/sample.toml",
        r#"
[unit]
serial = "QX00000001"
model = "Q20"
[variables]
sip_domain = "example.net"
admin_password = "sample"
snmp_key = "sample-key"
[[lines]]
n = 1
user = "214"
"#,
    ),
];

fn catalog() -> std::sync::Arc<Catalog> {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in FILES {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let files = load::read_folders(&[folder.path().to_owned()]).expect("it is read");
    let (catalog, problems) = Catalog::from_files(&files);
    assert!(problems.is_empty(), "{problems:?}");
    catalog.expect("a catalogue")
}

/// Renders for the unit `QX12345678` at a grant, with a value for `admin_password`.
fn render(
    revision: &Revision,
    artefact: &str,
    which: Which,
    grant: Grant,
    password: &str,
) -> Result<String, RenderError> {
    let serial = Serial::parse("QX12345678").expect("a serial");
    let secret = |text: &str| Filled::Secret(Secret::new(text.to_owned()));
    let domain = revision.profile.models["Q20"].0["sip_domain"].clone();
    let values = BTreeMap::from([
        ("sip_domain".to_owned(), Filled::Plain(domain)),
        ("admin_password".to_owned(), secret(password)),
        ("snmp_key".to_owned(), secret("the-key")),
    ]);
    let inputs = Inputs {
        grant,
        unit: Unit {
            mac: None,
            serial: Some(&serial),
            model: Some("Q20"),
        },
        urls: Urls {
            https: Some("https://prov.example.net/".to_owned()),
            http: None,
            token: None,
            report: Some(Secret::new("https://prov.example.net/r/S3CRET".to_owned())),
        },
        ca_pem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        values: &values,
        lines: &[],
        keys: &[],
        release: false,
        version: None,
    };
    let made = revision.render(artefact, which, &inputs)?;
    Ok(String::from_utf8(made.bytes.to_vec()).expect("UTF-8"))
}

#[test]
fn it_is_recognised_by_serial_and_by_its_boards_number() {
    let catalog = catalog();
    let headers = [("x-quux-serial".to_owned(), "QX12345678".to_owned())];
    let ask = Ask {
        channel: Channel::Http,
        path: Some("start/14.py"),
        agent: None,
        headers: &headers,
        options: None,
        pnp: None,
        certificate: None,
    };
    let hints = catalog.hints(&ask);
    let serial = hints.iter().find_map(|hint| hint.serial.as_deref());
    assert_eq!(serial, Some("QX12345678"));
    assert!(hints.iter().all(|hint| hint.mac.is_none()));
    let path = hints.iter().find(|hint| hint.kind == HintKind::Path);
    let path = path.expect("the path speaks");
    assert_eq!(
        (path.model.as_deref(), path.artefact),
        (Some("Q20"), Some("script"))
    );
    let family = catalog.family("quux", "gate").expect("the family");
    assert!(!family.absent.keeps);
    assert_eq!(
        family.artefact("config").map(|artefact| artefact.reads),
        Some(Class::Key)
    );
    assert_eq!(family.dhcp.len(), 1);
}

#[test]
fn its_files_are_rendered_by_grant() {
    let bundle = catalog().draft("quux", "gate", "lab").expect("a draft");
    let revision = Revision::open(&bundle.bytes).expect("it opens");
    assert_eq!(
        revision.profile.value("sip_domain"),
        Some(&Value::Text("lab.example.net".to_owned()))
    );
    let reads = revision.reads("config").expect("a template");
    for name in [
        "sip_domain",
        "admin_password",
        "snmp_key",
        "lines",
        "report",
        "unit.serial",
    ] {
        assert!(reads.contains(name), "{name} in {reads:?}");
    }
    let full = [
        ("public", "<gate serial=\"QX12345678\">\n"),
        ("site", "  <domain>q20.example.net</domain>\n"),
        (
            "credential",
            "  <admin password=\"a&quot;/&gt;&lt;root/&gt;\"/>\n  \
             <report ok=\"https://prov.example.net/r/S3CRET/ok\" failed=\"https://prov.example.net/r/S3CRET/failed\"/>\n",
        ),
        ("key", "  <snmp key=\"the-key\"/>\n"),
    ];
    let mut expect = String::new();
    for ((name, grant), (_, more)) in Grant::ladder().into_iter().zip(full) {
        expect.push_str(more);
        let made = render(&revision, "config", Which::Normal, grant, "a\"/><root/>");
        assert_eq!(made, Ok(format!("{expect}</gate>\n")), "{name}");
    }
    let made = render(&revision, "config", Which::Bootstrap, Grant::PUBLIC, "x");
    assert_eq!(
        made.as_deref(),
        Ok("<wait for=\"https://prov.example.net/conf/QX12345678.xml\"/>\n")
    );
}

#[test]
fn its_script_carries_its_own_digest() {
    let bundle = catalog().draft("quux", "gate", "default").expect("a draft");
    let revision = Revision::open(&bundle.bytes).expect("it opens");
    // `default` has no models: the value that a test needs comes from a profile that has.
    let lab = catalog().draft("quux", "gate", "lab").expect("a draft");
    assert_ne!(bundle.digest, lab.digest);
    drop(revision);
    let revision = Revision::open(&lab.bytes).expect("it opens");
    let made = render(&revision, "script", Which::Normal, Grant::ALL, "x").expect("a script");
    let lines: Vec<&str> = made.split_inclusive('\n').collect();
    assert_eq!(lines[0], "#!/usr/bin/env python3\n");
    let sum: String = {
        let rest: String = lines
            .iter()
            .filter(|line| !line.starts_with("#md5sum"))
            .copied()
            .collect();
        Md5::digest(rest)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    assert_eq!(lines[1], format!("#md5sum=\"{sum}\"\n"));
    assert!(
        made.contains("BASE = \"https://prov.example.net/\"\n"),
        "{made}"
    );
    assert!(reparse::parse(Format::Python, &made).is_ok());
    // The same bytes each time, and nothing above site in a family's file.
    assert_eq!(
        render(&revision, "script", Which::Normal, Grant::PUBLIC, "y").as_ref(),
        Ok(&made)
    );
}
