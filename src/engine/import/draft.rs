//! One row as typed fields, with everything that is wrong with it told at once.
//!
//! An empty cell says nothing: what the store holds stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::columns::{Field, LineField, Mapping};
use super::damage;
use super::problem::{Code, Found, shown};
use super::sheet::Row;
use super::words::{Given, Words};
use crate::config::values;
use crate::model::identity::{Mac, Serial};
use crate::model::secret::Secret;

/// Octets of a name, an account, a server.
const WORD: usize = 128;
/// Octets of a text for people.
const TEXT: usize = 256;
/// Octets of a note, and of a variable.
const NOTE: usize = 4096;
/// Octets of a password.
const PASSWORD: usize = 1024;
/// Groups of one device.
const GROUPS: usize = 64;
/// How records show a secret: given back, it means the one that is stored.
pub const KEPT: &str = "***";

/// What one row says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    pub row: u32,
    pub unit: Unit,
    /// What the columns without a line's number say.
    pub account: Account,
    /// From `line2_…`, by number.
    pub numbered: BTreeMap<u16, Account>,
}

/// What rows say of a device. `None`: nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unit {
    pub mac: Option<Mac>,
    pub serial: Option<Serial>,
    /// Folder name.
    pub vendor: Option<String>,
    /// As written; checked against the vendor where the row names one.
    pub model: Option<String>,
    pub site: Option<String>,
    pub profile: Option<String>,
    pub groups: Option<Vec<String>>,
    pub user: Option<String>,
    pub note: Option<String>,
    pub variables: BTreeMap<String, Given>,
}

/// What a row says of an account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// From the column `line`.
    pub line: Option<u16>,
    pub port: Option<u16>,
    pub handset: Option<u16>,
    pub ipei: Option<String>,
    pub extension: Option<String>,
    pub user: Option<String>,
    pub auth: Option<String>,
    pub password: Option<Secret>,
    pub pbx: Option<String>,
    pub server: Option<String>,
    pub display: Option<String>,
    pub label: Option<String>,
}

impl Account {
    /// Whether nothing is said but at most which line it would be.
    pub fn is_empty(&self) -> bool {
        let place = Self {
            line: self.line,
            ..Self::default()
        };
        *self == place
    }
}

/// Columns and names that every row is read with.
pub struct Reader<'a> {
    pub mapping: &'a Mapping,
    /// By column.
    pub headers: &'a [Arc<str>],
    pub words: &'a Words,
}

/// A row under reading.
struct Reading<'a> {
    reader: &'a Reader<'a>,
    row: Row<'a>,
    draft: Draft,
    found: Vec<Found>,
}

impl Reader<'_> {
    /// Reads a row. The draft holds what is right of it.
    pub fn read(&self, row: Row<'_>) -> (Draft, Vec<Found>) {
        let mut reading = Reading {
            reader: self,
            row,
            draft: Draft {
                row: row.number,
                ..Draft::default()
            },
            found: Vec::new(),
        };
        if let Some(wide) = self.too_wide(row) {
            // Which cell is which is not known, so nothing else is said about it.
            return (reading.draft, vec![wide]);
        }
        let mapped = self.mapping.fields.iter().enumerate();
        for (column, field) in mapped {
            let Some(field) = field else { continue };
            let cell = damage::refuse(row.cell(column).trim()).trim();
            if !cell.is_empty() {
                reading.cell(column, field, cell);
            }
        }
        reading.model();
        reading.identity();
        (reading.draft, reading.found)
    }

    fn too_wide(&self, row: Row<'_>) -> Option<Found> {
        let names = self.headers.len();
        let more = (names..row.width()).find(|at| !row.cell(*at).trim().is_empty())?;
        let text = format!(
            "cell {} has a value, and the header has {names} names",
            more + 1
        );
        Some(Found::row(Code::RowWidth, row.number, text))
    }
}

