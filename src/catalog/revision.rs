//! A revision: one family's manifest, its vendor's templates, the vocabulary and a profile, as bytes
//! with a digest. A device is rendered from those bytes and never from the folders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::inputs::Inputs;
use super::manifest::{Artefact, Family};
pub(crate) use super::render::shape::text_of;
pub use super::render::shape::{Hole, LineText, Shape};
pub use super::render::skeleton::Skeleton;
pub use super::render::{MOST, RenderError, Rendered, Which};
use super::render::{Naming, Sources, Templates};
use super::site_profile::{self, SiteProfile};
use super::vocabulary::{self, Vocabulary};
use super::{Files, filter, parse};
use crate::model::identity::Digest;

/// The first octets of a bundle, with the version of its shape.
const HEAD: &[u8] = b"dialtone revision 1\n";

/// A revision as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    pub bytes: Vec<u8>,
}

/// Why bytes are no revision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    #[error("these bytes are no revision, or one of another version")]
    Head,
    #[error("the revision is damaged: its check sum differs, or it ends too early")]
    Damaged,
    #[error("the revision cannot be read: {0}")]
    Unreadable(String),
}

impl Bundle {
    /// Packs what a family needs.
    pub(crate) fn of(files: &Files, vendor: &str, family: &str, profile: &str) -> Self {
        let own = [
            format!("{vendor}/vendor.toml"),
            format!("{vendor}/{family}/family.toml"),
            format!("{vendor}/{family}/sample.toml"),
            vocabulary::FILE.to_owned(),
            site_profile::file_of(profile),
        ];
        let templates = files.0.iter().filter(|(path, _)| {
            path.ends_with(".j2")
                && path
                    .strip_prefix(vendor)
                    .is_some_and(|rest| rest.starts_with('/'))
        });
        let own = own.iter().filter_map(|path| files.0.get_key_value(path));
        let packed: BTreeMap<&String, &Vec<u8>> = own.chain(templates).collect();
        let mut bytes = HEAD.to_vec();
        for name in [vendor, family, profile] {
            put(&mut bytes, name.as_bytes());
        }
        for (path, content) in packed {
            put(&mut bytes, path.as_bytes());
            put(&mut bytes, content);
        }
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        Self {
            digest: Digest(Sha256::digest(&bytes).into()),
            bytes,
        }
    }
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(part);
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
    let (part, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(part)
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    String::from_utf8(take(bytes)?.to_vec()).ok()
}

/// A revision that is open: compiled, and ready to render.
#[derive(Debug)]
pub struct Revision {
    pub digest: Digest,
    pub family: Arc<Family>,
    pub vocabulary: Arc<Vocabulary>,
    pub profile: Arc<SiteProfile>,
    templates: Templates,
}

impl Revision {
    /// Opens what [`super::Catalog::draft`] made. What was sound then is taken as sound now; only
    /// damage, and what cannot be read or compiled at all, is an error.
    pub fn open(bytes: &[u8]) -> Result<Arc<Self>, RevisionError> {
        if !bytes.starts_with(HEAD) {
            return Err(RevisionError::Head);
        }
        let (held, sum) = bytes
            .split_last_chunk::<32>()
            .ok_or(RevisionError::Damaged)?;
        if Sha256::digest(held)[..] != sum[..] {
            return Err(RevisionError::Damaged);
        }
        let mut rest = held.get(HEAD.len()..).unwrap_or_default();
        let mut name = || take_text(&mut rest).ok_or(RevisionError::Damaged);
        let (vendor, family, profile) = (name()?, name()?, name()?);
        let mut files = Files::default();
        while !rest.is_empty() {
            let path = take_text(&mut rest).ok_or(RevisionError::Damaged)?;
            let content = take(&mut rest).ok_or(RevisionError::Damaged)?;
            files.0.insert(path, content.to_vec());
        }
        let mut problems = Vec::new();
        let vocabulary = vocabulary::parse(&files, &mut problems);
        let profile = site_profile::parse(&files, &profile, &vocabulary, &mut problems);
        let family = parse::family(&files, &vendor, &family)
            .map_err(|problem| RevisionError::Unreadable(problem.to_string()))?;
        let sources = sources(&files, &vendor, &profile);
        problems.clear();
        let naming = Naming::Line;
        let templates = Templates::compile(&family, &sources, &vocabulary, naming, &mut problems);
        if let Some(problem) = problems.first() {
            return Err(RevisionError::Unreadable(problem.to_string()));
        }
        let mut revision = Self {
            digest: Digest(Sha256::digest(bytes).into()),
            family: Arc::new(family),
            vocabulary: Arc::new(vocabulary),
            profile: Arc::new(profile),
            templates,
        };
        revision.class_artefacts();
        Ok(Arc::new(revision))
    }

