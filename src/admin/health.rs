//! What is wrong, and how to mend it: `doctor` and `status`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::activity::{Summary, in_service};
use super::device::name_of;
use super::{Admin, DeviceView, Lens, Problem};
use crate::catalog::manifest::{Always, Family, Reach, Trusts};
use crate::engine::https::{self, When};
use crate::engine::outlook::{Block, word};
use crate::model::activation::State;
use crate::model::device::Lifecycle;
use crate::model::identity::Assurance;
use crate::model::site::{Corroborate, Site};

/// Names in one command; the rest come with the next call.
const NAMES: usize = 100;
/// Versions and call servers that one row shows.
const SOME: usize = 5;
/// A waiver that ends within this time is told of.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    #[default]
    Green,
    Yellow,
    Red,
}

impl Level {
    /// The word that is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Red => "red",
        }
    }
}

/// One thing that is wrong, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    /// A stable code.
    pub code: &'static str,
    /// What it is about.
    pub subject: String,
    pub text: String,
    /// A command, or what to do; empty where it heals by itself.
    pub mend: String,
}

/// Units of one model at one site.
#[derive(Clone, Debug)]
pub struct ModelRow {
    pub vendor: String,
    pub family: String,
    pub model: String,
    pub site: Option<String>,
    pub devices: u64,
    pub reach: &'static str,
    /// What a factory unit can use, best first.
    pub first: Vec<&'static str>,
    pub trusts: String,
    pub tls: String,
    pub ceiling: Assurance,
    /// How many are armed, and in an open window.
    pub armed: u64,
    pub open: u64,
    /// When the waiver that they need ends; none where they need none or have none.
    pub waiver: Option<String>,
    /// Versions that the family's folder serves; none where it serves all.
    pub serves: Option<String>,
    /// Versions that its units were seen with, some of them.
    pub seen: BTreeSet<String>,
    /// The artefact that tells it another version, and the name of that version's file; none where
    /// its family's folder knows no way.
    pub upgrade: Option<(String, String)>,
    /// Call servers that their lines register at, some of them.
    pub registrars: BTreeSet<String>,
    /// How many are up, or would come up today.
    pub today: u64,
    /// How many are kept by what.
    pub blocked: BTreeMap<&'static str, u64>,
}

/// How things stand.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// The worst first.
    pub findings: Vec<Finding>,
    pub models: Vec<ModelRow>,
    pub summary: Summary,
    pub alerts: usize,
    pub quarantine: usize,
}

impl Health {
    /// The worst level.
    pub fn level(&self) -> Level {
        let levels = self.findings.iter().map(|finding| finding.level);
        levels.max().unwrap_or_default()
    }
}

/// What is gathered over the devices.
#[derive(Default)]
struct Gathered {
    summary: Summary,
    models: BTreeMap<(String, String, String, Option<String>), ModelRow>,
    blocks: BTreeMap<Block, Vec<String>>,
    exposed: Vec<String>,
    failed: Vec<String>,
    stalled: Vec<String>,
    unpublished: Vec<String>,
    /// When each unit that is pinned to one of our addresses was last served whole.
    pinned: Vec<Option<Timestamp>>,
}

impl Admin {
    /// How things stand, at one site or everywhere.
    pub async fn health(&self, site: Option<&str>) -> Result<Health, Problem> {
        self.health_and(site, |_| {}).await
    }

