//! Who has a transfer: one for each peer's port, capped by address and in all.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::admission::{SiteCap, network};
use super::super::limits::TftpLimits;

/// A peer's port, and the address of ours that it asked: its transfer ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tid {
    pub(super) peer: SocketAddr,
    /// With port 0.
    pub(super) local: SocketAddr,
}

/// All transfers of the server. Shared by every listener.
pub(super) struct Table {
    site_cap: SiteCap,
    most: usize,
    strangers: usize,
    per_address: usize,
    quiet: Duration,
    began: Instant,
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    seats: HashMap<Tid, Row>,
    held: HashMap<IpAddr, usize>,
    strangers: usize,
    /// Answered by us and not by the peer, oldest first.
    unconfirmed: BTreeMap<u64, Tid>,
    last: u64,
}

struct Row {
    number: u64,
    request: u64,
    stranger: bool,
    note: Arc<Note>,
}

/// What the listener tells a transfer.
#[derive(Default)]
pub(super) struct Note {
    pub(super) word: Notify,
    /// Octets of copies of the request that came since.
    again: AtomicUsize,
    unseated: AtomicBool,
    confirmed: AtomicBool,
    /// When the peer last moved the transfer, in milliseconds of the table's life.
    moved: AtomicU64,
}

impl Note {
    /// Octets of copies of the request, each told once.
    pub(super) fn copies(&self) -> usize {
        self.again.swap(0, Ordering::Relaxed)
    }

    /// Whether somebody else has the seat now.
    pub(super) fn is_unseated(&self) -> bool {
        self.unseated.load(Ordering::Relaxed)
    }
}

/// A transfer's place; free when dropped.
pub(super) struct Seat {
    table: Arc<Table>,
    tid: Tid,
    number: u64,
    pub(super) note: Arc<Note>,
}

/// What becomes of a request.
pub(super) enum Seating {
    Seated(Seat),
    /// The transfer is under way, and was told.
    Again,
    /// Too many of this address, or of all.
    Full,
}

impl Table {
    pub(super) fn new(limits: &TftpLimits, site_cap: SiteCap) -> Self {
        Self {
            site_cap,
            most: limits.transfers,
            strangers: limits.transfers.saturating_mul(limits.strangers_percent) / 100,
            per_address: limits.per_address,
            quiet: limits.restart_after,
            began: Instant::now(),
            rows: Mutex::default(),
        }
    }

    /// Takes a place for the request. A copy of the one under way is told to it; another request
    /// from the same port ends it, and so does a copy after silence: the unit started again.
    pub(super) fn seat(self: &Arc<Self>, tid: Tid, request: &[u8]) -> Seating {
        let mut hasher = DefaultHasher::new();
        request.hash(&mut hasher);
        let hash = hasher.finish();
        let source = tid.peer.ip().to_canonical();
        let key = network(source);
        let site = (self.site_cap)(source);
        let cap = site.unwrap_or(self.per_address);
        let mut rows = self.lock();
        if let Some(row) = rows.seats.get(&tid) {
            let note = &row.note;
            let quiet = Duration::from_millis(note.moved.load(Ordering::Relaxed));
            let lately = self.began.elapsed().saturating_sub(quiet) < self.quiet;
            let confirmed = note.confirmed.load(Ordering::Relaxed);
            if row.request == hash && (lately || !confirmed) {
                if !confirmed {
                    note.again.fetch_add(request.len(), Ordering::Relaxed);
                    note.word.notify_one();
                }
                return Seating::Again;
            }
            rows.unseat(tid);
        }
        let full = |rows: &Rows| {
            rows.seats.len() >= self.most || site.is_none() && rows.strangers >= self.strangers
        };
        if rows.held.get(&key).is_some_and(|held| *held >= cap) || cap == 0 {
            return Seating::Full;
        }
        if full(&rows)
            && let Some((_, oldest)) = rows.unconfirmed.pop_first()
        {
            rows.unseat(oldest);
        }
        if full(&rows) {
            return Seating::Full;
        }
        rows.last = rows.last.wrapping_add(1);
        let number = rows.last;
        let note = Arc::new(Note::default());
        let row = Row {
            number,
            request: hash,
            stranger: site.is_none(),
            note: Arc::clone(&note),
        };
        rows.strangers += usize::from(row.stranger);
        *rows.held.entry(key).or_insert(0) += 1;
        rows.seats.insert(tid, row);
        Seating::Seated(Seat {
            table: Arc::clone(self),
            tid,
            number,
            note,
        })
    }

