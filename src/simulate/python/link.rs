//! What a script in Python asks of its unit, and what the unit answers.

use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, io};

use serde_json::{Value, json};

use super::super::belief::Belief;
use super::super::client::{Asked, Failure};
use super::super::conduct::ScriptRules;
use super::super::read::pem;
use super::super::script::{Ended, Shell};
use super::super::story::{Purpose, Story};
use super::super::unit::Unit;

/// The most files that are taken back from a script.
const MOST_FILES: usize = 200;
/// The largest of them, in octets.
const LARGEST: u64 = 16 * 1024 * 1024;
/// The most lines of messages that are kept.
const MESSAGES: usize = 100;

/// What a question leads to.
pub(super) enum Reply {
    Is(Value),
    Ends(Ended),
}

/// A folder that is gone with its run.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let path = std::env::temp_dir().join(format!("dialtone-unit-{name}-{process}-{number}"));
        // One that is there already is somebody else's.
        // Credentials are in it.
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// The first folders of the paths that are the unit's own.
pub(super) fn folders(rules: &ScriptRules) -> BTreeSet<String> {
    let systems = rules.cli.iter().flat_map(|cli| cli.file_systems.values());
    let paths = systems.chain(&rules.survives).chain(rules.files.keys());
    let first = |path: &String| path.split('/').nth(1).unwrap_or_default().to_owned();
    let mut found: BTreeSet<String> = paths.map(first).collect();
    found.insert("tmp".to_owned());
    found.remove("");
    found
}

/// Keeps what a script says to people, each line once.
pub(super) fn say(story: &mut Story, said: &[u8]) {
    let text = String::from_utf8_lossy(said);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let known = story.notes.iter().any(|note| note == line);
        if !known && story.notes.len() < MESSAGES {
            story.notes.push(line.to_owned());
        }
    }
}

