//! `check`: configuration, profiles, firmware policies and certificates, every problem at once.

use clap::Args;
use serde_json::{Value, json};

use super::exit::{Exit, Fail};
use super::globals::Globals;
use super::out;
use super::server::folders::{self, CertFiles};
use crate::catalog::{Problem, Severity};
use crate::config::Config;
use crate::net::tls::Tls;

/// `check [--config FILE]`.
#[derive(Args, Debug)]
pub(super) struct Check {}

impl Check {
    #[expect(clippy::unused_self, reason = "all verbs are called alike")]
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let found = everything(globals);
        let out = globals.out();
        if out.json {
            out.document(&Value::Array(found.items.clone()))?;
        } else {
            for line in &found.lines {
                out.line(&out::printable(line))?;
            }
        }
        out::note(&found.summary);
        Ok(found.exit())
    }
}

/// Everything that is wrong: as JSON, and as lines.
struct Findings {
    items: Vec<Value>,
    lines: Vec<String>,
    errors: usize,
    summary: String,
}

impl Findings {
    fn exit(&self) -> Exit {
        if self.errors == 0 {
            Exit::Done
        } else {
            Exit::Usage
        }
    }
}

/// Looks at everything that `serve` would read, and tells people what is wrong.
pub(super) fn told(globals: &Globals) -> Result<Exit, Fail> {
    let found = everything(globals);
    for line in found.lines.iter().chain([&found.summary]) {
        out::note(&out::printable(line));
    }
    Ok(found.exit())
}

fn everything(globals: &Globals) -> Findings {
    let file = globals.file();
    let (config, wrong) = match &file {
        Some(file) => Config::look(file),
        None => (Config::default(), Vec::new()),
    };
    let mut items: Vec<Value> = wrong
        .iter()
        .map(|problem| {
            json!({
                "file": problem.file,
                "line": problem.line,
                "severity": "error",
                "code": problem.kind.code(),
                "what": problem.what,
                "hint": problem.hint,
            })
        })
        .collect();
    let mut lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    let rest = beyond(&config);
    let warnings = rest.iter().filter(|problem| !is_error(problem)).count();
    items.extend(rest.iter().map(super::profile::shown));
    lines.extend(rest.iter().map(ToString::to_string));
    let errors = lines.len() - warnings;
    let what = match &file {
        Some(file) => file.display().to_string(),
        None => "no configuration file: the defaults hold".to_owned(),
    };
    Findings {
        items,
        lines,
        errors,
        summary: format!("{what}: {errors} errors, {warnings} warnings"),
    }
}

fn is_error(problem: &Problem) -> bool {
    problem.severity == Severity::Error
}

/// What is wrong in the folders and files that a configuration names.
fn beyond(config: &Config) -> Vec<Problem> {
    let mut problems = folders::missing(config);
    // A folder that is not there is told once.
    if problems.is_empty() {
        problems.extend(folders::proven(config).1);
    }
    let (_, anchors) = CertFiles::read(&config.certs).anchors(&[], None);
    let hint = "docs/configuration.md says what a certificate here needs";
    problems.extend(anchors.into_iter().map(|problem| {
        let file = problem.file.display().to_string();
        Problem::error(&file, None, problem.what, hint)
    }));
    let told = match Tls::new(Vec::new(), folders::certificate_files(config)) {
        Ok((_, problems)) => problems
            .into_iter()
            .map(|problem| (problem.file.display().to_string(), problem.what))
            .collect(),
        Err(error) => vec![("tls".to_owned(), error.to_string())],
    };
    let hint = "name a PEM chain and its key, whole and readable for the server";
    problems.extend(
        told.into_iter()
            .map(|(file, what)| Problem::error(&file, None, what, hint)),
    );
    problems
}
