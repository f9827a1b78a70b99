//! A unit that asks by SIP PnP where its configuration is: SUBSCRIBE, the 200, the NOTIFY with the
//! URL, its own 200 (the phones sheet, section 1; LTRT-11950 p.54: sent again for five
//! seconds). Its reader and writer of SIP are its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// A unit that hears nothing asks again after this time, each time after twice as long.
const AGAIN: Duration = Duration::from_millis(500);
/// Then it goes on to its next source.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest datagram that it takes.
const MOST: usize = 4096;

/// What a unit says of itself.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// The user part of its URI, such as `MAC%3a0004132e08b4`.
    pub user: String,
    /// The parameters of its Event header, such as `vendor="acme";model="a1";version="1.0"`.
    pub event: String,
    pub agent: String,
    /// Another one for each boot.
    pub call_id: String,
    /// Its own address.
    pub ip: Ipv4Addr,
}

/// What it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub url: String,
    pub by: SocketAddr,
    /// The 200 to its SUBSCRIBE came before the NOTIFY was over.
    pub answered: bool,
}

/// Why it was told nothing.
#[derive(Debug, Error)]
pub enum Untold {
    #[error("nobody answered in {} s", PATIENCE.as_secs())]
    Silence,
    #[error("the NOTIFY is not as units take it: {0}")]
    Odd(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Asks a group, or a server, as a unit does at boot.
pub async fn ask(who: &Subscriber, at: SocketAddr) -> Result<Told, Untold> {
    let socket = UdpSocket::bind((who.ip, 0)).await?;
    if at.ip().is_multicast() {
        let own = socket2::SockRef::from(&socket);
        own.set_multicast_if_v4(&who.ip)?;
    }
    let subscribe = subscribe(who, at, socket.local_addr()?);
    let (mut next, mut pause) = (Instant::now(), AGAIN);
    let end = next + PATIENCE;
    let mut answered = false;
    let mut buffer = vec![0; MOST];
    loop {
        let now = Instant::now();
        if now >= end {
            return Err(Untold::Silence);
        }
        if now >= next {
            socket.send_to(subscribe.as_bytes(), at).await?;
            next = now + pause;
            pause *= 2;
        }
        // Once it was answered it waits for the NOTIFY alone.
        let until = if answered { end } else { next.min(end) };
        let Ok(got) = timeout_at(until, socket.recv_from(&mut buffer)).await else {
            continue;
        };
        let (length, from) = got?;
        let Some(text) = buffer
            .get(..length)
            .and_then(|octets| std::str::from_utf8(octets).ok())
        else {
            continue;
        };
        if field(text, "Call-ID") != Some(who.call_id.as_str()) {
            continue;
        }
        if text.starts_with("SIP/2.0 200 ") {
            answered = true;
        } else if text.starts_with("NOTIFY ") {
            let url = url(text)?;
            socket.send_to(accepted(text).as_bytes(), from).await?;
            return Ok(Told {
                url,
                by: from,
                answered,
            });
        }
    }
}

fn subscribe(who: &Subscriber, at: SocketAddr, own: SocketAddr) -> String {
    let Subscriber {
        user,
        event,
        agent,
        call_id,
        ..
    } = who;
    let host = match at.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    format!(
        "SUBSCRIBE sip:{user}@{host} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {own};branch=z9hG4bK-{call_id};rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:{user}@{host}>;tag=658512961\r\n\
         To: <sip:{user}@{host}>\r\n\
         Call-ID: {call_id}\r\n\
         CSeq: 1 SUBSCRIBE\r\n\
         Contact: <sip:{own}>\r\n\
         Event: ua-profile;profile-type=\"device\";{event}\r\n\
         Expires: 0\r\n\
         Accept: application/url\r\n\
         User-Agent: {agent}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// The URL of a NOTIFY that a unit takes.
fn url(notify: &str) -> Result<String, Untold> {
    let odd = |what: &str| Untold::Odd(what.to_owned());
    let (_, body) = notify
        .split_once("\r\n\r\n")
        .ok_or_else(|| odd("no body"))?;
    let event = field(notify, "Event").unwrap_or_default();
    let state = field(notify, "Subscription-State").unwrap_or_default();
    if !event.starts_with("ua-profile") || !state.starts_with("terminated") {
        return Err(odd("its event or its state"));
    }
    if field(notify, "Content-Type") != Some("application/url") {
        return Err(odd("its type"));
    }
    if field(notify, "Content-Length") != Some(body.len().to_string().as_str()) {
        return Err(odd("its length"));
    }
    Ok(body.to_owned())
}

/// The unit's own 200.
fn accepted(notify: &str) -> String {
    let mut text = String::from("SIP/2.0 200 OK\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let value = field(notify, name).unwrap_or_default();
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    text
}

/// The first header of that name.
fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let head = message.split("\r\n\r\n").next()?;
    head.lines().skip(1).find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
