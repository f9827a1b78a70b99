//! Which devices a bulk verb means, and how its plan is shown before it is done.

use clap::Args;
use serde_json::{Map, Value, json};

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::Session;
use super::out;

/// Devices by name, or by what they have in common.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Selection {
    /// Devices by any form of their MAC, by serial or by id
    #[arg(value_name = "DEVICE")]
    devices: Vec<String>,
    /// All at this site
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// All in this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// All in this state
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Show the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Selection {
    /// The one device that is meant, where it is one and nothing else was said.
    fn single(&self) -> Option<&str> {
        let filtered = self.site.is_some() || self.group.is_some() || self.state.is_some();
        match self.devices.as_slice() {
            [device] if !filtered => Some(device),
            _ => None,
        }
    }

    fn select(&self) -> Result<Value, Fail> {
        let mut select = Map::new();
        if !self.devices.is_empty() {
            select.insert("devices".to_owned(), json!(self.devices));
        }
        for (key, value) in [
            ("site", &self.site),
            ("group", &self.group),
            ("state", &self.state),
        ] {
            if let Some(value) = value {
                select.insert(key.to_owned(), json!(value));
            }
        }
        if select.is_empty() {
            return Err(Fail::usage("missing-field", "no device was named")
                .next("name devices, or say --site, --group or --state"));
        }
        Ok(Value::Object(select))
    }

    /// Does `action` to all that are meant: one by its own call, many by a plan that is shown first.
    pub(super) fn act(
        &self,
        session: &Session,
        action: &str,
        options: &Value,
    ) -> Result<Exit, Fail> {
        match self.single() {
            Some(device) => self.one(session, device, action, options),
            None => self.many(session, action, options),
        }
    }

    fn one(
        &self,
        session: &Session,
        device: &str,
        action: &str,
        options: &Value,
    ) -> Result<Exit, Fail> {
        let device = if action == "delete" {
            if !self.yes && !self.dry_run && !out::confirmed(&format!("Delete {device}?")) {
                return Err(Fail::failed("not-confirmed", "nothing was deleted"));
            }
            let call = Call::to(&["devices", device]).flag("dry_run", self.dry_run);
            session.send(http::Method::DELETE, &call, None)?
        } else {
            let call = Call::to(&["devices", device, action]).flag("dry_run", self.dry_run);
            session.post(&call, Some(options))?
        };
        super::device::show(session.out, &device)?;
        if self.dry_run {
            out::note("dry run: nothing was changed");
        }
        Ok(Exit::Done)
    }

    fn many(&self, session: &Session, action: &str, options: &Value) -> Result<Exit, Fail> {
        let body = json!({"action": action, "select": self.select()?, "options": options});
        let call = Call::exactly("/api/v1/devices:bulk");
        let plan = session.post(&call.clone().with("dry_run", "true"), Some(&body))?;
        let count = |report: &Value, key: &str| report.get(key).and_then(Value::as_u64);
        let changes = count(&plan, "changed").unwrap_or(0);
        if self.dry_run {
            show(session, &plan)?;
            out::note("dry run: nothing was changed");
            return Ok(ending(&plan));
        }
        out::note(&format!(
            "plan: {action} {changes} of {} devices",
            count(&plan, "matched").unwrap_or(0)
        ));
        if changes == 0 {
            show(session, &plan)?;
            return Ok(ending(&plan));
        }
        if !self.yes && !out::confirmed("Do it?") {
            return Err(Fail::failed("not-confirmed", "nothing was changed"));
        }
        let report = session.post(&call, Some(&body))?;
        show(session, &report)?;
        Ok(ending(&report))
    }
}

fn show(session: &Session, report: &Value) -> Result<(), Fail> {
    if session.out.json {
        return session.out.document(report);
    }
    let empty = Vec::new();
    let items = report.get("items").and_then(Value::as_array);
    session.out.list(
        items.unwrap_or(&empty),
        &[
            ("DEVICE", "/name"),
            ("MAC", "/mac"),
            ("OUTCOME", "/outcome"),
            ("DETAIL", "/detail"),
        ],
    )
}

/// All done, some done, or none.
fn ending(report: &Value) -> Exit {
    let count = |key: &str| report.get(key).and_then(Value::as_u64).unwrap_or(0);
    match (count("rejected"), count("changed") + count("unchanged")) {
        (0, _) => Exit::Done,
        (_, 0) => Exit::Failed,
        (_, _) => Exit::Partly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_counts_what_was_rejected() {
        fn check(changed: u64, rejected: u64, expect: Exit) {
            let report = json!({"changed": changed, "unchanged": 0, "rejected": rejected});
            assert_eq!(ending(&report), expect);
        }
        check(3, 0, Exit::Done);
        check(2, 1, Exit::Partly);
        check(0, 3, Exit::Failed);
    }
}
