//! The engine's rows under the changes that the journal holds, and the thread that folds those in.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use super::engine::{Change, Held, Row};
use super::engine_sled::SledEngine;
use super::error::StoreError;
use super::home::sync_dir;
use super::overlay::{Overlay, Table};

/// Rows that are folded between two looks of readers.
const STRETCH: usize = 1024;

/// An engine of some make.
pub(crate) enum Inner {
    Sled(SledEngine),
}

/// Rows as they stand.
pub(crate) struct Rows {
    inner: Inner,
    overlay: RwLock<Overlay>,
    /// The file that is named when a row is damaged.
    pub(crate) file: PathBuf,
    /// Why nothing can be folded any more.
    failed: Mutex<Option<StoreError>>,
}

impl Rows {
    pub(crate) fn new(inner: Inner, file: PathBuf, overlay: Overlay) -> Self {
        Self {
            inner,
            overlay: RwLock::new(overlay),
            file,
            failed: Mutex::new(None),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Held>, StoreError> {
        // The guard ends before the engine is asked: what was folded meanwhile is there by then.
        let changed = self.overlay().get(key).map(Option::<&Held>::cloned);
        match changed {
            Some(value) => Ok(value),
            None => guarded(&self.file, || match &self.inner {
                Inner::Sled(engine) => Ok(engine.get(key)?.map(Arc::new)),
            }),
        }
    }

    pub(crate) fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        let changed = self.overlay().get(key).map(|value| value.is_some());
        match changed {
            Some(has) => Ok(has),
            None => guarded(&self.file, || match &self.inner {
                Inner::Sled(engine) => engine.has(key),
            }),
        }
    }

    pub(crate) fn range(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        back: bool,
    ) -> Result<Vec<Row>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let overlay = self.overlay();
        guarded(&self.file, || match &self.inner {
            Inner::Sled(engine) => {
                let rows = engine.range(from, to);
                if back {
                    overlay.merged((from, to), limit, back, rows.rev())
                } else {
                    overlay.merged((from, to), limit, back, rows)
                }
            }
        })
    }

    /// Shows changes that the journal has; gives the octets of all that are not being folded.
    pub(crate) fn take(&self, changes: Vec<Change>) -> usize {
        let mut overlay = self.overlay.write().unwrap_or_else(PoisonError::into_inner);
        overlay.take(changes);
        overlay.size()
    }

    /// What waits is to be folded.
    pub(crate) fn age(&self) -> Arc<Table> {
        let mut overlay = self.overlay.write().unwrap_or_else(PoisonError::into_inner);
        overlay.age()
    }

    /// The error that ended folding, if one did.
    pub(crate) fn health(&self) -> Result<(), StoreError> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.clone().map_or(Ok(()), Err)
    }

    /// Whether the disk takes what is to be folded: the engine must never meet a write that fails.
    pub(crate) fn has_room(&self, dir: &Path) -> bool {
        let size = u64::try_from(self.overlay().size()).unwrap_or(u64::MAX);
        // A file system that does not say counts as having room.
        rustix::fs::statvfs(dir).map_or(true, |about| {
            about.f_bavail.saturating_mul(about.f_frsize) > size.saturating_mul(4)
        })
    }

    /// Folds changes into the rows, on a thread of its own, and takes their files away when the rows
    /// are durable.
    pub(crate) fn fold(
        rows: &Arc<Self>,
        changes: Arc<Table>,
        files: Vec<PathBuf>,
    ) -> Result<JoinHandle<()>, StoreError> {
        let rows = Arc::clone(rows);
        let file = rows.file.clone();
        std::thread::Builder::new()
            .name("store-fold".to_owned())
            .spawn(move || {
                if let Err(error) = rows.fold_now(&changes, &files) {
                    tracing::error!(%error, "the journal cannot be folded into the store");
                    *rows.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            })
            .map_err(|error| StoreError::io("start the folding of", &file, &error))
    }

    fn fold_now(&self, changes: &Table, files: &[PathBuf]) -> Result<(), StoreError> {
        if !changes.is_empty() {
            guarded(&self.file, || match &self.inner {
                Inner::Sled(engine) => {
                    let mut changes = changes.iter();
                    loop {
                        let some = changes.by_ref().take(STRETCH);
                        if !engine.apply(some)? {
                            break engine.flush();
                        }
                    }
                }
            })?;
        }
        self.overlay
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .folded();
        for file in files {
            std::fs::remove_file(file).map_err(|error| StoreError::io("remove", file, &error))?;
        }
        // In their order, so that what a power cut leaves is a run without a gap.
        files
            .last()
            .and_then(|file| file.parent())
            .map_or(Ok(()), sync_dir)
    }

    fn overlay(&self) -> RwLockReadGuard<'_, Overlay> {
        self.overlay.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A damaged file makes an engine panic now and then: that is an error of this call, not of the
/// process.
pub(crate) fn guarded<T>(
    file: &Path,
    call: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        Err(StoreError::Corrupt {
            file: file.to_owned(),
            what: "its engine gave up on it".to_owned(),
        })
    })
}
