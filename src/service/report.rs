//! The unit's own word at its report URL, and silence.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use percent_encoding::percent_decode_str;

use super::prefixes::Silent;
use super::{Inner, Service, Trouble};
use crate::answer::{Answer, Refusal};
use crate::catalog::manifest::{Family, HttpRefusal, TftpRefusal};
use crate::engine::boot;
use crate::engine::facts::Facts;
use crate::engine::identify::claims;
use crate::engine::outcome::{self, Word};
use crate::engine::prefix;
use crate::hub::News;
use crate::model::activation::{Check, CheckKind, Outcome};
use crate::model::device::{Device, Lifecycle, Status};
use crate::model::identity::{Assurance, BootId, Channel, LevelBy};
use crate::store::{Batch, StoreError, Write};

/// Devices that the sweep reads at once.
const PAGE: usize = 500;

/// Alike for a secret that nobody has, one that is void, and a word that is none.
const NOTHING_THERE: Answer = Answer::Refuse(Refusal {
    http: HttpRefusal::NotFound,
    tftp: TftpRefusal::Error(1),
    retry_after: 0,
});

impl Service {
    pub(super) async fn report(&self, facts: &Facts) -> Result<Answer, Trouble> {
        let inner = &self.0;
        let now = inner.hub.now();
        let catalog = inner.hub.catalog.load_full();
        let claims = claims(facts, &catalog);
        let known = inner.known(facts, &claims, now).await?;
        let (Some((device, generation)), Some(word)) =
            (known.by_report, Word::parse(&facts.target.path))
        else {
            return Ok(NOTHING_THERE);
        };
        let current = generation == device.config.arming.generation;
        let Some(family) = inner.family_of(&device) else {
            return Ok(NOTHING_THERE);
        };
        let word = word.meant(&family);
        if !current || device.config.lifecycle != Lifecycle::Listed {
            return Ok(NOTHING_THERE);
        }
        let mut status = device.status_copy();
        let version = status.version;
        let line = line_of(&facts.target.query);
        let outcome = outcome::reported(&device, &mut status, &family, &word, line.as_deref(), now);
        let boot = boot::current(&status, now);
        status.seen.at = Some(now);
        if let Some(last) = status.boots.last_mut().filter(|last| Some(last.id) == boot) {
            last.last = now;
        }
        let (code, text) = said(&word, outcome);
        let check = Check {
            seq: 0,
            at: now,
            device: device.id,
            boot: boot.unwrap_or(BootId(0)),
            channel: Channel::Report,
            kind: CheckKind::Registration,
            outcome,
            path: Some(facts.target.shown()),
            assurance: status.assurance.max(Assurance::L0),
            level_by: LevelBy::Token,
            revision: status.revision,
            digest: None,
            bytes: None,
            ip: facts.source,
            reason: code.to_owned(),
            text,
        };
        self.put(&device, Some((status, version)), check).await?;
        Ok(Answer::Accepted)
    }

    /// Looks for units that make no progress. Called about once a minute.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let mut after = None;
        // Whom a prefix was believed for is read once; then each is noted as it happens.
        let first = !self.0.swept.load(Ordering::Relaxed);
        let wanted = |status: &Status| {
            outcome::is_waiting(status)
                || prefix::silent_at(status).is_some()
                || (first && prefix::believed_at(status).is_some())
        };
        let mut silent = Silent::default();
        loop {
            let store = &self.0.hub.store;
            let (page, last) = store.seen(wanted, after, PAGE).await?;
            for device in &page {
                silent.take(self, device)?;
                self.sweep_one(device).await?;
            }
            if last.is_none() {
                self.0.swept.store(true, Ordering::Relaxed);
                return silent.judge(self).await;
            }
            after = last;
            tokio::task::yield_now().await;
        }
    }

    async fn sweep_one(&self, device: &Device) -> Result<(), StoreError> {
        let hub = &self.0.hub;
        let now = hub.now();
        let mut status = device.status_copy();
        let Some(family) = self.0.family_of(device) else {
            return Ok(());
        };
        let version = status.version;
        let idle = !outcome::is_waiting(&status) || device.config.lifecycle != Lifecycle::Listed;
        if idle || !outcome::sweep(&mut status, &family, now) {
            return Ok(());
        }
        let stage = status.activation.stage.clone().unwrap_or_default();
        let check = Check {
            seq: 0,
            at: now,
            device: device.id,
            boot: status.boots.last().map_or(BootId(0), |boot| boot.id),
            channel: Channel::Admin,
            kind: CheckKind::Seen,
            outcome: Outcome::Fail,
            path: None,
            assurance: status.assurance,
            level_by: LevelBy::Nothing,
            revision: None,
            digest: None,
            bytes: None,
            ip: None,
            reason: format!("stalled-{stage}"),
            text: format!("no progress: {stage}"),
        };
        let writes = vec![
            Write::PutStatus {
                id: device.id,
                status: Box::new(status),
                expect: version,
            },
            Write::AddCheck(check.clone()),
        ];
        match hub.store.commit(Batch::soon(writes).from_reserve()).await {
            Ok(_) => {
                hub.tell(News::Check(Arc::new(check)));
                hub.tell(News::Device(device.id));
                Ok(())
            }
            // It moved meanwhile: that is progress.
            Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Inner {
    /// The unit's family as the live folders have it.
    pub(super) fn family_of(&self, device: &Device) -> Option<Arc<Family>> {
        let catalog = self.hub.catalog.load();
        let config = &device.config;
        catalog
            .family(&config.vendor, &config.family)
            .map(Arc::clone)
    }
}

/// The account that a report names: `line` or `user` in its query.
fn line_of(query: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| matches!(*name, "line" | "user"));
    let (_, value) = named.next()?;
    let value = percent_decode_str(value).decode_utf8().ok()?;
    (!value.is_empty()).then(|| value.into_owned())
}

fn said(word: &Word, outcome: Outcome) -> (&'static str, String) {
    match (word, outcome) {
        (Word::Step(name) | Word::State(name), _) => ("step", format!("it says: {name}")),
        (Word::Ok, _) => ("registered", "it says that it is registered".to_owned()),
        (Word::Failed, _) => ("failed", "it says that it could not register".to_owned()),
    }
}
