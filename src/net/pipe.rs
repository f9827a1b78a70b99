//! What stands between the socket and hyper.
//!
//! Inwards it reads one head at a time with [`guard`](super::guard), keeps it for the exchange
//! on the same connection, and gives hyper a plain head of our own in its place. Outwards it
//! counts what the socket takes, so that the end of a transfer is known. It never reads ahead of
//! the response that is due, so a connection holds one request and one read's worth of octets.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_util::io::poll_read_buf;

use super::guard::{self, Head, Minor, Reject, Scanner};
use super::limits::Limits;
use super::tls;
use crate::answer::{Delivery, Ticket, TlsFailure};
use crate::engine::facts::Method;

const READ_AT_ONCE: usize = 2048;

/// A byte stream whose socket can be asked for a reset.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No octet of the next request is there.
    Idle,
    /// A part of a head is there.
    Reading,
    /// The core decides.
    Answering,
    Sending,
    /// The last octet was accepted; the core is told before anything else happens.
    Sent,
    /// Throwing away what a refused peer still sends.
    Lingering,
    Closed,
}

/// A request as the guard left it.
pub(crate) enum Asked {
    Head(Box<Head>),
    Reject(Reject),
}

/// A response on its way out.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) ticket: Option<Ticket>,
    pub(crate) how: Delivery,
    /// Octets of the body that go over the wire.
    pub(crate) body: u64,
}

/// What is known of a connection, shared by the pipe, the exchange and the driver, which all run
/// in one task: the lock is never contended.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<State>>);

pub(crate) struct State {
    pub(crate) phase: Phase,
    /// When the present phase is over, whatever happened.
    pub(crate) due: Instant,
    pub(crate) asked: Option<Asked>,
    sending: Option<Sending>,
    head: Option<u64>,
    accepted: u64,
    started: Instant,
    /// Requests so far.
    pub(crate) served: u32,
    /// The head did not come in time.
    pub(crate) late: bool,
    /// The peer ended TLS with an alert.
    pub(crate) alert: Option<TlsFailure>,
    /// What the peer still sends is thrown away after the answer.
    refused: bool,
}

impl Shared {
    pub(crate) fn new(due: Instant) -> Self {
        Self(Arc::new(Mutex::new(State {
            phase: Phase::Idle,
            due,
            asked: None,
            sending: None,
            head: None,
            accepted: 0,
            started: due,
            served: 0,
            late: false,
            alert: None,
            refused: false,
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The exchange has its response.
    pub(crate) fn send(&mut self, sending: Sending, limits: &Limits) {
        self.phase = Phase::Sending;
        self.started = Instant::now();
        self.due = self.started + limits.response_grace;
        self.sending = Some(sending);
        self.head = None;
        self.accepted = 0;
    }

    /// The response, with the octets of its body that the socket took.
    pub(crate) fn take_sending(&mut self) -> Option<(Sending, u64)> {
        let sending = self.sending.take()?;
        let body = self
            .accepted
            .saturating_sub(self.head.unwrap_or(self.accepted));
        let sent = body.min(sending.body);
        Some((sending, sent))
    }

    /// Whether what the peer still sends is thrown away.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    fn complete(&self) -> bool {
        match (&self.sending, self.head) {
            (Some(sending), Some(head)) => self.accepted >= head.saturating_add(sending.body),
            (Some(_) | None, _) => false,
        }
    }

    /// `first` begins with the response head at the first write, as hyper writes it in one piece.
    fn accepted(&mut self, first: &[u8], octets: usize, limits: &Limits) {
        if self.sending.is_none() {
            return;
        }
        if self.head.is_none() {
            let end = first.windows(4).position(|four| four == b"\r\n\r\n");
            self.head = Some(u64::try_from(end.map_or(0, |at| at + 4)).unwrap_or(0));
        }
        self.accepted = self
            .accepted
            .saturating_add(u64::try_from(octets).unwrap_or(0));
        let earned = self.accepted.checked_div(limits.response_rate).unwrap_or(0);
        if earned > 0 {
            let earned = std::time::Duration::from_secs(earned.min(7 * 24 * 3600));
            self.due = self.started + limits.response_grace + earned;
        }
    }
}

/// What a connection must know of the plane that it belongs to.
pub(crate) trait House: Unpin {
    fn limits(&self) -> &Limits;
    /// Whether a host is one of ours.
    fn is_ours(&self, host: &str) -> bool;
    /// Whether connections must end after their response.
    fn is_crowded(&self) -> bool;
}

pub(crate) struct Pipe<S, H> {
    io: S,
    shared: Shared,
    house: H,
    input: BytesMut,
    scanner: Scanner,
    /// What is left of the head for hyper.
    feed: &'static [u8],
    lingered: usize,
    shut: bool,
}

impl<S: Socket, H: House> Pipe<S, H> {
    pub(crate) fn new(io: S, shared: Shared, house: H) -> Self {
        Self {
            io,
            shared,
            house,
            input: BytesMut::new(),
            scanner: Scanner::default(),
            feed: b"",
            lingered: 0,
            shut: false,
        }
    }

    /// Reads until hyper has something to read: a head, or its refusal. `false` at the end of the stream.
    pub(crate) fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.poll_head(cx).map(|head| matches!(head, Ok(true)))
    }

    /// Reads until a head is there, and puts it (or its refusal) where the exchange finds it.
    /// `false` at the end of the stream.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let late = self.shared.lock().late;
            let scanned = if late {
                Err(Reject::TimedOut)
            } else {
                self.scanner.scan(&self.input, self.house.limits())
            };
            let asked = match scanned {
                Ok(None) => {
                    if self.input.capacity() - self.input.len() < READ_AT_ONCE / 2 {
                        self.input.reserve(READ_AT_ONCE);
                    }
                    let read = ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut self.input));
                    let mut state = self.shared.lock();
                    match read {
                        Ok(0) => return Poll::Ready(Ok(false)),
                        Ok(_) => {}
                        Err(error) => {
                            state.alert = tls::failure(&error).filter(|_| state.served == 0);
                            return Poll::Ready(Err(error));
                        }
                    }
                    if state.phase == Phase::Idle {
                        state.phase = Phase::Reading;
                        state.due = Instant::now() + self.house.limits().head_time;
                    }
                    continue;
                }
                Ok(Some(end)) => {
                    let head = self.input.split_to(end);
                    self.scanner = Scanner::default();
                    guard::parse(&head, |host| self.house.is_ours(host))
                }
                Err(reject) => Err(reject),
            };
            let mut state = self.shared.lock();
            state.served = state.served.saturating_add(1);
            let asked = match asked {
                Ok(mut head) => {
                    if head.unread {
                        // The body is thrown away after the answer, as a refused peer's is.
                        head.keep = false;
                        self.input = BytesMut::new();
                        state.refused = true;
                    }
                    head.keep &= state.served < self.house.limits().requests;
                    head.keep &= !self.house.is_crowded();
                    self.feed = canonical(&head);
                    Asked::Head(Box::new(head))
                }
                Err(reject) => {
                    self.feed = b"GET / HTTP/1.1\r\nhost:a\r\nconnection:close\r\n\r\n";
                    self.input = BytesMut::new();
                    state.refused = true;
                    Asked::Reject(reject)
                }
            };
            state.asked = Some(asked);
            state.phase = Phase::Answering;
            state.due = Instant::now() + self.house.limits().answer_time;
            return Poll::Ready(Ok(true));
        }
    }
}

