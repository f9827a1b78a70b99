//! Backup: every row as it stood at one moment, with the key files and our own CA, in one stream.
//!
//! ```text
//! "dialtone-backup\n"  version u16
//! frames: kind u8, length u32, content       (numbers big-endian)
//!   h  format of the rows u32, time of the backup i64 (seconds since 1970), engine (text)
//!   r  rows: length of key u32, length of value u32, key, value; again and again
//!   f  a file: mode u32, length of path u32, path below the data folder, content
//!   e  the end: rows u64, files u64, SHA-256 of every octet before this frame
//! ```
//! Rows are logical, so a backup of one engine is restored into another. It holds the keys: the file
//! is for its owner alone. Nothing is encrypted yet (that is part 3).

use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::Store;
use super::engine::Row;
use super::error::StoreError;
use super::snapshot::Snapshot;
use super::writer::{Core, Message};

/// The format of rows in a backup, whatever the folder's is.
const FORMAT: u32 = 1;
pub(crate) const MAGIC: &[u8; 16] = b"dialtone-backup\n";
/// Version of this layout.
pub(crate) const VERSION: u16 = 1;
/// Rows are gathered into frames of about this size.
const FRAME: usize = 64 << 10;
/// No frame is longer: one file or one row with room to spare.
const LONGEST: u32 = 32 << 20;
/// Rows taken from the snapshot at once.
const STRETCH: usize = 512;

/// Why a backup was not made, or is not restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    #[error("this is no backup of dialtone")]
    NoBackup,
    #[error("the backup ends too early, so it is not used at all")]
    Truncated,
    #[error("the backup is damaged or was changed ({what}), so it is not used at all")]
    Damaged { what: String },
    #[error(
        "the backup has {what} {found}, and this dialtone knows up to {known}: restore it with the newer dialtone"
    )]
    Newer {
        what: &'static str,
        found: u32,
        known: u32,
    },
    /// The rows of the backup contradict each other.
    #[error("the backup restores to a store with {found} problems ({first}), so it is not used")]
    Unsound { found: u64, first: String },
    #[error("{doing} {file}: {why}")]
    Io {
        doing: &'static str,
        file: PathBuf,
        why: String,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    pub(crate) fn io(doing: &'static str, file: &Path, error: &std::io::Error) -> Self {
        Self::Io {
            doing,
            file: file.to_owned(),
            why: error.to_string(),
        }
    }

    pub(crate) fn damaged(what: &str) -> Self {
        Self::Damaged {
            what: what.to_owned(),
        }
    }
}

/// What a backup holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Seconds since 1970.
    pub made_at: i64,
    /// The engine that the rows came from.
    pub engine: String,
    pub rows: u64,
    /// Paths below the data folder.
    pub files: Vec<PathBuf>,
}

impl Store {
    /// Writes a backup while the store goes on being written. `files` are paths below `data`: the
    /// keys (`Keys::files`) and the own CA. Gives the writer back, flushed.
    pub async fn backup<W: Write + Send + 'static>(
        &self,
        data: &Path,
        files: Vec<PathBuf>,
        now: Timestamp,
        out: W,
    ) -> Result<(W, Summary), BackupError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Snapshot(reply))?;
        let snapshot = answer.await.map_err(|_| StoreError::Closed)?;
        let core = self.core_shared();
        let data = data.to_owned();
        let work = move || write(&core, &snapshot, &data, &files, now, out);
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Closed.into()),
        }
    }
}

fn write<W: Write>(
    core: &Arc<Core>,
    snapshot: &Snapshot,
    data: &Path,
    files: &[PathBuf],
    now: Timestamp,
    out: W,
) -> Result<(W, Summary), BackupError> {
    let engine = core.home.kind().as_str();
    let mut out = Frames::new(out)?;
    let mut header = FORMAT.to_be_bytes().to_vec();
    header.extend_from_slice(&now.as_second().to_be_bytes());
    header.extend_from_slice(engine.as_bytes());
    out.frame(b'h', &[&header])?;
    let mut summary = Summary {
        made_at: now.as_second(),
        engine: engine.to_owned(),
        ..Summary::default()
    };
    let mut frame = Vec::with_capacity(FRAME * 2);
    loop {
        let rows = snapshot.next(&core.engine, STRETCH)?;
        if rows.is_empty() {
            break;
        }
        for (key, value) in rows {
            frame.extend_from_slice(&length(key.len())?.to_be_bytes());
            frame.extend_from_slice(&length(value.len())?.to_be_bytes());
            frame.extend_from_slice(&key);
            frame.extend_from_slice(&value);
            summary.rows += 1;
            if frame.len() >= FRAME {
                out.frame(b'r', &[&frame])?;
                frame.clear();
            }
        }
    }
    out.frame(b'r', &[&frame])?;
    for file in files {
        add_file(&mut out, data, file)?;
        summary.files.push(file.clone());
    }
    let digest = out.digest();
    let files = u64::try_from(summary.files.len()).unwrap_or(u64::MAX);
    let counts = [summary.rows.to_be_bytes(), files.to_be_bytes()].concat();
    out.frame(b'e', &[&counts, &digest])?;
    Ok((out.finish()?, summary))
}

