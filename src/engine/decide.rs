//! The decision: what a request gets, and what is recorded of it. Pure.

mod ratchet;
mod stage;

use super::boot;
use super::facts::{Facts, Method};
use super::grant::{Circumstances, ceiling, grant, opens_https};
use super::identify::Claims;
use super::known::{Known, Needs, World};
use super::level::{Proven, certificate_expected, prove, told};
use super::select::{Selected, Subject};
use super::stranger::{self, ToLose};
use super::verdict::{AlertDraft, Decision, Plan, Source, UnitChange, Verdict, Which, reason};
use super::window::{Gate, Pace, count, gate};
use crate::catalog::manifest::{Always, Artefact, ArtefactScope, Asks, Family};
use crate::model::access::{Class, Grant};
use crate::model::activation::{CheckKind, Flag, Outcome, State, Step};
use crate::model::device::{Device, Lifecycle, Status};
use crate::model::enrolment::Serving;
use crate::model::event::AlertKind;
use crate::model::identity::{Assurance, Channel, DeviceId, Digest};

/// A listed unit's own side: its revision, and what its values ask for.
#[derive(Clone, Copy, Debug)]
pub struct UnitSide<'a> {
    /// As its revision has it.
    pub family: &'a Family,
    pub revision: Digest,
    /// Of the values that the asked artefact reads.
    pub needs: Needs,
    /// Who of its kind carries a factory certificate.
    pub always: &'a [&'a Always],
}

/// Decides a request for a file. `unit` is there where `selected` is a unit with a revision.
pub fn decide(
    facts: &Facts,
    claims: &Claims,
    known: &Known,
    selected: &Selected<'_>,
    unit: Option<UnitSide<'_>>,
    world: &World<'_>,
) -> Verdict {
    let as_stranger = || {
        stranger::answer(
            selected,
            claims,
            facts.source,
            known,
            ToLose::Perhaps,
            world,
        )
    };
    match &selected.subject {
        Subject::Several(ids) => {
            let refusal = several(claims, facts, ids);
            // A request that contradicts itself, or a token's unit, is refused whoever is listed. Where the
            // inventory alone contradicts it, the answer is a stranger's.
            if claims.conflict.is_some() || facts.target.token.is_some() {
                return refusal;
            }
            let (decision, _) = as_stranger();
            Verdict {
                own_file_refused: refused_own(&decision, selected.artefact),
                decision,
                ..refusal
            }
        }
        // A token that nobody has: alike for one that is void.
        Subject::Stranger if facts.target.token.is_some() => Verdict {
            reason: reason::TOKEN_VOID,
            own_file_refused: true,
            ..Verdict::default()
        },
        Subject::Stranger => {
            let (decision, reason) = as_stranger();
            let verdict = Verdict {
                own_file_refused: refused_own(&decision, selected.artefact),
                sighting: claims.vendor.is_some(),
                decision,
                reason,
                ..Verdict::default()
            };
            match &selected.stage {
                Some(stage) => stage::heard(verdict, facts, claims, known, stage, world),
                None => verdict,
            }
        }
        Subject::Unit(device) => match unit {
            Some(side) => Listed::new(facts, claims, known, selected, device, side, world).decide(),
            None => Verdict {
                reason: reason::NOT_PUBLISHED,
                own_file_refused: true,
                ..Verdict::default()
            },
        },
    }
}

/// Identifiers that name several units: a refusal, and an alert on each of them.
fn several(claims: &Claims, facts: &Facts, ids: &[DeviceId]) -> Verdict {
    let certified = claims
        .conflict
        .as_ref()
        .is_some_and(|conflict| conflict.certificate);
    let (kind, reason) = if certified {
        (AlertKind::CertMacMismatch, reason::DISAGREE)
    } else if facts.target.token.is_some() {
        (AlertKind::TokenMismatch, reason::TOKEN_MISMATCH)
    } else {
        (AlertKind::IdentifiersDisagree, reason::DISAGREE)
    };
    let who = facts.source.map(|ip| ip.to_string()).unwrap_or_default();
    let alerts = ids.iter().map(|id| AlertDraft {
        kind,
        device: *id,
        places: vec![who.clone()],
        text: format!("a request from {who} named this unit and another one: it got nothing"),
    });
    Verdict {
        reason,
        alerts: alerts.collect(),
        own_file_refused: true,
        ..Verdict::default()
    }
}

