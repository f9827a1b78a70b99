//! TFTP over a bad network, with a reader of our own. C13, F10 and line 6 of part 2.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use dialtone::answer::Delivery;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::power_cut::Running;
use crate::relay::{Conduct, Relay};
use crate::serve_process::memory;
use crate::tftp::big;
use crate::tftp_support::{Server, ack, oack, rrq};

/// How long the reader waits before it says its last word again.
const PATIENCE: Duration = Duration::from_secs(1);

fn full() -> bool {
    std::env::var_os("DIALTONE_FULL").is_some()
}

/// Takes the blocks of a file in order, for as long as the server sends.
struct Reader {
    socket: UdpSocket,
    request: Vec<u8>,
    door: SocketAddr,
    server: Option<SocketAddr>,
    size: usize,
    window: u64,
    /// Blocks that came in order, and the last that was acknowledged.
    got: u64,
    acked: u64,
    gap: bool,
    last: bool,
    /// Packets of the server that came.
    packets: u64,
}

impl Reader {
    async fn new(door: SocketAddr, name: &str, size: &str, window: &str) -> Self {
        let own = if door.is_ipv4() {
            "127.0.0.1:0"
        } else {
            "[::1]:0"
        };
        let mut options = vec![("blksize", size)];
        if size == "512" {
            options.clear();
        }
        if window != "1" {
            options.push(("windowsize", window));
        }
        Self {
            socket: UdpSocket::bind(own).await.unwrap(),
            request: rrq(name, "octet", &options),
            door,
            server: None,
            size: 512,
            window: 1,
            got: 0,
            acked: 0,
            gap: false,
            last: false,
            packets: 0,
        }
    }

    async fn ask(&self) {
        self.socket.send_to(&self.request, self.door).await.unwrap();
    }

    async fn say(&mut self) {
        self.acked = self.got;
        let Some(server) = self.server else {
            return self.ask().await;
        };
        let [.., high, low] = self.got.to_be_bytes();
        let packet = ack(u16::from_be_bytes([high, low]));
        self.socket.send_to(&packet, server).await.unwrap();
    }

    /// Reads until the last block is there; what follows it is for [`Reader::dally`].
    async fn read(&mut self, mut take: impl FnMut(&[u8])) {
        self.ask().await;
        let mut buffer = vec![0; 70_000];
        let mut patience = Instant::now() + PATIENCE;
        while !self.last {
            let came = timeout_at(patience, self.socket.recv_from(&mut buffer)).await;
            let Ok(came) = came else {
                self.say().await;
                patience = Instant::now() + PATIENCE;
                continue;
            };
            let (length, from) = came.unwrap();
            if self.take(&buffer[..length], from, &mut take).await {
                patience = Instant::now() + PATIENCE;
            }
        }
    }

    /// Answers the last block again, for as long as this is polled.
    async fn dally(&mut self) {
        let mut buffer = vec![0; 70_000];
        loop {
            let (length, from) = self.socket.recv_from(&mut buffer).await.unwrap();
            self.take(&buffer[..length], from, &mut |_| {}).await;
        }
    }

    /// Takes one packet; says whether it moved anything.
    async fn take(
        &mut self,
        packet: &[u8],
        from: SocketAddr,
        take: &mut impl FnMut(&[u8]),
    ) -> bool {
        if *self.server.get_or_insert(from) != from {
            return false;
        }
        self.packets += 1;
        if packet[..2] == [0, 6] {
            let agreed = oack(packet);
            let number = |name: &str| agreed.get(name).map(|value| value.parse::<u64>().unwrap());
            self.size = number("blksize").map_or(512, |size| usize::try_from(size).unwrap());
            self.window = number("windowsize").unwrap_or(1);
            if self.got == 0 {
                self.say().await;
            }
            return true;
        }
        assert_eq!(packet[..2], [0, 3], "{:?}", &packet[..packet.len().min(40)]);
        let wire = u16::from_be_bytes([packet[2], packet[3]]);
        let [.., high, low] = self.got.to_be_bytes();
        let ahead = wire.wrapping_sub(u16::from_be_bytes([high, low]));
        if ahead == 1 && !self.last {
            take(&packet[4..]);
            self.got += 1;
            self.gap = false;
            self.last = packet.len() < self.size + 4;
            if self.last || self.got - self.acked >= self.window {
                self.say().await;
            }
            return true;
        }
        // A gap is told once, and the last block is acknowledged again.
        let told = match ahead {
            0 => true,
            1..=0x7fff => !std::mem::replace(&mut self.gap, true),
            _ => false,
        };
        if told {
            self.say().await;
        }
        false
    }
}

/// A whole file, over whatever is between.
pub(crate) async fn read(door: SocketAddr, name: &str, size: &str, window: &str) -> Vec<u8> {
    let mut reader = Reader::new(door, name, size, window).await;
    let mut file = Vec::new();
    reader.read(|octets| file.extend_from_slice(octets)).await;
    file
}

