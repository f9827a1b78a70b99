//! Units that ask for an address: on an interface, where all of them share one station and want their
//! answers as broadcasts, or as a relay for thousands.
//!
//! ```text
//! Unit::says() -> Hello -> Wire::lease() -> Told -> Unit::takes(): its address, its pointer
//! ```

mod message;
mod told;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use self::message::{ACK, Answer, DISCOVER, NAK, OFFER, Question, REQUEST};
pub use self::told::Told;
use super::Problem;
use super::pnp::Subscriber;
use super::unit::Unit;
use crate::model::identity::Mac;

/// A unit that hears nothing asks again after this time, each time after twice as long, up to the
/// longest (RFC 2131 section 4.1 begins with four seconds; units begin sooner).
const AGAIN: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);
/// So often it asks for the address that it had before, until it takes any.
const KEEPS_ASKING: Duration = Duration::from_secs(3);
/// So long it asks for what it was offered, until it begins anew.
const KEEPS_REQUESTING: Duration = Duration::from_secs(30);
/// Answers that wait for one unit at most.
const WAITING: usize = 8;
/// What the kernel keeps for all of them, in octets.
const BUFFER: usize = 4 << 20;
/// The longest message that is read.
const DATAGRAM: usize = 2048;

/// What a unit says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub mac: Mac,
    /// In ascending order.
    pub options: Vec<(u8, Vec<u8>)>,
    /// The address that it had before it was switched off.
    pub had: Option<Ipv4Addr>,
}

/// Why a unit has no address.
#[derive(Debug, Error)]
pub enum Unserved {
    #[error("nobody offered an address in {} s", .0.as_secs())]
    Silence(Duration),
    #[error("the server offered {0} and did not grant it")]
    NotGranted(Ipv4Addr),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The sockets of one interface, or of one relay. Many units ask through it at once.
pub struct Wire {
    inner: Arc<Inner>,
    _reader: AbortOnDropHandle<()>,
}

struct Inner {
    socket: UdpSocket,
    to: SocketAddrV4,
    giaddr: Ipv4Addr,
    waiting: Mutex<HashMap<u32, (Mac, mpsc::Sender<Answer>)>>,
    next: AtomicU32,
}

impl Wire {
    /// Asks on an interface by broadcast. Needs root or CAP_NET_RAW and CAP_NET_BIND_SERVICE.
    pub fn interface(name: &str) -> io::Result<Self> {
        let socket = socket()?;
        socket.set_broadcast(true)?;
        socket.set_reuse_address(true)?;
        socket.bind_device(Some(name.as_bytes()))?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68).into())?;
        Self::over(
            socket,
            SocketAddrV4::new(Ipv4Addr::BROADCAST, 67),
            Ipv4Addr::UNSPECIFIED,
        )
    }

    /// Asks a server as a relay with this address of the machine's own.
    pub fn relay(giaddr: Ipv4Addr, server: Ipv4Addr) -> io::Result<Self> {
        let socket = socket()?;
        socket.bind(&SocketAddrV4::new(giaddr, 67).into())?;
        Self::over(socket, SocketAddrV4::new(server, 67), giaddr)
    }

    fn over(socket: Socket, to: SocketAddrV4, giaddr: Ipv4Addr) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let inner = Arc::new(Inner {
            socket: UdpSocket::from_std(socket.into())?,
            to,
            giaddr,
            waiting: Mutex::default(),
            // Another process on this wire has another beginning.
            next: AtomicU32::new(std::process::id() << 12),
        });
        let reader = tokio::spawn(Arc::clone(&inner).read());
        Ok(Self {
            inner,
            _reader: AbortOnDropHandle::new(reader),
        })
    }

    /// An address and what comes with it, as a unit takes it at its start.
    pub async fn lease(&self, who: &Hello, patience: Duration) -> Result<Told, Unserved> {
        let end = Instant::now() + patience;
        let mut call = self.inner.call(who);
        if let Some(had) = who.had {
            let first = end.min(Instant::now() + KEEPS_ASKING);
            let options = who.with(&[(message::ADDRESS, had.octets().to_vec())]);
            if let Some(answer) = call.ask(REQUEST, &options, first, &[ACK, NAK]).await?
                && answer.kind == ACK
            {
                return Ok(answer.told());
            }
        }
        loop {
            let offer = call.ask(DISCOVER, &who.options, end, &[OFFER]).await?;
            let offer = offer.ok_or(Unserved::Silence(patience))?;
            let options = who.with(&[
                (message::ADDRESS, offer.yiaddr.octets().to_vec()),
                (
                    message::SERVER,
                    offer
                        .options
                        .get(&message::SERVER)
                        .cloned()
                        .unwrap_or_default(),
                ),
            ]);
            let until = end.min(Instant::now() + KEEPS_REQUESTING);
            match call.ask(REQUEST, &options, until, &[ACK, NAK]).await? {
                Some(answer) if answer.kind == ACK => return Ok(answer.told()),
                None if until == end => return Err(Unserved::NotGranted(offer.yiaddr)),
                Some(_) | None => {}
            }
        }
    }

    /// What every server on the wire offers within this time. Nothing is taken.
    pub async fn offers(&self, who: &Hello, time: Duration) -> Result<Vec<Told>, Unserved> {
        let mut call = self.inner.call(who);
        let end = Instant::now() + time;
        let mut offers: Vec<Told> = Vec::new();
        while let Some(offer) = call.ask(DISCOVER, &who.options, end, &[OFFER]).await? {
            let told = offer.told();
            if !offers.iter().any(|known| known.server == told.server) {
                offers.push(told);
            }
        }
        Ok(offers)
    }
}

