//! What the requests of the vendors' fixtures ask for, for `profile lint`.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value;

use crate::catalog::{Catalog, Problem};
use crate::engine::identify::claims;

/// Where the fixtures are in a checkout.
pub(super) const FOLDER: &str = "tests/fixtures/vendors";

/// Artefacts that no request of `VENDOR/requests.jsonl` asks for, and lines that are none.
pub(super) fn unasked(catalog: &Catalog, folder: &Path) -> Vec<Problem> {
    let (mut asked, mut problems) = (BTreeSet::new(), Vec::new());
    for vendor in catalog.vendors.keys() {
        let path = folder.join(vendor).join("requests.jsonl");
        let file = path.display().to_string();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // Its artefacts are told one by one.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                problems.push(Problem::error(&file, None, error.to_string(), ""));
                continue;
            }
        };
        for (line, row) in (1..).zip(text.lines()) {
            match paths(catalog, row) {
                Ok(paths) => asked.extend(paths),
                Err(what) => problems.push(Problem::error(&file, Some(line), what, "")),
            }
        }
    }
    problems.extend(catalog.unasked(&asked));
    problems
}

/// What a request's name may be: vendor, family and artefact. Lines about words of an inventory have
/// no request.
fn paths(catalog: &Catalog, row: &str) -> Result<Vec<(String, String, String)>, String> {
    let row: Value = serde_json::from_str(row).map_err(|error| error.to_string())?;
    let Some(said) = row.get("facts") else {
        return Ok(Vec::new());
    };
    let facts = super::explain::facts(said.clone())?;
    Ok(claims(&facts, catalog).paths)
}
