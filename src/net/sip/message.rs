//! SIP messages as octets: start line, headers, body (RFC 3261 section 7). Decoding is lenient
//! where units are, and bounded; encoding copies what must come back byte for byte.

use crate::model::secret::Foreign;

/// The largest message that is read, in octets: one datagram.
pub const MOST: usize = 4096;
/// Header fields of one message.
const HEADERS: usize = 64;

/// Why a datagram is no message that we read. It gets silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("longer than {MOST} octets")]
    TooLong,
    #[error("no SIP message")]
    NotSip,
    #[error("a control character in its head, or too many header fields")]
    Head,
    #[error("Content-Length is not what its body is")]
    Length,
    #[error("no SUBSCRIBE request")]
    NotSubscribe,
    #[error("no Event header for ua-profile")]
    NotUaProfile,
    #[error("it takes no application/url")]
    NotAccepted,
    #[error("a header that an answer needs is missing")]
    Incomplete,
}

/// A message. Texts are Latin-1, so that they can be sent back as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `METHOD URI SIP/2.0`, or `SIP/2.0 CODE REASON`.
    pub start: String,
    /// Long names in lower case; values without folding.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    /// Reads one datagram.
    pub fn read(datagram: &[u8]) -> Result<Self, Malformed> {
        if datagram.len() > MOST {
            return Err(Malformed::TooLong);
        }
        let (head, body) = split(datagram);
        let head = Foreign::latin1(head);
        let mut lines = head.split("\r\n").flat_map(|line| line.split('\n'));
        let start = lines.next().unwrap_or_default().trim_end().to_owned();
        if !start.ends_with(" SIP/2.0") && !start.starts_with("SIP/2.0 ") {
            return Err(Malformed::NotSip);
        }
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            match (line.starts_with([' ', '\t']), headers.last_mut()) {
                // Folded: it goes on with the line before (section 7.3.1).
                (true, Some((_, value))) => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                (_, _) => {
                    let Some((name, value)) = line.split_once(':') else {
                        continue;
                    };
                    headers.push((long(name.trim()), value.trim().to_owned()));
                }
            }
        }
        let control = |text: &str| text.chars().any(|ch| ch.is_ascii_control() && ch != '\t');
        let odd = headers.iter().any(|(_, value)| control(value));
        if odd || control(&start) || headers.len() > HEADERS {
            return Err(Malformed::Head);
        }
        Ok(Self {
            start,
            headers,
            body: body.to_vec(),
        })
    }

    /// The first header of a name.
    pub fn header(&self, name: &'static str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every header of a name, in order.
    pub fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let own = self.headers.iter().filter(move |(own, _)| own == name);
        own.map(|(_, value)| value.as_str())
    }

    /// Whether the body holds as many octets as every Content-Length says. More than that in a
    /// datagram is thrown away (section 18.3).
    pub fn is_whole(&self) -> bool {
        self.all("content-length").all(|said| {
            let digits = !said.is_empty() && said.bytes().all(|byte| byte.is_ascii_digit());
            digits
                && said
                    .parse::<usize>()
                    .is_ok_and(|said| said <= self.body.len())
        })
    }

    /// Of a response: its status code.
    pub fn status(&self) -> Option<u16> {
        let rest = self.start.strip_prefix("SIP/2.0 ")?;
        let code = rest.get(..3)?;
        code.parse().ok().filter(|code| (100..700).contains(code))
    }

    /// Of a request: method and Request-URI.
    pub fn request(&self) -> Option<(&str, &str)> {
        let rest = self.start.strip_suffix(" SIP/2.0")?;
        let (method, uri) = rest.split_once(' ')?;
        (!uri.is_empty() && !uri.contains(' ')).then_some((method, uri))
    }
}

/// Head and body; the empty line between them belongs to neither.
fn split(datagram: &[u8]) -> (&[u8], &[u8]) {
    for mark in [b"\r\n\r\n".as_slice(), b"\n\n".as_slice()] {
        let at = datagram.windows(mark.len()).position(|part| part == mark);
        if let Some((head, rest)) = at.and_then(|at| datagram.split_at_checked(at)) {
            return (head, rest.get(mark.len()..).unwrap_or_default());
        }
    }
    (datagram, &[])
}

/// Header names may be short (section 7.3.3, RFC 6665 section 8.4).
fn long(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "v" => "via".to_owned(),
        "f" => "from".to_owned(),
        "t" => "to".to_owned(),
        "i" => "call-id".to_owned(),
        "m" => "contact".to_owned(),
        "o" => "event".to_owned(),
        "l" => "content-length".to_owned(),
        other => other.to_owned(),
    }
}

/// The topmost element of a Via header: who sent it, and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    pub host: &'a str,
    pub port: Option<u16>,
    pub branch: Option<&'a str>,
    /// The client wants its answer at the port that it sent from (RFC 3581).
    pub rport: bool,
}

