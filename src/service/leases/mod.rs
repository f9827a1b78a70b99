//! The lease door: decisions of [`engine::lease`](crate::engine::lease) in one turn, their rows
//! durable before the answer (trust.md section 7), and what people are told.
//!
//! A decision and its row's place in the queue are taken under one lock, so rows are written in the
//! order in which they were decided. One task writes them, many with one flush.

mod roster;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::roster::Roster;
use super::record::Alarms;
use crate::engine::lease::board::Board;
use crate::engine::lease::observe::{Observer, Seen};
use crate::engine::lease::rivals::Rivals;
use crate::engine::lease::{Answer, Ask, Decision, LeaseWrite, Leases, Why, network};
use crate::hub::{Hub, News};
use crate::model::dhcp::{Dhcp, Kind, Mode, Subnet};
use crate::model::event::{Alert, AlertKind};
use crate::model::identity::{DeviceId, Mac};
use crate::store::{Batch, StoreError, Write};

/// Rows that wait for their flush.
const QUEUE: usize = 4096;
/// Places of the queue that only listed units may take.
const FOR_LISTED: usize = 1024;
/// Rows that share a flush at most.
const GROUP: usize = 1024;
/// A pool with less than this part free is nearly full: one in ten.
const NEARLY: u64 = 10;

/// Rows that one message of an observed client changes, with room to spare.
const OF_ONE: usize = 64;

/// What is done when a row is durable, or cannot be.
pub type After = Box<dyn FnOnce(bool) + Send>;

/// The lease door. Clones are handles of the same one.
#[derive(Clone)]
pub struct LeaseDesk(Arc<Inner>);

struct Inner {
    hub: Arc<Hub>,
    table: Mutex<Table>,
    roster: Mutex<Roster>,
    queue: mpsc::Sender<Waiting>,
    alarms: Alarms,
}

struct Table {
    plan: Arc<Dhcp>,
    leases: Leases,
    observer: Observer,
    /// By interface.
    rivals: BTreeMap<String, Rivals>,
}

struct Waiting {
    write: LeaseWrite,
    after: Option<After>,
}

/// The rows that wait to be written: [`Writer::run`] writes them.
pub struct Writer {
    hub: Arc<Hub>,
    inbox: mpsc::Receiver<Waiting>,
}

/// One decision, under the lock. Not held across an await.
pub struct Turn<'a> {
    desk: &'a Inner,
    table: MutexGuard<'a, Table>,
    now: Timestamp,
}

impl LeaseDesk {
    /// Takes up the leases of the store and what the inventory says of addresses.
    pub async fn open(hub: Arc<Hub>, plan: Dhcp) -> Result<(Self, Writer), StoreError> {
        let roster = Roster::read(&hub).await?;
        let rows = hub.store.leases().await?;
        let mut leases = Leases::new(plan.clone());
        leases.load(rows.iter().cloned(), |mac| roster.lists(mac));
        leases.reserve(roster.reserved());
        let mut observer = Observer::default();
        observer.load(rows);
        let (queue, inbox) = mpsc::channel(QUEUE);
        let writer = Writer {
            hub: Arc::clone(&hub),
            inbox,
        };
        let desk = Self(Arc::new(Inner {
            hub,
            table: Mutex::new(Table {
                plan: Arc::new(plan),
                leases,
                observer,
                rivals: BTreeMap::new(),
            }),
            roster: Mutex::new(roster),
            queue,
            alarms: Alarms::default(),
        }));
        desk.show();
        Ok((desk, writer))
    }

    /// Takes another configuration.
    pub fn plan(&self, plan: &Dhcp) {
        let mut table = self.0.table();
        table.leases.plan(plan.clone());
        table.plan = Arc::new(plan.clone());
        drop(table);
        self.show();
    }

    /// The configuration in force.
    pub fn planned(&self) -> Arc<Dhcp> {
        Arc::clone(&self.0.table().plan)
    }

