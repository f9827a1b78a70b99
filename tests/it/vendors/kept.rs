//! A file that is kept without its unit's texts and filled with another's is that unit's file, whatever its
//! texts, and nothing of the first unit is in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use dialtone::catalog::inputs::Filled;
use dialtone::catalog::revision::{Shape, Skeleton, Which};
use dialtone::model::access::Grant;
use dialtone::model::identity::{Mac, Serial};
use dialtone::model::profile::Value;
use dialtone::model::secret::Secret;

use super::{Case, cases, vendors};
use crate::render::{Given, folders, open};

/// Characters that one format or another writes in a way of its own.
const TEXTS: [&str; 8] = [
    "plain",
    "p#1",
    "a\"b",
    "<&'",
    " x ",
    "%\\;$(y)",
    "0",
    "M\u{fc}ller",
];
/// What the unit has from whose file a skeleton is made.
const FIRST: &str = "CANARY-A";

/// A text of a unit, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Value(usize),
    Line(usize, usize),
    Key(usize, usize),
    Mac,
    Serial,
}

impl Case {
    /// Of the first lines and keys: the others are treated alike.
    fn places(&self) -> Vec<Place> {
        let mut places = vec![Place::Mac, Place::Serial];
        places.extend((0..self.values.len()).map(Place::Value));
        for at in 0..self.lines.len().min(2) {
            places.extend((0..9).map(|text| Place::Line(at, text)));
        }
        for at in 0..self.keys.len().min(3) {
            places.extend((0..4).map(|text| Place::Key(at, text)));
        }
        places
    }

    /// Another text at a place, if there is one; what was there.
    fn set(&mut self, place: Place, text: &str) -> Option<String> {
        let held = match place {
            Place::Value(at) => match self.values.values_mut().nth(at)? {
                Filled::Secret(secret) => return Some(swap(secret, text)),
                Filled::Plain(Value::Text(held)) => held,
                Filled::Plain(_) => return None,
            },
            Place::Line(at, which) => {
                let line = &mut self.lines[at];
                match which {
                    0 => &mut line.user,
                    1 => line.auth.as_mut()?,
                    2 => line.display.as_mut()?,
                    3 => line.label.as_mut()?,
                    4 => line.server.as_mut()?,
                    5 => line.backup.as_mut()?,
                    6 => line.outbound_proxy.as_mut()?,
                    7 => line.transport.as_mut()?,
                    _ => return Some(swap(line.password.as_mut()?, text)),
                }
            }
            Place::Key(at, which) => {
                let key = &mut self.keys[at];
                match which {
                    0 => &mut key.page,
                    1 => &mut key.kind,
                    2 => &mut key.value,
                    _ => &mut key.label,
                }
            }
            // Of another unit, where the text is none of their kind.
            Place::Mac => {
                let mac = self.mac.as_mut()?;
                let other = Mac::parse(text).or_else(|_| Mac::parse("0e:aa:bb:cc:dd:ee"));
                return Some(std::mem::replace(mac, other.unwrap()).bare());
            }
            Place::Serial => {
                let serial = self.serial.as_mut()?;
                let other = Serial::parse(text).or_else(|| Serial::parse("S3R1AL"));
                let old = std::mem::replace(serial, other.unwrap());
                return Some(old.as_str().to_owned());
            }
        };
        Some(std::mem::replace(held, text.to_owned()))
    }

    fn shape(&self, artefact: &str, which: Which) -> Option<Shape> {
        let inputs = self.inputs(Grant::ALL, false);
        self.revision.shape(artefact, which, &inputs)
    }
}

fn swap(secret: &mut Secret, text: &str) -> String {
    let old = std::mem::replace(secret, Secret::new(text.to_owned()));
    old.expose().to_owned()
}

/// Which texts may differ among the units that share a skeleton: each alone leaves the shape.
fn free(case: &mut Case, artefact: &str, which: Which) -> BTreeSet<Place> {
    let mut free = BTreeSet::new();
    for place in case.places() {
        let Some(own) = case.set(place, "one") else {
            continue;
        };
        let one = case.shape(artefact, which);
        case.set(place, "two");
        if one == case.shape(artefact, which) {
            free.insert(place);
        }
        case.set(place, &own);
    }
    free
}

fn skeleton(case: &Case, artefact: &str, which: Which) -> Option<Skeleton> {
    let inputs = case.inputs(Grant::ALL, false);
    case.revision.skeleton(artefact, which, &inputs)
}

