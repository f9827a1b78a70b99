//! Drives one connection: hyper, the clock of each phase, and the word to the core at the end of
//! each transfer.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::guard::Head;
use super::http::{self, Conditions, Encoded};
use super::limits::Limits;
use super::listen::Plane;
use super::pipe::{Asked, House, Phase, Pipe, Shared, Socket};
use crate::answer::{Delivery, Door};
use crate::engine::facts::Facts;
use crate::engine::target;
use crate::model::certificate::PeerCertificate;
use crate::model::identity::Channel;

/// Whom a connection belongs to.
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// From outside every site.
    pub(crate) stranger: bool,
    pub(crate) channel: Channel,
    pub(crate) certificate: Option<PeerCertificate>,
}

/// What happened to a connection.
enum Event {
    /// hyper is done with it.
    Over,
    /// A response went out; the next request waits until the core has heard of it.
    Sent,
    /// The listener stops: the request at work is the last.
    Stop,
    /// The present phase took too long.
    Late,
}

/// hyper closes the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
struct Unanswered;

impl<D: Door> House for Arc<Plane<D>> {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn is_ours(&self, host: &str) -> bool {
        self.door.is_ours(host)
    }

    fn is_crowded(&self) -> bool {
        self.admission.is_crowded()
    }
}

/// Serves requests until one side closes. Drops the connection when a limit is reached.
pub(crate) async fn serve<S: Socket, D: Door>(
    io: S,
    peer: Peer,
    plane: Arc<Plane<D>>,
    stop: CancellationToken,
) {
    let limits = Arc::clone(&plane.limits);
    let shared = Shared::new(Instant::now() + limits.first_byte);
    let door = plane.door.clone();
    let source = peer.address;
    let peer = Arc::new(peer);
    let answers = || {
        let (shared, plane, peer) = (shared.clone(), Arc::clone(&plane), Arc::clone(&peer));
        service_fn(move |_: hyper::Request<hyper::body::Incoming>| {
            let (shared, plane, peer) = (shared.clone(), Arc::clone(&plane), Arc::clone(&peer));
            async move {
                let asked = shared.lock().asked.take();
                let encoded = match asked {
                    // On the heap, while there is one: most connections wait most of the time.
                    Some(Asked::Head(head)) => Box::pin(exchange(*head, &peer, &plane)).await,
                    Some(Asked::Reject(why)) => Some(http::reject(why)),
                    None => None,
                };
                let (response, sending) = encoded.ok_or(Unanswered)?;
                shared.lock().send(sending, &plane.limits);
                Ok::<_, Unanswered>(response)
            }
        })
    };
    // Who says nothing costs a socket and a read's worth of octets; hyper comes with the first head.
    let mut silent = Some(Pipe::new(io, shared.clone(), Arc::clone(&plane)));
    let mut connection = None;
    let mut timer = pin!(sleep_until(shared.lock().due));
    let mut stopped = pin!(stop.cancelled());
    let mut stopping = false;
    loop {
        let event = poll_fn(|cx| {
            let arrived = silent.as_mut().map(|pipe| pipe.poll_arrival(cx));
            match arrived {
                Some(Poll::Ready(false)) => return Poll::Ready(Event::Over),
                Some(Poll::Ready(true)) => {
                    let begun = silent.take().map(|pipe| {
                        http1::Builder::new()
                            .max_buf_size(16 * 1024)
                            .header_read_timeout(None)
                            .title_case_headers(true)
                            .serve_connection(pipe, answers())
                    });
                    connection = begun.map(Box::pin);
                }
                Some(Poll::Pending) | None => {}
            }
            if let Some(connection) = &mut connection
                && connection.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Event::Over);
            }
            let (phase, due) = {
                let state = shared.lock();
                (state.phase, state.due)
            };
            if phase == Phase::Sent {
                return Poll::Ready(Event::Sent);
            }
            if !stopping && stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Stop);
            }
            // The timer is moved only when it would fire too late, or has fired too early.
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            while timer.as_mut().poll(cx).is_ready() {
                if timer.deadline() >= due {
                    return Poll::Ready(Event::Late);
                }
                timer.as_mut().reset(due);
            }
            Poll::Pending
        })
        .await;
        match event {
            Event::Over => break,
            Event::Sent => {
                report(&shared, &door).await;
                let mut state = shared.lock();
                let closing = state.refused();
                state.phase = if closing {
                    Phase::Lingering
                } else {
                    Phase::Idle
                };
                let time = if closing {
                    limits.linger_time
                } else {
                    limits.idle
                };
                state.due = Instant::now() + time;
            }
            Event::Stop => {
                stopping = true;
                let Some(connection) = &mut connection else {
                    break;
                };
                connection.as_mut().graceful_shutdown();
            }
            Event::Late => {
                let mut state = shared.lock();
                if state.phase != Phase::Reading {
                    break;
                }
                state.late = true;
                state.due = Instant::now() + limits.answer_time;
            }
        }
    }
    report(&shared, &door).await;
    let alert = shared.lock().alert.take();
    if let Some(why) = alert {
        door.handshake_failed(source, why).await;
    }
}

/// Tells the core how the response ended, if one that it waits for did.
async fn report<D: Door>(shared: &Shared, door: &D) {
    let taken = {
        let mut state = shared.lock();
        let sent = state.phase == Phase::Sent;
        state
            .take_sending()
            .map(|(sending, octets)| (sending, octets, sent))
    };
    let Some((sending, octets, sent)) = taken else {
        return;
    };
    let how = if sent { sending.how } else { Delivery::Broken };
    if let Some(ticket) = &sending.ticket {
        door.delivered(ticket, how, octets).await;
    }
}

async fn exchange<D: Door>(mut head: Head, peer: &Peer, plane: &Plane<D>) -> Encoded {
    let conditions = Conditions::of(&head);
    let target = match target::parse(&head.target) {
        Ok(target) => target,
        Err(why) => return http::malformed(why, head.method),
    };
    let facts = Facts {
        method: head.method,
        headers: std::mem::take(&mut head.headers),
        source: Some(http::source(peer.address, &head.forwarded, &plane.trusted)),
        host: head.host.take(),
        certificate: peer.certificate.clone(),
        ..Facts::new(peer.channel, target)
    };
    let turn = plane.at_work.wait(peer.stranger).await;
    let answer = plane.door.answer(facts).await;
    drop(turn);
    http::encode(answer, &conditions).await
}
