//! The words of a script: quotes and expansions.

use super::ast::{Part, Word};
use super::parse::Parser;

impl Parser {
    /// The next word; `None` where none begins here.
    pub(super) fn word(&mut self) -> Result<Option<Word>, String> {
        let mut word: Word = Vec::new();
        let mut text = String::new();
        let mut any = false;
        while let Some(ch) = self.peek() {
            match ch {
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
                '\\' => {
                    flush(&mut text, &mut word);
                    let next = self
                        .peek_at(1)
                        .ok_or_else(|| self.wrong("a last backslash"))?;
                    self.at += 2;
                    if next != '\n' {
                        word.push(Part::Quoted(next.to_string()));
                    }
                }
                '\'' => {
                    flush(&mut text, &mut word);
                    self.at += 1;
                    word.push(Part::Quoted(self.until_mark('\'')?));
                }
                '"' => {
                    flush(&mut text, &mut word);
                    self.double(&mut word)?;
                }
                '$' if self.peek_at(1) == Some('\'') => {
                    flush(&mut text, &mut word);
                    self.at += 2;
                    word.push(Part::Quoted(self.escaped()?));
                }
                '$' | '`' => {
                    flush(&mut text, &mut word);
                    self.expansion(&mut word, false)?;
                }
                other => {
                    text.push(other);
                    self.at += 1;
                }
            }
            any = true;
        }
        flush(&mut text, &mut word);
        Ok(any.then_some(word))
    }

    /// The text up to a mark, which is taken too.
    fn until_mark(&mut self, mark: char) -> Result<String, String> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|ch| *ch == mark);
        let end = end.ok_or_else(|| self.wrong(&format!("a {mark} without its end")))?;
        let text = rest.iter().take(end).collect();
        self.at += end + 1;
        Ok(text)
    }

    fn double(&mut self, word: &mut Word) -> Result<(), String> {
        self.at += 1;
        // An empty pair of quotes is an empty word.
        word.push(Part::Quoted(String::new()));
        loop {
            match self.peek() {
                None => return Err(self.wrong("a \" without its end")),
                Some('"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(ch) => self.in_quotes(ch, word)?,
            }
        }
    }

    /// One step inside double quotes.
    pub(super) fn in_quotes(&mut self, ch: char, word: &mut Word) -> Result<(), String> {
        match ch {
            '\\' => {
                let next = self.peek_at(1);
                self.at += 2;
                let text = match next {
                    Some(next @ ('$' | '`' | '"' | '\\')) => next.to_string(),
                    Some('\n') => String::new(),
                    Some(next) => format!("\\{next}"),
                    None => "\\".to_owned(),
                };
                word.push(Part::Quoted(text));
            }
            '$' | '`' => self.expansion(word, true)?,
            other => {
                self.at += 1;
                match word.last_mut() {
                    Some(Part::Quoted(text)) => text.push(other),
                    Some(_) | None => word.push(Part::Quoted(other.to_string())),
                }
            }
        }
        Ok(())
    }

    /// `$'…'` after its first quote.
    fn escaped(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            let ch = self
                .peek()
                .ok_or_else(|| self.wrong("$' without its end"))?;
            self.at += 1;
            match ch {
                '\'' => return Ok(text),
                '\\' => {
                    let next = self.peek().unwrap_or('\\');
                    self.at += 1;
                    text.push(match next {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        other => other,
                    });
                }
                other => text.push(other),
            }
        }
    }

    /// `$…` or a backquote.
    fn expansion(&mut self, word: &mut Word, quoted: bool) -> Result<(), String> {
        if self.takes("`") {
            let source = self.until_mark('`')?;
            word.push(Part::Command(source, quoted));
        } else if self.takes("$((") {
            word.push(Part::Number(self.until_closed("((", "))")?));
        } else if self.takes("$(") {
            word.push(Part::Command(self.until_closed("(", ")")?, quoted));
        } else if self.takes("${") {
            word.push(Part::Variable(self.until_closed("{", "}")?, quoted));
        } else {
            self.at += 1;
            let rest = self.text.get(self.at..).unwrap_or_default();
            let name: String = match rest.first() {
                Some(ch @ ('@' | '*' | '#' | '?' | '$' | '!' | '0'..='9')) => ch.to_string(),
                Some(_) | None => rest
                    .iter()
                    .copied()
                    .take_while(|ch| ch.is_ascii_alphanumeric() || *ch == '_')
                    .collect(),
            };
            self.at += name.chars().count();
            word.push(if name.is_empty() {
                Part::Quoted("$".to_owned())
            } else {
                Part::Variable(name, quoted)
            });
        }
        Ok(())
    }

    /// The text up to the mark that closes what was opened, quotes left alone; takes the mark.
    pub(super) fn until_closed(&mut self, open: &str, close: &str) -> Result<String, String> {
        let first = open.chars().next();
        let last = close.chars().next();
        self.deeper()?;
        let mut depth = 0_usize;
        let mut text = String::new();
        loop {
            if depth == 0 && self.takes(close) {
                self.depth -= 1;
                return Ok(text);
            }
            let ch = self.peek();
            let ch = ch.ok_or_else(|| self.wrong(&format!("{open} without its {close}")))?;
            self.at += 1;
            text.push(ch);
            match ch {
                '\\' => {
                    text.extend(self.peek());
                    self.at += 1;
                }
                '\'' if open != "{" => {
                    text.push_str(&self.until_mark('\'')?);
                    text.push('\'');
                }
                '"' => text.push_str(&self.raw_double()?),
                ch if Some(ch) == first => depth += 1,
                ch if Some(ch) == last => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// The raw text of double quotes after the first one, with what is nested in them.
    fn raw_double(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            let ch = self
                .peek()
                .ok_or_else(|| self.wrong("a \" without its end"))?;
            if ch == '$' && self.peek_at(1) == Some('(') {
                self.at += 2;
                text.push_str("$(");
                text.push_str(&self.until_closed("(", ")")?);
                text.push(')');
                continue;
            }
            self.at += 1;
            text.push(ch);
            match ch {
                '"' => return Ok(text),
                '\\' => {
                    text.extend(self.peek());
                    self.at += 1;
                }
                _ => {}
            }
        }
    }
}

fn flush(text: &mut String, word: &mut Word) {
    if !text.is_empty() {
        word.push(Part::Text(std::mem::take(text)));
    }
}
