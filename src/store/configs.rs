//! Wanted halves of devices that were decoded lately. A row of the same bytes is not decoded again:
//! most of a row's cost is its lines and texts, and units ask often while people change seldom.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::codec_device::ConfigRow;
use super::engine::{Engine, Row, View};
use super::error::StoreError;
use crate::model::device::Config;

/// Devices in each of the two halves.
const HALF: usize = 4096;

/// Bytes of a row, and what they say.
type Decoded = (Vec<u8>, Arc<Config>);

/// Two halves: the older one goes as a whole when the younger is full.
#[derive(Default)]
pub(crate) struct Configs(Mutex<Halves>);

#[derive(Default)]
struct Halves {
    young: HashMap<Vec<u8>, Decoded>,
    old: HashMap<Vec<u8>, Decoded>,
}

impl Configs {
    /// What these bytes say, if they were decoded lately.
    fn get(&self, key: &[u8], bytes: &[u8]) -> Option<Arc<Config>> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((held, config)) = halves.young.get(key) {
            return (held == bytes).then(|| Arc::clone(config));
        }
        let (held, config) = halves.old.remove(key)?;
        if held != bytes {
            return None;
        }
        let found = Arc::clone(&config);
        halves.put(key.to_vec(), (held, config));
        Some(found)
    }

    fn put(&self, key: &[u8], bytes: &[u8], config: &Arc<Config>) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.put(key.to_vec(), (bytes.to_vec(), Arc::clone(config)));
    }
}

impl Halves {
    fn put(&mut self, key: Vec<u8>, decoded: Decoded) {
        if self.young.len() >= HALF && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, decoded);
    }
}

/// The engine, with what was decoded lately.
pub(crate) struct Reader<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) configs: &'a Configs,
}

impl View for Reader<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.engine.get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, StoreError> {
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
}
