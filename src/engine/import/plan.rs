//! What a device's rows would do to the inventory. Dry run and commit ask the same function.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::columns::{Field, LineField};
use super::draft::{Account, Draft, Unit};
use super::inventory::Inventory;
use super::join::{self, certain_line};
use super::problem::{Code, Found};
use super::words::{Given, Words};
use crate::catalog::manifest::Family;
use crate::model::device::{Config, Device, Lifecycle, Line};
use crate::model::enrolment::Arming;
use crate::model::identity::DeviceId;
use crate::model::profile::{Value, Variables};
use crate::model::secret::Secret;

/// The profile of a device that names none.
const PROFILE: &str = "default";
/// Lines of a unit whose family does not say how many fit.
const MOST_LINES: u32 = 1000;
/// Numbers of ports above this are no places on a unit.
const MOST_PORTS: u16 = 255;

/// When new units may enrol.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub now: Timestamp,
    pub from: Timestamp,
    pub until: Timestamp,
}

/// What the store holds of a device. Neither `Debug` nor `Clone`: opened secrets are in it.
pub struct Stored {
    pub device: Device,
    /// By field: a variable's name, or `line.N.password`.
    pub secrets: BTreeMap<String, Secret>,
}

/// What becomes of a device's rows.
#[derive(Default)]
pub struct Planned {
    pub outcome: Outcome,
    pub problems: Vec<Found>,
    pub warnings: Vec<Found>,
    /// The rows that the outcome stands for.
    pub rows: Vec<u32>,
}

/// What is done to the inventory.
#[derive(Default)]
pub enum Outcome {
    Create(Box<Change>),
    /// Every row was rejected.
    #[default]
    Nothing,
    /// The store says the same already.
    Unchanged(Box<Device>),
    Update(Box<Device>, Box<Change>),
}

/// A device as it is to be.
pub struct Change {
    pub config: Config,
    /// Secrets that are new or differ from the stored ones, by field.
    pub secrets: Vec<(String, Secret)>,
    /// The record names another unit than before: it is to be armed anew.
    pub another: bool,
}

/// Devices of the inventory that a file spoke of already, by the first row that did. Rows that name
/// one device in two ways cannot both have their say.
#[derive(Debug, Default)]
pub struct Claims(BTreeMap<DeviceId, u32>);

impl Claims {
    /// Notes whose rows these are; where another row was first, nothing is done and that is told.
    pub fn check(&mut self, planned: &mut Planned) {
        let (Outcome::Unchanged(device) | Outcome::Update(device, _)) = &planned.outcome else {
            return;
        };
        let Some(row) = planned.rows.first() else {
            return;
        };
        let first = *self.0.entry(device.id).or_insert(*row);
        if first != *row {
            let text = format!("row {first} names the same device in another way");
            let rows = planned.rows.iter();
            let told = rows.map(|row| Found::row(Code::SerialConflict, *row, text.clone()));
            planned.problems.extend(told);
            planned.warnings.clear();
            planned.outcome = Outcome::Nothing;
        }
    }

    /// Notes a device that a row made.
    pub fn made(&mut self, id: DeviceId, row: u32) {
        self.0.entry(id).or_insert(row);
    }
}

/// The field of a line's password.
pub fn password_field(n: u16) -> String {
    format!("line.{n}.password")
}

/// Plans the rows of one device against what the store holds under its MAC and its serial.
pub fn plan(
    inventory: &Inventory,
    mut drafts: Vec<Draft>,
    stored: &[&Stored],
    terms: Terms,
) -> Planned {
    let mut planned = Planned::default();
    while !drafts.is_empty() {
        let attempt = Attempt {
            inventory,
            words: inventory.words(),
            unit: join::unit(&drafts),
            drafts: &drafts,
            terms,
        };
        match attempt.run(stored, &mut planned.warnings) {
            Ok(outcome) => {
                planned.outcome = outcome;
                planned.rows = drafts.iter().map(|draft| draft.row).collect();
                break;
            }
            // The rows that are right go on without those that are wrong.
            Err(found) => {
                let wrong: BTreeSet<u32> = found.iter().map(|found| found.row).collect();
                drafts.retain(|draft| !wrong.contains(&draft.row));
                planned.problems.extend(found);
                planned.warnings.clear();
            }
        }
    }
    planned
}

struct Attempt<'a> {
    inventory: &'a Inventory,
    words: &'a Words,
    unit: Unit,
    drafts: &'a [Draft],
    terms: Terms,
}

