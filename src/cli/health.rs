//! `doctor`, `status`, `check`: what is wrong, and how to mend it.

use clap::Args;
use serde_json::{Value, json};

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals};
use super::out::{self, Out, Tint};
use crate::config::Config;

/// `doctor [--site S]`.
#[derive(Args, Debug)]
pub(super) struct Doctor {
    #[arg(long)]
    site: Option<String>,
}

/// `status [--site S]`.
#[derive(Args, Debug)]
pub(super) struct Status {
    #[arg(long)]
    site: Option<String>,
}

/// `check [--config FILE]`.
#[derive(Args, Debug)]
pub(super) struct Check {}

impl Doctor {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        let call = Call::to(&["doctor"]).maybe("site", self.site.as_deref());
        let report = session.get(&call)?;
        let out = session.out;
        if out.json {
            out.document(&report)?;
            return DONE;
        }
        findings(out, &report)?;
        let models = super::import::items(report.get("models").unwrap_or(&Value::Null));
        if !models.is_empty() {
            out.line(&out::table(
                &models,
                &[
                    ("VENDOR", "/vendor"),
                    ("MODEL", "/model"),
                    ("SITE", "/site"),
                    ("UNITS", "/devices"),
                    ("TODAY", "/today"),
                    ("REACH", "/reach"),
                    ("FIRST", "/first"),
                    ("TRUSTS", "/trusts"),
                    ("TLS", "/tls"),
                    ("CEILING", "/ceiling"),
                    ("WINDOW", "/window"),
                    ("WAIVER", "/waiver"),
                    ("BLOCKED", "/blocked"),
                ],
            ))?;
        }
        DONE
    }
}

impl Status {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        let call = Call::to(&["status"]).maybe("site", self.site.as_deref());
        let report = session.get(&call)?;
        let out = session.out;
        out.record(
            &report,
            &[
                ("version", "/version"),
                ("up, seconds", "/uptime_seconds"),
                ("devices", "/devices"),
                ("states", "/states"),
                ("flags", "/flags"),
                ("alerts", "/alerts"),
                ("quarantine", "/quarantine"),
            ],
        )?;
        if !out.json {
            findings(out, &report)?;
        }
        let red = report.get("level").and_then(Value::as_str) == Some("red");
        Ok(if red { Exit::Failed } else { Exit::Done })
    }
}

/// Each finding with what mends it, the worst first as the server sends them.
fn findings(out: Out, report: &Value) -> Result<(), Fail> {
    let text = |value: &Value, key: &str| out::cell(value.get(key).unwrap_or(&Value::Null));
    let level = text(report, "level");
    out.line(&out.tinted(&level, Tint::of(&level)))?;
    for finding in super::import::items(report.get("findings").unwrap_or(&Value::Null)) {
        let level = text(&finding, "level");
        out.line(&format!(
            "{} {} {}: {}",
            out.tinted(&level, Tint::of(&level)),
            text(&finding, "code"),
            text(&finding, "subject"),
            text(&finding, "text"),
        ))?;
        let mend = text(&finding, "mend");
        if mend != "-" {
            out.line(&format!("    {mend}"))?;
        }
    }
    Ok(())
}

impl Check {
    #[expect(clippy::unused_self, reason = "all verbs are called alike")]
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let file = globals.file();
        let problems = match &file {
            Some(file) => Config::read(file).err().unwrap_or_default(),
            None => Vec::new(),
        };
        let items: Vec<Value> = problems
            .iter()
            .map(|problem| {
                json!({
                    "file": problem.file,
                    "line": problem.line,
                    "severity": "error",
                    "code": problem.kind.code(),
                    "what": problem.what,
                    "hint": problem.hint,
                })
            })
            .collect();
        let out = globals.out();
        if out.json {
            out.document(&Value::Array(items))?;
        } else {
            for problem in &problems {
                out.line(&out::printable(&problem.to_string()))?;
            }
        }
        match (problems.len(), file) {
            (0, Some(file)) => out::note(&format!("{}: no problem", file.display())),
            (0, None) => out::note("no configuration file: the defaults hold"),
            (count, _) => {
                out::note(&format!("{count} problems"));
                return Ok(Exit::Usage);
            }
        }
        DONE
    }
}
