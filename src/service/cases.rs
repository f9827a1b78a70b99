//! Rows of the store as what the engine asks for.

use std::sync::Arc;

use jiff::Timestamp;

use super::settings::Snapshot;
use super::{Inner, Trouble};
use crate::catalog::revision::Revision;
use crate::engine::facts::Facts;
use crate::engine::identify::Claims;
use crate::engine::known::{Known, Needs};
use crate::engine::point;
use crate::engine::resolve::{Sources, Values};
use crate::model::device::Device;
use crate::model::identity::{Mac, Serial};
use crate::store::KnownAsk;

/// A listed unit, the revision that it is rendered from, and what it sees.
pub(super) struct Case<'a> {
    pub(super) device: &'a Device,
    pub(super) revision: Arc<Revision>,
    pub(super) snapshot: &'a Snapshot,
    pub(super) needs: Needs,
}

impl Case<'_> {
    /// What the unit sees. Only a file that is rendered needs it.
    pub(super) fn values(&self) -> Values {
        let scopes = &self.snapshot.settings.scopes;
        Sources::of(&self.device.config, scopes, &self.revision).values()
    }
}

impl Inner {
    /// What the store knows of a request's identifiers.
    pub(super) async fn known(
        &self,
        facts: &Facts,
        claims: &Claims,
        now: Timestamp,
    ) -> Result<Known, Trouble> {
        let mut ask = KnownAsk {
            macs: claims.mac.into_iter().collect(),
            serials: claims.serial.iter().cloned().collect(),
            token: claims.token,
            report: claims.report,
            source: facts.source,
        };
        if let Some(conflict) = &claims.conflict {
            ask.macs.extend(&conflict.macs);
            ask.serials.extend(conflict.serials.iter().cloned());
        }
        let (client_mac, client_serial) =
            facts.dhcp.as_ref().map(point::client).unwrap_or_default();
        ask.macs
            .extend(client_mac.filter(|mac| !ask.macs.contains(mac)));
        let more = client_serial
            .iter()
            .filter(|serial| !ask.serials.contains(serial));
        ask.serials.extend(more.cloned().collect::<Vec<_>>());
        let rows = self.hub.store.known(&ask).await?;
        let refused = match facts.source {
            Some(source) => self.recent.refused_to(source, now),
            None => std::collections::BTreeSet::default(),
        };
        if claims.conflict.is_some() {
            let all = rows.by_mac.iter().chain(&rows.by_serial);
            return Ok(Known {
                disagreeing: all.map(|device| device.id).collect(),
                refused,
                ..Known::default()
            });
        }
        // Two vendors may give one number: the claimed vendor's unit is meant.
        let own = |device: &&Device| {
            let vendor = claims.vendor.as_ref();
            vendor.is_none_or(|vendor| *vendor == device.config.vendor)
        };
        let with_mac = |mac: Option<Mac>| {
            let mut rows = rows.by_mac.iter();
            rows.find(|device| mac.is_some() && device.config.mac == mac)
        };
        let with_serial = |serial: &Option<Serial>| {
            let rows = rows.by_serial.iter();
            let mut rows =
                rows.filter(|device| serial.is_some() && device.config.serial == *serial);
            rows.find(own)
        };
        let by_client = with_mac(client_mac).or_else(|| with_serial(&client_serial));
        Ok(Known {
            by_serial: with_serial(&claims.serial).cloned(),
            by_mac: with_mac(claims.mac).cloned(),
            by_client: by_client.cloned(),
            by_token: rows.by_token,
            by_report: rows.by_report,
            lease: rows.lease,
            refused,
            beside: 0,
            disagreeing: Vec::new(),
        })
    }
}
