//! Which unit and which artefact a request is about, before anything is decided.

use std::sync::Arc;

use super::facts::Facts;
use super::identify::Claims;
use super::known::{Found, Known};
use crate::catalog::Catalog;
use crate::catalog::manifest::{Artefact, Family};
use crate::model::device::Device;
use crate::model::identity::DeviceId;

/// Who a request is about.
#[derive(Clone, Debug)]
pub enum Subject<'a> {
    Stranger,
    Unit(&'a Device),
    /// Identifiers that name several units, or a token that is another unit's.
    Several(Vec<DeviceId>),
}

/// A request's unit, and the family and artefact that its name stands for.
#[derive(Clone, Debug)]
pub struct Selected<'a> {
    pub subject: Subject<'a>,
    /// As the live folders have it.
    pub family: Option<&'a Arc<Family>>,
    pub artefact: Option<&'a Artefact>,
    /// The unit behind a stranger's words, where one of the two is the other's loader.
    pub stage: Option<Stage<'a>>,
}

/// A record of a loader or of what it installs, while the other asks.
#[derive(Clone, Debug)]
pub struct Stage<'a> {
    pub device: &'a Device,
    /// The record's.
    pub family: &'a Family,
}

/// Joins claims and rows. The unit that the file's name is bound to is the unit that is served.
pub fn select<'a>(
    facts: &Facts,
    claims: &Claims,
    known: &'a Known,
    catalog: &'a Catalog,
) -> Selected<'a> {
    if claims.conflict.is_some() {
        let ids = [known.by_mac.as_ref(), known.by_serial.as_ref()];
        let mut ids: Vec<DeviceId> = ids.into_iter().flatten().map(|device| device.id).collect();
        ids.extend(known.disagreeing.iter().copied());
        ids.sort_unstable();
        ids.dedup();
        let (family, artefact) = by_path(claims, None, catalog);
        return Selected {
            subject: Subject::Several(ids),
            family,
            artefact,
            stage: None,
        };
    }
    let subject = match known.found() {
        Found::Nobody => Subject::Stranger,
        // The request names another unit beside this one, listed or not.
        Found::One(device) if !agrees(device, claims, catalog) => Subject::Several(vec![device.id]),
        // A name that another vendor's unit uses is not this unit's.
        Found::One(device) if claims.vendor.as_ref() == Some(&device.config.vendor) => {
            Subject::Unit(device)
        }
        // A name without a vendor's hint in it, at the unit's own token URL.
        Found::One(device) if claims.vendor.is_none() && facts.target.token.is_some() => {
            Subject::Unit(device)
        }
        Found::One(_) => Subject::Stranger,
        Found::Several(ids) => Subject::Several(ids),
    };
    let device = match &subject {
        Subject::Unit(device) => Some(*device),
        Subject::Stranger | Subject::Several(_) => None,
    };
    let (family, artefact) = by_path(claims, device, catalog);
    let stage = match (&subject, known.found()) {
        (Subject::Stranger, Found::One(device)) => stage(device, claims, catalog),
        (Subject::Stranger | Subject::Unit(_) | Subject::Several(_), _) => None,
    };
    Selected {
        subject,
        family,
        artefact,
        stage,
    }
}

/// A unit whose record names another vendor than it does, because one of the two is the loader of the
/// other.
pub fn stage<'a>(device: &'a Device, claims: &Claims, catalog: &'a Catalog) -> Option<Stage<'a>> {
    let config = &device.config;
    let own = catalog.family(&config.vendor, &config.family)?;
    let (vendor, family) = claims.vendor.as_deref().zip(claims.family.as_deref())?;
    let said = catalog.family(vendor, family)?;
    let loads = own.loads() || said.loads();
    (loads && *vendor != config.vendor).then_some(Stage {
        device,
        family: own,
    })
}

/// Whether nothing that a request says of its MAC or serial contradicts the record. Where a family's
/// ports have addresses of their own, one of these beside the right serial contradicts nothing.
fn agrees(device: &Device, claims: &Claims, catalog: &Catalog) -> bool {
    let config = &device.config;
    let family = catalog.family(&config.vendor, &config.family);
    let serial = claims.serial.as_ref().zip(config.serial.as_ref());
    let by_serial = serial.map(|(said, recorded)| said == recorded);
    let mac = claims.mac.zip(config.mac);
    let by_mac = mac.is_none_or(|(said, printed)| {
        let own = |family: &Arc<Family>| {
            let port = family.port_mac && by_serial == Some(true);
            port || family.asks_by(&config.model, printed, said)
        };
        family.map_or(said == printed, own)
    });
    by_mac && by_serial != Some(false)
}

/// The artefact that the path names: of the unit's own family, else of the family that the request
/// claims, else of the one family that knows the name.
fn by_path<'a>(
    claims: &Claims,
    device: Option<&Device>,
    catalog: &'a Catalog,
) -> (Option<&'a Arc<Family>>, Option<&'a Artefact>) {
    let wanted = match device {
        Some(device) => Some((device.config.vendor.clone(), device.config.family.clone())),
        None => claims.vendor.clone().zip(claims.family.clone()),
    };
    if let Some((vendor, family)) = wanted {
        let family = catalog.family(&vendor, &family);
        let id = claims
            .paths
            .iter()
            .find(|(_, named, _)| family.is_some_and(|family| family.id == *named))
            .map(|(_, _, id)| id.as_str());
        let artefact = family.zip(id).and_then(|(family, id)| family.artefact(id));
        return (family, artefact);
    }
    let mut families: Vec<&(String, String, String)> = claims.paths.iter().collect();
    families.dedup_by(|a, b| a.0 == b.0 && a.1 == b.1);
    match families.as_slice() {
        [(vendor, family, id)] => {
            let family = catalog.family(vendor, family);
            (family, family.and_then(|family| family.artefact(id)))
        }
        _ => (None, None),
    }
}
