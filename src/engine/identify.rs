//! Facts to claims: which unit a request says it is, by the manifests alone.
//!
//! Nothing is guessed (manifest.md section 2): kinds of hint have a strength, the stronger speaks,
//! two of one strength that disagree give nothing, and MAC and serial must agree in all of them.

use sha2::{Digest as _, Sha256};

use super::facts::Facts;
use crate::catalog::{Ask, Catalog, Hint, HintKind, PnpAsk};
use crate::model::identity::{Channel, Digest, Mac, Serial};
use crate::model::secret::Secret;

/// Which unit a request says it is. Null fields are not known.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    pub vendor: Option<String>,
    /// The vendor is known by its OUI alone, or it is a protocol's own name.
    pub weak: bool,
    pub family: Option<String>,
    /// The request itself names the family: it is not the vendor's default.
    pub family_named: bool,
    pub model: Option<String>,
    pub mac: Option<Mac>,
    pub serial: Option<Serial>,
    pub firmware: Option<String>,
    pub hardware: Option<String>,
    /// Artefacts that the path may be: (vendor, family, artefact id).
    pub paths: Vec<(String, String, String)>,
    /// The MAC or serial is part of the file's own name.
    pub bound: bool,
    pub certificate: Option<CertificateClaim>,
    /// Digest of the unit token in the URL.
    pub token: Option<Digest>,
    /// Digest of the report secret in the URL.
    pub report: Option<Digest>,
    /// Identifiers that disagreed; then `mac` and `serial` are null.
    pub conflict: Option<Conflict>,
}

/// What a certificate says, besides what was verified of it.
#[derive(Clone, Debug)]
pub struct CertificateClaim {
    pub vendor: Option<String>,
    pub mac: Option<Mac>,
    pub serial: Option<Serial>,
    /// Many units share it: it proves nothing.
    pub shared: bool,
    pub fingerprint: Option<Digest>,
    /// Vendors whose anchor it chains to.
    pub verified: Vec<String>,
}

/// Two identifiers of one request that name two units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// One of the two came from a verified certificate.
    pub certificate: bool,
    /// Every MAC and serial that was named.
    pub macs: Vec<Mac>,
    pub serials: Vec<Serial>,
}

/// The digest by which the store knows a token or report secret.
pub fn digest_of(secret: &Secret) -> Digest {
    Digest(Sha256::digest(secret.expose().as_bytes()).into())
}

/// For people: what spoke, and what was dropped. Nothing is written where nobody asks.
struct Why(Option<Vec<String>>);

impl Why {
    fn say(&mut self, text: impl FnOnce() -> String) {
        if let Some(texts) = &mut self.0 {
            texts.push(text());
        }
    }
}

/// Reads every hint of a request and joins them.
pub fn claims(facts: &Facts, catalog: &Catalog) -> Claims {
    read(facts, catalog, &mut Why(None))
}

/// The same in words: which hints spoke, and which were dropped.
pub fn why(facts: &Facts, catalog: &Catalog) -> Vec<String> {
    let mut why = Why(Some(Vec::new()));
    read(facts, catalog, &mut why);
    why.0.unwrap_or_default()
}

