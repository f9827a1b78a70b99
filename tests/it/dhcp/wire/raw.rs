//! A client of our own: exact octets out, decoded replies in.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use dialtone::model::dhcp::Kind;
use dialtone::net::dhcp::packet::{Direction, Packet, parse};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::lab::Lab;
use crate::device_plane::PATIENCE;
use crate::dhcp::vectors::{option, request};

/// A socket on a host's `eth0`.
pub(crate) struct Raw(UdpSocket);

impl Lab {
    /// A client that broadcasts.
    pub(crate) fn client(&self, host: &str) -> Raw {
        self.socket(host, Ipv4Addr::UNSPECIFIED, 68)
    }

    /// A client that has this address.
    pub(crate) fn client_at(&self, host: &str, at: Ipv4Addr) -> Raw {
        self.socket(host, at, 68)
    }

    /// A relay at this address.
    pub(crate) fn relay(&self, host: &str, at: Ipv4Addr) -> Raw {
        self.socket(host, at, 67)
    }

    fn socket(&self, host: &str, at: Ipv4Addr, port: u16) -> Raw {
        self.within(host, move || {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
            socket.set_broadcast(true).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.bind_device(Some(b"eth0")).unwrap();
            socket.bind(&SocketAddrV4::new(at, port).into()).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            Raw(socket.into())
        })
    }
}

/// What passes a host's `eth0`.
pub(crate) struct Tap(Socket);

impl Lab {
    /// Listens from now on to what comes to a host, and what leaves it.
    pub(crate) fn tap(&self, host: &str) -> Tap {
        self.within(host, || {
            let all = Protocol::from(i32::from(3_u16.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(all)).unwrap();
            socket.set_nonblocking(true).unwrap();
            // What others say between two looks waits too: a full buffer drops the newest.
            setsockopt(&socket, sockopt::RcvBufForce, &(16 << 20)).unwrap();
            Tap(socket)
        })
    }
}

impl Tap {
    /// The UDP datagrams since the last look that came from this port, and where they went.
    pub(crate) fn datagrams_from(&self, from: u16) -> Vec<(u16, Vec<u8>)> {
        let mut found = Vec::new();
        let mut frame = [0; 4096];
        while let Ok(length) = std::io::Read::read(&mut &self.0, &mut frame) {
            let frame = &frame[..length];
            if frame.len() < 42 || frame[12..14] != [8, 0] || frame[23] != 17 {
                continue;
            }
            let udp = &frame[14 + usize::from(frame[14] & 15) * 4..];
            let number = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
            if number(0) == from {
                found.push((number(2), udp[8..usize::from(number(4))].to_vec()));
            }
        }
        found
    }

    /// The UDP datagrams since the last look, from this port to that.
    pub(crate) fn datagrams(&self, from: u16, to: u16) -> Vec<Vec<u8>> {
        let found = self.datagrams_from(from).into_iter();
        found
            .filter(|(port, _)| *port == to)
            .map(|(_, octets)| octets)
            .collect()
    }

    /// Replies to clients since the last look.
    pub(crate) fn replies(&self) -> Vec<Packet> {
        let datagrams = self.datagrams(67, 68);
        datagrams
            .iter()
            .map(|octets| parse(octets, Direction::Reply).unwrap())
            .collect()
    }
}

impl Raw {
    pub(crate) fn send(&self, octets: &[u8]) {
        self.send_to(octets, Ipv4Addr::BROADCAST);
    }

    /// Sends to another port of everybody.
    pub(crate) fn broadcast(&self, octets: &[u8], port: u16) {
        self.send_at(octets, Ipv4Addr::BROADCAST, port);
    }

    /// The next datagram, where one comes within a moment.
    pub(crate) fn soon(&self) -> Option<Vec<u8>> {
        let moment = Some(Duration::from_secs(1));
        self.0.set_read_timeout(moment).unwrap();
        let mut octets = [0; 2048];
        let length = self.0.recv(&mut octets).ok();
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        length.map(|length| octets[..length].to_vec())
    }

    /// The same, read as a reply.
    pub(crate) fn reply_soon(&self) -> Option<Packet> {
        let octets = self.soon()?;
        Some(parse(&octets, Direction::Reply).unwrap())
    }

    /// Whether anything comes within a moment.
    pub(crate) fn heard(&self) -> bool {
        self.within(Duration::from_millis(200)).is_some()
    }

    /// The next reply, if one comes within this time.
    pub(crate) fn within(&self, wait: Duration) -> Option<Packet> {
        self.0.set_read_timeout(Some(wait)).unwrap();
        let mut octets = [0; 2048];
        let heard = self.0.recv(&mut octets);
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        heard
            .ok()
            .map(|length| parse(&octets[..length], Direction::Reply).unwrap())
    }

    /// Asks until a reply of this transaction comes, as a client does: in a flood a datagram may be lost.
    pub(crate) fn ask_until_answered(&self, octets: &[u8], to: Ipv4Addr, xid: u32) -> Packet {
        for _ in 0..10 {
            self.send_to(octets, to);
            while let Some(reply) = self.within(Duration::from_secs(3)) {
                if reply.xid == xid {
                    return reply;
                }
            }
        }
        panic!("ten questions without an answer")
    }

    pub(crate) fn send_to(&self, octets: &[u8], to: Ipv4Addr) {
        self.send_at(octets, to, 67);
    }

    /// Sends to another port.
    pub(crate) fn send_at(&self, octets: &[u8], to: Ipv4Addr, port: u16) {
        self.0.send_to(octets, (to, port)).unwrap();
    }

    /// The next reply.
    pub(crate) fn next(&self) -> Packet {
        parse(&self.octets(), Direction::Reply).unwrap()
    }

    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut octets = [0; 2048];
        let length = self.0.recv(&mut octets).expect("a reply");
        octets[..length].to_vec()
    }

    /// Nothing more is there: what was answered before is.
    pub(crate) fn is_silent(&self) {
        let heard = self.within(Duration::from_millis(1));
        assert!(heard.is_none(), "{heard:?}");
    }
}

/// A message under construction.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) mac: [u8; 6],
    pub(crate) options: Vec<u8>,
    pub(crate) giaddr: Ipv4Addr,
    pub(crate) ciaddr: Ipv4Addr,
    pub(crate) xid: u32,
}

impl Message {
    /// A broadcast message of a phone that the manifests recognise.
    pub(crate) fn new(kind: Kind, last: u8) -> Self {
        Self {
            kind,
            mac: [0x80, 0x5e, 0xc0, 0, 0, last],
            options: option(60, b"yealink"),
            giaddr: Ipv4Addr::UNSPECIFIED,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            xid: u32::from(last),
        }
    }

    pub(crate) fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.options.extend_from_slice(&option(code, value));
        self
    }

    pub(crate) fn through(mut self, giaddr: Ipv4Addr) -> Self {
        self.giaddr = giaddr;
        self
    }

    pub(crate) fn from(mut self, ciaddr: Ipv4Addr) -> Self {
        self.ciaddr = ciaddr;
        self
    }

    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut octets = request(self.kind, &self.options);
        octets.push(255);
        octets[4..8].copy_from_slice(&self.xid.to_be_bytes());
        octets[10] = 0x80;
        octets[12..16].copy_from_slice(&self.ciaddr.octets());
        octets[24..28].copy_from_slice(&self.giaddr.octets());
        octets[28..34].copy_from_slice(&self.mac);
        octets
    }
}
