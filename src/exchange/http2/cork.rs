//! Gathers the frames that streams give at the same moment, so that they go out in one write.
//!
//! `h2` flushes after each frame of a body. Behind TLS each flush is a record of its own and a call
//! of the system, which cost more than the frame itself.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::exchange::margin;

/// What is gathered at most: a TLS record (RFC 8446, 5.1).
const GATHERED_MAX: usize = 16 * 1024;

/// A piece that is worth a write of its own.
const LARGE: usize = 8 * 1024;

thread_local! {
    /// Room to gather in, for each connection while it has something to write.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The transport as `h2` sees it.
pub(super) struct Corked<S>(Rc<RefCell<Output<S>>>);

/// The connection's hold on the same transport: it says when to write.
pub(super) struct Cork<S>(Rc<RefCell<Output<S>>>);

struct Output<S> {
    io: S,
    /// Begins with [`margin::OUT`] bytes that count as written, once there is anything.
    gathered: Vec<u8>,
    /// Of these, how many are written.
    written: usize,
    /// Whether the transport holds something that it was not told to flush.
    unflushed: bool,
    /// Whether a flush waits for the connection's word.
    corked: bool,
}

impl<S> Corked<S> {
    pub fn new(io: S) -> (Self, Cork<S>) {
        let output = Rc::new(RefCell::new(Output {
            io,
            gathered: Vec::new(),
            written: 0,
            unflushed: false,
            corked: false,
        }));
        (Self(Rc::clone(&output)), Cork(output))
    }
}

impl<S: AsyncWrite + Unpin> Cork<S> {
    /// From now on a flush does nothing: [`Cork::poll_flush`] does.
    pub fn close(&self) {
        self.0.borrow_mut().corked = true;
    }

    /// Writes what was gathered.
    pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_flushed(context)
    }
}

impl<S: AsyncWrite + Unpin> Output<S> {
    /// Hands what was gathered to the transport.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.gathered.get(self.written..) {
            let count = ready!(Pin::new(&mut self.io).poll_write(context, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.unflushed = true;
        }
        if self.written > 0 {
            self.written = 0;
            let mut room = std::mem::take(&mut self.gathered);
            room.clear();
            ROOM.set(room);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flushed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_written(context))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes `pieces`, of `len` bytes together.
    fn poll_take(
        &mut self,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
        len: usize,
    ) -> Poll<io::Result<usize>> {
        if self.gathered.len() + len > GATHERED_MAX + margin::OUT {
            ready!(self.poll_written(context))?;
        }
        if self.gathered.is_empty() && len >= LARGE {
            self.unflushed = true;
            return Pin::new(&mut self.io).poll_write_vectored(context, pieces);
        }
        if self.gathered.is_empty() {
            self.gathered = ROOM.take();
            self.gathered.reserve(GATHERED_MAX + margin::OUT);
            self.gathered.extend_from_slice(&[0; margin::OUT]);
            self.written = margin::OUT;
        }
        for piece in pieces {
            self.gathered.extend_from_slice(piece);
        }
        Poll::Ready(Ok(len))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Corked<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().io).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        piece: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut output = self.0.borrow_mut();
        output.poll_take(context, &[IoSlice::new(piece)], piece.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        self.0.borrow_mut().poll_take(context, pieces, len)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let output = &mut *self.0.borrow_mut();
        if output.corked {
            return Poll::Ready(Ok(()));
        }
        output.poll_flushed(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let output = &mut *self.0.borrow_mut();
        ready!(output.poll_written(context))?;
        Pin::new(&mut output.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// Notes the length of each write.
    #[derive(Default)]
    struct Writes(Vec<usize>);

    impl AsyncWrite for Writes {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
            piece: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(piece.len());
            Poll::Ready(Ok(piece.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn writes(pieces: &[usize]) -> Vec<usize> {
        let (mut corked, cork) = Corked::new(Writes::default());
        cork.close();
        for &len in pieces {
            corked.write_all(&vec![0; len]).await.unwrap();
            corked.flush().await.unwrap();
        }
        std::future::poll_fn(|context| cork.poll_flush(context))
            .await
            .unwrap();
        cork.0.borrow().io.0.clone()
    }

    #[tokio::test]
    async fn small_frames_go_out_together_and_in_order() {
        assert_eq!(writes(&[60, 2000, 60, 2000]).await, [4120]);
        assert!(writes(&[]).await.is_empty());
    }

    #[tokio::test]
    async fn no_more_is_gathered_than_a_record_holds() {
        assert_eq!(writes(&[2000; 9]).await, [16_000, 2000]);
        assert_eq!(writes(&[100, 16_393, 100]).await, [100, 16_393, 100]);
    }

    #[tokio::test]
    async fn before_the_connection_is_open_a_flush_writes() {
        let (mut corked, cork) = Corked::new(Writes::default());
        corked.write_all(b"settings").await.unwrap();
        corked.flush().await.unwrap();
        assert_eq!(cork.0.borrow().io.0, [8]);
    }
}
