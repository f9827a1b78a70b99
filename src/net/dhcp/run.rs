//! The loops of an interface: what comes in, what is due, and the look for other servers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::frame::{CLIENT_PORT, Datagram, Received, SERVER_PORT, arp_sender};
use super::packet::{Direction, LONGEST, Packet, code, given, parse};
use super::serve::Segment;
use super::wire::{Wire, WireError};
use crate::answer::Door;
use crate::engine::lease::Why;
use crate::engine::lease::observe::Seen;
use crate::model::dhcp::{Dhcp, Kind, Mode};
use crate::service::leases::LeaseDesk;

/// Frames that are taken at once, before anything else has its turn.
const AT_ONCE: usize = 64;
/// Requests that are: most of a flood is dropped as it is read, which costs less than to let it wait.
const REQUESTS: usize = 1024;
/// How long the first look for other servers waits: some ping an address for three seconds before
/// they offer it.
const FIRST_LOOK: Duration = Duration::from_millis(3500);
/// Between two DISCOVERs of one look.
const AGAIN: Duration = Duration::from_millis(1000);
const TICK: Duration = Duration::from_secs(1);
/// Addresses of the machine are looked up once in so many ticks.
const REFRESH: u32 = 10;
/// More than any Ethernet frame that we want.
const FRAME: usize = 2048;

/// The sockets of every interface that the configuration names.
pub fn bind(plan: &Dhcp) -> Result<Vec<Wire>, WireError> {
    let observing = plan.mode == Mode::Observe;
    let one = |name: &String| match (observing, Wire::bind(name, true, observing)) {
        // Without them it sees what clients say, and no ACK.
        (true, Err(error)) => {
            tracing::warn!(%error, "only what clients say is observed");
            Wire::bind(name, false, true)
        }
        (_, bound) => bound,
    };
    if plan.mode == Mode::Off {
        return Ok(Vec::new());
    }
    plan.interfaces.iter().map(one).collect()
}

/// Serves an interface.
pub struct Server<D>(Arc<Segment<D>>);

impl<D: Door> Server<D> {
    /// An interface with its doors.
    pub fn new(door: D, desk: LeaseDesk, wire: Wire) -> Self {
        Self(Arc::new(Segment::new(door, desk, wire)))
    }

    /// Looks for other servers, before the first client is answered.
    pub async fn look_first(&self) {
        let segment = &self.0;
        let Some(taps) = &segment.wire.taps else {
            return;
        };
        if !segment.desk.look(segment.name()) {
            return;
        }
        let end = Instant::now() + FIRST_LOOK;
        let mut frame = vec![0; FRAME];
        let mut again = Instant::now();
        while Instant::now() < end && !segment.desk.gave_way(segment.name()) {
            if again <= Instant::now() {
                self.look();
                again += AGAIN;
            }
            let next = timeout_at(end.min(again), taps.clients.next(&mut frame)).await;
            if let Ok(Ok(length)) = next {
                self.frame(frame.get(..length).unwrap_or_default());
            }
        }
    }

