//! Which units the demo boots, and their rows of the inventory.

use std::net::{IpAddr, Ipv4Addr};

use rust_embed::RustEmbed;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::clock;
use crate::cli::exit::Fail;
use crate::model::identity::Mac;
use crate::model::secret::Secret;
use crate::simulate::Conduct;

/// The name of everything that the demo makes up: site, CA, call server.
pub(super) const DEMO: &str = "demo";

/// How real units behave, as the repository has it.
#[derive(RustEmbed)]
#[folder = "tests/fixtures/vendors/"]
#[include = "*/*/boot.toml"]
struct Conducts;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kinds {
    kind: Vec<Kind>,
}

/// One sort of unit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kind {
    pub(super) vendor: String,
    pub(super) model: String,
    /// Its `boot.toml`, by folders.
    pub(super) conduct: String,
    /// What it is pointed at, below the base.
    #[serde(default)]
    pub(super) pointer: String,
    /// Its maker's part of the MAC.
    mac: String,
    /// Its serial begins so; empty: it has none.
    #[serde(default)]
    serial: String,
    /// It has a SIP account.
    #[serde(default)]
    line: bool,
    /// It is given a name of its own.
    #[serde(default)]
    hostname: bool,
    /// It may have credentials over a plain transport.
    #[serde(default)]
    pub(super) waiver: bool,
    /// It has a factory certificate.
    #[serde(default)]
    pub(super) certificate: bool,
    /// At most so many; 0: as many as come.
    #[serde(default)]
    most: usize,
    /// Variables that get a random text.
    #[serde(default)]
    secrets: Vec<String>,
}

/// One unit.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) kind: Kind,
    pub(super) mac: Mac,
    pub(super) serial: String,
    /// Its own address, and nobody else's.
    pub(super) address: IpAddr,
    number: u16,
}

/// `count` units, the kinds in turn.
pub(super) fn plan(count: u16) -> Result<Vec<Planned>, Fail> {
    let broken = |error: String| Fail::failed("demo", format!("units.toml: {error}"));
    let text = include_str!("units.toml");
    let kinds: Kinds = toml::from_str(text).map_err(|error| broken(error.to_string()))?;
    let mut units = Vec::new();
    let mut used = vec![0; kinds.kind.len()];
    let mut turn = kinds.kind.iter().zip(&mut used).collect::<Vec<_>>();
    while units.len() < usize::from(count) {
        let before = units.len();
        for (kind, used) in &mut turn {
            if units.len() == usize::from(count) || kind.most > 0 && **used >= kind.most {
                continue;
            }
            **used += 1;
            let number = u16::try_from(units.len()).unwrap_or(u16::MAX);
            units.push(Planned::new(kind, number).map_err(broken)?);
        }
        if units.len() == before {
            return Err(broken("every kind has an end".to_owned()));
        }
    }
    Ok(units)
}

impl Planned {
    fn new(kind: &Kind, number: u16) -> Result<Self, String> {
        let mac = format!("{}de{number:04x}", kind.mac);
        let [high, low] = (number + 1).to_be_bytes();
        Ok(Self {
            mac: Mac::parse(&mac).map_err(|error| format!("{mac}: {error}"))?,
            serial: match kind.serial.as_str() {
                "" => String::new(),
                begin => format!("{begin}{number:08}"),
            },
            // 127.0.x.x is left to listeners.
            address: IpAddr::V4(Ipv4Addr::new(127, 66, high, low)),
            kind: kind.clone(),
            number,
        })
    }

    /// The body of `POST /devices`.
    pub(super) fn row(&self) -> Result<Value, Fail> {
        let extension = (200 + u32::from(self.number)).to_string();
        let mut variables = Map::new();
        for name in &self.kind.secrets {
            variables.insert(name.clone(), secret()?);
        }
        if self.kind.hostname {
            let name = format!("{DEMO}-{extension}");
            variables.insert("hostname".to_owned(), Value::from(name));
        }
        let mut row = json!({
            "mac": self.mac.to_string(),
            "vendor": self.kind.vendor,
            "model": self.kind.model,
            "site": DEMO,
            "variables": variables,
            "note": "made by dialtone demo",
        });
        if let Some(row) = row.as_object_mut() {
            if !self.serial.is_empty() {
                row.insert("serial".to_owned(), Value::from(self.serial.clone()));
            }
            if self.kind.line {
                let line = json!({
                    "n": 1,
                    "user": extension,
                    "password": secret()?,
                    "server": format!("pbx.{DEMO}.example"),
                    "display": format!("Demo {extension}"),
                });
                row.insert("lines".to_owned(), json!([line]));
            }
        }
        Ok(row)
    }

    pub(super) fn conduct(&self) -> Result<Conduct, Fail> {
        let name = format!("{}/boot.toml", self.kind.conduct);
        let wrong = |what: String| Fail::failed("demo", format!("{name}: {what}"));
        let file =
            Conducts::get(&name).ok_or_else(|| wrong("it is not in the binary".to_owned()))?;
        let text = std::str::from_utf8(&file.data).map_err(|error| wrong(error.to_string()))?;
        Conduct::parse(text).map_err(|problem| wrong(problem.to_string()))
    }
}

/// A random password.
fn secret() -> Result<Value, Fail> {
    let number =
        clock::random_id().ok_or_else(|| Fail::failed("random", "the kernel gives none"))?;
    let secret = Secret::new(format!("{number:032x}"));
    Ok(Value::from(secret.expose()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn units_are_all_different_and_kinds_keep_their_limits() {
        let units = plan(300).expect("a plan");
        let macs: BTreeSet<Mac> = units.iter().map(|unit| unit.mac).collect();
        let addresses: BTreeSet<IpAddr> = units.iter().map(|unit| unit.address).collect();
        assert_eq!((macs.len(), addresses.len()), (300, 300));
        let waived = units.iter().filter(|unit| unit.kind.waiver).count();
        assert_eq!(waived, 4);
        for unit in units.iter().take(4) {
            unit.conduct().expect("a conduct");
            unit.row().expect("a row");
        }
    }
}
