//! From what a person wrote of a device to its wanted half: every field checked, all that is wrong
//! told at once. Pure but for the sealing of secrets.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::device_lines::{self, LineChange};
use super::error::nearest;
use super::{Code, FieldError, Lens, Problem, behind, time, variables};
use crate::catalog::manifest::{Family, Vendor};
use crate::config::values;
use crate::model::device::{Config, Key, Lifecycle};
use crate::model::enrolment::Arming;
use crate::model::identity::{DeviceId, Mac, MacError, Serial};
use crate::model::profile::{Value, Variables};
use crate::model::secret::{Sealed, Secret};
use crate::store::{Keys, Owner};

/// How long a new device may enrol where nobody says otherwise.
pub(crate) const ARM_FOR: SignedDuration = SignedDuration::from_hours(60 * 24);
/// Groups of one device.
const MOST_GROUPS: usize = 64;

/// What is wanted of a device. `None` stays as it is; `Some(None)` takes away. Not `Debug`:
/// secrets are in it.
#[derive(Default)]
pub struct Wanted {
    pub mac: Option<Option<String>>,
    pub serial: Option<Option<String>>,
    pub vendor: Option<String>,
    pub model: Option<String>,
    pub family: Option<Option<String>>,
    pub site: Option<Option<String>>,
    pub groups: Option<Vec<String>>,
    pub user: Option<Option<String>>,
    pub profile: Option<String>,
    /// `None` takes one away.
    pub variables: BTreeMap<String, Option<Given>>,
    pub lines: Vec<LineChange>,
    /// Replaces all.
    pub keys: Option<Vec<Key>>,
    pub note: Option<String>,
    /// For a new device only.
    pub arm_for: Option<String>,
    /// For a new device only.
    pub arm_from: Option<String>,
}

/// A value as given: secrets are told from other texts by the vocabulary, later.
pub enum Given {
    /// A text, which may be a secret.
    Text(Secret),
    Other(Value),
    /// `"***"`: as it is.
    Kept,
}

/// A sealed row to be written or taken away.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SecretChange {
    pub(crate) field: String,
    pub(crate) sealed: Option<Sealed>,
}

impl SecretChange {
    /// Seals for the owner's row, or takes away.
    pub(crate) fn of(
        owner: &Owner,
        field: String,
        secret: Option<&Secret>,
        keys: &Keys,
    ) -> Result<Self, Problem> {
        let aad = owner.aad(&field);
        let sealed = secret.map(|secret| keys.seal(secret, &aad)).transpose()?;
        Ok(Self { field, sealed })
    }

    pub(crate) fn gone(field: String) -> Self {
        Self {
            field,
            sealed: None,
        }
    }
}

/// A device as it would be.
pub(crate) struct Draft {
    pub(crate) config: Config,
    pub(crate) secrets: Vec<SecretChange>,
    /// MAC, serial, vendor or model name another unit than before.
    pub(crate) another: bool,
}

/// How a text is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spell {
    /// One word.
    Word,
    /// For people.
    Text,
    Secret,
}

/// Whether a text can stand in a record and in a configuration file.
pub(crate) fn check_text(text: &str, spell: Spell) -> Result<(), String> {
    let most = match spell {
        Spell::Word => 128,
        Spell::Text => 256,
        Spell::Secret => 1024,
    };
    if text.len() > most {
        return Err(format!("it is longer than {most} octets"));
    }
    if text.chars().any(char::is_control) {
        return Err("it has a control character in it".to_owned());
    }
    match spell {
        Spell::Word if text.is_empty() => Err("it is empty".to_owned()),
        Spell::Word if text.contains(char::is_whitespace) => Err("it has a blank in it".to_owned()),
        Spell::Secret if text.is_empty() => Err("it is empty: null takes it away".to_owned()),
        Spell::Word | Spell::Text | Spell::Secret => Ok(()),
    }
}

/// Reads a MAC for a person who typed it.
pub(crate) fn mac(text: &str) -> Result<Mac, FieldError> {
    Mac::parse(text.trim()).map_err(|why| {
        let hint = match why {
            MacError::Form => "write it as 00:15:65:aa:bb:cc, 00-15-65-aa-bb-cc or 001565aabbcc",
            MacError::NotAUnit => "take the one that is printed on the unit",
        };
        FieldError::new("mac", Code::MacInvalid, format!("{text:?} is {why}")).hint(hint)
    })
}

/// Reads a serial.
pub(crate) fn serial(text: &str) -> Result<Serial, FieldError> {
    Serial::parse(text.trim()).ok_or_else(|| {
        let what = format!(
            "{text:?} is not 1 to {} letters, digits and signs",
            Serial::MOST
        );
        FieldError::new("serial", Code::SerialInvalid, what)
            .hint("take the one that is printed on the unit")
    })
}

