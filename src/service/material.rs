//! From a plan to bytes: values, opened secrets, the rendering. Secrets live for one rendering.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::cases::Case;
use super::settings::Snapshot;
use super::skeletons::{Fit, Kept, Kind, Stamp};
use super::{Inner, Trouble};
use crate::catalog::inputs::{AccountLine, Filled, FunctionKey, Inputs, Unit, Urls};
use crate::catalog::revision::{RenderError, Rendered, Revision, SecretName, Skeleton};
use crate::engine::facts::Facts;
use crate::engine::identify::Claims;
use crate::engine::resolve;
use crate::engine::verdict::{Plan, Which};
use crate::hub::Bases;
use crate::model::access::{Class, Grant};
use crate::model::device::{Device, Line};
use crate::model::identity::Digest;
use crate::model::profile::{Layer, Value};
use crate::model::secret::{Sealed, Secret};
use crate::model::site::Site;
use crate::store::{Keys, Owner, Settings};

/// A rendered file.
pub(super) struct Made {
    pub(super) bytes: Bytes,
    pub(super) media_type: String,
    pub(super) etag: String,
    /// Of the bytes.
    pub(super) digest: Digest,
    /// Names of the secrets that were opened for it.
    pub(super) given: Vec<String>,
}

/// Why there are no bytes. No text holds a value.
pub(super) enum Unmade {
    Unpublished,
    Render(RenderError),
    /// A sealed value does not open: which one.
    Sealed(String),
}

impl Unmade {
    pub(super) fn is_unpublished(&self) -> bool {
        match self {
            Self::Unpublished => true,
            Self::Render(_) | Self::Sealed(_) => false,
        }
    }
}

impl fmt::Display for Unmade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpublished => f.write_str("nothing is published for its family and profile"),
            Self::Render(error) => write!(f, "{error}"),
            Self::Sealed(name) => write!(f, "the sealed value of {name} does not open"),
        }
    }
}

/// A listed unit's file: a kept one with its secrets filled in, or rendered.
pub(super) async fn of_unit(
    inner: &Inner,
    plan: &Plan,
    case: &Case<'_>,
    snapshot: &Snapshot,
) -> Result<Result<Made, Unmade>, Trouble> {
    let device = case.device;
    let hub = &inner.hub;
    let bases = hub.bases.load_full();
    let generation = device.config.arming.generation;
    let tag_key = hub.keys.unit_token(device.id, generation);
    let kind = Kind::of(plan, case.revision.digest);
    let stamp = Stamp::of(case, snapshot, &bases);
    let site = device
        .config
        .site
        .as_ref()
        .and_then(|name| snapshot.settings.sites.get(name));
    if let Some(kept) = inner.skeletons.get(device.id, &kind, &stamp) {
        let urls = urls(&hub.keys, device, site, &bases, plan);
        if let Some(secrets) = secrets(inner, case, &kept.skeleton, &urls).await?
            && let Some(rendered) = case.revision.fill(&plan.artefact, &kept.skeleton, &secrets)
        {
            return Ok(Ok(made(&rendered, Some(&tag_key), kept.given.clone())));
        }
    }
    let reads = case.revision.reads(&plan.artefact);
    let wanted = |name: &str| reads.is_some_and(|reads| reads.contains(name));
    let mut given = Vec::new();
    let values = match filled(inner, case, plan.grant, plan.which, &wanted, &mut given).await? {
        Ok(values) => values,
        Err(why) => return Ok(Err(why)),
    };
    let lines = if plan.grant.credential && wanted("lines") {
        match lines(inner, device, snapshot, &mut given).await? {
            Ok(lines) => lines,
            Err(why) => return Ok(Err(why)),
        }
    } else {
        Vec::new()
    };
    let urls = urls(&hub.keys, device, site, &bases, plan);
    if plan.grant.credential && urls.token.is_some() {
        given.push("unit token".to_owned());
    }
    let keys: Vec<FunctionKey> = device.config.keys.iter().map(function_key).collect();
    let inputs = Inputs {
        grant: plan.grant,
        unit: Unit {
            mac: device.config.mac,
            serial: device.config.serial.as_ref(),
            model: Some(&device.config.model),
        },
        urls,
        ca_pem: &hub.ca_pem,
        values: &values,
        lines: &lines,
        keys: &keys,
        release: plan.release,
    };
    let rendered = match kept_or_rendered(inner, plan, case, &inputs, kind, stamp, &given) {
        Ok(rendered) => rendered,
        Err(error) => return Ok(Err(Unmade::Render(error))),
    };
    Ok(Ok(made(&rendered, Some(&tag_key), given)))
}

