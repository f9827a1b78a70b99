//! A TFTP plane with a fake door, and a client whose every packet a test sends itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dialtone::net::limits::TftpLimits;
use dialtone::net::listen::{ListenError, Stop};
use dialtone::net::tftp::{self, Plane};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::device_plane::{Ear, FakeDoor, PATIENCE};

/// How long nothing must come before a test believes that nothing will.
pub(crate) const QUIET: Duration = Duration::from_millis(300);

/// A running listener.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: Stop,
    pub(crate) plane: Arc<Plane<FakeDoor>>,
    pub(crate) door: FakeDoor,
    ear: Ear,
    run: JoinHandle<Result<(), ListenError>>,
}

impl std::ops::Deref for Server {
    type Target = Ear;

    fn deref(&self) -> &Ear {
        &self.ear
    }
}

impl Server {
    pub(crate) fn plain() -> Self {
        Self::start("127.0.0.1:0", None, TftpLimits::default())
    }

    /// With a file of so many octets at `big.bin`.
    pub(crate) fn with(big: (PathBuf, u64)) -> Self {
        Self::start("127.0.0.1:0", Some(big), TftpLimits::default())
    }

    pub(crate) fn start(at: &str, big: Option<(PathBuf, u64)>, limits: TftpLimits) -> Self {
        let (door, heard) = FakeDoor::new(big);
        let site = move |ip: std::net::IpAddr| {
            let inside = ip.to_string().starts_with("127.1.");
            inside.then_some(40)
        };
        let plane = Plane::new(door.clone(), limits, Box::new(site), Box::new(|| 1468));
        let plane = Arc::new(plane);
        let listener = tftp::bind(at.parse().unwrap()).unwrap();
        let address = listener.local_addr();
        let stop = Stop::default();
        let run = tokio::spawn(tftp::run(listener, Arc::clone(&plane), stop.clone()));
        Self {
            address,
            stop,
            plane,
            door,
            ear: Ear::new(heard),
            run,
        }
    }

    pub(crate) async fn ended(self) -> Result<(), ListenError> {
        let run = timeout(PATIENCE, self.run).await;
        run.expect("the listener ends")
            .expect("the listener did not panic")
    }
}

/// A client's port.
pub(crate) struct Client {
    pub(crate) socket: UdpSocket,
    server: SocketAddr,
}

/// What came, and from where.
pub(crate) struct Got {
    pub(crate) packet: Vec<u8>,
    pub(crate) from: SocketAddr,
}

impl Client {
    pub(crate) async fn new(server: SocketAddr) -> Self {
        let own = if server.is_ipv4() {
            "127.0.0.1:0"
        } else {
            "[::1]:0"
        };
        Self::at(own, server).await
    }

    pub(crate) async fn at(own: &str, server: SocketAddr) -> Self {
        Self {
            socket: UdpSocket::bind(own).await.unwrap(),
            server,
        }
    }

    /// Sends octets to the port that everybody knows.
    pub(crate) async fn send(&self, packet: impl AsRef<[u8]>) {
        self.socket
            .send_to(packet.as_ref(), self.server)
            .await
            .unwrap();
    }

    /// A read request in octet mode with these options.
    pub(crate) async fn read(&self, name: &str, options: &[(&str, &str)]) {
        self.send(rrq(name, "octet", options)).await;
    }

    pub(crate) async fn reply(&self, packet: impl AsRef<[u8]>, to: SocketAddr) {
        self.socket.send_to(packet.as_ref(), to).await.unwrap();
    }

    pub(crate) async fn ack(&self, block: u16, to: SocketAddr) {
        self.reply(ack(block), to).await;
    }

    /// The next packet.
    pub(crate) async fn got(&self) -> Got {
        let mut buffer = vec![0; 70_000];
        let came = timeout(PATIENCE, self.socket.recv_from(&mut buffer)).await;
        let (length, from) = came.expect("a packet comes").unwrap();
        buffer.truncate(length);
        Got {
            packet: buffer,
            from,
        }
    }

