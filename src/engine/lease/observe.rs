//! Leases of another server, learned from what listed units say (trust.md section 1): the last
//! REQUEST's option 50 or ciaddr of a MAC, by relay, until its next DISCOVER and 24 hours at most;
//! the ACK where a mirror shows it. Pure.
//!
//! Strangers' leases prove nothing and are not kept. Anybody can say a listed unit's name, so what
//! is kept of one unit, and of one MAC, is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use jiff::{SignedDuration, Timestamp};

use super::{Ask, LeaseWrite, OF_ONE_MAC, end};
use crate::model::dhcp::Kind;
use crate::model::identity::{DeviceId, Mac, Serial};
use crate::model::lease::{Lease, LeaseSource, RelayPort};

/// How long an observed lease holds.
pub const HOLDS: SignedDuration = SignedDuration::from_hours(24);
/// Observed leases that are kept; the first to end makes room.
const MOST: usize = 262_144;

#[derive(Clone, Debug)]
struct Row {
    mac: Mac,
    /// `None` for an ACK, and where a restart forgot it.
    unit: Option<DeviceId>,
    relay: Option<Ipv4Addr>,
    serial: Option<Serial>,
    port: Option<RelayPort>,
    until: Timestamp,
}

/// What was observed, bounded.
#[derive(Debug, Default)]
pub struct Observer {
    rows: BTreeMap<Ipv4Addr, Row>,
    of_mac: BTreeMap<Mac, BTreeSet<Ipv4Addr>>,
    of_unit: BTreeMap<DeviceId, BTreeSet<Ipv4Addr>>,
    ends: BTreeSet<(Timestamp, Ipv4Addr)>,
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
                let kept = Row {
                    mac: row.mac,
                    unit: None,
                    relay: None,
                    serial: row.serial,
                    port: row.port,
                    until: row.until,
                };
                self.enter(ip, kept);
            }
        }
    }

    /// Whether this MAC has been seen to have this address.
    pub fn knows(&self, mac: Mac, ip: Ipv4Addr) -> bool {
        self.rows.get(&ip).is_some_and(|row| row.mac == mac)
    }

    /// What a listed unit said. `own` is whether the address can be one that we care for.
    pub fn said(
        &mut self,
        ask: &Ask,
        own: impl Fn(Ipv4Addr) -> bool,
        now: Timestamp,
    ) -> Vec<LeaseWrite> {
        match ask.kind {
            Kind::Discover | Kind::Request if !ask.listed() => Vec::new(),
            Kind::Discover => self.forget(ask.mac, ask.giaddr, None),
            Kind::Release | Kind::Decline => {
                let ip = ask.ciaddr.or(ask.requested);
                ip.map_or_else(Vec::new, |ip| self.forget(ask.mac, ask.giaddr, Some(ip)))
            }
            Kind::Request => {
                let Some(ip) = ask.requested.or(ask.ciaddr).filter(|ip| own(*ip)) else {
                    return Vec::new();
                };
                let row = Row {
                    mac: ask.mac,
                    unit: ask.unit,
                    relay: ask.giaddr,
                    serial: ask.serial.clone(),
                    port: ask.port.clone(),
                    until: now.saturating_add(HOLDS).unwrap_or(Timestamp::MAX),
                };
                self.put(ip, row, now)
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
        let row = Row {
            mac: seen.mac,
            unit: None,
            relay: seen.relay,
            serial: None,
            port: None,
            until,
        };
        self.put(seen.ip, row, now)
    }

    /// Ends what is over: `most` of it, the rest the next time.
    pub fn expire(&mut self, now: Timestamp, most: usize) -> Vec<LeaseWrite> {
        let over = self.ends.iter().take_while(|(until, _)| *until <= now);
        let over: Vec<Ipv4Addr> = over.map(|(_, ip)| *ip).take(most).collect();
        over.into_iter().map(|ip| self.end(ip)).collect()
    }

    fn put(&mut self, ip: Ipv4Addr, mut row: Row, now: Timestamp) -> Vec<LeaseWrite> {
        // One address by relay: what it had there before is over.
        let known = self.rows.get(&ip).filter(|old| old.mac == row.mac).cloned();
        let mut writes = self.forget(row.mac, row.relay, None);
        if let Some(old) = known {
            // An ACK, or a renewal without the relay, takes back nothing of what was said before.
            row.unit = row.unit.or(old.unit);
            row.serial = row.serial.or(old.serial);
            if row.relay.is_none() || row.relay == old.relay {
                row.relay = old.relay;
                row.port = row.port.or(old.port);
            }
        }
        self.leave(ip);
        let of_mac = self.of_mac.get(&row.mac);
        let of_unit = row.unit.and_then(|unit| self.of_unit.get(&unit));
        let full = [of_mac, of_unit].into_iter().flatten();
        let mut over: Vec<Ipv4Addr> = full
            .filter(|ips| ips.len() >= OF_ONE_MAC)
            .filter_map(|ips| self.first_to_end(ips))
            .collect();
        if self.rows.len() >= MOST {
            over.extend(self.ends.first().map(|(_, ip)| *ip));
        }
        for one in over {
            writes.push(self.end(one));
        }
        writes.retain(|write| *write != LeaseWrite::Remove(ip, LeaseSource::Observed));
        writes.push(LeaseWrite::Put(Lease {
            ip: IpAddr::V4(ip),
            mac: row.mac,
            serial: row.serial.clone(),
            port: row.port.clone(),
            source: LeaseSource::Observed,
            since: now,
            until: row.until,
        }));
        self.enter(ip, row);
        writes
    }

    fn first_to_end(&self, ips: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let until = |ip: &&Ipv4Addr| self.rows.get(*ip).map(|row| row.until);
        ips.iter().min_by_key(until).copied()
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
        gone.into_iter().map(|ip| self.end(ip)).collect()
    }

    fn end(&mut self, ip: Ipv4Addr) -> LeaseWrite {
        self.leave(ip);
        LeaseWrite::Remove(ip, LeaseSource::Observed)
    }

    fn enter(&mut self, ip: Ipv4Addr, row: Row) {
        self.leave(ip);
        self.of_mac.entry(row.mac).or_default().insert(ip);
        if let Some(unit) = row.unit {
            self.of_unit.entry(unit).or_default().insert(ip);
        }
        self.ends.insert((row.until, ip));
        self.rows.insert(ip, row);
    }

    fn leave(&mut self, ip: Ipv4Addr) {
        let Some(row) = self.rows.remove(&ip) else {
            return;
        };
        self.ends.remove(&(row.until, ip));
        less(&mut self.of_mac, &row.mac, ip);
        if let Some(unit) = row.unit {
            less(&mut self.of_unit, &unit, ip);
        }
    }
}

fn less<K: Ord>(of: &mut BTreeMap<K, BTreeSet<Ipv4Addr>>, key: &K, ip: Ipv4Addr) {
    if let Some(ips) = of.get_mut(key) {
        ips.remove(&ip);
        if ips.is_empty() {
            of.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ask, at, ip, mac};
    use super::*;

    /// What a store would have after these writes, in order.
    #[derive(Default)]
    struct Scene {
        observer: Observer,
        stored: BTreeMap<Ipv4Addr, Lease>,
    }

    impl Scene {
        fn apply(&mut self, writes: Vec<LeaseWrite>) {
            for write in writes {
                match write {
                    LeaseWrite::Put(row) => {
                        let IpAddr::V4(ip) = row.ip else {
                            panic!("IPv4")
                        };
                        self.stored.insert(ip, row);
                    }
                    LeaseWrite::Remove(ip, source) => {
                        assert_eq!(source, LeaseSource::Observed);
                        self.stored.remove(&ip);
                    }
                }
            }
            let known: Vec<Ipv4Addr> = self.observer.rows.keys().copied().collect();
            assert_eq!(known, self.stored.keys().copied().collect::<Vec<_>>());
        }

        fn said(&mut self, ask: &Ask, second: i64) {
            let writes = self.observer.said(ask, |_| true, at(second));
            self.apply(writes);
        }

        fn granted(&mut self, seen: &Seen, second: i64) {
            let writes = self.observer.granted(seen, |_| true, at(second));
            self.apply(writes);
        }
    }

    fn request(last: u8, at: Ipv4Addr) -> Ask {
        Ask {
            requested: Some(at),
            ..ask(Kind::Request, last)
        }
    }

    fn port() -> Option<RelayPort> {
        Some(RelayPort {
            circuit: vec![7],
            remote: Vec::new(),
        })
    }

    #[test]
    fn the_last_word_of_a_mac_counts_until_its_next_discover() {
        let mut scene = Scene::default();
        scene.said(&request(1, ip(20)), 0);
        scene.said(&request(1, ip(21)), 10);
        assert_eq!(scene.stored.keys().collect::<Vec<_>>(), [&ip(21)]);
        scene.said(&ask(Kind::Discover, 1), 20);
        assert!(scene.stored.is_empty());
        scene.said(&request(1, ip(21)), 25);
        let release = Ask {
            ciaddr: Some(ip(21)),
            // Nobody looks up who releases.
            unit: None,
            ..ask(Kind::Release, 1)
        };
        scene.said(&release, 26);
        assert!(scene.stored.is_empty());
        scene.said(&request(1, ip(21)), 30);
        let over = scene.observer.expire(at(30 + 86_400), 10);
        scene.apply(over);
        assert!(scene.stored.is_empty());
    }

    #[test]
    fn an_ack_and_a_renewal_take_nothing_back() {
        let relay = Some(Ipv4Addr::new(10, 98, 0, 1));
        let mut scene = Scene::default();
        let said = Ask {
            serial: Serial::parse("ABC123"),
            port: port(),
            giaddr: relay,
            trusted: true,
            ..request(1, ip(20))
        };
        scene.said(&said, 0);
        let seen = |relay| Seen {
            mac: mac(1),
            ip: ip(20),
            relay,
            lease_time: Some(3600),
        };
        for relay in [relay, None] {
            scene.granted(&seen(relay), 1);
            let row = &scene.stored[&ip(20)];
            assert_eq!(
                (row.serial.clone(), row.port.clone()),
                (said.serial.clone(), port())
            );
            assert_eq!(row.until, at(3601));
        }
        let renews = Ask {
            requested: None,
            ciaddr: Some(ip(20)),
            ..request(1, ip(20))
        };
        scene.said(&renews, 1800);
        let row = &scene.stored[&ip(20)];
        assert_eq!(
            (row.serial.clone(), row.port.clone()),
            (said.serial.clone(), port())
        );
        // Another MAC at the address is another unit.
        scene.said(&request(2, ip(20)), 1900);
        let row = &scene.stored[&ip(20)];
        assert_eq!(
            (row.mac, row.serial.clone(), row.port.clone()),
            (mac(2), None, None)
        );
        // Behind another relay its port is another.
        scene.said(&said, 2000);
        let moved = Ask {
            giaddr: Some(Ipv4Addr::new(10, 97, 0, 1)),
            port: None,
            ..said
        };
        scene.said(&moved, 2100);
        assert_eq!(scene.stored[&ip(20)].port, None);
    }

    #[test]
    fn strangers_leave_nothing_and_one_unit_a_few_rows() {
        let mut scene = Scene::default();
        let stranger = Ask {
            unit: None,
            recognised: true,
            ..request(1, ip(20))
        };
        scene.said(&stranger, 0);
        assert!(scene.stored.is_empty());
        scene.said(&request(9, ip(99)), 0);
        // One listed MAC behind made-up relays.
        for n in 0..200_u8 {
            let relayed = Ask {
                giaddr: Some(Ipv4Addr::new(10, 97, 0, n)),
                ..request(1, Ipv4Addr::new(10, 99, 1, n))
            };
            scene.said(&relayed, i64::from(n));
        }
        assert_eq!(scene.stored.len(), OF_ONE_MAC + 1);
        // One listed unit, by its serial, under made-up MACs.
        for n in 10..200_u8 {
            let named = Ask {
                unit: Some(DeviceId(1)),
                ..request(n, Ipv4Addr::new(10, 99, 2, n))
            };
            scene.said(&named, 1000);
        }
        assert_eq!(scene.stored.len(), OF_ONE_MAC + 1);
        assert_eq!(scene.stored[&ip(99)].mac, mac(9));
    }
}
