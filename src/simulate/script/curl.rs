//! `curl` and `wget` of a script: the only way out of the unit.

use super::super::belief::Belief;
use super::super::client::{Asked, Failure};
use super::super::read::pem;
use super::super::run::Cut;
use super::super::story::Purpose;
use super::shell::{Shell, Stop, Streams};

/// What the words of a `curl` ask for.
#[derive(Debug, Default)]
struct Wish {
    urls: Vec<String>,
    headers: Vec<(String, String)>,
    method: String,
    data: Option<String>,
    output: Option<String>,
    /// Where the head goes.
    dump: Option<String>,
    ca: Option<String>,
    agent: Option<String>,
    write: String,
    fails: bool,
    insecure: bool,
    head: bool,
    shows_head: bool,
    retries: u32,
    retry_delay: Option<u64>,
}

impl Wish {
    /// Takes one option in; `false` where it is unknown.
    fn option(&mut self, name: &str, value: &str) -> bool {
        match name {
            "H" | "header" => {
                if let Some((name, value)) = value.split_once(':') {
                    let name = name.trim().to_ascii_lowercase();
                    self.headers.push((name, value.trim().to_owned()));
                }
            }
            "X" | "request" => value.clone_into(&mut self.method),
            "d" | "data" | "data-binary" | "data-raw" => self.data = Some(value.to_owned()),
            "o" | "output" => self.output = Some(value.to_owned()),
            "D" | "dump-header" => self.dump = Some(value.to_owned()),
            "cacert" => self.ca = Some(value.to_owned()),
            "A" | "user-agent" => self.agent = Some(value.to_owned()),
            "w" | "write-out" => value.clone_into(&mut self.write),
            "f" | "fail" => self.fails = true,
            "k" | "insecure" => self.insecure = true,
            "I" | "head" => self.head = true,
            "i" | "include" => self.shows_head = true,
            "retry" => self.retries = value.parse().unwrap_or(0),
            "retry-delay" => self.retry_delay = value.parse().ok(),
            "url" => self.urls.push(value.to_owned()),
            "m" | "max-time" | "connect-timeout" | "retry-max-time" | "s" | "silent" | "S"
            | "show-error" | "L" | "location" | "4" | "6" | "g" | "globoff" | "compressed"
            | "no-progress-meter" | "retry-connrefused" | "retry-all-errors" | "tlsv1.2" | "q"
            | "http1.1" | "N" | "no-buffer" | "create-dirs" | "proto" | "noproxy" => {}
            _ => return false,
        }
        true
    }
}

/// Options of `curl` that have a value.
const VALUED: [&str; 25] = [
    "H",
    "header",
    "X",
    "request",
    "d",
    "data",
    "data-binary",
    "data-raw",
    "o",
    "output",
    "D",
    "dump-header",
    "cacert",
    "A",
    "user-agent",
    "w",
    "write-out",
    "retry",
    "retry-delay",
    "url",
    "m",
    "max-time",
    "connect-timeout",
    "retry-max-time",
    "proto",
];

