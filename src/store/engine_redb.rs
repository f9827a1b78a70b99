//! redb 4: one file, one table of octets. It syncs its file itself; the folder is ours to sync.

use std::fs::File;
use std::path::{Path, PathBuf};

use redb::{ReadableDatabase as _, TableDefinition};

use super::engine::{Change, Row};
use super::error::StoreError;

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// An open redb.
pub(crate) struct RedbEngine {
    db: redb::Database,
    file: PathBuf,
}

impl RedbEngine {
    /// The file that holds the rows.
    pub(crate) fn file(dir: &Path) -> PathBuf {
        dir.join("rows.redb")
    }

    pub(crate) fn open(dir: &Path, cache_bytes: u64, fresh: bool) -> Result<Self, StoreError> {
        let file = Self::file(dir);
        let mut builder = redb::Builder::new();
        builder.set_cache_size(usize::try_from(cache_bytes).unwrap_or(usize::MAX));
        let db = if fresh {
            std::fs::create_dir_all(dir).map_err(|error| StoreError::io("make", dir, &error))?;
            builder.create(&file)
        } else {
            builder.open(&file)
        }
        .map_err(|error| failed(&file, error))?;
        let engine = Self { db, file };
        if fresh {
            engine.apply(Vec::new(), true)?;
            File::open(dir)
                .and_then(|dir| dir.sync_all())
                .map_err(|error| StoreError::io("fsync", dir, &error))?;
        }
        Ok(engine)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.read(|table| Ok(table.get(key)?.map(|value| value.value().to_vec())))?;
        Ok(value)
    }

    pub(crate) fn range(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        back: bool,
    ) -> Result<Vec<Row>, StoreError> {
        type Found<'a> = (
            redb::AccessGuard<'a, &'static [u8]>,
            redb::AccessGuard<'a, &'static [u8]>,
        );
        fn read<'a>(
            rows: impl Iterator<Item = Result<Found<'a>, redb::StorageError>>,
            limit: usize,
        ) -> Result<Vec<Row>, redb::Error> {
            rows.take(limit)
                .map(|row| {
                    let (key, value) = row?;
                    Ok((key.value().to_vec(), value.value().to_vec()))
                })
                .collect()
        }
        if from >= to {
            return Ok(Vec::new());
        }
        self.read(|table| {
            let rows = table.range(from..to)?;
            if back {
                read(rows.rev(), limit)
            } else {
                read(rows, limit)
            }
        })
    }

    pub(crate) fn apply(&self, changes: Vec<Change>, durable: bool) -> Result<(), StoreError> {
        self.write(changes, durable)
            .map_err(|error| failed(&self.file, error))
    }

    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.apply(Vec::new(), true)
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&redb::ReadOnlyTable<&'static [u8], &'static [u8]>) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let read = || work(&self.db.begin_read()?.open_table(ROWS)?);
        read().map_err(|error| failed(&self.file, error))
    }

    fn write(&self, changes: Vec<Change>, durable: bool) -> Result<(), redb::Error> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(if durable {
            redb::Durability::Immediate
        } else {
            redb::Durability::None
        })?;
        {
            let mut table = transaction.open_table(ROWS)?;
            for (key, value) in changes {
                match value {
                    Some(value) => drop(table.insert(key.as_slice(), value.as_slice())?),
                    None => drop(table.remove(key.as_slice())?),
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Our name for redb's errors.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "redb adds variants between minor versions; the rest means a file that is not what it was"
)]
fn failed(file: &Path, error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) => StoreError::io("use", file, &error),
        redb::Error::DatabaseAlreadyOpen => StoreError::Locked {
            dir: file.to_owned(),
        },
        redb::Error::PreviousIo => StoreError::Io {
            doing: "use",
            file: file.to_owned(),
            why: "an earlier write failed".to_owned(),
        },
        other => StoreError::Corrupt {
            file: file.to_owned(),
            what: other.to_string().replace('\n', " "),
        },
    }
}