impl Attempt<'_> {
    fn run(&self, stored: &[&Stored], warnings: &mut Vec<Found>) -> Result<Outcome, Vec<Found>> {
        let stored = self.holder(stored)?;
        let old = stored.map(|stored| &*stored.device.config);
        let (mut config, family) = self.kind(old)?;
        let unit = &self.unit;
        config.mac = unit.mac.or(config.mac);
        config.serial = unit.serial.clone().or(config.serial);
        config.site = unit.site.clone().or(config.site);
        config.user = unit.user.clone().or(config.user);
        put(&mut config.profile, unit.profile.as_ref());
        put(&mut config.groups, unit.groups.as_ref());
        put(&mut config.note, unit.note.as_ref());
        let mut secrets = Vec::new();
        let known = |field: &str| stored.and_then(|stored| stored.secrets.get(field));
        for (name, given) in &unit.variables {
            let value = match given {
                Given::Plain(value) => value.clone(),
                Given::Secret(secret) => {
                    if known(name) != Some(secret) {
                        secrets.push((name.clone(), secret.clone()));
                    }
                    Value::Secret
                }
            };
            config.variables.0.insert(name.clone(), value);
        }
        self.lines(&mut config, family, known, &mut secrets)?;
        let Some(Stored { device, .. }) = stored else {
            self.warn_of_new(&config, family, warnings);
            return Ok(Outcome::Create(Box::new(Change {
                config,
                secrets,
                another: false,
            })));
        };
        let row = self.first_row();
        if device.config.lifecycle != Lifecycle::Listed {
            let text = format!("the device is {}", device.config.lifecycle.as_str());
            warnings.push(Found::row(Code::NotListed, row, text));
        }
        if config == *device.config && secrets.is_empty() {
            return Ok(Outcome::Unchanged(Box::new(device.clone())));
        }
        let another = names_another(&device.config, &config);
        if another && let Lifecycle::Retired | Lifecycle::Replaced = device.config.lifecycle {
            let text = format!("the device is {}", device.config.lifecycle.as_str());
            return Err(self.all(Code::MacConflict, &Field::Mac, &text));
        }
        if another {
            let was = &device.config;
            let text = format!("it was a {} {}", was.vendor, was.model);
            warnings.push(Found::row(Code::ArmedAnew, row, text));
        }
        let rendered = Config {
            note: device.config.note.clone(),
            ..config.clone()
        };
        if rendered != *device.config || !secrets.is_empty() {
            config.changed_at = self.terms.now;
        }
        Ok(Outcome::Update(
            Box::new(device.clone()),
            Box::new(Change {
                config,
                secrets,
                another,
            }),
        ))
    }

    /// The stored device that the rows speak of.
    fn holder<'s>(&self, stored: &[&'s Stored]) -> Result<Option<&'s Stored>, Vec<Found>> {
        let unit = &self.unit;
        let config = |stored: &'s Stored| &stored.device.config;
        let stored = || stored.iter().copied();
        let by_mac = unit
            .mac
            .and_then(|mac| stored().find(|stored| config(stored).mac == Some(mac)));
        let by_serial: Vec<&Stored> = match &unit.serial {
            None => Vec::new(),
            Some(serial) => stored()
                .filter(|stored| config(stored).serial.as_ref() == Some(serial))
                .filter(|stored| {
                    let vendor = unit.vendor.as_ref();
                    vendor.is_none_or(|vendor| *vendor == config(stored).vendor)
                })
                .collect(),
        };
        let id = |stored: &Stored| stored.device.id;
        match (by_mac, by_serial.as_slice()) {
            (Some(one), others) => {
                if let Some(other) = others.iter().find(|other| id(other) != id(one)) {
                    let text = format!("the serial belongs to device {}", id(other));
                    return Err(self.all(Code::SerialConflict, &Field::Serial, &text));
                }
                match (&config(one).serial, &unit.serial) {
                    (Some(known), Some(said)) if known != said => {
                        let text = format!("the device with this MAC has the serial {known}");
                        Err(self.all(Code::SerialConflict, &Field::Serial, &text))
                    }
                    (Some(_) | None, _) => Ok(Some(one)),
                }
            }
            (None, []) => Ok(None),
            (None, [one]) => match (config(one).mac, unit.mac) {
                (Some(known), Some(_)) => {
                    let text = format!("the device with this serial has the MAC {known}");
                    Err(self.all(Code::MacConflict, &Field::Mac, &text))
                }
                (Some(_) | None, _) => Ok(Some(one)),
            },
            (None, [_, _, ..]) => {
                let text = "two vendors' devices have this serial";
                Err(self.all(Code::VendorMissing, &Field::Vendor, text))
            }
        }
    }

    /// The record to begin with, of the right vendor, family and model.
    fn kind(&self, old: Option<&Config>) -> Result<(Config, Option<&Family>), Vec<Found>> {
        let unit = &self.unit;
        let mut config = old.cloned().unwrap_or_else(|| fresh(self.terms));
        let vendor = match (&unit.vendor, old) {
            (Some(vendor), _) => vendor.clone(),
            (None, Some(old)) => old.vendor.clone(),
            (None, None) => {
                let maker = unit
                    .mac
                    .and_then(|mac| self.words.catalog.vendor_of_oui(mac));
                let text = match maker {
                    Some(vendor) => format!(
                        "a new device needs a vendor; the MAC is one of {}'s",
                        vendor.id
                    ),
                    None => "a new device needs a vendor".to_owned(),
                };
                return Err(self.all(Code::VendorMissing, &Field::Vendor, &text));
            }
        };
        let same = old.is_some_and(|old| old.vendor == vendor);
        let model = match &unit.model {
            Some(model) => model.clone(),
            None if same => {
                let listed = self.words.catalog.family(&config.vendor, &config.family);
                return Ok((config, listed.map(|family| &**family)));
            }
            None => {
                let text = "a new device needs a model";
                return Err(self.all(Code::ModelMissing, &Field::Model, text));
            }
        };
        match self.words.model(&vendor, &model) {
            Ok((family, listed)) => {
                // One model may be in two families: a record keeps its own.
                let kept = same && config.model == listed;
                let own = self.words.catalog.family(&vendor, &config.family);
                let family = own.filter(|_| kept).unwrap_or(family);
                config.family.clone_from(&family.id);
                config.vendor = vendor;
                config.model = listed;
                Ok((config, Some(family)))
            }
            Err(text) => Err(self.all(Code::ModelUnknown, &Field::Model, &text)),
        }
    }

    /// Lays what the rows say of lines over the stored ones.
    fn lines<'s>(
        &self,
        config: &mut Config,
        family: Option<&Family>,
        known: impl Fn(&str) -> Option<&'s Secret>,
        secrets: &mut Vec<(String, Secret)>,
    ) -> Result<(), Vec<Found>> {
        let room = family.and_then(|family| family.capacity.lines.of(&config.model));
        let room = room.copied().unwrap_or(MOST_LINES);
        let mut found = Vec::new();
        let mut lines: BTreeMap<u16, Line> = std::mem::take(&mut config.lines)
            .into_iter()
            .map(|line| (line.n, line))
            .collect();
        let mut taken: BTreeSet<u16> = self.certain().collect();
        for draft in self.drafts {
            let plain = (!draft.account.is_empty()).then_some((None, &draft.account));
            let numbered = draft
                .numbered
                .iter()
                .map(|(n, account)| (Some(*n), account));
            for (n, account) in plain.into_iter().chain(numbered) {
                let n = n.unwrap_or_else(|| place(account, &lines, &mut taken, room));
                let wrong = |code, of, text: String| Found {
                    column: self.inventory.header(&Field::Line(of)),
                    ..Found::row(code, draft.row, text)
                };
                if u32::from(n) > room {
                    let text = format!("a {} has {room} lines, and this is line {n}", config.model);
                    found.push(wrong(Code::LineTooMany, LineField::Number, text));
                    continue;
                }
                let line = lines.entry(n).or_insert_with(|| Line {
                    n,
                    enabled: true,
                    ..Line::default()
                });
                lay(line, account);
                if line.user.is_empty() || line.user.contains(char::is_whitespace) {
                    let text = match line.user.is_empty() {
                        true => format!("line {n} has neither a sip_user nor an extension"),
                        false => "an account's name has no blanks".to_owned(),
                    };
                    found.push(wrong(Code::LineInvalid, LineField::User, text));
                }
                if let Some(password) = &account.password {
                    line.has_password = true;
                    let field = password_field(n);
                    if known(&field) != Some(password) {
                        secrets.push((field, password.clone()));
                    }
                }
            }
        }
        config.lines = lines.into_values().collect();
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// Numbers of lines that the rows give themselves.
    fn certain(&self) -> impl Iterator<Item = u16> {
        self.drafts.iter().flat_map(|draft| {
            let plain = (!draft.account.is_empty()).then(|| certain_line(&draft.account));
            let numbered = draft.numbered.keys().copied();
            plain.flatten().into_iter().chain(numbered)
        })
    }

    fn warn_of_new(&self, config: &Config, family: Option<&Family>, warnings: &mut Vec<Found>) {
        let row = self.first_row();
        if config.site.is_none() {
            warnings.push(Found {
                column: self.inventory.header(&Field::Site),
                ..Found::row(Code::NoSite, row, "the device is at no site")
            });
        }
        let room = family.and_then(|family| family.capacity.lines.of(&config.model));
        if config.lines.is_empty() && room.is_some_and(|room| *room > 0) {
            warnings.push(Found::row(Code::NoLines, row, "the device has no line"));
        }
        let maker = config
            .mac
            .and_then(|mac| self.words.catalog.vendor_of_oui(mac));
        if let Some(maker) = maker.filter(|maker| maker.id != config.vendor) {
            let text = format!("the MAC is one of {}'s", maker.id);
            warnings.push(Found {
                column: self.inventory.header(&Field::Mac),
                ..Found::row(Code::VendorOther, row, text)
            });
        }
    }

    fn first_row(&self) -> u32 {
        self.drafts.first().map_or(0, |draft| draft.row)
    }

    /// What is wrong with the device is wrong with all of its rows.
    fn all(&self, code: Code, field: &Field, text: &str) -> Vec<Found> {
        let column: Option<Arc<str>> = self.inventory.header(field);
        let one = |draft: &Draft| Found {
            column: column.clone(),
            ..Found::row(code, draft.row, text)
        };
        self.drafts.iter().map(one).collect()
    }
}

