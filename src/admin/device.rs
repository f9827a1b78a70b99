//! The inventory's units: read, made, changed, taken away.
//!
//! A change is planned from the row as it stands, and committed only if the row still stands so;
//! where somebody was faster it is planned again.

use std::sync::{Arc, PoisonError};

use super::device_act::{self, Next};
pub use super::device_act::{Action, Arm};
use super::device_fields::draft;
pub use super::device_fields::{Given, Wanted};
pub use super::device_lines::LineChange;
use super::error::taken;
pub(crate) use super::next_step::name_of;
use super::profile::first_publication;
use super::{Actor, Admin, Ask, Changed, Code, DeviceView, Lens, Page, Problem, TRIES};
use crate::hub::News;
use crate::model::device::{Config, Device, Lifecycle};
use crate::model::identity::{DeviceId, Digest};
use crate::store::{
    Batch, Committed, Expect, Filter, KnownAsk, Owner, StoreError, TokenKind, Write,
};

/// Devices read at once while a list is filtered.
const STRETCH: usize = 512;

/// Which devices a list shows.
#[derive(Clone, Debug, Default)]
pub struct Select {
    pub filter: Filter,
    pub lifecycle: Option<Lifecycle>,
}

impl Admin {
    /// Devices in the order of their ids, behind the one that ended the page before.
    pub async fn devices(
        &self,
        select: &Select,
        after: Option<DeviceId>,
        limit: usize,
    ) -> Result<Page<DeviceView>, Problem> {
        let lens = self.lens().await?;
        let (devices, more) = self.selected(select, after, limit).await?;
        let next = devices.last().filter(|_| more);
        Ok(Page {
            next: next.map(|device| device.id.to_string()),
            items: devices
                .into_iter()
                .map(|device| lens.view(device))
                .collect(),
        })
    }

    /// At most `limit` devices, and whether there are more behind them.
    pub(crate) async fn selected(
        &self,
        select: &Select,
        mut after: Option<DeviceId>,
        limit: usize,
    ) -> Result<(Vec<Device>, bool), Problem> {
        let store = &self.hub().store;
        let mut found = Vec::new();
        loop {
            let rows = store.devices(&select.filter, after, STRETCH).await?;
            let last = rows.len() < STRETCH;
            after = rows.last().map(|device| device.id);
            for device in rows {
                let wanted = select.lifecycle;
                if wanted.is_some_and(|wanted| wanted != device.config.lifecycle) {
                    continue;
                }
                if found.len() == limit {
                    return Ok((found, true));
                }
                found.push(device);
            }
            if last {
                return Ok((found, false));
            }
        }
    }

    /// A device by any form of its MAC, its serial or its id.
    pub async fn device(&self, name: &str) -> Result<DeviceView, Problem> {
        let device = self.find(name).await?;
        Ok(self.lens().await?.view(device))
    }

    /// The row of a device by what people call it.
    pub(crate) async fn find(&self, name: &str) -> Result<Device, Problem> {
        match self.hub().store.find(name.trim()).await {
            Ok(Some(device)) => Ok(device),
            Ok(None) => Err(Problem::not_found("device", name)
                .hint("name it by MAC, serial or id; all of them: dialtone device list")),
            Err(StoreError::Conflict { .. }) => Err(Problem::new(
                Code::Ambiguous,
                format!("{name:?} names several devices"),
            )
            .hint("name it by its id")),
            Err(error) => Err(error.into()),
        }
    }

