//! Reads request heads before hyper does, and lets only plain ones through.
//!
//! hyper accepts two `Transfer-Encoding` or `Host` fields, bare LF and targets for other hosts
//! (hostile-cases B17, B18). Whatever two readers could read differently is refused here, and
//! after a refusal nothing on that connection is read as a request. Pure: bytes in, a [`Head`]
//! or a [`Reject`] out.
//!
//! Documented choices: a bare LF or bare CR is refused with 400 on every listener; one empty
//! line before a request line is skipped (RFC 9112 section 2.2); HTTP/1.1 without `Host` is
//! served; control octets other than NUL, CR and LF may stand in a field's value and reach the
//! core as bytes; a request with a body is refused, the device plane takes none.

use super::limits::Limits;
use crate::engine::facts::Method;
use crate::model::secret::Foreign;

/// The longest method that is read at all.
const LONGEST_METHOD: usize = 32;
/// The longest host, port included (RFC 1035 section 3.1 allows 255 octets for the name).
const LONGEST_HOST: usize = 262;

/// A request head that is fit to be served.
#[derive(Clone, Debug)]
pub struct Head {
    pub method: Method,
    pub minor: Minor,
    /// Whether the connection may be used again.
    pub keep: bool,
    /// Origin form, as sent.
    pub target: Vec<u8>,
    /// Lower-case, without port and brackets. Of an absolute-form target, else of `Host`.
    pub host: Option<String>,
    /// Lower-case names; without `Authorization` and `Cookie`, whose values are secrets.
    pub headers: Vec<(String, Foreign)>,
    /// All `X-Forwarded-For` fields, joined: believed only from a trusted proxy.
    pub forwarded: String,
    /// A body follows that nobody reads: some units report with a POST.
    pub unread: bool,
}

/// `HTTP/1.x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minor {
    Zero,
    One,
}

/// Why a head is not served. The connection ends after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    BadRequest,
    BodyNotTaken,
    FieldsTooLarge,
    MethodNotAllowed,
    TargetTooLong,
    TimedOut,
    VersionNotSupported,
}

impl Reject {
    /// Its HTTP status code.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::MethodNotAllowed => 405,
            Self::TimedOut => 408,
            Self::BodyNotTaken => 413,
            Self::TargetTooLong => 414,
            Self::FieldsTooLarge => 431,
            Self::VersionNotSupported => 505,
        }
    }
}

/// Finds the end of a head in octets that arrive bit by bit; each octet is looked at once.
#[derive(Debug, Default)]
pub struct Scanner {
    at: usize,
    line: usize,
    lines: usize,
}

impl Scanner {
    /// Looks at what was appended to `bytes` since the last call. The length of the head when
    /// its empty line has come.
    pub fn scan(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Reject> {
        if self.at == 0 && bytes.first().is_some_and(|b| *b != b'\r' && !is_token(*b)) {
            return Err(Reject::BadRequest);
        }
        while let Some(found) = bytes
            .get(self.at..)
            .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            let end = self.at + found;
            let content = bytes.get(self.line..end).unwrap_or_default();
            let Some((b'\r', content)) = content.split_last() else {
                return Err(Reject::BadRequest);
            };
            self.at = end + 1;
            self.line = end + 1;
            self.within(self.at, content.len(), limits)?;
            if content.is_empty() {
                // The first line may be an empty one, once.
                if self.lines > 0 {
                    return Ok(Some(self.at));
                } else if self.at > 2 {
                    return Err(Reject::BadRequest);
                }
                continue;
            }
            self.lines += 1;
            if self.lines > limits.headers + 1 {
                return Err(Reject::FieldsTooLarge);
            }
        }
        self.at = bytes.len();
        self.within(bytes.len(), bytes.len() - self.line, limits)?;
        Ok(None)
    }

    fn within(&self, all: usize, line: usize, limits: &Limits) -> Result<(), Reject> {
        if self.lines == 0 && line > limits.line {
            Err(Reject::TargetTooLong)
        } else if all > limits.head {
            Err(Reject::FieldsTooLarge)
        } else {
            Ok(())
        }
    }
}

