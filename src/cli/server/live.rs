//! What of a running server can change: catalogue, bases, certificates, anchors, caps.
//!
//! A reload reads and checks everything first and takes all of it or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;

use super::caps::Caps;
use super::dhcp;
use super::folders::{self, CertFiles};
use super::former;
use super::names::{self, Addresses};
use crate::admin::{self, profile, settings};
use crate::catalog::{Catalog, Problem, Severity};
use crate::config::{self, Config};
use crate::hub::Hub;
use crate::model::certificate::PeerCertificate;
use crate::net::limits::{Limits, TftpLimits};
use crate::net::tls::{ReadFiles, Tls};
use crate::pki::{Anchor, Anchors, Authority};
use crate::service::leases::LeaseDesk;
use crate::store::Filter;

/// Reads the configuration again.
pub type Reread = Arc<dyn Fn() -> Result<Config, Vec<config::Problem>> + Send + Sync>;

/// Devices that are counted at a time.
const STRETCH: usize = 1000;

pub(super) struct Live {
    pub(super) hub: Arc<Hub>,
    pub(super) addresses: Addresses,
    pub(super) limits: Limits,
    pub(super) tftp_limits: TftpLimits,
    pub(super) authority: Authority,
    pub(super) tls: Arc<Tls>,
    trust: ArcSwap<Trust>,
    caps: ArcSwap<Caps>,
    tftp_caps: ArcSwap<Caps>,
    config: RwLock<Arc<Config>>,
    /// Where DHCP is served.
    leases: OnceLock<LeaseDesk>,
    reread: Reread,
    /// One reload at a time.
    turn: tokio::sync::Mutex<()>,
}

/// The anchors, and what they were made of.
struct Trust {
    files: CertFiles,
    /// Of the settings that `stored` is from.
    version: u64,
    stored: Vec<(String, Vec<u8>)>,
    anchors: Arc<Anchors>,
}

/// Everything that a reload takes, read and found good.
struct Fresh {
    config: Config,
    catalog: Arc<Catalog>,
    certs: CertFiles,
    tls: ReadFiles,
}

impl Live {
    pub(super) fn new(
        hub: Arc<Hub>,
        addresses: Addresses,
        limits: Limits,
        authority: Authority,
        tls: Arc<Tls>,
        config: Config,
        reread: Reread,
    ) -> Self {
        let certs = CertFiles::read(&config.certs);
        let live = Self {
            trust: ArcSwap::from_pointee(Trust {
                files: certs.clone(),
                version: 0,
                stored: Vec::new(),
                anchors: Arc::new(Anchors::default()),
            }),
            hub,
            addresses,
            tftp_limits: TftpLimits {
                drain: limits.drain,
                ..TftpLimits::default()
            },
            limits,
            authority,
            tls,
            caps: ArcSwap::default(),
            tftp_caps: ArcSwap::default(),
            config: RwLock::new(Arc::new(config)),
            leases: OnceLock::new(),
            reread,
            turn: tokio::sync::Mutex::new(()),
        };
        for problem in live.trust_these(certs) {
            tracing::error!(%problem, "an anchor was not loaded");
        }
        live
    }

    /// What a reload tells of DHCP's networks.
    pub(super) fn leases_of(&self, desk: LeaseDesk) {
        drop(self.leases.set(desk));
    }

    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The anchors that are loaded at this moment.
    pub(super) fn anchors(&self) -> Vec<Anchor> {
        self.notice_anchors();
        self.trust.load().anchors.listed().to_vec()
    }

