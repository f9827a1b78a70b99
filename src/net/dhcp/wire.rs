//! The sockets of one interface.
//!
//! The UDP socket is bound to the device, so that it is known where a datagram came in without
//! packet information, and that a reply leaves by the same way. Packet sockets send to clients that
//! have no address yet, see ARP, and see what other servers say to clients.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd as _, OwnedFd};

use ipnet::Ipv4Net;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, SockaddrStorage, bind, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::net::{UdpSocket, UnixDatagram};

use super::super::links;
use super::frame::{ARP, CLIENT_PORT, IPV4, SERVER_PORT};

/// What the kernel keeps for us while we are busy, in octets: a storm of several thousand requests.
const BUFFER: usize = 4 << 20;

/// Why an interface cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("dhcp.interface: there is no interface {0:?}")]
    NoInterface(String),
    #[error("dhcp.interface: {0} is no Ethernet interface")]
    NotEthernet(String),
    #[error("cannot {doing} on {interface} for DHCP: {source}")]
    Socket {
        doing: &'static str,
        interface: String,
        source: io::Error,
    },
}

/// One Ethernet interface, as it stands.
#[derive(Clone, Debug)]
pub struct Interface {
    pub name: String,
    pub mac: [u8; 6],
    link: LinkAddr,
}

impl Interface {
    /// Looks an interface up.
    pub fn find(name: &str) -> Result<Self, WireError> {
        let all = getifaddrs().map_err(|errno| WireError::Socket {
            doing: "look for interfaces",
            interface: name.to_owned(),
            source: errno.into(),
        })?;
        let mut link = None;
        for one in all.filter(|one| one.interface_name == name) {
            let found = one.address.as_ref().and_then(SockaddrStorage::as_link_addr);
            link = found.copied().or(link);
        }
        let link = link.ok_or_else(|| WireError::NoInterface(name.to_owned()))?;
        let mac = link.addr().filter(|_| link.halen() == 6);
        Ok(Self {
            name: name.to_owned(),
            mac: mac.ok_or_else(|| WireError::NotEthernet(name.to_owned()))?,
            link,
        })
    }

    /// The addresses of the interface with their networks, and those of the whole machine, as they
    /// stand now.
    pub fn addresses(&self) -> (Vec<Ipv4Net>, Vec<Ipv4Addr>) {
        let all = links::networks();
        let own = all.iter().map(|(_, net)| net.addr()).collect();
        let here = all.into_iter().filter(|(name, _)| *name == self.name);
        (here.map(|(_, net)| net).collect(), own)
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> WireError + use<> {
        let interface = self.name.clone();
        move |source| WireError::Socket {
            doing,
            interface,
            source,
        }
    }
}

/// The sockets that are bound, before they are served.
pub struct Wire {
    pub interface: Interface,
    pub(super) udp: UdpSocket,
    pub(super) taps: Option<Taps>,
}

/// Packet sockets: ARP, and datagrams to clients.
pub(super) struct Taps {
    pub(super) arp: Tap,
    pub(super) clients: Tap,
}

impl Wire {
    /// Binds what a mode needs. `shared`: another server may be bound to the port on this machine.
    pub fn bind(name: &str, taps: bool, shared: bool) -> Result<Self, WireError> {
        let interface = Interface::find(name)?;
        let udp = udp(&interface, shared).map_err(interface.failed("bind port 67"))?;
        let taps = if taps {
            let failed = || interface.failed("open packet sockets (CAP_NET_RAW)");
            Some(Taps {
                arp: Tap::open(&interface, ARP, &[]).map_err(failed())?,
                clients: Tap::open(&interface, IPV4, &to_clients()).map_err(failed())?,
            })
        } else {
            None
        };
        Ok(Self {
            interface,
            udp,
            taps,
        })
    }
}

fn udp(interface: &Interface, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(shared)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(interface.name.as_bytes()))?;
    // Past the system's limit where we may, up to it where not.
    if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).is_err() {
        socket.set_recv_buffer_size(BUFFER)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, SERVER_PORT).into())?;
    UdpSocket::from_std(socket.into())
}

/// A packet socket of one protocol on one interface. Tokio has no type of its own for one; of this
/// one only `recv` and `send` are used, which are alike for all sockets.
pub(super) struct Tap(UnixDatagram);

impl Tap {
    fn open(interface: &Interface, protocol: u16, filter: &[SockFilter]) -> io::Result<Self> {
        // A packet socket's protocol is in network order.
        let protocol = Protocol::from(i32::from(protocol.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
        if !filter.is_empty() {
            socket.attach_filter(filter)?;
        }
        socket.set_nonblocking(true)?;
        bind(socket.as_raw_fd(), &interface.link)?;
        // What came from other interfaces before it was bound to this one.
        let mut frame = [0; 64];
        while io::Read::read(&mut &socket, &mut frame).is_ok() {}
        let socket = OwnedFd::from(socket);
        Ok(Self(UnixDatagram::from_std(socket.into())?))
    }

    /// A frame that is there already, and its length.
    pub(super) fn waits(&self, frame: &mut [u8]) -> Option<usize> {
        self.0.try_recv(frame).ok()
    }

    /// Waits for a frame, and gives its length.
    pub(super) async fn next(&self, frame: &mut [u8]) -> io::Result<usize> {
        self.0.recv(frame).await
    }

    /// Sends a frame, or drops it where the queue is full.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.try_send(frame).map(drop)
    }
}

/// UDP datagrams to the clients' port that are no later fragments.
fn to_clients() -> [SockFilter; 9] {
    const LOAD_OCTET: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_HALF_INDEXED: u16 = 0x48;
    const LOAD_HEADER_LENGTH: u16 = 0xb1;
    const EQUAL: u16 = 0x15;
    const ANY_BIT: u16 = 0x45;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD_OCTET, 0, 0, 23),
        SockFilter::new(EQUAL, 0, 6, 17),
        SockFilter::new(LOAD_HALF, 0, 0, 20),
        SockFilter::new(ANY_BIT, 4, 0, 0x1fff),
        SockFilter::new(LOAD_HEADER_LENGTH, 0, 0, 14),
        SockFilter::new(LOAD_HALF_INDEXED, 0, 0, 16),
        SockFilter::new(EQUAL, 0, 1, u32::from(CLIENT_PORT)),
        SockFilter::new(RETURN, 0, 0, 0xffff),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
