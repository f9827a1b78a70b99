//! `activation …`: the steps that units took, and their totals.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{Call, Event};
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals, Session};
use super::out::{self, Out};

/// Columns of an activation check.
pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("AT", "/at"),
    ("DEVICE", "/device"),
    ("CHANNEL", "/channel"),
    ("KIND", "/kind"),
    ("OUTCOME", "/outcome"),
    ("LEVEL", "/assurance"),
    ("BY", "/level_by"),
    ("PATH", "/path"),
    ("REASON", "/reason"),
];

/// `activation …`.
#[derive(Args, Debug)]
pub(super) struct Activation {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Checks, oldest first
    List(List),
    /// Checks as they happen, one a line, until Ctrl-C
    Watch {
        /// Those from this time on first
        #[arg(long, value_name = "T")]
        since: Option<String>,
        #[arg(long)]
        site: Option<String>,
    },
    /// Totals by state, model and site
    Summary {
        /// Of units that are in their state since then
        #[arg(long, value_name = "T")]
        since: Option<String>,
        #[arg(long)]
        site: Option<String>,
    },
}

#[derive(Args, Debug)]
struct List {
    /// From this time on
    #[arg(long, value_name = "T")]
    since: Option<String>,
    #[arg(long)]
    site: Option<String>,
    #[arg(long)]
    device: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl Activation {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        match self.verb {
            Verb::List(list) => {
                let call = past(list.since.as_deref(), list.site.as_deref())
                    .maybe("device", list.device.as_deref());
                let checks = session.list(&call, list.limit)?;
                session.out.list(&checks, COLUMNS)?;
            }
            Verb::Watch { since, site } => watch(&session, since.as_deref(), site.as_deref())?,
            Verb::Summary { since, site } => {
                let call = Call::to(&["activation", "summary"])
                    .maybe("since", since.as_deref())
                    .maybe("site", site.as_deref());
                summary(&session, &session.get(&call)?)?;
            }
        }
        DONE
    }
}

/// Checks from a time on.
fn past(since: Option<&str>, site: Option<&str>) -> Call {
    Call::to(&["activation"])
        .maybe("since", since)
        .maybe("site", site)
        .with("limit", "1000")
}

/// What the end of the past and the begin of the stream may both hold.
const OVERLAP: usize = 256;

fn watch(session: &Session, since: Option<&str>, site: Option<&str>) -> Result<(), Fail> {
    let out = session.out;
    let call = Call::to(&["events"])
        .with("kinds", "check")
        .maybe("site", site);
    session.wait(async |api| {
        // The stream is opened first, so that nothing falls between it and the past.
        let stream = api.events(&call).await?;
        let mut known = Vec::new();
        if since.is_some() {
            for check in api.list(&past(since, site), None).await? {
                show(out, &check)?;
                known.push(unnumbered(check));
            }
        }
        known.drain(..known.len().saturating_sub(OVERLAP));
        let sink = |event: Event| {
            if event.kind == "lost" {
                let missed = out::cell(event.data.get("missed").unwrap_or(&Value::Null));
                out::note(&format!("{missed} checks were too fast for this terminal"));
                return Ok(());
            }
            match known.contains(&unnumbered(event.data.clone())) {
                true => Ok(()),
                false => show(out, &event.data),
            }
        };
        stream.each(sink).await
    })
}

/// A check is told before the store has given it its number.
fn unnumbered(mut check: Value) -> Value {
    check.as_object_mut().map(|check| check.remove("seq"));
    check
}

fn show(out: Out, check: &Value) -> Result<(), Fail> {
    if out.json {
        return out.line(&check.to_string());
    }
    let cells = COLUMNS
        .iter()
        .map(|(_, pointer)| out::cell(check.pointer(pointer).unwrap_or(&Value::Null)));
    out.line(&cells.collect::<Vec<_>>().join("  "))
}

fn summary(session: &Session, totals: &Value) -> Result<(), Fail> {
    let out = session.out;
    if out.json {
        return out.document(totals);
    }
    out.record(
        totals,
        &[
            ("total", "/total"),
            ("states", "/states"),
            ("flags", "/flags"),
        ],
    )?;
    let list = |key: &str| super::import::items(totals.get(key).unwrap_or(&Value::Null));
    out.line(&out::table(
        &list("models"),
        &[
            ("VENDOR", "/vendor"),
            ("MODEL", "/model"),
            ("TOTAL", "/total"),
            ("STATES", "/states"),
        ],
    ))?;
    out.line(&out::table(
        &list("sites"),
        &[
            ("SITE", "/site"),
            ("TOTAL", "/total"),
            ("STATES", "/states"),
        ],
    ))
}
