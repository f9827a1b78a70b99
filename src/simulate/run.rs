//! One run of a unit: it asks, takes, applies, registers and reports.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::apply::planned;
use super::belief::Belief;
use super::client::{Answer, Asked, Failure};
use super::conduct::{Apply, Missing, Reads, Request, Source, Timer};
use super::fill::join;
use super::read::{self, Sheet};
use super::story::{Again, Made, Purpose, Step, Story};
use super::unit::{Unit, accounts_in};

/// The most requests of one run: a file that includes itself ends here.
const MOST: usize = 200;

/// The power was cut.
pub(super) struct Cut;

/// A file that the unit is about to ask for.
struct Wanted {
    url: String,
    tries: u8,
    includes: bool,
    missing: Missing,
}

/// What came of one source.
#[derive(Default)]
struct Taken {
    /// Digest of each file by its name, and what it says.
    files: Vec<(String, Vec<u8>, Sheet)>,
    failed: bool,
}

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
        let belief = self.belief();
        let known = accounts_in(&self.conduct, &self.flash.settings);
        let mut failed = true;
        for source in self.conduct.sources.order.clone() {
            let Some(base) = self.base(source) else {
                continue;
            };
            let taken = self.ask(source, &base, &belief, story).await?;
            failed = taken.failed;
            if !taken.files.is_empty() {
                if self.conduct.file.apply == Apply::All {
                    self.take(&taken.files, &belief, story).await?;
                }
                break;
            }
        }
        let restarts = &self.conduct.file.restart;
        let needs = story
            .changed
            .iter()
            .find(|name| restarts.iter().any(|start| name.starts_with(start)));
        if let Some(name) = needs {
            story.again = Some(Again::Now(format!("{name} changed")));
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

    /// The address that a source names, unless the unit does not ask it.
    pub(super) fn base(&self, source: Source) -> Option<String> {
        let sources = &self.conduct.sources;
        let text = match source {
            Source::Pointer => {
                let off = &sources.ignore_pointer;
                let ignored =
                    !off.is_empty() && off.iter().all(|(name, value)| self.setting(name) == value);
                self.around.pointer.clone().filter(|_| !ignored)?
            }
            Source::Stored => self.setting(&sources.stored).to_owned(),
        };
        let text = self.filler.given(text.trim());
        // A name without a server is no source.
        text.contains("://").then_some(text)
    }

    /// Asks a source for its files, in order.
    async fn ask(
        &mut self,
        source: Source,
        base: &str,
        belief: &Belief,
        story: &mut Story,
    ) -> Result<Taken, Cut> {
        let mut taken = Taken::default();
        let mut queue: VecDeque<Request> = self.conduct.requests.clone().into();
        let mut named: VecDeque<Wanted> = VecDeque::new();
        let mut first = true;
        loop {
            let wanted = if let Some(wanted) = named.pop_front() {
                wanted
            } else {
                let Some(request) = queue.pop_front() else {
                    break;
                };
                let url = self.url_of(&request, source, base, first);
                first = false;
                let Some(url) = url else { continue };
                Wanted {
                    url,
                    tries: request.tries,
                    includes: request.includes,
                    missing: request.missing,
                }
            };
            if story.steps.len() >= MOST {
                story.notes.push(format!("gave up after {MOST} requests"));
                taken.failed = true;
                break;
            }
            match self.try_for(&wanted, belief, story).await? {
                Ok(body) => {
                    let sheet = match self.read(&body) {
                        Ok(sheet) => sheet,
                        Err(why) => {
                            story.made_unreadable(why);
                            taken.failed |= wanted.missing == Missing::Stop;
                            if taken.failed {
                                break;
                            }
                            continue;
                        }
                    };
                    if wanted.includes {
                        queue.clear();
                        named = sheet
                            .includes
                            .iter()
                            .map(|target| Wanted {
                                url: join(&wanted.url, &self.filler.given(target)),
                                tries: wanted.tries,
                                includes: false,
                                missing: Missing::Next,
                            })
                            .collect();
                    }
                    let file = (
                        file_name(&wanted.url),
                        Sha256::digest(&body).to_vec(),
                        sheet,
                    );
                    if self.conduct.file.apply == Apply::Each {
                        self.take(std::slice::from_ref(&file), belief, story)
                            .await?;
                    }
                    taken.files.push(file);
                }
                Err(Some(failure)) if failure.is_unreachable() => {
                    taken.failed = true;
                    break;
                }
                Err(_) => {
                    if wanted.missing == Missing::Stop {
                        taken.failed = true;
                        break;
                    }
                }
            }
        }
        taken.failed |= taken.files.is_empty();
        Ok(taken)
    }

    /// Where a request of the conduct goes; `None` where its setting is empty.
    pub(super) fn url_of(
        &self,
        request: &Request,
        source: Source,
        base: &str,
        first: bool,
    ) -> Option<String> {
        if !request.name.is_empty() {
            return Some(join(base, &self.filler.text(&request.name)));
        }
        let pointed = source == Source::Pointer && first;
        if pointed && !base.ends_with('/') {
            // A pointer that names a file is asked as it stands.
            return Some(base.to_owned());
        }
        let setting = &request.setting;
        let rule = if pointed {
            // The pointer's server, in place of the one that the setting may name.
            self.conduct.factory.get(setting).map_or("", String::as_str)
        } else {
            self.setting(setting)
        };
        // Options of the fetch stand before the address, in brackets.
        let rule = rule.rsplit(']').next().unwrap_or(rule).trim();
        (!rule.is_empty()).then(|| join(base, &self.filler.given(rule)))
    }

    /// Asks for one file as often as the unit tries.
    async fn try_for(
        &mut self,
        wanted: &Wanted,
        belief: &Belief,
        story: &mut Story,
    ) -> Result<Result<Vec<u8>, Option<Failure>>, Cut> {
        let mut last = None;
        for _ in 0..wanted.tries.max(1) {
            let headers = self.own_headers();
            match self
                .get(&wanted.url, Purpose::Configuration, &headers, belief, story)
                .await?
            {
                Ok(body) => return Ok(Ok(body)),
                Err(failure) => last = failure,
            }
        }
        Ok(Err(last))
    }

    /// The headers of a request that the unit makes by itself.
    pub(super) fn own_headers(&self) -> Vec<(String, String)> {
        self.conduct
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), self.filler.text(value)))
            .collect()
    }

    /// A GET. The error is `None` where the server did not give it.
    pub(super) async fn get(
        &mut self,
        url: &str,
        purpose: Purpose,
        headers: &[(String, String)],
        belief: &Belief,
        story: &mut Story,
    ) -> Result<Result<Vec<u8>, Option<Failure>>, Cut> {
        let asked = Asked {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: headers.to_vec(),
            body: Vec::new(),
        };
        Ok(match self.ask_for(&asked, purpose, belief, story).await? {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(answer.body),
            Ok(_) => Err(None),
            Err(failure) => Err(Some(failure)),
        })
    }

    /// One request, written into the story.
    pub(super) async fn ask_for(
        &mut self,
        asked: &Asked,
        purpose: Purpose,
        belief: &Belief,
        story: &mut Story,
    ) -> Result<Result<Answer, Failure>, Cut> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1).ok_or(Cut)?;
        }
        let now = self.now();
        let begun = Instant::now();
        let answer = self.client.ask(asked, belief, now).await;
        let mut step = Step {
            url: asked.url.clone(),
            purpose,
            status: None,
            bytes: 0,
            made: Made::NotGiven,
            took: begun.elapsed(),
        };
        match &answer {
            Ok(answer) => {
                step.status = Some(answer.status);
                step.bytes = answer.body.len();
                if (200..300).contains(&answer.status) {
                    step.made = Made::Taken;
                }
            }
            Err(failure) => step.made = Made::Failed(failure.clone()),
        }
        story.steps.push(step);
        Ok(answer)
    }

    fn read(&self, body: &[u8]) -> Result<Sheet, String> {
        let rules = &self.conduct.file;
        match self.conduct.reads {
            Reads::Ini => read::ini::read(body, &rules.first_line, &self.who.model),
            Reads::Xml => read::xml::read(body, &rules.root),
            Reads::Nothing => Ok(Sheet::default()),
            Reads::Script => Err("a script is no file of settings".to_owned()),
        }
    }

    /// Applies files, with the certificates that they name.
    async fn take(
        &mut self,
        files: &[(String, Vec<u8>, Sheet)],
        belief: &Belief,
        story: &mut Story,
    ) -> Result<(), Cut> {
        let same = |(name, digest, _): &(String, Vec<u8>, Sheet)| {
            self.flash.digests.get(name) == Some(digest)
        };
        if files.iter().all(same) {
            return Ok(());
        }
        let entries: Vec<(String, String)> = files
            .iter()
            .flat_map(|(_, _, sheet)| sheet.entries.clone())
            .collect();
        for (name, _, sheet) in files {
            let odd = sheet.odd.iter();
            story
                .notes
                .extend(odd.map(|what| format!("{name}: {what} is not understood")));
        }
        let (after, changed) = planned(&self.conduct, &self.flash.settings, &entries);
        let mut cas = self.flash.cas.clone();
        let mut whole = true;
        if let Some(rules) = self.conduct.trust.ca.clone() {
            let deletes = rules.delete.as_ref().is_some_and(|when| {
                let mut words = entries.iter();
                words.any(|(name, value)| *name == when.setting && *value == when.is)
            });
            if deletes {
                cas.clear();
            }
            let url = after.get(&rules.setting).map_or("", String::as_str);
            let url = self.filler.given(url);
            if !url.is_empty() && !cas.contains_key(&url) {
                let headers = self.own_headers();
                let body = self
                    .get(&url, Purpose::Resource, &headers, belief, story)
                    .await?;
                let found = body.as_deref().map_or_else(|_| Vec::new(), read::pem::read);
                whole = !found.is_empty();
                if whole {
                    cas.insert(url, found);
                } else if body.is_ok() {
                    story.made_unreadable("no certificate".to_owned());
                }
            }
        }
        // From here on everything is kept.
        self.flash.settings = after;
        self.flash.cas = cas;
        for (name, digest, _) in files {
            if whole {
                self.flash.digests.insert(name.clone(), digest.clone());
            } else {
                self.flash.digests.remove(name);
            }
        }
        story.changed.extend(changed);
        Ok(())
    }

    /// Registers its first account, and reports as its settings say.
    async fn register(&mut self, belief: &Belief, story: &mut Story) -> Result<(), Cut> {
        let Some(account) = self.account() else {
            return Ok(());
        };
        let ok = self.around.registrar_ok;
        story.registered = Some(ok);
        let rules = &self.conduct.report;
        let setting = if ok { &rules.registered } else { &rules.failed };
        let address = self.setting(setting).to_owned();
        if address.is_empty() {
            return Ok(());
        }
        self.filler.set("user", account.user);
        let ip = self.around.bind.map(|ip| ip.to_string());
        self.filler.set("ip", ip.unwrap_or_default());
        let url = self.filler.given(&address);
        let headers = self.own_headers();
        let answer = self
            .get(&url, Purpose::Report, &headers, belief, story)
            .await?;
        story.reported = answer.is_ok();
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

/// The last part of a URL's path: what the unit calls the file.
fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
