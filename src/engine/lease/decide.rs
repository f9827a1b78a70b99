//! From an [`Ask`] to a [`Decision`] (RFC 2131 section 4.3).

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;

use super::table::{Held, State};
use super::{
    Answer, Ask, CONFLICT, Decision, Grant, LONGEST_CLIENT, LeaseWrite, Leases, OF_ONE_MAC,
    OFFER_LISTED, OFFER_STRANGER, STRANGERS_OF_PORT, Why, end, kept_for_listed, network,
    offers_to_strangers,
};
use crate::model::dhcp::{Dhcp, Kind, Mode, Serve, Subnet};
use crate::model::lease::{LeaseSource, RelayPort};

/// Whether the configuration gives this client anything.
pub(super) fn serves(plan: &Dhcp, ask: &Ask) -> bool {
    match plan.serve {
        Serve::All => true,
        Serve::Known => ask.listed(),
        Serve::KnownAndRecognised => ask.listed() || ask.recognised,
    }
}

impl Leases {
    /// Decides, and remembers what was decided.
    pub fn decide(&mut self, ask: &Ask, now: Timestamp) -> Decision {
        if ask.kind != Kind::Inform && self.plan.mode != Mode::Server {
            return Decision::silent(Why::Mode, None);
        }
        if ask.client.len() > LONGEST_CLIENT {
            return Decision::silent(Why::LongClient, None);
        }
        match ask.kind {
            Kind::Release => return self.release(ask, now),
            Kind::Decline => return self.decline(ask, now),
            Kind::Discover | Kind::Request | Kind::Inform => {}
            Kind::Offer | Kind::Ack | Kind::Nak => return Decision::silent(Why::Mode, None),
        }
        if !serves(&self.plan, ask) {
            return Decision::silent(Why::NotServed, None);
        }
        if ask.kind == Kind::Inform {
            return self.inform(ask);
        }
        let Some(subnet) = network::of(&self.subnets, ask).cloned() else {
            return Decision::silent(Why::NoNetwork, ask.ciaddr.or(ask.requested));
        };
        if ask.kind == Kind::Discover {
            self.discover(&subnet, ask, now)
        } else {
            self.request(&subnet, ask, now)
        }
    }

    fn discover(&mut self, subnet: &Arc<Subnet>, ask: &Ask, now: Timestamp) -> Decision {
        let (ip, why) = match self.choose(subnet, ask, now) {
            Ok(chosen) => chosen,
            Err(why) => return Decision::silent(why, None),
        };
        let has = |row: &&Held| row.state != State::Conflict && self.is(row, ask);
        let old = self.held.get(&ip).filter(has).cloned();
        let fresh = old.is_none();
        // A client that begins anew keeps its lease until it takes the offer up.
        let leased = old.is_some_and(|row| row.state == State::Leased);
        if !leased {
            let hold = if ask.listed() {
                OFFER_LISTED
            } else {
                OFFER_STRANGER
            };
            let until = now.saturating_add(hold).unwrap_or(Timestamp::MAX);
            self.enter(ip, held(ask, State::Offered, now, until));
        }
        Decision {
            answer: Answer::Offer(grant(subnet, ip, lease_time(subnet, ask), fresh)),
            why,
            ip: Some(ip),
            write: None,
        }
    }

    /// The address for a client that has none, in the order of RFC 2131 section 4.3.1.
    fn choose(
        &mut self,
        subnet: &Arc<Subnet>,
        ask: &Ask,
        now: Timestamp,
    ) -> Result<(Ipv4Addr, Why), Why> {
        let mut why = Why::Free;
        if let Some(ip) = ask.reserved.filter(|ip| subnet.may_give(*ip)) {
            let free = |row: &Held| match row.state {
                State::Past => true,
                State::Conflict => false,
                State::Offered | State::Leased => self.is(row, ask),
            };
            if self.reserved_for(ask) == Some(ip) && self.held.get(&ip).is_none_or(free) {
                return Ok((ip, Why::Reserved));
            }
            why = Why::ReservedInUse;
        }
        let own = self.of_client(subnet.net, ask);
        if let Some(ip) = own.filter(|ip| self.may_have(subnet, *ip, ask)) {
            let live = self
                .held
                .get(&ip)
                .is_some_and(|row| row.state != State::Past);
            if !live {
                self.room(subnet, ask)?;
            }
            return Ok((ip, Why::Same));
        }
        self.room(subnet, ask)?;
        let asked = ask.requested.filter(|ip| self.is_free(*ip));
        if let Some(ip) = asked.filter(|ip| self.may_have(subnet, *ip, ask)) {
            return Ok((ip, if why == Why::Free { Why::AsAsked } else { why }));
        }
        let found = self.take(subnet.net, now);
        found.map(|ip| (ip, why)).ok_or(Why::PoolFull)
    }

