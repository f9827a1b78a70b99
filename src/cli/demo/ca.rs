//! The demo's own factory CA: made for one run, kept in the demo's folder, and named `demo`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::scene::{DEMO, Planned};
use crate::catalog::manifest::{CertificateRule, Vendor};
use crate::catalog::pattern::Found;
use crate::cli::exit::Fail;
use crate::simulate::ClientCertificate;

/// A CA that signs as a vendor's manifest says that vendor's does, and that says `demo` besides.
pub(super) struct FactoryCa {
    pub(super) vendor: String,
    pub(super) file: PathBuf,
    pub(super) pem: String,
    pub(super) fingerprint: String,
    issuer: Issuer<'static, KeyPair>,
}

impl FactoryCa {
    /// Makes one and writes its certificate to `folder`; its key is in memory only.
    pub(super) fn make(vendor: &Vendor, folder: &Path) -> Result<Self, Fail> {
        let failed = |error: rcgen::Error| Fail::failed("demo", error);
        let rule = rule(vendor)?;
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params();
        name(&mut params, rule.issuer.iter())?;
        params
            .distinguished_name
            .push(DnType::OrganizationalUnitName, DEMO);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(failed)?;
        let file = folder.join(format!("{DEMO}-{}-ca.pem", vendor.id));
        let pem = certificate.pem();
        std::fs::write(&file, &pem)
            .map_err(|error| Fail::failed("demo", format!("{}: {error}", file.display())))?;
        let fingerprint = crate::pki::read(certificate.der()).fingerprint;
        Ok(Self {
            vendor: vendor.id.clone(),
            file,
            pem,
            fingerprint: fingerprint
                .map(|digest| digest.to_string())
                .unwrap_or_default(),
            issuer: Issuer::new(params, key),
        })
    }

    /// A unit's factory certificate.
    pub(super) fn sign(&self, vendor: &Vendor, unit: &Planned) -> Result<ClientCertificate, Fail> {
        let failed = |error: rcgen::Error| Fail::failed("demo", error);
        let found = Found {
            mac: Some(unit.mac),
            serial: Some(unit.serial.clone()),
            model: Some(unit.kind.model.clone()),
            ..Found::default()
        };
        let subject: Option<Vec<(&String, String)>> = rule(vendor)?
            .subject
            .iter()
            .map(|(attribute, pattern)| Some((attribute, pattern.format(&found)?)))
            .collect();
        let subject = subject.ok_or_else(|| {
            Fail::failed(
                "demo",
                "the vendor's certificates name what the demo does not know",
            )
        })?;
        let mut params = params();
        name(
            &mut params,
            subject.iter().map(|(attribute, value)| (*attribute, value)),
        )?;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes());
        Ok(ClientCertificate {
            chain: vec![CertificateDer::from(certificate.der().to_vec())],
            key: key.map_err(|error| Fail::failed("demo", format!("a key: {error}")))?,
        })
    }

    /// As [`FactoryCa::sign`], where the unit has one.
    pub(super) fn issue(
        &self,
        vendor: &Vendor,
        unit: &Planned,
    ) -> Result<Option<Arc<ClientCertificate>>, Fail> {
        match unit.kind.certificate {
            true => self.sign(vendor, unit).map(Arc::new).map(Some),
            false => Ok(None),
        }
    }
}

fn rule(vendor: &Vendor) -> Result<&CertificateRule, Fail> {
    let none = || Fail::failed("demo", format!("{} has no certificates", vendor.id));
    vendor.certificates.first().ok_or_else(none)
}

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = date_time_ymd(2015, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params
}

fn name<'a>(
    params: &mut CertificateParams,
    parts: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<(), Fail> {
    for (attribute, value) in parts {
        let kind = match attribute.as_str() {
            "CN" => DnType::CommonName,
            "O" => DnType::OrganizationName,
            "OU" => DnType::OrganizationalUnitName,
            "L" => DnType::LocalityName,
            "ST" | "S" => DnType::StateOrProvinceName,
            "C" => DnType::CountryName,
            other => {
                let what = format!("the demo makes no certificate with {other} in a name");
                return Err(Fail::failed("demo", what));
            }
        };
        params.distinguished_name.push(kind, value.as_str());
    }
    Ok(())
}
