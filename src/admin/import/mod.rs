//! Imports: a file becomes a plan, a plan becomes rows, a person gets a report.
//!
//! The plan is `engine::import`'s, a function of the file and of what the store holds. A dry run asks
//! it and stores nothing. A commit asks it again, batch by batch, and stores what it says in one
//! transaction a batch: each device whole, with its tokens and secrets. What somebody else changed in
//! between is planned anew. An import that was killed goes on at the next start, and running it again
//! completes it too: what is there is `unchanged`.

mod report;
mod resume;
mod run;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

pub use self::report::{
    ColumnSaid, FoundGroup, FoundItem, ImportView, NotToday, Report, SheetFormat,
};
use self::report::{Kept, REPORT_MOST, Rejects, Tail};
use self::run::{Run, Tally};
use super::device_fields::ARM_FOR;
use super::{Actor, Admin, Code, FieldError, Problem, behind, time};
use crate::engine::import::inventory::Inventory;
use crate::engine::import::plan::Terms;
use crate::engine::import::problem::{About, FileProblem};
use crate::engine::import::words::Words;
use crate::model::identity::Digest;
use crate::store::{AuditEntry, Batch, Job, JobState, StoreError, Write};

/// The kind of its jobs in the store.
pub(crate) const KIND: &str = "import";
/// How the audit trail calls an import that goes on after a restart.
const RESUMED: &str = "import.resume";
/// Imports that run at once: each may hold a large file.
static TURNS: Semaphore = Semaphore::const_new(2);

/// How a file is to be imported.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ImportAsk {
    pub filename: String,
    /// Plan and report, and store nothing.
    pub dry_run: bool,
    /// Everything or nothing.
    pub atomic: bool,
    /// `60d` where it is `None`.
    pub arm_for: Option<String>,
    /// Now where it is `None`.
    pub arm_from: Option<String>,
    /// Devices that are to be created and updated, all in all.
    pub expect_changes: Option<u64>,
    /// (field, column), as `--map FIELD=COLUMN`.
    pub maps: Vec<(String, String)>,
}

impl Admin {
    /// Imports a file. It goes on when the caller goes away.
    pub async fn import(
        &self,
        actor: &Actor,
        file: Vec<u8>,
        ask: ImportAsk,
    ) -> Result<Report, Problem> {
        let (admin, actor) = (self.clone(), actor.clone());
        let work = tokio::spawn(async move {
            // Never closed, so a turn always comes.
            let _turn = TURNS.acquire().await;
            admin.import_now(&actor, file, &ask, None).await
        });
        work.await.unwrap_or_else(|_| {
            Err(Problem::new(Code::Internal, "the import broke off")
                .hint("run it again: what it stored stays, and the rest follows"))
        })
    }

