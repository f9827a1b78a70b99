//! From a request to an identity, told (contract section 5): what `dialtone explain` prints.

use super::facts::Facts;
use super::identify::{Claims, claims};
use crate::catalog::Catalog;
use crate::model::identity::Assurance;

/// What the server makes of a request when it knows the manifests alone.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub claims: Claims,
    /// The kind of the artefact that the path is, in the manifest's word.
    pub artefact: Option<&'static str>,
    pub assurance: Assurance,
    /// `None` where only a running server can decide.
    pub decision: Option<&'static str>,
    pub reason: &'static str,
}

/// Explains a request without a store: no device, L0, and a decision only where nobody would answer.
pub fn explain(facts: &Facts, catalog: &Catalog) -> Explanation {
    let claims = claims(facts, catalog);
    let artefact = claims.paths.iter().find_map(|(vendor, family, id)| {
        let own = claims.family.as_ref().is_none_or(|named| named == family);
        let family = catalog.family(vendor, family).filter(|_| own)?;
        family.artefact(id).map(|artefact| artefact.kind.as_str())
    });
    let (decision, reason) = match (&claims.conflict, &claims.vendor) {
        (Some(_), _) => (None, "identifiers-disagree"),
        (None, None) => (Some("ignore"), "not-recognised"),
        (None, Some(_)) => (None, "no-store"),
    };
    Explanation {
        claims,
        artefact,
        assurance: Assurance::L0,
        decision,
        reason,
    }
}
