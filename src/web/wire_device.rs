//! A device in JSON: contract section 3, and back.

use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use crate::admin::device::{Given, LineChange, Wanted};
use crate::admin::{Code, DeviceView};
use crate::model::device::{Key, Line, Status};
use crate::model::enrolment::Place;
use crate::model::identity::DeviceId;
use crate::model::lease::RelayPort;
use crate::model::profile::{Value, Variables};
use crate::model::secret::Secret;

/// What stands for a secret.
pub(crate) const MASK: &str = "***";

/// A device as people see it.
pub(crate) fn device(view: &DeviceView) -> Json {
    let (config, status) = (&view.device.config, &view.status);
    let lines: Vec<Json> = config.lines.iter().map(|row| line(row, status)).collect();
    let keys: Vec<Json> = config.keys.iter().map(key).collect();
    let id = Some(view.device.id).filter(|id| *id != DeviceId(0));
    json!({
        "id": id.map(|id| id.to_string()),
        "mac": config.mac.map(|mac| mac.to_string()),
        "serial": config.serial.as_ref().map(ToString::to_string),
        "vendor": config.vendor,
        "family": config.family,
        "model": config.model,
        "site": config.site,
        "groups": config.groups,
        "user": config.user,
        "profile": config.profile,
        "variables": variables(&config.variables),
        "lifecycle": config.lifecycle.as_str(),
        "version": config.version,
        "lines": lines,
        "keys": keys,
        "note": config.note,
        "release": config.release,
        "created_at": config.created_at.to_string(),
        "changed_at": config.changed_at.to_string(),
        "window": window(view),
        "seen": seen(status),
        "activation": activation(view),
    })
}

fn window(view: &DeviceView) -> Json {
    let arming = &view.device.config.arming;
    let window = &view.status.window;
    json!({
        "armed_from": arming.from.to_string(),
        "armed_until": arming.until.to_string(),
        "keys": arming.keys,
        "without_certificate": arming.without_certificate,
        "exposed": arming.exposed,
        "open_since": window.open_since.map(|at| at.to_string()),
        "open_until": window.open_until.map(|at| at.to_string()),
        "closed_at": window.closed_at.map(|at| at.to_string()),
        "servings": window.servings,
        "bound_to": window.bound_to.as_ref().map_or_else(|| json!({}), place),
    })
}

fn place(place: &Place) -> Json {
    json!({
        "site": place.site,
        "certificate": place.certificate.map(|digest| digest.to_string()),
        "relay": place.port.as_ref().map(relay),
        "lease": place.lease.map(|mac| mac.to_string()),
        "prefix": place.prefix,
    })
}

fn relay(port: &RelayPort) -> Json {
    json!({"circuit_id": octets(&port.circuit), "remote_id": octets(&port.remote)})
}

/// Printable text as it is, else hex.
fn octets(bytes: &[u8]) -> String {
    if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic) {
        String::from_utf8_lossy(bytes).into_owned()
    } else {
        bytes.iter().fold("0x".to_owned(), |mut text, byte| {
            text.push_str(&format!("{byte:02x}"));
            text
        })
    }
}

fn seen(status: &Status) -> Json {
    let seen = &status.seen;
    json!({
        "ip": seen.ip.map(|ip| ip.to_string()),
        "firmware": seen.firmware,
        "agent": seen.agent,
        "relay": seen.relay.as_ref().map(relay),
        "asking_mac": seen.asking_mac.map(|mac| mac.to_string()),
        "at": seen.at.map(|at| at.to_string()),
    })
}

fn activation(view: &DeviceView) -> Json {
    let status = &view.status;
    let activation = &status.activation;
    let flags: Vec<&str> = view.flags.iter().map(|flag| flag.as_str()).collect();
    let since = activation.since.unwrap_or(view.device.config.arming.from);
    json!({
        "state": activation.state.as_str(),
        "since": since.to_string(),
        "stage": activation.stage,
        "proof": activation.proof.map(|proof| proof.as_str()),
        "registration": activation.registration.as_str(),
        "assurance": status.assurance.as_str(),
        "ceiling": view.ceiling.as_str(),
        "mark": status.ratchet.mark.as_str(),
        "profile_revision": status.revision.map(|digest| digest.to_string()),
        "target_revision": view.target.map(|digest| digest.to_string()),
        "digest": status.digest.map(|digest| digest.to_string()),
        "flags": flags,
        "next_step": view.next_step,
    })
}

fn line(line: &Line, status: &Status) -> Json {
    let said = status.lines.iter().find(|(n, _, _)| *n == line.n);
    let state = match said {
        Some((_, true, _)) => "active",
        Some((_, false, _)) => "failed",
        None => "unknown",
    };
    json!({
        "n": line.n,
        "user": line.user,
        "auth": line.auth,
        "password": line.has_password.then_some(MASK),
        "pbx": line.pbx,
        "server": line.server,
        "display": line.display,
        "label": line.label,
        "port": line.port,
        "handset": line.handset,
        "ipei": line.ipei,
        "shared": line.shared,
        "enabled": line.enabled,
        "state": state,
        "since": said.map(|(_, _, at)| at.to_string()),
    })
}

