//! TFTP packets: RFC 1350, with options as RFC 2347, 2348, 2349 and 7440 have them. Pure.
//!
//! Documented choices: a request of more than 512 octets is malformed (RFC 2347); of an option
//! that is asked twice the first counts; an option with a value that it cannot have, or without
//! one, is left out; a value that is larger than an option can be is lowered, as a server may.

/// The longest request, in octets (RFC 2347).
pub const LONGEST_REQUEST: usize = 512;
/// What a block holds where nobody asked for another size (RFC 1350).
pub const BLOCK: u16 = 512;
/// The least and the most that `blksize` can be (RFC 2348).
pub const LEAST_BLOCK: u16 = 8;
pub const MOST_BLOCK: u16 = 65_464;
/// Opcode and block number before the octets of a DATA packet.
pub const HEADER: usize = 4;

const RRQ: u16 = 1;
const WRQ: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// Error codes of RFC 1350 and RFC 2347.
pub mod code {
    pub const UNDEFINED: u16 = 0;
    pub const NOT_FOUND: u16 = 1;
    pub const ACCESS: u16 = 2;
    pub const ILLEGAL: u16 = 4;
    pub const UNKNOWN_TID: u16 = 5;
}

/// What came to the port that everybody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    Read(Request),
    /// Nobody writes here.
    Write,
    /// Anything else. It is not answered: two servers that answer each other would never end.
    Stray,
}

/// A read request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As sent.
    pub name: Vec<u8>,
    pub mode: Mode,
    /// Those with a value that they can have, each once, in the order of the request.
    pub wishes: Vec<Wish>,
}

/// How octets travel. `mail` is of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Netascii,
    Octet,
}

/// An option that the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Blksize(u64),
    /// The size of the file, whatever value came with it.
    Tsize,
    /// Seconds.
    Timeout(u8),
    Windowsize(u64),
}

/// An option as it is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    Blksize(u16),
    Tsize(u64),
    Timeout(u8),
    Windowsize(u16),
}

/// A request that cannot be read. It is answered by ERROR 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a mode that is neither octet nor netascii")]
    Mode,
    #[error("more than {LONGEST_REQUEST} octets")]
    TooLong,
    #[error("name and mode do not both end in NUL")]
    Unfinished,
}

/// What came to a transfer's own port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Ack(u16),
    /// The client ends the transfer, with this code.
    Error(u16),
    /// Whatever no client sends to a server here.
    Other,
}

/// Reads a datagram that came to the listening port.
pub fn opening(datagram: &[u8]) -> Result<Opening, Malformed> {
    match split_u16(datagram) {
        Some((RRQ, rest)) if datagram.len() <= LONGEST_REQUEST => {
            Request::parse(rest).map(Opening::Read)
        }
        Some((RRQ, _)) => Err(Malformed::TooLong),
        Some((WRQ, _)) => Ok(Opening::Write),
        Some(_) | None => Ok(Opening::Stray),
    }
}

/// Reads a datagram that came to a transfer's port.
pub fn reply(datagram: &[u8]) -> Reply {
    let (Some((opcode, rest)), true) = (split_u16(datagram), datagram.len() >= HEADER) else {
        return Reply::Other;
    };
    match (opcode, split_u16(rest)) {
        (ACK, Some((block, _))) => Reply::Ack(block),
        (ERROR, Some((code, _))) => Reply::Error(code),
        (_, _) => Reply::Other,
    }
}

impl Request {
    fn parse(rest: &[u8]) -> Result<Self, Malformed> {
        let (name, rest) = split_text(rest).ok_or(Malformed::Unfinished)?;
        let (mode, mut rest) = split_text(rest).ok_or(Malformed::Unfinished)?;
        let mode = if mode.eq_ignore_ascii_case(b"octet") {
            Mode::Octet
        } else if mode.eq_ignore_ascii_case(b"netascii") {
            Mode::Netascii
        } else {
            return Err(Malformed::Mode);
        };
        let mut asked = Asked::default();
        let mut wishes = Vec::new();
        while let Some((option, after)) = split_text(rest) {
            let Some((value, after)) = split_text(after) else {
                break;
            };
            rest = after;
            wishes.extend(asked.take(option, value));
        }
        Ok(Self {
            name: name.to_vec(),
            mode,
            wishes,
        })
    }
}