fn add_file<W: Write>(out: &mut Frames<W>, data: &Path, file: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::MetadataExt as _;
    let path = data.join(file);
    let name = inside(file).ok_or_else(|| BackupError::damaged("a file that is not below DATA"))?;
    let read = || -> std::io::Result<(u32, Zeroizing<Vec<u8>>)> {
        let mode = std::fs::metadata(&path)?.mode() & 0o777;
        Ok((mode, Zeroizing::new(std::fs::read(&path)?)))
    };
    let (mode, content) = read().map_err(|error| BackupError::io("read", &path, &error))?;
    let (mode, length) = (mode.to_be_bytes(), length(name.len())?.to_be_bytes());
    out.frame(b'f', &[&mode, &length, name.as_bytes(), &content])
}

/// A path below the data folder, as text: plain names, none hidden.
pub(crate) fn inside(path: &Path) -> Option<&str> {
    let plain = |part: Component<'_>| match part {
        Component::Normal(name) => name.to_str().is_some_and(|name| !name.starts_with('.')),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            false
        }
    };
    let text = path.to_str()?;
    let clean = !text.is_empty() && !text.contains("//") && !text.ends_with('/');
    (clean && path.components().all(plain)).then_some(text)
}

fn length(length: usize) -> Result<u32, BackupError> {
    u32::try_from(length)
        .ok()
        .filter(|length| *length <= LONGEST)
        .ok_or_else(|| BackupError::damaged("a row or file that is too long"))
}

/// Writes frames and hashes what it writes.
struct Frames<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> Frames<W> {
    fn new(out: W) -> Result<Self, BackupError> {
        let mut frames = Self {
            out,
            hash: Sha256::new(),
        };
        frames.put(MAGIC)?;
        frames.put(&VERSION.to_be_bytes())?;
        Ok(frames)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.hash.update(bytes);
        self.out
            .write_all(bytes)
            .map_err(|error| BackupError::io("write", Path::new("the backup"), &error))
    }

    fn frame(&mut self, kind: u8, parts: &[&[u8]]) -> Result<(), BackupError> {
        let all = length(parts.iter().map(|part| part.len()).sum())?;
        self.put(&[kind])?;
        self.put(&all.to_be_bytes())?;
        parts.iter().try_for_each(|part| self.put(part))
    }

    fn digest(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    fn finish(mut self) -> Result<W, BackupError> {
        let flushed = self.out.flush();
        flushed.map_err(|error| BackupError::io("write", Path::new("the backup"), &error))?;
        Ok(self.out)
    }
}

/// What a frame holds.
pub(crate) enum Part {
    Rows(Vec<Row>),
    File {
        path: PathBuf,
        mode: u32,
        content: Zeroizing<Vec<u8>>,
    },
}

/// Reads a backup to its end, and gives each part to `take`. Comes back without an error only if
/// every octet is as it was written; `take` must not believe anything before that.
pub(crate) fn read(
    input: impl Read,
    mut take: impl FnMut(Part) -> Result<(), BackupError>,
) -> Result<Summary, BackupError> {
    let mut input = Input {
        input,
        hash: Sha256::new(),
    };
    if input.exactly::<16>().ok().as_ref() != Some(MAGIC) {
        return Err(BackupError::NoBackup);
    }
    known(
        "layout",
        u32::from(u16::from_be_bytes(input.exactly()?)),
        VERSION.into(),
    )?;
    let mut summary = Summary::default();
    let mut begun = false;
    loop {
        let before: [u8; 32] = input.hash.clone().finalize().into();
        let [kind] = input.exactly()?;
        let length = u32::from_be_bytes(input.exactly()?);
        if length > LONGEST {
            return Err(BackupError::damaged("a frame that is too long"));
        }
        let frame = input.many(length)?;
        match (kind, begun) {
            (b'h', false) => {
                header(&frame, &mut summary)?;
                begun = true;
            }
            (b'r', true) => {
                let rows = rows(&frame)?;
                summary.rows += u64::try_from(rows.len()).unwrap_or(u64::MAX);
                take(Part::Rows(rows))?;
            }
            (b'f', true) => {
                let part = file(&frame)?;
                if let Part::File { path, .. } = &part {
                    summary.files.push(path.clone());
                }
                take(part)?;
            }
            (b'e', true) => {
                end(&frame, &summary, &before)?;
                return input.nothing_more().map(|()| summary);
            }
            (_, _) => return Err(BackupError::damaged("a part of no known kind")),
        }
    }
}

fn known(what: &'static str, found: u32, known: u32) -> Result<(), BackupError> {
    if found > known {
        return Err(BackupError::Newer { what, found, known });
    }
    Ok(())
}

fn header(frame: &[u8], summary: &mut Summary) -> Result<(), BackupError> {
    let bad = || BackupError::damaged("its header");
    let (format, rest) = frame.split_first_chunk().ok_or_else(bad)?;
    let (made_at, engine) = rest.split_first_chunk().ok_or_else(bad)?;
    known("format", u32::from_be_bytes(*format), FORMAT)?;
    summary.made_at = i64::from_be_bytes(*made_at);
    summary.engine = String::from_utf8(engine.to_vec()).map_err(|_| bad())?;
    Ok(())
}

fn rows(mut frame: &[u8]) -> Result<Vec<Row>, BackupError> {
    let mut rows = Vec::new();
    while !frame.is_empty() {
        let (row, rest) = row(frame).ok_or_else(|| BackupError::damaged("a row"))?;
        rows.push(row);
        frame = rest;
    }
    Ok(rows)
}

fn row(frame: &[u8]) -> Option<(Row, &[u8])> {
    let (key, rest) = frame.split_first_chunk()?;
    let (value, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*key)).ok()?)?;
    let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*value)).ok()?)?;
    Some(((key.to_vec(), value.to_vec()), rest))
}