    async fn import_now(
        &self,
        actor: &Actor,
        file: Vec<u8>,
        ask: &ImportAsk,
        broken_off: Option<Job>,
    ) -> Result<Report, Problem> {
        let lens = self.lens().await?;
        let terms = terms(ask, lens.now)?;
        let words = Words {
            catalog: lens.catalog.clone(),
            sites: lens.settings.sites.keys().cloned().collect(),
            pbxs: lens.settings.pbxs.keys().cloned().collect(),
        };
        let digest = Digest(Sha256::digest(&file).into());
        let maps = ask.maps.clone();
        let upload = match &broken_off {
            Some(_) => None,
            None => resume::sealable(&file, ask),
        };
        // A large file takes seconds: other tasks go on meanwhile.
        let open = move || Inventory::open(file, &maps, words);
        let inventory = tokio::task::spawn_blocking(open)
            .await
            .map_err(|_| Problem::new(Code::Internal, "the file could not be read"))?
            .map_err(|problems| unreadable(&problems))?;
        let run = Run {
            admin: self,
            inventory: &inventory,
            lens: &lens,
            terms,
            ask,
            actor,
        };
        // What was expected was looked at before the first of it was done.
        let expected = ask.expect_changes.filter(|_| broken_off.is_none());
        let looks = ask.dry_run || ask.atomic || expected.is_some();
        let seen = if looks { Some(run.look().await?) } else { None };
        if let (Some(expected), Some(seen)) = (expected, &seen) {
            as_expected(expected, seen)?;
        }
        let (action, mut job) = match broken_off {
            Some(job) => (
                RESUMED,
                Job {
                    updated: lens.now,
                    ..job
                },
            ),
            None => ("import.begin", self.job(actor, ask, lens.now)?),
        };
        let mut report = Report::of(&job.id, ask, &inventory);
        if let Some(seen) = seen.as_ref().filter(|_| ask.dry_run) {
            finish(&mut report, &rejecting(inventory, seen), seen);
            return Ok(report);
        }
        let wrong = |seen: &&Tally| inventory.rejected() > 0 || !seen.found.is_empty();
        if let Some(seen) = seen.as_ref().filter(|_| ask.atomic).filter(wrong) {
            let inventory = rejecting(inventory, seen);
            let rejects = Rejects::of(&inventory);
            finish(&mut report, &inventory, seen);
            job.state = JobState::Failed;
            self.close(actor, job, &report, rejects, "refused").await?;
            return Ok(report);
        }
        job.total = u64::try_from(inventory.len()).unwrap_or(u64::MAX);
        let detail = format!("{}: {} rows, {digest}", ask.filename, inventory.rows());
        let keys = &self.hub().keys;
        let kept = |tail| Kept::new(&report).encode(keys, &job.id, tail);
        job.body = match &upload {
            Some(file) => Some(kept(Tail::Upload(ask, file))?),
            // It lies there.
            None if action == RESUMED => None,
            None => Some(kept(Tail::Nothing)?),
        };
        let begun = vec![
            Write::PutJob(job.clone()),
            said(actor, action, &job.id, "begun", detail, lens.now),
        ];
        self.hub().store.commit(Batch::now(begun)).await?;
        job.body = None;
        let done = if ask.atomic {
            run.commit_whole(&mut job).await
        } else {
            run.commit(&mut job).await
        };
        let tally = match done {
            Ok(tally) => tally,
            Err(problem) => {
                job.state = JobState::Failed;
                job.updated = self.hub().now();
                job.body = Some(Kept::new(&report).encode(keys, &job.id, Tail::Nothing)?);
                // A disk that took no row takes none of this either.
                drop(
                    self.hub()
                        .store
                        .commit(Batch::now(vec![Write::PutJob(job)]))
                        .await,
                );
                return Err(problem);
            }
        };
        let inventory = rejecting(inventory, &tally);
        let rejects = Rejects::of(&inventory);
        finish(&mut report, &inventory, &tally);
        report.committed = true;
        let (state, outcome) = match report.rejected {
            0 => (JobState::Done, "done"),
            _ => (JobState::Partly, "partly"),
        };
        job.state = state;
        job.done = job.total;
        self.close(actor, job, &report, rejects, outcome).await?;
        Ok(report)
    }

    /// All imports that are kept, oldest first.
    pub async fn imports(&self) -> Result<Vec<ImportView>, Problem> {
        let jobs = self.hub().store.jobs().await?;
        let mut views = Vec::new();
        for job in jobs.iter().filter(|job| job.kind == KIND) {
            // The oldest may have gone meanwhile.
            if let Some(job) = self.hub().store.job(&job.id).await? {
                views.push(self.view_of(job)?);
            }
        }
        Ok(views)
    }

    /// One import.
    pub async fn import_job(&self, id: &str) -> Result<ImportView, Problem> {
        let job = self.hub().store.job(id).await?;
        match job.filter(|job| job.kind == KIND) {
            Some(job) => self.view_of(job),
            None => Err(Problem::not_found("import", id).hint("all of them: dialtone import list")),
        }
    }

    /// The rejected rows as CSV: as they were sent, passwords too, so who reads them is recorded.
    pub async fn import_rejects(&self, actor: &Actor, id: &str) -> Result<String, Problem> {
        let job = self.hub().store.job(id).await?;
        let job = job.filter(|job| job.kind == KIND);
        let Some(body) = job.and_then(|job| job.body) else {
            return Err(Problem::not_found("import", id).hint("all of them: dialtone import list"));
        };
        let kept = Kept::decode(&body)?;
        if kept.secrets {
            let detail = "rows with passwords in them".to_owned();
            let now = self.hub().now();
            let entry = said(actor, "import.report", id, "done", detail, now);
            self.hub().store.commit(Batch::now(vec![entry])).await?;
        }
        kept.rejects(&self.hub().keys, id)
    }

    fn view_of(&self, mut job: Job) -> Result<ImportView, Problem> {
        let body = job.body.take().unwrap_or_default();
        let report = Kept::decode(&body)?.report;
        Ok(ImportView { job, report })
    }

