//! The rows that hold for many devices at once, kept as one value and built again when one of them
//! changed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::Store;
use super::engine::{Engine, View as _};
use super::error::StoreError;
use super::keyspace::{Key, Parts, Table};
use super::rows::{Published, Settings};
use crate::model::profile::Scope;
use crate::model::site::{Pbx, Site, Waiver};

impl Store {
    /// Raised by every commit that changed a scope, site, waiver, call server, publication or
    /// anchor. Starts again when the store is opened.
    pub fn settings_version(&self) -> u64 {
        self.core().settings.load(Ordering::Acquire)
    }

    /// Those rows, as of the present version. Cheap while nothing changes.
    pub fn settings(&self) -> Result<Arc<Settings>, StoreError> {
        let version = self.settings_version();
        let kept = self.kept_settings();
        if let Some(settings) = kept.load_full()
            && settings.version == version
        {
            return Ok(settings);
        }
        let _building = self
            .settings_turn()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have built it while this one waited.
        let version = self.settings_version();
        if let Some(settings) = kept.load_full()
            && settings.version == version
        {
            return Ok(settings);
        }
        let settings = Arc::new(build(&self.core().engine, version)?);
        kept.store(Some(Arc::clone(&settings)));
        Ok(settings)
    }
}

fn build(engine: &Engine, version: u64) -> Result<Settings, StoreError> {
    let all = |table| Key::of(table).range();
    let scopes: Vec<Scope> = engine.load_range(&all(Table::Scope), usize::MAX)?;
    let sites: Vec<Site> = engine.load_range(&all(Table::Site), usize::MAX)?;
    let waivers: Vec<Waiver> = engine.load_range(&all(Table::Waiver), usize::MAX)?;
    let pbxs: Vec<Pbx> = engine.load_range(&all(Table::Pbx), usize::MAX)?;
    let published: Vec<Published> = engine.load_range(&all(Table::Published), usize::MAX)?;
    Ok(Settings {
        version,
        scopes: scopes
            .into_iter()
            .map(|row| ((row.layer, row.name.clone()), row))
            .collect(),
        sites: sites
            .into_iter()
            .map(|row| (row.name.clone(), row))
            .collect(),
        waivers,
        pbxs: pbxs
            .into_iter()
            .map(|row| (row.name.clone(), row))
            .collect(),
        published: published
            .into_iter()
            .map(|row| {
                let name = (row.vendor.clone(), row.family.clone(), row.profile.clone());
                (name, row)
            })
            .collect(),
        anchors: anchors(engine)?,
    })
}

/// Vendor and DER of every anchor.
pub(crate) fn anchors(engine: &Engine) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let (from, to) = Key::of(Table::Anchor).range();
    engine
        .range(&from, &to, usize::MAX)?
        .into_iter()
        .map(|(key, der)| {
            Parts::of(&key)
                .and_then(|mut parts| parts.text())
                .map(|vendor| (vendor, der))
                .ok_or_else(|| engine.malformed(&key, "it names no vendor"))
        })
        .collect()
}
