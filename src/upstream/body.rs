//! A response body that is counted and bounded until it has ended or is dropped.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::facts::Failure;
use super::pool::Slot;
use crate::exchange::body::BodyStream;
use crate::exchange::{Body, BodyError, Headers, Known, Response, Tunnel};
use crate::http1::{Timer, Wait};

/// How long a response body may pause.
const STALL: Duration = Duration::from_mins(1);

/// How long events and gRPC messages may pause: there, silence is part of the conversation.
const SILENCE: Duration = Duration::from_hours(1);

/// One of the requests that may be at work at once; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<AtomicUsize>);

impl Permit {
    /// None when `bound` requests are at work.
    pub(super) fn take(at_work: &Arc<AtomicUsize>, bound: usize) -> Option<Self> {
        let before = at_work.fetch_add(1, Ordering::Relaxed);
        // One that is refused is taken back by its drop.
        let permit = Self(Arc::clone(at_work));
        (before < bound).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts one request to an endpoint as at work until it is dropped.
pub(super) struct AtWork(Rc<Slot>);

impl AtWork {
    pub(super) fn begin(slot: &Rc<Slot>) -> Self {
        slot.counts().begin();
        Self(Rc::clone(slot))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.counts().end();
    }
}

/// What is given back when a response has ended.
type Held = (AtWork, Option<Permit>);

/// The same response, which holds what it is counted by until its body has ended or is dropped,
/// and whose body may not stall.
pub(super) fn guarded(mut response: Response, held: Held) -> Response {
    if let Some(tunnel) = response.tunnel.take() {
        response.tunnel = Some(Tunnel(Box::pin(Counted {
            stream: tunnel.0,
            _held: held,
        })));
        return response;
    }
    // What is there already needs no watching: the request is over.
    if let Body::Stream(inner) = response.body {
        response.body = if inner.is_end_stream() {
            Body::Stream(inner)
        } else {
            Body::stream(Guarded {
                inner,
                patience: patience(&response.headers),
                wait: Wait::default(),
                timer: Timer::default(),
                held: Some(held),
            })
        };
    }
    response
}

fn patience(headers: &Headers) -> Duration {
    let kind = headers.known(Known::ContentType).unwrap_or_default();
    let long = [&b"text/event-stream"[..], b"application/grpc"];
    if long.iter().any(|start| {
        kind.get(..start.len())
            .is_some_and(|kind| kind.eq_ignore_ascii_case(start))
    }) {
        SILENCE
    } else {
        STALL
    }
}

struct Guarded {
    inner: BodyStream,
    patience: Duration,
    wait: Wait,
    timer: Timer,
    /// None once the body has ended.
    held: Option<Held>,
}

impl Guarded {
    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some((at_work, _)) = self.held.take() {
            at_work.0.counts().failed(Failure::Body);
        }
        // The connection is closed now, not when the client has taken note.
        self.inner = Box::pin(Body::Empty);
        Poll::Ready(Some(Err(error)))
    }
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = this.inner.as_mut().poll_frame(context) else {
            let (patience, timer) = (this.patience, &mut this.timer);
            ready!(this.wait.poll_too_long(patience, timer, context));
            return this.fail(BodyError::Timeout);
        };
        this.wait.over();
        match frame {
            Some(Err(error)) => this.fail(error),
            Some(Ok(frame)) => {
                if this.inner.is_end_stream() {
                    this.held = None;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                this.held = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An upgraded connection, counted until it is closed.
struct Counted {
    stream: Pin<Box<dyn crate::exchange::Duplex>>,
    _held: Held,
}

impl AsyncRead for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.get_mut().stream.as_mut().poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.get_mut().stream.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.get_mut().stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.get_mut().stream.as_mut().poll_shutdown(context)
    }
}
