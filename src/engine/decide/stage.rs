//! A loader and the system that it installs ask by one name, as two families. The record is one of the
//! two: a word of the other is no word against it.

use crate::engine::boot;
use crate::engine::facts::Facts;
use crate::engine::identify::Claims;
use crate::engine::known::{Known, World};
use crate::engine::level::prove;
use crate::engine::outcome;
use crate::engine::select::Stage;
use crate::engine::verdict::{UnitChange, Verdict};
use crate::model::activation::{CheckKind, Outcome, Step};
use crate::model::identity::Assurance;

/// What a request of the other family means for the record. Of a loader's it is the proof that what it
/// installed came up, where its address is the unit's own.
pub(super) fn heard(
    verdict: Verdict,
    facts: &Facts,
    claims: &Claims,
    known: &Known,
    stage: &Stage<'_>,
    world: &World<'_>,
) -> Verdict {
    let (device, family, now) = (stage.device, stage.family, world.now);
    let mut status = device.status_copy();
    let proven = prove(facts, claims, known, device, &status, family, world);
    let corroborated = proven.level >= Assurance::L1;
    let heard = status
        .seen
        .at
        .is_some_and(|at| now.duration_since(at) <= boot::SILENCE);
    let before = status.activation.state;
    status.activation.step(Step::Contact, "", now);
    let installed =
        corroborated && family.loads() && outcome::installed(device, &mut status, family, now);
    if corroborated {
        status.seen.ip = facts.source;
        if let Some(firmware) = &claims.firmware {
            status.seen.firmware = Some(firmware.clone());
        }
    }
    status.seen.at = Some(now);
    let quiet = heard && status.activation.state == before;
    Verdict {
        level: proven.level,
        by: proven.by,
        place: proven.place,
        unit: Some(UnitChange {
            id: device.id,
            boot: boot::current(&status, now).unwrap_or(world.fresh_boot),
            status: Box::new(status),
            kind: if installed {
                CheckKind::Firmware
            } else {
                CheckKind::Seen
            },
            outcome: Outcome::Pass,
            revision: None,
            before_answer: false,
            quiet,
        }),
        sighting: false,
        ..verdict
    }
}
