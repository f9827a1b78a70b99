//! Rendered files that are kept without the texts of their units: one for all units whose files have the
//! same shape, so that a unit that was never seen costs no rendering, and for each unit what goes into
//! it, its secrets sealed (design.md section 3). Bounded in octets; the oldest goes first.
//!
//! The first skeleton of each kind (revision, artefact, grant) is compared with the file itself, and so is
//! that of each shape when a second file is made of it. Where they differ the template does something
//! with a text that a hole cannot stand for, and files of that kind are rendered each time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::cases::Case;
use super::vault::Filling;
use crate::catalog::revision::{Shape, Skeleton, Which};
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

/// What else the bytes of a unit depend on.
pub(super) struct Stamp {
    config: u64,
    settings: u64,
    bases: Arc<Bases>,
}

impl Stamp {
    pub(super) fn of(case: &Case<'_>, bases: &Arc<Bases>) -> Self {
        Self {
            config: case.device.config.version,
            settings: case.snapshot.settings.version,
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
    pub(super) skeleton: Arc<Skeleton>,
    pub(super) fillings: Vec<Filling>,
    pub(super) given: Arc<[String]>,
    /// Digest and tag of the file, where it is the same each time.
    pub(super) told: OnceLock<(Digest, String)>,
}

impl Kept {
    fn size(&self) -> usize {
        let fillings: usize = self.fillings.iter().map(Filling::size).sum();
        let given: usize = self.given.iter().map(|name| name.len() + 24).sum();
        fillings + given + ROW
    }
}

#[derive(Default)]
pub(super) struct Skeletons(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    units: HashMap<(DeviceId, Kind), Row<Stamped>>,
    shapes: HashMap<(Kind, Shape), Row<Shared>>,
    /// Keys by the turn in which they came; a shape has its turn anew with each unit that it serves.
    turns: BTreeMap<u64, Key>,
    turn: u64,
    size: usize,
    fit: BTreeSet<Kind>,
    unfit: BTreeSet<Kind>,
}

/// What is kept of a unit's file, and for what it holds.
type Stamped = (Stamp, Arc<Kept>);

#[derive(Clone)]
enum Key {
    Unit(DeviceId, Kind),
    Shape(Kind, Shape),
}

struct Row<T> {
    turn: u64,
    size: usize,
    held: T,
}

/// A skeleton for all files of a shape.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) skeleton: Arc<Skeleton>,
    /// A second file was made of it, and compared.
    pub(super) proven: bool,
}

/// What is known of a kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Unknown,
    Yes,
    No,
}

impl Skeletons {
    /// What is kept of a unit's file, if what it was made from still holds.
    pub(super) fn get(&self, device: DeviceId, kind: &Kind, now: &Stamp) -> Option<Arc<Kept>> {
        let rows = self.lock();
        let (stamp, kept) = &rows.units.get(&(device, kind.clone()))?.held;
        stamp.holds(now).then(|| Arc::clone(kept))
    }