/// The number of an account that a port, a handset or an IPEI places: the stored line that has the
/// same, else the first of its numbers that is free.
fn place(
    account: &Account,
    lines: &BTreeMap<u16, Line>,
    taken: &mut BTreeSet<u16>,
    room: u32,
) -> u16 {
    if let Some(n) = certain_line(account) {
        return n;
    }
    let placed = |line: &Line| line.port.is_some() || line.handset.is_some() || line.ipei.is_some();
    let alike = |line: &Line| {
        line.port == account.port && line.handset == account.handset && line.ipei == account.ipei
    };
    if let Some(line) = lines.values().find(|line| alike(line)) {
        taken.insert(line.n);
        return line.n;
    }
    let free = |n: &u16, taken: &BTreeSet<u16>| {
        !taken.contains(n) && lines.get(n).is_none_or(|line| !placed(line))
    };
    let port = account.port.filter(|port| *port <= MOST_PORTS);
    let wanted = [port, account.handset, account.line];
    let asked = wanted.into_iter().flatten().find(|n| free(n, taken));
    let most = u16::try_from(room).unwrap_or(u16::MAX);
    let next = || (1..=most).find(|n| free(n, taken) && !lines.contains_key(n));
    let n = asked
        .or_else(next)
        .unwrap_or_else(|| most.saturating_add(1));
    taken.insert(n);
    n
}

