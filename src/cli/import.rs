//! `import …`: an inventory becomes a plan, then rows.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals, Session, read_file};
use super::out;

/// Findings of one kind that are shown in words.
const SHOWN: usize = 5;
/// Row numbers and units that are listed in a line.
const LISTED: usize = 12;

/// `import FILE`, `import report JOB`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Import {
    /// CSV file; - is stdin
    #[arg(required = true)]
    file: Option<PathBuf>,
    /// A column's field, FIELD=COLUMN; a variable with var.NAME=COLUMN
    #[arg(long, value_name = "FIELD=COLUMN")]
    map: Vec<String>,
    /// Show the plan and all problems, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Everything or nothing
    #[arg(long)]
    atomic: bool,
    /// Refuse where another number of devices would change
    #[arg(long, value_name = "N")]
    expect_changes: Option<u64>,
    /// How long the units may enrol, such as 60d
    #[arg(long, value_name = "T")]
    arm_for: Option<String>,
    /// From when on they may enrol
    #[arg(long, value_name = "T")]
    arm_from: Option<String>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// All imports
    List,
    /// The rejected rows of an import as CSV, with error_code and error_text
    Report {
        job: String,
        /// Write it there, not to stdout
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

impl Import {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        match (&self.verb, &self.file) {
            (Some(Verb::List), _) => {
                let jobs = session.list(&Call::to(&["imports"]), None)?;
                session.out.list(
                    &jobs,
                    &[
                        ("JOB", "/job"),
                        ("FILE", "/filename"),
                        ("ROWS", "/rows"),
                        ("CREATED", "/create"),
                        ("UPDATED", "/update"),
                        ("REJECTED", "/rejected"),
                        ("COMMITTED", "/committed"),
                    ],
                )?;
                DONE
            }
            (Some(Verb::Report { job, output }), _) => {
                report(&session, job, output.as_ref())?;
                DONE
            }
            (None, Some(file)) => self.import(&session, file),
            (None, None) => Err(Fail::usage("missing-field", "no file was named")),
        }
    }

    fn import(&self, session: &Session, file: &Path) -> Result<Exit, Fail> {
        let bytes = read_file(file)?;
        let name = file.file_name().map(|name| name.to_string_lossy());
        let changes = self.expect_changes.map(|n| n.to_string());
        let mut call = Call::to(&["imports"])
            .with("filename", name.as_deref().unwrap_or("stdin"))
            .flag("dry_run", self.dry_run)
            .flag("atomic", self.atomic)
            .maybe("expect_changes", changes.as_deref())
            .maybe("arm_for", self.arm_for.as_deref())
            .maybe("arm_from", self.arm_from.as_deref());
        for map in &self.map {
            if !map.contains('=') {
                return Err(Fail::not_built(format!("a saved mapping (--map {map})"))
                    .next("name the columns: --map FIELD=COLUMN"));
            }
            call = call.with("map", map);
        }
        let busy = busy(self.dry_run);
        let answer = session.upload(&call, "text/csv", bytes);
        busy.finish_and_clear();
        let report = answer.map_err(|mut fail| {
            // The file is wrong, not the command line.
            if fail.code == "file-invalid" {
                fail.exit = Exit::Failed;
            }
            fail
        })?;
        show(session, &report)?;
        let count = |key: &str| report.get(key).and_then(Value::as_u64).unwrap_or(0);
        let stored = report.get("committed") == Some(&Value::Bool(true));
        Ok(match (count("rejected"), self.dry_run || stored) {
            (0, _) => Exit::Done,
            (rejected, true) if rejected < count("rows") => Exit::Partly,
            (_, _) => Exit::Failed,
        })
    }
}

/// A spinner on a terminal, nothing on a pipe.
fn busy(dry_run: bool) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new_spinner();
    let text = if dry_run { "planning" } else { "importing" };
    bar.set_message(text);
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}