    /// One decision's turn.
    pub fn turn(&self) -> Turn<'_> {
        Turn {
            now: self.0.hub.now(),
            table: self.0.table(),
            desk: &self.0,
        }
    }

    /// Whether this MAC is a listed unit's, as far as memory knows.
    pub fn lists(&self, mac: Mac) -> bool {
        self.0.roster().lists(mac)
    }

    /// The address that the inventory keeps for a unit; of one that was listed a moment ago too.
    pub async fn reserved(&self, device: DeviceId) -> Option<Ipv4Addr> {
        let known = self.0.roster().address(device);
        if let Some(address) = known {
            return address;
        }
        let row = self.0.hub.store.device(device).await.ok()?;
        let mut roster = self.0.roster();
        roster.note(device, row.as_ref());
        roster.address(device).flatten()
    }

    /// Counts a datagram that was dropped unread.
    pub fn bad(&self, reason: &'static str) {
        self.0.board().drop_one(reason);
    }

    /// Notes why a client got nothing where no lease was decided on.
    pub fn silent(&self, ask: &Ask, why: Why) {
        let decision = Decision {
            answer: Answer::Silent,
            why,
            ip: ask.ciaddr.or(ask.requested),
            write: None,
        };
        self.0.board().note(ask, &decision, self.0.hub.now());
    }

    /// What a client on one of these networks said to another server.
    pub fn observe(&self, ask: &Ask, link: &[Ipv4Net]) {
        // Who gives an address back is looked up by what is known of it.
        let ends = matches!(ask.kind, Kind::Release | Kind::Decline);
        if !ask.listed() && !ends {
            return self.silent(ask, Why::NotServed);
        }
        let places = self.places(link);
        let room = self.observed(|table, now| {
            let own = |ip| places.hold(&table.leases, ip);
            table.observer.said(ask, own, now)
        });
        self.silent(ask, if room { Why::Observed } else { Why::Overload });
    }

    /// What another server granted, where we saw it, to a client that matters.
    pub fn granted(&self, seen: &Seen, link: &[Ipv4Net]) {
        let listed = self.lists(seen.mac);
        let places = self.places(link);
        self.observed(|table, now| {
            if !listed && !table.observer.knows(seen.mac, seen.ip) {
                return Vec::new();
            }
            let own = |ip| places.hold(&table.leases, ip);
            table.observer.granted(seen, own, now)
        });
    }

    /// Says whether there was room: memory holds nothing that the store does not.
    fn observed(&self, decide: impl FnOnce(&mut Table, Timestamp) -> Vec<LeaseWrite>) -> bool {
        let mut turn = self.turn();
        if self.0.queue.capacity() < OF_ONE {
            return false;
        }
        let writes = decide(&mut turn.table, turn.now);
        for write in writes {
            turn.write(write, None);
        }
        true
    }

    /// Where an observed client can be, besides the configured networks.
    fn places(&self, link: &[Ipv4Net]) -> Places {
        let settings = self.0.hub.store.settings();
        let sites = settings.iter().flat_map(|settings| settings.sites.values());
        let prefixes = sites.flat_map(|site| site.prefixes.iter().copied());
        Places(
            prefixes
                .chain(link.iter().copied().map(IpNet::V4))
                .collect(),
        )
    }

    /// Whether it is time to look for other servers on this interface.
    pub fn look(&self, interface: &str) -> bool {
        let now = self.0.hub.now();
        let mut table = self.0.table();
        let wanted = table.plan.probe && table.plan.mode == Mode::Server;
        wanted
            && table
                .rivals
                .entry(interface.to_owned())
                .or_default()
                .look(now)
    }

    /// A client named another server: look soon.
    pub fn doubt(&self, interface: &str) {
        let now = self.0.hub.now();
        let mut table = self.0.table();
        table
            .rivals
            .entry(interface.to_owned())
            .or_default()
            .doubt(now);
    }

    /// Another server answered on this interface.
    pub fn rival(&self, interface: &str, server: Ipv4Addr, mac: Option<Mac>) {
        let now = self.0.hub.now();
        let news = {
            let mut table = self.0.table();
            if table.plan.allow_other.contains(&server) || table.plan.mode != Mode::Server {
                return;
            }
            let rivals = table.rivals.entry(interface.to_owned()).or_default();
            rivals.heard(server, mac, now)
        };
        let at = mac.map_or_else(String::new, |mac| format!(" at {mac}"));
        if news {
            tracing::error!(interface, %server, "another DHCP server answers here: we say nothing");
            self.show();
        }
        let text = "another DHCP server answers on a network that we serve: we say nothing there until it is silent (dhcp.allow_other)";
        self.alert(
            AlertKind::OtherDhcpServer,
            format!("{interface}: {server}{at}"),
            text,
        );
    }

    /// Raises an alert about the network, at a pace. Nobody waits for the store.
    pub fn alert(&self, kind: AlertKind, place: String, text: &str) {
        let hub = &self.0.hub;
        let now = hub.now();
        let Some(count) = self.0.alarms.due(kind, DeviceId(0), now) else {
            return;
        };
        let alert = Alert {
            kind,
            device: DeviceId(0),
            first: now,
            last: now,
            count,
            places: vec![place],
            text: text.to_owned(),
        };
        let (hub, desk) = (Arc::clone(hub), self.clone());
        tokio::spawn(async move {
            let batch = Batch::soon(vec![Write::PutAlert(alert.clone())]);
            if let Err(error) = hub.store.commit(batch.from_reserve()).await {
                tracing::error!(%error, "an alert is not recorded");
                desk.0.alarms.give_back(kind, DeviceId(0), count, now);
            }
            hub.tell(News::Alert(Arc::new(alert)));
        });
    }

    /// Whether we say nothing on this interface because of another server.
    pub fn gave_way(&self, interface: &str) -> bool {
        let now = self.0.hub.now();
        let table = self.0.table();
        table.gives_way(interface, now)
    }

    /// Ends leases that are over, takes up what changed in the inventory, shows how things stand.
    pub async fn tick(&self) {
        let changed = self.0.changed().await;
        {
            let mut turn = self.turn();
            if let Some(reserved) = changed {
                turn.table.leases.reserve(reserved);
            }
            let now = turn.now;
            // No more than the queue takes: the rest are over at the next tick as well.
            let room = turn.desk.queue.capacity().saturating_sub(FOR_LISTED);
            let mut writes = turn.table.leases.expire(now, room);
            if writes.len() < room {
                let table = &mut *turn.table;
                writes.extend(table.observer.expire(now, room - writes.len()));
            }
            for write in writes {
                turn.write(write, None);
            }
        }
        self.show();
    }

    /// Puts on the board how things stand.
    fn show(&self) {
        let now = self.0.hub.now();
        let (mode, filled, rivals) = {
            let table = self.0.table();
            let there = table.rivals.iter().flat_map(|(interface, rivals)| {
                let there = rivals.there(now).into_iter();
                there.map(|rival| (interface.clone(), rival))
            });
            (table.plan.mode, table.leases.filled(), there.collect())
        };
        let mut board = self.0.board();
        board.mode = mode;
        board.filled = filled;
        board.rivals = rivals;
    }
}

