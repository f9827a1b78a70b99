//! The exchanges under way, without sockets: one answer a Call-ID, retransmissions by the timers of
//! RFC 3261 section 17.1.2, an end for each. Bounded: a stranger that repeats itself costs nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use super::message::{Malformed, Message};
use super::notify::{self, Marks};
use super::subscribe;
use crate::answer::{Delivery, Ticket};
use crate::engine::facts::PnpFacts;

/// Estimate of a round trip.
const T1: Duration = Duration::from_millis(500);
/// The longest pause between two sendings.
const T2: Duration = Duration::from_secs(4);
/// So often a NOTIFY is sent to an address that nothing came back from: it may be a victim's.
const UNHEARD: u8 = 3;
/// How long a NOTIFY is sent again.
const TIMEOUT: Duration = Duration::from_secs(32);
/// How long a Call-ID is remembered after its end.
const MEMORY: Duration = Duration::from_secs(300);
/// Exchanges that are remembered.
const MOST: usize = 4096;
/// Of these, under way with one address: a unit has one, a gateway of units a few.
const PER_SOURCE: usize = 16;
/// The longest Call-ID.
const CALL_ID: usize = 256;

/// Call-ID and who sent it.
pub type Key = (String, IpAddr);

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    pub to: SocketAddr,
    pub octets: Vec<u8>,
}

/// What a datagram means.
#[derive(Debug)]
pub enum Heard {
    /// Nothing to us: it gets silence.
    Nothing,
    /// A unit asks.
    Asks(Box<Ask>),
    /// It asks again what was answered: it did not get the 200.
    Again(Send),
    /// Our NOTIFY was taken, or turned down.
    Ended(Ticket, Delivery),
}

/// A SUBSCRIBE that wants an answer.
#[derive(Debug)]
pub struct Ask {
    pub key: Key,
    pub facts: PnpFacts,
    pub from: SocketAddr,
    message: Message,
}

enum State {
    /// The core is asked.
    Asked,
    /// It gets silence, or its exchange is over.
    Over,
    /// The NOTIFY is on its way.
    Told(Told),
}

struct Told {
    ticket: Ticket,
    notify: Send,
    marks: Marks,
    /// Sendings until now.
    sent: u8,
    /// The unit said that it has the NOTIFY, and is not done yet.
    heard: bool,
    pause: Duration,
    next: Instant,
    until: Instant,
}

impl Told {
    /// When it is sent again, or is over.
    fn due(&self) -> Instant {
        if self.heard || self.sent < UNHEARD {
            self.next.min(self.until)
        } else {
            self.until
        }
    }
}

struct Exchange {
    state: State,
    /// The 200, for whoever missed it.
    answer: Option<Send>,
    last: Instant,
}

/// Every exchange of one listener.
#[derive(Default)]
pub struct Exchanges {
    open: BTreeMap<Key, Exchange>,
}

impl Exchanges {
    /// Takes a datagram in. Responses of others, spoofed NOTIFYs and every other request are
    /// nothing to us.
    pub fn hear(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        now: Instant,
    ) -> Result<Heard, Malformed> {
        let message = Message::read(datagram)?;
        if let Some(status) = message.status() {
            return Ok(self.response(&message, status, from));
        }
        let facts = subscribe::facts(&message)?;
        subscribe::is_answerable(&message)?;
        if facts.call_id.len() > CALL_ID || from.port() == 0 {
            return Err(Malformed::Head);
        }
        let key = (facts.call_id.clone(), from.ip());
        if let Some(exchange) = self.open.get_mut(&key) {
            exchange.last = now;
            let again = exchange.answer.clone();
            return Ok(again.map_or(Heard::Nothing, Heard::Again));
        }
        if !self.make_room(from.ip(), now) {
            return Ok(Heard::Nothing);
        }
        self.open.insert(
            key.clone(),
            Exchange {
                state: State::Asked,
                answer: None,
                last: now,
            },
        );
        Ok(Heard::Asks(Box::new(Ask {
            key,
            facts,
            from,
            message,
        })))
    }

    /// Forgets a SUBSCRIBE that could not be asked about: when it is sent again, it is new.
    pub fn forget(&mut self, ask: &Ask) {
        self.open.remove(&ask.key);
    }

