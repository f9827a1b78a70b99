//! `alert list`: what a person must look at.

use clap::{Args, Subcommand};

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
}

impl Alert {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let Verb::List = self.verb;
        let session = globals.session()?;
        let all = session.list(&Call::to(&["alerts"]), None)?;
        session.out.list(
            &all,
            &[
                ("KIND", "/kind"),
                ("DEVICE", "/device"),
                ("FIRST", "/first"),
                ("LAST", "/last"),
                ("COUNT", "/count"),
                ("PLACES", "/places"),
                ("TEXT", "/text"),
            ],
        )?;
        DONE
    }
}
