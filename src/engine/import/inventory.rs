//! A whole file: read once, its problems collected, its rows sorted into devices.
//!
//! Only the table is kept. A device's rows are read again when they are asked for, so a large file
//! costs little more than itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::columns::{Field, LineField, Mapping};
use super::damage;
use super::draft::{Draft, Reader};
use super::join::{self, Groups};
use super::problem::{About, Code, FileProblem, Findings, Found, shown};
use super::sheet::{Caps, Sheet};
use super::text::{self, Encoding};
use super::words::Words;

/// Digits from which on a number without `+` may have lost it.
const LONG_NUMBER: usize = 11;

/// A file of devices.
pub struct Inventory {
    sheet: Sheet,
    mapping: Mapping,
    headers: Vec<Arc<str>>,
    words: Words,
    encoding: Encoding,
    /// Of each device the places of its rows in the sheet.
    devices: Vec<Vec<u32>>,
    /// What is wrong with rows, and with columns.
    pub problems: Findings,
    pub warnings: Findings,
    /// What is told of each rejected row, by the spreadsheet's number.
    rejected: BTreeMap<u32, Vec<(Code, String)>>,
}

/// What a column was taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub field: Option<String>,
}

impl Inventory {
    /// Reads a file. `explicit` is (field, column) as `--map` gave them. A file that cannot be read
    /// as a whole is told with all that is wrong with it.
    pub fn open(
        bytes: Vec<u8>,
        explicit: &[(String, String)],
        words: Words,
    ) -> Result<Self, Vec<FileProblem>> {
        let (text, encoding) = text::decode(bytes).map_err(|problem| vec![problem])?;
        let sheet = Sheet::read(text, Caps::default()).map_err(|problem| vec![problem])?;
        let mapping = Mapping::resolve(&sheet, explicit)?;
        unknown_variables(&mapping, &words)?;
        let headers = (0..sheet.headers.len())
            .map(|at| Arc::from(shown(&sheet.header(at))))
            .collect();
        let mut inventory = Self {
            sheet,
            mapping,
            headers,
            words,
            encoding,
            devices: Vec::new(),
            problems: Findings::default(),
            warnings: Findings::default(),
            rejected: BTreeMap::new(),
        };
        inventory.sort_rows();
        inventory.join_rows();
        inventory.warn_of_columns();
        inventory.warn_of_extensions();
        Ok(inventory)
    }

    /// Rows below the header.
    pub fn rows(&self) -> usize {
        self.sheet.len()
    }

    /// Devices with a row that could be read.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// The rows of a device, counted from 0.
    pub fn device(&self, at: usize) -> Vec<Draft> {
        let rows = self.devices.get(at).into_iter().flatten();
        rows.filter_map(|row| self.draft(*row))
            .map(|(draft, _)| draft)
            .collect()
    }

    /// The names that rows were checked against.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// How the file was written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What separates its cells.
    pub fn separator(&self) -> char {
        self.sheet.separator
    }

    /// What each column was taken for.
    pub fn columns(&self) -> Vec<Column> {
        let fields = self.mapping.fields.iter();
        let named = self.headers.iter().zip(fields);
        named
            .map(|(name, field)| Column {
                name: name.to_string(),
                field: field.as_ref().map(Field::name),
            })
            .collect()
    }

    /// The fields that are read, by column; `None` where nothing is.
    pub fn fields(&self) -> impl Iterator<Item = Option<&Field>> {
        self.mapping.fields.iter().map(Option::as_ref)
    }

    /// How a field's column is called.
    pub fn header(&self, field: &Field) -> Option<Arc<str>> {
        self.headers.get(self.mapping.column(field)?).cloned()
    }

    /// Rejects a row, or says more of a rejected one.
    pub fn reject(&mut self, found: Found) {
        self.rejected
            .entry(found.row)
            .or_default()
            .push((found.code, found.told()));
        self.problems.add(found);
    }

    /// How many rows are rejected.
    pub fn rejected(&self) -> usize {
        self.rejected.len()
    }

    /// The rejected rows as CSV: the original columns, `error_code`, `error_text`. It ends before it
    /// would be longer than `most` octets; how many rows did not fit is given back.
    pub fn report(&self, most: usize) -> (String, usize) {
        let mark = self.sheet.separator;
        let names = self.sheet.headers.iter().map(String::as_str);
        let mut text = csv_line(mark, names.chain(["error_code", "error_text"]));
        let mut left = self.rejected.len();
        for at in 0..self.sheet.len() {
            let Some(row) = self.sheet.row(at) else {
                continue;
            };
            let Some(told) = self.rejected.get(&row.number) else {
                continue;
            };
            let mut codes: Vec<&str> = told.iter().map(|(code, _)| code.as_str()).collect();
            codes.dedup();
            let words: Vec<&str> = told.iter().map(|(_, text)| text.as_str()).collect();
            let (codes, words) = (codes.join(" "), words.join(" | "));
            let before = text.len();
            let cells = (0..self.headers.len()).map(|column| row.cell(column));
            line(
                &mut text,
                mark,
                cells.chain([codes.as_str(), words.as_str()]),
            );
            if text.len() > most {
                text.truncate(before);
                break;
            }
            left -= 1;
        }
        (text, left)
    }

