//! The command line of a switch, as far as scripts use it: a running configuration in lines, files,
//! and `copy` from and to them.

use std::collections::BTreeMap;

use rustls::pki_types::CertificateDer;

use super::super::conduct::{CliHttps, CliRules, ScriptRules};
use super::super::script::KEPT;
use super::super::script::{Ended, Shell};
use super::super::story::Story;
use super::super::unit::Unit;
use super::link::hexed;

/// The name under which the running configuration is kept.
const RUNNING: &str = "running-config";

/// What a command says, and whether that is an error.
type Said = (String, bool);

impl Unit {
    /// Plays commands: lines, or several on one with ` ; ` between them.
    pub(in super::super) async fn commands(
        &mut self,
        rules: &ScriptRules,
        text: &str,
        story: &mut Story,
    ) -> Result<Said, Ended> {
        let Some(cli) = &rules.cli else {
            return Ok(("no command line".to_owned(), true));
        };
        let commands = text.split('\n').flat_map(|line| line.split(" ; "));
        let mut commands = commands
            .map(str::trim_end)
            .filter(|line| !line.trim().is_empty());
        let mut out = String::new();
        while let Some(command) = commands.next() {
            let words: Vec<&str> = command.split_ascii_whitespace().collect();
            // On this command line a `?` asks for help.
            if command.contains('?') {
                return Ok(("% Unrecognized command".to_owned(), true));
            }
            if let ["configure" | "conf", "terminal" | "t", ..] = words.as_slice() {
                let lines: Vec<&str> = commands.by_ref().collect();
                let mut running = self.running();
                let own = lines
                    .iter()
                    .filter(|line| !matches!(line.trim(), "end" | "exit"));
                running.extend(own.map(|line| (*line).to_owned()));
                self.runs(&running);
                break;
            }
            let (said, error) = self.command(rules, cli, command, &words, story).await?;
            out.push_str(&said);
            if error {
                return Ok((out, true));
            }
        }
        Ok((out, false))
    }

    async fn command(
        &mut self,
        rules: &ScriptRules,
        cli: &CliRules,
        command: &str,
        words: &[&str],
        story: &mut Story,
    ) -> Result<Said, Ended> {
        let done = || Ok((String::new(), false));
        match words {
            ["copy", from, to, rest @ ..] => {
                return self.copy(rules, cli, (*from, *to), rest, story).await;
            }
            ["configure", "replace", from, ..] => {
                let Some(text) = self.of(cli, from) else {
                    return Ok((format!("%Error opening {from}"), true));
                };
                let text = String::from_utf8_lossy(&text).into_owned();
                let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                self.runs(&lines);
                return done();
            }
            ["write" | "wr", ..] => {
                let running = self.running().join("\n");
                let name = rules.configuration.clone();
                self.flash.files.insert(name, running.into_bytes());
                return Ok(("Building configuration...\n[OK]".to_owned(), false));
            }
            ["show", "clock"] => {
                let now = self.now().strftime("*%H:%M:%S.000 UTC %a %b %-d %Y");
                return Ok((now.to_string(), false));
            }
            ["show", "crypto", "pki", "certificates", name] => {
                let there = !chain_of(&self.running(), name).is_empty();
                let said = if there {
                    "CA Certificate\n  Status: Available"
                } else {
                    ""
                };
                return Ok((said.to_owned(), false));
            }
            ["delete", rest @ ..] => {
                for name in rest.iter().filter_map(|name| cli.path(name)) {
                    self.flash.files.remove(&name);
                }
                return done();
            }
            ["reload", ..] => return Err(Ended::Reload),
            ["terminal", ..] | ["enable"] | ["event", "manager", "run", ..] => return done(),
            _ => {}
        }
        let own: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let mut all = vec!["cli".to_owned()];
        all.extend(own);
        let told = Box::pin(Shell::new(self, story).program_of(&all, Vec::new())).await?;
        let (code, out) = told;
        Ok((String::from_utf8_lossy(&out).into_owned(), code != 0))
    }

