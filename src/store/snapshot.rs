//! All rows as they stood between two commits, read while writes go on.
//!
//! The writer notes what a row was before it changes it for the first time, unless the reader has
//! passed it; the reader takes each stretch of the live rows and puts the notes over it. It costs
//! memory for what changes while the reader runs, and never holds the writer up.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use super::engine::{Engine, Row, View as _};
use super::error::StoreError;

/// Keys and their values; none where there was no row.
type Before = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// One consistent view, given out from the first row to the last.
#[derive(Default)]
pub(crate) struct Snapshot {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Keys up to this one were given out.
    passed: Vec<u8>,
    /// Values before their first change, of keys behind `passed`.
    before: Before,
    /// A row could not be read when it was to be noted.
    failed: Option<StoreError>,
}

/// Behind every key.
const END: [u8; 1] = [u8::MAX];

impl Snapshot {
    /// Notes rows that are about to change. Called by the writer before it applies them.
    pub(crate) fn note<'a>(&self, engine: &Engine, keys: impl Iterator<Item = &'a Vec<u8>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if *key <= state.passed || state.before.contains_key(key) {
                continue;
            }
            match engine.get(key) {
                Ok(value) => drop(state.before.insert(key.clone(), value)),
                Err(error) => state.failed = Some(error),
            }
        }
    }

    /// The next rows in order; empty at the end.
    pub(crate) fn next(&self, engine: &Engine, limit: usize) -> Result<Vec<Row>, StoreError> {
        loop {
            let mut from = {
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.passed.clone()
            };
            if from == END {
                return Ok(Vec::new());
            }
            // The first key behind `passed`.
            let passed = from.clone();
            if !from.is_empty() {
                from.push(0);
            }
            let rows = engine.range(&from, &END, limit)?;
            let upto = match rows.last() {
                Some((key, _)) if rows.len() == limit => key.clone(),
                Some(_) | None => END.to_vec(),
            };
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            let mut merged: Before = rows
                .into_iter()
                .map(|(key, value)| (key, Some(value)))
                .collect();
            let span = (Bound::Excluded(passed), Bound::Included(upto.clone()));
            let noted: Vec<_> = state
                .before
                .range(span)
                .map(|(key, _)| key.clone())
                .collect();
            for key in noted {
                if let Some(value) = state.before.remove(&key) {
                    merged.insert(key, value);
                }
            }
            state.passed = upto;
            let rows: Vec<Row> = merged
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?)))
                .collect();
            // A whole stretch may have come after the snapshot was taken.
            if !rows.is_empty() || state.passed == END {
                return Ok(rows);
            }
        }
    }
}
