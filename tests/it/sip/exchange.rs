//! The exchanges without sockets: what is answered once, what is sent again, what is silence.

use std::net::SocketAddr;
use std::time::Duration;

use dialtone::answer::{Delivery, Ticket};
use dialtone::net::sip::exchange::{Ask, Exchanges, Heard, Send};
use dialtone::net::sip::message::{MOST, Malformed, Message};
use dialtone::net::sip::notify::Marks;
use proptest::prelude::*;
use tokio::time::Instant;

const URL: &str = "http://prov.example.net/";

fn phone() -> SocketAddr {
    "10.99.0.7:5062".parse().unwrap()
}

fn local() -> SocketAddr {
    "10.99.0.1:40000".parse().unwrap()
}

/// A whole SUBSCRIBE; `more` are further lines, each with its end.
fn subscribe(call_id: &str, more: &str) -> String {
    format!(
        "SUBSCRIBE sip:MAC%3a02005e000001@224.0.1.75 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.99.0.7:5062;branch=z9hG4bKx;rport\r\n\
         From: <sip:MAC%3a02005e000001@224.0.1.75>;tag=1\r\n\
         To: <sip:MAC%3a02005e000001@224.0.1.75>\r\n\
         Call-ID: {call_id}\r\nCSeq: 7 SUBSCRIBE\r\n\
         Event: ua-profile;profile-type=\"device\";vendor=\"Acme\";model=\"G1\";version=\"1.0\"\r\n\
         Contact: <sip:10.99.0.7:5062>\r\n{more}\r\n"
    )
}

struct Play {
    exchanges: Exchanges,
    start: Instant,
}

