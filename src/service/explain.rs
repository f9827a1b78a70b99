//! What the server would make of a request, told and not done (contract section 5): nothing is written,
//! and nothing is used up.

use super::{Service, Trouble};
use crate::engine::explain::{Explanation, artefact_of};
use crate::engine::facts::Facts;
use crate::engine::identify::why;
use crate::engine::point;
use crate::engine::reply::Reply;
use crate::engine::select::{Subject, select};
use crate::engine::verdict::Decision;
use crate::model::identity::{Assurance, Channel};
use crate::store::StoreError;

impl Service {
    /// Explains a request by the store, the settings and the live catalogue.
    pub async fn explain(&self, facts: &Facts) -> Result<Explanation, StoreError> {
        self.explained(facts)
            .await
            .map_err(|trouble| match trouble {
                Trouble::Store(error) => error,
                Trouble::Again => StoreError::Conflict {
                    what: "the unit".to_owned(),
                },
            })
    }

    async fn explained(&self, facts: &Facts) -> Result<Explanation, Trouble> {
        let inner = &self.0;
        let scene = inner.scene(facts).await?;
        let Some(scene) = scene else {
            return Ok(Explanation {
                reason: "no-random",
                ..Explanation::default()
            });
        };
        let mut told = Explanation {
            artefact: artefact_of(&scene.claims, &scene.catalog),
            assurance: Assurance::L0,
            ..Explanation::default()
        };
        if facts.target.report.is_some() {
            let device = scene.known.by_report.as_ref();
            told.device = device.map(|(device, _)| device.id);
            told.reason = "report";
        } else {
            let pointer = matches!(facts.channel, Channel::Dhcp | Channel::SipPnp);
            let verdict = if pointer {
                let who = point::who(facts.channel, &scene.claims, &scene.known, &scene.catalog);
                inner.pointing(facts, &who, &scene).1
            } else {
                let selected = select(facts, &scene.claims, &scene.known, &scene.catalog);
                let snapshot = &scene.snapshot;
                let unit = match &selected.subject {
                    Subject::Unit(device) => inner.unit_case(device, &selected, snapshot).await?,
                    Subject::Stranger | Subject::Several(_) => None,
                };
                scene.decided(facts, &selected, unit.as_ref())
            };
            told.device = verdict.unit.as_ref().map(|change| change.id);
            told.assurance = verdict.level;
            told.reason = verdict.reason;
            let unknown = scene.claims.vendor.is_none() && told.device.is_none();
            told.decision = Some(match &verdict.decision {
                Decision::Serve(_) => "serve",
                Decision::Bootstrap(_) => "bootstrap",
                Decision::Point(_) => "point",
                Decision::Refuse if pointer || unknown => "ignore",
                Decision::Refuse => "refuse",
            });
            told.reply = match verdict.decision {
                Decision::Point(reply) => reply,
                Decision::Serve(_) | Decision::Bootstrap(_) | Decision::Refuse => Reply::default(),
            };
        }
        told.why = why(facts, &scene.catalog);
        told.claims = scene.claims;
        Ok(told)
    }
}
