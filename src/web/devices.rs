//! `/devices`: docs/api.md section 2.

use axum::Router;
use axum::extract::{Path, State as Extract};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::answer::{Answer, Reply};
use super::call::{Call, Words};
use super::fields::Fields;
use super::{State, wire, wire_device};
use crate::admin::bulk::{Item, Selection};
use crate::admin::device::{Action, Arm, Select};
use crate::admin::preview::Secrets;
use crate::admin::render::{Preview, RenderAsk};
use crate::admin::{Code, FieldError, Problem};
use crate::model::activation::State as UnitState;
use crate::model::device::Lifecycle;
use crate::model::identity::{Assurance, DeviceId};
use crate::store::Filter;

/// The routes of this subject.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/devices", get(list).post(create))
        .route("/devices/{name}", get(show).patch(change).delete(delete))
        .route("/devices/{name}/{action}", post(act))
        .route("/devices/{name}/render", get(render))
        .route("/devices/{name}/trace", get(trace))
        .route("/devices:bulk", post(bulk))
}

async fn list(Extract(state): Extract<State>, call: Call) -> Reply {
    let words = call.words(&[
        "site",
        "vendor",
        "family",
        "model",
        "state",
        "group",
        "profile",
        "lifecycle",
        "after",
        "limit",
    ])?;
    let select = select(&words)?;
    let after = words.word("after", DeviceId::parse)?;
    let page = state.admin.devices(&select, after, words.limit()?).await?;
    Ok(Answer::page(&page, wire_device::device))
}

/// The devices that a query means.
pub(crate) fn select(words: &Words<'_>) -> Result<Select, Problem> {
    Ok(Select {
        filter: Filter {
            site: words.text("site"),
            vendor: words.text("vendor"),
            family: words.text("family"),
            model: words.text("model"),
            state: words.word("state", UnitState::parse)?,
            group: words.text("group"),
            profile: words.text("profile"),
        },
        lifecycle: words.word("lifecycle", Lifecycle::parse)?,
    })
}

async fn show(Extract(state): Extract<State>, Path(name): Path<String>, call: Call) -> Reply {
    call.words(&[])?;
    let view = state.admin.device(&name).await?;
    let version = view.device.config.version;
    Ok(Answer::ok(wire_device::device(&view)).version(version))
}

async fn create(Extract(state): Extract<State>, call: Call) -> Reply {
    let ask = call.ask()?;
    let mut fields = call.object()?;
    let wanted = wire_device::wanted(&mut fields, true);
    fields.end()?;
    let view = state
        .admin
        .create_device(&call.actor, &wanted, &ask)
        .await?;
    let answer = Answer::ok(wire_device::device(&view)).dry_run(ask.dry_run);
    Ok(answer.version(view.device.config.version).created())
}

async fn change(Extract(state): Extract<State>, Path(name): Path<String>, call: Call) -> Reply {
    let mut fields = call.object()?;
    let action = action("set", &mut fields)?;
    fields.end()?;
    done(&state, &name, &call, &action).await
}

async fn delete(Extract(state): Extract<State>, Path(name): Path<String>, call: Call) -> Reply {
    done(&state, &name, &call, &Action::Delete).await
}

async fn act(
    Extract(state): Extract<State>,
    Path((name, verb)): Path<(String, String)>,
    call: Call,
) -> Reply {
    if verb == "swap" {
        return Err(Problem::new(Code::NotBuilt, "the swap of a unit").into());
    }
    if matches!(verb.as_str(), "set" | "delete") {
        return Err(nothing(&verb).into());
    }
    let mut fields = call.object_or_none()?;
    let action = action(&verb, &mut fields)?;
    fields.end()?;
    done(&state, &name, &call, &action).await
}

async fn done(state: &State, name: &str, call: &Call, action: &Action) -> Reply {
    let ask = call.ask()?;
    let changed = state.admin.act(&call.actor, name, action, &ask).await?;
    let version = changed.record.device.config.version;
    let body = wire_device::device(&changed.record);
    Ok(Answer::ok(body).version(version).dry_run(ask.dry_run))
}

fn nothing(verb: &str) -> Problem {
    Problem::new(Code::NotFound, format!("nothing is called {verb:?} here"))
}

/// One of the things that can be done to a device, with the body of its call.
pub(crate) fn action(verb: &str, fields: &mut Fields) -> Result<Action, Problem> {
    Ok(match verb {
        "arm" => Action::Arm(Arm {
            duration: fields.text("for"),
            from: fields.text("from"),
            open: fields.flag("open").unwrap_or_default(),
            keys: fields.flag("keys").unwrap_or_default(),
            without_certificate: fields.flag("without_certificate").unwrap_or_default(),
        }),
        "disarm" => Action::Disarm,
        "suspend" => Action::Suspend,
        "resume" => Action::Resume,
        "release" => Action::Release,
        "retire" => Action::Retire,
        "move" => {
            let site = fields.maybe_text("site");
            Action::Move(fields.need("site", site).flatten())
        }
        "note" => {
            let text = fields.text("text");
            Action::Note(fields.need("text", text).unwrap_or_default())
        }
        "set" => Action::Set(Box::new(wire_device::wanted(fields, false))),
        "delete" => Action::Delete,
        other => return Err(nothing(other)),
    })
}

