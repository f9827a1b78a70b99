//! What can go wrong in the store, as values. Every text is one line, and none holds a secret.

use std::path::{Path, PathBuf};

use crate::model::identity::DeviceId;

/// Why the store did not do what it was asked to. `Clone`, because commits that shared one flush
/// share its error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A compare-and-swap was lost, or a name fits two rows: read again.
    #[error("{what} was changed meanwhile: read it again")]
    Conflict { what: String },
    /// A unique value is another device's.
    #[error("{field} {value} belongs to device {holder}")]
    Taken {
        field: &'static str,
        value: String,
        holder: DeviceId,
    },
    /// No such row, or no store.
    #[error("there is no {what}")]
    NotFound { what: String },
    /// Less space is left than the store keeps in reserve. Reads go on.
    #[error("disk-full: the disk that holds the store is full, so nothing is written")]
    DiskFull,
    /// The folder cannot be written.
    #[error("the store folder {dir} cannot be written: {why}")]
    ReadOnly { dir: PathBuf, why: String },
    /// The folder is another user's: files that we made there would lock its owner out.
    #[error(
        "the store folder {dir} belongs to user {owner}, and this is user {ours}: run as its owner, or chown it"
    )]
    WrongOwner { dir: PathBuf, owner: u32, ours: u32 },
    /// Another process has it open.
    #[error("the store folder {dir} is in use by another process")]
    Locked { dir: PathBuf },
    /// Damage. The store is never started empty in its place.
    #[error(
        "{file} is damaged ({what}): nothing was changed; bring the last backup back with `dialtone restore FILE`"
    )]
    Corrupt { file: PathBuf, what: String },
    /// A later dialtone wrote it.
    #[error(
        "the store has format {found}, and this dialtone knows formats up to {known}: start the newer dialtone, or restore a backup made by this one"
    )]
    Newer { found: u32, known: u32 },
    /// The folder holds another engine's files.
    #[error(
        "the store in {dir} was made by {found}, and the configuration asks for {asked}: set `[store] url` to {found}, or move it with backup and restore"
    )]
    OtherEngine {
        dir: PathBuf,
        found: String,
        asked: String,
    },
    /// The configured address of the store means nothing.
    #[error("`{url}` names no store: write `sled:FOLDER`")]
    Url { url: String },
    /// The operating system refused.
    #[error("{doing} {file}: {why}")]
    Io {
        doing: &'static str,
        file: PathBuf,
        why: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Names what the operating system refused; a full disk and a read-only one by their own name.
    pub(crate) fn io(doing: &'static str, file: &Path, error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) if code == rustix::io::Errno::NOSPC.raw_os_error() => Self::DiskFull,
            Some(code) if code == rustix::io::Errno::DQUOT.raw_os_error() => Self::DiskFull,
            Some(code)
                if [
                    rustix::io::Errno::ROFS,
                    rustix::io::Errno::ACCESS,
                    rustix::io::Errno::PERM,
                ]
                .iter()
                .any(|errno| errno.raw_os_error() == code) =>
            {
                Self::ReadOnly {
                    dir: file.to_owned(),
                    why: error.to_string(),
                }
            }
            Some(_) | None => Self::Io {
                doing,
                file: file.to_owned(),
                why: error.to_string(),
            },
        }
    }
}
