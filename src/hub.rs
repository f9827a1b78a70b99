//! What the doors for devices and for people share: store, keys, live catalogue, clock, news.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::catalog::Catalog;
use crate::config::rows::Rows;
use crate::engine::lease::board::Board;
use crate::engine::sightings::Sightings;
use crate::model::activation::Check;
use crate::model::event::{Alert, Sighting};
use crate::model::identity::{Channel, DeviceId};
use crate::store::{Keys, Store};

/// The clock, given from above.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
/// 128 random bits, or none where the system has none to give.
pub type Random = Arc<dyn Fn() -> Option<u128> + Send + Sync>;

/// One of it, behind an `Arc`, for the whole server.
pub struct Hub {
    pub store: Store,
    pub keys: Keys,
    /// The folders as they stand: recognition, pointers, and the draft of each revision.
    pub catalog: ArcSwap<Catalog>,
    pub bases: ArcSwap<Bases>,
    /// Sites, waivers and call servers as far as the configuration file names them.
    pub written: ArcSwap<Rows>,
    /// Hosts that HTTPS bases had before, which pinned units may still ask.
    pub former: ArcSwap<Vec<FormerHost>>,
    /// Our own CA.
    pub ca_pem: String,
    /// Vendors with an anchor loaded.
    pub anchored: ArcSwap<BTreeSet<String>>,
    /// Units that asked and are not listed.
    pub sightings: Mutex<Sightings>,
    /// What people see of DHCP.
    pub dhcp: Mutex<Board>,
    pub clock: Clock,
    pub random: Random,
    pub news: broadcast::Sender<News>,
    /// Units that changed, for whoever follows the inventory: no flood of other news laps it.
    pub devices: broadcast::Sender<DeviceId>,
    pub counts: Counts,
}

/// What only grows, for the metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// TLS handshakes of devices that ended before a request, by reason.
    pub tls_refused: Mutex<BTreeMap<&'static str, u64>>,
    /// Reloads with something wrong in them.
    pub reloads_refused: AtomicU64,
}

impl Hub {
    /// Now, by the server's clock.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Tells whoever listens; nobody listening is no trouble.
    pub fn tell(&self, news: News) {
        if let News::Device(id) = &news {
            drop(self.devices.send(*id));
        }
        drop(self.news.send(news));
    }
}

/// Where units are told to ask; each URL ends in `/`. `None` where there is no such listener, or
/// nobody could reach it. TFTP has a host only, with its port where that is not 69.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bases {
    pub https: Option<String>,
    pub http: Option<String>,
    pub tftp: Option<String>,
    /// Other names that we answer to, in lower case.
    pub aliases: Vec<String>,
    /// Transports whose base may be told to units that ask where to go: not one that was made from
    /// a loopback address.
    pub pointers: BTreeSet<Channel>,
    /// Names in server certificates that somebody else than our own CA issued, in lower case.
    pub certified: Vec<String>,
}

/// A host of an HTTPS base that is told no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerHost {
    pub host: String,
    pub since: Timestamp,
}

/// Something that people may want to see at once.
#[derive(Clone, Debug)]
pub enum News {
    Check(Arc<Check>),
    Device(DeviceId),
    Alert(Arc<Alert>),
    Quarantine(Arc<Sighting>),
}
