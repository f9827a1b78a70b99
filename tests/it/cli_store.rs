//! `store check`, `restore`, `check` and `init`, as the binary that an operator runs.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use dialtone::store::{Keys, Store};
use serde_json::Value;

use crate::store_sample::{at, fill, open, runtime};

fn dialtone(data: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dialtone"))
        .args(words)
        .arg("--data")
        .arg(data)
        .current_dir(data)
        .env_remove("DIALTONE_CONFIG")
        .env_remove("DIALTONE_SERVER")
        .output()
        .expect("the binary runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn ones(bytes: &mut [u8]) -> bool {
    bytes.fill(1);
    true
}

/// A data folder with keys and rows, closed again; and a backup of it.
async fn sample(data: &Path) -> std::path::PathBuf {
    Keys::load(data, false, ones).unwrap();
    let store = open(data, "sled:store");
    fill(&store).await;
    let file = data.join("b.dialtone");
    let files = Keys::files(data).unwrap();
    let out = fs::File::create(&file).unwrap();
    store.backup(data, files, at(0), out).await.unwrap();
    store.close().await.unwrap();
    file
}

#[test]
fn a_backup_comes_back_whole_and_the_check_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let file = runtime().block_on(sample(data));
    let file = file.display().to_string();

    let checked = dialtone(data, &["store", "check", "--json"]);
    assert_eq!(code(&checked), Some(0), "{}", stderr(&checked));
    let report = json(&checked);
    assert_eq!(report["found"], 0);
    let rows = report["rows"].as_u64().unwrap();
    assert!(rows > 20, "{report}");

    let verified = dialtone(data, &["restore", &file, "--verify", "--json"]);
    assert_eq!(code(&verified), Some(0), "{}", stderr(&verified));
    assert_eq!(json(&verified)["rows"], rows);

    let restored = dialtone(data, &["restore", &file, "--json"]);
    assert_eq!(code(&restored), Some(0), "{}", stderr(&restored));
    let aside = json(&restored)["moved_aside"].as_str().unwrap().to_owned();
    assert!(Path::new(&aside).join("store").is_dir());
    let checked = dialtone(data, &["store", "check", "--json"]);
    assert_eq!(json(&checked)["rows"], rows);
    let store = open(data, "sled:store");
    runtime().block_on(async {
        assert!(store.count().await.unwrap() > 0);
        store.close().await.unwrap();
    });
}

#[test]
fn what_is_in_use_or_broken_is_said_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let nothing = dialtone(data, &["store", "check"]);
    assert_eq!(code(&nothing), Some(1));
    assert!(stderr(&nothing).contains("there is no store"));

    let file = runtime().block_on(sample(data));
    let held: Store = open(data, "sled:store");
    let file_name = file.display().to_string();
    for words in [&["store", "check"][..], &["restore", &file_name]] {
        let refused = dialtone(data, words);
        assert_eq!(code(&refused), Some(1), "{words:?}");
        assert!(stderr(&refused).contains("stop the server first"));
    }
    drop(held);

    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let cut = dialtone(data, &["restore", &file_name]);
    assert_eq!(code(&cut), Some(1));
    assert!(stderr(&cut).contains("ends too early"), "{}", stderr(&cut));
    assert_eq!(code(&dialtone(data, &["store", "check"])), Some(0));

    fs::remove_dir_all(data.join("keys")).unwrap();
    let checked = dialtone(data, &["store", "check", "--json"]);
    assert_eq!(code(&checked), Some(1));
    assert_eq!(json(&checked)["problems"][0]["kind"], "keys");
}