    /// The skeleton of a shape.
    pub(super) fn shared(&self, kind: &Kind, shape: &Shape) -> Option<Shared> {
        let mut guard = self.lock();
        let rows = &mut *guard;
        let row = rows.shapes.get_mut(&(kind.clone(), Arc::clone(shape)))?;
        rows.turn = rows.turn.wrapping_add(1);
        let key = rows.turns.remove(&row.turn)?;
        rows.turns.insert(rows.turn, key);
        row.turn = rows.turn;
        Some(row.held.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether files of a kind can be kept.
    pub(super) fn fit(&self, kind: &Kind) -> Fit {
        let rows = self.lock();
        if rows.fit.contains(kind) {
            Fit::Yes
        } else if rows.unfit.contains(kind) {
            Fit::No
        } else {
            Fit::Unknown
        }
    }

    /// Remembers whether files of a kind can be kept. Where they cannot, none is.
    pub(super) fn learn(&self, kind: &Kind, fits: bool) {
        let mut rows = self.lock();
        let known = if fits { &mut rows.fit } else { &mut rows.unfit };
        if known.len() >= KINDS {
            known.clear();
        }
        known.insert(kind.clone());
        if !fits {
            rows.fit.remove(kind);
            rows.forget(kind);
        }
    }

    /// Keeps the skeleton of a shape, and lets the oldest go for it.
    pub(super) fn share(&self, kind: &Kind, shape: Shape, held: Shared) {
        let mut guard = self.lock();
        let rows = &mut *guard;
        if rows.unfit.contains(kind) {
            return;
        }
        let size = held.skeleton.size() + shape.len() + ROW;
        let turn = rows.next(size, Key::Shape(kind.clone(), Arc::clone(&shape)));
        let row = Row { turn, size, held };
        let old = rows.shapes.insert((kind.clone(), shape), row);
        rows.gone(old);
        rows.trim();
    }

    /// Keeps what a unit's file is made of, and lets the oldest go for it.
    pub(super) fn put(&self, device: DeviceId, kind: Kind, stamp: Stamp, kept: Kept) {
        let mut guard = self.lock();
        let rows = &mut *guard;
        if rows.unfit.contains(&kind) {
            return;
        }
        let size = kept.size();
        let turn = rows.next(size, Key::Unit(device, kind.clone()));
        let held = (stamp, Arc::new(kept));
        let row = Row { turn, size, held };
        let old = rows.units.insert((device, kind), row);
        rows.gone(old);
        rows.trim();
    }
}

impl Rows {
    fn next(&mut self, size: usize, key: Key) -> u64 {
        self.turn = self.turn.wrapping_add(1);
        self.turns.insert(self.turn, key);
        self.size += size;
        self.turn
    }

    fn gone<T>(&mut self, row: Option<Row<T>>) {
        if let Some(row) = row {
            self.turns.remove(&row.turn);
            self.size -= row.size;
        }
    }

    fn remove(&mut self, key: Key) {
        match key {
            Key::Unit(device, kind) => {
                let old = self.units.remove(&(device, kind));
                self.gone(old);
            }
            Key::Shape(kind, shape) => {
                let old = self.shapes.remove(&(kind, shape));
                self.gone(old);
            }
        }
    }

    fn trim(&mut self) {
        while self.size > MOST
            && let Some((_, key)) = self.turns.pop_first()
        {
            self.remove(key);
        }
    }

    fn forget(&mut self, kind: &Kind) {
        let of_kind = |key: &&Key| match key {
            Key::Unit(_, own) | Key::Shape(own, _) => own == kind,
        };
        let keys: Vec<Key> = self.turns.values().filter(of_kind).cloned().collect();
        for key in keys {
            self.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(artefact: &str) -> Kind {
        Kind {
            revision: Digest([0; 32]),
            artefact: artefact.to_owned(),
            which: Which::Normal,
            grant: [true; 6],
        }
    }

    fn stamp() -> Stamp {
        Stamp {
            config: 1,
            settings: 1,
            bases: Arc::default(),
        }
    }

    fn keep(skeletons: &Skeletons, device: u128, artefact: &str, shape: u8, octets: usize) {
        let skeleton = Arc::new(Skeleton::plain("x".repeat(octets)));
        let held = Shared {
            skeleton: Arc::clone(&skeleton),
            proven: false,
        };
        skeletons.share(&kind(artefact), Arc::new([shape]), held);
        let kept = Kept {
            skeleton,
            fillings: Vec::new(),
            given: Arc::default(),
            told: OnceLock::new(),
        };
        skeletons.put(DeviceId(device), kind(artefact), stamp(), kept);
    }

    fn has(skeletons: &Skeletons, device: u128, artefact: &str, shape: u8) -> [bool; 2] {
        let unit = skeletons.get(DeviceId(device), &kind(artefact), &stamp());
        let shape: Shape = Arc::new([shape]);
        let shared = skeletons.shared(&kind(artefact), &shape);
        [unit.is_some(), shared.is_some()]
    }

    #[test]
    fn the_oldest_goes_and_a_shape_that_is_used_stays() {
        let skeletons = Skeletons::default();
        let part = MOST / 8;
        keep(&skeletons, 1, "a", 1, part);
        for n in 2..16 {
            assert_eq!(has(&skeletons, 1, "a", 1), [n < 9, true], "{n}");
            keep(&skeletons, u128::from(n), "a", n, part);
        }
        assert_eq!(has(&skeletons, 2, "a", 2), [false, false]);
        assert_eq!(has(&skeletons, 15, "a", 15), [true, true]);
        let rows = skeletons.lock();
        assert!(rows.size <= MOST && rows.turns.len() == rows.units.len() + rows.shapes.len());
    }

    #[test]
    fn a_kind_that_does_not_fit_is_forgotten_and_not_kept_again() {
        let skeletons = Skeletons::default();
        keep(&skeletons, 1, "a", 1, 8);
        keep(&skeletons, 1, "b", 1, 8);
        skeletons.learn(&kind("a"), true);
        skeletons.learn(&kind("a"), false);
        assert_eq!(skeletons.fit(&kind("a")), Fit::No);
        keep(&skeletons, 1, "a", 1, 8);
        assert_eq!(has(&skeletons, 1, "a", 1), [false, false]);
        assert_eq!(has(&skeletons, 1, "b", 1), [true, true]);
    }

    #[test]
    fn what_a_row_was_made_from_has_to_hold() {
        let skeletons = Skeletons::default();
        keep(&skeletons, 1, "a", 1, 8);
        let get = |stamp: &Stamp| skeletons.get(DeviceId(1), &kind("a"), stamp).is_some();
        assert!(get(&stamp()));
        assert!(!get(&Stamp {
            config: 2,
            ..stamp()
        }));
        assert!(!get(&Stamp {
            settings: 2,
            ..stamp()
        }));
        let bases = Bases {
            http: Some("http://192.0.2.1/".to_owned()),
            ..Bases::default()
        };
        let bases = Arc::new(bases);
        assert!(!get(&Stamp { bases, ..stamp() }));
    }
}
