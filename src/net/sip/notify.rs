//! The two messages that we send: the 200 to a SUBSCRIBE, and the NOTIFY with the URL (RFC 6665
//! section 4.2, RFC 6080 section 5). They hold a base URL and nothing of the unit.

use std::net::SocketAddr;

use super::message::{Message, Via, place, uri};

/// The longest Contact that becomes a Request-URI, in octets.
const CONTACT: usize = 256;

/// What is new in an exchange. Nobody can guess it, so a stranger cannot acknowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Of our side of the dialogue.
    pub tag: String,
    /// Of the NOTIFY's transaction.
    pub branch: String,
}

impl Marks {
    /// From 128 random bits.
    pub fn new(random: u128) -> Self {
        let text = format!("{random:032x}");
        let (tag, branch) = text.split_at_checked(16).unwrap_or((&text, &text));
        Self {
            tag: tag.to_owned(),
            // The magic cookie of RFC 3261 section 8.1.1.7.
            branch: format!("z9hG4bK{branch}"),
        }
    }
}

/// Where the answer to a request goes: never elsewhere than its source, whatever its Via says, so
/// that nobody is made to speak to a third party (RFC 3261 section 18.2.2, RFC 3581).
pub fn answer_to(message: &Message, from: SocketAddr) -> SocketAddr {
    const SIP: u16 = 5060;
    let via = message.header("via").and_then(Via::read);
    match via {
        Some(via) if !via.rport => SocketAddr::new(from.ip(), via.port.unwrap_or(SIP)),
        Some(_) | None => from,
    }
}

/// Where the NOTIFY goes: the port of the Contact where that is the source's own address, else the
/// port that it sent from.
pub fn notify_to(message: &Message, from: SocketAddr) -> SocketAddr {
    const SIP: u16 = 5060;
    let contact = message.header("contact").map(uri).and_then(place);
    match contact {
        Some((host, port)) if host.parse() == Ok(from.ip()) => {
            SocketAddr::new(from.ip(), port.unwrap_or(SIP))
        }
        Some(_) | None => from,
    }
}

/// The 200 to a SUBSCRIBE. `local` is where we can be reached.
pub fn ok(message: &Message, from: SocketAddr, local: SocketAddr, marks: &Marks) -> Vec<u8> {
    let mut text = String::from("SIP/2.0 200 OK\r\n");
    for (at, via) in message.all("via").enumerate() {
        text.push_str("Via: ");
        text.push_str(&match at {
            0 => received(via, from),
            _ => via.to_owned(),
        });
        text.push_str("\r\n");
    }
    let header = |name: &'static str| message.header(name).unwrap_or_default();
    text.push_str(&format!("From: {}\r\n", header("from")));
    text.push_str(&format!("To: {}\r\n", tagged(header("to"), &marks.tag)));
    text.push_str(&format!("Call-ID: {}\r\n", header("call-id")));
    text.push_str(&format!("CSeq: {}\r\n", header("cseq")));
    text.push_str(&format!("Contact: <sip:{local}>\r\n"));
    text.push_str("Expires: 0\r\nContent-Length: 0\r\n\r\n");
    octets(&text)
}

/// The NOTIFY that carries the URL and ends the subscription.
pub fn notify(
    message: &Message,
    from: SocketAddr,
    local: SocketAddr,
    url: &str,
    marks: &Marks,
) -> Vec<u8> {
    let header = |name: &'static str| message.header(name).unwrap_or_default();
    let contact = uri(header("contact"));
    let plain = |ch: char| ch.is_ascii_graphic() && !matches!(ch, '<' | '>' | '"');
    let target =
        if place(contact).is_some() && contact.len() <= CONTACT && contact.chars().all(plain) {
            contact.to_owned()
        } else {
            format!("sip:{from}")
        };
    let mut text = format!("NOTIFY {target} SIP/2.0\r\n");
    text.push_str(&format!(
        "Via: SIP/2.0/UDP {local};branch={};rport\r\nMax-Forwards: 70\r\n",
        marks.branch
    ));
    // Their From is our To.
    text.push_str(&format!("From: {}\r\n", tagged(header("to"), &marks.tag)));
    text.push_str(&format!("To: {}\r\n", header("from")));
    text.push_str(&format!("Call-ID: {}\r\n", header("call-id")));
    text.push_str(&format!("CSeq: {NOTIFIES} NOTIFY\r\n"));
    text.push_str(&format!("Contact: <sip:{local}>\r\n"));
    text.push_str("Event: ua-profile\r\nSubscription-State: terminated;reason=timeout\r\n");
    text.push_str(&format!(
        "Content-Type: application/url\r\nContent-Length: {}\r\n\r\n{url}",
        url.len()
    ));
    octets(&text)
}

/// The number of our one request in the dialogue.
const NOTIFIES: u32 = 1;

/// Whether a response is one to our NOTIFY.
pub fn answers(message: &Message, branch: &str) -> bool {
    let via = message.header("via").and_then(Via::read);
    let ours = via.is_some_and(|via| via.branch == Some(branch));
    let numbered = message.header("cseq").is_some_and(|cseq| {
        let mut words = cseq.split_ascii_whitespace();
        let number = words.next().and_then(|word| word.parse::<u32>().ok());
        (number, words.next(), words.next()) == (Some(NOTIFIES), Some("NOTIFY"), None)
    });
    ours && numbered
}

/// With our tag, where it has none yet.
fn tagged(to: &str, tag: &str) -> String {
    let after = to.rsplit('>').next().unwrap_or(to);
    let has = after
        .split(';')
        .any(|part| part.trim().to_ascii_lowercase().starts_with("tag="));
    if has {
        to.to_owned()
    } else {
        format!("{to};tag={tag}")
    }
}

/// The topmost Via with what we saw of its sender (RFC 3261 section 18.2.1, RFC 3581 section 4).
fn received(value: &str, from: SocketAddr) -> String {
    let (first, others) = match value.split_once(',') {
        Some((first, others)) => (first, Some(others)),
        None => (value, None),
    };
    let via = Via::read(first);
    let asked = via.as_ref().is_some_and(|via| via.rport);
    let same = via.is_some_and(|via| via.host.parse() == Ok(from.ip()));
    let mut parts: Vec<String> = Vec::new();
    for part in first.split(';') {
        let name = part.split('=').next().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case("rport") {
            parts.push(format!("rport={}", from.port()));
        } else if !name.eq_ignore_ascii_case("received") {
            parts.push(part.trim().to_owned());
        }
    }
    if asked || !same {
        parts.push(format!("received={}", from.ip()));
    }
    let first = parts.join(";");
    match others {
        Some(others) => format!("{first},{others}"),
        None => first,
    }
}

/// What came as Latin-1 leaves so; the URL is ASCII.
fn octets(text: &str) -> Vec<u8> {
    text.chars()
        .map(|ch| u8::try_from(u32::from(ch)).unwrap_or(b'?'))
        .collect()
}
