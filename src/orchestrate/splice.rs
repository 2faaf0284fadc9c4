//! Puts a body together from pieces: small ones copied into one buffer, large ones moved.

use std::collections::VecDeque;

use bytes::Bytes;

use super::outcome::MergeError;
use crate::exchange::Body;

/// From here on a piece is sent from where it lies: copying it would cost more than one more
/// element of a vectored write.
const MOVED_FROM: usize = 64 * 1024;

/// A body that grows at its end.
pub(super) struct Splice {
    limit: usize,
    len: usize,
    buffer: Vec<u8>,
    done: VecDeque<Bytes>,
}

impl Splice {
    /// An empty body of at most `limit` bytes, with room for `expected` bytes of small pieces.
    pub(super) fn new(limit: usize, expected: usize) -> Self {
        Self {
            limit,
            len: 0,
            buffer: Vec::with_capacity(expected),
            done: VecDeque::new(),
        }
    }

    /// How much of `piece` is copied.
    pub(super) fn copied(piece: &[u8]) -> usize {
        if piece.len() < MOVED_FROM {
            piece.len()
        } else {
            0
        }
    }

    pub(super) fn text(&mut self, text: &[u8]) -> Result<(), MergeError> {
        self.grow(text.len())?;
        self.buffer.extend_from_slice(text);
        Ok(())
    }

    pub(super) fn bytes(&mut self, bytes: &Bytes) -> Result<(), MergeError> {
        if bytes.len() < MOVED_FROM {
            return self.text(bytes);
        }
        self.grow(bytes.len())?;
        self.flush();
        self.done.push_back(bytes.clone());
        Ok(())
    }

    pub(super) fn finish(mut self) -> Body {
        if self.done.is_empty() {
            return Body::from(self.buffer);
        }
        self.flush();
        Body::Parts(self.done)
    }

    fn grow(&mut self, by: usize) -> Result<(), MergeError> {
        self.len = self.len.saturating_add(by);
        if self.len > self.limit {
            return Err(MergeError::TooLarge { limit: self.limit });
        }
        Ok(())
    }

    fn flush(&mut self) {
        if !self.buffer.is_empty() {
            self.done.push_back(std::mem::take(&mut self.buffer).into());
        }
    }
}
