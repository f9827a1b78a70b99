//! A response's body: octets at hand, or a file that is read as the reader takes it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::fs::File;
use tokio::io::AsyncSeekExt as _;
use tokio_util::io::poll_read_buf;

/// What is read from a file at once, and so what a transfer holds in memory.
const CHUNK: usize = 64 * 1024;

pub(crate) enum DeviceBody {
    Bytes(Bytes),
    Disk(Disk),
}

pub(crate) struct Disk {
    file: File,
    left: u64,
    buffer: BytesMut,
}

impl DeviceBody {
    pub(crate) fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }

    /// `length` octets of a file from `first` on.
    pub(crate) async fn disk(path: &std::path::Path, first: u64, length: u64) -> io::Result<Self> {
        let mut file = File::open(path).await?;
        if file.metadata().await?.len() < first.saturating_add(length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.set_max_buf_size(CHUNK);
        if first > 0 {
            file.seek(io::SeekFrom::Start(first)).await?;
        }
        Ok(Self::Disk(Disk {
            file,
            left: length,
            buffer: BytesMut::new(),
        }))
    }
}

impl http_body::Body for DeviceBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Disk(disk) => disk
                .poll_chunk(cx)
                .map(|chunk| chunk.map(|c| c.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

impl DeviceBody {
    fn left(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Disk(disk) => disk.left,
        }
    }
}

impl Disk {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.buffer.reserve(CHUNK);
        let read = ready!(poll_read_buf(
            Pin::new(&mut self.file),
            cx,
            &mut self.buffer
        ));
        Poll::Ready(Some(match read {
            // The file became shorter: the length is promised, so the transfer breaks.
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {
                let mut chunk = self.buffer.split().freeze();
                let most = usize::try_from(self.left).unwrap_or(usize::MAX);
                chunk.truncate(most);
                self.left -= u64::try_from(chunk.len()).unwrap_or(self.left);
                Ok(chunk)
            }
            Err(error) => Err(error),
        }))
    }
}
