//! The readers of a simulated unit. They know nothing of how the server writes.

pub(super) mod braces;
pub(super) mod ini;
pub(super) mod lines;
pub(super) mod pem;
pub(super) mod set_script;
pub(super) mod switch;
pub(super) mod xml;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::BytesRef;

/// What a settings file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sheet {
    /// Settings in the order of the file.
    pub(super) entries: Vec<(String, String)>,
    /// Other files that it names, in order.
    pub(super) includes: Vec<String>,
    /// Files that it goes over to; the first that is given ends it.
    pub(super) gets: Vec<Get>,
    /// What the reader could make nothing of, with its line.
    pub(super) odd: Vec<String>,
}

/// A file that a script goes over to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Get {
    /// So many entries stand before it.
    pub(super) after: usize,
    pub(super) name: String,
}

/// Adds what a reference stands for: a character by number, or one of the five names.
fn entity(reference: &BytesRef<'_>, value: &mut String) -> Result<(), &'static str> {
    let number = reference.resolve_char_ref();
    let number = number.map_err(|_| "a character that there is not")?;
    match number {
        Some(ch) => value.push(ch),
        None => value.push_str(resolve_predefined_entity(reference).ok_or("an entity of its own")?),
    }
    Ok(())
}
