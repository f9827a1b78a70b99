//! The journal: each group of changes as one frame behind the one before it, durable with one flush of
//! one file. What it holds is folded into the engine later, many groups at once.
//!
//! ```text
//! journal/00000007.log   "dtjournal1\n", number u64, end of the file before it u64, CRC-32 of these
//! frame                  "dtfr", length u32, turn u64, synced u64, CRC-32 of number, head and changes,
//!                        then the changes: key length u32, value length u32 (all bits: it goes), key, value
//! ```
//! Numbers are big-endian. `turn` counts a file's frames; `synced` is how much of the file was durable
//! when the frame was written. So an end that a power cut tore, which nobody was told about, is told
//! apart from damage: behind damage there is a frame that says that more was durable.
//!
//! A file is filled with zeros ahead of its frames: a flush has data to write then and nothing else, and
//! an fsync that is under way when the power goes cannot say "done" of blocks that no inode has yet (ext4
//! does, see docs/progress.md).

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::engine::Change;
use super::error::StoreError;
use super::home::sync_dir;

const HEAD: &[u8] = b"dtjournal1\n";
/// Octets of a file before its first frame.
const BEGIN: usize = HEAD.len() + 8 + 8 + 4;
const MARK: &[u8; 4] = b"dtfr";
/// Octets of a frame before its changes.
const FRAME: usize = 4 + 4 + 8 + 8 + 4;
/// The length of a value that is taken away.
const GONE: u32 = u32::MAX;
/// A buffer that grew beyond this is given back.
const ROOM: usize = 1 << 20;
/// Zeros that are written at once, ahead of frames.
const AHEAD: u64 = 256 << 10;

/// The file that is written to.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    number: u64,
    /// Where the next frame goes.
    end: u64,
    /// The file's length.
    filled: u64,
    synced: u64,
    turn: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Makes the file of this number behind one that ends at `before`. It is durable, and empty, when
    /// this comes back.
    pub(crate) fn begin(dir: &Path, number: u64, before: u64) -> Result<Self, StoreError> {
        let path = dir.join(format!("{number:08}.log"));
        let mut head = HEAD.to_vec();
        head.extend_from_slice(&number.to_be_bytes());
        head.extend_from_slice(&before.to_be_bytes());
        let sum = crc32fast::hash(&head);
        head.extend_from_slice(&sum.to_be_bytes());
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| StoreError::io("make", &path, &error))?;
        let end = u64::try_from(head.len()).unwrap_or_default();
        let mut journal = Self {
            path,
            file,
            number,
            end,
            filled: 0,
            synced: end,
            turn: 0,
            buffer: Vec::new(),
        };
        journal.fill(AHEAD)?;
        let headed = journal.file.write_all_at(&head, 0);
        headed
            .and_then(|()| journal.file.sync_all())
            .map_err(|error| StoreError::io("write", &journal.path, &error))?;
        sync_dir(dir)?;
        Ok(journal)
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Whether nothing was written to it.
    pub(crate) fn is_empty(&self) -> bool {
        self.turn == 0
    }

    /// Writes one group.
    pub(crate) fn append(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let too_large = || StoreError::Io {
            doing: "write to",
            file: self.path.clone(),
            why: "a group of 4 GB is too large".to_owned(),
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.resize(FRAME, 0);
        for (key, value) in changes {
            let key_length = u32::try_from(key.len()).map_err(|_| too_large())?;
            let length = match value {
                Some(value) => u32::try_from(value.len()).map_err(|_| too_large())?,
                None => GONE,
            };
            buffer.extend_from_slice(&key_length.to_be_bytes());
            buffer.extend_from_slice(&length.to_be_bytes());
            buffer.extend_from_slice(key);
            buffer.extend_from_slice(value.as_deref().map_or(&[], Vec::as_slice));
        }
        let length = u32::try_from(buffer.len() - FRAME).map_err(|_| too_large())?;
        let mut head = MARK.to_vec();
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(&self.turn.to_be_bytes());
        head.extend_from_slice(&self.synced.to_be_bytes());
        let (room, changes) = buffer.split_at_mut(FRAME);
        let sum = checksum(self.number, &head, changes);
        head.extend_from_slice(&sum.to_be_bytes());
        room.copy_from_slice(&head);
        let end = self.end + u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        if end > self.filled {
            self.fill(end)?;
            self.file
                .sync_all()
                .map_err(|error| StoreError::io("fsync", &self.path, &error))?;
        }
        self.file
            .write_all_at(&buffer, self.end)
            .map_err(|error| StoreError::io("write", &self.path, &error))?;
        self.end = end;
        self.turn += 1;
        if buffer.capacity() <= ROOM {
            self.buffer = buffer;
        }
        Ok(())
    }

    /// Writes zeros up to `end` and some way beyond.
    fn fill(&mut self, end: u64) -> Result<(), StoreError> {
        let zeros = vec![0; usize::try_from(AHEAD).unwrap_or_default()];
        while self.filled < end {
            self.file
                .write_all_at(&zeros, self.filled)
                .map_err(|error| StoreError::io("write", &self.path, &error))?;
            self.filled += AHEAD;
        }
        Ok(())
    }

    /// Makes durable what was written.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        if self.synced < self.end {
            self.file
                .sync_data()
                .map_err(|error| StoreError::io("fsync", &self.path, &error))?;
            self.synced = self.end;
        }
        Ok(())
    }
}

