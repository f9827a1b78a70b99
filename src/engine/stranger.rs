//! The answer below L1. It depends on the request alone: whether a unit is listed changes nothing
//! (trust.md section 3).

use std::net::IpAddr;

use super::grant::kind_opens_https;
use super::identify::Claims;
use super::known::{Known, World};
use super::select::Selected;
use super::verdict::{Decision, Plan, Source, Which, reason};
use crate::catalog::manifest::{Artefact, ArtefactKind, ArtefactScope, Family, Reach};
use crate::model::access::{Class, Grant};

/// What is told apart below L1: nothing, or that a unit of a family that resets has nothing to lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToLose {
    #[default]
    Perhaps,
    /// Corroborated, armed, and not served since.
    Nothing,
}

/// Public values, or the refusal.
pub fn answer(
    selected: &Selected<'_>,
    claims: &Claims,
    source: Option<IpAddr>,
    known: &Known,
    to_lose: ToLose,
    world: &World<'_>,
) -> (Decision, &'static str) {
    let (Some(family), Some(artefact)) = (selected.family, selected.artefact) else {
        return (Decision::Refuse, reason::NOT_RECOGNISED);
    };
    let model = claims.model.as_deref();
    if is_for_others(family, artefact, model.unwrap_or_default(), claims) {
        return (Decision::Refuse, reason::FIRMWARE);
    }
    if family.reach != Reach::Full || artefact.template.is_none() {
        return (Decision::Refuse, reason::ABSENT);
    }
    if let Some(own) = &artefact.fallback_of
        && known.refused.contains(own)
    {
        return (Decision::Refuse, reason::FALLBACK);
    }
    let plan = |which| Plan {
        source: Source::Stranger {
            vendor: family.vendor.clone(),
            family: family.id.clone(),
            site: site_of(source, world),
        },
        artefact: artefact.id.clone(),
        which,
        grant: Grant::PUBLIC,
        credential: false,
        partial: artefact.reads > Class::Public,
        https: opens(family, model, source, world),
        token: false,
        release: false,
    };
    // A family that resets loses what a lesser file leaves out.
    let harmless = family.absent.keeps || to_lose == ToLose::Nothing;
    match artefact.scope {
        ArtefactScope::Family if artefact.reads == Class::Public || harmless => {
            (Decision::Serve(plan(Which::Normal)), reason::SERVED)
        }
        ArtefactScope::Unit if artefact.useful_from == Class::Public && harmless => {
            (Decision::Serve(plan(Which::Normal)), reason::SERVED)
        }
        ArtefactScope::Unit
            if artefact.bootstrap.is_some() && harmless && opens(family, model, source, world) =>
        {
            (
                Decision::Bootstrap(plan(Which::Bootstrap)),
                reason::BOOTSTRAP,
            )
        }
        ArtefactScope::Family | ArtefactScope::Unit => (Decision::Refuse, reason::NOT_LISTED),
    }
}

/// Whether the unit says that it has a version that the folder's files are not for. What it would get
/// another one by is for every version.
pub fn is_for_others(family: &Family, artefact: &Artefact, model: &str, claims: &Claims) -> bool {
    let newer = matches!(
        artefact.kind,
        ArtefactKind::FirmwareList | ArtefactKind::Image
    );
    !newer && family.refuses(model, claims.firmware.as_deref()).is_some()
}

/// By the site of the address: below L1 nothing else may tell a listed unit from another.
fn opens(family: &Family, model: Option<&str>, source: Option<IpAddr>, world: &World<'_>) -> bool {
    let site = site_of(source, world);
    kind_opens_https(family, model.unwrap_or_default(), site.as_deref(), world)
}

/// The site whose prefix holds an address; the longest prefix speaks.
pub fn site_of(source: Option<IpAddr>, world: &World<'_>) -> Option<String> {
    let source = source?;
    let prefixes = world.sites.values().flat_map(|site| {
        let holding = site.prefixes.iter().filter(|net| net.contains(&source));
        holding.map(|net| (net.prefix_len(), &site.name))
    });
    prefixes.max().map(|(_, name)| name.clone())
}
