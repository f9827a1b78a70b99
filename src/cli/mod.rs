//! The command line: contract section 1.

mod explain;
mod profile;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Zero-touch provisioning for SIP phones and network gear.
#[derive(Debug, Parser)]
#[command(name = "dialtone", version, about)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// What the server makes of requests, and why: JSON lines in, JSON lines out
    Explain {
        /// Folders with manifests; an earlier one wins
        #[arg(long, value_name = "DIR", default_value = "profiles")]
        profiles: Vec<PathBuf>,
    },
    /// Manifests, templates and profiles
    #[command(subcommand)]
    Profile(Profile),
    /// Completions for a shell, on standard output
    Completions { shell: clap_complete::Shell },
    /// The manual page, on standard output
    Man,
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

#[derive(Debug, Subcommand)]
enum Profile {
    /// Every vendor and family, and how many models each lists
    List(profile::Options),
    /// What is wrong in the manifests: every problem with file:line and a hint
    Lint(profile::Options),
}

/// Verbs of the contract whose part is not built yet: they say so and never pretend.
const NOT_BUILT: [&str; 33] = [
    "activation",
    "alert",
    "audit",
    "backup",
    "ca",
    "change",
    "check",
    "demo",
    "device",
    "dhcp",
    "doctor",
    "export",
    "firmware",
    "group",
    "import",
    "init",
    "key",
    "pbx",
    "push",
    "quarantine",
    "redirect",
    "render",
    "restore",
    "role",
    "serve",
    "simulate",
    "site",
    "status",
    "store",
    "token",
    "user",
    "var",
    "waiver",
];

/// Exit codes of contract section 1.
const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// Runs one command line.
pub fn run() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            return if error.print().is_ok() {
                ExitCode::from(code)
            } else {
                ExitCode::from(FAILED)
            };
        }
    };
    let out = &mut std::io::stdout().lock();
    let code = match line.verb {
        Verb::Explain { profiles } => explain::run(&profiles, std::io::stdin().lock(), out),
        Verb::Profile(Profile::List(options)) => profile::list(&options, out),
        Verb::Profile(Profile::Lint(options)) => profile::lint(&options, out),
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Line::command(), "dialtone", out);
            0
        }
        Verb::Man => clap_mangen::Man::new(Line::command())
            .render(out)
            .map_or(FAILED, |()| 0),
        Verb::Other(words) => {
            let verb = words
                .first()
                .map(|word| word.to_string_lossy().into_owned())
                .unwrap_or_default();
            if NOT_BUILT.contains(&verb.as_str()) {
                say(&format!(
                    "dialtone: not-built: `{verb}` is not part of this version yet; docs/progress.md says what is"
                ));
            } else {
                say(&format!(
                    "dialtone: there is no verb `{verb}`; `dialtone --help` lists them"
                ));
            }
            USAGE
        }
    };
    ExitCode::from(code)
}

/// A message for people. There is nobody to tell when standard error is gone.
fn say(text: &str) {
    let _gone = writeln!(std::io::stderr().lock(), "{text}");
}