    fn draft(&self, at: u32) -> Option<(Draft, Vec<Found>)> {
        let row = self.sheet.row(usize::try_from(at).ok()?)?;
        let reader = Reader {
            mapping: &self.mapping,
            headers: &self.headers,
            words: &self.words,
        };
        Some(reader.read(row))
    }

    fn sort_rows(&mut self) {
        let mut groups = Groups::default();
        let rows = u32::try_from(self.sheet.len()).unwrap_or(u32::MAX);
        for at in 0..rows {
            let Some((draft, found)) = self.draft(at) else {
                continue;
            };
            if !found.is_empty() {
                found.into_iter().for_each(|found| self.reject(found));
                continue;
            }
            match groups.place(&draft) {
                Ok(device) if device == self.devices.len() => self.devices.push(vec![at]),
                Ok(device) => self
                    .devices
                    .get_mut(device)
                    .into_iter()
                    .for_each(|rows| rows.push(at)),
                Err(found) => self.reject(found),
            }
        }
    }

    fn join_rows(&mut self) {
        let mut rejected = Vec::new();
        for rows in &self.devices {
            if rows.len() > 1 {
                let drafts = rows.iter().filter_map(|row| self.draft(*row));
                let drafts = drafts.map(|(draft, _)| draft).collect();
                rejected.extend(join::join(drafts, &self.mapping, &self.headers));
            }
        }
        let wrong: BTreeSet<u32> = rejected.iter().map(|found| found.row).collect();
        let sheet = &self.sheet;
        let number = |at: &u32| {
            let row = usize::try_from(*at).ok().and_then(|at| sheet.row(at));
            row.map_or(0, |row| row.number)
        };
        for rows in &mut self.devices {
            if rows.len() > 1 {
                rows.retain(|at| !wrong.contains(&number(at)));
            }
        }
        rejected.into_iter().for_each(|found| self.reject(found));
    }

    fn warn_of_columns(&mut self) {
        let unread = self.mapping.fields.iter().zip(&self.headers);
        let unread = unread.filter(|(field, _)| field.is_none());
        for (_, name) in unread {
            self.warnings.add(Found {
                column: Some(Arc::clone(name)),
                ..Found::row(Code::ColumnUnknown, 1, "nothing was read from it")
            });
        }
        if self.words.catalog.profiles.len() > 1 && self.mapping.column(&Field::Profile).is_none() {
            let text = "no column names a profile";
            self.warnings.add(Found::row(Code::DefaultProfile, 1, text));
        }
    }

    /// One extension on two devices, and numbers that look as if a `+` were gone.
    fn warn_of_extensions(&mut self) {
        let mut first: HashMap<(String, String), (usize, u32)> = HashMap::new();
        let column = self.header(&Field::Line(LineField::Extension));
        let mut warnings = Vec::new();
        for device in 0..self.devices.len() {
            for draft in self.device(device) {
                let accounts = draft.numbered.values().chain([&draft.account]);
                for account in accounts {
                    let Some(number) = account.extension.as_ref().or(account.user.as_ref()) else {
                        continue;
                    };
                    let told = |code, row, text: String| Found {
                        column: column.clone(),
                        value: Some(shown(number)),
                        ..Found::row(code, row, text)
                    };
                    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
                    let long = number.len() >= LONG_NUMBER && !number.starts_with('0');
                    if digits && long && account.extension.is_some() {
                        let text = "a number as long as one with a country's code".to_owned();
                        warnings.push(told(Code::PlusLost, draft.row, text));
                    }
                    let server = account.pbx.as_ref().or(account.server.as_ref());
                    let key = (server.cloned().unwrap_or_default(), number.clone());
                    let (other, row) = *first.entry(key).or_insert((device, draft.row));
                    if other != device {
                        let text = format!("row {row} has it on another device");
                        warnings.push(told(
                            Code::ExtensionTwice,
                            row,
                            "it is on another device too".to_owned(),
                        ));
                        warnings.push(told(Code::ExtensionTwice, draft.row, text));
                    }
                }
            }
        }
        warnings
            .into_iter()
            .for_each(|found| self.warnings.add(found));
    }
}

/// `--map var.NAME=COLUMN` with a name that the vocabulary has not.
fn unknown_variables(mapping: &Mapping, words: &Words) -> Result<(), Vec<FileProblem>> {
    let mut problems = Vec::new();
    for field in mapping.fields.iter().flatten() {
        if let Field::Var(name) = field
            && words.variable(name, "").is_none()
        {
            let what = format!("there is no variable {name}");
            let problem = FileProblem::new(1, what, words.nearest_variable(name));
            problems.push(problem.about(About::Variable));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// One line of CSV with its end.
pub fn csv_line<'a>(mark: char, cells: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    line(&mut text, mark, cells);
    text
}

/// Adds a line of CSV. A cell that a spreadsheet would take for a formula gets a quote in front, and
/// reads back as it was (hostile-cases E2).
fn line<'a>(text: &mut String, mark: char, cells: impl Iterator<Item = &'a str>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            text.push(mark);
        }
        let held = damage::refuse(cell) != cell;
        let cell = if held {
            Cow::Borrowed(cell)
        } else {
            Cow::Owned(damage::defuse(cell))
        };
        let quoted = cell.contains([mark, '"', '\n', '\r'])
            || cell.starts_with(char::is_whitespace)
            || cell.ends_with(char::is_whitespace);
        if quoted {
            text.push('"');
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(&cell);
        }
    }
    text.push_str("\r\n");
}
