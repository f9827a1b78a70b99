//! The client certificate in the handshake: asked for, never required, and its signature always
//! checked. Whether its chain is worth anything is judged afterwards, for each vendor
//! (`pki::Anchors`): a unit with an odd certificate still gets what a unit without one gets.

use std::sync::LazyLock;

use ::aws_lc_rs::signature::{
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    RsaParameters, UnparsedPublicKey,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
    UnixTime, alg_id,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// The most certificates above the client's own.
const DEEPEST: usize = 5;
/// The most octets of a chain.
const LARGEST: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct SignatureOnly;

impl ClientCertVerifier for SignatureOnly {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// Empty: a unit that would hold back a certificate of an issuer not named must not.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let octets = intermediates
            .iter()
            .fold(end_entity.len(), |sum, der| sum.saturating_add(der.len()));
        if intermediates.len() > DEEPEST || octets > LARGEST {
            let error = CertificateError::ApplicationVerificationFailure;
            return Err(Error::InvalidCertificate(error));
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &ALGORITHMS)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &ALGORITHMS)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }
}

/// What a handshake may be signed with: everything that rustls takes, and in TLS 1.2 also RSA
/// keys of 1024 bits, so that an old unit is connected and then found `weak`, not cut off.
static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| {
    let usual = aws_lc_rs::default_provider().signature_verification_algorithms;
    let mapping: Vec<_> = usual
        .mapping
        .iter()
        .map(|(scheme, algorithms)| {
            let algorithms = if *scheme == SignatureScheme::RSA_PKCS1_SHA256 {
                vec![SHORT_RSA_SHA256]
            } else if *scheme == SignatureScheme::RSA_PKCS1_SHA512 {
                vec![SHORT_RSA_SHA512]
            } else {
                algorithms.to_vec()
            };
            (*scheme, &*Vec::leak(algorithms))
        })
        .collect();
    // Made once in the life of the process.
    WebPkiSupportedAlgorithms {
        all: usual.all,
        mapping: Vec::leak(mapping),
    }
});

static SHORT_RSA_SHA256: &dyn SignatureVerificationAlgorithm = &ShortRsa {
    signature: alg_id::RSA_PKCS1_SHA256,
    parameters: &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
};
static SHORT_RSA_SHA512: &dyn SignatureVerificationAlgorithm = &ShortRsa {
    signature: alg_id::RSA_PKCS1_SHA512,
    parameters: &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
};

/// RSA PKCS#1 v1.5 with keys of 1024 to 8192 bits.
#[derive(Debug)]
struct ShortRsa {
    signature: AlgorithmIdentifier,
    parameters: &'static RsaParameters,
}

impl SignatureVerificationAlgorithm for ShortRsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(self.parameters, public_key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}
