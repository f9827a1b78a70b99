//! What people see of DHCP: the last decision for each client, other servers, how full the pools
//! are, what was dropped. Bounded, in memory only.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::Timestamp;

use super::rivals::Rival;
use super::{Answer, Ask, Decision, Filled, Why};
use crate::model::dhcp::{Kind, Mode};
use crate::model::identity::Mac;
use crate::model::lease::RelayPort;

/// Clients whose last decision is kept.
const MOST: usize = 4096;

/// The last decision for one client.
#[derive(Clone, Debug)]
pub struct Told {
    pub at: Timestamp,
    pub mac: Mac,
    pub asked: Kind,
    /// `offer`, `ack`, `nak`, `silence` ...
    pub answered: &'static str,
    pub why: Why,
    pub ip: Option<Ipv4Addr>,
    pub relay: Option<Ipv4Addr>,
    pub port: Option<RelayPort>,
    pub listed: bool,
    pub recognised: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Board {
    rows: BTreeMap<Mac, (u64, Told)>,
    order: BTreeMap<u64, Mac>,
    turn: u64,
    pub mode: Mode,
    /// Other servers that are there, by the interface.
    pub rivals: Vec<(String, Rival)>,
    pub filled: Vec<Filled>,
    /// Datagrams that were dropped unread, by reason.
    pub bad: BTreeMap<&'static str, u64>,
    /// Answers, by kind.
    pub answers: BTreeMap<&'static str, u64>,
}

impl Board {
    /// Notes a decision; the client that was silent the longest is forgotten for a new one.
    pub fn note(&mut self, ask: &Ask, decision: &Decision, now: Timestamp) {
        let answered = answered(&decision.answer);
        self.count(answered);
        let told = Told {
            at: now,
            mac: ask.mac,
            asked: ask.kind,
            answered,
            why: decision.why,
            ip: decision.ip,
            relay: ask.giaddr,
            port: ask.port.clone(),
            listed: ask.listed(),
            recognised: ask.recognised,
        };
        self.turn += 1;
        if let Some((old, _)) = self.rows.insert(ask.mac, (self.turn, told)) {
            self.order.remove(&old);
        }
        self.order.insert(self.turn, ask.mac);
        if self.rows.len() > MOST
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.rows.remove(&oldest);
        }
    }

    /// Counts an answer.
    pub fn count(&mut self, answered: &'static str) {
        let count = self.answers.entry(answered).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts a datagram that was dropped.
    pub fn drop_one(&mut self, reason: &'static str) {
        let count = self.bad.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// The last decision for a client.
    pub fn of(&self, mac: Mac) -> Option<&Told> {
        self.rows.get(&mac).map(|(_, told)| told)
    }

    /// All of them, the newest first.
    pub fn told(&self) -> impl Iterator<Item = &Told> {
        let order = self.order.values().rev();
        order.filter_map(|mac| self.of(*mac))
    }
}

/// The word for an answer.
pub fn answered(answer: &Answer) -> &'static str {
    match answer {
        Answer::Offer(_) => "offer",
        Answer::Ack(_) => "ack",
        Answer::Inform(_) => "options",
        Answer::Nak(_) => "nak",
        Answer::Silent => "silence",
    }
}