    /// Serves until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let segment = Arc::clone(&self.0);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count = 0_u32;
        let (mut arp, mut frame) = (vec![0; FRAME], vec![0; FRAME]);
        while !stop.is_cancelled() {
            let due = segment.conflicts().next();
            let due = due.unwrap_or_else(|| Instant::now() + TICK);
            // In no order: none of these starves the others, whatever somebody floods.
            tokio::select! {
                () = stop.cancelled() => break,
                heard = next_arp(&segment, &mut arp) => {
                    let taps = segment.wire.taps.as_ref();
                    let mut next = Some(heard);
                    for _ in 0..AT_ONCE {
                        let Some(length) = next else { break };
                        let claim = arp.get(..length).and_then(arp_sender);
                        if let Some((station, ip)) = claim.filter(|(_, ip)| !ip.is_unspecified()) {
                            segment.claimed(ip, station);
                        }
                        next = taps.and_then(|taps| taps.arp.waits(&mut arp));
                    }
                }
                heard = next_client(&segment, &mut frame) => {
                    let taps = segment.wire.taps.as_ref();
                    let mut next = Some(heard);
                    for _ in 0..AT_ONCE {
                        let Some(length) = next else { break };
                        self.frame(frame.get(..length).unwrap_or_default());
                        next = taps.and_then(|taps| taps.clients.waits(&mut frame));
                    }
                }
                ready = segment.wire.udp.readable() => {
                    if let Err(error) = ready {
                        tracing::warn!(interface = segment.name(), %error, "DHCP socket");
                    }
                    self.datagrams();
                    tokio::task::yield_now().await;
                }
                () = sleep_until(due) => segment.due(),
                _ = ticks.tick() => {
                    count = count.wrapping_add(1);
                    if count.is_multiple_of(REFRESH) {
                        segment.refresh();
                    }
                    if segment.desk.look(segment.name()) {
                        self.look();
                    }
                }
            }
        }
        segment.drained().await;
    }

    /// Takes the datagrams that are there.
    fn datagrams(&self) {
        let segment = &self.0;
        let mut octets = [0_u8; LONGEST + 1];
        for _ in 0..REQUESTS {
            let (length, from) = match segment.wire.udp.try_recv_from(&mut octets) {
                Ok((length, SocketAddr::V4(from))) => (length, from),
                Ok((_, SocketAddr::V6(_))) => continue,
                Err(_) => return,
            };
            let datagram = octets.get(..length).unwrap_or_default();
            if !segment.has_room(datagram) {
                segment.desk.bad(Why::Overload.as_str());
                continue;
            }
            match parse(datagram, Direction::Request) {
                Ok(packet) => {
                    tracing::trace!(%from, ?packet, "DHCP");
                    segment.take(packet, from);
                }
                Err(bad) => {
                    tracing::debug!(%from, reason = bad.as_str(), "a DHCP datagram is dropped");
                    segment.desk.bad(bad.as_str());
                }
            }
        }
    }

    /// A frame to a client's port: another server's answer to somebody, or to our probe.
    fn frame(&self, frame: &[u8]) {
        let segment = &self.0;
        let Some(received) = Received::read(frame) else {
            return;
        };
        let standing = segment.standing();
        if received.from.1 != SERVER_PORT
            || received.to.1 != CLIENT_PORT
            || standing.own.contains(&received.from.0)
            // Nobody who answers a client sends it to us: it may come from anywhere.
            || standing.own.contains(&received.to.0)
        {
            return;
        }
        let Ok(packet) = parse(received.payload, Direction::Reply) else {
            return;
        };
        if !matches!(packet.kind, Kind::Offer | Kind::Ack | Kind::Nak) {
            return;
        }
        let named = packet.address(code::SERVER);
        let server = named.unwrap_or(received.from.0);
        if standing.own.contains(&server) {
            return;
        }
        if packet.kind == Kind::Ack
            && segment.desk.planned().mode == Mode::Observe
            && let Some(seen) = seen(&packet)
        {
            segment.desk.granted(&seen, &standing.link);
        }
        segment.desk.rival(segment.name(), server, received.station);
    }

    /// Sends a DISCOVER of our own: who else answers?
    fn look(&self) {
        let segment = &self.0;
        let Some(taps) = &segment.wire.taps else {
            return;
        };
        let interface = &segment.wire.interface;
        let datagram = Datagram {
            from: (Ipv4Addr::UNSPECIFIED, CLIENT_PORT),
            to: (Ipv4Addr::BROADCAST, SERVER_PORT),
            payload: &discover(interface.mac),
        };
        segment.sent(taps.arp.send(&datagram.frame(None, interface.mac)));
    }
}

async fn next_arp<D>(segment: &Segment<D>, frame: &mut [u8]) -> usize {
    match &segment.wire.taps {
        Some(taps) => taps.arp.next(frame).await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

async fn next_client<D>(segment: &Segment<D>, frame: &mut [u8]) -> usize {
    match &segment.wire.taps {
        Some(taps) => taps.clients.next(frame).await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

/// The lease that an ACK tells of.
fn seen(packet: &Packet) -> Option<Seen> {
    let time = <[u8; 4]>::try_from(packet.option(code::LEASE_TIME));
    Some(Seen {
        mac: packet.mac?,
        ip: given(packet.yiaddr)?,
        relay: given(packet.giaddr),
        lease_time: time.ok().map(u32::from_be_bytes),
    })
}

/// A DISCOVER from our own station that wants its answer as a broadcast. It takes no lease.
fn discover(station: [u8; 6]) -> Vec<u8> {
    const PARAMETERS: [u8; 3] = [code::MASK, code::ROUTER, code::SERVER];
    let [.., c, d, e, f] = station;
    let mut octets = vec![1, 1, 6, 0, c, d, e, f, 0, 0, 0x80, 0];
    octets.resize(28, 0);
    octets.extend_from_slice(&station);
    octets.resize(236, 0);
    octets.extend_from_slice(&super::packet::MAGIC);
    octets.extend_from_slice(&[code::MESSAGE, 1, Kind::Discover.number()]);
    octets.extend_from_slice(&[code::PARAMETERS, 3]);
    octets.extend_from_slice(&PARAMETERS);
    octets.push(code::END);
    octets.resize(300, 0);
    octets
}