    /// Waits for this block; copies of the one before it are the server's timer.
    pub(crate) async fn block(&self, number: u16) -> Got {
        loop {
            let got = self.got().await;
            assert_eq!(got.packet[..2], [0, 3], "{:?}", &got.packet[..4]);
            let block = u16::from_be_bytes([got.packet[2], got.packet[3]]);
            if block == number {
                return got;
            }
            assert_eq!(block.wrapping_add(1), number);
        }
    }

    /// What comes within a while, for what must not come.
    pub(crate) async fn within(&self, wait: Duration) -> Vec<Got> {
        let end = Instant::now() + wait;
        let mut came = Vec::new();
        let mut buffer = vec![0; 70_000];
        while let Ok(got) = timeout_at(end, self.socket.recv_from(&mut buffer)).await {
            let (length, from) = got.unwrap();
            let packet = buffer[..length].to_vec();
            came.push(Got { packet, from });
        }
        came
    }

    /// The code of the ERROR that comes.
    pub(crate) async fn error(&self) -> u16 {
        let got = self.got().await;
        assert_eq!(got.packet[..2], [0, 5], "{:?}", got.packet);
        u16::from_be_bytes([got.packet[2], got.packet[3]])
    }

    /// Reads a whole file, block by block and packet by packet.
    pub(crate) async fn whole(&self, name: &str, options: &[(&str, &str)]) -> Vec<u8> {
        let answer = self.asks(name, options).await;
        answer.unwrap_or_else(|code| panic!("{name}: error {code}"))
    }

    /// The same, or the code of the ERROR that comes in place of it.
    pub(crate) async fn asks(&self, name: &str, options: &[(&str, &str)]) -> Result<Vec<u8>, u16> {
        self.read(name, options).await;
        let mut got = self.got().await;
        if got.packet[..2] == [0, 5] {
            return Err(u16::from_be_bytes([got.packet[2], got.packet[3]]));
        }
        let mut size = 512;
        if got.packet[..2] == [0, 6] {
            if let Some(agreed) = oack(&got.packet).get("blksize") {
                size = agreed.parse().unwrap();
            }
            self.ack(0, got.from).await;
            got = self.got().await;
        }
        let mut file = Vec::new();
        let mut number = 1_u16;
        loop {
            assert_eq!(got.packet[..2], [0, 3], "{:?}", &got.packet[..4]);
            let block = u16::from_be_bytes([got.packet[2], got.packet[3]]);
            if block != number {
                // On a busy machine the server's timer was faster than this client.
                assert_eq!(block.wrapping_add(1), number);
                got = self.got().await;
                continue;
            }
            file.extend_from_slice(&got.packet[4..]);
            self.ack(number, got.from).await;
            if got.packet.len() < size + 4 {
                return Ok(file);
            }
            number = number.wrapping_add(1);
            got = self.got().await;
        }
    }
}

pub(crate) fn rrq(name: &str, mode: &str, options: &[(&str, &str)]) -> Vec<u8> {
    let mut packet = format!("\0\x01{name}\0{mode}\0");
    for (option, value) in options {
        packet.push_str(&format!("{option}\0{value}\0"));
    }
    packet.into_bytes()
}

pub(crate) fn ack(block: u16) -> [u8; 4] {
    let [high, low] = block.to_be_bytes();
    [0, 4, high, low]
}

/// The options of an OACK.
pub(crate) fn oack(packet: &[u8]) -> std::collections::BTreeMap<String, String> {
    assert_eq!(packet[..2], [0, 6], "{packet:?}");
    let text = String::from_utf8(packet[2..].to_vec()).unwrap();
    let words: Vec<&str> = text.strip_suffix('\0').unwrap().split('\0').collect();
    words
        .chunks(2)
        .map(|pair| (pair[0].to_owned(), pair[1].to_owned()))
        .collect()
}
