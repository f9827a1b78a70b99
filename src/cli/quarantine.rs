//! `quarantine list`: units that asked and are not in the inventory.

use clap::{Args, Subcommand};

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals};

/// `quarantine …`.
#[derive(Args, Debug)]
pub(super) struct Quarantine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Who asked, and the command that enters it
    List,
}

impl Quarantine {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let Verb::List = self.verb;
        let session = globals.session()?;
        let all = session.list(&Call::to(&["quarantine"]), None)?;
        session.out.list(
            &all,
            &[
                ("MAC", "/mac"),
                ("SERIAL", "/serial"),
                ("VENDOR", "/vendor"),
                ("MODEL", "/model"),
                ("ADDRESS", "/ip"),
                ("SITE", "/site"),
                ("LAST", "/last"),
                ("COUNT", "/count"),
                ("REASON", "/reason"),
                ("ENTER IT WITH", "/command"),
            ],
        )?;
        DONE
    }
}
