//! `profile …`: vendor folders, revisions, and what they would change.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::Call;
use super::device::put;
use super::exit::{Exit, Fail};
use super::fixtures;
use super::globals::{DONE, Globals, Session};
use super::out::{self, Out};
use crate::catalog::{Catalog, Problem, Severity, load};

/// `profile …`.
#[derive(Args, Debug)]
pub(super) struct Profile {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Profiles by vendor and family, and which draft differs from what is published
    #[command(visible_alias = "show")]
    List {
        /// Vocabulary by family: mapped, unsupported, unconfirmed
        #[arg(long)]
        coverage: bool,
        /// Families in these folders, without a server
        #[arg(long, value_name = "DIR")]
        profiles: Vec<PathBuf>,
    },
    /// What is wrong in the vendor folders, with file and line; needs no server
    Lint {
        /// Folder with manifests; may be given several times, an earlier one wins [default: profiles]
        #[arg(long, value_name = "DIR")]
        profiles: Vec<PathBuf>,
        /// Folder with the vendors' fixtures: what asks for no artefact is told [default:
        /// tests/fixtures/vendors, where it is]
        #[arg(long, value_name = "DIR")]
        fixtures: Option<PathBuf>,
    },
    /// Make the draft what devices get
    Publish(Publish),
    /// Revisions, newest first
    History(Which),
    /// What devices would get otherwise
    Diff(Diff),
}

#[derive(Args, Debug)]
struct Which {
    #[arg(long)]
    vendor: Option<String>,
    #[arg(long)]
    family: Option<String>,
    #[arg(long)]
    profile: Option<String>,
}

#[derive(Args, Debug)]
struct Publish {
    #[command(flatten)]
    which: Which,
    /// Why; kept in the history
    #[arg(long, default_value = "")]
    reason: String,
    /// Say what would change
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Debug)]
struct Diff {
    #[command(flatten)]
    which: Which,
    /// Digest; else what is published
    #[arg(long)]
    from: Option<String>,
    /// Digest; else the draft
    #[arg(long)]
    to: Option<String>,
    /// This device only
    #[arg(long)]
    device: Option<String>,
}

impl Which {
    fn on(&self, call: Call) -> Call {
        call.maybe("vendor", self.vendor.as_deref())
            .maybe("family", self.family.as_deref())
            .maybe("profile", self.profile.as_deref())
    }
}

impl Profile {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        match self.verb {
            Verb::Lint { profiles, fixtures } => lint(globals.out(), &profiles, fixtures),
            Verb::List {
                coverage: false,
                profiles,
            } if !profiles.is_empty() => families(globals.out(), &profiles),
            verb @ (Verb::List { .. } | Verb::Publish(_) | Verb::History(_) | Verb::Diff(_)) => {
                verb.ask(&globals.session()?)
            }
        }
    }
}

impl Verb {
    fn ask(self, session: &Session) -> Result<Exit, Fail> {
        match self {
            Self::List {
                coverage: false, ..
            } => {
                let all = session.list(&Call::to(&["profiles"]), None)?;
                session.out.list(
                    &all,
                    &[
                        ("VENDOR", "/vendor"),
                        ("FAMILY", "/family"),
                        ("PROFILE", "/profile"),
                        ("DEVICES", "/devices"),
                        ("PUBLISHED", "/published"),
                        ("CHANGED", "/changed"),
                        ("AT", "/at"),
                    ],
                )?;
                DONE
            }
            Self::List { coverage: true, .. } => {
                let call = Call::to(&["profiles"]).with("coverage", "true");
                coverage(session, &session.get(&call)?)?;
                DONE
            }
            Self::Lint { profiles, fixtures } => lint(session.out, &profiles, fixtures),
            Self::Publish(publish) => {
                let mut body = Map::new();
                put(&mut body, "reason", Some(&publish.reason));
                put(&mut body, "vendor", publish.which.vendor.as_deref());
                put(&mut body, "family", publish.which.family.as_deref());
                put(&mut body, "profile", publish.which.profile.as_deref());
                let call = Call::to(&["profiles", "publish"]).flag("dry_run", publish.dry_run);
                let done = session.post(&call, Some(&Value::Object(body)))?;
                published(session, &done)?;
                DONE
            }
            Self::History(which) => {
                let call = which.on(Call::to(&["profiles", "history"]));
                let all = session.list(&call, None)?;
                session.out.list(
                    &all,
                    &[
                        ("AT", "/at"),
                        ("VENDOR", "/vendor"),
                        ("FAMILY", "/family"),
                        ("PROFILE", "/profile"),
                        ("DIGEST", "/digest"),
                        ("CURRENT", "/current"),
                        ("BY", "/by"),
                        ("REASON", "/reason"),
                    ],
                )?;
                DONE
            }
            Self::Diff(diff) => {
                let call = diff
                    .which
                    .on(Call::to(&["profiles", "diff"]))
                    .maybe("from", diff.from.as_deref())
                    .maybe("to", diff.to.as_deref())
                    .maybe("device", diff.device.as_deref());
                differences(session, &session.get(&call)?)?;
                DONE
            }
        }
    }
}