    /// Enters a device and arms it.
    pub async fn create_device(
        &self,
        actor: &Actor,
        wanted: &Wanted,
        ask: &Ask,
    ) -> Result<DeviceView, Problem> {
        let lens = self.lens().await?;
        let id = if ask.dry_run {
            DeviceId(0)
        } else {
            self.fresh_id()?
        };
        let draft = draft(&lens, &self.hub().keys, id, None, wanted)?;
        self.unique(id, &draft.config).await?;
        let mut device = Device {
            id,
            config: Arc::new(draft.config),
            status: Arc::default(),
        };
        if ask.dry_run {
            return Ok(lens.view(device));
        }
        let mut writes = vec![self.put(id, &device.config, Expect::New)];
        writes.extend(draft.secrets.into_iter().map(|secret| secret.write(id)));
        let subject = subject(id, &device.config);
        writes.push(self.audit(actor, "device.add", subject, ""));
        writes.extend(self.first_publication(actor, &lens, &device.config));
        let committed = self.hub().store.commit(Batch::now(writes)).await?;
        device.config_mut().version = version(&committed);
        self.listed(&device);
        Ok(lens.view(device))
    }

    /// Does one thing to one device. `record` is as it is afterwards; deleted, as it was.
    pub async fn act(
        &self,
        actor: &Actor,
        name: &str,
        action: &Action,
        ask: &Ask,
    ) -> Result<Changed<DeviceView>, Problem> {
        let mut id = None;
        for _ in 0..TRIES {
            let device = match id {
                None => self.find(name).await?,
                Some(id) => self
                    .hub()
                    .store
                    .device(id)
                    .await?
                    .ok_or_else(|| Problem::not_found("device", name))?,
            };
            id = Some(device.id);
            ask.fits(device.config.version)?;
            let lens = self.lens().await?;
            match self.act_once(actor, device, action, ask, &lens).await? {
                Some(changed) => return Ok(changed),
                None => tokio::task::yield_now().await,
            }
        }
        Err(
            Problem::new(Code::Conflict, "it was changed meanwhile, again and again")
                .hint("try again"),
        )
    }

