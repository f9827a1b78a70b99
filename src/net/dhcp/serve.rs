//! One interface, served: datagrams to asks, decisions to replies, and where these go.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use ipnet::Ipv4Net;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::compose::{self, Terms};
use super::conflict::{Conflicts, Due};
use super::frame::{CLIENT_PORT, Datagram, SERVER_PORT, arp_probe};
use super::packet::{Heard, Packet, code, given};
use super::wire::{Interface, Wire};
use crate::answer::{Asked, Door};
use crate::engine::lease::network::{self, Origin};
use crate::engine::lease::{Answer, Ask, Why};
use crate::model::dhcp::{Kind, Mode};
use crate::model::event::AlertKind;
use crate::model::identity::Mac;
use crate::service::leases::LeaseDesk;

/// Requests of listed clients that are at work or wait for it: a storm. A request waits in its
/// order, and comes again where there is no room for it.
const OF_LISTED: u32 = 2048;
/// Of all other clients. Theirs are dropped as they are read, so that a flood of them costs the
/// listed ones no time.
const OF_STRANGERS: u32 = 512;
/// At work at once, of each of the two.
const AT_WORK: usize = 64;
/// Where a message has its client's hardware address.
const CHADDR: usize = 28;
/// How long requests at work may take when the server stops.
const DRAIN: Duration = Duration::from_secs(5);
/// Addresses that are tried for one offer.
const TRIES: u8 = 4;

/// An interface with its sockets, its doors and what waits on it.
pub(super) struct Segment<D> {
    pub(super) door: D,
    pub(super) desk: LeaseDesk,
    pub(super) wire: Wire,
    /// As the interface stands now.
    pub(super) now: RwLock<Arc<Standing>>,
    pub(super) conflicts: Mutex<Conflicts<(Job, Send)>>,
    strangers: Queue,
    listed: Queue,
}

/// Requests that are at work, and those behind them.
struct Queue {
    most: u32,
    room: Arc<Semaphore>,
    turns: Semaphore,
}

/// Addresses that change while we run.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Of the interface.
    pub(super) via: Vec<Ipv4Addr>,
    /// Its networks.
    pub(super) link: Vec<Ipv4Net>,
    /// Of the machine.
    pub(super) own: Vec<Ipv4Addr>,
}

/// A request that was understood.
#[derive(Clone)]
pub(super) struct Job {
    packet: Arc<Packet>,
    ask: Ask,
    asked: Arc<Asked>,
    tries: u8,
}

/// A datagram that is to be sent.
pub(super) struct Send {
    octets: Vec<u8>,
    to: To,
    /// Our address in it.
    server: Ipv4Addr,
}

/// Where a reply goes (RFC 2131 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Relay(Ipv4Addr),
    Address(Ipv4Addr),
    /// To a client that has no address yet: a frame to its station.
    Station([u8; 6], Ipv4Addr),
    Everybody,
}

impl<D: Door> Segment<D> {
    pub(super) fn new(door: D, desk: LeaseDesk, wire: Wire) -> Self {
        let standing = Standing::of(&wire.interface);
        Self {
            door,
            desk,
            wire,
            now: RwLock::new(Arc::new(standing)),
            conflicts: Mutex::default(),
            strangers: Queue::new(OF_STRANGERS),
            listed: Queue::new(OF_LISTED),
        }
    }

