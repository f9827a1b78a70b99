//! What a unit may have at the level that it proved (trust.md sections 2 to 5).

use super::https::{self, When};
use super::known::World;
use super::verdict::reason;
use super::window::Gate;
use crate::catalog::manifest::Family;
use crate::model::access::Grant;
use crate::model::device::Device;
use crate::model::identity::{Assurance, Channel};

/// What goes into the judgement besides the level.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    pub channel: Channel,
    pub level: Assurance,
    /// Units of this kind carry a factory certificate, and this one showed none.
    pub certificate_expected: bool,
}

/// The classes of an answer, and why `credential` is not among them.
pub fn grant(
    device: &Device,
    family: &Family,
    circumstances: Circumstances,
    gate: &Gate,
    world: &World<'_>,
) -> (Grant, Option<&'static str>) {
    let Circumstances {
        channel,
        level,
        certificate_expected,
    } = circumstances;
    let mut grant = Grant {
        site: level >= Assurance::L1,
        ..Grant::PUBLIC
    };
    let missing = match level {
        Assurance::L0 => Some(reason::NEEDS_CORROBORATION),
        Assurance::L1 => match gate {
            Gate::Shut => Some(reason::WINDOW),
            Gate::OtherPlace => Some(reason::OTHER_PLACE),
            Gate::Open if certificate_expected => Some(reason::CERTIFICATE_EXPECTED),
            Gate::Open if channel == Channel::Https => None,
            Gate::Open if waived(device, world) => None,
            Gate::Open if opens_https(family, device, world) => Some(reason::PLAIN),
            Gate::Open => Some(reason::NEEDS_WAIVER),
        },
        Assurance::L2 | Assurance::L3 | Assurance::L4 => {
            (channel != Channel::Https).then_some(reason::PLAIN)
        }
    };
    grant.credential = missing.is_none();
    let site = device.config.site.as_ref();
    let keys_at_l2 = device.config.arming.keys
        || site
            .and_then(|name| world.sites.get(name))
            .is_some_and(|site| site.keys_at_l2);
    grant.key = grant.credential
        && match level {
            Assurance::L0 | Assurance::L1 => false,
            Assurance::L2 => keys_at_l2,
            Assurance::L3 | Assurance::L4 => true,
        };
    // Outside its window a listed unit gets what an unlisted one with a lease gets.
    if level == Assurance::L1 && matches!(gate, Gate::Shut | Gate::OtherPlace) {
        grant.site = false;
    }
    (grant, missing)
}

/// Whether a person said that this model may have credentials over a plain transport here.
pub fn waived(device: &Device, world: &World<'_>) -> bool {
    let config = &device.config;
    world.waivers.iter().any(|waiver| {
        Some(&waiver.site) == config.site.as_ref()
            && world.now < waiver.until
            && waiver
                .models
                .iter()
                .any(|model| model == "*" || *model == config.model)
    })
}

/// Whether this unit opens HTTPS with us, once our files told it what to trust.
pub fn opens_https(family: &Family, device: &Device, world: &World<'_>) -> bool {
    let site = device.config.site.as_deref();
    kind_opens_https(family, &device.config.model, site, world)
}

/// The same for units of a model at a site.
pub fn kind_opens_https(
    family: &Family,
    model: &str,
    site: Option<&str>,
    world: &World<'_>,
) -> bool {
    let shown = world.front.at(site.and_then(|name| world.sites.get(name)));
    https::opens(family, model, shown, When::Told).is_ok()
}

/// The level that units of this model can reach.
pub fn ceiling(family: &Family, model: &str) -> Assurance {
    let ceiling = family.sources.ceiling.of(model).copied();
    ceiling.unwrap_or(Assurance::L2)
}

/// Whether the unit can have a token URL: bootstrap, token and pin are for units that open HTTPS.
pub fn has_token(family: &Family, device: &Device, world: &World<'_>) -> bool {
    opens_https(family, device, world) && ceiling(family, &device.config.model) >= Assurance::L2
}