/// Renders a unit's file, and keeps its skeleton where files of its kind can be kept.
fn kept_or_rendered(
    inner: &Inner,
    plan: &Plan,
    case: &Case<'_>,
    inputs: &Inputs<'_>,
    kind: Kind,
    stamp: Stamp,
    given: &[String],
) -> Result<Rendered, RenderError> {
    let revision = &case.revision;
    let whole = || revision.render(&plan.artefact, plan.which, inputs);
    let fit = inner.skeletons.fit(&kind);
    if fit == Fit::No {
        return whole();
    }
    let Some(skeleton) = revision.skeleton(&plan.artefact, plan.which, inputs) else {
        if fit == Fit::Unknown {
            inner.skeletons.learn(kind, false);
        }
        return whole();
    };
    let Some(filled) = revision.fill_from(&plan.artefact, &skeleton, inputs) else {
        // One unit's secret is the reason: nothing is learned about the others.
        return whole();
    };
    if fit == Fit::Unknown {
        let rendered = whole()?;
        let same = rendered.bytes == filled.bytes;
        if !same {
            tracing::warn!(
                artefact = plan.artefact,
                "a template works on a secret: its files are rendered each time"
            );
        }
        inner.skeletons.learn(kind.clone(), same);
        if !same {
            return Ok(rendered);
        }
    }
    let kept = Kept {
        skeleton,
        given: given.to_vec(),
    };
    inner.skeletons.put(case.device.id, kind, stamp, kept);
    Ok(filled)
}

