//! Ethernet frames that the kernel makes none of: a datagram to a client that has no address yet,
//! and ARP. Pure.

use std::net::Ipv4Addr;

use crate::model::identity::Mac;

pub(super) const SERVER_PORT: u16 = 67;
pub(super) const CLIENT_PORT: u16 = 68;
pub(super) const ARP: u16 = 0x0806;
pub(super) const IPV4: u16 = 0x0800;
const UDP: u8 = 17;
const EVERYBODY: [u8; 6] = [0xff; 6];

/// A UDP datagram in a frame.
pub(super) struct Datagram<'a> {
    pub(super) from: (Ipv4Addr, u16),
    pub(super) to: (Ipv4Addr, u16),
    pub(super) payload: &'a [u8],
}

impl Datagram<'_> {
    /// The frame, to one station or (`None`) to all.
    pub(super) fn frame(&self, station: Option<[u8; 6]>, own: [u8; 6]) -> Vec<u8> {
        let udp_length = self.payload.len().saturating_add(8);
        let size = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        let mut udp = Vec::with_capacity(udp_length);
        udp.extend_from_slice(&self.from.1.to_be_bytes());
        udp.extend_from_slice(&self.to.1.to_be_bytes());
        udp.extend_from_slice(&size(udp_length));
        udp.extend_from_slice(&[0, 0]);
        udp.extend_from_slice(self.payload);
        let pseudo = [
            &self.from.0.octets()[..],
            &self.to.0.octets(),
            &[0, UDP],
            &size(udp_length),
        ]
        .concat();
        let sum = match checksum(&[&pseudo, &udp]) {
            // Nothing would mean "not summed" (RFC 768).
            0 => u16::MAX,
            sum => sum,
        };
        if let Some(place) = udp.get_mut(6..8) {
            place.copy_from_slice(&sum.to_be_bytes());
        }
        let mut ip = vec![0x45, 0x10];
        ip.extend_from_slice(&size(udp_length.saturating_add(20)));
        // Identification, don't fragment, 64 hops.
        ip.extend_from_slice(&[0, 0, 0x40, 0, 64, UDP, 0, 0]);
        ip.extend_from_slice(&self.from.0.octets());
        ip.extend_from_slice(&self.to.0.octets());
        let sum = checksum(&[&ip]).to_be_bytes();
        if let Some(place) = ip.get_mut(10..12) {
            place.copy_from_slice(&sum);
        }
        let mut frame = head(station.unwrap_or(EVERYBODY), own, IPV4);
        frame.extend_from_slice(&ip);
        frame.extend_from_slice(&udp);
        frame
    }
}

/// A datagram out of a frame: where it came from, and what is in it.
pub(super) struct Received<'a> {
    pub(super) station: Option<Mac>,
    pub(super) from: (Ipv4Addr, u16),
    pub(super) to: (Ipv4Addr, u16),
    pub(super) payload: &'a [u8],
}

impl<'a> Received<'a> {
    /// Reads an IPv4 frame with a UDP datagram that is whole.
    pub(super) fn read(frame: &'a [u8]) -> Option<Self> {
        let (ethernet, ip) = frame.split_at_checked(14)?;
        let station = ethernet.get(6..12)?.try_into().ok();
        let first = *ip.first()?;
        let head = usize::from(first & 15) * 4;
        if first >> 4 != 4 || head < 20 || *ip.get(9)? != UDP {
            return None;
        }
        let source: [u8; 4] = ip.get(12..16)?.try_into().ok()?;
        let destination: [u8; 4] = ip.get(16..20)?.try_into().ok()?;
        let udp = ip.get(head..)?;
        let (ports, payload) = udp.split_at_checked(8)?;
        let number = |at: usize| {
            let octets: [u8; 2] = ports.get(at..at.checked_add(2)?)?.try_into().ok()?;
            Some(u16::from_be_bytes(octets))
        };
        let length = usize::from(number(4)?).checked_sub(8)?;
        Some(Self {
            station: station.and_then(|octets| Mac::new(octets).ok()),
            from: (source.into(), number(0)?),
            to: (destination.into(), number(2)?),
            payload: payload.get(..length)?,
        })
    }
}

/// An ARP probe: who has this address? The sender names none of its own (RFC 5227 section 2.1.1).
pub(super) fn arp_probe(ip: Ipv4Addr, own: [u8; 6]) -> Vec<u8> {
    let mut frame = head(EVERYBODY, own, ARP);
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&own);
    frame.extend_from_slice(&[0; 10]);
    frame.extend_from_slice(&ip.octets());
    frame.resize(60, 0);
    frame
}

/// The address that an ARP frame's sender says is its own, and the sender.
pub(super) fn arp_sender(frame: &[u8]) -> Option<([u8; 6], Ipv4Addr)> {
    let arp = frame.get(14..42)?;
    if arp.get(..6)? != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let station: [u8; 6] = arp.get(8..14)?.try_into().ok()?;
    let ip: [u8; 4] = arp.get(14..18)?.try_into().ok()?;
    Some((station, ip.into()))
}

fn head(to: [u8; 6], from: [u8; 6], kind: u16) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes()].concat()
}

/// The sum of RFC 1071 over texts of which each but the last has an even length.
fn checksum(texts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for text in texts {
        for pair in text.chunks(2) {
            let high = pair.first().copied().unwrap_or_default();
            let low = pair.get(1).copied().unwrap_or_default();
            sum = sum.wrapping_add(u32::from(u16::from_be_bytes([high, low])));
        }
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let datagram = Datagram {
            from: (Ipv4Addr::new(10, 99, 0, 1), SERVER_PORT),
            to: (Ipv4Addr::new(10, 99, 10, 1), CLIENT_PORT),
            payload: b"odd",
        };
        let frame = datagram.frame(Some([2, 0, 0, 0, 0, 9]), [2, 0, 0, 0, 0, 1]);
        let read = Received::read(&frame).unwrap();
        assert_eq!(
            (read.from, read.to, read.payload),
            (datagram.from, datagram.to, &b"odd"[..])
        );
        assert_eq!(read.station, Mac::new([2, 0, 0, 0, 0, 1]).ok());
        // A header with its own sum comes to nothing.
        assert_eq!(checksum(&[&frame[14..34]]), 0);
        let pseudo = [&frame[26..34], &[0, 17, 0, 11]].concat();
        assert_eq!(checksum(&[&pseudo, &frame[34..]]), 0);
    }

    #[test]
    fn an_answer_to_a_probe_is_understood() {
        let mut frame = arp_probe(Ipv4Addr::new(10, 99, 0, 9), [2, 0, 0, 0, 0, 1]);
        assert_eq!(
            arp_sender(&frame),
            Some(([2, 0, 0, 0, 0, 1], Ipv4Addr::UNSPECIFIED))
        );
        frame[28..32].copy_from_slice(&[10, 99, 0, 9]);
        assert_eq!(arp_sender(&frame).unwrap().1, Ipv4Addr::new(10, 99, 0, 9));
    }

    proptest! {
        #[test]
        fn no_frame_makes_a_panic(frame in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _read = Received::read(&frame).map(|read| read.payload.len());
            let _sender = arp_sender(&frame);
        }
    }
}
