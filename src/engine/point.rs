//! A unit asks where its configuration is, by DHCP or SIP PnP: who it is, what it is told, what is
//! recorded. Pure.
//!
//! Pointers are public: every unit of a recognised family gets them, listed or not (trust.md
//! section 3). Recognition goes by the manifests; where these say nothing or agree, by the
//! inventory record of the MAC or client identifier (design.md section 1). By SIP PnP the inventory
//! does not exist: the unit's own words and the site of its address are all that an answer goes by.

use std::sync::Arc;

use super::boot::{self, Arrival, Beginning};
use super::facts::{DhcpFacts, Facts};
use super::identify::Claims;
use super::known::{Found, Known, World};
use super::reply::{self, Ask, Bases, Reply, Terms};
use super::resolve::Values;
use super::select::stage;
use super::stranger::site_of;
use super::verdict::{AlertDraft, Decision, UnitChange, Verdict, reason};
use crate::catalog::Catalog;
use crate::catalog::manifest::{Family, Reach, Vendor};
use crate::model::activation::{CheckKind, Outcome, State, Step};
use crate::model::device::Device;
use crate::model::event::AlertKind;
use crate::model::identity::{Assurance, Channel, DeviceId, LevelBy, Mac, Serial};

/// Client identifier (RFC 2132 section 9.14).
const CLIENT_ID: u8 = 61;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Who<'a> {
    pub device: Option<&'a Device>,
    pub kind: Option<Kind<'a>>,
    pub trouble: Option<Trouble>,
}

/// Which kind of unit it is, as the live folders have it.
#[derive(Clone, Debug)]
pub struct Kind<'a> {
    pub vendor: &'a Arc<Vendor>,
    pub family: &'a Arc<Family>,
    /// As the family lists it, else as the unit says it.
    pub model: Option<String>,
}

/// Why a unit that may be listed is told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its identifiers point at several units, or contradict the record of one.
    Identifiers(Vec<DeviceId>),
    /// The inventory names one vendor and the unit's own words another: which one they name.
    Vendor(String),
}

/// What a client identifier names: a hardware address, or a text that may be a serial.
pub fn client(dhcp: &DhcpFacts) -> (Option<Mac>, Option<Serial>) {
    match dhcp.options.get(&CLIENT_ID).map(Vec::as_slice) {
        Some([1, address @ ..]) => {
            let octets = <[u8; 6]>::try_from(address).ok();
            (octets.and_then(|octets| Mac::new(octets).ok()), None)
        }
        Some([0, text @ ..]) => {
            let text = std::str::from_utf8(text).ok();
            (
                None,
                text.and_then(|text| Serial::parse(text.trim_end_matches('\0'))),
            )
        }
        Some(_) | None => (None, None),
    }
}

/// Joins what the request says with what the inventory says. By PnP the inventory tells which unit
/// is meant, and has no part in the answer.
pub fn who<'a>(
    channel: Channel,
    claims: &Claims,
    known: &'a Known,
    catalog: &'a Catalog,
) -> Who<'a> {
    let who = listed(claims, known, catalog);
    if channel == Channel::SipPnp && claims.conflict.is_none() {
        return Who {
            kind: of_claims(claims, catalog),
            ..who
        };
    }
    who
}

fn listed<'a>(claims: &Claims, known: &'a Known, catalog: &'a Catalog) -> Who<'a> {
    let nobody = |trouble| Who {
        device: None,
        kind: None,
        trouble: Some(trouble),
    };
    if claims.conflict.is_some() {
        return nobody(Trouble::Identifiers(known.disagreeing.clone()));
    }
    let device = match known.found() {
        Found::Nobody => None,
        Found::Several(ids) => return nobody(Trouble::Identifiers(ids)),
        Found::One(device) if contradicts(device, claims) => {
            return nobody(Trouble::Identifiers(vec![device.id]));
        }
        Found::One(device) => Some(device),
    };
    // A maker's part and a protocol's own name are no words about a vendor against the record.
    let said = claims.vendor.as_deref().filter(|_| !claims.weak);
    let kind = match (device, said) {
        (Some(device), Some(_)) if stage(device, claims, catalog).is_some() => {
            of_claims(claims, catalog)
        }
        (Some(device), Some(said)) if *said != device.config.vendor => {
            return Who {
                device: Some(device),
                kind: None,
                trouble: Some(Trouble::Vendor(said.to_owned())),
            };
        }
        (Some(device), Some(_)) if claims.model.is_none() && !claims.family_named => {
            of_record(device, catalog)
        }
        (Some(device), None) => of_record(device, catalog),
        (Some(_), Some(_)) | (None, _) => of_claims(claims, catalog),
    };
    Who {
        device,
        kind,
        trouble: None,
    }
}

