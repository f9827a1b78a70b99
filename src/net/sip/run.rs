//! Sockets of SIP PnP.
//!
//! A group's socket is bound to the group's own address, so that it stands beside a call server on
//! the same host and port: what is sent to the host itself stays the call server's. We speak from
//! a port of our own, so that the units' answers come to us.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as Probe};
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep_until, timeout};

use super::exchange::{Ask, Exchanges, Heard, Send};
use super::message::MOST;
use super::notify::Marks;
use crate::answer::{Asked, Delivery, Door, Ticket};
use crate::engine::facts::{Facts, PnpFacts, Target};
use crate::model::identity::Channel;
use crate::net::links;
use crate::net::listen::{ListenError, Stop};

/// Questions to the core at once; units ask again.
const QUESTIONS: usize = 64;
/// Interfaces that came up are looked for this often.
const JOIN: Duration = Duration::from_secs(10);
/// How long ends of exchanges may take to be recorded when the server stops.
const DRAIN: Duration = Duration::from_secs(5);

/// What all listeners share.
pub struct Plane<D> {
    pub door: D,
    /// 128 random bits, or none where the system has none to give.
    pub random: Arc<dyn Fn() -> Option<u128> + std::marker::Send + Sync>,
}

/// A socket that is bound, and the one that we speak from.
pub struct Listener {
    heard: UdpSocket,
    /// Of a group.
    own: Option<UdpSocket>,
    address: SocketAddr,
}

impl Listener {
    /// Where it listens, with the port that was found.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    fn speaks(&self) -> &UdpSocket {
        self.own.as_ref().unwrap_or(&self.heard)
    }

    /// Where a unit reaches us: the address that the way to it begins at, and the port that we
    /// speak from.
    fn reached_from(&self, unit: SocketAddr) -> io::Result<SocketAddr> {
        let own = self.speaks().local_addr()?;
        if !own.ip().is_unspecified() {
            return Ok(own);
        }
        let probe = Probe::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        probe.connect(unit)?;
        Ok(SocketAddr::new(probe.local_addr()?.ip(), own.port()))
    }

    /// Joins the group on every interface; one that is in it already, or cannot be, is left alone.
    fn join(&self) {
        let IpAddr::V4(group) = self.address.ip() else {
            return;
        };
        if !group.is_multicast() {
            return;
        }
        let socket = socket2::SockRef::from(&self.heard);
        for name in interfaces() {
            let Ok(index) = rustix::net::netdevice::name_to_index(&self.heard, &name) else {
                continue;
            };
            let interface = InterfaceIndexOrAddress::Index(index);
            match socket.join_multicast_v4_n(&group, &interface) {
                Ok(()) => tracing::debug!(%group, name, "joined"),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => tracing::debug!(%group, name, %error, "not joined"),
            }
        }
    }
}

/// Names of the machine's interfaces; one that has no address yet is among them.
fn interfaces() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    let rows = text.lines().skip(2);
    let names = rows.filter_map(|row| row.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

/// Binds an address, a group's or one of ours; port 0 finds a free one.
pub fn bind(address: SocketAddr) -> Result<Listener, ListenError> {
    open(address).map_err(|source| ListenError::Bind { address, source })
}

fn open(address: SocketAddr) -> io::Result<Listener> {
    // A call server on this host has the same port, perhaps on every address: what is sent to a
    // group is not its. But at an address of the host we would take what is.
    let group = address.ip().is_multicast();
    let heard = socket(address, group)?;
    let own = match group {
        true => Some(socket(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), false)?),
        false => None,
    };
    let listener = Listener {
        address: heard.local_addr()?,
        heard,
        own,
    };
    listener.join();
    Ok(listener)
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    UdpSocket::from_std(socket.into())
}

/// An ask with the core's answer.
type Answered = (Box<Ask>, Asked);