fn read(facts: &Facts, catalog: &Catalog, why: &mut Why) -> Claims {
    let mut claims = Claims {
        token: facts.target.token.as_ref().map(digest_of),
        report: facts.target.report.as_ref().map(digest_of),
        ..Claims::default()
    };
    let read = facts.headers.iter();
    let headers: Vec<(String, String)> = read
        .filter(|(name, _)| catalog.reads_header(name))
        .map(|(name, value)| (name.clone(), value.text()))
        .collect();
    let agent = match (&facts.pnp, facts.header("user-agent")) {
        (Some(pnp), _) => pnp.agent.as_ref().map(crate::model::secret::Foreign::text),
        (None, header) => header.map(crate::model::secret::Foreign::text),
    };
    let has_path = matches!(
        facts.channel,
        Channel::Http | Channel::Https | Channel::Tftp
    ) && facts.target.report.is_none();
    let ask = Ask {
        channel: facts.channel,
        path: has_path.then_some(facts.target.path.as_str()),
        agent: agent.as_deref(),
        headers: &headers,
        options: facts.dhcp.as_ref().map(|dhcp| &dhcp.options),
        pnp: facts.pnp.as_ref().map(|pnp| PnpAsk {
            vendor: pnp.vendor.as_deref(),
            model: pnp.model.as_deref(),
            version: pnp.version.as_deref(),
        }),
        certificate: facts.certificate.as_ref(),
    };
    let mut hints = catalog.hints(&ask);
    settle_common(&mut hints, catalog, why);

    let asking = facts
        .dhcp
        .as_ref()
        .and_then(|dhcp| dhcp.chaddr)
        .or_else(|| facts.pnp.as_ref().and_then(|pnp| pnp.mac));
    let meant = vendor(&hints, asking, catalog, why);
    hints.retain(|hint| {
        let keep = meant == Some(hint.vendor);
        if !keep && !hint.generic {
            why.say(|| {
                let (at, vendor) = (hint.at, hint.vendor);
                format!("{at}: a hint at {vendor}, which lost, is dropped")
            });
        }
        keep
    });
    claims.vendor = meant.map(str::to_owned);
    claims.weak = hints.iter().all(|hint| hint.generic || hint.common);
    hints.sort_by_key(|hint| strength(hint.kind));
    claims.certificate = facts.certificate.as_ref().map(|shown| {
        let hint = hints.iter().find(|hint| hint.kind == HintKind::Certificate);
        CertificateClaim {
            vendor: hint.map(|hint| hint.vendor.to_owned()),
            mac: hint.and_then(|hint| hint.mac),
            serial: hint
                .and_then(|hint| hint.serial.as_deref())
                .and_then(Serial::parse),
            shared: hint.is_some_and(|hint| hint.shared),
            fingerprint: shown.fingerprint,
            verified: shown.verified.clone(),
        }
    });
    identifiers(&hints, asking, &mut claims, why);
    claims.model = strongest(&hints, |hint| hint.model.as_deref(), "model", why);
    claims.firmware = strongest(&hints, |hint| hint.firmware.as_deref(), "firmware", why);
    claims.hardware = strongest(&hints, |hint| hint.hardware.as_deref(), "hardware", why);
    // The Event header's own word, where nobody's rule spoke.
    if hints.is_empty() {
        claims.firmware = facts.pnp.as_ref().and_then(|pnp| pnp.version.clone());
    }
    claims.family = family(&hints, &claims, catalog);
    claims.family_named = hints.iter().any(|hint| hint.family.is_some());
    for hint in hints.iter().filter(|hint| hint.kind == HintKind::Path) {
        if let (Some(family), Some(artefact)) = (hint.family, hint.artefact) {
            let path = (hint.vendor, family, artefact);
            claims
                .paths
                .push((path.0.to_owned(), path.1.to_owned(), path.2.to_owned()));
        }
        claims.bound |= hint.mac.is_some() || hint.serial.is_some();
    }
    for hint in &hints {
        why.say(|| format!("{}: {} by {}", hint.at, hint.vendor, word(hint.kind)));
    }
    claims
}

/// Lower is stronger: certificate, path, agent or headers (a PnP event is the unit's own header),
/// options 60, 77, 124, 125, the rest.
fn strength(kind: HintKind) -> u8 {
    match kind {
        HintKind::Certificate => 0,
        HintKind::Path => 1,
        HintKind::Agent | HintKind::Headers | HintKind::Pnp => 2,
        HintKind::Options(rank) => 3_u8.saturating_add(rank),
    }
}

/// Strength of an OUI, weaker than any hint.
const OUI: u8 = u8::MAX;

fn word(kind: HintKind) -> &'static str {
    match kind {
        HintKind::Agent => "agent",
        HintKind::Certificate => "certificate",
        HintKind::Headers => "headers",
        HintKind::Options(_) => "DHCP options",
        HintKind::Path => "path",
        HintKind::Pnp => "PnP event",
    }
}

/// A common name counts fully with an OUI of its vendor, not at all with another vendor's.
fn settle_common(hints: &mut Vec<Hint<'_>>, catalog: &Catalog, why: &mut Why) {
    hints.retain_mut(|hint| {
        if !hint.common {
            return true;
        }
        let owner = hint.mac.and_then(|mac| catalog.vendor_of_oui(mac));
        match owner {
            Some(vendor) if vendor.id == hint.vendor => {
                hint.common = false;
                true
            }
            Some(vendor) => {
                why.say(|| {
                    let (at, owner) = (hint.at, &vendor.id);
                    format!("{at}: a common name whose MAC belongs to {owner}")
                });
                false
            }
            None => true,
        }
    });
}

