//! Text of a shell script → tree. What is not understood is an error with its line, never skipped.

use std::sync::Arc;

use super::ast::{Node, Part, Redirect, Word};

/// The deepest nesting.
const DEEPEST: usize = 60;

/// Reads a whole script.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut parser = Parser {
        text: text.chars().collect(),
        at: 0,
        here: None,
        depth: 0,
    };
    let node = parser.list(&[])?;
    if parser.at < parser.text.len() {
        return Err(parser.wrong("what stands here"));
    }
    Ok(node)
}

/// The parts of a text as if it stood in double quotes: a here-document.
pub(super) fn quoted_text(text: &str) -> Result<Word, String> {
    let mut parser = Parser {
        text: text.chars().collect(),
        at: 0,
        here: None,
        depth: 0,
    };
    let mut word = Vec::new();
    while let Some(ch) = parser.peek() {
        parser.in_quotes(ch, &mut word)?;
    }
    Ok(word)
}

pub(super) struct Parser {
    pub(super) text: Vec<char>,
    pub(super) at: usize,
    /// Where the text goes on after the here-documents of this line.
    pub(super) here: Option<usize>,
    pub(super) depth: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    pub(super) fn wrong(&self, what: &str) -> String {
        let before = self.text.get(..self.at.min(self.text.len()));
        let line = before
            .unwrap_or_default()
            .iter()
            .filter(|ch| **ch == '\n')
            .count()
            + 1;
        format!("line {line}: {what} is not understood")
    }

    /// Whether the text goes on with this; if so, takes it.
    pub(super) fn takes(&mut self, text: &str) -> bool {
        let here = text
            .chars()
            .enumerate()
            .all(|(at, ch)| self.peek_at(at) == Some(ch));
        if here {
            self.at += text.chars().count();
        }
        here
    }

    /// Blanks, continued lines and comments.
    pub(super) fn blanks(&mut self) {
        while let Some(ch) = self.peek() {
            match ch {
                ' ' | '\t' => self.at += 1,
                '\\' if self.peek_at(1) == Some('\n') => self.at += 2,
                '#' => {
                    while self.peek().is_some_and(|ch| ch != '\n') {
                        self.at += 1;
                    }
                }
                _ => break,
            }
        }
    }

    /// A line end, with the here-documents that follow it.
    fn line_end(&mut self) {
        self.at += 1;
        if let Some(after) = self.here.take() {
            self.at = after;
        }
    }

    fn gaps(&mut self) {
        loop {
            self.blanks();
            if self.peek() == Some('\n') {
                self.line_end();
            } else {
                break;
            }
        }
    }

    /// The plain word that comes next, if it is one.
    fn keyword(&mut self) -> String {
        self.blanks();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let stop = |ch: &char| !ch.is_whitespace() && !";&|()<>\"'$`\\".contains(*ch);
        rest.iter().copied().take_while(|ch| stop(ch)).collect()
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        self.gaps();
        if self.keyword() == word {
            self.at += word.chars().count();
            Ok(())
        } else {
            Err(self.wrong(&format!("the text where {word} should be")))
        }
    }

