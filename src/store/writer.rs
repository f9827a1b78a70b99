//! The one writer: a thread that decides batches in their order, applies a group of them at once
//! and shares one flush among all that must be durable.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::apply::{self, Counters};
use super::decoded::{Decoded, Reader};
use super::engine::Engine;
use super::error::StoreError;
use super::home::Home;
use super::ledger::Ledger;
use super::rows::{Batch, Committed, Durability};
use super::snapshot::Snapshot;
use super::stage::{Changes, Stage};
use crate::model::device::{Config, Status};

/// Batches that wait at most; whoever comes later waits before it is queued.
pub(crate) const QUEUE: usize = 1024;
/// Batches that share a flush at most.
const GROUP: usize = 256;
/// Writes of a group at most, so that one flush does not take for ever.
const GROUP_WRITES: usize = 4096;
/// Batches of a group from which on the next one is worth waiting for: as many come again soon.
const MANY: usize = 4;
/// The time from one group to the next one then: a flush costs the same whoever shares it.
const TOGETHER: Duration = Duration::from_millis(1);
/// How long a `Soon` write may wait for its flush. A second is what trust.md section 7 allows.
const SOON: Duration = Duration::from_millis(700);

/// What the writer and the readers share.
pub(crate) struct Core {
    pub(crate) engine: Engine,
    configs: Decoded<Config>,
    statuses: Decoded<Status>,
    pub(crate) home: Home,
    /// Version of the rows in `Settings`.
    pub(crate) settings: AtomicU64,
    /// Space that is left alone: below it, writes are refused.
    pub(crate) spare_bytes: u64,
    /// Set when the engine failed: nothing is written any more.
    broken: Mutex<Option<StoreError>>,
}

impl Core {
    pub(crate) fn new(engine: Engine, home: Home, spare_bytes: u64) -> Self {
        Self {
            engine,
            configs: Decoded::default(),
            statuses: Decoded::default(),
            home,
            settings: AtomicU64::new(1),
            spare_bytes,
            broken: Mutex::new(None),
        }
    }

    /// The engine, for reads of a few devices.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader {
            engine: &self.engine,
            configs: &self.configs,
            statuses: &self.statuses,
        }
    }

    /// The error that ended writing, if one did.
    pub(crate) fn broken(&self) -> Option<StoreError> {
        self.broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn break_with(&self, error: &StoreError) {
        tracing::error!(%error, "the store takes no writes until it is opened again");
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    }

    /// How much of the disk is left. A file system that does not say counts as having enough.
    fn space(&self) -> Space {
        let Ok(about) = rustix::fs::statvfs(self.home.dir()) else {
            return Space::Enough;
        };
        let free = about.f_bavail.saturating_mul(about.f_frsize);
        match free {
            free if free >= self.spare_bytes => Space::Enough,
            // The rest is the engine's own: it must never meet a write that fails.
            free if free >= self.spare_bytes / 4 => Space::Reserve,
            _ => Space::None,
        }
    }
}

/// What is left of the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    Enough,
    /// For those alone that may use the reserve.
    Reserve,
    None,
}

impl Space {
    fn takes(self, batch: &Batch) -> bool {
        match self {
            Self::Enough => true,
            Self::Reserve => batch.reserve,
            Self::None => false,
        }
    }
}

/// What the writer is asked to do.
pub(crate) enum Message {
    Commit {
        batch: Batch,
        reply: oneshot::Sender<Result<Committed, StoreError>>,
        /// Its place in the queue, given back when the batch is done.
        permit: OwnedSemaphorePermit,
    },
    /// A consistent view, from between two groups.
    Snapshot(oneshot::Sender<Arc<Snapshot>>),
    /// Flush and end.
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// The writer's own state.
pub(crate) struct Writer {
    core: Arc<Core>,
    inbox: Receiver<Message>,
    counters: Counters,
    ledger: Ledger,
    /// When the oldest write that is not durable must be.
    due: Option<Instant>,
    /// When the last group was done, where it was one of many.
    busy: Option<Instant>,
    snapshots: Vec<Weak<Snapshot>>,
}

type Waiting = (
    oneshot::Sender<Result<Committed, StoreError>>,
    OwnedSemaphorePermit,
);

impl Writer {
    pub(crate) fn new(core: Arc<Core>, inbox: Receiver<Message>, counters: Counters) -> Self {
        Self {
            core,
            inbox,
            counters,
            ledger: Ledger::default(),
            due: None,
            busy: None,
            snapshots: Vec::new(),
        }
    }