fn vendor<'a>(
    hints: &[Hint<'a>],
    asking: Option<Mac>,
    catalog: &'a Catalog,
    why: &mut Why,
) -> Option<&'a str> {
    let rank = |hint: &Hint<'_>| {
        if hint.common {
            OUI
        } else {
            strength(hint.kind)
        }
    };
    for generic in [false, true] {
        let candidates = hints.iter().filter(|hint| hint.generic == generic);
        let Some(best) = candidates.clone().map(rank).min() else {
            continue;
        };
        let mut named: Vec<&str> = candidates
            .filter(|hint| rank(hint) == best)
            .map(|hint| hint.vendor)
            .collect();
        named.sort_unstable();
        named.dedup();
        match named.as_slice() {
            [one] if best < OUI => return Some(one),
            // Common names only: the OUI decides below, and one claimant alone is enough.
            [one] => return by_oui(hints, asking, catalog).or(Some(one)),
            several => {
                let by_oui = by_oui(hints, asking, catalog);
                if best == OUI && by_oui.is_some() {
                    return by_oui;
                }
                why.say(|| format!("hints of one strength name {}", several.join(" and ")));
                return None;
            }
        }
    }
    by_oui(hints, asking, catalog)
}

fn by_oui<'a>(hints: &[Hint<'_>], asking: Option<Mac>, catalog: &'a Catalog) -> Option<&'a str> {
    let mac = hints.iter().find_map(|hint| hint.mac).or(asking)?;
    catalog.vendor_of_oui(mac).map(|vendor| vendor.id.as_str())
}

/// MAC and serial: what several kinds say must agree.
fn identifiers(hints: &[Hint<'_>], asking: Option<Mac>, claims: &mut Claims, why: &mut Why) {
    let mut macs: Vec<Mac> = Vec::new();
    let mut serials: Vec<Serial> = Vec::new();
    let mut certified = false;
    for hint in hints {
        if let Some(mac) = hint.mac {
            certified |= hint.kind == HintKind::Certificate;
            macs.push(mac);
        }
        if let Some(text) = hint.serial.as_deref() {
            match Serial::parse(text) {
                Some(serial) => {
                    certified |= hint.kind == HintKind::Certificate;
                    serials.push(serial);
                }
                None => why.say(|| format!("{}: what stands for a serial is none", hint.at)),
            }
        }
    }
    // The port that asks is a claim only where nothing names the unit: gear asks from any port.
    if macs.is_empty() {
        macs.extend(asking);
    }
    macs.sort_unstable();
    macs.dedup();
    serials.sort_unstable();
    serials.dedup();
    if macs.len() > 1 || serials.len() > 1 {
        why.say(|| "identifiers of one request name two units".to_owned());
        claims.conflict = Some(Conflict {
            certificate: certified,
            macs,
            serials,
        });
        return;
    }
    claims.mac = macs.pop();
    claims.serial = serials.pop();
}

/// The strongest word on a field; two of one strength that disagree give nothing.
fn strongest<'h>(
    hints: &'h [Hint<'_>],
    field: fn(&'h Hint<'_>) -> Option<&'h str>,
    name: &str,
    why: &mut Why,
) -> Option<String> {
    let said = hints
        .iter()
        .filter_map(|hint| Some((strength(hint.kind), field(hint)?)));
    let best = said.clone().map(|(strength, _)| strength).min()?;
    let mut said: Vec<&str> = said
        .filter(|(strength, _)| *strength == best)
        .map(|(_, word)| word)
        .collect();
    said.sort_unstable();
    said.dedup();
    if said.len() > 1 {
        why.say(|| {
            let said = said.join(" and ");
            format!("hints of one strength give {name} {said}")
        });
        return None;
    }
    said.pop().map(str::to_owned)
}

fn family(hints: &[Hint<'_>], claims: &Claims, catalog: &Catalog) -> Option<String> {
    let vendor = claims.vendor.as_deref()?;
    if let Some(model) = &claims.model
        && let Some((family, _)) = catalog.family_of_model(vendor, model)
    {
        return Some(family.id.clone());
    }
    // A path that several families of the vendor know says nothing about which it is.
    let best = hints
        .iter()
        .filter(|hint| hint.family.is_some())
        .map(|hint| strength(hint.kind))
        .min();
    let mut named: Vec<&str> = hints
        .iter()
        .filter(|hint| Some(strength(hint.kind)) == best)
        .filter_map(|hint| hint.family)
        .collect();
    named.sort_unstable();
    named.dedup();
    match named.as_slice() {
        [one] => Some((*one).to_owned()),
        _ => catalog
            .vendors
            .get(vendor)
            .and_then(|vendor| vendor.default_family.clone()),
    }
}
