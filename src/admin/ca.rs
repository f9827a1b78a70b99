//! The vendors' anchors: taken only with a fingerprint that a person has from the vendor.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};

use super::device_fields::find_vendor;
use super::{Actor, Admin, Ask, Code, FieldError, Problem};
use crate::hub::Hub;
use crate::model::identity::Digest;
use crate::store::{Batch, Write};

/// An anchor as it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The vendor's folder name.
    pub vendor: String,
    pub fingerprint: Digest,
    /// The certificate.
    pub der: Vec<u8>,
}

impl Admin {
    /// Takes a certificate as a vendor's anchor. Whoever calls reloads the anchors afterwards.
    pub async fn trust(
        &self,
        actor: &Actor,
        vendor: &str,
        pem: &str,
        fingerprint: &str,
        ask: &Ask,
    ) -> Result<Taken, Problem> {
        let lens = self.lens().await?;
        let mut errors = Vec::new();
        let vendor = find_vendor(&lens, vendor).map_err(|error| errors.push(error));
        let der = certificate(pem).map_err(|error| errors.push(error));
        let said = said(fingerprint).map_err(|error| errors.push(error));
        if let (Ok(der), Ok(said)) = (&der, &said) {
            let found = Digest(Sha256::digest(der).into());
            if found != *said {
                let what = format!("the certificate has the fingerprint {found}");
                errors.push(
                    FieldError::new("fingerprint", Code::FingerprintMismatch, what)
                        .hint("ask the vendor for the right certificate, or for its fingerprint"),
                );
            }
        }
        Problem::unless_clean(errors)?;
        let (Ok(vendor), Ok(der), Ok(fingerprint)) = (vendor, der, said) else {
            return Err(Problem::new(
                Code::Internal,
                "an anchor was read and not taken",
            ));
        };
        let taken = Taken {
            vendor: vendor.id.clone(),
            fingerprint,
            der,
        };
        if !ask.dry_run {
            let subject = format!("vendor {}", taken.vendor);
            let writes = vec![
                Write::PutAnchor {
                    vendor: taken.vendor.clone(),
                    der: taken.der.clone(),
                },
                self.audit(actor, "ca.trust", subject, taken.fingerprint.to_string()),
            ];
            let hub: &Hub = self.hub();
            hub.store.commit(Batch::now(writes)).await?;
        }
        Ok(taken)
    }
}

/// The one certificate of a PEM text, which must be able to be an anchor.
fn certificate(pem: &str) -> Result<Vec<u8>, FieldError> {
    let wrong = |what: &str| FieldError::new("pem", Code::PemInvalid, what);
    let mut all = CertificateDer::pem_slice_iter(pem.as_bytes());
    let first = all.next();
    let Some(Ok(der)) = first else {
        return Err(wrong("there is no certificate in it that can be read"));
    };
    if all.next().is_some() {
        return Err(wrong(
            "there are several certificates in it: give one at a time",
        ));
    }
    RootCertStore::empty()
        .add(der.clone())
        .map_err(|error| wrong(&format!("it cannot be an anchor: {error}")))?;
    Ok(der.to_vec())
}

/// A SHA-256 fingerprint as people write it: with or without `sha256:`, colons and blanks.
fn said(text: &str) -> Result<Digest, FieldError> {
    let bare: String = text
        .trim()
        .to_lowercase()
        .chars()
        .filter(|ch| !ch.is_whitespace())
        .collect();
    let bare = bare
        .trim_start_matches("sha256:")
        .trim_start_matches("sha256=")
        .trim_start_matches("sha-256:")
        .replace(':', "");
    Digest::parse(&bare).ok_or_else(|| {
        let what = "a SHA-256 fingerprint has 64 hexadecimal digits";
        FieldError::new("fingerprint", Code::FingerprintMismatch, what)
    })
}
