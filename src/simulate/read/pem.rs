//! Certificates in a file: PEM with anything around it, or one in DER.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Every certificate of the file; empty where there is none that a unit could load.
pub(in super::super) fn read(bytes: &[u8]) -> Vec<CertificateDer<'static>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .filter_map(Result::ok)
        .collect();
    if !found.is_empty() {
        return found.into_iter().filter(is_certificate).collect();
    }
    let whole = CertificateDer::from(bytes.to_vec());
    if is_certificate(&whole) {
        vec![whole]
    } else {
        Vec::new()
    }
}

/// Every certificate in the value of a setting: PEM with its line ends, or the base64 alone.
pub(in super::super) fn read_value(value: &str) -> Vec<CertificateDer<'static>> {
    if value.contains("-----") {
        return read(value.as_bytes());
    }
    let body: String = value.split_ascii_whitespace().collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    read(pem.as_bytes())
}

fn is_certificate(der: &CertificateDer<'_>) -> bool {
    x509_parser::parse_x509_certificate(der).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn a_value_needs_its_line_ends_or_no_frame() {
        let key = KeyPair::generate().unwrap();
        let pem = CertificateParams::default()
            .self_signed(&key)
            .unwrap()
            .pem();
        assert_eq!(read_value(&pem).len(), 1);
        assert!(read_value(&pem.replace(['\r', '\n'], " ")).is_empty());
        let bare: String = pem.lines().filter(|line| !line.contains("---")).collect();
        assert_eq!(read_value(&bare).len(), 1);
        assert!(read_value("").is_empty());
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
            drop(read(&bytes));
            drop(read_value(&text));
        }
    }
}
