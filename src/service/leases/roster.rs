//! What the inventory says of addresses: which MACs it lists, and the address that it keeps for a
//! unit (variable `dhcp_address`). In memory, so that a stranger costs no reads.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use crate::hub::Hub;
use crate::model::device::Device;
use crate::model::dhcp::KEPT_ADDRESS;
use crate::model::identity::{DeviceId, Mac};
use crate::model::profile::Value;
use crate::store::{Filter, StoreError};

/// A storm of news is no reason to read all of the inventory all the time.
const PAUSE: SignedDuration = SignedDuration::from_secs(60);
/// Units that are read at a time.
const STRETCH: usize = 1000;

/// The roster, and the news that change it.
pub(super) struct Roster {
    rows: BTreeMap<DeviceId, (Option<Mac>, Option<Ipv4Addr>)>,
    macs: BTreeSet<Mac>,
    news: broadcast::Receiver<DeviceId>,
    /// When all of it was read, and whether news were missed since.
    read: Timestamp,
    missed: bool,
}

/// What changed since the last look.
pub(super) enum Heard {
    Nothing,
    Some(BTreeSet<DeviceId>),
    /// More than was kept for us.
    All,
}

impl Roster {
    /// Reads the whole inventory.
    pub(super) async fn read(hub: &Hub) -> Result<Self, StoreError> {
        let mut roster = Self {
            rows: BTreeMap::new(),
            macs: BTreeSet::new(),
            // Before the rows: what changes meanwhile is heard.
            news: hub.devices.subscribe(),
            read: hub.now(),
            missed: false,
        };
        let mut after = None;
        loop {
            let stretch = hub
                .store
                .devices(&Filter::default(), after, STRETCH)
                .await?;
            for device in &stretch {
                roster.note(device.id, Some(device));
            }
            after = stretch.last().map(|device| device.id);
            if stretch.len() < STRETCH {
                return Ok(roster);
            }
        }
    }

    /// Takes a unit as it is now; `None` where it is gone.
    pub(super) fn note(&mut self, id: DeviceId, device: Option<&Device>) {
        if let Some((Some(mac), _)) = self.rows.remove(&id) {
            self.macs.remove(&mac);
        }
        let Some(device) = device else { return };
        let address = match device.config.variables.0.get(KEPT_ADDRESS) {
            Some(Value::Text(text)) => text.trim().parse().ok(),
            Some(_) | None => None,
        };
        self.macs.extend(device.config.mac);
        self.rows.insert(id, (device.config.mac, address));
    }

    /// Takes another's rows, and keeps its own ear.
    pub(super) fn take(&mut self, other: Self) {
        self.rows = other.rows;
        self.macs = other.macs;
        self.read = other.read;
    }

    /// All of it could not be read: later.
    pub(super) fn missed(&mut self) {
        self.missed = true;
    }

    pub(super) fn lists(&self, mac: Mac) -> bool {
        self.macs.contains(&mac)
    }

    /// The address that is kept for a unit, if any; `None` where the unit is not known.
    pub(super) fn address(&self, device: DeviceId) -> Option<Option<Ipv4Addr>> {
        self.rows.get(&device).map(|(_, address)| *address)
    }

    /// Which addresses are kept, and for whom; of two units with one address the first has it.
    pub(super) fn reserved(&self) -> BTreeMap<Ipv4Addr, DeviceId> {
        let mut kept = BTreeMap::new();
        for (unit, (_, address)) in &self.rows {
            if let Some(address) = address {
                kept.entry(*address).or_insert(*unit);
            }
        }
        kept
    }

    /// What changed since the last look.
    pub(super) fn heard(&mut self, now: Timestamp) -> Heard {
        let mut ids = BTreeSet::new();
        loop {
            match self.news.try_recv() {
                Ok(id) => drop(ids.insert(id)),
                Err(TryRecvError::Lagged(_)) => self.missed = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if self.missed && now.duration_since(self.read) >= PAUSE {
            self.missed = false;
            return Heard::All;
        }
        if ids.is_empty() {
            Heard::Nothing
        } else {
            Heard::Some(ids)
        }
    }
}
