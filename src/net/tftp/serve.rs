//! The listener and its transfers: each request takes a seat and is answered by a task of its own.

use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::packet::{self, Opening, Reply, Request, code};
use super::socket::{Line, Listener, send_alone};
use super::source::{Source, Unsendable};
use super::table::{Seat, Seating, Table, Tid};
use super::terms::Terms;
use super::transfer::{Outline, Step, Transfer};
use crate::answer::{Answer, Body, Delivery, Door, Refusal, Ticket};
use crate::catalog::manifest::TftpRefusal;
use crate::engine::facts::Facts;
use crate::engine::target;
use crate::model::identity::Channel;
use crate::net::admission::SiteCap;
use crate::net::limits::TftpLimits;
use crate::net::listen::{ListenError, Stop};

/// What is read of a packet that comes to a transfer: an ACK has four octets.
const PACKET: usize = 64;
/// Datagrams that are taken from a listener before anything else has its turn.
const TURN: usize = 64;

/// The largest block that is granted, asked for at each request.
pub type MaxBlock = Box<dyn Fn() -> u16 + Send + Sync>;

/// What all TFTP listeners share.
pub struct Plane<D> {
    door: D,
    limits: TftpLimits,
    table: Arc<Table>,
    max_block: MaxBlock,
}

impl<D: Door> Plane<D> {
    /// `site_cap` tells how many transfers an address of a site may hold.
    pub fn new(door: D, limits: TftpLimits, site_cap: SiteCap, max_block: MaxBlock) -> Self {
        Self {
            door,
            table: Arc::new(Table::new(&limits, site_cap)),
            limits,
            max_block,
        }
    }

    /// Transfers under way.
    pub fn held(&self) -> usize {
        self.table.held()
    }
}

/// Serves requests until told to stop; then finishes the transfers at work, for `limits.drain` at
/// most.
pub async fn run<D: Door>(
    mut listener: Listener,
    plane: Arc<Plane<D>>,
    stop: Stop,
) -> Result<(), ListenError> {
    let mut transfers = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.drain.cancelled() => break,
            () = stop.now.cancelled() => break,
            ready = listener.readable() => {
                if let Err(error) = ready {
                    tracing::warn!(%error, "the TFTP socket");
                }
            }
        }
        for _ in 0..TURN {
            match listener.receive() {
                Ok(Some(arrived)) => {
                    let datagram = listener.datagram(&arrived);
                    take(datagram, arrived.tid, &plane, &mut transfers);
                }
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What the kernel heard of an earlier answer: its peer is gone.
                Err(error) => {
                    tracing::debug!(%error, "receive");
                    break;
                }
            }
        }
        reap(&mut transfers);
    }
    drop(listener);
    let deadline = Instant::now() + plane.limits.drain;
    tokio::select! {
        _ = timeout_at(deadline, async { while transfers.join_next().await.is_some() {} }) => {}
        () = stop.now.cancelled() => {}
    }
    transfers.shutdown().await;
    Ok(())
}

/// Forgets transfers that ended. One that panicked is a fault of ours, but nobody else's.
fn reap(transfers: &mut JoinSet<()>) {
    while let Some(ended) = transfers.try_join_next() {
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!("a transfer's task panicked");
        }
    }
}

/// Takes one datagram of the port that everybody knows.
fn take<D: Door>(datagram: &[u8], tid: Tid, plane: &Arc<Plane<D>>, transfers: &mut JoinSet<()>) {
    let request = match packet::opening(datagram) {
        Ok(Opening::Read(request)) => request,
        Ok(Opening::Write) => return refuse(tid, code::ACCESS),
        Ok(Opening::Stray) => return,
        Err(why) => {
            tracing::debug!(peer = %tid.peer, %why, "a request that cannot be read");
            return refuse(tid, code::ILLEGAL);
        }
    };
    match plane.table.seat(tid, datagram) {
        Seating::Seated(seat) => {
            let (plane, size) = (Arc::clone(plane), datagram.len());
            transfers.spawn(async move { answer(request, size, tid, seat, &plane).await });
        }
        Seating::Again => {}
        // It asks again; a word now would only tell a flood that it works.
        Seating::Full => tracing::debug!(peer = %tid.peer, "a request turned away"),
    }
}

