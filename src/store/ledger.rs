//! What the writer knows of devices without a read: that they are there, the version of the seen half,
//! which boots have checks. Bounded, in memory only; what is forgotten is read again.

use std::collections::HashMap;

use super::codec_device::StatusVersion;
use super::engine::View;
use super::error::StoreError;
use super::keyspace::{Key, Table};
use crate::model::identity::{BootId, DeviceId};

/// Devices that are remembered.
const MOST: usize = 16_384;

/// A device that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Version of its seen half; 0 where there is none.
    pub(crate) status: u64,
    /// Boots with checks, oldest first.
    pub(crate) boots: Vec<BootId>,
    /// How many checks there are in all.
    pub(crate) checks: u64,
}

impl Entry {
    /// As the rows say; an error where there is no such device.
    pub(crate) fn read(view: &impl View, id: DeviceId) -> Result<Self, StoreError> {
        if !view.has(&Key::of(Table::Config).device(id).done())? {
            return Err(StoreError::NotFound {
                what: format!("device {id}"),
            });
        }
        let status: Option<StatusVersion> = view.load(&Key::of(Table::Status).device(id).done())?;
        let mut entry = Self {
            status: status.map_or(0, |status| status.version),
            ..Self::default()
        };
        let (from, to) = Key::of(Table::IndexCheck).device(id).range();
        for (key, value) in view.range(&from, &to, usize::MAX)? {
            let boot = <[u8; 8]>::try_from(value.as_slice())
                .map_err(|_| view.malformed(&key, "it names no boot"))?;
            let boot = BootId(u64::from_be_bytes(boot));
            if !entry.boots.contains(&boot) {
                entry.boots.push(boot);
            }
            entry.checks += 1;
        }
        Ok(entry)
    }
}

/// Devices that were written lately.
#[derive(Debug, Default)]
pub(crate) struct Ledger(HashMap<DeviceId, Entry>);

/// What one batch changes in it; none where the device goes.
pub(crate) type Notes = HashMap<DeviceId, Option<Entry>>;

impl Ledger {
    pub(crate) fn get(&self, id: DeviceId) -> Option<&Entry> {
        self.0.get(&id)
    }

    /// Takes up what an accepted batch noted.
    pub(crate) fn take(&mut self, notes: Notes) {
        if self.0.len() + notes.len() > MOST {
            self.0.clear();
        }
        for (id, entry) in notes {
            match entry {
                Some(entry) => drop(self.0.insert(id, entry)),
                None => drop(self.0.remove(&id)),
            }
        }
    }
}
