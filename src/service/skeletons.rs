//! Rendered files that are kept without their secrets, so that a unit that asks again costs no
//! rendering (design.md section 3). Bounded in octets; the oldest goes first.
//!
//! The first skeleton of each kind (revision, artefact, grant) is compared with the file itself.
//! Where they differ the template does something with a secret that a hole cannot stand for, and
//! files of that kind are rendered each time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::cases::Case;
use super::settings::Snapshot;
use super::vault::Seal;
use crate::catalog::revision::{Skeleton, Which};
use crate::engine::verdict::Plan;
use crate::hub::Bases;
use crate::model::identity::{DeviceId, Digest};

/// Octets that all skeletons may take.
const MOST: usize = 48 << 20;
/// What a row takes besides its skeleton.
const ROW: usize = 512;
/// Kinds of files that are known to fit or not.
const KINDS: usize = 4096;

/// Which file of a revision, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Kind {
    revision: Digest,
    artefact: String,
    which: Which,
    /// Site, credential, key, HTTPS, token, release.
    grant: [bool; 6],
}

impl Kind {
    pub(super) fn of(plan: &Plan, revision: Digest) -> Self {
        let grant = plan.grant;
        Self {
            revision,
            artefact: plan.artefact.clone(),
            which: plan.which,
            grant: [
                grant.site,
                grant.credential,
                grant.key,
                plan.https,
                plan.token,
                plan.release,
            ],
        }
    }
}

/// What else the bytes depend on.
pub(super) struct Stamp {
    config: u64,
    settings: u64,
    bases: Arc<Bases>,
}

impl Stamp {
    pub(super) fn of(case: &Case<'_>, snapshot: &Snapshot, bases: &Arc<Bases>) -> Self {
        Self {
            config: case.device.config.version,
            settings: snapshot.settings.version,
            bases: Arc::clone(bases),
        }
    }

    fn holds(&self, now: &Self) -> bool {
        self.config == now.config
            && self.settings == now.settings
            && (Arc::ptr_eq(&self.bases, &now.bases) || self.bases == now.bases)
    }
}

/// A skeleton, what goes into its holes, and the names of the secrets that its unit is given with it.
/// A secret never changes without its device's row or the settings, so the stamp holds for it too.
pub(super) struct Kept {
    pub(super) skeleton: Skeleton,
    pub(super) seals: Vec<Seal>,
    pub(super) given: Vec<String>,
}

#[derive(Default)]
pub(super) struct Skeletons(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    rows: HashMap<(DeviceId, Kind), Row>,
    /// Keys by the turn in which they came.
    turns: BTreeMap<u64, (DeviceId, Kind)>,
    turn: u64,
    size: usize,
    fit: BTreeSet<Kind>,
    unfit: BTreeSet<Kind>,
}

struct Row {
    turn: u64,
    size: usize,
    stamp: Stamp,
    kept: Arc<Kept>,
}

/// What is known of a kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Unknown,
    Yes,
    No,
}

impl Skeletons {
    /// The skeleton of a unit's file, if what it was made from still holds.
    pub(super) fn get(&self, device: DeviceId, kind: &Kind, now: &Stamp) -> Option<Arc<Kept>> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.rows.get(&(device, kind.clone()))?;
        row.stamp.holds(now).then(|| Arc::clone(&row.kept))
    }

    /// Whether files of a kind can be kept.
    pub(super) fn fit(&self, kind: &Kind) -> Fit {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.fit.contains(kind) {
            Fit::Yes
        } else if rows.unfit.contains(kind) {
            Fit::No
        } else {
            Fit::Unknown
        }
    }

    /// Remembers whether files of a kind can be kept.
    pub(super) fn learn(&self, kind: Kind, fits: bool) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = if fits { &mut rows.fit } else { &mut rows.unfit };
        if known.len() >= KINDS {
            known.clear();
        }
        known.insert(kind);
    }

    /// Keeps a skeleton, and lets the oldest go for it.
    pub(super) fn put(&self, device: DeviceId, kind: Kind, stamp: Stamp, kept: Kept) {
        let seals: usize = kept.seals.iter().map(Seal::size).sum();
        let size = kept.skeleton.size() + seals + ROW;
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = &mut *guard;
        rows.turn = rows.turn.wrapping_add(1);
        let key = (device, kind);
        let row = Row {
            turn: rows.turn,
            size,
            stamp,
            kept: Arc::new(kept),
        };
        rows.turns.insert(rows.turn, key.clone());
        rows.size += size;
        if let Some(old) = rows.rows.insert(key, row) {
            rows.turns.remove(&old.turn);
            rows.size -= old.size;
        }
        while rows.size > MOST
            && let Some((_, key)) = rows.turns.pop_first()
        {
            if let Some(old) = rows.rows.remove(&key) {
                rows.size -= old.size;
            }
        }
    }
}
