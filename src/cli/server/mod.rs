//! The server: bind, one set of tasks, reload, shutdown.
//!
//! [`start`] runs a whole server inside the process, on the addresses of its configuration; the
//! verb `serve` adds signals, logs and the ready line. The clock and randomness come in through
//! [`Options`], so that a test brings its own.

mod account;
mod caps;
mod dhcp;
pub mod folders;
mod former;
mod live;
mod names;
mod tasks;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::broadcast;
use tokio::task::{JoinHandle, JoinSet};

pub use self::live::Reread;
use self::live::{Live, errors};
pub use self::names::Addresses;
use super::clock;
use crate::admin::settings;
use crate::answer::Door;
use crate::config::{self, Config};
use crate::engine::sightings::Sightings;
use crate::hub::{Bases, Clock, Counts, Hub, Random};
use crate::net::dhcp::WireError;
use crate::net::limits::Limits;
use crate::net::listen::{self, ListenError, Stop};
use crate::net::sip;
use crate::net::tftp;
use crate::net::tls::Tls;
use crate::pki::{Authority, PkiError};
use crate::service::Service;
use crate::store::{self, KeyError, Keys, Store, StoreError};
use crate::web;

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
    Dhcp(#[from] WireError),
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
    #[error("threads for DHCP: {0}")]
    Threads(std::io::Error),
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
    pub fn reload(
        &self,
    ) -> impl Future<Output = Result<Vec<String>, Vec<String>>> + Send + 'static {
        let live = Arc::clone(&self.live);
        async move { live.reload().await }
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
    sip_pnp: Vec<sip::Listener>,
    tftp: Vec<tftp::Listener>,
    admin: Vec<TcpListener>,
    dhcp: Option<dhcp::Wires>,
}

/// Starts a server. Comes back when every listener is bound and the store is open.
pub async fn start(options: Options) -> Result<Running, ServerError> {
    let open = |hub: &Arc<Hub>| {
        let service = Service::new(Arc::clone(hub));
        (service.clone(), Some(service))
    };
    launch(options, open).await
}

/// As [`start`], with a device door of a test's own, whose sweeps are the test's as well.
pub async fn start_with<D: Door>(
    options: Options,
    door: impl FnOnce(&Arc<Hub>) -> D,
) -> Result<Running, ServerError> {
    launch(options, |hub| (door(hub), None)).await
}

