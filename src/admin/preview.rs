//! A device's files as they would be: from the same values, grants and revisions as the device door
//! renders them from. Secrets are masked before they reach a template, unless a person asked.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::{Admin, Lens, Problem};
use crate::catalog::Revision;
use crate::catalog::inputs::{AccountLine, Filled, FunctionKey, Inputs, Unit};
use crate::catalog::manifest::{Artefact, ArtefactScope, Asks, Family};
use crate::catalog::pattern;
use crate::catalog::revision::{RenderError, Rendered, Which};
use crate::engine::grant::{has_token, opens_https};
use crate::engine::identify::Claims;
use crate::engine::known::{Known, World};
use crate::engine::resolve::{self, Sources, Values};
use crate::engine::select::{Selected, Subject};
use crate::engine::stranger::{self, ToLose};
use crate::engine::verdict::{Decision, Plan, Source};
use crate::model::access::{Class, Grant};
use crate::model::device::Device;
use crate::model::identity::{BootId, Digest};
use crate::model::profile::{Layer, Value};
use crate::model::secret::Secret;
use crate::service::material;
use crate::store::Owner;

/// What stands for a secret.
pub const MASK: &str = "***";

/// Whether secrets are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    Masked,
    Shown,
}

/// What a device's files are filled with. Neither `Debug` nor `Clone`: it may hold open secrets.
pub(crate) struct Filling {
    values: BTreeMap<String, Filled>,
    lines: Vec<AccountLine>,
    keys: Vec<FunctionKey>,
    secrets: Secrets,
}

/// What is given for one artefact.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Given {
    Refusal,
    /// From the unit's own values and revision.
    Own {
        which: Which,
        grant: Grant,
        partial: bool,
    },
    /// What a stranger of its family gets.
    Strangers(Which),
}

impl Admin {
    /// The values, lines and keys of a device, by a revision's vocabulary and profile.
    pub(crate) async fn filling(
        &self,
        lens: &Lens,
        device: &Device,
        revision: &Revision,
        secrets: Secrets,
    ) -> Result<Filling, Problem> {
        let found = sources(lens, device, revision).values();
        let mut lines = Vec::new();
        for line in &device.config.lines {
            let password = if line.has_password {
                let field = format!("line.{}.password", line.n);
                Some(
                    self.secret(&Owner::Device(device.id), &field, secrets)
                        .await?,
                )
            } else {
                None
            };
            lines.push(material::account(line, password, &lens.settings));
        }
        let keys = device.config.keys.iter().map(material::function_key);
        Ok(Filling {
            values: self.filled(device, found, secrets).await?,
            keys: keys.collect(),
            lines,
            secrets,
        })
    }

    /// What a stranger's files are filled with at a device's place.
    pub(crate) fn strangers_filling(lens: &Lens, device: &Device, revision: &Revision) -> Filling {
        let (site, scopes) = (device.config.site.as_deref(), &lens.settings.scopes);
        let values = resolve::of_stranger(site, scopes, &revision.profile, &revision.vocabulary);
        let plain =
            |(name, found): (String, resolve::Found)| (name, Filled::Plain(found.resolved.value));
        Filling {
            values: values.into_iter().map(plain).collect(),
            lines: Vec::new(),
            keys: Vec::new(),
            secrets: Secrets::Masked,
        }
    }

    pub(crate) async fn filled(
        &self,
        device: &Device,
        found: Values,
        secrets: Secrets,
    ) -> Result<BTreeMap<String, Filled>, Problem> {
        let mut values = BTreeMap::new();
        for (name, found) in found {
            let filled = match found.resolved.value {
                Value::Secret => {
                    let owner = match found.resolved.layer {
                        Layer::Device => Owner::Device(device.id),
                        layer @ (Layer::Schema
                        | Layer::Global
                        | Layer::Tenant
                        | Layer::Site
                        | Layer::Group
                        | Layer::Profile
                        | Layer::Model
                        | Layer::User) => Owner::Scope(layer, found.scope),
                    };
                    Filled::Secret(self.secret(&owner, &name, secrets).await?)
                }
                plain @ (Value::Bool(_)
                | Value::Int(_)
                | Value::List(_)
                | Value::Table(_)
                | Value::Text(_)) => Filled::Plain(plain),
            };
            values.insert(name, filled);
        }
        Ok(values)
    }