/// A serial that the packet names and the record denies. The port that asks need not have the
/// printed MAC.
fn contradicts(device: &Device, claims: &Claims) -> bool {
    let recorded = device.config.serial.as_ref();
    let said = claims.serial.as_ref();
    said.is_some() && recorded.is_some() && said != recorded
}

fn of_record<'a>(device: &Device, catalog: &'a Catalog) -> Option<Kind<'a>> {
    let config = &device.config;
    let vendor = catalog.vendors.get(&config.vendor)?;
    Some(Kind {
        vendor,
        family: vendor.families.get(&config.family)?,
        model: Some(config.model.clone()),
    })
}

fn of_claims<'a>(claims: &Claims, catalog: &'a Catalog) -> Option<Kind<'a>> {
    let vendor = catalog.vendors.get(claims.vendor.as_deref()?)?;
    let family = vendor.families.get(claims.family.as_deref()?)?;
    let said = claims.model.as_deref();
    Some(Kind {
        vendor,
        family,
        model: said.map(|said| family.model(said).unwrap_or(said).to_owned()),
    })
}

/// The site that a unit is told the bases of: its own, else that of its address, its network, its
/// relay. By PnP that of its address.
pub fn site(facts: &Facts, who: &Who<'_>, world: &World<'_>) -> Option<String> {
    let by_record = facts.channel != Channel::SipPnp;
    let own = who.device.filter(|_| by_record);
    let own = own.and_then(|device| device.config.site.clone());
    let dhcp = facts.dhcp.as_ref();
    let network = || {
        let dhcp = dhcp?;
        let link = || dhcp.link.iter().find_map(|ip| site_of(Some(*ip), world));
        dhcp.site.clone().or_else(link)
    };
    own.or_else(|| site_of(facts.source, world))
        .or_else(network)
        .or_else(|| site_of(dhcp.and_then(|dhcp| dhcp.giaddr), world))
}

/// What a unit of this kind is told.
pub fn reply(
    facts: &Facts,
    claims: &Claims,
    kind: &Kind<'_>,
    bases: &Bases,
    values: &Values,
) -> Reply {
    let dhcp = facts.dhcp.as_ref();
    let ask = Ask {
        mac: claims.mac.or_else(|| dhcp.and_then(|dhcp| dhcp.chaddr)),
        serial: claims.serial.as_ref(),
        model: kind.model.as_deref(),
        firmware: claims.firmware.as_deref(),
        hardware: claims.hardware.as_deref(),
        ip: facts.source,
        options: dhcp.map(|dhcp| &dhcp.options),
    };
    let terms = Terms {
        vendor: kind.vendor,
        family: kind.family,
        bases,
        values,
    };
    match facts.channel {
        Channel::Dhcp => reply::dhcp(&ask, terms),
        Channel::SipPnp => reply::pnp(&ask, terms),
        Channel::Tftp
        | Channel::Http
        | Channel::Https
        | Channel::Registrar
        | Channel::Report
        | Channel::Admin => Reply::default(),
    }
}

/// Decides what a unit is told, and what is recorded of it. `before` is what the unit's present
/// boot began with.
pub fn decide(
    facts: &Facts,
    claims: &Claims,
    who: &Who<'_>,
    (bases, values): (&Bases, &Values),
    before: Option<&Beginning>,
    world: &World<'_>,
) -> Verdict {
    // A source that is neither near nor at a site of ours is a lie, or no unit of ours.
    let routed = facts.pnp.as_ref().is_some_and(|pnp| pnp.routed);
    if routed && site_of(facts.source, world).is_none() {
        return Verdict {
            reason: reason::OUTSIDE,
            ..Verdict::default()
        };
    }
    let looking = facts.dhcp.as_ref().is_some_and(|dhcp| dhcp.observed);
    let (decision, reason) = match (&who.trouble, &who.kind) {
        (Some(_), None) => (Decision::Refuse, reason::DISAGREE),
        (None, None) => (Decision::Refuse, reason::NOT_RECOGNISED),
        (_, Some(_)) if looking => (Decision::Refuse, reason::OBSERVED),
        (_, Some(kind)) if kind.family.reach == Reach::None => (Decision::Refuse, reason::ABSENT),
        (_, Some(kind)) => {
            let reply = reply(facts, claims, kind, bases, values);
            if reply.is_empty() {
                (Decision::Refuse, reason::NO_POINTER)
            } else {
                (Decision::Point(reply), reason::POINTED)
            }
        }
    };
    let mut verdict = Verdict {
        level: Assurance::L0,
        by: match (claims.mac, &claims.serial) {
            (Some(_), _) => LevelBy::Mac,
            (None, Some(_)) => LevelBy::Serial,
            (None, None) => LevelBy::Nothing,
        },
        alerts: alerts(facts, who),
        sighting: who.device.is_none() && who.trouble.is_none() && who.kind.is_some(),
        reason,
        ..Verdict::default()
    };
    verdict.unit = who
        .device
        .map(|device| contact(facts, claims, device, who, &decision, before, world));
    verdict.decision = decision;
    verdict
}

