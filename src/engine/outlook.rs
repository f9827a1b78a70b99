//! Would this unit come up if it were plugged in now, and if not, what is the one thing that would
//! let it? For the import report, `doctor` and the next step of a device. Pure.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::https::{self, Shown, When, Why};
use crate::catalog::manifest::{Always, Family, Reach, Vendor};
use crate::model::access::Class;
use crate::model::activation::State;
use crate::model::device::{Device, Lifecycle, Status};
use crate::model::identity::Assurance;
use crate::model::site::{Corroborate, Doubt, Site, Waiver};

/// What the judgement looks at besides the unit.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    pub vendor: &'a Vendor,
    pub family: &'a Family,
    /// The unit's own site.
    pub site: Option<&'a Site>,
    pub waivers: &'a [Waiver],
    /// Vendors with an anchor loaded.
    pub anchored: &'a BTreeSet<String>,
    /// What the unit finds at its HTTPS base (the site's or the global one).
    pub shown: Shown,
    /// Units can be told an HTTP base.
    pub http: bool,
    /// A lease ties an address to this unit's MAC or serial.
    pub leased: bool,
    /// Highest class among the values that are set for the unit and that its files read.
    pub class: Class,
    pub now: Timestamp,
}

/// The first thing that keeps a unit from coming up today. Units that are kept by one and the same
/// thing have equal blocks, so a report can group them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Block {
    /// Its family is recognised and never configured.
    NotServed { family: String },
    /// A person suspended it, or took it out of service.
    Lifecycle { word: &'static str },
    /// There is no HTTPS address that units could be told.
    NoHttpsBase { site: Option<String> },
    /// There is no HTTP address, and the unit speaks nothing better.
    NoHttpBase { model: String },
    /// It takes credentials over a plain transport only, and no waiver names it.
    NeedsWaiver {
        site: Option<String>,
        model: String,
        why: String,
        until: Date,
    },
    /// Its files here are for other versions of its firmware.
    FirmwareOutOfRange { version: String, range: String },
    /// Nothing ties an address to it.
    NeedsCorroboration {
        site: Option<String>,
        nat: bool,
        prefixes: bool,
    },
    /// The prefix of its site is believed no more.
    PrefixDoubted { site: String, doubt: Doubt },
    /// Units of its kind carry a factory certificate, and it cannot show one that counts.
    NeedsCertificate { vendor: String, anchored: bool },
    /// It is armed for later, or no longer.
    NotArmedYet { from: Option<Timestamp> },
    /// It has keys of class `key`, and nobody confirmed this very unit.
    NeedsConfirmation,
    /// It came back as a new unit: a person says whether it was reset.
    AsksAsNew,
}

