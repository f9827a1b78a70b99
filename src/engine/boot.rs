//! Which boot a request belongs to (contract section 3).

use jiff::{SignedDuration, Timestamp};

use crate::model::device::{Boot, Status};
use crate::model::identity::BootId;

/// A unit that was silent for longer begins a new boot with its next file.
pub const SILENCE: SignedDuration = SignedDuration::from_mins(15);

/// A unit that comes up on another segment within this time changed its VLAN, and did not restart.
const VLAN: SignedDuration = SignedDuration::from_secs(120);

/// What a packet by DHCP or SIP PnP means for the unit's boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A DISCOVER, or an INIT-REBOOT REQUEST, on this segment.
    Link(String),
    /// A SUBSCRIBE with this Call-ID.
    Subscribe(String),
    /// Anything else: a REQUEST that goes on, a renewal, an INFORM.
    Within,
}

impl Arrival {
    /// Whether it is worth a check although it begins no boot: what a unit is told by PnP is seen
    /// nowhere else.
    pub fn is_told(&self) -> bool {
        match self {
            Self::Subscribe(_) => true,
            Self::Link(_) | Self::Within => false,
        }
    }
}

/// How a unit's present boot began, as far as it was heard. Kept in memory only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    pub segment: Option<String>,
    pub call_id: Option<String>,
}

impl Beginning {
    /// With one more arrival; `begun`: the boot began with it.
    pub fn after(before: Option<&Self>, arrival: &Arrival, begun: bool) -> Self {
        let mut kept = before.filter(|_| !begun).cloned().unwrap_or_default();
        match arrival {
            Arrival::Link(segment) => kept.segment = Some(segment.clone()),
            Arrival::Subscribe(call_id) => kept.call_id = Some(call_id.clone()),
            Arrival::Within => {}
        }
        kept
    }
}

/// Records an arrival: the boot that it belongs to, and whether it began it.
pub fn arrive(
    status: &mut Status,
    arrival: &Arrival,
    before: Option<&Beginning>,
    fresh: BootId,
    now: Timestamp,
) -> (BootId, bool) {
    let begins = match (status.boots.last(), arrival) {
        (None, _) => true,
        (Some(boot), _) if now.duration_since(boot.last) > SILENCE => true,
        (Some(boot), Arrival::Link(segment)) => {
            let idle = boot.asked.is_empty();
            let heard = before.and_then(|before| before.segment.as_ref());
            let elsewhere = heard.is_some_and(|heard| heard != segment);
            // Sent again before anything was asked for, or on another VLAN.
            !(now.duration_since(boot.last) <= VLAN && (idle || elsewhere))
        }
        (Some(boot), Arrival::Subscribe(call_id)) => {
            let idle = boot.asked.is_empty() && now.duration_since(boot.began) <= VLAN;
            match before.and_then(|before| before.call_id.as_ref()) {
                Some(heard) => heard != call_id,
                None => !idle,
            }
        }
        (Some(_), Arrival::Within) => false,
    };
    if begins {
        return (begin(status, fresh, now), true);
    }
    let last = status.boots.last_mut().map(|boot| {
        boot.last = now;
        boot.id
    });
    (last.unwrap_or(fresh), false)
}

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
    let id = current(status, now).unwrap_or_else(|| begin(status, fresh, now));
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

fn begin(status: &mut Status, fresh: BootId, now: Timestamp) -> BootId {
    status.boots.push(Boot {
        id: fresh,
        began: now,
        last: now,
        asked: Vec::new(),
        refused: Vec::new(),
    });
    let over = status.boots.len().saturating_sub(Boot::KEPT);
    status.boots.drain(..over);
    fresh
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
