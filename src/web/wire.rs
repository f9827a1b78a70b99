//! What happened, in JSON: contract section 3 and docs/api.md section 4.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::admin::activity::{NamedAlert, States, Summary, entering};
use crate::model::activation::{Check, Flag};
use crate::model::event::{Alert, Sighting};
use crate::store::AuditEntry;

/// An activation check. Its path never holds a token.
pub(crate) fn check(check: &Check) -> Value {
    json!({
        "seq": check.seq,
        "at": check.at.to_string(),
        "device": check.device.to_string(),
        "boot": check.boot.to_string(),
        "channel": check.channel.as_str(),
        "kind": check.kind.as_str(),
        "outcome": check.outcome.as_str(),
        "path": check.path,
        "assurance": check.assurance.as_str(),
        "level_by": check.level_by.as_str(),
        "profile_revision": check.revision.map(|digest| digest.to_string()),
        "digest": check.digest.map(|digest| digest.to_string()),
        "bytes": check.bytes,
        "ip": check.ip.map(|ip| ip.to_string()),
        "reason": check.reason,
        "text": check.text,
    })
}

/// Counts by state, as an object.
pub(crate) fn states(states: &States) -> Value {
    let pairs = states.iter();
    Value::Object(
        pairs
            .map(|(state, count)| (state.as_str().to_owned(), json!(count)))
            .collect(),
    )
}

/// Counts by flag, as an object.
pub(crate) fn flags(flags: &BTreeMap<Flag, u64>) -> Value {
    let pairs = flags.iter();
    Value::Object(
        pairs
            .map(|(flag, count)| (flag.as_str().to_owned(), json!(count)))
            .collect(),
    )
}

fn total(states: &States) -> u64 {
    states.values().sum()
}

/// Totals of activation.
pub(crate) fn summary(summary: &Summary) -> Value {
    let models: Vec<Value> = summary
        .models
        .iter()
        .map(|((vendor, family, model), found)| {
            json!({
                "vendor": vendor, "family": family, "model": model,
                "total": total(found), "states": states(found),
            })
        })
        .collect();
    let sites: Vec<Value> = summary
        .sites
        .iter()
        .map(|(site, found)| json!({"site": site, "total": total(found), "states": states(found)}))
        .collect();
    json!({
        "total": summary.total,
        "states": states(&summary.states),
        "flags": flags(&summary.flags),
        "models": models,
        "sites": sites,
    })
}

/// A unit that asked and is not listed.
pub(crate) fn sighting(row: &Sighting) -> Value {
    json!({
        "mac": row.mac.map(|mac| mac.to_string()),
        "serial": row.serial.as_ref().map(ToString::to_string),
        "vendor": row.vendor,
        "family": row.family,
        "model": row.model,
        "firmware": row.firmware,
        "ip": row.ip.to_string(),
        "site": row.site,
        "channel": row.channel.as_str(),
        "first": row.first.to_string(),
        "last": row.last.to_string(),
        "count": row.count,
        "reason": row.reason,
        "command": entering(row),
    })
}

/// An alert with its device's name.
pub(crate) fn named_alert(named: &NamedAlert) -> Value {
    let mut value = alert(&named.alert);
    if let Value::Object(map) = &mut value {
        map.insert("name".to_owned(), json!(named.name));
    }
    value
}

/// An alert.
pub(crate) fn alert(alert: &Alert) -> Value {
    json!({
        "kind": alert.kind.as_str(),
        "device": alert.device.to_string(),
        "first": alert.first.to_string(),
        "last": alert.last.to_string(),
        "count": alert.count,
        "places": alert.places,
        "text": alert.text,
    })
}

/// A line of the audit trail.
pub(crate) fn audit(entry: &AuditEntry) -> Value {
    json!({
        "seq": entry.seq,
        "at": entry.at.to_string(),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "outcome": entry.outcome,
        "detail": entry.detail,
    })
}