/// Lays what a row says over a line.
fn lay(line: &mut Line, account: &Account) {
    if let Some(user) = account.user.as_ref().or(account.extension.as_ref()) {
        line.user.clone_from(user);
    }
    // A registrar and a call server are two answers to one question.
    if account.pbx.is_some() {
        line.server = None;
    } else if account.server.is_some() {
        line.pbx = None;
    }
    let texts = [
        (&mut line.auth, &account.auth),
        (&mut line.pbx, &account.pbx),
        (&mut line.server, &account.server),
        (&mut line.display, &account.display),
        (&mut line.label, &account.label),
        (&mut line.ipei, &account.ipei),
    ];
    for (place, said) in texts {
        if said.is_some() {
            place.clone_from(said);
        }
    }
    if line.label.is_none() {
        line.label.clone_from(&account.extension);
    }
    line.port = account.port.or(line.port);
    line.handset = account.handset.or(line.handset);
}

fn put<T: Clone>(place: &mut T, said: Option<&T>) {
    if let Some(said) = said {
        place.clone_from(said);
    }
}

/// Whether a record names another unit than it did. A number that was not known and is, does not.
fn names_another(old: &Config, new: &Config) -> bool {
    let mac = old.mac.is_some() && old.mac != new.mac;
    let serial = old.serial.is_some() && old.serial != new.serial;
    mac || serial || old.vendor != new.vendor || old.model != new.model
}

fn fresh(terms: Terms) -> Config {
    Config {
        mac: None,
        serial: None,
        vendor: String::new(),
        family: String::new(),
        model: String::new(),
        site: None,
        groups: Vec::new(),
        user: None,
        profile: PROFILE.to_owned(),
        variables: Variables::default(),
        lines: Vec::new(),
        keys: Vec::new(),
        lifecycle: Lifecycle::Listed,
        arming: Arming {
            generation: 1,
            from: terms.from,
            until: terms.until,
            open_at: None,
            keys: false,
            without_certificate: false,
            exposed: Vec::new(),
        },
        note: String::new(),
        changed_at: terms.now,
        created_at: terms.now,
        release: false,
        version: 0,
    }
}
