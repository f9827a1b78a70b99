//! A script in Python, played by the machine's `python3` as a process of its own.
//!
//! The process has stand-ins for the modules of the unit (`stand_in.py`): files stand in a folder
//! that is made for the run, time is the unit's, and requests, programs and the command line are
//! asked of the unit over a pipe. That keeps a script that wants no harm in its place. It is no
//! prison for one that does: it is played only where the caller says so.

mod cli;
mod link;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use self::link::{Folder, Reply, folders, say};
use super::conduct::ScriptRules;
use super::script::Ended;
use super::story::Story;
use super::unit::Unit;

const STAND_IN: &str = include_str!("stand_in.py");
/// The most that a script asks in one run.
const MOST: u32 = 50_000;
/// The longest that it may take between two questions, by the machine's clock.
const SILENCE: Duration = Duration::from_secs(60);
/// The most octets of what it says that are kept.
const SAID: usize = 64 * 1024;

/// Whether a script is one in Python, by its first line.
pub(super) fn is_python(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.starts_with("#!") && first.contains("python")
}

/// Plays a script.
pub(super) async fn play(
    unit: &mut Unit,
    rules: &ScriptRules,
    text: &str,
    story: &mut Story,
) -> Ended {
    if !unit.around.python {
        let why = "a script in Python is played only where that is wanted";
        return Ended::Confused(why.to_owned());
    }
    let folder = match Folder::new(&unit.who.mac.bare()) {
        Ok(folder) => folder,
        Err(error) => return Ended::Confused(format!("no folder: {error}")),
    };
    let ended = match started(&folder.0) {
        Ok(child) => played(unit, rules, text, story, child, &folder.0).await,
        Err(error) => Ended::Confused(format!("python3: {error}")),
    };
    unit.takes_files(rules, &folder.0);
    ended
}

fn started(folder: &Path) -> std::io::Result<Child> {
    Command::new("python3")
        .args(["-I", "-c", STAND_IN])
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

async fn played(
    unit: &mut Unit,
    rules: &ScriptRules,
    text: &str,
    story: &mut Story,
    mut child: Child,
    folder: &Path,
) -> Ended {
    let broken = |why: &str| Ended::Confused(format!("python3: {why}"));
    let (Some(mut input), Some(output), Some(mut messages)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return broken("no pipe");
    };
    let said = tokio::spawn(async move {
        let mut said = Vec::new();
        let mut chunk = vec![0; 4096];
        while let Ok(count) = messages.read(&mut chunk).await {
            let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else {
                break;
            };
            // What is more than that is read all the same, or the script would wait.
            if said.len() < SAID {
                said.extend_from_slice(read);
            }
        }
        said
    });
    if let Err(error) = unit.gives_files(rules, folder) {
        return broken(&error.to_string());
    }
    let environment = rules.environment.iter();
    let environment = environment.map(|(name, text)| (name, unit.filler.text(text)));
    let environment: BTreeMap<&String, String> = environment.collect();
    let told = json!({
        "root": folder.display().to_string(),
        "folders": folders(rules),
        "environment": environment,
        "raises": rules.cli.as_ref().is_some_and(|cli| cli.raises),
        "name": "/tmp/script.py",
        "script": text,
    });
    let mut lines = BufReader::new(output).lines();
    let mut answer = told;
    let mut ended = broken("it asked too much");
    for _ in 0..MOST {
        let line = format!("{answer}\n");
        if input.write_all(line.as_bytes()).await.is_err() {
            ended = broken("it is gone");
            break;
        }
        let asked = match tokio::time::timeout(SILENCE, lines.next_line()).await {
            Ok(Ok(Some(line))) => serde_json::from_str(&line).unwrap_or(Value::Null),
            Ok(Ok(None) | Err(_)) => {
                ended = broken("it is gone");
                break;
            }
            Err(_) => {
                ended = broken("it says nothing any more");
                break;
            }
        };
        match unit.answers(rules, &asked, folder, story).await {
            Reply::Is(value) => answer = value,
            Reply::Ends(how) => {
                ended = how;
                break;
            }
        }
    }
    drop(child.start_kill());
    drop(child.wait().await);
    if let Ok(said) = said.await {
        say(story, &said);
    }
    ended
}