    fn job(&self, actor: &Actor, ask: &ImportAsk, now: Timestamp) -> Result<Job, Problem> {
        Ok(Job {
            id: self.fresh_id()?.to_string(),
            kind: KIND.to_owned(),
            title: ask.filename.clone(),
            actor: actor.to_string(),
            state: JobState::Running,
            began: now,
            updated: now,
            total: 0,
            done: 0,
            failed: 0,
            body: None,
        })
    }

    /// Keeps the report, with the entry that says how it went.
    async fn close(
        &self,
        actor: &Actor,
        mut job: Job,
        report: &Report,
        rejects: Option<Rejects>,
        outcome: &str,
    ) -> Result<(), Problem> {
        let now = self.hub().now();
        job.updated = now;
        job.failed = report.rejected;
        let tail = rejects.as_ref().map_or(Tail::Nothing, Tail::Rejects);
        let kept = Kept::new(report).encode(&self.hub().keys, &job.id, tail)?;
        job.body = Some(kept);
        let detail = format!(
            "{}: {} created, {} updated, {} unchanged, {} rows rejected",
            report.filename, report.create, report.update, report.unchanged, report.rejected
        );
        let id = job.id.clone();
        let writes = vec![
            Write::PutJob(job),
            said(actor, "import", &id, outcome, detail, now),
        ];
        self.hub().store.commit(Batch::now(writes)).await?;
        Ok(())
    }
}

/// The file with what the plan said of its rows.
fn rejecting(mut inventory: Inventory, tally: &Tally) -> Inventory {
    tally
        .found
        .iter()
        .cloned()
        .for_each(|found| inventory.reject(found));
    inventory
}

fn finish(report: &mut Report, inventory: &Inventory, tally: &Tally) {
    report.fill(inventory, tally);
    report.report_left = count(inventory.report(REPORT_MOST).1);
}

/// How large a number is in a report.
fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn said(
    actor: &Actor,
    action: &str,
    job: &str,
    outcome: &str,
    detail: String,
    at: Timestamp,
) -> Write {
    Write::Audit(AuditEntry {
        seq: 0,
        at,
        actor: actor.to_string(),
        action: action.to_owned(),
        subject: format!("import {job}"),
        outcome: outcome.to_owned(),
        detail,
    })
}

fn terms(ask: &ImportAsk, now: Timestamp) -> Result<Terms, Problem> {
    let mut errors = Vec::new();
    let from = match &ask.arm_from {
        Some(text) => time("arm_from", text).map_err(|error| errors.push(error)),
        None => Ok(now),
    };
    let begin = from.map_or(now, |from| from.max(now));
    let until = match &ask.arm_for {
        Some(text) => behind("arm_for", text, begin).map_err(|error| errors.push(error)),
        None => Ok(begin.checked_add(ARM_FOR).unwrap_or(Timestamp::MAX)),
    };
    Problem::unless_clean(errors)?;
    Ok(Terms {
        now,
        from: from.unwrap_or(now),
        until: until.unwrap_or(now),
    })
}

fn as_expected(expected: u64, seen: &Tally) -> Result<(), Problem> {
    let found = seen.create + seen.update;
    if found == expected {
        return Ok(());
    }
    let what = format!(
        "{} devices would be created and {} updated, and {expected} changes were expected",
        seen.create, seen.update
    );
    Err(Problem::new(Code::TooManyChanges, what).hint("look at the plan: --dry-run"))
}

/// The file, or what was said of its columns, cannot be read.
fn unreadable(problems: &[FileProblem]) -> Problem {
    let errors = problems.iter().map(|problem| {
        let (field, code) = match problem.about {
            About::File => (format!("row {}", problem.line), Code::FileInvalid),
            About::Mapping => ("map".to_owned(), Code::ValueInvalid),
            About::Variable => ("map".to_owned(), Code::VariableUnknown),
        };
        FieldError::new(&field, code, problem.what.clone()).hint(problem.hint.clone())
    });
    match Problem::unless_clean(errors.collect()) {
        Err(problem) => problem,
        Ok(()) => Problem::new(Code::FileInvalid, "the file cannot be read"),
    }
}

/// Whether a commit lost against somebody else's: the same rows are planned again.
fn lost(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Conflict { .. } | StoreError::Taken { .. } | StoreError::NotFound { .. }
    )
}
