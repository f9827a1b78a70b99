//! Bodies that come piece by piece: a task or a thread writes, the connection reads, and neither
//! runs ahead of the other by more than a few pieces.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::mpsc;

/// One piece, or why there are no more.
pub(crate) type Piece = Result<Bytes, io::Error>;

/// The reading end, as a body.
pub(crate) struct Streamed {
    pieces: mpsc::Receiver<Piece>,
}

impl Streamed {
    pub(crate) fn new(pieces: mpsc::Receiver<Piece>) -> Self {
        Self { pieces }
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = self.pieces.poll_recv(context);
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// The writing end, for code that writes and blocks.
pub(crate) struct Pipe {
    pieces: mpsc::Sender<Piece>,
    held: Vec<u8>,
}

/// Pieces of about this size are sent.
const PIECE: usize = 64 << 10;

impl Pipe {
    pub(crate) fn new(pieces: mpsc::Sender<Piece>) -> Self {
        Self {
            pieces,
            held: Vec::with_capacity(PIECE),
        }
    }
}

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.held, Vec::with_capacity(PIECE)));
        self.pieces
            .blocking_send(Ok(piece))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads any more"))
    }
}
