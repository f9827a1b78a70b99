//! `alert …`: what a person must look at, and that it was looked at.

use clap::{Args, Subcommand};
use http::Method;

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals};

/// `alert …`.
#[derive(Args, Debug)]
pub(super) struct Alert {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// All alerts
    #[command(visible_alias = "show")]
    List,
    /// Take an alert away that was looked at; it comes back when it happens again. Arming a unit
    /// takes the unit's away
    Remove {
        /// Kind, as the list has it
        kind: String,
        /// The device that it is about; without it the network
        device: Option<String>,
        /// Check everything and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

const COLUMNS: &[(&str, &str)] = &[
    ("KIND", "/kind"),
    ("NAME", "/name"),
    ("DEVICE", "/device"),
    ("FIRST", "/first"),
    ("LAST", "/last"),
    ("COUNT", "/count"),
    ("PLACES", "/places"),
    ("TEXT", "/text"),
];

impl Alert {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        match self.verb {
            Verb::List => {
                let all = session.list(&Call::to(&["alerts"]), None)?;
                session.out.list(&all, COLUMNS)?;
            }
            Verb::Remove {
                kind,
                device,
                dry_run,
            } => {
                let device = device.as_deref().unwrap_or("_");
                let call = Call::to(&["alerts", &kind, device]).flag("dry_run", dry_run);
                let gone = session.send(Method::DELETE, &call, None)?;
                session.out.record(&gone, COLUMNS)?;
            }
        }
        DONE
    }
}
