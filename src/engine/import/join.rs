//! Rows of one MAC or serial as one device with its lines. Where they disagree, the later row is
//! an error.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::columns::{Field, Mapping};
use super::draft::{Account, Draft, Unit};
use super::problem::{Code, Found, shown};
use crate::model::identity::{Mac, Serial};

/// Which rows are one device.
#[derive(Default)]
pub struct Groups {
    heads: Vec<Head>,
    by_mac: HashMap<Mac, usize>,
    by_serial: HashMap<Serial, Vec<usize>>,
}

/// What is known of a device so far.
struct Head {
    row: u32,
    mac: Option<Mac>,
    serial: Option<Serial>,
    vendor: Option<Arc<str>>,
}

impl Groups {
    /// The device that a row belongs to, counted from 0 in the order of their first rows.
    pub fn place(&mut self, draft: &Draft) -> Result<usize, Found> {
        let unit = &draft.unit;
        let by_mac = unit.mac.and_then(|mac| self.by_mac.get(&mac).copied());
        let by_serial = unit.serial.as_ref().and_then(|serial| {
            let listed = self.by_serial.get(serial).into_iter().flatten();
            listed.copied().find(|at| self.fits(*at, unit))
        });
        let at = match (by_mac, by_serial) {
            (Some(one), Some(other)) if one != other => {
                return Err(self.other(other, draft.row, "serial"));
            }
            (Some(at), _) => {
                let known = self.heads.get(at).and_then(|head| head.serial.as_ref());
                if known.is_some() && unit.serial.is_some() && known != unit.serial.as_ref() {
                    return Err(self.other(at, draft.row, "MAC"));
                }
                at
            }
            (None, Some(at)) => {
                let known = self.heads.get(at).and_then(|head| head.mac);
                if known.is_some() && unit.mac.is_some() {
                    return Err(self.other(at, draft.row, "serial"));
                }
                at
            }
            (None, None) => {
                self.heads.push(Head {
                    row: draft.row,
                    mac: None,
                    serial: None,
                    vendor: None,
                });
                self.heads.len() - 1
            }
        };
        self.note(at, unit);
        Ok(at)
    }

    /// One serial may be two vendors'.
    fn fits(&self, at: usize, unit: &Unit) -> bool {
        let known = self.heads.get(at).and_then(|head| head.vendor.as_deref());
        let named = unit.vendor.as_deref();
        known.is_none() || named.is_none() || known == named
    }

    fn note(&mut self, at: usize, unit: &Unit) {
        let Some(head) = self.heads.get_mut(at) else {
            return;
        };
        if let Some(mac) = unit.mac {
            head.mac = Some(mac);
            self.by_mac.insert(mac, at);
        }
        if let (Some(serial), None) = (&unit.serial, &head.serial) {
            head.serial = Some(serial.clone());
            self.by_serial.entry(serial.clone()).or_default().push(at);
        }
        if head.vendor.is_none() {
            head.vendor = unit.vendor.as_deref().map(Arc::from);
        }
    }

    fn other(&self, at: usize, row: u32, what: &str) -> Found {
        let first = self.heads.get(at).map_or(0, |head| head.row);
        let text = match what {
            "MAC" => format!("row {first} has this MAC with another serial"),
            _ => format!("row {first} has this serial with another MAC"),
        };
        Found::row(Code::SerialConflict, row, text)
    }
}

/// What is wrong with a device's rows: those that disagree with an earlier one.
pub fn join(drafts: Vec<Draft>, mapping: &Mapping, headers: &[Arc<str>]) -> Vec<Found> {
    let first = drafts.first().map_or(0, |draft| draft.row);
    let mut found = Vec::new();
    let mut unit = Unit::default();
    let mut places = Places::default();
    for draft in drafts {
        if let Some((field, shows)) = merge(&mut unit.clone(), &draft.unit) {
            let column = mapping
                .column(&field)
                .and_then(|at| headers.get(at))
                .cloned();
            let text = format!("row {first} is the same device and says something else");
            found.push(Found {
                column,
                value: shows.map(|value| shown(&value)),
                ..Found::row(Code::DeviceFieldsDiffer, draft.row, text)
            });
            continue;
        }
        if let Err((code, text)) = places.take(&draft) {
            found.push(Found::row(code, draft.row, text));
            continue;
        }
        // It was tried above.
        merge(&mut unit, &draft.unit);
    }
    found
}

