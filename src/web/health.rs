//! `status`, `doctor`, the backup: docs/api.md section 6. And the metrics of section 7.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::State as Extract;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderValue, header};
use tokio::sync::mpsc;

use super::activity::known_site;
use super::answer::{Answer, Reply};
use super::call::Call;
use super::failure::Failure;
use super::stream::{Pipe, Streamed};
use super::{State, wire_health};
use crate::admin::{Code, Problem};
use crate::store::Keys;

/// The routes of this subject, for the socket.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/backup", get(backup))
        .route("/doctor", get(doctor))
        .route("/explain", post(explain))
        .route("/status", get(status))
}

/// What anybody may read.
pub(crate) fn open_routes() -> Router<State> {
    Router::new().route("/metrics", get(metrics))
}

impl State {
    /// Seconds since the start.
    pub(crate) fn uptime(&self) -> i64 {
        let now = self.admin.hub().now();
        now.duration_since(self.began).as_secs().max(0)
    }
}

/// What the server would make of a request. Nothing is done.
async fn explain(Extract(state): Extract<State>, call: Call) -> Reply {
    call.words(&[])?;
    let request = call.object()?.whole();
    let told = (state.setup.explain)(request).await;
    Ok(Answer::ok(
        told.map_err(|what| Problem::new(Code::BodyInvalid, what))?,
    ))
}

async fn doctor(Extract(state): Extract<State>, call: Call) -> Reply {
    let words = call.words(&["site"])?;
    let site = known_site(&state, words.get("site"))?;
    let health = state.admin.health(site).await?;
    Ok(Answer::ok(wire_health::doctor(&health)))
}

async fn status(Extract(state): Extract<State>, call: Call) -> Reply {
    let words = call.words(&["site"])?;
    let site = known_site(&state, words.get("site"))?;
    let health = state.admin.health(site).await?;
    Ok(Answer::ok(wire_health::status(&health, state.uptime())))
}

/// Every row, the keys and our CA as one stream. It ends early, and so unreadable, where it fails.
async fn backup(Extract(state): Extract<State>, call: Call) -> Result<Response, Failure> {
    call.words(&[])?;
    let data = state.setup.data.clone();
    let files = files(&data).map_err(|error| {
        tracing::error!(%error, "the files of a backup");
        Problem::new(Code::Internal, "the key files cannot be read")
    })?;
    state.admin.note_backup(&call.actor).await?;
    let (pieces, body) = mpsc::channel(8);
    let hub = Arc::clone(state.admin.hub());
    tokio::spawn(async move {
        let now = hub.now();
        let failed = pieces.clone();
        if let Err(error) = hub.store.backup(&data, files, now, Pipe::new(pieces)).await {
            tracing::error!(%error, "a backup");
            drop(
                failed
                    .send(Err(io::Error::other("the backup failed")))
                    .await,
            );
        }
    });
    let mut response = Response::new(Body::new(Streamed::new(body)));
    let media = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    Ok(response)
}

/// The files that a backup holds besides the rows: keys and our CA.
fn files(data: &std::path::Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Keys::files(data).map_err(|error| error.to_string())?;
    let entries = match std::fs::read_dir(data.join("ca")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(error.to_string()),
    };
    for entry in entries {
        let entry = entry.map_err(|error| error.to_string())?;
        let name = PathBuf::from("ca").join(entry.file_name());
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if entry.path().is_file() && !hidden {
            files.push(name);
        }
    }
    files.sort();
    Ok(files)
}

/// Metrics that only grow.
const GROWING: [&str; 4] = ["dhcp_answers", "dhcp_bad", "reloads_refused", "tls_refused"];

async fn metrics(Extract(state): Extract<State>) -> Response {
    let overview = match state.overview().await {
        Ok(overview) => overview,
        Err(problem) => return Failure(problem).into_response(),
    };
    let health = &overview.health;
    let mut text = String::new();
    let mut family = |name: &str, help: &str, rows: Vec<(String, u64)>| {
        let kind = match GROWING.contains(&name) {
            true => "counter",
            false => "gauge",
        };
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "# HELP dialtone_{name} {help}\n# TYPE dialtone_{name} {kind}"
        );
        for (labels, value) in rows {
            let _ = writeln!(text, "dialtone_{name}{labels} {value}");
        }
    };
    let plain = |value: u64| vec![(String::new(), value)];
    let count = |value: usize| plain(u64::try_from(value).unwrap_or(u64::MAX));
    let version = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    family("build_info", "The version that runs.", vec![(version, 1)]);
    let uptime = u64::try_from(state.uptime()).unwrap_or_default();
    family("uptime_seconds", "Seconds since the start.", plain(uptime));
    let states = health.summary.states.iter();
    let states = states.map(|(state, count)| (format!("{{state=\"{}\"}}", state.as_str()), *count));
    family("devices", "Listed units by state.", states.collect());
    let flags = health.summary.flags.iter();
    let flags = flags.map(|(flag, count)| (format!("{{flag=\"{}\"}}", flag.as_str()), *count));
    family("device_flags", "Listed units by flag.", flags.collect());
    family(
        "alerts",
        "Alerts that wait for a person.",
        count(health.alerts),
    );
    family(
        "quarantine",
        "Units that asked and are not listed.",
        count(health.quarantine),
    );
    let (bad, answers, pools) = {
        let board = state.admin.hub().dhcp.lock();
        let board = board.unwrap_or_else(PoisonError::into_inner);
        let by = |label: &'static str| {
            move |(word, count): (&&str, &u64)| (format!("{{{label}=\"{word}\"}}"), *count)
        };
        let bad: Vec<_> = board.bad.iter().map(by("reason")).collect();
        let answers: Vec<_> = board.answers.iter().map(by("answer")).collect();
        let pools = board.filled.iter();
        let pools = pools.map(|pool| (format!("{{subnet=\"{}\"}}", pool.net), pool.taken));
        (bad, answers, pools.collect())
    };
    family("dhcp_bad", "DHCP datagrams dropped unread, by reason.", bad);
    family("dhcp_answers", "What DHCP clients were answered.", answers);
    family(
        "dhcp_taken",
        "Addresses of a network's pools in use.",
        pools,
    );
    let counts = &state.admin.hub().counts;
    let tls: Vec<_> = {
        let refused = counts.tls_refused.lock();
        let refused = refused.unwrap_or_else(PoisonError::into_inner);
        let row = |(reason, count): (&&str, &u64)| (format!("{{reason=\"{reason}\"}}"), *count);
        refused.iter().map(row).collect()
    };
    family(
        "tls_refused",
        "TLS handshakes of devices that ended before a request, by reason.",
        tls,
    );
    family(
        "reloads_refused",
        "Reloads that were not taken because something was wrong.",
        plain(counts.reloads_refused.load(Ordering::Relaxed)),
    );
    let level = match health.level() {
        crate::admin::health::Level::Green => 0,
        crate::admin::health::Level::Yellow => 1,
        crate::admin::health::Level::Red => 2,
    };
    family("level", "0 green, 1 yellow, 2 red.", plain(level));
    let streams = state.admin.hub().news.receiver_count();
    family("event_streams", "Readers of events.", count(streams));
    let mut response = Response::new(Body::from(Bytes::from(text)));
    let media = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}
