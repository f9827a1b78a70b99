//! The server: bind, one set of tasks, reload, shutdown.
//!
//! [`start`] runs a whole server inside the process, on the addresses of its configuration; the
//! verb `serve` adds signals, logs and the ready line. The clock and randomness come in through
//! [`Options`], so that a test brings its own.

mod caps;
pub mod folders;
mod live;
mod names;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

pub use self::live::Reread;
use self::live::{Live, errors};
pub use self::names::Addresses;
use super::clock;
use crate::answer::Door;
use crate::config::{self, Config};
use crate::engine::sightings::Sightings;
use crate::hub::{Clock, Hub, Random};
use crate::model::identity::Channel;
use crate::net::admission::Admission;
use crate::net::limits::Limits;
use crate::net::listen::{self, ListenError, Plane, Stop};
use crate::net::tls::Tls;
use crate::pki::{Authority, PkiError};
use crate::store::{self, KeyError, Keys, Store, StoreError};

/// Certificate files are looked at this often.
const WATCH: Duration = Duration::from_secs(10);
/// What people changed in the store is followed this often.
const FOLLOW: Duration = Duration::from_secs(1);
/// News that a slow listener may be behind.
const NEWS: usize = 1024;

/// What a server runs with.
pub struct Options {
    pub config: Config,
    /// What a reload goes by.
    pub reread: Reread,
    pub clock: Clock,
    pub random: Random,
    /// Fills octets for keys that are made, or says that it cannot.
    pub fill: fn(&mut [u8]) -> bool,
    pub limits: Limits,
}

impl Options {
    /// The machine's clock and randomness; a reload finds the same configuration.
    pub fn new(config: Config) -> Self {
        let same = config.clone();
        Self {
            config,
            reread: Arc::new(move || Ok(same.clone())),
            clock: Arc::new(clock::now),
            random: Arc::new(clock::random_id),
            fill: clock::random,
            limits: Limits::default(),
        }
    }

    /// As [`Options::new`], from a file that a reload reads again. `data` stands over the file's.
    pub fn from_file(file: &Path, data: Option<&Path>) -> Result<Self, Vec<config::Problem>> {
        let (file, data) = (file.to_owned(), data.map(Path::to_owned));
        let reread = move || {
            let mut config = Config::read(&file)?;
            if let Some(data) = &data {
                config.data.clone_from(data);
            }
            Ok(config)
        };
        Ok(Self {
            reread: Arc::new(reread.clone()),
            ..Self::new(reread()?)
        })
    }
}

