//! What is wrong in a file that a person wrote: where, what, and what to do next.

use std::fmt;

/// Whether a problem keeps the catalogue from loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// One problem of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    /// From 1.
    pub line: Option<usize>,
    pub what: String,
    pub hint: String,
    pub severity: Severity,
}

impl Problem {
    /// An error: nothing loads until it is mended.
    pub fn error(file: &str, line: Option<usize>, what: String, hint: &str) -> Self {
        Self {
            file: file.to_owned(),
            line,
            what,
            hint: hint.to_owned(),
            severity: Severity::Error,
        }
    }

    /// A warning: it loads, and a person should look.
    pub fn warning(file: &str, line: Option<usize>, what: String, hint: &str) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(file, line, what, hint)
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what)?,
            None => write!(f, "{}: {}", self.file, self.what)?,
        }
        if self.hint.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.hint)
        }
    }
}

/// The line, from 1, that holds `offset`.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

/// The first line that holds `needle`.
pub(crate) fn line_of(text: &str, needle: &str) -> Option<usize> {
    text.lines()
        .position(|line| line.contains(needle))
        .map(|at| at + 1)
}
