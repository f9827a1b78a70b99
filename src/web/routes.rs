//! Which routes a listener answers.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};

use super::failure::Failure;
use super::{
    State, activity, ca, devices, dhcp, events, health, imports, openapi, page, places, probes,
    profiles, replay,
};
use crate::admin::{Code, Problem};

/// Everything: for the socket of the verbs.
pub(crate) fn everything(state: State) -> Router {
    let api = Router::new()
        .merge(activity::routes())
        .merge(ca::routes())
        .merge(devices::routes())
        .merge(dhcp::routes())
        .merge(events::routes())
        .merge(health::routes())
        .merge(imports::routes())
        .merge(places::routes())
        .merge(profiles::routes())
        .layer(from_fn_with_state(state.clone(), replay::once));
    open()
        .merge(openapi::routes())
        .nest("/api/v1", api)
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .with_state(state)
}

/// What anybody may read: for TCP.
pub(crate) fn pages(state: State) -> Router {
    open()
        .fallback(socket_only)
        .method_not_allowed_fallback(not_allowed)
        .with_state(state)
}

/// What both listeners answer: it changes nothing, and no secret is in it.
fn open() -> Router<State> {
    Router::new()
        .merge(events::open_routes())
        .merge(health::open_routes())
        .merge(page::routes())
        .merge(probes::routes())
}

/// For whoever may nothing.
pub(crate) fn nothing() -> Router {
    Router::new().fallback(not_permitted)
}

async fn not_found(uri: http::Uri) -> Response {
    let what = format!("there is nothing at {}", uri.path());
    Failure(Problem::new(Code::NotFound, what)).into_response()
}

async fn not_allowed(method: http::Method) -> Response {
    let what = format!("{method} means nothing here");
    Failure(Problem::new(Code::MethodNotAllowed, what)).into_response()
}

async fn socket_only() -> Response {
    let problem = Problem::new(
        Code::SocketOnly,
        "this listener answers the status page and the probes only",
    );
    Failure(problem.hint("use the socket: DATA/admin.sock, or the verbs of dialtone"))
        .into_response()
}

async fn not_permitted() -> Response {
    let problem = Problem::new(
        Code::NotPermitted,
        "this socket is for the server's own user and for root",
    );
    Failure(problem).into_response()
}
