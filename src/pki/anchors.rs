//! Vendors' anchors and the judgement on a chain.
//!
//! An anchor counts only with its origin: a `SOURCE` file beside it that names its SHA-256
//! fingerprint (trust.md section 1), or a record in the store that a person confirmed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, RootCertStore};

use super::certificate::{fingerprint, malformed, parse, weak_link};
use crate::model::certificate::{Name, PeerCertificate};
use crate::model::identity::Digest;

/// The largest file that is read as a certificate.
const LARGEST_FILE: u64 = 1024 * 1024;

/// One anchor that is loaded.
#[derive(Clone, Debug)]
pub struct Anchor {
    /// The vendor's folder name.
    pub vendor: String,
    pub subject: Name,
    pub fingerprint: Digest,
    pub not_after: Timestamp,
    /// The file, or `store`.
    pub from: String,
}

/// Why a file under `certs/` was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorProblem {
    pub file: PathBuf,
    pub what: String,
}

/// Immutable: a reload builds a new one.
#[derive(Debug, Default)]
pub struct Anchors {
    vendors: BTreeMap<String, Judge>,
    own: Option<Judge>,
    listed: Vec<Anchor>,
}

#[derive(Debug)]
struct Judge(Arc<dyn ClientCertVerifier>);

/// What one judge said.
enum Verdict {
    Verified,
    /// It would be, at another time.
    Expired,
    NotYetValid,
    BadSignature,
    NoAnchor,
}

impl Anchors {
    /// Reads `certs/<vendor>/*.{pem,crt,der,cer}` and adds `stored`, pairs of a vendor and a DER
    /// certificate. `own` is our own CA. A folder that is not there is an empty one.
    pub fn load(
        folder: &Path,
        stored: &[(String, Vec<u8>)],
        own: Option<&[u8]>,
    ) -> (Self, Vec<AnchorProblem>) {
        let (files, mut problems) = Self::files(folder);
        let (anchors, more) = Self::from_files(&files, stored, own);
        problems.extend(more);
        (anchors, problems)
    }

    /// As [`Anchors::load`], from files that were read; the folder that a file lies in is its
    /// vendor.
    pub fn from_files(
        files: &BTreeMap<PathBuf, Vec<u8>>,
        stored: &[(String, Vec<u8>)],
        own: Option<&[u8]>,
    ) -> (Self, Vec<AnchorProblem>) {
        let mut problems = Vec::new();
        let mut found: Vec<(String, Vec<u8>, String)> = Vec::new();
        for (file, bytes) in files {
            read_anchor(file, bytes, files, &mut found, &mut problems);
        }
        for (vendor, der) in stored {
            found.push((vendor.clone(), der.clone(), "store".to_owned()));
        }
        let mut anchors = Self::default();
        let mut roots: BTreeMap<String, RootCertStore> = BTreeMap::new();
        for (vendor, der, from) in found {
            let Some(parsed) = parse(&der) else {
                problems.push(AnchorProblem::new(
                    &from,
                    "not a certificate that can be read",
                ));
                continue;
            };
            let store = roots
                .entry(vendor.clone())
                .or_insert_with(RootCertStore::empty);
            if let Err(error) = store.add(CertificateDer::from_slice(&der)) {
                problems.push(AnchorProblem::new(&from, &format!("no anchor: {error}")));
                continue;
            }
            anchors.listed.push(Anchor {
                vendor,
                subject: parsed.peer.subject,
                fingerprint: fingerprint(&der),
                not_after: Timestamp::from_second(parsed.valid.1).unwrap_or(Timestamp::MAX),
                from,
            });
        }
        for (vendor, store) in roots {
            if let Some(judge) = Judge::new(store) {
                anchors.vendors.insert(vendor, judge);
            }
        }
        if let Some(der) = own {
            let mut store = RootCertStore::empty();
            match store.add(CertificateDer::from_slice(der)) {
                Ok(()) => anchors.own = Judge::new(store),
                Err(error) => problems.push(AnchorProblem::new("own CA", &error.to_string())),
            }
        }
        (anchors, problems)
    }

