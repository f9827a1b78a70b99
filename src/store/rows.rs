//! Plain rows and questions of the store that are no words of the model: what a batch writes, what
//! a query asks, and the records that only `admin` reads.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;

use crate::model::activation::{Check, State};
use crate::model::device::{Config, Device, Status};
use crate::model::event::{Alert, AlertKind};
use crate::model::identity::{DeviceId, Digest, Mac, Serial};
use crate::model::lease::{Lease, LeaseSource};
use crate::model::profile::{Layer, Scope};
use crate::model::secret::Sealed;
use crate::model::site::{Pbx, Site, Waiver};

/// What the claims of one request name.
#[derive(Clone, Debug, Default)]
pub struct KnownAsk {
    pub macs: Vec<Mac>,
    pub serials: Vec<Serial>,
    /// SHA-256 of a unit token.
    pub token: Option<Digest>,
    /// SHA-256 of a report secret.
    pub report: Option<Digest>,
    pub source: Option<IpAddr>,
}

/// The rows behind a [`KnownAsk`]. No secret is in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownRows {
    pub by_mac: Vec<Device>,
    /// Several where two vendors gave one number.
    pub by_serial: Vec<Device>,
    /// With the generation that the token was made in.
    pub by_token: Option<(Device, u32)>,
    pub by_report: Option<(Device, u32)>,
    /// The lease of the source address.
    pub lease: Option<Lease>,
}

/// Which devices are wanted: all that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub site: Option<String>,
    pub vendor: Option<String>,
    pub family: Option<String>,
    pub model: Option<String>,
    pub state: Option<State>,
    pub group: Option<String>,
    pub profile: Option<String>,
}

impl Filter {
    /// Whether a device is meant. The state is that of the present arming.
    pub fn takes(&self, device: &Device) -> bool {
        fn is(wanted: Option<&String>, found: &str) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        let config = &device.config;
        is(
            self.site.as_ref(),
            config.site.as_deref().unwrap_or_default(),
        ) && is(self.vendor.as_ref(), &config.vendor)
            && is(self.family.as_ref(), &config.family)
            && is(self.model.as_ref(), &config.model)
            && is(self.profile.as_ref(), &config.profile)
            && self
                .group
                .as_ref()
                .is_none_or(|group| config.groups.contains(group))
            && self
                .state
                .is_none_or(|state| device.status_now().activation.state == state)
    }
}

/// Which checks are wanted. With neither `since_seq` nor `since`: the newest `limit`. The answer is
/// in order of number, oldest first, in each case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckFilter {
    pub device: Option<DeviceId>,
    /// Numbers greater than this.
    pub since_seq: Option<u64>,
    /// At or after this.
    pub since: Option<Timestamp>,
    pub limit: usize,
}

/// A revision in force for one vendor, family and profile, or one that was.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    pub vendor: String,
    pub family: String,
    pub profile: String,
    pub digest: Digest,
    pub at: Timestamp,
    pub by: String,
    pub reason: String,
}

/// A long piece of work, an import above all. The store keeps the last [`Job::KEPT`].
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Chosen by whoever starts it; unique.
    pub id: String,
    /// `import` ...
    pub kind: String,
    /// File name or the like, for people.
    pub title: String,
    pub actor: String,
    pub state: JobState,
    pub began: Timestamp,
    pub updated: Timestamp,
    pub total: u64,
    pub done: u64,
    pub failed: u64,
    /// The caller's own record: plan, report. `None` in a write keeps what is stored; `None` in
    /// lists.
    pub body: Option<Vec<u8>>,
}

impl Job {
    /// How many are kept: the oldest goes when a new one comes.
    pub const KEPT: usize = 100;
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    Planned,
    Running,
    Done,
    /// Some items failed.
    Partly,
    Failed,
}

impl JobState {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Done => "done",
            Self::Partly => "partly",
            Self::Failed => "failed",
        }
    }

    /// Reads what [`JobState::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Planned,
            Self::Running,
            Self::Done,
            Self::Partly,
            Self::Failed,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
    }
}

/// What a person did, or a credential serving.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Given by the store.
    pub seq: u64,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub outcome: String,
    pub detail: String,
}

/// Whose secret it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    Device(DeviceId),
    Scope(Layer, String),
}

impl Owner {
    /// What a sealed value is bound to: tenant, owner, field. Sealed bytes that are moved to
    /// another row do not open.
    pub fn aad(&self, field: &str) -> String {
        let tenant = crate::model::device::TENANT;
        match self {
            Self::Device(id) => format!("{tenant}/device/{id}/{field}"),
            Self::Scope(layer, name) => format!("{tenant}/{}/{name}/{field}", layer.as_str()),
        }
    }
}