/// The secrets of a skeleton's holes, opened. `None` where one is not there any more.
async fn secrets(
    inner: &Inner,
    case: &Case<'_>,
    skeleton: &Skeleton,
    urls: &Urls,
) -> Result<Option<Vec<Secret>>, Trouble> {
    let hub = &inner.hub;
    let device = Owner::Device(case.device.id);
    // All of the device's own at once: a file with lines needs most of them.
    let own: BTreeMap<String, Sealed> = hub.store.secrets(&device).await?.into_iter().collect();
    let of_device = |field: &str| {
        let sealed = own.get(field)?;
        hub.keys.open(sealed, &device.aad(field)).ok()
    };
    let mut found = Vec::new();
    for name in skeleton.secrets() {
        let secret = match name {
            SecretName::Value(name) => match case.values.get(name) {
                Some(value) if value.resolved.layer == Layer::Device => of_device(name),
                Some(value) => opened(inner, &owner(case.device, value), name).await?,
                None => None,
            },
            SecretName::Line(n) => of_device(&line_field(*n)),
            SecretName::Token => urls.token.clone(),
            SecretName::Report => urls.report.clone(),
        };
        match secret {
            Some(secret) => found.push(secret),
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// A file that holds nothing of any listed unit.
pub(super) fn of_stranger(
    inner: &Inner,
    plan: &Plan,
    revision: &Revision,
    claims: &Claims,
    facts: &Facts,
    site: Option<&str>,
    snapshot: &Snapshot,
) -> Result<Made, Unmade> {
    let found = of_stranger_values(site, revision, snapshot);
    let bases = inner.hub.bases.load();
    let row = site.and_then(|name| snapshot.settings.sites.get(name));
    // Nothing but what the name itself holds.
    let bound = claims.bound && facts.target.report.is_none();
    let inputs = Inputs {
        grant: Grant::PUBLIC,
        unit: Unit {
            mac: claims.mac.filter(|_| bound),
            serial: claims.serial.as_ref().filter(|_| bound),
            model: claims.model.as_deref(),
        },
        urls: public_urls(row, &bases),
        ca_pem: &inner.hub.ca_pem,
        values: &found,
        lines: &[],
        keys: &[],
        release: false,
    };
    render(revision, plan, &inputs)
}

fn of_stranger_values(
    site: Option<&str>,
    revision: &Revision,
    snapshot: &Snapshot,
) -> BTreeMap<String, Filled> {
    let scopes = &snapshot.settings.scopes;
    let values = resolve::of_stranger(site, scopes, &revision.profile, &revision.vocabulary);
    let plain = values
        .into_iter()
        .map(|(name, found)| (name, Filled::Plain(found.resolved.value)));
    plain.collect()
}

fn render(revision: &Revision, plan: &Plan, inputs: &Inputs<'_>) -> Result<Made, Unmade> {
    let rendered = revision
        .render(&plan.artefact, plan.which, inputs)
        .map_err(Unmade::Render)?;
    Ok(made(&rendered, None, Vec::new()))
}

/// With its digest, and the tag that names it to this unit.
fn made(rendered: &Rendered, key: Option<&Secret>, given: Vec<String>) -> Made {
    let digest = Digest(Sha256::digest(&rendered.bytes[..]).into());
    // Keyed for the unit: no other unit's tag can match, and none tells what a file holds.
    let mut tag = Sha256::new();
    tag.update(key.map(|key| key.expose().as_bytes()).unwrap_or_default());
    tag.update(digest.0);
    let tag: [u8; 32] = tag.finalize().into();
    Made {
        etag: tag
            .iter()
            .take(16)
            .map(|octet| format!("{octet:02x}"))
            .collect(),
        digest,
        media_type: rendered.media_type.clone(),
        bytes: Bytes::copy_from_slice(&rendered.bytes),
        given,
    }
}

/// The unit's values with its secrets opened: those that the artefact reads and the grant allows.
async fn filled(
    inner: &Inner,
    case: &Case<'_>,
    grant: Grant,
    which: Which,
    wanted: &impl Fn(&str) -> bool,
    given: &mut Vec<String>,
) -> Result<Result<BTreeMap<String, Filled>, Unmade>, Trouble> {
    let mut values = BTreeMap::new();
    for (name, found) in &case.values {
        let class = case
            .revision
            .vocabulary
            .0
            .get(name)
            .map(|found| found.class);
        // Of a bootstrap it is not known beforehand what it reads: no secret, anyhow.
        let plain = which == Which::Bootstrap && found.resolved.value != Value::Secret;
        if !(wanted(name) || plain) || !grant.allows(class.unwrap_or(Class::Key)) {
            continue;
        }
        let value = match &found.resolved.value {
            Value::Secret => match opened(inner, &owner(case.device, found), name).await? {
                Some(secret) => {
                    given.push(name.clone());
                    Filled::Secret(secret)
                }
                None => return Ok(Err(Unmade::Sealed(name.clone()))),
            },
            plain @ (Value::Bool(_)
            | Value::Int(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Text(_)) => Filled::Plain(plain.clone()),
        };
        values.insert(name.clone(), value);
    }
    Ok(Ok(values))
}

/// Who holds a resolved secret.
fn owner(device: &Device, found: &resolve::Found) -> Owner {
    match found.resolved.layer {
        Layer::Device => Owner::Device(device.id),
        layer @ (Layer::Global
        | Layer::Tenant
        | Layer::Site
        | Layer::Group
        | Layer::User
        | Layer::Schema
        | Layer::Profile
        | Layer::Model) => Owner::Scope(layer, found.scope.clone()),
    }
}

/// Where a line's password is kept.
fn line_field(n: u16) -> String {
    format!("line.{n}.password")
}

async fn opened(inner: &Inner, owner: &Owner, field: &str) -> Result<Option<Secret>, Trouble> {
    let Some(sealed) = inner.hub.store.secret(owner, field).await? else {
        return Ok(None);
    };
    Ok(inner.hub.keys.open(&sealed, &owner.aad(field)).ok())
}

async fn lines(
    inner: &Inner,
    device: &Device,
    snapshot: &Snapshot,
    given: &mut Vec<String>,
) -> Result<Result<Vec<AccountLine>, Unmade>, Trouble> {
    let mut all = Vec::new();
    for line in &device.config.lines {
        let mut password = None;
        if line.has_password {
            let field = line_field(line.n);
            password = opened(inner, &Owner::Device(device.id), &field).await?;
            if password.is_none() {
                return Ok(Err(Unmade::Sealed(field)));
            }
            given.push(field);
        }
        all.push(account(line, password, &snapshot.settings));
    }
    Ok(Ok(all))
}

/// A line with its call server: the one that it names, else its own registrar.
pub(crate) fn account(line: &Line, password: Option<Secret>, settings: &Settings) -> AccountLine {
    let pbx = line.pbx.as_ref().and_then(|name| settings.pbxs.get(name));
    AccountLine {
        n: line.n,
        enabled: line.enabled,
        user: line.user.clone(),
        auth: line.auth.clone(),
        password,
        display: line.display.clone(),
        label: line.label.clone(),
        server: pbx
            .map(|pbx| pbx.sip_server.clone())
            .or_else(|| line.server.clone()),
        backup: pbx.and_then(|pbx| pbx.backup.clone()),
        outbound_proxy: pbx.and_then(|pbx| pbx.outbound_proxy.clone()),
        transport: pbx.and_then(|pbx| pbx.transport.clone()),
        srtp: pbx.is_some_and(|pbx| pbx.srtp),
        port: line.port,
        handset: line.handset,
        shared: line.shared,
    }
}

pub(crate) fn function_key(key: &crate::model::device::Key) -> FunctionKey {
    FunctionKey {
        page: key.page.clone(),
        n: key.n,
        kind: key.kind.clone(),
        value: key.value.clone(),
        label: key.label.clone(),
        line: key.line,
    }
}

/// The bases of a site, without anything of a unit.
pub(crate) fn public_urls(site: Option<&Site>, bases: &Bases) -> Urls {
    let own = |of: fn(&Site) -> Option<&String>, base: &Option<String>| {
        let own = site.and_then(of);
        own.or(base.as_ref()).map(|url| slashed(url))
    };
    Urls {
        https: own(|site| site.public_url.as_ref(), &bases.https),
        http: own(|site| site.public_http_url.as_ref(), &bases.http),
        token: None,
        report: None,
    }
}

fn slashed(url: &str) -> String {
    if url.ends_with('/') {
        url.to_owned()
    } else {
        format!("{url}/")
    }
}

/// With the unit's token URL and report URL, where it is granted them and can use them.
pub(crate) fn urls(
    keys: &Keys,
    device: &Device,
    site: Option<&Site>,
    bases: &Bases,
    plan: &Plan,
) -> Urls {
    let mut urls = public_urls(site, bases);
    if !plan.grant.credential {
        return urls;
    }
    let generation = device.config.arming.generation;
    if let Some(https) = urls.https.as_ref().filter(|_| plan.token) {
        let token = keys.unit_token(device.id, generation);
        urls.token = Some(Secret::new(format!("{https}u/{}/", token.expose())));
    }
    let base = if plan.token { &urls.https } else { &urls.http };
    if let Some(base) = base {
        let secret = keys.report_secret(device.id, generation);
        urls.report = Some(Secret::new(format!("{base}r/{}", secret.expose())));
    }
    urls
}
