//! Halves of devices that were decoded lately. A row of the same bytes is not decoded again: most of a
//! row's cost is its lines and texts. The seen half is put here when it is written, because the unit
//! that was just answered asks again soon.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::codec_device::ConfigRow;
use super::engine::{self, Engine, View};
use super::error::StoreError;
use crate::model::device::{Config, Status};

/// Devices in each of the two halves.
const HALF: usize = 4096;

/// Bytes of a row, and what they say.
type Row<T> = (Vec<u8>, Arc<T>);

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
    /// What these bytes say, if they were decoded lately.
    fn get(&self, key: &[u8], bytes: &[u8]) -> Option<Arc<T>> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((held, half)) = halves.young.get(key) {
            return (held == bytes).then(|| Arc::clone(half));
        }
        let (held, half) = halves.old.remove(key)?;
        if held != bytes {
            return None;
        }
        let found = Arc::clone(&half);
        halves.put(key.to_vec(), (held, half));
        Some(found)
    }

    /// Keeps what these bytes say.
    pub(crate) fn put(&self, key: &[u8], bytes: &[u8], half: &Arc<T>) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.put(key.to_vec(), (bytes.to_vec(), Arc::clone(half)));
    }
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

    fn config(&self, key: &[u8], bytes: &[u8]) -> Result<Arc<Config>, StoreError> {
        if let Some(config) = self.configs.get(key, bytes) {
            return Ok(config);
        }
        let config = Arc::new(self.read::<ConfigRow>(key, bytes)?.config);
        self.configs.put(key, bytes, &config);
        Ok(config)
    }

    fn status(&self, key: &[u8], bytes: &[u8]) -> Result<Arc<Status>, StoreError> {
        if let Some(status) = self.statuses.get(key, bytes) {
            return Ok(status);
        }
        let status = Arc::new(self.read::<Status>(key, bytes)?);
        self.statuses.put(key, bytes, &status);
        Ok(status)
    }
}