/// What a row must be for a write to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Not there yet.
    New,
    /// The version that was read.
    Version(u64),
}

/// What a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Unit,
    Report,
}

/// When a commit comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After the flush that made it durable.
    Now,
    /// As soon as it is visible; durable within one second.
    Soon,
}

/// Writes that happen together or not at all.
#[derive(Clone, Debug)]
pub struct Batch {
    pub writes: Vec<Write>,
    pub durability: Durability,
    /// It may use the space that is kept for it when the disk is full.
    pub reserve: bool,
}

impl Batch {
    /// A batch that comes back when it is durable.
    pub fn now(writes: Vec<Write>) -> Self {
        Self {
            writes,
            durability: Durability::Now,
            reserve: false,
        }
    }

    /// A batch that is durable within one second.
    pub fn soon(writes: Vec<Write>) -> Self {
        Self {
            writes,
            durability: Durability::Soon,
            reserve: false,
        }
    }

    /// With the right to the reserve: for what units do, so that known ones still boot on a full
    /// disk (trust.md section 7).
    #[must_use]
    pub fn from_reserve(self) -> Self {
        Self {
            reserve: true,
            ..self
        }
    }
}

/// What a commit gave out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Number of the first check of the batch; the others follow it.
    pub first_check_seq: Option<u64>,
    /// For each write the new version of its row, 0 where the row has none.
    pub versions: Vec<u64>,
}

/// One change of one row, with what must hold for it.
#[derive(Clone, Debug)]
pub enum Write {
    /// The wanted half. The stored version is 1 for `New`, else one more than expected;
    /// `config.version` is ignored. `tokens` is the whole set that is good from now on.
    PutConfig {
        id: DeviceId,
        config: Box<Config>,
        expect: Expect,
        tokens: Vec<(Digest, u32, TokenKind)>,
    },
    /// The seen half. `expect` is the `status.version` that was read (0 where nothing was seen).
    PutStatus {
        id: DeviceId,
        status: Box<Status>,
        expect: u64,
    },
    /// With all that hangs on it: status, secrets, tokens, pins, checks, alerts.
    DeleteDevice {
        id: DeviceId,
        expect: u64,
    },
    /// `None` removes it.
    PutSecret {
        owner: Owner,
        field: String,
        sealed: Option<Sealed>,
    },
    /// `seq` is given by the store. The last 20 boots of a device are kept.
    AddCheck(Check),
    /// Added to the row of this kind and device: counts add up, `first` stays.
    PutAlert(Alert),
    RemoveAlert {
        kind: AlertKind,
        device: DeviceId,
    },
    PutLease(Lease),
    /// Where the row is of this source.
    RemoveLease(IpAddr, LeaseSource),
    /// `version` is the one that was read, 0 for a new row.
    PutScope(Scope),
    /// With its secrets.
    RemoveScope {
        layer: Layer,
        name: String,
    },
    /// `version` is the one that was read, 0 for a new row.
    PutSite(Site),
    RemoveSite(String),
    PutWaiver(Waiver),
    RemoveWaiver {
        site: String,
        models: Vec<String>,
    },
    PutPbx(Pbx),
    RemovePbx(String),
    PutBundle {
        digest: Digest,
        bytes: Vec<u8>,
    },
    /// In force from now on, and a line of the history.
    Publish(Published),
    PutAnchor {
        vendor: String,
        der: Vec<u8>,
    },
    RemoveAnchor {
        vendor: String,
        der: Vec<u8>,
    },
    PutJob(Job),
    /// A certificate is one device's; a device may have several.
    PinCertificate {
        device: DeviceId,
        fingerprint: Digest,
    },
    /// Takes all pins of a device back.
    UnpinCertificates {
        device: DeviceId,
    },
    /// `seq` is given by the store.
    Audit(AuditEntry),
    PutMeta(String, Vec<u8>),
}

/// All rows that people set for many devices at once, as they stand at one version. Read it through
/// `Store::settings`, which builds it again only when one of them changed.
#[derive(Debug, Default)]
pub struct Settings {
    pub version: u64,
    pub scopes: BTreeMap<(Layer, String), Scope>,
    pub sites: BTreeMap<String, Site>,
    pub waivers: Vec<Waiver>,
    pub pbxs: BTreeMap<String, Pbx>,
    /// By vendor, family and profile.
    pub published: BTreeMap<(String, String, String), Published>,
    /// Vendor and DER.
    pub anchors: Vec<(String, Vec<u8>)>,
}
