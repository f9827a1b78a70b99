//! From writes to changed rows, continued: records, places, publications, jobs. What grows is
//! bounded here.

use std::net::IpAddr;

use super::apply::Counters;
use super::engine::View as _;
use super::error::StoreError;
use super::keyspace::{self, Key, Parts, Table};
use super::rows::{AuditEntry, Job, Owner, Published};
use super::stage::Stage;
use crate::model::activation::Check;
use crate::model::device::Boot;
use crate::model::event::Alert;
use crate::model::identity::{BootId, DeviceId, Digest};
use crate::model::lease::{Lease, LeaseSource};
use crate::model::profile::{Layer, Scope};
use crate::model::site::Site;

/// The most checks that are kept of one device, should a boot not end.
const CHECKS_KEPT: u64 = 1000;
/// The most places that an alert names.
const PLACES_KEPT: usize = 8;

/// Adds a check, and takes away what is older than the device's last boots.
pub(crate) fn add_check(
    stage: &mut Stage<'_>,
    mut check: Check,
    counters: &mut Counters,
) -> Result<(), StoreError> {
    let mut entry = stage.entry(check.device)?;
    check.seq = counters.check;
    counters.check += 1;
    if !entry.boots.contains(&check.boot) {
        entry.boots.push(check.boot);
        if entry.boots.len() > Boot::KEPT {
            let oldest = entry.boots.remove(0);
            entry.checks -= forget(stage, check.device, Some(oldest))?.min(entry.checks);
        }
    }
    if entry.checks >= CHECKS_KEPT {
        entry.checks -= forget(stage, check.device, None)?.min(entry.checks);
    }
    entry.checks += 1;
    stage.note(check.device, Some(entry));
    let index = Key::of(Table::IndexCheck).device(check.device);
    stage.put(
        index.number(check.seq).done(),
        check.boot.0.to_be_bytes().to_vec(),
    );
    stage.store(Key::of(Table::Check).number(check.seq).done(), &check)
}

/// Takes the checks of one boot away, or the oldest one; says how many.
fn forget(
    stage: &mut Stage<'_>,
    device: DeviceId,
    boot: Option<BootId>,
) -> Result<u64, StoreError> {
    let (from, to) = Key::of(Table::IndexCheck).device(device).range();
    let limit = if boot.is_some() { usize::MAX } else { 1 };
    let mut gone = 0;
    for (index, value) in stage.range(&from, &to, limit)? {
        if boot.is_some_and(|boot| boot.0.to_be_bytes() != value.as_slice()) {
            continue;
        }
        let seq = Parts::of(&index).and_then(|mut parts| {
            parts.device()?;
            parts.number()
        });
        if let Some(seq) = seq {
            stage.remove(Key::of(Table::Check).number(seq).done());
        }
        stage.remove(index);
        gone += 1;
    }
    Ok(gone)
}

