//! A peer's certificate as [`PeerCertificate`]: parsed RDNs, bounded, nothing cut short.
//!
//! What cannot be read without doubt is `malformed` and carries no name at all, so that no
//! pattern can match a part of it (hostile-cases A12).

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::asn1_rs::Tag;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::model::certificate::{Name, PeerCertificate};
use crate::model::identity::Digest;

/// The longest common name that is taken, in characters.
pub const LONGEST_COMMON_NAME: usize = 256;
/// The longest value of any other attribute or alternative name, in characters.
const LONGEST_VALUE: usize = 1024;
/// The most attributes of a name.
const MOST_ATTRIBUTES: usize = 32;
/// The most alternative names.
pub const MOST_ALTERNATIVES: usize = 100;
/// RSA keys below are weak.
const SMALLEST_RSA: usize = 2048;
/// Signature algorithms that prove nothing any more: MD2, MD4, MD5 and SHA-1 with RSA, SHA-1
/// with DSA and with ECDSA.
const WEAK_SIGNATURES: [&str; 6] = [
    "1.2.840.113549.1.1.2",
    "1.2.840.113549.1.1.3",
    "1.2.840.113549.1.1.4",
    "1.2.840.113549.1.1.5",
    "1.2.840.10040.4.3",
    "1.2.840.10045.4.1",
];

/// What stands in a certificate, before its chain is judged.
pub(super) struct Parsed {
    pub(super) peer: PeerCertificate,
    pub(super) self_issued: bool,
    pub(super) weak: bool,
    /// Seconds since 1970, both inclusive.
    pub(super) valid: (i64, i64),
}

/// Reads the words of a certificate; its chain is not judged. `trouble` is `malformed`, or none.
pub fn read(der: &[u8]) -> PeerCertificate {
    match parse(der) {
        Some(parsed) => parsed.peer,
        None => malformed(der),
    }
}

/// The DNS names and addresses that a server's certificate is good for, lower-case.
pub fn names_of(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return Vec::new();
    };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for name in extension.value.general_names.iter().take(MOST_ALTERNATIVES) {
        if let GeneralName::DNSName(name) = name {
            names.push(name.to_ascii_lowercase());
        } else if let GeneralName::IPAddress(octets) = name {
            if let Ok(octets) = <[u8; 4]>::try_from(*octets) {
                names.push(std::net::Ipv4Addr::from(octets).to_string());
            } else if let Ok(octets) = <[u8; 16]>::try_from(*octets) {
                names.push(std::net::Ipv6Addr::from(octets).to_string());
            }
        }
    }
    names
}

/// The SHA-256 of the whole certificate.
pub(super) fn fingerprint(der: &[u8]) -> Digest {
    Digest(Sha256::digest(der).into())
}

/// A certificate that carries no name.
pub(super) fn malformed(der: &[u8]) -> PeerCertificate {
    PeerCertificate {
        subject: Name::default(),
        issuer: None,
        alternatives: Vec::new(),
        fingerprint: Some(fingerprint(der)),
        verified: Vec::new(),
        own: false,
        trouble: Some("malformed".to_owned()),
    }
}

pub(super) fn parse(der: &[u8]) -> Option<Parsed> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let subject = name(certificate.subject())?;
    let issuer = name(certificate.issuer())?;
    let mut common = subject.values("CN");
    let first = common.next();
    if common.any(|other| Some(other) != first) {
        return None;
    }
    drop(common);
    let alternatives = alternatives(&certificate)?;
    let self_issued = certificate.subject().as_raw() == certificate.issuer().as_raw();
    let weak_key = match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => key.key_size() < SMALLEST_RSA,
        Ok(PublicKey::DSA(_)) => true,
        Ok(
            PublicKey::EC(_)
            | PublicKey::GostR3410(_)
            | PublicKey::GostR3410_2012(_)
            | PublicKey::Unknown(_),
        ) => false,
        Err(_) => return None,
    };
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    let validity = certificate.validity();
    Some(Parsed {
        valid: (
            validity.not_before.timestamp(),
            validity.not_after.timestamp(),
        ),
        weak: weak_key || WEAK_SIGNATURES.contains(&algorithm.as_str()),
        self_issued,
        peer: PeerCertificate {
            subject,
            issuer: Some(issuer),
            alternatives,
            fingerprint: Some(fingerprint(der)),
            verified: Vec::new(),
            own: false,
            trouble: None,
        },
    })
}

/// Whether a certificate of the chain above the peer's own is signed or keyed weakly.
pub(super) fn weak_link(der: &CertificateDer<'_>) -> bool {
    parse(der).is_some_and(|parsed| parsed.weak && !parsed.self_issued)
}

fn name(raw: &X509Name<'_>) -> Option<Name> {
    let mut attributes = Vec::new();
    for attribute in raw.iter_rdn().flat_map(|rdn| rdn.iter()) {
        let key = key(&attribute.attr_type().to_id_string());
        let value = value(attribute)?;
        let most = if key == "CN" {
            LONGEST_COMMON_NAME
        } else {
            LONGEST_VALUE
        };
        if attributes.len() == MOST_ATTRIBUTES || value.chars().count() > most {
            return None;
        }
        attributes.push((key, value));
    }
    Some(Name(attributes))
}

/// The usual short word for an attribute type, else its dotted number.
fn key(oid: &str) -> String {
    let word = match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.41" => "name",
        "2.5.4.42" => "GN",
        "2.5.4.45" => "x500UniqueIdentifier",
        "2.5.4.46" => "dnQualifier",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "1.2.840.113549.1.9.2" => "unstructuredName",
        "1.2.840.113549.1.9.8" => "unstructuredAddress",
        other => other,
    };
    word.to_owned()
}