/// hostile-cases F6: a store folder that is closed for writing, or another user's, is refused in one
/// line, in no time, by what opens it.
#[test]
fn f6_a_store_that_is_not_ours_to_write_is_refused_in_one_line() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    runtime().block_on(sample(data));
    let listen = "[listen]\nhttps = []\nhttp = []\nadmin = []\n";
    fs::write(data.join("dialtone.toml"), listen).unwrap();
    let store = data.join("store");
    let mode = |mode: u32| fs::set_permissions(&store, fs::Permissions::from_mode(mode)).unwrap();
    let check = |why: &str| {
        for verb in [&["store", "check"][..], &["serve"]] {
            let refused = dialtone(data, verb);
            let told = stderr(&refused);
            assert_eq!(code(&refused), Some(1), "{verb:?}: {told}");
            assert!(refused.stdout.is_empty(), "{verb:?}");
            let lines: Vec<&str> = told.lines().filter(|line| line.contains(why)).collect();
            assert_eq!(lines.len(), 1, "{verb:?}: {told}");
            assert!(lines[0].contains(&store.display().to_string()), "{told}");
        }
    };
    mode(0o500);
    check("cannot be written");
    mode(0o700);
    // Only root can give a folder away; for others the case cannot come about by a test's hand.
    if std::os::unix::fs::chown(&store, Some(65_534), None).is_ok() {
        check("belongs to");
        std::os::unix::fs::chown(&store, Some(0), None).unwrap();
    }
    assert_eq!(code(&dialtone(data, &["store", "check"])), Some(0));
}

#[test]
fn check_tells_every_problem_of_every_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (name, text) in [
        ("profiles/acme/vendor.toml", "vendor = \"acme\"\nouy = []\n"),
        ("certs/acme/root.pem", "junk"),
        ("chain.pem", "junk"),
        (
            "dialtone.toml",
            "profiles = [\"profiles\", \"builtin:\"]\npublic_urll = \"https://a.example\"\n\
             [tls]\ncertificate = [{ chain_file = \"chain.pem\", key_file = \"key.pem\" }]\n",
        ),
    ] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let output = dialtone(root, &["check", "--config", "dialtone.toml", "--json"]);
    assert_eq!(code(&output), Some(2));
    let told = json(&output);
    let files: Vec<&str> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["file"].as_str().unwrap())
        .collect();
    for file in ["dialtone.toml", "acme/vendor.toml", "root.pem", "chain.pem"] {
        assert!(files.iter().any(|told| told.ends_with(file)), "{told:#}");
    }
    let told: String = told.to_string();
    assert!(told.contains("public_url"), "{told}");
}

#[test]
fn the_defaults_have_no_problem() {
    let folder = tempfile::tempdir().unwrap();
    let output = dialtone(folder.path(), &["check", "--json"]);
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
}

#[test]
fn init_writes_what_check_takes_and_never_over_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let init = |more: &[&str]| {
        let mut words = vec![
            "init",
            "--config",
            "d.toml",
            "--unit",
            "d.service",
            "--json",
        ];
        words.extend(more);
        dialtone(root, &words)
    };
    let unasked = init(&[]);
    assert_eq!(code(&unasked), Some(2), "{}", stderr(&unasked));
    assert!(stderr(&unasked).contains("--name"));
    let flags = [
        "--name",
        "prov.example.net",
        "--site",
        "hq",
        "--interface",
        "127.0.0.1",
    ];
    let nowhere = init(&[&flags[..], &["--dhcp", "server"]].concat());
    assert_eq!(code(&nowhere), Some(2));
    assert!(stderr(&nowhere).contains("--interface"));

    let done = init(&flags);
    assert_eq!(code(&done), Some(0), "{}", stderr(&done));
    let written = json(&done)["configuration"].as_str().unwrap().to_owned();
    let config = dialtone::config::Config::read(Path::new(&written)).unwrap();
    assert_eq!(config.rows.sites[0].name, "hq");
    assert_eq!(config.listen.https[0].ip().to_string(), "127.0.0.1");
    let unit = fs::read_to_string(root.join("d.service")).unwrap();
    assert!(unit.contains(&format!("serve --config {written}")));

    let again = init(&flags);
    assert_eq!(code(&again), Some(2));
    assert!(stderr(&again).contains("is there already"));
    assert_eq!(code(&init(&[&flags[..], &["--force"]].concat())), Some(0));
}
