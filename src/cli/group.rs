//! `group …`: a group is there as long as a device is in it.

use clap::{Args, Subcommand};

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals};

/// `group …`.
#[derive(Args, Debug)]
pub(super) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// All groups; a device joins with `device set DEVICE --group NAME`
    List,
    /// The devices of a group
    Show { name: String },
}

impl Group {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        match self.verb {
            Verb::List => {
                let groups = session.list(&Call::to(&["groups"]), None)?;
                session
                    .out
                    .list(&groups, &[("NAME", "/name"), ("DEVICES", "/devices")])?;
            }
            Verb::Show { name } => {
                let call = Call::to(&["devices"]).with("group", &name);
                let devices = session.list(&call, None)?;
                session.out.list(&devices, super::device::COLUMNS)?;
            }
        }
        DONE
    }
}
