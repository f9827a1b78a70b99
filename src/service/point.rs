//! A unit asks where its configuration is: the same path as for a file, up to the answer.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::record::Raised;
use super::scene::Scene;
use super::tickets::{Open, Tickets, Told};
use super::{DEFAULT_PROFILE, Inner, Service, TRIES, Trouble};
use crate::answer::{Asked, Delivery, Pointed, Ticket};
use crate::catalog::Catalog;
use crate::catalog::site_profile::SiteProfile;
use crate::engine::facts::Facts;
use crate::engine::https::{self, Shown};
use crate::engine::point::{self, Who};
use crate::engine::reply;
use crate::engine::resolve::{self, Scopes, Values};
use crate::engine::verdict::{Decision, UnitChange, Verdict, reason};
use crate::hub::{Bases, News};
use crate::model::activation::{Check, CheckKind, Outcome};
use crate::model::identity::{Assurance, Channel};
use crate::model::site::Site;
use crate::store::Write;

/// A unit asks again after some seconds: so long its contact may take to be written.
const RECORDED: Duration = Duration::from_secs(2);

impl Service {
    /// Decides and records; a unit that changes meanwhile is decided again.
    pub(super) async fn pointed(&self, facts: &Facts) -> Asked {
        for _ in 0..TRIES {
            match self.try_point(facts).await {
                Ok(asked) => return asked,
                Err(Trouble::Again) => {}
                Err(Trouble::Store(error)) => {
                    tracing::error!(%error, reason = reason::STORE, "no pointer from the store");
                    break;
                }
            }
        }
        Asked::default()
    }

    async fn try_point(&self, facts: &Facts) -> Result<Asked, Trouble> {
        let inner = &self.0;
        let Some(scene) = inner.scene(facts).await? else {
            return Ok(Asked::default());
        };
        let (now, claims, known) = (scene.now, &scene.claims, &scene.known);
        let who = point::who(facts.channel, claims, known, &scene.catalog);
        let (site, verdict) = inner.pointing(facts, &who, &scene);
        if verdict.sighting {
            self.sight(facts, claims, known, &verdict, now);
        }
        let ticket = self.record_pointer(facts, &who, &verdict, now).await?;
        let pointer = match verdict.decision {
            Decision::Point(reply) => Some(Pointed {
                options: reply.options,
                siaddr: reply.siaddr,
                file: reply.file,
                lease: reply.lease,
                url: reply.url,
                ticket,
            }),
            Decision::Refuse | Decision::Bootstrap(_) | Decision::Serve(_) => None,
        };
        Ok(Asked {
            pointer,
            device: who.device.map(|device| device.id),
            recognised: who.kind.is_some(),
            serial: claims.serial.clone(),
            site,
        })
    }

    /// Writes the contact of a listed unit, at a pace: anybody can say its name.
    async fn record_pointer(
        &self,
        facts: &Facts,
        who: &Who<'_>,
        verdict: &Verdict,
        now: Timestamp,
    ) -> Result<Ticket, Trouble> {
        let inner = &self.0;
        let mut writes = Vec::new();
        let mut news = Vec::new();
        let raised = self.alerts(&verdict.alerts, now, &mut writes, &mut news);
        let (Some(device), Some(change)) = (who.device, &verdict.unit) else {
            self.try_write(writes, news, &raised, now).await?;
            return Ok(Tickets::NOBODY);
        };
        let last = device.status_now().boots.last().map(|boot| boot.id);
        let begun = last != Some(change.boot);
        let written = !change.quiet && inner.arrivals.may_write(change.id, now);
        if written {
            let check = seen(facts, verdict, change, now);
            writes.push(Write::PutStatus {
                id: change.id,
                expect: change.status.version,
                status: change.status.clone(),
            });
            writes.push(Write::AddCheck(check.clone()));
            news.push(News::Check(Arc::new(check)));
            news.push(News::Device(change.id));
        }
        self.try_write(writes, news, &raised, now).await?;
        let arrival = point::arrival(facts);
        inner
            .arrivals
            .note(change.id, &arrival, begun, written, now);
        let notify = match &verdict.decision {
            Decision::Point(reply) => reply.url.is_some() && written,
            Decision::Refuse | Decision::Bootstrap(_) | Decision::Serve(_) => false,
        };
        Ok(if notify {
            inner.tickets.begin(Open::Pointer(Told {
                device: change.id,
                boot: change.boot,
                channel: facts.channel,
                by: verdict.by,
                ip: facts.source,
            }))
        } else {
            Tickets::NOBODY
        })
    }

