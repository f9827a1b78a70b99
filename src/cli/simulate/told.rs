//! What is printed: a line a unit, the steps of a single one, counts and latencies.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::exit::Fail;
use super::super::out::{Out, printable};
use super::fleet::{Fleet, Flown};
use crate::simulate::{Again, Made, Step, Story};

/// The most units with a line each.
const LINES: usize = 40;

pub(super) fn show(out: Out, fleet: &Fleet) -> Result<(), Fail> {
    let units: Vec<Value> = fleet.units.iter().map(unit).collect();
    let total = total(fleet);
    if out.json {
        let mut whole = total;
        if let Some(map) = whole.as_object_mut() {
            map.insert("units".to_owned(), Value::Array(units));
        }
        return out.document(&whole);
    }
    if let [single] = fleet.units.as_slice() {
        for (at, story) in single.stories.iter().enumerate() {
            out.line(&format!("run {}", at + 1))?;
            for line in lines(story) {
                out.line(&format!("  {line}"))?;
            }
        }
    }
    let shown = if units.len() <= LINES {
        units
    } else {
        units
            .into_iter()
            .filter(|unit| unit.get("up") != Some(&Value::Bool(true)))
            .take(LINES)
            .collect()
    };
    if !shown.is_empty() {
        out.list(
            &shown,
            &[
                ("MAC", "/mac"),
                ("FAMILY", "/family"),
                ("MODEL", "/model"),
                ("UP", "/up"),
                ("ACCOUNT", "/account"),
                ("REGISTERED", "/registered"),
                ("REPORTED", "/reported"),
                ("RUNS", "/runs"),
                ("REQUESTS", "/requests"),
                ("AGAIN", "/again"),
                ("WHY", "/why"),
            ],
        )?;
    }
    let number = |pointer: &str| {
        total
            .pointer(pointer)
            .and_then(Value::as_f64)
            .unwrap_or(0.0)
    };
    out.line(&format!(
        "{} of {} units came up in {:.1} s; {} requests: {} taken, {} not given, {} without an \
         answer, {} a second; p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms",
        number("/up"),
        number("/count"),
        number("/seconds"),
        number("/requests"),
        number("/taken"),
        number("/not_given"),
        number("/unanswered"),
        number("/per_second").round(),
        number("/latency_ms/p50"),
        number("/latency_ms/p99"),
        number("/latency_ms/most"),
    ))
}

fn unit(unit: &Flown) -> Value {
    let stories = &unit.stories;
    let steps = || stories.iter().flat_map(|story| &story.steps);
    json!({
        "mac": unit.who.mac.to_string(),
        "serial": unit.who.serial,
        "family": unit.family,
        "model": unit.who.model,
        "up": unit.came_up(),
        "self_consistent_only": unit.self_consistent,
        "account": unit.account,
        "registered": stories.iter().rev().find_map(|story| story.registered),
        "reported": stories.iter().any(|story| story.reported),
        "runs": stories.len(),
        "requests": steps().count(),
        "taken": steps().filter(|step| step.made == Made::Taken).count(),
        "again": unit.again.as_ref().map(again),
        "why": why(unit),
        "stories": stories.iter().map(story).collect::<Vec<_>>(),
    })
}

/// Why a unit did not come up, as far as the unit can tell.
fn why(unit: &Flown) -> Option<String> {
    if unit.came_up() {
        return None;
    }
    if let Some(problem) = &unit.problem {
        return Some(problem.clone());
    }
    let mut failures = unit.stories.iter().filter_map(Story::tls_failure);
    if let Some(failure) = failures.next_back() {
        return Some(failure.to_string());
    }
    let last = unit.stories.last()?;
    if let Some(note) = last.notes.last() {
        return Some(note.clone());
    }
    last.steps.last().map(made)
}

fn story(story: &Story) -> Value {
    let steps = story.steps.iter().map(|step| {
        json!({
            "url": veiled(&step.url),
            "purpose": step.purpose.as_str(),
            "status": step.status,
            "bytes": step.bytes,
            "made": made(step),
            "ms": millis(step.took),
        })
    });
    json!({
        "steps": steps.collect::<Vec<_>>(),
        "changed": story.changed,
        "registered": story.registered,
        "reported": story.reported,
        "again": story.again.as_ref().map(again),
        "notes": story.notes.iter().map(|note| veiled(note)).collect::<Vec<_>>(),
    })
}

