//! Messages of SIP PnP against the exchanges of one listener: an answer a Call-ID, nothing for what is
//! malformed, nothing that grows without end.

use std::net::SocketAddr;
use std::time::Duration;

use dialtone::answer::Ticket;
use dialtone::net::sip::exchange::{Exchanges, Heard, Send};
use dialtone::net::sip::message::Message;
use dialtone::net::sip::notify::Marks;
use tokio::time::Instant;

const URL: &str = "http://prov.example.net/";

/// Datagrams of units that behave, several to a script: each with its length in two octets, behind an
/// octet that says what follows it.
pub fn seeds() -> Vec<Vec<u8>> {
    let ask = |call: &str, more: &str| {
        format!(
            "SUBSCRIBE sip:MAC%3a02005e000001@224.0.1.75 SIP/2.0\r\nVia: SIP/2.0/UDP 10.99.0.7:5062;branch=z9hG4bKx;rport\r\nFrom: <sip:MAC%3a02005e000001@224.0.1.75>;tag=1\r\nTo: <sip:MAC%3a02005e000001@224.0.1.75>\r\nCall-ID: {call}\r\nCSeq: 7 SUBSCRIBE\r\nEvent: ua-profile;profile-type=\"device\";vendor=\"Acme\";model=\"G1\";version=\"1.0\"\r\nContact: <sip:10.99.0.7:5062>\r\n{more}\r\n"
        )
    };
    let taken = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.99.0.1:40000;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=2\r\nTo: <sip:a@b>;tag=1\r\nCall-ID: a\r\nCSeq: 1 NOTIFY\r\nContent-Length: 0\r\n\r\n";
    let script = |parts: &[&str]| -> Vec<u8> {
        let parts = parts.iter().map(|part| {
            let length = u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes();
            [&[1], &length[..], part.as_bytes()].concat()
        });
        parts.collect::<Vec<_>>().concat()
    };
    let (first, other) = (ask("a", ""), ask("b", "Content-Length: 0\r\n"));
    vec![
        script(&[&first, taken]),
        script(&[&first, &first, &other, &first]),
        script(&[
            &ask("c", "Accept: application/url\r\nExpires: 0\r\n"),
            "\r\n\r\n",
        ]),
        script(&[&first.replace("Event", "o").replace("Call-ID", "i"), taken]),
    ]
}

/// Plays a script: 0 and an octet: so many half seconds pass. 1: a datagram. Panics where more goes
/// out than one answer and its NOTIFY, or where what goes out is no message.
pub fn play(script: &[u8]) {
    let from: SocketAddr = ([10, 99, 0, 7], 5062).into();
    let local: SocketAddr = ([10, 99, 0, 1], 40_000).into();
    let mut exchanges = Exchanges::default();
    let mut now = Instant::now();
    let mut tickets = 0;
    let mut rest = script;
    while let Some((word, after)) = rest.split_first() {
        rest = after;
        if word % 2 == 0 {
            let Some((time, after)) = rest.split_first() else {
                return;
            };
            rest = after;
            now += Duration::from_millis(500) * u32::from(*time);
            let (sent, _) = exchanges.due(now);
            assert!(sent.len() <= exchanges.len(), "a NOTIFY each at most");
            sent.iter().for_each(sound);
            continue;
        }
        let Some((length, after)) = rest.split_first_chunk::<2>() else {
            return;
        };
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (datagram, after) = after.split_at(length);
        rest = after;
        match exchanges.hear(datagram, from, now) {
            Err(why) => drop(format!("{why:?}")),
            Ok(Heard::Asks(ask)) => {
                drop(format!("{ask:?}"));
                tickets += 1;
                let told = Some((URL, Ticket(tickets))).filter(|_| tickets % 5 != 0);
                let marks = Marks::new(u128::from(tickets) << 64 | 0xabcd);
                let sent = exchanges.answer(&ask, told, local, marks, now);
                assert!(sent.len() <= 2, "a 200 and a NOTIFY at most");
                sent.iter().for_each(sound);
                let again = exchanges.hear(datagram, from, now);
                assert!(!matches!(again, Ok(Heard::Asks(_))), "one answer a Call-ID");
            }
            Ok(Heard::Again(send)) => sound(&send),
            Ok(Heard::Nothing | Heard::Ended(..)) => {}
        }
        assert!(exchanges.len() <= script.len(), "nothing comes of nothing");
    }
}

/// What goes out is a message that we would read, to a port that there is.
fn sound(send: &Send) {
    let message = Message::read(&send.octets);
    assert!(
        message.is_ok(),
        "{:?}",
        String::from_utf8_lossy(&send.octets)
    );
    assert_ne!(send.to.port(), 0);
}
