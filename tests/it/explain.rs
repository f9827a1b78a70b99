//! `explain` against vectors from real traffic: nobody here made them up.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::serve_process::{Process, SITE, configure, device, enter};

/// Of the first three families, and of those that came with DHCP, TFTP and PnP.
const VECTORS: [&str; 2] = [
    include_str!("../fixtures/vectors/three.jsonl"),
    include_str!("../fixtures/vectors/ways_in.jsonl"),
];

/// Answers of the real command to lines of input, with its exit code.
fn explain(profiles: &str, input: &str) -> (Vec<Value>, i32) {
    explain_by(&["--profiles", profiles], input)
}

fn explain_by(words: &[&str], input: &str) -> (Vec<Value>, i32) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dialtone"))
        .arg("explain")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = input.to_owned();
    let writer = std::thread::spawn(move || drop(stdin.write_all(text.as_bytes())));
    let done = child.wait_with_output().expect("the command ends");
    writer.join().expect("the input is taken");
    let rows = String::from_utf8(done.stdout).expect("UTF-8");
    let rows = rows
        .lines()
        .map(|row| serde_json::from_str(row).expect("JSON"))
        .collect();
    (rows, done.status.code().expect("an exit code"))
}

/// What differs between the vectors and the answers under `profiles`.
pub(crate) fn differences(profiles: &str) -> Vec<String> {
    let vectors: Vec<Value> = VECTORS
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let input: Vec<String> = vectors
        .iter()
        .map(|vector| vector["facts"].to_string())
        .collect();
    let (answers, code) = explain(profiles, &input.join("\n"));
    if code != 0 || answers.len() != vectors.len() {
        return vec![format!("exit code {code}, {} answers", answers.len())];
    }
    let mut different = Vec::new();
    for (vector, answer) in vectors.iter().zip(&answers) {
        for (field, wanted) in vector["expect"].as_object().expect("an object") {
            if answer[field] != *wanted {
                different.push(format!(
                    "{}: {field} is {}, not {wanted}: {}",
                    vector["id"], answer[field], answer["why"]
                ));
            }
        }
    }
    different
}

#[test]
fn every_vector_of_the_families_is_answered() {
    assert_eq!(VECTORS.map(|text| text.lines().count()), [34, 80]);
    let different = differences("profiles");
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn an_answer_has_every_field_of_the_contract() {
    let (answers, code) = explain(
        "profiles",
        r#"{"channel":"http","path":"/805ec0d57d72.cfg"}"#,
    );
    assert_eq!(code, 0);
    let keys: Vec<&str> = answers[0]
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    let wanted = [
        "artefact",
        "assurance",
        "decision",
        "device",
        "dhcp_options",
        "family",
        "firmware",
        "mac",
        "model",
        "reason",
        "serial",
        "vendor",
        "why",
    ];
    assert_eq!(keys, wanted);
    assert_eq!(answers[0]["artefact"], "device-config");
    assert_eq!(answers[0]["family"], "sip-t4-t5");
    assert_eq!(answers[0]["assurance"], "L0");
    assert_eq!(answers[0]["device"], Value::Null);
}

#[test]
fn hints_that_disagree_give_nothing() {
    let get = |path: &str| format!(r#"{{"channel":"http","path":"{path}"}}"#);
    // A18, A9: the agent or the certificate of one unit on the path of another.
    let agent = r#"{"channel":"http","path":"/001565000001.cfg","headers":{"user-agent":"Yealink SIP-T46S 66.86.0.15 00:15:65:00:00:02"}}"#.to_owned();
    let certificate = r#"{"channel":"https","path":"/001565000001.cfg","peer_certificate":{"subject":"CN=001565000002","issuer":null}}"#.to_owned();
    let mut checks: Vec<(String, &str, Value)> = vec![
        (agent.clone(), "mac", Value::Null),
        (agent.clone(), "vendor", "yealink".into()),
        (agent, "reason", "identifiers-disagree".into()),
        (certificate, "mac", Value::Null),
        // A common name counts for the vendor that owns the address, and for nobody's else.
        (get("/a/b/001565000001.cfg"), "vendor", "yealink".into()),
        (get("/2cdde9000001.cfg"), "vendor", Value::Null),
        (get("/favicon.ico"), "decision", "ignore".into()),
    ];
    // A17: no closest match.
    for path in [
        "/00156500000.cfg",
        "/0015650000011.cfg",
        "/000000000000.cfg",
        "/01005e000001.cfg",
    ] {
        checks.push((get(path), "mac", Value::Null));
    }
    let lines: Vec<&str> = checks.iter().map(|(line, ..)| line.as_str()).collect();
    let (answers, _) = explain("profiles", &lines.join("\n"));
    assert_eq!(answers.len(), checks.len());
    for ((line, field, expect), answer) in checks.iter().zip(&answers) {
        assert_eq!(answer[field], *expect, "{line}: {}", answer["why"]);
    }
}

#[test]
fn a_line_that_cannot_be_read_is_an_error_in_its_place() {
    let input = "{\"channel\":\"http\",\"path\":\"/x\"}\nnonsense\n{\"channel\":\"http\",\"path\":\"/..%2fx\"}\n{\"channel\":\"tftp\",\"path\":\"/spa942.cfg\"}";
    let (answers, code) = explain("profiles", input);
    assert_eq!((answers.len(), code), (4, 1));
    assert!(answers[1]["error"].is_string());
    assert!(
        answers[2]["error"]
            .as_str()
            .expect("a text")
            .contains("dot segments")
    );
    assert_eq!(answers[3]["model"], "SPA942");
}

#[test]
fn a_running_server_explains_by_its_inventory_and_does_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    configure(folder.path(), "", SITE);
    let server = Process::start(&folder);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let api = server.api();
    runtime.block_on(enter(&api, "yealink", "T46S", "001565000001", "CANARY-1"));
    let data = server.data.display().to_string();
    let ask = |channel: &str, source: &str, mac: &str| {
        format!(r#"{{"channel":"{channel}","path":"/{mac}.cfg","source":"{source}"}}"#)
    };
    let input = [
        ask("https", "127.0.0.1", "001565000001"),
        ask("https", "198.51.100.7", "001565000001"),
        ask("http", "127.0.0.1", "001565000002"),
        "{\"channel\":\"smoke\"}".to_owned(),
    ];
    let (told, code) = explain_by(&["--data", &data], &input.join("\n"));
    assert_eq!((told.len(), code), (4, 1), "{told:?}");
    let decided = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
        [text("assurance"), text("decision"), text("reason")]
    };
    assert_eq!(decided(&told[0]), ["L1", "serve", "served"], "{told:?}");
    assert!(told[0]["device"].is_string());
    assert_eq!(decided(&told[1])[..2], ["L0", "bootstrap"], "{told:?}");
    assert!(told[2]["device"].is_null());
    assert!(told[3]["error"].is_string());
    // No window was opened, no serving used, no check made.
    let (again, _) = explain_by(&["--data", &data], &input[0]);
    assert_eq!(again[0], told[0]);
    let unit = runtime.block_on(device(&api, "001565000001"));
    assert_eq!(unit["activation"]["state"], "expected", "{unit}");
}

#[test]
fn verbs_that_are_not_built_say_so() {
    for verb in ["firmware", "redirect"] {
        let done = Command::new(env!("CARGO_BIN_EXE_dialtone"))
            .arg(verb)
            .output()
            .expect("it runs");
        assert_eq!(done.status.code(), Some(2), "{verb}");
        assert!(
            String::from_utf8_lossy(&done.stderr).contains("not-built"),
            "{verb}"
        );
    }
}