    async fn secret(
        &self,
        owner: &Owner,
        field: &str,
        secrets: Secrets,
    ) -> Result<Secret, Problem> {
        let masked = || Secret::new(MASK.to_owned());
        match secrets {
            Secrets::Masked => Ok(masked()),
            Secrets::Shown => match self.hub().store.secret(owner, field).await? {
                Some(sealed) => Ok(self.hub().keys.open(&sealed, &owner.aad(field))?),
                None => Ok(masked()),
            },
        }
    }

    /// Renders one artefact of a device from a filling.
    pub(crate) fn rendered(
        &self,
        lens: &Lens,
        device: &Device,
        revision: &Revision,
        filling: &Filling,
        artefact: &str,
        given: (Which, Grant),
    ) -> Result<Rendered, RenderError> {
        let world = world(lens);
        let (which, grant) = given;
        let config = &device.config;
        let plan = Plan {
            source: Source::Unit(device.id),
            artefact: artefact.to_owned(),
            which,
            grant,
            credential: grant.credential,
            partial: false,
            https: opens_https(&revision.family, device, &world),
            token: has_token(&revision.family, device, &world),
            release: config.release && grant.credential,
        };
        let (site, bases) = (lens.site(config), &lens.bases);
        let keys = &self.hub().keys;
        let token = keys.unit_token(device.id, config.arming.generation);
        let mut urls = material::urls(keys, device, &token, site, bases, &plan);
        if filling.secrets == Secrets::Masked {
            let token = urls.https.as_ref().filter(|_| urls.token.is_some());
            urls.token = token.map(|base| Secret::new(format!("{base}u/~/")));
            let base = if plan.token { &urls.https } else { &urls.http };
            let base = base.as_ref().filter(|_| urls.report.is_some());
            urls.report = base.map(|base| Secret::new(format!("{base}r/~")));
        }
        let numbered = revision.is_numbered(artefact, which);
        let mut inputs = Inputs {
            grant,
            unit: Unit {
                mac: config.mac,
                serial: config.serial.as_ref(),
                model: Some(&config.model),
            },
            urls,
            ca_pem: &self.hub().ca_pem,
            values: &filling.values,
            lines: &filling.lines,
            keys: &filling.keys,
            release: plan.release,
            version: numbered.then(|| Secret::new("0".to_owned())),
        };
        let rendered = revision.render(artefact, which, &inputs)?;
        if !numbered {
            return Ok(rendered);
        }
        // With its secrets masked it is no file that a unit got: the number is then the last one's.
        let rest = Digest(Sha256::digest(&rendered.bytes[..]).into());
        let status = device.status_now();
        let last = status.numbers.iter().find(|(id, _, _)| id == artefact);
        let number = match (filling.secrets, last) {
            (Secrets::Masked, Some((_, number, _))) => *number,
            (Secrets::Masked | Secrets::Shown, _) => status.number_of(artefact, rest),
        };
        inputs.version = Some(Secret::new(number.to_string()));
        revision.render(artefact, which, &inputs)
    }
}

/// The world as the engine asks for it; zones and publications are no question here.
pub(crate) fn world(lens: &Lens) -> World<'_> {
    World {
        now: lens.now,
        fresh_boot: BootId(0),
        sites: &lens.settings.sites,
        zones: &lens.zones,
        waivers: &lens.settings.waivers,
        published: &lens.kinds,
        anchored: &lens.anchored,
        registrar: false,
        front: lens.front(),
    }
}

