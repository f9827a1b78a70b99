//! CSV as spreadsheets write it (RFC 4180 and its relatives): separator found, caps kept, every
//! row numbered as the spreadsheet numbers it.
//!
//! The text is compacted where it lies, so a sheet is hardly larger than its file.

use std::fmt;

use zeroize::Zeroizing;

use super::problem::FileProblem;

/// What a file may hold at most (hostile-cases E1).
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    pub cells: usize,
    pub columns: usize,
    /// Bytes of one row.
    pub row: usize,
    pub rows: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            cells: 4_000_000,
            columns: 256,
            row: 64 * 1024,
            rows: 200_000,
        }
    }
}

/// A table of texts. Passwords are among them: it is wiped when dropped, and never printed.
pub struct Sheet {
    pub separator: char,
    pub headers: Vec<String>,
    /// All cells, one behind the other.
    text: Zeroizing<String>,
    /// Where each cell ends in the text.
    ends: Vec<u32>,
    rows: Vec<Place>,
}

/// Where a row lies.
#[derive(Clone, Copy)]
struct Place {
    number: u32,
    /// Its first cell, as a place in `ends`.
    first: usize,
    width: usize,
}

/// One row of a sheet.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// As a spreadsheet counts: the header is 1.
    pub number: u32,
    sheet: &'a Sheet,
    place: Place,
}

impl<'a> Row<'a> {
    /// The cell of that column; empty where the row is shorter.
    pub fn cell(self, column: usize) -> &'a str {
        if column >= self.place.width {
            return "";
        }
        self.sheet.cell(self.place.first + column)
    }

    /// How many cells were written.
    pub fn width(self) -> usize {
        self.place.width
    }
}

impl fmt::Debug for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sheet({:?}, {} rows)", self.headers, self.rows.len())
    }
}

impl Sheet {
    /// Reads all of it; the first row is the header.
    pub fn read(text: String, caps: Caps) -> Result<Self, FileProblem> {
        let (separator, start) = separator(&text)?;
        let mut sheet = Reader::new(text.into_bytes(), separator, start, caps).read()?;
        let header = sheet.rows.first().copied().ok_or_else(|| {
            FileProblem::new(
                1,
                "the file is empty",
                "the first row names the columns, each further row is a unit",
            )
        })?;
        let mut headers: Vec<String> = (0..header.width)
            .map(|at| sheet.cell(header.first + at).trim().to_owned())
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
        if sheet.rows.len() == 1 {
            return Err(FileProblem::new(
                header.number,
                "there is a header and no row below it",
                "each further row is a unit",
            ));
        }
        sheet.rows.remove(0);
        sheet.headers = headers;
        Ok(sheet)
    }

    /// The name of a column for reports.
    pub fn header(&self, column: usize) -> String {
        match self.headers.get(column) {
            Some(name) if !name.is_empty() => name.clone(),
            Some(_) | None => format!("column {}", column + 1),
        }
    }

    /// How many rows there are below the header in which something is written.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none; a sheet that was read has one.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A row below the header, from 0.
    pub fn row(&self, at: usize) -> Option<Row<'_>> {
        self.rows.get(at).map(|place| Row {
            number: place.number,
            sheet: self,
            place: *place,
        })
    }

    fn cell(&self, at: usize) -> &str {
        let end = |at: usize| {
            let end = self.ends.get(at).copied().unwrap_or(0);
            usize::try_from(end).unwrap_or(usize::MAX)
        };
        let start = at.checked_sub(1).map_or(0, end);
        self.text.get(start..end(at)).unwrap_or("")
    }
}

