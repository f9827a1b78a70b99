//! Offers that wait until nobody answered for their address (RFC 5227 section 2.1.1): bounded, and
//! what was found free is remembered for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::Instant;

/// How long an answer is waited for. A probe is sent at its beginning and in its middle.
const WAIT: Duration = Duration::from_millis(300);
/// Offers that wait at once; whoever comes then is offered its address unasked.
const MOST: usize = 1024;
/// How long, and how many, free addresses are remembered.
const FREE: Duration = Duration::from_secs(600);
const REMEMBERED: usize = 8192;

/// Offers under question, each with what is to be done when it is settled.
pub(super) struct Conflicts<T> {
    waiting: BTreeMap<Ipv4Addr, Waiting<T>>,
    /// When each of these is due.
    order: BTreeSet<(Instant, Ipv4Addr)>,
    free: BTreeMap<Ipv4Addr, Instant>,
}

struct Waiting<T> {
    station: [u8; 6],
    until: Instant,
    asked_again: bool,
    what: T,
}

/// What the clock brings.
pub(super) enum Due<T> {
    /// Ask once more.
    Ask(Ipv4Addr),
    /// Nobody answered.
    Free(T),
}

impl<T> Default for Conflicts<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            order: BTreeSet::new(),
            free: BTreeMap::new(),
        }
    }
}

impl<T> Conflicts<T> {
    /// Puts an offer to this station under question. Gives it back where there is nothing to ask,
    /// and tells whether a probe must be sent.
    pub(super) fn question(
        &mut self,
        ip: Ipv4Addr,
        station: [u8; 6],
        what: T,
        now: Instant,
    ) -> (Option<T>, bool) {
        if self.free.get(&ip).is_some_and(|until| *until > now) {
            return (Some(what), false);
        }
        if let Some(waiting) = self.waiting.get_mut(&ip) {
            // It asks again before the answer: the newer question is answered.
            waiting.station = station;
            waiting.what = what;
            return (None, false);
        }
        if self.waiting.len() >= MOST {
            return (Some(what), false);
        }
        let until = now + WAIT;
        let waiting = Waiting {
            station,
            until,
            asked_again: false,
            what,
        };
        self.order.insert((waiting.due(), ip));
        self.waiting.insert(ip, waiting);
        (None, true)
    }

    /// A station says that an address is its own. Gives the offer that cannot be made, unless it is
    /// the client itself.
    pub(super) fn answered(&mut self, ip: Ipv4Addr, station: [u8; 6]) -> Option<T> {
        let waiting = self.waiting.get(&ip)?;
        if waiting.station == station {
            return None;
        }
        self.free.remove(&ip);
        self.order.remove(&(waiting.due(), ip));
        self.waiting.remove(&ip).map(|waiting| waiting.what)
    }

    /// When the clock must be looked at again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    /// What is due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Due<T>> {
        let mut due = Vec::new();
        while let Some((at, ip)) = self.order.first().copied().filter(|(at, _)| *at <= now) {
            self.order.remove(&(at, ip));
            if let Some(waiting) = self.waiting.get_mut(&ip)
                && waiting.until > now
            {
                waiting.asked_again = true;
                self.order.insert((waiting.until, ip));
                due.push(Due::Ask(ip));
            } else if let Some(waiting) = self.waiting.remove(&ip) {
                self.remember(ip, now);
                due.push(Due::Free(waiting.what));
            }
        }
        due
    }

    fn remember(&mut self, ip: Ipv4Addr, now: Instant) {
        if self.free.len() >= REMEMBERED {
            self.free.retain(|_, until| *until > now);
        }
        if self.free.len() < REMEMBERED {
            self.free.insert(ip, now + FREE);
        }
    }
}

impl<T> Waiting<T> {
    fn due(&self) -> Instant {
        if self.asked_again {
            self.until
        } else {
            self.until - WAIT / 2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_waits_for_an_answer_and_what_was_free_is_remembered() {
        let mut conflicts = Conflicts::default();
        let (client, other) = ([2; 6], [4; 6]);
        let ip = |last| Ipv4Addr::new(10, 99, 0, last);
        let start = Instant::now();
        assert_eq!(conflicts.question(ip(1), client, 1, start), (None, true));
        assert_eq!(conflicts.question(ip(1), client, 2, start), (None, false));
        assert_eq!(conflicts.question(ip(2), client, 3, start), (None, true));
        assert_eq!(conflicts.answered(ip(2), client), None, "it has it still");
        assert_eq!(conflicts.answered(ip(2), other), Some(3));
        assert_eq!(conflicts.answered(ip(9), other), None);
        let half = start + WAIT / 2;
        assert_eq!(conflicts.next(), Some(half));
        assert!(matches!(conflicts.due(half)[..], [Due::Ask(asked)] if asked == ip(1)));
        assert_eq!(conflicts.next(), Some(start + WAIT));
        assert!(matches!(conflicts.due(start + WAIT)[..], [Due::Free(2)]));
        assert_eq!(conflicts.next(), None);
        let later = start + WAIT;
        assert_eq!(
            conflicts.question(ip(1), client, 4, later),
            (Some(4), false)
        );
        assert_eq!(
            conflicts.question(ip(1), client, 5, later + FREE),
            (None, true)
        );
    }
}