/// The text of a value by its own encoding, whole or not at all. A BMPString is UTF-16 (X.690
/// 8.23.8), so its zero octets are no NULs; a NUL in the decoded text is refused in every form.
fn value(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let octets = attribute.as_slice();
    let tag = attribute.attr_value().tag();
    let text = if tag == Tag::BmpString {
        let (pairs, odd) = octets.as_chunks::<2>();
        if !odd.is_empty() {
            return None;
        }
        let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .ok()?
    } else if tag == Tag::TeletexString {
        octets.iter().map(|octet| char::from(*octet)).collect()
    } else if [
        Tag::Utf8String,
        Tag::PrintableString,
        Tag::Ia5String,
        Tag::NumericString,
        Tag::VisibleString,
    ]
    .contains(&tag)
    {
        String::from_utf8(octets.to_vec()).ok()?
    } else {
        return None;
    };
    (!text.chars().any(char::is_control)).then_some(text)
}

fn alternatives(certificate: &X509Certificate<'_>) -> Option<Vec<String>> {
    let Some(extension) = certificate.subject_alternative_name().ok()? else {
        return Some(Vec::new());
    };
    let names = &extension.value.general_names;
    if names.len() > MOST_ALTERNATIVES {
        return None;
    }
    let mut texts = Vec::new();
    for name in names {
        if let GeneralName::Invalid(..) = name {
            return None;
        }
        if let GeneralName::DNSName(text) | GeneralName::URI(text) = name {
            if text.len() > LONGEST_VALUE || !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
                return None;
            }
            texts.push((*text).to_owned());
        }
    }
    Some(texts)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::string::BmpString;
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType};

    use super::*;

    fn made(values: &[(DnType, DnValue)], alternatives: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in values {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params.subject_alt_names = alternatives;
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn common(text: &str) -> Vec<u8> {
        made(&[(DnType::CommonName, text.into())], Vec::new())
    }

    #[test]
    fn a12_names_are_whole_or_nothing() {
        fn check(der: &[u8], expect: Option<&str>) {
            let peer = read(der);
            let names: Vec<_> = peer.subject.values("CN").collect();
            assert_eq!(names.first().copied(), expect);
            assert_eq!(peer.trouble.is_some(), expect.is_none());
            assert_eq!(peer.trouble.is_some(), peer.subject.0.is_empty());
        }
        check(&common("00:15:65:aa:bb:cc"), Some("00:15:65:aa:bb:cc"));
        let wide = BmpString::try_from("001565AABBCC").unwrap();
        let wide = made(
            &[(DnType::CommonName, DnValue::BmpString(wide))],
            Vec::new(),
        );
        check(&wide, Some("001565AABBCC"));
        check(&common("001565aabbcc\0"), None);
        check(&common("001565aabbcc\0.evil.example"), None);
        check(
            &common(&"x".repeat(LONGEST_COMMON_NAME)),
            Some(&"x".repeat(LONGEST_COMMON_NAME)),
        );
        check(&common(&"x".repeat(LONGEST_COMMON_NAME + 1)), None);
        check(&common(&"x".repeat(64 * 1024)), None);
        // Two common names: rcgen keeps one of a kind, so one is written as a number.
        let second = DnType::CustomDnType(vec![2, 5, 4, 3]);
        let two = |other: &str| {
            made(
                &[
                    (DnType::CommonName, "001565aabbcc".into()),
                    (second.clone(), other.into()),
                ],
                Vec::new(),
            )
        };
        check(&two("001565aabbcd"), None);
        check(&two("001565aabbcc"), Some("001565aabbcc"));
    }

    #[test]
    fn attributes_keep_their_order_and_alternatives_their_kind() {
        let der = made(
            &[
                (DnType::OrganizationName, "Acme, Inc.".into()),
                (DnType::StateOrProvinceName, "02005e005301".into()),
                (DnType::CustomDnType(vec![2, 5, 4, 5]), "SN1".into()),
                (DnType::CustomDnType(vec![1, 2, 3, 4]), "odd".into()),
            ],
            vec![
                SanType::DnsName("a.example".try_into().unwrap()),
                SanType::URI("MAC:001565aabbcc".try_into().unwrap()),
                SanType::IpAddress("192.0.2.1".parse().unwrap()),
            ],
        );
        let peer = read(&der);
        let keys: Vec<_> = peer.subject.0.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["O", "ST", "serialNumber", "1.2.3.4"]);
        assert_eq!(
            peer.subject.values("S").collect::<Vec<_>>(),
            ["02005e005301"]
        );
        assert_eq!(peer.alternatives, ["a.example", "MAC:001565aabbcc"]);
        assert_eq!(names_of(&der), ["a.example", "192.0.2.1"]);
        let many =
            (0..=MOST_ALTERNATIVES).map(|n| SanType::DnsName(format!("{n}.x").try_into().unwrap()));
        assert_eq!(
            read(&made(&[], many.collect())).trouble.as_deref(),
            Some("malformed")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_malformed(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let peer = read(&bytes);
            prop_assert_eq!(peer.trouble.as_deref(), Some("malformed"));
        }

        #[test]
        fn a_changed_octet_never_panics(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            static DER: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| common("001565aabbcc"));
            let mut der = DER.clone();
            let at = at.index(der.len());
            der[at] = to;
            drop(read(&der));
        }
    }
}
