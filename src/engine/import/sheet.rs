//! CSV as spreadsheets write it (RFC 4180 and its relatives): separator found, caps kept, every
//! row numbered as the spreadsheet numbers it.

use super::problem::FileProblem;

/// What a file may hold at most (hostile-cases E1).
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    pub columns: usize,
    /// Bytes of one row.
    pub row: usize,
    pub rows: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            columns: 256,
            row: 64 * 1024,
            rows: 1_000_000,
        }
    }
}

/// A table of texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Sheet {
    pub separator: char,
    pub headers: Vec<String>,
    /// Rows in which something is written.
    pub rows: Vec<Row>,
}

/// One row. Its cells lie in one text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// As a spreadsheet counts: the header is 1.
    pub number: u32,
    text: String,
    ends: Vec<usize>,
}

impl Row {
    /// The cell of that column; empty where the row is shorter.
    pub fn cell(&self, column: usize) -> &str {
        let end = self.ends.get(column).copied().unwrap_or(0);
        let start = column
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        self.text.get(start..end).unwrap_or("")
    }

    /// How many cells were written.
    pub fn width(&self) -> usize {
        self.ends.len()
    }

    /// Whether nothing but blanks is in it.
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    fn end_cell(&mut self) {
        self.ends.push(self.text.len());
    }
}

/// Where the reader stands.
enum At {
    Start,
    Plain,
    Quoted {
        since: u32,
    },
    /// A quote inside a quoted cell: its end, or half of a doubled one.
    Quote {
        since: u32,
    },
}

impl Sheet {
    /// Reads all of it; the first row is the header.
    pub fn read(text: &str, caps: Caps) -> Result<Self, FileProblem> {
        let (separator, body) = separator(text);
        let mut rows = rows(body, separator, caps)?.into_iter();
        let header = rows.by_ref().find(|row| !row.is_blank()).ok_or_else(|| {
            FileProblem::new(
                1,
                "the file is empty",
                "the first row names the columns, each further row is a unit",
            )
        })?;
        let mut headers: Vec<String> = (0..header.width())
            .map(|at| header.cell(at).trim().to_owned())
            .collect();
        while headers.last().is_some_and(String::is_empty) {
            headers.pop();
        }
        for (at, name) in headers.iter().enumerate() {
            let first = headers
                .iter()
                .position(|other| other.to_lowercase() == name.to_lowercase());
            if let Some(first) = first.filter(|first| *first < at && !name.is_empty()) {
                return Err(FileProblem::new(
                    header.number,
                    format!(
                        "columns {} and {} are both called \"{name}\"",
                        first + 1,
                        at + 1
                    ),
                    "give each column a name of its own",
                ));
            }
        }
        let rows: Vec<Row> = rows.filter(|row| !row.is_blank()).collect();
        if rows.is_empty() {
            return Err(FileProblem::new(
                header.number,
                "there is a header and no row below it",
                "each further row is a unit",
            ));
        }
        Ok(Self {
            separator,
            headers,
            rows,
        })
    }

    /// The name of a column for reports.
    pub fn header(&self, column: usize) -> String {
        match self.headers.get(column) {
            Some(name) if !name.is_empty() => name.clone(),
            Some(_) | None => format!("column {}", column + 1),
        }
    }
}

/// The separator that a first line `sep=;` names, else the one that the header holds most often.
fn separator(text: &str) -> (char, &str) {
    if let Some(rest) = text.strip_prefix("sep=") {
        let mut chars = rest.chars();
        if let Some(mark) = chars.next() {
            let rest = chars.as_str();
            if let Some(rest) = rest
                .strip_prefix("\r\n")
                .or_else(|| rest.strip_prefix(['\n', '\r']))
            {
                return (mark, rest);
            }
        }
    }
    let mut quoted = false;
    let mut counts = [(',', 0_u32), (';', 0), ('\t', 0), ('|', 0)];
    let mut written = false;
    for ch in text.chars() {
        match ch {
            '"' => quoted = !quoted,
            '\n' | '\r' if !quoted && written => break,
            _ => {}
        }
        written |= !ch.is_whitespace();
        if !quoted {
            for (mark, count) in &mut counts {
                *count += u32::from(*mark == ch);
            }
        }
    }
    let most = counts.iter().rev().max_by_key(|(_, count)| *count);
    (
        most.map_or(',', |(mark, count)| if *count == 0 { ',' } else { *mark }),
        text,
    )
}