impl Play {
    fn new() -> Self {
        Self {
            exchanges: Exchanges::default(),
            start: Instant::now(),
        }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn hear(&mut self, text: &str, from: SocketAddr, millis: u64) -> Result<Heard, Malformed> {
        let now = self.at(millis);
        self.exchanges.hear(text.as_bytes(), from, now)
    }

    fn asks(&mut self, text: &str, from: SocketAddr, millis: u64) -> Box<Ask> {
        match self.hear(text, from, millis) {
            Ok(Heard::Asks(ask)) => ask,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// Answers with the URL.
    fn tell(&mut self, ask: &Ask, ticket: u64, millis: u64) -> Vec<Send> {
        let now = self.at(millis);
        let told = Some((URL, Ticket(ticket)));
        let marks = Marks::new(u128::from(ticket) << 64 | 0xabcd);
        self.exchanges.answer(ask, told, local(), marks, now)
    }
}

fn text(send: &Send) -> String {
    String::from_utf8(send.octets.clone()).unwrap()
}

/// The unit's 200 to a NOTIFY.
fn acknowledge(notify: &str, status: &str) -> String {
    let head: Vec<&str> = notify
        .lines()
        .filter(|line| {
            ["Via:", "From:", "To:", "Call-ID:", "CSeq:"]
                .iter()
                .any(|name| line.starts_with(name))
        })
        .collect();
    format!(
        "SIP/2.0 {status}\r\n{}\r\nContent-Length: 0\r\n\r\n",
        head.join("\r\n")
    )
}

#[test]
fn a_unit_is_answered_and_told_and_acknowledges() {
    let mut play = Play::new();
    let ask = play.asks(&subscribe("a", ""), phone(), 0);
    assert_eq!(ask.facts.vendor.as_deref(), Some("Acme"));
    let sends = play.tell(&ask, 3, 0);
    let [ok, notify] = sends.as_slice() else {
        panic!("{sends:?}")
    };
    let ok = text(ok);
    for line in [
        "SIP/2.0 200 OK\r\n",
        "Via: SIP/2.0/UDP 10.99.0.7:5062;branch=z9hG4bKx;rport=5062;received=10.99.0.7\r\n",
        "From: <sip:MAC%3a02005e000001@224.0.1.75>;tag=1\r\n",
        "To: <sip:MAC%3a02005e000001@224.0.1.75>;tag=",
        "Call-ID: a\r\n",
        "CSeq: 7 SUBSCRIBE\r\n",
        "Contact: <sip:10.99.0.1:40000>\r\n",
        "Expires: 0\r\nContent-Length: 0\r\n\r\n",
    ] {
        assert!(ok.contains(line), "{line} {ok}");
    }
    assert_eq!(notify.to, phone());
    let notify = text(notify);
    for line in [
        "NOTIFY sip:10.99.0.7:5062 SIP/2.0\r\nVia: SIP/2.0/UDP 10.99.0.1:40000;branch=z9hG4bK",
        "From: <sip:MAC%3a02005e000001@224.0.1.75>;tag=",
        "To: <sip:MAC%3a02005e000001@224.0.1.75>;tag=1\r\n",
        "Call-ID: a\r\n",
        "Event: ua-profile\r\n",
        "Subscription-State: terminated;reason=timeout\r\n",
        "Content-Type: application/url\r\nContent-Length: 24\r\n\r\nhttp://prov.example.net/",
    ] {
        assert!(notify.contains(line), "{line} {notify}");
    }
    let done = play.hear(&acknowledge(&notify, "200 OK"), phone(), 10);
    assert!(matches!(done, Ok(Heard::Ended(Ticket(3), Delivery::Whole))));
    assert_eq!(play.exchanges.next(), None);
    // Once: a second one is nobody's.
    let again = play.hear(&acknowledge(&notify, "200 OK"), phone(), 20);
    assert!(matches!(again, Ok(Heard::Nothing)));
}

#[test]
fn one_call_id_is_answered_once() {
    let mut play = Play::new();
    let ask = play.asks(&subscribe("a", ""), phone(), 0);
    // Sent again while the core is asked: silence; then the same 200, and no second NOTIFY.
    assert!(matches!(
        play.hear(&subscribe("a", ""), phone(), 1),
        Ok(Heard::Nothing)
    ));
    let sends = play.tell(&ask, 1, 2);
    match play.hear(&subscribe("a", ""), phone(), 3) {
        Ok(Heard::Again(again)) => assert_eq!(again, sends[0]),
        other => panic!("{other:?}"),
    }
    // A restarted unit has another Call-ID; so has another unit the same one.
    play.asks(&subscribe("b", ""), phone(), 4);
    play.asks(&subscribe("a", ""), "10.99.0.8:5060".parse().unwrap(), 5);
    // Whoever is told nothing gets silence, and again silence.
    let nobody = play.asks(&subscribe("c", ""), phone(), 6);
    let now = play.at(7);
    let sends = play
        .exchanges
        .answer(&nobody, None, local(), Marks::new(1), now);
    assert!(sends.is_empty());
    assert!(matches!(
        play.hear(&subscribe("c", ""), phone(), 8),
        Ok(Heard::Nothing)
    ));
}

#[test]
fn a_notify_is_sent_again_by_the_timers_of_rfc_3261_until_acknowledged() {
    // E begins at T1 and doubles up to T2; F ends it at 64 times T1 (section 17.1.2.2).
    sent_again(
        true,
        &[
            500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
        ],
    );
}

/// The source may be a lie: an address that says nothing gets three datagrams, and no more.
#[test]
fn who_never_answers_is_left_alone_soon() {
    sent_again(false, &[500, 1500]);
}

/// When a NOTIFY is sent again that the unit says it has got, or says nothing of.
fn sent_again(trying: bool, expect: &[u64]) {
    let mut play = Play::new();
    let ask = play.asks(&subscribe("a", ""), phone(), 0);
    let sends = play.tell(&ask, 1, 0);
    if trying {
        let message = acknowledge(&text(&sends[1]), "100 Trying");
        let heard = play.hear(&message, phone(), 1);
        assert!(matches!(heard, Ok(Heard::Nothing)));
    }
    let mut at = Vec::new();
    let mut unanswered = Vec::new();
    for millis in (0..40_000).step_by(100) {
        let now = play.at(millis);
        let (again, over) = play.exchanges.due(now);
        assert!(again.iter().all(|one| *one == sends[1]));
        at.extend(again.iter().map(|_| millis));
        unanswered.extend(over.iter().map(|ticket| (millis, ticket.0)));
    }
    assert_eq!(at, expect);
    assert_eq!(unanswered, [(32_000, 1)]);
    assert_eq!(play.exchanges.next(), None);
}

#[test]
fn responses_and_notifys_of_others_are_silence() {
    let mut play = Play::new();
    let ask = play.asks(&subscribe("a", ""), phone(), 0);
    let sends = play.tell(&ask, 1, 0);
    let notify = text(&sends[1]);
    let good = acknowledge(&notify, "200 OK");
    let stranger: SocketAddr = "10.99.0.66:5062".parse().unwrap();
    let nothing = |play: &mut Play, message: &str, from| {
        let heard = play.hear(message, from, 1);
        assert!(matches!(heard, Ok(Heard::Nothing)), "{message}: {heard:?}");
    };
    // From elsewhere, for another branch, for another request, still under way.
    nothing(&mut play, &good, stranger);
    nothing(&mut play, &good.replace("z9hG4bK", "z9hG4bKx"), phone());
    nothing(&mut play, &good.replace("NOTIFY", "SUBSCRIBE"), phone());
    nothing(
        &mut play,
        &good.replace("Call-ID: a", "Call-ID: z"),
        phone(),
    );
    nothing(&mut play, &acknowledge(&notify, "100 Trying"), phone());
    // A spoofed NOTIFY, and other requests.
    for method in ["NOTIFY", "OPTIONS", "REGISTER", "INVITE", "subscribe"] {
        let message = subscribe("q", "").replace("SUBSCRIBE", method);
        let heard = play.hear(&message, phone(), 1);
        assert_eq!(heard.err(), Some(Malformed::NotSubscribe), "{method}");
    }
    // Turned down: the end, and not a good one.
    let refused = play.hear(&acknowledge(&notify, "481 No"), phone(), 2);
    assert!(matches!(
        refused,
        Ok(Heard::Ended(Ticket(1), Delivery::Broken))
    ));
}

#[test]
fn e24_what_is_malformed_is_silence() {
    let mut play = Play::new();
    let mut check = |message: &str, expect: Malformed| {
        let heard = play.hear(message, phone(), 0);
        assert_eq!(heard.err(), Some(expect), "{message}");
    };
    let good = subscribe("a", "");
    check(&format!("{good}{}", "x".repeat(MOST)), Malformed::TooLong);
    check(&subscribe("a", "Content-Length: 5\r\n"), Malformed::Length);
    check(&subscribe("a", "Content-Length: -1\r\n"), Malformed::Length);
    check(
        &subscribe("a", "l: 99999999999999999999\r\n"),
        Malformed::Length,
    );
    check(
        &subscribe("a", "Content-Length: 0\r\nContent-Length: 7\r\n"),
        Malformed::Length,
    );
    check(
        &subscribe("a", "Accept: text/plain\r\n"),
        Malformed::NotAccepted,
    );
    check(
        &good.replace("ua-profile", "presence"),
        Malformed::NotUaProfile,
    );
    check(&good.replace("Event:", "X:"), Malformed::NotUaProfile);
    for name in ["Via:", "From:", "To:", "Call-ID:", "CSeq:"] {
        check(&good.replace(name, "X:"), Malformed::Incomplete);
    }
    check(&subscribe(&"a".repeat(300), ""), Malformed::Head);
    check(&subscribe("a\u{7}b", ""), Malformed::Head);
    assert!(play.exchanges.is_empty());
    // More octets than it says are thrown away.
    play.asks(&format!("{}junk", subscribe("b", "l: 0\r\n")), phone(), 1);
}

#[test]
fn nobody_is_made_to_speak_to_a_third_party() {
    let mut play = Play::new();
    let victim = subscribe("a", "")
        .replace(
            "UDP 10.99.0.7:5062;branch=z9hG4bKx;rport",
            "UDP 192.0.2.9:5099",
        )
        .replace(
            "Contact: <sip:10.99.0.7:5062>",
            "Contact: <sip:192.0.2.9:5099>",
        );
    let ask = play.asks(&victim, phone(), 0);
    let sends = play.tell(&ask, 1, 0);
    for send in &sends {
        assert_eq!(send.to.ip(), phone().ip(), "{send:?}");
    }
    assert!(text(&sends[0]).contains("Via: SIP/2.0/UDP 192.0.2.9:5099;received=10.99.0.7\r\n"));
    // The port of a Contact at the source's own address, as units with another port have it.
    let other = subscribe("b", "").replace("<sip:10.99.0.7:5062>", "<sip:10.99.0.7:5080>");
    let ask = play.asks(&other, phone(), 0);
    assert_eq!(
        play.tell(&ask, 2, 0)[1].to,
        "10.99.0.7:5080".parse().unwrap()
    );
}

#[test]
fn memory_is_bounded_and_a_flood_pushes_no_unit_out() {
    let mut play = Play::new();
    let ask = play.asks(&subscribe("own", ""), phone(), 0);
    let sends = play.tell(&ask, 1, 0);
    // One address has sixteen under way, and no more.
    let flood: SocketAddr = "10.99.0.66:5060".parse().unwrap();
    let taken = (0..100).filter(|n| {
        let heard = play.hear(&subscribe(&n.to_string(), ""), flood, 1);
        matches!(heard, Ok(Heard::Asks(_)))
    });
    assert_eq!(taken.count(), 16);
    for n in 0..6_000_u32 {
        let [_, _, a, b] = n.to_be_bytes();
        let from = SocketAddr::from(([10, 98, a, b], 5060));
        if let Ok(Heard::Asks(ask)) = play.hear(&subscribe("f", ""), from, 2) {
            let now = play.at(3);
            play.exchanges
                .answer(&ask, None, local(), Marks::new(1), now);
        }
    }
    assert!(play.exchanges.len() <= 4096);
    let done = play.hear(&acknowledge(&text(&sends[1]), "200 OK"), phone(), 10);
    assert!(matches!(done, Ok(Heard::Ended(Ticket(1), Delivery::Whole))));
}

/// Forged sources of a maker's units, as many as are remembered and more: each is told the URL.
#[test]
fn a_flood_of_forged_sources_shuts_nobody_out() {
    let mut play = Play::new();
    let listed = play.asks(&subscribe("own", ""), phone(), 0);
    let sends = play.tell(&listed, 1, 0);
    for n in 0..6_000_u32 {
        let [_, _, a, b] = n.to_be_bytes();
        let from = SocketAddr::from(([10, 98, a, b], 5060));
        let ask = play.asks(&subscribe("f", ""), from, 1 + u64::from(n) / 1000);
        assert_eq!(play.tell(&ask, Ticket::NOBODY.0, 1).len(), 2);
    }
    assert!(play.exchanges.len() <= 4096);
    let new: SocketAddr = "10.99.0.8:5062".parse().unwrap();
    let ask = play.asks(&subscribe("new", ""), new, 10);
    assert_eq!(play.tell(&ask, 2, 10).len(), 2);
    // A listed unit's exchange is not pushed out.
    let done = play.hear(&acknowledge(&text(&sends[1]), "200 OK"), phone(), 20);
    assert!(matches!(done, Ok(Heard::Ended(Ticket(1), Delivery::Whole))));
}

proptest! {
    #[test]
    fn no_datagrams_make_a_panic_or_an_answer_that_is_no_message(
        datagrams in proptest::collection::vec(
            ("(SUBSCRIBE|NOTIFY|SIP/2.0) [ -~]{0,30}", "[ -~\r\n]{0,60}", 0_u8..4), 0..12),
    ) {
        let mut play = Play::new();
        for (at, (start, rest, kind)) in datagrams.into_iter().enumerate() {
            let message = match kind {
                0 => format!("{start}\r\n{rest}\r\n\r\n"),
                1 => subscribe(&at.to_string(), &format!("{rest}\r\n")),
                2 => subscribe("a", "").replace("z9hG4bKx", &rest),
                _ => subscribe("b", "").replace("<sip:10.99.0.7:5062>", &rest),
            };
            if let Ok(Heard::Asks(ask)) = play.hear(&message, phone(), 0) {
                for send in play.tell(&ask, 1, 0) {
                    prop_assert!(Message::read(&send.octets).is_ok());
                    prop_assert_eq!(send.to.ip(), phone().ip());
                }
            }
        }
    }
}