/// What a listed unit is given for an artefact at a grant, in its open window.
pub(crate) fn given(
    lens: &Lens,
    device: &Device,
    revision: &Revision,
    artefact: &Artefact,
    granted: Grant,
) -> Given {
    let family: &Family = &revision.family;
    let status = device.status_now();
    let config = &device.config;
    let for_others = stranger::is_for_others(family, artefact, &config.model, &said(device));
    if artefact.template.is_none() || for_others {
        return Given::Refusal;
    }
    let served = status.served_whole_at.is_some();
    let armed = config.arming.from <= lens.now && lens.now <= config.arming.until;
    let to_lose = if granted.site && armed && !served {
        ToLose::Nothing
    } else {
        ToLose::Perhaps
    };
    match artefact.scope {
        ArtefactScope::Family if granted.site => Given::Own {
            which: Which::Normal,
            grant: Grant {
                site: true,
                ..Grant::PUBLIC
            },
            partial: false,
        },
        ArtefactScope::Unit if granted.allows(artefact.useful_from) => {
            let withheld = !granted.allows(class(lens, device, revision, &artefact.id));
            let own = |which| Given::Own {
                which,
                grant: granted,
                partial: withheld,
            };
            let opens = opens_https(family, device, &world(lens));
            match (withheld, family.asks == Asks::Once) {
                // Its one configuration must have everything in it.
                (true, true) if artefact.bootstrap.is_some() && opens => own(Which::Bootstrap),
                (true, true) => Given::Refusal,
                (true, false) if !family.absent.keeps && served => Given::Refusal,
                (_, _) => own(Which::Normal),
            }
        }
        ArtefactScope::Family | ArtefactScope::Unit => {
            strangers(lens, device, &revision.family, artefact, to_lose)
        }
    }
}

fn strangers(
    lens: &Lens,
    device: &Device,
    family: &std::sync::Arc<Family>,
    artefact: &Artefact,
    to_lose: ToLose,
) -> Given {
    let selected = Selected {
        subject: Subject::Stranger,
        family: Some(family),
        artefact: Some(artefact),
        stage: None,
    };
    let (claims, known) = (said(device), Known::default());
    let (decision, _) = stranger::answer(&selected, &claims, None, &known, to_lose, &world(lens));
    match decision {
        Decision::Refuse | Decision::Point(_) => Given::Refusal,
        Decision::Bootstrap(plan) | Decision::Serve(plan) => Given::Strangers(plan.which),
    }
}

/// What the unit says of itself, as it was last heard.
fn said(device: &Device) -> Claims {
    Claims {
        model: Some(device.config.model.clone()),
        firmware: device.status.seen.firmware.clone(),
        ..Claims::default()
    }
}

/// The highest class among the values that are set for a device and that an artefact reads.
fn class(lens: &Lens, device: &Device, revision: &Revision, artefact: &str) -> Class {
    let nothing = BTreeSet::new();
    let reads = revision.reads(artefact).unwrap_or(&nothing);
    let read = |name: &str| reads.contains(name);
    sources(lens, device, revision).needs(read, None).class
}

fn sources<'a>(lens: &'a Lens, device: &'a Device, revision: &'a Revision) -> Sources<'a> {
    Sources::of(&device.config, &lens.settings.scopes, revision)
}

/// The name that a device asks an artefact by; its pattern where that cannot be said.
pub(crate) fn path_of(artefact: &Artefact, device: &Device) -> String {
    let config = &device.config;
    let found = pattern::Found {
        mac: config.mac,
        serial: config.serial.as_ref().map(ToString::to_string),
        model: Some(config.model.clone()),
        firmware: device.status.seen.firmware.clone(),
        ..pattern::Found::default()
    };
    let mut paths = artefact.paths.iter();
    let named = paths.find_map(|path| path.format(&found));
    let first = artefact.paths.first().map(|path| path.source().to_owned());
    named.or(first).unwrap_or_default()
}
