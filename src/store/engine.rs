//! The embedded engines behind one enum: sorted rows, groups of changes that happen as one, and a
//! flush that means it. An engine knows no row's meaning.
//!
//! A group is written to the journal, where one flush of one file makes it durable, and is seen from
//! then on; the engine's own files take many groups at once, later (`fold`).
//!
//! Each value ends in a CRC-32 of key and value, so that a flipped bit, or a value under another
//! row's key, is found when it is read and not rendered.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::codec::{self, Stored};
use super::codec_device::ConfigRow;
use super::engine_sled::SledEngine;
use super::error::StoreError;
use super::fold::{Inner, Rows, guarded};
use super::journal::{self, Journal};
use super::overlay::Overlay;
use crate::model::device::{Config, Status};

/// Key and value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);
/// A value, or what is wrong with it.
pub(crate) type Read = Result<Vec<u8>, StoreError>;
/// A value with its checksum. Whoever keeps what it says knows it again by its place.
pub(crate) type Held = Arc<Vec<u8>>;
/// Key, and the value that it has from now on.
pub(crate) type Change = (Vec<u8>, Option<Held>);

/// Where rows are read from: an engine, or an engine beneath changes that are not applied yet.
pub(crate) trait View {
    /// The row of this key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// Whether there is such a row.
    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.get(key)?.is_some())
    }
    /// Rows of `from..to` in order, at most `limit`.
    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, StoreError>;
    /// The error for a row that does not decode.
    fn malformed(&self, key: &[u8], what: &str) -> StoreError;

    /// The row of this key, decoded.
    fn load<T: Stored>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        match self.get(key)? {
            Some(bytes) => self.read(key, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Decodes a row that was read.
    fn read<T: Stored>(&self, key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
        codec::decode(bytes).map_err(|error| self.malformed(key, &error.0))
    }

    /// The wanted half of a device by its row's key.
    fn config(&self, key: &[u8]) -> Result<Option<Arc<Config>>, StoreError> {
        let row = self.load::<ConfigRow>(key)?;
        Ok(row.map(|row| Arc::new(row.config)))
    }

    /// The seen half of a device by its row's key.
    fn status(&self, key: &[u8]) -> Result<Option<Arc<Status>>, StoreError> {
        Ok(self.load(key)?.map(Arc::new))
    }

    /// Rows of `from..to`, decoded.
    fn load_range<T: Stored>(
        &self,
        (from, to): &(Vec<u8>, Vec<u8>),
        limit: usize,
    ) -> Result<Vec<T>, StoreError> {
        self.range(from, to, limit)?
            .iter()
            .map(|(key, bytes)| self.read(key, bytes))
            .collect()
    }
}

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sled,
}

impl Kind {
    /// The scheme of its address.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sled => "sled",
        }
    }

    /// Reads what [`Kind::as_str`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Sled].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Octets of changes that are folded at once, where nobody says otherwise.
pub(crate) const FULL: usize = 16 << 20;
/// How many times that much may wait while an older lot is being folded.
const BEHIND: usize = 3;

/// What of a store's files there is to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// Nothing yet.
    None,
    /// Those of format 1, which had no journal.
    Rows,
    /// All of them.
    All,
}

/// An open engine: its rows, the changes that wait in the journal over them.
pub(crate) struct Engine {
    rows: Arc<Rows>,
    log: Mutex<Log>,
    /// Octets of changes that are folded at once.
    full: usize,
}

/// What is written to.
struct Log {
    dir: PathBuf,
    journal: Journal,
    /// The changes of older files are on their way into the rows.
    fold: Option<JoinHandle<()>>,
}

impl Engine {
    /// Opens the engine's files in `dir`, or makes them there. What a journal holds is folded from
    /// then on.
    pub(crate) fn open(
        kind: Kind,
        dir: &Path,
        files: Files,
        cache_bytes: u64,
        full: usize,
    ) -> Result<Self, StoreError> {
        let fresh = files == Files::None;
        let file = match kind {
            Kind::Sled => SledEngine::file(dir),
        };
        if !fresh && !file.exists() {
            return Err(StoreError::Corrupt {
                file,
                what: "it is gone".to_owned(),
            });
        }
        let inner = guarded(&file, || {
            Ok(match kind {
                Kind::Sled => Inner::Sled(SledEngine::open(dir, cache_bytes, fresh)?),
            })
        })?;
        let dir = dir.join("journal");
        let found = if files == Files::All {
            journal::read(&dir)?
        } else {
            journal::make(&dir)?;
            journal::Found::default()
        };
        let journal = Journal::begin(&dir, found.last + 1, found.end)?;
        let mut overlay = Overlay::default();
        overlay.take(found.changes);
        let old = overlay.age();
        let rows = Arc::new(Rows::new(inner, file, overlay));
        let fold = Rows::fold(&rows, old, found.files)?;
        Ok(Self {
            rows,
            log: Mutex::new(Log {
                dir,
                journal,
                fold: Some(fold),
            }),
            full,
        })
    }

