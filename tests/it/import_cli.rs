//! `dialtone import` against a running server: what it prints, and how it ends.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::import_kill::{Process, folder};
use crate::import_support::{BAD, CANARY, ROWS, bad_rows, large};

fn dialtone(folder: &Path, words: &[&str]) -> (i32, String, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_dialtone"))
        .arg("--config")
        .arg(folder.join("dialtone.toml"))
        .args(words)
        .env_remove("DIALTONE_SERVER")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

#[test]
fn a_thousand_rows_from_the_command_line() {
    let home = folder();
    let server = Process::serve(home.path());
    let run = |words: &[&str]| dialtone(home.path(), words);
    let path = home.path().join("list.csv");
    let list = path.to_str().unwrap();
    std::fs::write(&path, large(false)).unwrap();

    let (code, plan, notes) = run(&["import", list, "--dry-run", "--json"]);
    assert!(!plan.is_empty(), "{code} {notes}");
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!((code, &plan["create"]), (3, &Value::from(ROWS - BAD)));
    let (code, devices, _) = run(&["device", "list", "--json"]);
    assert_eq!((code, devices.trim()), (0, "[]"));

    let (code, told, notes) = run(&["import", list]);
    assert_eq!(code, 3, "{told}{notes}");
    assert!(
        told.starts_with("1000 rows: 970 new, 0 changed, 0 unchanged, 30 rejected\n"),
        "{told}"
    );
    for (row, code) in bad_rows().iter().take(10) {
        assert!(
            told.contains(code) && told.contains(&format!("row {row}, ")),
            "{row} {told}"
        );
    }
    assert!(told.contains("format the column as text"), "{told}");
    assert!(!told.contains(CANARY) && !notes.contains(CANARY));

    let (code, jobs, _) = run(&["import", "list", "--json"]);
    let jobs: Value = serde_json::from_str(&jobs).unwrap();
    let job = jobs[0]["job"].as_str().unwrap();
    assert_eq!((code, &jobs[0]["rejected"]), (0, &Value::from(BAD)));
    let report = home.path().join("rejected.csv");
    let (code, _, _) = run(&[
        "import",
        "report",
        job,
        "--output",
        report.to_str().unwrap(),
    ]);
    assert_eq!(code, 0);
    let rows = std::fs::read_to_string(&report).unwrap();
    assert_eq!(rows.lines().count(), BAD + 1);
    assert!(
        rows.lines()
            .next()
            .unwrap()
            .ends_with(";error_code;error_text")
    );

    // Again nothing changes; with nothing but the right rows it is exit 0.
    let (code, told, _) = run(&["import", list]);
    assert_eq!(code, 3);
    assert!(
        told.starts_with("1000 rows: 0 new, 0 changed, 970 unchanged, 30 rejected\n"),
        "{told}"
    );
    std::fs::write(&path, large(true)).unwrap();
    let (code, told, _) = run(&["import", list, "--atomic", "--expect-changes", "30"]);
    assert_eq!(code, 0, "{told}");
    assert!(
        told.starts_with("1000 rows: 30 new, 0 changed, 970 unchanged, 0 rejected\n"),
        "{told}"
    );

    // Nothing at all, the wrong way, and not a table.
    std::fs::write(
        &path,
        large(false).replace("00:15:65:00:00", "00:15:65:00:99"),
    )
    .unwrap();
    assert_eq!(run(&["import", list, "--atomic"]).0, 1);
    assert_eq!(run(&["import", list, "--expect-changes", "3"]).0, 1);
    assert_eq!(run(&["import", list, "--map", "mac=Geraet"]).0, 2);
    assert_eq!(run(&["import", list, "--map", "mak=Raum"]).0, 2);
    assert_eq!(run(&["import", list, "--map", "var.nonsense=Raum"]).0, 2);
    assert_eq!(run(&["import", list, "--map", "office"]).0, 2);
    std::fs::write(&path, "mac,vendor\n\"0015").unwrap();
    let (code, _, notes) = run(&["import", list]);
    assert_eq!(code, 1);
    assert!(
        notes.contains("row 2") && notes.contains("never closed"),
        "{notes}"
    );
    drop(server);
}
