//! How things stand, in JSON: docs/api.md section 6.

use serde_json::{Map, Value, json};

use super::wire;
use crate::admin::health::{Finding, Health, Level, ModelRow};

/// One thing that is wrong.
pub(crate) fn finding(finding: &Finding) -> Value {
    json!({
        "level": finding.level.as_str(),
        "code": finding.code,
        "subject": finding.subject,
        "text": finding.text,
        "mend": finding.mend,
    })
}

/// What `doctor` shows.
pub(crate) fn doctor(health: &Health) -> Value {
    let findings: Vec<Value> = health.findings.iter().map(finding).collect();
    let models: Vec<Value> = health.models.iter().map(model).collect();
    json!({"level": health.level().as_str(), "findings": findings, "models": models})
}

/// What `status` shows.
pub(crate) fn status(health: &Health, uptime: i64) -> Value {
    let bad = health.findings.iter();
    let bad = bad.filter(|finding| finding.level > Level::Green);
    let findings: Vec<Value> = bad.map(finding).collect();
    json!({
        "level": health.level().as_str(),
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": uptime,
        "devices": health.summary.total,
        "states": wire::states(&health.summary.states),
        "flags": wire::flags(&health.summary.flags),
        "alerts": health.alerts,
        "quarantine": health.quarantine,
        "findings": findings,
    })
}

fn model(row: &ModelRow) -> Value {
    let blocked: Vec<Value> = row
        .blocked
        .iter()
        .map(|(code, count)| json!({"code": code, "count": count}))
        .collect();
    let upgrade = row.upgrade.as_ref();
    let (told_by, name) = upgrade.map(|(by, name)| (by, name)).unzip();
    let mut window = Map::new();
    window.insert("armed".to_owned(), json!(row.armed));
    window.insert("open".to_owned(), json!(row.open));
    json!({
        "vendor": row.vendor,
        "family": row.family,
        "model": row.model,
        "site": row.site,
        "devices": row.devices,
        "reach": row.reach,
        "first": row.first,
        "trusts": row.trusts,
        "tls": row.tls,
        "ceiling": row.ceiling.as_str(),
        "window": window,
        "waiver": row.waiver,
        "firmware": {"serves": row.serves, "seen": row.seen, "told_by": told_by, "name": name},
        "registrar": row.registrars,
        "today": row.today,
        "blocked": blocked,
    })
}
