//! Who holds which address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::Ipv4Net;
use jiff::Timestamp;

use super::space::Space;
use super::{Ask, LeaseWrite, network};
use crate::model::dhcp::{Dhcp, Subnet};
use crate::model::identity::{DeviceId, Mac, Serial};
use crate::model::lease::{Lease, LeaseSource, RelayPort};

/// What an address is to the client that is named with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Offered,
    Leased,
    /// In use by somebody that we do not know.
    Conflict,
    /// It was the client's, and is the first that it gets again.
    Past,
}

/// One address.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) mac: Mac,
    /// `None` where a restart forgot it: then the first client of that MAC takes it.
    pub(super) client: Option<Vec<u8>>,
    pub(super) serial: Option<Serial>,
    pub(super) port: Option<RelayPort>,
    /// The relay, or nothing for the wire.
    pub(super) relay: Option<Ipv4Addr>,
    pub(super) stranger: bool,
    pub(super) state: State,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
}

/// All leases of our own, and the networks that they are of.
#[derive(Debug, Default)]
pub struct Leases {
    pub(super) plan: Dhcp,
    pub(super) subnets: Vec<Arc<Subnet>>,
    pub(super) held: BTreeMap<Ipv4Addr, Held>,
    clients: BTreeMap<(Ipv4Net, Mac), Vec<Ipv4Addr>>,
    ends: BTreeSet<(Timestamp, Ipv4Addr)>,
    spaces: BTreeMap<Ipv4Net, Space>,
    taken: BTreeMap<Ipv4Net, u64>,
    of_port: BTreeMap<RelayPort, u32>,
    offers: BTreeMap<(Ipv4Net, Option<Ipv4Addr>), u64>,
    /// Addresses that the inventory keeps, and for whom.
    pub(super) reserved: BTreeMap<Ipv4Addr, DeviceId>,
}

/// How full a network's pools are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    pub net: Ipv4Net,
    pub site: Option<String>,
    pub total: u64,
    pub taken: u64,
}

impl Leases {
    /// The networks of the configuration, with nothing leased.
    pub fn new(plan: Dhcp) -> Self {
        let mut leases = Self::default();
        leases.plan(plan);
        leases
    }

    /// Takes another configuration; leases of networks that are still there stay.
    pub fn plan(&mut self, plan: Dhcp) {
        self.subnets = plan.subnets.iter().cloned().map(Arc::new).collect();
        let spaces = self
            .subnets
            .iter()
            .map(|subnet| (subnet.net, Space::of(subnet)));
        self.spaces = spaces.collect();
        self.plan = plan;
        let held = std::mem::take(&mut self.held);
        self.clients.clear();
        self.ends.clear();
        self.taken.clear();
        self.of_port.clear();
        self.offers.clear();
        for (ip, row) in held {
            if network::holding(&self.subnets, ip).is_some() {
                self.enter(ip, row);
            }
        }
    }

    /// Takes up what the store kept. Rows of others, of unknown networks and of the past are left.
    pub fn load(&mut self, rows: impl IntoIterator<Item = Lease>, listed: impl Fn(Mac) -> bool) {
        for row in rows {
            let IpAddr::V4(ip) = row.ip else { continue };
            if row.source != LeaseSource::Own || network::holding(&self.subnets, ip).is_none() {
                continue;
            }
            self.enter(
                ip,
                Held {
                    mac: row.mac,
                    client: None,
                    serial: row.serial,
                    port: row.port,
                    relay: None,
                    stranger: !listed(row.mac),
                    state: State::Leased,
                    since: row.since,
                    until: row.until,
                },
            );
        }
    }

    /// Which addresses the inventory keeps, and for whom.
    pub fn reserve(&mut self, rows: BTreeMap<Ipv4Addr, DeviceId>) {
        self.reserved = rows;
    }

    /// The networks that are served.
    pub fn subnets(&self) -> &[Arc<Subnet>] {
        &self.subnets
    }

