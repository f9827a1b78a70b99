//! The manifests' keys as they are written. Unknown keys are refused.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vendor {
    pub(super) vendor: String,
    pub(super) names: Vec<String>,
    pub(super) default_family: Option<String>,
    #[serde(default)]
    pub(super) oui: Vec<String>,
    #[serde(default)]
    pub(super) generic: bool,
    #[serde(default)]
    pub(super) recognise: Vec<Rule>,
    #[serde(default)]
    pub(super) table: BTreeMap<String, BTreeMap<String, OneOrMany>>,
    #[serde(default)]
    pub(super) certificate: Vec<Certificate>,
    #[serde(default)]
    pub(super) unconfirmed: Unconfirmed,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unconfirmed {
    #[serde(default)]
    pub(super) keys: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    Many(Vec<String>),
    One(String),
}

impl OneOrMany {
    pub(super) fn list(self) -> Vec<String> {
        match self {
            Self::Many(many) => many,
            Self::One(one) => vec![one],
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) channel: OneOrMany,
    pub(super) agent: Option<String>,
    pub(super) path: Option<String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) options: BTreeMap<String, toml::Value>,
    pub(super) event: Option<Event>,
    pub(super) family: Option<String>,
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) nocase: bool,
    #[serde(default)]
    pub(super) common: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    pub(super) vendor: Option<String>,
    pub(super) model: Option<String>,
    pub(super) version: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    #[serde(default)]
    pub(super) issuer: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) subject: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) shared: Vec<BTreeMap<String, String>>,
    pub(super) always: Option<Always>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Always {
    All(bool),
    Models(Vec<String>),
}

/// One value, or a table by model.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ByModel<T> {
    All(T),
    Models(BTreeMap<String, T>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Family {
    pub(super) family: String,
    pub(super) label: String,
    pub(super) reach: String,
    pub(super) models: Vec<String>,
    #[serde(default)]
    pub(super) aliases: BTreeMap<String, String>,
    pub(super) firmware_range: Option<ByModel<String>>,
    pub(super) asks: String,
    pub(super) mac_offset: Option<ByModel<i64>>,
    #[serde(default)]
    pub(super) port_mac: bool,
    #[serde(default)]
    pub(super) capacity: Capacity,
    pub(super) transport: Option<Transport>,
    pub(super) sources: Option<Sources>,
    pub(super) absent: Option<Absent>,
    pub(super) refusal: Option<Refusal>,
    pub(super) bootstrap: Option<Bootstrap>,
    #[serde(default)]
    pub(super) artefact: Vec<Artefact>,
    #[serde(default)]
    pub(super) report: Report,
    #[serde(default)]
    pub(super) push: Push,
    #[serde(default)]
    pub(super) dhcp: Vec<Dhcp>,
    pub(super) sip_pnp: Option<SipPnp>,
    pub(super) firmware: Option<Firmware>,
    #[serde(default)]
    pub(super) unsupported: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) unconfirmed: Unconfirmed,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Capacity {
    pub(super) lines: Option<ByModel<u32>>,
    pub(super) keys: Option<ByModel<u32>>,
    pub(super) expansion: Option<Expansion>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expansion {
    pub(super) model: String,
    pub(super) keys: u32,
    pub(super) most: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Transport {
    pub(super) first: ByModel<Vec<String>>,
    pub(super) trusts: ByModel<String>,
    pub(super) after: ByModel<String>,
    pub(super) tls: ByModel<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sources {
    pub(super) order: Vec<String>,
    pub(super) pin: bool,
    pub(super) ceiling: ByModel<String>,
    #[serde(default)]
    pub(super) elsewhere: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Absent {
    pub(super) means: String,
    pub(super) source: Option<String>,
    #[serde(default)]
    pub(super) never: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refusal {
    pub(super) http: Option<toml::Value>,
    pub(super) tftp: Option<toml::Value>,
    #[serde(default)]
    pub(super) asks_again: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bootstrap {
    pub(super) next: String,
    #[serde(default)]
    pub(super) undo: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Artefact {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) paths: Vec<String>,
    pub(super) scope: String,
    #[serde(default)]
    pub(super) order: u32,
    #[serde(default = "yes")]
    pub(super) required: bool,
    pub(super) template: Option<String>,
    #[serde(default)]
    pub(super) format: String,
    #[serde(default)]
    pub(super) media_type: String,
    #[serde(default)]
    pub(super) useful_from: String,
    pub(super) bootstrap: Option<String>,
    #[serde(default)]
    pub(super) fallback_of: String,
    pub(super) refusal: Option<Refusal>,
    #[serde(default)]
    pub(super) applies: String,
    #[serde(default)]
    pub(super) nocase: bool,
    #[serde(default)]
    pub(super) version_field: String,
    #[serde(default)]
    pub(super) filters: Vec<String>,
    #[serde(default)]
    pub(super) common: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    pub(super) registered: Option<String>,
    pub(super) failed: Option<String>,
    #[serde(default)]
    pub(super) proof: Vec<String>,
    #[serde(default)]
    pub(super) stall_after: String,
    /// The unit's own words for its registration, each `ok` or `failed`.
    #[serde(default)]
    pub(super) states: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Push {
    pub(super) refetch: Option<String>,
    pub(super) restart: Option<String>,
    #[serde(default)]
    pub(super) by: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dhcp {
    #[serde(default)]
    pub(super) when: BTreeMap<String, toml::Value>,
    #[serde(default)]
    pub(super) options: BTreeMap<String, toml::Value>,
    #[serde(default)]
    pub(super) echo: Vec<u8>,
    #[serde(default)]
    pub(super) siaddr: String,
    #[serde(default)]
    pub(super) file: String,
    #[serde(default)]
    pub(super) lease: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SipPnp {
    pub(super) url: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Firmware {
    pub(super) told_by: String,
    pub(super) name: String,
}
