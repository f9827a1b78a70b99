//! What happened: activation checks, sightings, alerts, the audit trail. Reads only.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};

use super::device::name_of;
use super::{Actor, Admin, DeviceView, Page, Problem};
use crate::model::activation::{Check, Flag, State};
use crate::model::device::{Config, Lifecycle};
use crate::model::event::{Alert, Sighting};
use crate::model::identity::DeviceId;
use crate::store::{AuditEntry, Batch, CheckFilter};

/// Checks that are read at once.
const STRETCH: usize = 1000;
/// Checks are numbered in the order of their commits: so far may a time lie before its number.
const SLACK: SignedDuration = SignedDuration::from_mins(5);

/// Which checks a list shows.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    pub since: Option<Timestamp>,
    pub site: Option<String>,
    /// By any of its names.
    pub device: Option<String>,
}

/// Counts by state.
pub type States = BTreeMap<State, u64>;

/// How many units stand where.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub total: u64,
    pub states: States,
    pub flags: BTreeMap<Flag, u64>,
    /// By vendor, family, model.
    pub models: BTreeMap<(String, String, String), States>,
    /// Those without a site are under none.
    pub sites: BTreeMap<Option<String>, States>,
}

impl Summary {
    /// Counts one more.
    pub(crate) fn count(&mut self, view: &DeviceView) {
        let config = &view.device.config;
        let state = view.status.activation.state;
        let kind = (
            config.vendor.clone(),
            config.family.clone(),
            config.model.clone(),
        );
        self.total += 1;
        *self.states.entry(state).or_default() += 1;
        let model = self.models.entry(kind).or_default();
        *model.entry(state).or_default() += 1;
        let site = self.sites.entry(config.site.clone()).or_default();
        *site.entry(state).or_default() += 1;
        for flag in &view.flags {
            *self.flags.entry(*flag).or_default() += 1;
        }
    }
}

/// An alert, and what the device that it is about is called.
#[derive(Clone, Debug)]
pub struct NamedAlert {
    pub alert: Alert,
    /// `None` where the device is gone.
    pub name: Option<String>,
}