    /// How full each network is.
    pub fn filled(&self) -> Vec<Filled> {
        let subnets = self.subnets.iter();
        subnets
            .map(|subnet| Filled {
                net: subnet.net,
                site: subnet.site.clone(),
                total: self.total(subnet.net),
                taken: self.taken(subnet.net),
            })
            .collect()
    }

    /// Ends what is over, and gives the rows that the store need not keep any longer: `most` of
    /// them, the rest the next time.
    pub fn expire(&mut self, now: Timestamp, most: usize) -> Vec<LeaseWrite> {
        let mut writes = Vec::new();
        let over = |(until, _): &(Timestamp, Ipv4Addr)| *until <= now;
        while writes.len() < most
            && let Some((until, ip)) = self.ends.first().copied().filter(over)
        {
            let Some(row) = self.held.get(&ip).cloned() else {
                self.ends.remove(&(until, ip));
                continue;
            };
            match row.state {
                State::Leased => {
                    writes.push(LeaseWrite::Remove(ip, LeaseSource::Own));
                    self.past(ip, until);
                }
                State::Offered | State::Conflict | State::Past => self.forget(ip, until),
            }
        }
        writes
    }

    /// Somebody else answers at an address: nobody gets it until then.
    pub fn conflict(&mut self, ip: Ipv4Addr, until: Timestamp) {
        if let Some(row) = self.held.get(&ip).cloned()
            && row.state != State::Leased
        {
            self.enter(
                ip,
                Held {
                    state: State::Conflict,
                    until,
                    ..row
                },
            );
        }
    }

    /// The lease row of an address, as it is stored.
    pub(super) fn row(&self, ip: Ipv4Addr) -> Option<Lease> {
        let held = self.held.get(&ip)?;
        Some(Lease {
            ip: IpAddr::V4(ip),
            mac: held.mac,
            serial: held.serial.clone(),
            port: held.port.clone(),
            source: LeaseSource::Own,
            since: held.since,
            until: held.until,
        })
    }

    /// The address that the client has or had in this network.
    pub(super) fn of_client(&self, net: Ipv4Net, ask: &Ask) -> Option<Ipv4Addr> {
        let of_mac = self.clients.get(&(net, ask.mac))?;
        let same = |ip: &&Ipv4Addr| {
            self.held
                .get(*ip)
                .is_some_and(|row| row.state != State::Conflict && self.is(row, ask))
        };
        // What it has goes before what it had.
        let has = |ip: &&Ipv4Addr| {
            self.held
                .get(*ip)
                .is_some_and(|row| row.state != State::Past)
        };
        let mut found = of_mac.iter().filter(same);
        found.clone().find(has).or_else(|| found.next()).copied()
    }

    /// Whether the row is this client's.
    pub(super) fn is(&self, row: &Held, ask: &Ask) -> bool {
        let id = !self.plan.client_id || row.client.as_ref().is_none_or(|id| *id == ask.client);
        row.mac == ask.mac && (id || self.reserved_for(ask).is_some())
    }

    /// The address that is kept for the client: of two units with one address the first has it.
    pub(super) fn reserved_for(&self, ask: &Ask) -> Option<Ipv4Addr> {
        let owner = |ip: &Ipv4Addr| self.reserved.get(ip);
        ask.reserved
            .filter(|ip| owner(ip).is_none_or(|owner| ask.unit == Some(*owner)))
    }

    /// How many addresses this MAC holds here.
    pub(super) fn count_of(&self, net: Ipv4Net, mac: Mac) -> usize {
        let of_mac = self.clients.get(&(net, mac));
        let live = |ip: &&Ipv4Addr| {
            self.held
                .get(*ip)
                .is_some_and(|row| row.state != State::Past)
        };
        of_mac.map_or(0, |of_mac| of_mac.iter().filter(live).count())
    }

    /// Whether nobody has it, or somebody had it.
    pub(super) fn is_free(&self, ip: Ipv4Addr) -> bool {
        self.held
            .get(&ip)
            .is_none_or(|row| row.state == State::Past)
    }

    pub(super) fn total(&self, net: Ipv4Net) -> u64 {
        self.spaces.get(&net).map_or(0, |space| space.total)
    }

