//! Problems as `application/problem+json`. Only here does the people's API have status codes for
//! what goes wrong.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::admin::{Code, FieldError, Problem};

/// An answer that says why not.
#[derive(Clone, Debug)]
pub(crate) struct Failure(pub(crate) Problem);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<FieldError> for Failure {
    fn from(error: FieldError) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let bytes = serde_json::to_vec(&document(&self.0)).unwrap_or_default();
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = status(self.0.code);
        let media = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        response
    }
}

/// The problem as JSON (docs/api.md section 1).
fn document(problem: &Problem) -> Value {
    let code = problem.code.as_str();
    let errors: Vec<Value> = problem
        .errors
        .iter()
        .map(|error| {
            json!({
                "field": error.field,
                "code": error.code.as_str(),
                "detail": error.detail,
                "hint": error.hint,
            })
        })
        .collect();
    json!({
        "type": format!("urn:dialtone:problem:{code}"),
        "title": problem.code.title(),
        "status": status(problem.code).as_u16(),
        "code": code,
        "detail": problem.detail,
        "hint": problem.hint,
        "errors": errors,
    })
}

/// The status of a code.
pub(crate) fn status(code: Code) -> StatusCode {
    match code {
        Code::BodyInvalid | Code::QueryInvalid => StatusCode::BAD_REQUEST,
        Code::NotPermitted | Code::SocketOnly => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::TimedOut => StatusCode::REQUEST_TIMEOUT,
        Code::Ambiguous
        | Code::Conflict
        | Code::InUse
        | Code::MacTaken
        | Code::NameTaken
        | Code::SerialTaken
        | Code::SetInFile
        | Code::TooManyChanges
        | Code::WrongState => StatusCode::CONFLICT,
        Code::VersionMismatch => StatusCode::PRECONDITION_FAILED,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::DurationInvalid
        | Code::FamilyUnknown
        | Code::FileInvalid
        | Code::FingerprintMismatch
        | Code::IdempotencyKeyReused
        | Code::KeyInvalid
        | Code::LineInvalid
        | Code::MacInvalid
        | Code::MissingField
        | Code::ModelUnknown
        | Code::PemInvalid
        | Code::ProfileUnknown
        | Code::SerialInvalid
        | Code::SiteUnknown
        | Code::TimeInvalid
        | Code::TooManyLines
        | Code::UnknownField
        | Code::ValueInvalid
        | Code::VariableUnknown
        | Code::VendorUnknown => StatusCode::UNPROCESSABLE_ENTITY,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Code::NotBuilt => StatusCode::NOT_IMPLEMENTED,
        Code::DiskFull | Code::NotReady | Code::ReadOnly | Code::StoreBusy => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
