//! The verbs: flags → typed options → a call of the API, or the server itself.
//!
//! One file per group of verbs. Only here are stdout, stderr, the wall clock and randomness. A verb
//! never panics: it ends as an [`Exit`] or a [`Fail`].

mod activation;
mod alert;
mod backup;
mod ca;
mod check;
pub mod client;
pub mod clock;
mod demo;
mod device;
mod dhcp;
pub mod exit;
mod explain;
mod fixtures;
mod globals;
mod group;
mod health;
mod import;
mod init;
pub mod logs;
mod not_built;
pub mod notify;
mod out;
mod pbx;
mod profile;
mod quarantine;
mod render;
mod selection;
mod serve;
pub mod server;
mod settings;
mod shell;
mod simulate;
mod site;
mod snippet;
mod store;
mod vars;
mod waiver;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use self::exit::{Exit, Fail};
use self::globals::Globals;

/// Zero-touch provisioning for SIP phones and network gear.
#[derive(Parser, Debug)]
#[command(
    name = "dialtone",
    version,
    max_term_width = 100,
    propagate_version = false
)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 partly done, 4 refused"
)]
pub struct Line {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Write a configuration and a systemd unit: asks, or takes flags
    Init(init::Init),
    /// A server in a temporary folder, and units that boot through it
    Demo(demo::Demo),
    /// Run the server
    Serve(serve::Serve),
    /// What the server makes of requests, and why: JSON lines in, JSON lines out
    Explain(explain::Explain),
    /// What is wrong, and how to mend it
    Doctor(health::Doctor),
    /// One screen of how things stand; exit 1 if something is red
    Status(health::Status),
    /// Configuration, profiles and certificates: every problem with file and line
    Check(check::Check),
    /// Read an inventory: plan, then commit
    Import(import::Import),
    /// The inventory's units
    Device(device::Device),
    /// Places with prefixes and a clock
    Site(site::Site),
    /// Groups of units
    Group(group::Group),
    /// Variables of everything in a scope
    Var(vars::Var),
    /// Models that may have credentials over plain transports
    Waiver(waiver::Waiver),
    /// Call servers that units register at
    Pbx(pbx::Pbx),
    /// What a device would get, file by file
    Render(render::Render),
    /// Steps that units took, and their totals
    Activation(activation::Activation),
    /// Units that asked and are not in the inventory
    Quarantine(quarantine::Quarantine),
    /// Leases and why each client got what it got; snippets for other DHCP servers
    Dhcp(dhcp::Dhcp),
    /// What a person must look at
    Alert(alert::Alert),
    /// Vendor folders, revisions and what they change
    Profile(profile::Profile),
    /// Certificates and the vendors' anchors
    Ca(ca::Ca),
    /// Write everything that the server knows into one file
    Backup(backup::Backup),
    /// Bring a backup back into the data folder of a stopped server
    Restore(store::Restore),
    /// The store of a stopped server
    Store(store::Store),
    /// Boot units against any server, and say what each made of it
    Simulate(simulate::Simulate),
    /// Completions for a shell
    Completions(shell::Completions),
    /// The manual page
    Man(shell::Man),
}

/// Runs one command line and says how it ended. Prints what there is to print.
pub fn run(words: impl IntoIterator<Item = OsString>) -> Exit {
    let words: Vec<OsString> = words.into_iter().collect();
    let read = grammar().try_get_matches_from(&words);
    let line = match read.and_then(|found| Line::from_arg_matches(&found)) {
        Ok(line) => line,
        Err(error) => return misread(&words, &error),
    };
    match line.verb.run(&line.globals) {
        Ok(exit) => exit,
        // Whoever read our output has enough of it.
        Err(fail) if fail.code == out::CLOSED => Exit::Done,
        Err(fail) => {
            out::failure(&fail);
            fail.exit
        }
    }
}

impl Verb {
    fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        match self {
            Self::Init(verb) => verb.run(globals),
            Self::Demo(verb) => verb.run(globals),
            Self::Serve(verb) => verb.run(globals),
            Self::Explain(verb) => verb.run(globals),
            Self::Doctor(verb) => verb.run(globals),
            Self::Status(verb) => verb.run(globals),
            Self::Check(verb) => verb.run(globals),
            Self::Import(verb) => verb.run(globals),
            Self::Device(verb) => verb.run(globals),
            Self::Site(verb) => verb.run(globals),
            Self::Group(verb) => verb.run(globals),
            Self::Var(verb) => verb.run(globals),
            Self::Waiver(verb) => verb.run(globals),
            Self::Pbx(verb) => verb.run(globals),
            Self::Render(verb) => verb.run(globals),
            Self::Activation(verb) => verb.run(globals),
            Self::Quarantine(verb) => verb.run(globals),
            Self::Dhcp(verb) => verb.run(globals),
            Self::Alert(verb) => verb.run(globals),
            Self::Profile(verb) => verb.run(globals),
            Self::Ca(verb) => verb.run(globals),
            Self::Backup(verb) => verb.run(globals),
            Self::Restore(verb) => verb.run(globals),
            Self::Store(verb) => verb.run(globals),
            Self::Simulate(verb) => verb.run(globals),
            Self::Completions(verb) => verb.run(globals),
            Self::Man(verb) => verb.run(globals),
        }
    }
}

/// A command line that clap did not take: help, a word that is not built yet, or a typing error.
fn misread(words: &[OsString], error: &clap::Error) -> Exit {
    let words: Vec<String> = words
        .iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if !asked && let Some(name) = not_built::named(&words) {
        out::failure(&Fail::not_built(format!("`dialtone {name}`")));
        return Exit::Usage;
    }
    // Help goes to stdout, errors to stderr; a closed pipe is nobody's concern.
    drop(error.print());
    if asked { Exit::Done } else { Exit::Usage }
}

/// The command line's grammar, for completions, the manual and the test of the docs.
pub fn grammar() -> clap::Command {
    Line::command()
}