/// Whether a pool is nearly full.
pub fn nearly_full(taken: u64, total: u64) -> bool {
    total > 0 && (total - taken.min(total)).saturating_mul(NEARLY) < total
}

/// Prefixes of the sites, and the networks of the interface.
struct Places(Vec<IpNet>);

impl Places {
    /// Whether a client of ours can have this address: of a configured network, or where there is
    /// none, of these.
    fn hold(&self, table: &Leases, ip: Ipv4Addr) -> bool {
        let subnets = table.subnets();
        if subnets.is_empty() {
            self.0.iter().any(|net| net.contains(&IpAddr::V4(ip)))
        } else {
            network::holding(subnets, ip).is_some()
        }
    }
}

impl Table {
    fn gives_way(&self, interface: &str, now: Timestamp) -> bool {
        self.plan.probe
            && self
                .rivals
                .get(interface)
                .is_some_and(|rivals| rivals.is_there(now))
    }
}

impl Turn<'_> {
    /// Decides. A client on the wire of another server is offered nothing, and keeps what it has of
    /// us; one for which there is no place in the queue gets nothing.
    pub fn decide(&mut self, ask: &Ask, interface: &str) -> Decision {
        let room = self.desk.queue.capacity();
        let needs = if ask.listed() { 0 } else { FOR_LISTED };
        let gives_way = ask.giaddr.is_none() && self.table.gives_way(interface, self.now);
        let decision = if gives_way && !self.table.leases.is_ours(ask) {
            silent(ask, Why::GaveWay)
        } else if room <= needs {
            silent(ask, Why::Overload)
        } else {
            self.table.leases.decide(ask, self.now)
        };
        self.desk.board().note(ask, &decision, self.now);
        decision
    }

    /// Somebody else answers at an address that was about to be offered.
    pub fn conflict(&mut self, ip: Ipv4Addr) {
        let until = self.now.saturating_add(crate::engine::lease::CONFLICT);
        let until = until.unwrap_or(Timestamp::MAX);
        self.table.leases.conflict(ip, until);
    }

    /// What the server does.
    pub fn mode(&self) -> Mode {
        self.table.plan.mode
    }

    /// The networks that are served.
    pub fn subnets(&self) -> &[Arc<Subnet>] {
        self.table.leases.subnets()
    }

    /// Queues a row; `after` is told when it is durable.
    pub fn write(&mut self, write: LeaseWrite, after: Option<After>) {
        // There is a place: it was looked for under the same lock.
        if let Err(error) = self.desk.queue.try_send(Waiting { write, after }) {
            tracing::error!(%error, "a lease has no place in the queue");
        }
    }
}

