//! sled 0.34, with our own fsync.
//!
//! Its `flush` ends in `sync_file_range`, which writes no metadata and empties no disk cache: after
//! a power cut, stores did not open and acknowledged writes were gone. So each flush here is
//! followed by an fsync of the log, of blob files that came since, and of the folder
//! (`tests/it/power_cut.rs` shows what that is worth).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::engine::{Held, Row};
use super::error::StoreError;
use super::home::patiently;

/// An open sled.
pub(crate) struct SledEngine {
    db: sled::Db,
    dir: PathBuf,
    log: File,
    /// Blob files that are durable already. Rows are kept far below the size that makes one.
    blobs: Mutex<BTreeSet<OsString>>,
}

impl SledEngine {
    /// The file that holds the rows.
    pub(crate) fn file(dir: &Path) -> PathBuf {
        dir.join("db")
    }

    pub(crate) fn open(dir: &Path, cache_bytes: u64, fresh: bool) -> Result<Self, StoreError> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None);
        // It has a lock of its own, and a child may hold that too.
        let db = patiently(|| config.open().map_err(|error| failed(dir, &error)))?;
        if !fresh && !db.was_recovered() {
            return Err(StoreError::Corrupt {
                file: Self::file(dir),
                what: "nothing of it could be read".to_owned(),
            });
        }
        let log = File::open(Self::file(dir))
            .map_err(|error| StoreError::io("open", &Self::file(dir), &error))?;
        Ok(Self {
            db,
            dir: dir.to_owned(),
            log,
            blobs: Mutex::new(BTreeSet::new()),
        })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.db.get(key) {
            Ok(value) => Ok(value.map(|value| value.to_vec())),
            Err(error) => Err(failed(&self.dir, &error)),
        }
    }

    pub(crate) fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.db
            .contains_key(key)
            .map_err(|error| failed(&self.dir, &error))
    }

    /// Rows of `from..to`, from either end.
    pub(crate) fn range(
        &self,
        from: &[u8],
        to: &[u8],
    ) -> impl DoubleEndedIterator<Item = Result<Row, StoreError>> {
        self.db.range(from..to).map(|row| match row {
            Ok((key, value)) => Ok((key.to_vec(), value.to_vec())),
            Err(error) => Err(failed(&self.dir, &error)),
        })
    }

    /// Whether there were changes, which are made.
    pub(crate) fn apply<'a>(
        &self,
        changes: impl Iterator<Item = (&'a Vec<u8>, &'a Option<Held>)>,
    ) -> Result<bool, StoreError> {
        let mut batch = sled::Batch::default();
        let mut any = false;
        for (key, value) in changes {
            any = true;
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        if any {
            let applied = self.db.apply_batch(batch);
            applied.map_err(|error| failed(&self.dir, &error))?;
        }
        Ok(any)
    }

    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(|error| failed(&self.dir, &error))?;
        self.sync()
            .map_err(|error| StoreError::io("fsync", &self.dir, &error))
    }

    fn sync(&self) -> io::Result<()> {
        let blobs = self.dir.join("blobs");
        let mut durable = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = BTreeSet::new();
        let mut fresh = false;
        for entry in std::fs::read_dir(&blobs)? {
            let name = entry?.file_name();
            if !durable.contains(&name) {
                match File::open(blobs.join(&name)) {
                    Ok(file) => file.sync_all()?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
                fresh = true;
            }
            found.insert(name);
        }
        *durable = found;
        if fresh {
            File::open(&blobs)?.sync_all()?;
        }
        self.log.sync_all()?;
        File::open(&self.dir)?.sync_all()
    }
}

/// Our name for sled's errors.
fn failed(dir: &Path, error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => StoreError::Locked {
            dir: dir.to_owned(),
        },
        // Its own lock fails with an `Other` that wraps the operating system's text.
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
            StoreError::Locked {
                dir: dir.to_owned(),
            }
        }
        sled::Error::Io(error) => StoreError::io("use", &SledEngine::file(dir), error),
        sled::Error::Corruption { .. }
        | sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_) => StoreError::Corrupt {
            file: SledEngine::file(dir),
            what: error.to_string().replace('\n', " "),
        },
    }
}
