//! Our own CA and the server certificates that it signs, kept under `DATA/ca/`.
//!
//! The CA is made once and never again: devices in the field trust it. The server certificates
//! are made anew whenever the names change. Everything is valid from 2015 on, so that a unit
//! whose clock stands at its day of manufacture passes, and to 2049, the last year that every
//! reader of UTCTime understands (RFC 5280 section 4.1.2.5).

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::PkiError;
use super::certificate::{fingerprint, names_of, parse};
use crate::model::identity::Digest;

/// Our own CA, able to sign.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// A server certificate with its key.
pub struct ServerCertificate {
    /// The certificate alone: devices hold the CA, or trust nothing of ours.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// Whether server certificates had to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reissued {
    Kept,
    Made,
}

/// What people may see of our CA.
#[derive(Clone, Debug)]
pub struct Shown {
    pub pem: String,
    pub fingerprint: Digest,
    /// The CA's common name.
    pub name: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
}

/// The kinds of key that servers need: phones without RSA are rare, gear without ECDSA is not.
#[derive(Clone, Copy)]
enum Kind {
    Ecdsa,
    Rsa,
}

impl Authority {
    /// Opens the CA in `folder`, or makes it (P-256) when neither key nor certificate is there.
    pub fn open(folder: &Path) -> Result<Self, PkiError> {
        make_folder(folder)?;
        let key_file = folder.join("ca.key");
        let file = folder.join("ca.pem");
        let key = match (read(&key_file)?, file.exists()) {
            (Some(pem), _) => KeyPair::from_pem(&pem).map_err(|_| PkiError::Damaged {
                file: key_file,
                what: "not a private key",
            })?,
            (None, true) => return Err(PkiError::KeyMissing { file: key_file }),
            (None, false) => {
                let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
                write(&key_file, key.serialize_pem().as_bytes())?;
                key
            }
        };
        // A crash between the two files leaves a key without a certificate: nobody has seen it.
        let pem = match read(&file)? {
            Some(pem) => pem,
            None => {
                let pem = ca_params(&key)?.self_signed(&key)?.pem();
                write(&file, pem.as_bytes())?;
                pem
            }
        };
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| PkiError::Damaged {
                file: file.clone(),
                what: "not a certificate",
            })?;
        let matches = X509Certificate::from_der(&certificate)
            .is_ok_and(|(_, ca)| ca.public_key().subject_public_key.data == key.public_key_raw());
        if !matches {
            return Err(PkiError::Damaged {
                file,
                what: "does not belong to ca.key",
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
            issuer: Issuer::from_ca_cert_der(&certificate, key)?,
            certificate,
            pem,
        })
    }

    /// The CA's certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The CA's certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// For `ca show`.
    pub fn show(&self) -> Shown {
        let parsed = parse(&self.certificate);
        let at = |second: Option<i64>| {
            second
                .and_then(|second| Timestamp::from_second(second).ok())
                .unwrap_or(Timestamp::UNIX_EPOCH)
        };
        Shown {
            pem: self.pem.clone(),
            fingerprint: fingerprint(&self.certificate),
            not_before: at(parsed.as_ref().map(|parsed| parsed.valid.0)),
            not_after: at(parsed.as_ref().map(|parsed| parsed.valid.1)),
            name: parsed
                .and_then(|parsed| parsed.peer.subject.values("CN").next().map(str::to_owned))
                .unwrap_or_default(),
        }
    }

    /// The server certificates, P-256 first, then RSA-2048, for exactly these host names and
    /// addresses; those on disk where they fit, else new ones.
    pub fn servers(
        &self,
        names: &[String],
    ) -> Result<(Vec<ServerCertificate>, Reissued), PkiError> {
        let mut names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        names.sort();
        names.dedup();
        let mut servers = Vec::new();
        let mut reissued = Reissued::Kept;
        for kind in [Kind::Ecdsa, Kind::Rsa] {
            let server = match self.kept(kind, &names) {
                Some(server) => server,
                None => {
                    reissued = Reissued::Made;
                    self.make(kind, &names)?
                }
            };
            servers.push(server);
        }
        Ok((servers, reissued))
    }

