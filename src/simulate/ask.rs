//! What a unit asks a source for, request by request.

use std::collections::VecDeque;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::belief::Belief;
use super::client::{Answer, Asked, Failure};
use super::conduct::{Apply, Includes, Missing, PointerFile, Reads, Request, Source};
use super::fill::{join, names_file};
use super::read::{self, Sheet};
use super::run::Cut;
use super::story::{Made, Purpose, Step, Story};
use super::unit::Unit;

/// The most requests of one run: a file that includes itself ends here.
const MOST: usize = 200;

/// A file that the unit is about to ask for.
struct Wanted {
    url: String,
    request: Request,
}

/// A file that came.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// The last part of its URL's path.
    pub(super) name: String,
    pub(super) digest: Vec<u8>,
    pub(super) sheet: Sheet,
}

/// What came of one source.
#[derive(Default)]
pub(super) struct Asking {
    pub(super) files: Vec<Taken>,
    pub(super) failed: bool,
}

impl Unit {
    /// Asks a source for its files, in order.
    pub(super) async fn ask(
        &mut self,
        source: Source,
        base: &str,
        belief: &mut Belief,
        story: &mut Story,
    ) -> Result<Asking, Cut> {
        let mut asking = Asking::default();
        let mut queue = self.requests(source, base);
        let mut named: VecDeque<Wanted> = VecDeque::new();
        let mut given = false;
        let mut first = true;
        loop {
            let mut own = true;
            let wanted = if let Some(wanted) = named.pop_front() {
                own = false;
                wanted
            } else {
                let Some(request) = queue.pop_front() else {
                    break;
                };
                if request.fallback && given {
                    continue;
                }
                let url = self.url_of(&request, source, base, first);
                first = false;
                let Some(url) = url else { continue };
                Wanted { url, request }
            };
            if story.steps.len() >= MOST {
                story.notes.push(format!("gave up after {MOST} requests"));
                asking.failed = true;
                break;
            }
            let request = &wanted.request;
            let stops = request.missing == Missing::Stop;
            let body = match self.try_for(&wanted, belief, story).await? {
                Ok(body) => body,
                Err(Some(failure)) if failure.is_unreachable() => {
                    asking.failed = true;
                    break;
                }
                Err(_) => {
                    given &= !own;
                    if stops {
                        asking.failed = true;
                    }
                    if stops || request.ends {
                        break;
                    }
                    continue;
                }
            };
            given |= own;
            if request.unread {
                continue;
            }
            let empty = body.trim_ascii().is_empty();
            let files = match self.chain(&wanted, body, belief, story).await? {
                Ok(files) => files,
                Err(why) => {
                    given &= !own;
                    story.made_unreadable(why);
                    if stops {
                        asking.failed = true;
                        break;
                    }
                    continue;
                }
            };
            if request.includes != Includes::None {
                if request.includes == Includes::Replace {
                    queue.clear();
                }
                named = self.named_in(&files, &wanted);
            }
            if self.conduct.file.apply == Apply::Each {
                self.take(&files, base, belief, story).await?;
            }
            asking.files.extend(files);
            if request.ends || (request.empty_ends && empty) {
                break;
            }
        }
        asking.failed |= asking.files.is_empty();
        Ok(asking)
    }

    /// The requests of the conduct that belong to this source.
    fn requests(&self, source: Source, base: &str) -> VecDeque<Request> {
        let own = self.conduct.requests.iter();
        let own = own.filter(|request| request.source.is_none_or(|only| only == source));
        let mut requests: VecDeque<Request> = own.cloned().collect();
        let rule = self.conduct.sources.pointer_file;
        if names_file(base) && (source == Source::Pointer || rule == PointerFile::Alone) {
            let whole = |request: Request| Request {
                name: base.replace('{', "{{").replace('}', "}}"),
                setting: String::new(),
                ..request
            };
            match rule {
                PointerFile::Folder => {}
                PointerFile::First => {
                    let first = requests.pop_front().unwrap_or_default();
                    requests.push_front(whole(first));
                }
                PointerFile::Alone => {
                    let first = requests.pop_front().unwrap_or_default();
                    requests = VecDeque::from([whole(first)]);
                }
            }
        }
        requests
    }

