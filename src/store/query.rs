//! Reads. They go straight to the engine, in short calls; the functions are `async` because an
//! engine behind a network answers later.
#![expect(
    clippy::unused_async,
    reason = "an embedded engine answers at once; one behind a network will not"
)]

use std::sync::Arc;

use super::Store;
use super::codec_device::ConfigRow;
use super::engine::View;
use super::error::StoreError;
use super::keyspace::{self, Key, Parts, Table};
use super::rows::{Filter, KnownAsk, KnownRows, Owner, TokenKind};
use crate::model::device::{Config, Device, Status};
use crate::model::identity::{DeviceId, Digest, Mac, Serial};
use crate::model::secret::Sealed;

/// Rows that are read between two chances for other tasks.
const STRETCH: usize = 256;

impl Store {
    /// The rows that the claims of one request point to.
    pub async fn known(&self, ask: &KnownAsk) -> Result<KnownRows, StoreError> {
        let view = &self.core().reader();
        let mut rows = KnownRows::default();
        for mac in &ask.macs {
            rows.by_mac.extend(by_mac(view, *mac)?);
        }
        for serial in &ask.serials {
            rows.by_serial.extend(by_serial(view, serial)?);
        }
        if let Some(digest) = ask.token {
            rows.by_token = by_token(view, digest, TokenKind::Unit)?;
        }
        if let Some(digest) = ask.report {
            rows.by_report = by_token(view, digest, TokenKind::Report)?;
        }
        if let Some(source) = ask.source {
            rows.lease = view.load(&keyspace::lease_key(source))?;
        }
        Ok(rows)
    }

    /// One device.
    pub async fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        device(&self.core().reader(), id)
    }

    /// A device by what people call it: id, MAC in any form, serial. A text that fits two devices is
    /// a [`StoreError::Conflict`].
    pub async fn find(&self, text: &str) -> Result<Option<Device>, StoreError> {
        let view = &self.core().reader();
        let mut found: Vec<Device> = Vec::new();
        if let Some(id) = DeviceId::parse(text) {
            found.extend(device(view, id)?);
        }
        if let Ok(mac) = Mac::parse(text) {
            found.extend(by_mac(view, mac)?);
        }
        if let Some(serial) = Serial::parse(text) {
            found.extend(by_serial(view, &serial)?);
        }
        found.dedup_by_key(|device| device.id);
        if found.len() > 1 {
            return Err(StoreError::Conflict {
                what: format!(
                    "{text} names {} devices, so name one by its id: it",
                    found.len()
                ),
            });
        }
        Ok(found.pop())
    }

    /// Devices in the order of their ids, behind `after`, at most `limit`.
    pub async fn devices(
        &self,
        filter: &Filter,
        after: Option<DeviceId>,
        limit: usize,
    ) -> Result<Vec<Device>, StoreError> {
        let view = &self.core().engine;
        let (mut from, to) = Key::of(Table::Config).range();
        if let Some(after) = after {
            from = keyspace::after(&Key::of(Table::Config).device(after).done());
        }
        let mut found = Vec::new();
        while found.len() < limit {
            let rows = view.range(&from, &to, STRETCH)?;
            let Some((last, _)) = rows.last() else { break };
            from = keyspace::after(last);
            let whole = rows.len() < STRETCH;
            for (key, bytes) in rows {
                let id = Parts::of(&key)
                    .and_then(|mut parts| parts.device())
                    .ok_or_else(|| view.malformed(&key, "it names no device"))?;
                let config = view.read::<ConfigRow>(&key, &bytes)?.config;
                let device = with_status(view, id, Arc::new(config))?;
                if filter.takes(&device) {
                    found.push(device);
                }
                if found.len() == limit {
                    break;
                }
            }
            if whole {
                break;
            }
            tokio::task::yield_now().await;
        }
        Ok(found)
    }

    /// Devices whose seen half is `wanted`, in the order of their ids, behind `after`: at most `limit`
    /// rows are looked at. Gives the last id that was, too; `None` at the end. What was never seen
    /// costs nothing here.
    pub async fn seen(
        &self,
        wanted: impl Fn(&Status) -> bool,
        after: Option<DeviceId>,
        limit: usize,
    ) -> Result<(Vec<Device>, Option<DeviceId>), StoreError> {
        let view = &self.core().engine;
        let (mut from, to) = Key::of(Table::Status).range();
        if let Some(after) = after {
            from = keyspace::after(&Key::of(Table::Status).device(after).done());
        }
        let rows = view.range(&from, &to, limit)?;
        let whole = rows.len() < limit;
        let (mut found, mut last) = (Vec::new(), None);
        for (key, bytes) in rows {
            let id = Parts::of(&key)
                .and_then(|mut parts| parts.device())
                .ok_or_else(|| view.malformed(&key, "it names no device"))?;
            last = Some(id);
            let status: Status = view.read(&key, &bytes)?;
            if wanted(&status) {
                found.extend(device(view, id)?);
            }
        }
        Ok((found, last.filter(|_| !whole)))
    }

    /// How many devices there are.
    pub async fn count(&self) -> Result<u64, StoreError> {
        let view = &self.core().engine;
        let (mut from, to) = Key::of(Table::Config).range();
        let mut count = 0;
        loop {
            let rows = view.range(&from, &to, STRETCH)?;
            count += u64::try_from(rows.len()).unwrap_or(u64::MAX);
            match rows.last() {
                Some((last, _)) if rows.len() == STRETCH => from = keyspace::after(last),
                Some(_) | None => return Ok(count),
            }
            tokio::task::yield_now().await;
        }
    }

    /// One sealed value.
    pub async fn secret(&self, owner: &Owner, field: &str) -> Result<Option<Sealed>, StoreError> {
        let key = keyspace::secrets_key(owner).text(field).done();
        self.core().engine.load(&key)
    }

    /// All sealed values of an owner, by field.
    pub async fn secrets(&self, owner: &Owner) -> Result<Vec<(String, Sealed)>, StoreError> {
        let view = &self.core().engine;
        let (from, to) = keyspace::secrets_key(owner).range();
        view.range(&from, &to, usize::MAX)?
            .into_iter()
            .map(|(key, bytes)| {
                let field = keyspace::text_behind(&key, from.len())
                    .ok_or_else(|| view.malformed(&key, "it names no field"))?;
                Ok((field, view.read(&key, &bytes)?))
            })
            .collect()
    }
}

