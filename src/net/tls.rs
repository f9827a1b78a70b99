//! TLS 1.2 and 1.3 for devices: which certificate is shown, and why a handshake died.
//!
//! No 0-RTT: early data could be replayed. No ALPN: a client that offers HTTP/2 or junk gets
//! HTTP/1.1. Tickets are stateless, so a storm of resumptions costs no memory.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ServerConfig, SignatureAlgorithm};
use tokio_util::sync::CancellationToken;

use super::verifier::SignatureOnly;
use crate::answer::TlsFailure;
use crate::model::certificate::covers;
use crate::pki::{ServerCertificate, names_of};

/// The largest certificate or key file that is read.
const LARGEST_FILE: u64 = 1024 * 1024;

/// A certificate that the admin supplies, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub chain_file: PathBuf,
    pub key_file: PathBuf,
}

/// A file that could not be used; what was shown before is still shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}", file.display())]
pub struct TlsProblem {
    pub file: PathBuf,
    pub what: String,
}

/// A certificate that is shown now, for `doctor` and its expiry alarm.
#[derive(Clone, Debug)]
pub struct ShownCertificate {
    pub certificate: CertificateDer<'static>,
    pub names: Vec<String>,
    /// `None`: signed by our own CA.
    pub file: Option<PathBuf>,
}

/// The TLS side of the device plane.
pub struct Tls {
    config: Arc<ServerConfig>,
    shown: Arc<Chooser>,
    provider: Arc<CryptoProvider>,
    given: Mutex<Vec<Given>>,
}

/// A pair of files and what was last read of it.
struct Given {
    files: CertificateFiles,
    /// When and how large the files were at the last attempt.
    stamp: Option<Stamp>,
    loaded: Option<Arc<Candidate>>,
}

type Stamp = [Option<(SystemTime, u64)>; 2];

/// A key that can be shown, and for which names.
#[derive(Debug)]
struct Candidate {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    file: Option<PathBuf>,
}

#[derive(Debug)]
struct Chooser {
    set: ArcSwap<Set>,
}

/// In the order of preference.
#[derive(Clone, Debug, Default)]
struct Set {
    given: Vec<Arc<Candidate>>,
    own: Vec<Arc<Candidate>>,
}

/// Pairs of files that could all be read, to be shown by [`Tls::show_files`].
pub struct ReadFiles(Vec<Given>);