/// Lays `wanted` over `old`, or makes a new record.
pub(crate) fn draft(
    lens: &Lens,
    keys: &Keys,
    id: DeviceId,
    old: Option<&Config>,
    wanted: &Wanted,
) -> Result<Draft, Problem> {
    let mut errors = Vec::new();
    let mut config = match old {
        Some(old) => old.clone(),
        None => fresh(lens.now),
    };
    identifiers(&mut config, wanted, &mut errors);
    let kind = kind(&mut config, old.is_none(), wanted, lens, &mut errors);
    if let Some(site) = &wanted.site {
        config.site.clone_from(site);
        if let Some(error) = site.as_ref().and_then(|site| unknown_site(lens, site)) {
            errors.push(error);
        }
    }
    if let Some(groups) = &wanted.groups {
        config.groups = sorted_groups(groups, &mut errors);
    }
    if let Some(user) = &wanted.user {
        config.user.clone_from(user);
        if let Some(Err(why)) = user.as_ref().map(|user| values::name(user)) {
            errors.push(FieldError::new("user", Code::ValueInvalid, why));
        }
    }
    if let Some(profile) = &wanted.profile {
        config.profile.clone_from(profile);
    }
    if let Some(note) = &wanted.note {
        config.note.clone_from(note);
        errors.extend(note_error(note));
    }
    let owner = Owner::Device(id);
    let mut secrets = Vec::new();
    variables::merge(
        &mut config.variables,
        &wanted.variables,
        &variables::Row {
            owner: &owner,
            keys,
            lens,
        },
        &mut secrets,
        &mut errors,
    )?;
    device_lines::merge(
        &mut config,
        &wanted.lines,
        &owner,
        keys,
        &mut secrets,
        &mut errors,
    )?;
    if let Some(keys) = &wanted.keys {
        config.keys = device_lines::sorted(keys);
    }
    if let Some(family) = kind {
        device_lines::check_lines(&config, family, lens, &mut errors);
        device_lines::check_keys(&config, family, &mut errors);
    }
    if old.is_none() || wanted.profile.is_some() {
        errors.extend(variables::unknown_profile(lens, &config.profile));
    }
    if old.is_none() {
        errors.extend(first_arming(&mut config, wanted, lens.now).err());
    }
    Problem::unless_clean(errors)?;
    let another = old.is_some_and(|old| names_another(old, &config));
    Ok(Draft {
        config,
        secrets,
        another,
    })
}

fn fresh(now: Timestamp) -> Config {
    Config {
        mac: None,
        serial: None,
        vendor: String::new(),
        family: String::new(),
        model: String::new(),
        site: None,
        groups: Vec::new(),
        user: None,
        profile: "default".to_owned(),
        variables: Variables::default(),
        lines: Vec::new(),
        keys: Vec::new(),
        lifecycle: Lifecycle::Listed,
        arming: Arming {
            generation: 1,
            from: now,
            until: now.checked_add(ARM_FOR).unwrap_or(Timestamp::MAX),
            open_at: None,
            keys: false,
            without_certificate: false,
            exposed: Vec::new(),
        },
        note: String::new(),
        changed_at: now,
        created_at: now,
        release: false,
        version: 0,
    }
}

fn identifiers(config: &mut Config, wanted: &Wanted, errors: &mut Vec<FieldError>) {
    match wanted.mac.as_ref().map(|text| text.as_deref().map(mac)) {
        Some(Some(Ok(mac))) => config.mac = Some(mac),
        Some(Some(Err(error))) => errors.push(error),
        Some(None) => config.mac = None,
        None => {}
    }
    match wanted
        .serial
        .as_ref()
        .map(|text| text.as_deref().map(serial))
    {
        Some(Some(Ok(serial))) => config.serial = Some(serial),
        Some(Some(Err(error))) => errors.push(error),
        Some(None) => config.serial = None,
        None => {}
    }
    let wrong = errors
        .iter()
        .any(|error| matches!(error.code, Code::MacInvalid | Code::SerialInvalid));
    if config.mac.is_none() && config.serial.is_none() && !wrong {
        let text = "a device needs a MAC or a serial number";
        errors.push(FieldError::new("mac", Code::MissingField, text));
    }
}

/// Vendor, family and model by the live catalogue, in its spelling.
fn kind<'a>(
    config: &mut Config,
    new: bool,
    wanted: &Wanted,
    lens: &'a Lens,
    errors: &mut Vec<FieldError>,
) -> Option<&'a Family> {
    let named = wanted.vendor.is_some() || wanted.model.is_some() || wanted.family.is_some();
    if !new && !named {
        return lens.kind(config).map(|(_, family)| &**family);
    }
    let model = wanted.model.clone().unwrap_or_else(|| config.model.clone());
    for (field, text) in [
        ("vendor", wanted.vendor.as_ref()),
        ("model", wanted.model.as_ref()),
    ] {
        if new && text.is_none_or(|text| text.trim().is_empty()) {
            let what = format!("a device needs a {field}");
            errors.push(FieldError::new(field, Code::MissingField, what));
        }
    }
    let vendor = match &wanted.vendor {
        Some(text) => match find_vendor(lens, text) {
            Ok(vendor) => vendor,
            Err(error) => {
                if !text.trim().is_empty() {
                    errors.push(error);
                }
                return None;
            }
        },
        None => lens.catalog.vendors.get(&config.vendor)?,
    };
    if model.trim().is_empty() {
        return None;
    }
    let family = wanted.family.as_ref().and_then(Option::as_deref);
    match find_model(vendor, family, &model) {
        Ok((family, listed)) => {
            config.vendor.clone_from(&vendor.id);
            config.family.clone_from(&family.id);
            config.model = listed;
            Some(family)
        }
        Err(error) => {
            errors.push(error);
            None
        }
    }
}

