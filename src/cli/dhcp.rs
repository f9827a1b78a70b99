//! `dhcp …`: what a DHCP server tells units.

use clap::{Args, Subcommand};

use super::exit::{Exit, Fail};
use super::globals::Globals;
use super::snippet::Snippet;

/// `dhcp …`.
#[derive(Args, Debug)]
pub(super) struct Dhcp {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// What units are told, for a DHCP server that stands already
    Snippet(Snippet),
}

impl Dhcp {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        match self.verb {
            Verb::Snippet(verb) => verb.run(globals),
        }
    }
}
