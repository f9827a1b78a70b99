//! The device door: claims, known, decide, material, render, commit, answer (design.md section 1).
//!
//! Every transport comes through [`Service::answer`](Door::answer). Nothing is decided here: the
//! engine decides, this module fetches what it asks for and writes down what it says.

mod arrivals;
mod cases;
mod ended;
mod explain;
pub mod leases;
pub(crate) mod material;
pub(crate) mod point;
mod prefixes;
mod recent;
mod record;
mod report;
mod revisions;
mod scene;
mod settings;
mod skeletons;
mod tickets;
mod vault;

use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};

use crate::answer::{Answer, Asked, Body, Delivery, Door, File, Refusal, Ticket, TlsFailure};
use crate::catalog::manifest::{HttpRefusal, TftpRefusal};
use crate::engine::facts::Facts;
use crate::engine::https;
use crate::engine::identify::claims;
use crate::engine::known::ProfileKey;
use crate::engine::resolve::Sources;
use crate::engine::select::{Selected, Subject, select};
use crate::engine::verdict::{Decision, Plan, Source, reason};
use crate::hub::Hub;
use crate::store::StoreError;

use self::arrivals::Arrivals;
use self::cases::Case;
use self::material::{Made, Unmade};
use self::prefixes::Prefixes;
use self::recent::Recent;
use self::record::Alarms;
use self::revisions::Revisions;
use self::settings::{Snapshot, Snapshots};
use self::skeletons::Skeletons;
use self::tickets::Tickets;

/// How often a decision is made again because somebody else changed the unit meanwhile.
const TRIES: usize = 8;
/// With a 503, in seconds.
const RETRY_AFTER: u32 = 60;
/// The profile that strangers are answered from.
const DEFAULT_PROFILE: &str = "default";

/// The door for devices. Clones are handles of the same one.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    hub: Arc<Hub>,
    snapshots: Snapshots,
    revisions: Revisions,
    skeletons: Skeletons,
    tickets: Tickets,
    recent: Recent,
    arrivals: Arrivals,
    prefixes: Prefixes,
    /// The first sweep was made.
    swept: AtomicBool,
    alarms: Alarms,
}

/// Why an attempt came to no answer.
enum Trouble {
    Store(StoreError),
    /// The unit changed under the decision: decide again.
    Again,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Conflict { .. }) {
            Self::Again
        } else {
            Self::Store(error)
        }
    }
}

impl Service {
    /// A door on a hub.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self(Arc::new(Inner {
            hub,
            snapshots: Snapshots::default(),
            revisions: Revisions::default(),
            skeletons: Skeletons::default(),
            tickets: Tickets::default(),
            recent: Recent::default(),
            arrivals: Arrivals::default(),
            prefixes: Prefixes::default(),
            swept: AtomicBool::new(false),
            alarms: Alarms::default(),
        }))
    }

    /// The same as for everybody else, by what the request says of itself.
    fn unanswered(&self, facts: &Facts) -> Answer {
        let catalog = self.0.hub.catalog.load_full();
        let claims = claims(facts, &catalog);
        let nobody = crate::engine::known::Known::default();
        let selected = select(facts, &claims, &nobody, &catalog);
        Answer::Refuse(refusal_of(&selected, claims.vendor.is_some()))
    }

    /// One decision and what follows from it.
    async fn attempt(&self, facts: &Facts) -> Result<Answer, Trouble> {
        let inner = &self.0;
        let Some(scene) = inner.scene(facts).await? else {
            return Ok(self.unanswered(facts));
        };
        let (now, claims, known) = (scene.now, &scene.claims, &scene.known);
        let selected = select(facts, claims, known, &scene.catalog);
        let refusal = refusal_of(&selected, claims.vendor.is_some());
        let unit = match &selected.subject {
            Subject::Unit(device) => inner.unit_case(device, &selected, &scene.snapshot).await?,
            Subject::Stranger | Subject::Several(_) => None,
        };
        let mut verdict = scene.decided(facts, &selected, unit.as_ref());

        // Rendered first: a file that cannot be made is a refusal, and spends nothing.
        let made = match &verdict.decision {
            Decision::Refuse | Decision::Point(_) => None,
            Decision::Bootstrap(plan) | Decision::Serve(plan) => {
                let made = self
                    .make(plan, facts, claims, unit.as_ref(), &scene.snapshot)
                    .await?;
                Some((plan.clone(), made))
            }
        };
        let made = match made {
            Some((plan, Ok(made))) => Some((plan, made)),
            Some((plan, Err(why))) => {
                tracing::error!(artefact = plan.artefact, %why, "a file cannot be rendered");
                verdict = record::unrendered(verdict, known, why.is_unpublished());
                None
            }
            None => None,
        };
        if verdict.own_file_refused
            && let (Some(source), Some(artefact)) = (facts.source, selected.artefact)
        {
            inner.recent.refused(source, &artefact.id, now);
        }
        let recorded = self
            .record(facts, claims, known, &selected, verdict, made.as_ref(), now)
            .await;
        let ticket = match recorded {
            // Whoever has these bytes is told so, and no octet of them leaves.
            Err(Trouble::Store(StoreError::DiskFull)) if has_already(facts, made.as_ref()) => {
                Tickets::NOBODY
            }
            recorded => recorded?,
        };
        Ok(match made {
            Some((_, made)) => Answer::File(File {
                etag: made.etag,
                media_type: made.media_type,
                body: Body::Bytes(made.bytes),
                ticket,
            }),
            None => Answer::Refuse(refusal),
        })
    }

    /// The bytes of a plan.
    async fn make(
        &self,
        plan: &Plan,
        facts: &Facts,
        claims: &crate::engine::identify::Claims,
        unit: Option<&Case<'_>>,
        snapshot: &Snapshot,
    ) -> Result<Result<Made, Unmade>, Trouble> {
        let inner = &self.0;
        match &plan.source {
            Source::Unit(_) => match unit {
                Some(case) => material::of_unit(inner, plan, case).await,
                None => Ok(Err(Unmade::Unpublished)),
            },
            Source::Stranger {
                vendor,
                family,
                site,
            } => {
                let key = ProfileKey {
                    vendor: vendor.clone(),
                    family: family.clone(),
                    profile: DEFAULT_PROFILE.to_owned(),
                };
                let Some(published) = snapshot.published.get(&key) else {
                    return Ok(Err(Unmade::Unpublished));
                };
                let Some(revision) = inner.revision(published.digest).await? else {
                    return Ok(Err(Unmade::Unpublished));
                };
                let site = site.as_deref();
                Ok(material::of_stranger(
                    inner, plan, &revision, claims, facts, site, snapshot,
                ))
            }
        }
    }
}