fn checksum(number: u64, head: &[u8], changes: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&number.to_be_bytes());
    sum.update(head);
    sum.update(changes);
    sum.finalize()
}

/// Makes the folder, in the place of what a start left that broke off before the journal counted.
pub(crate) fn make(dir: &Path) -> Result<(), StoreError> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(StoreError::io("remove", dir, &error));
        }
        Ok(()) | Err(_) => {}
    }
    std::fs::create_dir(dir).map_err(|error| StoreError::io("make", dir, &error))?;
    dir.parent().map_or(Ok(()), sync_dir)
}

/// What a journal's files hold, oldest first.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<PathBuf>,
    /// The last file's number, and its end.
    pub(crate) last: u64,
    pub(crate) end: u64,
    pub(crate) changes: Vec<Change>,
}

/// Reads all files of a journal.
pub(crate) fn read(dir: &Path) -> Result<Found, StoreError> {
    let damaged = |file: &Path, what: &str| StoreError::Corrupt {
        file: file.to_owned(),
        what: what.to_owned(),
    };
    let mut files = files(dir)?;
    let mut found = Found::default();
    // A file whose making was broken off: nothing is written before its beginning is durable.
    if let Some((number, path)) = files.last() {
        let bytes = std::fs::read(path).map_err(|error| StoreError::io("read", path, &error))?;
        if before(&bytes, *number).is_none() {
            if behind(&bytes, *number, 0).is_some() {
                return Err(damaged(path, "its beginning is not that of a journal"));
            }
            std::fs::remove_file(path).map_err(|error| StoreError::io("remove", path, &error))?;
            sync_dir(dir)?;
            files.pop();
        }
    }
    for (number, path) in files {
        let bytes = std::fs::read(&path).map_err(|error| StoreError::io("read", &path, &error))?;
        let Some(before) = before(&bytes, number) else {
            return Err(damaged(&path, "its beginning is not that of a journal"));
        };
        if let Some(previous) = found.files.last() {
            if found.last + 1 != number {
                return Err(damaged(&path, "the file before it is gone"));
            }
            if found.end != before {
                return Err(damaged(previous, "a group of changes is damaged"));
            }
        }
        let (mut at, mut turn) = (BEGIN, 0);
        while let Some(frame) = frame(&bytes, number, at) {
            if frame.turn != turn || !take(frame.changes, &mut found.changes) {
                return Err(damaged(&path, "a group of changes cannot be read"));
            }
            at += FRAME + frame.changes.len();
            turn += 1;
        }
        found.end = u64::try_from(at).unwrap_or(u64::MAX);
        if behind(&bytes, number, at).is_some_and(|promised| promised > found.end) {
            return Err(damaged(&path, "a group of changes is damaged"));
        }
        found.last = number;
        found.files.push(path);
    }
    if found.files.is_empty() {
        return Err(damaged(dir, "its files are gone"));
    }
    Ok(found)
}