impl<'a> Via<'a> {
    /// Reads the first element of a header's value.
    pub fn read(value: &'a str) -> Option<Self> {
        let first = value.split(',').next()?;
        let mut parts = first.split(';').map(str::trim);
        let (_, sent_by) = parts.next()?.rsplit_once([' ', '\t'])?;
        let (host, port) = host_and_port(sent_by)?;
        let mut via = Self {
            host,
            port,
            branch: None,
            rport: false,
        };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "branch" => via.branch = Some(value.trim()),
                "rport" => via.rport = true,
                _ => {}
            }
        }
        Some(via)
    }
}

/// A host, perhaps in brackets, with its port. A port that is none makes it nothing.
pub fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(inside) => {
            let (host, after) = inside.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None => None,
    };
    (!host.is_empty()).then_some((host, port))
}

/// The URI of a From, To or Contact header: inside `<>`, else up to the parameters.
pub fn uri(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => value.split(';').next().unwrap_or_default().trim(),
    }
}

/// Host and port of a `sip:` URI.
pub fn place(uri: &str) -> Option<(&str, Option<u16>)> {
    let rest = uri.get(4..).filter(|_| {
        uri.get(..4)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("sip:"))
    })?;
    let rest = rest.split([';', '?']).next()?;
    host_and_port(rest.rsplit('@').next()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn heads_are_read_as_units_write_them() {
        let text = "SUBSCRIBE sip:x SIP/2.0\nv: SIP/2.0/UDP 10.0.0.9:5080;rport;branch=z9hG4bKa\r\n\
                    Via: SIP/2.0/UDP b\r\nSubject: a\r\n  b\r\nl: 2\r\n\r\nhello";
        let message = Message::read(text.as_bytes()).expect("a message");
        assert_eq!(message.request(), Some(("SUBSCRIBE", "sip:x")));
        assert_eq!(message.header("subject"), Some("a b"));
        assert_eq!(message.all("via").count(), 2);
        assert!(message.is_whole());
        let via = Via::read(message.header("via").unwrap_or_default()).expect("a Via");
        assert_eq!((via.host, via.port), ("10.0.0.9", Some(5080)));
        assert_eq!((via.branch, via.rport), (Some("z9hG4bKa"), true));
    }

    #[test]
    fn what_is_no_message_is_none() {
        let check = |text: &[u8], expect| assert_eq!(Message::read(text).err(), Some(expect));
        check(&[b'a'; MOST + 1], Malformed::TooLong);
        check(b"", Malformed::NotSip);
        check(b"GET / HTTP/1.1\r\n\r\n", Malformed::NotSip);
        check(
            b"OPTIONS sip:a SIP/2.0\r\nTo: a\0b\r\n\r\n",
            Malformed::Head,
        );
        let many = format!("OPTIONS sip:a SIP/2.0\r\n{}\r\n", "a: b\r\n".repeat(65));
        check(many.as_bytes(), Malformed::Head);
    }

    #[test]
    fn a_length_that_is_none_is_told() {
        for (length, whole) in [
            ("0", true),
            ("5", true),
            ("6", false),
            ("-1", false),
            ("+5", false),
            ("5x", false),
            ("", false),
            ("99999999999999999999999", false),
        ] {
            let text = format!("OPTIONS sip:a SIP/2.0\r\nContent-Length: {length}\r\n\r\nhello");
            let message = Message::read(text.as_bytes()).expect("a message");
            assert_eq!(message.is_whole(), whole, "{length}");
        }
    }

    #[test]
    fn places_of_uris() {
        for (value, expect) in [
            ("<sip:10.0.0.9:5080>", Some(("10.0.0.9", Some(5080)))),
            (
                "\"A\" <SIP:u@h.example;transport=udp>;expires=1",
                Some(("h.example", None)),
            ),
            (
                "sip:[2001:db8::1]:5061;x=y",
                Some(("2001:db8::1", Some(5061))),
            ),
            ("<sip:a:0>", None),
            ("<sip:a:b>", None),
            ("<tel:1>", None),
            ("<sip:>", None),
        ] {
            assert_eq!(place(uri(value)), expect, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_datagram_makes_a_panic(datagram in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(message) = Message::read(&datagram) {
                let _whole = message.is_whole();
                let _via = message.header("via").map(Via::read);
            }
        }

        #[test]
        fn no_head_makes_a_panic(text in "(SUBSCRIBE sip:[a-z:;%@=0-9]{0,20} SIP/2.0|SIP/2.0 [0-9]{1,4})(\r\n(Via|v|To|m|l): [ -~]{0,40}){0,6}") {
            if let Ok(message) = Message::read(text.as_bytes()) {
                let _whole = (message.is_whole(), message.status());
                let _via = message.header("via").map(Via::read);
                let _place = message.header("contact").map(|value| place(uri(value)));
            }
        }
    }
}