impl Block {
    /// The stable code (docs/api.md section 5).
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotServed { .. } => "not-served",
            Self::Lifecycle { word } => word,
            Self::NoHttpsBase { .. } => "no-https-base",
            Self::NoHttpBase { .. } => "no-http-base",
            Self::NeedsWaiver { .. } => "needs-waiver",
            Self::FirmwareOutOfRange { .. } => "firmware-out-of-range",
            Self::NeedsCorroboration { .. } => "needs-corroboration",
            Self::PrefixDoubted { .. } => "prefix-doubted",
            Self::NeedsCertificate { .. } => "needs-certificate",
            Self::NotArmedYet { .. } => "not-armed-yet",
            Self::NeedsConfirmation => "needs-confirmation",
            Self::AsksAsNew => "asks-as-new",
        }
    }

    /// What keeps the units, for people.
    pub fn text(&self) -> String {
        let at = |site: &Option<String>| match site {
            Some(site) => format!("at {site}"),
            None => "without a site".to_owned(),
        };
        match self {
            Self::NotServed { family } => {
                format!("units of {family} are recognised and not configured by this server")
            }
            Self::Lifecycle { word } => format!("it is {word}, so it is given nothing"),
            Self::NoHttpsBase { .. } => {
                "there is no HTTPS address that units could be told: set public_url".to_owned()
            }
            Self::NoHttpBase { model } => format!(
                "{model} speaks plain HTTP only, and there is no HTTP address that units could be told: set public_http_url"
            ),
            Self::NeedsWaiver {
                site, model, why, ..
            } => format!(
                "{model} {}: it {why}, so it may have its passwords over a plain transport with a waiver only",
                at(site)
            ),
            Self::FirmwareOutOfRange { version, range } => format!(
                "its firmware {version} is outside {range}, which its files here are for: give it such a version, by hand or by its maker's service"
            ),
            Self::NeedsCorroboration {
                site, nat: true, ..
            } => format!(
                "{}: one address is many units there, so only a certificate, a token or a code can tell them apart",
                at(site)
            ),
            Self::NeedsCorroboration { site: None, .. } => {
                "without a site: nothing ties an address to the unit".to_owned()
            }
            Self::NeedsCorroboration { site, .. } => format!(
                "{}: nothing there ties an address to a unit, neither a lease nor the site's prefix",
                at(site)
            ),
            Self::PrefixDoubted { site, doubt } => format!(
                "at {site}: {}, so the prefix proves nothing any more until a person looked",
                doubt.text()
            ),
            Self::NeedsCertificate {
                anchored: false, ..
            } => "units of its kind carry a factory certificate, and the anchor to check it is not loaded".to_owned(),
            Self::NeedsCertificate { anchored: true, .. } => {
                "units of its kind carry a factory certificate, and this one cannot show it to us".to_owned()
            }
            Self::NotArmedYet { from: Some(from) } => format!("it is armed from {from} on"),
            Self::NotArmedYet { from: None } => "its time to enrol is over".to_owned(),
            Self::NeedsConfirmation => {
                "it is to have Wi-Fi, VPN or SNMPv3 keys, and nobody confirmed this very unit".to_owned()
            }
            Self::AsksAsNew => {
                "it was served and asks as a new unit would: was it reset?".to_owned()
            }
        }
    }

    /// The one command that mends it for units of these names; empty where no command does.
    pub fn command(&self, names: &[String]) -> String {
        let units: Vec<String> = names.iter().map(|name| word(name)).collect();
        let units = units.join(" ");
        match self {
            // Where one address is many units no command takes that protection off.
            Self::NotServed { .. }
            | Self::FirmwareOutOfRange { .. }
            | Self::NoHttpBase { .. }
            | Self::NeedsCorroboration { nat: true, .. } => String::new(),
            Self::Lifecycle { .. } => format!("dialtone device resume {units}"),
            Self::NoHttpsBase { site: Some(site) } => format!(
                "dialtone site set {} --public-url https://NAME/",
                word(site)
            ),
            Self::NoHttpsBase { site: None } => String::new(),
            Self::NeedsWaiver {
                site: Some(site),
                model,
                why,
                until,
            } => format!(
                "dialtone waiver add --site {} --model {} --until {until} --why \"{why}\"",
                word(site),
                word(model)
            ),
            Self::NeedsWaiver { site: None, .. } | Self::NeedsCorroboration { site: None, .. } => {
                format!("dialtone device move {units} --to SITE")
            }
            Self::NeedsCorroboration {
                site: Some(site),
                prefixes,
                ..
            } => {
                let prefix = if *prefixes { "" } else { " --prefix PREFIX" };
                format!(
                    "dialtone site set {}{prefix} --corroborate prefix",
                    word(site)
                )
            }
            Self::PrefixDoubted { site, .. } => {
                format!("dialtone site set {} --corroborate prefix", word(site))
            }
            Self::NeedsCertificate {
                vendor,
                anchored: false,
            } => format!(
                "dialtone ca trust {} FILE --fingerprint FINGERPRINT",
                word(vendor)
            ),
            Self::NeedsCertificate { anchored: true, .. } => {
                format!("dialtone device arm {units} --without-certificate")
            }
            Self::NotArmedYet { .. } | Self::AsksAsNew => format!("dialtone device arm {units}"),
            Self::NeedsConfirmation => format!("dialtone device arm {units} --keys"),
        }
    }
}