    pub(super) fn taken(&self, net: Ipv4Net) -> u64 {
        self.taken.get(&net).copied().unwrap_or_default()
    }

    pub(super) fn strangers_of_port(&self, port: &RelayPort) -> u32 {
        self.of_port.get(port).copied().unwrap_or_default()
    }

    pub(super) fn offers_to_strangers(&self, net: Ipv4Net, relay: Option<Ipv4Addr>) -> u64 {
        self.offers.get(&(net, relay)).copied().unwrap_or_default()
    }

    /// A free address of the network's pools.
    pub(super) fn take(&mut self, net: Ipv4Net, now: Timestamp) -> Option<Ipv4Addr> {
        let (held, reserved) = (&self.held, &self.reserved);
        let free = |ip: Ipv4Addr| held.get(&ip).is_none_or(|row| row.state == State::Past);
        let space = self.spaces.get_mut(&net)?;
        space.take(now, free, |ip| reserved.contains_key(&ip))
    }

    /// Writes a row over what was there.
    pub(super) fn enter(&mut self, ip: Ipv4Addr, row: Held) {
        self.leave(ip);
        let Some(subnet) = network::holding(&self.subnets, ip) else {
            return;
        };
        let net = subnet.net;
        let pooled = subnet.pools_hold(ip);
        if row.state == State::Past {
            if pooled && let Some(space) = self.spaces.get_mut(&net) {
                space.put_back(ip, row.until);
            }
        } else {
            if let Some(space) = self.spaces.get_mut(&net) {
                space.no_longer(ip);
            }
            self.ends.insert((row.until, ip));
            *self.taken.entry(net).or_default() += u64::from(pooled);
            if row.stranger {
                if let Some(port) = &row.port {
                    *self.of_port.entry(port.clone()).or_default() += 1;
                }
                if row.state == State::Offered {
                    *self.offers.entry((net, row.relay)).or_default() += 1;
                }
            }
        }
        self.clients.entry((net, row.mac)).or_default().push(ip);
        self.held.insert(ip, row);
    }

    /// The address was the client's until then, and is free.
    pub(super) fn past(&mut self, ip: Ipv4Addr, until: Timestamp) {
        if let Some(row) = self.held.get(&ip).cloned() {
            self.enter(
                ip,
                Held {
                    state: State::Past,
                    until,
                    ..row
                },
            );
        }
    }

    /// The address is free, and was nobody's.
    pub(super) fn forget(&mut self, ip: Ipv4Addr, since: Timestamp) {
        self.leave(ip);
        if let Some(subnet) = network::holding(&self.subnets, ip)
            && subnet.pools_hold(ip)
        {
            let net = subnet.net;
            if let Some(space) = self.spaces.get_mut(&net) {
                space.put_back(ip, since);
            }
        }
    }

    /// Takes a row out of every count.
    fn leave(&mut self, ip: Ipv4Addr) {
        let Some(row) = self.held.remove(&ip) else {
            return;
        };
        let Some(subnet) = network::holding(&self.subnets, ip) else {
            return;
        };
        let net = subnet.net;
        if row.state != State::Past {
            self.ends.remove(&(row.until, ip));
            if subnet.pools_hold(ip) {
                less(&mut self.taken, &net, 1);
            }
            if row.stranger {
                if let Some(port) = &row.port {
                    less(&mut self.of_port, port, 1);
                }
                if row.state == State::Offered {
                    less(&mut self.offers, &(net, row.relay), 1);
                }
            }
        }
        if let Some(of_mac) = self.clients.get_mut(&(net, row.mac)) {
            of_mac.retain(|known| *known != ip);
            if of_mac.is_empty() {
                self.clients.remove(&(net, row.mac));
            }
        }
    }
}

/// Counts down, and forgets what came to nothing.
fn less<K: Ord + Clone, N: Copy + PartialOrd + std::ops::SubAssign>(
    counts: &mut BTreeMap<K, N>,
    key: &K,
    one: N,
) {
    if let Some(count) = counts.get_mut(key) {
        if *count <= one {
            counts.remove(key);
        } else {
            *count -= one;
        }
    }
}
