//! The rules of the house as tests: layers, names, sizes, keys. Each reads the tree as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under `folder`, by its path from the root; nothing that git would not take.
fn files(folder: &str) -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(dir) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let skipped = [".git", "target", ".library"].map(std::ffi::OsString::from);
            if skipped.contains(&name) {
                continue;
            }
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort();
    found
}

fn rust(folder: &str) -> Vec<(PathBuf, String)> {
    files(folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ext| ext == "rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("Rust files are texts");
            (path, text)
        })
        .collect()
}

/// The layer of each top module (design.md section 2).
fn layers() -> BTreeMap<&'static str, u8> {
    BTreeMap::from([
        ("model", 0),
        ("catalog", 1),
        ("config", 1),
        ("engine", 2),
        ("store", 2),
        ("pki", 2),
        ("answer", 3),
        ("hub", 3),
        ("service", 3),
        ("admin", 3),
        ("registrar", 3),
        ("net", 4),
        ("web", 4),
        ("simulate", 4),
        ("cli", 5),
    ])
}

/// Modules on one layer that must not know each other, and modules that know less than their layer.
fn forbidden(from: &str, to: &str) -> Option<&'static str> {
    match (from, to) {
        ("simulate", to) if to != "model" => Some("simulate knows model only"),
        ("store", "engine" | "catalog" | "config" | "pki") => Some("store knows model only"),
        ("engine", "store" | "pki") => Some("engine does no I/O"),
        ("catalog", "config") | ("config", "catalog") => Some("neither knows the other"),
        ("net", "web" | "simulate") | ("web", "net" | "simulate") => Some("apart"),
        _ => None,
    }
}

