//! What an import tells: the shape of docs/api.md section 5, and how a job keeps it.

use serde::{Deserialize, Serialize};

use super::super::{Code, Problem};
use super::run::Tally;
use super::{ImportAsk, count};
use crate::engine::import::columns::Field;
use crate::engine::import::inventory::Inventory;
use crate::engine::import::problem::Findings;
use crate::model::secret::{Sealed, Secret};
use crate::store::{Job, Keys};

/// Octets of rejected rows that are kept of one import.
pub(super) const REPORT_MOST: usize = 4 << 20;
/// The first octets of a kept report: what it is, and its version.
const MARK: &[u8; 4] = b"imp1";

/// The report. Its JSON is what the API answers; a job keeps the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub job: String,
    pub dry_run: bool,
    pub committed: bool,
    pub filename: String,
    /// Rows below the header in which something is written.
    pub rows: u64,
    /// Devices.
    pub create: u64,
    /// Devices.
    pub update: u64,
    /// Devices.
    pub unchanged: u64,
    /// Rows.
    pub rejected: u64,
    pub format: SheetFormat,
    pub columns: Vec<ColumnSaid>,
    pub problems: Vec<FoundGroup>,
    pub warnings: Vec<FoundGroup>,
    pub not_today: Vec<NotToday>,
    /// Rejected rows that did not fit into the report file.
    pub report_left: u64,
}

/// How the file was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SheetFormat {
    pub kind: String,
    pub encoding: String,
    pub separator: String,
}

/// What a column was taken for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSaid {
    pub column: String,
    pub field: Option<String>,
}

/// Findings of one code and column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundGroup {
    pub code: String,
    pub count: u64,
    pub rows: Vec<u32>,
    pub column: Option<String>,
    pub hint: String,
    /// The first hundred.
    pub items: Vec<FoundItem>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundItem {
    pub row: u32,
    pub column: Option<String>,
    pub value: Option<String>,
    pub text: String,
}

/// Units that could not come up today, and the one thing that would let them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotToday {
    pub code: String,
    pub count: u64,
    pub devices: Vec<String>,
    pub text: String,
    /// Empty where no command does it.
    pub command: String,
}

/// An import as the store knows it: how far it is, and its report.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportView {
    /// Without its body.
    pub job: Job,
    pub report: Report,
}

impl Report {
    /// What is known before the plan.
    pub(super) fn of(job: &str, ask: &ImportAsk, inventory: &Inventory) -> Self {
        let columns = inventory.columns().into_iter();
        Self {
            job: job.to_owned(),
            dry_run: ask.dry_run,
            filename: ask.filename.clone(),
            rows: count(inventory.rows()),
            rejected: count(inventory.rejected()),
            format: SheetFormat {
                kind: "csv".to_owned(),
                encoding: inventory.encoding().as_str().to_owned(),
                separator: inventory.separator().to_string(),
            },
            columns: columns
                .map(|column| ColumnSaid {
                    column: column.name,
                    field: column.field,
                })
                .collect(),
            problems: groups(&inventory.problems),
            ..Self::default()
        }
    }

    /// What the plan found.
    pub(super) fn fill(&mut self, inventory: &Inventory, tally: &Tally) {
        self.create = tally.create;
        self.update = tally.update;
        self.unchanged = tally.unchanged;
        self.rejected = count(inventory.rejected());
        self.problems = groups(&inventory.problems);
        self.warnings = groups(&inventory.warnings);
        self.warnings.extend(groups(&tally.warnings));
        self.not_today = tally
            .not_today
            .iter()
            .map(|(block, names)| NotToday {
                code: block.code().to_owned(),
                count: count(names.len()),
                devices: names.clone(),
                text: block.text(),
                command: block.command(names),
            })
            .collect();
    }
}

fn groups(findings: &Findings) -> Vec<FoundGroup> {
    let groups = findings.groups().into_iter();
    groups
        .map(|(code, column, group)| FoundGroup {
            code: code.as_str().to_owned(),
            count: count(group.rows.len()),
            rows: group.rows.iter().copied().collect(),
            column: column.map(str::to_owned),
            hint: code.hint().to_owned(),
            items: group
                .items
                .iter()
                .map(|found| FoundItem {
                    row: found.row,
                    column: found.column.as_deref().map(str::to_owned),
                    value: found.value.clone(),
                    text: found.text.clone(),
                })
                .collect(),
        })
        .collect()
}

/// The rejected rows as they were sent.
pub(super) struct Rejects {
    text: Secret,
    secrets: bool,
}