/// The files by their numbers, in order.
fn files(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let damaged = |file: &Path, what: &str| StoreError::Corrupt {
        file: file.to_owned(),
        what: what.to_owned(),
    };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(damaged(dir, "it is gone"));
        }
        Err(error) => return Err(StoreError::io("read", dir, &error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|error| StoreError::io("read", dir, &error))?
            .path();
        let number = path.file_name().and_then(|name| {
            let number = name.to_str()?.strip_suffix(".log")?;
            number.parse::<u64>().ok()
        });
        match number {
            Some(number) => files.push((number, path)),
            None => return Err(damaged(&path, "it is no file of a journal")),
        }
    }
    files.sort();
    Ok(files)
}

/// Where the file before this one ends, if this is the beginning of one of this number.
fn before(bytes: &[u8], wanted: u64) -> Option<u64> {
    let (head, sum) = bytes.get(..BEGIN)?.split_at_checked(BEGIN - 4)?;
    let mut numbers = head.strip_prefix(HEAD)?;
    let named = number::<8>(&mut numbers)? == wanted;
    let before = number::<8>(&mut numbers)?;
    (named && crc32fast::hash(head).to_be_bytes() == *sum).then_some(before)
}

/// What the whole frames behind a place say was durable when they were written: the most.
fn behind(bytes: &[u8], number: u64, at: usize) -> Option<u64> {
    let rest = bytes.get(at..)?;
    let marks = rest.windows(MARK.len()).enumerate();
    marks
        .filter(|(_, window)| window == MARK)
        .filter_map(|(from, _)| frame(bytes, number, at + from))
        .map(|frame| frame.synced)
        .max()
}

/// A whole frame.
struct Frame<'a> {
    turn: u64,
    synced: u64,
    changes: &'a [u8],
}

fn frame(bytes: &[u8], file: u64, at: usize) -> Option<Frame<'_>> {
    let rest = bytes.get(at..)?;
    let (head, rest) = rest.split_at_checked(FRAME)?;
    let (head, sum) = head.split_at_checked(FRAME - 4)?;
    let mut parts = head.strip_prefix(MARK)?;
    let length = usize::try_from(number::<4>(&mut parts)?).ok()?;
    let (turn, synced) = (number::<8>(&mut parts)?, number::<8>(&mut parts)?);
    let changes = rest.get(..length)?;
    (checksum(file, head, changes).to_be_bytes() == *sum).then_some(Frame {
        turn,
        synced,
        changes,
    })
}

/// Takes a big-endian number off the front.
fn number<const N: usize>(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(number.iter().fold(0, |n, octet| n << 8 | u64::from(*octet)))
}