/// Serves one listener until told to stop.
pub async fn run<D: Door>(
    listener: Listener,
    plane: Arc<Plane<D>>,
    stop: Stop,
) -> Result<(), ListenError> {
    let mut exchanges = Exchanges::default();
    let mut questions: JoinSet<Answered> = JoinSet::new();
    // Nobody waits for the store: there are no more of these than exchanges.
    let mut ends: JoinSet<()> = JoinSet::new();
    let mut near = near();
    let mut joins = joins();
    let (mut first, mut second) = (vec![0; MOST + 1], vec![0; MOST + 1]);
    loop {
        let due = exchanges.next();
        let heard = tokio::select! {
            () = stop.drain.cancelled() => break,
            got = listener.heard.recv_from(&mut first) => got.map(|(n, from)| (first.get(..n), from)),
            got = hear(listener.own.as_ref(), &mut second) => {
                got.map(|(n, from)| (second.get(..n), from))
            }
            Some(answered) = questions.join_next() => {
                if let Ok((ask, asked)) = answered {
                    answer(&listener, &plane, &mut exchanges, &ask, asked).await;
                }
                continue;
            }
            () = at(due) => {
                let (sends, unanswered) = exchanges.due(Instant::now());
                send(&listener, &sends).await;
                for ticket in unanswered {
                    end(&mut ends, &plane, ticket, Delivery::Broken);
                }
                continue;
            }
            Some(_) = ends.join_next() => continue,
            _ = joins.tick() => {
                listener.join();
                near = self::near();
                continue;
            }
        };
        let (datagram, from) = match heard {
            Ok((Some(datagram), from)) => (datagram, from),
            Ok((None, _)) => continue,
            Err(error) => {
                tracing::debug!(%error, "a datagram was not received");
                continue;
            }
        };
        match exchanges.hear(datagram, from, Instant::now()) {
            Ok(Heard::Nothing) => {}
            Ok(Heard::Again(again)) => send(&listener, &[again]).await,
            Ok(Heard::Ended(ticket, how)) => end(&mut ends, &plane, ticket, how),
            Ok(Heard::Asks(ask)) if questions.len() < QUESTIONS => {
                let (plane, facts) = (Arc::clone(&plane), facts(&ask, &near));
                questions.spawn(async move {
                    let asked = plane.door.point(facts).await;
                    (ask, asked)
                });
            }
            Ok(Heard::Asks(ask)) => exchanges.forget(&ask),
            Err(why) => tracing::debug!(%from, %why, "a datagram that is not for us"),
        }
    }
    let all = async { while ends.join_next().await.is_some() {} };
    if timeout(DRAIN, all).await.is_err() {
        tracing::warn!("ends of exchanges are not recorded");
    }
    Ok(())
}

/// The end of an exchange on its way to the core.
fn end<D: Door>(ends: &mut JoinSet<()>, plane: &Arc<Plane<D>>, ticket: Ticket, how: Delivery) {
    let plane = Arc::clone(plane);
    ends.spawn(async move { plane.door.delivered(&ticket, how, 0).await });
}

/// The networks that this host is on.
fn near() -> Vec<Ipv4Net> {
    links::networks().into_iter().map(|(_, net)| net).collect()
}

fn joins() -> Interval {
    let mut joins = tokio::time::interval(JOIN);
    joins.set_missed_tick_behavior(MissedTickBehavior::Delay);
    joins
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn hear(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => std::future::pending().await,
    }
}

fn facts(ask: &Ask, near: &[Ipv4Net]) -> Facts {
    let mut facts = Facts::new(Channel::SipPnp, Target::default());
    facts.source = Some(ask.from.ip());
    let here = |ip: &Ipv4Addr| near.iter().any(|net| net.contains(ip));
    facts.pnp = Some(PnpFacts {
        routed: !matches!(ask.from.ip(), IpAddr::V4(ip) if here(&ip)),
        ..ask.facts.clone()
    });
    facts
}

/// The core's answer on its way.
async fn answer<D: Door>(
    listener: &Listener,
    plane: &Plane<D>,
    exchanges: &mut Exchanges,
    ask: &Ask,
    asked: Asked,
) {
    let pointer = asked.pointer;
    let told = pointer.as_ref().and_then(|pointer| {
        let url = pointer.url.as_deref()?;
        Some((url, pointer.ticket.clone()))
    });
    let (Ok(local), Some(random)) = (listener.reached_from(ask.from), (plane.random)()) else {
        tracing::warn!(unit = %ask.from, "no way back to a unit that asks");
        exchanges.forget(ask);
        return;
    };
    let sends = exchanges.answer(ask, told, local, Marks::new(random), Instant::now());
    send(listener, &sends).await;
}

async fn send(listener: &Listener, sends: &[Send]) {
    for one in sends {
        if let Err(error) = listener.speaks().send_to(&one.octets, one.to).await {
            tracing::debug!(to = %one.to, %error, "a datagram was not sent");
        }
    }
}
