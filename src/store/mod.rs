//! The store: rows of the model, kept by an embedded engine, written by one writer.
//!
//! Knows the model and nothing above it: what a row means is decided elsewhere; that rows change
//! together, that unique values are unique, and that what was acknowledged is there after a power
//! cut, is decided here.
//!
//! - `rows`: writes and questions. `apply`: what a write must meet, and the rows it changes.
//! - `writer`: the one thread that writes; group commit. `stage`: undecided over decided rows.
//! - `query`, `settings`: reads. `snapshot`: all rows at one moment, under writes.
//! - `codec`: stored shapes. `keyspace`: how rows are named. `home`: the folder.
//! - `engine`: sled behind an enum that a second engine can join. `journal`: where a group is durable
//!   first. `overlay`, `fold`: its changes over the rows, and on their way into them.
//! - `backup`, `restore`, `check`: the way out, the way back, and whether all is well.
//! - `keys`: data key and site key; seals and opens secrets, derives tokens.
//!
//! **Invariant:** every key begins with the tenant. **Invariant:** a store with files in it is
//! opened or refused, never started empty.

mod apply;
mod apply_rest;
mod backup;
mod check;
mod codec;
mod codec_device;
mod codec_records;
#[cfg(test)]
mod codec_tests;
mod codec_words;
mod decoded;
mod engine;
mod engine_sled;
mod error;
mod fold;
mod home;
mod journal;
pub mod keys;
mod keyspace;
mod ledger;
mod overlay;
mod query;
mod query_rest;
mod restore;
mod rows;
mod settings;
mod snapshot;
mod stage;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use arc_swap::ArcSwapOption;
use tokio::sync::{Semaphore, oneshot};

pub use self::backup::{BackupError, Summary};
pub use self::check::{Problem, Report};
pub use self::error::StoreError;
pub use self::keys::{KeyError, Keys};
pub use self::restore::{Restored, restore, verify};
pub use self::rows::{
    AuditEntry, Batch, CheckFilter, Committed, Durability, Expect, Filter, Job, JobState, KnownAsk,
    KnownRows, Owner, Published, Settings, TokenKind, Write,
};

use self::apply::Counters;
use self::engine::{Engine, Files, View as _};
use self::home::Home;
use self::keyspace::{Key, Table};
use self::writer::{Core, Message, QUEUE, Writer};

/// The engine and folder of a store that nobody configured.
pub const DEFAULT_URL: &str = "sled:store";

/// Where the store is, and how much it may use.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sled:FOLDER`, the folder below `dir`.
    pub url: String,
    /// The data folder.
    pub dir: PathBuf,
    /// Memory for rows that were read, in octets.
    pub cache_bytes: u64,
    /// Changes, in octets, that the journal gathers before they are folded into the rows. So much, and
    /// three times that in a storm, is in memory, and is read at a start that follows a kill.
    pub journal_bytes: usize,
    /// Make a store where there is none.
    pub create: bool,
    /// Free space of the disk, in octets, below which writes are refused with `DiskFull`. Batches
    /// with the right to the reserve may use three quarters of it.
    pub spare_bytes: u64,
}

impl Options {
    /// The default store of a data folder, made if it is not there.
    pub fn new(dir: &Path) -> Self {
        Self {
            url: DEFAULT_URL.to_owned(),
            dir: dir.to_owned(),
            cache_bytes: 64 << 20,
            journal_bytes: engine::FULL,
            create: true,
            spare_bytes: 64 << 20,
        }
    }
}

/// An open store. Clones are handles of the same one; it ends with the last of them, or with
/// [`Store::close`].
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    sender: Mutex<Option<mpsc::Sender<Message>>>,
    /// Places in the writer's queue.
    queue: Arc<Semaphore>,
    thread: Mutex<Option<JoinHandle<()>>>,
    settings: ArcSwapOption<Settings>,
    settings_turn: Mutex<()>,
}