    /// Transfers under way.
    pub(super) fn held(&self) -> usize {
        self.lock().seats.len()
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// From here on the seat may be given to another.
    pub(super) fn answered(&self) {
        let mut rows = self.table.lock();
        if rows.seats.get(&self.tid).map(|row| row.number) == Some(self.number) {
            rows.unconfirmed.insert(self.number, self.tid);
        }
    }

    /// The peer moved the transfer. The first time, the seat is its own.
    pub(super) fn moved(&self) {
        let at = self.table.began.elapsed().as_millis();
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        self.note.moved.store(at, Ordering::Relaxed);
        if !self.note.confirmed.swap(true, Ordering::Relaxed) {
            self.table.lock().unconfirmed.remove(&self.number);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut rows = self.table.lock();
        if rows.seats.get(&self.tid).map(|row| row.number) == Some(self.number) {
            rows.unseat(self.tid);
        }
    }
}

impl Rows {
    /// Takes a seat away and tells its transfer.
    fn unseat(&mut self, tid: Tid) {
        let Some(row) = self.seats.remove(&tid) else {
            return;
        };
        self.unconfirmed.remove(&row.number);
        self.strangers = self.strangers.saturating_sub(usize::from(row.stranger));
        let key = network(tid.peer.ip());
        if let Some(held) = self.held.get_mut(&key) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.held.remove(&key);
            }
        }
        row.note.unseated.store(true, Ordering::Relaxed);
        row.note.word.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tid(text: &str) -> Tid {
        Tid {
            peer: text.parse().unwrap(),
            local: "192.0.2.1:0".parse().unwrap(),
        }
    }

    fn table(limits: &TftpLimits) -> Arc<Table> {
        let site: IpAddr = "10.9.0.1".parse().unwrap();
        let cap = move |ip| (ip == site).then_some(3);
        Arc::new(Table::new(limits, Box::new(cap)))
    }

    fn seat(table: &Arc<Table>, peer: &str) -> Option<Seat> {
        match table.seat(tid(peer), b"request") {
            Seating::Seated(seat) => Some(seat),
            Seating::Again | Seating::Full => None,
        }
    }

    #[test]
    fn c14_caps_by_address_and_the_oldest_unconfirmed_makes_room() {
        let table = table(&TftpLimits {
            transfers: 6,
            strangers_percent: 100,
            per_address: 2,
            ..TftpLimits::default()
        });
        let one = seat(&table, "198.51.100.1:1").unwrap();
        let two = seat(&table, "198.51.100.1:2").unwrap();
        assert!(seat(&table, "198.51.100.1:3").is_none(), "two an address");
        let site: Vec<_> = (1..4)
            .map(|port| seat(&table, &format!("10.9.0.1:{port}")).unwrap())
            .collect();
        assert!(seat(&table, "10.9.0.1:9").is_none(), "three in this site");
        let last = seat(&table, "198.51.100.2:1").unwrap();
        assert_eq!(table.held(), 6);
        assert!(seat(&table, "198.51.100.3:1").is_none(), "none is answered");
        for seat in [&two, &one, &last] {
            seat.answered();
        }
        one.moved();
        let fresh = seat(&table, "198.51.100.3:1").unwrap();
        assert!(two.note.is_unseated(), "the oldest that is not confirmed");
        assert!(!one.note.is_unseated() && !last.note.is_unseated());
        assert_eq!(table.held(), 6);
        drop(two);
        assert_eq!(table.held(), 6, "its seat is another's");
        drop((one, last, fresh, site));
        let rows = table.lock();
        assert!(rows.seats.is_empty() && rows.held.is_empty() && rows.unconfirmed.is_empty());
        assert_eq!(rows.strangers, 0);
    }

    #[test]
    fn strangers_leave_room_for_sites() {
        let table = table(&TftpLimits {
            transfers: 4,
            strangers_percent: 50,
            ..TftpLimits::default()
        });
        let held = [1, 2].map(|n| seat(&table, &format!("198.51.100.{n}:1")).unwrap());
        assert!(seat(&table, "198.51.100.9:1").is_none());
        assert!(seat(&table, "10.9.0.1:1").is_some());
        drop(held);
    }

    #[test]
    fn c16_copies_are_told_and_another_request_takes_over() {
        let limits = TftpLimits::default();
        let table = table(&TftpLimits {
            restart_after: Duration::ZERO,
            ..limits
        });
        let first = seat(&table, "198.51.100.1:1").unwrap();
        let again = |request: &[u8]| table.seat(tid("198.51.100.1:1"), request);
        assert!(matches!(again(b"request"), Seating::Again));
        assert!(matches!(again(b"request"), Seating::Again));
        assert_eq!((first.note.copies(), first.note.copies()), (14, 0));
        let Seating::Seated(other) = again(b"another") else {
            panic!("the port asks for another file");
        };
        assert!(first.note.is_unseated());
        drop(first);
        assert_eq!(table.held(), 1);
        // A copy after silence is a unit that started again; a late copy is nothing.
        other.moved();
        assert!(matches!(again(b"another"), Seating::Seated(_)));
        let patient = Arc::new(Table::new(&limits, Box::new(|_| None)));
        let Seating::Seated(running) = patient.seat(tid("198.51.100.1:1"), b"x") else {
            panic!("there is room");
        };
        running.moved();
        let late = patient.seat(tid("198.51.100.1:1"), b"x");
        assert!(matches!(late, Seating::Again));
        assert!(!running.note.is_unseated() && running.note.copies() == 0);
    }
}
