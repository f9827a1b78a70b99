//! Leases of another server, learned from what clients say (trust.md section 1): the last REQUEST's
//! option 50 or ciaddr of a MAC, by relay, until its next DISCOVER and 24 hours at most; the ACK
//! where a mirror shows it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use jiff::{SignedDuration, Timestamp};

use super::{Ask, LeaseWrite, end};
use crate::model::dhcp::Kind;
use crate::model::identity::{Mac, Serial};
use crate::model::lease::{Lease, LeaseSource, RelayPort};

/// How long an observed lease holds.
pub const HOLDS: SignedDuration = SignedDuration::from_hours(24);
/// Observed leases that are kept.
const MOST: usize = 65_536;

#[derive(Clone, Debug)]
struct Row {
    mac: Mac,
    relay: Option<Ipv4Addr>,
    until: Timestamp,
}

/// What was observed, bounded.
#[derive(Debug, Default)]
pub struct Observer {
    rows: BTreeMap<Ipv4Addr, Row>,
    of_mac: BTreeMap<Mac, BTreeSet<Ipv4Addr>>,
}

/// An ACK that a mirror showed.
#[derive(Clone, Debug)]
pub struct Seen {
    pub mac: Mac,
    pub ip: Ipv4Addr,
    pub relay: Option<Ipv4Addr>,
    /// Seconds; `None` where it names none.
    pub lease_time: Option<u32>,
}

impl Observer {
    /// Takes up what the store kept.
    pub fn load(&mut self, rows: impl IntoIterator<Item = Lease>) {
        for row in rows {
            if let (IpAddr::V4(ip), LeaseSource::Observed) = (row.ip, row.source) {
                self.enter(ip, row.mac, None, row.until);
            }
        }
    }

    /// What a client said. `own` is whether the address can be one that we care for.
    pub fn said(
        &mut self,
        ask: &Ask,
        own: impl Fn(Ipv4Addr) -> bool,
        now: Timestamp,
    ) -> Vec<LeaseWrite> {
        match ask.kind {
            Kind::Discover => self.forget(ask.mac, ask.giaddr, None),
            Kind::Release | Kind::Decline => {
                let ip = ask.ciaddr.or(ask.requested);
                ip.map_or_else(Vec::new, |ip| self.forget(ask.mac, ask.giaddr, Some(ip)))
            }
            Kind::Request => {
                let Some(ip) = ask.requested.or(ask.ciaddr).filter(|ip| own(*ip)) else {
                    return Vec::new();
                };
                let until = now.saturating_add(HOLDS).unwrap_or(Timestamp::MAX);
                let (serial, port) = (ask.serial.clone(), ask.port.clone());
                self.put(ip, ask.mac, (ask.giaddr, serial, port), now, until)
            }
            Kind::Offer | Kind::Ack | Kind::Nak | Kind::Inform => Vec::new(),
        }
    }

    /// An ACK, as the other server sent it.
    pub fn granted(
        &mut self,
        seen: &Seen,
        own: impl Fn(Ipv4Addr) -> bool,
        now: Timestamp,
    ) -> Vec<LeaseWrite> {
        if !own(seen.ip) {
            return Vec::new();
        }
        let most = now.saturating_add(HOLDS).unwrap_or(Timestamp::MAX);
        let until = seen
            .lease_time
            .map_or(most, |time| end(now, time).min(most));
        self.put(seen.ip, seen.mac, (seen.relay, None, None), now, until)
    }

    /// Ends what is over: `most` of it, the rest the next time.
    pub fn expire(&mut self, now: Timestamp, most: usize) -> Vec<LeaseWrite> {
        let over = self.rows.iter().filter(|(_, row)| row.until <= now);
        let over: Vec<Ipv4Addr> = over.map(|(ip, _)| *ip).take(most).collect();
        over.into_iter()
            .map(|ip| {
                self.leave(ip);
                LeaseWrite::Remove(ip)
            })
            .collect()
    }

    fn put(
        &mut self,
        ip: Ipv4Addr,
        mac: Mac,
        (relay, serial, port): (Option<Ipv4Addr>, Option<Serial>, Option<RelayPort>),
        now: Timestamp,
        until: Timestamp,
    ) -> Vec<LeaseWrite> {
        if self.rows.len() >= MOST && !self.rows.contains_key(&ip) {
            return Vec::new();
        }
        // One address by relay: what it had there before is over.
        let mut writes = self.forget(mac, relay, None);
        writes.retain(|write| *write != LeaseWrite::Remove(ip));
        self.enter(ip, mac, relay, until);
        writes.push(LeaseWrite::Put(Lease {
            ip: IpAddr::V4(ip),
            mac,
            serial,
            port,
            source: LeaseSource::Observed,
            since: now,
            until,
        }));
        writes
    }

    /// Takes away what a MAC has behind a relay; what a restart forgot the relay of goes too.
    fn forget(
        &mut self,
        mac: Mac,
        relay: Option<Ipv4Addr>,
        only: Option<Ipv4Addr>,
    ) -> Vec<LeaseWrite> {
        let of_mac = self.of_mac.get(&mac).cloned().unwrap_or_default();
        let there = |ip: &Ipv4Addr| {
            self.rows
                .get(ip)
                .is_some_and(|row| row.relay.is_none() || row.relay == relay)
        };
        let gone = of_mac
            .into_iter()
            .filter(|ip| only.is_none_or(|one| one == *ip));
        let gone: Vec<Ipv4Addr> = gone.filter(there).collect();
        gone.into_iter()
            .map(|ip| {
                self.leave(ip);
                LeaseWrite::Remove(ip)
            })
            .collect()
    }

    fn enter(&mut self, ip: Ipv4Addr, mac: Mac, relay: Option<Ipv4Addr>, until: Timestamp) {
        self.leave(ip);
        self.of_mac.entry(mac).or_default().insert(ip);
        self.rows.insert(ip, Row { mac, relay, until });
    }

    fn leave(&mut self, ip: Ipv4Addr) {
        if let Some(row) = self.rows.remove(&ip)
            && let Some(of_mac) = self.of_mac.get_mut(&row.mac)
        {
            of_mac.remove(&ip);
            if of_mac.is_empty() {
                self.of_mac.remove(&row.mac);
            }
        }
    }
}