    /// `None` where somebody was faster.
    async fn act_once(
        &self,
        actor: &Actor,
        device: Device,
        action: &Action,
        ask: &Ask,
        lens: &Lens,
    ) -> Result<Option<Changed<DeviceView>>, Problem> {
        let id = device.id;
        let mut plan = device_act::plan(lens, &self.hub().keys, &device, action)?;
        let expect = Expect::Version(device.config.version);
        let mut writes = Vec::new();
        let after = match plan.next {
            Next::Gone => {
                writes.push(Write::DeleteDevice {
                    id,
                    expect: device.config.version,
                });
                device.clone()
            }
            Next::Put(mut config) => {
                self.unique(id, &config).await?;
                let secrets = self.new_secrets(id, plan.secrets).await?;
                for secret in &secrets {
                    config.arming.exposed.retain(|name| *name != secret.field);
                }
                plan.changes
                    .extend(secrets.iter().map(|secret| secret.field.clone()));
                if *config == *device.config && secrets.is_empty() {
                    return Ok(Some(Changed {
                        record: lens.view(device),
                        changed: false,
                    }));
                }
                if plan.rendered || !secrets.is_empty() {
                    config.changed_at = lens.now;
                }
                writes.push(self.put(id, &config, expect));
                writes.extend(secrets.into_iter().map(|secret| secret.write(id)));
                writes.extend(self.first_publication(actor, lens, &config));
                if plan.anew {
                    writes.push(Write::UnpinCertificates { device: id });
                    for alert in self.hub().store.alerts_of(id).await? {
                        plan.changes.push(format!("alert {}", alert.kind.as_str()));
                        let kind = alert.kind;
                        writes.push(Write::RemoveAlert { kind, device: id });
                    }
                }
                Device {
                    config: Arc::new(*config),
                    ..device.clone()
                }
            }
        };
        let mut record = lens.view(after);
        if ask.dry_run {
            return Ok(Some(Changed {
                record,
                changed: true,
            }));
        }
        let (what, detail) = (subject(id, &device.config), plan.changes.join(", "));
        writes.push(self.audit(actor, action.audit_name(), what, detail));
        match self.hub().store.commit(Batch::now(writes)).await {
            Ok(committed) => {
                if !matches!(action, Action::Delete) {
                    record.device.config_mut().version = version(&committed);
                }
            }
            Err(StoreError::Conflict { .. }) => return Ok(None),
            Err(StoreError::NotFound { .. }) => {
                return Err(Problem::not_found("device", &id.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
        self.listed(&record.device);
        Ok(Some(Changed {
            record,
            changed: true,
        }))
    }

    /// MAC and serial are nobody else's.
    pub(crate) async fn unique(&self, id: DeviceId, config: &Config) -> Result<(), Problem> {
        let ask = KnownAsk {
            macs: config.mac.into_iter().collect(),
            serials: config.serial.clone().into_iter().collect(),
            ..KnownAsk::default()
        };
        let known = self.hub().store.known(&ask).await?;
        if let (Some(holder), Some(mac)) = (other(&known.by_mac, id, None), config.mac) {
            return Err(taken("mac", &mac.to_string(), &holder.to_string()));
        }
        let vendor = Some(config.vendor.as_str());
        if let (Some(holder), Some(serial)) = (other(&known.by_serial, id, vendor), &config.serial)
        {
            return Err(taken("serial", serial.as_str(), &holder.to_string()));
        }
        Ok(())
    }

    /// The wanted half with the tokens of its generation.
    pub(crate) fn put(&self, id: DeviceId, config: &Config, expect: Expect) -> Write {
        Write::PutConfig {
            id,
            config: Box::new(config.clone()),
            expect,
            tokens: self.tokens(id, config.arming.generation),
        }
    }

    /// A revision for the kind that a record is of, where there is none.
    pub(crate) fn first_publication(
        &self,
        actor: &Actor,
        lens: &Lens,
        config: &Config,
    ) -> Vec<Write> {
        let (catalog, settings) = (&lens.catalog, &lens.settings);
        first_publication(catalog, settings, config, actor, lens.now)
    }

    /// Every token that is good for a generation, as the store knows them.
    pub(crate) fn tokens(&self, id: DeviceId, generation: u32) -> Vec<(Digest, u32, TokenKind)> {
        let keys = &self.hub().keys;
        [
            (keys.unit_token(id, generation), TokenKind::Unit),
            (keys.report_secret(id, generation), TokenKind::Report),
        ]
        .into_iter()
        .map(|(secret, kind)| (keys.digest_of(&secret), generation, kind))
        .collect()
    }

    /// Sealed rows that differ from what is stored. Equal secrets of one row seal to equal bytes.
    async fn new_secrets(
        &self,
        id: DeviceId,
        secrets: Vec<super::device_fields::SecretChange>,
    ) -> Result<Vec<super::device_fields::SecretChange>, Problem> {
        let owner = Owner::Device(id);
        let mut kept = Vec::new();
        for secret in secrets {
            if self.hub().store.secret(&owner, &secret.field).await? != secret.sealed {
                kept.push(secret);
            }
        }
        Ok(kept)
    }

    /// Tells whoever listens, and takes a listed unit out of the sightings.
    pub(crate) fn listed(&self, device: &Device) {
        let config = &device.config;
        self.hub()
            .sightings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .forget(config.mac, config.serial.as_ref());
        self.hub().tell(News::Device(device.id));
    }
}

impl super::device_fields::SecretChange {
    /// As a write of a device's row.
    pub(crate) fn write(self, id: DeviceId) -> Write {
        Write::PutSecret {
            owner: Owner::Device(id),
            field: self.field,
            sealed: self.sealed,
        }
    }
}

/// Another device among those found, of that vendor where one is named.
fn other(found: &[Device], id: DeviceId, vendor: Option<&str>) -> Option<DeviceId> {
    let mut others = found.iter().filter(|device| device.id != id);
    others
        .find(|device| vendor.is_none_or(|vendor| device.config.vendor == vendor))
        .map(|device| device.id)
}

/// How the audit trail names a device.
pub(crate) fn subject(id: DeviceId, config: &Config) -> String {
    let name = name_of(id, config);
    if name == id.to_string() {
        format!("device {id}")
    } else {
        format!("device {name} {id}")
    }
}

/// The new version of the row that a batch wrote first.
pub(crate) fn version(committed: &Committed) -> u64 {
    committed.versions.first().copied().unwrap_or_default()
}