    /// What a chain is worth now.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Option<PeerCertificate> {
        self.notice_anchors();
        let anchors = Arc::clone(&self.trust.load().anchors);
        anchors.judge(chain, self.hub.now())
    }

    /// How many connections this address may hold.
    pub(super) fn cap(&self, source: IpAddr) -> Option<usize> {
        self.caps.load().cap(source)
    }

    /// How many transfers over TFTP this address may hold.
    pub(super) fn tftp_cap(&self, source: IpAddr) -> Option<usize> {
        self.tftp_caps.load().cap(source)
    }

    /// Takes up anchors that a person gave the store.
    pub(super) fn notice_anchors(&self) {
        let kept = self.trust.load_full();
        if kept.version == self.hub.store.settings_version() {
            return;
        }
        let Ok(settings) = self.hub.store.settings() else {
            return;
        };
        if settings.anchors == kept.stored {
            self.trust.store(Arc::new(Trust {
                files: kept.files.clone(),
                version: settings.version,
                stored: kept.stored.clone(),
                anchors: Arc::clone(&kept.anchors),
            }));
        } else {
            self.trust_these(kept.files.clone());
        }
    }

    /// Loads anchors from these files and from the store; gives what was not loaded.
    fn trust_these(&self, files: CertFiles) -> Vec<String> {
        let settings = self.hub.store.settings().unwrap_or_default();
        let own = self.authority.certificate();
        let (anchors, problems) = files.anchors(&settings.anchors, Some(own));
        let vendors = anchors.listed().iter().map(|anchor| anchor.vendor.clone());
        let vendors: BTreeSet<String> = vendors.collect();
        self.hub.anchored.store(Arc::new(vendors));
        self.trust.store(Arc::new(Trust {
            files,
            version: settings.version,
            stored: settings.anchors.clone(),
            anchors: Arc::new(anchors),
        }));
        let told = problems.iter();
        told.map(|problem| format!("{}: {}", problem.file.display(), problem.what))
            .collect()
    }

    /// Makes the drafts what devices get, where the configuration says so.
    pub(super) async fn publish(&self) {
        if !self.config().auto_publish {
            return;
        }
        match profile::auto_publish(&self.hub).await {
            Ok(done) => {
                for one in done {
                    let (vendor, family, profile) = &one.kind;
                    let (to, devices) = (one.to, one.devices);
                    tracing::info!(vendor, family, profile, %to, devices, "published");
                }
            }
            Err(problem) => {
                let problem = said(&problem);
                tracing::error!(%problem, "nothing was published");
            }
        }
    }

    /// Follows what people changed in the store: certificate names, anchors, caps.
    pub(super) async fn follow(&self) {
        self.notice_anchors();
        if let Err(error) = self.rename().await {
            tracing::error!(%error, "the server certificate was not made anew");
        }
        self.count().await;
    }

    /// The bases by the configuration, and by the certificates that are shown now.
    pub(super) fn rebase(&self) {
        let certified = self.tls.certified();
        let bases = names::bases(&self.config(), &self.addresses, certified);
        if *self.hub.bases.load_full() != bases {
            self.hub.bases.store(Arc::new(bases));
        }
    }

    /// Server certificates for the names that hold now, and for those of before that somebody needs.
    async fn rename(&self) -> Result<(), String> {
        let settings = self.hub.store.settings().map_err(text)?;
        let (config, sites) = (self.config(), settings.sites.values());
        let told = names::https_hosts(&config, &self.addresses, sites.clone());
        match former::follow(&self.hub, &told).await {
            Ok(hosts) => self.hub.former.store(Arc::new(hosts)),
            Err(error) => tracing::error!(%error, "hosts of before stay as they were"),
        }
        let former = self.hub.former.load_full();
        let names = names::certificate_names(&config, &self.addresses, sites, &former);
        let (servers, reissued) = self.authority.servers(&names).map_err(text)?;
        if reissued == crate::pki::Reissued::Made {
            self.tls.set_own(servers).map_err(text)?;
            tracing::info!(?names, "the server certificate has other names now");
        }
        Ok(())
    }

    /// Counts the units of sites where one address is many of them and nobody said how many.
    async fn count(&self) {
        let Ok(settings) = self.hub.store.settings() else {
            return;
        };
        let mut listed = BTreeMap::new();
        let open = |site: &&crate::model::site::Site| site.nat && site.expect == 0;
        for site in settings.sites.values().filter(open) {
            let filter = Filter {
                site: Some(site.name.clone()),
                ..Filter::default()
            };
            let mut after = None;
            let mut units = 0;
            while let Ok(some) = self.hub.store.devices(&filter, after, STRETCH).await {
                units += some.len();
                after = some.last().map(|device| device.id);
                if some.len() < STRETCH {
                    break;
                }
            }
            listed.insert(site.name.clone(), units);
        }
        let most = self.limits.connections / 2;
        let sites = settings.sites.values();
        let caps = Caps::of(sites, &listed, self.limits.per_address, most);
        self.caps.store(Arc::new(caps));
        let tftp = &self.tftp_limits;
        let sites = settings.sites.values();
        let caps = Caps::of(sites, &listed, tftp.per_address, tftp.transfers / 2);
        self.tftp_caps.store(Arc::new(caps));
    }

    /// Reads everything again and takes it, or keeps what there is and says why. Gives what could
    /// not be taken without a restart.
    pub(super) async fn reload(self: &Arc<Self>) -> Result<Vec<String>, Vec<String>> {
        let taken = self.take_all().await;
        if taken.is_err() {
            let refused = &self.hub.counts.reloads_refused;
            refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    async fn take_all(self: &Arc<Self>) -> Result<Vec<String>, Vec<String>> {
        let _turn = self.turn.lock().await;
        let reader = Arc::clone(self);
        let fresh = tokio::task::spawn_blocking(move || reader.read());
        let fresh = fresh.await.map_err(|error| vec![text(error)])??;
        // The only part that can fail for a reason outside the files.
        let rows = settings::apply_config(&self.hub, &fresh.config).await;
        for row in rows.map_err(|problem| vec![said(&problem)])? {
            tracing::info!(%row, "from the configuration");
        }
        let notes = needs_restart(&self.config(), &fresh.config);
        if let Some(leases) = self.leases.get() {
            leases.plan(&dhcp::at_once(&leases.planned(), &fresh.config.dhcp));
        }
        self.hub.catalog.store(fresh.catalog);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh.config);
        self.tls.show_files(fresh.tls);
        self.rebase();
        self.trust_these(fresh.certs);
        self.follow().await;
        self.publish().await;
        Ok(notes)
    }

    /// All that a reload needs, or every problem.
    fn read(&self) -> Result<Fresh, Vec<String>> {
        let config = match (self.reread)() {
            Ok(config) => config,
            Err(problems) => return Err(problems.iter().map(text).collect()),
        };
        let mut problems: Vec<String> = folders::missing(&config).iter().map(text).collect();
        let (catalog, told) = folders::catalogue(&config);
        problems.extend(errors(&told));
        let certs = CertFiles::read(&config.certs);
        let (_, told) = certs.anchors(&[], None);
        let told = told.iter();
        problems
            .extend(told.map(|problem| format!("{}: {}", problem.file.display(), problem.what)));
        let tls = self.tls.read_files(folders::certificate_files(&config));
        let tls = tls.map_err(|told| problems.extend(told.iter().map(text)));
        match (catalog, tls) {
            (Some(catalog), Ok(tls)) if problems.is_empty() => Ok(Fresh {
                config,
                catalog,
                certs,
                tls,
            }),
            (Some(_) | None, Ok(_) | Err(())) => Err(problems),
        }
    }
}

/// The errors among problems, as lines.
pub(super) fn errors(problems: &[Problem]) -> impl Iterator<Item = String> {
    let errors = problems.iter();
    errors
        .filter(|problem| problem.severity == Severity::Error)
        .map(text)
}

/// Keys that differ and hold only from the next start.
fn needs_restart(was: &Config, is: &Config) -> Vec<String> {
    [
        ("data", was.data != is.data),
        ("store.url", was.store_url != is.store_url),
        ("listen", was.listen != is.listen),
        ("user", was.user != is.user),
        ("dhcp.mode", was.dhcp.mode != is.dhcp.mode),
        ("dhcp.interface", was.dhcp.interfaces != is.dhcp.interfaces),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(key, _)| format!("{key} was changed, and holds from the next start"))
    .collect()
}

/// A problem of the people door, as a line.
pub(super) fn said(problem: &admin::Problem) -> String {
    format!("{}: {}", problem.code.as_str(), problem.detail)
}

fn text(what: impl Display) -> String {
    what.to_string()
}
