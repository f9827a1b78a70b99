//! What was lately answered to a source: files that were refused, and the unit that asked. Bounded,
//! in memory only.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::engine::boot::SILENCE;
use crate::model::identity::DeviceId;

/// Sources that are remembered.
const MOST: usize = 8192;
/// Refused files that are remembered of each.
const FILES: usize = 16;

struct Source {
    last: Timestamp,
    refused: BTreeSet<String>,
    unit: Option<DeviceId>,
}

#[derive(Default)]
pub(super) struct Recent(Mutex<BTreeMap<IpAddr, Source>>);

impl Recent {
    /// A unit's own file was refused to this source.
    pub(super) fn refused(&self, source: IpAddr, artefact: &str, now: Timestamp) {
        self.with(source, now, |row| {
            if row.refused.len() < FILES {
                row.refused.insert(artefact.to_owned());
            }
        });
    }

    /// A unit's own file was served to this source.
    pub(super) fn served(&self, source: IpAddr, artefact: &str, unit: DeviceId, now: Timestamp) {
        self.with(source, now, |row| {
            row.refused.remove(artefact);
            row.unit = Some(unit);
        });
    }

    /// Artefacts refused to this source in its present boot.
    pub(super) fn refused_to(&self, source: IpAddr, now: Timestamp) -> BTreeSet<String> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(&source)
            .filter(|row| now.duration_since(row.last) <= SILENCE)
            .map(|row| row.refused.clone())
            .unwrap_or_default()
    }

    /// The unit that was last heard from this source.
    pub(super) fn unit_at(&self, source: IpAddr, now: Timestamp) -> Option<DeviceId> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(&source)
            .filter(|row| now.duration_since(row.last) <= SILENCE)
            .and_then(|row| row.unit)
    }

    fn with(&self, source: IpAddr, now: Timestamp, change: impl FnOnce(&mut Source)) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() >= MOST && !rows.contains_key(&source) {
            rows.retain(|_, row| now.duration_since(row.last) <= SILENCE);
            // All of them are fresh: whoever is oldest goes.
            if rows.len() >= MOST
                && let Some(oldest) = rows
                    .iter()
                    .min_by_key(|(_, row)| row.last)
                    .map(|(ip, _)| *ip)
            {
                rows.remove(&oldest);
            }
        }
        let row = rows.entry(source).or_insert_with(|| Source {
            last: now,
            refused: BTreeSet::new(),
            unit: None,
        });
        if now.duration_since(row.last) > SILENCE {
            row.refused.clear();
        }
        row.last = now;
        change(row);
    }
}