    /// Whether the address is kept for this client, or of a pool and kept for nobody.
    fn may_have(&self, subnet: &Subnet, ip: Ipv4Addr, ask: &Ask) -> bool {
        if self.reserved_for(ask) == Some(ip) {
            return subnet.may_give(ip);
        }
        match self.reserved.get(&ip) {
            Some(owner) => ask.unit == Some(*owner) && subnet.may_give(ip),
            None => subnet.pools_hold(ip),
        }
    }

    /// Whether one more address may go to this client, or why not.
    fn room(&self, subnet: &Subnet, ask: &Ask) -> Result<(), Why> {
        let net = subnet.net;
        if self.count_of(net, ask.mac) >= OF_ONE_MAC {
            return Err(Why::OneMac);
        }
        if ask.listed() {
            return Ok(());
        }
        let total = self.total(net);
        if self.taken(net) + kept_for_listed(total) >= total {
            return Err(if self.taken(net) >= total {
                Why::PoolFull
            } else {
                Why::PoolKept
            });
        }
        let full = |port: &RelayPort| self.strangers_of_port(port) >= STRANGERS_OF_PORT;
        if ask.port.as_ref().is_some_and(full) {
            return Err(Why::PortFull);
        }
        if self.offers_to_strangers(net, segment(ask)) >= offers_to_strangers(total) {
            return Err(Why::RelayFull);
        }
        Ok(())
    }

    /// REQUEST: to take up an offer (54), to check what it had (50 alone), to go on (ciaddr).
    fn request(&mut self, subnet: &Arc<Subnet>, ask: &Ask, now: Timestamp) -> Decision {
        if ask.to_us == Some(false) {
            self.take_offer_back(subnet, ask, now);
            return Decision::silent(Why::OtherServer, None);
        }
        let selecting = ask.to_us == Some(true);
        let Some(ip) = ask.requested.or(ask.ciaddr) else {
            return Decision::silent(Why::NoAddress, None);
        };
        if !subnet.net.contains(&ip) {
            return Self::nak(subnet, ip, Why::WrongNetwork);
        }
        if !self.may_have(subnet, ip, ask) {
            let why = match self.reserved.contains_key(&ip) {
                true => Why::Taken,
                false => Why::NotOfPool,
            };
            // Somebody else may have given it; but who takes up our offer, or holds a lease of ours
            // that the configuration no longer allows, is told.
            let row = self.held.get(&ip);
            let ours = row.is_some_and(|row| row.state == State::Leased && self.is(row, ask));
            return if selecting || ours || why == Why::Taken {
                Self::nak(subnet, ip, why)
            } else {
                Decision::silent(why, Some(ip))
            };
        }
        let row = self.held.get(&ip);
        let own = row.is_some_and(|row| row.state != State::Conflict && self.is(row, ask));
        let (why, since) = match row {
            Some(row) if own && row.state == State::Leased => (Why::Renewed, row.since),
            Some(row) if own && row.state == State::Offered => (Why::Same, now),
            Some(row) if row.state != State::Past => {
                return Self::nak(subnet, ip, Why::Taken);
            }
            // Without a record of the client the server must be silent (RFC 2131 section 4.3.2): the
            // address may be anybody's. But who speaks from the address has it.
            Some(_) | None if !own && !selecting && !speaks_from(ask, ip) => {
                return Decision::silent(Why::NoRecord, Some(ip));
            }
            Some(_) | None => {
                if let Err(why) = self.room(subnet, ask) {
                    return if selecting {
                        Self::nak(subnet, ip, why)
                    } else {
                        Decision::silent(why, Some(ip))
                    };
                }
                let why = if own { Why::Same } else { Why::Adopted };
                (why, now)
            }
        };
        let seconds = lease_time(subnet, ask);
        let until = end(now, seconds);
        let mut held = held(ask, State::Leased, since, until);
        if let Some(row) = row.filter(|_| why == Why::Renewed) {
            held.serial = held.serial.or_else(|| row.serial.clone());
            // A renewal comes from the client itself (RFC 2131 section 4.4.5): that no relay added
            // its port does not say that the client left it. Nor does anybody else's word.
            if !ask.trusted && ask.ciaddr == Some(ip) {
                held.port.clone_from(&row.port);
                held.relay = row.relay;
            }
        }
        self.enter(ip, held);
        Decision {
            answer: Answer::Ack(grant(subnet, ip, seconds, false)),
            why,
            ip: Some(ip),
            write: self.row(ip).map(LeaseWrite::Put),
        }
    }