/// Reads the changes of a frame; whether they are whole.
fn take(mut bytes: &[u8], changes: &mut Vec<Change>) -> bool {
    let mut one = || -> Option<Change> {
        let key = usize::try_from(number::<4>(&mut bytes)?).ok()?;
        let value = number::<4>(&mut bytes)?;
        let key = bytes.split_off(..key)?.to_vec();
        if value == u64::from(GONE) {
            return Some((key, None));
        }
        let value = bytes.split_off(..usize::try_from(value).ok()?)?.to_vec();
        Some((key, Some(Arc::new(value))))
    };
    loop {
        match one() {
            Some(change) => changes.push(change),
            None => return bytes.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(n: u8) -> Vec<Change> {
        vec![
            (vec![n, 1], Some(Arc::new(vec![n; usize::from(n)]))),
            (vec![n, 2], None),
        ]
    }

    /// Three groups, the first two durable before the third was written.
    fn written(dir: &Path) -> (PathBuf, [u64; 3]) {
        let mut journal = Journal::begin(dir, 7, 0).unwrap();
        let mut ends = [0; 3];
        for (n, end) in (1..).zip(&mut ends) {
            journal.append(&group(n)).unwrap();
            *end = journal.end;
            if n == 2 {
                journal.sync().unwrap();
            }
        }
        (journal.path().to_owned(), ends)
    }

    fn damaged(dir: &Path) -> bool {
        matches!(read(dir), Err(StoreError::Corrupt { .. }))
    }

    #[test]
    fn what_was_written_is_read_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let (_, [_, _, end]) = written(dir.path());
        let mut next = Journal::begin(dir.path(), 8, end).unwrap();
        next.append(&group(9)).unwrap();
        let found = read(dir.path()).unwrap();
        assert_eq!((found.last, found.files.len()), (8, 2));
        assert_eq!(found.changes, [1, 2, 3, 9].map(group).concat());
    }

    #[test]
    fn a_torn_end_is_cut_off_and_what_was_durable_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (path, [_, durable, end]) = written(dir.path());
        let whole = std::fs::read(&path).unwrap();
        for length in durable..end {
            let mut bytes = whole.clone();
            bytes[usize::try_from(length).unwrap()..].fill(0);
            std::fs::write(&path, bytes).unwrap();
            let found = read(dir.path()).unwrap();
            assert_eq!(found.changes, [1, 2].map(group).concat(), "{length}");
            assert_eq!(found.end, durable);
        }
        // A file behind it says where it ended.
        for (says, whole) in [(durable, true), (end, false)] {
            drop(Journal::begin(dir.path(), 8, says).unwrap());
            assert_eq!(damaged(dir.path()), !whole);
            std::fs::remove_file(dir.path().join("00000008.log")).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_not_begun_holds_nothing_and_one_that_is_gone_is_missed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, [_, _, end]) = written(dir.path());
        let next = dir.path().join("00000008.log");
        for bytes in [&b""[..], b"dtj", &[0; 1000]] {
            std::fs::write(&next, bytes).unwrap();
            let found = read(dir.path()).unwrap();
            assert_eq!((found.changes.len(), found.last), (6, 7));
            assert!(!next.exists());
        }
        let mut journal = Journal::begin(dir.path(), 8, end).unwrap();
        journal.append(&group(4)).unwrap();
        let mut bytes = std::fs::read(&next).unwrap();
        bytes[3] ^= 1;
        std::fs::write(&next, bytes).unwrap();
        assert!(damaged(dir.path()), "it has groups and no beginning");
        std::fs::remove_file(&next).unwrap();
        drop(Journal::begin(dir.path(), 9, end).unwrap());
        assert!(damaged(dir.path()), "8 is gone");
        for path in [path, dir.path().join("00000009.log")] {
            std::fs::remove_file(path).unwrap();
        }
        assert!(damaged(dir.path()), "all are gone");
        std::fs::write(dir.path().join("notes"), "").unwrap();
        assert!(damaged(dir.path()));
        assert!(damaged(&dir.path().join("none")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn damage_before_what_was_durable_is_told(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let dir = tempfile::tempdir().unwrap();
            let (path, [_, durable, end]) = written(dir.path());
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at.index(usize::try_from(end).unwrap());
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, bytes).unwrap();
            if u64::try_from(at).unwrap() < durable {
                prop_assert!(damaged(dir.path()), "octet {}", at);
            } else {
                prop_assert_eq!(read(dir.path()).unwrap().changes, [1, 2].map(group).concat());
            }
        }
    }
}
