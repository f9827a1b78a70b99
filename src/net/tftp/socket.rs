//! The sockets: one that everybody knows, which says at which of our addresses a request came, and
//! one for each transfer, which sends from there.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket as StdSocket};
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, SockaddrStorage, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::packet::LONGEST_REQUEST;
use super::table::Tid;
use crate::net::listen::ListenError;

/// One octet more than a request can have, so that a longer one is seen to be longer.
const BUFFER: usize = LONGEST_REQUEST + 1;
/// Requests that wait in the kernel, in octets.
const WAITING: usize = 1 << 20;
/// What one send may hold: packets, and octets (the largest UDP payload, less a margin).
const BURST_PACKETS: usize = 64;
const BURST_OCTETS: usize = 64_000;

/// A bound listener.
pub struct Listener {
    socket: UdpSocket,
    own: SocketAddr,
    buffer: [u8; BUFFER],
    control: Vec<u8>,
}

/// What came to a listener.
pub(super) struct Arrived {
    pub(super) tid: Tid,
    pub(super) length: usize,
}

/// Binds an address; port 0 finds a free one.
pub fn bind(address: SocketAddr) -> Result<Listener, ListenError> {
    let open = || {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            // For IPv4 in IPv6 clothes: it tells a broadcast, where the kernel can.
            if let Err(error) = setsockopt(&socket, sockopt::Ipv4PacketInfo, &true) {
                tracing::debug!(%error, "an IPv4 broadcast cannot be told from a request");
            }
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        // As much as the system allows.
        if let Err(error) = socket.set_recv_buffer_size(WAITING) {
            tracing::debug!(%error, "the buffer for requests stays as it is");
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let own = socket.local_addr()?;
        Ok(Listener {
            socket,
            own,
            buffer: [0; BUFFER],
            control: nix::cmsg_space!(in_pktinfo, in6_pktinfo),
        })
    };
    open().map_err(|source| ListenError::Bind { address, source })
}

impl Listener {
    /// The address as bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.own
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// The next datagram that waits; `None` for one that nobody may answer.
    pub(super) fn receive(&mut self) -> io::Result<Option<Arrived>> {
        let (socket, own) = (&self.socket, self.own);
        let mut parts = [IoSliceMut::new(&mut self.buffer)];
        let control = &mut self.control;
        socket.try_io(Interest::READABLE, || {
            let fd = socket.as_raw_fd();
            let message =
                recvmsg::<SockaddrStorage>(fd, &mut parts, Some(control), MsgFlags::empty())?;
            Ok(arrived(&message, own))
        })
    }

    /// The datagram that [`Listener::receive`] told of.
    pub(super) fn datagram(&self, arrived: &Arrived) -> &[u8] {
        self.buffer.get(..arrived.length).unwrap_or_default()
    }
}

/// From whom and for which of our addresses. Nobody is answered who asked all (RFC 1123 section
/// 4.2.3.5), or who names a source that is no host's.
fn arrived(message: &RecvMsg<'_, '_, SockaddrStorage>, own: SocketAddr) -> Option<Arrived> {
    let peer = canonical(address(message.address.as_ref()?)?);
    let mut local = (!own.ip().is_unspecified()).then_some(own);
    for control in message.cmsgs().ok()? {
        if let ControlMessageOwned::Ipv4PacketInfo(info) = control {
            if info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr {
                return None;
            }
            let ip = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes());
            local = Some(SocketAddr::from((ip, 0)));
        } else if let ControlMessageOwned::Ipv6PacketInfo(info) = control {
            let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            let scope = match ip.is_unicast_link_local() {
                true => info.ipi6_ifindex,
                false => 0,
            };
            local = Some(SocketAddrV6::new(ip, 0, 0, scope).into());
        }
    }
    let mut local = canonical(local?);
    local.set_port(0);
    let host = |ip: IpAddr| {
        let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        !ip.is_unspecified() && !ip.is_multicast() && !broadcast
    };
    let good = host(peer.ip()) && peer.port() != 0 && host(local.ip());
    good.then_some(Arrived {
        tid: Tid { peer, local },
        length: message.bytes,
    })
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage
        .as_sockaddr_in()
        .map(|address| SocketAddr::V4((*address).into()));
    v4.or_else(|| {
        storage
            .as_sockaddr_in6()
            .map(|address| SocketAddr::V6((*address).into()))
    })
}

/// IPv4 in IPv6 clothes as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Sends one packet from a port of its own, which is closed at once.
pub(super) fn send_alone(tid: Tid, packet: &[u8]) -> io::Result<()> {
    let socket = StdSocket::bind(tid.local)?;
    socket.set_nonblocking(true)?;
    socket.send_to(packet, tid.peer).map(drop)
}

/// A transfer's own socket. It is not connected: a stranger's packet is to be seen and told so.
pub(super) struct Line {
    socket: UdpSocket,
    peer: SocketAddr,
    to: SockaddrStorage,
    /// Whether the kernel cuts one send into packets.
    cuts: bool,
    /// What [`Line::send`] sends.
    pub(super) packets: Vec<u8>,
}

impl Line {
    pub(super) fn open(tid: Tid) -> io::Result<Self> {
        let socket = StdSocket::bind(tid.local)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            peer: tid.peer,
            to: SockaddrStorage::from(tid.peer),
            cuts: true,
            packets: Vec::new(),
        })
    }

    /// Sends what is in `packets`: packets of `size` octets, of which the last may be shorter. One
    /// that the system does not take counts as lost on the way.
    pub(super) async fn send(&mut self, size: usize) {
        let size = size.max(1);
        let at_once = match self.cuts {
            true => (BURST_OCTETS / size).clamp(1, BURST_PACKETS),
            false => 1,
        };
        for burst in self.packets.chunks(size.saturating_mul(at_once)) {
            if burst.len() > size && self.cuts {
                match self.burst(burst, size).await {
                    Ok(()) => continue,
                    // No such thing here, or packets that would have to be cut again.
                    Err(error) => {
                        tracing::debug!(%error, "packets go out one by one");
                        self.cuts = false;
                    }
                }
            }
            for packet in burst.chunks(size) {
                if let Err(error) = self.socket.send_to(packet, self.peer).await {
                    tracing::debug!(%error, "a packet was not sent");
                }
            }
        }
    }

    async fn burst(&self, burst: &[u8], size: usize) -> io::Result<()> {
        let size = u16::try_from(size).map_err(io::Error::other)?;
        let parts = [IoSlice::new(burst)];
        let send = || {
            let control = [ControlMessage::UdpGsoSegments(&size)];
            let fd = self.socket.as_raw_fd();
            sendmsg(fd, &parts, &control, MsgFlags::empty(), Some(&self.to))
                .map(drop)
                .map_err(|errno: Errno| errno.into())
        };
        self.socket.async_io(Interest::WRITABLE, send).await
    }

    /// The next packet, and whether the peer sent it; a stranger is told that it is one. Keeps
    /// nothing between calls: it may be dropped at any time.
    pub(super) async fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        let (length, from) = self.socket.recv_from(buffer).await?;
        let packet = buffer.get(..length).unwrap_or_default();
        if from == self.peer {
            return Ok(Some(packet));
        }
        // An ERROR is never answered: two ends that do not know each other would never end.
        if !matches!(super::packet::reply(packet), super::packet::Reply::Error(_)) {
            let error = super::packet::error(super::packet::code::UNKNOWN_TID);
            drop(self.socket.try_send_to(&error, from));
        }
        Ok(None)
    }
}