    fn response(&mut self, message: &Message, status: u16, from: SocketAddr) -> Heard {
        let call_id = message.header("call-id").unwrap_or_default();
        let key = (call_id.to_owned(), from.ip());
        let Some(exchange) = self.open.get_mut(&key) else {
            return Heard::Nothing;
        };
        let State::Told(told) = &mut exchange.state else {
            return Heard::Nothing;
        };
        if !notify::answers(message, &told.marks.branch) {
            return Heard::Nothing;
        }
        if status < 200 {
            told.heard = true;
            return Heard::Nothing;
        }
        let how = if status < 300 {
            Delivery::Whole
        } else {
            Delivery::Broken
        };
        let ticket = told.ticket.clone();
        exchange.state = State::Over;
        Heard::Ended(ticket, how)
    }

    /// The core's answer to an ask: the 200 and the NOTIFY, or silence. `local` is where we can be
    /// reached from there.
    pub fn answer(
        &mut self,
        ask: &Ask,
        told: Option<(&str, Ticket)>,
        local: SocketAddr,
        marks: Marks,
        now: Instant,
    ) -> Vec<Send> {
        let Some(exchange) = self.open.get_mut(&ask.key) else {
            return Vec::new();
        };
        exchange.last = now;
        let Some((url, ticket)) = told else {
            exchange.state = State::Over;
            return Vec::new();
        };
        let ok = Send {
            to: notify::answer_to(&ask.message, ask.from),
            octets: notify::ok(&ask.message, ask.from, local, &marks),
        };
        let notify = Send {
            to: notify::notify_to(&ask.message, ask.from),
            octets: notify::notify(&ask.message, ask.from, local, url, &marks),
        };
        exchange.answer = Some(ok.clone());
        exchange.state = State::Told(Told {
            ticket,
            notify: notify.clone(),
            marks,
            sent: 1,
            heard: false,
            pause: T1,
            next: now + T1,
            until: now + TIMEOUT,
        });
        vec![ok, notify]
    }

    /// What is due by now: NOTIFYs to send again, and those that nobody answered.
    pub fn due(&mut self, now: Instant) -> (Vec<Send>, Vec<Ticket>) {
        let (mut sends, mut unanswered) = (Vec::new(), Vec::new());
        for exchange in self.open.values_mut() {
            let State::Told(told) = &mut exchange.state else {
                continue;
            };
            if now >= told.until {
                unanswered.push(told.ticket.clone());
                exchange.state = State::Over;
                exchange.last = now;
            } else if now >= told.due() {
                sends.push(told.notify.clone());
                told.sent = told.sent.saturating_add(1);
                told.pause = (told.pause * 2).min(T2);
                told.next = now + told.pause;
            }
        }
        (sends, unanswered)
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Instant> {
        let told = self
            .open
            .values()
            .filter_map(|exchange| match &exchange.state {
                State::Told(told) => Some(told.due()),
                State::Asked | State::Over => None,
            });
        told.min()
    }

    /// Exchanges that are remembered.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Room for one more: what is over and old goes first, then the oldest that is over, then the
    /// oldest that no listed unit waits for.
    fn make_room(&mut self, source: IpAddr, now: Instant) -> bool {
        let busy = |exchange: &Exchange| !matches!(exchange.state, State::Over);
        let own = self
            .open
            .iter()
            .filter(|((_, ip), exchange)| *ip == source && busy(exchange));
        if own.count() >= PER_SOURCE {
            return false;
        }
        if self.open.len() >= MOST {
            self.open
                .retain(|_, exchange| busy(exchange) || now - exchange.last < MEMORY);
        }
        if self.open.len() >= MOST {
            let strangers = |exchange: &Exchange| match &exchange.state {
                State::Told(told) => told.ticket.0 == Ticket::NOBODY.0,
                State::Asked | State::Over => false,
            };
            let free = |(_, exchange): &(&Key, &Exchange)| !busy(exchange) || strangers(exchange);
            let oldest = self
                .open
                .iter()
                .filter(free)
                .min_by_key(|(_, exchange)| (busy(exchange), exchange.last));
            match oldest.map(|(key, _)| key.clone()) {
                Some(key) => drop(self.open.remove(&key)),
                None => return false,
            }
        }
        true
    }
}
