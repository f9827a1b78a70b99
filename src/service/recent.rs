//! What was lately answered to a source: files that were refused, and the unit that asked. Bounded,
//! in memory only.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::engine::boot::SILENCE;
use crate::model::identity::DeviceId;

/// Sources that are remembered.
const MOST: usize = 8192;
/// Of one IPv6 network: a host has as many addresses there as it likes.
const OF_NETWORK: usize = 512;
/// That are forgotten at once where there is no room, so that a flood looks for them seldom.
const AT_ONCE: usize = 256;
/// Refused files that are remembered of each.
const FILES: usize = 16;

struct Source {
    last: Timestamp,
    refused: BTreeSet<String>,
    unit: Option<DeviceId>,
}

#[derive(Default)]
pub(super) struct Recent(Mutex<BTreeMap<IpAddr, Source>>);

impl Recent {
    /// A unit's own file was refused to this source.
    pub(super) fn refused(&self, source: IpAddr, artefact: &str, now: Timestamp) {
        self.with(source, now, |row| {
            if row.refused.len() < FILES {
                row.refused.insert(artefact.to_owned());
            }
        });
    }

    /// A unit's own file was served to this source.
    pub(super) fn served(&self, source: IpAddr, artefact: &str, unit: DeviceId, now: Timestamp) {
        self.with(source, now, |row| {
            row.refused.remove(artefact);
            row.unit = Some(unit);
        });
    }

    /// Artefacts refused to this source in its present boot.
    pub(super) fn refused_to(&self, source: IpAddr, now: Timestamp) -> BTreeSet<String> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(&source.to_canonical())
            .filter(|row| now.duration_since(row.last) <= SILENCE)
            .map(|row| row.refused.clone())
            .unwrap_or_default()
    }

    /// The unit that was last heard from this source.
    pub(super) fn unit_at(&self, source: IpAddr, now: Timestamp) -> Option<DeviceId> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(&source.to_canonical())
            .filter(|row| now.duration_since(row.last) <= SILENCE)
            .and_then(|row| row.unit)
    }

    fn with(&self, source: IpAddr, now: Timestamp, change: impl FnOnce(&mut Source)) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let source = source.to_canonical();
        if !rows.contains_key(&source) {
            make_room(&mut rows, source, now);
        }
        let row = rows.entry(source).or_insert_with(|| Source {
            last: now,
            refused: BTreeSet::new(),
            unit: None,
        });
        if now.duration_since(row.last) > SILENCE {
            row.refused.clear();
        }
        row.last = now;
        change(row);
    }
}

/// Makes room for one more source. An IPv6 network pushes out its own rows; where all rows are fresh, the
/// oldest of those go from where nothing was served.
fn make_room(rows: &mut BTreeMap<IpAddr, Source>, source: IpAddr, now: Timestamp) {
    if let IpAddr::V6(address) = source {
        let own = network(address);
        if rows.range(own.clone()).count() >= OF_NETWORK {
            let oldest = rows.range(own).min_by_key(|(_, row)| row.last);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                rows.remove(&oldest);
            }
        }
    }
    if rows.len() < MOST {
        return;
    }
    rows.retain(|_, row| now.duration_since(row.last) <= SILENCE);
    if rows.len() < MOST {
        return;
    }
    let mut order: Vec<_> = rows
        .iter()
        .map(|(address, row)| (row.unit.is_some(), row.last, *address))
        .collect();
    order.sort_unstable();
    for (.., address) in order.into_iter().take(AT_ONCE) {
        rows.remove(&address);
    }
}

/// The addresses of a /64.
fn network(address: Ipv6Addr) -> RangeInclusive<IpAddr> {
    const HOST: u128 = (1 << 64) - 1;
    let first = address.to_bits() & !HOST;
    let last = first | HOST;
    IpAddr::V6(first.into())..=IpAddr::V6(last.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_pushes_out_its_own_network_and_no_served_unit() {
        let recent = Recent::default();
        let now = Timestamp::UNIX_EPOCH;
        let at = |second: i64| {
            now.checked_add(jiff::SignedDuration::from_secs(second))
                .unwrap()
        };
        let refused: IpAddr = "192.0.2.9".parse().unwrap();
        let served: IpAddr = "2001:db8:1::9".parse().unwrap();
        recent.refused(refused, "own", now);
        recent.served(served, "own", DeviceId(7), now);
        // From one network, more than is remembered of all.
        for n in 0..10_000_u128 {
            let own = (0x2001_0db8_u128 << 96) + n;
            recent.refused(IpAddr::V6(own.into()), "own", at(1));
        }
        assert_eq!(recent.refused_to(refused, at(1)).len(), 1);
        // From as many networks.
        for n in 0..10_000_u128 {
            let own = (0x2001_0db9_u128 << 96) + (n << 64);
            recent.refused(IpAddr::V6(own.into()), "own", at(2));
        }
        assert!(recent.refused_to(refused, at(2)).is_empty());
        assert_eq!(recent.unit_at(served, at(2)), Some(DeviceId(7)));
        let rows = recent.0.lock().unwrap();
        assert!(rows.len() <= MOST, "{}", rows.len());
    }
}
