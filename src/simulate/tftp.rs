//! One file over TFTP, as a unit reads it: RFC 1350, with options of RFC 2347 and 2348. A reader of
//! its own; it shares nothing with the server's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::Uri;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::client::{Answer, Failure};

/// What is asked for; a server may grant less.
const BLKSIZE: usize = 1428;
const PLAIN: usize = 512;
/// The most octets of a file that a unit takes, and of the port it asks.
const LARGEST: usize = 16 * 1024 * 1024;
const PORT: u16 = 69;
/// A unit says its last word again after this time, so often.
const WAIT: Duration = Duration::from_secs(2);
const TRIES: u32 = 5;
/// How long the last ACK is said again to a server that did not hear it.
const DALLY: Duration = Duration::from_millis(100);

/// Reads a `tftp://` URL from an address of the unit's own. ERROR 1 is 404, any other 503.
pub(super) async fn read(uri: &Uri, bind: Option<IpAddr>) -> Result<Answer, Failure> {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let broken = |error: io::Error| Failure::Connect(format!("{host}: {error}"));
    let port = uri.port_u16().unwrap_or(PORT);
    let family = |address: &SocketAddr| bind.is_none_or(|own| own.is_ipv4() == address.is_ipv4());
    let mut addresses = lookup_host((host, port)).await.map_err(broken)?;
    let door = addresses
        .find(family)
        .ok_or_else(|| Failure::Connect(format!("{host}: no address")))?;
    let any: IpAddr = match door {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let own = SocketAddr::new(bind.unwrap_or(any), 0);
    let socket = UdpSocket::bind(own).await.map_err(broken)?;
    let name = uri.path().trim_start_matches('/');
    let mut reading = Reading {
        socket,
        last: request(name),
        to: door,
        known: false,
        block: PLAIN,
        next: 1,
        file: Vec::new(),
    };
    match reading.run().await? {
        Outcome::Whole => Ok(Answer {
            status: 200,
            head: String::new(),
            body: std::mem::take(&mut reading.file),
        }),
        Outcome::Refused(code) => Ok(Answer {
            status: if code == 1 { 404 } else { 503 },
            head: format!("TFTP ERROR {code}\r\n\r\n"),
            body: Vec::new(),
        }),
    }
}

fn request(name: &str) -> Vec<u8> {
    format!("\0\u{1}{name}\0octet\0blksize\0{BLKSIZE}\0").into_bytes()
}

enum Outcome {
    Whole,
    Refused(u16),
}

struct Reading {
    socket: UdpSocket,
    /// The unit's last word, and where it goes.
    last: Vec<u8>,
    to: SocketAddr,
    /// The server answered from its own port.
    known: bool,
    block: usize,
    next: u16,
    file: Vec<u8>,
}

impl Reading {
    async fn run(&mut self) -> Result<Outcome, Failure> {
        let mut buffer = vec![0; BLKSIZE.max(PLAIN) + 5];
        let mut tries = 0;
        self.say().await?;
        let mut until = Instant::now() + WAIT;
        loop {
            let came = timeout_at(until, self.socket.recv_from(&mut buffer)).await;
            let (length, from) = match came {
                Ok(came) => came.map_err(|error| lost(&error))?,
                Err(_) if tries < TRIES => {
                    tries += 1;
                    self.say().await?;
                    until = Instant::now() + WAIT;
                    continue;
                }
                Err(_) => return Err(Failure::TimedOut),
            };
            let expected = match self.known {
                true => from == self.to,
                false => from.ip() == self.to.ip(),
            };
            if !expected {
                continue;
            }
            let Some(step) = self.take(buffer.get(..length).unwrap_or_default(), from)? else {
                continue;
            };
            match step {
                Taken::Refused(code) => return Ok(Outcome::Refused(code)),
                Taken::Last => {
                    self.say().await?;
                    self.dally(&mut buffer).await?;
                    return Ok(Outcome::Whole);
                }
                Taken::More => {
                    self.say().await?;
                    tries = 0;
                    until = Instant::now() + WAIT;
                }
            }
        }
    }

    /// What one packet of the server is; `None` for one that changes nothing.
    fn take(&mut self, packet: &[u8], from: SocketAddr) -> Result<Option<Taken>, Failure> {
        let Some(([_, opcode, high, low], octets)) = packet.split_first_chunk() else {
            return Ok(None);
        };
        let number = u16::from_be_bytes([*high, *low]);
        match opcode {
            5 => Ok(Some(Taken::Refused(number))),
            6 if self.next == 1 && self.file.is_empty() => {
                self.agree(packet.get(2..).unwrap_or_default(), from)?;
                Ok(Some(Taken::More))
            }
            3 if number == self.next => {
                self.meet(from);
                if self.file.len() + octets.len() > LARGEST {
                    return Err(Failure::TooLarge);
                }
                if octets.len() > self.block {
                    return Err(Failure::Broken("a block is too long".to_owned()));
                }
                self.file.extend_from_slice(octets);
                self.acknowledge(number);
                self.next = self.next.wrapping_add(1);
                Ok(Some(match octets.len() < self.block {
                    true => Taken::Last,
                    false => Taken::More,
                }))
            }
            _ => Ok(None),
        }
    }

    /// Takes the server's OACK: of `blksize` what was asked or less, and nothing else.
    fn agree(&mut self, options: &[u8], from: SocketAddr) -> Result<(), Failure> {
        let refused = |why: &str| Failure::Broken(format!("OACK: {why}"));
        let text = std::str::from_utf8(options).map_err(|_| refused("not a text"))?;
        let mut words = text.split_terminator('\0');
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            if !name.eq_ignore_ascii_case("blksize") {
                return Err(refused("an option that was not asked for"));
            }
            let size: usize = value.parse().map_err(|_| refused("no block size"))?;
            if !(8..=BLKSIZE).contains(&size) {
                return Err(refused("a block size that was not asked for"));
            }
            self.block = size;
        }
        self.meet(from);
        self.acknowledge(0);
        Ok(())
    }

    fn meet(&mut self, from: SocketAddr) {
        self.to = from;
        self.known = true;
    }

    fn acknowledge(&mut self, number: u16) {
        let [high, low] = number.to_be_bytes();
        self.last = vec![0, 4, high, low];
    }

    async fn say(&self) -> Result<(), Failure> {
        let sent = self.socket.send_to(&self.last, self.to).await;
        sent.map(drop).map_err(|error| lost(&error))
    }

    /// Says the last ACK again for whoever did not hear it.
    async fn dally(&self, buffer: &mut [u8]) -> Result<(), Failure> {
        let until = Instant::now() + DALLY;
        while let Ok(came) = timeout_at(until, self.socket.recv_from(buffer)).await {
            let (_, from) = came.map_err(|error| lost(&error))?;
            if from == self.to {
                self.say().await?;
            }
        }
        Ok(())
    }
}

