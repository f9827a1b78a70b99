//! Scripts of Junos OS, ONIE, SONiC and Cumulus Linux, run here with stand-ins for each system's own
//! tools: what they ask, in which order they change things, and what they leave when they fail.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use dialtone::catalog::revision::Which;
use dialtone::model::access::Grant;
use tempfile::TempDir;

use super::Case;

const OK: &str = "https://prov.example.net/r/REPORT-CANARY/ok";
const FAILED: &str = "https://prov.example.net/r/REPORT-CANARY/failed";

fn made(vendor: &str, case: &str, artefact: &str) -> String {
    let case = Case::new(vendor, case);
    let text = case.render(artefact, Which::Normal, Grant::ALL, false);
    text.unwrap()
}

/// A switch: its folders and tools, below a folder of the test.
struct Switch {
    home: TempDir,
    folders: &'static [&'static str],
}

impl Switch {
    /// `server` is what its `curl` does: a shell text that gets `$url`, and writes `$out`.
    fn new(folders: &'static [&'static str], server: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("bin")).unwrap();
        let switch = Self { home, folders };
        for folder in folders {
            fs::create_dir_all(switch.moved(folder)).unwrap();
        }
        switch.tool(
            "curl",
            &format!(
                "out=/dev/null\nfor word in \"$@\"; do\n[ \"$last\" = -o ] && out=$word\n\
                 last=$word\nurl=$word\ndone\n{server}"
            ),
        );
        switch.tool("sleep", "exit 0");
        switch
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    /// A text that names the switch's folders, with ours in their place.
    fn moved(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for folder in self.folders {
            text = text.replace(folder, &format!("{}{folder}", self.home.path().display()));
        }
        text
    }

    /// A tool of the switch, which notes each call.
    fn tool(&self, name: &str, text: &str) {
        let (path, log) = (self.path(&format!("bin/{name}")), self.path("log"));
        let whole = format!("#!/bin/bash\necho \"{name} $*\" >> '{log}'\n{text}\n");
        fs::write(&path, whole).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, shell: &str, script: &str) -> Output {
        let search = format!("{}:/usr/bin:/bin", self.path("bin"));
        Command::new(shell)
            .args(["-c", &self.moved(script)])
            .env_clear()
            .env("PATH", search)
            .env("DT_END", "0")
            .output()
            .unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The last call, without its pauses.
    fn last(&self) -> String {
        let log = self.log();
        let mut calls = log.lines().filter(|line| !line.starts_with("sleep "));
        calls.next_back().unwrap_or_default().to_owned()
    }

    fn holds(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.moved(folder)).into_iter().flatten();
        let names = entries.flatten();
        let mut names: Vec<String> = names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// What was said, by a run that failed and reported it.
fn failed(switch: &Switch, done: &Output) -> String {
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(switch.last().ends_with(FAILED), "{}", switch.log());
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!said.contains("CANARY"), "{said}");
    said
}

fn junos(check: &str) -> Switch {
    let config = made("juniper", "junos-full", "config");
    let server = format!("case $url in */config) cat > \"$out\" <<'END'\n{config}END\n;; esac");
    let switch = Switch::new(&["/var/tmp/dt"], &server);
    let committed = switch.path("committed");
    let answers = format!(
        "case $2 in\n*'commit check'*) echo '{check}';;\n*and-quit*) file=${{2#*override }}\n\
         cp \"${{file%%;*}}\" '{committed}'; echo 'commit complete';;\nesac"
    );
    switch.tool("cli", &answers);
    switch
}

#[test]
fn junos_has_its_configuration_checked_and_commits_it_with_its_own_port() {
    let switch = junos("configuration check succeeds");
    let done = switch.run("/bin/sh", &made("juniper", "junos-full", "install"));
    assert!(done.status.success(), "{done:?}");
    assert!(switch.last().ends_with(OK), "{}", switch.log());
    let committed = fs::read_to_string(switch.path("committed")).unwrap();
    assert!(committed.contains("\n    me0 {\n") && !committed.contains("dialtone-management"));
    // Or ZTP takes the commit as a failure of the script.
    assert!(committed.contains("\n    auto-image-upgrade;\n"));
    assert_eq!(switch.holds("/var/tmp/dt"), Vec::<String>::new());
}

