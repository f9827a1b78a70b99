//! A unit that asks for a script until it has a configuration.

use std::sync::Arc;
use std::time::Duration;

use md5::{Digest, Md5};
use regex::Regex;

use super::belief::Belief;
use super::conduct::{Given, ScriptRules};
use super::python::{self, is_python};
use super::read::switch::{Words, lines, on_boot};
use super::run::Cut;
use super::script::{Ended, KEPT, Shell};
use super::sections::{Outcome, leaves};
use super::story::{Again, Made, Purpose, Story};
use super::unit::Unit;

impl Unit {
    pub(super) async fn play_script(
        &mut self,
        power_on: bool,
        story: &mut Story,
    ) -> Result<(), Cut> {
        let conduct = Arc::clone(&self.conduct);
        let Some(rules) = &conduct.script else {
            return Ok(());
        };
        if power_on {
            let kept = |name: &str| rules.survives.iter().any(|start| name.starts_with(start));
            self.flash.files.retain(|name, _| kept(name));
        }
        let configuration = self.flash.files.get(&rules.configuration);
        let configuration = configuration.filter(|file| ends_asking(rules, file));
        let disabled = self.flash.files.contains_key(&rules.disabled_by);
        match configuration.cloned() {
            Some(file) => self.configured(rules, &file, story).await,
            None if disabled => Ok(()),
            None => self.unconfigured(rules, story).await,
        }
    }

    /// Starts with its configuration, and runs what that says.
    async fn configured(
        &mut self,
        rules: &ScriptRules,
        file: &[u8],
        story: &mut Story,
    ) -> Result<(), Cut> {
        let text = String::from_utf8_lossy(file).into_owned();
        let before = std::mem::take(&mut self.flash.settings);
        let kept = before.iter().filter(|(_, value)| *value == KEPT);
        let kept = kept.map(|(name, value)| (name.clone(), value.clone()));
        self.flash.settings.extend(kept);
        let settings = if file.starts_with(b"{") {
            leaves(file)
        } else {
            let lines = lines(&text).into_iter();
            lines.map(|line| (line, String::new())).collect()
        };
        for (name, value) in settings {
            if !before.contains_key(&name) {
                // A line of a configuration holds its value: its first word names it.
                let named = match value.is_empty() {
                    true => name.split_whitespace().next().unwrap_or(&name),
                    false => &name,
                };
                story.changed.push(named.to_owned());
            }
            self.flash.settings.insert(name, value);
        }
        if rules.cli.is_some() {
            self.starts_with(&text);
        }
        let Some(handler) = &rules.handler else {
            return Ok(());
        };
        let words = Words {
            section: &handler.section,
            trigger: &handler.trigger,
            action: &handler.action,
            delay: &handler.delay,
            quoted: handler.quoted,
        };
        for command in on_boot(&text, &words) {
            let clock = Arc::clone(&self.around.clock);
            if !clock.pass(Duration::from_secs(command.delay)).await {
                return Ok(());
            }
            let first = story.steps.len();
            let ended = if handler.quoted {
                let told = self.commands(rules, &command.command, story).await;
                told.map_or_else(|ended| ended, |(_, error)| Ended::With(i32::from(error)))
            } else {
                Shell::new(self, story).play(&command.command).await
            };
            for step in story.steps.iter_mut().skip(first) {
                step.purpose = Purpose::Report;
                story.reported |= step.made == Made::Taken;
            }
            match ended {
                Ended::Cut => return Err(Cut),
                Ended::Confused(why) => story.notes.push(why),
                Ended::With(_) | Ended::Reload | Ended::Left | Ended::Stopped => {}
            }
        }
        Ok(())
    }

    /// Asks for a script or a configuration, and plays it.
    async fn unconfigured(&mut self, rules: &ScriptRules, story: &mut Story) -> Result<(), Cut> {
        self.flash.settings.clear();
        let later = Duration::from_secs(rules.again_after);
        story.again = (rules.again_after > 0).then_some(Again::After(later));
        let belief = self.belief();
        let headers = self.own_headers();
        let mut body = None;
        for source in self.conduct.sources.order.clone() {
            let Some(url) = self.bases(source).into_iter().next() else {
                continue;
            };
            let purpose = Purpose::Configuration;
            body = self
                .get(&url, purpose, &headers, &belief, story)
                .await?
                .ok();
            if body.is_some() {
                break;
            }
        }
        let Some(body) = body.filter(|body| !body.is_empty()) else {
            return Ok(());
        };
        match rules.given {
            Given::Sections => self.by_sections(rules, &body, &belief, story).await,
            Given::ScriptOrConfiguration if !body.starts_with(b"#!") => {
                // Anything else is a configuration, and is kept as it is.
                self.flash.files.insert(rules.configuration.clone(), body);
                story.again = Some(Again::Now("it has a configuration".to_owned()));
                Ok(())
            }
            Given::ScriptOrConfiguration | Given::Installer => {
                self.by_script(rules, body, story).await
            }
        }
    }