    /// The files of every vendor's folder that are certificates or say where one is from.
    pub fn files(folder: &Path) -> (BTreeMap<PathBuf, Vec<u8>>, Vec<AnchorProblem>) {
        let mut files = BTreeMap::new();
        let mut problems = Vec::new();
        let hidden = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
        };
        for vendor in sorted(folder) {
            if !vendor.is_dir() || hidden(&vendor) {
                continue;
            }
            for file in sorted(&vendor) {
                if file.is_file() && (is_certificate(&file) || is_source(&file)) {
                    match read_file(&file) {
                        Ok(bytes) => drop(files.insert(file, bytes)),
                        Err(what) => problems.push(AnchorProblem::new(&file, &what)),
                    }
                }
            }
        }
        (files, problems)
    }

    /// What is loaded, by vendor.
    pub fn listed(&self) -> &[Anchor] {
        &self.listed
    }

    /// Whether this vendor has an anchor, so that its units can reach L3.
    pub fn has(&self, vendor: &str) -> bool {
        self.vendors.contains_key(vendor)
    }

    /// Says what the certificate that a peer proved to hold is worth at `now`. `chain` is as
    /// sent, the peer's own first. `None` where it is empty.
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Option<PeerCertificate> {
        let (leaf, above) = chain.split_first()?;
        let Some(parsed) = parse(leaf) else {
            return Some(malformed(leaf));
        };
        let mut peer = parsed.peer;
        if parsed.weak || above.iter().any(weak_link) {
            peer.trouble = Some("weak".to_owned());
            return Some(peer);
        }
        let mut trouble = if parsed.self_issued {
            Verdict::BadSignature
        } else {
            Verdict::NoAnchor
        };
        let mut seen = |verdict: Verdict| match verdict {
            Verdict::Verified => true,
            Verdict::Expired | Verdict::NotYetValid | Verdict::BadSignature => {
                trouble = verdict;
                false
            }
            Verdict::NoAnchor => false,
        };
        for (vendor, judge) in &self.vendors {
            if seen(judge.verdict(leaf, above, now, parsed.valid)) {
                peer.verified.push(vendor.clone());
            }
        }
        if let Some(judge) = &self.own {
            peer.own = seen(judge.verdict(leaf, above, now, parsed.valid));
        }
        if peer.verified.is_empty() && !peer.own {
            let code = match trouble {
                _ if parsed.self_issued => "self-signed",
                Verdict::Expired => "expired",
                Verdict::NotYetValid => "not-yet-valid",
                Verdict::BadSignature => "bad-signature",
                Verdict::NoAnchor | Verdict::Verified => "no-anchor",
            };
            peer.trouble = Some(code.to_owned());
        }
        Some(peer)
    }
}

impl AnchorProblem {
    fn new(file: impl AsRef<Path>, what: &str) -> Self {
        Self {
            file: file.as_ref().to_owned(),
            what: what.to_owned(),
        }
    }
}

impl Judge {
    fn new(roots: RootCertStore) -> Option<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .ok()
            .map(Self)
    }

    /// The path is searched at `now`, and where the clock is what fails, once more inside the
    /// certificate's own validity: a stranger's expired certificate is a stranger's. A missing
    /// `extKeyUsage` is accepted, as factory certificates often have none.
    fn verdict(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: Timestamp,
        (from, to): (i64, i64),
    ) -> Verdict {
        let now = now.as_second();
        match self.check(leaf, above, now) {
            Ok(()) => Verdict::Verified,
            Err(rustls::Error::InvalidCertificate(error)) => {
                if error == CertificateError::BadSignature {
                    return Verdict::BadSignature;
                }
                let expired = matches!(
                    error,
                    CertificateError::Expired | CertificateError::ExpiredContext { .. }
                );
                let early = matches!(
                    error,
                    CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }
                );
                // An issuer may be the one that is out of time: both ends are tried.
                let inside = (expired || early)
                    && [from, to]
                        .into_iter()
                        .any(|at| self.check(leaf, above, at).is_ok());
                match inside {
                    true if expired => Verdict::Expired,
                    true => Verdict::NotYetValid,
                    false => Verdict::NoAnchor,
                }
            }
            Err(_) => Verdict::NoAnchor,
        }
    }

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        at: i64,
    ) -> Result<(), rustls::Error> {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at).unwrap_or(0)));
        self.0.verify_client_cert(leaf, above, at).map(drop)
    }
}

/// The entries of a folder by name; none where it cannot be read.
fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

fn read_file(file: &Path) -> Result<Vec<u8>, String> {
    let size = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if size > LARGEST_FILE {
        return Err("larger than 1 MiB".to_owned());
    }
    fs::read(file).map_err(|error| error.to_string())
}

fn is_certificate(file: &Path) -> bool {
    let kind = file.extension().unwrap_or_default().to_string_lossy();
    ["pem", "crt", "der", "cer"].contains(&kind.as_ref())
}