    /// One step down, where a script may nest so deep.
    pub(super) fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong("nesting this deep"));
        }
        Ok(())
    }

    /// Commands up to one of these words, or a closing parenthesis, or the end.
    fn list(&mut self, ends: &[&str]) -> Result<Node, String> {
        self.deeper()?;
        let mut nodes = Vec::new();
        loop {
            self.gaps();
            while self.peek() == Some(';') && self.peek_at(1) != Some(';') {
                self.at += 1;
                self.gaps();
            }
            match self.peek() {
                None | Some(')') => break,
                Some(';') => break,
                Some(_) => {}
            }
            let word = self.keyword();
            if ends.contains(&word.as_str()) {
                break;
            }
            nodes.push(self.and_or()?);
            self.blanks();
            match self.peek() {
                Some(';') if self.peek_at(1) != Some(';') => self.at += 1,
                // Nothing here runs beside anything else.
                Some('&') => self.at += 1,
                Some('\n') => self.line_end(),
                None | Some(_) => {}
            }
        }
        self.depth -= 1;
        Ok(Node::List(nodes))
    }

    fn and_or(&mut self) -> Result<Node, String> {
        let mut left = self.pipe()?;
        loop {
            self.blanks();
            if self.takes("&&") {
                self.gaps();
                left = Node::And(Box::new(left), Box::new(self.pipe()?));
            } else if self.takes("||") {
                self.gaps();
                left = Node::Or(Box::new(left), Box::new(self.pipe()?));
            } else {
                return Ok(left);
            }
        }
    }

    fn pipe(&mut self) -> Result<Node, String> {
        self.blanks();
        if self.keyword() == "!" {
            self.at += 1;
            return Ok(Node::Not(Box::new(self.pipe()?)));
        }
        let mut nodes = vec![self.command()?];
        loop {
            self.blanks();
            if self.peek() == Some('|') && self.peek_at(1) != Some('|') {
                self.at += 1;
                self.gaps();
                nodes.push(self.command()?);
            } else if nodes.len() == 1 {
                return nodes.pop().ok_or_else(|| self.wrong("a pipe"));
            } else {
                return Ok(Node::Pipe(nodes));
            }
        }
    }

    fn command(&mut self) -> Result<Node, String> {
        self.blanks();
        let word = self.keyword();
        if self.peek() == Some('(') {
            return self.parenthesis();
        }
        let node = match word.as_str() {
            "if" => self.conditional()?,
            "while" | "until" => {
                self.at += word.len();
                let condition = Box::new(self.list(&["do"])?);
                Node::Loop {
                    until: word == "until",
                    condition,
                    body: Box::new(self.body()?),
                }
            }
            "for" => self.counted()?,
            "case" => self.choice()?,
            "{" => {
                self.at += 1;
                let body = self.list(&["}"])?;
                self.expect("}")?;
                body
            }
            "function" => {
                self.at += word.len();
                let name = self.keyword();
                self.blanks();
                self.at += name.chars().count();
                return self.function(name);
            }
            name if self.is_function(name) => {
                let name = name.to_owned();
                self.at += name.chars().count();
                return self.function(name);
            }
            _ => return self.simple(),
        };
        self.redirected(node, false)
    }

    /// Whether `name()` stands here.
    fn is_function(&self, name: &str) -> bool {
        let mut ahead = name.chars().count();
        while self.peek_at(ahead).is_some_and(|ch| ch == ' ') {
            ahead += 1;
        }
        !name.is_empty() && self.peek_at(ahead) == Some('(') && self.peek_at(ahead + 1) == Some(')')
    }

    fn function(&mut self, name: String) -> Result<Node, String> {
        self.blanks();
        self.takes("()");
        self.gaps();
        let body = Arc::new(self.command()?);
        Ok(Node::Function { name, body })
    }

    fn parenthesis(&mut self) -> Result<Node, String> {
        if self.takes("((") {
            let source = self.until_closed("((", "))")?;
            return Ok(Node::Arithmetic(source));
        }
        self.at += 1;
        let body = self.list(&[])?;
        if !self.takes(")") {
            return Err(self.wrong("a parenthesis without its end"));
        }
        self.redirected(body, true)
    }

    fn redirected(&mut self, node: Node, apart: bool) -> Result<Node, String> {
        let mut redirects = Vec::new();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
        }
        if redirects.is_empty() && !apart {
            return Ok(node);
        }
        Ok(Node::Group {
            body: Box::new(node),
            redirects,
            apart,
        })
    }

    fn conditional(&mut self) -> Result<Node, String> {
        self.at += 2;
        let mut arms = Vec::new();
        loop {
            let condition = self.list(&["then"])?;
            self.expect("then")?;
            arms.push((condition, self.list(&["elif", "else", "fi"])?));
            if self.keyword() == "elif" {
                self.at += 4;
            } else {
                break;
            }
        }
        let mut otherwise = None;
        if self.keyword() == "else" {
            self.at += 4;
            otherwise = Some(Box::new(self.list(&["fi"])?));
        }
        self.expect("fi")?;
        Ok(Node::If { arms, otherwise })
    }

    fn body(&mut self) -> Result<Node, String> {
        self.expect("do")?;
        let body = self.list(&["done"])?;
        self.expect("done")?;
        Ok(body)
    }

    fn counted(&mut self) -> Result<Node, String> {
        self.at += 3;
        let name = self.keyword();
        self.blanks();
        self.at += name.chars().count();
        let mut words = vec![vec![Part::Variable("@".to_owned(), true)]];
        self.gaps();
        if self.keyword() == "in" {
            self.at += 2;
            words.clear();
            self.blanks();
            while let Some(word) = self.word()? {
                words.push(word);
                self.blanks();
            }
        }
        self.blanks();
        self.takes(";");
        let body = Box::new(self.body()?);
        Ok(Node::For { name, words, body })
    }

    fn choice(&mut self) -> Result<Node, String> {
        self.at += 4;
        self.blanks();
        let subject = self.word()?.ok_or_else(|| self.wrong("case"))?;
        self.expect("in")?;
        let mut arms = Vec::new();
        loop {
            self.gaps();
            if self.keyword() == "esac" {
                break;
            }
            self.takes("(");
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                patterns.push(self.word()?.ok_or_else(|| self.wrong("a pattern"))?);
                self.blanks();
                if !self.takes("|") {
                    break;
                }
            }
            if !self.takes(")") {
                return Err(self.wrong("a pattern without its end"));
            }
            arms.push((patterns, self.list(&["esac"])?));
            self.gaps();
            self.takes(";;");
        }
        self.expect("esac")?;
        Ok(Node::Case { subject, arms })
    }

    fn simple(&mut self) -> Result<Node, String> {
        let mut assigns = Vec::new();
        let mut words: Vec<Word> = Vec::new();
        let mut redirects = Vec::new();
        let begun = self.at;
        let test = self.keyword() == "[[";
        loop {
            self.blanks();
            if test && self.keyword() == "]]" {
                self.at += 2;
                words.push(vec![Part::Text("]]".to_owned())]);
                break;
            }
            if test && let Some(mark) = self.test_mark() {
                words.push(vec![Part::Text(mark)]);
                continue;
            }
            if !test && let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if words.is_empty()
                && let Some(name) = self.assignment()
            {
                let value = self.word()?.unwrap_or_default();
                assigns.push((name, value));
                continue;
            }
            match self.word()? {
                Some(word) => words.push(word),
                None => break,
            }
        }
        if self.at == begun {
            return Err(self.wrong("what stands here"));
        }
        Ok(Node::Simple {
            assigns,
            words,
            redirects,
        })
    }

    /// A mark inside `[[ … ]]` that would mean something else outside.
    fn test_mark(&mut self) -> Option<String> {
        for mark in ["&&", "||", "(", ")", "<", ">"] {
            if self.takes(mark) {
                return Some(mark.to_owned());
            }
        }
        if self.peek() == Some('\n') {
            self.line_end();
        }
        None
    }

    /// `NAME=` before a value; takes it.
    fn assignment(&mut self) -> Option<String> {
        let rest = self.text.get(self.at..)?;
        let name: String = rest
            .iter()
            .copied()
            .take_while(|ch| ch.is_ascii_alphanumeric() || *ch == '_')
            .collect();
        let starts = name.chars().next()?;
        if starts.is_ascii_digit() {
            return None;
        }
        let plus = usize::from(self.peek_at(name.len()) == Some('+'));
        if self.peek_at(name.len() + plus) != Some('=') {
            return None;
        }
        self.at += name.len() + plus + 1;
        Some(if plus == 1 { format!("{name}+") } else { name })
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, String> {
        self.blanks();
        let digit = self.peek().and_then(|ch| ch.to_digit(10));
        let ahead = usize::from(digit.is_some() && matches!(self.peek_at(1), Some('<' | '>')));
        let both = self.peek() == Some('&') && self.peek_at(1) == Some('>');
        match self.peek_at(ahead) {
            Some('<' | '>') => {}
            _ if both => {
                self.at += 1;
            }
            _ => return Ok(None),
        }
        let fd = digit
            .filter(|_| ahead == 1)
            .and_then(|digit| u8::try_from(digit).ok());
        self.at += ahead;
        if self.takes("<<<") {
            self.blanks();
            let mut word = self.word()?.ok_or_else(|| self.wrong("<<<"))?;
            word.push(Part::Quoted("\n".to_owned()));
            return Ok(Some(Redirect::Here(word)));
        }
        if self.takes("<<") {
            return self.here_document().map(Some);
        }
        if self.takes("<") {
            self.blanks();
            let word = self.word()?.ok_or_else(|| self.wrong("<"))?;
            return Ok(Some(Redirect::In(word)));
        }
        let fd = fd.unwrap_or(1);
        if self.takes(">&") {
            let digit = self.peek().and_then(|ch| ch.to_digit(10));
            let as_fd = digit.and_then(|digit| u8::try_from(digit).ok());
            self.at += 1;
            let as_fd = as_fd.ok_or_else(|| self.wrong(">&"))?;
            return Ok(Some(Redirect::Same { fd, as_fd }));
        }
        let append = self.takes(">>");
        if !append {
            self.takes(">");
            self.takes("|");
        }
        self.blanks();
        let target = self.word()?.ok_or_else(|| self.wrong(">"))?;
        // `&>` is said as both streams to one file.
        let fd = if both { 3 } else { fd };
        Ok(Some(Redirect::Out { fd, append, target }))
    }

    /// After `<<`: the word that ends it, and the text below this line.
    fn here_document(&mut self) -> Result<Redirect, String> {
        let strip = self.takes("-");
        self.blanks();
        let word = self.word()?.ok_or_else(|| self.wrong("<<"))?;
        let plain = word.iter().all(|part| matches!(part, Part::Text(_)));
        let mut end = String::new();
        for part in &word {
            match part {
                Part::Text(text) | Part::Quoted(text) => end.push_str(text),
                Part::Variable(..) | Part::Command(..) | Part::Number(_) => {
                    return Err(self.wrong("<< with an expansion"));
                }
            }
        }
        let mut at = match self.here {
            Some(at) => at,
            None => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let line = rest.iter().position(|ch| *ch == '\n');
                self.at + line.ok_or_else(|| self.wrong("<< on the last line"))? + 1
            }
        };
        let mut body = String::new();
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return Err(self.wrong(&format!("<< without its {end}")));
            }
            let line: String = rest.iter().take_while(|ch| **ch != '\n').collect();
            at += line.chars().count() + 1;
            let line = if strip {
                line.trim_start_matches('\t')
            } else {
                &line
            };
            if line == end {
                break;
            }
            body.push_str(line);
            body.push('\n');
        }
        self.here = Some(at.min(self.text.len()));
        Ok(Redirect::Here(if plain {
            quoted_text(&body)?
        } else {
            vec![Part::Quoted(body)]
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_read_or_refused_with_their_line() {
        for good in [
            "",
            "#!/bin/bash\n# x\na=1 b=\"$a\" c 2>/dev/null; d && e || ! f\n",
            "if a; then b; elif c; then d; else e; fi > x",
            "while ! curl x; do sleep 30; done",
            "until [ -s \"$f\" ] ; do\n sleep 1\ndone < file",
            "for x in 1 2 \"$y\"; do echo $x; done",
            "f() { local a=$1; return 1; }\nf x | g",
            "case \"$x\" in a|b) c ;; *) d ;; esac",
            "cat > f <<'DT' || exit 1\n$not\nDT\ncat <<E\n$x $(y)\nE\n",
            "x=$(a | b \"$(c)\")\n(( i++ ))\necho $((1 + 2)) ${a:-b} ${a%%.*}",
            "[[ $a == b && -n $c ]] && echo x >&2",
            "trap 'a; b \"$c\"' EXIT",
            "FastCli -c $'configure\\nntp'",
        ] {
            parse(good).unwrap_or_else(|why| panic!("{good}: {why}"));
        }
        for bad in [
            "if a; then",
            "f <<X\nno end",
            "echo 'open",
            ")",
            "a\nwhile x",
            "x=$(y",
            &"\"$(".repeat(100_000),
            &"$(".repeat(100_000),
        ] {
            parse(bad).unwrap_err();
        }
    }
}
