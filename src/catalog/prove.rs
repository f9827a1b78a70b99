//! The proof at load: templates compile, and say what they read.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::manifest::{Artefact, Family, Vendor};
use super::render::{Templates, Which};
use super::revision::sources;
use super::site_profile::SiteProfile;
use super::vocabulary::Vocabulary;
use super::{Files, Problem};

/// Proves every family with every profile that has a template of its vendor.
pub(crate) fn all(
    vendors: &mut BTreeMap<String, Arc<Vendor>>,
    files: &Files,
    vocabulary: &Vocabulary,
    profiles: &BTreeMap<String, Arc<SiteProfile>>,
    problems: &mut Vec<Problem>,
) {
    for vendor in vendors.values_mut().filter_map(Arc::get_mut) {
        let prefix = format!("{}/", vendor.id);
        let own = SiteProfile::default();
        let overrides = profiles.values().map(Arc::as_ref).filter(|profile| {
            let mut names = profile.templates.keys();
            names.any(|name| name.starts_with(&prefix))
        });
        for profile in [&own].into_iter().chain(overrides) {
            let sources = sources(files, &vendor.id, profile);
            for family in vendor.families.values_mut().filter_map(Arc::get_mut) {
                let templates = Templates::compile(family, &sources, vocabulary, problems);
                class_artefacts(family, &templates, vocabulary);
                pin(family, &templates, problems);
            }
        }
    }
}

/// Fills in the highest class that each artefact reads.
fn class_artefacts(family: &mut Family, templates: &Templates, vocabulary: &Vocabulary) {
    for artefact in &mut family.artefacts {
        let class = templates.class(artefact, vocabulary);
        artefact.reads = artefact.reads.max(class);
    }
}

/// A family that can be pinned includes `pin.j2` and `release.j2` somewhere.
fn pin(family: &Family, templates: &Templates, problems: &mut Vec<Problem>) {
    let written = |artefact: &&Artefact| artefact.template.is_some();
    if !family.sources.pin || !family.artefacts.iter().any(|artefact| written(&artefact)) {
        return;
    }
    for part in ["pin.j2", "release.j2"] {
        let own = format!("{}/{part}", family.id);
        let holds = |artefact: &Artefact| {
            let files = templates.files(&artefact.id, Which::Normal);
            files.is_some_and(|files| files.contains(&own))
        };
        if !family.artefacts.iter().any(holds) {
            let file = format!("{}/{}/family.toml", family.vendor, family.id);
            let what = format!("`pin = true`, and no template includes {own}");
            let hint = "include it under grant.credential, or write pin = false";
            problems.push(Problem::error(&file, None, what, hint));
        }
    }
}