fn coverage(session: &Session, table: &Value) -> Result<(), Fail> {
    if session.out.json {
        return session.out.document(table);
    }
    let families = super::import::items(table.get("families").unwrap_or(&Value::Null));
    session.out.list(
        &families,
        &[
            ("VENDOR", "/vendor"),
            ("FAMILY", "/family"),
            ("MAPPED", "/mapped"),
            ("UNSUPPORTED", "/unsupported"),
            ("UNCONFIRMED", "/unconfirmed"),
            ("NEITHER", "/neither"),
        ],
    )
}

/// Every family of the folders, and how many models it lists.
fn families(out: Out, folders: &[PathBuf]) -> Result<Exit, Fail> {
    let catalog = super::explain::catalog(folders)?;
    let families = catalog.vendors.values().flat_map(|v| v.families.values());
    let rows: Vec<Value> = families
        .map(|family| {
            json!({
                "vendor": family.vendor,
                "family": family.id,
                "label": family.label,
                "models": family.models,
                "count": family.models.len(),
                "unconfirmed": family.unconfirmed,
            })
        })
        .collect();
    out.list(
        &rows,
        &[
            ("VENDOR", "/vendor"),
            ("FAMILY", "/family"),
            ("MODELS", "/count"),
            ("LABEL", "/label"),
        ],
    )?;
    DONE
}

fn lint(out: Out, folders: &[PathBuf], fixtures: Option<PathBuf>) -> Result<Exit, Fail> {
    let there = || Some(PathBuf::from(fixtures::FOLDER)).filter(|folder| folder.is_dir());
    let fixtures = match fixtures {
        Some(folder) if !folder.is_dir() => {
            let what = format!("{} is no folder", folder.display());
            return Err(Fail::usage("fixtures", what));
        }
        named => named.or_else(there),
    };
    let problems = match load::read_folders(&super::explain::folders(folders)) {
        Ok(files) => {
            let (catalog, mut problems) = Catalog::from_files(&files);
            if let Some(catalog) = &catalog {
                problems.extend(catalog.lint());
                let folder = fixtures.iter();
                problems.extend(folder.flat_map(|folder| fixtures::unasked(catalog, folder)));
            }
            problems
        }
        Err(problem) => vec![problem],
    };
    let is_error = |problem: &&Problem| problem.severity == Severity::Error;
    let errors = problems.iter().filter(is_error).count();
    if out.json {
        out.document(&problems.iter().map(shown).collect())?;
    } else {
        for problem in &problems {
            out.line(&out::printable(&problem.to_string()))?;
        }
    }
    out::note(&format!(
        "{errors} errors, {} warnings",
        problems.len().saturating_sub(errors)
    ));
    Ok(if errors == 0 { Exit::Done } else { Exit::Usage })
}

/// A manifest's problem as JSON.
pub(super) fn shown(problem: &Problem) -> Value {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    json!({
        "file": problem.file, "line": problem.line, "severity": severity,
        "what": problem.what, "hint": problem.hint,
    })
}

fn published(session: &Session, done: &Value) -> Result<(), Fail> {
    if session.out.json {
        return session.out.document(done);
    }
    let all = super::import::items(done.get("published").unwrap_or(&Value::Null));
    session.out.list(
        &all,
        &[
            ("VENDOR", "/vendor"),
            ("FAMILY", "/family"),
            ("PROFILE", "/profile"),
            ("FROM", "/from"),
            ("TO", "/to"),
            ("DEVICES", "/devices"),
        ],
    )
}

fn differences(session: &Session, diff: &Value) -> Result<(), Fail> {
    let out = session.out;
    if out.json {
        return out.document(diff);
    }
    let list =
        |value: &Value, key: &str| super::import::items(value.get(key).unwrap_or(&Value::Null));
    let text = |value: &Value, key: &str| out::cell(value.get(key).unwrap_or(&Value::Null));
    for device in list(diff, "devices") {
        out.line(&format!(
            "{} {}",
            text(&device, "device"),
            text(&device, "mac")
        ))?;
        for file in list(&device, "files") {
            out.line(&format!("  {}", text(&file, "file")))?;
            for line in list(&file, "lines") {
                out.line(&format!("    {}", out::cell(&line)))?;
            }
        }
    }
    out.line(&format!(
        "{} devices change, {} do not, {} more are not shown",
        text(diff, "changed"),
        text(diff, "unchanged"),
        text(diff, "more"),
    ))
}
