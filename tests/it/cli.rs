//! The command line and the configuration file, as people and scripts use them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dialtone::config::Config;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/configs")
}

fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the fixtures are there")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{}", folder.display());
    found
}

/// Runs the binary in an empty folder, with nothing of the caller's environment that it reads.
fn dialtone(words: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    Command::new(env!("CARGO_BIN_EXE_dialtone"))
        .args(words)
        .current_dir(folder.path())
        .env_remove("DIALTONE_CONFIG")
        .env_remove("DIALTONE_SERVER")
        .output()
        .expect("the binary runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("not killed")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_example_configuration_is_taken() {
    for file in toml_files(&fixtures()) {
        if let Err(problems) = Config::read(&file) {
            panic!("{}: {problems:?}", file.display());
        }
    }
}

#[test]
fn an_empty_file_is_the_defaults() {
    let read = Config::parse("", "").expect("nothing is wrong in nothing");
    assert_eq!(read, Config::default());
}

/// Every problem at once, each with its line and a hint. `UPDATE_EXPECT=1` rewrites.
#[test]
fn wrong_configurations_are_told_word_for_word() {
    for file in toml_files(&fixtures().join("wrong")) {
        let name = file
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&file).expect("a text");
        let problems = Config::parse(&name, &text).expect_err("it is wrong");
        let told: String = problems
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect();
        let golden = file.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&golden, &told).expect("writable");
        }
        let expect = fs::read_to_string(&golden).expect("a golden file");
        assert_eq!(told, expect, "{}", file.display());
    }
}

#[test]
fn what_is_not_built_is_refused_with_exit_2() {
    let file = fixtures().join("wrong/not-built.toml");
    let output = dialtone(&["check", "--config", &file.display().to_string()]);
    assert_eq!(code(&output), 2);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        told.matches(": not-built: ").count(),
        told.lines().count(),
        "{told}"
    );
}

#[test]
fn names_of_the_contract_that_are_not_built_say_so() {
    for words in [
        &["visit", "list"][..],
        &["firmware", "add", "x"],
        &["export", "devices"],
        &["import", "retry", "j1", "x.csv"],
        &["device", "swap", "a", "b"],
        &["device", "arm", "--visit", "v1"],
        &["ca", "issue"],
        &["user", "list"],
    ] {
        let output = dialtone(words);
        assert_eq!(code(&output), 2, "{words:?}");
        assert!(
            stderr(&output).contains("not-built"),
            "{words:?}: {}",
            stderr(&output)
        );
        assert!(output.stdout.is_empty());
    }
    let help = dialtone(&["--help"]);
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for absent in ["visit", "firmware", "redirect", "push"] {
        assert!(!help.contains(&format!("  {absent} ")), "{absent}");
    }
}

#[test]
fn a_typing_error_is_not_called_not_built() {
    let output = dialtone(&["divice", "list"]);
    assert_eq!(code(&output), 2);
    assert!(!stderr(&output).contains("not-built"));
    assert!(stderr(&output).contains("device"), "{}", stderr(&output));
}

#[test]
fn a_server_over_tcp_is_not_built() {
    let output = dialtone(&["device", "list", "--server", "https://x.example"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("not-built"), "{}", stderr(&output));
}

#[test]
fn a_verb_without_a_server_says_how_to_start_one() {
    let output = dialtone(&["device", "list", "--json"]);
    assert_eq!(code(&output), 1);
    assert!(output.stdout.is_empty());
    let told = stderr(&output);
    assert!(told.contains("no server answers"), "{told}");
    assert!(told.contains("dialtone serve"), "{told}");
}

#[test]
fn every_verb_has_help() {
    fn walk(grammar: &clap::Command, path: &[String]) {
        for verb in grammar.get_subcommands() {
            let mut path = path.to_vec();
            path.push(verb.get_name().to_owned());
            assert!(
                verb.get_about().is_some() || verb.get_name() == "help",
                "{path:?} says nothing"
            );
            walk(verb, &path);
        }
    }
    let grammar = dialtone::cli::grammar();
    walk(&grammar, &[]);
    grammar.debug_assert();
}

#[test]
fn completions_and_the_manual_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let output = dialtone(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("quarantine"),
            "{shell}"
        );
    }
    let output = dialtone(&["man"]);
    assert_eq!(code(&output), 0);
    let man = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        man.contains("dialtone\\-device\\-arm") || man.contains("dialtone-device-arm"),
        "{man}"
    );
}