fn refuse(tid: Tid, code: u16) {
    if let Err(error) = send_alone(tid, &packet::error(code)) {
        tracing::debug!(peer = %tid.peer, %error, "a refusal was not sent");
    }
}

/// Asks the core and sends what it says.
async fn answer<D: Door>(request: Request, size: usize, tid: Tid, seat: Seat, plane: &Plane<D>) {
    let target = match target::parse(&request.name) {
        Ok(target) => target,
        Err(why) => {
            tracing::debug!(%why, "a name that names nothing");
            return refuse(tid, code::NOT_FOUND);
        }
    };
    let facts = Facts {
        source: Some(tid.peer.ip()),
        ..Facts::new(Channel::Tftp, target)
    };
    let Some(answer) = ask(facts, plane).await else {
        return;
    };
    let (body, ticket) = match answer {
        Answer::Accepted => (Body::Bytes(bytes::Bytes::new()), None),
        Answer::File(file) => (file.body, Some(file.ticket)),
        Answer::Refuse(Refusal { tftp, .. }) => {
            return match tftp {
                TftpRefusal::Error(code) => refuse(tid, code),
                TftpRefusal::Silence => {}
            };
        }
    };
    let end = match Source::open(body, request.mode).await {
        Ok(source) => send(source, &request, size, tid, &seat, plane).await,
        Err(why) => {
            let code = match why {
                Unsendable::Netascii => code::ILLEGAL,
                Unsendable::Unreadable(_) => code::UNDEFINED,
            };
            tracing::error!(%why, "a file that was to be served");
            refuse(tid, code);
            End::Unbegun
        }
    };
    drop(seat);
    report(&plane.door, ticket.as_ref(), end).await;
}

/// What the core says, if it does in time. What it decides later is nobody's, and it is told so.
async fn ask<D: Door>(facts: Facts, plane: &Plane<D>) -> Option<Answer> {
    let door = plane.door.clone();
    let mut asked = Box::pin(async move { door.answer(facts).await });
    match timeout(plane.limits.answer_time, &mut asked).await {
        Ok(answer) => Some(answer),
        Err(_) => {
            tracing::warn!("the core took too long for an answer over TFTP");
            let door = plane.door.clone();
            tokio::spawn(async move {
                if let Answer::File(file) = asked.await {
                    report(&door, Some(&file.ticket), End::Unbegun).await;
                }
            });
            None
        }
    }
}

/// How a transfer ended.
enum End {
    Whole(u64),
    /// Broken off after so many octets.
    Broken(u64),
    /// Nobody answered, or nothing was sent.
    Unbegun,
}

async fn report<D: Door>(door: &D, ticket: Option<&Ticket>, end: End) {
    let (how, octets) = match end {
        End::Whole(octets) => (Delivery::Whole, octets),
        End::Broken(octets) => (Delivery::Broken, octets),
        End::Unbegun => (Delivery::Unanswered, 0),
    };
    if let Some(ticket) = ticket {
        door.delivered(ticket, how, octets).await;
    }
}

/// What a transfer waits for.
enum Event {
    Packet(Reply),
    Stranger,
    /// The listener has a word.
    Word,
    Time,
    Lost(io::Error),
}

