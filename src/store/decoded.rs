//! Halves of devices that were decoded lately. A row of the same bytes is not decoded again: most of a
//! row's cost is its lines and texts. The seen half is put here when it is written, because the unit
//! that was just answered asks again soon.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::codec_device::ConfigRow;
use super::engine::{self, Engine, Held, View};
use super::error::StoreError;
use crate::model::device::{Config, Status};

/// Devices in each of the two halves.
const HALF: usize = 4096;

/// A row, and what it says.
type Row<T> = (Held, Arc<T>);

/// Two halves: the older one goes as a whole when the younger is full.
pub(crate) struct Decoded<T>(Mutex<Halves<T>>);

struct Halves<T> {
    young: HashMap<Vec<u8>, Row<T>>,
    old: HashMap<Vec<u8>, Row<T>>,
}

impl<T> Default for Decoded<T> {
    fn default() -> Self {
        Self(Mutex::new(Halves {
            young: HashMap::new(),
            old: HashMap::new(),
        }))
    }
}

impl<T> Decoded<T> {
    /// What this row says, if it was decoded lately.
    fn get(&self, key: &[u8], row: &Held) -> Option<Arc<T>> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((held, half)) = halves.young.get(key) {
            return same(held, row).then(|| Arc::clone(half));
        }
        let (held, half) = halves.old.remove(key)?;
        if !same(&held, row) {
            return None;
        }
        let found = Arc::clone(&half);
        halves.put(key.to_vec(), (held, half));
        Some(found)
    }

    /// Keeps what this row says.
    pub(crate) fn put(&self, key: &[u8], row: &Held, half: &Arc<T>) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.put(key.to_vec(), (Arc::clone(row), Arc::clone(half)));
    }
}

/// One that is where it was is not compared: it was looked at when it was decoded.
fn same(kept: &Held, row: &Held) -> bool {
    Arc::ptr_eq(kept, row) || kept == row
}

impl<T> Halves<T> {
    fn put(&mut self, key: Vec<u8>, row: Row<T>) {
        if self.young.len() >= HALF && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, row);
    }
}

/// The engine, with what was decoded lately.
pub(crate) struct Reader<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) configs: &'a Decoded<Config>,
    pub(crate) statuses: &'a Decoded<Status>,
}

impl View for Reader<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.engine.get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<engine::Row>, StoreError> {
        self.engine.range(from, to, limit)
    }

    fn malformed(&self, key: &[u8], what: &str) -> StoreError {
        self.engine.malformed(key, what)
    }

    fn config(&self, key: &[u8]) -> Result<Option<Arc<Config>>, StoreError> {
        self.half(self.configs, key, |bytes| {
            Ok(self.read::<ConfigRow>(key, bytes)?.config)
        })
    }

    fn status(&self, key: &[u8]) -> Result<Option<Arc<Status>>, StoreError> {
        self.half(self.statuses, key, |bytes| self.read(key, bytes))
    }
}

impl Reader<'_> {
    /// A row, decoded now or lately.
    fn half<T>(
        &self,
        kept: &Decoded<T>,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<Arc<T>>, StoreError> {
        let Some(row) = self.engine.held(key)? else {
            return Ok(None);
        };
        if let Some(half) = kept.get(key, &row) {
            return Ok(Some(half));
        }
        let half = Arc::new(read(self.engine.proven(key, &row)?)?);
        kept.put(key, &row, &half);
        Ok(Some(half))
    }
}
