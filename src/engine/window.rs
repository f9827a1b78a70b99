//! Arming, windows and servings: when a unit below L2 may have its credentials (trust.md section 4).

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::known::Needs;
use crate::model::device::{Boot, Device, Status};
use crate::model::enrolment::{Place, Serving, Window};
use crate::model::identity::{Assurance, BootId};

/// How long a window stays open.
pub const OPEN_FOR: SignedDuration = SignedDuration::from_hours(72);
const TWO_HOURS: SignedDuration = SignedDuration::from_hours(2);
const ONE_HOUR: SignedDuration = SignedDuration::from_hours(1);
/// A boot that begins so soon after a serving goes on with it.
const SAME: SignedDuration = SignedDuration::from_secs(120);
/// So often one file is given in a serving that goes on; then the unit did restart.
const TWICE: u8 = 2;

/// Whether a unit's window admits a request now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Open, and this is the window as it stands after the request.
    Open,
    /// Open, and bound to another place.
    OtherPlace,
    /// Never opened, or over.
    Shut,
}

/// Judges the window for a corroborated request from `place`, and opens it where this is the
/// request that does. `status` is changed in place; the caller commits it before it answers.
pub fn gate(
    device: &Device,
    status: &mut Status,
    place: &Place,
    ceiling: Assurance,
    needs: Option<Needs>,
    zone: &TimeZone,
    now: Timestamp,
) -> Gate {
    let arming = &device.config.arming;
    if status.window.open_since.is_none() {
        let opens = match arming.open_at {
            Some(at) => Some(at),
            None => (arming.from <= now && now <= arming.until).then_some(now),
        };
        if let Some(at) = opens {
            status.window.open_since = Some(at);
            status.window.open_until = Some(end(at, zone));
        }
    }
    let window = &status.window;
    let open = window.closed_at.is_none() && window.open_until.is_some_and(|until| now < until);
    if open {
        return match &window.bound_to {
            Some(bound) if !bound.holds(place) => Gate::OtherPlace,
            Some(_) | None => Gate::Open,
        };
    }
    // A change that a person made opens a window for units that can never be L2, born bound to
    // the place of the last full serving.
    let changed = needs
        .and_then(|needs| needs.changed_at)
        .filter(|_| ceiling < Assurance::L2);
    let (Some(changed), Some(served), Some(home)) = (
        changed,
        status.served_whole_at,
        status.ratchet.served_at.as_ref(),
    ) else {
        return Gate::Shut;
    };
    if changed <= served || now >= end(changed, zone) {
        Gate::Shut
    } else if home.holds(place) {
        Gate::Open
    } else {
        Gate::OtherPlace
    }
}

/// The end of a window that opened at `opened`: 72 hours later; where that lies outside Monday to
/// Friday 10:00 to 16:00 site time, the next such hour.
pub fn end(opened: Timestamp, zone: &TimeZone) -> Timestamp {
    let plain = opened.checked_add(OPEN_FOR).unwrap_or(Timestamp::MAX);
    let local = plain.to_zoned(zone.clone());
    let works = |weekday: Weekday| !matches!(weekday, Weekday::Saturday | Weekday::Sunday);
    let at_ten = |day: jiff::civil::Date| day.at(10, 0, 0, 0).to_zoned(zone.clone());
    if works(local.weekday()) && (10..16).contains(&local.hour()) {
        return plain;
    }
    let mut day = local.date();
    if local.hour() >= 10 || !works(local.weekday()) {
        day = day.saturating_add(1.day());
    }
    while !works(day.weekday()) {
        day = day.saturating_add(1.day());
    }
    at_ten(day).map_or(plain, |zoned| zoned.timestamp())
}

/// Whether one more credential file fits the serving of this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Fine,
    /// Served, and flagged `reboot-loop`.
    Loop,
    /// Not now: the file was given three times in this boot, or the pace is spent.
    Spent,
}

