//! Sites, variables, waivers, groups, call servers: docs/api.md section 3.

use axum::Router;
use axum::extract::{Path, State as Extract};
use axum::routing::{get, put};
use serde_json::{Value, json};

use super::answer::{Answer, Reply};
use super::call::Call;
use super::fields::Fields;
use super::{State, wire_device};
use crate::admin::site::{SiteChange, SiteView};
use crate::admin::vars::{ScopeChange, scope_of};
use crate::admin::waiver::WaiverWanted;
use crate::admin::{Code, FieldError};
use crate::model::profile::{Layer, Scope};
use crate::model::site::{Corroborate, Doubt, Pbx, Waiver};

/// The routes of these subjects.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/groups", get(groups))
        .route("/pbxs", get(pbxs))
        .route("/pbxs/{name}", put(put_pbx).delete(remove_pbx))
        .route("/sites", get(sites).post(add_site))
        .route(
            "/sites/{name}",
            get(site).patch(set_site).delete(remove_site),
        )
        .route("/vars", get(scopes))
        .route(
            "/vars/{layer}/{name}",
            get(scope)
                .put(put_scope)
                .patch(set_scope)
                .delete(remove_scope),
        )
        .route("/vocabulary", get(vocabulary))
        .route("/waivers", get(waivers).post(waive).delete(unwaive))
}

async fn sites(Extract(state): Extract<State>, call: Call) -> Reply {
    call.words(&[])?;
    let sites = state.admin.sites().await?;
    Ok(Answer::list(sites.iter().map(wire_site)))
}

async fn site(Extract(state): Extract<State>, Path(name): Path<String>, call: Call) -> Reply {
    call.words(&[])?;
    let view = state.admin.site(&name).await?;
    Ok(Answer::ok(wire_site(&view)).version(view.site.version))
}

async fn add_site(Extract(state): Extract<State>, call: Call) -> Reply {
    let ask = call.ask()?;
    let mut fields = call.object()?;
    let name = fields.text("name");
    let name = fields.need("name", name).unwrap_or_default();
    let change = site_change(&mut fields);
    fields.end()?;
    let view = state
        .admin
        .create_site(&call.actor, &name, &change, &ask)
        .await?;
    let answer = Answer::ok(wire_site(&view)).version(view.site.version);
    Ok(answer.dry_run(ask.dry_run).created())
}

async fn set_site(Extract(state): Extract<State>, Path(name): Path<String>, call: Call) -> Reply {
    let ask = call.ask()?;
    let mut fields = call.object()?;
    let change = site_change(&mut fields);
    fields.end()?;
    let changed = state
        .admin
        .set_site(&call.actor, &name, &change, &ask)
        .await?;
    let view = changed.record;
    let answer = Answer::ok(wire_site(&view)).version(view.site.version);
    Ok(answer.dry_run(ask.dry_run))
}

async fn remove_site(
    Extract(state): Extract<State>,
    Path(name): Path<String>,
    call: Call,
) -> Reply {
    let ask = call.ask()?;
    let view = state.admin.remove_site(&call.actor, &name, &ask).await?;
    Ok(Answer::ok(wire_site(&view)).dry_run(ask.dry_run))
}

fn site_change(fields: &mut Fields) -> SiteChange {
    SiteChange {
        prefixes: fields.texts("prefixes"),
        timezone: fields.text("timezone"),
        nat: fields.flag("nat"),
        expect: fields.number("expect"),
        corroborate: fields.text("corroborate"),
        keys_at_l2: fields.flag("keys_at_l2"),
        public_url: fields.maybe_text("public_url"),
        public_http_url: fields.maybe_text("public_http_url"),
        public_tftp: fields.maybe_text("public_tftp"),
        change_window: fields.text("change_window"),
    }
}