/// Reads a file of so many octets through a relay, and compares all of it. Says how often a packet
/// of the server was sent, for each that was needed.
async fn arrives(octets: u32, size: &str, window: &str, conduct: Conduct) -> f64 {
    let (folder, file) = big(octets);
    let server = Server::with((folder.path().join("big"), octets.into()));
    let (mut reader, relay) = whole(server.address, &file, (size, window), conduct).await;
    let delivered = tokio::select! {
        delivered = server.delivered() => delivered,
        () = reader.dally() => unreachable!(),
    };
    assert_eq!(delivered, (3, Delivery::Whole, octets.into()));
    assert_eq!(server.plane.held(), 0, "no leak");
    let needed = u32::try_from(reader.got).unwrap();
    let carried = u32::try_from(relay.counted().0).unwrap();
    f64::from(carried) / f64::from(needed)
}

/// Reads this file from this server, within ten minutes.
async fn whole(
    server: SocketAddr,
    file: &[u8],
    (size, window): (&str, &str),
    conduct: Conduct,
) -> (Reader, Relay) {
    let relay = Relay::start(server, conduct).await;
    let mut reader = Reader::new(relay.front, "big.bin", size, window).await;
    let mut at = 0;
    let read = reader.read(|octets| {
        assert!(file[at..].starts_with(octets), "at {at}");
        at += octets.len();
    });
    let read = tokio::time::timeout(Duration::from_secs(600), read).await;
    read.expect("a file within ten minutes");
    assert_eq!(at, file.len());
    let (carried, lost) = relay.counted();
    assert_eq!(lost > 0, conduct.loss > 0, "{carried} {lost}");
    (reader, relay)
}

#[tokio::test]
async fn c13_loss_doubles_and_disorder_one_block_at_a_time() {
    let conduct = Conduct {
        seed: 13,
        loss: 20,
        twice: 5,
        late: 10,
        ..Conduct::default()
    };
    let octets = if full() { 4 << 20 } else { 128 << 10 };
    for size in ["512", "1428"] {
        let share = arrives(octets, size, "1", conduct).await;
        // Each block and its ACK cost 1 / 0.8 + 1 / 0.64 packets at this loss.
        assert!(share < 3.0 * 2.8, "{share}");
    }
}

#[tokio::test]
async fn issue_3_line_6_20_mb_at_20_percent_loss_in_windows_of_16() {
    let conduct = Conduct {
        seed: 6,
        loss: 20,
        ..Conduct::default()
    };
    let octets = if full() { 20 << 20 } else { 4 << 20 };
    arrives(octets, "1428", "16", conduct).await;
}

/// The server's own memory, at its highest while the file leaves it.
#[tokio::test]
async fn issue_3_line_6_300_mb_at_3_percent_loss_in_windows_of_16() {
    let conduct = Conduct {
        seed: 7,
        loss: 3,
        ..Conduct::default()
    };
    let octets = if full() { 300 << 20 } else { 24 << 20 };
    let (folder, file) = big(octets);
    let path = folder.path().join("big").display().to_string();
    let mut child = Running::test("tftp_lossy::server_child", &[(BIG, &path)]);
    let says = |child: &mut Running, word: &str| {
        loop {
            let line = child.line().expect("the server lives");
            if let Some(said) = line.strip_prefix(word) {
                return said.to_owned();
            }
        }
    };
    let server = says(&mut child, "at ").parse().unwrap();
    let before = memory(child.id(), "VmHWM:");
    let (mut reader, _relay) = whole(server, &file, ("1428", "16"), conduct).await;
    let end = tokio::task::spawn_blocking(move || (says(&mut child, "delivered "), child));
    let (end, child) = tokio::select! {
        end = end => end.unwrap(),
        () = reader.dally() => unreachable!(),
    };
    assert_eq!(end, format!("3 Whole {octets}"));
    let most = memory(child.id(), "VmHWM:");
    assert!(most < before + (16 << 10), "{before} kB, then {most} kB");
}

/// The file that a server alone in its process serves.
const BIG: &str = "DIALTONE_TFTP_BIG";

/// The server of the test above, and nothing else, in a process of its own.
#[tokio::test]
async fn server_child() {
    let Some(path) = std::env::var_os(BIG) else {
        return;
    };
    let length = std::fs::metadata(&path).unwrap().len();
    let server = Server::with((path.into(), length));
    let say = |text: String| writeln!(std::io::stdout(), "{text}").unwrap();
    // On a line of its own, whatever the harness says before.
    say(format!("\nat {}", server.address));
    let (ticket, how, octets) = server.delivered_at_last().await;
    say(format!("delivered {ticket} {how:?} {octets}"));
    // Until it is killed.
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_window_over_a_network_that_doubles_and_delays() {
    let conduct = Conduct {
        seed: 8,
        loss: 2,
        twice: 20,
        late: 20,
        delay: Duration::from_millis(5),
    };
    let share = arrives(1 << 20, "1468", "8", conduct).await;
    // Each window with a late packet goes back once.
    assert!(share < 8.0, "{share}");
}

#[tokio::test]
async fn f10_a_fifth_lost_and_300_ms_for_each_round() {
    let conduct = Conduct {
        seed: 10,
        loss: 20,
        delay: Duration::from_millis(150),
        ..Conduct::default()
    };
    let octets = if full() { 1 << 20 } else { 64 << 10 };
    arrives(octets, "1428", "16", conduct).await;
}
