//! What is wrong in a configuration file, and where.

use std::fmt;

/// One thing that is wrong. All of them are told at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    pub line: Option<u32>,
    pub kind: Kind,
    pub what: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

/// What sort of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The key is in the contract, but the part behind it is not in this version.
    NotBuilt,
    /// The file cannot be read.
    Unreadable,
    UnknownKey,
    WrongValue,
}

impl Kind {
    /// A stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotBuilt => "not-built",
            Self::Unreadable => "unreadable",
            Self::UnknownKey => "unknown-key",
            Self::WrongValue => "wrong-value",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}: {}", self.kind.code(), self.what)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}