    /// What is on disk, if it has these names, our CA's mark and its own key.
    fn kept(&self, kind: Kind, names: &[String]) -> Option<ServerCertificate> {
        let (file, key_file) = self.files(kind);
        let pem = fs::read(file).ok()?;
        let chain = vec![CertificateDer::from_pem_slice(&pem).ok()?];
        let leaf = chain.first()?;
        let mut held = names_of(leaf);
        held.sort();
        let key_pem = fs::read_to_string(key_file).ok()?;
        let key = KeyPair::from_pem(&key_pem).ok()?;
        let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
        let ours = parsed.iter_extensions().any(|extension| {
            matches!(
                extension.parsed_extension(),
                ParsedExtension::AuthorityKeyIdentifier(issuer)
                    if issuer.key_identifier.as_ref().is_some_and(|id| Some(id.0) == self.key_id().as_deref())
            )
        });
        let fits = held == names
            && ours
            && parsed.public_key().subject_public_key.data == key.public_key_raw();
        fits.then_some(())?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).ok()?;
        Some(ServerCertificate { chain, key })
    }

    fn make(&self, kind: Kind, names: &[String]) -> Result<ServerCertificate, PkiError> {
        let key = KeyPair::generate_for(match kind {
            Kind::Ecdsa => &rcgen::PKCS_ECDSA_P256_SHA256,
            Kind::Rsa => &rcgen::PKCS_RSA_SHA256,
        })?;
        let mut params = CertificateParams::new(names.to_vec())?;
        valid(&mut params);
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = names.first().map_or("dialtone", String::as_str);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = match kind {
            Kind::Ecdsa => vec![KeyUsagePurpose::DigitalSignature],
            Kind::Rsa => vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyEncipherment,
            ],
        };
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let (file, key_file) = self.files(kind);
        write(&key_file, key.serialize_pem().as_bytes())?;
        write(&file, certificate.pem().as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).map_err(|_| {
            PkiError::Damaged {
                file: key_file,
                what: "not a private key",
            }
        })?;
        Ok(ServerCertificate {
            chain: vec![certificate.der().clone()],
            key,
        })
    }

    fn files(&self, kind: Kind) -> (PathBuf, PathBuf) {
        let stem = match kind {
            Kind::Ecdsa => "server-ecdsa",
            Kind::Rsa => "server-rsa",
        };
        let folder = &self.folder;
        (
            folder.join(format!("{stem}.pem")),
            folder.join(format!("{stem}.key")),
        )
    }

    /// The CA's subject key identifier.
    fn key_id(&self) -> Option<Vec<u8>> {
        let (_, ca) = X509Certificate::from_der(&self.certificate).ok()?;
        ca.iter_extensions().find_map(|extension| {
            if let ParsedExtension::SubjectKeyIdentifier(id) = extension.parsed_extension() {
                Some(id.0.to_vec())
            } else {
                None
            }
        })
    }
}

fn ca_params(key: &KeyPair) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(Vec::new())?;
    valid(&mut params);
    // Two installations in one trust list must not look alike.
    let mark = fingerprint(key.public_key_raw()).to_string();
    let mark: String = mark.chars().skip("sha256:".len()).take(8).collect();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("dialtone CA {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2015, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
}

fn make_folder(folder: &Path) -> Result<(), PkiError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| PkiError::Io {
            file: folder.to_owned(),
            source,
        })
}

fn read(file: &Path) -> Result<Option<String>, PkiError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PkiError::Io {
            file: file.to_owned(),
            source,
        }),
    }
}

/// Writes whole or not at all, 0400, durable before it returns.
fn write(file: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    let io = |source| PkiError::Io {
        file: file.to_owned(),
        source,
    };
    let fresh = file.with_added_extension("new");
    if let Err(error) = fs::remove_file(&fresh)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(io(error));
    }
    let mut to = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(&fresh)
        .map_err(io)?;
    to.write_all(bytes).map_err(io)?;
    to.sync_all().map_err(io)?;
    fs::rename(&fresh, file).map_err(io)?;
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_ca_is_made_once_and_servers_follow_the_names() {
        let folder = tempfile::tempdir().unwrap();
        let tls = folder.path().join("tls");
        let authority = Authority::open(&tls).unwrap();
        let shown = authority.show();
        assert_eq!(shown.not_before.to_string(), "2015-01-01T00:00:00Z");
        assert!(shown.name.starts_with("dialtone CA "), "{}", shown.name);
        let (servers, reissued) = authority
            .servers(&names(&["B.test", "192.0.2.1", "b.test"]))
            .unwrap();
        assert_eq!(reissued, Reissued::Made);
        let mut held = names_of(&servers[0].chain[0]);
        held.sort();
        assert_eq!(held, ["192.0.2.1", "b.test"]);
        let first = servers[1].chain[0].clone();

        let again = Authority::open(&tls).unwrap();
        assert_eq!(again.certificate(), authority.certificate());
        let (servers, reissued) = again.servers(&names(&["192.0.2.1", "b.test"])).unwrap();
        assert_eq!((reissued, &servers[1].chain[0]), (Reissued::Kept, &first));
        let (servers, reissued) = again.servers(&names(&["c.test"])).unwrap();
        assert_eq!(reissued, Reissued::Made);
        assert_ne!(servers[1].chain[0], first);

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&tls), 0o700);
        for entry in fs::read_dir(&tls).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o400, "{}", path.display());
        }
    }

    #[test]
    fn servers_of_another_ca_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path()).unwrap();
        authority.servers(&names(&["a.test"])).unwrap();
        for file in ["ca.pem", "ca.key"] {
            fs::remove_file(folder.path().join(file)).unwrap();
        }
        let other = Authority::open(folder.path()).unwrap();
        assert_eq!(
            other.servers(&names(&["a.test"])).unwrap().1,
            Reissued::Made
        );
    }

    #[test]
    fn a_lost_key_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        drop(Authority::open(folder.path()).unwrap());
        fs::remove_file(folder.path().join("ca.key")).unwrap();
        assert!(matches!(
            Authority::open(folder.path()),
            Err(PkiError::KeyMissing { .. })
        ));
        // A certificate alone that was lost is made again from the key.
        let folder = tempfile::tempdir().unwrap();
        drop(Authority::open(folder.path()).unwrap());
        fs::remove_file(folder.path().join("ca.pem")).unwrap();
        assert!(Authority::open(folder.path()).is_ok());
        fs::remove_file(folder.path().join("ca.pem")).unwrap();
        fs::write(folder.path().join("ca.pem"), "half").unwrap();
        assert!(matches!(
            Authority::open(folder.path()),
            Err(PkiError::Damaged { .. })
        ));
    }
}
