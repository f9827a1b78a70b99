//! What the store and the configuration know of a request's unit. No secret is in it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::https::Front;
use crate::model::access::Class;
use crate::model::device::Device;
use crate::model::identity::{BootId, DeviceId, Digest};
use crate::model::lease::Lease;
use crate::model::site::{Site, Waiver};

/// Rows that the claims of one request point to.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub by_mac: Option<Device>,
    pub by_serial: Option<Device>,
    /// The unit that a DHCP client identifier names.
    pub by_client: Option<Device>,
    /// The unit that the token was made for, and the generation it was made in.
    pub by_token: Option<(Device, u32)>,
    pub by_report: Option<(Device, u32)>,
    /// The lease of the source address.
    pub lease: Option<Lease>,
    /// Other units that the prefix of this unit's site was believed for, where the site says how many
    /// it expects.
    pub beside: u32,
    /// Artefact ids refused to this source in its present boot.
    pub refused: BTreeSet<String>,
    /// Units behind identifiers that disagree, for the alert.
    pub disagreeing: Vec<DeviceId>,
}

/// What holds for every request at one moment.
#[derive(Debug)]
pub struct World<'a> {
    pub now: Timestamp,
    /// Names a boot, should one begin.
    pub fresh_boot: BootId,
    pub sites: &'a BTreeMap<String, Site>,
    /// Time zones by site.
    pub zones: &'a BTreeMap<String, TimeZone>,
    pub waivers: &'a [Waiver],
    pub published: &'a BTreeMap<ProfileKey, PublishedAt>,
    /// Vendors with an anchor loaded.
    pub anchored: &'a BTreeSet<String>,
    /// A registrar that could prove registrations is connected.
    pub registrar: bool,
    /// Our HTTPS: where units cannot open it there is no bootstrap.
    pub front: Front<'a>,
}

/// Vendor, family and profile name: what a revision is published for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileKey {
    pub vendor: String,
    pub family: String,
    pub profile: String,
}

/// The revision in force, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedAt {
    pub digest: Digest,
    pub at: Timestamp,
}

/// What a device's values ask for, found by resolving its variables (no secret opened).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Highest class among the values that are set for it.
    pub class: Class,
    /// When a person last changed a layer that it sees.
    pub changed_at: Option<Timestamp>,
}

/// The one device that a request's identifiers agree on.
#[derive(Debug)]
pub enum Found<'a> {
    Nobody,
    One(&'a Device),
    /// Identifiers that point at different devices: a refusal and an alert, never 'first wins'.
    Several(Vec<DeviceId>),
}

impl Known {
    /// Joins what MAC, serial and token point at.
    pub fn found(&self) -> Found<'_> {
        let named = [
            self.by_token.as_ref().map(|(device, _)| device),
            self.by_mac.as_ref(),
            self.by_serial.as_ref(),
            self.by_client.as_ref(),
        ];
        let mut one: Option<&Device> = None;
        let mut ids = Vec::new();
        for device in named.into_iter().flatten() {
            if !ids.contains(&device.id) {
                ids.push(device.id);
            }
            one = one.or(Some(device));
        }
        match (one, ids.len()) {
            (Some(device), 1) => Found::One(device),
            (None, _) => Found::Nobody,
            (Some(_), _) => Found::Several(ids),
        }
    }
}
