//! Which boot a request belongs to (contract section 3).

use jiff::{SignedDuration, Timestamp};

use crate::model::device::{Boot, Status};
use crate::model::identity::BootId;

/// A unit that was silent for longer begins a new boot with its next file.
pub const SILENCE: SignedDuration = SignedDuration::from_mins(15);

/// The boot that a request at `now` belongs to, without recording it.
pub fn current(status: &Status, now: Timestamp) -> Option<BootId> {
    status
        .boots
        .last()
        .filter(|boot| now.duration_since(boot.last) <= SILENCE)
        .map(|boot| boot.id)
}

/// Records a request for `artefact`, and begins the boot `fresh` where the last one is over.
/// `refused`: it got nothing; a unit that is refused again and again does not keep its boot alive.
pub fn note(
    status: &mut Status,
    artefact: Option<&str>,
    refused: bool,
    fresh: BootId,
    now: Timestamp,
) -> BootId {
    let id = current(status, now).unwrap_or(fresh);
    if status.boots.last().is_none_or(|boot| boot.id != id) {
        status.boots.push(Boot {
            id,
            began: now,
            last: now,
            asked: Vec::new(),
            refused: Vec::new(),
        });
        let over = status.boots.len().saturating_sub(Boot::KEPT);
        status.boots.drain(..over);
    }
    if let Some(boot) = status.boots.last_mut() {
        if !refused {
            boot.last = now;
        }
        if let Some(artefact) = artefact {
            add(&mut boot.asked, artefact);
            if refused {
                add(&mut boot.refused, artefact);
            } else {
                boot.refused.retain(|id| id != artefact);
            }
        }
    }
    id
}

fn add(list: &mut Vec<String>, id: &str) {
    if !list.iter().any(|known| known == id) {
        list.push(id.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_ends_a_boot_and_refusals_do_not_keep_it() {
        let at = |minute: i64| Timestamp::new(minute * 60, 0).unwrap_or_default();
        let mut status = Status::default();
        assert_eq!(
            note(&mut status, Some("a"), false, BootId(1), at(0)),
            BootId(1)
        );
        assert_eq!(
            note(&mut status, Some("b"), false, BootId(2), at(14)),
            BootId(1)
        );
        assert_eq!(
            note(&mut status, Some("b"), true, BootId(3), at(28)),
            BootId(1)
        );
        assert_eq!(
            note(&mut status, Some("a"), true, BootId(4), at(30)),
            BootId(4)
        );
        for n in 5..60 {
            let minute = i64::try_from(n).unwrap_or_default() * 20;
            note(&mut status, Some("a"), false, BootId(n), at(minute));
        }
        assert_eq!(status.boots.len(), Boot::KEPT);
    }
}
