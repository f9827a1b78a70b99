//! Whether the server lives, and whether it is ready: for whatever watches it.

use axum::Router;
use axum::extract::State as Extract;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::StatusCode;
use serde_json::json;

use super::State;
use super::answer::Answer;
use super::failure::Failure;
use crate::admin::{Code, Problem};

/// The routes of this subject, on every listener.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
}

async fn livez() -> Response {
    (StatusCode::OK, "ok\n").into_response()
}

/// The store is open and writes, the catalogue is loaded, and nobody said stop.
async fn readyz(Extract(state): Extract<State>) -> Response {
    let hub = state.admin.hub();
    let why = if state.stop.is_cancelled() {
        Some("the server is stopping")
    } else if hub.store.health().is_err() {
        Some("the store writes nothing")
    } else if hub.catalog.load().vendors.is_empty() {
        Some("no vendor is loaded")
    } else {
        None
    };
    match why {
        Some(why) => Failure(Problem::new(Code::NotReady, why)).into_response(),
        None => {
            let up = hub.now().duration_since(state.began).as_secs();
            Answer::ok(json!({"ready": true, "uptime_seconds": up.max(0)})).into_response()
        }
    }
}