fn is_source(file: &Path) -> bool {
    let is = |part: Option<&std::ffi::OsStr>| part.is_some_and(|part| part == "SOURCE");
    is(file.file_name()) || is(file.extension())
}

fn read_anchor(
    file: &Path,
    bytes: &[u8],
    files: &BTreeMap<PathBuf, Vec<u8>>,
    found: &mut Vec<(String, Vec<u8>, String)>,
    problems: &mut Vec<AnchorProblem>,
) {
    let folder = file.parent();
    let Some(vendor) = folder.and_then(Path::file_name) else {
        return;
    };
    if !is_certificate(file) {
        return;
    }
    let beside = files.get(&file.with_added_extension("SOURCE"));
    let source = beside.or_else(|| files.get(&file.with_file_name("SOURCE")));
    let source = String::from_utf8_lossy(source.map_or(&[], Vec::as_slice));
    match certificates(bytes) {
        Err(what) => problems.push(AnchorProblem::new(file, &what)),
        Ok(certificates) => {
            for der in certificates {
                let digest = fingerprint(&der);
                if names_digest(&source, digest) {
                    let vendor = vendor.to_string_lossy().into_owned();
                    found.push((vendor, der, file.display().to_string()));
                } else {
                    let what = format!("not loaded: no SOURCE beside it names {digest}");
                    problems.push(AnchorProblem::new(file, &what));
                }
            }
        }
    }
}

fn certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    if bytes.starts_with(b"\x30") {
        return Ok(vec![bytes.to_vec()]);
    }
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes)
        .map(|item| item.map(|der| der.to_vec()))
        .collect();
    let certificates = certificates.map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    Ok(certificates)
}

/// Whether a text names a digest, in either case, with or without colons or blanks.
fn names_digest(source: &str, digest: Digest) -> bool {
    let wanted = digest.to_string().replace("sha256:", "");
    source.lines().any(|line| {
        let hex: String = line
            .chars()
            .filter(|ch| ch.is_ascii_hexdigit())
            .map(|ch| ch.to_ascii_lowercase())
            .collect();
        hex.contains(&wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(name: &str) -> rcgen::Certificate {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .self_signed(&rcgen::KeyPair::generate().unwrap())
            .unwrap()
    }

    #[test]
    fn an_anchor_without_its_source_is_not_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let vendor = folder.path().join("acme");
        fs::create_dir(&vendor).unwrap();
        let (one, two) = (root("one"), root("two"));
        fs::write(vendor.join("one.pem"), one.pem()).unwrap();
        fs::write(vendor.join("two.der"), two.der()).unwrap();
        fs::write(vendor.join("README.md"), "how to get it").unwrap();
        fs::write(vendor.join("junk.pem"), "junk").unwrap();
        let (anchors, problems) = Anchors::load(folder.path(), &[], None);
        assert_eq!((anchors.listed().len(), problems.len()), (0, 3));
        assert!(!anchors.has("acme"));

        let hex: Vec<String> = fingerprint(one.der())
            .0
            .iter()
            .map(|octet| format!("{octet:02X}"))
            .collect();
        let text = format!("from a test\nSHA-256 Fingerprint={}\n", hex.join(":"));
        fs::write(vendor.join("SOURCE"), text).unwrap();
        let beside = fingerprint(two.der()).to_string();
        fs::write(vendor.join("two.der.SOURCE"), beside).unwrap();
        let stored = [("other".to_owned(), root("three").der().to_vec())];
        let (anchors, problems) = Anchors::load(folder.path(), &stored, None);
        assert_eq!(
            (anchors.listed().len(), problems.len()),
            (3, 1),
            "{problems:?}"
        );
        assert!(anchors.has("acme") && anchors.has("other"));
        let names: Vec<_> = anchors
            .listed()
            .iter()
            .flat_map(|anchor| anchor.subject.values("CN"))
            .collect();
        assert_eq!(names, ["one", "two", "three"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_empty_one() {
        let (anchors, problems) = Anchors::load(Path::new("/nonexistent/certs"), &[], None);
        assert!(anchors.listed().is_empty() && problems.is_empty());
        let now = Timestamp::UNIX_EPOCH;
        assert!(anchors.judge(&[], now).is_none());
        let junk = anchors.judge(&[CertificateDer::from_slice(b"junk")], now);
        assert_eq!(junk.unwrap().trouble.as_deref(), Some("malformed"));
    }
}
