//! Placeholders of a reply's texts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Terms;
use super::pointer::{Pointer, choose};
use crate::catalog::pattern::{self, Found};
use crate::model::identity::{Mac, Serial};
use crate::model::profile::Value;

/// The longest text that is made of placeholders, in octets.
const LONGEST: usize = 4096;

/// What the unit said, and what its record says of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    pub mac: Option<Mac>,
    pub serial: Option<&'a Serial>,
    /// As the family lists it.
    pub model: Option<&'a str>,
    pub firmware: Option<&'a str>,
    pub hardware: Option<&'a str>,
    /// The address that it has, or is offered.
    pub ip: Option<IpAddr>,
    /// Its DHCP options.
    pub options: Option<&'a BTreeMap<u8, Vec<u8>>>,
}

/// A unit's placeholders.
pub(super) struct Fill<'a> {
    terms: Terms<'a>,
    unit: Found,
    ip: Option<IpAddr>,
    pointer: Option<Pointer>,
}

impl<'a> Fill<'a> {
    pub(super) fn new(ask: &Ask<'_>, terms: Terms<'a>) -> Self {
        Self {
            pointer: choose(terms.family, ask.model.unwrap_or_default(), terms.bases),
            unit: Found {
                mac: ask.mac,
                serial: ask.serial.map(|serial| serial.as_str().to_owned()),
                model: ask.model.map(str::to_owned),
                firmware: ask.firmware.map(str::to_owned),
                hardware: ask.hardware.map(str::to_owned),
                ..Found::default()
            },
            ip: ask.ip,
            terms,
        }
    }

    /// The text with its placeholders filled in; `None` where one is unset, and where nothing is
    /// left.
    ///
    /// `[ … ]` is a part that is left out where one of its own is unset.
    pub(super) fn text(&self, text: &str) -> Option<String> {
        let mut made = String::with_capacity(text.len());
        let mut rest = text;
        // Where the part that is open begins in what was made, and whether it stays.
        let mut part: Option<(usize, bool)> = None;
        while let Some(at) = rest.find(['{', '}', '[', ']']) {
            let (plain, after) = rest.split_at(at);
            made.push_str(plain);
            let doubled = ["{{", "}}", "[[", "]]"];
            let doubled = doubled.iter().find(|mark| after.starts_with(**mark));
            rest = match (doubled, part) {
                (Some(mark), _) => {
                    made.push_str(mark.get(1..)?);
                    after.get(2..)?
                }
                (None, None) if after.starts_with('[') => {
                    part = Some((made.len(), true));
                    after.get(1..)?
                }
                (None, Some((begin, stays))) if after.starts_with(']') => {
                    if !stays {
                        made.truncate(begin);
                    }
                    part = None;
                    after.get(1..)?
                }
                (None, _) => {
                    let (name, after) = after.strip_prefix('{')?.split_once('}')?;
                    match (self.placeholder(name), part.as_mut()) {
                        (Some(value), _) => made.push_str(&value),
                        (None, Some((_, stays))) => *stays = false,
                        (None, None) => return None,
                    }
                    after
                }
            };
        }
        made.push_str(rest);
        (part.is_none() && !made.is_empty() && made.len() <= LONGEST).then_some(made)
    }

    fn placeholder(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some((name, table)) = name.split_once('@') {
            let held = self.placeholder(name)?;
            let keys = &self.terms.vendor.tables.get(table)?.0;
            let found = keys
                .iter()
                .find(|(_, values)| values.iter().any(|value| *value == held));
            return found.map(|(key, _)| Cow::from(key.as_str()));
        }
        if let Some(id) = name.strip_prefix("artefact.") {
            let artefact = self.terms.family.artefact(id)?;
            let made = artefact.paths.iter();
            return made
                .filter_map(|path| path.format(&self.unit))
                .map(Cow::from)
                .next();
        }
        match name {
            "pointer" => Some(Cow::from(self.pointer.as_ref()?.url.as_str())),
            "pointer.scheme" => Some(Cow::from(self.pointer.as_ref()?.scheme)),
            "pointer.host" => Some(Cow::from(self.pointer.as_ref()?.host.as_str())),
            "pointer.host_kind" => Some(Cow::from(self.pointer.as_ref()?.host_kind)),
            "pointer.port" => Some(Cow::from(self.pointer.as_ref()?.port.to_string())),
            "pointer.path" => Some(Cow::from(self.pointer.as_ref()?.path.as_str())),
            "tftp" => self.terms.bases.tftp.as_deref().map(Cow::from),
            "ip:hex" => match self.ip? {
                IpAddr::V4(ip) => Some(Cow::from(format!("{:08X}", ip.to_bits()))),
                IpAddr::V6(_) => None,
            },
            _ => {
                let (hole, form) = name.split_once(':').unwrap_or((name, ""));
                let own = pattern::written(hole, form, &self.unit).map(Cow::from);
                own.or_else(|| self.variable(name))
            }
        }
    }

    fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        fn text(value: &Value) -> Option<Cow<'_, str>> {
            match value {
                Value::Text(text) => Some(Cow::from(text.as_str())),
                Value::Int(number) => Some(Cow::from(number.to_string())),
                Value::Bool(on) => Some(Cow::from(if *on { "1" } else { "0" })),
                Value::List(items) => {
                    let texts: Option<Vec<Cow<'_, str>>> = items.iter().map(text).collect();
                    texts.map(|texts| Cow::from(texts.join(",")))
                }
                Value::Secret | Value::Table(_) => None,
            }
        }
        text(&self.terms.values.get(name)?.resolved.value)
    }
}
