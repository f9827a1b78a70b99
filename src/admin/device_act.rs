//! What can be done to a device, as plans: the row as it would be, and nothing stored.

use jiff::Timestamp;

use super::device_fields::{ARM_FOR, SecretChange, Wanted, draft, note_error, unknown_site};
use super::next_step::name_of;
use super::{Code, Lens, Problem, behind, time};
use crate::model::device::{Config, Device, Lifecycle, Status};
use crate::model::identity::Assurance;
use crate::store::Keys;

/// One thing to do to a device. Not `Debug`: a change may hold secrets.
pub enum Action {
    Arm(Arm),
    Disarm,
    Suspend,
    Resume,
    Release,
    Retire,
    /// To another site, or to none.
    Move(Option<String>),
    Note(String),
    Set(Box<Wanted>),
    Delete,
}

/// How a unit is armed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arm {
    /// `60d` where it is `None`.
    pub duration: Option<String>,
    /// Now where it is `None`.
    pub from: Option<String>,
    /// The window opens now.
    pub open: bool,
    /// A person confirmed this very unit.
    pub keys: bool,
    /// It may enrol although its kind carries a factory certificate.
    pub without_certificate: bool,
}

impl Action {
    /// How the audit trail calls it.
    pub fn audit_name(&self) -> &'static str {
        match self {
            Self::Arm(_) => "device.arm",
            Self::Disarm => "device.disarm",
            Self::Suspend => "device.suspend",
            Self::Resume => "device.resume",
            Self::Release => "device.release",
            Self::Retire => "device.retire",
            Self::Move(_) => "device.move",
            Self::Note(_) => "device.note",
            Self::Set(_) => "device.set",
            Self::Delete => "device.delete",
        }
    }
}

/// What becomes of the row.
pub(crate) enum Next {
    Put(Box<Config>),
    Gone,
}

/// A device's row as it would be.
pub(crate) struct Plan {
    pub(crate) next: Next,
    pub(crate) secrets: Vec<SecretChange>,
    /// It is armed anew: what was alarmed of it is over, and no certificate is bound to the record.
    pub(crate) anew: bool,
    /// Something that is rendered changes.
    pub(crate) rendered: bool,
    /// Names of what changes, for the audit trail.
    pub(crate) changes: Vec<String>,
}

impl Plan {
    fn put(config: Config) -> Self {
        Self {
            next: Next::Put(Box::new(config)),
            secrets: Vec::new(),
            anew: false,
            rendered: false,
            changes: Vec::new(),
        }
    }
}

/// What `action` makes of a device.
pub(crate) fn plan(
    lens: &Lens,
    keys: &Keys,
    device: &Device,
    action: &Action,
) -> Result<Plan, Problem> {
    let status = device.status_now();
    let mut config = Config::clone(&device.config);
    let now = lens.now;
    match action {
        Action::Arm(arm) => {
            out_of_service(device)?;
            arm_anew(&mut config, &status, arm, now)?;
        }
        Action::Disarm => disarm(&mut config, &status, now),
        Action::Suspend => {
            out_of_service(device)?;
            config.lifecycle = Lifecycle::Suspended;
        }
        Action::Resume => match config.lifecycle {
            Lifecycle::Listed => {}
            Lifecycle::Suspended => config.lifecycle = Lifecycle::Listed,
            Lifecycle::Retired | Lifecycle::Replaced => {
                // What it was given is void; a person arms it.
                config.lifecycle = Lifecycle::Listed;
                config.release = false;
                raise(&mut config, &status);
                shut(&mut config, now);
            }
        },
        Action::Release => {
            out_of_service(device)?;
            config.release = true;
        }
        Action::Retire => {
            let out = matches!(config.lifecycle, Lifecycle::Retired | Lifecycle::Replaced);
            if !out {
                config.lifecycle = Lifecycle::Retired;
                // A unit that was served may be pinned although it never asked at its token URL yet.
                let served = status.served_whole_at.is_some();
                config.release = served || status.ratchet.mark >= Assurance::L2;
                shut(&mut config, now);
            }
        }
        Action::Move(site) => {
            if let Some(error) = site.as_ref().and_then(|site| unknown_site(lens, site)) {
                return Err(error.into());
            }
            config.site.clone_from(site);
        }
        Action::Note(note) => {
            if let Some(error) = note_error(note) {
                return Err(error.into());
            }
            config.note.clone_from(note);
        }
        Action::Set(wanted) => return set(lens, keys, device, &status, wanted),
        Action::Delete => {
            return Ok(Plan {
                next: Next::Gone,
                ..Plan::put(config)
            });
        }
    }
    let mut plan = Plan::put(config.clone());
    plan.rendered = rendered(&device.config, &config);
    plan.changes = changes(&device.config, &config);
    plan.anew = matches!(action, Action::Arm(_));
    Ok(plan)
}