fn socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(BUFFER)?;
    Ok(socket)
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u32, (Mac, mpsc::Sender<Answer>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands answers to whom they are for.
    async fn read(self: Arc<Self>) {
        let mut octets = vec![0; DATAGRAM];
        loop {
            let Ok(length) = self.socket.recv(&mut octets).await else {
                continue;
            };
            let Some(answer) = octets.get(..length).and_then(Answer::read) else {
                continue;
            };
            if let Some((mac, sender)) = self.waiting().get(&answer.xid)
                && mac.octets() == answer.mac
            {
                // A unit that does not keep up has what it needs.
                drop(sender.try_send(answer));
            }
        }
    }

    fn call(&self, who: &Hello) -> Call<'_> {
        let xid = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answers) = mpsc::channel(WAITING);
        self.waiting().insert(xid, (who.mac, sender));
        Call {
            wire: self,
            xid,
            mac: who.mac,
            answers,
            pause: AGAIN,
            next: Instant::now(),
            last: 0,
        }
    }
}

/// One unit's conversation.
struct Call<'a> {
    wire: &'a Inner,
    xid: u32,
    mac: Mac,
    answers: mpsc::Receiver<Answer>,
    pause: Duration,
    next: Instant,
    /// The kind that was sent last.
    last: u8,
}

impl Call<'_> {
    /// Asks, again and again, until an answer of these kinds comes or the time is over.
    async fn ask(
        &mut self,
        kind: u8,
        options: &[(u8, Vec<u8>)],
        end: Instant,
        wants: &[u8],
    ) -> io::Result<Option<Answer>> {
        if self.last != kind {
            (self.pause, self.next) = (AGAIN, Instant::now());
        }
        self.last = kind;
        let mut options = options.to_vec();
        if !self.wire.giaddr.is_unspecified() {
            // A port for each unit.
            let port = format!("sim/{}", self.mac.bare());
            let length = u8::try_from(port.len()).unwrap_or_default();
            let relay = [&[1, length], port.as_bytes()].concat();
            options.push((message::RELAY, relay));
        }
        let question = Question {
            kind,
            xid: self.xid,
            mac: self.mac,
            giaddr: self.wire.giaddr,
            options: &options,
        };
        let octets = question.octets();
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(None);
            }
            if now >= self.next {
                self.wire.socket.send_to(&octets, self.wire.to).await?;
                self.next = now + self.pause;
                self.pause = LONGEST_PAUSE.min(self.pause * 2);
            }
            match timeout_at(self.next.min(end), self.answers.recv()).await {
                Ok(Some(answer)) if wants.contains(&answer.kind) => return Ok(Some(answer)),
                Ok(Some(_) | None) | Err(_) => {}
            }
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.wire.waiting().remove(&self.xid);
    }
}

