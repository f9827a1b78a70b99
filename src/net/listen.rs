//! Listeners of the device plane: accept, admit, shake hands, serve, drain.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use rustls::server::Acceptor;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Seats, TurnedAway};
use super::connection::{self, Peer};
use super::limits::Limits;
use super::tls::{self, Tls};
use crate::answer::{Door, TlsFailure};
use crate::model::certificate::PeerCertificate;
use crate::model::identity::Channel;

/// Says what a chain is worth now; the clock is in it.
pub type JudgeChain = Box<dyn Fn(&[CertificateDer<'_>]) -> Option<PeerCertificate> + Send + Sync>;

/// What all HTTP and HTTPS listeners for devices share.
pub struct Plane<D> {
    pub door: D,
    pub limits: Arc<Limits>,
    pub admission: Arc<Admission>,
    /// Needed by listeners of [`Channel::Https`] only.
    pub tls: Option<Arc<Tls>>,
    pub judge: JudgeChain,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted: Vec<IpNet>,
    handshakes: Seats,
    pub(super) at_work: Seats,
}

/// Two signals to stop, as an operator sends them.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Accept nothing more, finish what is at work.
    pub drain: CancellationToken,
    /// End at once.
    pub now: CancellationToken,
}

/// Why a listener ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {address}: {source}")]
    Bind {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("an HTTPS listener without certificates")]
    NoCertificates,
}

impl<D: Door> Plane<D> {
    /// A plane without TLS and without proxies that judges no certificate.
    pub fn new(door: D, limits: Limits, admission: Arc<Admission>) -> Self {
        Self {
            door,
            handshakes: Seats::new(limits.handshakes, limits.strangers_percent),
            at_work: Seats::new(limits.at_work, limits.strangers_percent),
            limits: Arc::new(limits),
            admission,
            tls: None,
            judge: Box::new(|_| None),
            trusted: Vec::new(),
        }
    }
}

/// Binds an address; port 0 finds a free one. The socket may be bound while connections of its
/// predecessor linger.
pub fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let listen = || {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(4096)?;
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket.into())
    };
    listen().map_err(|source| ListenError::Bind { address, source })
}

/// Serves connections until told to stop; then finishes those at work, for `limits.drain` at
/// most. `channel` is [`Channel::Http`] or [`Channel::Https`].
pub async fn run<D: Door>(
    listener: TcpListener,
    channel: Channel,
    plane: Arc<Plane<D>>,
    stop: Stop,
) -> Result<(), ListenError> {
    if channel == Channel::Https && plane.tls.is_none() {
        return Err(ListenError::NoCertificates);
    }
    let mut connections = JoinSet::new();
    let mut pause = plane.limits.accept_pause;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.drain.cancelled() => break,
            () = stop.now.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        reap(&mut connections);
        match accepted {
            Ok((stream, peer)) => {
                pause = plane.limits.accept_pause;
                let admitted = tokio::select! {
                    admitted = plane.admission.admit(peer.ip()) => admitted,
                    () = stop.drain.cancelled() => break,
                };
                match admitted {
                    Ok(admitted) => {
                        let (plane, drain) = (Arc::clone(&plane), stop.drain.clone());
                        connections.spawn(async move {
                            let mut admitted = admitted;
                            tokio::select! {
                                () = admitted.take_place() => {}
                                () = drain.cancelled() => return,
                            }
                            // On the heap: who waits costs little.
                            let from = (peer.ip(), admitted.is_stranger());
                            Box::pin(serve(stream, from, channel, plane, drain)).await;
                            drop(admitted);
                        });
                    }
                    Err(why @ (TurnedAway::Address | TurnedAway::Full)) => {
                        tracing::debug!(%peer, ?why, "connection turned away");
                    }
                }
            }
            Err(error) if is_exhaustion(&error) => {
                tracing::warn!(%error, "no connection can be accepted for now");
                tokio::select! {
                    () = sleep(pause) => {}
                    () = stop.drain.cancelled() => {}
                }
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            // The peer went away between the handshake and `accept`.
            Err(error) => tracing::debug!(%error, "accept"),
        }
    }
    drop(listener);
    let deadline = Instant::now() + plane.limits.drain;
    tokio::select! {
        _ = timeout_at(deadline, async { while connections.join_next().await.is_some() {} }) => {}
        () = stop.now.cancelled() => {}
    }
    connections.shutdown().await;
    Ok(())
}

