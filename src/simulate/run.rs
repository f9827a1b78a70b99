//! One run of a unit: it asks, takes, applies, registers and reports.

use std::time::Duration;

use super::belief::Belief;
use super::client::Asked;
use super::conduct::{Apply, Reads, Source, Timer};
use super::fill::from_settings;
use super::story::{Again, Purpose, Story};
use super::unit::{Unit, accounts_in};

/// The most addresses that a unit follows in one run: two servers may name each other.
const MOST_FOLLOWED: usize = 4;

/// The power was cut.
pub(super) struct Cut;

impl Unit {
    /// Switches the unit on: one run, until it rests or wants to restart.
    pub async fn boot(&mut self) -> Story {
        self.run(true).await
    }

    /// Asks without being switched off: its timer ran out, or somebody told it to.
    pub async fn fetch(&mut self) -> Story {
        self.run(false).await
    }

    async fn run(&mut self, power_on: bool) -> Story {
        let mut story = Story::default();
        self.waited = Duration::ZERO;
        let certificate = self.around.client_certificate.clone();
        self.client.surround(self.around.bind, certificate);
        if self.play(power_on, &mut story).await.is_err() {
            story.cut = true;
            story.again = None;
        }
        self.left = None;
        self.again.clone_from(&story.again);
        story
    }

    async fn play(&mut self, power_on: bool, story: &mut Story) -> Result<(), Cut> {
        if self.conduct.reads == Reads::Script {
            return self.play_script(power_on, story).await;
        }
        let mut belief = self.belief();
        let known = accounts_in(&self.conduct, &self.flash.settings);
        let failed = self.ask_sources(power_on, &mut belief, story).await?;
        let restarts = &self.conduct.file.restart;
        let needs = story
            .changed
            .iter()
            .find(|name| restarts.iter().any(|start| name.starts_with(start)));
        if let Some(name) = needs {
            story.again = Some(Again::Now(format!("{name} changed")));
            return Ok(());
        }
        let told = self.conduct.file.restart_when.as_ref();
        if let Some(when) = told.filter(|when| !story.changed.is_empty() && self.holds(when)) {
            story.again = Some(Again::Now(format!("{} is set", when.setting)));
            return Ok(());
        }
        let accounts = accounts_in(&self.conduct, &self.flash.settings);
        if !accounts.is_empty() && (power_on || accounts != known) {
            self.register(&belief, story).await?;
        }
        let rules = &self.conduct.again;
        let timer = if failed { rules.failed.as_ref() } else { None };
        story.again = timer
            .or(rules.poll.as_ref())
            .and_then(|timer| self.timer(timer))
            .map(Again::After);
        Ok(())
    }

    /// Asks the sources in the unit's order until one gave a file. Says whether that failed.
    async fn ask_sources(
        &mut self,
        power_on: bool,
        belief: &mut Belief,
        story: &mut Story,
    ) -> Result<bool, Cut> {
        let mut failed = true;
        let mut asked = Vec::new();
        let mut waiting: Vec<(Source, String)> = Vec::new();
        for source in self.order(power_on) {
            waiting.extend(self.bases(source).into_iter().map(|base| (source, base)));
        }
        waiting.reverse();
        while let Some((source, base)) = waiting.pop() {
            asked.push(base.clone());
            let taken = self.ask(source, &base, belief, story).await?;
            failed = taken.failed;
            if taken.files.is_empty() {
                continue;
            }
            if self.conduct.file.apply == Apply::All {
                self.take(&taken.files, &base, belief, story).await?;
            }
            if !self.conduct.sources.follows || asked.len() > MOST_FOLLOWED {
                break;
            }
            let stored = self.bases(Source::Stored);
            let fresh = stored.into_iter().filter(|base| !asked.contains(base));
            waiting = fresh.map(|base| (Source::Stored, base)).collect();
            waiting.reverse();
        }
        Ok(failed)
    }

