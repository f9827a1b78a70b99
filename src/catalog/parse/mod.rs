//! Manifests' text to resolved data; every problem of every file at once.

mod family;
mod option;
mod raw;
pub(crate) mod reply;
mod vendor;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::manifest::{Family, Vendor};
use super::problem::line_at;
use super::{Files, Problem};

/// Reads every vendor. Folders that begin with `_` are no vendors.
pub(crate) fn vendors(files: &Files) -> (BTreeMap<String, Arc<Vendor>>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut vendors = BTreeMap::new();
    for (path, bytes) in &files.0 {
        let Some(id) = path.strip_suffix("/vendor.toml") else {
            continue;
        };
        if id.contains('/') || id.starts_with('_') {
            continue;
        }
        let Some(raw) = read::<raw::Vendor>(path, bytes, &mut problems) else {
            continue;
        };
        let prefix = format!("{id}/");
        let mut families = Vec::new();
        for (path, bytes) in files.0.range(prefix.clone()..) {
            let Some(inside) = path.strip_prefix(&prefix) else {
                break;
            };
            let Some(family) = inside.strip_suffix("/family.toml") else {
                continue;
            };
            if let Some(raw) = read::<raw::Family>(path, bytes, &mut problems) {
                families.push((family.to_owned(), raw));
            }
        }
        let text = String::from_utf8_lossy(bytes);
        let vendor = vendor::resolve(id, &text, raw, families, files, &mut problems);
        vendors.insert(id.to_owned(), Arc::new(vendor));
    }
    (vendors, problems)
}

/// One family of a vendor, for a revision that is opened from its own bytes: it was checked when it
/// was made, so only what cannot be read at all is an error.
pub(crate) fn family(files: &Files, vendor: &str, family: &str) -> Result<Family, Problem> {
    let mut problems = Vec::new();
    let path = format!("{vendor}/vendor.toml");
    let nothing = Vec::new();
    let bytes = files.0.get(&path).unwrap_or(&nothing);
    let raw = read::<raw::Vendor>(&path, bytes, &mut problems);
    let own = format!("{vendor}/{family}/family.toml");
    let own = read::<raw::Family>(&own, files.0.get(&own).unwrap_or(&nothing), &mut problems);
    let (Some(raw), Some(own)) = (raw, own) else {
        let first = problems.into_iter().next();
        return Err(first.unwrap_or_else(|| unread(&path)));
    };
    let text = String::from_utf8_lossy(bytes);
    let families = vec![(family.to_owned(), own)];
    let resolved = vendor::resolve(vendor, &text, raw, families, files, &mut problems);
    let mut families = resolved.families;
    let family = families.remove(family);
    family
        .and_then(Arc::into_inner)
        .ok_or_else(|| unread(&path))
}

fn unread(path: &str) -> Problem {
    Problem::error(path, None, "cannot be read".to_owned(), "")
}

/// One file; an unknown key or a wrong type is told with its line.
fn read<T: DeserializeOwned>(path: &str, bytes: &[u8], problems: &mut Vec<Problem>) -> Option<T> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let hint = "save it as UTF-8";
        problems.push(Problem::error(path, None, "is not UTF-8".to_owned(), hint));
        return None;
    };
    match toml::from_str(text) {
        Ok(raw) => Some(raw),
        Err(error) => {
            let line = error.span().map(|span| line_at(text, span.start));
            let hint = "docs/manifest.md lists the keys";
            problems.push(Problem::error(path, line, error.message().to_owned(), hint));
            None
        }
    }
}