/// The separator that a first line `sep=;` names, else the one that the header holds most often;
/// and where the rows begin.
fn separator(text: &str) -> Result<(u8, usize), FileProblem> {
    if let Some(rest) = text.strip_prefix("sep=") {
        let mut chars = rest.chars();
        if let Some(mark) = chars.next() {
            let rest = chars.as_str();
            let ends = ["\r\n", "\n", "\r"];
            if let Some(end) = ends.iter().find(|end| rest.starts_with(**end)) {
                let plain = u8::try_from(mark)
                    .ok()
                    .filter(|mark| mark.is_ascii() && !matches!(mark, b'"' | b'\r' | b'\n'));
                let mark = plain.ok_or_else(|| {
                    FileProblem::new(
                        1,
                        "the separator that the first line names is no ASCII character",
                        "separate the cells by comma, semicolon or tab",
                    )
                })?;
                return Ok((mark, text.len() - rest.len() + end.len()));
            }
        }
    }
    let mut quoted = false;
    let mut counts = [(b',', 0_u32), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut written = false;
    for byte in text.bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted && written => break,
            _ => {}
        }
        written |= !byte.is_ascii_whitespace();
        if !quoted {
            for (mark, count) in &mut counts {
                *count += u32::from(*mark == byte);
            }
        }
    }
    let most = counts.iter().rev().max_by_key(|(_, count)| *count);
    let mark = most.map_or(b',', |(mark, count)| if *count == 0 { b',' } else { *mark });
    Ok((mark, 0))
}

/// Where the reader stands.
#[derive(Clone, Copy)]
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

/// Takes the cells out of a text and moves them to its beginning.
struct Reader {
    bytes: Vec<u8>,
    separator: u8,
    caps: Caps,
    /// The next byte to read.
    from: usize,
    /// Where the next byte of a cell goes: never beyond `from`.
    to: usize,
    line: u32,
    ends: Vec<u32>,
    rows: Vec<Place>,
    /// The row that is being read.
    row: Place,
    /// Where its text begins.
    begin: usize,
}

impl Reader {
    fn new(bytes: Vec<u8>, separator: u8, start: usize, caps: Caps) -> Self {
        Self {
            bytes,
            separator,
            caps,
            from: start,
            to: 0,
            // A `sep=` line is one that a spreadsheet does not count.
            line: if start > 0 { 2 } else { 1 },
            ends: Vec::new(),
            rows: Vec::new(),
            row: Place {
                number: 1,
                first: 0,
                width: 0,
            },
            begin: 0,
        }
    }

    fn read(mut self) -> Result<Sheet, FileProblem> {
        let mut at = At::Start;
        while let Some(byte) = self.bytes.get(self.from).copied() {
            self.from += 1;
            at = self.step(at, byte)?;
            self.within(at)?;
        }
        match at {
            At::Quoted { since } => {
                return Err(FileProblem::new(
                    since,
                    "the quote that opens in this line is never closed",
                    "close it, or write it twice where it is part of the value",
                ));
            }
            At::Start if self.to == self.begin && self.ends.len() == self.row.first => {}
            At::Start | At::Plain | At::Quote { .. } => self.end_row(),
        }
        self.bytes.truncate(self.to);
        self.bytes.shrink_to_fit();
        // Cells are cut at ASCII characters, so this cannot fail.
        let text = String::from_utf8(self.bytes).map_err(|_| {
            FileProblem::new(1, "the file is no text", "save it again as CSV UTF-8")
        })?;
        Ok(Sheet {
            separator: char::from(self.separator),
            headers: Vec::new(),
            text: Zeroizing::new(text),
            ends: self.ends,
            rows: self.rows,
        })
    }

