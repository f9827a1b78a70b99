//! Stored shapes of records: checks, alerts, leases, sites, scopes, publications, jobs, audit.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::codec::{plain, shapes, stored};
use super::rows::{AuditEntry, Job, JobState, Published};
use crate::model::activation::{Check, CheckKind, Outcome};
use crate::model::event::{Alert, AlertKind};
use crate::model::identity::{Assurance, BootId, Channel, DeviceId, Digest, LevelBy, Mac, Serial};
use crate::model::lease::{Lease, LeaseSource, RelayPort};
use crate::model::profile::{Layer, Scope, Variables};
use crate::model::site::{Corroborate, Doubt, Pbx, Site, Waiver};

shapes!(
    Alert => AlertShape,
    AuditEntry => AuditEntryShape,
    Check => CheckShape,
    Job => JobShape,
    Lease => LeaseShape,
    Pbx => PbxShape,
    Published => PublishedShape,
    Scope => ScopeShape,
    Site => SiteShape,
    Waiver => WaiverShape,
);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Check")]
struct CheckShape {
    seq: u64,
    #[serde(with = "stored")]
    at: Timestamp,
    #[serde(with = "stored")]
    device: DeviceId,
    #[serde(with = "stored")]
    boot: BootId,
    #[serde(with = "stored")]
    channel: Channel,
    #[serde(with = "stored")]
    kind: CheckKind,
    #[serde(with = "stored")]
    outcome: Outcome,
    #[serde(default, skip_serializing_if = "plain")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    assurance: Assurance,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    level_by: LevelBy,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    revision: Option<Digest>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "plain")]
    bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    ip: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "plain")]
    reason: String,
    #[serde(default, skip_serializing_if = "plain")]
    text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Alert")]
struct AlertShape {
    #[serde(with = "stored")]
    kind: AlertKind,
    #[serde(with = "stored")]
    device: DeviceId,
    #[serde(with = "stored")]
    first: Timestamp,
    #[serde(with = "stored")]
    last: Timestamp,
    count: u64,
    #[serde(default, skip_serializing_if = "plain")]
    places: Vec<String>,
    #[serde(default, skip_serializing_if = "plain")]
    text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Lease")]
struct LeaseShape {
    #[serde(with = "stored")]
    ip: IpAddr,
    #[serde(with = "stored")]
    mac: Mac,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    serial: Option<Serial>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    port: Option<RelayPort>,
    #[serde(with = "stored")]
    source: LeaseSource,
    #[serde(with = "stored")]
    since: Timestamp,
    #[serde(with = "stored")]
    until: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Scope")]
struct ScopeShape {
    #[serde(with = "stored")]
    layer: Layer,
    #[serde(default, skip_serializing_if = "plain")]
    name: String,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    variables: Variables,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    changed_at: Option<Timestamp>,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Site")]
struct SiteShape {
    name: String,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    prefixes: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "plain")]
    timezone: String,
    #[serde(default, skip_serializing_if = "plain")]
    nat: bool,
    #[serde(default, skip_serializing_if = "plain")]
    expect: u32,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    corroborate: Corroborate,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    believed_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "plain", with = "stored")]
    doubt: Option<Doubt>,
    #[serde(default, skip_serializing_if = "plain")]
    keys_at_l2: bool,
    #[serde(default, skip_serializing_if = "plain")]
    public_url: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    public_http_url: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    public_tftp: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    change_window: String,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Waiver")]
struct WaiverShape {
    site: String,
    models: Vec<String>,
    #[serde(with = "stored")]
    until: Timestamp,
    #[serde(default, skip_serializing_if = "plain")]
    why: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Pbx")]
struct PbxShape {
    name: String,
    #[serde(default, skip_serializing_if = "plain")]
    sip_server: String,
    #[serde(default, skip_serializing_if = "plain")]
    backup: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    outbound_proxy: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    transport: Option<String>,
    #[serde(default, skip_serializing_if = "plain")]
    srtp: bool,
    #[serde(default, skip_serializing_if = "plain")]
    sites: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Published")]
struct PublishedShape {
    vendor: String,
    family: String,
    profile: String,
    #[serde(with = "stored")]
    digest: Digest,
    #[serde(with = "stored")]
    at: Timestamp,
    #[serde(default, skip_serializing_if = "plain")]
    by: String,
    #[serde(default, skip_serializing_if = "plain")]
    reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Job")]
struct JobShape {
    id: String,
    kind: String,
    #[serde(default, skip_serializing_if = "plain")]
    title: String,
    #[serde(default, skip_serializing_if = "plain")]
    actor: String,
    #[serde(with = "stored")]
    state: JobState,
    #[serde(with = "stored")]
    began: Timestamp,
    #[serde(with = "stored")]
    updated: Timestamp,
    #[serde(default, skip_serializing_if = "plain")]
    total: u64,
    #[serde(default, skip_serializing_if = "plain")]
    done: u64,
    #[serde(default, skip_serializing_if = "plain")]
    failed: u64,
    /// In pieces of its own.
    #[serde(skip)]
    body: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AuditEntry")]
struct AuditEntryShape {
    seq: u64,
    #[serde(with = "stored")]
    at: Timestamp,
    #[serde(default, skip_serializing_if = "plain")]
    actor: String,
    action: String,
    #[serde(default, skip_serializing_if = "plain")]
    subject: String,
    #[serde(default, skip_serializing_if = "plain")]
    outcome: String,
    #[serde(default, skip_serializing_if = "plain")]
    detail: String,
}