impl Reading<'_> {
    fn cell(&mut self, column: usize, field: &Field, cell: &str) {
        if damage::is_error_value(cell) {
            let text = "a formula left an error here";
            self.problem(Code::CellDamaged, column, text);
            return;
        }
        let multiline = matches!(field, Field::Note);
        let odd = |ch: char| ch.is_control() && !(multiline && ch == '\n');
        if let Some(at) = cell.chars().position(odd) {
            let text = format!("character {} is a control character", at + 1);
            self.problem(Code::TextInvalid, column, text);
            return;
        }
        let most = match field {
            Field::Note | Field::Var(_) | Field::Group => NOTE,
            Field::Line(LineField::Password) | Field::LineN(_, LineField::Password) => PASSWORD,
            Field::Line(LineField::Display | LineField::Label)
            | Field::LineN(_, LineField::Display | LineField::Label) => TEXT,
            Field::Line(_)
            | Field::LineN(..)
            | Field::Mac
            | Field::Model
            | Field::Profile
            | Field::Serial
            | Field::Site
            | Field::User
            | Field::Vendor => WORD,
        };
        if cell.len() > most {
            let text = format!("it is longer than {most} octets");
            self.problem(Code::TextInvalid, column, text);
            return;
        }
        match field {
            Field::Line(of) => self.account(None, column, *of, cell),
            Field::LineN(n, of) => self.account(Some(*n), column, *of, cell),
            Field::Mac => self.mac(column, cell),
            Field::Serial => self.serial(column, cell),
            Field::Var(name) => self.variable(name, column, cell),
            Field::Vendor => match self.reader.words.vendor(cell) {
                Ok(vendor) => self.draft.unit.vendor = Some(vendor.id.clone()),
                Err(text) => self.problem(Code::VendorUnknown, column, text),
            },
            Field::Model => self.draft.unit.model = Some(cell.to_owned()),
            Field::Site => match self.reader.words.site(cell) {
                Ok(site) => self.draft.unit.site = Some(site.to_owned()),
                Err(text) => self.problem(Code::SiteUnknown, column, text),
            },
            Field::Profile => match self.reader.words.profile(cell) {
                Ok(profile) => self.draft.unit.profile = Some(profile.to_owned()),
                Err(text) => self.problem(Code::ProfileUnknown, column, text),
            },
            Field::Group => self.groups(column, cell),
            Field::User => match values::name(cell) {
                Ok(user) => self.draft.unit.user = Some(user),
                Err(text) => self.problem(Code::ValueInvalid, column, text),
            },
            Field::Note => self.draft.unit.note = Some(cell.to_owned()),
        }
    }

    fn mac(&mut self, column: usize, cell: &str) {
        match Mac::parse(cell) {
            Ok(mac) => self.draft.unit.mac = Some(mac),
            Err(why) => match damage::of_mac(cell) {
                Some(text) => self.problem(Code::MacDamaged, column, text),
                None => self.problem(Code::MacInvalid, column, why.to_string()),
            },
        }
    }

    fn serial(&mut self, column: usize, cell: &str) {
        if let Some(text) = damage::of_number(cell) {
            self.problem(Code::SerialDamaged, column, text);
            return;
        }
        match Serial::parse(cell) {
            Some(serial) => self.draft.unit.serial = Some(serial),
            None => self.problem(Code::SerialInvalid, column, "it is no serial number"),
        }
    }

    fn groups(&mut self, column: usize, cell: &str) {
        let mut groups: Vec<String> = Vec::new();
        let parts = cell.split([',', ';', '|']).map(str::trim);
        for part in parts.filter(|part| !part.is_empty()) {
            match values::name(part) {
                Ok(group) if groups.contains(&group) => {}
                Ok(group) => groups.push(group),
                Err(text) => return self.problem(Code::ValueInvalid, column, text),
            }
        }
        if groups.len() > GROUPS {
            let text = format!("a device is in at most {GROUPS} groups");
            return self.problem(Code::ValueInvalid, column, text);
        }
        self.draft.unit.groups = Some(groups);
    }

    fn variable(&mut self, name: &str, column: usize, cell: &str) {
        match self.reader.words.variable(name, cell) {
            Some(Ok(Given::Secret(_))) if cell == KEPT => {}
            Some(Ok(given)) => {
                self.draft.unit.variables.insert(name.to_owned(), given);
            }
            Some(Err(text)) => self.problem(Code::ValueInvalid, column, text),
            None => self.problem(Code::VariableUnknown, column, format!("there is no {name}")),
        }
    }

    fn account(&mut self, n: Option<u16>, column: usize, of: LineField, cell: &str) {
        if matches!(of, LineField::Password) {
            if let Some(text) = damage::of_secret(cell) {
                return self.problem(Code::NumberDamaged, column, text);
            }
        } else if matches!(of, LineField::Extension | LineField::User | LineField::Auth)
            && let Some(text) = damage::of_number(cell)
        {
            return self.problem(Code::NumberDamaged, column, text);
        }
        let number = || {
            let digits = cell.bytes().all(|byte| byte.is_ascii_digit());
            let number: Option<u16> = cell.parse().ok().filter(|n| *n > 0 && digits);
            number.ok_or("it is no whole number from 1 to 65535")
        };
        let one_word = || match cell.contains(char::is_whitespace) {
            true => Err("it has a blank in it"),
            false => Ok(cell.to_owned()),
        };
        let line = match n {
            None => &mut self.draft.account,
            Some(n) => self.draft.numbered.entry(n).or_default(),
        };
        let text = || Some(cell.to_owned());
        let put = match of {
            LineField::Number => number().map(|n| line.line = Some(n)),
            LineField::Port => number().map(|n| line.port = Some(n)),
            LineField::Handset => number().map(|n| line.handset = Some(n)),
            LineField::Ipei => one_word().map(|ipei| line.ipei = Some(ipei)),
            LineField::Extension => {
                line.extension = text();
                Ok(())
            }
            LineField::User => one_word().map(|user| line.user = Some(user)),
            LineField::Auth => one_word().map(|auth| line.auth = Some(auth)),
            LineField::Password => {
                if cell != KEPT {
                    line.password = Some(Secret::new(cell.to_owned()));
                }
                Ok(())
            }
            LineField::Server => match self.reader.words.pbx(cell) {
                Some(pbx) => {
                    line.pbx = Some(pbx.to_owned());
                    Ok(())
                }
                None => host(cell).map(|host| line.server = Some(host.to_owned())),
            },
            LineField::Display => {
                line.display = text();
                Ok(())
            }
            LineField::Label => {
                line.label = text();
                Ok(())
            }
        };
        if let Err(text) = put {
            self.problem(Code::LineInvalid, column, text);
        }
    }

    /// A model is known by its vendor. Without one, the inventory has to name it.
    fn model(&mut self) {
        let unit = &mut self.draft.unit;
        let (Some(vendor), Some(model)) = (&unit.vendor, &unit.model) else {
            return;
        };
        match self.reader.words.model(vendor, model) {
            Ok((_, listed)) => unit.model = Some(listed),
            Err(text) => {
                if let Some(column) = self.reader.mapping.column(&Field::Model) {
                    self.problem(Code::ModelUnknown, column, text);
                }
            }
        }
    }

    fn identity(&mut self) {
        let unit = &self.draft.unit;
        let wrong = [
            Code::CellDamaged,
            Code::MacDamaged,
            Code::MacInvalid,
            Code::SerialDamaged,
            Code::SerialInvalid,
            Code::TextInvalid,
        ];
        let told = self.found.iter().any(|found| wrong.contains(&found.code));
        if unit.mac.is_none() && unit.serial.is_none() && !told {
            let text = "there is neither a MAC nor a serial in it";
            let row = self.row.number;
            self.found.push(Found::row(Code::MacMissing, row, text));
        }
    }

    fn problem(&mut self, code: Code, column: usize, text: impl Into<String>) {
        let secret = match self.reader.mapping.fields.get(column) {
            Some(Some(Field::Var(name))) => self.reader.words.is_secret(name),
            Some(Some(field)) => field.is_secret(),
            Some(None) | None => false,
        };
        self.found.push(Found {
            code,
            row: self.row.number,
            column: self.reader.headers.get(column).cloned(),
            value: (!secret).then(|| shown(self.row.cell(column).trim())),
            text: text.into(),
        });
    }
}

/// A host name or an address, with a port if there is one.
fn host(text: &str) -> Result<&str, &'static str> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    if text.bytes().all(good) {
        Ok(text)
    } else {
        Err("it is neither a call server's name nor a host name")
    }
}
