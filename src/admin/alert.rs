//! Alerts that a person has looked at.

use super::activity::NamedAlert;
use super::device::name_of;
use super::{Actor, Admin, Ask, Problem, nearest};
use crate::model::event::AlertKind;
use crate::model::identity::DeviceId;
use crate::store::{Batch, Write};

/// What alerts that are about no device are about.
const NETWORK: DeviceId = DeviceId(0);

impl Admin {
    /// Takes an alert away. What raised it raises it again when it happens again. `device` is any
    /// name of it; `_` is the network.
    pub async fn settle_alert(
        &self,
        actor: &Actor,
        kind: &str,
        device: &str,
        ask: &Ask,
    ) -> Result<NamedAlert, Problem> {
        let Some(known) = AlertKind::parse(kind) else {
            let words = AlertKind::ALL.into_iter().map(AlertKind::as_str);
            return Err(Problem::not_found("kind of alert", kind).hint(nearest(kind, words)));
        };
        let (id, name) = if device == "_" || device == NETWORK.to_string() {
            (NETWORK, None)
        } else {
            let found = self.find(device).await?;
            (found.id, Some(name_of(found.id, &found.config)))
        };
        let alerts = self.hub().store.alerts_of(id).await?;
        let alert = alerts.into_iter().find(|alert| alert.kind == known);
        let Some(alert) = alert else {
            let what = format!("there is no alert {kind} about {device}");
            return Err(
                Problem::new(super::Code::NotFound, what).hint("all of them: dialtone alert list")
            );
        };
        if !ask.dry_run {
            let subject = match &name {
                Some(name) => format!("device {name} {id}"),
                None => "the network".to_owned(),
            };
            let detail = format!("{kind}, {} times", alert.count);
            let writes = vec![
                Write::RemoveAlert {
                    kind: known,
                    device: id,
                },
                self.audit(actor, "alert.remove", subject, detail),
            ];
            self.hub().store.commit(Batch::now(writes)).await?;
        }
        Ok(NamedAlert { alert, name })
    }
}