/// One row for a kind and a device: counts add up.
pub(crate) fn put_alert(stage: &mut Stage<'_>, alert: Alert) -> Result<(), StoreError> {
    let key = keyspace::alert_key(alert.device, alert.kind);
    let row = match stage.load::<Alert>(&key)? {
        None => alert,
        Some(old) => {
            let mut places = alert.places;
            for place in old.places {
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            places.truncate(PLACES_KEPT);
            Alert {
                first: old.first.min(alert.first),
                last: old.last.max(alert.last),
                count: old.count.saturating_add(alert.count),
                places,
                ..alert
            }
        }
    };
    stage.store(key, &row)
}

/// One row for an address; the index follows it to another MAC.
pub(crate) fn put_lease(stage: &mut Stage<'_>, lease: &Lease) -> Result<(), StoreError> {
    remove_lease(stage, lease.ip, None)?;
    stage.put(keyspace::lease_index_key(lease.mac, lease.ip), Vec::new());
    stage.store(keyspace::lease_key(lease.ip), lease)
}

/// Does nothing where there is none, or only one of another source.
pub(crate) fn remove_lease(
    stage: &mut Stage<'_>,
    ip: IpAddr,
    source: Option<LeaseSource>,
) -> Result<(), StoreError> {
    let key = keyspace::lease_key(ip);
    if let Some(old) = stage.load::<Lease>(&key)?
        && source.is_none_or(|source| source == old.source)
    {
        stage.remove(keyspace::lease_index_key(old.mac, ip));
        stage.remove(key);
    }
    Ok(())
}

fn next_version(found: Option<u64>, read: u64, what: String) -> Result<u64, StoreError> {
    if found.unwrap_or_default() == read {
        Ok(read + 1)
    } else {
        Err(StoreError::Conflict { what })
    }
}

pub(crate) fn put_scope(stage: &mut Stage<'_>, mut scope: Scope) -> Result<u64, StoreError> {
    let key = keyspace::scope_key(scope.layer, &scope.name);
    let old: Option<Scope> = stage.load(&key)?;
    scope.version = next_version(
        old.map(|row| row.version),
        scope.version,
        format!("{} {}", scope.layer.as_str(), scope.name),
    )?;
    stage.store(key, &scope)?;
    Ok(scope.version)
}

pub(crate) fn remove_scope(
    stage: &mut Stage<'_>,
    layer: Layer,
    name: &str,
) -> Result<(), StoreError> {
    remove_known(
        stage,
        keyspace::scope_key(layer, name),
        layer.as_str(),
        name,
    )?;
    let owner = Owner::Scope(layer, name.to_owned());
    stage.remove_range(&keyspace::secrets_key(&owner).range())?;
    Ok(())
}

pub(crate) fn put_site(stage: &mut Stage<'_>, mut site: Site) -> Result<u64, StoreError> {
    let key = Key::of(Table::Site).text(&site.name).done();
    let old: Option<Site> = stage.load(&key)?;
    site.version = next_version(
        old.map(|row| row.version),
        site.version,
        format!("site {}", site.name),
    )?;
    stage.store(key, &site)?;
    Ok(site.version)
}

/// Removes a row that must be there.
pub(crate) fn remove_known(
    stage: &mut Stage<'_>,
    key: Vec<u8>,
    what: &str,
    name: &str,
) -> Result<(), StoreError> {
    if stage.get(&key)?.is_none() {
        return Err(StoreError::NotFound {
            what: format!("{what} {name}"),
        });
    }
    stage.remove(key);
    Ok(())
}

/// Long values lie in pieces, so that no row is large.
pub(crate) fn put_pieces(stage: &mut Stage<'_>, key: &[u8], bytes: &[u8]) {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    stage.put(key.to_vec(), length.to_be_bytes().to_vec());
    for (at, piece) in (1_u32..).zip(bytes.chunks(keyspace::PIECE)) {
        let mut key = key.to_vec();
        key.extend_from_slice(&at.to_be_bytes());
        stage.put(key, piece.to_vec());
    }
}

/// A bundle is named by its content, so one that is there is not written again.
pub(crate) fn put_bundle(
    stage: &mut Stage<'_>,
    digest: Digest,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let key = keyspace::bundle_key(digest);
    if stage.get(&key)?.is_none() {
        put_pieces(stage, &key, bytes);
    }
    Ok(())
}

pub(crate) fn publish(stage: &mut Stage<'_>, row: &Published) -> Result<(), StoreError> {
    if stage.get(&keyspace::bundle_key(row.digest))?.is_none() {
        return Err(StoreError::NotFound {
            what: format!("revision {}", row.digest),
        });
    }
    let name = |table| {
        Key::of(table)
            .text(&row.vendor)
            .text(&row.family)
            .text(&row.profile)
    };
    let (from, to) = name(Table::History).range();
    let before = stage.range(&from, &to, usize::MAX)?;
    let next = before
        .last()
        .and_then(|(key, _)| <[u8; 8]>::try_from(key.get(from.len()..)?).ok())
        .map_or(1, |last| u64::from_be_bytes(last) + 1);
    stage.store(name(Table::History).number(next).done(), row)?;
    stage.store(name(Table::Published).done(), row)
}

/// Keeps the last [`Job::KEPT`].
pub(crate) fn put_job(stage: &mut Stage<'_>, job: &Job) -> Result<(), StoreError> {
    let key = Key::of(Table::Job).text(&job.id).done();
    if stage.get(&key)?.is_none() {
        let mut jobs: Vec<Job> = stage.load_range(&Key::of(Table::Job).range(), usize::MAX)?;
        jobs.sort_by_key(|job| job.began);
        let surplus = (jobs.len() + 1).saturating_sub(Job::KEPT);
        for old in jobs.iter().take(surplus) {
            stage.remove(Key::of(Table::Job).text(&old.id).done());
            stage.remove_range(&Key::of(Table::JobBody).text(&old.id).range())?;
        }
    }
    if let Some(body) = &job.body {
        let body_key = Key::of(Table::JobBody).text(&job.id);
        stage.remove_range(&body_key.range())?;
        put_pieces(stage, &Key::of(Table::JobBody).text(&job.id).done(), body);
    }
    stage.store(key, job)
}

pub(crate) fn audit(
    stage: &mut Stage<'_>,
    mut entry: AuditEntry,
    counters: &mut Counters,
) -> Result<(), StoreError> {
    entry.seq = counters.audit;
    counters.audit += 1;
    stage.store(Key::of(Table::Audit).number(entry.seq).done(), &entry)
}
