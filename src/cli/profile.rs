//! `profile list` and `profile lint`: the manifests of a folder, without a server.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use super::{FAILED, USAGE, say};
use crate::catalog::{Catalog, Problem, Severity, load};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Folders with manifests; an earlier one wins
    #[arg(long, value_name = "DIR", default_value = "profiles")]
    profiles: Vec<PathBuf>,
    /// One JSON document on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn list(options: &Options, out: &mut impl Write) -> u8 {
    let catalog = match super::explain::catalog(&options.profiles) {
        Ok(catalog) => catalog,
        Err(code) => return code,
    };
    let mut rows = Vec::new();
    for family in catalog
        .vendors
        .values()
        .flat_map(|vendor| vendor.families.values())
    {
        rows.push(json!({
            "vendor": family.vendor, "family": family.id, "label": family.label, "models": family.models,
            "unconfirmed": family.unconfirmed,
        }));
    }
    let written = if options.json {
        writeln!(out, "{}", serde_json::Value::Array(rows))
    } else {
        catalog
            .vendors
            .values()
            .flat_map(|vendor| vendor.families.values())
            .try_for_each(|family| {
                let models = family.models.len();
                writeln!(
                    out,
                    "{:<12} {:<14} {models:>4} models  {}",
                    family.vendor, family.id, family.label
                )
            })
    };
    written.map_or(FAILED, |()| 0)
}

pub(super) fn lint(options: &Options, out: &mut impl Write) -> u8 {
    let problems = match load::read_folders(&options.profiles) {
        Ok(files) => Catalog::from_files(&files).1,
        Err(problem) => vec![problem],
    };
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    let written = if options.json {
        let rows: Vec<_> = problems.iter().map(row).collect();
        writeln!(out, "{}", serde_json::Value::Array(rows))
    } else {
        problems
            .iter()
            .try_for_each(|problem| writeln!(out, "{problem}"))
    };
    if written.is_err() {
        return FAILED;
    }
    say(&format!(
        "{errors} errors, {} warnings",
        problems.len().saturating_sub(errors)
    ));
    if errors == 0 { 0 } else { USAGE }
}

fn row(problem: &Problem) -> serde_json::Value {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    json!({
        "file": problem.file, "line": problem.line, "what": problem.what, "hint": problem.hint,
        "severity": severity,
    })
}