fn silent(ask: &Ask, why: Why) -> Decision {
    Decision {
        answer: Answer::Silent,
        why,
        ip: ask.requested.or(ask.ciaddr),
        write: None,
    }
}

impl Inner {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.hub.dhcp.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads again what changed in the inventory; what it keeps, if that may have changed.
    async fn changed(&self) -> Option<BTreeMap<Ipv4Addr, DeviceId>> {
        let heard = self.roster().heard(self.hub.now());
        let fresh = match heard {
            roster::Heard::Nothing => return None,
            roster::Heard::Some(ids) => {
                for id in ids {
                    match self.hub.store.device(id).await {
                        Ok(device) => self.roster().note(id, device.as_ref()),
                        Err(error) => tracing::error!(%error, "a unit's address is not known"),
                    }
                }
                return Some(self.roster().reserved());
            }
            roster::Heard::All => Roster::read(&self.hub).await,
        };
        match fresh {
            Ok(fresh) => {
                let reserved = fresh.reserved();
                self.roster().take(fresh);
                Some(reserved)
            }
            Err(error) => {
                tracing::error!(%error, "the inventory's addresses are not known");
                self.roster().missed();
                None
            }
        }
    }
}

impl Writer {
    /// Writes rows until told to stop, and then those that still wait.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            let count = tokio::select! {
                count = self.inbox.recv_many(&mut group, GROUP) => count,
                () = stop.cancelled(), if !self.inbox.is_closed() => {
                    self.inbox.close();
                    continue;
                }
            };
            if count == 0 {
                return;
            }
            let mut writes = Vec::with_capacity(group.len());
            let mut after = Vec::with_capacity(group.len());
            for waiting in group.drain(..) {
                writes.push(match waiting.write {
                    LeaseWrite::Put(lease) => Write::PutLease(lease),
                    LeaseWrite::Remove(ip, source) => Write::RemoveLease(ip.into(), source),
                });
                after.extend(waiting.after);
            }
            let batch = if after.is_empty() {
                Batch::soon(writes)
            } else {
                Batch::now(writes)
            };
            let result = self.hub.store.commit(batch.from_reserve()).await;
            if let Err(error) = &result {
                tracing::error!(%error, "leases are not written: nobody is told of them");
            }
            for after in after {
                after(result.is_ok());
            }
        }
    }
}
