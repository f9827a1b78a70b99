//! Sites, waivers and call servers that stand in the configuration file: it wins at every start and
//! reload.

use super::waiver::{listed, sorted};
use super::{Actor, Problem, entry};
use crate::config::Config;
use crate::hub::Hub;
use crate::model::site::{Site, Waiver};
use crate::store::{Batch, StoreError, Write};

/// Tries where people change the same rows.
const TRIES: usize = 16;

/// Lays the file's rows over the store's. Gives what changed, for the log.
pub async fn apply_config(hub: &Hub, config: &Config) -> Result<Vec<String>, Problem> {
    let mut tries = 0;
    loop {
        let (writes, told) = plan(hub, config)?;
        if writes.is_empty() {
            return Ok(told);
        }
        match hub.store.commit(Batch::now(writes)).await {
            Ok(_) => return Ok(told),
            Err(StoreError::Conflict { .. }) if tries < TRIES => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

fn plan(hub: &Hub, config: &Config) -> Result<(Vec<Write>, Vec<String>), Problem> {
    let settings = hub.store.settings()?;
    let catalog = hub.catalog.load();
    let (mut writes, mut told) = (Vec::new(), Vec::new());
    for site in &config.sites {
        let kept = settings.sites.get(&site.name);
        let wanted = Site {
            version: kept.map_or(0, |kept| kept.version),
            ..site.clone()
        };
        if kept != Some(&wanted) {
            told.push(format!("site {}", site.name));
            writes.push(Write::PutSite(wanted));
        }
    }
    for waiver in &config.waivers {
        let models = waiver.models.iter();
        let models = models.map(|model| listed(&catalog, model).unwrap_or_else(|| model.clone()));
        let wanted = Waiver {
            models: sorted(models.collect()),
            ..waiver.clone()
        };
        if !settings.waivers.contains(&wanted) {
            told.push(format!(
                "waiver for {} at {}",
                wanted.models.join(" "),
                wanted.site
            ));
            writes.push(Write::PutWaiver(wanted));
        }
    }
    for pbx in &config.pbxs {
        if settings.pbxs.get(&pbx.name) != Some(pbx) {
            told.push(format!("pbx {}", pbx.name));
            writes.push(Write::PutPbx(pbx.clone()));
        }
    }
    let audits: Vec<Write> = told
        .iter()
        .map(|what| {
            entry(
                hub.now(),
                &Actor::Config,
                "config.apply",
                what.clone(),
                String::new(),
            )
        })
        .collect();
    writes.extend(audits);
    Ok((writes, told))
}