fn wire_site(view: &SiteView) -> Value {
    let site = &view.site;
    let prefixes: Vec<String> = site.prefixes.iter().map(ToString::to_string).collect();
    json!({
        "name": site.name,
        "prefixes": prefixes,
        "timezone": site.timezone,
        "nat": site.nat,
        "expect": site.expect,
        "corroborate": match site.corroborate {
            Corroborate::Lease => "lease",
            Corroborate::Prefix => "prefix",
        },
        "prefix_doubt": site.doubt.map(Doubt::as_str),
        "keys_at_l2": site.keys_at_l2,
        "public_url": site.public_url,
        "public_http_url": site.public_http_url,
        "public_tftp": site.public_tftp,
        "change_window": site.change_window,
        "devices": view.devices,
        "version": site.version,
    })
}

async fn scopes(Extract(state): Extract<State>, call: Call) -> Reply {
    call.words(&[])?;
    Ok(Answer::list(state.admin.scopes()?.iter().map(wire_scope)))
}

async fn scope(
    Extract(state): Extract<State>,
    Path((layer, name)): Path<(String, String)>,
    call: Call,
) -> Reply {
    call.words(&[])?;
    let (layer, name) = scope_of(&layer, &name)?;
    let scope = state.admin.scope(layer, &name)?;
    Ok(Answer::ok(wire_scope(&scope)).version(scope.version))
}

async fn put_scope(extract: Extract<State>, path: Path<(String, String)>, call: Call) -> Reply {
    let named = named(&call)?;
    change_scope(extract, path, call, ScopeChange::Replace(named)).await
}

async fn set_scope(extract: Extract<State>, path: Path<(String, String)>, call: Call) -> Reply {
    let named = named(&call)?;
    change_scope(extract, path, call, ScopeChange::Merge(named)).await
}

async fn remove_scope(extract: Extract<State>, path: Path<(String, String)>, call: Call) -> Reply {
    change_scope(extract, path, call, ScopeChange::Remove).await
}

type Named = std::collections::BTreeMap<String, Option<crate::admin::device::Given>>;

fn named(call: &Call) -> Result<Named, crate::admin::Problem> {
    let mut fields = call.object()?;
    let map = fields.map("variables");
    let map = fields.need("variables", map).unwrap_or_default();
    let named = wire_device::given(&mut fields, map);
    fields.end()?;
    Ok(named)
}

async fn change_scope(
    Extract(state): Extract<State>,
    Path((layer, name)): Path<(String, String)>,
    call: Call,
    change: ScopeChange,
) -> Reply {
    let ask = call.ask()?;
    let (layer, name) = scope_of(&layer, &name)?;
    let changed = state
        .admin
        .set_scope(&call.actor, layer, &name, &change, &ask)
        .await?;
    let scope = changed.record;
    let answer = Answer::ok(wire_scope(&scope)).version(scope.version);
    Ok(answer.dry_run(ask.dry_run))
}

fn wire_scope(scope: &Scope) -> Value {
    let name = match scope.layer {
        Layer::Global | Layer::Tenant => "_",
        Layer::Site
        | Layer::Group
        | Layer::User
        | Layer::Schema
        | Layer::Profile
        | Layer::Model
        | Layer::Device => &scope.name,
    };
    json!({
        "layer": scope.layer.as_str(),
        "name": name,
        "variables": wire_device::variables(&scope.variables),
        "changed_at": scope.changed_at.map(|at| at.to_string()),
        "version": scope.version,
    })
}

async fn vocabulary(Extract(state): Extract<State>, call: Call) -> Reply {
    call.words(&[])?;
    let words = state.admin.vocabulary();
    Ok(Answer::list(words.iter().map(|(name, variable)| {
        json!({
            "name": name,
            "type": variable.kind.as_str(),
            "class": variable.class.as_str(),
            "meaning": variable.meaning,
            "default": variable.default.as_ref().map(wire_device::plain),
        })
    })))
}

async fn waivers(Extract(state): Extract<State>, call: Call) -> Reply {
    let words = call.words(&["site"])?;
    let now = state.admin.hub().now();
    let waivers = state.admin.waivers(words.get("site"))?;
    Ok(Answer::list(
        waivers.iter().map(|waiver| wire_waiver(waiver, now)),
    ))
}