fn file(frame: &[u8]) -> Result<Part, BackupError> {
    let take = || {
        let (mode, rest) = frame.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (path, content) = rest.split_at_checked(length)?;
        let path = PathBuf::from(std::str::from_utf8(path).ok()?);
        inside(&path)?;
        Some(Part::File {
            path,
            mode: u32::from_be_bytes(*mode),
            content: Zeroizing::new(content.to_vec()),
        })
    };
    take().ok_or_else(|| BackupError::damaged("a file"))
}

fn end(frame: &[u8], summary: &Summary, digest: &[u8; 32]) -> Result<(), BackupError> {
    let files = u64::try_from(summary.files.len()).unwrap_or(u64::MAX);
    let counts = [summary.rows.to_be_bytes(), files.to_be_bytes()].concat();
    let sum = frame.strip_prefix(counts.as_slice());
    if sum == Some(digest.as_slice()) {
        Ok(())
    } else {
        Err(BackupError::damaged("its checksum does not fit"))
    }
}

struct Input<R> {
    input: R,
    hash: Sha256,
}

impl<R: Read> Input<R> {
    fn exactly<const N: usize>(&mut self) -> Result<[u8; N], BackupError> {
        let mut bytes = [0; N];
        self.input
            .read_exact(&mut bytes)
            .map_err(|error| told(&error))?;
        self.hash.update(bytes);
        Ok(bytes)
    }

    /// Grows with what is there, not with what is promised.
    fn many(&mut self, length: u32) -> Result<Zeroizing<Vec<u8>>, BackupError> {
        let mut bytes = Zeroizing::new(Vec::new());
        let read = (&mut self.input)
            .take(length.into())
            .read_to_end(&mut bytes)
            .map_err(|error| told(&error))?;
        if u32::try_from(read).ok() != Some(length) {
            return Err(BackupError::Truncated);
        }
        self.hash.update(&*bytes);
        Ok(bytes)
    }

    fn nothing_more(&mut self) -> Result<(), BackupError> {
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(BackupError::damaged("something behind its end")),
            Err(error) => Err(told(&error)),
        }
    }
}

fn told(error: &std::io::Error) -> BackupError {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        BackupError::Truncated
    } else {
        BackupError::io("read", Path::new("the backup"), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_plain_paths_are_taken() {
        for good in ["keys/site.key", "ca/own.pem", "a"] {
            assert!(inside(Path::new(good)).is_some(), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            ".ssh/key",
            "a/.b",
            "./a",
        ] {
            assert!(inside(Path::new(bad)).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut whole = MAGIC.to_vec();
            whole.extend_from_slice(&VERSION.to_be_bytes());
            whole.extend_from_slice(&bytes);
            prop_assert!(read(bytes.as_slice(), |_| Ok(())).is_err());
            prop_assert!(read(whole.as_slice(), |_| Ok(())).is_err());
        }
    }
}