    /// Fills in the highest class that each artefact reads.
    fn class_artefacts(&mut self) {
        let Some(family) = Arc::get_mut(&mut self.family) else {
            return;
        };
        for artefact in &mut family.artefacts {
            artefact.reads = self.templates.class(artefact, &self.vocabulary);
        }
    }

    /// Names that an artefact's template reads: variables, `lines`, `keys`, `report`, and with their
    /// parts `unit.…`, `url.…`, `ca.…`, `report.…`. They are found in the text of the template and
    /// all that it includes, so that no branch is missed. `None` without a template.
    pub fn reads(&self, artefact: &str) -> Option<&BTreeSet<String>> {
        self.templates.reads(artefact, Which::Normal)
    }

    /// Whether units take this file only with a higher number than the last one.
    pub fn is_numbered(&self, artefact: &str, which: Which) -> bool {
        let found = self.family.artefact(artefact);
        found.is_some_and(|artefact| numbered(artefact, which))
    }

    /// Renders one file from the inputs and nothing else: the same inputs give the same bytes.
    pub fn render(
        &self,
        artefact: &str,
        which: Which,
        inputs: &Inputs<'_>,
    ) -> Result<Rendered, RenderError> {
        let found = self.family.artefact(artefact);
        let artefact = found.ok_or_else(|| RenderError::NoArtefact(artefact.to_owned()))?;
        let vocabulary = &self.vocabulary;
        let templates = &self.templates;
        let bytes = templates.render(&self.family, artefact, vocabulary, which, inputs)?;
        Ok(Rendered {
            bytes: filtered(artefact, bytes)?,
            media_type: artefact.media_type.clone(),
        })
    }

    /// All that the file depends on but the texts that go into the holes of its skeleton: units whose
    /// files have one shape share a skeleton. `None` where it has none. No secret is in it.
    pub fn shape(&self, artefact: &str, which: Which, inputs: &Inputs<'_>) -> Option<Shape> {
        let artefact = self.family.artefact(artefact)?;
        let vocabulary = &self.vocabulary;
        let templates = &self.templates;
        templates.shape(&self.family, artefact, vocabulary, which, inputs)
    }

    /// The file with holes for its unit's texts, to be kept and filled; `None` where it cannot be had.
    pub fn skeleton(&self, artefact: &str, which: Which, inputs: &Inputs<'_>) -> Option<Skeleton> {
        let artefact = self.family.artefact(artefact)?;
        let vocabulary = &self.vocabulary;
        let templates = &self.templates;
        templates.skeleton(&self.family, artefact, vocabulary, which, inputs)
    }

    /// Fills a skeleton of this revision with the texts that it wants, in their order. `None` where
    /// one of them needs a rendering.
    pub fn fill<T: AsRef<str>>(
        &self,
        artefact: &str,
        skeleton: &Skeleton,
        texts: &[T],
    ) -> Option<Rendered> {
        let artefact = self.family.artefact(artefact)?;
        let bytes = filtered(artefact, skeleton.fill(texts)?).ok()?;
        Some(Rendered {
            bytes,
            media_type: artefact.media_type.clone(),
        })
    }

    /// Fills a skeleton from inputs of the shape that it was rendered for.
    pub fn fill_from(
        &self,
        artefact: &str,
        skeleton: &Skeleton,
        inputs: &Inputs<'_>,
    ) -> Option<Rendered> {
        let wanted = skeleton.wanted().iter();
        let texts: Option<Vec<_>> = wanted.map(|hole| text_of(inputs, hole)).collect();
        self.fill(artefact, skeleton, &texts?)
    }
}

/// A bootstrap has a number of its own in it, lower than any: it is for units without a file.
pub(crate) fn numbered(artefact: &Artefact, which: Which) -> bool {
    artefact.version_field.is_some() && which == Which::Normal
}

/// What is done to the bytes after rendering.
pub(crate) fn filtered(
    artefact: &Artefact,
    mut bytes: Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, RenderError> {
    for step in &artefact.filters {
        bytes = filter::apply(*step, &bytes).map_err(RenderError::Filter)?;
    }
    Ok(bytes)
}

/// A vendor's templates by their names within it, with the profile's instead of its own.
pub(crate) fn sources(files: &Files, vendor: &str, profile: &SiteProfile) -> Sources {
    let prefix = format!("{vendor}/");
    let mut sources = Sources::new();
    for (path, bytes) in &files.0 {
        let name = path.strip_prefix(&prefix);
        if let Some(name) = name.filter(|name| name.ends_with(".j2")) {
            let text = String::from_utf8_lossy(bytes).into_owned();
            sources.insert(name.to_owned(), text);
        }
    }
    for (path, text) in &profile.templates {
        if let Some(name) = path.strip_prefix(&prefix) {
            sources.insert(name.to_owned(), text.clone());
        }
    }
    sources
}
