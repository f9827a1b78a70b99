//! How units' present boots began, and how often that was written: bounded, in memory only.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::engine::boot::{Arrival, Beginning};
use crate::model::identity::DeviceId;

/// Units that are remembered at least; twice as many at most.
const MOST: usize = 32_768;
/// Anybody can say a listed unit's name: so many arrivals of one unit are written in this time.
const PER_HOUR: u32 = 30;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[derive(Clone)]
struct Row {
    beginning: Beginning,
    since: Timestamp,
    written: u32,
}

/// Two halves: the elder is forgotten when the younger is full.
#[derive(Default)]
struct Rows {
    young: BTreeMap<DeviceId, Row>,
    old: BTreeMap<DeviceId, Row>,
}

#[derive(Default)]
pub(super) struct Arrivals(Mutex<Rows>);

impl Arrivals {
    /// How the unit's present boot began, as far as it was heard.
    pub(super) fn before(&self, unit: DeviceId) -> Option<Beginning> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.young.get(&unit).or_else(|| rows.old.get(&unit));
        row.map(|row| row.beginning.clone())
    }

    /// Whether one more arrival of the unit may be written.
    pub(super) fn may_write(&self, unit: DeviceId, now: Timestamp) -> bool {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.young.get(&unit).or_else(|| rows.old.get(&unit));
        row.is_none_or(|row| row.written < PER_HOUR || row.is_over(now))
    }

    /// Remembers one more arrival, and whether it was written.
    pub(super) fn note(
        &self,
        unit: DeviceId,
        arrival: &Arrival,
        begun: bool,
        written: bool,
        now: Timestamp,
    ) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = rows.young.remove(&unit).or_else(|| rows.old.remove(&unit));
        let mut row = known.unwrap_or_else(|| Row {
            beginning: Beginning::default(),
            since: now,
            written: 0,
        });
        row.beginning = Beginning::after(Some(&row.beginning), arrival, begun);
        if row.is_over(now) {
            row.since = now;
            row.written = 0;
        }
        row.written = row.written.saturating_add(u32::from(written));
        if rows.young.len() >= MOST {
            rows.old = std::mem::take(&mut rows.young);
        }
        rows.young.insert(unit, row);
    }
}

impl Row {
    fn is_over(&self, now: Timestamp) -> bool {
        now.duration_since(self.since).abs() > HOUR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_said_without_end_is_written_at_a_pace() {
        let arrivals = Arrivals::default();
        let unit = DeviceId(7);
        let at = |second: i64| Timestamp::new(second, 0).unwrap_or_default();
        let due = |second: i64| {
            let call = Arrival::Subscribe(second.to_string());
            let due = arrivals.may_write(unit, at(second));
            arrivals.note(unit, &call, true, due, at(second));
            due
        };
        assert_eq!((0..1000).filter(|second| due(*second)).count(), 30);
        assert!(due(4000));
        assert_eq!(
            arrivals.before(unit).and_then(|before| before.call_id),
            Some("4000".to_owned())
        );
    }

    #[test]
    fn memory_is_bounded() {
        let arrivals = Arrivals::default();
        for unit in 0..200_000 {
            let link = Arrival::Link(String::new());
            arrivals.note(DeviceId(unit), &link, true, true, Timestamp::UNIX_EPOCH);
        }
        let rows = arrivals.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(rows.young.len() + rows.old.len() <= 2 * MOST);
    }
}
