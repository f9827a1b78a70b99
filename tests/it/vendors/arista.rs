//! EOS switches: scripts that are run here with stand-ins for the switch's own tools, and a
//! configuration that is never given in part.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use dialtone::catalog::revision::Which;
use dialtone::model::access::Grant;
use tempfile::TempDir;

use super::Case;

fn script(case: &str, artefact: &str, which: Which, grant: Grant) -> String {
    let case = Case::new("arista", case);
    case.render(artefact, which, grant, false).unwrap()
}

#[test]
fn the_first_script_is_the_same_for_every_switch_and_grant() {
    let first = script("full", "script", Which::Normal, Grant::PUBLIC);
    let other = script("full", "script", Which::Normal, Grant::ALL);
    assert_eq!(first, other);
    assert!(!first.contains("JPE12221671") && !first.contains("CANARY"));
}

#[test]
fn keys_are_in_the_configuration_only_at_their_own_grant() {
    let [_, _, (_, credential), (_, key)] = Grant::ladder();
    let less = script("full", "startup-config", Which::Normal, credential);
    let whole = script("full", "startup-config", Which::Normal, key);
    assert!(!less.contains("snmp-server user"));
    assert!(whole.contains("snmp-server user CANARY-watch monitoring v3 auth sha "));
    assert!(whole.ends_with("\nend\n"));
}

/// A switch's file system and tools, below a folder of the test.
struct Switch {
    home: TempDir,
}

impl Switch {
    /// `curl` is a stand-in: a shell text that gets the URL as `$url` and the file to write as `$out`.
    fn new(curl: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        for folder in ["bin", "flash", "tmp"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        let switch = Self { home };
        let version = r#"{"serialNumber": "JPE12221671", "systemMacAddress": "2c:dd:e9:aa:bb:cc", "modelName": "DCS-7050S-64", "version": "4.32.5.1M"}"#;
        switch.tool("FastCli", &format!("echo '{version}'"));
        switch.tool("sleep", "exit 0");
        let log = switch.path("log");
        let parsed = format!(
            "echo \"$@\" >> '{log}'\nout=/dev/null\nfor word in \"$@\"; do\n\
             [ \"$last\" = -o ] && out=$word\nlast=$word\nurl=$word\ndone\n{curl}"
        );
        switch.tool("curl", &parsed);
        switch
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn tool(&self, name: &str, text: &str) {
        let path = self.path(&format!("bin/{name}"));
        fs::write(&path, format!("#!/bin/bash\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a script as the switch would, with its folders below ours.
    fn run(&self, script: &str) -> Output {
        let moved = self.moved(script);
        let search = format!("{}:/usr/bin:/bin", self.path("bin"));
        Command::new("/bin/bash")
            .args(["-c", &moved])
            .env_clear()
            .env("PATH", search)
            .env("DT_END", "0")
            .output()
            .unwrap()
    }

    fn moved(&self, script: &str) -> String {
        let moved = script.replace("/mnt/flash", &self.path("flash"));
        moved.replace("/tmp/dt", &self.path("tmp/dt"))
    }

    fn flash(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.home.path().join("flash"))
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

#[test]
fn the_installer_puts_the_configuration_in_place_in_its_last_step() {
    let script = script("full", "install", Which::Normal, Grant::ALL);
    assert!(!script.contains('\r'));
    let switch = Switch::new("printf 'hostname x\\nend\\n' > \"$out\"");
    let done = switch.run(&script);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(switch.flash(), ["dt-ca.pem", "startup-config"]);
    let asked = "https://prov.example.net/u/TOKEN-CANARY/ztp/serial/JPE12221671/startup-config";
    assert!(switch.log().trim_end().ends_with(asked), "{}", switch.log());
}

#[test]
fn an_installer_that_fails_leaves_nothing_and_says_so() {
    let script = script("full", "install", Which::Normal, Grant::ALL);
    let switch =
        Switch::new("case $url in *startup-config) printf 'hostname x\\n' > \"$out\";; esac");
    let done = switch.run(&script);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert_eq!(switch.flash(), Vec::<String>::new());
    let reported = "https://prov.example.net/r/REPORT-CANARY/failed";
    assert!(
        switch.log().trim_end().ends_with(reported),
        "{}",
        switch.log()
    );
}

/// Nobody confirmed it yet: that is no failure, and the next try begins with nothing left behind.
#[test]
fn an_installer_that_waited_in_vain_leaves_nothing_and_reports_nothing() {
    let script = script("full", "install", Which::Normal, Grant::ALL);
    let switch = Switch::new("exit 22");
    let done = switch.run(&script);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert_eq!(switch.flash(), Vec::<String>::new());
    assert!(!switch.log().contains("/r/"), "{}", switch.log());
}

#[test]
fn the_first_script_runs_what_the_server_gives_for_this_switch() {
    let switch = Switch::new("");
    let ran = switch.path("ran");
    switch.tool(
        "curl",
        &format!("out=${{@: -2:1}}\necho \"${{@: -1}}\" > '{ran}.url'\ncp \"$2\" '{ran}.headers'\necho 'touch {ran}' > \"$out\""),
    );
    let script = script("full", "script", Which::Normal, Grant::PUBLIC);
    let done = switch.run(&script);
    assert!(done.status.success(), "{done:?}");
    assert!(Path::new(&ran).exists(), "{done:?}");
    let url = fs::read_to_string(format!("{ran}.url")).unwrap();
    assert_eq!(
        url,
        "https://prov.example.net/ztp/serial/JPE12221671/install\n"
    );
    let headers = fs::read_to_string(format!("{ran}.headers")).unwrap();
    assert!(
        headers.contains("X-Arista-Serial: JPE12221671"),
        "{headers}"
    );
    assert!(
        headers.contains("X-Arista-SystemMAC: 2c:dd:e9:aa:bb:cc"),
        "{headers}"
    );
}

#[test]
fn a_script_that_waits_gives_up_and_leaves_nothing() {
    let wait = script("full", "install", Which::Bootstrap, Grant::ALL);
    let switch = Switch::new("exit 22");
    let done = switch.run(&wait);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert_eq!(switch.flash(), Vec::<String>::new());
}