async fn waive(Extract(state): Extract<State>, call: Call) -> Reply {
    let ask = call.ask()?;
    let mut fields = call.object()?;
    let (site, models) = (fields.text("site"), fields.texts("models"));
    let (until, why) = (fields.text("until"), fields.text("why"));
    let allow = fields.text("allow");
    if allow.is_some_and(|allow| allow != "credential-over-plain") {
        let what = "a waiver allows credential-over-plain and nothing else";
        fields.wrong("allow", Code::ValueInvalid, what);
    }
    let wanted = WaiverWanted {
        site: fields.need("site", site).unwrap_or_default(),
        models: fields.need("models", models).unwrap_or_default(),
        until: fields.need("until", until).unwrap_or_default(),
        why: fields.need("why", why).unwrap_or_default(),
    };
    fields.end()?;
    let waiver = state.admin.waive(&call.actor, &wanted, &ask).await?;
    let body = wire_waiver(&waiver, state.admin.hub().now());
    Ok(Answer::ok(body).dry_run(ask.dry_run).created())
}

async fn unwaive(Extract(state): Extract<State>, call: Call) -> Reply {
    let words = call.words(&["site", "model", "dry_run"])?;
    let ask = call.ask_of(&words)?;
    let Some(site) = words.get("site") else {
        let what = "say whose waivers: site=NAME";
        return Err(FieldError::new("site", Code::MissingField, what).into());
    };
    let gone = state
        .admin
        .unwaive(&call.actor, site, words.get("model"), &ask)
        .await?;
    let now = state.admin.hub().now();
    let list = Answer::list(gone.iter().map(|waiver| wire_waiver(waiver, now)));
    Ok(list.dry_run(ask.dry_run))
}

fn wire_waiver(waiver: &Waiver, now: jiff::Timestamp) -> Value {
    json!({
        "site": waiver.site,
        "models": waiver.models,
        "allow": "credential-over-plain",
        "until": waiver.until.to_string(),
        "why": waiver.why,
        "expired": waiver.until <= now,
    })
}

async fn groups(Extract(state): Extract<State>, call: Call) -> Reply {
    call.words(&[])?;
    let groups = state.admin.groups().await?;
    let item = |(name, devices)| json!({"name": name, "devices": devices});
    Ok(Answer::list(groups.iter().map(item)))
}

async fn pbxs(Extract(state): Extract<State>, call: Call) -> Reply {
    call.words(&[])?;
    Ok(Answer::list(state.admin.pbxs()?.iter().map(wire_pbx)))
}

async fn put_pbx(Extract(state): Extract<State>, Path(name): Path<String>, call: Call) -> Reply {
    let ask = call.ask()?;
    let mut fields = call.object()?;
    if fields.text("name").is_some_and(|other| other != name) {
        fields.wrong("name", Code::ValueInvalid, "the path names another one");
    }
    let server = fields.text("sip_server");
    let pbx = Pbx {
        name,
        sip_server: fields.need("sip_server", server).unwrap_or_default(),
        backup: fields.maybe_text("backup").flatten(),
        outbound_proxy: fields.maybe_text("outbound_proxy").flatten(),
        transport: fields.maybe_text("transport").flatten(),
        srtp: fields.flag("srtp").unwrap_or_default(),
        sites: fields.texts("sites").unwrap_or_default(),
    };
    fields.end()?;
    let pbx = state.admin.put_pbx(&call.actor, pbx, &ask).await?;
    Ok(Answer::ok(wire_pbx(&pbx)).dry_run(ask.dry_run))
}

async fn remove_pbx(Extract(state): Extract<State>, Path(name): Path<String>, call: Call) -> Reply {
    let ask = call.ask()?;
    let pbx = state.admin.remove_pbx(&call.actor, &name, &ask).await?;
    Ok(Answer::ok(wire_pbx(&pbx)).dry_run(ask.dry_run))
}

fn wire_pbx(pbx: &Pbx) -> Value {
    json!({
        "name": pbx.name,
        "sip_server": pbx.sip_server,
        "backup": pbx.backup,
        "outbound_proxy": pbx.outbound_proxy,
        "transport": pbx.transport,
        "srtp": pbx.srtp,
        "sites": pbx.sites,
    })
}
