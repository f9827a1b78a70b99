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

fn is_certificate(der: &CertificateDer<'_>) -> bool {
    x509_parser::parse_x509_certificate(der).is_ok()
}