#[test]
fn junos_commits_nothing_that_it_refuses() {
    let switch = junos("error: syntax error: CANARY-watch");
    let done = switch.run("/bin/sh", &made("juniper", "junos-full", "install"));
    failed(&switch, &done);
    assert!(!Path::new(&switch.path("committed")).exists());
    assert_eq!(switch.holds("/var/tmp/dt"), Vec::<String>::new());
}

#[test]
fn the_first_scripts_ask_for_what_the_switch_says_it_is() {
    let serial = "<hardware-model>ex2300-48p</hardware-model><serial-number>S1</serial-number>";
    let tools = [("cli", serial), ("decode-syseeprom", "S1")];
    for (vendor, case, shell, name) in [
        ("juniper", "junos-full", "/bin/sh", "junos"),
        ("juniper", "junos-evo-full", "/bin/sh", "junos-evo"),
        ("sonic", "full", "/bin/bash", "sonic"),
        ("cumulus", "full", "/bin/bash", "cumulus"),
    ] {
        let switch = Switch::new(&["/tmp/dt", "/var/tmp/dt"], "echo 'echo ran' > \"$out\"");
        for (tool, says) in tools {
            switch.tool(tool, &format!("echo '{says}'"));
        }
        let first = made(vendor, case, "script");
        assert!(!first.contains("CANARY") && !first.contains('\r'), "{name}");
        let done = switch.run(shell, &first);
        assert!(
            String::from_utf8_lossy(&done.stdout).ends_with("ran\n"),
            "{done:?}"
        );
        let asked = format!("https://prov.example.net/{name}/serial/S1/install");
        assert!(switch.last().ends_with(&asked), "{}", switch.log());
    }
    let first = made("cumulus", "full", "script");
    assert!(first.contains("CUMULUS-AUTOPROVISIONING"));
}

/// A bare switch of a kind, whose server has an image that ends with a status.
fn bare(platform: &str, status: u8) -> Switch {
    let switch = Switch::new(&["/tmp/dt"], "");
    let machine = "machine=${platform#*-}; machine=${machine%-r*}";
    let told = "case $1 in -p) echo $platform;; -m) echo $machine;; esac";
    switch.tool(
        "onie-sysinfo",
        &format!("platform={platform}; {machine}; {told}"),
    );
    let image = format!("printf '#!/bin/sh\\necho installed; exit {status}\\n' > \"$out\"");
    let answers = format!(
        "for word in \"$@\"; do [ \"$last\" = -O ] && out=$word; last=$word; done\n\
         case $last in */onie-installer) echo 'echo asked again' > \"$out\";; *) {image};; esac"
    );
    switch.tool("wget", &answers);
    switch
}

#[test]
fn onie_installs_the_image_that_is_meant_for_the_switch() {
    for (platform, image) in [
        ("powerpc-accton_as5610_52x-r0", "it's powerpc.bin"),
        ("armv7a-some_board-r1", "other.bin"),
    ] {
        let switch = bare(platform, 0);
        let done = switch.run("/bin/sh", &made("onie", "full", "installer"));
        assert!(done.status.success(), "{done:?}");
        assert_eq!(done.stdout, b"installed\n");
        let fetched = format!("http://images.example.net/{image}");
        assert!(switch.last().ends_with(&fetched), "{}", switch.log());
    }
}

/// With a status other than 0 ONIE would go on with each later name.
#[test]
fn onie_asks_again_after_an_image_that_fails_or_is_another() {
    for (platform, status, said) in [
        ("armv7a-some_board-r1", 3, "failed"),
        (
            "x86_64-dell_s6000_s1220-r0",
            0,
            "is not what nos_images says",
        ),
    ] {
        let switch = bare(platform, status);
        let done = switch.run("/bin/sh", &made("onie", "full", "installer"));
        assert!(done.status.success(), "{done:?}");
        assert!(done.stdout.ends_with(b"asked again\n"), "{done:?}");
        assert!(
            String::from_utf8_lossy(&done.stderr).contains(said),
            "{done:?}"
        );
    }
}