impl Shell<'_> {
    pub(super) async fn curl(
        &mut self,
        words: &[String],
        streams: &mut Streams,
    ) -> Result<i32, Stop> {
        let mut wish = Wish::default();
        if let Err(what) = self.wishes(&mut wish, words) {
            return Err(Stop::Confused(format!("curl {what} is not understood")));
        }
        let Some(url) = wish.urls.first().cloned() else {
            streams.messages.extend(b"curl: no URL specified\n");
            return Ok(2);
        };
        let url = if url.contains("://") {
            url
        } else {
            format!("http://{url}")
        };
        self.asked(&wish, &url, "curl", streams).await
    }

    pub(super) async fn wget(
        &mut self,
        words: &[String],
        streams: &mut Streams,
    ) -> Result<i32, Stop> {
        let mut wish = Wish {
            fails: true,
            ..Wish::default()
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "--ca-certificate" => wish.ca = Some(value.to_owned()),
                "--header" => drop(wish.option("H", value)),
                "--no-check-certificate" => wish.insecure = true,
                "--output-document" => wish.output = Some(value.to_owned()),
                "--post-data" => wish.data = Some(value.to_owned()),
                "-O" | "-qO" => wish.output = words.next().cloned(),
                "-q" | "-nv" | "--quiet" | "--timeout" | "--tries" => {}
                "-T" | "-t" => drop(words.next()),
                name if !name.starts_with('-') => wish.urls.push(word.clone()),
                _ => return Err(Stop::Confused(format!("wget {name} is not understood"))),
            }
        }
        let Some(url) = wish.urls.first().cloned() else {
            return Ok(1);
        };
        if wish.output.is_none() {
            let name = url.rsplit('/').next().unwrap_or_default();
            wish.output = Some(name.to_owned());
        }
        let to_stdout = wish.output.as_deref() == Some("-");
        wish.output = wish.output.filter(|_| !to_stdout);
        let code = self.asked(&wish, &url, "Wget", streams).await?;
        Ok(match code {
            0 => 0,
            22 => 8,
            60 => 5,
            _ => 4,
        })
    }

    /// FreeBSD's `fetch`.
    pub(super) async fn fetch(
        &mut self,
        words: &[String],
        streams: &mut Streams,
    ) -> Result<i32, Stop> {
        let mut wish = Wish {
            fails: true,
            ..Wish::default()
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "--ca-cert" => wish.ca = Some(value.to_owned()),
                "--no-verify-peer" => wish.insecure = true,
                "--user-agent" => wish.agent = Some(value.to_owned()),
                "--output" => wish.output = Some(value.to_owned()),
                "--timeout" | "--no-sslv3" | "--quiet" => {}
                "-T" | "-w" => drop(words.next()),
                // Letters without a value may stand before the `o`.
                name if name.starts_with('-') && name.ends_with('o') => {
                    wish.output = words.next().cloned();
                }
                "-q" | "-a" | "-m" | "-4" | "-6" => {}
                name if !name.starts_with('-') => wish.urls.push(word.clone()),
                _ => return Err(Stop::Confused(format!("fetch {name} is not understood"))),
            }
        }
        let Some(url) = wish.urls.first().cloned() else {
            return Ok(1);
        };
        if wish.output.is_none() {
            wish.output = url.rsplit('/').next().map(str::to_owned);
        }
        wish.output = wish.output.filter(|name| name != "-");
        let code = self.asked(&wish, &url, "fetch", streams).await?;
        Ok(i32::from(code != 0))
    }

    /// Reads the words of a `curl`.
    fn wishes(&self, wish: &mut Wish, words: &[String]) -> Result<(), String> {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if let Some(long) = word.strip_prefix("--") {
                let value = if VALUED.contains(&long) || long == "config" {
                    words.next().map_or("", String::as_str)
                } else {
                    ""
                };
                if long == "config" {
                    self.config(wish, value)?;
                } else if !wish.option(long, value) {
                    return Err(word.clone());
                }
                continue;
            }
            let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                wish.urls.push(word.clone());
                continue;
            };
            let mut rest = letters;
            while let Some(ch) = rest.chars().next() {
                rest = rest.get(ch.len_utf8()..).unwrap_or_default();
                let name = ch.to_string();
                if !VALUED.contains(&name.as_str()) && name != "K" {
                    if !wish.option(&name, "") {
                        return Err(word.clone());
                    }
                    continue;
                }
                let value = if rest.is_empty() {
                    words.next().map_or("", String::as_str)
                } else {
                    std::mem::take(&mut rest)
                };
                if name == "K" {
                    self.config(wish, value)?;
                } else {
                    wish.option(&name, value);
                }
            }
        }
        Ok(())
    }

    /// A file of options, one a line: `name`, `name value`, `name = "value"`.
    fn config(&self, wish: &mut Wish, name: &str) -> Result<(), String> {
        let file = self.file(name).ok_or_else(|| format!("-K {name}"))?;
        let text = String::from_utf8_lossy(&file).into_owned();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let end = line.find([' ', '=', ':']).unwrap_or(line.len());
            let (option, value) = line.split_at(end);
            let value = value.trim_start_matches([' ', '=', ':']).trim();
            let value = value
                .strip_prefix('"')
                .and_then(|text| text.strip_suffix('"'))
                .unwrap_or(value);
            let value = value.replace("\\\"", "\"").replace("\\\\", "\\");
            if !wish.option(option.trim_start_matches('-'), &value) {
                return Err(option.to_owned());
            }
        }
        Ok(())
    }

    /// Asks, and again as often as the wish says.
    async fn asked(
        &mut self,
        wish: &Wish,
        url: &str,
        program: &str,
        streams: &mut Streams,
    ) -> Result<i32, Stop> {
        let belief = match self.belief_of(wish) {
            Ok(belief) => belief,
            Err(code) => {
                streams.messages.extend(b"curl: no certificate file\n");
                return Ok(code);
            }
        };
        let agent = self
            .unit
            .conduct
            .script
            .as_ref()
            .map_or("", |rules| rules.agent.as_str());
        let agent = wish.agent.clone().unwrap_or_else(|| agent.to_owned());
        let mut headers = vec![("user-agent".to_owned(), agent)];
        headers.extend(wish.headers.iter().cloned());
        let method = match wish.method.as_str() {
            "" if wish.head => "HEAD",
            "" if wish.data.is_some() => "POST",
            "" => "GET",
            method => method,
        };
        let data = wish.data.as_deref().unwrap_or_default();
        let data = match data.strip_prefix('@') {
            Some(name) => self.file(name).unwrap_or_default(),
            None => data.as_bytes().to_vec(),
        };
        let mut left = wish.retries;
        let mut delay = 1;
        loop {
            let asked = Asked {
                method: method.to_owned(),
                url: url.to_owned(),
                headers: headers.clone(),
                body: data.clone(),
            };
            let (unit, story) = (&mut *self.unit, &mut *self.story);
            let answer = unit.ask_for(&asked, Purpose::Script, &belief, story).await;
            let answer = answer.map_err(|Cut| Stop::Cut)?;
            let again = match &answer {
                Ok(answer) => matches!(answer.status, 408 | 429 | 500 | 502 | 503 | 504),
                Err(failure) => matches!(failure, Failure::TimedOut | Failure::Connect(_)),
            };
            if again && left > 0 {
                left -= 1;
                self.pause(wish.retry_delay.unwrap_or(delay)).await?;
                delay = (delay * 2).min(600);
                continue;
            }
            let code = match &answer {
                Ok(answer) if wish.fails && answer.status >= 400 => {
                    let text = format!("{program}: (22) the server answered {}\n", answer.status);
                    streams.messages.extend(text.into_bytes());
                    22
                }
                Ok(answer) => {
                    if let Some(name) = &wish.dump {
                        self.write(name, answer.head.clone().into_bytes(), false);
                    }
                    let mut bytes = Vec::new();
                    if wish.head || wish.shows_head {
                        bytes.extend(answer.head.as_bytes());
                    }
                    if !wish.head {
                        bytes.extend(&answer.body);
                    }
                    match &wish.output {
                        Some(name) => self.write(name, bytes, false),
                        None => streams.out.extend(bytes),
                    }
                    0
                }
                Err(failure) => {
                    let text = format!("{program}: {failure}\n");
                    streams.messages.extend(text.into_bytes());
                    code_of(failure)
                }
            };
            if !wish.write.is_empty() {
                let status = answer.map_or(0, |answer| answer.status);
                let text = wish.write.replace("%{http_code}", &format!("{status:03}"));
                let text = text.replace("%{response_code}", &format!("{status:03}"));
                streams.out.extend(text.replace("\\n", "\n").into_bytes());
            }
            return Ok(code);
        }
    }

    /// Whom this request believes: a file of its own, or what the unit believes; always by name.
    fn belief_of(&self, wish: &Wish) -> Result<Belief, i32> {
        let mut belief = self.unit.belief();
        belief.anything = wish.insecure;
        belief.names = true;
        if let Some(name) = &wish.ca {
            belief.roots = self
                .file(name)
                .map(|file| pem::read(&file))
                .unwrap_or_default();
            if belief.roots.is_empty() {
                return Err(77);
            }
        }
        Ok(belief)
    }
}

/// The exit codes of `curl`.
fn code_of(failure: &Failure) -> i32 {
    match failure {
        Failure::Url(_) => 3,
        Failure::Connect(_) => 7,
        Failure::Untrusted(_) => 60,
        Failure::Tls(_) => 35,
        Failure::Broken(_) => 56,
        Failure::TimedOut => 28,
        Failure::TooLarge => 63,
    }
}