    /// Waits until nothing is at work.
    pub(super) async fn drained(&self) {
        let idle = async {
            self.strangers.drained().await;
            self.listed.drained().await;
        };
        if timeout(DRAIN, idle).await.is_err() {
            tracing::warn!(interface = self.name(), "requests were broken off");
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.wire.interface.name
    }

    pub(super) fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn refresh(&self) {
        let standing = Arc::new(Standing::of(&self.wire.interface));
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    pub(super) fn conflicts(&self) -> MutexGuard<'_, Conflicts<(Job, Send)>> {
        self.conflicts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for a datagram's client. Asked before it is read: a flood costs little.
    pub(super) fn has_room(&self, datagram: &[u8]) -> bool {
        let octets = datagram.get(CHADDR..CHADDR + 6).unwrap_or_default();
        let octets = <[u8; 6]>::try_from(octets).ok();
        let mac = octets.and_then(|octets| Mac::new(octets).ok());
        let listed = mac.is_some_and(|mac| self.desk.lists(mac));
        self.queue(listed).room.available_permits() > 0
    }

    /// Takes a request to work on, or drops it where too many are at work: it comes again.
    pub(super) fn take(self: &Arc<Self>, packet: Packet, from: SocketAddrV4) {
        let Some(mac) = packet.mac else {
            return self.desk.bad(Why::NoMac.as_str());
        };
        let listed = self.desk.lists(mac);
        let room = &self.queue(listed).room;
        let Ok(permit) = Arc::clone(room).try_acquire_owned() else {
            return self.desk.bad(Why::Overload.as_str());
        };
        let segment = Arc::clone(self);
        tokio::spawn(async move {
            let turn = segment.queue(listed).turns.acquire().await;
            Arc::clone(&segment).request(packet, mac, from).await;
            drop((turn, permit));
        });
    }

    fn queue(&self, listed: bool) -> &Queue {
        if listed {
            &self.listed
        } else {
            &self.strangers
        }
    }

    async fn request(self: Arc<Self>, packet: Packet, mac: Mac, from: SocketAddrV4) {
        let plan = self.desk.planned();
        let standing = self.standing();
        let named = given(packet.giaddr).is_some_and(|relay| plan.relays.contains(&relay));
        // Anybody can write a relay's address into a packet: the datagram must come from one.
        let trusted = named && plan.relays.contains(from.ip());
        let origin = self.origin(&packet, trusted, *from.ip(), &standing);
        if !trusted && packet.options.contains_key(&code::RELAY) {
            let relay = match given(packet.giaddr) {
                Some(relay) => format!("relay {relay}, from {}", from.ip()),
                None => format!("{mac} on {}", self.name()),
            };
            let text = if named {
                "option 82 in the name of a relay of dhcp.relays, from an address that is not there: it counts for nothing (a relay that sends from another address is named with both)"
            } else {
                "option 82 from somebody who is not in dhcp.relays: it counts for nothing"
            };
            self.desk.alert(AlertKind::UntrustedOption82, relay, text);
        }
        let observed = plan.mode == Mode::Observe;
        let heard = match observed {
            true => origin == Origin::Wire,
            false => origin != Origin::Nobody,
        };
        let asked = match packet.kind {
            _ if !heard => Asked::default(),
            Kind::Discover | Kind::Request | Kind::Inform => {
                let link = match (packet.relay().link.filter(|_| trusted), packet.giaddr) {
                    (Some(named), _) => vec![named],
                    (None, relay) if !relay.is_unspecified() => vec![relay],
                    (None, _) => standing.via.clone(),
                };
                let subnet = plan
                    .subnets
                    .iter()
                    .find(|subnet| link.iter().any(|ip| subnet.net.contains(ip)));
                let heard = Heard {
                    interface: self.name(),
                    link: &link,
                    site: subnet.and_then(|subnet| subnet.site.as_deref()),
                    trusted,
                    observed,
                    unplaced: origin == Origin::Said,
                };
                self.door.point(packet.facts(&heard)).await
            }
            Kind::Release | Kind::Decline => Asked::default(),
            Kind::Offer | Kind::Ack | Kind::Nak => return self.desk.bad("message-type"),
        };
        let reserved = match asked.device {
            Some(device) => self.desk.reserved(device).await,
            None => None,
        };
        let ask = self.ask(&packet, mac, &asked, reserved, trusted, *from.ip());
        if !heard {
            return self.desk.silent(&ask, Why::Outside);
        }
        if observed {
            return self.desk.observe(&ask, &standing.link);
        }
        if ask.to_us == Some(false) && ask.giaddr.is_none() {
            self.desk.doubt(self.name());
        }
        if plan.mode == Mode::Inform && packet.kind == Kind::Inform && asked.pointer.is_none() {
            return self.desk.silent(&ask, Why::NotServed);
        }
        self.answer(Job {
            packet: Arc::new(packet),
            ask,
            asked: Arc::new(asked),
            tries: 0,
        });
    }

    fn ask(
        &self,
        packet: &Packet,
        mac: Mac,
        asked: &Asked,
        reserved: Option<Ipv4Addr>,
        trusted: bool,
        source: Ipv4Addr,
    ) -> Ask {
        let standing = self.standing();
        let relay = Some(packet.relay()).filter(|_| trusted).unwrap_or_default();
        let (link, stands_for) = (relay.link, relay.server);
        let server = packet.address(code::SERVER);
        let ours = |ip: Ipv4Addr| standing.own.contains(&ip) || stands_for == Some(ip);
        Ask {
            kind: packet.kind,
            mac,
            client: packet.option(code::CLIENT_ID).to_vec(),
            serial: asked.serial.clone(),
            source,
            ciaddr: given(packet.ciaddr),
            giaddr: given(packet.giaddr),
            requested: packet.address(code::REQUESTED).and_then(given),
            to_us: server.map(ours),
            link,
            subnet: packet.address(code::SUBNET).and_then(given),
            port: relay.port(),
            via: standing.via.clone(),
            trusted,
            unit: asked.device,
            recognised: asked.recognised,
            reserved,
            least: asked.pointer.as_ref().map_or(0, |pointer| pointer.lease),
        }
    }

    /// How far it may be believed where a message came from, and whether an answer may go there.
    fn origin(
        &self,
        packet: &Packet,
        trusted: bool,
        source: Ipv4Addr,
        standing: &Standing,
    ) -> Origin {
        let from = network::From {
            kind: packet.kind,
            source,
            ciaddr: given(packet.ciaddr),
            giaddr: given(packet.giaddr),
            trusted,
            own: &standing.own,
            link: &standing.link,
        };
        network::origin(self.desk.turn().subnets(), &from)
    }

    /// Decides and answers: at once, when the lease is durable, or when nobody else has the address.
    fn answer(self: &Arc<Self>, job: Job) {
        let mut turn = self.desk.turn();
        let decision = turn.decide(&job.ask, self.name());
        let network = turn.mode() == Mode::Server;
        let send = self.reply(&job, &decision.answer, network);
        match (decision.write, send) {
            (Some(write), Some(send)) => {
                let segment = Arc::clone(self);
                let after = move |durable: bool| {
                    if durable {
                        segment.send(&send);
                    } else {
                        segment.desk.silent(&job.ask, Why::NotDurable);
                    }
                };
                turn.write(write, Some(Box::new(after)));
            }
            (Some(write), None) => turn.write(write, None),
            (None, Some(send)) => {
                drop(turn);
                match decision.answer {
                    Answer::Offer(grant) if grant.fresh && job.ask.giaddr.is_none() => {
                        self.question(grant.ip, job, send);
                    }
                    Answer::Offer(_)
                    | Answer::Ack(_)
                    | Answer::Inform(_)
                    | Answer::Nak(_)
                    | Answer::Silent => self.send(&send),
                }
            }
            (None, None) => {}
        }
    }

    /// An offer of an address that the client did not have waits until we know that nobody else has
    /// it.
    fn question(&self, ip: Ipv4Addr, job: Job, send: Send) {
        let Some(taps) = &self.wire.taps else {
            return self.send(&send);
        };
        let station = job.ask.mac.octets();
        let waits = (job, send);
        let (settled, probe) = self
            .conflicts()
            .question(ip, station, waits, Instant::now());
        if probe {
            self.sent(taps.arp.send(&arp_probe(ip, self.wire.interface.mac)));
        }
        if let Some((_, send)) = settled {
            self.send(&send);
        }
    }

    /// A station says that an address is its own.
    pub(super) fn claimed(self: &Arc<Self>, ip: Ipv4Addr, station: [u8; 6]) {
        let Some((mut job, _)) = self.conflicts().answered(ip, station) else {
            return;
        };
        tracing::warn!(%ip, "somebody else answers at an address of the pool");
        self.desk.turn().conflict(ip);
        job.tries += 1;
        if job.tries < TRIES {
            self.answer(job);
        } else {
            self.desk.silent(&job.ask, Why::InUse);
        }
    }

    /// Offers whose addresses turned out free, and probes that are due once more.
    pub(super) fn due(&self) {
        let due = self.conflicts().due(Instant::now());
        for one in due {
            match (one, &self.wire.taps) {
                (Due::Free((_, send)), _) => self.send(&send),
                (Due::Ask(ip), Some(taps)) => {
                    self.sent(taps.arp.send(&arp_probe(ip, self.wire.interface.mac)));
                }
                (Due::Ask(_), None) => {}
            }
        }
    }

    /// The datagram for an answer, and where it goes; none where it is silence. Without `network` it
    /// tells what the family is told and no more.
    fn reply(&self, job: &Job, answer: &Answer, network: bool) -> Option<Send> {
        let packet = &job.packet;
        let standing = self.standing();
        let net = match answer {
            Answer::Offer(grant) | Answer::Ack(grant) => Some(grant.subnet.net),
            Answer::Inform(subnet) => subnet.as_ref().map(|subnet| subnet.net),
            Answer::Nak(subnet) => Some(subnet.net),
            Answer::Silent => return None,
        };
        let inside = |ip: &&Ipv4Addr| net.is_some_and(|net| net.contains(*ip));
        let via = &standing.via;
        let own = via.iter().find(inside).or_else(|| via.first()).copied();
        let named = Some(packet.relay()).filter(|_| job.ask.trusted);
        let server = named.and_then(|relay| relay.server).or(own)?;
        let terms = Terms {
            server,
            pointer: job.asked.pointer.as_ref(),
            network,
        };
        let reply = compose::reply(packet, answer, &terms)?;
        // On another wire a broadcast NAK would tell strangers.
        if reply.kind == Kind::Nak && job.ask.giaddr.is_none() && !via.iter().any(|ip| inside(&ip))
        {
            return None;
        }
        let (octets, left) = reply.encode(packet);
        if !left.is_empty() {
            tracing::warn!(mac = %job.ask.mac, ?left, "options that the client's longest message does not hold");
        }
        let to = where_to(packet, reply.kind, reply.yiaddr);
        Some(Send { octets, to, server })
    }

    fn send(&self, send: &Send) {
        let udp = |ip: Ipv4Addr, port: u16| {
            let to = SocketAddr::V4(SocketAddrV4::new(ip, port));
            self.wire.udp.try_send_to(&send.octets, to).map(drop)
        };
        self.sent(match (send.to, &self.wire.taps) {
            (To::Relay(ip), _) => udp(ip, SERVER_PORT),
            (To::Address(ip), _) => udp(ip, CLIENT_PORT),
            (To::Everybody, _) | (To::Station(..), None) => udp(Ipv4Addr::BROADCAST, CLIENT_PORT),
            (To::Station(station, ip), Some(taps)) => {
                let datagram = Datagram {
                    from: (send.server, SERVER_PORT),
                    to: (ip, CLIENT_PORT),
                    payload: &send.octets,
                };
                taps.arp
                    .send(&datagram.frame(Some(station), self.wire.interface.mac))
            }
        });
    }

    /// A datagram that does not leave is lost, as any may be.
    pub(super) fn sent(&self, result: std::io::Result<()>) {
        if let Err(error) = result {
            tracing::debug!(interface = self.name(), %error, "a datagram did not leave");
        }
    }
}

impl Queue {
    fn new(most: u32) -> Self {
        Self {
            most,
            room: Arc::new(Semaphore::new(usize::try_from(most).unwrap_or_default())),
            turns: Semaphore::new(AT_WORK),
        }
    }

    /// Waits until nothing is in it.
    async fn drained(&self) {
        drop(self.room.acquire_many(self.most).await);
    }
}

impl Standing {
    fn of(interface: &Interface) -> Self {
        let (link, own) = interface.addresses();
        let via = link.iter().map(Ipv4Net::addr).collect();
        Self { via, link, own }
    }
}

/// The order of RFC 2131 section 4.1; a NAK without a relay goes to everybody.
fn where_to(packet: &Packet, kind: Kind, yiaddr: Ipv4Addr) -> To {
    let [a, b, c, d, e, f, ..] = packet.chaddr;
    match (given(packet.giaddr), given(packet.ciaddr)) {
        (Some(relay), _) => To::Relay(relay),
        (None, _) if kind == Kind::Nak => To::Everybody,
        (None, Some(own)) => To::Address(own),
        (None, None) if packet.broadcast || yiaddr.is_unspecified() => To::Everybody,
        (None, None) => To::Station([a, b, c, d, e, f], yiaddr),
    }
}
