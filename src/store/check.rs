//! `store check`: every row decodes, the indexes agree with the rows both ways, nothing hangs on a
//! row that is gone. For a store that nobody writes meanwhile.

use std::fmt;

use sha2::Digest as _;

use super::Store;
use super::codec::Stored;
use super::codec_device::ConfigRow;
use super::engine::{Engine, View as _};
use super::error::StoreError;
use super::keyspace::{self, Key, Parts, Table};
use super::query_rest;
use super::rows::{AuditEntry, Job, Published};
use crate::model::activation::Check;
use crate::model::device::Status;
use crate::model::event::Alert;
use crate::model::identity::{DeviceId, Digest, Mac};
use crate::model::lease::Lease;
use crate::model::profile::Scope;
use crate::model::secret::Sealed;
use crate::model::site::{Pbx, Site, Waiver};

/// Rows read at once.
const STRETCH: usize = 512;
/// Problems that are named one by one; the others are counted.
const NAMED: usize = 1000;

/// What `store check` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub rows: u64,
    /// The first thousand.
    pub problems: Vec<Problem>,
    /// All of them.
    pub found: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.found == 0
    }

    fn add(&mut self, table: &'static str, what: String) {
        self.found += 1;
        if self.problems.len() < NAMED {
            self.problems.push(Problem { table, what });
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind of row.
    pub table: &'static str,
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.table, self.what)
    }
}