    /// What cannot be written, or not in time, keeps nobody from being told where to ask.
    async fn try_write(
        &self,
        writes: Vec<Write>,
        news: Vec<News>,
        raised: &[Raised],
        now: Timestamp,
    ) -> Result<(), Trouble> {
        let written = timeout(RECORDED, self.write(writes, false, news)).await;
        let Ok(written) = written else {
            tracing::error!("a contact is not recorded in time");
            return Ok(());
        };
        match written {
            Err(Trouble::Store(error)) => {
                tracing::error!(%error, "a contact is not recorded");
                Ok(())
            }
            Err(Trouble::Again) => Err(Trouble::Again),
            Ok(()) => {
                self.0.alarms.settle(raised, now);
                Ok(())
            }
        }
    }

    /// What a unit did with the pointer that it was sent.
    pub(super) async fn pointer_ended(&self, told: &Told, how: Delivery) -> Result<(), Trouble> {
        let hub = &self.0.hub;
        let Some(device) = hub.store.device(told.device).await? else {
            return Ok(());
        };
        let (outcome, reason, text) = match how {
            Delivery::Whole | Delivery::Unchanged => {
                (Outcome::Pass, "acknowledged", "it took the URL")
            }
            Delivery::Part | Delivery::Broken | Delivery::Unanswered => (
                Outcome::Fail,
                "not-acknowledged",
                "it did not take the URL that it was sent",
            ),
        };
        let check = Check {
            seq: 0,
            at: hub.now(),
            device: told.device,
            boot: told.boot,
            channel: told.channel,
            kind: CheckKind::Delivery,
            outcome,
            path: None,
            assurance: Assurance::L0,
            level_by: told.by,
            revision: None,
            digest: None,
            bytes: None,
            ip: told.ip,
            reason: reason.to_owned(),
            text: text.to_owned(),
        };
        self.put(&device, None, check).await
    }
}

impl Inner {
    /// The engine's decision on a pointer, and the site whose bases it is of. Nothing is recorded.
    pub(super) fn pointing(
        &self,
        facts: &Facts,
        who: &Who<'_>,
        scene: &Scene,
    ) -> (Option<String>, Verdict) {
        let world = scene.world();
        let site = point::site(facts, who, &world);
        let settings = &scene.snapshot.settings;
        let row = site.as_ref().and_then(|name| settings.sites.get(name));
        let values = values(site.as_deref(), &scene.catalog, &settings.scopes);
        let before = who
            .device
            .and_then(|device| self.arrivals.before(device.id));
        let told = (&bases_at(row, &scene.bases), &values);
        let verdict = point::decide(facts, &scene.claims, who, told, before.as_ref(), &world);
        (site, verdict)
    }
}

/// The check of a contact.
fn seen(facts: &Facts, verdict: &Verdict, change: &UnitChange, now: Timestamp) -> Check {
    let text = match &verdict.decision {
        Decision::Point(reply) => match &reply.url {
            Some(url) => format!("asks where its configuration is: told {url}"),
            None => {
                let codes = reply.options.iter().map(|(code, _)| code.to_string());
                let codes: Vec<String> = codes.collect();
                format!("asks for an address: told options {}", codes.join(", "))
            }
        },
        Decision::Refuse | Decision::Bootstrap(_) | Decision::Serve(_) => {
            format!("asks by {}: {}", facts.channel.as_str(), verdict.reason)
        }
    };
    Check {
        seq: 0,
        at: now,
        device: change.id,
        boot: change.boot,
        channel: facts.channel,
        kind: change.kind,
        outcome: change.outcome,
        path: None,
        assurance: verdict.level,
        level_by: verdict.by,
        revision: None,
        digest: None,
        bytes: None,
        ip: facts.source,
        reason: verdict.reason.to_owned(),
        text,
    }
}

/// Public and site values at a site, as the live folders and the rows of people say.
pub(crate) fn values(site: Option<&str>, catalog: &Catalog, scopes: &Scopes) -> Values {
    let nothing = SiteProfile::default();
    let profile = catalog.profiles.get(DEFAULT_PROFILE);
    let profile = profile.map_or(&nothing, |profile| profile.as_ref());
    resolve::of_site(site, scopes, profile, &catalog.vocabulary)
}

/// The bases that units at a site are told: its own, else the global ones.
pub(crate) fn bases_at(site: Option<&Site>, bases: &Bases) -> reply::Bases {
    let own = |of: fn(&Site) -> Option<&String>| site.and_then(of).cloned();
    let global = |channel, base: &Option<String>| {
        let told = bases.pointers.contains(&channel);
        base.clone().filter(|_| told)
    };
    let https_base =
        own(|site| site.public_url.as_ref()).or_else(|| global(Channel::Https, &bases.https));
    let shown = |base: &String| https::shown(base, &bases.certified);
    reply::Bases {
        public_certificate: https_base.as_ref().map(shown) == Some(Shown::Public),
        https: https_base,
        http: own(|site| site.public_http_url.as_ref())
            .or_else(|| global(Channel::Http, &bases.http)),
        tftp: own(|site| site.public_tftp.as_ref()).or_else(|| global(Channel::Tftp, &bases.tftp)),
    }
}