impl Store {
    /// Whether there is a store to open, whole or not.
    pub fn exists(dir: &Path, url: &str) -> Result<bool, StoreError> {
        home::exists(dir, url)
    }

    /// Opens the store; refuses one that is damaged, newer, locked or another user's.
    pub fn open(options: &Options) -> Result<Self, StoreError> {
        let home = Home::enter(&options.dir, &options.url, options.create)?;
        let dir = home.engine_dir();
        let files = home.files();
        let engine = Engine::open(
            home.kind(),
            &dir,
            files,
            options.cache_bytes,
            options.journal_bytes,
        )?;
        // This row says that the engine read its files to the end of its first flush.
        let mark = Key::of(Table::Meta).text("_format").done();
        if files == Files::None {
            let value = engine::seal(&mark, home::FORMAT.to_be_bytes().to_vec());
            engine.apply(vec![(mark, Some(value))], true)?;
            engine.settle()?;
            home::sync_dir(home.dir())?;
        } else if engine.get(&mark)?.is_none() {
            return Err(StoreError::Corrupt {
                file: dir,
                what: "its first row is gone".to_owned(),
            });
        }
        // From the first write on the journal counts.
        if files != Files::All {
            home.settle()?;
        }
        let counters = counters(&engine)?;
        let core = Arc::new(Core::new(engine, home, options.spare_bytes));
        let (sender, inbox) = mpsc::channel();
        let writer = Writer::new(Arc::clone(&core), inbox, counters);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::io("start the writer of", &dir, &error))?;
        Ok(Self(Arc::new(Inner {
            core,
            sender: Mutex::new(Some(sender)),
            queue: Arc::new(Semaphore::new(QUEUE)),
            thread: Mutex::new(Some(thread)),
            settings: ArcSwapOption::empty(),
            settings_turn: Mutex::new(()),
        })))
    }

    /// Writes a batch, whole or not at all. Comes back as its [`Durability`] says. A caller that
    /// stops waiting does not stop the commit.
    pub async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let permit = Arc::clone(&self.0.queue)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.send(Message::Commit {
            batch,
            reply,
            permit,
        })?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Writes what waits, flushes, and ends the writer. Reads go on until the last handle is gone;
    /// the folder is free then.
    pub async fn close(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Close(reply))?;
        self.0
            .sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Why nothing is written any more, if so.
    pub fn health(&self) -> Result<(), StoreError> {
        self.core().broken().map_or(Ok(()), Err)
    }

    fn send(&self, message: Message) -> Result<(), StoreError> {
        let sender = self.0.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = sender.as_ref().ok_or(StoreError::Closed)?;
        sender.send(message).map_err(|_| StoreError::Closed)
    }

    pub(crate) fn core(&self) -> &Core {
        &self.0.core
    }

    pub(crate) fn core_shared(&self) -> Arc<Core> {
        Arc::clone(&self.0.core)
    }

    pub(crate) fn kept_settings(&self) -> &ArcSwapOption<Settings> {
        &self.0.settings
    }

    pub(crate) fn settings_turn(&self) -> &Mutex<()> {
        &self.0.settings_turn
    }
}

impl Drop for Inner {
    /// The writer ends when nobody can reach it; then the engine's files are free.
    fn drop(&mut self) {
        let sender = self
            .sender
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        drop(sender.take());
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // It panicked, if it did, where it was logged.
            drop(thread.join());
        }
    }
}

/// The numbers to go on with.
fn counters(engine: &Engine) -> Result<Counters, StoreError> {
    let kept = engine.get(&Key::of(Table::Meta).text(keyspace::NEXT_CHECK).done())?;
    let kept = kept
        .and_then(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).ok())
        .map_or(1, u64::from_be_bytes);
    let next = |newest: Option<u64>| newest.map_or(1, |newest| newest + 1);
    Ok(Counters {
        check: next(query_rest::newest(engine, Table::Check)?).max(kept),
        audit: next(query_rest::newest(engine, Table::Audit)?),
        settings: 1,
    })
}
