//! redb: each batch is a transaction; the disk has it when `sync` commits durably.

use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, Durability, ReadableDatabase as _, TableDefinition, TableError,
};

use super::{Batch, Row, StoreError, failed};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

#[derive(Debug)]
pub(super) struct Redb {
    db: Database,
    dir: PathBuf,
}

impl Redb {
    pub(super) fn open(dir: &Path, cache: u64) -> Result<Self, StoreError> {
        let cache = usize::try_from(cache).unwrap_or(64 << 20);
        let opened = Database::builder()
            .set_cache_size(cache)
            .create(dir.join("redb"));
        let db = opened.map_err(|error| {
            if matches!(error, DatabaseError::DatabaseAlreadyOpen) {
                StoreError::Locked(dir.to_owned())
            } else {
                failed(dir, &error)
            }
        })?;
        let redb = Self {
            db,
            dir: dir.to_owned(),
        };
        redb.write(&Batch::default(), Durability::Immediate)?;
        // The name of a new file is durable only when its folder is.
        let folder = std::fs::File::open(dir).and_then(|folder| folder.sync_all());
        folder.map_err(|error| failed(dir, &error))?;
        Ok(redb)
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let told = |error: &dyn std::fmt::Display| failed(&self.dir, &error.to_string());
        let read = self.db.begin_read().map_err(|error| told(&error))?;
        let table = match read.open_table(ROWS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(told(&error)),
        };
        let value = table.get(key).map_err(|error| told(&error))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    pub(super) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let told = |error: &dyn std::fmt::Display| failed(&self.dir, &error.to_string());
        let read = self.db.begin_read().map_err(|error| told(&error))?;
        let table = match read.open_table(ROWS) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(told(&error)),
        };
        let mut rows = Vec::new();
        for row in table
            .range(after.unwrap_or(prefix)..)
            .map_err(|error| told(&error))?
        {
            let (key, value) = row.map_err(|error| told(&error))?;
            if !key.value().starts_with(prefix) || rows.len() == most {
                break;
            }
            if after != Some(key.value()) {
                rows.push(Row {
                    key: key.value().to_vec(),
                    value: value.value().to_vec(),
                });
            }
        }
        Ok(rows)
    }

    pub(super) fn apply(&self, batch: &Batch) -> Result<(), StoreError> {
        self.write(batch, Durability::None)
    }

    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.write(&Batch::default(), Durability::Immediate)
    }

    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), StoreError> {
        let told = |error: &dyn std::fmt::Display| failed(&self.dir, &error.to_string());
        let mut write = self.db.begin_write().map_err(|error| told(&error))?;
        write
            .set_durability(durability)
            .map_err(|error| told(&error))?;
        {
            let mut table = write.open_table(ROWS).map_err(|error| told(&error))?;
            for (key, value) in &batch.put {
                let done = match value {
                    Some(value) => table.insert(key.as_slice(), value.as_slice()),
                    None => table.remove(key.as_slice()),
                };
                drop(done.map_err(|error| told(&error))?);
            }
        }
        write.commit().map_err(|error| told(&error))
    }
}
