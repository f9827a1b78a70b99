//! Programs that others wrote get an address and options from us, fetch what these point to, and the
//! unit's activation moves with it.

use std::collections::BTreeMap;
use std::path::Path;

use dialtone::model::activation::{Proof, State};
use dialtone::model::identity::DeviceId;

use super::super::scene::Listed;
use super::Stage;

const SECRET: &str = "s3cret-of-214";

/// Takes the address, and writes down what it was told: `udhcpc -s`.
const UDHCPC: &str = "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip addr flush dev eth0\nip addr add $ip/16 dev eth0\nenv > told\n";
/// The same for `dhclient -sf`.
const DHCLIENT: &str = "#!/bin/sh\n[ \"$reason\" = BOUND ] || exit 0\nip addr flush dev eth0\nip addr add $new_ip_address/16 dev eth0\nenv > told\n";

impl Stage {
    /// A shell line in the host's namespace and the lab's folder.
    fn shell(&self, line: &str) -> std::process::Output {
        let mut command = self.lab.command("c1", "sh");
        command.current_dir(self.lab.folder.path());
        let output = command.args(["-c", line]).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        output
    }

    fn script(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.lab.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What a program was told, by the names that it has for it.
    fn told(&self) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(self.lab.path("told")).unwrap();
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Waits until it stands there: a transfer's end is written down after its last octet.
    fn until(&self, id: DeviceId, state: State) {
        let mut news = self.scene.hub().news.subscribe();
        let stands = async {
            while self.scene.activation(id).await.state != state {
                drop(news.recv().await);
            }
        };
        let came =
            self.wait(async { tokio::time::timeout(crate::device_plane::PATIENCE, stands).await });
        let told = self.wait(self.scene.told(id));
        came.unwrap_or_else(|_| panic!("never {state:?}: {told:#?}"));
    }
}

fn holds(file: &Path, what: &str) -> bool {
    let text = std::fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(&text).contains(what)
}

#[test]
fn curl_tftp_hpa_atftp_and_busybox_fetch_what_udhcpc_was_told() {
    let stage = Stage::of_one_wire();
    stage.script("bound", UDHCPC);
    stage.wait(stage.scene.waive("SPA942"));
    for (at, fetch) in [
        "curl -sS -o file tftp://$SERVER/$NAME",
        "tftp -m binary $SERVER -c get $NAME file",
        "atftp -g -r $NAME -l file $SERVER",
        "busybox tftp -g -r $NAME -l file $SERVER",
    ]
    .into_iter()
    .enumerate()
    {
        let mac = format!("000e08d57d8{at}");
        let id = stage.wait(stage.scene.list(&Listed {
            family: "cisco/spa",
            model: "SPA942",
            mac: Some(&mac),
            account: Some(("214", SECRET)),
            ..Listed::default()
        }));
        let printed = dialtone::model::identity::Mac::parse(&mac).unwrap();
        stage.lab.station("c1", &printed.to_string());
        stage.shell("rm -f file told; busybox udhcpc -f -q -n -i eth0 -s ./bound -V 'LINKSYS SPA-942' -O tftp");
        assert_eq!(
            stage.wait(stage.scene.activation(id)).state,
            State::Seen,
            "{fetch}"
        );
        let server = stage.told()["tftp"].clone();
        assert_eq!(server, "10.99.0.1");
        stage.shell(&format!("SERVER={server}; NAME={mac}.xml; {fetch}"));
        assert!(holds(&stage.lab.path("file"), SECRET), "{fetch}");
        stage.until(id, State::Served);
        let proof = stage.wait(stage.scene.activation(id)).proof;
        assert_eq!(proof, Some(Proof::NonePossible), "{fetch}");
    }
    stage.stop();
}

#[test]
fn curl_fetches_over_http_and_https_what_dhclient_was_told() {
    let stage = Stage::of_one_wire();
    stage.script("bound", DHCLIENT);
    let id = stage.wait(stage.scene.list(&Listed::default()));
    stage.lab.station("c1", "80:5e:c0:d5:7d:72");
    let conf =
        "send vendor-class-identifier \"yealink\";\nrequest subnet-mask, tftp-server-name;\n";
    std::fs::write(stage.lab.path("dhclient.conf"), conf).unwrap();
    stage.shell(": > leases; dhclient -1 -sf ./bound -lf leases -pf pid -cf dhclient.conf eth0");
    assert_eq!(stage.wait(stage.scene.activation(id)).state, State::Seen);
    let base = stage.told()["new_tftp_server_name"].clone();
    assert_eq!(base, "http://10.99.0.1/");

    // The bootstrap: where the same is asked over HTTPS, and no secret.
    stage.shell(&format!("curl -sS -f -o file {base}805ec0d57d72.cfg"));
    assert!(holds(&stage.lab.path("file"), "https://10.99.0.1/"));
    assert!(!holds(&stage.lab.path("file"), SECRET));
    assert_eq!(stage.wait(stage.scene.activation(id)).state, State::Seen);
    std::fs::write(
        stage.lab.path("ca.pem"),
        stage.scene.hub().ca_pem.as_bytes(),
    )
    .unwrap();
    stage.shell("curl -sS -f -o file --cacert ca.pem https://10.99.0.1/805ec0d57d72.cfg");
    assert!(holds(&stage.lab.path("file"), SECRET));
    stage.until(id, State::Served);
    stage.stop();
}
