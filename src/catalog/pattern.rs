//! Patterns: one text that matches and formats.
#[derive(Debug, Clone)]
pub struct Pattern;
