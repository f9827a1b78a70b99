//! A device plane with a fake door, for the tests of HTTP and TLS.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dialtone::answer::{Answer, Asked, Body, Delivery, Door, File, Refusal, Ticket, TlsFailure};
use dialtone::catalog::manifest::{HttpRefusal, TftpRefusal};
use dialtone::engine::facts::Facts;
use dialtone::model::identity::Channel;
use dialtone::net::admission::Admission;
use dialtone::net::limits::Limits;
use dialtone::net::listen::{self, ListenError, Plane, Stop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::JoinHandle;

/// How long a test waits for what must come; never how long it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const ETAG: &str = "5f-1";

/// What the door was told.
#[derive(Debug)]
pub(crate) enum Told {
    Asked(Box<Facts>),
    Delivered(u64, Delivery, u64),
    HandshakeFailed(TlsFailure),
}

#[derive(Clone)]
pub(crate) struct FakeDoor {
    told: mpsc::UnboundedSender<Told>,
    /// A file of this many octets, at `big.bin`.
    big: Option<(PathBuf, u64)>,
    /// `wait.cfg` is answered when this is notified.
    pub(crate) release: Arc<Notify>,
}

pub(crate) fn small() -> Vec<u8> {
    (b'a'..=b'z').cycle().take(6144).collect()
}

impl FakeDoor {
    pub(crate) fn new(big: Option<(PathBuf, u64)>) -> (Self, mpsc::UnboundedReceiver<Told>) {
        let (told, heard) = mpsc::unbounded_channel();
        let release = Arc::new(Notify::new());
        (Self { told, big, release }, heard)
    }
}

impl Door for FakeDoor {
    async fn answer(&self, facts: Facts) -> Answer {
        let path = facts.target.path.clone();
        let report = facts.target.report.is_some();
        drop(self.told.send(Told::Asked(Box::new(facts))));
        let refuse = |http| {
            Answer::Refuse(Refusal {
                http,
                tftp: match http {
                    HttpRefusal::Close => TftpRefusal::Silence,
                    HttpRefusal::NotFound => TftpRefusal::Error(1),
                    HttpRefusal::Unavailable => TftpRefusal::Error(0),
                },
                retry_after: 5,
            })
        };
        let file = |body, ticket| {
            Answer::File(File {
                body,
                media_type: "text/plain; charset=utf-8".to_owned(),
                etag: ETAG.to_owned(),
                ticket: Ticket(ticket),
            })
        };
        if report {
            return Answer::Accepted;
        }
        match path.as_str() {
            "a.cfg" => file(Body::Bytes(Bytes::from(small())), 1),
            "empty.cfg" => file(Body::Bytes(Bytes::new()), 2),
            "big.bin" => {
                let (path, length) = self.big.clone().expect("a big file");
                file(Body::Disk { path, length }, 3)
            }
            "wait.cfg" => {
                self.release.notified().await;
                file(Body::Bytes(Bytes::from(small())), 4)
            }
            "gone.bin" => file(
                Body::Disk {
                    path: "/nonexistent/x".into(),
                    length: 9,
                },
                5,
            ),
            "text.cfg" => file(Body::Bytes(Bytes::from_static(b"one\ntwo\rthree\0\n")), 6),
            "busy" => refuse(HttpRefusal::Unavailable),
            "close" => refuse(HttpRefusal::Close),
            _ => refuse(HttpRefusal::NotFound),
        }
    }

    async fn point(&self, _facts: Facts) -> Asked {
        Asked::default()
    }

    async fn delivered(&self, ticket: &Ticket, how: Delivery, bytes: u64) {
        drop(self.told.send(Told::Delivered(ticket.0, how, bytes)));
    }

    async fn handshake_failed(&self, _source: IpAddr, why: TlsFailure) {
        drop(self.told.send(Told::HandshakeFailed(why)));
    }

    fn is_ours(&self, host: &str) -> bool {
        host == "prov.test" || host == "127.0.0.1"
    }
}

/// What the door was told, in its order.
pub(crate) struct Ear(Mutex<mpsc::UnboundedReceiver<Told>>);

impl Ear {
    pub(crate) fn new(heard: mpsc::UnboundedReceiver<Told>) -> Self {
        Self(Mutex::new(heard))
    }

    /// The next thing that the door was told.
    pub(crate) async fn told(&self) -> Told {
        let next = tokio::time::timeout(PATIENCE, self.hears()).await;
        next.expect("the door hears of it")
    }

    async fn hears(&self) -> Told {
        let next = self.0.lock().await.recv().await;
        next.expect("the door lives")
    }

    /// The next request, whatever else was told before.
    pub(crate) async fn asked(&self) -> Facts {
        loop {
            if let Told::Asked(facts) = self.told().await {
                return *facts;
            }
        }
    }

    /// The next end of a transfer.
    pub(crate) async fn delivered(&self) -> (u64, Delivery, u64) {
        loop {
            if let Told::Delivered(ticket, how, bytes) = self.told().await {
                return (ticket, how, bytes);
            }
        }
    }

    /// The same, however long it takes.
    pub(crate) async fn delivered_at_last(&self) -> (u64, Delivery, u64) {
        loop {
            if let Told::Delivered(ticket, how, bytes) = self.hears().await {
                return (ticket, how, bytes);
            }
        }
    }

    pub(crate) async fn handshake_failure(&self) -> TlsFailure {
        loop {
            if let Told::HandshakeFailed(why) = self.told().await {
                return why;
            }
        }
    }

    /// What was told so far, without waiting.
    pub(crate) async fn heard(&self) -> Vec<Told> {
        let mut told = self.0.lock().await;
        std::iter::from_fn(|| told.try_recv().ok()).collect()
    }
}

/// A running listener.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: Stop,
    pub(crate) door: FakeDoor,
    ear: Ear,
    run: JoinHandle<Result<(), ListenError>>,
}

