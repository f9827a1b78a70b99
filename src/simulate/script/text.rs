//! Programs that turn text into text: `cat grep sed cut tr head tail awk wc echo printf`.

use super::regex;

/// What a filter did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) out: Vec<u8>,
    pub(super) messages: String,
    pub(super) code: i32,
}

/// Runs a filter over its input, or over the files that it names.
pub(super) fn filter(
    name: &str,
    words: &[String],
    input: Vec<u8>,
    file: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<Done, String> {
    let mut flags: Vec<&str> = Vec::new();
    let mut plain: Vec<&str> = Vec::new();
    let takes: &[&str] = match name {
        "head" | "tail" => &["-n", "-c"],
        "cut" => &["-d", "-f", "-c"],
        "grep" | "egrep" | "sed" => &["-e", "-m"],
        "awk" => &["-F", "-v"],
        _ => &[],
    };
    let mut rest = words.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        if word.starts_with('-') && word.len() > 1 {
            flags.push(word);
            if takes.contains(&word) {
                flags.extend(rest.next());
            }
        } else {
            plain.push(word);
        }
    }
    let own =
        usize::from(matches!(name, "grep" | "egrep" | "sed" | "awk") && !flags.contains(&"-e"));
    let own = if name == "tr" { 2 } else { own };
    let mut done = Done::default();
    let mut bytes = input;
    let files = plain.get(own..).unwrap_or_default();
    if !files.is_empty() && name != "tr" {
        bytes.clear();
        for name_ in files {
            if *name_ == "-" {
                continue;
            }
            match file(name_) {
                Some(more) => bytes.extend(more),
                None => {
                    done.messages = format!("{name}: {name_}: no such file\n");
                    done.code = 1;
                }
            }
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let first = plain.first().copied().unwrap_or_default();
    let value = |flag: &str| -> Option<String> {
        let mut flags = flags.iter();
        flags
            .find_map(|word| Some(word.strip_prefix(flag)?.to_owned()))
            .map(|joined| {
                let after = flags.next().copied().unwrap_or_default();
                if joined.is_empty() {
                    after.to_owned()
                } else {
                    joined
                }
            })
    };
    let has = |letter: char| {
        let short = |word: &&&str| !word.starts_with("--");
        flags
            .iter()
            .filter(short)
            .any(|word| word.starts_with('-') && word.contains(letter))
    };
    let mut said = String::new();
    match name {
        "cat" => {
            done.out = bytes;
            return Ok(done);
        }
        "grep" | "egrep" => {
            let wanted = value("-e").unwrap_or_else(|| first.to_owned());
            let source = if has('F') {
                ::regex::escape(&wanted)
            } else if has('E') || has('P') || name == "egrep" {
                wanted
            } else {
                regex::of_basic(&wanted)
            };
            let source = if has('i') {
                format!("(?i){source}")
            } else {
                source
            };
            let pattern = regex::made(&source)?;
            let mut hits = 0_u32;
            for line in lines(&text) {
                if pattern.is_match(line) == has('v') {
                    continue;
                }
                hits += 1;
                if has('o') {
                    for hit in pattern.find_iter(line) {
                        said.push_str(hit.as_str());
                        said.push('\n');
                    }
                } else {
                    said.push_str(line);
                    said.push('\n');
                }
            }
            done.code = i32::from(hits == 0).max(done.code);
            if has('c') {
                said = format!("{hits}\n");
            }
            if has('q') {
                said.clear();
            }
        }
        "sed" => {
            let script = value("-e").unwrap_or_else(|| first.to_owned());
            said = sed(&script, &text, has('n'), has('E') || has('r'))?;
        }
        "cut" => {
            let mark = value("-d").unwrap_or_else(|| "\t".to_owned());
            let fields = value("-f").ok_or("cut without -f is not understood")?;
            let (from, open) = match fields.strip_suffix('-') {
                Some(from) => (from, true),
                None => (fields.as_str(), false),
            };
            let from: usize = from.parse().map_err(|_| format!("cut -f {fields}"))?;
            for line in lines(&text) {
                if !line.contains(mark.as_str()) {
                    said.push_str(line);
                    said.push('\n');
                    continue;
                }
                let parts: Vec<&str> = line.split(mark.as_str()).collect();
                let taken = parts.get(from.saturating_sub(1)..).unwrap_or_default();
                let taken = if open {
                    taken
                } else {
                    taken.get(..1).unwrap_or_default()
                };
                said.push_str(&taken.join(&mark));
                said.push('\n');
            }
        }
        "tr" => {
            let second = plain.get(1).copied().unwrap_or_default();
            let from = set(first);
            let to = set(second);
            // With a complement everything else is meant.
            let other = has('c') || has('C');
            for ch in text.chars() {
                let at = from.iter().position(|known| *known == ch);
                let at = if other { at.is_none().then_some(0) } else { at };
                match at {
                    Some(_) if has('d') => {}
                    Some(at) => said.extend(to.get(at).or_else(|| to.last())),
                    None => said.push(ch),
                }
            }
        }
        "head" | "tail" => {
            if let Some(octets) = value("-c") {
                let most: usize = octets.parse().map_err(|_| format!("{name} -c {octets}"))?;
                let from = if name == "tail" {
                    bytes.len().saturating_sub(most)
                } else {
                    0
                };
                let taken = bytes.get(from..).unwrap_or_default().iter().take(most);
                done.out = taken.copied().collect();
                return Ok(done);
            }
            let wanted = value("-n")
                .or_else(|| value("-"))
                .unwrap_or_else(|| "10".to_owned());
            let most: usize = wanted.parse().map_err(|_| format!("{name} -n {wanted}"))?;
            let count = lines(&text).count();
            let skip = if name == "tail" {
                count.saturating_sub(most)
            } else {
                0
            };
            for line in lines(&text).skip(skip).take(most) {
                said.push_str(line);
                said.push('\n');
            }
        }
        "awk" => said = awk(first, value("-F").as_deref(), &text)?,
        _ => {
            let count = if has('c') {
                bytes.len()
            } else {
                lines(&text).count()
            };
            said = format!("{count}\n");
        }
    }
    done.out = said.into_bytes();
    Ok(done)
}

/// Lines by their line feed alone: a carriage return is a character.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_terminator('\n')
}

/// The characters of a set of `tr`.
fn set(text: &str) -> Vec<char> {
    let text = text
        .replace("\\r", "\r")
        .replace("\\n", "\n")
        .replace("\\t", "\t");
    let text = text.replace("[:upper:]", "A-Z").replace("[:lower:]", "a-z");
    let mut set = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(ch) = chars.next() {
        if chars.peek() == Some(&'-') {
            let mut ahead = chars.clone();
            ahead.next();
            if let Some(last) = ahead.next() {
                set.extend(ch..=last);
                chars = ahead;
                continue;
            }
        }
        set.push(ch);
    }
    set
}

/// `s/…/…/gp`, `/…/p`, `/…/d`, with `;` between them.
fn sed(script: &str, text: &str, quiet: bool, extended: bool) -> Result<String, String> {
    let source = |text: &str| {
        if extended {
            text.to_owned()
        } else {
            regex::of_basic(text)
        }
    };
    let mut said = String::new();
    for line in lines(text) {
        let mut line = line.to_owned();
        let mut shown = !quiet;
        let mut again = false;
        for command in script
            .split(';')
            .map(str::trim)
            .filter(|command| !command.is_empty())
        {
            let mark = command.chars().nth(1).unwrap_or('/');
            if command.starts_with('s') && !mark.is_alphanumeric() {
                let parts: Vec<&str> = command.splitn(4, mark).collect();
                let [_, from, to, flags] = parts.as_slice() else {
                    return Err(format!("sed {command:?} is not understood"));
                };
                let from = regex::made(&source(from))?;
                if !from.is_match(&line) {
                    continue;
                }
                let to = replacement(to);
                let most = if flags.contains('g') { 0 } else { 1 };
                line = from.replacen(&line, most, to.as_str()).into_owned();
                again |= flags.contains('p');
            } else if let Some(rest) = command.strip_prefix('/')
                && let Some((pattern, action)) = rest.rsplit_once('/')
            {
                let hit = regex::made(&source(pattern))?.is_match(&line);
                match action.trim() {
                    "p" => again |= hit,
                    "d" => shown &= !hit,
                    _ => return Err(format!("sed {command:?} is not understood")),
                }
            } else {
                return Err(format!("sed {command:?} is not understood"));
            }
        }
        for _ in 0..usize::from(shown) + usize::from(again) {
            said.push_str(&line);
            said.push('\n');
        }
    }
    Ok(said)
}

/// `\1` and `&` as the `regex` crate writes them.
fn replacement(text: &str) -> String {
    let mut made = String::new();
    let mut chars = text.chars();
    while let Some(ch) = chars.next() {
        match ch {
            '$' => made.push_str("$$"),
            '&' => made.push_str("${0}"),
            '\\' => match chars.next() {
                Some(digit) if digit.is_ascii_digit() => made.push_str(&format!("${{{digit}}}")),
                Some(other) => made.push(other),
                None => made.push('\\'),
            },
            ch => made.push(ch),
        }
    }
    made
}

/// `[/pattern/] {print $N}`.
fn awk(script: &str, mark: Option<&str>, text: &str) -> Result<String, String> {
    let wrong = || format!("awk {script:?} is not understood");
    let (pattern, action) = script.split_once('{').ok_or_else(wrong)?;
    let pattern = pattern.trim().trim_matches('/');
    let pattern = regex::made(pattern)?;
    let action = action.trim().trim_end_matches('}').trim();
    let field = action.strip_prefix("print").ok_or_else(wrong)?.trim();
    let field = field.split(';').next().unwrap_or_default().trim();
    let mut said = String::new();
    for line in lines(text).filter(|line| pattern.is_match(line)) {
        let fields: Vec<&str> = match mark {
            Some(mark) => line.split(mark).collect(),
            None => line.split_whitespace().collect(),
        };
        let value = match field.strip_prefix('$') {
            None if field.is_empty() => Some(line),
            Some("0") => Some(line),
            Some("NF") => fields.last().copied(),
            Some(number) => {
                let at: usize = number.parse().map_err(|_| wrong())?;
                fields.get(at.saturating_sub(1)).copied()
            }
            None => return Err(wrong()),
        };
        said.push_str(value.unwrap_or_default());
        said.push('\n');
    }
    Ok(said)
}

/// `echo`, with `-n` and `-e`.
pub(super) fn echo(words: &[String]) -> String {
    let flag = |word: &&String| matches!(word.as_str(), "-n" | "-e" | "-ne" | "-en");
    let flags: Vec<&String> = words.iter().take_while(flag).collect();
    let rest = words.get(flags.len()..).unwrap_or_default();
    let mut text = rest.join(" ");
    if flags.iter().any(|flag| flag.contains('e')) {
        text = escapes(&text);
    }
    if !flags.iter().any(|flag| flag.contains('n')) {
        text.push('\n');
    }
    text
}

/// `printf`, with `%s`, `%d`, `%b` and `%%`; the format repeats while words are left.
pub(super) fn printf(words: &[String]) -> String {
    let Some((format, rest)) = words.split_first() else {
        return String::new();
    };
    let format = escapes(format);
    let mut rest = rest.iter();
    let mut text = String::new();
    loop {
        let left = rest.len();
        let mut chars = format.chars();
        while let Some(ch) = chars.next() {
            if ch != '%' {
                text.push(ch);
                continue;
            }
            match chars.next() {
                Some('%') => text.push('%'),
                Some('b') => {
                    text.push_str(&rest.next().map(|word| escapes(word)).unwrap_or_default())
                }
                Some(_) => text.push_str(rest.next().map_or("", String::as_str)),
                None => text.push('%'),
            }
        }
        if rest.len() == 0 || rest.len() == left {
            return text;
        }
    }
}

fn escapes(text: &str) -> String {
    let mut made = String::new();
    let mut chars = text.chars();
    while let Some(ch) = chars.next() {
        if ch != '\\' {
            made.push(ch);
            continue;
        }
        match chars.next() {
            Some('n') => made.push('\n'),
            Some('t') => made.push('\t'),
            Some('r') => made.push('\r'),
            Some('\\') => made.push('\\'),
            Some(other) => made.extend(['\\', other]),
            None => made.push('\\'),
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_do_what_they_do_elsewhere() {
        let text = "notBefore=Jan  1\r\n  \"serialNumber\": \"ABC123\",\n  \"x\": \"y\"\n";
        for (line, expect) in [
            ("tail|-n|1", "  \"x\": \"y\"\n"),
            ("head|-n|1", "notBefore=Jan  1\r\n"),
            (
                "cut|-d=|-f2",
                "Jan  1\r\n  \"serialNumber\": \"ABC123\",\n  \"x\": \"y\"\n",
            ),
            (
                "sed|-n|s/.*\"serialNumber\": *\"\\([A-Z0-9]*\\)\".*/\\1/p",
                "ABC123\n",
            ),
            ("grep|-o|[A-Z]*[0-9][0-9][0-9]", "ABC123\n"),
            ("grep|-qi|SERIAL", ""),
            ("awk|/serial/ {print $2}", "\"ABC123\",\n"),
            ("wc|-l", "3\n"),
        ] {
            let mut words = line.split('|').map(str::to_owned);
            let name = words.next().unwrap();
            let words: Vec<String> = words.collect();
            let done = filter(&name, &words, text.as_bytes().to_vec(), |_| None).unwrap();
            assert_eq!(String::from_utf8_lossy(&done.out), expect, "{line}");
            assert_eq!(done.code, 0);
        }
        let words = ["-d", "\\r"].map(str::to_owned);
        let done = filter("tr", &words, b"a\r\n".to_vec(), |_| None).unwrap();
        assert_eq!(done.out, b"a\n");
        let words = ["-cd".to_owned(), "A-Za-z0-9._:+-".to_owned()];
        let done = filter("tr", &words, b"a \x01B:9-\n".to_vec(), |_| None).unwrap();
        assert_eq!(done.out, b"aB:9-");
    }

    #[test]
    fn texts_are_printed() {
        let words = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(echo(&words("-n|a|b")), "a b");
        assert_eq!(printf(&words("%s=%s\\n|a|1|b|2")), "a=1\nb=2\n");
    }
}
