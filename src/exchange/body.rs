//! The one body type: nothing, bytes in memory, or a stream with back-pressure.

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// Why a body did not arrive whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the limit allows.
    #[error("the body has more than {limit} bytes")]
    TooLarge { limit: u64 },
    /// The next bytes did not come in time.
    #[error("the body did not arrive in time")]
    Timeout,
    /// The sender went away before the end it had announced.
    #[error("the sender closed the connection before the end of the body")]
    Incomplete,
    /// The bytes break the framing rules (RFC 9112, 6 and 7).
    #[error("the body is malformed: {0}")]
    Malformed(&'static str),
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Connection(String),
}

/// A body that arrives in pieces. Not `Send`: a body lives and dies on one worker.
pub type BodyStream = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>;

/// A request or response body.
#[derive(Default)]
pub enum Body {
    #[default]
    Empty,
    /// Everything, in one piece.
    Full(Bytes),
    /// Everything, in several pieces, sent one after another.
    Parts(VecDeque<Bytes>),
    /// Pieces as they come, then perhaps trailers.
    Stream(BodyStream),
}

impl Body {
    /// A stream of pieces.
    pub fn stream(body: impl http_body::Body<Data = Bytes, Error = BodyError> + 'static) -> Self {
        Self::Stream(Box::pin(body))
    }

    /// Of an answer to HEAD: nothing, with the length that GET would bring.
    pub fn withheld(length: u64) -> Self {
        Self::stream(Withheld(length))
    }

    /// The length in bytes, where it is known before reading.
    pub fn exact_len(&self) -> Option<u64> {
        http_body::Body::size_hint(self).exact()
    }

    /// Whether nothing will come: no byte, no trailer.
    pub fn is_empty(&self) -> bool {
        http_body::Body::is_end_stream(self)
    }

    /// The next piece or trailers; none at the end.
    pub async fn next(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        std::future::poll_fn(|context| http_body::Body::poll_frame(Pin::new(&mut *self), context))
            .await
    }

    /// The same body, failing once more than `limit` bytes have come; `received` counts them.
    pub fn limited(self, limit: u64, received: &Rc<Cell<u64>>) -> Self {
        match self {
            Self::Stream(inner) => Self::stream(Limited {
                inner,
                limit,
                received: Rc::clone(received),
            }),
            whole if whole.exact_len().is_some_and(|len| len > limit) => {
                Self::stream(Refused { limit })
            }
            whole => {
                received.set(whole.exact_len().unwrap_or_default());
                whole
            }
        }
    }

    /// Reads everything into memory, at most `limit` bytes. Trailers are dropped.
    pub async fn collect(mut self, limit: u64) -> Result<Bytes, BodyError> {
        if let Self::Full(bytes) = self {
            return within(bytes, limit);
        }
        if self.exact_len().is_some_and(|len| len > limit) {
            return Err(BodyError::TooLarge { limit });
        }
        let mut first: Option<Bytes> = None;
        let mut rest: Vec<u8> = Vec::new();
        while let Some(frame) = self.next().await {
            let Ok(piece) = frame?.into_data() else {
                continue;
            };
            let so_far = first.as_ref().map_or(0, Bytes::len).max(rest.len());
            if (so_far + piece.len()) as u64 > limit {
                return Err(BodyError::TooLarge { limit });
            }
            match &first {
                None => first = Some(piece),
                // A body of one piece is never copied.
                Some(start) => {
                    if rest.is_empty() {
                        rest.reserve(start.len() + piece.len());
                        rest.extend_from_slice(start);
                    }
                    rest.extend_from_slice(&piece);
                }
            }
        }
        Ok(if rest.is_empty() {
            first.unwrap_or_default()
        } else {
            rest.into()
        })
    }
}

fn within(bytes: Bytes, limit: u64) -> Result<Bytes, BodyError> {
    if bytes.len() as u64 > limit {
        return Err(BodyError::TooLarge { limit });
    }
    Ok(bytes)
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Full(bytes)
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.exact_len() {
            Some(len) => write!(f, "Body({len} bytes)"),
            None => f.write_str("Body(streamed)"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.get_mut();
        match body {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *body = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Parts(parts) => Poll::Ready(parts.pop_front().map(|part| Ok(Frame::data(part)))),
            Self::Stream(stream) => stream.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Parts(parts) => parts.is_empty(),
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Parts(parts) => {
                SizeHint::with_exact(parts.iter().map(|part| part.len() as u64).sum())
            }
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}

/// A stream that may have at most `limit` bytes.
struct Limited {
    inner: BodyStream,
    limit: u64,
    received: Rc<Cell<u64>>,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = this.inner.as_mut().poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(piece) = frame.data_ref()
        {
            let received = this.received.get() + piece.len() as u64;
            this.received.set(received);
            if received > this.limit {
                return Poll::Ready(Some(Err(BodyError::TooLarge { limit: this.limit })));
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// See [`Body::withheld`].
struct Withheld(u64);

impl http_body::Body for Withheld {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

/// A body known to be too large before it is read.
struct Refused {
    limit: u64,
}

impl http_body::Body for Refused {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(Some(Err(BodyError::TooLarge { limit: self.limit })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(pieces: &[&'static str]) -> Body {
        Body::Parts(
            pieces
                .iter()
                .map(|piece| Bytes::from_static(piece.as_bytes()))
                .collect(),
        )
    }

    #[tokio::test]
    async fn pieces_are_joined_in_order_within_the_limit() {
        let body = parts(&["ab", "", "cd", "e"]);
        assert_eq!(body.exact_len(), Some(5));
        assert_eq!(body.collect(5).await, Ok(Bytes::from_static(b"abcde")));
        let refused = parts(&["abc", "def"]).collect(5).await;
        assert_eq!(refused, Err(BodyError::TooLarge { limit: 5 }));
        assert_eq!(Body::Empty.collect(0).await, Ok(Bytes::new()));
    }
}
