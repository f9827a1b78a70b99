//! `waiver …`: models that may have credentials over a plain transport, until a day and for a reason.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals};

const COLUMNS: &[(&str, &str)] = &[
    ("SITE", "/site"),
    ("MODELS", "/models"),
    ("UNTIL", "/until"),
    ("EXPIRED", "/expired"),
    ("WHY", "/why"),
];

/// `waiver …`.
#[derive(Args, Debug)]
pub(super) struct Waiver {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// All waivers
    #[command(visible_alias = "show")]
    List {
        #[arg(long)]
        site: Option<String>,
    },
    /// Waive the need of an encrypted transport; the same models again replace day and reason
    #[command(visible_alias = "set")]
    Add(Add),
    /// Take waivers back
    Remove {
        #[arg(long)]
        site: String,
        #[arg(long)]
        model: Option<String>,
    },
}

#[derive(Args, Debug)]
struct Add {
    #[arg(long)]
    site: String,
    /// A model, or *; may be given several times
    #[arg(long = "model", required = true, value_name = "MODEL")]
    models: Vec<String>,
    /// A date, or a time
    #[arg(long, value_name = "D")]
    until: String,
    /// Why these units cannot do better
    #[arg(long, value_name = "T")]
    why: String,
    /// Check everything and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Waiver {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        match self.verb {
            Verb::List { site } => {
                let call = Call::to(&["waivers"]).maybe("site", site.as_deref());
                session.out.list(&session.list(&call, None)?, COLUMNS)?;
            }
            Verb::Add(add) => {
                let call = Call::to(&["waivers"]).flag("dry_run", add.dry_run);
                let body = json!({"site": add.site, "models": add.models, "until": add.until, "why": add.why});
                let waiver = session.post(&call, Some(&body))?;
                let lower: Vec<(String, &str)> = COLUMNS
                    .iter()
                    .map(|(head, pointer)| (head.to_lowercase(), *pointer))
                    .collect();
                let lower: Vec<(&str, &str)> = lower
                    .iter()
                    .map(|(head, at)| (head.as_str(), *at))
                    .collect();
                session.out.record(&waiver, &lower)?;
            }
            Verb::Remove { site, model } => {
                let call = Call::to(&["waivers"])
                    .with("site", &site)
                    .maybe("model", model.as_deref());
                let gone = session.send(Method::DELETE, &call, None)?;
                let items = super::import::items(&gone);
                session.out.list(&items, COLUMNS)?;
            }
        }
        DONE
    }
}