/// Reads a whole head, as [`Scanner`] delimited it. `ours` says whether a host is one of ours.
pub fn parse(head: &[u8], ours: impl Fn(&str) -> bool) -> Result<Head, Reject> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let text = head.strip_suffix(b"\r\n\r\n").ok_or(Reject::BadRequest)?;
    let mut lines = Lines(Some(text));
    let line = RequestLine::parse(lines.next().unwrap_or_default())?;
    let mut fields = Fields::default();
    for line in lines {
        fields.add(line)?;
    }
    let body = fields.body(line.minor)?;
    let report = line.method == b"POST" && is_report(line.target);
    let method = match line.method {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        _ if report => Method::Get,
        _ => return Err(Reject::MethodNotAllowed),
    };
    if body && !report {
        return Err(Reject::BodyNotTaken);
    }
    let mut host = match fields.host {
        Some(b"") => None,
        Some(host) => Some(host_name(host)?),
        None => None,
    };
    let target = match absolute(line.target) {
        Some((authority, rest)) => {
            let name = host_name(authority)?;
            if !ours(&name) {
                return Err(Reject::BadRequest);
            }
            host = Some(name);
            match rest.first() {
                Some(b'/') => rest.to_vec(),
                _ => [b"/", rest].concat(),
            }
        }
        None if line.target.starts_with(b"/") => line.target.to_vec(),
        None => return Err(Reject::BadRequest),
    };
    Ok(Head {
        method,
        minor: line.minor,
        keep: match line.minor {
            Minor::One => !fields.close,
            Minor::Zero => fields.keep_alive && !fields.close,
        },
        target,
        host,
        headers: fields.listed,
        forwarded: fields.forwarded,
        unread: body,
    })
}

/// Whether a target is a report URL: what it means stands in its path, and a body adds nothing.
fn is_report(target: &[u8]) -> bool {
    let path = target
        .split(|byte| *byte == b'?')
        .next()
        .unwrap_or_default();
    path.windows(3).any(|part| part == b"/r/")
}

/// The lines of a head, without CRLF.
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        match rest.iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                self.0 = rest.get(at + 1..);
                let line = rest.get(..at).unwrap_or_default();
                Some(line.strip_suffix(b"\r").unwrap_or(line))
            }
            None => self.0.take(),
        }
    }
}

struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    minor: Minor,
}

impl<'a> RequestLine<'a> {
    /// `METHOD SP target SP HTTP/1.x`, with exactly these two blanks (RFC 9112 section 3).
    fn parse(line: &'a [u8]) -> Result<Self, Reject> {
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Reject::BadRequest);
        };
        let good_method =
            (1..=LONGEST_METHOD).contains(&method.len()) && method.iter().copied().all(is_token);
        let good_target = !target.is_empty() && target.iter().all(|b| *b > 0x20 && *b != 0x7f);
        if !good_method || !good_target {
            return Err(Reject::BadRequest);
        }
        let minor = match version {
            b"HTTP/1.1" => Minor::One,
            b"HTTP/1.0" => Minor::Zero,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(Reject::VersionNotSupported);
            }
            _ => return Err(Reject::BadRequest),
        };
        Ok(Self {
            method,
            target,
            minor,
        })
    }
}

#[derive(Default)]
struct Fields<'a> {
    listed: Vec<(String, Foreign)>,
    host: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
    close: bool,
    keep_alive: bool,
    forwarded: String,
}

impl<'a> Fields<'a> {
    /// `name ":" OWS value OWS`, no blank before the colon, no folded lines (section 5).
    fn add(&mut self, line: &'a [u8]) -> Result<(), Reject> {
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .ok_or(Reject::BadRequest)?;
        let (name, value) = line.split_at(colon);
        let value = trim(value.get(1..).unwrap_or_default());
        let bad_value = value.iter().any(|byte| matches!(byte, 0 | b'\r'));
        if name.is_empty() || !name.iter().copied().all(is_token) || bad_value {
            return Err(Reject::BadRequest);
        }
        let name: String = name
            .iter()
            .map(|byte| char::from(byte.to_ascii_lowercase()))
            .collect();
        let once = match name.as_str() {
            "host" => Some(&mut self.host),
            "content-length" => Some(&mut self.length),
            "transfer-encoding" => Some(&mut self.coding),
            _ => None,
        };
        if let Some(place) = once
            && place.replace(value).is_some()
        {
            return Err(Reject::BadRequest);
        }
        match name.as_str() {
            "authorization" | "proxy-authorization" | "cookie" => return Ok(()),
            "connection" => {
                for token in value.split(|byte| *byte == b',') {
                    self.close |= trim(token).eq_ignore_ascii_case(b"close");
                    self.keep_alive |= trim(token).eq_ignore_ascii_case(b"keep-alive");
                }
            }
            "x-forwarded-for" => {
                self.forwarded.push(',');
                self.forwarded.push_str(&String::from_utf8_lossy(value));
            }
            _ => {}
        }
        if self.listed.is_empty() {
            self.listed.reserve(8);
        }
        self.listed.push((name, Foreign::new(value)));
        Ok(())
    }

