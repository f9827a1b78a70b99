//! From writes to changed rows: preconditions, uniqueness, and the indexes that go with each row.
//! Runs on the writer's thread alone, so what it reads is what it decides on.

use super::codec_device::{ConfigRow, TokenRow};
use super::engine::View as _;
use super::error::StoreError;
use super::keyspace::{self, Key, Parts, Table, after};
use super::rows::{Batch, Committed, Expect, Owner, TokenKind, Write};
use super::stage::Stage;
use crate::model::device::{Config, Status};
use crate::model::identity::{DeviceId, Digest};
use crate::model::secret::Sealed;

/// Numbers that the store gives out, and what a batch touched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    /// The next check's number.
    pub(crate) check: u64,
    /// The next audit entry's number.
    pub(crate) audit: u64,
    /// Raised by every change of a row that `Settings` holds.
    pub(crate) settings: u64,
}

/// Decides one batch. An error leaves nothing behind: the stage is dropped, the counters are a copy.
pub(crate) fn batch(
    batch: Batch,
    stage: &mut Stage<'_>,
    counters: &mut Counters,
) -> Result<Committed, StoreError> {
    let first = counters.check;
    let mut versions = Vec::with_capacity(batch.writes.len());
    for write in batch.writes {
        versions.push(one(write, stage, counters)?);
    }
    Ok(Committed {
        first_check_seq: (counters.check > first).then_some(first),
        versions,
    })
}

/// Decides one write; gives the new version of its row.
fn one(write: Write, stage: &mut Stage<'_>, counters: &mut Counters) -> Result<u64, StoreError> {
    use super::apply_rest as rest;
    match write {
        Write::PutConfig {
            id,
            config,
            expect,
            tokens,
        } => return put_config(stage, id, *config, expect, tokens),
        Write::PutStatus { id, status, expect } => return put_status(stage, id, *status, expect),
        Write::DeleteDevice { id, expect } => delete_device(stage, id, expect, counters)?,
        Write::PutSecret {
            owner,
            field,
            sealed,
        } => put_secret(stage, &owner, &field, sealed.as_ref())?,
        Write::PinCertificate {
            device,
            fingerprint,
        } => pin(stage, device, fingerprint)?,
        Write::UnpinCertificates { device } => unpin(stage, device)?,
        Write::AddCheck(check) => rest::add_check(stage, check, counters)?,
        Write::PutAlert(alert) => rest::put_alert(stage, alert)?,
        Write::RemoveAlert { kind, device } => stage.remove(keyspace::alert_key(device, kind)),
        Write::PutLease(lease) => rest::put_lease(stage, &lease)?,
        Write::RemoveLease(ip, source) => rest::remove_lease(stage, ip, Some(source))?,
        Write::PutScope(scope) => {
            counters.settings += 1;
            return rest::put_scope(stage, scope);
        }
        Write::RemoveScope { layer, name } => {
            counters.settings += 1;
            rest::remove_scope(stage, layer, &name)?;
        }
        Write::PutSite(site) => {
            counters.settings += 1;
            return rest::put_site(stage, site);
        }
        Write::RemoveSite(name) => {
            counters.settings += 1;
            rest::remove_known(
                stage,
                Key::of(Table::Site).text(&name).done(),
                "site",
                &name,
            )?;
        }
        Write::PutWaiver(waiver) => {
            counters.settings += 1;
            stage.store(keyspace::waiver_key(&waiver.site, &waiver.models), &waiver)?;
        }
        Write::RemoveWaiver { site, models } => {
            counters.settings += 1;
            rest::remove_known(
                stage,
                keyspace::waiver_key(&site, &models),
                "waiver for",
                &site,
            )?;
        }
        Write::PutPbx(pbx) => {
            counters.settings += 1;
            stage.store(Key::of(Table::Pbx).text(&pbx.name).done(), &pbx)?;
        }
        Write::RemovePbx(name) => {
            counters.settings += 1;
            rest::remove_known(stage, Key::of(Table::Pbx).text(&name).done(), "pbx", &name)?;
        }
        Write::PutBundle { digest, bytes } => rest::put_bundle(stage, digest, &bytes)?,
        Write::Publish(published) => {
            counters.settings += 1;
            rest::publish(stage, &published)?;
        }
        Write::PutAnchor { vendor, der } => {
            counters.settings += 1;
            stage.put(keyspace::anchor_key(&vendor, &der), der);
        }
        Write::RemoveAnchor { vendor, der } => {
            counters.settings += 1;
            rest::remove_known(
                stage,
                keyspace::anchor_key(&vendor, &der),
                "anchor of",
                &vendor,
            )?;
        }
        Write::PutJob(job) => rest::put_job(stage, &job)?,
        Write::Audit(entry) => rest::audit(stage, entry, counters)?,
        Write::PutMeta(name, bytes) => stage.put(Key::of(Table::Meta).text(&name).done(), bytes),
    }
    Ok(0)
}