fn rows(text: &str, separator: char, caps: Caps) -> Result<Vec<Row>, FileProblem> {
    let mut rows = Vec::new();
    let mut row = Row {
        number: 1,
        ..Row::default()
    };
    let mut at = At::Start;
    let mut line = 1_u32;
    let mut chars = text.chars().peekable();
    while let Some(ch) = chars.next() {
        if ch == '\n' || (ch == '\r' && chars.peek() != Some(&'\n')) {
            line += 1;
        }
        let ends_row = ch == '\n' || ch == '\r';
        at = match at {
            At::Quoted { since } => {
                if ch == '"' {
                    At::Quote { since }
                } else {
                    row.text.push(ch);
                    At::Quoted { since }
                }
            }
            At::Quote { since } if ch == '"' => {
                row.text.push('"');
                At::Quoted { since }
            }
            At::Start if ch == '"' => At::Quoted { since: line },
            At::Start | At::Plain | At::Quote { .. } if ch == separator => {
                row.end_cell();
                At::Start
            }
            At::Start | At::Plain | At::Quote { .. } if ends_row => {
                if ch == '\r' && chars.peek() == Some(&'\n') {
                    chars.next();
                    line += 1;
                }
                row.end_cell();
                let number = row.number.saturating_add(1);
                rows.push(std::mem::replace(
                    &mut row,
                    Row {
                        number,
                        ..Row::default()
                    },
                ));
                At::Start
            }
            At::Quote { since } if ch.is_whitespace() => At::Quote { since },
            At::Quote { .. } => {
                return Err(FileProblem::new(
                    line,
                    "there is text after a closing quote",
                    "a quote inside a quoted value is written twice",
                ));
            }
            At::Start | At::Plain => {
                row.text.push(ch);
                At::Plain
            }
        };
        if row.text.len() > caps.row {
            let since = if let At::Quoted { since } = at {
                since
            } else {
                line
            };
            return Err(FileProblem::new(
                since,
                format!("a row is longer than {} bytes", caps.row),
                "is a quote open, or is this no CSV?",
            ));
        }
        if row.ends.len() >= caps.columns {
            return Err(FileProblem::new(
                line,
                format!("more than {} columns", caps.columns),
                "take out the columns that no unit needs",
            ));
        }
        if rows.len() > caps.rows {
            return Err(FileProblem::new(
                line,
                format!("more than {} rows", caps.rows),
                "split the file",
            ));
        }
    }
    match at {
        At::Quoted { since } => Err(FileProblem::new(
            since,
            "the quote that opens in this line is never closed",
            "close it, or write it twice where it is part of the value",
        )),
        At::Start if row.text.is_empty() && row.ends.is_empty() => Ok(rows),
        At::Start | At::Plain | At::Quote { .. } => {
            row.end_cell();
            rows.push(row);
            Ok(rows)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cells(text: &str) -> Vec<Vec<String>> {
        let sheet = Sheet::read(text, Caps::default()).unwrap();
        sheet
            .rows
            .iter()
            .map(|row| (0..row.width()).map(|at| row.cell(at).to_owned()).collect())
            .collect()
    }

    #[test]
    fn rows_are_read_as_spreadsheets_write_them() {
        fn check(text: &str, expect: &[&[&str]]) {
            assert_eq!(cells(text), expect, "{text:?}");
        }
        check("a,b\n1,2\n", &[&["1", "2"]]);
        check("a;b\r\n1;2,5\r\n", &[&["1", "2,5"]]);
        check("a\tb\r1\t2\r", &[&["1", "2"]]);
        check("sep=|\na|b;c;d\n1|2", &[&["1", "2"]]);
        check("a,b\n\"x, \"\"y\"\"\nz\",2\n", &[&["x, \"y\"\nz", "2"]]);
        check("a,b\n1,\n\n,\n2,3\n", &[&["1", ""], &["2", "3"]]);
        check("a,b,,\n1,2,,\n", &[&["1", "2", "", ""]]);
    }

    #[test]
    fn rows_keep_the_spreadsheets_numbers() {
        let sheet = Sheet::read("a,b\n\"x\ny\",1\n\n2,3\n", Caps::default()).unwrap();
        assert_eq!(
            sheet.rows.iter().map(|row| row.number).collect::<Vec<_>>(),
            [2, 4]
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_names_its_line() {
        fn check(text: &str, line: u32, what: &str) {
            let caps = Caps {
                columns: 4,
                row: 40,
                rows: 3,
            };
            let problem = Sheet::read(text, caps).unwrap_err();
            assert_eq!(problem.line, line, "{problem}");
            assert!(problem.what.contains(what), "{problem}");
        }
        check("", 1, "empty");
        check("a,b\n", 1, "no row");
        check("a,b\n1,\"x\ny\n", 2, "never closed");
        check("mac,site,MAC\n1,2,3\n", 1, "both called");
        check("a,b\n\"x\"y,1\n", 2, "after a closing quote");
        check("a,b,c,d,e\n", 1, "columns");
        check(&format!("a\n{}\n", "x".repeat(50)), 2, "longer");
        check("a\n1\n2\n3\n4\n", 5, "rows");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a\",;\r\n\t x]{0,200}") {
            drop(Sheet::read(&text, Caps::default()));
        }
    }
}
