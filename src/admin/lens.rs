//! One moment's view: everything that holds for many devices, read once, and a device seen through
//! it. What is wanted is checked against it too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::revisions::Open;
use super::{Admin, Problem, next_step};
use crate::catalog::Catalog;
use crate::catalog::manifest::{Family, Vendor};
use crate::catalog::site_profile::{DEFAULT, SiteProfile};
use crate::engine::https::{self, Front, Shown, When};
use crate::engine::known::{ProfileKey, PublishedAt};
use crate::engine::lease::Filled;
use crate::engine::outlook::{self, Around, Block};
use crate::engine::resolve::{Sources, Values};
use crate::hub::Bases;
use crate::model::access::Class;
use crate::model::activation::Flag;
use crate::model::device::{Config, Device, Status};
use crate::model::dhcp::Mode;
use crate::model::identity::{Assurance, Digest, Serial};
use crate::model::site::Site;
use crate::store::Settings;

/// What one call looks through.
pub struct Lens {
    pub catalog: Arc<Catalog>,
    pub settings: Arc<Settings>,
    pub anchored: Arc<BTreeSet<String>>,
    pub bases: Arc<Bases>,
    pub now: Timestamp,
    /// By vendor, family and profile, the revision in force.
    pub(crate) open: BTreeMap<(String, String, String), Arc<Open>>,
    /// None: what they decide is no question of this door.
    pub(crate) zones: BTreeMap<String, TimeZone>,
    pub(crate) kinds: BTreeMap<ProfileKey, PublishedAt>,
    /// MACs with a lease, as numbers.
    macs: BTreeSet<u64>,
    serials: BTreeSet<Serial>,
    /// What our DHCP does, and the networks that it looks after.
    dhcp: (Mode, Vec<Filled>),
}

/// A device as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceView {
    pub device: Device,
    /// The seen half of the present arming.
    pub status: Arc<Status>,
    pub flags: Vec<Flag>,
    /// The level that it can reach.
    pub ceiling: Assurance,
    /// The revision in force for it.
    pub target: Option<Digest>,
    /// For a technician; empty where nothing is to be done.
    pub next_step: String,
    /// What keeps it from coming up today.
    pub block: Option<Block>,
}

impl Admin {
    /// Reads what holds for all devices at this moment.
    pub async fn lens(&self) -> Result<Lens, Problem> {
        let hub = self.hub();
        let now = hub.now();
        let leases = hub.store.leases().await?;
        let settings = hub.store.settings()?;
        let rows = settings.published.iter();
        let open = self
            .reads_of(rows.map(|(kind, row)| (kind.clone(), row.digest)))
            .await?;
        let dhcp = {
            let board = hub.dhcp.lock().unwrap_or_else(PoisonError::into_inner);
            (board.mode, board.filled.clone())
        };
        let good = || leases.iter().filter(|lease| lease.until > now);
        Ok(Lens {
            catalog: hub.catalog.load_full(),
            settings,
            open,
            zones: BTreeMap::new(),
            kinds: BTreeMap::new(),
            anchored: hub.anchored.load_full(),
            bases: hub.bases.load_full(),
            now,
            dhcp,
            macs: good().map(|lease| lease.mac.number()).collect(),
            serials: good().filter_map(|lease| lease.serial.clone()).collect(),
        })
    }
}

impl Lens {
    /// The vendor and family of a record, as the live folders have them.
    pub fn kind(&self, config: &Config) -> Option<(&Arc<Vendor>, &Arc<Family>)> {
        let vendor = self.catalog.vendors.get(&config.vendor)?;
        Some((vendor, vendor.families.get(&config.family)?))
    }

    /// The site of a record.
    pub fn site(&self, config: &Config) -> Option<&Site> {
        self.settings.sites.get(config.site.as_ref()?)
    }

