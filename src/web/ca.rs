//! Certificates: docs/api.md section 6.

use axum::Router;
use axum::extract::State as Extract;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::State;
use super::answer::{Answer, Reply};
use super::call::Call;
use crate::model::certificate::Name;
use crate::pki::{self, Anchor};

/// The routes of this subject.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/ca", get(show))
        .route("/ca/trust", post(trust))
}

async fn show(Extract(state): Extract<State>, call: Call) -> Reply {
    call.words(&[])?;
    let own = &state.setup.authority;
    let anchors: Vec<Value> = (state.setup.anchors)().iter().map(anchor).collect();
    Ok(Answer::ok(json!({
        "certificates": [{
            "pem": own.pem,
            "fingerprint": own.fingerprint.to_string(),
            "subject": format!("CN={}", own.name),
            "not_before": own.not_before.to_string(),
            "not_after": own.not_after.to_string(),
        }],
        "anchors": anchors,
    })))
}

async fn trust(Extract(state): Extract<State>, call: Call) -> Reply {
    let ask = call.ask()?;
    let mut fields = call.object()?;
    let vendor = fields.text("vendor");
    let vendor = fields.need("vendor", vendor).unwrap_or_default();
    let pem = fields.text("pem");
    let pem = fields.need("pem", pem).unwrap_or_default();
    let fingerprint = fields.text("fingerprint");
    let fingerprint = fields.need("fingerprint", fingerprint).unwrap_or_default();
    fields.end()?;
    let taken = state
        .admin
        .trust(&call.actor, &vendor, &pem, &fingerprint, &ask)
        .await?;
    if !ask.dry_run {
        (state.setup.anchors_changed)();
    }
    let loaded = (state.setup.anchors)();
    let same = |row: &&Anchor| row.vendor == taken.vendor && row.fingerprint == taken.fingerprint;
    let body = match loaded.iter().find(same) {
        Some(row) => anchor(row),
        None => json!({
            "vendor": taken.vendor,
            "fingerprint": taken.fingerprint.to_string(),
            "subject": name(&pki::read(&taken.der).subject),
            "not_after": null,
            "source": "store",
        }),
    };
    Ok(Answer::ok(body).dry_run(ask.dry_run))
}

fn anchor(anchor: &Anchor) -> Value {
    json!({
        "vendor": anchor.vendor,
        "fingerprint": anchor.fingerprint.to_string(),
        "subject": name(&anchor.subject),
        "not_after": anchor.not_after.to_string(),
        "source": anchor.from,
    })
}

/// A name as `CN=…, O=…`.
fn name(name: &Name) -> String {
    let parts = name.0.iter();
    let parts: Vec<String> = parts.map(|(key, value)| format!("{key}={value}")).collect();
    parts.join(", ")
}
