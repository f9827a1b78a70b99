//! A site whose prefix is the proof, and how often it may be (trust.md section 1). Pure.
//!
//! A host in the prefix that names one armed unit after the other has the credentials of all. It
//! shows by their number, where the site says how many units it has, and by their silence.

use jiff::{SignedDuration, Timestamp};

use super::outcome::stage;
use crate::model::activation::{Flag, State};
use crate::model::device::Status;
use crate::model::site::Site;

/// So many units that never reported are borne within an hour.
const SILENT: usize = 5;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Whether the prefix was believed for as many other units as the site expects.
pub fn is_crowded(site: &Site, beside: u32) -> bool {
    site.expect > 0 && beside >= site.expect
}

/// When a unit last had credentials with nothing but the prefix to prove it.
pub fn believed_at(status: &Status) -> Option<Timestamp> {
    let place = status.window.bound_to.as_ref()?;
    let alone = place.prefix.is_some() && place.lease.is_none() && place.certificate.is_none();
    status.window.recent.last().copied().filter(|_| alone)
}

/// The same of a unit that should have reported since. One that waits for a person is no question,
/// nor one of which nothing can prove that it works: it never stalls.
pub fn silent_at(status: &Status) -> Option<Timestamp> {
    let activation = &status.activation;
    let stalled = activation.state == State::Stalled
        && activation.stage.as_deref() != Some(stage::ASKS_AS_NEW)
        && !activation.flags.contains(&Flag::NeedsConfirmation);
    believed_at(status).filter(|_| stalled)
}

/// Whether more than five of these times lie within one hour.
pub fn too_many_silent(mut times: Vec<Timestamp>) -> bool {
    times.sort_unstable();
    let later = times.iter().skip(SILENT);
    times
        .iter()
        .zip(later)
        .any(|(first, last)| last.duration_since(*first) <= HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::enrolment::Place;
    use crate::model::identity::Mac;

    #[test]
    fn silence_is_counted_by_the_hour() {
        let check = |minutes: &[i64], expect: bool| {
            let at = |minute: &i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(*minute);
            let times = minutes.iter().map(at).collect();
            assert_eq!(too_many_silent(times), expect, "{minutes:?}");
        };
        check(&[], false);
        check(&[0, 1, 2, 3, 4], false);
        check(&[60, 1, 2, 3, 4, 0], true);
        check(&[61, 1, 2, 3, 4, 0], false);
        check(&[0, 30, 60, 90, 120, 150, 180, 210], false);
        check(&[0, 500, 501, 502, 503, 504, 505], true);
    }

    #[test]
    fn who_was_believed_by_the_prefix_alone_and_is_silent() {
        let check = |change: fn(&mut Status), believed: bool, silent: bool| {
            let mut status = Status::default();
            status.window.recent = vec![Timestamp::UNIX_EPOCH];
            status.window.bound_to = Some(Place {
                prefix: Some("10.0.0.0/8".to_owned()),
                ..Place::default()
            });
            status.activation.state = State::Stalled;
            status.activation.stage = Some(stage::REGISTRATION.to_owned());
            change(&mut status);
            let found = (believed_at(&status).is_some(), silent_at(&status).is_some());
            assert_eq!(found, (believed, silent), "{status:?}");
        };
        check(|_| {}, true, true);
        check(
            |status| status.activation.state = State::Active,
            true,
            false,
        );
        check(
            |status| status.activation.state = State::Failed,
            true,
            false,
        );
        check(
            |status| status.activation.stage = Some(stage::ASKS_AS_NEW.to_owned()),
            true,
            false,
        );
        check(
            |status| status.activation.flag(Flag::NeedsConfirmation, true),
            true,
            false,
        );
        let leased = |status: &mut Status| {
            if let Some(place) = &mut status.window.bound_to {
                place.lease = Mac::parse("020000000001").ok();
            }
        };
        check(leased, false, false);
        check(|status| status.window.bound_to = None, false, false);
        check(|status| status.window.recent.clear(), false, false);
    }
}