impl Answer {
    fn told(&self) -> Told {
        let address = |code: u8| -> Option<Ipv4Addr> {
            let octets = self.options.get(&code)?.get(..4)?;
            <[u8; 4]>::try_from(octets).ok().map(Ipv4Addr::from)
        };
        let given = |ip: Ipv4Addr| Some(ip).filter(|ip| !ip.is_unspecified());
        let mask = address(message::MASK).map(|mask| mask.to_bits().count_ones());
        Told {
            ip: given(self.yiaddr),
            server: address(message::SERVER),
            prefix: mask.and_then(|bits| u8::try_from(bits).ok()),
            router: address(message::ROUTER),
            siaddr: given(self.siaddr),
            sname: self.sname.clone(),
            file: self.file.clone(),
            options: self.options.clone(),
        }
    }
}

impl Hello {
    /// The options with more of them, in ascending order.
    fn with(&self, more: &[(u8, Vec<u8>)]) -> Vec<(u8, Vec<u8>)> {
        let mut options = self.options.clone();
        options.extend(more.iter().filter(|(_, value)| !value.is_empty()).cloned());
        options.sort();
        options
    }
}

impl Unit {
    /// What it says when it asks for an address.
    pub fn says(&self) -> Result<Hello, Problem> {
        let rules = self.conduct.dhcp.clone().unwrap_or_default();
        let own = self.who.mac.number().wrapping_add_signed(rules.mac_offset);
        let [_, _, octets @ ..] = own.to_be_bytes();
        let mac = Mac::new(octets).map_err(|error| Problem(format!("dhcp.mac_offset: {error}")))?;
        let mut options: Vec<(u8, Vec<u8>)> = Vec::new();
        for (code, text) in &rules.send {
            // Latin-1, as manifests read it.
            let text = self.filler.text(text);
            let octets = text.chars().map(|ch| u8::try_from(ch).unwrap_or(b'?'));
            options.push((*code, octets.collect()));
        }
        for (code, digits) in &rules.send_hex {
            let digits = self.filler.text(digits);
            let octets = unhex(&digits)
                .ok_or_else(|| Problem(format!("dhcp.send_hex.{code}: {digits:?} is not hex")))?;
            options.push((*code, octets));
        }
        if !rules.asks.is_empty() {
            options.push((message::ASKS, rules.asks));
        }
        options.push((message::LONGEST, 1500_u16.to_be_bytes().to_vec()));
        options.sort();
        let had = match self.around.bind {
            Some(IpAddr::V4(ip)) => Some(ip),
            Some(IpAddr::V6(_)) | None => None,
        };
        Ok(Hello { mac, options, had })
    }

    /// Where it finds its server by what it was told; `None` where it finds none.
    pub fn finds(&self, told: &Told) -> Option<String> {
        let rules = self.conduct.dhcp.as_ref()?;
        told.pointer(&rules.pointer)
    }

    /// The VLAN that it was told to go to.
    pub fn belongs(&self, told: &Told) -> Option<u16> {
        let rules = self.conduct.dhcp.as_ref()?;
        told.vlan(&rules.vlan)
    }

    /// What it says by SIP PnP, where it has that; `boot` tells its boots apart.
    pub fn subscribes(&self, boot: u32) -> Option<Subscriber> {
        let rules = self.conduct.pnp.as_ref()?;
        let ip = match self.around.bind {
            Some(IpAddr::V4(ip)) => ip,
            Some(IpAddr::V6(_)) | None => Ipv4Addr::UNSPECIFIED,
        };
        Some(Subscriber {
            user: self.filler.text(&rules.user),
            event: self.filler.text(&rules.event),
            agent: self.filler.text(&rules.agent),
            call_id: format!("{}-{boot}@simulated", self.who.mac.bare()),
            ip,
        })
    }

    /// Takes an address, and the pointer that came with it.
    pub fn takes(&mut self, told: &Told) {
        self.around.bind = told.ip.map(IpAddr::V4);
        self.around.pointer = self.finds(told);
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let pair = |at: usize| {
        let end = at.checked_add(2)?;
        u8::from_str_radix(digits.get(at..end)?, 16).ok()
    };
    (0..digits.len()).step_by(2).map(pair).collect()
}
