//! What happened: docs/api.md section 4, but for the events.

use axum::Router;
use axum::extract::{Path, State as Extract};
use axum::routing::{delete, get};

use super::answer::{Answer, Reply};
use super::call::{Call, Words};
use super::{State, wire};
use crate::admin::Problem;
use crate::admin::activity::Checks;

/// The routes of this subject.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/activation", get(list))
        .route("/activation/summary", get(summary))
        .route("/alerts", get(alerts))
        .route("/alerts/{kind}/{device}", delete(settle))
        .route("/audit", get(audit))
        .route("/devices/{name}/events", get(of_device))
        .route("/quarantine", get(quarantine))
}

async fn list(Extract(state): Extract<State>, call: Call) -> Reply {
    let words = call.words(&["since", "site", "device", "after", "limit"])?;
    checks(&state, &words, words.text("device")).await
}

async fn of_device(Extract(state): Extract<State>, Path(name): Path<String>, call: Call) -> Reply {
    let words = call.words(&["since", "after", "limit"])?;
    checks(&state, &words, Some(name)).await
}

async fn checks(state: &State, words: &Words<'_>, device: Option<String>) -> Reply {
    let wanted = Checks {
        since: words.time("since")?,
        site: words.text("site"),
        device,
    };
    let page = state.admin.checks(&wanted, words.after()?, words.limit()?);
    Ok(Answer::page(&page.await?, wire::check))
}

async fn summary(Extract(state): Extract<State>, call: Call) -> Reply {
    let words = call.words(&["since", "site"])?;
    let site = known_site(&state, words.get("site"))?;
    let summary = state.admin.summary(site, words.time("since")?).await?;
    Ok(Answer::ok(wire::summary(&summary)))
}

/// A site that is there, or none.
pub(crate) fn known_site<'a>(
    state: &State,
    site: Option<&'a str>,
) -> Result<Option<&'a str>, Problem> {
    if let Some(name) = site
        && !state.admin.hub().store.settings()?.sites.contains_key(name)
    {
        return Err(Problem::not_found("site", name));
    }
    Ok(site)
}

async fn quarantine(Extract(state): Extract<State>, call: Call) -> Reply {
    call.words(&[])?;
    let rows = state.admin.sightings();
    Ok(Answer::list(rows.iter().map(wire::sighting)))
}

async fn alerts(Extract(state): Extract<State>, call: Call) -> Reply {
    call.words(&[])?;
    let alerts = state.admin.alerts().await?;
    Ok(Answer::list(alerts.iter().map(wire::named_alert)))
}

async fn settle(
    Extract(state): Extract<State>,
    Path((kind, device)): Path<(String, String)>,
    call: Call,
) -> Reply {
    let ask = call.ask()?;
    let settled = state.admin.settle_alert(&call.actor, &kind, &device, &ask);
    Ok(Answer::ok(wire::named_alert(&settled.await?)).dry_run(ask.dry_run))
}

async fn audit(Extract(state): Extract<State>, call: Call) -> Reply {
    let words = call.words(&["after", "limit"])?;
    let page = state.admin.audit_trail(words.after()?, words.limit()?);
    Ok(Answer::page(&page.await?, wire::audit))
}