    /// Whether a client's message is about a lease of ours, or an offer: another server on the wire
    /// is no reason to be silent then, as the client would lose what it has.
    pub fn is_ours(&self, ask: &Ask) -> bool {
        match ask.kind {
            Kind::Release | Kind::Decline | Kind::Inform => true,
            Kind::Request => {
                let named = ask.requested.or(ask.ciaddr);
                let row = named.and_then(|ip| self.held.get(&ip));
                let leased = |row: &Held| row.state == State::Leased && self.is(row, ask);
                ask.to_us == Some(true) || ask.to_us.is_none() && row.is_some_and(leased)
            }
            Kind::Discover | Kind::Offer | Kind::Ack | Kind::Nak => false,
        }
    }

    fn nak(subnet: &Arc<Subnet>, ip: Ipv4Addr, why: Why) -> Decision {
        Decision {
            answer: Answer::Nak(Arc::clone(subnet)),
            why,
            ip: Some(ip),
            write: None,
        }
    }

    /// The client took another server's offer: ours is free again.
    fn take_offer_back(&mut self, subnet: &Subnet, ask: &Ask, now: Timestamp) {
        let offered = self.of_client(subnet.net, ask).filter(|ip| {
            self.held
                .get(ip)
                .is_some_and(|row| row.state == State::Offered)
        });
        if let Some(ip) = offered {
            self.forget(ip, now);
        }
    }

    /// DECLINE: the client found the address in use.
    fn decline(&mut self, ask: &Ask, now: Timestamp) -> Decision {
        let Some(ip) = ask.requested.or(ask.ciaddr) else {
            return Decision::silent(Why::NoAddress, None);
        };
        let own = self.held.get(&ip);
        let own = own.filter(|row| self.is(row, ask) && row.state != State::Past);
        let Some(row) = own.filter(|_| ask.to_us != Some(false)).cloned() else {
            return Decision::silent(Why::NotItsOwn, Some(ip));
        };
        let leased = row.state == State::Leased;
        let write = leased.then_some(LeaseWrite::Remove(ip, LeaseSource::Own));
        let until = now.saturating_add(CONFLICT).unwrap_or(Timestamp::MAX);
        let state = State::Conflict;
        self.enter(
            ip,
            Held {
                state,
                until,
                ..row
            },
        );
        Decision {
            answer: Answer::Silent,
            why: Why::Declined,
            ip: Some(ip),
            write,
        }
    }

    /// RELEASE: the client gives its address back. It must come from that very address.
    fn release(&mut self, ask: &Ask, now: Timestamp) -> Decision {
        let Some(ip) = ask.ciaddr else {
            return Decision::silent(Why::NoAddress, None);
        };
        let own = self.held.get(&ip);
        let own = own.is_some_and(|row| self.is(row, ask) && row.state == State::Leased);
        let from_it = ask.source == ip || (ask.trusted && ask.giaddr.is_some());
        if !own || !from_it || ask.to_us == Some(false) {
            return Decision::silent(Why::NotItsOwn, Some(ip));
        }
        self.past(ip, now);
        Decision {
            answer: Answer::Silent,
            why: Why::Released,
            ip: Some(ip),
            write: Some(LeaseWrite::Remove(ip, LeaseSource::Own)),
        }
    }

    /// INFORM: the client has an address, and wants the options.
    fn inform(&self, ask: &Ask) -> Decision {
        let ip = ask.ciaddr.unwrap_or(ask.source);
        let subnet = network::holding(&self.subnets, ip);
        if subnet.is_none_or(|subnet| network::is_end(subnet, ip)) {
            return Decision::silent(Why::NotOurs, Some(ip));
        }
        Decision {
            answer: Answer::Inform(subnet.cloned()),
            why: Why::Options,
            ip: Some(ip),
            write: None,
        }
    }
}

/// What is kept of a client with its address.
fn held(ask: &Ask, state: State, since: Timestamp, until: Timestamp) -> Held {
    Held {
        mac: ask.mac,
        client: Some(ask.client.clone()),
        serial: ask.serial.clone(),
        port: ask.port.clone(),
        relay: segment(ask),
        stranger: !ask.listed(),
        state,
        since,
        until,
    }
}

/// Whose offers are counted together: a trusted relay's. Others, who name as many relays as they
/// like, are one with the wire.
fn segment(ask: &Ask) -> Option<Ipv4Addr> {
    ask.giaddr.filter(|_| ask.trusted)
}

/// Whether the datagram came from the address that the client says it has.
fn speaks_from(ask: &Ask, ip: Ipv4Addr) -> bool {
    ask.ciaddr == Some(ip) && ask.source == ip
}

/// The network's, unless the client's family takes longer ones only.
fn lease_time(subnet: &Subnet, ask: &Ask) -> u32 {
    subnet.lease_time.max(ask.least)
}

fn grant(subnet: &Arc<Subnet>, ip: Ipv4Addr, lease_time: u32, fresh: bool) -> Grant {
    Grant {
        ip,
        subnet: Arc::clone(subnet),
        lease_time,
        fresh,
    }
}
