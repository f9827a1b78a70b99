//! Shell as structure: commands, operators, expansions and words are keys; what stands in single
//! quotes is not.

use super::{ParseError, Parsed, Scan};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Backtick,
    Brace,
    Double,
    Paren,
}

struct Reader<'a> {
    scan: Scan<'a>,
    parsed: Parsed,
    inside: Vec<Inside>,
    /// For each command inside another: the word and place to go on with after it.
    around: Vec<(Option<String>, bool)>,
    /// The word under way, with `''` for what is quoted.
    word: Option<String>,
    /// Whether the next word is a command's name.
    fresh: bool,
    /// Here-documents that begin after this line: the word that ends each, whether a tab may stand
    /// before it, and whether expansions count.
    pending: Vec<(String, bool, bool)>,
}

pub(super) fn parse(text: &str) -> Result<Parsed, ParseError> {
    let mut reader = Reader {
        scan: Scan::new(text),
        parsed: Parsed::default(),
        inside: Vec::new(),
        around: Vec::new(),
        word: None,
        fresh: true,
        pending: Vec::new(),
    };
    while let Some(ch) = reader.scan.next() {
        reader.step(ch)?;
    }
    reader.end_word();
    if !reader.inside.is_empty() {
        return Err(reader.scan.wrong("a quote or bracket is not closed"));
    }
    if !reader.pending.is_empty() {
        return Err(reader.scan.wrong("a here-document is not ended"));
    }
    Ok(reader.parsed)
}

impl Reader<'_> {
    fn step(&mut self, ch: char) -> Result<(), ParseError> {
        if self.inside.last() == Some(&Inside::Double) {
            match ch {
                '"' => self.leave(),
                '\\' => drop(self.scan.next()),
                '$' => self.expansion()?,
                '`' => self.backtick(),
                _ => {}
            }
            return Ok(());
        }
        match ch {
            '\'' => {
                if !self.scan.past("'") {
                    return Err(self.scan.wrong("a single quote is not closed"));
                }
                self.put("''");
            }
            '"' => {
                self.put("\"\"");
                self.inside.push(Inside::Double);
            }
            '\\' => {
                let escaped = self.scan.next();
                if escaped != Some('\n') {
                    self.put("''");
                }
            }
            '$' => self.expansion()?,
            '`' => self.backtick(),
            '#' if self.word.is_none() && self.inside.last() != Some(&Inside::Brace) => {
                self.scan.run(|ch| ch != '\n');
                self.parsed.add("# ");
            }
            '\n' => {
                self.end_word();
                self.fresh = true;
                self.parsed.add("\\n");
                self.here_documents()?;
            }
            '}' if self.inside.last() == Some(&Inside::Brace) => self.leave(),
            ')' if self.inside.last() == Some(&Inside::Paren) => {
                self.leave();
            }
            '(' => {
                self.operator('(');
                self.enter(Inside::Paren);
            }
            '<' if self.scan.skip("<") && !self.scan.skip("<") => self.here(),
            ';' | '|' | '&' | '<' | '>' | ')' => self.operator(ch),
            ch if ch.is_whitespace() => self.end_word(),
            ch => self.put(ch.encode_utf8(&mut [0; 4])),
        }
        Ok(())
    }

    fn put(&mut self, part: &str) {
        let word = self.word.get_or_insert_default();
        // Quoted parts that touch are one text.
        if part != "''" || !word.ends_with(part) {
            word.push_str(part);
        }
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else {
            return;
        };
        if self.fresh {
            self.parsed.add(word.as_str());
            // An assignment may stand before a command, and a word of the language does.
            let before = [
                "if", "then", "else", "elif", "do", "while", "until", "!", "{",
            ];
            self.fresh = before.contains(&word.as_str());
        } else {
            self.parsed.add("word");
        }
    }

    fn operator(&mut self, ch: char) {
        self.end_word();
        self.parsed.add(format!("op {ch}"));
        if !matches!(ch, '<' | '>') {
            self.fresh = true;
        }
    }

    /// A command inside a word, or a group.
    fn enter(&mut self, inside: Inside) {
        self.around.push((self.word.take(), self.fresh));
        self.fresh = true;
        self.inside.push(inside);
    }

    fn leave(&mut self) {
        if let Some(Inside::Backtick | Inside::Paren) = self.inside.pop() {
            self.end_word();
            let (word, fresh) = self.around.pop().unwrap_or_default();
            self.word = word;
            self.fresh = fresh;
        }
    }

    fn backtick(&mut self) {
        if self.inside.contains(&Inside::Backtick) {
            while let Some(inner) = self.inside.last().copied() {
                self.leave();
                if inner == Inside::Backtick {
                    break;
                }
            }
        } else {
            self.parsed.add("`");
            self.put("$");
            self.enter(Inside::Backtick);
        }
    }

    /// What a `$` begins.
    fn expansion(&mut self) -> Result<(), ParseError> {
        let in_double = self.inside.last() == Some(&Inside::Double);
        if !in_double && self.scan.skip("'") {
            self.put("''");
            return self.ansi();
        }
        if self.scan.skip("(") {
            self.parsed.add("$(");
            self.put("$");
            self.enter(Inside::Paren);
            return Ok(());
        }
        if self.scan.skip("{") {
            self.parsed.add("${");
            self.put("$");
            self.inside.push(Inside::Brace);
            return Ok(());
        }
        let name = self.scan.run(|ch| ch.is_ascii_alphanumeric() || ch == '_');
        if name.is_empty() {
            self.scan.next();
        }
        self.parsed.add(format!("${name}"));
        self.put("$");
        Ok(())
    }

    /// `$'…'`, in which a backslash escapes the quote.
    fn ansi(&mut self) -> Result<(), ParseError> {
        loop {
            match self.scan.next() {
                Some('\\') => drop(self.scan.next()),
                Some('\'') => return Ok(()),
                None => return Err(self.scan.wrong("a single quote is not closed")),
                Some(_) => {}
            }
        }
    }

    /// The word after `<<`.
    fn here(&mut self) {
        self.end_word();
        self.parsed.add("op <<");
        let tabs = self.scan.skip("-");
        self.scan.run(|ch| ch == ' ');
        let said = self
            .scan
            .run(|ch| !ch.is_whitespace() && !";|&<>()".contains(ch));
        let word = said.replace(['\'', '"', '\\'], "");
        let expands = word == said;
        self.pending.push((word, tabs, expands));
    }

    /// The bodies of here-documents, up to the lines that end them.
    fn here_documents(&mut self) -> Result<(), ParseError> {
        for (word, tabs, expands) in std::mem::take(&mut self.pending) {
            loop {
                if self.scan.rest().is_empty() {
                    return Err(self.scan.wrong("a here-document is not ended"));
                }
                let line = self.scan.run(|ch| ch != '\n');
                self.scan.next();
                let bare = if tabs {
                    line.trim_start_matches('\t')
                } else {
                    line
                };
                if bare == word {
                    break;
                }
                self.parsed.add("here");
                if expands {
                    let count = line.matches(['$', '`']).count();
                    (0..count).for_each(|_| self.parsed.add("here $"));
                }
            }
        }
        Ok(())
    }
}