    /// The last rows of `from..to`, newest key first.
    pub(crate) fn range_back(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.rows.range(from, to, limit, true)?;
        rows.into_iter().map(|row| self.unseal_row(row)).collect()
    }

    /// Rows as [`View::range`] gives them, each damaged one as its own error.
    pub(crate) fn range_each(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Read)>, StoreError> {
        let rows = self.rows.range(from, to, limit, false)?;
        Ok(rows
            .into_iter()
            .map(|(key, sealed)| {
                let value = self.unseal(&key, sealed);
                (key, value)
            })
            .collect())
    }

    /// All changes or none. When `durable`, comes back after the flush.
    pub(crate) fn apply(&self, changes: Vec<Change>, durable: bool) -> Result<(), StoreError> {
        let mut log = self.log();
        self.rows.health()?;
        log.journal.append(&changes)?;
        let size = self.rows.take(changes);
        if durable {
            log.journal.sync()?;
        }
        match &log.fold {
            // Far behind: whoever writes waits for it.
            Some(fold) if !fold.is_finished() && size < self.full.saturating_mul(BEHIND) => Ok(()),
            _ if size < self.full => Ok(()),
            _ => self.turn(&mut log),
        }
    }

    /// Makes all that was applied durable.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.log().journal.sync()?;
        self.rows.health()
    }

    /// Folds all changes into the rows, so that the next start finds an empty journal.
    pub(crate) fn settle(&self) -> Result<(), StoreError> {
        let mut log = self.log();
        log.journal.sync()?;
        if !log.journal.is_empty() {
            self.turn(&mut log)?;
        }
        log.joined();
        self.rows.health()
    }

    /// Begins a new file, and folds the one before it, unless the disk has no room for that.
    fn turn(&self, log: &mut Log) -> Result<(), StoreError> {
        if !self.rows.has_room(&log.dir) {
            return Ok(());
        }
        log.joined();
        self.rows.health()?;
        log.journal.sync()?;
        let next = Journal::begin(&log.dir, log.journal.number() + 1, log.journal.end())?;
        let before = std::mem::replace(&mut log.journal, next);
        let old = self.rows.age();
        log.fold = Some(Rows::fold(&self.rows, old, vec![before.path().to_owned()])?);
        Ok(())
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unseal_row(&self, (key, sealed): Row) -> Result<Row, StoreError> {
        let value = self.unseal(&key, sealed)?;
        Ok((key, value))
    }

    fn unseal(&self, key: &[u8], mut sealed: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let length = self.proven(key, &sealed)?.len();
        sealed.truncate(length);
        Ok(sealed)
    }

    /// The value in front of a checksum that is right.
    pub(crate) fn proven<'a>(&self, key: &[u8], sealed: &'a [u8]) -> Result<&'a [u8], StoreError> {
        let value = sealed
            .split_last_chunk::<4>()
            .filter(|(value, sum)| checksum(key, value).to_le_bytes() == **sum);
        value
            .map(|(value, _)| value)
            .ok_or_else(|| StoreError::Corrupt {
                file: self.rows.file.clone(),
                what: format!("a row of {} fails its checksum", name_of(key)),
            })
    }

    /// The row of this key as it is held, its checksum not looked at.
    pub(crate) fn held(&self, key: &[u8]) -> Result<Option<Held>, StoreError> {
        self.rows.get(key)
    }
}

impl Log {
    /// Waits until nothing is being folded.
    fn joined(&mut self) {
        if let Some(fold) = self.fold.take() {
            // What went wrong there is in the rows' health.
            drop(fold.join());
        }
    }
}

impl Drop for Engine {
    /// The files are free when nobody folds any more.
    fn drop(&mut self) {
        let log = self.log.get_mut();
        log.unwrap_or_else(PoisonError::into_inner).joined();
    }
}

impl View for Engine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.rows.get(key)?.map(Arc::unwrap_or_clone);
        sealed.map(|sealed| self.unseal(key, sealed)).transpose()
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.rows.has(key)
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, StoreError> {
        let rows = self.rows.range(from, to, limit, false)?;
        rows.into_iter().map(|row| self.unseal_row(row)).collect()
    }

    fn malformed(&self, key: &[u8], what: &str) -> StoreError {
        StoreError::Corrupt {
            file: self.rows.file.clone(),
            what: format!("a row of {} does not decode: {what}", name_of(key)),
        }
    }
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(key);
    sum.update(value);
    sum.finalize()
}

/// A value with its checksum, for [`Engine::apply`].
pub(crate) fn seal(key: &[u8], mut value: Vec<u8>) -> Held {
    let sum = checksum(key, &value);
    value.extend_from_slice(&sum.to_le_bytes());
    Arc::new(value)
}

/// The value of one that was sealed here.
pub(crate) fn value_of(held: &Held) -> &[u8] {
    held.split_last_chunk::<4>().map_or(&[], |(value, _)| value)
}

/// The table of a key, for people.
pub(crate) fn name_of(key: &[u8]) -> &'static str {
    super::keyspace::table_of(key).map_or("no known table", super::keyspace::Table::name)
}