/// Which options were named so far.
#[derive(Default)]
struct Asked {
    blksize: bool,
    tsize: bool,
    timeout: bool,
    windowsize: bool,
}

impl Asked {
    /// The wish, if it is the first of its name and has a value that it can have.
    fn take(&mut self, option: &[u8], value: &[u8]) -> Option<Wish> {
        let named = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        let (before, wish) = if named("blksize") {
            let size = number(value).filter(|size| *size >= u64::from(LEAST_BLOCK));
            (&mut self.blksize, size.map(Wish::Blksize))
        } else if named("tsize") {
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            (&mut self.tsize, digits.then_some(Wish::Tsize))
        } else if named("timeout") {
            let seconds = number(value).and_then(|seconds| u8::try_from(seconds).ok());
            let seconds = seconds.filter(|seconds| *seconds > 0);
            (&mut self.timeout, seconds.map(Wish::Timeout))
        } else if named("windowsize") {
            let blocks = number(value).filter(|blocks| *blocks > 0);
            (&mut self.windowsize, blocks.map(Wish::Windowsize))
        } else {
            return None;
        };
        let first = !std::mem::replace(before, true);
        wish.filter(|_| first)
    }
}

/// A decimal number; `None` for what is none, or has more than 20 digits.
fn number(value: &[u8]) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits)?;
    text.parse().ok()
}

/// The answer to a request with options: those that are granted.
pub fn oack(grants: &[Grant]) -> Vec<u8> {
    let mut packet = OACK.to_be_bytes().to_vec();
    for grant in grants {
        let (name, value) = match grant {
            Grant::Blksize(size) => ("blksize", u64::from(*size)),
            Grant::Tsize(size) => ("tsize", *size),
            Grant::Timeout(seconds) => ("timeout", u64::from(*seconds)),
            Grant::Windowsize(blocks) => ("windowsize", u64::from(*blocks)),
        };
        packet.extend_from_slice(name.as_bytes());
        packet.push(0);
        packet.extend_from_slice(value.to_string().as_bytes());
        packet.push(0);
    }
    packet
}

/// Writes a DATA packet at the end of `packet`. `block` counts from 1 and wraps on the wire.
pub fn data(packet: &mut Vec<u8>, block: u64, octets: &[u8]) {
    packet.extend_from_slice(&DATA.to_be_bytes());
    packet.extend_from_slice(&on_wire(block).to_be_bytes());
    packet.extend_from_slice(octets);
}

/// An ERROR packet, with the words of RFC 1350 section 5.
pub fn error(code: u16) -> Vec<u8> {
    let text = match code {
        code::NOT_FOUND => "File not found",
        code::ACCESS => "Access violation",
        code::ILLEGAL => "Illegal TFTP operation",
        code::UNKNOWN_TID => "Unknown transfer ID",
        _ => "Unavailable",
    };
    let mut packet = ERROR.to_be_bytes().to_vec();
    packet.extend_from_slice(&code.to_be_bytes());
    packet.extend_from_slice(text.as_bytes());
    packet.push(0);
    packet
}

/// Text as netascii: LF becomes CR LF, a CR alone CR NUL (RFC 764).
pub fn netascii(text: &[u8]) -> Vec<u8> {
    let more = text.iter().filter(|byte| matches!(byte, b'\r' | b'\n'));
    let mut octets = Vec::with_capacity(text.len() + more.count());
    for byte in text {
        match byte {
            b'\n' => octets.extend_from_slice(b"\r\n"),
            b'\r' => octets.extend_from_slice(b"\r\0"),
            other => octets.push(*other),
        }
    }
    octets
}

