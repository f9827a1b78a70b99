//! Revisions: what is in force, what the folders would make of it, and what was.
//!
//! A device is rendered from the revision that is published for its vendor, family and profile.
//! The folders are only the draft, so neither a reload nor an upgrade changes a byte on a phone
//! before it is published.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::device_fields::find_vendor;
use super::lens::kind_of;
use super::variables::unknown_profile;
use super::{Actor, Admin, Ask, Code, FieldError, Lens, Problem, entry};
use crate::catalog::Catalog;
use crate::catalog::lint::Covered;
use crate::catalog::manifest::Reach;
use crate::catalog::site_profile::DEFAULT;
use crate::hub::Hub;
use crate::model::device::Config;
use crate::model::identity::Digest;
use crate::store::{Batch, Filter, Published, Settings, Write};

/// Vendor, family, profile.
pub type Kind = (String, String, String);

/// Devices read at once.
const STRETCH: usize = 1000;

/// Which kinds are meant: all that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct Which {
    pub vendor: Option<String>,
    pub family: Option<String>,
    pub profile: Option<String>,
}

impl Which {
    pub(crate) fn takes(&self, kind: &Kind) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        is(&self.vendor, &kind.0) && is(&self.family, &kind.1) && is(&self.profile, &kind.2)
    }
}

/// One kind of unit with its revision and its draft.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileView {
    pub kind: Kind,
    /// The family's label; empty where the folders no longer have it.
    pub label: String,
    pub devices: u64,
    pub published: Option<Published>,
    /// `None` where the folders no longer have it.
    pub draft: Option<Digest>,
}

impl ProfileView {
    /// Whether publishing would change something.
    pub fn changed(&self) -> bool {
        self.draft.is_some() && self.draft != self.published.as_ref().map(|row| row.digest)
    }
}

/// A revision that came into force, or would.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    pub kind: Kind,
    pub from: Option<Digest>,
    pub to: Digest,
    pub devices: u64,
}

/// How a family has the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    pub vendor: String,
    pub family: String,
    pub reads: BTreeMap<String, Covered>,
}

/// Publishes the draft of every kind in use that differs from what is in force. For the start and
/// for reloads; says what changed, with the number of devices of each kind.
pub async fn auto_publish(hub: &Hub) -> Result<Vec<Publication>, Problem> {
    let (plan, writes) = plan(
        hub,
        &Which::default(),
        &Actor::Server,
        "profiles were loaded",
    )
    .await?;
    if !writes.is_empty() {
        hub.store.commit(Batch::now(writes)).await?;
    }
    Ok(plan)
}

/// What publishing would change, and the writes that do it.
async fn plan(
    hub: &Hub,
    which: &Which,
    actor: &Actor,
    reason: &str,
) -> Result<(Vec<Publication>, Vec<Write>), Problem> {
    let catalog = hub.catalog.load_full();
    let settings = hub.store.settings()?;
    let (mut done, mut writes) = (Vec::new(), Vec::new());
    for (kind, devices) in in_use(hub, &catalog).await? {
        let draft = catalog.draft(&kind.0, &kind.1, &kind.2);
        let Some(draft) = draft.filter(|_| which.takes(&kind)) else {
            continue;
        };
        let from = settings.published.get(&kind).map(|row| row.digest);
        if from == Some(draft.digest) {
            continue;
        }
        let subject = format!("profile {}/{}/{}", kind.0, kind.1, kind.2);
        let (now, detail) = (hub.now(), format!("{} {reason}", draft.digest));
        writes.push(Write::PutBundle {
            digest: draft.digest,
            bytes: draft.bytes,
        });
        writes.push(Write::Publish(row(&kind, draft.digest, now, actor, reason)));
        writes.push(entry(now, actor, "profile.publish", subject, detail));
        done.push(Publication {
            kind,
            from,
            to: draft.digest,
            devices,
        });
    }
    Ok((done, writes))
}

fn row(kind: &Kind, digest: Digest, at: Timestamp, actor: &Actor, reason: &str) -> Published {
    Published {
        vendor: kind.0.clone(),
        family: kind.1.clone(),
        profile: kind.2.clone(),
        digest,
        at,
        by: actor.to_string(),
        reason: reason.to_owned(),
    }
}

/// Every kind that a listed unit is of, and each family that is served with its default profile:
/// units that are not listed yet are answered from it. With the number of devices.
async fn in_use(hub: &Hub, catalog: &Catalog) -> Result<BTreeMap<Kind, u64>, Problem> {
    let mut kinds = BTreeMap::new();
    for family in catalog
        .vendors
        .values()
        .flat_map(|vendor| vendor.families.values())
    {
        if family.reach != Reach::None {
            let kind = (family.vendor.clone(), family.id.clone(), DEFAULT.to_owned());
            kinds.insert(kind, 0);
        }
    }
    let mut after = None;
    loop {
        let rows = hub
            .store
            .devices(&Filter::default(), after, STRETCH)
            .await?;
        after = rows.last().map(|device| device.id);
        for device in &rows {
            *kinds.entry(kind_of(&device.config)).or_default() += 1;
        }
        if rows.len() < STRETCH {
            return Ok(kinds);
        }
    }
}