    fn step(&mut self, at: At, byte: u8) -> Result<At, FileProblem> {
        let next = self.bytes.get(self.from).copied();
        let ends_row = byte == b'\n' || byte == b'\r';
        if byte == b'\n' || (byte == b'\r' && next != Some(b'\n')) {
            self.line = self.line.saturating_add(1);
        }
        Ok(match at {
            At::Quoted { since } if byte == b'"' => At::Quote { since },
            At::Quoted { .. } => {
                self.keep(byte);
                at
            }
            At::Quote { since } if byte == b'"' => {
                self.keep(byte);
                At::Quoted { since }
            }
            At::Start if byte == b'"' => At::Quoted { since: self.line },
            At::Start | At::Plain | At::Quote { .. } if byte == self.separator => {
                self.end_cell();
                At::Start
            }
            At::Start | At::Plain | At::Quote { .. } if ends_row => {
                if byte == b'\r' && next == Some(b'\n') {
                    self.from += 1;
                    self.line = self.line.saturating_add(1);
                }
                self.end_row();
                At::Start
            }
            At::Quote { .. } if byte.is_ascii_whitespace() => at,
            At::Quote { .. } => {
                return Err(FileProblem::new(
                    self.line,
                    "there is text after a closing quote",
                    "a quote inside a quoted value is written twice",
                ));
            }
            At::Start | At::Plain => {
                self.keep(byte);
                At::Plain
            }
        })
    }

    fn within(&self, at: At) -> Result<(), FileProblem> {
        let caps = self.caps;
        let told = |line, what, hint: &str| Err(FileProblem::new(line, what, hint));
        if self.to - self.begin > caps.row {
            let since = match at {
                At::Quoted { since } => since,
                At::Start | At::Plain | At::Quote { .. } => self.line,
            };
            let what = format!("a row is longer than {} bytes", caps.row);
            return told(since, what, "is a quote open, or is this no CSV?");
        }
        if self.ends.len() - self.row.first >= caps.columns {
            let what = format!("more than {} columns", caps.columns);
            return told(self.line, what, "take out the columns that no unit needs");
        }
        if self.rows.len() > caps.rows.saturating_add(1) {
            let what = format!("more than {} rows", caps.rows);
            return told(self.line, what, "split the file");
        }
        if self.ends.len() > caps.cells {
            let what = format!("more than {} cells", caps.cells);
            return told(self.line, what, "split the file");
        }
        Ok(())
    }

    fn keep(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.to) {
            *slot = byte;
            self.to += 1;
        }
    }

    fn end_cell(&mut self) {
        self.ends.push(u32::try_from(self.to).unwrap_or(u32::MAX));
    }

    /// Keeps the row, unless nothing but blanks is in it.
    fn end_row(&mut self) {
        self.end_cell();
        let number = self.row.number;
        let text = self.bytes.get(self.begin..self.to).unwrap_or_default();
        let blank = std::str::from_utf8(text).is_ok_and(|text| text.trim().is_empty());
        if blank {
            self.to = self.begin;
            self.ends.truncate(self.row.first);
        } else {
            self.row.width = self.ends.len() - self.row.first;
            self.rows.push(self.row);
        }
        self.begin = self.to;
        self.row = Place {
            number: number.saturating_add(1),
            first: self.ends.len(),
            width: 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Sheet, FileProblem> {
        Sheet::read(text.to_owned(), Caps::default())
    }

    fn cells(text: &str) -> Vec<Vec<String>> {
        let sheet = read(text).unwrap();
        (0..sheet.len())
            .map(|at| sheet.row(at).unwrap())
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
        let sheet = read("a,b\n\"x\ny\",1\n\n2,3\n").unwrap();
        let numbers: Vec<u32> = (0..sheet.len())
            .map(|at| sheet.row(at).unwrap().number)
            .collect();
        assert_eq!(numbers, [2, 4]);
    }

    #[test]
    fn a_file_that_cannot_be_read_names_its_line() {
        fn check(text: &str, line: u32, what: &str) {
            let caps = Caps {
                cells: 12,
                columns: 4,
                row: 40,
                rows: 3,
            };
            let problem = Sheet::read(text.to_owned(), caps).unwrap_err();
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
        check("a\n1\n2\n3\n4\n", 6, "rows");
        check("a,b,c\n,,1\n,,1\n,,1\n,1\n", 5, "cells");
        check("sep=§\na§b\n", 1, "separator");
        check("sep=|\na|b\n\"1|2\n", 3, "never closed");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a\",;\r\n\t x]{0,200}") {
            drop(read(&text));
        }
    }
}