impl Inner {
    /// A listed unit with its revision.
    async fn unit_case<'a>(
        &self,
        device: &'a crate::model::device::Device,
        selected: &Selected<'_>,
        snapshot: &'a Snapshot,
    ) -> Result<Option<Case<'a>>, Trouble> {
        let key = ProfileKey {
            vendor: device.config.vendor.clone(),
            family: device.config.family.clone(),
            profile: device.config.profile.clone(),
        };
        let Some(published) = snapshot.published.get(&key) else {
            return Ok(None);
        };
        let Some(revision) = self.revision(published.digest).await? else {
            return Ok(None);
        };
        let sources = Sources::of(&device.config, &snapshot.settings.scopes, &revision);
        let reads = selected
            .artefact
            .and_then(|artefact| revision.reads(&artefact.id));
        let reads = |name: &str| reads.is_some_and(|reads| reads.contains(name));
        let needs = sources.needs(reads, Some(published.at));
        Ok(Some(Case {
            device,
            revision,
            snapshot,
            needs,
        }))
    }
}

/// Whether the request names the very file that was made, and nothing else: the transport answers
/// 304 then, whatever else it would take for a match.
fn has_already(facts: &Facts, made: Option<&(Plan, Made)>) -> bool {
    let Some((_, made)) = made else { return false };
    let tag = format!("\"{}\"", made.etag);
    let named = facts.headers.iter();
    let mut named = named.filter(|(name, _)| name == "if-none-match").peekable();
    named.peek().is_some() && named.all(|(_, given)| given.text() == tag)
}

/// The manifest's refusal by path. Who says nothing of its family gets one that no unit takes for a
/// configuration.
fn refusal_of(selected: &Selected<'_>, recognised: bool) -> Refusal {
    let own = selected
        .artefact
        .and_then(|artefact| artefact.refusal.as_ref())
        .or_else(|| selected.family.map(|family| &family.refusal));
    match own {
        Some(refusal) => Refusal {
            http: refusal.http,
            tftp: refusal.tftp,
            retry_after: RETRY_AFTER,
        },
        None => Refusal {
            http: if recognised {
                HttpRefusal::Unavailable
            } else {
                HttpRefusal::NotFound
            },
            tftp: TftpRefusal::Error(1),
            retry_after: RETRY_AFTER,
        },
    }
}

impl Door for Service {
    async fn answer(&self, facts: Facts) -> Answer {
        for _ in 0..TRIES {
            let attempt = if facts.target.report.is_some() {
                self.report(&facts).await
            } else {
                self.attempt(&facts).await
            };
            match attempt {
                Ok(answer) => return answer,
                Err(Trouble::Again) => {}
                Err(Trouble::Store(error)) => {
                    tracing::error!(%error, reason = reason::STORE, "no answer from the store");
                    break;
                }
            }
        }
        self.unanswered(&facts)
    }

    async fn point(&self, facts: Facts) -> Asked {
        self.pointed(&facts).await
    }

    async fn delivered(&self, ticket: &Ticket, how: Delivery, bytes: u64) {
        self.end_of_transfer(ticket, how, bytes).await;
    }

    async fn handshake_failed(&self, source: IpAddr, why: TlsFailure) {
        {
            let counts = self.0.hub.counts.tls_refused.lock();
            let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
            *counts.entry(why.as_str()).or_default() += 1;
        }
        self.note_handshake(source, why).await;
    }

    fn is_ours(&self, host: &str) -> bool {
        let inner = &self.0;
        let bases = inner.hub.bases.load();
        let named = |url: &Option<String>| {
            let url = url.as_deref().and_then(https::host);
            url.is_some_and(|own| own.eq_ignore_ascii_case(host))
        };
        let snapshot = inner.snapshots.of(&inner.hub).ok();
        named(&bases.https)
            || named(&bases.http)
            || bases
                .aliases
                .iter()
                .any(|alias| alias.eq_ignore_ascii_case(host))
            || inner
                .hub
                .former
                .load()
                .iter()
                .any(|old| old.host.eq_ignore_ascii_case(host))
            || snapshot.is_some_and(|snapshot| {
                let mut sites = snapshot.settings.sites.values();
                sites.any(|site| named(&site.public_url) || named(&site.public_http_url))
            })
    }
}