/// The head that hyper reads in place of the peer's: no octet of it is the peer's.
fn canonical(head: &Head) -> &'static [u8] {
    match (head.method, head.minor, head.keep) {
        (Method::Get, Minor::One, true) => b"GET / HTTP/1.1\r\nhost:a\r\n\r\n",
        (Method::Get, Minor::One, false) => b"GET / HTTP/1.1\r\nhost:a\r\nconnection:close\r\n\r\n",
        (Method::Get, Minor::Zero, true) => b"GET / HTTP/1.0\r\nconnection:keep-alive\r\n\r\n",
        (Method::Get, Minor::Zero, false) => b"GET / HTTP/1.0\r\n\r\n",
        (Method::Head, Minor::One, true) => b"HEAD / HTTP/1.1\r\nhost:a\r\n\r\n",
        (Method::Head, Minor::One, false) => {
            b"HEAD / HTTP/1.1\r\nhost:a\r\nconnection:close\r\n\r\n"
        }
        (Method::Head, Minor::Zero, true) => b"HEAD / HTTP/1.0\r\nconnection:keep-alive\r\n\r\n",
        (Method::Head, Minor::Zero, false) => b"HEAD / HTTP/1.0\r\n\r\n",
    }
}

impl<S: Socket, H: House> Read for Pipe<S, H> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.feed.is_empty() {
            let phase = this.shared.lock().phase;
            match phase {
                Phase::Idle | Phase::Reading => {
                    if !ready!(this.poll_head(cx))? {
                        this.shared.lock().phase = Phase::Closed;
                        return Poll::Ready(Ok(()));
                    }
                }
                // The driver polls again after each of these.
                Phase::Answering | Phase::Sending | Phase::Sent => return Poll::Pending,
                Phase::Lingering | Phase::Closed => return Poll::Ready(Ok(())),
            }
        }
        let octets = this.feed.len().min(buffer.remaining());
        let (now, later) = this.feed.split_at(octets);
        buffer.put_slice(now);
        this.feed = later;
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket, H: House> Write for Pipe<S, H> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let taken = ready!(Pin::new(&mut this.io).poll_write(cx, octets))?;
        this.shared
            .lock()
            .accepted(octets, taken, this.house.limits());
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let taken = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, slices))?;
        let first = slices.first().map_or(&b""[..], |slice| slice);
        this.shared
            .lock()
            .accepted(first, taken, this.house.limits());
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        let mut state = this.shared.lock();
        if state.phase == Phase::Sending && state.complete() {
            // A reset that came before the last octet was taken: best effort, as a peer may
            // reset later without our ever reading again.
            if matches!(this.io.tcp().take_error(), Ok(Some(_)) | Err(_))
                && let Some(sending) = &mut state.sending
            {
                sending.how = Delivery::Broken;
            }
            state.phase = Phase::Sent;
        }
        Poll::Ready(Ok(()))
    }

    /// After a refusal the rest of what the peer sends is thrown away for a while: a socket that
    /// is closed with unread octets resets, and the peer would lose the refusal.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            this.shut = true;
            let mut state = this.shared.lock();
            if !state.refused {
                return Poll::Ready(Ok(()));
            }
            if state.phase != Phase::Sent {
                state.phase = Phase::Lingering;
            }
            state.due = Instant::now() + this.house.limits().linger_time;
        }
        while this.lingered < this.house.limits().linger_bytes {
            this.input.clear();
            this.input.reserve(READ_AT_ONCE);
            let read = ready!(poll_read_buf(Pin::new(&mut this.io), cx, &mut this.input));
            match read {
                Ok(0) | Err(_) => break,
                Ok(octets) => this.lingered = this.lingered.saturating_add(octets),
            }
        }
        Poll::Ready(Ok(()))
    }
}