async fn bulk(Extract(state): Extract<State>, call: Call) -> Reply {
    let ask = call.ask()?;
    let mut fields = call.object()?;
    let verb = fields.text("action");
    let verb = fields.need("action", verb).unwrap_or_default();
    let select = fields.map("select");
    let select = fields.need("select", select).unwrap_or_default();
    let options = fields.map("options").unwrap_or_default();
    let selection = fields.inner(select, "select", selection);
    let action = fields.inner(options, "options", |options| action(&verb, options));
    fields.end()?;
    let action = action.map_err(|_| {
        let what = format!("{verb:?} is nothing that can be done to devices");
        FieldError::new("action", Code::ValueInvalid, what)
    })?;
    let report = state
        .admin
        .bulk(&call.actor, &selection, &action, ask.dry_run)
        .await?;
    let (changed, unchanged, rejected) = report.counts();
    let items: Vec<Value> = report.items.iter().map(item).collect();
    let body = json!({
        "action": verb,
        "dry_run": ask.dry_run,
        "matched": report.matched,
        "changed": changed,
        "unchanged": unchanged,
        "rejected": rejected,
        "items": items,
    });
    Ok(Answer::ok(body).dry_run(ask.dry_run))
}

fn selection(fields: &mut Fields) -> Selection {
    let mut selection = Selection {
        devices: fields.texts("devices").unwrap_or_default(),
        all: fields.flag("all").unwrap_or_default(),
        ..Selection::default()
    };
    let state = fields.maybe_text("state").flatten();
    let lifecycle = fields.maybe_text("lifecycle").flatten();
    selection.select.filter = Filter {
        site: fields.maybe_text("site").flatten(),
        vendor: fields.maybe_text("vendor").flatten(),
        family: fields.maybe_text("family").flatten(),
        model: fields.maybe_text("model").flatten(),
        group: fields.maybe_text("group").flatten(),
        profile: fields.maybe_text("profile").flatten(),
        state: None,
    };
    match state.as_deref().map(UnitState::parse) {
        Some(None) => fields.wrong("state", Code::ValueInvalid, "this is no state"),
        Some(state) => selection.select.filter.state = state,
        None => {}
    }
    match lifecycle.as_deref().map(Lifecycle::parse) {
        Some(None) => fields.wrong("lifecycle", Code::ValueInvalid, "this is no lifecycle"),
        Some(lifecycle) => selection.select.lifecycle = lifecycle,
        None => {}
    }
    selection
}

fn item(item: &Item) -> Value {
    let (outcome, code, detail) = match &item.outcome {
        Ok(true) => ("changed", None, ""),
        Ok(false) => ("unchanged", None, ""),
        Err(problem) => (
            "rejected",
            Some(problem.code.as_str()),
            problem.detail.as_str(),
        ),
    };
    json!({
        "id": item.id.map(|id| id.to_string()),
        "mac": item.mac,
        "name": item.name,
        "outcome": outcome,
        "code": code,
        "detail": detail,
    })
}

async fn render(Extract(state): Extract<State>, Path(name): Path<String>, call: Call) -> Reply {
    let words = call.words(&["file", "as", "show_secrets"])?;
    let ask = RenderAsk {
        file: words.text("file"),
        level: words.word("as", Assurance::parse)?,
        secrets: if words.flag("show_secrets")? {
            Secrets::Shown
        } else {
            Secrets::Masked
        },
    };
    let preview = state.admin.render(&call.actor, &name, &ask).await?;
    Ok(Answer::ok(wire_preview(&preview)))
}

fn wire_preview(preview: &Preview) -> Value {
    let files: Vec<Value> = preview
        .files
        .iter()
        .map(|file| {
            json!({
                "id": file.id,
                "path": file.path,
                "format": file.format,
                "media_type": file.media_type,
                "which": file.which,
                "partial": file.partial,
                "body": file.body,
            })
        })
        .collect();
    let values: Vec<Value> = preview
        .values
        .iter()
        .map(|(name, value, layer)| {
            json!({"name": name, "value": wire_device::plain(value), "layer": layer.as_str()})
        })
        .collect();
    json!({
        "device": preview.device.to_string(),
        "as": preview.level.as_str(),
        "grant": {
            "site": preview.grant.site,
            "credential": preview.grant.credential,
            "key": preview.grant.key,
        },
        "revision": preview.revision.to_string(),
        "files": files,
        "values": values,
    })
}

async fn trace(Extract(state): Extract<State>, Path(name): Path<String>, call: Call) -> Reply {
    call.words(&[])?;
    let trace = state.admin.trace(&name).await?;
    let boots: Vec<Value> = trace
        .boots
        .iter()
        .map(|boot| {
            let steps: Vec<Value> = boot
                .steps
                .iter()
                .map(|(check, text)| {
                    json!({"at": check.at.to_string(), "text": text, "check": wire::check(check)})
                })
                .collect();
            json!({
                "boot": boot.boot.to_string(),
                "began": boot.began.to_string(),
                "last": boot.last.to_string(),
                "steps": steps,
            })
        })
        .collect();
    Ok(Answer::ok(json!({
        "device": wire_device::device(&trace.view),
        "boots": boots,
        "next_step": trace.view.next_step,
    })))
}
