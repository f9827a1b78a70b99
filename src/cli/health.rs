//! `doctor`, `status`: what is wrong, and how to mend it.

use clap::Args;
use serde_json::Value;

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals};
use super::out::{self, Out, Tint};

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

/// `doctor`, for a verb that ends with it.
pub(super) fn doctor(globals: &Globals) -> Result<Exit, Fail> {
    Doctor { site: None }.run(globals)
}

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
                    ("FIRMWARE", "/firmware"),
                    ("REGISTRAR", "/registrar"),
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
