//! A unit that asks for a script until it has a configuration.

use std::sync::Arc;
use std::time::Duration;

use super::conduct::ScriptRules;
use super::read::switch::{Words, lines, on_boot};
use super::run::Cut;
use super::script::{Ended, Shell};
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
        let configuration = configuration.filter(|file| !file.is_empty()).cloned();
        let disabled = self.flash.files.contains_key(&rules.disabled_by);
        match configuration {
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
        for line in lines(&text) {
            if !before.contains_key(&line) {
                story.changed.push(line.clone());
            }
            self.flash.settings.insert(line, String::new());
        }
        let Some(handler) = &rules.handler else {
            return Ok(());
        };
        let words = Words {
            section: &handler.section,
            trigger: &handler.trigger,
            action: &handler.action,
            delay: &handler.delay,
        };
        for command in on_boot(&text, &words) {
            let clock = Arc::clone(&self.around.clock);
            if !clock.pass(Duration::from_secs(command.delay)).await {
                return Ok(());
            }
            let first = story.steps.len();
            let ended = Shell::new(self, story).play(&command.command).await;
            for step in story.steps.iter_mut().skip(first) {
                step.purpose = Purpose::Report;
                story.reported |= step.made == Made::Taken;
            }
            match ended {
                Ended::Cut => return Err(Cut),
                Ended::Confused(why) => story.notes.push(why),
                Ended::With(_) | Ended::Reload | Ended::Left => {}
            }
        }
        Ok(())
    }

    /// Asks for a script or a configuration, and plays it.
    async fn unconfigured(&mut self, rules: &ScriptRules, story: &mut Story) -> Result<(), Cut> {
        self.flash.settings.clear();
        story.again = Some(Again::After(Duration::from_secs(rules.again_after)));
        let belief = self.belief();
        let headers = self.own_headers();
        let mut body = None;
        for source in self.conduct.sources.order.clone() {
            let Some(url) = self.base(source) else {
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
        let Some(body) = body else {
            return Ok(());
        };
        if !body.starts_with(b"#!") {
            if body.is_empty() {
                return Ok(());
            }
            // Anything else is a configuration, and is kept as it is.
            self.flash.files.insert(rules.configuration.clone(), body);
            story.again = Some(Again::Now("it has a configuration".to_owned()));
            return Ok(());
        }
        let Ok(text) = String::from_utf8(body) else {
            story.made_unreadable("a script that is no text".to_owned());
            return Ok(());
        };
        if text.lines().next().is_some_and(|_| text.contains("\r\n")) {
            story.made_unreadable("a script with carriage returns cannot be run".to_owned());
            return Ok(());
        }
        match Shell::new(self, story).play(&text).await {
            Ended::With(0) => {
                story.again = Some(Again::Now("the script ended well".to_owned()));
            }
            Ended::With(code) => story.notes.push(format!("the script ended with {code}")),
            Ended::Reload => {
                story.again = Some(Again::Now("the script restarted it".to_owned()));
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
}