/// Forgets connections that ended. One that panicked is a fault of ours, but nobody else's.
fn reap(connections: &mut JoinSet<()>) {
    while let Some(ended) = connections.try_join_next() {
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!("a connection's task panicked");
        }
    }
}

/// Out of file descriptors or memory: EMFILE, ENFILE, ENOBUFS, ENOMEM.
fn is_exhaustion(error: &io::Error) -> bool {
    let codes = [
        rustix::io::Errno::MFILE,
        rustix::io::Errno::NFILE,
        rustix::io::Errno::NOBUFS,
        rustix::io::Errno::NOMEM,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| codes.iter().any(|errno| errno.raw_os_error() == code))
}

async fn serve<D: Door>(
    stream: TcpStream,
    (address, stranger): (IpAddr, bool),
    channel: Channel,
    plane: Arc<Plane<D>>,
    drain: CancellationToken,
) {
    // A head and its body leave in one segment; a peer that vanished is given up.
    let socket = SockRef::from(&stream);
    let set = stream
        .set_nodelay(true)
        .and_then(|()| socket.set_tcp_user_timeout(Some(plane.limits.vanished)));
    if set.is_err() {
        return;
    }
    match &plane.tls {
        Some(tls) if channel == Channel::Https => {
            let shaken = tokio::select! {
                shaken = handshake(stream, stranger, tls, &plane) => shaken,
                () = drain.cancelled() => return,
            };
            match shaken {
                Ok(stream) => {
                    let chain = stream.get_ref().1.peer_certificates();
                    let certificate = chain.and_then(|chain| (plane.judge)(chain));
                    let peer = Peer {
                        address,
                        stranger,
                        channel,
                        certificate,
                    };
                    connection::serve(stream, peer, plane, drain).await;
                }
                Err(Some(why)) => plane.door.handshake_failed(address, why).await,
                Err(None) => {}
            }
        }
        Some(_) | None => {
            let peer = Peer {
                address,
                stranger,
                channel,
                certificate: None,
            };
            connection::serve(stream, peer, plane, drain).await;
        }
    }
}

/// A stream after its handshake, or why there is none; `None` where nobody asked for one.
async fn handshake<D: Door>(
    stream: TcpStream,
    stranger: bool,
    tls: &Tls,
    plane: &Plane<D>,
) -> Result<TlsStream<TcpStream>, Option<TlsFailure>> {
    let limits = &plane.limits;
    let deadline = Instant::now() + limits.handshake_time;
    let mut first = [0_u8; 3];
    let seen = match timeout_at(deadline, stream.peek(&mut first)).await {
        Ok(Ok(seen)) if seen > 0 => first.get(..seen).unwrap_or_default(),
        Ok(Ok(_) | Err(_)) | Err(_) => return Err(None),
    };
    if tls::is_ssl2(seen) {
        return Err(Some(TlsFailure::TooOld));
    }
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
    let start = match timeout_at(deadline, hello).await {
        Ok(Ok(start)) => start,
        Ok(Err(error)) => return Err(tls::failure(&error)),
        Err(_) => return Err(None),
    };
    // The hello is whole: from here on the peer costs more than a socket. Its time stands still
    // while it waits for its turn.
    let Ok(_permit) = timeout(limits.answer_time, plane.handshakes.wait(stranger)).await else {
        return Err(None);
    };
    match timeout(limits.handshake_time, start.into_stream(tls.config())).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(tls::failure(&error)),
        Err(_) => Err(Some(TlsFailure::Other)),
    }
}
