//! The rules of the house, as tests.

use std::fs;
use std::path::{Path, PathBuf};

fn rust_files(below: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(below).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    rust_files(Path::new("src"), &mut files);
    files
        .into_iter()
        .map(|file| (file.clone(), fs::read_to_string(&file).expect("text")))
        .collect()
}

/// The layer of a module, lowest first.
fn layer(module: &str) -> u8 {
    match module {
        "model" => 0,
        "catalog" | "config" => 1,
        "engine" | "store" | "pki" => 2,
        "answer" | "service" | "admin" => 3,
        "net" | "web" | "simulate" => 4,
        "cli" | "lib" | "main" => 5,
        other => panic!("{other}: a module without a layer; add it to the table of the house"),
    }
}

#[test]
fn imports_go_down_only() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let inside = file.strip_prefix("src").expect("below src");
        let first = inside
            .components()
            .next()
            .expect("a name")
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let own = first.trim_end_matches(".rs").to_owned();
        for (at, line) in text.lines().enumerate() {
            for part in line.split("crate::").skip(1) {
                let other: String = part
                    .chars()
                    .take_while(|ch| ch.is_alphanumeric() || *ch == '_')
                    .collect();
                if other != own && !other.is_empty() && layer(&other) >= layer(&own) {
                    wrong.push(format!(
                        "{}:{}: {own} imports {other}",
                        file.display(),
                        at + 1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_vendor_is_named_in_the_source() {
    let mut vendors = Vec::new();
    for entry in fs::read_dir("profiles").expect("profiles/") {
        let name = entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !name.starts_with('_') && !name.contains('.') {
            vendors.push(name);
        }
    }
    assert!(!vendors.is_empty());
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (at, line) in text.lines().enumerate() {
            if vendors
                .iter()
                .any(|vendor| line.to_lowercase().contains(vendor.as_str()))
            {
                wrong.push(format!("{}:{}: {line}", file.display(), at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_small() {
    for (file, text) in sources() {
        assert!(text.lines().count() <= 600, "{}: split it", file.display());
    }
}

#[test]
fn no_test_is_left_out_and_none_sleeps() {
    let mut files = Vec::new();
    rust_files(Path::new("tests"), &mut files);
    rust_files(Path::new("src"), &mut files);
    let marks = [
        ["#[ign", "ore"].concat(),
        ["thread::", "sleep"].concat(),
        ["time::", "sleep("].concat(),
    ];
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{}: {mark}", file.display());
        }
    }
}
