//! sled with our own fsync: its `flush()` uses sync_file_range, which a power cut undoes.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Batch, Row, StoreError, failed};

#[derive(Debug)]
pub(super) struct Sled {
    db: sled::Db,
    dir: PathBuf,
    log: File,
    folder: File,
}

impl Sled {
    pub(super) fn open(dir: &Path, cache: u64) -> Result<Self, StoreError> {
        let opened = sled::Config::new()
            .path(dir)
            .cache_capacity(cache)
            .flush_every_ms(None)
            .open();
        let db = opened.map_err(|error| {
            let text = error.to_string();
            if text.contains("could not acquire lock") {
                StoreError::Locked(dir.to_owned())
            } else {
                failed(dir, &text)
            }
        })?;
        let file = |path: &Path| File::open(path).map_err(|error| failed(path, &error));
        let sled = Self {
            db,
            dir: dir.to_owned(),
            log: file(&dir.join("db"))?,
            folder: file(dir)?,
        };
        sled.sync()?;
        Ok(sled)
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self
            .db
            .get(key)
            .map_err(|error| failed(&self.dir, &error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    pub(super) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let from = after.unwrap_or(prefix).to_vec();
        let mut rows = Vec::new();
        for row in self.db.range(from..) {
            let (key, value) = row.map_err(|error| failed(&self.dir, &error))?;
            if !key.starts_with(prefix) || rows.len() == most {
                break;
            }
            if after != Some(key.as_ref()) {
                rows.push(Row {
                    key: key.to_vec(),
                    value: value.to_vec(),
                });
            }
        }
        Ok(rows)
    }

    pub(super) fn apply(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut changes = sled::Batch::default();
        for (key, value) in &batch.put {
            match value {
                Some(value) => changes.insert(key.as_slice(), value.as_slice()),
                None => changes.remove(key.as_slice()),
            }
        }
        self.db
            .apply_batch(changes)
            .map_err(|error| failed(&self.dir, &error))
    }

    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(|error| failed(&self.dir, &error))?;
        self.log
            .sync_all()
            .map_err(|error| failed(&self.dir, &error))?;
        self.folder
            .sync_all()
            .map_err(|error| failed(&self.dir, &error))
    }
}