/// What a test wants other than usual.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) limits: Limits,
    pub(crate) big: Option<(PathBuf, u64)>,
}

impl std::ops::Deref for Server {
    type Target = Ear;

    fn deref(&self) -> &Ear {
        &self.ear
    }
}

impl Server {
    pub(crate) fn plain() -> Self {
        Self::start(Setup::default(), Channel::Http, |_| {})
    }

    pub(crate) fn limited(limits: Limits) -> Self {
        Self::start(Setup { limits, big: None }, Channel::Http, |_| {})
    }

    pub(crate) fn start(
        setup: Setup,
        channel: Channel,
        with: impl FnOnce(&mut Plane<FakeDoor>),
    ) -> Self {
        let (door, heard) = FakeDoor::new(setup.big);
        let admission = Arc::new(Admission::strangers(&setup.limits));
        let mut plane = Plane::new(door.clone(), setup.limits, admission);
        with(&mut plane);
        let listener = listen::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Stop::default();
        let run = tokio::spawn(listen::run(
            listener,
            channel,
            Arc::new(plane),
            stop.clone(),
        ));
        Self {
            address,
            stop,
            door,
            ear: Ear::new(heard),
            run,
        }
    }

    pub(crate) async fn ended(self) -> Result<(), ListenError> {
        let run = tokio::time::timeout(PATIENCE, self.run).await;
        run.expect("the listener ends")
            .expect("the listener did not panic")
    }

    /// Sends these octets and reads until the server closes.
    pub(crate) async fn raw(&self, octets: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that closes early makes writes fail: what it answered counts.
        drop(stream.write_all(octets.as_ref()).await);
        read_to_end(&mut stream).await
    }
}

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    drop(read.expect("the server closes"));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one response with `Content-Length`.
pub(crate) async fn read_response(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a response head"));
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")
                    .map(str::to_owned)
            })
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.expect("a whole body");
        (head, body)
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("a response")
}

pub(crate) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// Runs a client that is not ours, with nothing on its standard input.
pub(crate) async fn foreign(program: &str, arguments: &[&str]) -> Output {
    let child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, child).await;
    output
        .expect("the client ends")
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}