    /// Runs until the store is closed or the last handle is gone; what was applied is durable then.
    pub(crate) fn run(mut self) {
        loop {
            let next = match self.due {
                None => self
                    .inbox
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => self
                    .inbox
                    .recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match next {
                Ok(message) => {
                    if let Some(closed) = self.handle(message) {
                        let result = self.flush().and_then(|()| self.core.engine.settle());
                        // Whoever asked may be gone.
                        drop(closed.send(result));
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => drop(self.flush()),
                Err(RecvTimeoutError::Disconnected) => {
                    drop(self.flush());
                    return;
                }
            }
        }
    }

    /// Handles a message and all that wait behind it, up to a group; gives back who closes.
    fn handle(&mut self, first: Message) -> Option<oneshot::Sender<Result<(), StoreError>>> {
        let passed = self.busy.take().map(|done| done.elapsed());
        if let Some(left) = passed.and_then(|passed| TOGETHER.checked_sub(passed)) {
            gather(left);
        }
        let mut group = Vec::new();
        let mut writes = 0;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Commit {
                    batch,
                    reply,
                    permit,
                } => {
                    writes += batch.writes.len();
                    group.push((batch, (reply, permit)));
                }
                Message::Snapshot(reply) => {
                    self.commit(std::mem::take(&mut group));
                    let snapshot = Arc::new(Snapshot::default());
                    self.snapshots.push(Arc::downgrade(&snapshot));
                    drop(reply.send(snapshot));
                }
                Message::Close(reply) => {
                    self.commit(group);
                    return Some(reply);
                }
            }
            next = if group.len() >= GROUP || writes >= GROUP_WRITES {
                None
            } else {
                self.inbox.try_recv().ok()
            };
        }
        self.commit(group);
        None
    }

    fn commit(&mut self, group: Vec<(Batch, Waiting)>) {
        if group.is_empty() {
            return;
        }
        if let Some(error) = self.core.broken() {
            for (_, (reply, _permit)) in group {
                drop(reply.send(Err(error.clone())));
            }
            return;
        }
        let space = self.core.space();
        let mut changes = Changes::new();
        let mut accepted = Vec::with_capacity(group.len());
        let mut durable = false;
        for (batch, waiting) in group {
            if !space.takes(&batch) {
                drop(waiting.0.send(Err(StoreError::DiskFull)));
                continue;
            }
            let now = batch.durability == Durability::Now;
            let mut counters = self.counters;
            let core = &self.core;
            let mut stage = Stage::new(&core.engine, &changes, &self.ledger, &core.statuses);
            match apply::batch(batch, &mut stage, &mut counters) {
                Ok(committed) => {
                    let (mine, notes) = stage.into_changes();
                    changes.extend(mine);
                    self.ledger.take(notes);
                    self.counters = counters;
                    durable |= now;
                    accepted.push((committed, waiting));
                }
                Err(error) => drop(waiting.0.send(Err(error))),
            }
        }
        if accepted.is_empty() {
            return;
        }
        let result = self.apply(changes, durable);
        // Readers see the rows by now: whoever waits may build its settings again.
        self.core
            .settings
            .store(self.counters.settings, Ordering::Release);
        self.busy = (accepted.len() >= MANY).then(Instant::now);
        for (committed, (reply, _permit)) in accepted {
            drop(reply.send(result.clone().map(|()| committed)));
        }
    }

    fn apply(&mut self, changes: Changes, durable: bool) -> Result<(), StoreError> {
        self.snapshots.retain(|snapshot| match snapshot.upgrade() {
            Some(snapshot) => {
                snapshot.note(&self.core.engine, changes.keys());
                true
            }
            None => false,
        });
        let result = self
            .core
            .engine
            .apply(changes.into_iter().collect(), durable);
        match &result {
            Ok(()) if durable => self.due = None,
            Ok(()) => self.due = self.due.or_else(|| Some(Instant::now() + SOON)),
            Err(error) => self.core.break_with(error),
        }
        result
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if self.due.take().is_none() {
            return self.core.broken().map_or(Ok(()), Err);
        }
        let result = self.core.engine.flush();
        if let Err(error) = &result {
            self.core.break_with(error);
        }
        result
    }
}

/// Lets batches come together in the queue. To be woken for each of them would cost what is saved.
#[expect(
    clippy::disallowed_methods,
    reason = "what is waited for is the time in which others come"
)]
fn gather(left: Duration) {
    std::thread::sleep(left);
}