    /// Whether a body follows. Whatever leaves doubt about its length is refused (section 6.3).
    fn body(&self, minor: Minor) -> Result<bool, Reject> {
        match (self.coding, self.length) {
            (None, None) => Ok(false),
            (Some(coding), None)
                if minor == Minor::One && coding.eq_ignore_ascii_case(b"chunked") =>
            {
                Ok(true)
            }
            (Some(_), _) => Err(Reject::BadRequest),
            (None, Some(length)) => {
                let good =
                    (1..=19).contains(&length.len()) && length.iter().all(u8::is_ascii_digit);
                if !good {
                    return Err(Reject::BadRequest);
                }
                Ok(length.iter().any(|digit| *digit != b'0'))
            }
        }
    }
}

/// Authority and rest of an absolute-form target.
fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = [&b"http://"[..], b"https://"]
        .into_iter()
        .find_map(|scheme| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        })?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    Some(rest.split_at(end.unwrap_or(rest.len())))
}

/// A host in lower case, its port and brackets taken off.
fn host_name(authority: &[u8]) -> Result<String, Reject> {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte);
    if authority.len() > LONGEST_HOST || !authority.iter().all(good) {
        return Err(Reject::BadRequest);
    }
    let text = String::from_utf8(authority.to_ascii_lowercase()).map_err(|_| Reject::BadRequest)?;
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(Reject::BadRequest)?,
        None => match text.find(':') {
            Some(at) => text.split_at(at),
            None => (text.as_str(), ""),
        },
    };
    let good_port = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    if name.is_empty() || name.contains(['[', ']']) || !good_port {
        return Err(Reject::BadRequest);
    }
    Ok(name.to_owned())
}

fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|b| !blank(b))
        .map_or(start, |at| at + 1);
    value.get(start..end).unwrap_or_default()
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Option<Head>, Reject> {
        let mut scanner = Scanner::default();
        match scanner.scan(bytes, &Limits::default())? {
            Some(end) => parse(&bytes[..end], |host| host == "ours").map(Some),
            None => Ok(None),
        }
    }

    fn head(text: &str) -> Head {
        read(text.as_bytes()).expect(text).expect(text)
    }

    #[test]
    fn a_plain_request() {
        let head = head(
            "GET /a.cfg?x HTTP/1.1\r\nHost: Ours:8080\r\nUser-Agent: \x1b[2J\u{e4} x \r\nCookie: s\r\n\r\n",
        );
        assert_eq!(head.target, b"/a.cfg?x");
        assert_eq!(head.host.as_deref(), Some("ours"));
        assert_eq!(head.headers.len(), 2);
        assert_eq!(head.headers[1].0, "user-agent");
        assert_eq!(head.headers[1].1.bytes(), "\x1b[2J\u{e4} x".as_bytes());
        assert!(head.keep);
    }

    #[test]
    fn persistence() {
        for (rest, keep) in [
            ("1.1\r\n", true),
            ("1.1\r\nConnection: Close\r\n", false),
            ("1.1\r\nConnection: te, close\r\n", false),
            ("1.0\r\n", false),
            ("1.0\r\nConnection: Keep-Alive\r\n", true),
            ("1.0\r\nConnection: keep-alive, close\r\n", false),
        ] {
            assert_eq!(head(&format!("GET / HTTP/{rest}\r\n")).keep, keep, "{rest}");
        }
    }

    #[test]
    fn hosts() {
        for (host, expect) in [
            ("a.example:80", Some("a.example")),
            ("[2001:db8::1]:8443", Some("2001:db8::1")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("", None),
        ] {
            let head = head(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!(head.host.as_deref(), expect, "{host}");
        }
        for bad in ["a b", "a/b", "a@b", "[::1", "a:b", "a:1:2", ":80"] {
            let text = format!("GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n");
            assert_eq!(
                read(text.as_bytes()).unwrap_err(),
                Reject::BadRequest,
                "{bad}"
            );
        }
    }

    #[test]
    fn a_head_may_come_octet_by_octet() {
        let bytes = b"\r\nGET / HTTP/1.1\r\nHost: ours\r\n\r\nGET";
        let mut scanner = Scanner::default();
        let limits = Limits::default();
        let ends: Vec<_> = (1..=bytes.len())
            .filter_map(|n| scanner.scan(&bytes[..n], &limits).unwrap())
            .collect();
        assert_eq!(ends.first(), Some(&(bytes.len() - 3)));
        let mut twice = Scanner::default();
        assert!(twice.scan(b"\r\n\r\nGET", &limits).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_head_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            drop(read(&bytes));
        }

        #[test]
        fn near_requests_never_panic(
            line in "(GET|HEAD|POST|[ -~]{0,8}) [ -~]{0,30} HTTP/1\\.[0-9]",
            fields in proptest::collection::vec("[ -~]{0,40}", 0..8),
        ) {
            let text = format!("{line}\r\n{}\r\n\r\n", fields.join("\r\n"));
            if let Ok(Some(head)) = read(text.as_bytes()) {
                prop_assert!(head.target.starts_with(b"/"));
            }
        }
    }
}
