//! From a plan to bytes: values, opened secrets, the rendering. Secrets live for one rendering.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::cases::Case;
use super::settings::Snapshot;
use super::skeletons::{Fit, Kept, Kind, Shared, Stamp};
use super::vault::{Opened, Vault, line_field};
use super::{Inner, Trouble};
use crate::catalog::inputs::{AccountLine, Filled, FunctionKey, Inputs, Unit, Urls};
use crate::catalog::revision::{Hole, RenderError, Rendered, Revision, Skeleton};
use crate::engine::facts::Facts;
use crate::engine::identify::Claims;
use crate::engine::resolve::{self, Values};
use crate::engine::verdict::{Plan, Which};
use crate::hub::Bases;
use crate::model::access::{Class, Grant};
use crate::model::device::{Device, Line};
use crate::model::identity::Digest;
use crate::model::profile::Value;
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::store::{Keys, Settings};

/// A rendered file.
pub(super) struct Made {
    pub(super) bytes: Bytes,
    pub(super) media_type: String,
    pub(super) etag: String,
    /// Of the bytes.
    pub(super) digest: Digest,
    /// Names of the secrets that were opened for it.
    pub(super) given: Arc<[String]>,
    /// Its number, and the digest of its other bytes, where units look at that.
    pub(super) number: Option<(u64, Digest)>,
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

/// A listed unit's file: a kept skeleton with its texts filled in, or rendered.
pub(super) async fn of_unit(
    inner: &Inner,
    plan: &Plan,
    case: &Case<'_>,
) -> Result<Result<Made, Unmade>, Trouble> {
    let device = case.device;
    let settings = &case.snapshot.settings;
    let hub = &inner.hub;
    let bases = hub.bases.load_full();
    let token = hub
        .keys
        .unit_token(device.id, device.config.arming.generation);
    let kind = Kind::of(plan, case.revision.digest);
    let stamp = Stamp::of(case, &bases);
    let site = device
        .config
        .site
        .as_ref()
        .and_then(|name| settings.sites.get(name));
    let urls = urls(&hub.keys, device, &token, site, &bases, plan);
    if let Some(kept) = inner.skeletons.get(device.id, &kind, &stamp)
        && let Some(made) = refilled(&hub.keys, plan, case, &kept, &urls, &token)
    {
        return Ok(Ok(made));
    }
    let vault = Vault::of(inner, device.id).await?;
    let reads = case.revision.reads(&plan.artefact);
    let wanted = |name: &str| reads.is_some_and(|reads| reads.contains(name));
    let mut given = Vec::new();
    let found = case.values();
    let filled = filled(&vault, case, &found, plan, &wanted, &mut given).await?;
    let values = match filled {
        Ok(values) => values,
        Err(why) => return Ok(Err(why)),
    };
    let lines = if plan.grant.credential && wanted("lines") {
        match lines(&vault, device, settings, &mut given) {
            Ok(lines) => lines,
            Err(why) => return Ok(Err(why)),
        }
    } else {
        Vec::new()
    };
    if plan.grant.credential && urls.token.is_some() {
        given.push("unit token".to_owned());
    }
    // Of a bootstrap it is not known beforehand what it reads.
    let keys = device.config.keys.iter();
    let keys = keys.filter(|_| wanted("keys") || plan.which == Which::Bootstrap);
    let keys: Vec<FunctionKey> = keys.map(function_key).collect();
    let numbered = case.revision.is_numbered(&plan.artefact, plan.which);
    let mut inputs = Inputs {
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
        version: numbered.then(|| written(0)),
    };
    let (mut rendered, skeleton) = match rendered(inner, plan, &case.revision, &inputs, &kind) {
        Ok(rendered) => rendered,
        Err(error) => return Ok(Err(Unmade::Render(error))),
    };
    let number = numbered.then(|| next_number(device, &plan.artefact, &rendered));
    if let Some((number, _)) = number {
        inputs.version = Some(written(number));
        let skeleton = skeleton.as_ref();
        let again = skeleton
            .and_then(|skeleton| case.revision.fill_from(&plan.artefact, skeleton, &inputs))
            .map_or_else(
                || case.revision.render(&plan.artefact, plan.which, &inputs),
                Ok,
            );
        rendered = match again {
            Ok(rendered) => rendered,
            Err(error) => return Ok(Err(Unmade::Render(error))),
        };
    }
    let given: Arc<[String]> = given.into();
    let told = tell(&rendered, Some(&token));
    if let Some(skeleton) = skeleton
        && let Some(fillings) = vault.fillings(&found, &skeleton, &inputs).await?
    {
        let told = if numbered {
            OnceLock::new()
        } else {
            OnceLock::from(told.clone())
        };
        let kept = Kept {
            skeleton,
            fillings,
            given: Arc::clone(&given),
            told,
        };
        inner.skeletons.put(device.id, kind, stamp, kept);
    }
    Ok(Ok(made(rendered, told, given, number)))
}

/// A unit's file again, from what is kept of it. `None` where it has to be rendered.
fn refilled(
    keys: &Keys,
    plan: &Plan,
    case: &Case<'_>,
    kept: &Kept,
    urls: &Urls,
    token: &Secret,
) -> Option<Made> {
    let fill = |texts: &[Opened<'_>]| case.revision.fill(&plan.artefact, &kept.skeleton, texts);
    let texts = kept.fillings.iter().map(|filling| filling.open(keys, urls));
    let mut texts: Vec<Opened<'_>> = texts.collect::<Option<_>>()?;
    let rendered = fill(&texts)?;
    let given = Arc::clone(&kept.given);
    if !case.revision.is_numbered(&plan.artefact, plan.which) {
        let told = kept.told.get_or_init(|| tell(&rendered, Some(token)));
        return Some(made(rendered, told.clone(), given, None));
    }
    let number = next_number(case.device, &plan.artefact, &rendered);
    let holes = kept.skeleton.wanted().iter().zip(&mut texts);
    for (_, text) in holes.filter(|(hole, _)| **hole == Hole::Version) {
        *text = Opened::Secret(written(number.0));
    }
    let rendered = fill(&texts)?;
    let told = tell(&rendered, Some(token));
    Some(made(rendered, told, given, Some(number)))
}

/// The number of a file that was made with 0 in its place, and the digest of the rest.
fn next_number(device: &Device, artefact: &str, rendered: &Rendered) -> (u64, Digest) {
    let rest = Digest(Sha256::digest(&rendered.bytes[..]).into());
    (device.status_now().number_of(artefact, rest), rest)
}

pub(super) fn written(number: u64) -> Secret {
    Secret::new(number.to_string())
}

/// A unit's file, and its skeleton where files of its kind can be kept: that of another unit whose file
/// has the same shape, or one of its own, which others may share.
fn rendered(
    inner: &Inner,
    plan: &Plan,
    revision: &Revision,
    inputs: &Inputs<'_>,
    kind: &Kind,
) -> Result<(Rendered, Option<Arc<Skeleton>>), RenderError> {
    let (artefact, which) = (&plan.artefact, plan.which);
    let whole = || revision.render(artefact, which, inputs);
    let alone = || whole().map(|rendered| (rendered, None));
    let skeletons = &inner.skeletons;
    let fit = skeletons.fit(kind);
    if fit == Fit::No {
        return alone();
    }
    let Some(shape) = revision.shape(artefact, which, inputs) else {
        return alone();
    };
    let known = skeletons.shared(kind, &shape);
    let skeleton = match &known {
        Some(shared) => Arc::clone(&shared.skeleton),
        None => match revision.skeleton(artefact, which, inputs) {
            Some(skeleton) => Arc::new(skeleton),
            None => {
                if fit == Fit::Unknown {
                    skeletons.learn(kind, false);
                }
                return alone();
            }
        },
    };
    let Some(filled) = revision.fill_from(artefact, &skeleton, inputs) else {
        // One unit's text is the reason: nothing is learned about the others.
        return alone();
    };
    let proven = known.as_ref().is_some_and(|shared| shared.proven);
    if known.is_some() && !proven || fit == Fit::Unknown {
        let rendered = whole()?;
        let same = rendered.bytes == filled.bytes;
        if !same {
            tracing::warn!(
                artefact,
                "a template works on a text that it should only write: its files are rendered each time"
            );
        }
        if !same || fit == Fit::Unknown {
            skeletons.learn(kind, same);
        }
        if !same {
            return Ok((rendered, None));
        }
    }
    if !proven {
        let held = Shared {
            skeleton: Arc::clone(&skeleton),
            proven: known.is_some(),
        };
        skeletons.share(kind, shape, held);
    }
    Ok((filled, Some(skeleton)))
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
        urls: public_urls(row, &bases, plan.https),
        ca_pem: &inner.hub.ca_pem,
        values: &found,
        lines: &[],
        keys: &[],
        release: false,
        version: None,
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
    let told = tell(&rendered, None);
    Ok(made(rendered, told, Arc::default(), None))
}

/// A file's digest, and the tag that names it to this unit.
fn tell(rendered: &Rendered, key: Option<&Secret>) -> (Digest, String) {
    let digest = Digest(Sha256::digest(&rendered.bytes[..]).into());
    // Keyed for the unit: no other unit's tag can match, and none tells what a file holds.
    let mut tag = Sha256::new();
    tag.update(key.map(|key| key.expose().as_bytes()).unwrap_or_default());
    tag.update(digest.0);
    let tag: [u8; 32] = tag.finalize().into();
    let (tag, _) = tag.split_at(16);
    let mut etag = String::with_capacity(32);
    for octet in tag {
        for digit in [octet >> 4, octet & 15] {
            etag.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    (digest, etag)
}

fn made(
    mut rendered: Rendered,
    told: (Digest, String),
    given: Arc<[String]>,
    number: Option<(u64, Digest)>,
) -> Made {
    let (digest, etag) = told;
    Made {
        etag,
        digest,
        media_type: rendered.media_type,
        // It goes out as it is: there is no second copy to wipe.
        bytes: Bytes::from(std::mem::take(&mut *rendered.bytes)),
        given,
        number,
    }
}

/// The unit's values with its secrets opened: those that the artefact reads and the grant allows.
async fn filled(
    vault: &Vault<'_>,
    case: &Case<'_>,
    found: &Values,
    plan: &Plan,
    wanted: &impl Fn(&str) -> bool,
    given: &mut Vec<String>,
) -> Result<Result<BTreeMap<String, Filled>, Unmade>, Trouble> {
    let mut values = BTreeMap::new();
    for (name, found) in found {
        let class = case
            .revision
            .vocabulary
            .0
            .get(name)
            .map(|found| found.class);
        // Of a bootstrap it is not known beforehand what it reads: no secret, anyhow.
        let plain = plan.which == Which::Bootstrap && found.resolved.value != Value::Secret;
        if !(wanted(name) || plain) || !plan.grant.allows(class.unwrap_or(Class::Key)) {
            continue;
        }
        let value = match &found.resolved.value {
            Value::Secret => match vault.value(name, found).await? {
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

fn lines(
    vault: &Vault<'_>,
    device: &Device,
    settings: &Settings,
    given: &mut Vec<String>,
) -> Result<Vec<AccountLine>, Unmade> {
    let mut all = Vec::new();
    for line in &device.config.lines {
        let mut password = None;
        if line.has_password {
            let field = line_field(line.n);
            password = vault.line(line.n);
            if password.is_none() {
                return Err(Unmade::Sealed(field));
            }
            given.push(field);
        }
        all.push(account(line, password, settings));
    }
    Ok(all)
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
/// Where a unit does not open HTTPS it is never sent there.
pub(crate) fn public_urls(site: Option<&Site>, bases: &Bases, opens_https: bool) -> Urls {
    let own = |of: fn(&Site) -> Option<&String>, base: &Option<String>| {
        let own = site.and_then(of);
        own.or(base.as_ref()).map(|url| slashed(url))
    };
    Urls {
        https: own(|site| site.public_url.as_ref(), &bases.https).filter(|_| opens_https),
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
    token: &Secret,
    site: Option<&Site>,
    bases: &Bases,
    plan: &Plan,
) -> Urls {
    let mut urls = public_urls(site, bases, plan.https);
    if !plan.grant.credential {
        return urls;
    }
    if let Some(https) = urls.https.as_ref().filter(|_| plan.token) {
        urls.token = Some(Secret::new(format!("{https}u/{}/", token.expose())));
    }
    let base = if plan.token { &urls.https } else { &urls.http };
    if let Some(base) = base {
        let secret = keys.report_secret(device.id, device.config.arming.generation);
        urls.report = Some(Secret::new(format!("{base}r/{}", secret.expose())));
    }
    urls
}