impl Store {
    /// Reads every row. An error means that the store cannot be read at all.
    pub async fn check(&self) -> Result<Report, StoreError> {
        let engine = &self.core().engine;
        let mut report = Report::default();
        let mut from = Vec::new();
        loop {
            let rows = engine.range_each(&from, &[u8::MAX], STRETCH)?;
            let Some((last, _)) = rows.last() else {
                return Ok(report);
            };
            from.clone_from(last);
            from.push(0);
            for (key, value) in rows {
                report.rows += 1;
                let examined = value.and_then(|value| examine(engine, &key, &value));
                match examined {
                    Ok(None) => {}
                    Ok(Some(what)) => report.add(super::engine::name_of(&key), what),
                    Err(error) => report.add(super::engine::name_of(&key), error.to_string()),
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

/// What is wrong with one row.
fn examine(engine: &Engine, key: &[u8], value: &[u8]) -> Result<Option<String>, StoreError> {
    let (Some(table), Some(mut parts)) = (keyspace::table_of(key), Parts::of(key)) else {
        return Ok(Some(format!("a key of {} octets is nobody's", key.len())));
    };
    match table {
        Table::Meta => Ok(None),
        Table::Config => config(engine, parts.device(), &engine.read(key, value)?),
        Table::Status => {
            drop(engine.read::<Status>(key, value)?);
            device_is_there(engine, parts.device())
        }
        Table::Secret => {
            drop(engine.read::<Sealed>(key, value)?);
            match parts.raw() {
                Some([b'd']) => device_is_there(engine, parts.device()),
                Some(_) => Ok(None),
                None => Ok(Some("its owner is not named".to_owned())),
            }
        }
        Table::Check => check(engine, parts.number(), &engine.read(key, value)?),
        Table::Alert => decodes::<Alert>(engine, key, value),
        Table::Lease => {
            let lease: Lease = engine.read(key, value)?;
            let index = keyspace::lease_index_key(lease.mac, lease.ip);
            let named = keyspace::lease_key(lease.ip) == key && engine.get(&index)?.is_some();
            Ok((!named).then(|| format!("{} is not in the index", lease.ip)))
        }
        Table::Scope => decodes::<Scope>(engine, key, value),
        Table::Site => decodes::<Site>(engine, key, value),
        Table::Waiver => decodes::<Waiver>(engine, key, value),
        Table::Pbx => decodes::<Pbx>(engine, key, value),
        Table::Bundle if parts.raw::<32>().is_some() && parts.rest().is_empty() => {
            query_rest::pieces(engine, key).map(|_| None)
        }
        Table::JobBody if parts.text().is_some() && parts.rest().is_empty() => {
            query_rest::pieces(engine, key).map(|_| None)
        }
        Table::Bundle | Table::JobBody => Ok(None),
        Table::Published | Table::History => {
            let row: Published = engine.read(key, value)?;
            let bytes = engine.get(&keyspace::bundle_key(row.digest))?;
            Ok(bytes
                .is_none()
                .then(|| format!("revision {} is gone", row.digest)))
        }
        Table::Anchor => {
            let (_, digest) = (parts.text(), parts.rest());
            let same = sha2::Sha256::digest(value).as_slice() == digest;
            Ok((!same).then(|| "it is not what its name says".to_owned()))
        }
        Table::Job => decodes::<Job>(engine, key, value),
        Table::Audit => {
            let row: AuditEntry = engine.read(key, value)?;
            let same = parts.number() == Some(row.seq);
            Ok((!same).then(|| format!("entry {} is under another number", row.seq)))
        }
        Table::IndexMac => {
            let mac = parts.raw().and_then(|octets| Mac::new(octets).ok());
            points_back(engine, value, |row| row.config.mac == mac)
        }
        Table::IndexSerial => {
            let (serial, vendor) = (parts.text(), parts.text());
            points_back(engine, value, |row| {
                row.config.serial.as_ref().map(|serial| serial.as_str()) == serial.as_deref()
                    && Some(&row.config.vendor) == vendor.as_ref()
            })
        }
        Table::IndexToken => {
            let digest = parts.raw().map(Digest);
            let named = keyspace::token_of(value);
            points_back(engine, value, |row| {
                row.tokens.iter().any(|token| {
                    Some(token.digest) == digest
                        && named.is_some_and(|(_, generation, kind)| {
                            (generation, kind) == (token.generation, token.kind)
                        })
                })
            })
        }
        Table::Pin => {
            let index = Key::of(Table::IndexPin).raw(value).raw(parts.rest());
            match engine.get(&index.done())? {
                Some(_) => device_is_there(engine, keyspace::leading_device(value)),
                None => Ok(Some("it is not in the index".to_owned())),
            }
        }
        Table::IndexPin => {
            let device = parts.device();
            let pin = engine.get(&Key::of(Table::Pin).raw(parts.rest()).done())?;
            let same =
                device.is_some() && device == pin.as_deref().and_then(keyspace::leading_device);
            Ok((!same).then(|| "its pin is gone".to_owned()))
        }
        Table::IndexCheck => {
            let (device, seq) = (parts.device(), parts.number().unwrap_or_default());
            let row: Option<Check> = engine.load(&Key::of(Table::Check).number(seq).done())?;
            let same = row.is_some_and(|row| Some(row.device) == device);
            Ok((!same).then(|| format!("check {seq} is gone")))
        }
        Table::IndexLease => {
            let mac = parts.raw().and_then(|octets| Mac::new(octets).ok());
            let key = Key::of(Table::Lease).raw(parts.rest()).done();
            let row: Option<Lease> = engine.load(&key)?;
            let same = row.is_some_and(|row| Some(row.mac) == mac);
            Ok((!same).then(|| "its lease is gone".to_owned()))
        }
    }
}

fn decodes<T: Stored>(
    engine: &Engine,
    key: &[u8],
    value: &[u8],
) -> Result<Option<String>, StoreError> {
    engine.read::<T>(key, value).map(|_| None)
}

fn config(
    engine: &Engine,
    id: Option<DeviceId>,
    row: &ConfigRow,
) -> Result<Option<String>, StoreError> {
    let Some(id) = id else {
        return Ok(Some("it names no device".to_owned()));
    };
    let mac = row.config.mac.map(keyspace::mac_key);
    let vendor = &row.config.vendor;
    let serial = row.config.serial.as_ref();
    let serial = serial.map(|serial| keyspace::serial_key(serial, vendor));
    let tokens = row.tokens.iter();
    let tokens = tokens.map(|token| keyspace::token_key(token.digest));
    for key in mac.into_iter().chain(serial).chain(tokens) {
        let value = engine.get(&key)?;
        if value.as_deref().and_then(keyspace::leading_device) != Some(id) {
            let index = super::engine::name_of(&key);
            return Ok(Some(format!("{id} is not in the {index}")));
        }
    }
    Ok(None)
}

fn check(engine: &Engine, seq: Option<u64>, row: &Check) -> Result<Option<String>, StoreError> {
    let index = Key::of(Table::IndexCheck).device(row.device);
    let boot = engine.get(&index.number(row.seq).done())?;
    let same = seq == Some(row.seq) && boot.as_deref() == Some(&row.boot.0.to_be_bytes());
    Ok((!same).then(|| format!("check {} is not in the index", row.seq)))
}

fn device_is_there(engine: &Engine, id: Option<DeviceId>) -> Result<Option<String>, StoreError> {
    let Some(id) = id else {
        return Ok(Some("it names no device".to_owned()));
    };
    let row = engine.get(&Key::of(Table::Config).device(id).done())?;
    Ok(row.is_none().then(|| format!("device {id} is gone")))
}

/// Whether an index's device is there and has the value that the index names.
fn points_back(
    engine: &Engine,
    value: &[u8],
    has: impl FnOnce(&ConfigRow) -> bool,
) -> Result<Option<String>, StoreError> {
    let Some(id) = keyspace::leading_device(value) else {
        return Ok(Some("it names no device".to_owned()));
    };
    let row: Option<ConfigRow> = engine.load(&Key::of(Table::Config).device(id).done())?;
    let same = row.is_some_and(|row| has(&row));
    Ok((!same).then(|| format!("device {id} does not have this value")))
}