    /// The same, and shows every unit in service to `also` on the way.
    pub async fn health_and(
        &self,
        site: Option<&str>,
        mut also: impl FnMut(DeviceView),
    ) -> Result<Health, Problem> {
        let lens = self.lens().await?;
        let mut gathered = Gathered::default();
        self.each_row(&Self::at(site), |device| {
            if in_service(&device.config) {
                let view = lens.view(device);
                gathered.take(&lens, &view);
                also(view);
            }
        })
        .await?;
        let alerts = self.hub().store.alerts().await?.len();
        let quarantine = self.sightings();
        let here = |found: &Option<String>| site.is_none() || found.as_deref() == site;
        let quarantine = quarantine.iter().filter(|row| here(&row.site)).count();
        let mut findings = self.of_the_server(&lens).await?;
        findings.extend(self.of_dhcp());
        findings.extend(of_places(&lens, site));
        findings.extend(of_vendors(&lens, &gathered));
        findings.extend(of_units(&gathered));
        findings.extend(self.of_former_hosts(&gathered));
        if alerts > 0 {
            findings.push(Finding {
                level: Level::Red,
                code: "alerts",
                subject: format!("{alerts} alerts"),
                text: "something happened that a person must look at; `dialtone alert remove` says that it was"
                    .to_owned(),
                mend: "dialtone alert list".to_owned(),
            });
        }
        if quarantine > 0 {
            findings.push(Finding {
                level: Level::Yellow,
                code: "quarantine",
                subject: format!("{quarantine} units"),
                text: "they asked and are not in the inventory".to_owned(),
                mend: "dialtone quarantine list".to_owned(),
            });
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        Ok(Health {
            findings,
            models: gathered.models.into_values().collect(),
            summary: gathered.summary,
            alerts,
            quarantine,
        })
    }

    /// Hosts that units may still ask although nobody is told them any more.
    fn of_former_hosts(&self, gathered: &Gathered) -> Vec<Finding> {
        let former = self.hub().former.load();
        let behind = |since: Timestamp| {
            let pinned = gathered.pinned.iter();
            let late = pinned.filter(|whole| whole.is_none_or(|whole| whole < since));
            late.count()
        };
        let waiting = former.iter().map(|old| (old, behind(old.since)));
        waiting
            .filter(|(_, units)| *units > 0)
            .map(|(old, units)| Finding {
                level: Level::Yellow,
                code: "former-host",
                subject: old.host.clone(),
                text: format!(
                    "{units} pinned units were last served before the HTTPS address changed, and ask there until they are served again"
                ),
                mend: format!("let {} lead to this server until then", old.host),
            })
            .collect()
    }

    async fn of_the_server(&self, lens: &Lens) -> Result<Vec<Finding>, Problem> {
        let mut findings = Vec::new();
        if let Err(error) = self.hub().store.health() {
            findings.push(Finding {
                level: Level::Red,
                code: "store",
                subject: "the store".to_owned(),
                text: error.to_string(),
                mend: "look at the log, mend the disk, then restart the server".to_owned(),
            });
        }
        if lens.bases.https.is_none() {
            findings.push(Finding {
                level: Level::Red,
                code: "no-https-base",
                subject: "public_url".to_owned(),
                text: "there is no HTTPS address that units could be told: it is loopback, a wildcard, or off".to_owned(),
                mend: "set public_url in the configuration file, then reload".to_owned(),
            });
        }
        let profiles = self.profiles().await?;
        for profile in profiles.iter().filter(|profile| profile.changed()) {
            let (vendor, family, name) = &profile.kind;
            findings.push(Finding {
                level: Level::Yellow,
                code: "draft-differs",
                subject: format!("{vendor}/{family}/{name}"),
                text: format!(
                    "the folders differ from what {} devices get",
                    profile.devices
                ),
                mend: format!(
                    "dialtone profile publish --vendor {} --family {} --profile {}",
                    word(vendor),
                    word(family),
                    word(name)
                ),
            });
        }
        Ok(findings)
    }
}

/// Sites that believe much, and waivers that end.
fn of_places(lens: &Lens, site: Option<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let here = |name: &str| site.is_none_or(|site| site == name);
    let mut red = |code, site: &Site, text: &str, mend: &str| {
        findings.push(Finding {
            level: Level::Red,
            code,
            subject: format!("site {}", site.name),
            text: text.to_owned(),
            mend: format!("dialtone site set {} {mend}", word(&site.name)),
        });
    };
    for place in lens
        .settings
        .sites
        .values()
        .filter(|place| here(&place.name))
    {
        if let (Corroborate::Prefix, Some(doubt)) = (place.corroborate, place.doubt) {
            let text = format!(
                "{}: it proves nothing any more. Look at who had what (the audit trail, `dialtone device list --site {}`), then let it be believed again",
                doubt.text(),
                word(&place.name)
            );
            red("prefix-doubted", place, &text, "--corroborate prefix");
        } else if place.corroborate == Corroborate::Prefix {
            let text = "any host in its prefixes is believed to be the unit that it says it is, while that is armed";
            red("corroborate-prefix", place, text, "--corroborate lease");
        }
        if place.keys_at_l2 {
            let text = "units get Wi-Fi, VPN and SNMPv3 keys without a factory certificate and without a person's word";
            red("keys-at-l2", place, text, "--keys-at-l2 false");
        }
    }
    for waiver in lens
        .settings
        .waivers
        .iter()
        .filter(|waiver| here(&waiver.site))
    {
        let over = waiver.until <= lens.now;
        if over || waiver.until.duration_since(lens.now) < SOON {
            let models: Vec<String> = waiver.models.iter().map(|model| word(model)).collect();
            findings.push(Finding {
                level: Level::Yellow,
                code: if over { "waiver-over" } else { "waiver-ends" },
                subject: format!("{} at {}", waiver.models.join(" "), waiver.site),
                text: format!("the waiver ends {}: {}", waiver.until, waiver.why),
                mend: format!(
                    "dialtone waiver add --site {} --model {} --until DAY --why WHY",
                    word(&waiver.site),
                    models.join(" --model ")
                ),
            });
        }
    }
    findings
}

/// Vendors whose units carry a certificate that we cannot check.
fn of_vendors(lens: &Lens, gathered: &Gathered) -> Vec<Finding> {
    let mut findings = Vec::new();
    for vendor in lens.catalog.vendors.values() {
        let carries = vendor.certificates.iter().any(|rule| match &rule.always {
            Always::All => true,
            Always::Models(_) | Always::None => !rule.subject.is_empty(),
        });
        let listed = gathered.models.keys().any(|(id, _, _, _)| *id == vendor.id);
        if carries && listed && !lens.anchored.contains(&vendor.id) {
            findings.push(Finding {
                level: Level::Yellow,
                code: "no-anchor",
                subject: format!("vendor {}", vendor.id),
                text: "its units may carry factory certificates, and no anchor is loaded to check them: they reach L2 at most".to_owned(),
                mend: format!(
                    "dialtone ca trust {} FILE --fingerprint FINGERPRINT",
                    word(&vendor.id)
                ),
            });
        }
    }
    findings
}

fn of_units(gathered: &Gathered) -> Vec<Finding> {
    let mut findings = Vec::new();
    let listed = |names: &[String]| {
        let some: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
        let more = names.len().saturating_sub(3);
        match more {
            0 => some.join(" "),
            more => format!("{} and {more} more", some.join(" ")),
        }
    };
    let mut units = |level, code, names: &[String], text: &str, mend: String| {
        if !names.is_empty() {
            findings.push(Finding {
                level,
                code,
                subject: listed(names),
                text: text.to_owned(),
                mend,
            });
        }
    };
    let trace = |names: &[String]| {
        let first = names.first().map(|name| word(name)).unwrap_or_default();
        format!("dialtone device trace {first}")
    };
    let show = |names: &[String]| {
        let first = names.first().map(|name| word(name)).unwrap_or_default();
        format!("dialtone device show {first}")
    };
    let text = "passwords that an earlier unit was given are still in force";
    units(
        Level::Red,
        "exposed",
        &gathered.exposed,
        text,
        show(&gathered.exposed),
    );
    let text = "they say that they do not work";
    units(
        Level::Red,
        "failed",
        &gathered.failed,
        text,
        trace(&gathered.failed),
    );
    let text = "nothing is published for their family and profile, so they are given nothing";
    let mend = "dialtone profile publish".to_owned();
    units(
        Level::Red,
        "not-published",
        &gathered.unpublished,
        text,
        mend,
    );
    let text = "they made no progress";
    units(
        Level::Yellow,
        "stalled",
        &gathered.stalled,
        text,
        trace(&gathered.stalled),
    );
    for (block, names) in &gathered.blocks {
        let level = match block {
            Block::NoHttpsBase { .. } => Level::Red,
            Block::NotServed { .. }
            | Block::Lifecycle { .. }
            | Block::NoHttpBase { .. }
            | Block::NeedsWaiver { .. }
            | Block::NeedsCorroboration { .. }
            | Block::PrefixDoubted { .. }
            | Block::FirmwareOutOfRange { .. }
            | Block::NeedsCertificate { .. }
            | Block::NotArmedYet { .. }
            | Block::NeedsConfirmation
            | Block::AsksAsNew => Level::Yellow,
        };
        let some = names.get(..NAMES.min(names.len())).unwrap_or(names);
        units(
            level,
            block.code(),
            names,
            &block.text(),
            block.command(some),
        );
    }
    findings
}

impl Gathered {
    fn take(&mut self, lens: &Lens, view: &DeviceView) {
        self.summary.count(view);
        let config = &view.device.config;
        let name = name_of(view.device.id, config);
        if let Some((_, family)) = lens.kind(config) {
            let key = (
                config.vendor.clone(),
                config.family.clone(),
                config.model.clone(),
                config.site.clone(),
            );
            let row = self.models.entry(key);
            row.or_insert_with(|| model_row(lens, family, view))
                .take(lens, view);
        }
        if view.status.ratchet.mark >= Assurance::L2 {
            self.pinned.push(view.status.served_whole_at);
        }
        if !config.arming.exposed.is_empty() {
            self.exposed.push(name.clone());
        }
        match (&view.block, view.status.activation.state) {
            (_, State::Failed) => self.failed.push(name),
            (Some(block), _) => {
                // A person wanted it so.
                if config.lifecycle == Lifecycle::Listed {
                    self.blocks.entry(block.clone()).or_default().push(name);
                }
            }
            (None, _) if view.target.is_none() => self.unpublished.push(name),
            (None, State::Stalled) => self.stalled.push(name),
            (
                None,
                State::Expected | State::Seen | State::Served | State::Active | State::HandedOver,
            ) => {}
        }
    }
}

impl ModelRow {
    fn take(&mut self, lens: &Lens, view: &DeviceView) {
        let arming = &view.device.config.arming;
        let window = &view.status.window;
        self.devices += 1;
        self.armed += u64::from(arming.from <= lens.now && lens.now <= arming.until);
        let open =
            window.closed_at.is_none() && window.open_until.is_some_and(|end| lens.now < end);
        self.open += u64::from(open);
        self.seen.extend(view.status.seen.firmware.clone());
        let lines = view.device.config.lines.iter().filter(|line| line.enabled);
        let registrars = lines.filter_map(|line| line.pbx.as_ref().or(line.server.as_ref()));
        self.registrars.extend(registrars.cloned());
        for some in [&mut self.seen, &mut self.registrars] {
            while some.len() > SOME {
                some.pop_last();
            }
        }
        match &view.block {
            None => self.today += 1,
            Some(block) => *self.blocked.entry(block.code()).or_default() += 1,
        }
    }
}

fn model_row(lens: &Lens, family: &Family, view: &DeviceView) -> ModelRow {
    let config = &view.device.config;
    let transport = &family.transport;
    let first = transport.first.of(&config.model);
    let waiver = lens.settings.waivers.iter().find(|waiver| {
        let named = |model: &String| model == "*" || *model == config.model;
        Some(&waiver.site) == config.site.as_ref() && waiver.models.iter().any(named)
    });
    let shown = lens.front().at(lens.site(config));
    let needs = https::opens(family, &config.model, shown, When::Told).is_err();
    ModelRow {
        vendor: config.vendor.clone(),
        family: config.family.clone(),
        model: config.model.clone(),
        site: config.site.clone(),
        devices: 0,
        reach: match family.reach {
            Reach::Full => "full",
            Reach::Pointer => "pointer",
            Reach::None => "none",
        },
        first: first
            .map(|ways| ways.iter().map(|way| way.as_str()).collect())
            .unwrap_or_default(),
        trusts: match transport.trusts.of(&config.model) {
            Some(Trusts::None) => "none".to_owned(),
            Some(Trusts::Own) => "own".to_owned(),
            Some(Trusts::Public) => "public".to_owned(),
            Some(Trusts::VendorCa(name)) => format!("vendor-ca:{name}"),
            None => String::new(),
        },
        tls: match transport.tls.of(&config.model).copied().unwrap_or_default() {
            0 => "none".to_owned(),
            tls => format!("{}.{}", tls / 10, tls % 10),
        },
        ceiling: view.ceiling,
        armed: 0,
        open: 0,
        waiver: waiver
            .filter(|_| needs)
            .map(|waiver| waiver.until.to_string()),
        serves: family
            .firmware_range
            .of(&config.model)
            .map(ToString::to_string),
        seen: BTreeSet::new(),
        upgrade: family
            .firmware
            .as_ref()
            .map(|rule| (rule.told_by.clone(), rule.name.source().to_owned())),
        registrars: BTreeSet::new(),
        today: 0,
        blocked: BTreeMap::new(),
    }
}
