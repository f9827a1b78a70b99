//! Words of a script → texts.

use super::arith;
use super::ast::{Part, Word};
use super::parse::{parse, quoted_text};
use super::regex;
use super::shell::{Flow, LARGEST, Shell, Step, Stop, Streams};

impl Shell<'_> {
    /// A word as one text, without splitting.
    pub(super) fn one<'a>(&'a mut self, word: &'a Word) -> Step<'a, String> {
        Box::pin(async move {
            let mut text = String::new();
            for part in word {
                text.push_str(&self.part(part).await?.0);
                bounded(text.len())?;
            }
            Ok(text)
        })
    }

    /// Words as a command gets them: what stands outside quotes is split at blanks.
    pub(super) async fn all(&mut self, words: &[Word]) -> Result<Vec<String>, Stop> {
        let mut texts = Vec::new();
        let mut octets = 0_usize;
        for word in words {
            if let [.., Part::Variable(name, true)] = word.as_slice()
                && name == "@"
                && word.iter().all(|part| is_empty_quote(part) || is_all(part))
            {
                texts.extend(self.arguments.iter().cloned());
                octets += self.arguments.iter().map(String::len).sum::<usize>();
                bounded(octets)?;
                continue;
            }
            let mut field: Option<String> = None;
            for part in word {
                let (text, whole) = self.part(part).await?;
                octets += text.len();
                bounded(octets)?;
                if whole {
                    field.get_or_insert_default().push_str(&text);
                    continue;
                }
                let mut pieces = text.split([' ', '\t', '\n']);
                let first = pieces.next().unwrap_or_default();
                if !first.is_empty() {
                    field.get_or_insert_default().push_str(first);
                }
                for piece in pieces {
                    texts.extend(field.take());
                    if !piece.is_empty() {
                        field = Some(piece.to_owned());
                    }
                }
            }
            texts.extend(field);
        }
        Ok(texts)
    }

    /// Whether a text fits a pattern of `case` or `[[`.
    pub(super) async fn fits(&mut self, text: &str, pattern: &Word) -> Result<bool, Stop> {
        let mut source = String::new();
        for part in pattern {
            match part {
                Part::Text(glob) => source.push_str(&regex::of_glob(glob)),
                Part::Variable(_, false) => {
                    let glob = self.part(part).await?.0;
                    source.push_str(&regex::of_glob(&glob));
                }
                Part::Quoted(_) | Part::Variable(..) | Part::Command(..) | Part::Number(_) => {
                    let plain = self.part(part).await?.0;
                    source.push_str(&::regex::escape(&plain));
                }
            }
        }
        let whole = regex::made(&format!("(?s)^{source}$")).map_err(Stop::Confused)?;
        Ok(whole.is_match(text))
    }

    /// The text of a part, and whether it stays whole.
    async fn part(&mut self, part: &Part) -> Result<(String, bool), Stop> {
        Ok(match part {
            Part::Text(text) => (self.home(text), true),
            Part::Quoted(text) => (text.clone(), true),
            Part::Variable(inside, quoted) => (self.named(inside).await?, *quoted),
            Part::Number(source) => {
                let word = quoted_text(source).map_err(Stop::Confused)?;
                let source = self.one(&word).await?;
                let value = arith::value(&source, &mut self.variables);
                (value.map_err(Stop::Confused)?.to_string(), true)
            }
            Part::Command(source, quoted) => (self.output(source).await?, *quoted),
        })
    }

    fn home(&self, text: &str) -> String {
        if text == "~" || text.starts_with("~/") {
            text.replacen('~', "/root", 1)
        } else {
            text.to_owned()
        }
    }

    /// What a command writes, without its last line ends.
    async fn output(&mut self, source: &str) -> Result<String, Stop> {
        let tree = parse(source).map_err(Stop::Confused)?;
        let (variables, functions) = (self.variables.clone(), self.functions.clone());
        let mut streams = Streams::default();
        if let Flow::Exit(code) = self.run(&tree, &mut streams, true).await? {
            self.status = code;
        }
        self.variables = variables;
        self.functions = functions;
        self.say(&streams.messages);
        let text = String::from_utf8_lossy(&streams.out).into_owned();
        Ok(text.trim_end_matches('\n').to_owned())
    }

    /// The inside of `${…}`, or a plain name.
    async fn named(&mut self, inside: &str) -> Result<String, Stop> {
        if let Some(name) = inside.strip_prefix('#')
            && !name.is_empty()
        {
            return Ok(self.value(name).chars().count().to_string());
        }
        let length = inside
            .find(|ch: char| !(ch.is_ascii_alphanumeric() || ch == '_'))
            .unwrap_or(inside.len());
        let special = length == 0 && !inside.is_empty();
        let (name, rest) = inside
            .split_at_checked(if special { 1 } else { length })
            .unwrap_or_default();
        let value = self.value(name);
        if rest.is_empty() {
            return Ok(value);
        }
        let set = !value.is_empty();
        for (mark, uses) in [(":-", !set), (":=", !set), (":+", set), (":?", !set)] {
            let Some(word) = rest.strip_prefix(mark) else {
                continue;
            };
            if !uses {
                return Ok(if mark == ":+" { String::new() } else { value });
            }
            let word = self.inner(word).await?;
            if mark == ":=" {
                self.variables.insert(name.to_owned(), word.clone());
            } else if mark == ":?" {
                return Err(Stop::Confused(format!("{name}: {word}")));
            }
            return Ok(word);
        }
        if let Some(word) = rest.strip_prefix('-') {
            let known = self.variables.contains_key(name);
            return if known {
                Ok(value)
            } else {
                self.inner(word).await
            };
        }
        if let Some(change) = rest.strip_prefix('/') {
            let (all, change) = match change.strip_prefix('/') {
                Some(change) => (true, change),
                None => (false, change),
            };
            let (from, to) = change.split_once('/').unwrap_or((change, ""));
            let (from, to) = (self.inner(from).await?, self.inner(to).await?);
            let from = regex::made(&regex::of_glob(&from)).map_err(Stop::Confused)?;
            if all {
                let count = from.find_iter(&value).count();
                bounded(count.saturating_mul(to.len()))?;
            }
            let to = ::regex::NoExpand(&to);
            let most = if all { 0 } else { 1 };
            return Ok(from.replacen(&value, most, to).into_owned());
        }
        for (mark, from_end, longest) in [
            ("%%", true, true),
            ("%", true, false),
            ("##", false, true),
            ("#", false, false),
        ] {
            if let Some(glob) = rest.strip_prefix(mark) {
                let glob = self.inner(glob).await?;
                return trimmed(&value, &glob, from_end, longest).map_err(Stop::Confused);
            }
        }
        match rest {
            ",," => Ok(value.to_lowercase()),
            "^^" => Ok(value.to_uppercase()),
            _ => Err(Stop::Confused(format!("${{{inside}}} is not understood"))),
        }
    }

    /// A word inside `${…}`.
    async fn inner(&mut self, text: &str) -> Result<String, Stop> {
        let text = text
            .strip_prefix('\'')
            .and_then(|text| text.strip_suffix('\''))
            .unwrap_or(text);
        let text = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .unwrap_or(text);
        let word = quoted_text(text).map_err(Stop::Confused)?;
        self.one(&word).await
    }

    fn value(&self, name: &str) -> String {
        match name {
            "?" => self.status.to_string(),
            "#" => self.arguments.len().to_string(),
            "@" | "*" => self.arguments.join(" "),
            "0" => self.name.clone(),
            "$" => "4711".to_owned(),
            "RANDOM" => "17".to_owned(),
            "SECONDS" => {
                let up = self.unit.now().duration_since(self.began);
                up.as_secs().to_string()
            }
            "HOME" => "/root".to_owned(),
            name => match name.parse::<usize>() {
                Ok(at) => self
                    .arguments
                    .get(at.wrapping_sub(1))
                    .cloned()
                    .unwrap_or_default(),
                Err(_) => self.variable(name),
            },
        }
    }
}

/// A word, or all words of a command, may have so many octets.
fn bounded(octets: usize) -> Result<(), Stop> {
    if octets > LARGEST {
        let why = format!("a command with more than {LARGEST} octets");
        return Err(Stop::Confused(why));
    }
    Ok(())
}

fn is_empty_quote(part: &Part) -> bool {
    matches!(part, Part::Quoted(text) if text.is_empty())
}

fn is_all(part: &Part) -> bool {
    matches!(part, Part::Variable(name, true) if name == "@")
}

/// A text without the beginning or the end that fits a pattern.
fn trimmed(text: &str, glob: &str, from_end: bool, longest: bool) -> Result<String, String> {
    let whole = regex::made(&format!("(?s)^{}$", regex::of_glob(glob)))?;
    let mut cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    cuts.push(text.len());
    // The longest beginning ends last; the longest end begins first.
    if from_end != longest {
        cuts.reverse();
    }
    for cut in cuts {
        let (head, tail) = text.split_at(cut);
        let (part, rest) = if from_end { (tail, head) } else { (head, tail) };
        if whole.is_match(part) {
            return Ok(rest.to_owned());
        }
    }
    Ok(text.to_owned())
}