    /// Our HTTPS, as units know it.
    pub fn front(&self) -> Front<'_> {
        Front {
            base: self.bases.https.as_deref(),
            certified: &self.bases.certified,
        }
    }

    /// Whether the unit would come up if it were plugged in now, else what keeps it.
    pub fn outlook(&self, device: &Device) -> Result<(), Block> {
        let config = &device.config;
        let Some((vendor, family)) = self.kind(config) else {
            let family = format!("{} {}", config.vendor, config.family);
            return Err(Block::NotServed { family });
        };
        let site = self.site(config);
        let own = |url: fn(&Site) -> &Option<String>| site.is_some_and(|site| url(site).is_some());
        outlook::outlook(
            device,
            &Around {
                vendor,
                family,
                site,
                waivers: &self.settings.waivers,
                anchored: &self.anchored,
                shown: self.front().at(site),
                http: self.bases.http.is_some() || own(|site| &site.public_http_url),
                leased: self.leased(config, family)
                    || site.is_some_and(|site| self.leases_at(site)),
                class: self.class(config),
                now: self.now,
            },
        )
    }

    /// The device with all that is worked out from it.
    pub fn view(&self, device: Device) -> DeviceView {
        let status = device.status_now();
        let block = self.outlook(&device).err();
        let kind = self.kind(&device.config);
        let ceiling = kind.map_or(Assurance::L0, |(vendor, family)| {
            let model = &device.config.model;
            let certified = self.anchored.contains(&vendor.id)
                && outlook::carries_certificate(vendor, model)
                && https::opens(family, model, Shown::Public, When::Told).is_ok();
            if certified {
                Assurance::L4
            } else {
                outlook::ceiling(family, model)
            }
        });
        let key = kind_of(&device.config);
        DeviceView {
            flags: flags(&device, &status, block.as_ref()),
            ceiling,
            target: self.settings.published.get(&key).map(|row| row.digest),
            next_step: next_step::next_step(
                &device,
                &status,
                block.as_ref(),
                kind.map(|(_, family)| &**family),
            ),
            block,
            status,
            device,
        }
    }

    /// Whether our DHCP will see the leases of a site's units, so that each comes with its proof.
    fn leases_at(&self, site: &Site) -> bool {
        let (mode, networks) = &self.dhcp;
        let here = |network: &Filled| match &network.site {
            Some(name) => *name == site.name,
            None => site
                .prefixes
                .iter()
                .any(|prefix| prefix.contains(&IpNet::V4(network.net))),
        };
        matches!(mode, Mode::Server | Mode::Observe) && networks.iter().any(here)
    }

    /// Whether a lease ties an address to this unit.
    fn leased(&self, config: &Config, family: &Family) -> bool {
        let reach = family.mac_offset.of(&config.model).copied().unwrap_or(0);
        let by_mac = config.mac.is_some_and(|mac| {
            let printed = mac.number();
            let other = printed.saturating_add_signed(reach);
            let (low, high) = (printed.min(other), printed.max(other));
            self.macs.range(low..=high).next().is_some()
        });
        let serial = config.serial.as_ref();
        by_mac || serial.is_some_and(|serial| self.serials.contains(serial))
    }

    /// What a unit sees: by its revision, or by the folders where nothing is in force for it yet.
    pub(crate) fn values(&self, config: &Config) -> Values {
        self.sources(config, &SiteProfile::default()).values()
    }

    /// The highest class among the values that are set for a unit and that its files read.
    fn class(&self, config: &Config) -> Class {
        let open = self.open.get(&kind_of(config));
        let reads = |name: &str| open.is_none_or(|open| open.reads.contains(name));
        let empty = SiteProfile::default();
        self.sources(config, &empty).needs(reads, None).class
    }

    /// `empty` stands for a profile that is not there.
    fn sources<'a>(&'a self, config: &'a Config, empty: &'a SiteProfile) -> Sources<'a> {
        let scopes = &self.settings.scopes;
        match self.open.get(&kind_of(config)) {
            Some(open) => Sources::of(config, scopes, &open.revision),
            None => {
                let profiles = &self.catalog.profiles;
                let named = profiles.get(&config.profile);
                let profile = named.or_else(|| profiles.get(DEFAULT));
                Sources {
                    config,
                    scopes,
                    profile: profile.map_or(empty, |profile| profile),
                    vocabulary: &self.catalog.vocabulary,
                }
            }
        }
    }
}

/// What a revision is published for.
pub(crate) fn kind_of(config: &Config) -> (String, String, String) {
    (
        config.vendor.clone(),
        config.family.clone(),
        config.profile.clone(),
    )
}

/// The flags that were raised when the unit asked, and those that the record alone raises.
fn flags(device: &Device, status: &Status, block: Option<&Block>) -> Vec<Flag> {
    let mut activation = status.activation.clone();
    let on = |code: &str| block.is_some_and(|block| block.code() == code);
    // A waiver or a confirmation may have come after the unit's last request.
    activation.flag(Flag::NeedsWaiver, on("needs-waiver"));
    activation.flag(Flag::NeedsConfirmation, on("needs-confirmation"));
    if on("needs-corroboration") || on("prefix-doubted") {
        activation.flag(Flag::NeedsCorroboration, true);
    }
    if !device.config.arming.exposed.is_empty() {
        activation.flag(Flag::Exposed, true);
    }
    activation.flags
}