    async fn copy(
        &mut self,
        rules: &ScriptRules,
        cli: &CliRules,
        (from, to): (&str, &str),
        rest: &[&str],
        story: &mut Story,
    ) -> Result<Said, Ended> {
        let bytes = if from.contains("://") {
            let mut belief = self.belief();
            belief.names = true;
            let unchecked = rest.contains(&"ignore-certificate");
            if from.starts_with("https:") {
                match cli.https {
                    CliHttps::Unchecked if unchecked => belief.anything = true,
                    CliHttps::Unchecked => {
                        let why = "%Error: https needs ignore-certificate here";
                        return Ok((why.to_owned(), true));
                    }
                    CliHttps::Trustpoint => belief.roots = trusted(&self.running()),
                }
            }
            match self.copies(from, &belief, story).await? {
                Ok(bytes) => bytes,
                Err(why) => return Ok((format!("%Error opening {from} ({why})"), true)),
            }
        } else if let Some(bytes) = self.of(cli, from) {
            bytes
        } else {
            return Ok((
                format!("%Error opening {from} (No such file or directory)"),
                true,
            ));
        };
        let copied = format!("{} bytes copied in 0.1 secs", bytes.len());
        match to {
            "running-config" | "system:running-config" => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let mut running = self.running();
                running.extend(text.lines().map(str::to_owned));
                self.runs(&running);
            }
            "startup-config" | "nvram:startup-config" => {
                self.flash.files.insert(rules.configuration.clone(), bytes);
            }
            "null:" => {}
            to if to == cli.replay => {
                self.flash.files.insert(cli.replay.clone(), bytes);
            }
            to => match cli.path(to) {
                Some(name) => drop(self.flash.files.insert(name, bytes)),
                None => return Ok((format!("%Error writing {to}"), true)),
            },
        }
        Ok((copied, false))
    }

    /// What a source of the command line holds.
    fn of(&self, cli: &CliRules, name: &str) -> Option<Vec<u8>> {
        match name {
            "running-config" | "system:running-config" => {
                Some(self.running().join("\n").into_bytes())
            }
            name => self.flash.files.get(&cli.path(name)?).cloned(),
        }
    }

    /// What runs after a start.
    pub(in super::super) fn starts_with(&mut self, text: &str) {
        let text = text.as_bytes().to_vec();
        self.flash.files.insert(RUNNING.to_owned(), text);
    }

    /// The lines of the running configuration.
    fn running(&self) -> Vec<String> {
        let file = self.flash.files.get(RUNNING);
        let text = String::from_utf8_lossy(file.map_or(&[][..], Vec::as_slice)).into_owned();
        text.lines().map(str::to_owned).collect()
    }

    fn runs(&mut self, lines: &[String]) {
        let text = lines.join("\n").into_bytes();
        self.flash.files.insert(RUNNING.to_owned(), text);
        for line in lines {
            let name = line.trim().to_owned();
            self.flash.settings.insert(name, KEPT.to_owned());
        }
    }
}

impl CliRules {
    /// The path of a name with its file system before it.
    fn path(&self, name: &str) -> Option<String> {
        let mut systems = self.file_systems.iter();
        systems.find_map(|(system, folder)| {
            let rest = name.strip_prefix(system.as_str())?;
            Some(format!("{folder}{}", rest.trim_start_matches('/')))
        })
    }
}

/// The CA of the trustpoint that the command line's own HTTPS uses.
fn trusted(running: &[String]) -> Vec<CertificateDer<'static>> {
    let named = |line: &String| {
        let name = line
            .trim()
            .strip_prefix("ip http client secure-trustpoint ")?;
        Some(name.trim().to_owned())
    };
    let used = running.iter().filter_map(named).next_back();
    used.map_or_else(Vec::new, |name| chain_of(running, &name))
}

/// The certificates of a trustpoint: `certificate ca`, lines of hex, `quit`.
fn chain_of(running: &[String], of: &str) -> Vec<CertificateDer<'static>> {
    let mut chains: BTreeMap<String, Vec<CertificateDer<'static>>> = BTreeMap::new();
    let mut chain = String::new();
    let mut digits: Option<String> = None;
    for line in running {
        let line = line.trim();
        if let Some(hex) = &mut digits {
            if line == "quit" {
                let octets = hexed(hex);
                let of = chains.entry(chain.clone()).or_default();
                of.push(CertificateDer::from(octets));
                digits = None;
            } else {
                hex.extend(line.split_ascii_whitespace());
            }
        } else if let Some(name) = line.strip_prefix("crypto pki certificate chain ") {
            name.trim().clone_into(&mut chain);
        } else if line.starts_with("certificate ca ") {
            digits = Some(String::new());
        }
    }
    let found = chains.remove(of).unwrap_or_default();
    let parses = |der: &CertificateDer<'_>| x509_parser::parse_x509_certificate(der).is_ok();
    found.into_iter().filter(parses).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn the_trustpoint_that_is_used_counts() {
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::default().self_signed(&key).unwrap();
        let hex: Vec<String> = own
            .der()
            .chunks(16)
            .map(|row| {
                let row: Vec<String> = row
                    .chunks(4)
                    .map(|four| four.iter().map(|byte| format!("{byte:02X}")).collect())
                    .collect();
                format!("  {}", row.join(" "))
            })
            .collect();
        let mut lines = vec![
            "crypto pki certificate chain DT".to_owned(),
            " certificate ca 01".to_owned(),
        ];
        lines.extend(hex);
        lines.push(" quit".to_owned());
        assert!(trusted(&lines).is_empty());
        lines.push("ip http client secure-trustpoint DT".to_owned());
        assert_eq!(trusted(&lines), [own.der().clone()]);
    }

    proptest! {
        #[test]
        fn any_lines_are_read_or_refused(text in "((crypto pki certificate chain|certificate ca|quit|ip http client secure-trustpoint) ?[A-F0-9]{0,5}\\n|[0-9A-Fé ]{0,9}\\n){0,9}") {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            drop(trusted(&lines));
        }
    }
}
