//! The commands of a script: the shell's own, files, and what the conduct says of the rest.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::{rfc2822, strtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::parse::parse;
use super::shell::{Flow, Shell, Step, Stop, Streams};
use super::{arith, test, text};

/// The value of a setting that a program told.
pub(in super::super) const KEPT: &str = "kept";

impl Shell<'_> {
    /// Calls a command by its name. Its exit code is the status afterwards.
    pub(super) fn call<'a>(
        &'a mut self,
        name: &'a str,
        words: &'a [String],
        streams: &'a mut Streams,
    ) -> Step<'a, Flow> {
        Box::pin(async move {
            if let Some(body) = self.functions.get(name).cloned() {
                self.deeper()?;
                let asked = self.asked;
                let arguments = std::mem::replace(&mut self.arguments, words.to_vec());
                self.hidden.push(std::collections::BTreeMap::new());
                let flow = self.run(&body, streams, asked).await?;
                for (name, value) in self.hidden.pop().unwrap_or_default() {
                    match value {
                        Some(value) => self.variables.insert(name, value),
                        None => self.variables.remove(&name),
                    };
                }
                self.arguments = arguments;
                self.depth = self.depth.saturating_sub(1);
                if let Flow::Return(code) = flow {
                    self.status = code;
                    return Ok(Flow::On);
                }
                return Ok(flow);
            }
            let code = match self.own(name, words, streams).await? {
                Own::Flow(flow) => return Ok(flow),
                Own::Code(code) => code,
                Own::Unknown => self.program(name, words, streams).await?,
            };
            self.status = code;
            Ok(Flow::On)
        })
    }

    /// The shell's own commands.
    async fn own(
        &mut self,
        name: &str,
        words: &[String],
        streams: &mut Streams,
    ) -> Result<Own, Stop> {
        let first = words.first().map_or("", String::as_str);
        let number = first.parse::<i32>().unwrap_or(self.status);
        Ok(match name {
            ":" | "true" => Own::Code(0),
            "false" => Own::Code(1),
            "exit" => Own::Flow(Flow::Exit(number)),
            "return" => Own::Flow(Flow::Return(number)),
            "break" => Own::Flow(Flow::Break),
            "continue" => Own::Flow(Flow::Continue),
            "[" | "test" | "[[" => {
                let end = if name == "[" { "]" } else { "]]" };
                let words = match words.split_last() {
                    Some((last, rest)) if name != "test" && last == end => rest,
                    Some(_) | None => words,
                };
                let verdict = test::holds(words, |name| self.file(name).map(|file| file.len()));
                Own::Code(match verdict {
                    Ok(holds) => i32::from(!holds),
                    Err(why) => return Err(Stop::Confused(why)),
                })
            }
            "let" => {
                let mut value = 0;
                for word in words {
                    let found = arith::value(word, &mut self.variables);
                    value = found.map_err(Stop::Confused)?;
                }
                Own::Code(i32::from(value == 0))
            }
            "set" => {
                for word in words {
                    match word.as_str() {
                        "pipefail" => self.pipes_fail = true,
                        "errexit" => self.exits_on_error = true,
                        on if on.starts_with('-') && on.contains('e') => self.exits_on_error = true,
                        off if off.starts_with('+') && off.contains('e') => {
                            self.exits_on_error = false;
                        }
                        _ => {}
                    }
                }
                Own::Code(0)
            }
            "export" | "readonly" | "declare" | "local" | "typeset" => {
                for word in words.iter().filter(|word| !word.starts_with('-')) {
                    let (name_, value) = match word.split_once('=') {
                        Some((name, value)) => (name, Some(value.to_owned())),
                        None => (word.as_str(), None),
                    };
                    if name == "local"
                        && let Some(frame) = self.hidden.last_mut()
                    {
                        let old = self.variables.get(name_).cloned();
                        frame.entry(name_.to_owned()).or_insert(old);
                        self.variables.remove(name_);
                    }
                    if let Some(value) = value {
                        self.variables.insert(name_.to_owned(), value);
                    }
                    if name == "export" {
                        self.exported.insert(name_.to_owned());
                    }
                }
                Own::Code(0)
            }
            "unset" => {
                for word in words {
                    self.variables.remove(word);
                }
                Own::Code(0)
            }
            "shift" => {
                let count = first.parse().unwrap_or(1).min(self.arguments.len());
                self.arguments.drain(..count);
                Own::Code(0)
            }
            "trap" => {
                if words.iter().any(|word| word == "EXIT" || word == "0") {
                    first.trim_start_matches('-').clone_into(&mut self.at_exit);
                }
                Own::Code(0)
            }
            "read" => Own::Code(self.read(words, streams)),
            "eval" => {
                let text = words.join(" ");
                let tree = parse(&text).map_err(Stop::Confused)?;
                return Ok(match self.run(&tree, streams, false).await? {
                    Flow::On => Own::Code(self.status),
                    flow @ (Flow::Exit(_) | Flow::Return(_) | Flow::Break | Flow::Continue) => {
                        Own::Flow(flow)
                    }
                });
            }
            "." | "source" => {
                let Some(file) = self.file(first) else {
                    return Ok(Own::Code(1));
                };
                let text = String::from_utf8_lossy(&file).into_owned();
                let tree = parse(&text).map_err(Stop::Confused)?;
                return Ok(match self.run(&tree, streams, false).await? {
                    Flow::On => Own::Code(self.status),
                    Flow::Return(code) => Own::Code(code),
                    flow @ (Flow::Exit(_) | Flow::Break | Flow::Continue) => Own::Flow(flow),
                });
            }
            "exec" => {
                let Some((name, rest)) = words.split_first() else {
                    return Ok(Own::Code(0));
                };
                // The process is another one from here on: its trap is not ours.
                self.at_exit.clear();
                self.call(name, rest, streams).await?;
                Own::Flow(Flow::Exit(self.status))
            }
            "command" if first == "-v" => {
                let name = words.get(1).map_or("", String::as_str);
                let known = self.known(name);
                if known {
                    streams.out.extend(format!("{name}\n").into_bytes());
                }
                Own::Code(i32::from(!known))
            }
            _ => Own::Unknown,
        })
    }

    fn read(&mut self, words: &[String], streams: &mut Streams) -> i32 {
        let end = streams.input.iter().position(|byte| *byte == b'\n');
        let any = !streams.input.is_empty();
        let length = end.map_or(streams.input.len(), |end| end + 1);
        let line: Vec<u8> = streams.input.drain(..length).collect();
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut rest = line.trim();
        let mut names = words
            .iter()
            .filter(|word| !word.starts_with('-'))
            .peekable();
        while let Some(name) = names.next() {
            let (value, after) = if names.peek().is_some() {
                rest.split_once(char::is_whitespace).unwrap_or((rest, ""))
            } else {
                (rest, "")
            };
            self.variables.insert(name.clone(), value.to_owned());
            rest = after.trim_start();
        }
        i32::from(!any)
    }

    /// Programs. A path before the name is dropped.
    async fn program(
        &mut self,
        name: &str,
        words: &[String],
        streams: &mut Streams,
    ) -> Result<i32, Stop> {
        let short = name.rsplit('/').next().unwrap_or(name);
        let first = words.first().map_or("", String::as_str);
        let plain: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
        let script = |file: &Vec<u8>| name.contains('/') && file.starts_with(b"#!");
        if self.file(name).as_ref().is_some_and(script) {
            let mut all = vec![name.to_owned()];
            all.extend_from_slice(words);
            return self.bash(&all, streams).await;
        }
        let code = match short {
            // Programs that run another one, as it is.
            "sudo" | "nohup" | "env" | "command" | "builtin" => {
                return self.nested(words, streams).await;
            }
            "timeout" | "nice" => {
                return self
                    .nested(words.get(1..).unwrap_or_default(), streams)
                    .await;
            }
            "ip" if words.get(..2).is_some_and(|two| two == ["netns", "exec"]) => {
                return self
                    .nested(words.get(3..).unwrap_or_default(), streams)
                    .await;
            }
            _ if self.lacks(short) => return self.said(short, words, streams),
            "bash" | "sh" => return self.bash(words, streams).await,
            "curl" => return self.curl(words, streams).await,
            "wget" => return self.wget(words, streams).await,
            "fetch" => return self.fetch(words, streams).await,
            "sleep" => {
                let seconds: u64 = first.trim_end_matches('s').parse().unwrap_or(1);
                self.pause(seconds).await?;
                0
            }
            "echo" => {
                streams.out.extend(text::echo(words).into_bytes());
                0
            }
            "printf" => {
                streams.out.extend(text::printf(words).into_bytes());
                0
            }
            "cat" | "grep" | "egrep" | "sed" | "cut" | "tr" | "head" | "tail" | "awk" | "wc" => {
                let input = std::mem::take(&mut streams.input);
                let files = |name: &str| self.file(name);
                let done = text::filter(short, words, input, files).map_err(Stop::Confused)?;
                streams.out.extend(done.out);
                streams.messages.extend(done.messages.into_bytes());
                done.code
            }
            "tee" => {
                let bytes = std::mem::take(&mut streams.input);
                for name in plain {
                    self.write(name, bytes.clone(), words.iter().any(|word| word == "-a"));
                }
                streams.out.extend(bytes);
                0
            }
            "rm" => {
                let recursive = words
                    .iter()
                    .any(|word| word.starts_with('-') && word.contains('r'));
                for name in plain {
                    self.unit.flash.files.remove(name);
                    let below = format!("{}/", name.trim_end_matches('/'));
                    let files = &mut self.unit.flash.files;
                    files.retain(|file, _| !(recursive && file.starts_with(&below)));
                }
                0
            }
            "mv" | "cp" => {
                let [from, to] = plain.as_slice() else {
                    return Err(Stop::Confused(format!("{short} {words:?}")));
                };
                let Some(bytes) = self.file(from) else {
                    streams
                        .messages
                        .extend(format!("{short}: no {from}\n").into_bytes());
                    return Ok(1);
                };
                let name = from.rsplit('/').next().unwrap_or_default();
                let to = if to.ends_with('/') {
                    format!("{to}{name}")
                } else {
                    (*to).clone()
                };
                if short == "mv" {
                    self.unit.flash.files.remove(*from);
                }
                self.write(&to, bytes, false);
                0
            }
            "touch" => {
                for name in plain {
                    self.write(name, Vec::new(), true);
                }
                0
            }
            "mktemp" => {
                self.steps += 1;
                let name = format!("/tmp/tmp.{}", self.steps);
                self.write(&name, Vec::new(), false);
                streams.out.extend(format!("{name}\n").into_bytes());
                0
            }
            "basename" | "dirname" => {
                let (folder, file) = first.rsplit_once('/').unwrap_or((".", first));
                let said = if short == "basename" { file } else { folder };
                streams.out.extend(format!("{said}\n").into_bytes());
                0
            }
            "mkdir" | "chmod" | "chown" | "sync" | "umask" | "cd" | "ulimit" | "logger"
            | "wait" => 0,
            "id" => {
                streams.out.extend(b"0\n");
                0
            }
            "date" => self.date(words, streams)?,
            "openssl" => self.openssl(words, streams),
            _ if self.edits(short) => return self.edit(short, words, streams),
            _ => return self.said(short, words, streams),
        };
        Ok(code)
    }

    /// Whether the unit has no such program.
    fn lacks(&self, short: &str) -> bool {
        let rules = self.unit.conduct.script.as_ref();
        rules.is_some_and(|rules| rules.lacks.iter().any(|own| own == short))
    }

    /// Whether a name is a command at all.
    fn known(&self, name: &str) -> bool {
        let short = name.rsplit('/').next().unwrap_or(name);
        let listed = self.unit.conduct.script.as_ref();
        let usual = [
            "curl", "wget", "fetch", "bash", "sh", "sed", "grep", "awk", "cut", "tr", "date",
            "openssl",
        ];
        (usual.contains(&short) && !self.lacks(short))
            || self.functions.contains_key(name)
            || listed.is_some_and(|rules| rules.programs.iter().any(|known| known.name == short))
    }

    /// What the conduct says that a program does.
    pub(super) fn said(
        &mut self,
        short: &str,
        words: &[String],
        streams: &mut Streams,
    ) -> Result<i32, Stop> {
        let line = words.join(" ");
        let conduct = std::sync::Arc::clone(&self.unit.conduct);
        let rules = conduct.script.as_ref();
        let programs = rules.map_or(&[][..], |rules| &rules.programs);
        let found = programs.iter().find(|program| {
            !program.edits
                && program.name == short
                && program
                    .holds
                    .iter()
                    .all(|part| line.contains(part.as_str()))
        });
        let Some(program) = found else {
            self.say(format!("{short}: command not found").as_bytes());
            return Ok(127);
        };
        if program.reloads {
            return Err(Stop::Reload);
        }
        if program.keeps {
            let read = std::mem::take(&mut streams.input);
            let read = String::from_utf8_lossy(&read).into_owned();
            let told = format!("{short} {line}");
            let mut kept = vec![told.trim().to_owned()];
            kept.extend(read.lines().map(|line| format!("{} < {line}", told.trim())));
            for name in kept {
                self.unit.flash.settings.insert(name, KEPT.to_owned());
            }
        }
        if program.spoils
            && let Some(rules) = rules
        {
            let name = rules.disabled_by.clone();
            self.unit.flash.files.insert(name, Vec::new());
        }
        let said = self.unit.filler.text(&program.says);
        if program.writes {
            let name = words.last().map_or("", String::as_str);
            self.write(name, said.into_bytes(), false);
        } else if !said.is_empty() {
            streams.out.extend(format!("{said}\n").into_bytes());
        }
        Ok(program.code)
    }

    async fn nested(&mut self, words: &[String], streams: &mut Streams) -> Result<i32, Stop> {
        let mut words = words;
        while let Some((first, rest)) = words.split_first() {
            if first.starts_with('-') || first.contains('=') {
                words = rest;
                continue;
            }
            self.call(first, rest, streams).await?;
            return Ok(self.status);
        }
        Ok(0)
    }

    async fn bash(&mut self, words: &[String], streams: &mut Streams) -> Result<i32, Stop> {
        let mut words = words.iter();
        let mut command = false;
        for word in words.by_ref() {
            if word.starts_with('-') {
                command |= word.contains('c');
                continue;
            }
            let text = if command {
                Some(word.clone().into_bytes())
            } else {
                self.file(word)
            };
            let Some(text) = text else {
                streams
                    .messages
                    .extend(format!("bash: no {word}\n").into_bytes());
                return Ok(127);
            };
            let text = String::from_utf8_lossy(&text).into_owned();
            let arguments: Vec<String> = words.cloned().collect();
            let ours = std::mem::replace(&mut self.arguments, arguments);
            let name = std::mem::replace(&mut self.name, word.clone());
            let code = self.process(&text, streams).await?;
            self.arguments = ours;
            self.name = name;
            return Ok(code);
        }
        let text = String::from_utf8_lossy(&std::mem::take(&mut streams.input)).into_owned();
        self.process(&text, streams).await
    }

    /// Lets the unit's clock pass.
    pub(super) async fn pause(&mut self, seconds: u64) -> Result<(), Stop> {
        if self.unit.pass(Duration::from_secs(seconds)).await {
            Ok(())
        } else {
            Err(Stop::Left)
        }
    }

    fn date(&mut self, words: &[String], streams: &mut Streams) -> Result<i32, Stop> {
        let mut at = self.unit.now();
        let mut format = "%a %b %e %H:%M:%S UTC %Y".to_owned();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let named = ["--date=", "--set="]
                .iter()
                .find_map(|start| word.strip_prefix(start));
            if let Some(own) = word.strip_prefix('+') {
                own.clone_into(&mut format);
            } else if word == "-d" || word == "-s" || named.is_some() {
                let text = match named {
                    Some(text) => text,
                    None => words.next().map_or("", String::as_str),
                };
                let Some(found) = moment(text) else {
                    streams
                        .messages
                        .extend(format!("date: invalid date {text:?}\n").into_bytes());
                    return Ok(1);
                };
                if word == "-s" || word.starts_with("--set") {
                    let real = self.unit.around.clock.now();
                    self.unit.skew = found.duration_since(real);
                }
                at = found;
            }
        }
        let said = strtime::format(&format, &at.to_zoned(jiff::tz::TimeZone::UTC));
        let said = said.map_err(|error| Stop::Confused(format!("date: {error}")))?;
        streams.out.extend(format!("{said}\n").into_bytes());
        Ok(0)
    }

    /// `openssl x509 -in FILE -noout -startdate|-enddate`.
    fn openssl(&mut self, words: &[String], streams: &mut Streams) -> i32 {
        let mut after = words.iter().skip_while(|word| *word != "-in").skip(1);
        let file = after.next().and_then(|name| self.file(name));
        let der = file.and_then(|bytes| CertificateDer::from_pem_slice(&bytes).ok());
        let Some((_, certificate)) = der
            .as_ref()
            .and_then(|der| x509_parser::parse_x509_certificate(der).ok())
        else {
            streams.messages.extend(b"openssl: no certificate\n");
            return 1;
        };
        for (flag, name, at) in [
            ("-startdate", "notBefore", certificate.validity().not_before),
            ("-enddate", "notAfter", certificate.validity().not_after),
        ] {
            if words.iter().any(|word| word == flag) {
                let at = Timestamp::from_second(at.timestamp()).unwrap_or_default();
                let said = at.strftime("%b %e %H:%M:%S %Y GMT");
                streams.out.extend(format!("{name}={said}\n").into_bytes());
            }
        }
        0
    }
}

/// What the shell makes of a name.
enum Own {
    Code(i32),
    Flow(Flow),
    Unknown,
}

/// A time as `date` reads it.
fn moment(text: &str) -> Option<Timestamp> {
    if let Some(seconds) = text.strip_prefix('@') {
        return Timestamp::from_second(seconds.parse().ok()?).ok();
    }
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    if let Ok(at) = rfc2822::parse(text) {
        return Some(at.timestamp());
    }
    let single = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = single.trim_end_matches(" GMT").trim_end_matches(" UTC");
    [
        "%b %d %H:%M:%S %Y",
        "%Y-%m-%d %H:%M:%S",
        "%a, %d %b %Y %H:%M:%S",
    ]
    .iter()
    .find_map(|format| {
        let at = jiff::civil::DateTime::strptime(format, plain).ok()?;
        Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })
}
