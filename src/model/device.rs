//! A device: what people want of it, and what was seen of it, kept apart.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::activation::Activation;
use super::enrolment::{Arming, Ratchet, Window};
use super::identity::{Assurance, BootId, DeviceId, Digest, Mac, Serial};
use super::lease::RelayPort;
use super::profile::Variables;

/// The tenant of every row until tenants are built.
pub const TENANT: &str = "default";

/// One unit of the inventory.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    pub id: DeviceId,
    /// Shared, because it changes seldom and every request looks at it.
    pub config: Arc<Config>,
    /// Shared too: what looks at it copies nothing.
    pub status: Arc<Status>,
}

impl Device {
    /// The wanted half, to be changed: a copy of its own where somebody else looks at it too.
    pub fn config_mut(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.config)
    }

    /// The seen half, to be changed: likewise.
    pub fn status_mut(&mut self) -> &mut Status {
        Arc::make_mut(&mut self.status)
    }

    /// The seen half, or a fresh one where a person armed the unit since.
    pub fn status_now(&self) -> Arc<Status> {
        if self.status.generation == self.config.arming.generation {
            return Arc::clone(&self.status);
        }
        Arc::new(Status {
            generation: self.config.arming.generation,
            version: self.status.version,
            seen: self.status.seen.clone(),
            boots: self.status.boots.clone(),
            numbers: self.status.numbers.clone(),
            ..Status::default()
        })
    }

    /// The same, as a copy that is to be changed and written.
    pub fn status_copy(&self) -> Status {
        Arc::unwrap_or_clone(self.status_now())
    }
}

/// What people want: only `admin` changes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub mac: Option<Mac>,
    pub serial: Option<Serial>,
    /// Folder names under `profiles/`.
    pub vendor: String,
    pub family: String,
    pub model: String,
    pub site: Option<String>,
    pub groups: Vec<String>,
    pub user: Option<String>,
    /// Name of a profile under `profiles/_site`, or `default`.
    pub profile: String,
    pub variables: Variables,
    pub lines: Vec<Line>,
    pub keys: Vec<Key>,
    pub lifecycle: Lifecycle,
    pub arming: Arming,
    pub note: String,
    /// When a person last changed what is rendered.
    pub changed_at: Timestamp,
    pub created_at: Timestamp,
    /// Asked for by `device release`: the next file takes pin, URL and CA out again.
    pub release: bool,
    pub version: u64,
}

/// Where a record stands in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lifecycle {
    #[default]
    Listed,
    Suspended,
    Retired,
    Replaced,
}

impl Lifecycle {
    /// The word of contract section 3.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Suspended => "suspended",
            Self::Retired => "retired",
            Self::Replaced => "replaced",
        }
    }

    /// Reads what [`Lifecycle::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Listed, Self::Suspended, Self::Retired, Self::Replaced]
            .into_iter()
            .find(|lifecycle| lifecycle.as_str() == text)
    }
}

/// One account on a unit. The password is a sealed row, `line.N.password`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// From 1.
    pub n: u16,
    pub enabled: bool,
    pub user: String,
    pub auth: Option<String>,
    pub has_password: bool,
    pub pbx: Option<String>,
    /// Registrar where no `pbx` is named.
    pub server: Option<String>,
    pub display: Option<String>,
    pub label: Option<String>,
    pub port: Option<u16>,
    pub handset: Option<u16>,
    /// A cordless handset's own number, as printed on it.
    pub ipei: Option<String>,
    pub shared: bool,
}

/// One programmable key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Key {
    /// `phone` or `expansion-N`.
    pub page: String,
    pub n: u16,
    /// `blf`, `speed-dial`, `line`, `park`, `intercom`, `none`.
    pub kind: String,
    pub value: String,
    pub label: String,
    pub line: u16,
}

/// What was seen: only `service` changes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// The arming generation that this status belongs to.
    pub generation: u32,
    pub activation: Activation,
    pub assurance: Assurance,
    pub window: Window,
    pub ratchet: Ratchet,
    pub seen: Seen,
    /// Oldest first; the last twenty are kept.
    pub boots: Vec<Boot>,
    /// Revision and bytes of the last configuration delivered whole.
    pub revision: Option<Digest>,
    pub digest: Option<Digest>,
    pub served_whole_at: Option<Timestamp>,
    /// Names of secrets that this generation was given.
    pub given: Vec<String>,
    /// Lines that reported: number and whether they registered.
    pub lines: Vec<(u16, bool, Timestamp)>,
    /// The number that each file with one had last, and the digest of its other bytes: artefact,
    /// number, digest. It goes on where the unit is armed again, for the unit may still know it.
    pub numbers: Vec<(String, u64, Digest)>,
    pub version: u64,
}

impl Status {
    /// The first number of a file. All have five digits, so that a higher one is higher as a number,
    /// as a part of a version and as a text.
    const FIRST_NUMBER: u64 = 10_001;

    /// The number of a file whose other bytes have this digest: the same while they are, else the
    /// next one.
    pub fn number_of(&self, artefact: &str, rest: Digest) -> u64 {
        let last = self.numbers.iter().find(|(held, _, _)| held == artefact);
        match last {
            Some((_, number, digest)) if *digest == rest => *number,
            Some((_, number, _)) => number.saturating_add(1),
            None => Self::FIRST_NUMBER,
        }
    }

    /// Remembers a number; says whether it is new.
    pub fn number(&mut self, artefact: &str, number: u64, rest: Digest) -> bool {
        let fresh = (artefact.to_owned(), number, rest);
        match self
            .numbers
            .iter_mut()
            .find(|(held, _, _)| held == artefact)
        {
            Some(held) if *held == fresh => false,
            Some(held) => {
                *held = fresh;
                true
            }
            None => {
                self.numbers.push(fresh);
                true
            }
        }
    }
}

/// The last contact.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub ip: Option<IpAddr>,
    pub firmware: Option<String>,
    /// Escaped already.
    pub agent: Option<String>,
    pub relay: Option<RelayPort>,
    /// The MAC that asked, where it is not the printed one.
    pub asking_mac: Option<Mac>,
    pub at: Option<Timestamp>,
}

/// One boot of a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Boot {
    pub id: BootId,
    pub began: Timestamp,
    pub last: Timestamp,
    /// Artefact ids that were asked for, in order, each once.
    pub asked: Vec<String>,
    /// Of those, the unit files that were refused or not there.
    pub refused: Vec<String>,
}

impl Boot {
    /// How many are kept of each unit.
    pub const KEPT: usize = 20;
}
