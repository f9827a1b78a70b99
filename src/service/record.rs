//! What is written of a request and of a handshake that died, and what people are told.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::material::Made;
use super::tickets::{Open, Tickets, Transfer};
use super::{Service, Trouble};
use crate::answer::{Ticket, TlsFailure};
use crate::engine::boot;
use crate::engine::facts::Facts;
use crate::engine::identify::Claims;
use crate::engine::known::Known;
use crate::engine::level;
use crate::engine::outcome::Sent;
use crate::engine::select::Selected;
use crate::engine::stranger::site_of;
use crate::engine::verdict::{AlertDraft, Decision, Plan, UnitChange, Verdict, reason};
use crate::hub::News;
use crate::model::activation::{Check, CheckKind, Outcome};
use crate::model::device::{Device, Status};
use crate::model::event::{Alert, AlertKind, Sighting};
use crate::model::identity::{Assurance, BootId, Channel, DeviceId, LevelBy};
use crate::store::{AuditEntry, Batch, KnownAsk, Write};

/// Alerts of one kind about one unit are written once in this time, with their count.
const PACE: SignedDuration = SignedDuration::from_secs(5);
/// Alerts whose pace is remembered.
const MOST: usize = 4096;

/// When each alert was last written, and how many came since.
#[derive(Default)]
pub(super) struct Alarms(Mutex<BTreeMap<(AlertKind, DeviceId), (Timestamp, u64)>>);

/// An alert, and whether it was put into the batch that is to be written.
pub(super) type Raised = ((AlertKind, DeviceId), bool);

impl Alarms {
    /// How many to write now; none where one was written a moment ago.
    pub(super) fn due(&self, kind: AlertKind, device: DeviceId, now: Timestamp) -> Option<u64> {
        let count = self.count((kind, device), now);
        self.settle(&[((kind, device), count.is_some())], now);
        count
    }

    /// The same, and it stays due until it is settled.
    fn count(&self, what: (AlertKind, DeviceId), now: Timestamp) -> Option<u64> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match rows.get(&what) {
            Some((at, _)) if now.duration_since(*at).abs() < PACE => None,
            Some((_, waiting)) => Some(waiting.saturating_add(1)),
            None => Some(1),
        }
    }

    /// What was due could not be written: it is due at once, with what came meanwhile.
    pub(super) fn give_back(&self, kind: AlertKind, device: DeviceId, count: u64, now: Timestamp) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let long_ago = now.saturating_sub(PACE).unwrap_or(Timestamp::MIN);
        let (at, waiting) = rows.entry((kind, device)).or_insert((now, 0));
        *at = long_ago;
        *waiting = waiting.saturating_add(count);
    }

    /// The batch is in the store: what was in it starts a pace, and the others wait.
    pub(super) fn settle(&self, raised: &[Raised], now: Timestamp) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() >= MOST {
            rows.retain(|_, (at, _)| now.duration_since(*at) < PACE);
        }
        for (what, written) in raised {
            let (at, waiting) = rows.entry(*what).or_insert((now, 0));
            if *written {
                (*at, *waiting) = (now, 0);
            } else {
                *waiting = waiting.saturating_add(1);
            }
        }
    }
}

/// A verdict whose file could not be rendered: the refusal, and nothing spent.
pub(super) fn unrendered(verdict: Verdict, known: &Known, unpublished: bool) -> Verdict {
    let why = if unpublished {
        reason::NOT_PUBLISHED
    } else {
        reason::RENDER
    };
    let unit = verdict.unit.map(|mut change| {
        let devices = [known.by_token.as_ref().map(|(device, _)| device)];
        let mut devices = devices
            .into_iter()
            .flatten()
            .chain(&known.by_mac)
            .chain(&known.by_serial);
        if let Some(device) = devices.find(|device| device.id == change.id) {
            let before = device.status_now();
            change.status.window = before.window.clone();
            change.status.ratchet = before.ratchet.clone();
        }
        change.outcome = Outcome::Fail;
        change.before_answer = false;
        change
    });
    Verdict {
        decision: Decision::Refuse,
        reason: why,
        own_file_refused: true,
        unit,
        ..verdict
    }
}

