//! What the status page shows: how things stand, the units that need somebody first, what was last.
//! Made at most twice a second, however many look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{State, wire, wire_health};
use crate::admin::activity::NamedAlert;
use crate::admin::device::name_of;
use crate::admin::health::Health;
use crate::admin::{DeviceView, Problem};
use crate::model::activation::{Check, State as UnitState};
use crate::model::event::Sighting;
use crate::model::identity::DeviceId;
use crate::store::CheckFilter;

/// How long it is kept.
const FRESH: Duration = Duration::from_millis(500);
/// Units, checks, and rows of the other lists that are shown.
const UNITS: usize = 300;
const CHECKS: usize = 40;
const ROWS: usize = 20;

/// The last one that was made.
pub(crate) type Kept = tokio::sync::Mutex<Option<(Instant, Arc<Overview>)>>;

/// One moment of the server.
pub(crate) struct Overview {
    pub(crate) health: Health,
    /// Those that need somebody first.
    pub(crate) units: Vec<DeviceView>,
    /// Newest first, with the names of their devices.
    pub(crate) checks: Vec<(Check, String)>,
    pub(crate) alerts: Vec<NamedAlert>,
    pub(crate) sightings: Vec<Sighting>,
}

impl State {
    /// How things stand, at most half a second old.
    pub(crate) async fn overview(&self) -> Result<Arc<Overview>, Problem> {
        let mut kept = self.kept.lock().await;
        if let Some((made, overview)) = &*kept
            && made.elapsed() < FRESH
        {
            return Ok(Arc::clone(overview));
        }
        let overview = Arc::new(self.look().await?);
        *kept = Some((Instant::now(), Arc::clone(&overview)));
        Ok(overview)
    }

    async fn look(&self) -> Result<Overview, Problem> {
        let mut units: Vec<DeviceView> = Vec::new();
        let health = self
            .admin
            .health_and(None, |view| {
                units.push(view);
                if units.len() > UNITS * 4 {
                    units.sort_by_key(order);
                    units.truncate(UNITS);
                }
            })
            .await?;
        units.sort_by_key(order);
        units.truncate(UNITS);
        let newest = CheckFilter {
            limit: CHECKS,
            ..CheckFilter::default()
        };
        let store = &self.admin.hub().store;
        let mut names: BTreeMap<DeviceId, String> = BTreeMap::new();
        let mut checks = Vec::new();
        for check in store.checks(&newest).await?.into_iter().rev() {
            let name = match names.get(&check.device) {
                Some(name) => name.clone(),
                None => {
                    let found = store.device(check.device).await?;
                    let name = found.map_or_else(
                        || check.device.to_string(),
                        |device| name_of(device.id, &device.config),
                    );
                    names.insert(check.device, name.clone());
                    name
                }
            };
            checks.push((check, name));
        }
        let mut alerts = self.admin.alerts().await?;
        alerts.truncate(ROWS);
        let mut sightings = self.admin.sightings();
        sightings.truncate(ROWS);
        Ok(Overview {
            health,
            units,
            checks,
            alerts,
            sightings,
        })
    }
}

/// Those that need somebody come first; then by what they are called.
fn order(view: &DeviceView) -> (u8, String) {
    let rank = match view.status.activation.state {
        UnitState::Failed => 0,
        UnitState::Stalled => 1,
        UnitState::Seen => 2,
        UnitState::Expected if view.block.is_some() => 3,
        UnitState::Served if view.status.activation.proof.is_none() => 4,
        UnitState::Expected => 5,
        UnitState::Served | UnitState::Active | UnitState::HandedOver => 6,
    };
    (rank, name_of(view.device.id, &view.device.config))
}

/// The page's data. No secret, no call server's user and no person's name is in it.
pub(crate) fn document(overview: &Overview, uptime: i64) -> Value {
    let mut document = wire_health::status(&overview.health, uptime);
    let units: Vec<Value> = overview.units.iter().map(unit).collect();
    let checks: Vec<Value> = overview
        .checks
        .iter()
        .map(|(check, name)| {
            let mut value = wire::check(check);
            if let Value::Object(map) = &mut value {
                map.insert("name".to_owned(), json!(name));
            }
            value
        })
        .collect();
    let alerts: Vec<Value> = overview.alerts.iter().map(wire::named_alert).collect();
    let sightings: Vec<Value> = overview.sightings.iter().map(wire::sighting).collect();
    if let Value::Object(map) = &mut document {
        map.insert("units".to_owned(), json!(units));
        map.insert("checks".to_owned(), json!(checks));
        map.insert("alert_list".to_owned(), json!(alerts));
        map.insert("quarantine_list".to_owned(), json!(sightings));
    }
    document
}

fn unit(view: &DeviceView) -> Value {
    let (config, status) = (&view.device.config, &view.status);
    let flags: Vec<&str> = view.flags.iter().map(|flag| flag.as_str()).collect();
    json!({
        "id": view.device.id.to_string(),
        "name": name_of(view.device.id, config),
        "mac": config.mac.map(|mac| mac.to_string()),
        "vendor": config.vendor,
        "model": config.model,
        "site": config.site,
        "state": status.activation.state.as_str(),
        "since": status.activation.since.map(|at| at.to_string()),
        "stage": status.activation.stage,
        "proof": status.activation.proof.map(|proof| proof.as_str()),
        "registration": status.activation.registration.as_str(),
        "assurance": status.assurance.as_str(),
        "ceiling": view.ceiling.as_str(),
        "flags": flags,
        "next_step": view.next_step,
        "ip": status.seen.ip.map(|ip| ip.to_string()),
        "firmware": status.seen.firmware,
        "at": status.seen.at.map(|at| at.to_string()),
    })
}
