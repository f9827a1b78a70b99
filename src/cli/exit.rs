//! How a verb ends: the exit codes of contract section 1, and what is said when it did not work.

use std::fmt::Display;
use std::process::ExitCode;

/// The end of a verb that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failed,
    /// Wrong usage or configuration.
    Usage,
    /// Some items failed; the report says which.
    Partly,
    /// Permission, approval missing, sealed.
    Refused,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Partly => 3,
            Exit::Refused => 4,
        })
    }
}

/// Why a verb did not work: what, where, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Fail {
    pub exit: Exit,
    /// A stable code, as in problem+json.
    pub code: String,
    pub what: String,
    /// Details, each a line.
    pub details: Vec<String>,
    /// What to do next; may be empty.
    pub next: String,
}

impl Fail {
    /// Something did not work.
    pub fn failed(code: &str, what: impl Display) -> Self {
        Self {
            exit: Exit::Failed,
            code: code.to_owned(),
            what: what.to_string(),
            details: Vec::new(),
            next: String::new(),
        }
    }

    /// It was asked for wrongly.
    pub fn usage(code: &str, what: impl Display) -> Self {
        Self {
            exit: Exit::Usage,
            ..Self::failed(code, what)
        }
    }

    /// It is in the contract and not in this version.
    pub fn not_built(what: impl Display) -> Self {
        Self::usage(
            "not-built",
            format!("not-built: {what} is not part of this version yet"),
        )
    }

    /// Adds what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Display) -> Self {
        self.next = next.to_string();
        self
    }

    /// Adds a line of details.
    #[must_use]
    pub fn detail(mut self, detail: impl Display) -> Self {
        self.details.push(detail.to_string());
        self
    }
}