/// The modules of this crate that a text names after `crate::`, also in a braced list.
fn named_modules(text: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        let is_word = |ch: &char| ch.is_ascii_alphanumeric() || *ch == '_';
        text.chars().take_while(is_word).collect()
    };
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let mut depth = 0_usize;
        let mut fresh = true;
        for (at, ch) in list.char_indices() {
            match ch {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => fresh = true,
                ch if fresh && depth == 0 && !ch.is_whitespace() => {
                    found.insert(word(&list[at..]));
                    fresh = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn imports_go_down_only() {
    let layers = layers();
    let mut wrong = Vec::new();
    for (path, text) in rust("src") {
        let inside = path.strip_prefix(root().join("src")).expect("below src");
        let first = inside.iter().next().expect("a name").to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let Some(own) = layers.get(module.as_str()) else {
            wrong.push(format!("{}: no layer for {module}", inside.display()));
            continue;
        };
        for target in named_modules(&text) {
            let Some(layer) = layers.get(target.as_str()) else {
                continue;
            };
            if layer > own {
                wrong.push(format!(
                    "{}: {module} imports {target}, above it",
                    inside.display()
                ));
            } else if let Some(why) = forbidden(&module, &target) {
                wrong.push(format!(
                    "{}: {module} imports {target}: {why}",
                    inside.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_braced_import_is_read() {
    let text = "use crate::{model::{a, b}, store}; crate::net::x(); crate::{\n  engine::y,\n}";
    let found: Vec<String> = named_modules(text).into_iter().collect();
    assert_eq!(found, ["engine", "model", "net", "store"]);
}

#[test]
fn model_catalog_and_engine_do_no_io() {
    let words = [
        "tokio::",
        "hyper::",
        "sled::",
        "redb::",
        "std::net::Tcp",
        "std::net::Udp",
        "std::fs",
        "std::time::SystemTime",
        "std::time::Instant",
        "std::thread",
        "std::process",
    ];
    let mut wrong = Vec::new();
    for folder in ["src/model", "src/catalog", "src/engine"] {
        for (path, text) in rust(folder) {
            if path.ends_with("src/catalog/load.rs") {
                continue;
            }
            let code = without_tests(&text);
            for word in words.iter().filter(|word| code.contains(**word)) {
                wrong.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The file without its `#[cfg(test)]` end, which is the last thing in a file.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

/// Folder names under `profiles/`, and the `names` of their vendor.toml.
fn vendors() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in files("profiles") {
        if path.file_name().is_none_or(|name| name != "vendor.toml") {
            continue;
        }
        let folder = path.parent().and_then(Path::file_name).expect("a folder");
        names.insert(folder.to_string_lossy().to_lowercase());
        let text = fs::read_to_string(&path).expect("a text");
        let table: toml::Table = text.parse().expect("profiles are TOML");
        let listed = table.get("names").and_then(toml::Value::as_array);
        for name in listed.into_iter().flatten() {
            names.insert(name.as_str().expect("a text").to_lowercase());
        }
    }
    names
}

#[test]
fn no_vendor_is_named_in_the_source() {
    let mut names = vendors();
    // Those that come later, and as what they are commonly written.
    for known in [
        "yealink",
        "cisco",
        "arista",
        "snom",
        "polycom",
        "grandstream",
        "gigaset",
        "panasonic",
        "fanvil",
        "aastra",
        "mitel",
        "avaya",
        "alcatel",
        "juniper",
        "aruba",
        "cumulus",
        "technicolor",
        "linksys",
        "sipura",
    ] {
        names.insert(known.to_owned());
    }
    // Words that are no vendor's name in our mouth: `generic` is one of the manifest, and the other
    // is in a cipher's name.
    let ours = ["generic", "poly"];
    names.retain(|name| name.len() > 2 && !ours.contains(&name.as_str()));
    let mut wrong = Vec::new();
    for (path, text) in rust("src") {
        let lower = text.to_lowercase();
        for (line, words) in lower.lines().enumerate() {
            for name in names.iter().filter(|name| has_word(words, name)) {
                wrong.push(format!("{}:{}: {name}", path.display(), line + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether `name` stands in `line` as a word of its own, or as a part of a name with `_` or `-`.
fn has_word(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        let open = |ch: Option<char>| ch.is_none_or(|ch| !ch.is_alphabetic());
        open(before) && open(after)
    })
}

#[test]
fn no_file_is_over_600_lines() {
    let mut long = Vec::new();
    for (path, text) in rust("src").into_iter().chain(rust("tests")) {
        let lines = text.lines().count();
        if lines > 600 {
            long.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    let mut bare = Vec::new();
    for (path, text) in rust("src").into_iter().chain(rust("tests/it")) {
        if !text.starts_with("//!") || text.contains(&format!("({}", "to be written)")) {
            bare.push(path.display().to_string());
        }
    }
    assert!(bare.is_empty(), "{}", bare.join("\n"));
}

/// Certificates under `certs/` come from their maker, with SOURCE; nowhere is a private key.
#[test]
fn certificates_have_a_source_and_no_key() {
    let mut wrong = Vec::new();
    for path in files("certs") {
        let bytes = fs::read(&path).expect("readable");
        let text = String::from_utf8_lossy(&bytes);
        let is_certificate = text.contains("BEGIN CERTIFICATE")
            || path
                .extension()
                .is_some_and(|ext| ext == "der" || ext == "cer" || ext == "crt" || ext == "p7b");
        if !is_certificate {
            continue;
        }
        let source = path.parent().expect("a folder").join("SOURCE");
        let said = fs::read_to_string(&source).unwrap_or_default();
        let name = path.file_name().expect("a name").to_string_lossy();
        if !said.contains(name.as_ref()) || !has_fingerprint(&said) {
            wrong.push(format!("{}: not in {}", path.display(), source.display()));
        }
        if text.to_lowercase().contains("dialtone") {
            wrong.push(format!("{}: made by us", path.display()));
        }
        let made_by_us = x509_of(&bytes).is_some_and(|names| {
            ["dialtone", "rcgen", "demo", "test"]
                .iter()
                .any(|word| names.to_lowercase().contains(word))
        });
        if made_by_us {
            wrong.push(format!("{}: made by us", path.display()));
        }
    }
    for path in files("") {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        // Put together, so that this file does not hold what it looks for.
        for kind in ["", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "] {
            let head = format!("-----BEGIN {kind}PRIVATE{}", " KEY-----");
            if text.lines().any(|line| line.trim() == head) {
                wrong.push(format!("{}: a private key", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a text holds a SHA-256 fingerprint in hex, with or without colons.
fn has_fingerprint(text: &str) -> bool {
    let hex: String = text.chars().filter(|ch| *ch != ':').collect();
    hex.split(|ch: char| !ch.is_ascii_hexdigit())
        .any(|run| run.len() == 64)
}

/// Subject and issuer of the first certificate in a file.
fn x509_of(bytes: &[u8]) -> Option<String> {
    let pem = x509_parser::pem::Pem::iter_from_buffer(bytes).next();
    let der = match pem {
        Some(Ok(pem)) => pem.contents,
        Some(Err(_)) | None => bytes.to_vec(),
    };
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    Some(format!(
        "{} {}",
        certificate.subject(),
        certificate.issuer()
    ))
}

#[test]
fn tests_neither_sleep_nor_are_skipped() {
    // Put together, so that this file does not hold what it looks for.
    let words = [
        format!("#[ig{}", "nore"),
        format!("thread::sl{}", "eep"),
        format!("time::sl{}(", "eep"),
    ];
    let mut wrong = Vec::new();
    let tests = rust("tests").into_iter();
    let units = rust("src").into_iter().map(|(path, text)| {
        let code = without_tests(&text).len();
        (path, text[code..].to_owned())
    });
    for (path, text) in tests.chain(units) {
        for word in words.iter().filter(|word| text.contains(word.as_str())) {
            wrong.push(format!("{}: {word}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every `dialtone VERB WORD` in the docs is in the grammar; a code line that begins with it is a
/// promise.
/// What `tests/run` leaves out without root is all that needs it.
#[test]
fn tests_that_need_root_are_named() {
    let script = fs::read_to_string(root().join("tests/run")).expect("tests/run");
    let list = script.split_once("rooted=(").expect("its list").1;
    let list = list.split_once(')').expect("its end").0;
    let rooted: Vec<&str> = list.split_whitespace().collect();
    let marks = [
        concat!("\"net", "ns\""),
        concat!("CLONE_", "NEWNET"),
        concat!("lo", "setup"),
        concat!("lab::", "{Lab"),
        concat!("lab::", "{Background, Lab"),
        concat!("lab::", "Lab"),
    ];
    let mut found = BTreeSet::new();
    for (path, text) in rust("tests/it") {
        let tests = text.contains("#[test]") || text.contains("#[tokio::test");
        if !tests || !marks.iter().any(|mark| text.contains(mark)) {
            continue;
        }
        let inside = path.strip_prefix(root().join("tests/it")).expect("inside");
        let name = inside.with_extension("").display().to_string();
        let name = name.replace('/', "::");
        let name = format!("{}::", name.trim_end_matches("::mod"));
        let covers = |entry: &&&str| name.starts_with(**entry) || entry.starts_with(&name);
        let entries = rooted.iter().filter(covers).copied();
        let before = found.len();
        found.extend(entries);
        let named = rooted.iter().any(|entry| covers(&entry));
        assert!(
            named,
            "{name} needs root, and tests/run does not know ({before})"
        );
    }
    assert_eq!(found, rooted.iter().copied().collect());
}

#[test]
fn the_verbs_of_the_docs_exist() {
    let grammar = dialtone::cli::grammar();
    let mut wrong = Vec::new();
    let mut pages = files("docs");
    // These two also tell what is still to come.
    pages.retain(|page| !page.ends_with("progress.md") && !page.ends_with("api.md"));
    pages.push(root().join("README.md"));
    pages.retain(|path| path.extension().is_some_and(|ext| ext == "md"));
    for page in pages {
        let text = fs::read_to_string(&page).unwrap_or_default();
        for command in commands(&text) {
            if let Err(word) = follow(&grammar, &command) {
                wrong.push(format!("{}: dialtone {command}: no {word}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What stands after `dialtone ` at the start of a code line or of inline code.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let code = line.trim_start().trim_start_matches("$ ");
        if fenced || line.starts_with("    ") {
            let code = code
                .trim_start_matches("sudo ")
                .trim_start_matches("./target/release/");
            found.extend(code.strip_prefix("dialtone ").map(str::to_owned));
        }
        for inline in line.split('`').skip(1).step_by(2) {
            found.extend(inline.strip_prefix("dialtone ").map(str::to_owned));
        }
    }
    found
}

/// Follows the words of a command down the grammar, and looks for its flags.
fn follow(grammar: &clap::Command, command: &str) -> Result<(), String> {
    let global: BTreeSet<String> = grammar
        .get_arguments()
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .chain(["help".to_owned(), "version".to_owned()])
        .collect();
    let mut at = grammar;
    let command = command.split(" #").next().unwrap_or(command);
    for word in command.split_whitespace() {
        if word == "|" || word == ">" || word == "<" || word == "\\" {
            break;
        }
        if let Some(flag) = word.strip_prefix("--") {
            let flag = flag.split('=').next().unwrap_or(flag);
            let flag = flag.trim_end_matches([']', ',']);
            let known =
                global.contains(flag) || at.get_arguments().any(|arg| arg.get_long() == Some(flag));
            if !known && !flag.is_empty() {
                return Err(format!("--{flag}"));
            }
        } else if let Some(next) = at.find_subcommand(word) {
            at = next;
        } else if at.has_subcommands() && at.get_positionals().next().is_none() {
            let free = word.starts_with('-') || word.contains(['…', '[', '.']);
            if !free && word.chars().all(|ch| ch.is_ascii_lowercase() || ch == '-') {
                return Err(word.to_owned());
            }
        }
    }
    Ok(())
}
