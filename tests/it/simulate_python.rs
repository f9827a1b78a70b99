//! Switches whose script is in Python, against Python's file server and scripts written by hand from
//! the vendors' sheets.

use dialtone::simulate::Again;

use crate::simulate_bench::{Ca, Server, surroundings, unit};

/// An IOS-XE script: our CA in a trustpoint, the configuration by `copy`, and saved.
const ENTERED: &str = r#"#!/usr/bin/env python
from __future__ import print_function
import time
from cli import cli, configure
print("begun")
serial = cli("show version | include Processor board ID").split()[-1]
configure(["crypto pki certificate chain DT", "certificate ca 01"] + HEX + ["quit",
          "ip http client secure-trustpoint DT"])
for attempt in range(5):
    said = cli("copy SECURE%s.cfg flash:dt.cfg" % serial)
    if "bytes copied" in said:
        break
    time.sleep(30)
else:
    raise SystemExit(1)
cli("copy flash:dt.cfg running-config")
cli("delete /force flash:dt.cfg")
cli("write memory")
"#;

/// A POAP script: Python's own TLS, a file on the flash, a configuration to be replayed.
const REPLAYED: &str = r#"import os, ssl, sys, urllib.request
from cli import cli
with open("/bootflash/dt-ca.pem", "w") as file:
    file.write("""PEM""")
context = ssl.create_default_context(cafile="/bootflash/dt-ca.pem")
name = "SECURE" + os.environ["POAP_SERIAL"] + ".cfg"
try:
    body = urllib.request.urlopen(name, timeout=30, context=context).read()
except OSError as error:
    print("no configuration:", error)
    sys.exit(1)
os.makedirs("/bootflash/dt")
with open("/bootflash/dt/poap.cfg", "wb") as file:
    file.write(body)
cli("copy bootflash:dt/poap.cfg scheduled-config")
os.remove("/bootflash/dt/poap.cfg")
"#;

fn hex(ca: &Ca) -> String {
    let octets: Vec<String> = ca.der.iter().map(|byte| format!("{byte:02X}")).collect();
    let lines: Vec<String> = octets
        .chunks(16)
        .map(|row| format!("{:?}", row.concat()))
        .collect();
    format!("[{}]", lines.join(", "))
}

#[tokio::test]
async fn a_script_enters_its_configuration_line_by_line() {
    let (ours, other) = (Ca::new("ours"), Ca::new("another"));
    let secure = Server::tls(&ours);
    secure.put(
        "FOC2113X0AB.cfg",
        "hostname sw-1\nusername admin privilege 15 secret 9 $9$abc\n",
    );
    let plain = Server::plain();
    let script = |ca: &Ca| {
        ENTERED
            .replace("HEX", &hex(ca))
            .replace("SECURE", &secure.base)
    };
    plain.put("boot.py", &script(&other));
    let mut switch = unit(
        "cisco/ios-xe",
        surroundings(&format!("{}boot.py", plain.base)),
    );
    let story = switch.boot().await;
    assert!(story.tls_failure().is_some(), "{story:#?}");
    assert!(matches!(story.again, Some(Again::After(_))), "{story:#?}");
    assert!(story.notes.iter().any(|note| note == "begun"), "{story:#?}");
    assert_eq!(switch.account(), None);

    plain.put("boot.py", &script(&ours));
    let stories = switch.boot_until_quiet(3).await;
    let account = switch.account().unwrap_or_else(|| panic!("{stories:#?}"));
    assert_eq!(
        (account.user.as_str(), account.password.expose()),
        ("admin", "$9$abc")
    );
    assert_eq!(stories.len(), 2);
    assert!(
        stories[1].steps.is_empty(),
        "it is configured: {stories:#?}"
    );
    assert!(switch.file("/flash/dt.cfg").is_none());
}

#[tokio::test]
async fn a_script_with_a_sum_schedules_its_configuration() {
    let ours = Ca::new("ours");
    let secure = Server::tls(&ours);
    secure.put(
        "FDO21120V5N.cfg",
        "username admin password 5 $5$abc  role network-admin\n",
    );
    let plain = Server::plain();
    let body = REPLAYED
        .replace("PEM", &ours.pem)
        .replace("SECURE", &secure.base);
    let summed = {
        use std::process::{Command, Stdio};
        let mut child = Command::new("md5sum")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let text = format!("#!/bin/env python3\n{body}");
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        String::from_utf8_lossy(&output.stdout[..32]).into_owned()
    };
    let script = |sum: &str| format!("#!/bin/env python3\n#md5sum=\"{sum}\"\n{body}");
    plain.put("poap.py", &script("00000000000000000000000000000000"));
    let mut switch = unit(
        "cisco/nx-os",
        surroundings(&format!("{}poap.py", plain.base)),
    );
    switch.boot().await;
    assert!(secure.log().is_empty(), "a wrong sum is not run");

    plain.put("poap.py", &script(&summed));
    let stories = switch.boot_until_quiet(3).await;
    let account = switch.account().unwrap_or_else(|| panic!("{stories:#?}"));
    assert_eq!(
        (account.user.as_str(), account.password.expose()),
        ("admin", "$5$abc")
    );
    let log = plain.log();
    assert!(log.last().unwrap().ends_with("cisco-nxos"), "{log:?}");
    assert!(switch.file("/bootflash/dt-ca.pem").is_some());
    assert!(switch.file("/bootflash/dt/poap.cfg").is_none());
}

#[tokio::test]
async fn without_leave_no_script_in_python_runs() {
    let plain = Server::plain();
    plain.put(
        "boot.py",
        "#!/usr/bin/python\nfrom cli import cli\ncli('write memory')\n",
    );
    let mut around = surroundings(&format!("{}boot.py", plain.base));
    around.python = false;
    let mut switch = unit("cisco/ios-xe", around);
    let story = switch.boot().await;
    assert!(
        story.notes.iter().any(|note| note.contains("in Python")),
        "{story:#?}"
    );
    assert!(switch.file("/nvram/startup-config").is_none());
}
