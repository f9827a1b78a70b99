//! Reads, continued: places, publications, records.
#![expect(
    clippy::unused_async,
    reason = "an embedded engine answers at once; one behind a network will not"
)]

use jiff::Timestamp;

use super::Store;
use super::engine::{Engine, View as _};
use super::error::StoreError;
use super::keyspace::{self, Key, Parts, Table};
use super::rows::{AuditEntry, CheckFilter, Job, Published};
use super::settings;
use crate::model::activation::Check;
use crate::model::event::Alert;
use crate::model::identity::{DeviceId, Digest};
use crate::model::lease::Lease;
use crate::model::profile::{Layer, Scope};
use crate::model::site::{Pbx, Site, Waiver};

/// Checks are numbered in the order of their commits, not of their times: so many older ones in a
/// row end a search by time.
const OLDER: usize = 64;

impl Store {
    /// All rows of variables.
    pub async fn scopes(&self) -> Result<Vec<Scope>, StoreError> {
        self.all(Table::Scope)
    }

    /// One row of variables.
    pub async fn scope(&self, layer: Layer, name: &str) -> Result<Option<Scope>, StoreError> {
        self.core().engine.load(&keyspace::scope_key(layer, name))
    }

    /// All sites.
    pub async fn sites(&self) -> Result<Vec<Site>, StoreError> {
        self.all(Table::Site)
    }

    /// All waivers.
    pub async fn waivers(&self) -> Result<Vec<Waiver>, StoreError> {
        self.all(Table::Waiver)
    }

    /// All call servers.
    pub async fn pbxs(&self) -> Result<Vec<Pbx>, StoreError> {
        self.all(Table::Pbx)
    }

    /// The revisions in force.
    pub async fn published(&self) -> Result<Vec<Published>, StoreError> {
        self.all(Table::Published)
    }

    /// What was in force, oldest first.
    pub async fn history(
        &self,
        vendor: &str,
        family: &str,
        profile: &str,
    ) -> Result<Vec<Published>, StoreError> {
        let key = Key::of(Table::History)
            .text(vendor)
            .text(family)
            .text(profile);
        self.core().engine.load_range(&key.range(), usize::MAX)
    }

    /// The bytes of a revision.
    pub async fn bundle(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        pieces(&self.core().engine, &keyspace::bundle_key(digest))
    }

    /// Checks in the order of their numbers: see [`CheckFilter`].
    pub async fn checks(&self, filter: &CheckFilter) -> Result<Vec<Check>, StoreError> {
        let engine = &self.core().engine;
        let table = match filter.device {
            Some(id) => Key::of(Table::IndexCheck).device(id),
            None => Key::of(Table::Check),
        };
        let width = table.width();
        let (mut from, to) = table.range();
        if let Some(seq) = filter.since_seq {
            from.truncate(width);
            from.extend_from_slice(&seq.saturating_add(1).to_be_bytes());
        }
        let read = |key: &[u8], value: &[u8]| -> Result<Option<Check>, StoreError> {
            match filter.device {
                None => engine.read(key, value).map(Some),
                Some(_) => {
                    let seq = key.get(width..).unwrap_or_default();
                    engine.load(&Key::of(Table::Check).raw(seq).done())
                }
            }
        };
        let mut found = Vec::new();
        if filter.since_seq.is_some() {
            for (key, value) in engine.range(&from, &to, filter.limit)? {
                let check = read(&key, &value)?;
                found.extend(check.filter(|check| filter.since.is_none_or(|at| check.at >= at)));
            }
            return Ok(found);
        }
        let mut upto = to;
        let mut older = 0;
        'search: while found.len() < filter.limit {
            let rows = engine.range_back(&from, &upto, filter.limit.clamp(1, 256))?;
            let Some((last, _)) = rows.last() else { break };
            upto.clone_from(last);
            for (key, value) in rows {
                let Some(check) = read(&key, &value)? else {
                    continue;
                };
                if filter.since.is_some_and(|at: Timestamp| check.at < at) {
                    older += 1;
                    if older == OLDER {
                        break 'search;
                    }
                } else {
                    older = 0;
                    found.push(check);
                }
                if found.len() == filter.limit {
                    break 'search;
                }
            }
            tokio::task::yield_now().await;
        }
        found.reverse();
        Ok(found)
    }

    /// All alerts.
    pub async fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.all(Table::Alert)
    }

    /// Alerts about one device; the network's own are about none, which is 0.
    pub async fn alerts_of(&self, device: DeviceId) -> Result<Vec<Alert>, StoreError> {
        let key = Key::of(Table::Alert).device(device);
        self.core().engine.load_range(&key.range(), usize::MAX)
    }

    /// Vendor and DER of every trust anchor.
    pub async fn anchors(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        settings::anchors(&self.core().engine)
    }

    /// Jobs without their bodies, oldest first.
    pub async fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        let mut jobs: Vec<Job> = self.all(Table::Job)?;
        jobs.sort_by_key(|job| job.began);
        Ok(jobs)
    }

    /// A job with its body.
    pub async fn job(&self, id: &str) -> Result<Option<Job>, StoreError> {
        let engine = &self.core().engine;
        let Some(job) = engine.load::<Job>(&Key::of(Table::Job).text(id).done())? else {
            return Ok(None);
        };
        let body = pieces(engine, &Key::of(Table::JobBody).text(id).done())?;
        Ok(Some(Job { body, ..job }))
    }

    /// Audit entries behind a number, oldest first.
    pub async fn audit(&self, after_seq: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let (_, to) = Key::of(Table::Audit).range();
        let from = Key::of(Table::Audit)
            .number(after_seq.saturating_add(1))
            .done();
        self.core().engine.load_range(&(from, to), limit)
    }

    /// All leases.
    pub async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        self.all(Table::Lease)
    }

    /// A value that a part of the server keeps for itself.
    pub async fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.core()
            .engine
            .get(&Key::of(Table::Meta).text(name).done())
    }

    fn all<T: super::codec::Stored>(&self, table: Table) -> Result<Vec<T>, StoreError> {
        let engine = &self.core().engine;
        engine.load_range(&Key::of(table).range(), usize::MAX)
    }
}

/// A long value, put together from its pieces.
pub(crate) fn pieces(engine: &Engine, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let (from, to) = (key.to_vec(), keyspace::after(key));
    let rows = engine.range(&from, &to, usize::MAX)?;
    let mut rows = rows.into_iter();
    let Some((_, length)) = rows.next() else {
        return Ok(None);
    };
    let bytes: Vec<u8> = rows.flat_map(|(_, piece)| piece).collect();
    let length = <[u8; 8]>::try_from(length.as_slice()).map(u64::from_be_bytes);
    if length.ok() != u64::try_from(bytes.len()).ok() {
        return Err(engine.malformed(key, "pieces of it are gone"));
    }
    Ok(Some(bytes))
}

/// The newest number of a table of numbered rows.
pub(crate) fn newest(engine: &Engine, table: Table) -> Result<Option<u64>, StoreError> {
    let (from, to) = Key::of(table).range();
    let rows = engine.range_back(&from, &to, 1)?;
    Ok(rows.first().and_then(|(key, _)| Parts::of(key)?.number()))
}
