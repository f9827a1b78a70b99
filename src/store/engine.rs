//! The embedded engines behind one enum: sorted rows, groups of changes that happen as one, and a
//! flush that means it. An engine knows no row's meaning.
//!
//! Each value ends in a CRC-32 of key and value, so that a flipped bit, or a value under another
//! row's key, is found when it is read and not rendered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::codec::{self, Stored};
use super::codec_device::ConfigRow;
use super::engine_sled::SledEngine;
use super::error::StoreError;
use crate::model::device::Config;

/// Key and value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);
/// A value, or what is wrong with it.
pub(crate) type Read = Result<Vec<u8>, StoreError>;
/// Key, and the value that it has from now on.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

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

    /// The wanted half of a device out of its row.
    fn config(&self, key: &[u8], bytes: &[u8]) -> Result<Arc<Config>, StoreError> {
        Ok(Arc::new(self.read::<ConfigRow>(key, bytes)?.config))
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

/// An open engine.
pub(crate) struct Engine {
    inner: Inner,
    /// The file that is named when a row is damaged.
    file: PathBuf,
}

enum Inner {
    Sled(SledEngine),
}

impl Engine {
    /// Opens the engine's files in `dir`, or makes them there where `fresh`.
    pub(crate) fn open(
        kind: Kind,
        dir: &Path,
        cache_bytes: u64,
        fresh: bool,
    ) -> Result<Self, StoreError> {
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
        Ok(Self { inner, file })
    }

    /// The last rows of `from..to`, newest key first.
    pub(crate) fn range_back(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.sealed(from, to, limit, true)?
            .into_iter()
            .map(|row| self.unseal_row(row))
            .collect()
    }

    /// Rows as [`View::range`] gives them, each damaged one as its own error.
    pub(crate) fn range_each(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Read)>, StoreError> {
        Ok(self
            .sealed(from, to, limit, false)?
            .into_iter()
            .map(|(key, sealed)| {
                let value = self.unseal(&key, sealed);
                (key, value)
            })
            .collect())
    }

    /// All changes or none. When `durable`, comes back after the flush.
    pub(crate) fn apply(&self, changes: Vec<Change>, durable: bool) -> Result<(), StoreError> {
        let changes = changes
            .into_iter()
            .map(|(key, value)| {
                let sealed = value.map(|value| seal(&key, value));
                (key, sealed)
            })
            .collect();
        guarded(&self.file, || match &self.inner {
            Inner::Sled(engine) => {
                engine.apply(changes)?;
                if durable { engine.flush() } else { Ok(()) }
            }
        })
    }

    /// Makes all that was applied durable.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        guarded(&self.file, || match &self.inner {
            Inner::Sled(engine) => engine.flush(),
        })
    }

    fn sealed(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        back: bool,
    ) -> Result<Vec<Row>, StoreError> {
        guarded(&self.file, || match &self.inner {
            Inner::Sled(engine) => engine.range(from, to, limit, back),
        })
    }

    fn unseal_row(&self, (key, sealed): Row) -> Result<Row, StoreError> {
        let value = self.unseal(&key, sealed)?;
        Ok((key, value))
    }

    fn unseal(&self, key: &[u8], mut sealed: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let good = sealed
            .split_last_chunk::<4>()
            .is_some_and(|(value, sum)| checksum(key, value).to_le_bytes() == *sum);
        if !good {
            return Err(StoreError::Corrupt {
                file: self.file.clone(),
                what: format!("a row of {} fails its checksum", name_of(key)),
            });
        }
        sealed.truncate(sealed.len().saturating_sub(4));
        Ok(sealed)
    }
}

impl View for Engine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = guarded(&self.file, || match &self.inner {
            Inner::Sled(engine) => engine.get(key),
        })?;
        sealed.map(|sealed| self.unseal(key, sealed)).transpose()
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        guarded(&self.file, || match &self.inner {
            Inner::Sled(engine) => engine.has(key),
        })
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, StoreError> {
        self.sealed(from, to, limit, false)?
            .into_iter()
            .map(|row| self.unseal_row(row))
            .collect()
    }

    fn malformed(&self, key: &[u8], what: &str) -> StoreError {
        StoreError::Corrupt {
            file: self.file.clone(),
            what: format!("a row of {} does not decode: {what}", name_of(key)),
        }
    }
}

/// A damaged file makes an engine panic now and then: that is an error of this call, not of the
/// process.
fn guarded<T>(file: &Path, call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        Err(StoreError::Corrupt {
            file: file.to_owned(),
            what: "its engine gave up on it".to_owned(),
        })
    })
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(key);
    sum.update(value);
    sum.finalize()
}

fn seal(key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let sum = checksum(key, &value);
    value.extend_from_slice(&sum.to_le_bytes());
    value
}

/// The table of a key, for people.
pub(crate) fn name_of(key: &[u8]) -> &'static str {
    super::keyspace::table_of(key).map_or("no known table", super::keyspace::Table::name)
}
