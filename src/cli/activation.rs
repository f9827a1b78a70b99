//! `activation …`: the steps that units took, and their totals.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{Call, Event};
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals, Session};
use super::out;

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
        #[arg(long)]
        site: Option<String>,
    },
    /// Totals by state, model and site
    Summary {
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
                let call = Call::to(&["activation"])
                    .maybe("since", list.since.as_deref())
                    .maybe("site", list.site.as_deref())
                    .maybe("device", list.device.as_deref())
                    .with("limit", "1000");
                let checks = session.list(&call, list.limit)?;
                session.out.list(&checks, COLUMNS)?;
            }
            Verb::Watch { site } => watch(&session, site.as_deref())?,
            Verb::Summary { site } => {
                let call = Call::to(&["activation", "summary"]).maybe("site", site.as_deref());
                summary(&session, &session.get(&call)?)?;
            }
        }
        DONE
    }
}

fn watch(session: &Session, site: Option<&str>) -> Result<(), Fail> {
    let call = Call::to(&["events"])
        .with("kinds", "check")
        .maybe("site", site);
    let sink = |event: Event| {
        if event.kind == "lost" {
            let missed = out::cell(event.data.get("missed").unwrap_or(&Value::Null));
            out::note(&format!("{missed} checks were too fast for this terminal"));
        } else if session.out.json {
            session.out.line(&event.data.to_string())?;
        } else {
            let cells = COLUMNS
                .iter()
                .map(|(_, pointer)| out::cell(event.data.pointer(pointer).unwrap_or(&Value::Null)));
            session.out.line(&cells.collect::<Vec<_>>().join("  "))?;
        }
        Ok(true)
    };
    session.wait(async |api| api.events(&call, sink).await)
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