    /// The sources in the order that the unit has now.
    fn order(&self, power_on: bool) -> Vec<Source> {
        let sources = &self.conduct.sources;
        if !power_on && !sources.polls.is_empty() {
            return sources.polls.clone();
        }
        let Some(rule) = &sources.order_setting else {
            return sources.order.clone();
        };
        let words = self.setting(&rule.setting).split_ascii_whitespace();
        let words = words.map(|word| word.split(':').next().unwrap_or(word));
        let mut order = Vec::new();
        for source in words.filter_map(|word| rule.words.get(word)) {
            if !order.contains(source) {
                order.push(*source);
            }
        }
        order
    }

    /// The addresses that a source names, without those that the unit does not ask.
    pub(super) fn bases(&self, source: Source) -> Vec<String> {
        let sources = &self.conduct.sources;
        let texts = match source {
            Source::Pointer => {
                let off = &sources.ignore_pointer;
                let mut all = off.iter();
                let ignored =
                    !off.is_empty() && all.all(|(name, value)| value.has(self.setting(name)));
                let pointer = self.around.pointer.clone();
                pointer.filter(|_| !ignored).into_iter().collect()
            }
            Source::Stored => self.stored(),
        };
        let texts = texts.iter().map(|text| self.filler.given(text.trim()));
        // A name without a server is no source, and the maker's own services do not know us.
        texts
            .filter(|text| text.contains("://"))
            .filter(|text| !sources.makers.iter().any(|own| text.starts_with(own)))
            .collect()
    }

    fn stored(&self) -> Vec<String> {
        let sources = &self.conduct.sources;
        if sources.stored_url.is_empty() {
            return vec![self.setting(&sources.stored).to_owned()];
        }
        let rules = sources.stored_url.iter();
        let setting = |name: &str| self.setting(name);
        rules
            .filter(|rule| rule.when.as_ref().is_none_or(|when| self.holds(when)))
            .filter_map(|rule| from_settings(&rule.url, rule.bare, &setting))
            .collect()
    }

    /// Registers its first account, and reports as its settings say.
    async fn register(&mut self, belief: &Belief, story: &mut Story) -> Result<(), Cut> {
        let Some(account) = self.account() else {
            return Ok(());
        };
        let ok = self.around.registrar_ok;
        story.registered = Some(ok);
        let rules = self.conduct.report.clone();
        let setting = if ok { &rules.registered } else { &rules.failed };
        let address = self.setting(setting).to_owned();
        let off = rules.only.as_ref().is_some_and(|when| !self.holds(when));
        if address.is_empty() || off {
            return Ok(());
        }
        if rules.longest > 0 && address.len() > rules.longest {
            let what = format!("{setting} has more than {} octets", rules.longest);
            story.notes.push(what);
            return Ok(());
        }
        self.filler.set("user", account.user);
        self.filler.set("line", account.line.to_string());
        for (word, [yes, no]) in rules.words {
            self.filler.set(&word, if ok { yes } else { no });
        }
        let ip = self.around.bind.map(|ip| ip.to_string());
        self.filler.set("ip", ip.unwrap_or_default());
        let mut url = self.filler.given(&address);
        if !url.contains("://") {
            url.insert_str(0, "http://");
        }
        let mut asked = Asked {
            method: "GET".to_owned(),
            url,
            headers: self.own_headers(),
            body: Vec::new(),
        };
        if !rules.body.is_empty() {
            "POST".clone_into(&mut asked.method);
            asked.body = self.filler.text(&rules.body).into_bytes();
        }
        let answer = self.ask_for(&asked, Purpose::Report, belief, story).await?;
        story.reported = answer.is_ok_and(|answer| (200..300).contains(&answer.status));
        Ok(())
    }

    /// The time of a timer, where it runs.
    pub(super) fn timer(&self, timer: &Timer) -> Option<Duration> {
        if timer.only.as_ref().is_some_and(|when| !self.holds(when)) {
            return None;
        }
        // A list of times begins with the first one.
        let list = self.setting(&timer.setting);
        let first = list.split([',', '+']).next().unwrap_or_default();
        let number: u64 = first.trim().parse().ok()?;
        let seconds = number.checked_mul(u64::from(timer.seconds))?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }
}