fn alerts(facts: &Facts, who: &Who<'_>) -> Vec<AlertDraft> {
    let asked = facts.source.map(|ip| ip.to_string());
    let chaddr = facts.dhcp.as_ref().and_then(|dhcp| dhcp.chaddr);
    let places: Vec<String> = asked
        .into_iter()
        .chain(chaddr.map(|mac| mac.to_string()))
        .collect();
    let draft = |device, text: String| AlertDraft {
        kind: AlertKind::IdentifiersDisagree,
        device,
        places: places.clone(),
        text,
    };
    let channel = facts.channel.as_str();
    let told = match who.kind {
        Some(_) => "it was told what any unit is told that says so",
        None => "it was told nothing",
    };
    match (&who.trouble, who.device) {
        (Some(Trouble::Identifiers(ids)), _) => {
            let text = format!("a request by {channel} named this unit and another one: {told}");
            ids.iter().map(|id| draft(*id, text.clone())).collect()
        }
        (Some(Trouble::Vendor(said)), Some(device)) => {
            let listed = &device.config.vendor;
            let text = format!(
                "the inventory says {listed}, what it sends by {channel} says {said}: {told}"
            );
            vec![draft(device.id, text)]
        }
        (Some(Trouble::Vendor(_)) | None, _) => Vec::new(),
    }
}

/// A contact of a listed unit: the check, and the boot that it begins or belongs to.
fn contact(
    facts: &Facts,
    claims: &Claims,
    device: &Device,
    who: &Who<'_>,
    decision: &Decision,
    before: Option<&Beginning>,
    world: &World<'_>,
) -> UnitChange {
    let now = world.now;
    let mut status = device.status_copy();
    let first = status.activation.state == State::Expected;
    status.activation.step(Step::Contact, "", now);
    let pointed = matches!(decision, Decision::Point(_));
    let handed = who
        .kind
        .as_ref()
        .is_some_and(|kind| kind.family.reach == Reach::Pointer);
    if pointed && handed {
        status.activation.step(Step::HandedOver, "", now);
    }
    let arrival = arrival(facts);
    let (boot, begun) = boot::arrive(&mut status, &arrival, before, world.fresh_boot, now);
    let seen = &mut status.seen;
    if seen.ip.is_none() {
        seen.ip = facts.source;
    }
    if let Some(firmware) = &claims.firmware {
        seen.firmware = Some(firmware.clone());
    }
    if let Some(dhcp) = &facts.dhcp {
        seen.relay.clone_from(&dhcp.port);
        seen.asking_mac = dhcp.chaddr.filter(|mac| Some(*mac) != device.config.mac);
    }
    seen.at = Some(now);
    let outcome = match decision {
        Decision::Point(_) => Outcome::Pass,
        Decision::Refuse if facts.dhcp.as_ref().is_some_and(|dhcp| dhcp.observed) => Outcome::Pass,
        Decision::Refuse | Decision::Bootstrap(_) | Decision::Serve(_) => Outcome::Refused,
    };
    UnitChange {
        id: device.id,
        status: Box::new(status),
        boot,
        kind: CheckKind::Seen,
        outcome,
        revision: None,
        before_answer: false,
        // A lease is renewed, and a packet sent again, without a word in the record.
        quiet: !(begun || first || arrival.is_told()),
    }
}

/// What a packet means for the unit's boots.
pub fn arrival(facts: &Facts) -> Arrival {
    if let Some(pnp) = &facts.pnp {
        return Arrival::Subscribe(pnp.call_id.clone());
    }
    match &facts.dhcp {
        Some(dhcp) if dhcp.begins() => Arrival::Link(dhcp.segment()),
        Some(_) | None => Arrival::Within,
    }
}
