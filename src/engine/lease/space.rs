//! The addresses of one network that are free: those that nobody had yet, in order, then those
//! that came back, the longest unused first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use jiff::Timestamp;

use crate::model::dhcp::Subnet;

/// Free addresses of one network. What is in use is not here; the table says what is.
#[derive(Clone, Debug, Default)]
pub(super) struct Space {
    /// Usable stretches, in order, without overlap.
    ranges: Vec<(u32, u32)>,
    /// The next address that nobody had: a stretch, and a place in it.
    next: Option<(usize, u32)>,
    /// Addresses that came back, and when; the same by address.
    back: BTreeSet<(Timestamp, Ipv4Addr)>,
    since: BTreeMap<Ipv4Addr, Timestamp>,
    pub(super) total: u64,
}

impl Space {
    pub(super) fn of(subnet: &Subnet) -> Self {
        let number = |ip: Ipv4Addr| u32::from(ip);
        let mut ranges: Vec<(u32, u32)> = subnet
            .pools
            .iter()
            .map(|(from, to)| (number(*from), number(*to)))
            .collect();
        let mut away: Vec<(u32, u32)> = subnet
            .exclude
            .iter()
            .map(|(from, to)| (number(*from), number(*to)))
            .collect();
        away.extend(subnet.router.map(|router| (number(router), number(router))));
        if subnet.net.prefix_len() < 31 {
            for end in [subnet.net.network(), subnet.net.broadcast()] {
                away.push((number(end), number(end)));
            }
        }
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::new();
        for (from, to) in ranges {
            match merged.last_mut() {
                Some((_, end)) if from <= end.saturating_add(1) => *end = (*end).max(to),
                Some(_) | None => merged.push((from, to)),
            }
        }
        for (from, to) in away {
            merged = merged
                .into_iter()
                .flat_map(|(start, end)| without((start, end), (from, to)))
                .collect();
        }
        let total = merged
            .iter()
            .map(|(from, to)| u64::from(to - from) + 1)
            .sum();
        Self {
            next: merged.first().map(|(from, _)| (0, *from)),
            ranges: merged,
            back: BTreeSet::new(),
            since: BTreeMap::new(),
            total,
        }
    }

    /// Takes an address that `good` finds free. What it does not is skipped: an address in use
    /// comes back by [`Space::put_back`].
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        good: impl Fn(Ipv4Addr) -> bool,
        reserved: impl Fn(Ipv4Addr) -> bool,
    ) -> Option<Ipv4Addr> {
        while let Some((at, number)) = self.next {
            let ip = Ipv4Addr::from(number);
            let end = self.ranges.get(at).map(|(_, end)| *end);
            self.next = match number.checked_add(1) {
                Some(next) if end.is_some_and(|end| next <= end) => Some((at, next)),
                Some(_) | None => self.ranges.get(at + 1).map(|(from, _)| (at + 1, *from)),
            };
            if reserved(ip) {
                // It may be nobody's tomorrow.
                self.put_back(ip, now);
            } else if good(ip) {
                return Some(ip);
            }
        }
        let found = self
            .back
            .iter()
            .find(|(_, ip)| good(*ip) && !reserved(*ip))
            .copied()?;
        self.no_longer(found.1);
        Some(found.1)
    }

    /// An address is free again, since then.
    pub(super) fn put_back(&mut self, ip: Ipv4Addr, since: Timestamp) {
        self.no_longer(ip);
        self.back.insert((since, ip));
        self.since.insert(ip, since);
    }

    /// An address is in use again.
    pub(super) fn no_longer(&mut self, ip: Ipv4Addr) {
        if let Some(since) = self.since.remove(&ip) {
            self.back.remove(&(since, ip));
        }
    }
}

/// What is left of a stretch.
fn without((start, end): (u32, u32), (from, to): (u32, u32)) -> Vec<(u32, u32)> {
    if to < start || from > end {
        return vec![(start, end)];
    }
    let mut left = Vec::new();
    if from > start {
        left.push((start, from - 1));
    }
    if to < end {
        left.push((to + 1, end));
    }
    left
}
