//! `dialtone demo` as a newcomer runs it: by the binary, without a terminal.

use std::process::{Command, Output};

use serde_json::Value;

fn demo(command: &mut Command) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let output = command
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .env_remove("DIALTONE_LOG")
        .output()
        .unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    output
}

fn devices(output: &Output) -> Vec<Value> {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().last().expect("a line");
    let document: Value = serde_json::from_str(last).expect("a JSON document");
    document["devices"].as_array().expect("a list").clone()
}

/// State, proof and level of the one device of that model.
fn end<'a>(devices: &'a [Value], model: &str) -> [&'a str; 3] {
    let mut found = devices.iter().filter(|device| device["model"] == model);
    let device = found.next().expect("one of that model");
    assert!(found.next().is_none());
    ["state", "proof", "assurance"].map(|key| device["activation"][key].as_str().unwrap_or("-"))
}

#[test]
fn each_kind_comes_to_its_end() {
    let mut binary = Command::new(env!("CARGO_BIN_EXE_dialtone"));
    let output = demo(binary.args(["demo", "--devices", "4", "--json"]));
    let devices = devices(&output);
    assert_eq!(devices.len(), 4);
    let [state, proof, _] = end(&devices, "T46S");
    assert_eq!([state, proof], ["active", "report"]);
    let [state, proof, _] = end(&devices, "CCS-710P-16P");
    assert_eq!([state, proof], ["active", "report"]);
    assert_eq!(end(&devices, "SPA942"), ["served", "none-possible", "L1"]);
    // Once it was served whole its certificate is its record's: what it asks after that is at L4.
    let [state, proof, level] = end(&devices, "T54W");
    assert_eq!([state, proof], ["active", "report"]);
    assert!(["L3", "L4"].contains(&level), "{level}");
    let secrets = devices
        .iter()
        .map(|device| &device["variables"]["admin_password"]);
    assert!(secrets.into_iter().all(|secret| secret == "***"));
}

/// No root, nothing but loopback.
#[test]
fn it_needs_neither_root_nor_a_network() {
    let mut alone = Command::new("unshare");
    let shell = "ip link set lo up && exec \"$0\" demo --devices 8 --json";
    alone.args([
        "--user",
        "--map-root-user",
        "--net",
        "--",
        "sh",
        "-c",
        shell,
    ]);
    let output = demo(alone.arg(env!("CARGO_BIN_EXE_dialtone")));
    assert_eq!(devices(&output).len(), 8);
}