/// Whether a file may hold credentials: its template reads some, and they are granted. Of a
/// bootstrap it is not known what it reads.
fn holds(artefact: &Artefact, which: Which, grant: Grant) -> bool {
    grant.credential && (artefact.reads >= Class::Credential || which == Which::Bootstrap)
}

fn refused_own(decision: &Decision, artefact: Option<&Artefact>) -> bool {
    *decision == Decision::Refuse
        && artefact.is_some_and(|artefact| {
            artefact.scope == ArtefactScope::Unit && artefact.template.is_some()
        })
}

/// One listed unit's request, as it is decided.
struct Listed<'a> {
    facts: &'a Facts,
    claims: &'a Claims,
    known: &'a Known,
    selected: &'a Selected<'a>,
    device: &'a Device,
    side: UnitSide<'a>,
    world: &'a World<'a>,
    status: Status,
    proven: Proven,
    alerts: Vec<AlertDraft>,
}

impl<'a> Listed<'a> {
    fn new(
        facts: &'a Facts,
        claims: &'a Claims,
        known: &'a Known,
        selected: &'a Selected<'a>,
        device: &'a Device,
        side: UnitSide<'a>,
        world: &'a World<'a>,
    ) -> Self {
        let status = device.status_copy();
        let proven = prove(facts, claims, known, device, &status, side.family, world);
        Self {
            facts,
            claims,
            known,
            selected,
            device,
            side,
            world,
            status,
            proven,
            alerts: Vec::new(),
        }
    }

    fn decide(mut self) -> Verdict {
        let (decision, reason) = self.judge();
        self.record(decision, reason)
    }

