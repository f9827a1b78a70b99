//! What is wrong with a file or a row, in codes that scripts rely on and words that people act on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The file cannot be read as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct FileProblem {
    pub about: About,
    /// Line of the file, from 1.
    pub line: u32,
    pub what: String,
    pub hint: String,
}

/// What cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    File,
    /// What a person said of the columns.
    Mapping,
    /// A variable that a person named.
    Variable,
}

impl FileProblem {
    /// A problem at a line.
    pub fn new(line: u32, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            about: About::File,
            line,
            what: what.into(),
            hint: hint.into(),
        }
    }

    /// The same about something else than the file.
    #[must_use]
    pub fn about(self, about: About) -> Self {
        Self { about, ..self }
    }
}

macro_rules! codes {
    ($($variant:ident = $word:literal, $hint:literal;)+) => {
        /// What is wrong with a row, or worth a warning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($variant),+ }

        impl Code {
            /// The stable word (docs/api.md section 5).
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
            /// What mends it.
            pub fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint),+ }
            }
        }
    };
}

codes! {
    ArmedAnew = "armed-anew", "another model, MAC or serial is another unit: it enrols again, and what the old one was given is void";
    CellDamaged = "cell-damaged", "the spreadsheet wrote an error in place of a value: mend the formula and save again";
    ColumnUnknown = "column-unknown", "nothing was read from this column: name it with --map FIELD=COLUMN, or --map var.NAME=COLUMN to make it a variable";
    DefaultProfile = "default-profile", "no profile column: the default of each family is used";
    DeviceFieldsDiffer = "device-fields-differ", "rows with one MAC are one device: vendor, model, site, profile and the like must agree in all of them";
    DuplicateRow = "duplicate-row", "the MAC or serial is there already with the same line: take one of the rows out, or give them different lines";
    ExtensionTwice = "extension-twice", "one extension on two devices rings on both: leave it if that is meant";
    LineInvalid = "line-invalid", "line, port and handset are whole numbers from 1, and a line has a sip_user or an extension without blanks";
    LineTooMany = "too-many-lines", "the model has fewer lines";
    MacConflict = "mac-conflict", "the MAC belongs to another device: look at it with dialtone device show MAC";
    MacDamaged = "mac-damaged", "the cell was turned into a number: format the column as text and enter the MAC again; it is never completed by guess";
    MacInvalid = "mac-invalid", "a MAC is twelve hexadecimal digits, such as 00:15:65:aa:bb:cc";
    MacMissing = "mac-missing", "a row needs a MAC or a serial";
    ModelMissing = "model-missing", "name the model as it is on the unit's label";
    ModelUnknown = "model-unknown", "dialtone profile list shows the models that there are";
    NoLines = "no-lines", "the unit will be configured, but no account is on it";
    NoSite = "no-site", "a unit without a site is corroborated by no prefix and by no waiver";
    NotListed = "not-listed", "an import does not bring a unit back: dialtone device resume DEVICE, or take the row out";
    NumberDamaged = "number-damaged", "the cell was turned into a number or a date: format the column as text and enter it again";
    PlusLost = "plus-lost", "the number may have lost its + to the spreadsheet: check it";
    ProfileUnknown = "profile-unknown", "profiles are the files under profiles/_site";
    RowWidth = "row-width", "the row has more cells than the header has names: a separator inside a value needs quotes around it";
    SerialConflict = "serial-conflict", "the serial belongs to another device, or the device has another serial";
    SerialDamaged = "serial-damaged", "the cell was turned into a number: format the column as text and enter the serial again";
    SerialInvalid = "serial-invalid", "a serial is 1 to 64 letters, digits and signs without blanks";
    SiteUnknown = "site-unknown", "make the site first: dialtone site add NAME --prefix PREFIX";
    TextInvalid = "text-invalid", "control characters cannot be part of this value";
    ValueInvalid = "value-invalid", "the value does not fit the variable's type";
    VariableUnknown = "variable-unknown", "dialtone var vocabulary shows the variables that there are";
    VendorMissing = "vendor-missing", "name the vendor";
    VendorOther = "vendor-other", "the MAC's first half belongs to another vendor: check MAC and vendor";
    VendorUnknown = "vendor-unknown", "dialtone profile list shows the vendors that there are";
}

/// One finding in one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub code: Code,
    /// The spreadsheet's row number: the header is row 1.
    pub row: u32,
    /// The column as its header spells it, where the finding is about one.
    pub column: Option<Arc<str>>,
    /// The cell, where it is no secret; shortened.
    pub value: Option<String>,
    /// What is wrong here, and the nearest right value where there is one.
    pub text: String,
}

impl Found {
    /// A finding about a whole row.
    pub fn row(code: Code, row: u32, text: impl Into<String>) -> Self {
        Self {
            code,
            row,
            column: None,
            value: None,
            text: text.into(),
        }
    }

    /// For the report file: where, what, and what mends it.
    pub fn told(&self) -> String {
        let hint = self.code.hint();
        match (&self.column, &self.value) {
            (Some(column), Some(value)) => {
                format!("{column} \"{value}\": {}; {hint}", self.text)
            }
            (Some(column), None) => format!("{column}: {}; {hint}", self.text),
            (None, _) => format!("{}; {hint}", self.text),
        }
    }
}

/// Findings by code and column. All rows are kept, and the first [`Findings::ITEMS`] in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(BTreeMap<(Code, Option<Arc<str>>), Group>);

/// Findings of one code and column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// In the order of the file.
    pub rows: BTreeSet<u32>,
    pub items: Vec<Found>,
}

impl Findings {
    /// How many findings of one kind are kept in words.
    pub const ITEMS: usize = 100;

    /// Adds one.
    pub fn add(&mut self, found: Found) {
        let key = (found.code, found.column.clone());
        let group = self.0.entry(key).or_default();
        group.rows.insert(found.row);
        if group.items.len() < Self::ITEMS {
            group.items.push(found);
        }
    }

    /// The most frequent first.
    pub fn groups(&self) -> Vec<(Code, Option<&str>, &Group)> {
        let mut groups: Vec<_> = self
            .0
            .iter()
            .map(|((code, column), group)| (*code, column.as_deref(), group))
            .collect();
        groups.sort_by_key(|(_, _, group)| std::cmp::Reverse(group.rows.len()));
        groups
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The nearest of the names that are there, for a hint; none where nothing is near.
pub fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let folded = wrong.to_lowercase();
    names
        .map(|name| {
            (
                strsim::normalized_damerau_levenshtein(&folded, &name.to_lowercase()),
                name,
            )
        })
        .filter(|(score, _)| *score >= 0.5)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// A cell as a report may show it: at most 60 characters, with escapes for what is not seen.
pub fn shown(cell: &str) -> String {
    let mut text = String::new();
    for (at, ch) in cell.chars().enumerate() {
        if at == 60 {
            text.push('…');
            break;
        }
        let unseen = matches!(ch, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if ch.is_control() || unseen {
            text.extend(ch.escape_unicode());
        } else {
            text.push(ch);
        }
    }
    text
}