fn show(session: &Session, report: &Value) -> Result<(), Fail> {
    if session.out.json {
        return session.out.document(report);
    }
    let out = session.out;
    let text = |value: &Value, key: &str| out::cell(value.get(key).unwrap_or(&Value::Null));
    out.line(&format!(
        "{} rows: {} new, {} changed, {} unchanged, {} rejected",
        text(report, "rows"),
        text(report, "create"),
        text(report, "update"),
        text(report, "unchanged"),
        text(report, "rejected"),
    ))?;
    let list = |key: &str| list_of(report, key);
    for (head, key) in [("Problems", "problems"), ("Warnings", "warnings")] {
        let groups = list(key);
        if groups.is_empty() {
            continue;
        }
        out.line(&format!("{head}:"))?;
        for group in groups {
            let count = text(&group, "count");
            out.line(&format!(
                "  {} ({count} {}: {}): {}",
                text(&group, "code"),
                plural(&count, "row"),
                some(&names(&group, "rows")),
                text(&group, "hint"),
            ))?;
            let items = list_of(&group, "items");
            for item in items.iter().take(SHOWN) {
                out.line(&format!("    {}", place(item)))?;
            }
            if items.len() > SHOWN {
                out.line("    … all of them: --json")?;
            }
        }
    }
    for blocked in list("not_today") {
        let count = text(&blocked, "count");
        out.line(&format!(
            "Not today: {count} {}, {}: {}",
            plural(&count, "unit"),
            text(&blocked, "code"),
            text(&blocked, "text"),
        ))?;
        out.line(&format!("  units: {}", some(&names(&blocked, "devices"))))?;
        let command = blocked.get("command").and_then(Value::as_str);
        // Whole, however many units it names: it is there to be copied.
        let whole = command.filter(|text| !text.is_empty() && !text.contains(char::is_control));
        if let Some(command) = whole {
            out.line(&format!("  mend:  {command}"))?;
        }
    }
    if report.get("dry_run") == Some(&Value::Bool(true)) {
        out::note("dry run: nothing was changed");
    } else {
        let job = text(report, "job");
        out::note(&format!(
            "job {job}; rejected rows: dialtone import report {job}"
        ));
    }
    Ok(())
}

/// Where something is wrong, and what: `row 4, mac "00156": …`.
fn place(item: &Value) -> String {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    let mut place = format!(
        "row {}",
        item.get("row").and_then(Value::as_u64).unwrap_or(0)
    );
    if let Some(column) = text("column") {
        place.push_str(&format!(", {column}"));
    }
    if let Some(value) = text("value") {
        place.push_str(&format!(" \"{value}\""));
    }
    out::printable(&format!("{place}: {}", text("text").unwrap_or_default()))
}

fn plural(count: &str, word: &str) -> String {
    match count {
        "1" => word.to_owned(),
        _ => format!("{word}s"),
    }
}

fn list_of(value: &Value, key: &str) -> Vec<Value> {
    items(value.get(key).unwrap_or(&Value::Null))
}

fn names(value: &Value, key: &str) -> Vec<String> {
    list_of(value, key).iter().map(out::cell).collect()
}

/// The first part of a long list.
fn some(all: &[String]) -> String {
    match all.get(..LISTED) {
        Some(first) if all.len() > LISTED => format!("{} …", first.join(", ")),
        Some(_) | None => all.join(", "),
    }
}

fn report(session: &Session, job: &str, output: Option<&PathBuf>) -> Result<(), Fail> {
    let call = Call::to(&["imports", job, "report"]);
    let mut bytes = Vec::new();
    session.wait(async |api| {
        let sink = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        api.download(&call, sink).await
    })?;
    match output {
        None => session.out.raw(&bytes),
        Some(file) => std::fs::write(file, &bytes)
            .map_err(|error| Fail::failed("unwritable", format!("{}: {error}", file.display()))),
    }
}

/// The items of a list in JSON: an array, or an object's `items`.
pub(super) fn items(value: &Value) -> Vec<Value> {
    let list = value
        .as_array()
        .or_else(|| value.get("items").and_then(Value::as_array));
    list.cloned().unwrap_or_default()
}
