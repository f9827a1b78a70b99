//! A peer's certificate to facts: names as parsed RDNs, never as text.
//!
//! Judging a chain against a vendor's anchors comes with the TLS listener; until then nothing here
//! is ever `verified`.

use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate, X509Name};

use crate::model::certificate::{Name, PeerCertificate};
use crate::model::identity::Digest;

/// The longest value of a name that is read, in octets.
const MOST: usize = 256;

/// Why a certificate is none that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("not one certificate in DER")]
    Der,
    #[error("a name that is too long, holds a control octet, or is no text")]
    Name,
}

/// Reads one certificate.
pub fn peer_certificate(der: &[u8]) -> Result<PeerCertificate, Malformed> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| Malformed::Der)?;
    if !rest.is_empty() {
        return Err(Malformed::Der);
    }
    let mut alternatives = Vec::new();
    for extension in certificate.extensions() {
        if let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() {
            for name in names.general_names.iter().take(32) {
                if let GeneralName::DNSName(text) | GeneralName::URI(text) = name {
                    alternatives.push((*text).to_owned());
                }
            }
        }
    }
    Ok(PeerCertificate {
        subject: name(certificate.subject())?,
        issuer: Some(name(certificate.issuer())?),
        alternatives,
        fingerprint: Some(Digest(Sha256::digest(der).into())),
        verified: Vec::new(),
        own: false,
        trouble: Some("no-anchor".to_owned()),
    })
}

fn name(parsed: &X509Name<'_>) -> Result<Name, Malformed> {
    let mut read = Name::default();
    for attribute in parsed.iter_attributes() {
        let short = match attribute.attr_type().to_id_string().as_str() {
            "2.5.4.3" => "CN",
            "2.5.4.5" => "serialNumber",
            "2.5.4.6" => "C",
            "2.5.4.7" => "L",
            "2.5.4.8" => "ST",
            "2.5.4.10" => "O",
            "2.5.4.11" => "OU",
            _ => continue,
        };
        let value = attribute.as_str().map_err(|_| Malformed::Name)?;
        if value.len() > MOST || value.chars().any(char::is_control) {
            return Err(Malformed::Name);
        }
        read.0.push((short.to_owned(), value.to_owned()));
    }
    Ok(read)
}

/// Reads a name as people write it: `OU=MODEL-1, L=88012BA01234, S=02005e005301`.
pub fn written_name(text: &str) -> Name {
    let parts = text
        .split(',')
        .filter_map(|part| part.trim().split_once('='));
    Name(
        parts
            .map(|(attribute, value)| {
                let attribute = if attribute.trim() == "S" {
                    "ST"
                } else {
                    attribute.trim()
                };
                (attribute.to_owned(), value.trim().to_owned())
            })
            .collect(),
    )
}
