//! A program whose statements change a candidate configuration, and commit it.

use std::sync::Arc;

use super::super::read::braces;
use super::shell::{Shell, Stop, Streams};

impl Shell<'_> {
    /// Whether a program of this name edits the configuration.
    pub(super) fn edits(&self, short: &str) -> bool {
        let rules = self.unit.conduct.script.as_ref();
        let mut programs = rules.iter().flat_map(|rules| &rules.programs);
        programs.any(|program| program.edits && program.name == short)
    }

    /// Plays its statements in order. The first that fails ends it.
    pub(super) fn edit(
        &mut self,
        short: &str,
        words: &[String],
        streams: &mut Streams,
    ) -> Result<i32, Stop> {
        let input = std::mem::take(&mut streams.input);
        let mut text: Vec<&str> = words.iter().map(String::as_str).collect();
        text.retain(|word| *word != "-c" && *word != "-e");
        let text = format!("{}\n{}", text.join(" "), String::from_utf8_lossy(&input));
        let now = self.committed();
        let mut candidate = now.clone();
        for line in statements(&text) {
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let rest = rest.trim();
            match verb {
                "configure" | "edit" | "exit" | "quit" | "top" => {}
                "set" => {
                    candidate.retain(|own| own != rest);
                    candidate.push(rest.to_owned());
                }
                "delete" => {
                    let below = format!("{rest} ");
                    candidate.retain(|own| own != rest && !own.starts_with(&below));
                }
                "rollback" => candidate.clone_from(&now),
                "load" => {
                    let (kind, file) = rest.split_once(' ').unwrap_or((rest, ""));
                    let file = file.split(' ').next().unwrap_or(file);
                    let bytes = self.file(file).unwrap_or_default();
                    let read = braces::read(&String::from_utf8_lossy(&bytes));
                    let lines = match read {
                        Ok(lines) if !lines.is_empty() => lines,
                        Ok(_) => return Ok(wrong(streams, &format!("nothing in {file:?}"))),
                        Err(why) => return Ok(wrong(streams, &format!("{file}: {why}"))),
                    };
                    if kind == "override" || kind == "update" {
                        candidate.clear();
                    }
                    candidate.extend(lines);
                }
                "commit" => {
                    let conduct = Arc::clone(&self.unit.conduct);
                    let Some(rules) = &conduct.script else {
                        return Ok(1);
                    };
                    if !candidate.iter().any(|own| own.starts_with(&rules.needs)) {
                        return Ok(wrong(streams, &format!("no {} is set", rules.needs)));
                    }
                    if rest == "check" {
                        streams.out.extend(b"configuration check succeeds\n");
                        continue;
                    }
                    streams.out.extend(b"commit complete\n");
                    let goes_on = |line: &String| *line == rules.asks_while;
                    let asks = rules.asks_while.is_empty() || candidate.iter().any(goes_on);
                    let text = candidate.join("\n");
                    let name = rules.configuration.clone();
                    self.unit.flash.files.insert(name, text.into_bytes());
                    if !asks {
                        // The process ends with it, and with the script.
                        return Err(Stop::Ended);
                    }
                }
                _ => {
                    let own: Vec<String> = line.split(' ').map(str::to_owned).collect();
                    let code = self.said(short, &own, streams)?;
                    if code != 0 {
                        return Ok(code);
                    }
                }
            }
        }
        Ok(0)
    }

    /// The lines of the configuration that the unit has.
    fn committed(&self) -> Vec<String> {
        let rules = self.unit.conduct.script.as_ref();
        let file = rules.and_then(|rules| self.unit.flash.files.get(&rules.configuration));
        let text = String::from_utf8_lossy(file.map_or(&[][..], Vec::as_slice)).into_owned();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if file.is_none()
            && let Some(rules) = rules
            && !rules.asks_while.is_empty()
        {
            lines.push(rules.asks_while.clone());
        }
        lines
    }
}

/// Statements stand between `;` and line ends, unless in quotes.
fn statements(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut quoted = false;
    for ch in text.chars() {
        quoted ^= ch == '"';
        match found.last_mut() {
            Some(last) if quoted || !matches!(ch, ';' | '\n') => last.push(ch),
            Some(_) | None => found.push(String::new()),
        }
    }
    let trimmed = found.iter().map(|one| one.trim().to_owned());
    trimmed.filter(|one| !one.is_empty()).collect()
}

fn wrong(streams: &mut Streams, why: &str) -> i32 {
    streams
        .messages
        .extend(format!("error: {why}\n").into_bytes());
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_outside_quotes_only() {
        assert_eq!(
            statements("configure; set a \"b;c\" ;\ncommit and-quit\n"),
            ["configure", "set a \"b;c\"", "commit and-quit"]
        );
    }
}
