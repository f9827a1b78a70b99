//! Units that asked and are not in the inventory: bounded, in memory only (trust.md section 6).

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;

use crate::model::event::Sighting;
use crate::model::identity::{Mac, Serial};

/// How many are kept.
pub const MOST: usize = 4096;
/// How many go at once where there is no room, so that a scan looks for the oldest seldom.
const AT_ONCE: usize = 64;

/// Who a sighting is of: its MAC, else its serial.
type Name = (Option<Mac>, Option<Serial>);

/// The sightings, each unit once.
#[derive(Debug, Default)]
pub struct Sightings {
    rows: BTreeMap<Name, (bool, Sighting)>,
}

impl Sightings {
    /// Counts a contact. `real` is one with a lease or a relay port behind it: a bare name that
    /// anybody can make up pushes out bare names only, never a real unit's.
    pub fn note(&mut self, sighting: Sighting, real: bool) -> Option<&Sighting> {
        let name: Name = (
            sighting.mac,
            sighting.serial.clone().filter(|_| sighting.mac.is_none()),
        );
        if name == (None, None) {
            return None;
        }
        if !self.rows.contains_key(&name) && self.rows.len() >= MOST && !self.make_room(real) {
            return None;
        }
        let (is_real, row) = self
            .rows
            .entry(name)
            .and_modify(|(_, row)| {
                let (first, count) = (row.first, row.count.saturating_add(1));
                let known = row.clone();
                *row = sighting.clone();
                if row.ip.is_unspecified() {
                    row.ip = known.ip;
                }
                row.first = first;
                row.count = count;
                row.model = row.model.take().or(known.model);
                row.family = row.family.take().or(known.family);
                row.serial = row.serial.take().or(known.serial);
                row.firmware = row.firmware.take().or(known.firmware);
            })
            .or_insert((real, sighting));
        *is_real |= real;
        Some(row)
    }

    /// A TLS handshake from this address ended before a request: who was last seen there is shown why.
    pub fn failed(&mut self, ip: IpAddr, reason: &str, now: Timestamp) -> Option<&Sighting> {
        let rows = self.rows.values_mut().map(|(_, row)| row);
        let row = rows.filter(|row| row.ip == ip).max_by_key(|row| row.last)?;
        row.last = now;
        reason.clone_into(&mut row.reason);
        Some(row)
    }

    /// Takes a unit out: it is in the inventory now.
    pub fn forget(&mut self, mac: Option<Mac>, serial: Option<&Serial>) {
        self.rows.retain(|_, (_, row)| {
            let same = (mac.is_some() && row.mac == mac)
                || (serial.is_some() && row.serial.as_ref() == serial);
            !same
        });
    }

    /// All of them, the newest contact first.
    pub fn list(&self) -> Vec<Sighting> {
        let mut all: Vec<Sighting> = self.rows.values().map(|(_, row)| row.clone()).collect();
        all.sort_by_key(|row| std::cmp::Reverse(row.last));
        all
    }

    /// Takes the oldest bare names out, or where there are none and a real unit comes, the oldest of
    /// all.
    fn make_room(&mut self, real: bool) -> bool {
        let mut bare: Vec<_> = self.oldest(true);
        if bare.is_empty() && real {
            bare = self.oldest(false);
        }
        bare.sort_unstable();
        for (_, name) in bare.iter().take(AT_ONCE) {
            self.rows.remove(name);
        }
        !bare.is_empty()
    }

    /// Who may go, with the time of the last contact.
    fn oldest(&self, bare: bool) -> Vec<(Timestamp, Name)> {
        let rows = self.rows.iter();
        let rows = rows.filter(|(_, (is_real, _))| *is_real != bare);
        rows.map(|(name, (_, row))| (row.last, name.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identity::Channel;

    fn sighting(n: u32, second: i64) -> Sighting {
        let [a, b, c, d] = n.to_be_bytes();
        Sighting {
            mac: Mac::new([0x02, 0, a, b, c, d]).ok(),
            serial: None,
            vendor: None,
            family: None,
            model: None,
            firmware: None,
            ip: [127, 0, 0, 1].into(),
            site: None,
            channel: Channel::Http,
            first: Timestamp::new(second, 0).unwrap_or_default(),
            last: Timestamp::new(second, 0).unwrap_or_default(),
            count: 1,
            reason: "not-listed".to_owned(),
        }
    }

    #[test]
    fn a_scan_never_flushes_a_real_unit() {
        let mut sightings = Sightings::default();
        sightings.note(sighting(0, 0), true);
        for n in 1..=10_000 {
            sightings.note(sighting(n, i64::from(n)), false);
        }
        let rows = sightings.list();
        assert!((MOST - AT_ONCE..=MOST).contains(&rows.len()));
        assert!(rows.iter().any(|row| row.mac == sighting(0, 0).mac));
    }

    #[test]
    fn contacts_of_one_unit_add_up() {
        let mut sightings = Sightings::default();
        sightings.note(sighting(7, 1), false);
        sightings.note(sighting(7, 5), false);
        let rows = sightings.list();
        let row = rows.first().expect("one row");
        assert_eq!(
            (row.count, row.first.as_second(), row.last.as_second()),
            (2, 1, 5)
        );
        sightings.forget(row.mac, None);
        assert!(sightings.list().is_empty());
    }
}
