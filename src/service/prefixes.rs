//! Which units a site's prefix was believed for, of sites that say how many they expect. In memory,
//! read from the units themselves after a start; what came of it is a row of the site.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::{Service, Trouble};
use crate::engine::prefix;
use crate::model::device::Device;
use crate::model::identity::DeviceId;
use crate::model::site::{Corroborate, Doubt, Site};
use crate::store::{AuditEntry, Batch, StoreError, Write};

/// One site's units, since a person last let its prefix be believed.
#[derive(Default)]
struct Row {
    since: Option<Timestamp>,
    units: BTreeSet<DeviceId>,
}

#[derive(Default)]
pub(super) struct Prefixes(Mutex<BTreeMap<String, Row>>);

impl Prefixes {
    /// How many units beside this one the prefix was believed for.
    pub(super) fn beside(&self, site: &Site, unit: DeviceId) -> u32 {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.get(&site.name);
        let row = row.filter(|row| row.since == site.believed_since);
        let others = row.map_or(0, |row| {
            let own = usize::from(row.units.contains(&unit));
            row.units.len().saturating_sub(own)
        });
        u32::try_from(others).unwrap_or(u32::MAX)
    }

    /// The prefix was believed for this unit. No more are remembered than the site expects.
    pub(super) fn note(&self, site: &Site, unit: DeviceId) {
        if !counts(site) {
            return;
        }
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.entry(site.name.clone()).or_default();
        if row.since != site.believed_since {
            *row = Row {
                since: site.believed_since,
                units: BTreeSet::new(),
            };
        }
        let most = usize::try_from(site.expect).unwrap_or(usize::MAX);
        if row.units.len() <= most {
            row.units.insert(unit);
        }
    }
}

/// Whether the number of a site's units is looked at.
pub(super) fn counts(site: &Site) -> bool {
    site.corroborate == Corroborate::Prefix && site.expect > 0
}

/// What the sweep sees of prefixes on its way over the units.
#[derive(Default)]
pub(super) struct Silent(BTreeMap<String, Vec<Timestamp>>);

impl Silent {
    /// Takes one unit that was believed by prefix.
    pub(super) fn take(&mut self, service: &Service, device: &Device) -> Result<(), StoreError> {
        let status = device.status_now();
        let settings = service.0.hub.store.settings()?;
        let site = device.config.site.as_ref();
        let Some(site) = site.and_then(|name| settings.sites.get(name)) else {
            return Ok(());
        };
        // What was before a person's last word on it is settled.
        let fresh = |at: &Timestamp| site.believed_since.is_none_or(|since| since < *at);
        if prefix::believed_at(&status).filter(fresh).is_some() {
            service.0.prefixes.note(site, device.id);
        }
        if let Some(at) = prefix::silent_at(&status).filter(fresh) {
            self.0.entry(site.name.clone()).or_default().push(at);
        }
        Ok(())
    }

    /// Stops the sites whose units were too silent.
    pub(super) async fn judge(self, service: &Service) -> Result<(), StoreError> {
        for (name, times) in self.0 {
            let settings = service.0.hub.store.settings()?;
            let site = settings.sites.get(&name);
            let Some(site) = site.filter(|site| site.believes_prefix()) else {
                continue;
            };
            if prefix::too_many_silent(times) {
                let writes = service.doubt(site, Doubt::NeverReported);
                match service.0.hub.store.commit(Batch::now(writes)).await {
                    // A person was faster: the next sweep looks again.
                    Ok(_) | Err(StoreError::Conflict { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

impl Service {
    /// The site's row with its doubt, and the word in the audit trail.
    pub(super) fn doubt(&self, site: &Site, doubt: Doubt) -> Vec<Write> {
        tracing::warn!(
            site = site.name,
            doubt = doubt.as_str(),
            "the prefix of a site is believed no more"
        );
        vec![
            Write::PutSite(Site {
                doubt: Some(doubt),
                ..site.clone()
            }),
            Write::Audit(AuditEntry {
                seq: 0,
                at: self.0.hub.now(),
                actor: "server".to_owned(),
                action: "site.doubt".to_owned(),
                subject: format!("site {}", site.name),
                outcome: "done".to_owned(),
                detail: doubt.text().to_owned(),
            }),
        ]
    }

    /// The row of the site that has too many units, if it is still believed.
    pub(super) fn crowded(&self, name: &str) -> Result<Vec<Write>, Trouble> {
        let settings = self.0.hub.store.settings()?;
        let site = settings.sites.get(name);
        let site = site.filter(|site| site.believes_prefix());
        Ok(site.map_or_else(Vec::new, |site| self.doubt(site, Doubt::MoreThanExpected)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_counted_once_and_anew_when_a_person_spoke() {
        let prefixes = Prefixes::default();
        let mut site = Site::new("hq");
        site.corroborate = Corroborate::Prefix;
        prefixes.note(&site, DeviceId(1));
        assert_eq!(
            prefixes.beside(&site, DeviceId(2)),
            0,
            "it expects no number"
        );
        site.expect = 2;
        for unit in [1, 2, 2, 1] {
            prefixes.note(&site, DeviceId(unit));
        }
        assert_eq!(prefixes.beside(&site, DeviceId(2)), 1);
        assert_eq!(prefixes.beside(&site, DeviceId(3)), 2);
        for unit in 0..1000 {
            prefixes.note(&site, DeviceId(unit));
        }
        assert_eq!(
            prefixes.beside(&site, DeviceId(5000)),
            3,
            "memory is bounded"
        );
        site.believed_since = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(prefixes.beside(&site, DeviceId(3)), 0);
        prefixes.note(&site, DeviceId(9));
        assert_eq!(prefixes.beside(&site, DeviceId(3)), 1);
    }
}
