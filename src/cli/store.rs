//! `store check`, `restore`: work on the data folder of a stopped server.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::clock;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals, runtime};
use super::out;
use super::server::store_options;
use crate::store::{self, BackupError, KeyError, Keys, Store as Rows, StoreError, Summary};

/// `store …`.
#[derive(Args, Debug)]
pub(super) struct Store {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Read every row of a stopped server's store: does it decode, do the indexes agree
    Check,
}

/// `restore FILE [--verify]`.
#[derive(Args, Debug)]
pub(super) struct Restore {
    /// What `dialtone backup` wrote
    file: PathBuf,
    /// Only read the file to its end, and say what is in it
    #[arg(long)]
    verify: bool,
}

impl Store {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let Verb::Check = self.verb;
        let config = globals.configuration()?;
        let rows = Rows::open(&store_options(&config, false)).map_err(|error| stopped(&error))?;
        let keys = Keys::load(&config.data, true, clock::random);
        let report = runtime()?.block_on(async {
            let report = rows.check().await?;
            rows.close().await?;
            Ok(report)
        });
        let report = report.map_err(|error: StoreError| stopped(&error))?;
        let mut items: Vec<Value> = report
            .problems
            .iter()
            .map(|problem| json!({"kind": problem.table, "what": problem.what}))
            .collect();
        let keys = keys.err().map(|error: KeyError| error.to_string());
        items.extend(
            keys.iter()
                .map(|what| json!({"kind": "keys", "what": what})),
        );
        let found = report.found + u64::from(keys.is_some());
        let out = globals.out();
        if out.json {
            let document = json!({"rows": report.rows, "found": found, "problems": items});
            out.document(&document)?;
        } else if !items.is_empty() {
            out.list(&items, &[("KIND", "/kind"), ("WHAT", "/what")])?;
        }
        out::note(&format!("{} rows, {found} problems", report.rows));
        if found == 0 {
            return DONE;
        }
        let what = "the store has problems: bring the last backup back";
        Err(Fail::failed("unsound", what).next("dialtone restore FILE"))
    }
}

impl Restore {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let out = globals.out();
        if self.verify {
            let summary = store::verify(&self.file).map_err(|error| broken(&error))?;
            out.record(&shown(&summary), COLUMNS)?;
            return DONE;
        }
        let config = globals.configuration()?;
        let work = store::restore(&self.file, &config.data, &config.store_url, clock::now());
        let restored = runtime()?.block_on(work).map_err(|error| broken(&error))?;
        let mut record = shown(&restored.backup);
        if let (Some(record), Some(aside)) = (record.as_object_mut(), &restored.aside) {
            let aside = Value::from(aside.display().to_string());
            record.insert("moved_aside".to_owned(), aside);
        }
        out.record(&record, COLUMNS)?;
        out::note(&format!("restored into {}", config.data.display()));
        DONE
    }
}

const COLUMNS: &[(&str, &str)] = &[
    ("made at", "/made_at"),
    ("engine", "/engine"),
    ("rows", "/rows"),
    ("files", "/files"),
    ("moved aside", "/moved_aside"),
];

fn shown(summary: &Summary) -> Value {
    let made_at = jiff::Timestamp::from_second(summary.made_at);
    let files = summary.files.iter();
    let files: Vec<String> = files.map(|file| file.display().to_string()).collect();
    json!({
        "made_at": made_at.ok().map(|at| at.to_string()),
        "engine": summary.engine,
        "rows": summary.rows,
        "files": files,
    })
}

/// A store that is in use is no damage.
fn stopped(error: &StoreError) -> Fail {
    let fail = Fail::failed("store", error);
    if matches!(error, StoreError::Locked { .. }) {
        fail.next("stop the server first")
    } else {
        fail
    }
}

fn broken(error: &BackupError) -> Fail {
    match error {
        BackupError::Store(error) => stopped(error),
        BackupError::NoBackup
        | BackupError::Truncated
        | BackupError::Damaged { .. }
        | BackupError::Newer { .. }
        | BackupError::Unsound { .. }
        | BackupError::Io { .. } => Fail::failed("backup", error),
    }
}
