//! What was read and not yet understood, and what is to be written: neither holds memory while idle.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::exchange::margin;

/// Size of the buffer that all connections of a thread read into.
const SCRATCH_BYTES: usize = 128 * 1024;
/// A read is never offered less room than this.
const READ_BYTES_MIN: usize = 64 * 1024;
/// How much is read of a request whose turn has not come.
const PEEK_BYTES: usize = 4 * 1024;
/// Pieces smaller than this are copied, so that a short body that waits somewhere does not keep
/// the whole scratch buffer alive.
const COPY_BYTES_MAX: usize = 1024;
/// A text buffer that grew beyond this is not kept for the next message.
const TEXT_BYTES_KEPT: usize = 64 * 1024;
/// Data up to this size is copied behind the text before it, to leave in the same write.
const INLINE_BYTES_MAX: usize = 8 * 1024;
/// With this much text waiting, it is written before more is made.
const TEXT_BYTES_MAX: usize = 16 * 1024;

thread_local! {
    static SCRATCH: Cell<Option<BytesMut>> = const { Cell::new(None) };
    static TEXT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes received and not yet consumed. Right after a read they lie in the thread's scratch
/// buffer; [`Input::settle`] moves what is left out of it.
#[derive(Default)]
pub struct Input {
    bytes: BytesMut,
    /// `bytes` is a view of the scratch buffer.
    shared: bool,
}

impl Input {
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the first `count` bytes.
    pub fn consume(&mut self, count: usize) {
        if count >= self.bytes.len() {
            self.clear();
        } else {
            self.bytes.advance(count);
        }
    }

    pub fn clear(&mut self) {
        self.bytes = BytesMut::new();
        self.shared = false;
    }

    /// The first `count` bytes, or all where there are fewer.
    pub fn take(&mut self, count: usize) -> Bytes {
        let count = count.min(self.bytes.len());
        let taken = if count < COPY_BYTES_MAX {
            let taken = Bytes::copy_from_slice(self.bytes.get(..count).unwrap_or_default());
            self.consume(count);
            return taken;
        } else {
            self.bytes.split_to(count).freeze()
        };
        if self.bytes.is_empty() {
            self.clear();
        }
        taken
    }

    /// Reads once, at most `limit` bytes. 0 is the end of the stream.
    pub fn poll_fill<S>(
        &mut self,
        stream: &mut S,
        limit: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>>
    where
        S: AsyncRead + Unpin,
    {
        let mut scratch = scratch();
        let mut room = (&mut scratch).limit(limit);
        let read = pin!(stream.read_buf(&mut room)).poll(context);
        if let Poll::Ready(Ok(1..)) = read {
            self.receive(&mut scratch);
        }
        SCRATCH.replace(Some(scratch));
        read
    }

    /// Takes what was read.
    fn receive(&mut self, scratch: &mut BytesMut) {
        if self.bytes.is_empty() {
            self.bytes = scratch.split();
            self.shared = true;
        } else {
            self.bytes.extend_from_slice(scratch);
            scratch.clear();
        }
    }

    /// To be called before a wait: what is left gets memory of its own, and the scratch buffer is
    /// free for the next connection.
    pub fn settle(&mut self) {
        if self.shared {
            self.bytes = BytesMut::from(self.bytes.as_ref());
            self.shared = false;
        }
    }

    #[cfg(any(test, fuzzing))]
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

/// The thread's scratch buffer, with room for a read. One piece of code for every kind of stream,
/// as little of which stays in the processor's cache from one read to the next.
#[inline(never)]
fn scratch() -> BytesMut {
    let mut scratch = SCRATCH.take().unwrap_or_default();
    // Where nobody holds on to what was read before, the same memory is used again from its
    // start, while it is still in the processor's cache.
    if !scratch.try_reclaim(SCRATCH_BYTES) && scratch.capacity() < READ_BYTES_MIN {
        scratch.reserve(SCRATCH_BYTES + margin::IN);
    }
    if scratch.capacity() > SCRATCH_BYTES {
        scratch.resize(margin::IN, 0);
        scratch.advance(margin::IN);
    }
    scratch
}

/// Bytes to be written: text (heads, chunk sizes, small pieces of body), then one large piece of
/// body that is not copied, then the few bytes that close it.
#[derive(Default)]
pub struct Output {
    /// Begins with [`margin::OUT`] bytes that count as written, once there is anything.
    text: Vec<u8>,
    text_done: usize,
    piece: Bytes,
    after: &'static [u8],
    /// Something was written since the stream was last flushed.
    unflushed: bool,
}

impl Output {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether more may be added before it is written.
    pub fn has_room(&self) -> bool {
        self.piece.is_empty() && self.after.is_empty() && self.text.len() < TEXT_BYTES_MAX
    }

    /// Where text is added. Only while [`Output::has_room`], for text comes before the piece.
    pub fn text(&mut self) -> &mut Vec<u8> {
        if self.text.is_empty() {
            self.text = TEXT.take();
            self.text.extend_from_slice(&[0; margin::OUT]);
            self.text_done = margin::OUT;
        }
        &mut self.text
    }

    /// Adds body data, then `after`.
    pub fn push(&mut self, data: Bytes, after: &'static [u8]) {
        if data.len() <= INLINE_BYTES_MAX {
            let text = self.text();
            text.reserve(data.len() + after.len());
            text.extend_from_slice(&data);
            text.extend_from_slice(after);
        } else {
            self.piece = data;
            self.after = after;
        }
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.text.len() - self.text_done + self.piece.len() + self.after.len()
    }

    /// Writes until nothing is left and the stream is flushed.
    pub fn poll_flush<S>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        while !self.is_empty() {
            let written = ready!(self.poll_write(stream, context))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.advance(written);
        }
        if self.unflushed {
            ready!(Pin::new(stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write<S>(&self, stream: &mut S, context: &mut Context<'_>) -> Poll<io::Result<usize>>
    where
        S: AsyncWrite + Unpin,
    {
        let text = self.text.get(self.text_done..).unwrap_or_default();
        let stream = Pin::new(stream);
        if self.piece.is_empty() && self.after.is_empty() {
            return stream.poll_write(context, text);
        }
        if stream.is_write_vectored() {
            let slices = [
                IoSlice::new(text),
                IoSlice::new(&self.piece),
                IoSlice::new(self.after),
            ];
            let skip = slices.iter().take_while(|slice| slice.is_empty()).count();
            return stream.poll_write_vectored(context, slices.get(skip..).unwrap_or_default());
        }
        let next = [text, &self.piece, self.after]
            .into_iter()
            .find(|slice| !slice.is_empty());
        stream.poll_write(context, next.unwrap_or_default())
    }

    fn advance(&mut self, mut written: usize) {
        let text = (self.text.len() - self.text_done).min(written);
        self.text_done += text;
        written -= text;
        if self.text_done == self.text.len() && self.text_done > 0 {
            self.recycle();
        }
        let piece = self.piece.len().min(written);
        if piece == self.piece.len() {
            self.piece = Bytes::new();
        } else {
            self.piece.advance(piece);
        }
        let after = (written - piece).min(self.after.len());
        self.after = self.after.get(after..).unwrap_or_default();
    }

    fn recycle(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        self.text_done = 0;
        if text.capacity() <= TEXT_BYTES_KEPT {
            text.clear();
            TEXT.set(text);
        }
    }
}

/// A stream with what was read from it and what is to be written to it.
pub struct Wire<S> {
    pub stream: S,
    pub input: Input,
    pub output: Output,
    read_bytes: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Reads take at most `read_bytes`, which bounds what waits in `input`.
    pub fn new(stream: S, read_bytes: usize) -> Self {
        Self {
            read_bytes,
            stream,
            input: Input::default(),
            output: Output::default(),
        }
    }

    /// Reads once. 0 is the end of the stream.
    pub fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input
            .poll_fill(&mut self.stream, self.read_bytes, context)
    }

    /// Reads once, to see whether there is anything: what comes has to wait, so it is little.
    pub fn poll_peek(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.poll_fill(&mut self.stream, PEEK_BYTES, context)
    }

    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(&mut self.stream, context)
    }
}