impl Rejects {
    /// `None` where no row was rejected.
    pub(super) fn of(inventory: &Inventory) -> Option<Self> {
        if inventory.rejected() == 0 {
            return None;
        }
        let words = inventory.words();
        let secret = |field: &Field| {
            if let Field::Var(name) = field {
                words.is_secret(name)
            } else {
                field.is_secret()
            }
        };
        Some(Self {
            text: Secret::new(inventory.report(REPORT_MOST).0),
            // A column that means nothing to us may hold anything.
            secrets: inventory.fields().any(|field| field.is_none_or(secret)),
        })
    }
}

/// A report as a job's body: the mark, the length of the JSON, the JSON; then, sealed, the whole file
/// while the import runs, or the rows that it rejected: the key's number, the sealed bytes.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) report: Report,
    /// Passwords may be in the rejected rows.
    pub(super) secrets: bool,
    /// How the sealed file is to be imported; none where what is sealed are rejected rows.
    resume: Option<ImportAsk>,
    sealed: Option<Sealed>,
}

/// What is sealed behind a report.
#[derive(Clone, Copy)]
pub(super) enum Tail<'a> {
    Nothing,
    Rejects(&'a Rejects),
    Upload(&'a ImportAsk, &'a Secret),
}

#[derive(Serialize, Deserialize)]
struct Head {
    report: Report,
    secrets: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resume: Option<ImportAsk>,
}

impl Kept {
    pub(super) fn new(report: &Report) -> Self {
        Self {
            report: report.clone(),
            secrets: false,
            resume: None,
            sealed: None,
        }
    }

    pub(super) fn encode(self, keys: &Keys, job: &str, tail: Tail<'_>) -> Result<Vec<u8>, Problem> {
        let (secrets, resume, sealed) = match tail {
            Tail::Nothing => (false, None, None),
            Tail::Rejects(rejects) => {
                let sealed = keys.seal(&rejects.text, &aad(job, "rejects"))?;
                (rejects.secrets, None, Some(sealed))
            }
            Tail::Upload(ask, file) => {
                let sealed = keys.seal(file, &aad(job, "upload"))?;
                (false, Some(ask.clone()), Some(sealed))
            }
        };
        let head = Head {
            report: self.report,
            secrets,
            resume,
        };
        let json = serde_json::to_vec(&head).map_err(|_| damaged())?;
        let length = u32::try_from(json.len()).map_err(|_| damaged())?;
        let mut bytes = MARK.to_vec();
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&json);
        if let Some(sealed) = sealed {
            bytes.extend_from_slice(&sealed.key_id.to_be_bytes());
            bytes.extend_from_slice(&sealed.bytes);
        }
        Ok(bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Problem> {
        let rest = bytes.strip_prefix(MARK.as_slice()).ok_or_else(damaged)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged())?;
        let (json, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
        let head: Head = serde_json::from_slice(json).map_err(|_| damaged())?;
        let sealed = rest.split_first_chunk::<4>().map(|(key, sealed)| Sealed {
            key_id: u32::from_be_bytes(*key),
            bytes: sealed.to_vec(),
        });
        Ok(Self {
            report: head.report,
            secrets: head.secrets,
            resume: head.resume,
            sealed,
        })
    }

    /// The file of an import that was broken off, and how it is to be imported.
    pub(super) fn upload(
        &self,
        keys: &Keys,
        job: &str,
    ) -> Result<Option<(ImportAsk, Secret)>, Problem> {
        let (Some(ask), Some(sealed)) = (&self.resume, &self.sealed) else {
            return Ok(None);
        };
        let file = keys.open(sealed, &aad(job, "upload"))?;
        Ok(Some((ask.clone(), file)))
    }

    /// The rejected rows; of an import that rejected none, the columns' names.
    pub(super) fn rejects(&self, keys: &Keys, job: &str) -> Result<String, Problem> {
        if let Some(sealed) = self.sealed.as_ref().filter(|_| self.resume.is_none()) {
            let text = keys.open(sealed, &aad(job, "rejects"))?;
            return Ok(text.expose().to_owned());
        }
        let columns = self
            .report
            .columns
            .iter()
            .map(|column| column.column.as_str());
        let mark = self.report.format.separator.chars().next().unwrap_or(',');
        Ok(crate::engine::import::inventory::csv_line(
            mark,
            columns.chain(["error_code", "error_text"]),
        ))
    }
}

/// What sealed bytes of a job are bound to.
fn aad(job: &str, what: &str) -> String {
    format!("{}/import/{job}/{what}", crate::model::device::TENANT)
}

fn damaged() -> Problem {
    Problem::new(
        Code::Internal,
        "the kept report of an import cannot be read",
    )
}
