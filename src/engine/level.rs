//! How well a request proved which unit it is, and where it came from (trust.md sections 1 and 4).

use super::facts::Facts;
use super::identify::{CertificateClaim, Claims};
use super::known::{Known, World};
use super::prefix;
use crate::catalog::manifest::{Always, Family};
use crate::model::device::{Device, Status};
use crate::model::enrolment::Place;
use crate::model::identity::{Assurance, Channel, LevelBy};
use crate::model::lease::{Lease, LeaseSource};
use crate::model::site::{Corroborate, Doubt, Site};

/// A level, what it rests on, and the place that it was asked from.
#[derive(Clone, Debug, Default)]
pub struct Proven {
    pub level: Assurance,
    pub by: LevelBy,
    pub place: Place,
    /// A token of an earlier or void generation was shown.
    pub stale_token: bool,
    /// The token is this unit's own and in force, whatever the transport.
    pub token: bool,
    /// The prefix of its site would have been the proof, and is believed no more.
    pub doubt: Option<Doubt>,
    /// Its maker's certificate was shown, and not the one that the record is bound to.
    pub other_certificate: bool,
}

/// The level of a request that claims to be `device`.
pub fn prove(
    facts: &Facts,
    claims: &Claims,
    known: &Known,
    device: &Device,
    status: &Status,
    family: &Family,
    world: &World<'_>,
) -> Proven {
    let site = device
        .config
        .site
        .as_ref()
        .and_then(|name| world.sites.get(name));
    let lease = known
        .lease
        .as_ref()
        .filter(|lease| ties(lease, device, family) && lease.until > world.now);
    let nat = site.is_some_and(|site| site.nat);
    let mut proven = Proven {
        level: Assurance::L0,
        by: claimed(claims),
        place: place(facts, device, site, lease),
        ..Proven::default()
    };
    if let Some(lease) = lease.filter(|_| !nat) {
        proven.level = Assurance::L1;
        proven.by = match lease.source {
            LeaseSource::Own => LevelBy::Lease,
            LeaseSource::Observed => LevelBy::Observed,
        };
    } else if let Some(site) = site.filter(|site| by_prefix(site, facts, device, status, world)) {
        let crowded = prefix::is_crowded(site, known.beside);
        proven.doubt = site
            .doubt
            .or_else(|| crowded.then_some(Doubt::MoreThanExpected));
        if proven.doubt.is_none() {
            proven.level = Assurance::L1;
            proven.by = LevelBy::Prefix;
        }
    }
    if let Some((owner, generation)) = &known.by_token {
        let current = *generation == device.config.arming.generation && !status.ratchet.void;
        proven.stale_token = owner.id == device.id && !current;
        proven.token = owner.id == device.id && current;
        if proven.token && facts.channel == Channel::Https {
            proven.level = Assurance::L2;
            proven.by = LevelBy::Token;
        }
    }
    if let Some(certificate) = claims
        .certificate
        .as_ref()
        .filter(|_| facts.channel == Channel::Https)
        && attests(certificate, device)
    {
        let bound = status.ratchet.certificate;
        proven.level = if bound.is_some() && bound == certificate.fingerprint {
            Assurance::L4
        } else {
            Assurance::L3
        };
        proven.other_certificate = bound.is_some() && bound != certificate.fingerprint;
        proven.by = LevelBy::Certificate;
        proven.place.certificate = certificate.fingerprint;
    }
    proven
}

/// Whether a chain of the unit's own vendor names this very unit and nothing else.
pub fn attests(certificate: &CertificateClaim, device: &Device) -> bool {
    let config = &device.config;
    let mac = certificate.mac.map(|mac| config.mac == Some(mac));
    let serial = certificate
        .serial
        .as_ref()
        .map(|serial| config.serial.as_ref() == Some(serial));
    let named = mac == Some(true) || serial == Some(true);
    // A record that has no serial is not contradicted by one in the certificate.
    let contradicted = (mac == Some(false) && config.mac.is_some())
        || (serial == Some(false) && config.serial.is_some());
    !certificate.shared && certificate.verified.contains(&config.vendor) && named && !contradicted
}

/// Whether every unit of this kind carries a factory certificate that we can check.
pub fn certificate_expected(always: &[&Always], device: &Device, world: &World<'_>) -> bool {
    let carries = always.iter().any(|always| match always {
        Always::All => true,
        Always::Models(models) => models.contains(&device.config.model),
        Always::None => false,
    });
    carries
        && world.anchored.contains(&device.config.vendor)
        && !device.config.arming.without_certificate
}

/// A place in words, for alerts.
pub fn told(place: &Place) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(place.site.as_ref().map(|site| format!("site {site}")));
    words.extend(place.lease.map(|mac| format!("the lease of {mac}")));
    words.extend(place.port.as_ref().map(|port| {
        let hex = |octets: &[u8]| -> String {
            octets.iter().map(|octet| format!("{octet:02x}")).collect()
        };
        let named = port.named().map(|name| format!(" ({name})"));
        format!(
            "relay port {}{} of {}",
            hex(&port.circuit),
            named.unwrap_or_default(),
            hex(&port.remote)
        )
    }));
    words.extend(
        place
            .certificate
            .map(|digest| format!("certificate {digest}")),
    );
    words.extend(
        place
            .prefix
            .as_ref()
            .map(|prefix| format!("within {prefix}")),
    );
    if words.is_empty() {
        words.push("a place that nobody knows".to_owned());
    }
    words.join(", ")
}

fn claimed(claims: &Claims) -> LevelBy {
    match (claims.mac, &claims.serial) {
        (Some(_), _) => LevelBy::Mac,
        (None, Some(_)) => LevelBy::Serial,
        (None, None) => LevelBy::Nothing,
    }
}

/// A lease ties its address to the MAC, to one within the family's offset, or to the serial that
/// the client's own packet named.
fn ties(lease: &Lease, device: &Device, family: &Family) -> bool {
    let config = &device.config;
    let printed = config.mac;
    let by_mac = printed.is_some_and(|printed| family.asks_by(&config.model, printed, lease.mac));
    by_mac || (lease.serial.is_some() && lease.serial == config.serial)
}

/// Whether the prefix is the proof for this unit, as far as it is believed.
fn by_prefix(
    site: &Site,
    facts: &Facts,
    device: &Device,
    status: &Status,
    world: &World<'_>,
) -> bool {
    let inside = facts
        .source
        .is_some_and(|ip| site.prefixes.iter().any(|prefix| prefix.contains(&ip)));
    let arming = &device.config.arming;
    let armed = arming.from <= world.now && world.now <= arming.until;
    let open = status.window.closed_at.is_none()
        && status
            .window
            .open_until
            .is_some_and(|until| world.now < until);
    // A unit that was served here may come back for a change that a person made (section 4).
    let served = status.ratchet.served_at.is_some();
    site.corroborate == Corroborate::Prefix && !site.nat && inside && (armed || open || served)
}

fn place(facts: &Facts, device: &Device, site: Option<&Site>, lease: Option<&Lease>) -> Place {
    let prefix = site.and_then(|site| {
        let ip = facts.source?;
        site.prefixes
            .iter()
            .find(|prefix| prefix.contains(&ip))
            .map(ToString::to_string)
    });
    Place {
        site: device.config.site.clone(),
        certificate: None,
        port: lease.and_then(|lease| lease.port.clone()),
        lease: lease.map(|lease| lease.mac),
        prefix,
    }
}
