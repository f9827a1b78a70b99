//! Whether another server is on a wire, and so whether we say nothing there. Pure.
//!
//! What counts is an answer of it (OFFER, ACK, NAK), seen by the probe or by the way. A REQUEST that
//! names it counts as a reason to look, and no more: anybody can send one.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

use crate::model::identity::Mac;

/// How long after its last word another server counts as there.
pub const GONE: SignedDuration = SignedDuration::from_mins(4);
/// How often we look while it is there.
pub const LOOK_SOON: SignedDuration = SignedDuration::from_mins(1);
/// How often we look while nobody is there.
pub const LOOK: SignedDuration = SignedDuration::from_mins(10);
/// Servers of one wire that are remembered.
const MOST: usize = 16;

/// One other server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    pub server: Ipv4Addr,
    /// Where its frame came from, if we saw the frame.
    pub mac: Option<Mac>,
    pub first: Timestamp,
    pub last: Timestamp,
    pub count: u64,
}

/// The other servers on one wire.
#[derive(Clone, Debug, Default)]
pub struct Rivals {
    seen: BTreeMap<Ipv4Addr, Rival>,
    looked: Option<Timestamp>,
}

impl Rivals {
    /// It answered somebody. Says whether that is news.
    pub fn heard(&mut self, server: Ipv4Addr, mac: Option<Mac>, now: Timestamp) -> bool {
        let was = self.is_there(now);
        if self.seen.len() >= MOST && !self.seen.contains_key(&server) {
            self.make_room(now);
        }
        let rival = self.seen.entry(server).or_insert(Rival {
            server,
            mac,
            first: now,
            last: now,
            count: 0,
        });
        rival.last = now;
        rival.mac = mac.or(rival.mac);
        rival.count = rival.count.saturating_add(1);
        !was
    }

    /// Forgets who is gone, or else who was silent the longest.
    fn make_room(&mut self, now: Timestamp) {
        self.seen
            .retain(|_, rival| now.duration_since(rival.last) < GONE);
        let oldest = self.seen.values().min_by_key(|rival| rival.last);
        if self.seen.len() >= MOST
            && let Some(oldest) = oldest.map(|rival| rival.server)
        {
            self.seen.remove(&oldest);
        }
    }

    /// Whether another server is there.
    pub fn is_there(&self, now: Timestamp) -> bool {
        self.seen
            .values()
            .any(|rival| now.duration_since(rival.last) < GONE)
    }

    /// Those that are there.
    pub fn there(&self, now: Timestamp) -> Vec<Rival> {
        let seen = self.seen.values();
        seen.filter(|rival| now.duration_since(rival.last) < GONE)
            .cloned()
            .collect()
    }

    /// Whether it is time to look again; then it is noted that we do.
    pub fn look(&mut self, now: Timestamp) -> bool {
        let pause = if self.is_there(now) { LOOK_SOON } else { LOOK };
        let due = self
            .looked
            .is_none_or(|looked| now.duration_since(looked).abs() >= pause);
        if due {
            self.looked = Some(now);
        }
        due
    }

    /// A client named another server: look soon, unless we just did.
    pub fn doubt(&mut self, now: Timestamp) {
        let soon = now.saturating_sub(LOOK.saturating_sub(SignedDuration::from_secs(1)));
        let soon = soon.unwrap_or(Timestamp::MIN);
        let lately = |looked: &Timestamp| now.duration_since(*looked).abs() < LOOK_SOON;
        if !self.looked.as_ref().is_some_and(lately) {
            self.looked = self.looked.map(|looked| looked.min(soon));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_server_is_there_until_it_is_silent() {
        let start: Timestamp = "2026-11-23T09:00:00Z".parse().unwrap();
        let at = |seconds: i64| start + SignedDuration::from_secs(seconds);
        let server = Ipv4Addr::new(10, 99, 0, 2);
        let mut rivals = Rivals::default();
        assert!(!rivals.is_there(at(0)) && rivals.look(at(0)) && !rivals.look(at(599)));
        assert!(rivals.heard(server, None, at(1)));
        assert!(!rivals.heard(server, None, at(2)), "no news");
        assert!(rivals.is_there(at(3)) && rivals.look(at(61)) && !rivals.look(at(62)));
        assert!(rivals.is_there(at(241)) && !rivals.is_there(at(243)));
        assert!(rivals.heard(server, None, at(300)), "news again");
        assert_eq!(rivals.there(at(301)).len(), 1);
        rivals.doubt(at(302));
        let mut rivals = Rivals::default();
        assert!(rivals.look(at(0)));
        rivals.doubt(at(100));
        assert!(rivals.look(at(101)), "a client named another");
        rivals.doubt(at(102));
        assert!(!rivals.look(at(103)), "we just looked");
    }

    /// Names that somebody made up keep no real server from being seen.
    #[test]
    fn the_memory_of_names_is_bounded_and_takes_new_ones() {
        let start: Timestamp = "2026-11-23T09:00:00Z".parse().unwrap();
        let at = |seconds: i64| start + SignedDuration::from_secs(seconds);
        let mut rivals = Rivals::default();
        for name in 1..=100 {
            rivals.heard(Ipv4Addr::new(10, 0, 0, name), None, at(i64::from(name)));
        }
        assert_eq!(rivals.there(at(100)).len(), MOST);
        assert!(!rivals.is_there(at(400)));
        let real = Ipv4Addr::new(10, 99, 0, 2);
        assert!(rivals.heard(real, None, at(500)), "news");
        assert!(!rivals.heard(real, None, at(501)), "once");
        assert!(rivals.is_there(at(600)));
        assert_eq!(rivals.there(at(600)).len(), 1);
    }
}