fn key(key: &Key) -> Json {
    json!({
        "page": key.page,
        "n": key.n,
        "type": key.kind,
        "value": key.value,
        "label": key.label,
        "line": key.line,
    })
}

/// Variables with their secrets masked.
pub(crate) fn variables(variables: &Variables) -> Json {
    let pairs = variables.0.iter();
    Json::Object(
        pairs
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
    )
}

/// A value; a secret is masked.
pub(crate) fn plain(value: &Value) -> Json {
    match value {
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Secret => json!(MASK),
        Value::Table(table) => {
            let pairs = table.iter();
            Json::Object(
                pairs
                    .map(|(name, value)| (name.clone(), plain(value)))
                    .collect(),
            )
        }
        Value::Text(text) => json!(text),
    }
}

/// Reads a device's fields; `new` allows the arming of a new one.
pub(crate) fn wanted(fields: &mut Fields, new: bool) -> Wanted {
    let lines = fields.maps("lines").unwrap_or_default();
    let keys = fields.maps("keys");
    let named = fields.map("variables").unwrap_or_default();
    let mut wanted = Wanted {
        mac: fields.maybe_text("mac"),
        serial: fields.maybe_text("serial"),
        vendor: fields.text("vendor"),
        model: fields.text("model"),
        family: fields.maybe_text("family"),
        site: fields.maybe_text("site"),
        groups: fields.texts("groups"),
        user: fields.maybe_text("user"),
        profile: fields.text("profile"),
        note: fields.text("note"),
        ..Wanted::default()
    };
    if new {
        wanted.arm_for = fields.text("arm_for");
        wanted.arm_from = fields.text("arm_from");
    }
    wanted.variables = given(fields, named);
    for (at, map) in lines.into_iter().enumerate() {
        let path = format!("lines.{at}");
        wanted.lines.extend(fields.inner(map, &path, line_change));
    }
    wanted.keys = keys.map(|keys| {
        let keys = keys.into_iter().enumerate();
        keys.filter_map(|(at, map)| fields.inner(map, &format!("keys.{at}"), function_key))
            .collect()
    });
    wanted
}

/// Values of variables as given; `null` takes one away.
pub(crate) fn given(
    fields: &mut Fields,
    named: Map<String, Json>,
) -> std::collections::BTreeMap<String, Option<Given>> {
    let mut variables = std::collections::BTreeMap::new();
    for (name, value) in named {
        let value = match value {
            Json::Null => None,
            Json::String(text) if text == MASK => Some(Given::Kept),
            Json::String(text) => Some(Given::Text(Secret::new(text))),
            value @ (Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_)) => {
                let Some(value) = other(value) else {
                    let field = format!("variables.{name}");
                    let what = "numbers are whole, and lists and tables hold no null";
                    fields.wrong(&field, Code::ValueInvalid, what);
                    continue;
                };
                Some(Given::Other(value))
            }
        };
        variables.insert(name, value);
    }
    variables
}

fn other(value: Json) -> Option<Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => Value::Int(number.as_i64()?),
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::List(items.into_iter().map(other).collect::<Option<_>>()?),
        Json::Object(map) => Value::Table(
            map.into_iter()
                .map(|(name, value)| Some((name, other(value)?)))
                .collect::<Option<_>>()?,
        ),
    })
}

fn line_change(fields: &mut Fields) -> Option<LineChange> {
    let n = fields.number("n");
    let n = fields.need("n", n)?;
    let password = match fields.maybe_text("password") {
        Some(Some(text)) if text == MASK => None,
        Some(text) => Some(text.map(Secret::new)),
        None => None,
    };
    // What a device shows of a line besides what is wanted of it may come back with it.
    drop(fields.take("state"));
    drop(fields.take("since"));
    Some(LineChange {
        n,
        remove: fields.flag("remove").unwrap_or_default(),
        user: fields.text("user"),
        auth: fields.maybe_text("auth"),
        password,
        pbx: fields.maybe_text("pbx"),
        server: fields.maybe_text("server"),
        display: fields.maybe_text("display"),
        label: fields.maybe_text("label"),
        port: fields.maybe_number("port"),
        handset: fields.maybe_number("handset"),
        ipei: fields.maybe_text("ipei"),
        shared: fields.flag("shared"),
        enabled: fields.flag("enabled"),
    })
}

fn function_key(fields: &mut Fields) -> Option<Key> {
    let n = fields.number("n");
    let kind = fields.text("type");
    Some(Key {
        page: fields.text("page").unwrap_or_else(|| "phone".to_owned()),
        value: fields.text("value").unwrap_or_default(),
        label: fields.text("label").unwrap_or_default(),
        line: fields.number("line").unwrap_or(1),
        kind: fields.need("type", kind)?,
        n: fields.need("n", n)?,
    })
}
