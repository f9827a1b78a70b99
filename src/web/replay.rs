//! `Idempotency-Key`: a POST that is sent twice is done once (docs/api.md section 1).
//!
//! Who has no answer after a time-out sends the same again and gets the first answer. What is
//! remembered is bounded in number, octets and time, and a restart forgets it.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::State;
use super::call::collect;
use super::failure::Failure;
use super::imports;
use crate::admin::{Actor, Code, FieldError, Problem};

/// The header that names the request.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long a key is remembered.
const KEEP: SignedDuration = SignedDuration::from_hours(24);
/// Keys that are remembered.
const MOST: usize = 1024;
/// Octets of all answers that are remembered.
const MOST_OCTETS: usize = 32 << 20;
/// Characters of a key.
const LENGTH: usize = 255;

/// Requests with a key, the oldest first.
#[derive(Default)]
pub(crate) struct Replays(std::sync::Mutex<VecDeque<Entry>>);

struct Entry {
    actor: Actor,
    key: String,
    /// Method, target and body.
    request: [u8; 32],
    at: Timestamp,
    /// Locked while the request is done; empty until there is an answer.
    answer: Arc<Mutex<Option<Kept>>>,
    octets: usize,
}

#[derive(Clone)]
struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Does a POST with a key once.
pub(crate) async fn once(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let key = request.headers().get(&KEY).cloned();
    let actor = request.extensions().get::<Actor>().cloned();
    match (key, actor) {
        (Some(key), Some(actor)) if request.method() == Method::POST => {
            let done = by_key(&state, &key, actor, request, next).await;
            done.unwrap_or_else(|problem| Failure(problem).into_response())
        }
        _ => next.run(request).await,
    }
}

async fn by_key(
    state: &State,
    key: &HeaderValue,
    actor: Actor,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = key.to_str().unwrap_or_default();
    if !(1..=LENGTH).contains(&key.len()) {
        let what = format!("a key has 1 to {LENGTH} plain characters");
        return Err(FieldError::new("Idempotency-Key", Code::ValueInvalid, what).into());
    }
    let (head, body) = request.into_parts();
    let body = collect(body, imports::MOST).await?;
    let digest = Sha256::new()
        .chain_update(head.uri.to_string())
        .chain_update([0])
        .chain_update(&body);
    let now = state.admin.hub().now();
    let answer = state
        .replays
        .begin(actor, key, digest.finalize().into(), now)?;
    // Whoever sends it again while it is done waits here.
    let mut turn = Arc::clone(&answer).lock_owned().await;
    if let Some(kept) = &*turn {
        let mut response = kept.response();
        let yes = HeaderValue::from_static("true");
        response.headers_mut().insert(REPLAYED, yes);
        return Ok(response);
    }
    // It goes on when the caller goes away: that is when somebody asks again.
    let state = state.clone();
    let work = tokio::spawn(async move {
        let response = next.run(Request::from_parts(head, Body::from(body))).await;
        let (head, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let kept = Kept {
            status: head.status,
            headers: head.headers,
            body: body.unwrap_or_default(),
        };
        let response = kept.response();
        // Our own failures are no answer: the next try may go well.
        if kept.status.is_server_error() {
            state.replays.forget(&answer);
        } else {
            state.replays.weigh(&answer, kept.body.len());
            *turn = Some(kept);
        }
        response
    });
    let broken = |_| Problem::new(Code::Internal, "the request broke off");
    work.await.map_err(broken)
}

impl Kept {
    fn response(&self) -> Response {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}

impl Replays {
    /// The place of the answer to this request; a new one where nobody used the key.
    fn begin(
        &self,
        actor: Actor,
        key: &str,
        request: [u8; 32],
        now: Timestamp,
    ) -> Result<Arc<Mutex<Option<Kept>>>, Problem> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.retain(|row| now.duration_since(row.at) < KEEP);
        if let Some(row) = rows.iter().find(|row| row.actor == actor && row.key == key) {
            if row.request == request {
                return Ok(Arc::clone(&row.answer));
            }
            let what = format!("{key:?} was used for another request at {}", row.at);
            let error = FieldError::new("Idempotency-Key", Code::IdempotencyKeyReused, what);
            return Err(error.hint("take a new key for a new request").into());
        }
        if rows.len() >= MOST {
            rows.pop_front();
        }
        let answer = Arc::default();
        rows.push_back(Entry {
            actor,
            key: key.to_owned(),
            request,
            at: now,
            answer: Arc::clone(&answer),
            octets: 0,
        });
        Ok(answer)
    }

    /// Notes how large an answer is; the oldest go where all are too large.
    fn weigh(&self, answer: &Arc<Mutex<Option<Kept>>>, octets: usize) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = rows.iter_mut();
        if let Some(row) = own.find(|row| Arc::ptr_eq(&row.answer, answer)) {
            row.octets = octets;
        }
        let mut all: usize = rows.iter().map(|row| row.octets).sum();
        while all > MOST_OCTETS {
            let Some(gone) = rows.pop_front() else { return };
            all -= gone.octets;
        }
    }

    fn forget(&self, answer: &Arc<Mutex<Option<Kept>>>) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.retain(|row| !Arc::ptr_eq(&row.answer, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_where_there_are_too_many_or_too_large_ones() {
        let replays = Replays::default();
        let now = Timestamp::UNIX_EPOCH;
        let begin = |key: usize, at: Timestamp| {
            let begun = replays.begin(Actor::Server, &key.to_string(), [0; 32], at);
            begun.expect("a place")
        };
        let first = begin(0, now);
        assert!(Arc::ptr_eq(&first, &begin(0, now)));
        let other = replays.begin(Actor::Uid(1), "0", [1; 32], now);
        assert!(!Arc::ptr_eq(&first, &other.expect("a caller of its own")));
        for key in 1..=MOST {
            begin(key, now);
        }
        assert!(!Arc::ptr_eq(&first, &begin(0, now)));

        let large = begin(MOST, now);
        replays.weigh(&large, MOST_OCTETS);
        assert!(Arc::ptr_eq(&large, &begin(MOST, now)));
        replays.weigh(&begin(MOST + 1, now), 1);
        assert!(!Arc::ptr_eq(&large, &begin(MOST, now)));

        let late = now.checked_add(KEEP).expect("a day later");
        let old = begin(MOST + 1, now);
        assert!(!Arc::ptr_eq(&old, &begin(MOST + 1, late)));
    }
}