impl Service {
    /// Writes what a verdict says; what must be durable is, when this comes back.
    #[expect(
        clippy::too_many_arguments,
        reason = "one step of the path, with everything that the steps before it found"
    )]
    pub(super) async fn record(
        &self,
        facts: &Facts,
        claims: &Claims,
        known: &Known,
        selected: &Selected<'_>,
        mut verdict: Verdict,
        made: Option<&(Plan, Made)>,
        now: Timestamp,
    ) -> Result<Ticket, Trouble> {
        let inner = &self.0;
        let mut writes = Vec::new();
        let mut news = Vec::new();
        let raised = self.alerts(&verdict.alerts, now, &mut writes, &mut news);
        if let Some(site) = &verdict.crowded {
            writes.extend(self.crowded(site)?);
        }
        if verdict.sighting {
            self.sight(facts, claims, known, &verdict, now);
        }
        let Some(mut change) = verdict.unit.take() else {
            self.write(writes, false, news).await?;
            inner.alarms.settle(&raised, now);
            return Ok(Tickets::NOBODY);
        };
        let credential = made.is_some_and(|(plan, _)| plan.credential);
        let generation = change.status.generation;
        let path = facts.target.shown();
        // A number that a unit may remember is never given twice.
        let mut counted = false;
        if !change.quiet {
            let mut status = std::mem::take(&mut change.status);
            if let Some((_, made)) = made {
                for name in made.given.iter() {
                    if !status.given.contains(name) {
                        status.given.push(name.clone());
                    }
                }
            }
            if let Some((plan, made)) = made
                && let Some((number, rest)) = made.number
            {
                counted = status.number(&plan.artefact, number, rest);
            }
            let check = Check {
                seq: 0,
                at: now,
                device: change.id,
                boot: change.boot,
                channel: facts.channel,
                kind: change.kind,
                outcome: change.outcome,
                path: Some(path.clone()),
                assurance: verdict.level,
                level_by: verdict.by,
                revision: change.revision.filter(|_| made.is_some()),
                digest: made.map(|(_, made)| made.digest),
                bytes: None,
                ip: facts.source,
                reason: verdict.reason.to_owned(),
                text: told(&verdict, selected),
            };
            writes.push(Write::PutStatus {
                id: change.id,
                expect: status.version,
                status,
            });
            writes.push(Write::AddCheck(check.clone()));
            if credential {
                writes.push(Write::Audit(serving(facts, &path, &verdict, &change, now)));
            }
            news.push(News::Check(Arc::new(check)));
            news.push(News::Device(change.id));
        }
        let before_answer = change.before_answer || counted;
        self.write(writes, before_answer, news).await?;
        inner.alarms.settle(&raised, now);
        let Some((plan, made)) = made else {
            return Ok(Tickets::NOBODY);
        };
        if plan.credential
            && verdict.by == LevelBy::Prefix
            && let Some(name) = &verdict.place.site
            && let Some(site) = inner.hub.store.settings()?.sites.get(name)
        {
            inner.prefixes.note(site, change.id);
        }
        if let (Some(source), true) = (facts.source, verdict.level > Assurance::L0) {
            inner.recent.served(source, &plan.artefact, change.id, now);
        }
        if change.quiet {
            return Ok(Tickets::NOBODY);
        }
        let (Some(revision), Some(family)) = (change.revision, selected.family) else {
            return Ok(Tickets::NOBODY);
        };
        Ok(inner.tickets.begin(Open::File(Box::new(Transfer {
            device: change.id,
            family: Arc::clone(family),
            sent: Sent {
                generation,
                boot: change.boot,
                artefact: plan.artefact.clone(),
                which: plan.which,
                partial: plan.partial,
                level: verdict.level,
                place: verdict.place,
                revision,
                digest: made.digest,
            },
            channel: facts.channel,
            path,
            by: verdict.by,
            ip: facts.source,
            counted: plan.credential && verdict.level == Assurance::L1,
        }))))
    }

    /// Writes one check, and the seen half where it changed.
    pub(super) async fn put(
        &self,
        device: &Device,
        status: Option<(Status, u64)>,
        check: Check,
    ) -> Result<(), Trouble> {
        self.put_with(device, status, check, Vec::new()).await
    }

    /// The same, and `writes` with it or not at all.
    pub(super) async fn put_with(
        &self,
        device: &Device,
        status: Option<(Status, u64)>,
        check: Check,
        mut writes: Vec<Write>,
    ) -> Result<(), Trouble> {
        writes.push(Write::AddCheck(check.clone()));
        if let Some((status, expect)) = status {
            writes.push(Write::PutStatus {
                id: device.id,
                status: Box::new(status),
                expect,
            });
        }
        let news = vec![News::Check(Arc::new(check)), News::Device(device.id)];
        self.write(writes, false, news).await
    }

    pub(super) async fn write(
        &self,
        writes: Vec<Write>,
        before_answer: bool,
        news: Vec<News>,
    ) -> Result<(), Trouble> {
        let hub = &self.0.hub;
        if !writes.is_empty() {
            let batch = if before_answer {
                Batch::now(writes)
            } else {
                Batch::soon(writes)
            };
            hub.store.commit(batch.from_reserve()).await?;
        }
        for item in news {
            hub.tell(item);
        }
        Ok(())
    }

    /// Adds what alerts are due. They are settled when the batch is written, and not before: a batch
    /// that another request's overtakes is made again.
    pub(super) fn alerts(
        &self,
        drafts: &[AlertDraft],
        now: Timestamp,
        writes: &mut Vec<Write>,
        news: &mut Vec<News>,
    ) -> Vec<Raised> {
        let mut raised = Vec::new();
        for draft in drafts {
            let what = (draft.kind, draft.device);
            let count = self.0.alarms.count(what, now);
            raised.push((what, count.is_some()));
            if let Some(count) = count {
                let alert = Alert {
                    kind: draft.kind,
                    device: draft.device,
                    first: now,
                    last: now,
                    count,
                    places: draft.places.clone(),
                    text: draft.text.clone(),
                };
                writes.push(Write::PutAlert(alert.clone()));
                news.push(News::Alert(Arc::new(alert)));
            }
        }
        raised
    }

    pub(super) fn sight(
        &self,
        facts: &Facts,
        claims: &Claims,
        known: &Known,
        verdict: &Verdict,
        now: Timestamp,
    ) {
        // A unit that asks for an address has none yet.
        let ip = match (facts.source, &facts.dhcp) {
            (Some(ip), _) => ip,
            (None, Some(_)) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            (None, None) => return,
        };
        let hub = &self.0.hub;
        let site = self.0.snapshots.of(hub).ok().and_then(|snapshot| {
            let nobody = std::collections::BTreeSet::new();
            site_of(
                Some(ip),
                &snapshot.world(now, 0, &hub.bases.load(), &nobody),
            )
        });
        let sighting = Sighting {
            mac: claims.mac,
            serial: claims.serial.clone(),
            vendor: claims.vendor.clone(),
            family: claims.family.clone(),
            model: claims.model.clone(),
            firmware: claims.firmware.clone(),
            ip,
            site,
            channel: facts.channel,
            first: now,
            last: now,
            count: 1,
            reason: if verdict.decision == Decision::Refuse {
                verdict.reason.to_owned()
            } else {
                reason::NOT_LISTED.to_owned()
            },
        };
        let mut rows = hub.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        let real = known.lease.is_some() || by_its_words(facts, claims);
        let noted = rows.note(sighting, real).cloned();
        drop(rows);
        if let Some(sighting) = noted {
            hub.tell(News::Quarantine(Arc::new(sighting)));
        }
    }

    /// A handshake that died is a check of the unit that holds the address's lease, or that was
    /// last heard from there; else it is on the sighting of that address (contract section 3).
    pub(super) async fn note_handshake(&self, source: IpAddr, why: TlsFailure) {
        let noted = self.try_handshake(source, why).await;
        if let Err(Trouble::Store(error)) = noted {
            tracing::error!(%error, "a handshake's end is not recorded");
        }
    }

    async fn try_handshake(&self, source: IpAddr, why: TlsFailure) -> Result<(), Trouble> {
        let inner = &self.0;
        let now = inner.hub.now();
        let ask = KnownAsk {
            source: Some(source),
            ..KnownAsk::default()
        };
        let lease = inner.hub.store.known(&ask).await?.lease;
        let lease = lease.filter(|lease| now < lease.until);
        let mut device = match lease {
            Some(lease) => {
                let ask = KnownAsk {
                    macs: vec![lease.mac],
                    serials: lease.serial.into_iter().collect(),
                    ..KnownAsk::default()
                };
                let rows = inner.hub.store.known(&ask).await?;
                rows.by_mac.into_iter().chain(rows.by_serial).next()
            }
            None => None,
        };
        if device.is_none()
            && let Some(id) = inner.recent.unit_at(source, now)
        {
            device = inner.hub.store.device(id).await?;
        }
        let (code, text) = match why {
            TlsFailure::ClientRejectsCertificate => (
                "tls-client-rejects-certificate",
                "it does not trust our certificate: it needs our CA, or we a public certificate",
            ),
            TlsFailure::ClockWrong => (
                "tls-clock-wrong",
                "its clock is wrong: give it a time server",
            ),
            TlsFailure::TooOld => (
                "tls-too-old",
                "its TLS is older than 1.2: it needs newer firmware, or a waiver",
            ),
            TlsFailure::Other => ("tls-failed", "the TLS handshake ended before a request"),
        };
        let Some(device) = device else {
            let hub = &inner.hub;
            let mut rows = hub.sightings.lock().unwrap_or_else(PoisonError::into_inner);
            let noted = rows.failed(source, code, now).cloned();
            drop(rows);
            if let Some(sighting) = noted {
                hub.tell(News::Quarantine(Arc::new(sighting)));
            }
            return Ok(());
        };
        let status = device.status_now();
        let check = Check {
            seq: 0,
            at: now,
            device: device.id,
            boot: boot::current(&status, now).unwrap_or(BootId(0)),
            channel: Channel::Https,
            kind: CheckKind::Tls,
            outcome: Outcome::Fail,
            path: None,
            assurance: Assurance::L0,
            level_by: LevelBy::Nothing,
            revision: None,
            digest: None,
            bytes: None,
            ip: Some(source),
            reason: code.to_owned(),
            text: text.to_owned(),
        };
        self.put(&device, None, check).await
    }
}