    /// Reads a file, and goes over to the first of those that it goes over to and that is given.
    async fn chain(
        &mut self,
        wanted: &Wanted,
        body: Vec<u8>,
        belief: &Belief,
        story: &mut Story,
    ) -> Result<Result<Vec<Taken>, String>, Cut> {
        let mut files = Vec::new();
        let mut at = Wanted {
            url: wanted.url.clone(),
            request: wanted.request.clone(),
        };
        let mut own = match self.taken(&at, &body) {
            Ok(own) => own,
            Err(why) => return Ok(Err(why)),
        };
        loop {
            let mut next = None;
            for get in std::mem::take(&mut own.sheet.gets) {
                if story.steps.len() >= MOST {
                    break;
                }
                let there = Wanted {
                    url: join(&at.url, &self.filler.given(&get.name)),
                    request: wanted.request.clone(),
                };
                let Ok(body) = self.try_for(&there, belief, story).await? else {
                    continue;
                };
                match self.taken(&there, &body) {
                    Ok(other) => {
                        own.sheet.entries.truncate(get.after);
                        next = Some((there, other));
                        break;
                    }
                    Err(why) => story.made_unreadable(why),
                }
            }
            files.push(own);
            let Some((there, other)) = next else {
                return Ok(Ok(files));
            };
            (at, own) = (there, other);
        }
    }

    fn taken(&self, wanted: &Wanted, body: &[u8]) -> Result<Taken, String> {
        let sheet = self.read(body)?;
        let name = file_name(&wanted.url);
        self.acceptable(&name, &sheet)?;
        Ok(Taken {
            name,
            digest: Sha256::digest(body).to_vec(),
            sheet,
        })
    }

    /// The files that these name.
    fn named_in(&self, files: &[Taken], wanted: &Wanted) -> VecDeque<Wanted> {
        let sheets = files.iter().map(|file| &file.sheet);
        let mut names: Vec<String> = sheets
            .clone()
            .flat_map(|sheet| sheet.includes.clone())
            .collect();
        for rule in &self.conduct.file.names_files {
            let entries = sheets.clone().flat_map(|sheet| &sheet.entries);
            for (_, value) in entries.filter(|(name, _)| *name == rule.setting) {
                let parts: Vec<&str> = if rule.split.is_empty() {
                    vec![value]
                } else {
                    value.split(&rule.split).collect()
                };
                let parts = parts.into_iter().map(str::trim);
                let parts = parts.filter(|part| !part.is_empty());
                names.extend(parts.map(str::to_owned));
            }
        }
        let wanted = names.iter().map(|name| Wanted {
            url: join(&wanted.url, &self.filler.given(name)),
            request: Request {
                includes: Includes::None,
                missing: Missing::Next,
                ..wanted.request.clone()
            },
        });
        wanted.collect()
    }

    /// Where a request of the conduct goes; `None` where its setting is empty.
    pub(super) fn url_of(
        &self,
        request: &Request,
        source: Source,
        base: &str,
        first: bool,
    ) -> Option<String> {
        // Only what is written as a folder, or names no file, has files below it.
        let folder = if base.ends_with('/') || names_file(base) {
            base.to_owned()
        } else {
            format!("{base}/")
        };
        if !request.name.is_empty() {
            return Some(join(&folder, &self.filler.text(&request.name)));
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
        (!rule.is_empty()).then(|| join(&folder, &self.filler.given(rule)))
    }

    /// Asks for one file as often as the unit tries.
    async fn try_for(
        &mut self,
        wanted: &Wanted,
        belief: &Belief,
        story: &mut Story,
    ) -> Result<Result<Vec<u8>, Option<Failure>>, Cut> {
        let mut last = None;
        for _ in 0..wanted.request.tries.max(1) {
            let mut headers = self.own_headers();
            for (name, value) in &wanted.request.headers {
                headers.retain(|(own, _)| own != name);
                headers.push((name.clone(), self.filler.text(value)));
            }
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
        let conduct = &self.conduct;
        let rules = &conduct.file;
        match conduct.reads {
            Reads::Ini => read::ini::read(body, &rules.first_line, &self.who.model),
            Reads::Lines => read::lines::read(body, &rules.first_line, &conduct.lines),
            Reads::Xml => read::xml::read(body, &rules.root.0, &conduct.xml),
            Reads::SetScript => read::set_script::read(body, &self.filler.own_macros()),
            Reads::Nothing => Ok(Sheet::default()),
            Reads::Script => Err("a script is no file of settings".to_owned()),
        }
    }
}

/// The last part of a URL's path: what the unit calls the file.
fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
