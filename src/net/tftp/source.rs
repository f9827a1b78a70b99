//! The octets of a file, block by block: at hand, or read from disk as the peer takes them.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::task::spawn_blocking;

use super::packet::{self, Mode};
use crate::answer::Body;

pub(super) enum Source {
    Memory(Bytes),
    Disk(Disk),
}

/// A file of which a stretch is in memory.
pub(super) struct Disk {
    file: Arc<File>,
    length: u64,
    held: Vec<u8>,
    /// Where in the file `held` begins.
    at: u64,
}

/// Why a body cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsendable {
    /// Firmware is no text: as netascii it would arrive broken.
    #[error("a file from disk is sent in octet mode only")]
    Netascii,
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

impl Source {
    pub(super) async fn open(body: Body, mode: Mode) -> Result<Self, Unsendable> {
        match (body, mode) {
            (Body::Bytes(bytes), Mode::Octet) => Ok(Self::Memory(bytes)),
            (Body::Bytes(bytes), Mode::Netascii) => {
                Ok(Self::Memory(packet::netascii(&bytes).into()))
            }
            (Body::Disk { .. }, Mode::Netascii) => Err(Unsendable::Netascii),
            (Body::Disk { path, length }, Mode::Octet) => {
                Ok(Self::Disk(Disk::open(path, length).await?))
            }
        }
    }

    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Disk(disk) => disk.length,
        }
    }

    /// Brings the octets `from..to` into memory, and what follows them to `chunk` octets.
    pub(super) async fn hold(&mut self, from: u64, to: u64, chunk: usize) -> io::Result<()> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Disk(disk) if disk.holds(from, to) => Ok(()),
            Self::Disk(disk) => disk.read(from, to, chunk).await,
        }
    }

    /// Octets `from..to`, as far as they are in memory.
    pub(super) fn part(&self, from: u64, to: u64) -> &[u8] {
        let (held, at): (&[u8], u64) = match self {
            Self::Memory(bytes) => (bytes, 0),
            Self::Disk(disk) => (&disk.held, disk.at),
        };
        let place = |offset: u64| usize::try_from(offset.saturating_sub(at)).ok();
        let (Some(from), Some(to)) = (place(from), place(to)) else {
            return &[];
        };
        held.get(from..to.min(held.len())).unwrap_or_default()
    }
}

impl Disk {
    async fn open(path: PathBuf, length: u64) -> io::Result<Self> {
        let opened = spawn_blocking(move || {
            let file = File::open(path)?;
            let long_enough = file.metadata()?.len() >= length;
            long_enough
                .then_some(file)
                .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        });
        let file: io::Result<File> = opened.await.map_err(io::Error::other)?;
        Ok(Self {
            file: Arc::new(file?),
            length,
            held: Vec::new(),
            at: 0,
        })
    }

    fn holds(&self, from: u64, to: u64) -> bool {
        let held = u64::try_from(self.held.len()).unwrap_or(0);
        self.at <= from && to <= self.at.saturating_add(held)
    }

    async fn read(&mut self, from: u64, to: u64, chunk: usize) -> io::Result<()> {
        let chunk = u64::try_from(chunk).unwrap_or(u64::MAX);
        let most = (to - from).max(chunk).min(self.length.saturating_sub(from));
        let size = usize::try_from(most).map_err(io::Error::other)?;
        self.held.resize(size, 0);
        self.at = from;
        if is_cached(&self.file, &mut self.held, from) {
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        let file = Arc::clone(&self.file);
        let read = spawn_blocking(move || {
            file.read_exact_at(&mut held, from)?;
            Ok(held)
        });
        let read: io::Result<Vec<u8>> = read.await.map_err(io::Error::other)?;
        self.held = read?;
        Ok(())
    }
}

/// Fills `octets` if the system has all of them in memory, so that no thread has to wait for a disk:
/// firmware that a fleet reads is there after its first reader.
fn is_cached(file: &File, octets: &mut [u8], from: u64) -> bool {
    let whole = octets.len();
    let read = preadv2(
        file,
        &mut [IoSliceMut::new(octets)],
        from,
        ReadWriteFlags::NOWAIT,
    );
    read == Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wait<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(work)
    }

    #[test]
    fn a_file_that_became_shorter_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        std::fs::write(&path, [1; 1000]).unwrap();
        let body = |length| Body::Disk {
            path: path.clone(),
            length,
        };
        let open = |length, mode| wait(Source::open(body(length), mode));
        assert!(matches!(
            open(1001, Mode::Octet),
            Err(Unsendable::Unreadable(_))
        ));
        assert!(matches!(
            open(1000, Mode::Netascii),
            Err(Unsendable::Netascii)
        ));
        let mut source = open(1000, Mode::Octet).unwrap();
        std::fs::write(&path, [1; 10]).unwrap();
        assert!(wait(source.hold(0, 512, 32)).is_err());
    }

    #[test]
    fn netascii_has_a_length_of_its_own() {
        let body = Body::Bytes(Bytes::from_static(b"a\nb\n"));
        let source = wait(Source::open(body, Mode::Netascii)).unwrap();
        assert_eq!(
            (source.length(), source.part(0, 9)),
            (6, &b"a\r\nb\r\n"[..])
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn any_stretch_is_the_file_s(
            stretches in proptest::collection::vec((0_u64..100_000, 0_u64..9000), 1..20),
            chunk in 1_usize..20_000,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.bin");
            let octets: Vec<u8> = (0..100_000_u32).flat_map(|n| n.to_be_bytes()).take(100_000).collect();
            std::fs::write(&path, &octets).unwrap();
            let body = Body::Disk { path, length: 100_000 };
            let mut source = wait(Source::open(body, Mode::Octet)).unwrap();
            for (from, size) in stretches {
                let to = (from + size).min(100_000);
                wait(source.hold(from, to, chunk)).unwrap();
                let expect = &octets[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()];
                prop_assert_eq!(source.part(from, to), expect);
            }
        }
    }
}
