//! Answers in JSON, with the headers of docs/api.md section 1.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::failure::Failure;
use crate::admin::Page;

/// What every handler gives back.
pub(crate) type Reply = Result<Answer, Failure>;

/// The header of a dry run's answer.
const DRY_RUN: HeaderName = HeaderName::from_static("dry-run");

/// A document that says that it went well.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: Value,
    version: Option<u64>,
    dry_run: bool,
}

impl Answer {
    /// 200 with this document.
    pub(crate) fn ok(body: Value) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            version: None,
            dry_run: false,
        }
    }

    /// A page of a list, each item by `wire`.
    pub(crate) fn page<T>(page: &Page<T>, wire: impl Fn(&T) -> Value) -> Self {
        let items: Vec<Value> = page.items.iter().map(wire).collect();
        Self::ok(json!({"items": items, "next": page.next}))
    }

    /// A whole list.
    pub(crate) fn list(items: impl IntoIterator<Item = Value>) -> Self {
        let items: Vec<Value> = items.into_iter().collect();
        Self::ok(json!({"items": items, "next": null}))
    }

    /// 201 in place of 200, unless it was a dry run.
    #[must_use]
    pub(crate) fn created(mut self) -> Self {
        if !self.dry_run {
            self.status = StatusCode::CREATED;
        }
        self
    }

    /// With the record's version as its `ETag`.
    #[must_use]
    pub(crate) fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// Marked as a dry run's, if it is one.
    #[must_use]
    pub(crate) fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let bytes = serde_json::to_vec(&self.body).unwrap_or_default();
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let media = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, media);
        if let Some(version) = self.version
            && let Ok(tag) = HeaderValue::try_from(format!("\"{version}\""))
        {
            headers.insert(header::ETAG, tag);
        }
        if self.dry_run {
            headers.insert(DRY_RUN, HeaderValue::from_static("true"));
        }
        response
    }
}
