//! From a request to an identity, told (contract section 5): what `dialtone explain` prints.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::identify::{Claims, claims, why};
use super::known::Known;
use super::point;
use super::reply::{Bases, Reply};
use super::resolve;
use crate::catalog::Catalog;
use crate::catalog::manifest::Reach;
use crate::catalog::site_profile::{DEFAULT, SiteProfile};
use crate::model::identity::{Assurance, DeviceId};

/// What the server makes of a request.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    pub claims: Claims,
    /// Which hints spoke, and which were dropped.
    pub why: Vec<String>,
    /// The listed unit; only a running server knows one.
    pub device: Option<DeviceId>,
    /// The kind of the artefact that the path is, in the manifest's word.
    pub artefact: Option<&'static str>,
    pub assurance: Assurance,
    /// `None` where only a running server can decide.
    pub decision: Option<&'static str>,
    pub reason: &'static str,
    /// What an unlisted unit of its kind is told.
    pub reply: Reply,
}

/// Explains a request without a store: no device, L0, and a decision only where nobody would
/// answer. `bases` are those that units are told; by default there is none.
pub fn explain(facts: &Facts, catalog: &Catalog, bases: &Bases) -> Explanation {
    let claims = claims(facts, catalog);
    let nobody = Known::default();
    let who = point::who(facts.channel, &claims, &nobody, catalog);
    let nothing = SiteProfile::default();
    let profile = catalog.profiles.get(DEFAULT);
    let profile = profile.map_or(&nothing, |profile| profile.as_ref());
    let values = resolve::of_site(None, &BTreeMap::new(), profile, &catalog.vocabulary);
    let reply = who
        .kind
        .filter(|kind| kind.family.reach != Reach::None)
        .map(|kind| point::reply(facts, &claims, &kind, bases, &values))
        .unwrap_or_default();
    let artefact = artefact_of(&claims, catalog);
    let (decision, reason) = match (&claims.conflict, &claims.vendor) {
        (Some(_), _) => (None, "identifiers-disagree"),
        (None, None) => (Some("ignore"), "not-recognised"),
        (None, Some(_)) => (None, "no-store"),
    };
    Explanation {
        claims,
        why: why(facts, catalog),
        device: None,
        artefact,
        assurance: Assurance::L0,
        decision,
        reason,
        reply,
    }
}

/// The kind of the artefact that a request names, in the manifest's word.
pub fn artefact_of(claims: &Claims, catalog: &Catalog) -> Option<&'static str> {
    claims.paths.iter().find_map(|(vendor, family, id)| {
        let own = claims.family.as_ref().is_none_or(|named| named == family);
        let family = catalog.family(vendor, family).filter(|_| own)?;
        family.artefact(id).map(|artefact| artefact.kind.as_str())
    })
}
