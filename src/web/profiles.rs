//! Profiles and their revisions: docs/api.md section 6.

use axum::Router;
use axum::extract::State as Extract;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::State;
use super::answer::{Answer, Reply};
use super::call::{Call, Words};
use crate::admin::diff::{Diff, DiffAsk};
use crate::admin::profile::{ProfileView, Publication, Which};
use crate::catalog::lint::Covered;
use crate::catalog::{Problem as Lint, Severity};
use crate::model::identity::Digest;
use crate::store::Published;

/// The routes of this subject.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/profiles", get(list))
        .route("/profiles/diff", get(diff))
        .route("/profiles/history", get(history))
        .route("/profiles/lint", get(lint))
        .route("/profiles/publish", post(publish))
}

async fn list(Extract(state): Extract<State>, call: Call) -> Reply {
    let words = call.words(&["coverage"])?;
    if words.flag("coverage")? {
        return coverage(&state);
    }
    let all = state.admin.profiles().await?;
    Ok(Answer::list(all.iter().map(profile)))
}

fn profile(view: &ProfileView) -> Value {
    let (vendor, family, name) = &view.kind;
    let row = view.published.as_ref();
    json!({
        "vendor": vendor,
        "family": family,
        "profile": name,
        "label": view.label,
        "devices": view.devices,
        "published": row.map(|row| row.digest.to_string()),
        "draft": view.draft.map(|digest| digest.to_string()),
        "changed": view.changed(),
        "at": row.map(|row| row.at.to_string()),
        "by": row.map(|row| row.by.clone()),
        "reason": row.map(|row| row.reason.clone()),
    })
}

fn coverage(state: &State) -> Reply {
    let (variables, covered) = state.admin.coverage();
    let families: Vec<Value> = covered
        .iter()
        .map(|family| {
            let count = |word: &str| {
                let all = family.reads.values();
                all.filter(|how| how.as_str() == word).count()
            };
            let (mut reads, mut sources) = (Map::new(), Map::new());
            for (name, how) in &family.reads {
                reads.insert(name.clone(), json!(how.as_str()));
                if let Covered::Unsupported(source) = how {
                    sources.insert(name.clone(), json!(source));
                }
            }
            json!({
                "vendor": family.vendor,
                "family": family.family,
                "mapped": count("mapped"),
                "unsupported": count("unsupported"),
                "unconfirmed": count("unconfirmed"),
                "neither": variables.len().saturating_sub(family.reads.len()),
                "reads": reads,
                "sources": sources,
            })
        })
        .collect();
    Ok(Answer::ok(
        json!({"variables": variables, "families": families}),
    ))
}

async fn lint(Extract(state): Extract<State>, call: Call) -> Reply {
    call.words(&[])?;
    let read = std::sync::Arc::clone(&state.setup.lint);
    // It reads the folders and renders every artefact.
    let problems = tokio::task::spawn_blocking(move || read()).await;
    let problems = problems.unwrap_or_default();
    Ok(Answer::list(problems.iter().map(told)))
}

fn told(problem: &Lint) -> Value {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    json!({
        "file": problem.file,
        "line": problem.line,
        "severity": severity,
        "what": problem.what,
        "hint": problem.hint,
    })
}

async fn publish(Extract(state): Extract<State>, call: Call) -> Reply {
    let ask = call.ask()?;
    let mut fields = call.object_or_none()?;
    let which = Which {
        vendor: fields.maybe_text("vendor").flatten(),
        family: fields.maybe_text("family").flatten(),
        profile: fields.maybe_text("profile").flatten(),
    };
    let reason = fields.text("reason").unwrap_or_default();
    fields.end()?;
    let done = state
        .admin
        .publish(&call.actor, &which, &reason, &ask)
        .await?;
    let devices: u64 = done.iter().map(|row| row.devices).sum();
    let published: Vec<Value> = done.iter().map(publication).collect();
    let body = json!({"dry_run": ask.dry_run, "published": published, "devices": devices});
    Ok(Answer::ok(body).dry_run(ask.dry_run))
}

fn publication(row: &Publication) -> Value {
    let (vendor, family, profile) = &row.kind;
    json!({
        "vendor": vendor,
        "family": family,
        "profile": profile,
        "from": row.from.map(|digest| digest.to_string()),
        "to": row.to.to_string(),
        "devices": row.devices,
    })
}

/// The kinds that a query means.
pub(crate) fn which(words: &Words<'_>) -> Which {
    Which {
        vendor: words.text("vendor"),
        family: words.text("family"),
        profile: words.text("profile"),
    }
}

async fn history(Extract(state): Extract<State>, call: Call) -> Reply {
    let words = call.words(&["vendor", "family", "profile"])?;
    let rows = state.admin.history(&which(&words)).await?;
    Ok(Answer::list(
        rows.iter().map(|(row, current)| past(row, *current)),
    ))
}

fn past(row: &Published, current: bool) -> Value {
    json!({
        "vendor": row.vendor,
        "family": row.family,
        "profile": row.profile,
        "digest": row.digest.to_string(),
        "at": row.at.to_string(),
        "by": row.by,
        "reason": row.reason,
        "current": current,
    })
}

async fn diff(Extract(state): Extract<State>, call: Call) -> Reply {
    let words = call.words(&["vendor", "family", "profile", "from", "to", "device"])?;
    let ask = DiffAsk {
        which: which(&words),
        from: words.word("from", Digest::parse)?,
        to: words.word("to", Digest::parse)?,
        device: words.text("device"),
    };
    let diff = state.admin.diff(&ask).await?;
    Ok(Answer::ok(wire_diff(&diff)))
}

fn wire_diff(diff: &Diff) -> Value {
    let devices: Vec<Value> = diff
        .devices
        .iter()
        .map(|device| {
            let files: Vec<Value> = device
                .files
                .iter()
                .map(|(file, lines)| json!({"file": file, "lines": lines}))
                .collect();
            json!({"device": device.id.to_string(), "mac": device.mac, "files": files})
        })
        .collect();
    json!({
        "from": diff.from.map(|digest| digest.to_string()),
        "to": diff.to.map(|digest| digest.to_string()),
        "devices": devices,
        "changed": diff.changed,
        "unchanged": diff.unchanged,
        "more": diff.more,
    })
}
