//! Sites, waivers and call servers that stand in the configuration file: what it names wins at
//! every start and reload, so nobody may say otherwise by a verb meanwhile.

use super::waiver::{listed, sorted};
use super::{Actor, Admin, Code, FieldError, Problem, entry};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::config::rows::{Key, Row, Rows};
use crate::hub::Hub;
use crate::model::site::{Pbx, Site, Waiver};
use crate::store::{Batch, StoreError, Write};

/// Tries where people change the same rows.
const TRIES: usize = 16;

/// Lays the file's rows over the store's. Gives what changed, for the log.
pub async fn apply_config(hub: &Hub, config: &Config) -> Result<Vec<String>, Problem> {
    let mut tries = 0;
    loop {
        let (writes, told) = plan(hub, &config.rows)?;
        let done = if writes.is_empty() {
            Ok(())
        } else {
            hub.store.commit(Batch::now(writes)).await.map(|_| ())
        };
        match done {
            Ok(()) => {
                hub.written.store(config.rows.clone().into());
                return Ok(told);
            }
            Err(StoreError::Conflict { .. }) if tries < TRIES => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

fn plan(hub: &Hub, rows: &Rows) -> Result<(Vec<Write>, Vec<String>), Problem> {
    let settings = hub.store.settings()?;
    let catalog = hub.catalog.load();
    let (mut writes, mut told) = (Vec::new(), Vec::new());
    for row in &rows.sites {
        let kept = settings.sites.get(&row.name);
        let wanted = row.over(kept.cloned().unwrap_or_else(|| Site::new(&row.name)));
        if kept != Some(&wanted) {
            told.push(format!("site {}", row.name));
            writes.push(Write::PutSite(wanted));
        }
    }
    for (_, waiver) in &rows.waivers {
        let wanted = spelled(&catalog, waiver);
        if !settings.waivers.contains(&wanted) {
            told.push(format!(
                "waiver for {} at {}",
                wanted.models.join(" "),
                wanted.site
            ));
            writes.push(Write::PutWaiver(wanted));
        }
    }
    for row in &rows.pbxs {
        let kept = settings.pbxs.get(&row.name);
        let wanted = row.over(kept.cloned().unwrap_or_else(|| Pbx {
            name: row.name.clone(),
            ..Pbx::default()
        }));
        if kept != Some(&wanted) {
            told.push(format!("pbx {}", row.name));
            writes.push(Write::PutPbx(wanted));
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

/// A waiver of the file with its models in their vendors' spelling.
fn spelled(catalog: &Catalog, waiver: &Waiver) -> Waiver {
    let models = waiver.models.iter();
    let models = models.map(|model| listed(catalog, model).unwrap_or_else(|| model.clone()));
    Waiver {
        models: sorted(models.collect()),
        ..waiver.clone()
    }
}

impl Admin {
    /// Refuses a site that says otherwise than the file.
    pub(super) fn site_as_written(&self, site: &Site) -> Result<(), Problem> {
        let rows = self.hub().written.load();
        as_written(&rows, rows.site(&site.name), site)
    }

    /// Refuses a call server that says otherwise than the file.
    pub(super) fn pbx_as_written(&self, pbx: &Pbx) -> Result<(), Problem> {
        let rows = self.hub().written.load();
        as_written(&rows, rows.pbx(&pbx.name), pbx)
    }

    /// Refuses to take a site away that the file would bring back.
    pub(super) fn site_not_written(&self, name: &str) -> Result<(), Problem> {
        let rows = self.hub().written.load();
        not_written(&rows, rows.site(name).map(|row| row.line))
    }

    /// The same for a call server.
    pub(super) fn pbx_not_written(&self, name: &str) -> Result<(), Problem> {
        let rows = self.hub().written.load();
        not_written(&rows, rows.pbx(name).map(|row| row.line))
    }

    /// The same for a waiver, which is one with others of its site and models.
    pub(super) fn waiver_not_written(&self, waiver: &Waiver) -> Result<(), Problem> {
        let rows = self.hub().written.load();
        let catalog = self.hub().catalog.load();
        let same = |written: &Waiver| {
            let written = spelled(&catalog, written);
            (&written.site, &written.models) == (&waiver.site, &waiver.models)
        };
        let found = rows.waivers.iter().find(|(_, written)| same(written));
        not_written(&rows, found.map(|(line, _)| *line))
    }
}

fn as_written<K: Key>(rows: &Rows, row: Option<&Row<K>>, wanted: &K::Of) -> Result<(), Problem> {
    let against = row.map(|row| row.against(wanted)).unwrap_or_default();
    let errors = against.into_iter().map(|(line, key)| {
        let place = rows.place(line);
        let what = format!("{place} says {key}, and wins at every start");
        FieldError::new(key, Code::SetInFile, what).hint(IN_THE_FILE)
    });
    Problem::unless_clean(errors.collect())
}

fn not_written(rows: &Rows, line: Option<u32>) -> Result<(), Problem> {
    let Some(line) = line else { return Ok(()) };
    let place = rows.place(line);
    let what = format!("it stands in {place}, and would be back at the next start");
    Err(Problem::new(Code::SetInFile, what).hint(IN_THE_FILE))
}

const IN_THE_FILE: &str = "change the file, then `systemctl reload dialtone` (or send SIGHUP)";