/// A device with both halves.
pub(crate) fn device(view: &impl View, id: DeviceId) -> Result<Option<Device>, StoreError> {
    let key = Key::of(Table::Config).device(id).done();
    match view.config(&key)? {
        Some(config) => with_status(view, id, config).map(Some),
        None => Ok(None),
    }
}

fn with_status(view: &impl View, id: DeviceId, config: Arc<Config>) -> Result<Device, StoreError> {
    let key = Key::of(Table::Status).device(id).done();
    let status = view.status(&key)?.unwrap_or_default();
    Ok(Device { id, config, status })
}

fn by_mac(view: &impl View, mac: Mac) -> Result<Option<Device>, StoreError> {
    let found = indexed(view, &keyspace::mac_key(mac))?;
    // A commit may have come between index and row.
    Ok(found.filter(|device| device.config.mac == Some(mac)))
}

fn by_serial(view: &impl View, serial: &Serial) -> Result<Vec<Device>, StoreError> {
    let (from, to) = Key::of(Table::IndexSerial).text(serial.as_str()).range();
    let mut found = Vec::new();
    for (_, value) in view.range(&from, &to, usize::MAX)? {
        if let Some(id) = keyspace::leading_device(&value) {
            let named = device(view, id)?;
            found.extend(named.filter(|device| device.config.serial.as_ref() == Some(serial)));
        }
    }
    Ok(found)
}

fn by_token(
    view: &impl View,
    digest: Digest,
    wanted: TokenKind,
) -> Result<Option<(Device, u32)>, StoreError> {
    let value = view.get(&keyspace::token_key(digest))?;
    match value.as_deref().and_then(keyspace::token_of) {
        Some((id, generation, kind)) if kind == wanted => {
            Ok(device(view, id)?.map(|device| (device, generation)))
        }
        Some(_) | None => Ok(None),
    }
}

fn indexed(view: &impl View, key: &[u8]) -> Result<Option<Device>, StoreError> {
    match view.get(key)?.as_deref().and_then(keyspace::leading_device) {
        Some(id) => device(view, id),
        None => Ok(None),
    }
}