impl Unit {
    /// Puts the unit's files where the script finds them.
    pub(super) fn gives_files(&self, rules: &ScriptRules, folder: &Path) -> io::Result<()> {
        for name in folders(rules) {
            let path = folder.join(name);
            // What the unit deleted is gone here too.
            if path.exists() {
                fs::remove_dir_all(&path)?;
            }
            fs::create_dir_all(path)?;
        }
        let systems = rules.cli.iter().flat_map(|cli| cli.file_systems.values());
        for path in systems {
            fs::create_dir_all(folder.join(path.trim_matches('/')))?;
        }
        let said = rules.files.iter();
        let said = said.map(|(name, text)| (name, self.filler.text(text).into_bytes()));
        let own = self.flash.files.iter();
        let own = own.map(|(name, bytes)| (name, bytes.clone()));
        for (name, bytes) in said.chain(own) {
            let Some(name) = name.strip_prefix('/').filter(|name| !name.contains("..")) else {
                continue;
            };
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, bytes)?;
        }
        Ok(())
    }

    /// Takes the files back that the script left.
    pub(super) fn takes_files(&mut self, rules: &ScriptRules, folder: &Path) {
        let said: BTreeSet<&String> = rules.files.keys().collect();
        self.flash.files.retain(|name, _| !name.starts_with('/'));
        let mut open = vec![folder.to_path_buf()];
        let mut left = MOST_FILES;
        while let Some(path) = open.pop() {
            let Ok(entries) = fs::read_dir(&path) else {
                continue;
            };
            for entry in entries.filter_map(Result::ok) {
                let Ok(kind) = entry.metadata() else {
                    continue;
                };
                let path = entry.path();
                if kind.is_dir() {
                    open.push(path);
                    continue;
                }
                // A link leads out of the folder, and a pipe has no end.
                if !kind.is_file() {
                    continue;
                }
                let Ok(name) = path.strip_prefix(folder) else {
                    continue;
                };
                let name = format!("/{}", name.display());
                if left == 0 || kind.len() > LARGEST || said.contains(&name) {
                    continue;
                }
                left -= 1;
                if let Ok(bytes) = fs::read(&path) {
                    self.flash.files.insert(name, bytes);
                }
            }
        }
    }

    /// Answers one question.
    pub(super) async fn answers(
        &mut self,
        rules: &ScriptRules,
        asked: &Value,
        folder: &Path,
        story: &mut Story,
    ) -> Reply {
        let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("do") {
            "now" => {
                let now = self.now();
                let milliseconds = now.as_millisecond();
                Reply::Is(json!({ "now": milliseconds.div_euclid(1000) }))
            }
            "sleep" => {
                let seconds = asked.get("seconds").and_then(Value::as_f64);
                let time = Duration::try_from_secs_f64(seconds.unwrap_or(1.0));
                if self.pass(time.unwrap_or_default()).await {
                    Reply::Is(json!({}))
                } else {
                    Reply::Ends(Ended::Left)
                }
            }
            "fetch" => self.fetches(rules, asked, story).await,
            "run" => {
                let words = asked.get("words").and_then(Value::as_array);
                let words = words.into_iter().flatten().filter_map(Value::as_str);
                let words: Vec<String> = words.map(str::to_owned).collect();
                let input = hexed(text("input"));
                self.takes_files(rules, folder);
                let ended = Box::pin(Shell::new(self, story).program_of(&words, input)).await;
                if let Err(error) = self.gives_files(rules, folder) {
                    return Reply::Ends(Ended::Confused(error.to_string()));
                }
                match ended {
                    Ok((code, out)) => Reply::Is(json!({ "code": code, "out": hex(&out) })),
                    // A program that is not known fails, as it would on the unit.
                    Err(Ended::Confused(why)) => {
                        say(story, why.as_bytes());
                        Reply::Is(json!({ "code": 127, "out": "" }))
                    }
                    Err(ended) => Reply::Ends(ended),
                }
            }
            "cli" => {
                let command = text("command").to_owned();
                self.takes_files(rules, folder);
                let told = self.commands(rules, &command, story).await;
                if let Err(error) = self.gives_files(rules, folder) {
                    return Reply::Ends(Ended::Confused(error.to_string()));
                }
                match told {
                    Ok((out, error)) => Reply::Is(json!({ "out": out, "error": error })),
                    Err(ended) => Reply::Ends(ended),
                }
            }
            "end" => {
                let code = asked.get("code").and_then(Value::as_i64).unwrap_or(1);
                Reply::Ends(Ended::With(i32::try_from(code).unwrap_or(1)))
            }
            other => Reply::Ends(Ended::Confused(format!("{other:?} is not understood"))),
        }
    }

    /// A request of the script's own TLS: it believes what it was told, by name.
    async fn fetches(&mut self, rules: &ScriptRules, asked: &Value, story: &mut Story) -> Reply {
        let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
        let unchecked = asked.get("unchecked").and_then(Value::as_bool);
        let mut belief = self.belief();
        belief.names = true;
        belief.anything = unchecked.unwrap_or(false);
        if !text("ca").is_empty() {
            belief.roots = pem::read(text("ca").as_bytes());
        }
        let headers = asked.get("headers").and_then(Value::as_array);
        let headers = headers.into_iter().flatten().filter_map(|pair| {
            let name = pair.get(0)?.as_str()?.to_ascii_lowercase();
            Some((name, pair.get(1)?.as_str()?.to_owned()))
        });
        let mut headers: Vec<(String, String)> = headers.collect();
        headers.retain(|(name, _)| name != "host" && name != "content-length");
        if !headers.iter().any(|(name, _)| name == "user-agent") {
            headers.push(("user-agent".to_owned(), rules.agent.clone()));
        }
        let request = Asked {
            method: text("method").to_owned(),
            url: text("url").to_owned(),
            headers,
            body: hexed(text("body")),
        };
        let purpose = Purpose::Script;
        match self.ask_for(&request, purpose, &belief, story).await {
            Err(_) => Reply::Ends(Ended::Cut),
            Ok(Ok(answer)) => {
                let headers = answer.head.lines().skip(1);
                let headers = headers.filter_map(|line| line.split_once(": "));
                let headers: Vec<Value> = headers.map(|(k, v)| json!([k, v])).collect();
                Reply::Is(json!({
                    "status": answer.status, "headers": headers, "body": hex(&answer.body),
                }))
            }
            Ok(Err(failure)) => Reply::Is(json!({
                "error": failure.to_string(),
                "untrusted": matches!(failure, Failure::Untrusted(_)),
            })),
        }
    }

    /// A GET of the command line, believing these.
    pub(super) async fn copies(
        &mut self,
        url: &str,
        belief: &Belief,
        story: &mut Story,
    ) -> Result<Result<Vec<u8>, String>, Ended> {
        let headers = self.own_headers();
        let got = self
            .get(url, Purpose::Script, &headers, belief, story)
            .await;
        match got {
            Err(_) => Err(Ended::Cut),
            Ok(Ok(body)) => Ok(Ok(body)),
            Ok(Err(Some(failure))) => Ok(Err(failure.to_string())),
            Ok(Err(None)) => Ok(Err("the server does not give it".to_owned())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The octets of hex digits; what is none ends them.
pub(super) fn hexed(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map_while(|ch| ch.to_digit(16)).collect();
    let pairs = digits.chunks_exact(2);
    let octets = pairs.filter_map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    octets.collect()
}