/// A vendor by its folder's name or one of its names.
pub(crate) fn find_vendor<'a>(lens: &'a Lens, text: &str) -> Result<&'a Vendor, FieldError> {
    let found = lens.catalog.vendor_named(text.trim());
    found.map(|vendor| &**vendor).ok_or_else(|| {
        let vendors = &lens.catalog.vendors;
        let what = format!("there is no vendor {text:?}");
        let hint = match nearest(text, vendors.keys().map(String::as_str)) {
            near if near.is_empty() => {
                let all: Vec<&str> = vendors.keys().map(String::as_str).collect();
                format!("known are {}", all.join(", "))
            }
            near => near,
        };
        FieldError::new("vendor", Code::VendorUnknown, what).hint(hint)
    })
}

/// A model or alias of a vendor, in the listed spelling, within one family where that is named.
pub(crate) fn find_model<'a>(
    vendor: &'a Vendor,
    family: Option<&str>,
    model: &str,
) -> Result<(&'a Family, String), FieldError> {
    let families: Vec<&Family> = match family {
        Some(name) => match vendor.families.get(name) {
            Some(family) => vec![&**family],
            None => {
                let what = format!("{} has no family {name:?}", vendor.id);
                let hint = nearest(name, vendor.families.keys().map(String::as_str));
                return Err(FieldError::new("family", Code::FamilyUnknown, what).hint(hint));
            }
        },
        None => vendor.families.values().map(|family| &**family).collect(),
    };
    let found = families
        .iter()
        .find_map(|family| Some((*family, family.model(model.trim())?.to_owned())));
    found.ok_or_else(|| {
        let known = families
            .iter()
            .flat_map(|family| family.models.iter().chain(family.aliases.keys()));
        let what = format!("{} has no model {model:?}", vendor.id);
        let hint = nearest(model, known.map(String::as_str));
        FieldError::new("model", Code::ModelUnknown, what).hint(hint)
    })
}

/// Says that there is no such site.
pub(crate) fn unknown_site(lens: &Lens, site: &str) -> Option<FieldError> {
    let sites = &lens.settings.sites;
    if sites.contains_key(site) {
        return None;
    }
    let hint = match nearest(site, sites.keys().map(String::as_str)) {
        near if near.is_empty() => format!("dialtone site add {site}"),
        near => near,
    };
    let what = format!("there is no site {site:?}");
    Some(FieldError::new("site", Code::SiteUnknown, what).hint(hint))
}

fn sorted_groups(groups: &[String], errors: &mut Vec<FieldError>) -> Vec<String> {
    for group in groups {
        if let Err(why) = values::name(group) {
            errors.push(FieldError::new("groups", Code::ValueInvalid, why));
        }
    }
    if groups.len() > MOST_GROUPS {
        let what = format!("a device is in at most {MOST_GROUPS} groups");
        errors.push(FieldError::new("groups", Code::ValueInvalid, what));
    }
    // The order is the order in which their variables are laid over each other.
    let mut kept: Vec<String> = Vec::new();
    for group in groups {
        if !kept.contains(group) {
            kept.push(group.clone());
        }
    }
    kept
}

/// Says what is wrong with a note.
pub(crate) fn note_error(note: &str) -> Option<FieldError> {
    let long = note.len() > 4096;
    let odd = note.chars().any(|ch| ch.is_control() && ch != '\n');
    (long || odd).then(|| {
        let what = "a note has at most 4096 octets and no control characters";
        FieldError::new("note", Code::ValueInvalid, what)
    })
}

fn first_arming(config: &mut Config, wanted: &Wanted, now: Timestamp) -> Result<(), FieldError> {
    let arming = &mut config.arming;
    if let Some(text) = &wanted.arm_from {
        arming.from = time("arm_from", text)?;
    }
    let from = arming.from.max(now);
    arming.until = match &wanted.arm_for {
        Some(text) => behind("arm_for", text, from)?,
        None => from.checked_add(ARM_FOR).unwrap_or(Timestamp::MAX),
    };
    Ok(())
}

/// Whether a record names another unit than it did. A number that was not known and is, does not.
fn names_another(old: &Config, new: &Config) -> bool {
    let mac = old.mac.is_some() && old.mac != new.mac;
    let serial = old.serial.is_some() && old.serial != new.serial;
    mac || serial || old.vendor != new.vendor || old.model != new.model
}