/// Why a server did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Profiles or certificates with errors: each is a line.
    #[error("the profiles have errors")]
    Catalogue(Vec<String>),
    #[error("{doing} {}: {source}", file.display())]
    Io {
        doing: &'static str,
        file: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part of the server panicked; the log says where.
    #[error("a part of the server failed: {0}")]
    Task(String),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// A server that is up. Dropping it stops nothing: call [`Running::stop`] and wait for
/// [`Running::ended`].
pub struct Running {
    pub addresses: Addresses,
    pub hub: Arc<Hub>,
    live: Arc<Live>,
    stop: Stop,
    tasks: JoinHandle<Result<(), ServerError>>,
}

impl Running {
    /// Reads configuration, profiles and certificates again and takes them all, or keeps what
    /// there is and says why. Gives what holds only from the next start.
    pub async fn reload(&self) -> Result<Vec<String>, Vec<String>> {
        self.live.reload().await
    }

    /// Accepts nothing more; what is at work is finished.
    pub fn stop(&self) {
        self.stop.drain.cancel();
    }

    /// Ends at once.
    pub fn stop_now(&self) {
        self.stop.drain.cancel();
        self.stop.now.cancel();
    }

    /// Waits for the end: all tasks are done and the store is closed.
    pub async fn ended(&mut self) -> Result<(), ServerError> {
        let tasks = &mut self.tasks;
        tasks
            .await
            .map_err(|error| ServerError::Task(error.to_string()))?
    }
}

/// Sockets that are bound and not served yet.
struct Bound {
    https: Vec<TcpListener>,
    http: Vec<TcpListener>,
    admin: Vec<TcpListener>,
}

/// Starts a server with the door that `door` makes. Comes back when every listener is bound and
/// the store is open.
pub async fn start_with<D: Door>(
    options: Options,
    door: impl FnOnce(&Arc<Hub>) -> D,
) -> Result<Running, ServerError> {
    let Options {
        config,
        reread,
        clock,
        random,
        fill,
        limits,
    } = options;
    let missing = folders::missing(&config);
    let (catalog, problems) = folders::catalogue(&config);
    let told: Vec<String> = errors(&missing).chain(errors(&problems)).collect();
    let catalog = match catalog {
        Some(catalog) if told.is_empty() => catalog,
        Some(_) | None => return Err(ServerError::Catalogue(told)),
    };
    for problem in &problems {
        tracing::warn!(%problem, "profiles");
    }
    private_folder(&config.data)?;
    let store = open_store(&config)?;
    let keys = Keys::load(&config.data, store.is_some(), fill)?;
    let store = match store {
        Some(store) => store,
        None => Store::open(&store_options(&config, true))?,
    };
    let authority = Authority::open(&config.data.join("ca"))?;
    let (bound, addresses) = bind_all(&config)?;
    let settings = store.settings()?;
    let tls = if bound.https.is_empty() {
        None
    } else {
        let names = names::certificate_names(&config, &addresses, settings.sites.values());
        let (servers, _) = authority.servers(&names)?;
        let (tls, problems) = Tls::new(servers, folders::certificate_files(&config))?;
        for problem in problems {
            tracing::error!(%problem, "a certificate is not shown");
        }
        Some(Arc::new(tls))
    };
    let hub = Arc::new(Hub {
        store,
        keys,
        catalog: ArcSwap::new(catalog),
        bases: ArcSwap::from_pointee(names::bases(&config, &addresses)),
        ca_pem: authority.pem().to_owned(),
        anchored: ArcSwap::from_pointee(BTreeSet::new()),
        sightings: Mutex::new(Sightings::default()),
        clock,
        random,
        news: broadcast::channel(NEWS).0,
    });
    let door = door(&hub);
    let live = Arc::new(Live::new(
        Arc::clone(&hub),
        addresses.clone(),
        limits,
        authority,
        tls,
        config,
        reread,
    ));
    live.follow().await;
    let stop = Stop::default();
    let tasks = run(bound, door, &live, &stop);
    Ok(Running {
        addresses,
        hub,
        tasks: tokio::spawn(supervise(tasks, Arc::clone(&live), stop.clone())),
        live,
        stop,
    })
}

/// The data folder, for nobody but its owner.
fn private_folder(folder: &Path) -> Result<(), ServerError> {
    let io = |doing, source| ServerError::Io {
        doing,
        file: folder.to_owned(),
        source,
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(folder).map_err(|error| io("make", error))?;
    let about = fs::metadata(folder).map_err(|error| io("read", error))?;
    if about.permissions().mode() & 0o077 != 0 {
        tracing::warn!(folder = %folder.display(), "the data folder was open to others: closed");
        fs::set_permissions(folder, Permissions::from_mode(0o700))
            .map_err(|error| io("close to others", error))?;
    }
    Ok(())
}

pub(super) fn store_options(config: &Config, create: bool) -> store::Options {
    store::Options {
        url: config.store_url.clone(),
        create,
        ..store::Options::new(&config.data)
    }
}

/// The store, where there is one: opened before its keys are looked for, so that its own word on
/// what is wrong with it comes first.
fn open_store(config: &Config) -> Result<Option<Store>, StoreError> {
    if Store::exists(&config.data, &config.store_url)? {
        Store::open(&store_options(config, false)).map(Some)
    } else {
        Ok(None)
    }
}

fn bind_all(config: &Config) -> Result<(Bound, Addresses), ServerError> {
    let bind = |list: &[SocketAddr]| -> Result<Vec<TcpListener>, ListenError> {
        list.iter().map(|address| listen::bind(*address)).collect()
    };
    let bound = Bound {
        https: bind(&config.listen.https)?,
        http: bind(&config.listen.http)?,
        admin: bind(&config.listen.admin)?,
    };
    let addresses = |list: &[TcpListener]| -> Vec<SocketAddr> {
        list.iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    };
    let addresses = Addresses {
        https: addresses(&bound.https),
        http: addresses(&bound.http),
        admin: addresses(&bound.admin),
        admin_socket: config.admin_socket(),
    };
    Ok((bound, addresses))
}

type Tasks = JoinSet<Result<(), ServerError>>;

/// Starts every task.
fn run<D: Door>(bound: Bound, door: D, live: &Arc<Live>, stop: &Stop) -> Tasks {
    let mut tasks = JoinSet::new();
    let limits = live.limits.clone();
    let caps = Arc::clone(live);
    let admission = Admission::new(&limits, Box::new(move |source| caps.cap(source)));
    let mut plane = Plane::new(door, limits, Arc::new(admission));
    plane.tls.clone_from(&live.tls);
    let judge = Arc::clone(live);
    plane.judge = Box::new(move |chain| judge.judge(chain));
    let plane = Arc::new(plane);
    let https = bound.https.into_iter().map(|door| (door, Channel::Https));
    let http = bound.http.into_iter().map(|door| (door, Channel::Http));
    for (listener, channel) in https.chain(http) {
        let (plane, stop) = (Arc::clone(&plane), stop.clone());
        tasks.spawn(async move { Ok(listen::run(listener, channel, plane, stop).await?) });
    }
    if let Some(tls) = &live.tls {
        let (tls, ended) = (Arc::clone(tls), stop.drain.clone());
        let report = |problem| tracing::error!(%problem, "the certificate shown before is kept");
        tasks.spawn(async move {
            tls.watch(WATCH, ended, report).await;
            Ok(())
        });
    }
    let (followed, ended) = (Arc::clone(live), stop.drain.clone());
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(FOLLOW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = followed.hub.store.settings_version();
        loop {
            tokio::select! {
                () = ended.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            let version = followed.hub.store.settings_version();
            if version != seen {
                seen = version;
                followed.follow().await;
            }
        }
    });
    drop(bound.admin);
    tasks
}

/// Waits for every task; one that fails or panics ends the server. Closes the store at the end.
async fn supervise(mut tasks: Tasks, live: Arc<Live>, stop: Stop) -> Result<(), ServerError> {
    let mut outcome = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(ServerError::Task(error.to_string())));
        if let Err(error) = ended {
            tracing::error!(%error, "the server stops");
            stop.drain.cancel();
            if outcome.is_ok() {
                outcome = Err(error);
            }
        }
    }
    let closed = live.hub.store.close().await;
    outcome.and_then(|()| Ok(closed?))
}