/// How many files could be kept, and how many units' texts of a line or key could differ in them.
fn check(vendor: &str, name: &str) -> (usize, usize) {
    let mut kept = 0;
    let mut shared = 0;
    let mut case = Case::new(vendor, name);
    let revision = Arc::clone(&case.revision);
    for artefact in &revision.family.artefacts {
        let artefact = artefact.id.as_str();
        for which in [Which::Normal, Which::Bootstrap] {
            if case.shape(artefact, which).is_none() {
                continue;
            }
            let free = free(&mut case, artefact, which);
            let own = free.iter().map(|place| (*place, case.set(*place, FIRST)));
            let own: Vec<(Place, Option<String>)> = own.collect();
            let shape = case.shape(artefact, which);
            let skeleton = skeleton(&case, artefact, which);
            let skeleton =
                skeleton.unwrap_or_else(|| panic!("{vendor} {name} {artefact} {which:?}"));
            kept += 1;
            let of_lines = |place: &&Place| matches!(place, Place::Line(..) | Place::Key(..));
            shared += free.iter().filter(of_lines).count();
            for text in TEXTS {
                for place in &free {
                    case.set(*place, text);
                }
                let at = format!("{vendor} {name} {artefact} {which:?} with {text:?}");
                assert_eq!(case.shape(artefact, which), shape, "{at}");
                let inputs = case.inputs(Grant::ALL, false);
                // What a hole cannot hold is rendered.
                let Some(filled) = case.revision.fill_from(artefact, &skeleton, &inputs) else {
                    continue;
                };
                let whole = case.revision.render(artefact, which, &inputs);
                let whole = whole.unwrap_or_else(|error| panic!("{at}: {error}"));
                let filled = String::from_utf8_lossy(&filled.bytes);
                assert_eq!(String::from_utf8_lossy(&whole.bytes), filled, "{at}");
                assert!(!filled.contains(FIRST), "{at}");
            }
            // A text that is not there, and one that a hole cannot hold, make another shape.
            for place in free.iter().filter(|place| matches!(place, Place::Key(..))) {
                for odd in ["", "a\nb"] {
                    case.set(*place, odd);
                    assert_ne!(case.shape(artefact, which), shape, "{place:?}");
                }
                case.set(*place, FIRST);
            }
            for (place, text) in own {
                case.set(place, &text.unwrap());
            }
        }
    }
    (kept, shared)
}

#[test]
fn a_kept_file_is_the_file_of_every_unit_of_its_shape() {
    let mut kept = 0;
    let mut shared = 0;
    for vendor in vendors() {
        for name in cases(&vendor) {
            let (files, texts) = check(&vendor, &name);
            kept += files;
            shared += texts;
        }
    }
    assert!(
        kept > 20 && shared > 400 || std::env::var_os("DIALTONE_VENDOR").is_some(),
        "{kept} {shared}"
    );
}

#[test]
fn a_text_that_a_template_works_on_makes_a_shape_of_its_own() {
    /// Whether units of two colours, or of two users, share a skeleton.
    fn check(template: &str, expect: [bool; 2]) {
        let guarded = "{% if grant.credential and colour is defined %}\nTEMPLATE{% endif %}\n";
        let revision = open(&folders("ini", &guarded.replace("TEMPLATE", template)));
        let shape = |colour: &str, user: &str| {
            let mut given = Given::at(Grant::ALL).with("colour", colour);
            user.clone_into(&mut given.user);
            given.with_inputs(|inputs| revision.shape("config", Which::Normal, inputs))
        };
        let one = shape("red", "214");
        assert!(one.is_some(), "{template}");
        let shared = [shape("blue", "214") == one, shape("red", "215") == one];
        assert_eq!(shared, expect, "{template}");
    }
    let lines = |text: &str| format!("{{% for line in lines %}}{text}{{% endfor %}}");
    check("a = {{ colour }}\n", [true, true]);
    check(
        "{% if colour == \"red\" %}\na = 1\n{% endif %}\n",
        [false, true],
    );
    check("a = {{ colour | upper }}\n", [false, true]);
    check("a = {{ colour | length }}\n", [false, true]);
    check(&lines("a = {{ line.user ~ colour }}\n"), [true, true]);
    check(
        &lines("a = {{ line.user | replace(\"2\", \"\") }}\n"),
        [true, false],
    );
    check(
        &lines("{% if line.user > colour %}\na = 1\n{% endif %}\n"),
        [false, false],
    );
}