impl Admin {
    /// Checks behind a number, oldest first.
    pub async fn checks(
        &self,
        wanted: &Checks,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page<Check>, Problem> {
        let device = match &wanted.device {
            Some(name) => Some(self.find(name).await?.id),
            None => None,
        };
        let mut last = match (after, wanted.since, device) {
            (Some(after), _, _) => after,
            (None, Some(since), None) => self.number_before(since).await?,
            (None, _, _) => 0,
        };
        let mut places = BTreeMap::new();
        let mut found: Vec<Check> = Vec::new();
        loop {
            let filter = CheckFilter {
                device,
                since_seq: Some(last),
                since: None,
                limit: STRETCH,
            };
            let rows = self.hub().store.checks(&filter).await?;
            let Some(end) = rows.last().map(|check| check.seq) else {
                return Ok(Page {
                    items: found,
                    next: None,
                });
            };
            for check in rows {
                let late = wanted.since.is_none_or(|since| check.at >= since);
                let here = match &wanted.site {
                    Some(site) => self.is_at(check.device, site, &mut places).await?,
                    None => true,
                };
                if !late || !here {
                    continue;
                }
                if found.len() == limit {
                    let next = found.last().map(|check| check.seq.to_string());
                    return Ok(Page { items: found, next });
                }
                found.push(check);
            }
            last = end;
            tokio::task::yield_now().await;
        }
    }

    /// A number that all checks since that time are behind, found by halving.
    async fn number_before(&self, since: Timestamp) -> Result<u64, Problem> {
        let since = since.checked_sub(SLACK).unwrap_or(Timestamp::MIN);
        let store = &self.hub().store;
        let newest = CheckFilter {
            limit: 1,
            ..CheckFilter::default()
        };
        let mut high = match store.checks(&newest).await?.first() {
            Some(check) => check.seq,
            None => return Ok(0),
        };
        let mut low = 0;
        while low < high {
            let middle = low + (high - low) / 2;
            let filter = CheckFilter {
                since_seq: Some(middle),
                limit: 1,
                ..CheckFilter::default()
            };
            match store.checks(&filter).await?.first() {
                Some(check) if check.at < since => low = check.seq,
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }

    /// Whether a device is at a site; remembered for the length of one call.
    pub(crate) async fn is_at(
        &self,
        device: DeviceId,
        site: &str,
        places: &mut BTreeMap<DeviceId, bool>,
    ) -> Result<bool, Problem> {
        if let Some(here) = places.get(&device) {
            return Ok(*here);
        }
        let found = self.hub().store.device(device).await?;
        let here = found.is_some_and(|found| found.config.site.as_deref() == Some(site));
        places.insert(device, here);
        Ok(here)
    }

    /// How many units stand where, of one site or of all; of those alone that are in their state since
    /// some time, if one is given. Retired ones are not counted.
    pub async fn summary(
        &self,
        site: Option<&str>,
        since: Option<Timestamp>,
    ) -> Result<Summary, Problem> {
        let mut summary = Summary::default();
        let late = |view: &DeviceView| {
            since.is_none_or(|since| view.status.activation.since.is_some_and(|at| at >= since))
        };
        self.each(site, |view| {
            if late(&view) {
                summary.count(&view);
            }
        })
        .await?;
        Ok(summary)
    }

    /// Shows every device in service to `take`, of one site or of all.
    pub(crate) async fn each(
        &self,
        site: Option<&str>,
        mut take: impl FnMut(DeviceView),
    ) -> Result<(), Problem> {
        let lens = self.lens().await?;
        self.each_row(&Self::at(site), |device| {
            if in_service(&device.config) {
                take(lens.view(device));
            }
        })
        .await
    }

    /// Units that asked and are not listed, the newest contact first.
    pub fn sightings(&self) -> Vec<Sighting> {
        let sightings = self.hub().sightings.lock();
        sightings.unwrap_or_else(PoisonError::into_inner).list()
    }

    /// What a person must look at, the newest first.
    pub async fn alerts(&self) -> Result<Vec<NamedAlert>, Problem> {
        let mut alerts = self.hub().store.alerts().await?;
        alerts.sort_by_key(|alert| std::cmp::Reverse(alert.last));
        let mut named = Vec::with_capacity(alerts.len());
        for alert in alerts {
            let device = self.hub().store.device(alert.device).await?;
            named.push(NamedAlert {
                name: device.map(|device| name_of(device.id, &device.config)),
                alert,
            });
        }
        Ok(named)
    }

    /// Notes that somebody takes everything with them.
    pub async fn note_backup(&self, actor: &Actor) -> Result<(), Problem> {
        let entry = self.audit(actor, "backup", "everything", "");
        self.hub().store.commit(Batch::now(vec![entry])).await?;
        Ok(())
    }

    /// The audit trail behind a number, oldest first.
    pub async fn audit_trail(
        &self,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page<AuditEntry>, Problem> {
        let after = after.unwrap_or_default();
        let mut items = self.hub().store.audit(after, limit + 1).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more);
        Ok(Page {
            next: next.map(|entry| entry.seq.to_string()),
            items,
        })
    }
}

/// Whether a record is one of a unit that is to work.
pub(crate) fn in_service(config: &Config) -> bool {
    match config.lifecycle {
        Lifecycle::Listed | Lifecycle::Suspended => true,
        Lifecycle::Retired | Lifecycle::Replaced => false,
    }
}

/// The command that enters a unit that asked.
pub fn entering(sighting: &Sighting) -> String {
    let mut command = "dialtone device add".to_owned();
    let fields = [
        ("mac", sighting.mac.map(|mac| mac.to_string())),
        ("serial", sighting.serial.as_ref().map(ToString::to_string)),
        (
            "vendor",
            sighting
                .vendor
                .clone()
                .or_else(|| Some("VENDOR".to_owned())),
        ),
        (
            "model",
            sighting.model.clone().or_else(|| Some("MODEL".to_owned())),
        ),
        ("site", sighting.site.clone()),
    ];
    for (flag, value) in fields {
        if let Some(value) = value {
            command.push_str(&format!(
                " --{flag} {}",
                crate::engine::outlook::word(&value)
            ));
        }
    }
    command
}