/// A block's number as it travels: 65535 is followed by 0.
pub(super) fn on_wire(block: u64) -> u16 {
    let [.., high, low] = block.to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn split_u16(octets: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = octets.split_first_chunk()?;
    Some((u16::from_be_bytes(*number), rest))
}

/// A text that ends in NUL, and what follows it.
fn split_text(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = octets.iter().position(|byte| *byte == 0)?;
    Some((octets.get(..end)?, octets.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(packet: &[u8]) -> Request {
        match opening(packet) {
            Ok(Opening::Read(request)) => request,
            other => panic!("{}: {other:?}", String::from_utf8_lossy(packet)),
        }
    }

    /// The wishes of a request with these words after the mode.
    fn wishes(words: &str) -> Vec<Wish> {
        read(format!("\0\x01a.cfg\0octet\0{words}").as_bytes()).wishes
    }

    #[test]
    fn c1_short_and_odd_datagrams() {
        for packet in [
            &b""[..],
            b"\0",
            b"\0\x04",
            b"\0\x04\0",
            b"\0\x04\0\x01",
            b"\0\x03\0\x01x",
            b"\0\x05\0\x01x\0",
            b"\0\x06blksize\x008\0",
            b"\0\0",
            b"\0\x07x",
            b"\xff\xffx",
        ] {
            assert_eq!(opening(packet), Ok(Opening::Stray), "{packet:?}");
        }
        for packet in [
            &b"\0\x01"[..],
            b"\0\x01\0",
            b"\0\x01a",
            b"\0\x01a\0",
            b"\0\x01a\0octet",
        ] {
            assert_eq!(opening(packet), Err(Malformed::Unfinished), "{packet:?}");
        }
        for packet in [
            &b""[..],
            b"\0",
            b"\0\x04",
            b"\0\x04\0",
            b"\0\x03\0\x01x",
            b"\xff\xff\0\x01",
        ] {
            assert_eq!(reply(packet), Reply::Other, "{packet:?}");
        }
        assert_eq!(reply(b"\0\x04\xff\xfe"), Reply::Ack(0xfffe));
        assert_eq!(reply(b"\0\x05\0\x08"), Reply::Error(8));
    }

    #[test]
    fn c2_a_request_has_its_bounds() {
        let long = [
            b"\0\x01".to_vec(),
            vec![b'x'; 65_000],
            b"\0octet\0".to_vec(),
        ]
        .concat();
        assert_eq!(opening(&long), Err(Malformed::TooLong));
        let most = [b"\0\x01".to_vec(), vec![b'x'; 503], b"\0octet\0".to_vec()].concat();
        assert_eq!(most.len(), LONGEST_REQUEST);
        assert_eq!(read(&most).name.len(), 503);
        assert_eq!(read(b"\0\x01\x1b[2J\r\n\0octet\0").name, b"\x1b[2J\r\n");
    }

    #[test]
    fn c4_write_requests_are_known_and_not_read() {
        assert_eq!(opening(b"\0\x02a\0octet\0"), Ok(Opening::Write));
        assert_eq!(opening(b"\0\x02"), Ok(Opening::Write));
    }

    #[test]
    fn c5_modes() {
        let mode = |mode: &str| opening(format!("\0\x01a\0{mode}\0").as_bytes());
        for (text, expect) in [
            ("octet", Mode::Octet),
            ("OcTeT", Mode::Octet),
            ("netascii", Mode::Netascii),
            ("NETASCII", Mode::Netascii),
        ] {
            assert!(
                matches!(mode(text), Ok(Opening::Read(request)) if request.mode == expect),
                "{text}"
            );
        }
        for bad in ["mail", "MAIL", "octetx", "", "octe"] {
            assert_eq!(mode(bad), Err(Malformed::Mode), "{bad}");
        }
        assert_eq!(netascii(b"a\nb\rc\0\r\n"), b"a\r\nb\r\0c\0\r\0\r\n");
    }

    #[test]
    fn c6_options() {
        for (words, expect) in [
            ("blksize\x001468\0", vec![Wish::Blksize(1468)]),
            ("BLKsize\x008\0", vec![Wish::Blksize(8)]),
            ("blksize\x0065464\0", vec![Wish::Blksize(65_464)]),
            (
                "blksize\x004294967296\0",
                vec![Wish::Blksize(4_294_967_296)],
            ),
            ("blksize\x007\0", vec![]),
            ("blksize\x000\0", vec![]),
            ("blksize\0-1\0", vec![]),
            ("blksize\0+9\0", vec![]),
            ("blksize\0abc\0", vec![]),
            ("blksize\0\0", vec![]),
            ("blksize\x0099999999999999999999999\0", vec![]),
            (
                "blksize\x001024\0blksize\x00512\0",
                vec![Wish::Blksize(1024)],
            ),
            ("blksize\x007\0blksize\x00512\0", vec![]),
            ("blksize\0", vec![]),
            ("blksize", vec![]),
            ("blksize\x00512", vec![]),
            ("multicast\0\0tsize\x000\0", vec![Wish::Tsize]),
            ("windowsize\x0065536\0", vec![Wish::Windowsize(65_536)]),
            ("windowsize\x000\0", vec![]),
        ] {
            assert_eq!(wishes(words), expect, "{words:?}");
        }
        let many = "x\0y\0".repeat(120);
        assert_eq!(wishes(&many), []);
        assert_eq!(
            opening(format!("\0\x01a\0octet\0{}", "x\0y\0".repeat(500)).as_bytes()),
            Err(Malformed::TooLong)
        );
    }

    #[test]
    fn c8_tsize_and_c9_timeout() {
        for (words, expect) in [
            ("tsize\x001000000000000000000\0", vec![Wish::Tsize]),
            ("tsize\x00999999999999999999999999\0", vec![Wish::Tsize]),
            ("tsize\0x\0", vec![]),
            ("tsize\0\0", vec![]),
            ("timeout\x001\0", vec![Wish::Timeout(1)]),
            ("timeout\x00255\0", vec![Wish::Timeout(255)]),
            ("timeout\x000\0", vec![]),
            ("timeout\x00256\0", vec![]),
        ] {
            assert_eq!(wishes(words), expect, "{words:?}");
        }
    }

    #[test]
    fn answers_are_written_as_the_rfcs_have_them() {
        let grants = [
            Grant::Blksize(1468),
            Grant::Tsize(2000),
            Grant::Timeout(3),
            Grant::Windowsize(16),
        ];
        assert_eq!(
            oack(&grants),
            b"\0\x06blksize\x001468\0tsize\x002000\0timeout\x003\0windowsize\x0016\0"
        );
        let mut packet = Vec::new();
        data(&mut packet, 65_537, b"xy");
        assert_eq!(packet, b"\0\x03\0\x01xy");
        assert_eq!(error(1), b"\0\x05\0\x01File not found\0");
        assert_eq!([65_535, 65_536].map(on_wire), [65_535, 0]);
    }

    proptest! {
        #[test]
        fn any_octets_are_something(datagram in proptest::collection::vec(any::<u8>(), 0..1100)) {
            if let Ok(Opening::Read(request)) = opening(&datagram) {
                prop_assert!(request.wishes.len() <= 4);
                prop_assert!(request.name.len() < LONGEST_REQUEST);
            }
            reply(&datagram);
        }

        #[test]
        fn any_options_are_taken_or_left(
            words in proptest::collection::vec("(blksize|TSIZE|timeout|windowSize|x|[0-9]{0,22}|-1)", 0..40),
        ) {
            let text: String = words.iter().map(|word| format!("{word}\0")).collect();
            for wish in wishes(&text.chars().take(490).collect::<String>()) {
                match wish {
                    Wish::Blksize(size) => prop_assert!(size >= 8),
                    Wish::Windowsize(blocks) => prop_assert!(blocks > 0),
                    Wish::Timeout(seconds) => prop_assert!(seconds > 0),
                    Wish::Tsize => {}
                }
            }
        }
    }
}