/// Counts a credential file against the window: a serving is one boot's credential files, each at
/// most three times; 8 servings in 2 hours, then one an hour.
pub fn count(
    window: &mut Window,
    boots: &[Boot],
    boot: BootId,
    artefact: &str,
    now: Timestamp,
) -> Pace {
    let goes_on = goes_on(window, boots, boot);
    let fits = |serving: &Serving| {
        let given = serving.files.iter().find(|(id, _)| id == artefact);
        serving.boot == boot || goes_on && given.is_none_or(|(_, begun)| *begun < TWICE)
    };
    if let Some(serving) = window.current.as_mut().filter(|serving| fits(serving)) {
        return match serving.files.iter_mut().find(|(id, _)| id == artefact) {
            Some((_, begun)) if *begun >= Serving::PER_FILE => Pace::Spent,
            Some((_, begun)) => {
                *begun = begun.saturating_add(1);
                Pace::Fine
            }
            None => {
                serving.files.push((artefact.to_owned(), 1));
                Pace::Fine
            }
        };
    }
    window
        .recent
        .retain(|began| now.duration_since(*began) < TWO_HOURS);
    let full = window.recent.len() >= Serving::PER_TWO_HOURS;
    let lately = window
        .recent
        .last()
        .is_some_and(|began| now.duration_since(*began) < ONE_HOUR);
    if full && lately {
        return Pace::Spent;
    }
    window.recent.push(now);
    let over = window.recent.len().saturating_sub(Serving::PER_TWO_HOURS);
    window.recent.drain(..over);
    window.servings = window.servings.saturating_add(1);
    window.current = Some(Serving {
        boot,
        files: vec![(artefact.to_owned(), 1)],
        whole: Vec::new(),
    });
    if full { Pace::Loop } else { Pace::Fine }
}

/// Whether a boot is part of the serving that is under way although another boot began that.
/// Anybody can begin a unit's boot with a packet in its name: the files that it asks for meanwhile
/// are no servings of their own.
pub fn goes_on(window: &Window, boots: &[Boot], boot: BootId) -> bool {
    let began = boots
        .iter()
        .rfind(|one| one.id == boot)
        .map(|one| one.began);
    match (window.recent.last(), began) {
        (Some(since), Some(began)) => {
            *since <= began && began.duration_since(*since) <= SAME && window.current.is_some()
        }
        (None, _) | (_, None) => false,
    }
}