impl Tls {
    /// Starts with our own certificates and whatever of `files` can be read; the rest is listed
    /// and tried again.
    pub fn new(
        own: Vec<ServerCertificate>,
        files: Vec<CertificateFiles>,
    ) -> Result<(Self, Vec<TlsProblem>), rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let shown = Arc::new(Chooser {
            set: ArcSwap::default(),
        });
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Chooser>::clone(&shown);
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(SignatureOnly))
            .with_cert_resolver(resolver);
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.send_tls13_tickets = 1;
        config.max_early_data_size = 0;
        let given = files
            .into_iter()
            .map(|files| Given {
                files,
                stamp: None,
                loaded: None,
            })
            .collect();
        let tls = Self {
            config: Arc::new(config),
            shown,
            provider,
            given: Mutex::new(given),
        };
        tls.set_own(own)?;
        let problems = tls.reload();
        Ok((tls, problems))
    }

    /// Shows these as our own from now on.
    pub fn set_own(&self, own: Vec<ServerCertificate>) -> Result<(), rustls::Error> {
        let mut candidates = Vec::new();
        for server in own {
            candidates.push(self.candidate(server.chain, server.key, None)?);
        }
        candidates.sort_by_key(|candidate| candidate.rank());
        // Whoever shows something has this lock, so that no other's part is lost.
        let _turn = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let mut set = Set::clone(&self.shown.set.load());
        set.own = candidates;
        self.shown.set.store(Arc::new(set));
        Ok(())
    }

    /// Reads every pair of files again. A pair that cannot be used keeps its old certificate.
    pub fn reload(&self) -> Vec<TlsProblem> {
        self.read(true)
    }

    /// Reads other pairs of files, all or none; nothing is shown yet.
    pub fn read_files(&self, files: Vec<CertificateFiles>) -> Result<ReadFiles, Vec<TlsProblem>> {
        let mut given = Vec::new();
        let mut problems = Vec::new();
        for files in files {
            let stamp = Some(stamp(&files));
            match self.read_pair(&files) {
                Ok(candidate) => given.push(Given {
                    files,
                    stamp,
                    loaded: Some(candidate),
                }),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(ReadFiles(given))
        } else {
            Err(problems)
        }
    }

    /// Shows these pairs, in place of those before, from now on.
    pub fn show_files(&self, read: ReadFiles) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        *given = read.0;
        self.show(&given);
    }

    fn show(&self, given: &[Given]) {
        let mut set = Set::clone(&self.shown.set.load());
        set.given = given
            .iter()
            .filter_map(|pair| pair.loaded.clone())
            .collect();
        set.given.sort_by_key(|candidate| candidate.rank());
        self.shown.set.store(Arc::new(set));
    }

    /// Reads the pairs whose files changed, every `every`, until `stop`. `report` hears of each
    /// problem once for each change of the files.
    pub async fn watch(
        self: Arc<Self>,
        every: Duration,
        stop: CancellationToken,
        report: impl Fn(TlsProblem) + Send,
    ) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let tls = Arc::clone(&self);
            if let Ok(problems) = tokio::task::spawn_blocking(move || tls.read(false)).await {
                problems.into_iter().for_each(&report);
            }
        }
    }

    /// What is shown now.
    pub fn shown(&self) -> Vec<ShownCertificate> {
        let set = self.shown.set.load();
        set.given
            .iter()
            .chain(&set.own)
            .filter_map(|candidate| {
                Some(ShownCertificate {
                    certificate: candidate.key.cert.first()?.clone(),
                    names: candidate.names.clone(),
                    file: candidate.file.clone(),
                })
            })
            .collect()
    }

    /// Names of the certificates that the admin supplies, in lower case, each once.
    pub fn certified(&self) -> Vec<String> {
        let set = self.shown.set.load();
        let names = set.given.iter().flat_map(|candidate| &candidate.names);
        let mut names: Vec<String> = names.cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// For people's clients: the same certificates, and no certificate is asked for.
    pub fn for_people(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Chooser>::clone(&self.shown);
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        Ok(Arc::new(config))
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    fn read(&self, all: bool) -> Vec<TlsProblem> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let mut problems = Vec::new();
        let mut changed = false;
        for pair in given.iter_mut() {
            let stamp = Some(stamp(&pair.files));
            if !all && stamp == pair.stamp {
                continue;
            }
            pair.stamp = stamp;
            match self.read_pair(&pair.files) {
                Ok(candidate) => {
                    pair.loaded = Some(candidate);
                    changed = true;
                }
                Err(problem) => problems.push(problem),
            }
        }
        if changed {
            self.show(&given);
        }
        problems
    }

    fn read_pair(&self, files: &CertificateFiles) -> Result<Arc<Candidate>, TlsProblem> {
        let problem = |file: &PathBuf, what: String| TlsProblem {
            file: file.clone(),
            what,
        };
        let chain_file = &files.chain_file;
        let key_file = &files.key_file;
        let bytes =
            read_file(chain_file).map_err(|error| problem(chain_file, error.to_string()))?;
        // The decoder passes over a section that breaks off; a file being written ends so.
        let ends = bytes.windows(END.len()).filter(|part| *part == END).count();
        let begins = bytes
            .windows(BEGIN.len())
            .filter(|part| *part == BEGIN)
            .count();
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| problem(chain_file, error.to_string()))?;
        if chain.is_empty() || ends != begins {
            return Err(problem(
                chain_file,
                "not a whole chain of certificates".to_owned(),
            ));
        }
        let bytes = read_file(key_file).map_err(|error| problem(key_file, error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(&bytes)
            .map_err(|_| problem(key_file, "not a private key".to_owned()))?;
        self.candidate(chain, key, Some(chain_file.clone()))
            .map_err(|error| problem(key_file, error.to_string()))
    }

    fn candidate(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        file: Option<PathBuf>,
    ) -> Result<Arc<Candidate>, rustls::Error> {
        let names = chain.first().map(|leaf| names_of(leaf)).unwrap_or_default();
        let key = Arc::new(CertifiedKey::from_der(chain, key, &self.provider)?);
        Ok(Arc::new(Candidate { key, names, file }))
    }
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

impl Candidate {
    /// ECDSA before RSA: it costs us a third.
    fn rank(&self) -> u8 {
        u8::from(self.key.key.algorithm() == SignatureAlgorithm::RSA)
    }

    fn is_for(&self, name: &str) -> bool {
        covers(&self.names, name)
    }
}

impl ResolvesServerCert for Chooser {
    /// By name: the admin's certificates, then our own. A client that names no host (an address
    /// is no name in SNI) or one that nothing fits gets the admin's first, else our own. Of each
    /// the first whose key the client can check.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let set = self.set.load();
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let fits = |candidate: &&Arc<Candidate>| {
            let schemes = hello.signature_schemes();
            candidate.key.key.choose_scheme(schemes).is_some()
        };
        let named =
            |candidate: &&Arc<Candidate>| name.as_ref().is_some_and(|name| candidate.is_for(name));
        let all = || set.given.iter().chain(&set.own);
        // Where nothing fits, the library finds that out and says so in its own words.
        let chosen = all()
            .filter(fits)
            .find(named)
            .or_else(|| all().find(fits))
            .or_else(|| all().next())?;
        Some(Arc::clone(&chosen.key))
    }
}

fn stamp(files: &CertificateFiles) -> Stamp {
    [&files.chain_file, &files.key_file].map(|file| {
        let meta = fs::metadata(file).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    })
}

fn read_file(file: &PathBuf) -> io::Result<Vec<u8>> {
    if fs::metadata(file)?.len() > LARGEST_FILE {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    fs::read(file)
}

/// Whether the first octets are a hello of SSL 2 (RFC 5246 appendix E.2), which no TLS library
/// of today reads.
pub(super) fn is_ssl2(first: &[u8]) -> bool {
    matches!(first, [length, _, 1, ..] if length & 0x80 != 0)
}

/// What a died handshake means to the core. `None`: the peer just went away.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library's lists are open and long; what is not named means nothing to us"
)]
pub(super) fn failure(error: &io::Error) -> Option<TlsFailure> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate => TlsFailure::ClientRejectsCertificate,
            AlertDescription::CertificateExpired => TlsFailure::ClockWrong,
            AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::HandshakeFailure => TlsFailure::TooOld,
            AlertDescription::CloseNotify | AlertDescription::UserCanceled => return None,
            _other => TlsFailure::Other,
        },
        rustls::Error::PeerIncompatible(_) => TlsFailure::TooOld,
        _other => TlsFailure::Other,
    })
}
