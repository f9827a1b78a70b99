//! Changes that are decided and not yet applied, seen over the engine's rows: what one batch of a
//! group reads is what the batches before it wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codec::{self, Stored};
use super::decoded::Decoded;
use super::engine::{Engine, Held, Row, View, seal, value_of};
use super::error::StoreError;
use super::keyspace::{Key, Table};
use super::ledger::{Entry, Ledger, Notes};
use crate::model::device::Status;
use crate::model::identity::DeviceId;

/// Keys and the values that they will have.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Held>>;

/// One batch on top of its group on top of the engine. Dropped when the batch is refused.
pub(crate) struct Stage<'a> {
    engine: &'a Engine,
    group: &'a Changes,
    mine: Changes,
    ledger: &'a Ledger,
    notes: Notes,
    statuses: &'a Decoded<Status>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        group: &'a Changes,
        ledger: &'a Ledger,
        statuses: &'a Decoded<Status>,
    ) -> Self {
        Self {
            engine,
            group,
            mine: Changes::new(),
            ledger,
            notes: Notes::new(),
            statuses,
        }
    }

    /// The batch's changes, all of them, and what it noted of devices.
    pub(crate) fn into_changes(self) -> (Changes, Notes) {
        (self.mine, self.notes)
    }

    /// A device as it stands; an error where there is none.
    pub(crate) fn entry(&self, id: DeviceId) -> Result<Entry, StoreError> {
        let noted = self.notes.get(&id).cloned();
        match noted.unwrap_or_else(|| self.ledger.get(id).cloned()) {
            Some(entry) => Ok(entry),
            // Also one that this batch took away: its rows say so.
            None => Entry::read(self, id),
        }
    }

    /// Notes a device as it stands from now on; none where it goes.
    pub(crate) fn note(&mut self, id: DeviceId, entry: Option<Entry>) {
        self.notes.insert(id, entry);
    }

    /// Sets a row.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        let held = seal(&key, value);
        self.mine.insert(key, Some(held));
    }

    /// Sets a row that has a shape.
    pub(crate) fn store<T: Stored>(&mut self, key: Vec<u8>, row: &T) -> Result<(), StoreError> {
        let value = codec::encode(row).map_err(|error| self.malformed(&key, &error.0))?;
        self.put(key, value);
        Ok(())
    }

    /// Sets the seen half of a device.
    pub(crate) fn store_status(&mut self, id: DeviceId, status: Status) -> Result<(), StoreError> {
        let key = Key::of(Table::Status).device(id).done();
        let value = codec::encode(&status).map_err(|error| self.malformed(&key, &error.0))?;
        let held = seal(&key, value);
        // Should the batch be refused, no row has these bytes.
        self.statuses.put(&key, &held, &Arc::new(status));
        self.mine.insert(key, Some(held));
        Ok(())
    }

    /// Takes a row away, if it is there.
    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.mine.insert(key, None);
    }

    /// Takes all rows of a range away; says which there were.
    pub(crate) fn remove_range(
        &mut self,
        (from, to): &(Vec<u8>, Vec<u8>),
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.range(from, to, usize::MAX)?;
        for (key, _) in &rows {
            self.remove(key.clone());
        }
        Ok(rows)
    }
}

impl View for Stage<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.mine.get(key).or_else(|| self.group.get(key)) {
            Some(held) => Ok(held.as_ref().map(|held| value_of(held).to_vec())),
            None => self.engine.get(key),
        }
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        match self.mine.get(key).or_else(|| self.group.get(key)) {
            Some(value) => Ok(value.is_some()),
            None => self.engine.has(key),
        }
    }

    fn range(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>, StoreError> {
        let span = || from.to_vec()..to.to_vec();
        if from >= to {
            return Ok(Vec::new());
        }
        // Each change takes at most one of the engine's rows away.
        let over: Changes = self
            .group
            .range(span())
            .chain(self.mine.range(span()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let most = limit.saturating_add(over.len());
        let mut rows: BTreeMap<_, _> = self.engine.range(from, to, most)?.into_iter().collect();
        let whole = rows.len() < most;
        let last = rows.last_key_value().map(|(key, _)| key.clone());
        for (key, value) in over {
            // Behind the last row that was read there may be others that were not.
            if !whole && last.as_ref().is_some_and(|last| key > *last) {
                continue;
            }
            match value {
                Some(held) => drop(rows.insert(key, value_of(&held).to_vec())),
                None => drop(rows.remove(&key)),
            }
        }
        Ok(rows.into_iter().take(limit).collect())
    }

    fn malformed(&self, key: &[u8], what: &str) -> StoreError {
        self.engine.malformed(key, what)
    }
}
