//! Walk 6: a family that resets what a file omits, and falls back to a shared file when its own is
//! not given. Whatever happens, it keeps its account: what it would lose by is never sent. The
//! vendor is a folder that the test writes; curl plays the unit.

use dialtone::model::device::Lifecycle;
use dialtone::model::identity::DeviceId;
use dialtone::model::profile::Value;
use dialtone::model::secret::Sealed;
use dialtone::store::{Owner, Write};
use jiff::ToSpan as _;

use super::scene::{Listed, Scene};
use crate::device_plane::foreign;

const MAC: &str = "02005e000001";
const IP: &str = "127.0.1.31";

const VENDOR: &str = r#"
vendor = "acme"
names = ["Acme"]
oui = ["02005e"]
default_family = "wipes"
[[recognise]]
channel = "http"
agent = "Acme {model} {mac:colon}"
"#;

const FAMILY: &str = r#"
family = "wipes"
label = "Wipes"
reach = "full"
models = ["R1"]
asks = "every boot"
[transport]
first = ["https"]
trusts = "own"
after = "same"
tls = "1.3"
[sources]
order = ["dhcp"]
pin = false
ceiling = "L1"
[absent]
means = "reset"
[refusal]
http = 503
[[artefact]]
id = "own"
kind = "device-config"
paths = ["{mac:lower}.conf"]
scope = "unit"
order = 1
template = "own.j2"
format = "ini"
useful_from = "credential"
[[artefact]]
id = "shared"
kind = "common-config"
paths = ["wipes.conf"]
scope = "family"
order = 2
required = false
template = "shared.j2"
format = "ini"
fallback_of = "own"
[report]
proof = ["registrar"]
stall_after = "15m"
"#;

/// The unit's agent.
pub(crate) const AGENT: &str = "Acme R1 02:00:5e:00:00:01";

/// The vendor's folder.
pub(crate) fn files() -> Vec<(&'static str, String)> {
    let own = "{% if grant.credential %}{% for line in lines %}user = {{ line.user }}\n{% if line.password is defined %}password = {{ line.password }}\n{% endif %}{% endfor %}{% endif %}{% if hostname is defined and grant.site %}name = {{ hostname }}\n{% endif %}end = 1\n";
    let sample = "[unit]\nmac = \"02005e000009\"\nmodel = \"R1\"\n[variables]\nhostname = \"h\"\n[[lines]]\nn = 1\nuser = \"1\"\npassword = \"p\"\n";
    [
        ("acme/vendor.toml", VENDOR),
        ("acme/wipes/family.toml", FAMILY),
        ("acme/wipes/own.j2", own),
        ("acme/wipes/shared.j2", "end = 1\n"),
        ("acme/wipes/sample.toml", sample),
    ]
    .map(|(name, text)| (name, text.to_owned()))
    .to_vec()
}

async fn scene() -> (Scene, DeviceId) {
    let files = files();
    let scene = Scene::with_profiles(&files).await;
    let listed = Listed {
        family: "acme/wipes",
        model: "R1",
        mac: Some(MAC),
        secrets: &[],
        ..Listed::default()
    };
    let id = scene.list(&listed).await;
    scene.lease(IP, MAC).await;
    (scene, id)
}

/// Asks for the own file and, where it is not given, for the shared one; gives what a unit would
/// have put in place of what it had.
async fn boot(scene: &Scene) -> Option<String> {
    let trust = scene.server.path("data/ca/ca.pem").display().to_string();
    for name in [format!("{MAC}.conf"), "wipes.conf".to_owned()] {
        let url = format!("{}{name}", scene.server.https());
        let arguments = [
            "-sS",
            "--interface",
            IP,
            "--cacert",
            &trust,
            "-A",
            AGENT,
            "-w",
            "\n%{http_code}",
            &url,
        ];
        let output = foreign("curl", &arguments).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or_default();
        match status {
            "200" => return Some(body.to_owned()),
            "503" => {}
            other => panic!("{other}: {body}"),
        }
    }
    None
}

#[tokio::test]
async fn walk_6_nothing_makes_it_drop_its_account() {
    let (scene, id) = scene().await;
    let now = || scene.now();
    let has_account = |file: &Option<String>| {
        let file = file.as_ref().expect("a file");
        assert!(
            file.contains("user = 214") && file.contains("password = s3cret-of-214"),
            "{file}"
        );
    };
    has_account(&boot(&scene).await);

    // Locked: the refusal, also for the shared file that it would fall back to.
    scene
        .change(id, |config| config.lifecycle = Lifecycle::Suspended)
        .await;
    scene.pass(1.hours()).await;
    assert_eq!(boot(&scene).await, None);
    scene
        .change(id, |config| config.lifecycle = Lifecycle::Listed)
        .await;
    scene.pass(1.hours()).await;

    // A file that cannot be rendered: a value that its format cannot carry.
    scene
        .change(id, |config| {
            let broken = Value::Text("a\nuser = thief".to_owned());
            config.variables.0.insert("hostname".to_owned(), broken);
            config.changed_at = now();
        })
        .await;
    assert_eq!(boot(&scene).await, None);
    let told = scene.told(id).await;
    assert!(
        told.iter()
            .any(|line| line.contains("request fail render-error")),
        "{told:#?}"
    );

    // Sealed: its password cannot be opened, because the key that it was sealed with is not there.
    scene
        .change(id, |config| {
            config.variables.0.remove("hostname");
        })
        .await;
    let owner = Owner::Device(id);
    let field = "line.1.password";
    let sealed = scene.hub().store.secret(&owner, field).await.unwrap();
    let sealed = sealed.expect("a password");
    let put = |sealed: Sealed| Write::PutSecret {
        owner: owner.clone(),
        field: field.to_owned(),
        sealed: Some(sealed),
    };
    let lost = Sealed {
        key_id: sealed.key_id + 1,
        bytes: sealed.bytes.clone(),
    };
    scene.write(vec![put(lost)]).await;
    scene.pass(1.hours()).await;
    assert_eq!(boot(&scene).await, None);
    scene.write(vec![put(sealed)]).await;

    // Mended, it has its account again.
    scene.pass(1.hours()).await;
    scene.arm(id).await;
    has_account(&boot(&scene).await);
    scene.stop().await;
}