fn put_config(
    stage: &mut Stage<'_>,
    id: DeviceId,
    mut config: Config,
    expect: Expect,
    tokens: Vec<(Digest, u32, TokenKind)>,
) -> Result<u64, StoreError> {
    let key = Key::of(Table::Config).device(id).done();
    let old: Option<ConfigRow> = stage.load(&key)?;
    let version = match (expect, &old) {
        (Expect::New, None) => 1,
        (Expect::Version(expected), Some(row)) if row.config.version == expected => expected + 1,
        (Expect::Version(_), None) => {
            return Err(StoreError::NotFound {
                what: format!("device {id}"),
            });
        }
        (Expect::New | Expect::Version(_), Some(_)) => {
            return Err(StoreError::Conflict {
                what: format!("device {id}"),
            });
        }
    };
    if let Some(row) = &old {
        drop_indexes(stage, row);
    }
    if let Some(mac) = config.mac {
        let key = keyspace::mac_key(mac);
        free(stage, &key, id, "mac", || mac.to_string())?;
        stage.put(key, id.0.to_be_bytes().to_vec());
    }
    if let Some(serial) = &config.serial {
        let key = keyspace::serial_key(serial, &config.vendor);
        free(stage, &key, id, "serial", || serial.to_string())?;
        stage.put(key, id.0.to_be_bytes().to_vec());
    }
    let tokens: Vec<_> = tokens
        .into_iter()
        .map(|(digest, generation, kind)| TokenRow {
            digest,
            generation,
            kind,
        })
        .collect();
    for token in &tokens {
        let key = keyspace::token_key(token.digest);
        free(stage, &key, id, "token", || "(hidden)".to_owned())?;
        stage.put(key, keyspace::token_value(id, token));
    }
    config.version = version;
    stage.store(key, &ConfigRow { config, tokens })?;
    Ok(version)
}

/// Takes back what points at a device by its own values.
fn drop_indexes(stage: &mut Stage<'_>, row: &ConfigRow) {
    if let Some(mac) = row.config.mac {
        stage.remove(keyspace::mac_key(mac));
    }
    if let Some(serial) = &row.config.serial {
        stage.remove(keyspace::serial_key(serial, &row.config.vendor));
    }
    for token in &row.tokens {
        stage.remove(keyspace::token_key(token.digest));
    }
}

/// Whether a unique value is nobody's, or this device's own.
fn free(
    stage: &Stage<'_>,
    key: &[u8],
    id: DeviceId,
    field: &'static str,
    value: impl FnOnce() -> String,
) -> Result<(), StoreError> {
    match stage
        .get(key)?
        .as_deref()
        .and_then(keyspace::leading_device)
    {
        Some(holder) if holder != id => Err(StoreError::Taken {
            field,
            value: value(),
            holder,
        }),
        Some(_) | None => Ok(()),
    }
}

fn put_status(
    stage: &mut Stage<'_>,
    id: DeviceId,
    mut status: Status,
    expect: u64,
) -> Result<u64, StoreError> {
    let mut entry = stage.entry(id)?;
    if entry.status != expect {
        return Err(StoreError::Conflict {
            what: format!("status of device {id}"),
        });
    }
    status.version = expect + 1;
    entry.status = status.version;
    stage.store_status(id, status)?;
    stage.note(id, Some(entry));
    Ok(expect + 1)
}

/// Rows of a device are only made for one that is there.
fn must_exist(stage: &Stage<'_>, id: DeviceId) -> Result<(), StoreError> {
    stage.entry(id).map(drop)
}

fn delete_device(
    stage: &mut Stage<'_>,
    id: DeviceId,
    expect: u64,
    counters: &Counters,
) -> Result<(), StoreError> {
    let key = Key::of(Table::Config).device(id).done();
    let Some(row) = stage.load::<ConfigRow>(&key)? else {
        return Err(StoreError::NotFound {
            what: format!("device {id}"),
        });
    };
    if row.config.version != expect {
        return Err(StoreError::Conflict {
            what: format!("device {id}"),
        });
    }
    drop_indexes(stage, &row);
    stage.note(id, None);
    stage.remove(key);
    stage.remove(Key::of(Table::Status).device(id).done());
    unpin(stage, id)?;
    stage.remove_range(&keyspace::secrets_key(&Owner::Device(id)).range())?;
    stage.remove_range(&Key::of(Table::Alert).device(id).range())?;
    for (index, _) in stage.remove_range(&Key::of(Table::IndexCheck).device(id).range())? {
        let seq = Parts::of(&index).and_then(|mut parts| {
            parts.device()?;
            parts.number()
        });
        if let Some(seq) = seq {
            stage.remove(Key::of(Table::Check).number(seq).done());
        }
    }
    // The last check may be gone now, and its number must not be given again.
    stage.put(
        Key::of(Table::Meta).text(keyspace::NEXT_CHECK).done(),
        counters.check.to_be_bytes().to_vec(),
    );
    Ok(())
}

fn put_secret(
    stage: &mut Stage<'_>,
    owner: &Owner,
    field: &str,
    sealed: Option<&Sealed>,
) -> Result<(), StoreError> {
    let key = keyspace::secrets_key(owner).text(field).done();
    match sealed {
        Some(sealed) => {
            if let Owner::Device(id) = owner {
                must_exist(stage, *id)?;
            }
            stage.store(key, sealed)
        }
        None => {
            stage.remove(key);
            Ok(())
        }
    }
}

fn pin(stage: &mut Stage<'_>, device: DeviceId, fingerprint: Digest) -> Result<(), StoreError> {
    must_exist(stage, device)?;
    let key = keyspace::pin_key(fingerprint);
    free(stage, &key, device, "certificate", || {
        fingerprint.to_string()
    })?;
    stage.put(key, device.0.to_be_bytes().to_vec());
    let index = Key::of(Table::IndexPin).device(device).raw(&fingerprint.0);
    stage.put(index.done(), Vec::new());
    Ok(())
}

fn unpin(stage: &mut Stage<'_>, device: DeviceId) -> Result<(), StoreError> {
    let from = Key::of(Table::IndexPin).device(device).done();
    let range = (from.clone(), after(&from));
    for (index, _) in stage.remove_range(&range)? {
        if let Some(fingerprint) = index.get(from.len()..) {
            stage.remove(Key::of(Table::Pin).raw(fingerprint).done());
        }
    }
    Ok(())
}
