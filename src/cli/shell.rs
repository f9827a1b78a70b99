//! `completions`, `man`: what a packager and a shell ask for.

use clap::{Args, ValueEnum};

use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals};

/// `completions SHELL`.
#[derive(Args, Debug)]
pub(super) struct Completions {
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    #[value(name = "powershell")]
    Power,
    Zsh,
}

impl Completions {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        use clap_complete::shells;
        let mut grammar = super::grammar();
        let mut bytes = Vec::new();
        let name = "dialtone";
        match self.shell {
            Shell::Bash => clap_complete::generate(shells::Bash, &mut grammar, name, &mut bytes),
            Shell::Elvish => {
                clap_complete::generate(shells::Elvish, &mut grammar, name, &mut bytes);
            }
            Shell::Fish => clap_complete::generate(shells::Fish, &mut grammar, name, &mut bytes),
            Shell::Power => {
                clap_complete::generate(shells::PowerShell, &mut grammar, name, &mut bytes);
            }
            Shell::Zsh => clap_complete::generate(shells::Zsh, &mut grammar, name, &mut bytes),
        }
        globals.out().raw(&bytes)?;
        DONE
    }
}

/// `man`: every verb's page, one after the other.
#[derive(Args, Debug)]
pub(super) struct Man {}

impl Man {
    #[expect(clippy::unused_self, reason = "all verbs are called alike")]
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let mut grammar = super::grammar();
        grammar.build();
        let mut bytes = Vec::new();
        pages(&grammar, "dialtone", &mut bytes)
            .map_err(|error| Fail::failed("man", error.to_string()))?;
        globals.out().raw(&bytes)?;
        DONE
    }
}

fn pages(grammar: &clap::Command, name: &str, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(grammar.clone().display_name(name)).render(bytes)?;
    for verb in grammar.get_subcommands() {
        if verb.get_name() != "help" {
            pages(verb, &format!("{name}-{}", verb.get_name()), bytes)?;
        }
    }
    Ok(())
}