impl Admin {
    /// Every kind in use, or in force.
    pub async fn profiles(&self) -> Result<Vec<ProfileView>, Problem> {
        let hub = self.hub();
        let catalog = hub.catalog.load_full();
        let settings = hub.store.settings()?;
        let mut kinds = in_use(hub, &catalog).await?;
        for kind in settings.published.keys() {
            kinds.entry(kind.clone()).or_default();
        }
        Ok(kinds
            .into_iter()
            .map(|(kind, devices)| ProfileView {
                label: catalog
                    .family(&kind.0, &kind.1)
                    .map(|family| family.label.clone())
                    .unwrap_or_default(),
                devices,
                published: settings.published.get(&kind).cloned(),
                draft: catalog
                    .draft(&kind.0, &kind.1, &kind.2)
                    .map(|draft| draft.digest),
                kind,
            })
            .collect())
    }

    /// How each family has the vocabulary, with its default profile; and every variable.
    pub fn coverage(&self) -> (Vec<String>, Vec<Coverage>) {
        let catalog = self.hub().catalog.load_full();
        let variables: Vec<String> = catalog.vocabulary.0.keys().cloned().collect();
        let families = catalog
            .vendors
            .values()
            .flat_map(|vendor| vendor.families.values());
        let covered = families.map(|family| Coverage {
            vendor: family.vendor.clone(),
            family: family.id.clone(),
            reads: catalog
                .coverage(family)
                .into_iter()
                .map(|(name, how)| (name.to_owned(), how))
                .collect(),
        });
        (variables, covered.collect())
    }

    /// Makes drafts what devices get.
    pub async fn publish(
        &self,
        actor: &Actor,
        which: &Which,
        reason: &str,
        ask: &Ask,
    ) -> Result<Vec<Publication>, Problem> {
        let lens = self.lens().await?;
        self.known(&lens, which)?;
        if reason.len() > 1024 || reason.chars().any(char::is_control) {
            let what = "a reason has at most 1024 octets and no control characters";
            return Err(FieldError::new("reason", Code::ValueInvalid, what).into());
        }
        let (done, writes) = plan(self.hub(), which, actor, reason).await?;
        if !ask.dry_run && !writes.is_empty() {
            self.hub().store.commit(Batch::now(writes)).await?;
        }
        Ok(done)
    }

    /// Whether what is named is there.
    pub(crate) fn known(&self, lens: &Lens, which: &Which) -> Result<(), Problem> {
        let mut errors = Vec::new();
        if let Some(vendor) = &which.vendor {
            match (find_vendor(lens, vendor), &which.family) {
                (Err(error), _) => errors.push(error),
                (Ok(vendor), Some(family)) if !vendor.families.contains_key(family) => {
                    let what = format!("{} has no family {family:?}", vendor.id);
                    errors.push(FieldError::new("family", Code::FamilyUnknown, what));
                }
                (Ok(_), _) => {}
            }
        }
        if let Some(profile) = &which.profile {
            errors.extend(unknown_profile(lens, profile));
        }
        Problem::unless_clean(errors)
    }

    /// What was in force, newest first, and whether it is still.
    pub async fn history(&self, which: &Which) -> Result<Vec<(Published, bool)>, Problem> {
        let settings = self.hub().store.settings()?;
        let mut all = Vec::new();
        for kind in settings.published.keys().filter(|kind| which.takes(kind)) {
            let rows = self.hub().store.history(&kind.0, &kind.1, &kind.2).await?;
            let newest = rows.len();
            let rows = rows.into_iter().enumerate().rev();
            all.extend(rows.map(|(at, row)| (row, at + 1 == newest)));
        }
        all.sort_by_key(|(row, _)| std::cmp::Reverse(row.at));
        Ok(all)
    }
}

/// The first publication for the kind that a record is of, where nothing is in force for it: that
/// changes no phone, and without it the unit would be given nothing.
pub(crate) fn first_publication(
    catalog: &Catalog,
    settings: &Settings,
    config: &Config,
    actor: &Actor,
    now: Timestamp,
) -> Vec<Write> {
    let kind = kind_of(config);
    if settings.published.contains_key(&kind) {
        return Vec::new();
    }
    let Some(draft) = catalog.draft(&kind.0, &kind.1, &kind.2) else {
        return Vec::new();
    };
    let published = row(
        &kind,
        draft.digest,
        now,
        actor,
        "the first unit of this kind",
    );
    vec![
        Write::PutBundle {
            digest: draft.digest,
            bytes: draft.bytes,
        },
        Write::Publish(published),
    ]
}
