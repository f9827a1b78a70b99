//! A reply to octets. Pure.

use std::net::Ipv4Addr;

use super::packet::{HEADER, Packet, code};
use crate::model::dhcp::Kind;

/// Every client takes a datagram of so many octets (RFC 2131 section 2), IP and UDP headers with it.
const LEAST: u16 = 576;
/// No reply is longer: it is never to be a fragment.
const MOST: u16 = 1500;
/// IP and UDP headers.
const HEADERS: usize = 28;
/// BOOTP's shortest message (RFC 1542 section 2.1): relays may drop a shorter one.
const SHORTEST: usize = 300;
/// An option 52 with its code and length.
const OVERLOAD: usize = 3;
/// The longest part of an option.
const PART: usize = 255;

/// A message from a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub kind: Kind,
    pub ciaddr: Ipv4Addr,
    pub yiaddr: Ipv4Addr,
    pub siaddr: Ipv4Addr,
    pub file: Vec<u8>,
    /// Behind 53, in this order. 61 and 82 are the request's and added here.
    pub options: Vec<(u8, Vec<u8>)>,
}

/// What did not fit: codes, for the log.
pub type Left = Vec<u8>;

impl Reply {
    /// The datagram that answers `to`. Options that the client's longest datagram (option 57) does
    /// not hold go to the unused `file` and `sname` fields; what does not fit there is left out.
    ///
    /// Option 61 is echoed (RFC 6842), and option 82 as it came, last (RFC 3046 section 2.2).
    pub fn encode(&self, to: &Packet) -> (Vec<u8>, Left) {
        let longest = <[u8; 2]>::try_from(to.option(code::MAX_SIZE)).map(u16::from_be_bytes);
        let longest = longest.unwrap_or(LEAST).clamp(LEAST, MOST);
        let longest = usize::from(longest) - HEADERS;

        let mut first = Vec::with_capacity(longest);
        put(&mut first, code::MESSAGE, &[self.kind.number()]);
        // Behind everything else: what a relay added comes back whatever the client can take.
        let mut last = Vec::new();
        if let Some(client) = to.options.get(&code::CLIENT_ID).filter(|id| !id.is_empty()) {
            put(&mut last, code::CLIENT_ID, client);
        }
        if let Some(relay) = to.options.get(&code::RELAY).filter(|_| self.echoes_relay()) {
            put(&mut last, code::RELAY, relay);
        }
        let room = longest.saturating_sub(HEADER + OVERLOAD + 1 + last.len());
        let (mut file, mut sname, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for (number, value) in &self.options {
            let size = size(value);
            if first.len() + size <= room {
                put(&mut first, *number, value);
            } else if self.file.is_empty() && file.len() + size < 128 {
                put(&mut file, *number, value);
            } else if sname.len() + size < 64 {
                put(&mut sname, *number, value);
            } else {
                left.push(*number);
            }
        }
        let overload = u8::from(!file.is_empty()) | u8::from(!sname.is_empty()) << 1;
        if overload != 0 {
            put(&mut first, code::OVERLOAD, &[overload]);
        }
        for field in [&mut file, &mut sname] {
            if !field.is_empty() {
                field.push(code::END);
            }
        }
        if overload & 1 == 0 {
            file.clone_from(&self.file);
        }
        file.resize(128, 0);
        sname.resize(64, 0);

        let mut octets = Vec::with_capacity(longest);
        octets.extend_from_slice(&[2, to.htype, to.hlen, 0]);
        octets.extend_from_slice(&to.xid.to_be_bytes());
        octets.extend_from_slice(&[0, 0]);
        octets.extend_from_slice(&self.flags(to).to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, to.giaddr] {
            octets.extend_from_slice(&address.octets());
        }
        octets.extend_from_slice(&to.chaddr);
        octets.extend_from_slice(&sname);
        octets.extend_from_slice(&file);
        octets.extend_from_slice(&super::packet::MAGIC);
        octets.extend_from_slice(&first);
        octets.extend_from_slice(&last);
        octets.push(code::END);
        if octets.len() < SHORTEST {
            octets.resize(SHORTEST, 0);
        }
        (octets, left)
    }

    /// A relay is to broadcast a NAK: the client may hold an address of another network (RFC 2131
    /// section 4.3.2).
    fn flags(&self, to: &Packet) -> u16 {
        if self.kind == Kind::Nak && !to.giaddr.is_unspecified() {
            to.flags | 0x8000
        } else {
            to.flags
        }
    }

    fn echoes_relay(&self) -> bool {
        matches!(self.kind, Kind::Offer | Kind::Ack | Kind::Nak)
    }
}

/// What an option takes on the wire, its parts' codes and lengths with it.
fn size(value: &[u8]) -> usize {
    value.len() + 2 * value.len().div_ceil(PART).max(1)
}

/// Writes an option, in parts of 255 octets where it is longer (RFC 3396).
fn put(octets: &mut Vec<u8>, number: u8, value: &[u8]) {
    if value.is_empty() {
        octets.extend_from_slice(&[number, 0]);
    }
    for part in value.chunks(PART) {
        octets.push(number);
        octets.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
        octets.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::packet::{Bad, Direction, Heard, parse};
    use super::*;

    /// A request with these octets as options, the magic cookie before them.
    fn request(options: &[u8]) -> Vec<u8> {
        let mut octets = vec![1, 1, 6, 0, 0, 0, 0, 7];
        octets.resize(28, 0);
        octets.extend_from_slice(&[0x80, 0x5e, 0xc0, 0xd5, 0x7d, 0x72]);
        octets.resize(236, 0);
        octets.extend_from_slice(&[99, 130, 83, 99]);
        octets.extend_from_slice(options);
        octets
    }

    fn ask(options: &[u8]) -> Packet {
        parse(&request(options), Direction::Request).unwrap()
    }

    fn offer(options: Vec<(u8, Vec<u8>)>) -> Reply {
        Reply {
            kind: Kind::Offer,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::new(10, 99, 10, 1),
            siaddr: Ipv4Addr::UNSPECIFIED,
            file: Vec::new(),
            options,
        }
    }

    fn back(reply: &Reply, to: &Packet) -> (Packet, Vec<u8>, Left) {
        let (octets, left) = reply.encode(to);
        let read = parse(&octets, Direction::Reply).unwrap();
        (read, octets, left)
    }

    #[test]
    fn what_is_no_request_is_told_apart() {
        fn check(datagram: &[u8], expect: Bad) {
            assert_eq!(parse(datagram, Direction::Request), Err(expect));
        }
        for length in 0..HEADER {
            check(&vec![0; length], Bad::Short);
        }
        let good = request(&[53, 1, 1, 255]);
        let with = |at: usize, octet: u8| {
            let mut bad = good.clone();
            bad[at] = octet;
            bad
        };
        check(&with(0, 2), Bad::Direction);
        check(&with(2, 17), Bad::HardwareLength);
        check(&with(239, 98), Bad::Magic);
        check(&request(&[53, 2, 1]), Bad::Truncated);
        check(&request(&[53]), Bad::Truncated);
        check(&request(&[255, 53, 1, 1]), Bad::MessageType);
        check(&request(&[53, 1, 0, 255]), Bad::MessageType);
        check(&request(&[53, 1, 255, 255]), Bad::MessageType);
        check(&request(&[53, 1, 1, 53, 1, 3, 255]), Bad::MessageType);
        check(&vec![0; 9000], Bad::Long);
        let part = [&[12, 255][..], &[7; 255]].concat();
        let parts = |count: usize| request(&[&part.repeat(count)[..], &[53, 1, 1]].concat());
        let joined = parse(&parts(15), Direction::Request).unwrap();
        assert_eq!(joined.option(12).len(), 15 * 255);
        check(&parts(20), Bad::TooMuch);
    }

    #[test]
    fn a_long_option_is_split_and_joined_again() {
        let mut options = vec![53, 1, 1, 57, 2, 5, 220];
        for part in [[61, 3, 1, 2, 3], [61, 3, 4, 5, 6]] {
            options.extend_from_slice(&part);
            options.extend_from_slice(&[12, 1, 65]);
        }
        let to = ask(&options);
        assert_eq!(to.option(61), [1, 2, 3, 4, 5, 6]);
        assert_eq!(to.option(12), [65, 65]);
        let url = vec![b'u'; 700];
        let (read, octets, left) = back(&offer(vec![(43, url.clone())]), &to);
        assert_eq!((read.option(43), left.len()), (&url[..], 0));
        assert_eq!(read.option(61), [1, 2, 3, 4, 5, 6]);
        assert!(octets.len() <= 1500 - HEADERS);
    }

    #[test]
    fn what_does_not_fit_goes_to_the_other_fields_or_is_told() {
        let to = ask(&[53, 1, 1]);
        let options = vec![
            (43, vec![1; 250]),
            (66, vec![2; 100]),
            (160, vec![3; 60]),
            (67, vec![4; 50]),
        ];
        let (read, octets, left) = back(&offer(options), &to);
        assert!(octets.len() <= 576 - HEADERS);
        for (number, length) in [(43, 250), (66, 100), (160, 60)] {
            assert_eq!(read.option(number).len(), length, "{number}");
        }
        assert_eq!(left, [67]);
        assert_eq!(read.option(code::OVERLOAD), [3]);
    }

    proptest! {
        #[test]
        fn no_datagram_makes_a_panic(datagram in proptest::collection::vec(any::<u8>(), 0..600)) {
            for direction in [Direction::Request, Direction::Reply] {
                let _read = parse(&datagram, direction);
            }
        }

        #[test]
        fn no_options_make_a_panic_or_a_reply_that_cannot_be_read(
            options in proptest::collection::vec(any::<u8>(), 0..600),
            ours in proptest::collection::vec((1..=254_u8, proptest::collection::vec(any::<u8>(), 0..700)), 0..12),
        ) {
            let options = [&[53, 1, 1][..], &options].concat();
            if let Ok(to) = parse(&request(&options), Direction::Request) {
                drop(format!("{to:?} {:?} {:?}", to.relay(), to.facts(&Heard { interface: "eth0", trusted: true, ..Heard::default() })));
                let mut ours = ours;
                ours.retain(|(number, _)| ![code::MESSAGE, code::OVERLOAD, code::CLIENT_ID, code::RELAY].contains(number));
                let (octets, left) = offer(ours.clone()).encode(&to);
                let read = parse(&octets, Direction::Reply);
                // An echo that is longer than a datagram may be is the client's own doing.
                if octets.len() <= 1472 {
                    let read = read.unwrap();
                    for (number, value) in &ours {
                        let whole = read.option(*number);
                        prop_assert!(left.contains(number) || whole.windows(value.len().max(1)).any(|part| part == value) || value.is_empty());
                    }
                    prop_assert_eq!(read.option(code::RELAY), to.option(code::RELAY));
                }
            }
        }
    }
}
