//! The durable floor of the store: keys and values, one writer with group commit.
//!
//! Typed rows come on top of it. A batch is whole or not at all, its preconditions are checked in
//! the same step, and `Now` returns only after the disk has it. Engines are one enum, so that a
//! second kind of store can join. redb was one: the power-cut test found acknowledged writes gone
//! (`docs/progress.md`), so it is not offered. It knows `model`, never `engine`.

mod sled_engine;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which engine keeps the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sled,
}

/// What can go wrong. Nothing of a batch that failed is visible.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A precondition did not hold: read again and decide again.
    #[error("somebody else changed it first; read again")]
    Conflict,
    #[error("the store is closed")]
    Closed,
    #[error("{dir}: another process holds the store; stop it first", dir = .0.display())]
    Locked(PathBuf),
    #[error("{dir}: cannot be opened or written: {why}; check its owner and mode, or restore a backup", dir = .dir.display())]
    Engine { dir: PathBuf, why: String },
    #[error("a value of {0} octets is over the limit of {MOST}")]
    TooLarge(usize),
}

/// The largest value, in octets: what the embedded log keeps in one piece.
pub const MOST: usize = 64 << 10;

/// When a commit returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After the disk has it.
    Now,
    /// At once: visible, and on the disk within one second.
    Soon,
}

/// One atomic change.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Keys and what they must hold now; `None`: nothing.
    pub expect: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Keys and what they hold then; `None`: nothing.
    pub put: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// A key and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// The engine under the writer.
#[derive(Debug)]
enum Engine {
    Sled(sled_engine::Sled),
}

/// A store: cheap to clone. It closes, with everything on the disk, when the last clone goes.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Arc<Engine>,
    writer: Arc<writer::Writer>,
}

impl Store {
    /// Opens the store below `dir`, or makes one where none is. `cache` is in octets.
    pub fn open(dir: &Path, kind: Kind, cache: u64) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
        let engine = match kind {
            Kind::Sled => Engine::Sled(sled_engine::Sled::open(dir, cache)?),
        };
        let engine = Arc::new(engine);
        let writer = writer::Writer::start(Arc::clone(&engine), dir)?;
        Ok(Self {
            engine,
            writer: Arc::new(writer),
        })
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.engine.get(key)
    }

    /// Up to `most` keys and values that begin with `prefix` and follow `after`, in order.
    pub fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<Row>, StoreError> {
        match &*self.engine {
            Engine::Sled(sled) => sled.scan(prefix, after, most),
        }
    }

    /// Commits a batch, whole or not at all. Concurrent ones share one flush.
    pub async fn commit(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let large = batch
            .put
            .iter()
            .filter_map(|(_, value)| value.as_ref())
            .map(Vec::len)
            .max();
        match large.filter(|size| *size > MOST) {
            Some(size) => Err(StoreError::TooLarge(size)),
            None => self.writer.commit(batch, durability).await,
        }
    }
}

impl Engine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Sled(sled) => sled.get(key),
        }
    }

    fn apply(&self, batch: &Batch) -> Result<(), StoreError> {
        match self {
            Self::Sled(sled) => sled.apply(batch),
        }
    }

    /// Returns when all that was applied is on the disk.
    fn sync(&self) -> Result<(), StoreError> {
        match self {
            Self::Sled(sled) => sled.sync(),
        }
    }
}

fn failed(dir: &Path, why: &impl ToString) -> StoreError {
    StoreError::Engine {
        dir: dir.to_owned(),
        why: why.to_string(),
    }
}