/// Takes back what [`count`] counted for a file that nobody took: a forged request uses nothing up.
/// The place that the window was bound to stays, because a first block may have been sent there.
/// Says whether anything changed.
pub fn uncount(window: &mut Window, boots: &[Boot], boot: BootId, artefact: &str) -> bool {
    let goes_on = goes_on(window, boots, boot);
    let its = |serving: &&mut Serving| serving.boot == boot || goes_on;
    let Some(serving) = window.current.as_mut().filter(its) else {
        return false;
    };
    let Some((_, begun)) = serving.files.iter_mut().find(|(id, _)| id == artefact) else {
        return false;
    };
    *begun = begun.saturating_sub(1);
    serving.files.retain(|(_, begun)| *begun > 0);
    if serving.files.is_empty() && serving.whole.is_empty() {
        window.current = None;
        window.servings = window.servings.saturating_sub(1);
        window.recent.pop();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_took_is_taken_back() {
        let now = Timestamp::UNIX_EPOCH;
        let mut window = Window::default();
        let fresh = window.clone();
        let own = "device-config";
        for _ in 0..20 {
            assert_eq!(count(&mut window, &[], BootId(1), own, now), Pace::Fine);
            assert!(uncount(&mut window, &[], BootId(1), own));
        }
        assert_eq!(window, fresh);
        count(&mut window, &[], BootId(1), own, now);
        count(&mut window, &[], BootId(1), own, now);
        assert!(uncount(&mut window, &[], BootId(1), own));
        assert_eq!((window.servings, window.recent.len()), (1, 1));
        assert!(!uncount(&mut window, &[], BootId(2), own));
        assert!(!uncount(&mut window, &[], BootId(1), "another"));
        count(&mut window, &[], BootId(2), own, now);
        assert!(
            !uncount(&mut window, &[], BootId(1), own),
            "its boot is over"
        );
        assert_eq!(window.servings, 2);
    }

    #[test]
    fn a_window_ends_in_working_hours() {
        fn check(opened: &str, expect: &str) {
            let zone = TimeZone::get("Europe/Berlin").unwrap();
            let opened: Timestamp = opened.parse().unwrap();
            assert_eq!(end(opened, &zone).to_string(), expect, "{opened}");
        }
        // Monday noon: Thursday noon.
        check("2026-11-23T11:00:00Z", "2026-11-26T11:00:00Z");
        // Monday early: Thursday at ten.
        check("2026-11-23T05:00:00Z", "2026-11-26T09:00:00Z");
        // Monday evening: Thursday evening, so Friday at ten.
        check("2026-11-23T19:00:00Z", "2026-11-27T09:00:00Z");
        // Wednesday: Saturday, so Monday at ten. Tuesday evening: Friday evening, the same.
        check("2026-11-25T11:00:00Z", "2026-11-30T09:00:00Z");
        check("2026-11-24T19:00:00Z", "2026-11-30T09:00:00Z");
    }

    #[test]
    fn servings_are_paced() {
        let mut window = Window::default();
        let mut now = Timestamp::UNIX_EPOCH;
        for boot in 0..8 {
            for _ in 0..3 {
                assert_eq!(
                    count(&mut window, &[], BootId(boot), "device-config", now),
                    Pace::Fine
                );
            }
            assert_eq!(
                count(&mut window, &[], BootId(boot), "device-config", now),
                Pace::Spent
            );
            assert_eq!(
                count(&mut window, &[], BootId(boot), "common-config", now),
                Pace::Fine
            );
            now += SignedDuration::from_mins(1);
        }
        assert_eq!(window.servings, 8);
        assert_eq!(
            count(&mut window, &[], BootId(8), "device-config", now),
            Pace::Spent
        );
        now += SignedDuration::from_mins(61);
        assert_eq!(
            count(&mut window, &[], BootId(8), "device-config", now),
            Pace::Loop
        );
        assert_eq!(
            count(&mut window, &[], BootId(9), "device-config", now),
            Pace::Spent
        );
        assert_eq!(window.servings, 9);
    }

    /// A DISCOVER in the unit's name between its files begins a boot, and spends nothing.
    #[test]
    fn boots_within_a_serving_are_no_servings() {
        let at = |second: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        let boots: Vec<Boot> = (0..40)
            .map(|n| Boot {
                id: BootId(n),
                began: at(i64::try_from(n).unwrap() * 10),
                last: at(i64::try_from(n).unwrap() * 10),
                asked: Vec::new(),
                refused: Vec::new(),
            })
            .collect();
        let mut window = Window::default();
        for n in 0..12 {
            let second = i64::try_from(n).unwrap() * 10;
            let file = format!("file-{n}");
            let pace = count(&mut window, &boots, BootId(n), &file, at(second));
            assert_eq!(pace, Pace::Fine);
        }
        assert_eq!((window.servings, window.recent.len()), (1, 1));
        assert!(uncount(&mut window, &boots, BootId(11), "file-11"));
        assert_eq!(window.servings, 1);
        // It restarts within the time: its file a second time is the same serving, a third is not.
        count(&mut window, &boots, BootId(11), "file-0", at(110));
        assert_eq!(window.servings, 1);
        count(&mut window, &boots, BootId(12), "file-0", at(119));
        assert_eq!(window.servings, 2);
        // Later boots are servings of their own.
        count(&mut window, &boots, BootId(39), "file-1", at(390));
        assert_eq!(window.servings, 3);
    }
}
