//! Certificates: our own CA, the vendors' anchors, and what a peer's certificate says.
//!
//! This module reads and writes `DATA/ca/` and reads `certs/`. It opens no socket, reads no
//! clock, and knows no vendor: a vendor is the name of a folder.

mod anchors;
mod authority;
mod certificate;

use std::path::PathBuf;

pub use anchors::{Anchor, AnchorProblem, Anchors};
pub use authority::{Authority, Reissued, ServerCertificate, Shown};
pub use certificate::{LONGEST_COMMON_NAME, MOST_ALTERNATIVES, names_of, read, written_name};

/// Why our own certificates are not there.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("{}: {what}", file.display())]
    Damaged { file: PathBuf, what: &'static str },
    #[error("making a certificate: {0}")]
    Generate(#[from] rcgen::Error),
    #[error("{}: {source}", file.display())]
    Io {
        file: PathBuf,
        source: std::io::Error,
    },
    /// Never replaced by a new key: devices in the field trust the old one.
    #[error("{}: the key of the own CA is gone; restore it from the backup", file.display())]
    KeyMissing { file: PathBuf },
}