enum Taken {
    More,
    Last,
    Refused(u16),
}

fn lost(error: &io::Error) -> Failure {
    Failure::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a server that says these packets, one for each word of the unit, from a new port.
    async fn against(packets: Vec<Vec<u8>>) -> (Result<Answer, Failure>, Vec<Vec<u8>>) {
        let door = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("tftp://{}/a/b.cfg", door.local_addr().unwrap())
            .parse()
            .unwrap();
        let server = async move {
            let mut heard = Vec::new();
            let mut buffer = [0; 600];
            let (length, unit) = door.recv_from(&mut buffer).await.unwrap();
            heard.push(buffer[..length].to_vec());
            let own = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let last = packets.len();
            for (n, packet) in packets.into_iter().enumerate() {
                own.send_to(&packet, unit).await.unwrap();
                if n + 1 < last || packet[1] == 3 {
                    let (length, _) = own.recv_from(&mut buffer).await.unwrap();
                    heard.push(buffer[..length].to_vec());
                }
            }
            heard
        };
        tokio::join!(read(&uri, None), server)
    }

    fn data(number: u8, octets: &[u8]) -> Vec<u8> {
        [&[0, 3, 0, number], octets].concat()
    }

    #[tokio::test]
    async fn a_file_is_read_with_and_without_options() {
        let (answer, heard) = against(vec![data(1, &[7; 512]), data(2, b"end")]).await;
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 515));
        assert_eq!(heard[0], b"\0\x01a/b.cfg\0octet\0blksize\x001428\0");
        assert_eq!(heard[1..], [vec![0, 4, 0, 1], vec![0, 4, 0, 2]]);
        let oack = b"\0\x06blksize\x008\0".to_vec();
        let (answer, heard) = against(vec![oack, data(1, &[7; 8]), data(2, b"")]).await;
        assert_eq!(answer.unwrap().body, [7; 8]);
        assert_eq!(heard[1], [0, 4, 0, 0]);
    }

    #[tokio::test]
    async fn a_refusal_is_a_status_and_nonsense_is_no_answer() {
        for (code, status) in [(1, 404), (0, 503), (2, 503)] {
            let (answer, _) = against(vec![vec![0, 5, 0, code, 0]]).await;
            assert_eq!(answer.unwrap().status, status);
        }
        for oack in [
            &b"\0\x06blksize\x009000\0"[..],
            b"\0\x06tsize\x001\0",
            b"\0\x06blksize\0x\0",
        ] {
            let (answer, _) = against(vec![oack.to_vec()]).await;
            assert!(matches!(answer, Err(Failure::Broken(_))), "{oack:?}");
        }
    }
}
