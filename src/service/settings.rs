//! The rows that people set for many units, in the shape that the engine takes; built again only
//! when one of them changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Trouble;
use crate::engine::https::Front;
use crate::engine::known::{ProfileKey, PublishedAt, World};
use crate::hub::{Bases, Hub};
use crate::model::identity::BootId;
use crate::store::Settings;

/// Settings at one version.
pub(super) struct Snapshot {
    pub(super) settings: Arc<Settings>,
    pub(super) zones: BTreeMap<String, TimeZone>,
    pub(super) published: BTreeMap<ProfileKey, PublishedAt>,
}

/// The latest snapshot.
#[derive(Default)]
pub(super) struct Snapshots(ArcSwapOption<Snapshot>);

impl Snapshots {
    /// As of now.
    pub(super) fn of(&self, hub: &Hub) -> Result<Arc<Snapshot>, Trouble> {
        let settings = hub.store.settings()?;
        if let Some(kept) = self.0.load_full()
            && kept.settings.version == settings.version
        {
            return Ok(kept);
        }
        let zones = settings.sites.values().map(|site| {
            let zone = TimeZone::get(&site.timezone).unwrap_or(TimeZone::UTC);
            (site.name.clone(), zone)
        });
        let published = settings.published.values().map(|row| {
            let key = ProfileKey {
                vendor: row.vendor.clone(),
                family: row.family.clone(),
                profile: row.profile.clone(),
            };
            let at = PublishedAt {
                digest: row.digest,
                at: row.at,
            };
            (key, at)
        });
        let snapshot = Arc::new(Snapshot {
            zones: zones.collect(),
            published: published.collect(),
            settings,
        });
        self.0.store(Some(Arc::clone(&snapshot)));
        Ok(snapshot)
    }
}

impl Snapshot {
    /// Vendors with an anchor: those that the listeners loaded, and those that a person gave since.
    pub(super) fn anchored(&self, hub: &Hub) -> Arc<BTreeSet<String>> {
        let loaded = hub.anchored.load_full();
        let given = self.settings.anchors.iter().map(|(vendor, _)| vendor);
        if given.clone().all(|vendor| loaded.contains(vendor)) {
            return loaded;
        }
        let mut all = BTreeSet::clone(&loaded);
        all.extend(given.cloned());
        Arc::new(all)
    }

    /// The world at one moment. `fresh` names a boot, should one begin.
    pub(super) fn world<'a>(
        &'a self,
        now: Timestamp,
        fresh: u128,
        bases: &'a Bases,
        anchored: &'a BTreeSet<String>,
    ) -> World<'a> {
        World {
            now,
            fresh_boot: BootId(u64::try_from(fresh >> 64).unwrap_or_default()),
            sites: &self.settings.sites,
            zones: &self.zones,
            waivers: &self.settings.waivers,
            published: &self.published,
            anchored,
            registrar: false,
            front: Front {
                base: bases.https.as_deref(),
                certified: &bases.certified,
            },
        }
    }
}