fn set(
    lens: &Lens,
    keys: &Keys,
    device: &Device,
    status: &Status,
    wanted: &Wanted,
) -> Result<Plan, Problem> {
    let draft = draft(lens, keys, device.id, Some(&device.config), wanted)?;
    let mut config = draft.config;
    if draft.another {
        out_of_service(device)?;
        arm_anew(&mut config, status, &Arm::default(), lens.now)?;
    }
    Ok(Plan {
        rendered: rendered(&device.config, &config),
        changes: changes(&device.config, &config),
        secrets: draft.secrets,
        anew: draft.another,
        ..Plan::put(config)
    })
}

/// A unit that was taken out of service is brought back by its own verb only.
fn out_of_service(device: &Device) -> Result<(), Problem> {
    match device.config.lifecycle {
        Lifecycle::Listed | Lifecycle::Suspended => Ok(()),
        lifecycle @ (Lifecycle::Retired | Lifecycle::Replaced) => Err(Problem::new(
            Code::WrongState,
            format!("the device is {}", lifecycle.as_str()),
        )
        .hint(format!(
            "bring it back first: dialtone device resume {}",
            name_of(device.id, &device.config)
        ))),
    }
}

/// Raises the generation: state `expected`, no mark, no serving, every token of before void.
fn raise(config: &mut Config, status: &Status) {
    let arming = &mut config.arming;
    arming.generation = arming.generation.saturating_add(1);
    for secret in &status.given {
        // A token is void with its generation; only what is good elsewhere is exposed.
        let elsewhere = config.variables.0.contains_key(secret)
            || secret.starts_with("line.")
            || !secret.contains("token");
        if elsewhere && !arming.exposed.contains(secret) {
            arming.exposed.push(secret.clone());
        }
    }
    arming.exposed.sort();
    arming.open_at = None;
    arming.keys = false;
    arming.without_certificate = false;
}

pub(crate) fn arm_anew(
    config: &mut Config,
    status: &Status,
    arm: &Arm,
    now: Timestamp,
) -> Result<(), Problem> {
    raise(config, status);
    config.release = false;
    let arming = &mut config.arming;
    arming.from = match &arm.from {
        Some(text) => time("from", text)?,
        None => now,
    };
    let from = arming.from.max(now);
    arming.until = match &arm.duration {
        Some(text) => behind("for", text, from)?,
        None => from.checked_add(ARM_FOR).unwrap_or(Timestamp::MAX),
    };
    arming.open_at = arm.open.then_some(now);
    arming.keys = arm.keys;
    arming.without_certificate = arm.without_certificate;
    Ok(())
}

/// Ends the arming. A window that is open for a unit that has not proved more is void with it; a
/// unit at its token URL keeps what it has.
fn disarm(config: &mut Config, status: &Status, now: Timestamp) {
    let window = &status.window;
    let open = window.closed_at.is_none() && window.open_until.is_some_and(|until| now < until);
    let armed = config.arming.until > now || config.arming.open_at.is_some();
    if open && status.ratchet.mark < Assurance::L2 {
        raise(config, status);
    }
    if open || armed {
        shut(config, now);
    }
}

fn shut(config: &mut Config, now: Timestamp) {
    let arming = &mut config.arming;
    arming.from = arming.from.min(now);
    arming.until = arming.until.min(now);
    arming.open_at = None;
}

/// Whether a file of the unit could change.
fn rendered(old: &Config, new: &Config) -> bool {
    let mut same = new.clone();
    same.arming = old.arming.clone();
    same.note.clone_from(&old.note);
    same.lifecycle = old.lifecycle;
    same != *old
}

/// Names of the fields that differ; never their values.
fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut names = Vec::new();
    let mut note = |name: &str, differs: bool| {
        if differs {
            names.push(name.to_owned());
        }
    };
    note("mac", old.mac != new.mac);
    note("serial", old.serial != new.serial);
    note("vendor", old.vendor != new.vendor);
    note("family", old.family != new.family);
    note("model", old.model != new.model);
    note("site", old.site != new.site);
    note("groups", old.groups != new.groups);
    note("user", old.user != new.user);
    note("profile", old.profile != new.profile);
    note("lines", old.lines != new.lines);
    note("keys", old.keys != new.keys);
    note("note", old.note != new.note);
    note("lifecycle", old.lifecycle != new.lifecycle);
    note("release", old.release != new.release);
    note("arming", old.arming != new.arming);
    let (before, after) = (&old.variables.0, &new.variables.0);
    for name in before
        .keys()
        .chain(after.keys().filter(|name| !before.contains_key(*name)))
    {
        if before.get(name) != after.get(name) {
            names.push(format!("variables.{name}"));
        }
    }
    names
}