fn lines(story: &Story) -> Vec<String> {
    let mut lines: Vec<String> = story
        .steps
        .iter()
        .map(|step| {
            let status = step
                .status
                .map_or_else(|| "-".to_owned(), |status| status.to_string());
            format!(
                "{} {status} {} octets, {:.1} ms: {}",
                printable(&veiled(&step.url)),
                step.bytes,
                millis(step.took),
                printable(&made(step)),
            )
        })
        .collect();
    lines.extend(story.notes.iter().map(|note| printable(&veiled(note))));
    if !story.changed.is_empty() {
        lines.push(format!("{} settings changed", story.changed.len()));
    }
    if let Some(registered) = story.registered {
        lines.push(
            if registered {
                "registered"
            } else {
                "not registered"
            }
            .to_owned(),
        );
    }
    if story.reported {
        lines.push("reported".to_owned());
    }
    if let Some(next) = &story.again {
        lines.push(printable(&again(next)));
    }
    lines
}

fn made(step: &Step) -> String {
    match &step.made {
        Made::Taken => "taken".to_owned(),
        Made::NotGiven => "not given".to_owned(),
        Made::Unreadable(why) => format!("unreadable: {why}"),
        Made::Failed(failure) => veiled(&failure.to_string()),
    }
}

fn again(again: &Again) -> String {
    match again {
        Again::Now(why) => format!("restarts: {why}"),
        Again::After(time) => format!("asks again in {} s", time.as_secs()),
    }
}

fn total(fleet: &Fleet) -> Value {
    let steps: Vec<&Step> = fleet
        .units
        .iter()
        .flat_map(|unit| &unit.stories)
        .flat_map(|story| &story.steps)
        .collect();
    let mut answered: Vec<Duration> = steps
        .iter()
        .filter(|step| step.status.is_some())
        .map(|step| step.took)
        .collect();
    answered.sort();
    let part = |hundredths: usize| part_of(&answered, hundredths);
    let up = fleet.units.iter().filter(|unit| unit.came_up());
    let mut boots: Vec<Duration> = up.map(|unit| unit.took).collect();
    boots.sort();
    let boot = |hundredths: usize| part_of(&boots, hundredths);
    let count = |fits: &dyn Fn(&Made) -> bool| steps.iter().filter(|step| fits(&step.made)).count();
    let seconds = fleet.took.as_secs_f64();
    let requests = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    json!({
        "count": fleet.units.len(),
        "up": fleet.units.iter().filter(|unit| unit.came_up()).count(),
        "seconds": seconds,
        "requests": requests,
        "per_second": f64::from(requests) / seconds.max(0.001),
        "taken": count(&|made| *made == Made::Taken),
        "not_given": count(&|made| *made == Made::NotGiven),
        "unanswered": count(&|made| matches!(made, Made::Failed(_))),
        "latency_ms": {"p50": part(50), "p99": part(99), "most": part(100)},
        "boot_ms": {"p50": boot(50), "p99": boot(99), "most": boot(100)},
    })
}

/// The time that so many of a hundred did not exceed.
fn part_of(sorted: &[Duration], hundredths: usize) -> f64 {
    let at = (sorted.len() * hundredths).div_ceil(100).saturating_sub(1);
    sorted.get(at).map_or(0.0, |took| millis(*took))
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

/// A text with the capabilities in its URLs hidden: `u/~`, `r/~`.
fn veiled(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut hidden = false;
    for (at, part) in text.split('/').enumerate() {
        if at > 0 {
            shown.push('/');
        }
        // What follows a blank belongs to another word.
        let (own, rest) = part.split_at(part.find([' ', '"', ':']).unwrap_or(part.len()));
        shown.push_str(if hidden && !own.is_empty() { "~" } else { own });
        shown.push_str(rest);
        hidden = part == "u" || part == "r";
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_hidden() {
        for (text, expect) in [
            ("https://h:1/u/TOKEN/a.cfg", "https://h:1/u/~/a.cfg"),
            ("https://h/r/SECRET/ok?mac=1", "https://h/r/~/ok?mac=1"),
            (
                "waiting for https://h/u/T/x: is it listed?",
                "waiting for https://h/u/~/x: is it listed?",
            ),
            ("http://h/a.cfg", "http://h/a.cfg"),
        ] {
            assert_eq!(veiled(text), expect);
        }
    }
}