fn sonic(data_base: &str) -> Switch {
    let config = made("sonic", "full", "config");
    let server = format!("case $url in */config) cat > \"$out\" <<'END'\n{config}END\n;; esac");
    let switch = Switch::new(&["/tmp/dt", "/etc/sonic"], &server);
    switch.tool("sonic-db-cli", data_base);
    switch.tool("config", "echo '{}' > \"$3\"");
    switch.tool("python3", "grep -q '{}' \"$3\"");
    switch.tool("id", "exit 1");
    switch.tool(
        "getent",
        &format!("echo u:x:1:1::{}/u:/bin/sh", switch.path("")),
    );
    for tool in ["useradd", "usermod", "passwd", "chown"] {
        switch.tool(tool, "exit 0");
    }
    switch.tool("chpasswd", "cat > /dev/null");
    switch
}

#[test]
fn sonic_puts_its_configuration_in_place_last() {
    let switch = sonic("exit 0");
    let done = switch.run("/bin/bash", &made("sonic", "full", "install"));
    assert!(done.status.success(), "{done:?}");
    assert_eq!(switch.holds("/etc/sonic"), ["config_db.json"]);
    assert_eq!(switch.holds("/tmp/dt"), Vec::<String>::new());
    assert!(switch.last().ends_with(OK), "{}", switch.log());
    let log = switch.log();
    let at = |call: &str| log.find(call).unwrap_or_else(|| panic!("{call}: {log}"));
    // What makes its ports ask by DHCP is not saved, and accounts come after what can fail.
    assert!(at("sonic-db-cli CONFIG_DB DEL ZTP|mode") < at("config save"));
    assert!(at("config save") < at("chpasswd"));
    assert!(log.contains("HSET VLAN_MEMBER|Vlan22|Ethernet10 tagging_mode tagged"));
}

#[test]
fn sonic_that_refuses_an_entry_keeps_its_accounts_and_has_no_configuration() {
    let switch = sonic("case $3 in NTP*) echo CANARY-watch >&2; exit 1;; esac");
    let done = switch.run("/bin/bash", &made("sonic", "full", "install"));
    failed(&switch, &done);
    assert_eq!(switch.holds("/etc/sonic"), Vec::<String>::new());
    assert!(!switch.log().contains("chpasswd"), "{}", switch.log());
}

fn cumulus(nvue: &str) -> Switch {
    let config = made("cumulus", "full", "config");
    let server = format!("case $url in */config) cat > \"$out\" <<'END'\n{config}END\n;; esac");
    let switch = Switch::new(&["/tmp/dt"], &server);
    switch.tool("ip", "exit 1");
    switch.tool("nv", nvue);
    switch.tool("passwd", "exit 0");
    switch
}

/// Releases differ in where services are; either way all lines are applied together, once.
#[test]
fn cumulus_applies_its_configuration_in_one_step() {
    for moved in ["set service *", "set system snmp-server*"] {
        let switch = cumulus(&format!(
            "case $* in {}) exit 1;; esac",
            moved.replace(' ', "\\ ")
        ));
        let done = switch.run("/bin/bash", &made("cumulus", "full", "install"));
        assert!(done.status.success(), "{done:?} {}", switch.log());
        let log = switch.log();
        let (before, after) = log.split_once("nv config apply --assume-yes\n").unwrap();
        assert!(before.contains("nv set interface swp3 link state down"));
        assert!(after.starts_with("nv config save\n") && !after.contains("nv set"));
        assert!(switch.last().ends_with(OK), "{log}");
    }
}

#[test]
fn cumulus_applies_nothing_when_a_line_is_refused() {
    let switch = cumulus("case $* in set\\ bridge*) echo CANARY-watch >&2; exit 1;; esac");
    let done = switch.run("/bin/bash", &made("cumulus", "full", "install"));
    failed(&switch, &done);
    let log = switch.log();
    assert!(log.contains("nv config detach") && !log.contains("nv config apply"));
}