async fn launch<D: Door>(
    options: Options,
    open: impl FnOnce(&Arc<Hub>) -> (D, Option<Service>),
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
    // First what only root may open, then the account that we go on under, then the files.
    let (bound, addresses) = bind_all(&config)?;
    private_folder(&config.data)?;
    if let Some(user) = &config.user {
        account::become_user(user, &config.data).map_err(|source| ServerError::Io {
            doing: "go on under another account with",
            file: config.data.clone(),
            source,
        })?;
    }
    let store = open_store(&config)?;
    let keys = Keys::load(&config.data, store.is_some(), fill)?;
    let store = match store {
        Some(store) => store,
        None => Store::open(&store_options(&config, true))?,
    };
    let authority = Authority::open(&config.data.join("ca"))?;
    let admin_socket = bind_socket(&config.admin_socket())?;
    let rows = store.settings()?;
    let hosts = former::known(&store).await?;
    let names = names::certificate_names(&config, &addresses, rows.sites.values(), &hosts);
    let (servers, _) = authority.servers(&names)?;
    let (tls, problems) = Tls::new(servers, folders::certificate_files(&config))?;
    for problem in problems {
        tracing::error!(%problem, "a certificate is not shown");
    }
    let hub = Arc::new(Hub {
        store,
        keys,
        catalog: ArcSwap::new(catalog),
        written: ArcSwap::from_pointee(config.rows.clone()),
        former: ArcSwap::from_pointee(hosts),
        bases: ArcSwap::from_pointee(names::bases(&config, &addresses, tls.certified())),
        ca_pem: authority.pem().to_owned(),
        anchored: ArcSwap::from_pointee(BTreeSet::new()),
        sightings: Mutex::new(Sightings::default()),
        dhcp: Mutex::default(),
        clock,
        random,
        news: broadcast::channel(NEWS).0,
        devices: broadcast::channel(NEWS).0,
        counts: Counts::default(),
    });
    // A full disk keeps nothing of the file from the store, and nobody from being served.
    match settings::apply_config(&hub, &config).await {
        Ok(told) => told
            .iter()
            .for_each(|row| tracing::info!(%row, "from the configuration")),
        Err(problem) => {
            let problem = live::said(&problem);
            tracing::error!(%problem, "the configuration's sites, waivers and call servers");
        }
    }
    let (door, service) = open(&hub);
    let live = Arc::new(Live::new(
        Arc::clone(&hub),
        addresses.clone(),
        limits,
        authority,
        Arc::new(tls),
        config,
        reread,
    ));
    live.follow().await;
    live.publish().await;
    let stop = Stop::default();
    let mut tasks = JoinSet::new();
    let explaining = service.clone();
    let explaining = explaining.unwrap_or_else(|| Service::new(Arc::clone(&hub)));
    let people = tasks::people(&live, explaining, &stop);
    tasks::serve_people(&mut tasks, admin_socket, bound.admin, people, &live, &stop)?;
    tasks::go_on(&mut tasks, &live, &stop);
    tasks::serve_sip_pnp(&mut tasks, bound.sip_pnp, door.clone(), &live, &stop);
    tasks::serve_tftp(&mut tasks, bound.tftp, door.clone(), &live, &stop);
    let plan = live.config().dhcp.clone();
    if let Some(wires) = bound.dhcp {
        let ready = dhcp::open(&live.hub, &plan, wires, &door).await?;
        live.leases_of(ready.desk());
        ready.serve(&mut tasks, &stop);
    }
    tasks::serve_devices(&mut tasks, bound.https, bound.http, door, &live, &stop);
    tasks::keep(&mut tasks, service, &live, &stop);
    Ok(Running {
        addresses,
        hub,
        tasks: tokio::spawn(tasks::supervise(tasks, Arc::clone(&live), stop.clone())),
        live,
        stop,
    })
}

/// The bases by a configuration alone, as a server that listens where it says would have them.
pub(super) fn bases_of(config: &Config) -> Bases {
    let addresses = Addresses {
        https: config.listen.https.clone(),
        http: config.listen.http.clone(),
        tftp: config.listen.tftp.clone(),
        ..Addresses::default()
    };
    let tls = Tls::new(Vec::new(), folders::certificate_files(config));
    let certified = tls.map(|(tls, _)| tls.certified()).unwrap_or_default();
    names::bases(config, &addresses, certified)
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

fn bind_socket(socket: &Path) -> Result<UnixListener, ServerError> {
    web::bind_unix(socket).map_err(|source| ServerError::Io {
        doing: "listen on",
        file: socket.to_owned(),
        source,
    })
}

fn bind_all(config: &Config) -> Result<(Bound, Addresses), ServerError> {
    let bind = |list: &[SocketAddr]| -> Result<Vec<TcpListener>, ListenError> {
        list.iter().map(|address| listen::bind(*address)).collect()
    };
    let sip_pnp = config.listen.sip_pnp.iter().map(|at| sip::bind(*at));
    let tftp = config.listen.tftp.iter().map(|at| tftp::bind(*at));
    let bound = Bound {
        https: bind(&config.listen.https)?,
        http: bind(&config.listen.http)?,
        sip_pnp: sip_pnp.collect::<Result<_, _>>()?,
        tftp: tftp.collect::<Result<_, _>>()?,
        admin: bind(&config.listen.admin)?,
        dhcp: dhcp::bind(&config.dhcp)?,
    };
    let addresses = |list: &[TcpListener]| -> Vec<SocketAddr> {
        list.iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    };
    let addresses = Addresses {
        https: addresses(&bound.https),
        http: addresses(&bound.http),
        sip_pnp: bound
            .sip_pnp
            .iter()
            .map(sip::Listener::local_addr)
            .collect(),
        tftp: bound.tftp.iter().map(tftp::Listener::local_addr).collect(),
        admin: addresses(&bound.admin),
        dhcp: bound
            .dhcp
            .iter()
            .flat_map(|bound| &bound.wires)
            .map(|wire| wire.interface.name.clone())
            .collect(),
        admin_socket: config.admin_socket(),
    };
    Ok((bound, addresses))
}