/// A relay port, or a vendor class that its maker's part fits (trust.md section 6).
fn by_its_words(facts: &Facts, claims: &Claims) -> bool {
    let dhcp = facts.dhcp.as_ref();
    dhcp.is_some_and(|dhcp| dhcp.port.is_some() || !claims.weak)
}

/// The audit entry of a credential serving: who, which file, where.
fn serving(
    facts: &Facts,
    path: &str,
    verdict: &Verdict,
    change: &UnitChange,
    now: Timestamp,
) -> AuditEntry {
    let ip = facts.source.map(|ip| ip.to_string()).unwrap_or_default();
    AuditEntry {
        seq: 0,
        at: now,
        actor: "device".to_owned(),
        action: "serve-credential".to_owned(),
        subject: change.id.to_string(),
        outcome: verdict.reason.to_owned(),
        detail: format!(
            "{path} over {} to {ip} at {} by {}, {}",
            facts.channel.as_str(),
            verdict.level,
            verdict.by.as_str(),
            level::told(&verdict.place),
        ),
    }
}

/// A request's check in words.
fn told(verdict: &Verdict, selected: &Selected<'_>) -> String {
    let file = selected
        .artefact
        .map_or("a name that is none of its files", |artefact| {
            artefact.id.as_str()
        });
    match &verdict.decision {
        Decision::Refuse | Decision::Point(_) => format!("{file}: refused, {}", verdict.reason),
        Decision::Bootstrap(_) => format!("{file}: the bootstrap, {}", verdict.reason),
        Decision::Serve(plan) if plan.partial => {
            format!(
                "{file}: without what it may not have yet, {}",
                verdict.reason
            )
        }
        Decision::Serve(_) => format!("{file}: given"),
    }
}