/// A name as one word of a shell.
pub fn word(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@+".contains(&byte);
    if !name.is_empty() && name.bytes().all(plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}

/// Whether the unit would come up if it were plugged in at `around.now`. One that is up already is
/// no question.
pub fn outlook(device: &Device, around: &Around<'_>) -> Result<(), Block> {
    let config = &device.config;
    let status = device.status_now();
    match around.family.reach {
        Reach::Full => {}
        Reach::Pointer => return Ok(()),
        Reach::None => {
            let family = around.family.label.clone();
            return Err(Block::NotServed { family });
        }
    }
    match config.lifecycle {
        Lifecycle::Listed => {}
        Lifecycle::Suspended | Lifecycle::Retired | Lifecycle::Replaced => {
            let word = config.lifecycle.as_str();
            return Err(Block::Lifecycle { word });
        }
    }
    match settled(&status) {
        // It is known, and waits for a file that holds keys.
        Some(Ok(())) if waits(&status) => return confirmed(device, around),
        Some(answer) => return answer,
        None => {}
    }
    let version = status.seen.firmware.as_deref();
    if let Some(range) = around.family.refuses(&config.model, version) {
        return Err(Block::FirmwareOutOfRange {
            version: version.unwrap_or_default().to_owned(),
            range: range.to_string(),
        });
    }
    let encrypted = https::opens(around.family, &config.model, around.shown, When::Told);
    let carries = carries_certificate(around.vendor, &config.model);
    let anchored = around.anchored.contains(&around.vendor.id);
    if encrypted == Err(Why::NoBase) {
        let site = config.site.clone();
        return Err(Block::NoHttpsBase { site });
    }
    if carries && anchored && !config.arming.without_certificate {
        // With its certificate it needs neither window nor corroboration.
        return match encrypted {
            Ok(()) => Ok(()),
            Err(_) => Err(Block::NeedsCertificate {
                vendor: around.vendor.id.clone(),
                anchored: true,
            }),
        };
    }
    if let Err(why) = encrypted {
        if !around.http {
            let model = config.model.clone();
            return Err(Block::NoHttpBase { model });
        }
        if !waived(device, around) {
            return Err(Block::NeedsWaiver {
                site: config.site.clone(),
                model: config.model.clone(),
                why: why.text(),
                until: in_a_year(around.now),
            });
        }
    }
    if let Some(block) = corroboration(device, around, carries) {
        return Err(block);
    }
    if let Some(block) = arming(device, &status, around.now) {
        return Err(block);
    }
    confirmed(device, around)
}

/// Keys are given to a unit that a person confirmed, or where the site's policy says so.
fn confirmed(device: &Device, around: &Around<'_>) -> Result<(), Block> {
    let config = &device.config;
    let keys = config.arming.keys || around.site.is_some_and(|site| site.keys_at_l2);
    let ceiling = ceiling(around.family, &config.model);
    let attested = device.status_now().ratchet.mark >= Assurance::L3;
    if around.class == Class::Key && ceiling >= Assurance::L2 && !keys && !attested {
        return Err(Block::NeedsConfirmation);
    }
    Ok(())
}

/// Whether it is still on its way to its whole configuration.
fn waits(status: &Status) -> bool {
    match status.activation.state {
        State::Expected | State::Seen | State::Stalled | State::Failed => true,
        State::Active | State::Served | State::HandedOver => false,
    }
}

/// The answer for a unit that is up, or that was.
fn settled(status: &Status) -> Option<Result<(), Block>> {
    let new = status.activation.stage.as_deref() == Some("asks-as-new");
    match status.activation.state {
        State::Active | State::Served | State::HandedOver => Some(Ok(())),
        State::Stalled if new => Some(Err(Block::AsksAsNew)),
        State::Expected | State::Seen | State::Stalled | State::Failed => {
            (status.ratchet.mark >= Assurance::L2).then_some(Ok(()))
        }
    }
}

/// Whether every unit of that model carries a factory certificate.
pub fn carries_certificate(vendor: &Vendor, model: &str) -> bool {
    vendor.certificates.iter().any(|rule| match &rule.always {
        Always::All => true,
        Always::Models(models) => models.iter().any(|listed| listed == model),
        Always::None => false,
    })
}

/// The level that units of a model can reach without a certificate.
pub fn ceiling(family: &Family, model: &str) -> Assurance {
    let ceiling = family.sources.ceiling.of(model).copied();
    ceiling.unwrap_or(Assurance::L2)
}

fn waived(device: &Device, around: &Around<'_>) -> bool {
    let config = &device.config;
    around.waivers.iter().any(|waiver| {
        let named = |model: &String| model == "*" || *model == config.model;
        Some(&waiver.site) == config.site.as_ref()
            && around.now < waiver.until
            && waiver.models.iter().any(named)
    })
}

fn corroboration(device: &Device, around: &Around<'_>, carries: bool) -> Option<Block> {
    let name = device.config.site.clone();
    let Some(site) = around.site else {
        return (!around.leased).then_some(Block::NeedsCorroboration {
            site: name,
            nat: false,
            prefixes: false,
        });
    };
    if site.nat {
        return Some(if carries {
            Block::NeedsCertificate {
                vendor: around.vendor.id.clone(),
                anchored: false,
            }
        } else {
            Block::NeedsCorroboration {
                site: name,
                nat: true,
                prefixes: !site.prefixes.is_empty(),
            }
        });
    }
    let by_prefix = site.believes_prefix() && !site.prefixes.is_empty();
    if let (Corroborate::Prefix, Some(doubt), false) = (site.corroborate, site.doubt, around.leased)
    {
        let site = site.name.clone();
        return Some(Block::PrefixDoubted { site, doubt });
    }
    (!by_prefix && !around.leased).then_some(Block::NeedsCorroboration {
        site: name,
        nat: false,
        prefixes: !site.prefixes.is_empty(),
    })
}

/// Whether the window is open, or would open at the first corroborated request.
fn arming(device: &Device, status: &Status, now: Timestamp) -> Option<Block> {
    let arming = &device.config.arming;
    let window = &status.window;
    let open = match (window.open_since, window.open_until) {
        (Some(_), Some(until)) => window.closed_at.is_none() && now < until,
        (Some(_), None) => false,
        (None, _) => arming.open_at.is_some() || (arming.from <= now && now <= arming.until),
    };
    let from = Some(arming.from).filter(|from| *from > now && arming.from <= arming.until);
    (!open).then_some(Block::NotArmedYet { from })
}

fn in_a_year(now: Timestamp) -> Date {
    let today = now.to_zoned(TimeZone::UTC).date();
    today.saturating_add(1.year())
}
