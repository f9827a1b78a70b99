//! The readers of a simulated unit. They know nothing of how the server writes.

pub(super) mod ini;
pub(super) mod pem;
pub(super) mod switch;
pub(super) mod xml;

/// What a settings file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sheet {
    /// Settings in the order of the file; a later one wins.
    pub(super) entries: Vec<(String, String)>,
    /// Other files that it names, in order.
    pub(super) includes: Vec<String>,
    /// What the reader could make nothing of, with its line.
    pub(super) odd: Vec<String>,
}
