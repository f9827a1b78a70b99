//! `/imports`: docs/api.md section 5.

use axum::Router;
use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderValue, header};
use serde_json::{Value, json};

use super::State;
use super::answer::{Answer, Reply};
use super::call::Call;
use super::failure::Failure;
use crate::admin::import::{ImportAsk, ImportView};
use crate::admin::{Code, Problem};
use crate::store::JobState;

/// The largest file, in octets.
pub(crate) const MOST: usize = 64 << 20;
/// Beginnings and ends of names of files that are tables too, and that this version does not read.
const OTHERS: [(&[u8], &str, &str); 7] = [
    (b"PK\x03\x04", ".xlsx", "XLSX"),
    (b"\xd0\xcf\x11\xe0", ".xls", "XLS"),
    (b"{", ".json", "JSON"),
    (b"[", ".ndjson", "JSON"),
    (b"<", ".xml", "XML"),
    (b"dn:", ".ldif", "LDIF"),
    (b"\x1f\x8b", ".gz", "gzip"),
];

/// The routes of this subject.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/imports", get(list).post(import))
        .route("/imports/{job}", get(show))
        .route("/imports/{job}/report", get(report))
        .route("/imports/{job}/retry", post(not_built))
        .route("/imports/{job}/undo", post(not_built))
}

async fn import(Extract(state): Extract<State>, call: Call<MOST>) -> Reply {
    let words = call.words(&[
        "filename",
        "dry_run",
        "atomic",
        "arm_for",
        "arm_from",
        "expect_changes",
        "map",
    ])?;
    let ask = ImportAsk {
        filename: name(words.get("filename").unwrap_or("import.csv")),
        dry_run: words.flag("dry_run")?,
        atomic: words.flag("atomic")?,
        arm_for: words.text("arm_for"),
        arm_from: words.text("arm_from"),
        expect_changes: words.word("expect_changes", |text| text.parse().ok())?,
        maps: words.all("map").map(mapping).collect::<Result<_, _>>()?,
    };
    readable(&ask.filename, &call.body)?;
    let dry_run = ask.dry_run;
    // Where nobody else holds the body, this takes it over without a copy.
    let file = Vec::from(call.body);
    let report = state.admin.import(&call.actor, file, ask).await?;
    let body = serde_json::to_value(&report).map_err(|_| unwritable())?;
    Ok(Answer::ok(body).dry_run(dry_run))
}

async fn list(Extract(state): Extract<State>, call: Call) -> Reply {
    call.words(&[])?;
    let views = state.admin.imports().await?;
    let items: Result<Vec<Value>, Problem> = views
        .iter()
        .map(|view| {
            let mut shown = wire(&state, view)?;
            for key in ["problems", "warnings"] {
                let groups = shown.get_mut(key).and_then(Value::as_array_mut);
                for group in groups.into_iter().flatten() {
                    group.as_object_mut().map(|group| group.remove("items"));
                }
            }
            Ok(shown)
        })
        .collect();
    Ok(Answer::list(items?))
}

async fn show(Extract(state): Extract<State>, Path(job): Path<String>, call: Call) -> Reply {
    call.words(&[])?;
    let view = state.admin.import_job(&job).await?;
    Ok(Answer::ok(wire(&state, &view)?))
}

async fn report(
    Extract(state): Extract<State>,
    Path(job): Path<String>,
    call: Call,
) -> Result<Response, Failure> {
    call.words(&[])?;
    let text = state.admin.import_rejects(&call.actor, &job).await?;
    let mut response = text.into_response();
    let media = HeaderValue::from_static("text/csv; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    Ok(response)
}

async fn not_built(Path(job): Path<String>) -> Failure {
    let what = format!("retry and undo of import {job}");
    let hint = "correct the rejected rows and import them: dialtone import report JOB";
    Failure(Problem::new(Code::NotBuilt, what).hint(hint))
}

/// The report, and how far the job is.
fn wire(state: &State, view: &ImportView) -> Result<Value, Problem> {
    let job = &view.job;
    // It was running when the server ended, and nobody took it up.
    let lost = job.state == JobState::Running && job.updated < state.began;
    let mut shown = serde_json::to_value(&view.report).map_err(|_| unwritable())?;
    if let Some(shown) = shown.as_object_mut() {
        let more = json!({
            "state": if lost { "interrupted" } else { job.state.as_str() },
            "began": job.began.to_string(),
            "updated": job.updated.to_string(),
            "by": job.actor,
            "devices": job.total,
            "done": job.done,
        });
        if let Value::Object(more) = more {
            shown.extend(more);
        }
    }
    Ok(shown)
}

/// `FIELD=COLUMN`.
fn mapping(text: &str) -> Result<(String, String), Problem> {
    let (field, column) = text.split_once('=').ok_or_else(|| {
        Problem::new(Code::NotBuilt, format!("a saved mapping ({text})"))
            .hint("name the columns: map=FIELD=COLUMN")
    })?;
    Ok((field.trim().to_owned(), column.trim().to_owned()))
}

/// A file's name for people: no path, no control characters, not endless.
fn name(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or(text);
    let clean = last.chars().filter(|ch| !ch.is_control());
    clean.take(100).collect()
}

/// Refuses what is no CSV by its name or its beginning.
fn readable(filename: &str, body: &[u8]) -> Result<(), Problem> {
    let begin = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let begin = begin.trim_ascii_start();
    let lower = filename.to_lowercase();
    let other = OTHERS
        .iter()
        .find(|(mark, end, _)| begin.starts_with(mark) || lower.ends_with(end));
    match other {
        Some((_, _, kind)) => Err(Problem::new(
            Code::NotBuilt,
            format!("reading {kind}: this version reads CSV"),
        )
        .hint("save the table as CSV UTF-8")),
        None => Ok(()),
    }
}

fn unwritable() -> Problem {
    Problem::new(Code::Internal, "the report cannot be written as JSON")
}