/// Sends a file, from its first packet to its last acknowledgement.
async fn send<D: Door>(
    mut source: Source,
    request: &Request,
    size: usize,
    tid: Tid,
    seat: &Seat,
    plane: &Plane<D>,
) -> End {
    let length = source.length();
    let max_block = (plane.max_block)();
    let terms = Terms::of(&request.wishes, length, max_block, plane.limits.window);
    let mut line = match Line::open(tid) {
        Ok(line) => line,
        Err(error) => {
            tracing::warn!(%error, "no socket for a transfer");
            return End::Unbegun;
        }
    };
    let block = u64::from(terms.block);
    let oack = (!terms.grants.is_empty()).then(|| packet::oack(&terms.grants));
    let first = match &oack {
        Some(oack) => oack.len(),
        None => packet::HEADER + usize::try_from(length.min(block)).unwrap_or(usize::MAX),
    };
    let began = Instant::now();
    let (mut transfer, mut step) = Transfer::begin(Outline {
        blocks: terms.blocks(length),
        window: terms.window,
        oack: oack.is_some(),
        request: size,
        first,
        block: terms.block,
    });
    seat.answered();
    let chunk = usize::from(terms.window) * usize::from(terms.block) * 2;
    let chunk = chunk.max(plane.limits.chunk);
    let mut sent_data = false;
    let mut buffer = [0_u8; PACKET];
    let mut timer = std::pin::pin!(sleep_until(began + transfer.due()));
    loop {
        let octets = transfer.acked().saturating_mul(block).min(length);
        let broken = match transfer.is_confirmed() {
            true => End::Broken(octets),
            false => End::Unbegun,
        };
        match step {
            Step::Wait => {}
            Step::SendOack => {
                line.packets.clear();
                line.packets
                    .extend_from_slice(oack.as_deref().unwrap_or_default());
                let size = line.packets.len();
                line.send(size).await;
            }
            Step::Send { from, to } => {
                let (start, end) = ((from - 1) * block, to.saturating_mul(block).min(length));
                if let Err(error) = source.hold(start, end, chunk).await {
                    tracing::error!(%error, "a file broke off");
                    line.packets = packet::error(code::UNDEFINED);
                    let size = line.packets.len();
                    line.send(size).await;
                    return broken;
                }
                line.packets.clear();
                for number in from..=to {
                    let start = (number - 1).saturating_mul(block);
                    let end = start.saturating_add(block).min(length);
                    packet::data(&mut line.packets, number, source.part(start, end));
                }
                line.send(packet::HEADER + usize::from(terms.block)).await;
                sent_data = true;
            }
            Step::Done => return End::Whole(length),
            Step::GiveUp => return broken,
        }
        // The timer is moved only when it would fire too late, or has fired too early.
        let due = began + transfer.due();
        if timer.deadline() > due || timer.is_elapsed() {
            timer.as_mut().reset(due);
        }
        let event = tokio::select! {
            biased;
            received = line.receive(&mut buffer) => match received {
                Ok(Some(packet)) => Event::Packet(packet::reply(packet)),
                Ok(None) => Event::Stranger,
                Err(error) => Event::Lost(error),
            },
            () = seat.note.word.notified() => Event::Word,
            () = timer.as_mut() => Event::Time,
        };
        step = match event {
            Event::Packet(Reply::Ack(block)) => {
                let step = transfer.on_ack(block, began.elapsed());
                if step != Step::Wait {
                    seat.moved();
                }
                step
            }
            // Of a block that was sent nobody knows whether it came.
            Event::Packet(Reply::Error(code)) => {
                tracing::debug!(code, "the client ended a transfer");
                return if sent_data {
                    End::Broken(octets)
                } else {
                    broken
                };
            }
            Event::Packet(Reply::Other) | Event::Stranger => Step::Wait,
            Event::Word if seat.note.is_unseated() => return broken,
            Event::Word => match seat.note.copies() {
                0 => Step::Wait,
                copies => transfer.on_request(copies, began.elapsed()),
            },
            Event::Time => transfer.on_time(began.elapsed()),
            Event::Lost(error) => {
                tracing::debug!(%error, "receive");
                transfer.on_time(began.elapsed())
            }
        };
    }
}