    async fn by_script(
        &mut self,
        rules: &ScriptRules,
        body: Vec<u8>,
        story: &mut Story,
    ) -> Result<(), Cut> {
        let Ok(text) = String::from_utf8(body) else {
            story.made_unreadable("a script that is no text".to_owned());
            return Ok(());
        };
        if text.contains("\r\n") {
            story.made_unreadable("a script with carriage returns cannot be run".to_owned());
            return Ok(());
        }
        if !text.contains(&rules.marker) {
            story.made_unreadable(format!("it does not hold {}", rules.marker));
            return Ok(());
        }
        if !rules.sum_line.is_empty() && !sums_up(&text, &rules.sum_line) {
            story.made_unreadable("its sum is wrong".to_owned());
            return Ok(());
        }
        let new = !self.flash.files.contains_key(&rules.disabled_by);
        let ended = if is_python(&text) {
            python::play(self, rules, &text, story).await
        } else {
            Shell::new(self, story).play(&text).await
        };
        if let Some(cli) = &rules.cli
            && let Some(file) = self.flash.files.remove(&cli.replay)
            && ended == Ended::With(0)
        {
            self.flash.files.insert(rules.configuration.clone(), file);
        }
        let well = matches!(ended, Ended::With(0) | Ended::Reload);
        if well && !rules.deletes_later.is_empty() {
            self.deletes(rules);
        }
        if well && rules.done_by_exit {
            let name = rules.configuration.clone();
            self.flash.files.insert(name, b"done".to_vec());
        }
        if well && rules.done_by_exit && new {
            // What its programs changed is as it should be.
            self.flash.files.remove(&rules.disabled_by);
        }
        match ended {
            Ended::With(0) => {
                story.again = Some(Again::Now("the script ended well".to_owned()));
            }
            Ended::With(code) => story.notes.push(format!("the script ended with {code}")),
            Ended::Reload => {
                story.again = Some(Again::Now("the script restarted it".to_owned()));
            }
            Ended::Stopped => {
                story.again = Some(Again::Now("it has a configuration".to_owned()));
            }
            Ended::Cut => return Err(Cut),
            Ended::Left => {
                story
                    .notes
                    .push("switched off while the script waited".to_owned());
                story.again = None;
            }
            Ended::Confused(why) => story.notes.push(format!("the script: {why}")),
        }
        Ok(())
    }

    /// Takes out what the configuration itself takes out after a while.
    fn deletes(&mut self, rules: &ScriptRules) {
        let Ok(expression) = Regex::new(&rules.deletes_later) else {
            return;
        };
        let Some(file) = self.flash.files.get(&rules.configuration) else {
            return;
        };
        let text = String::from_utf8_lossy(file).into_owned();
        let found = expression.captures_iter(&text);
        let gone: Vec<&str> = found
            .filter_map(|parts| Some(parts.name("line")?.as_str()))
            .collect();
        let left = text.lines().filter(|line| !gone.contains(line));
        let left: Vec<&str> = left.collect();
        let left = left.join("\n").into_bytes();
        self.flash.files.insert(rules.configuration.clone(), left);
    }

    async fn by_sections(
        &mut self,
        rules: &ScriptRules,
        body: &[u8],
        belief: &Belief,
        story: &mut Story,
    ) -> Result<(), Cut> {
        let outcome = self.play_sections(rules, body, belief, story).await?;
        let configured = self.flash.files.contains_key(&rules.configuration);
        match outcome {
            // Without a configuration it begins anew.
            Outcome::Done if configured => {
                story.again = Some(Again::Now("it has a configuration".to_owned()));
            }
            Outcome::Anew => drop(self.flash.files.remove(&rules.configuration)),
            Outcome::Over => {
                let name = rules.disabled_by.clone();
                self.flash.files.insert(name, Vec::new());
                story.again = None;
            }
            Outcome::Left => story.again = None,
            Outcome::Done | Outcome::Unreadable => {}
        }
        Ok(())
    }
}

/// Whether the sum that a script holds is that of its other lines.
fn sums_up(text: &str, begin: &str) -> bool {
    let mut sum = Md5::new();
    let mut told = "";
    for line in text.split_inclusive('\n') {
        match line.strip_prefix(begin) {
            Some(rest) => told = rest.trim().trim_matches('"'),
            None => sum.update(line),
        }
    }
    let own: String = sum
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    told.eq_ignore_ascii_case(&own)
}

/// Whether a configuration ends the unit's asking.
fn ends_asking(rules: &ScriptRules, file: &[u8]) -> bool {
    let text = String::from_utf8_lossy(file);
    let goes_on = !rules.asks_while.is_empty() && text.lines().any(|line| line == rules.asks_while);
    !file.is_empty() && !goes_on
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_of_the_other_lines() {
        let script = "#!/bin/env python3\n#md5sum=\"f5b9756f29c9414a9e359428ba4e2414\"\nprint(1)\n";
        assert!(sums_up(script, "#md5sum="));
        assert!(!sums_up(&script.replace("(1)", "(2)"), "#md5sum="));
        assert!(!sums_up("print(1)\n", "#md5sum="));
    }
}
