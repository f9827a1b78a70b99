//! What a decision is made from, as it stands at one moment.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::cases::Case;
use super::settings::Snapshot;
use super::{Inner, Trouble, prefixes};
use crate::catalog::Catalog;
use crate::engine::decide::{UnitSide, decide};
use crate::engine::facts::Facts;
use crate::engine::identify::{Claims, claims};
use crate::engine::known::{Found, Known, World};
use crate::engine::select::Selected;
use crate::engine::verdict::Verdict;
use crate::hub::Bases;

/// The request's claims, what the store knows of them, and the rows that people set.
pub(super) struct Scene {
    pub(super) now: Timestamp,
    pub(super) catalog: Arc<Catalog>,
    pub(super) claims: Claims,
    pub(super) known: Known,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) bases: Arc<Bases>,
    anchored: Arc<BTreeSet<String>>,
    fresh: u128,
}

impl Scene {
    pub(super) fn world(&self) -> World<'_> {
        self.snapshot
            .world(self.now, self.fresh, &self.bases, &self.anchored)
    }

    /// The engine's decision on a file.
    pub(super) fn decided(
        &self,
        facts: &Facts,
        selected: &Selected<'_>,
        unit: Option<&Case<'_>>,
    ) -> Verdict {
        let vendor = self.claims.vendor.as_ref();
        let always = vendor
            .and_then(|vendor| self.catalog.vendors.get(vendor))
            .map(|vendor| vendor.certificates.iter().map(|rule| &rule.always))
            .map(Iterator::collect::<Vec<_>>)
            .unwrap_or_default();
        let side = unit.map(|case| UnitSide {
            family: &case.revision.family,
            revision: case.revision.digest,
            needs: case.needs,
            always: &always,
        });
        decide(
            facts,
            &self.claims,
            &self.known,
            selected,
            side,
            &self.world(),
        )
    }
}

impl Inner {
    /// Other units that the prefix of this one's site was believed for.
    fn beside(&self, known: &Known, snapshot: &Snapshot) -> u32 {
        let Found::One(device) = known.found() else {
            return 0;
        };
        let site = device.config.site.as_ref();
        let site = site.and_then(|name| snapshot.settings.sites.get(name));
        site.filter(|site| prefixes::counts(site))
            .map_or(0, |site| self.prefixes.beside(site, device.id))
    }

    /// As it stands now; none where the system has no random numbers to give.
    pub(super) async fn scene(&self, facts: &Facts) -> Result<Option<Scene>, Trouble> {
        let hub = &self.hub;
        let now = hub.now();
        let catalog = hub.catalog.load_full();
        let claims = claims(facts, &catalog);
        let mut known = self.known(facts, &claims, now).await?;
        let snapshot = self.snapshots.of(hub)?;
        known.beside = self.beside(&known, &snapshot);
        let anchored = snapshot.anchored(hub);
        let Some(fresh) = (hub.random)() else {
            return Ok(None);
        };
        Ok(Some(Scene {
            now,
            catalog,
            claims,
            known,
            snapshot,
            bases: hub.bases.load_full(),
            anchored,
            fresh,
        }))
    }
}