/// What all rows of a device say of it.
pub fn unit(drafts: &[Draft]) -> Unit {
    let mut unit = Unit::default();
    for draft in drafts {
        merge(&mut unit, &draft.unit);
    }
    unit
}

/// Adds what is new in `more`; gives back the first field that disagrees, with its value where it
/// may be shown.
fn merge(unit: &mut Unit, more: &Unit) -> Option<(Field, Option<String>)> {
    fn one<T: Clone + PartialEq>(
        known: &mut Option<T>,
        said: Option<&T>,
        field: Field,
        show: impl Fn(&T) -> String,
    ) -> Option<(Field, Option<String>)> {
        match (&known, said) {
            (Some(known), Some(said)) if known != said => Some((field, Some(show(said)))),
            (Some(_), _) | (None, None) => None,
            (None, Some(said)) => {
                *known = Some(said.clone());
                None
            }
        }
    }
    let text = String::clone;
    let differs = one(&mut unit.mac, more.mac.as_ref(), Field::Mac, Mac::to_string)
        .or_else(|| {
            one(
                &mut unit.serial,
                more.serial.as_ref(),
                Field::Serial,
                Serial::to_string,
            )
        })
        .or_else(|| one(&mut unit.vendor, more.vendor.as_ref(), Field::Vendor, text))
        .or_else(|| one(&mut unit.model, more.model.as_ref(), Field::Model, text))
        .or_else(|| one(&mut unit.site, more.site.as_ref(), Field::Site, text))
        .or_else(|| {
            one(
                &mut unit.profile,
                more.profile.as_ref(),
                Field::Profile,
                text,
            )
        })
        .or_else(|| {
            let groups = more.groups.as_ref();
            one(&mut unit.groups, groups, Field::Group, |groups| {
                groups.join(", ")
            })
        })
        .or_else(|| one(&mut unit.user, more.user.as_ref(), Field::User, text))
        .or_else(|| one(&mut unit.note, more.note.as_ref(), Field::Note, text));
    if differs.is_some() {
        return differs;
    }
    for (name, said) in &more.variables {
        match unit.variables.get(name) {
            Some(known) if known != said => return Some((Field::Var(name.clone()), None)),
            Some(_) => {}
            None => drop(unit.variables.insert(name.clone(), said.clone())),
        }
    }
    None
}

/// `line`, `port`, `handset`, `ipei` of a row.
type Place = (Option<u16>, Option<u16>, Option<u16>, Option<String>);

/// Which lines of a device are spoken of already.
#[derive(Default)]
struct Places {
    rows: BTreeSet<Place>,
    /// Lines whose number is certain.
    lines: BTreeSet<u16>,
}

impl Places {
    /// Nothing is taken where something is wrong.
    fn take(&mut self, draft: &Draft) -> Result<(), (Code, String)> {
        let account = &draft.account;
        let mut certain: BTreeSet<u16> = draft.numbered.keys().copied().collect();
        let plain = !account.is_empty() || draft.numbered.is_empty();
        let own = plain.then(|| certain_line(account)).flatten();
        if let Some(n) = own
            && !certain.insert(n)
        {
            let text = format!("two groups of columns speak of line {n}");
            return Err((Code::LineInvalid, text));
        }
        let row = (
            account.line,
            account.port,
            account.handset,
            account.ipei.clone(),
        );
        if plain && self.rows.contains(&row) {
            let text = "an earlier row is the same device with the same line".to_owned();
            return Err((Code::DuplicateRow, text));
        }
        if let Some(n) = certain.intersection(&self.lines).next() {
            let text = format!("an earlier row is the same device with line {n}");
            return Err((Code::DuplicateRow, text));
        }
        if plain {
            self.rows.insert(row);
        }
        self.lines.extend(certain);
        Ok(())
    }
}

/// The number of an account that no port, handset or IPEI places.
pub fn certain_line(account: &Account) -> Option<u16> {
    let placed = account.port.is_some() || account.handset.is_some() || account.ipei.is_some();
    (!placed).then(|| account.line.unwrap_or(1))
}
