//! What a device would get, file by file, and where each value comes from.

use super::device::subject;
use super::lens::kind_of;
use super::preview::{self, Given, MASK, Secrets, path_of, world};
use super::{Actor, Admin, Code, DeviceView, Problem};
use crate::catalog::manifest::Artefact;
use crate::catalog::revision::Which;
use crate::catalog::site_profile::DEFAULT;
use crate::engine::grant::{Circumstances, grant, opens_https};
use crate::engine::level::certificate_expected;
use crate::engine::window::Gate;
use crate::model::access::Grant;
use crate::model::identity::{Assurance, Channel, DeviceId, Digest};
use crate::model::profile::{Layer, Value};
use crate::store::Batch;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct RenderAsk {
    /// An artefact's id or a path; else all.
    pub file: Option<String>,
    /// As if it had proved so much; else the most that it can.
    pub level: Option<Assurance>,
    pub secrets: Secrets,
}

/// A device's files and values.
#[derive(Clone, Debug)]
pub struct Preview {
    pub device: DeviceId,
    pub level: Assurance,
    pub grant: Grant,
    pub revision: Digest,
    pub files: Vec<FilePreview>,
    /// Name, value, and the layer that it came from. Secrets are masked, or shown as texts.
    pub values: Vec<(String, Value, Layer)>,
}

/// One file.
#[derive(Clone, Debug)]
pub struct FilePreview {
    pub id: String,
    pub path: String,
    pub format: &'static str,
    pub media_type: String,
    /// `normal`, `bootstrap` or `refusal`.
    pub which: &'static str,
    pub partial: bool,
    pub body: String,
}

impl Admin {
    /// Renders for people. Shown secrets are in the audit trail before the answer is.
    pub async fn render(
        &self,
        actor: &Actor,
        name: &str,
        ask: &RenderAsk,
    ) -> Result<Preview, Problem> {
        let lens = self.lens().await?;
        let view = lens.view(self.find(name).await?);
        let device = &view.device;
        let Some(open) = lens.open.get(&kind_of(&device.config)) else {
            let what = "nothing is published for its family and profile";
            return Err(Problem::new(Code::WrongState, what).hint("dialtone profile publish"));
        };
        let revision = &open.revision;
        let level = ask.level.unwrap_or(view.ceiling);
        let granted = self.granted(&lens, &view, level);
        let wanted = |artefact: &&Artefact| match &ask.file {
            None => true,
            Some(file) => {
                let mut paths = artefact.paths.iter();
                artefact.id == *file
                    || path_of(artefact, device) == *file
                    || paths.any(|path| path.find(file).is_some())
            }
        };
        let artefacts: Vec<&Artefact> = revision.family.artefacts.iter().filter(wanted).collect();
        if let (Some(file), true) = (&ask.file, artefacts.is_empty()) {
            let ids = revision.family.artefacts.iter();
            let ids: Vec<&str> = ids.map(|artefact| artefact.id.as_str()).collect();
            return Err(Problem::not_found("file", file)
                .hint(format!("this family has {}", ids.join(", "))));
        }
        if ask.secrets == Secrets::Shown {
            let detail = ask.file.clone().unwrap_or_else(|| "all files".to_owned());
            let subject = subject(device.id, &device.config);
            let entry = self.audit(actor, "device.show-secrets", subject, detail);
            self.hub().store.commit(Batch::now(vec![entry])).await?;
        }
        let filling = self.filling(&lens, device, revision, ask.secrets).await?;
        let mut files = Vec::new();
        for artefact in artefacts {
            let given = preview::given(&lens, device, revision, artefact, granted);
            let made = match given {
                Given::Refusal => None,
                Given::Own {
                    which,
                    grant,
                    partial,
                } => {
                    let made = self.rendered(
                        &lens,
                        device,
                        revision,
                        &filling,
                        &artefact.id,
                        (which, grant),
                    );
                    Some((which, partial, made))
                }
                Given::Strangers(which) => {
                    let mut kind = kind_of(&device.config);
                    DEFAULT.clone_into(&mut kind.2);
                    let revision = lens.open.get(&kind).map_or(revision, |open| &open.revision);
                    let filling = Self::strangers_filling(&lens, device, revision);
                    let given = (which, Grant::PUBLIC);
                    let made =
                        self.rendered(&lens, device, revision, &filling, &artefact.id, given);
                    Some((which, true, made))
                }
            };
            let mut file = FilePreview {
                id: artefact.id.clone(),
                path: path_of(artefact, device),
                format: artefact.format.as_str(),
                media_type: artefact.media_type.clone(),
                which: "refusal",
                partial: false,
                body: String::new(),
            };
            if let Some((which, partial, made)) = made {
                let made = made.map_err(|error| {
                    Problem::new(Code::ValueInvalid, format!("{}: {error}", artefact.id))
                        .hint("the unit gets the refusal until this is mended")
                })?;
                file.which = match which {
                    Which::Normal => "normal",
                    Which::Bootstrap => "bootstrap",
                };
                file.partial = partial;
                file.media_type = made.media_type;
                file.body = String::from_utf8_lossy(&made.bytes).into_owned();
            }
            files.push(file);
        }
        Ok(Preview {
            device: device.id,
            level,
            grant: granted,
            revision: revision.digest,
            files,
            values: self.shown(&lens, &view, ask.secrets).await?,
        })
    }

    /// What a level grants to a device in its open window, over the best transport it has.
    fn granted(&self, lens: &super::Lens, view: &DeviceView, level: Assurance) -> Grant {
        let device = &view.device;
        let Some((vendor, family)) = lens.kind(&device.config) else {
            return Grant::PUBLIC;
        };
        let world = world(lens);
        let always: Vec<_> = vendor
            .certificates
            .iter()
            .map(|rule| &rule.always)
            .collect();
        let circumstances = Circumstances {
            channel: if opens_https(family, device, &world) {
                Channel::Https
            } else {
                Channel::Http
            },
            level,
            certificate_expected: level < Assurance::L3
                && certificate_expected(&always, device, &world),
        };
        grant(device, family, circumstances, &Gate::Open, &world).0
    }

    /// Every value that the device sees.
    async fn shown(
        &self,
        lens: &super::Lens,
        view: &DeviceView,
        secrets: Secrets,
    ) -> Result<Vec<(String, Value, Layer)>, Problem> {
        use crate::catalog::inputs::Filled;
        let found = lens.values(&view.device.config);
        let layers: Vec<(String, Layer)> = found
            .iter()
            .map(|(name, found)| (name.clone(), found.resolved.layer))
            .collect();
        let mut filled = self.filled(&view.device, found, secrets).await?;
        let values = layers.into_iter().filter_map(|(name, layer)| {
            let value = match filled.remove(&name)? {
                Filled::Plain(value) => value,
                Filled::Secret(secret) if secret.expose() == MASK => Value::Secret,
                Filled::Secret(secret) => Value::Text(secret.expose().to_owned()),
            };
            Some((name, value, layer))
        });
        Ok(values.collect())
    }
}
