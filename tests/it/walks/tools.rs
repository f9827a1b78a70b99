//! Walks played by tools that nobody here wrote: curl asks as the phone asks, and bash runs the
//! scripts that the switch gets.

use std::path::Path;

use dialtone::model::activation::State;

use super::scene::{Listed, Scene};
use crate::device_plane::foreign;

/// A GET by curl, from an address of its own: status and body.
async fn get(ip: &str, more: &[&str], url: &str) -> (String, String) {
    let mut words = vec!["-sS", "--interface", ip, "-w", "\n%{http_code}"];
    words.extend(more);
    words.push(url);
    let output = foreign("curl", &words).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or_default();
    (status.to_owned(), body.to_owned())
}

/// The value of a `key = value` line.
fn value<'a>(file: &'a str, key: &str) -> Option<&'a str> {
    file.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim())
    })
}

#[tokio::test]
async fn walk_1_with_curl() {
    let scene = Scene::by_lease().await;
    let id = scene.list(&Listed::default()).await;
    let (mac, ip) = ("805ec0d57d72", "127.0.1.41");
    scene.lease(ip, mac).await;
    let agent = "Yealink SIP-T46S 66.86.0.15 80:5e:c0:d5:7d:72";
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let ca = ca.to_str().unwrap();

    // The plain contact holds no secret: a boot file, the bootstrap, our CA.
    let (status, boot) = get(
        ip,
        &["-A", agent],
        &format!("{}{mac}.boot", scene.server.http()),
    )
    .await;
    assert_eq!(status, "200", "{boot}");
    let (status, bootstrap) = get(
        ip,
        &["-A", agent],
        &format!("{}{mac}.cfg", scene.server.http()),
    )
    .await;
    assert_eq!(status, "200");
    for text in [&boot, &bootstrap] {
        assert!(!text.contains("s3cret") && !text.contains("/u/") && !text.contains("/r/"));
    }
    let url = value(&bootstrap, "static.trusted_certificates.url").unwrap();
    let (status, pem) = get(ip, &["-A", agent], url).await;
    assert_eq!(status, "200");
    std::fs::write(ca, pem).unwrap();

    // The boot file names the HTTPS base; with our CA it opens.
    let https = scene.server.https();
    let trusting = ["-A", agent, "--cacert", ca];
    let (status, file) = get(ip, &trusting, &format!("{https}{mac}.cfg")).await;
    assert_eq!(status, "200", "{:#?}", scene.told(id).await);
    assert_eq!(value(&file, "account.1.password"), Some("s3cret-of-214"));
    let report = value(&file, "action_url.registered").unwrap();
    let (status, _) = get(ip, &trusting, &report.replace("$mac", mac)).await;
    assert_eq!(status, "200");
    assert_eq!(scene.activation(id).await.state, State::Active);

    // The token's address, from the place of the unit: its file again.
    let token = value(&file, "static.auto_provision.server.url").unwrap();
    let (status, again) = get(ip, &trusting, &format!("{token}{mac}.cfg")).await;
    assert_eq!((status.as_str(), again == file), ("200", true));
    // Without the token nothing more is given, and no reason is told.
    let (status, refusal) = get(ip, &trusting, &format!("{https}{mac}.cfg")).await;
    assert!(!refusal.contains("s3cret"), "{status} {refusal}");
    scene.stop().await;
}

/// What stands around the scripts: programs of the switch, and its flash in a folder of the test.
/// Whatever curl brings is changed to that folder before bash sees it.
fn around(folder: &Path, serial: &str) -> String {
    let root = folder.display();
    format!(
        r#"
set -u
mkdir -p {root}/flash {root}/tmp
FastCli() {{ printf '{{\n    "modelName": "CCS-710P-16P",\n    "serialNumber": "{serial}",\n    "systemMacAddress": "2c:dd:e9:f6:f9:9b",\n    "version": "4.32.5.1M"\n}}\n'; }}
ntpstat() {{ return 0; }}
date() {{ case " $* " in *" -s "*) return 1;; esac; command date "$@"; }}
curl() {{
  command curl "$@"; local code=$?
  find {root}/tmp {root}/flash -type f -exec sed -i 's#/mnt/flash#{root}/flash#g; s#/tmp/dt#{root}/tmp/dt#g' {{}} +
  return $code
}}
export -f FastCli ntpstat date curl
"#
    )
}

#[tokio::test]
async fn walk_7_with_bash_and_curl() {
    let scene = Scene::by_prefix().await;
    let serial = "WTW23490441";
    let id = scene
        .list(&Listed {
            family: "arista/eos",
            model: "CCS-710P-16P",
            mac: Some("2cdde9f6f99b"),
            serial: Some(serial),
            account: None,
            secrets: &[
                ("admin_password", "adm1n-of-it"),
                ("snmp_v3_auth", "auth-of-it-1"),
                ("snmp_v3_priv", "priv-of-it-1"),
            ],
            texts: &[("hostname", "sw-1"), ("snmp_v3_user", "watcher")],
        })
        .await;
    scene.change(id, |config| config.arming.keys = true).await;

    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    let pointer = format!("{}ztp/bootstrap", scene.server.http());
    let script = format!(
        r#"{around}
curl -fsS -H 'X-Arista-Serial: {serial}' -H 'X-Arista-SystemMAC: 2c:dd:e9:f6:f9:9b' -o {root}/tmp/boot {pointer} || exit 90
[ "$(head -c 2 {root}/tmp/boot)" = '#!' ] || exit 91
bash {root}/tmp/boot || exit 92
[ -s {root}/flash/startup-config ] || exit 93
# After the reload: what the configuration runs.
action=$(sed -n 's/^ *action bash //p' {root}/flash/startup-config)
[ -n "$action" ] || exit 94
bash -c "$action" || exit 95
cat {root}/flash/startup-config
"#,
        around = around(folder.path(), serial)
    );
    let output = foreign("bash", &["-c", &script]).await;
    let told = scene.told(id).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}\n{told:#?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("snmp-server user watcher ") && text.ends_with("end\n"),
        "{text}"
    );
    let left: Vec<String> = std::fs::read_dir(folder.path().join("flash"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        !left.iter().any(|name| name.contains("startup-config.")),
        "{left:?}"
    );
    assert_eq!(scene.activation(id).await.state, State::Active, "{told:#?}");
    scene.stop().await;
}