    fn model(&self) -> &'a str {
        &self.device.config.model
    }

    /// A request that came by HTTPS shows it; else what is known of its kind and our certificate.
    fn opens_https(&self) -> bool {
        self.facts.channel == Channel::Https
            || opens_https(self.side.family, self.device, self.world)
    }

    fn can_reach_l2(&self) -> bool {
        ceiling(self.side.family, self.model()) >= Assurance::L2
    }

    fn judge(&mut self) -> (Decision, &'static str) {
        if self.facts.target.token.is_some() {
            if let Some(why) = self.token_trouble() {
                return (Decision::Refuse, why);
            }
        } else if self.device.config.lifecycle != Lifecycle::Listed {
            let (decision, _) = self.as_stranger(ToLose::Perhaps);
            return (decision, self.lifecycle());
        }
        // Below L1, and for another's certificate, the record's model is nobody's to learn.
        let believed = self.proven.level > Assurance::L0 && !self.proven.other_certificate;
        if believed && self.is_of_another_version() {
            return (Decision::Refuse, reason::FIRMWARE);
        }
        if self.is_leaving() {
            return self.last_file();
        }
        if self.proven.other_certificate {
            return self.another_certificate();
        }
        if self.proven.level == Assurance::L0 {
            self.note_copy();
            let (decision, why) = self.as_stranger(ToLose::Perhaps);
            let why = match self.proven.doubt {
                _ if why == reason::FIRMWARE => why,
                Some(_) => reason::PREFIX_DOUBTED,
                None => reason::NEEDS_CORROBORATION,
            };
            return (decision, why);
        }
        if let Some(answer) = self.below_mark() {
            return answer;
        }
        self.note_shared();
        let gate = self.gate();
        let expected = self.proven.level < Assurance::L3
            && certificate_expected(self.side.always, self.device, self.world);
        let circumstances = Circumstances {
            channel: self.facts.channel,
            level: self.proven.level,
            certificate_expected: expected,
        };
        let (granted, missing) = grant(
            self.device,
            self.side.family,
            circumstances,
            &gate,
            self.world,
        );
        self.note_missing(missing);
        let Some(artefact) = self
            .selected
            .artefact
            .and_then(|artefact| self.side.family.artefact(&artefact.id))
        else {
            return (Decision::Refuse, reason::ABSENT);
        };
        if artefact.template.is_none() {
            return (Decision::Refuse, reason::ABSENT);
        }
        match artefact.scope {
            ArtefactScope::Family => self.shared_file(artefact, granted),
            ArtefactScope::Unit if granted.allows(artefact.useful_from) => {
                self.own_file(artefact, granted)
            }
            ArtefactScope::Unit => {
                let to_lose = self.to_lose();
                let (decision, _) = self.as_stranger(to_lose);
                (decision, missing.unwrap_or(reason::WITHHELD))
            }
        }
    }

    fn is_of_another_version(&self) -> bool {
        let (family, model) = (self.side.family, self.model());
        let artefact = self.selected.artefact;
        artefact.is_some_and(|one| stranger::is_for_others(family, one, model, self.claims))
    }

    /// Why the request's token opens nothing.
    fn token_trouble(&mut self) -> Option<&'static str> {
        if !self.proven.token {
            if self.proven.stale_token {
                let text = "a token that is void was shown".to_owned();
                self.alert(AlertKind::TokenMismatch, text);
            }
            return Some(reason::TOKEN_VOID);
        }
        if self.device.config.lifecycle != Lifecycle::Listed && !self.is_leaving() {
            return Some(self.lifecycle());
        }
        if self.facts.channel.is_plain() {
            self.status.ratchet.void = true;
            let text = "its token was sent over a plain transport and is void: arm the unit again";
            self.alert(AlertKind::AssuranceDowngrade, text.to_owned());
            return Some(reason::TOKEN_PLAIN);
        }
        None
    }

    fn lifecycle(&mut self) -> &'static str {
        match self.device.config.lifecycle {
            Lifecycle::Suspended | Lifecycle::Listed => reason::SUSPENDED,
            Lifecycle::Retired | Lifecycle::Replaced => {
                let text = "a unit that was taken out of service asks".to_owned();
                self.alert(AlertKind::RetiredUnitActive, text);
                reason::RETIRED
            }
        }
    }

    fn gate(&mut self) -> Gate {
        if self.proven.level != Assurance::L1 {
            return Gate::Open;
        }
        let utc = jiff::tz::TimeZone::UTC;
        let site = self.device.config.site.as_ref();
        let zone = site
            .and_then(|name| self.world.zones.get(name))
            .unwrap_or(&utc);
        let top = ceiling(self.side.family, self.model());
        gate(
            self.device,
            &mut self.status,
            &self.proven.place,
            top,
            Some(self.side.needs),
            zone,
            self.world.now,
        )
    }

    /// Flags and alerts for what keeps the unit from its credentials.
    fn note_missing(&mut self, missing: Option<&'static str>) {
        let waiver = missing == Some(reason::NEEDS_WAIVER);
        let activation = &mut self.status.activation;
        activation.flag(Flag::NeedsWaiver, waiver);
        activation.flag(Flag::NeedsCorroboration, false);
        let expired = self
            .facts
            .certificate
            .as_ref()
            .is_some_and(|shown| shown.trouble.as_deref() == Some("expired"));
        if self.facts.channel == Channel::Https {
            activation.flag(Flag::ExpiredFactoryCertificate, expired);
        }
        if missing == Some(reason::CERTIFICATE_EXPECTED) && self.facts.channel == Channel::Https {
            let text = "units of this kind carry a factory certificate, and none was shown";
            self.alert(AlertKind::CertificateExpected, text.to_owned());
        }
        if missing == Some(reason::OTHER_PLACE) {
            let text = "its window is bound to another place".to_owned();
            self.alert(AlertKind::OtherPlace, text);
        }
    }

    /// A file that units share: public and site values at most.
    fn shared_file(&mut self, artefact: &Artefact, granted: Grant) -> (Decision, &'static str) {
        if !granted.site {
            let (decision, why) = self.as_stranger(self.to_lose());
            return (decision, why);
        }
        if let Some(own) = &artefact.fallback_of
            && self.known.refused.contains(own)
        {
            return (Decision::Refuse, reason::FALLBACK);
        }
        let plan = self.plan(
            artefact,
            Which::Normal,
            Grant {
                site: true,
                ..Grant::PUBLIC
            },
            false,
        );
        (Decision::Serve(plan), reason::SERVED)
    }

    /// The unit's own file at a grant from which it is of use.
    fn own_file(&mut self, artefact: &Artefact, granted: Grant) -> (Decision, &'static str) {
        let withheld = !granted.allows(self.side.needs.class);
        self.status.activation.flag(Flag::Withheld, withheld);
        let confirm = withheld && granted.credential;
        self.status
            .activation
            .flag(Flag::NeedsConfirmation, confirm);
        let family = self.side.family;
        if withheld && family.asks == Asks::Once {
            // Its one configuration must have everything in it: until then a script that waits.
            if artefact.bootstrap.is_none() || !self.opens_https() {
                return (Decision::Refuse, reason::NEEDS_CONFIRMATION);
            }
            return self.spend(artefact, granted, Which::Bootstrap, true);
        }
        let had_more = self.status.served_whole_at.is_some();
        if withheld && !family.absent.keeps && had_more {
            return (Decision::Refuse, reason::WITHHELD);
        }
        self.spend(artefact, granted, Which::Normal, withheld)
    }

    /// Counts a credential file against the window, and binds the window to its place.
    fn spend(
        &mut self,
        artefact: &Artefact,
        granted: Grant,
        which: Which,
        withheld: bool,
    ) -> (Decision, &'static str) {
        // A HEAD hands nothing out and uses nothing up.
        let counted = self.facts.method == Method::Get;
        if holds(artefact, which, granted) && self.proven.level == Assurance::L1 && counted {
            let now = self.world.now;
            let boot = boot::current(&self.status, now).unwrap_or(self.world.fresh_boot);
            let (window, boots) = (&mut self.status.window, &self.status.boots);
            match count(window, boots, boot, &artefact.id, now) {
                Pace::Fine if window.recent.len() < Serving::PER_TWO_HOURS => {
                    self.status.activation.flag(Flag::RebootLoop, false);
                }
                Pace::Fine => {}
                Pace::Loop => self.status.activation.flag(Flag::RebootLoop, true),
                Pace::Spent => {
                    self.status.activation.flag(Flag::RebootLoop, true);
                    return (Decision::Refuse, reason::SPENT);
                }
            }
            let place = self.proven.place.clone();
            self.status.window.bound_to.get_or_insert(place);
        }
        let plan = self.plan(artefact, which, granted, withheld);
        match which {
            Which::Normal => (Decision::Serve(plan), reason::SERVED),
            Which::Bootstrap => (Decision::Bootstrap(plan), reason::NEEDS_CONFIRMATION),
        }
    }

    fn plan(&self, artefact: &Artefact, which: Which, grant: Grant, partial: bool) -> Plan {
        Plan {
            source: Source::Unit(self.device.id),
            artefact: artefact.id.clone(),
            which,
            grant,
            credential: holds(artefact, which, grant),
            partial,
            https: self.opens_https(),
            token: self.opens_https() && self.can_reach_l2(),
            release: self.device.config.release,
        }
    }

    /// A unit of a family that resets has nothing to lose while it is armed and was not served.
    fn to_lose(&self) -> ToLose {
        let arming = &self.device.config.arming;
        let now = self.world.now;
        let armed = arming.from <= now && now <= arming.until;
        if armed && self.status.served_whole_at.is_none() && self.proven.level >= Assurance::L1 {
            ToLose::Nothing
        } else {
            ToLose::Perhaps
        }
    }

    fn as_stranger(&self, to_lose: ToLose) -> (Decision, &'static str) {
        stranger::answer(
            self.selected,
            self.claims,
            self.facts.source,
            self.known,
            to_lose,
            self.world,
        )
    }

    fn alert(&mut self, kind: AlertKind, text: String) {
        let bound = self.status.window.bound_to.as_ref();
        let home = bound.or(self.status.ratchet.served_at.as_ref());
        let asked = self.facts.source.map(|ip| ip.to_string());
        self.alerts.push(AlertDraft {
            kind,
            device: self.device.id,
            places: [home.map(told), asked].into_iter().flatten().collect(),
            text,
        });
    }

    /// The seen half, and what is written of the request.
    fn record(mut self, decision: Decision, why: &'static str) -> Verdict {
        let now = self.world.now;
        let refused = decision == Decision::Refuse;
        let artefact = self.selected.artefact;
        let lowly = self.proven.level == Assurance::L0;
        let absent = why == reason::ABSENT;
        let heard = self.status.seen.at.is_some_and(|at| {
            now.duration_since(at) <= boot::SILENCE
                && self.status.activation.state != State::Expected
        });
        let known_boot = boot::current(&self.status, now);
        // A stranger that repeats a listed name writes at most once in a boot's time.
        let quiet = (lowly && heard) || (absent && known_boot.is_some());
        self.status.activation.step(Step::Contact, "", now);
        if lowly {
            self.status.activation.flag(Flag::NeedsCorroboration, true);
        }
        let id = artefact.map(|artefact| artefact.id.as_str());
        let fallback = known_boot.unwrap_or(self.world.fresh_boot);
        let boot = if lowly {
            fallback
        } else {
            let own = refused && !absent;
            boot::note(&mut self.status, id, own, self.world.fresh_boot, now)
        };
        self.see(lowly);
        let (outcome, mut before_answer) = match &decision {
            Decision::Refuse | Decision::Point(_) => (Outcome::Refused, why == reason::TOKEN_PLAIN),
            Decision::Bootstrap(plan) => (Outcome::Partial, plan.credential),
            Decision::Serve(plan) if plan.partial => (Outcome::Partial, plan.credential),
            Decision::Serve(plan) => (Outcome::Pass, plan.credential),
        };
        let site = self.device.config.site.as_ref();
        let crowded = site
            .and_then(|name| self.world.sites.get(name))
            .filter(|site| self.proven.doubt.is_some() && site.doubt.is_none())
            .map(|site| site.name.clone());
        before_answer |= self.status.window.bound_to != self.device.status_now().window.bound_to;
        Verdict {
            own_file_refused: refused_own(&decision, artefact),
            reason: why,
            level: self.proven.level,
            by: self.proven.by,
            place: self.proven.place,
            unit: Some(UnitChange {
                id: self.device.id,
                status: Box::new(self.status),
                boot,
                kind: CheckKind::Request,
                outcome,
                revision: Some(self.side.revision),
                before_answer,
                quiet,
            }),
            decision,
            alerts: self.alerts,
            crowded,
            sighting: false,
        }
    }

    /// The last contact, the level, and the mark that a request at the token URL sets.
    fn see(&mut self, lowly: bool) {
        let now = self.world.now;
        if !lowly || self.status.seen.ip.is_none() {
            let seen = &mut self.status.seen;
            seen.ip = self.facts.source;
            if let Some(firmware) = &self.claims.firmware {
                seen.firmware = Some(firmware.clone());
            }
            if let Some(agent) = self.facts.header("user-agent") {
                seen.agent = Some(agent.to_string());
            }
            seen.relay.clone_from(&self.proven.place.port);
        }
        self.status.seen.at = Some(now);
        self.status.assurance = self.status.assurance.max(self.proven.level);
        if self.proven.token && self.proven.level >= Assurance::L2 {
            let ratchet = &mut self.status.ratchet;
            ratchet.mark = ratchet.mark.max(self.proven.level);
            ratchet.shared_since = None;
            self.status.activation.flag(Flag::AtSharedUrl, false);
        }
    }
}
