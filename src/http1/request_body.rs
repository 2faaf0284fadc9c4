//! The server side's end of a connection, and the request body that is read from it.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite};

use super::buffer::Wire;
use super::connection::Limits;
use super::framing::{Incoming, Length};
use super::timer::{Timer, Wait};
use crate::exchange::{Body, BodyError};

/// How much is read from a client at a time, which it can make wait for a handler.
const READ_BYTES: usize = 32 * 1024;

/// A client's connection: shared by what drives it and by the body of the current request.
pub struct Link<S> {
    pub wire: Wire<S>,
    pub limits: Rc<Limits>,
    pub timer: Timer,
    pub reading: Wait,
    pub writing: Wait,
    /// What is left of the current request's body.
    pub incoming: Incoming,
    /// Told apart from the bodies of earlier requests that somebody may have kept.
    request: u64,
    body_held: bool,
    /// The client waits for 100 before it sends its body (RFC 9110, 10.1.1).
    continue_owed: bool,
    /// Bytes of the current body that were read for nobody.
    discarded: u64,
}

/// Whether the rest of a request is out of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    Read,
    /// It is not worth reading, or cannot be.
    Left,
}

impl<S> Link<S>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    pub fn new(stream: S, limits: Rc<Limits>) -> Self {
        Self {
            wire: Wire::new(stream, READ_BYTES),
            limits,
            timer: Timer::default(),
            reading: Wait::default(),
            writing: Wait::default(),
            incoming: Incoming::Ended,
            request: 0,
            body_held: false,
            continue_owed: false,
            discarded: 0,
        }
    }

    /// Begins to read the body of a request. A short one that came with the head needs no stream.
    pub fn open_body(link: &Rc<RefCell<Self>>, length: Length, expects_continue: bool) -> Body {
        let this = &mut *link.borrow_mut();
        this.request += 1;
        this.discarded = 0;
        this.reading.over();
        this.incoming = Incoming::new(length, &this.limits.head);
        this.body_held = false;
        this.continue_owed = false;
        if this.incoming.has_ended() {
            return Body::Empty;
        }
        if let Some(bytes) = this.incoming.at_hand(&mut this.wire.input) {
            return Body::Full(bytes);
        }
        this.body_held = true;
        // A client that has begun to send does not wait.
        this.continue_owed = expects_continue && this.wire.input.is_empty();
        Body::stream(RequestBody {
            link: Rc::clone(link),
            request: this.request,
        })
    }

    /// From here on no interim response may be written. Whether the rest of the request body can
    /// be expected to come within bounds, so that another request can follow.
    pub fn begin_response(&mut self) -> bool {
        if std::mem::take(&mut self.continue_owed) {
            // The client may send the body or leave it out: what comes next is anyone's guess.
            self.incoming = Incoming::Broken;
        }
        match self.incoming {
            Incoming::Broken => false,
            Incoming::Exact(left) => self.body_held || left <= self.limits.unread_bytes,
            Incoming::Ended | Incoming::Chunked(_) | Incoming::UntilClose => true,
        }
    }

    /// Nobody reads the body any more.
    pub const fn abandon_body(&mut self) {
        self.request += 1;
        self.body_held = false;
    }

    /// Reads on what nobody wants, within bounds.
    pub fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Rest> {
        loop {
            if self.incoming.has_ended() {
                return Poll::Ready(Rest::Read);
            }
            if self.incoming.is_over()
                || self.continue_owed
                || self.discarded > self.limits.unread_bytes
            {
                return Poll::Ready(Rest::Left);
            }
            match ready!(self.poll_piece(context)) {
                Some(Ok(frame)) => {
                    self.discarded += frame.data_ref().map_or(0, |data| data.len() as u64);
                }
                Some(Err(_)) => return Poll::Ready(Rest::Left),
                None => {}
            }
        }
    }

    /// Ready when the client has left: there is nobody to work for. A client that closes its side
    /// after a whole request is taken to have left, unless the limits say otherwise.
    pub fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.body_held || self.limits.half_close {
            return Poll::Pending;
        }
        match self.poll_rest(context) {
            Poll::Ready(Rest::Read) => {}
            _ => return Poll::Pending,
        }
        // What came already is the next request, and this one must be answered first.
        if !self.wire.input.is_empty() {
            return Poll::Pending;
        }
        match self.wire.poll_peek(context) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) | Poll::Pending => {
                self.wire.input.settle();
                Poll::Pending
            }
        }
    }

    /// Writes everything, giving up when the client takes nothing for too long.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.wire.output.len();
        let flushed = self.wire.poll_flush(context);
        if flushed.is_ready() || self.wire.output.len() < before {
            self.writing.over();
        }
        if flushed.is_pending() {
            let bound = self.limits.body_time;
            ready!(self.writing.poll_too_long(bound, &mut self.timer, context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        flushed
    }

    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(piece) = self.incoming.poll_frame(&mut self.wire, context) {
            self.reading.over();
            return Poll::Ready(piece);
        }
        let bound = self.limits.body_time;
        ready!(self.reading.poll_too_long(bound, &mut self.timer, context));
        self.incoming = Incoming::Broken;
        Poll::Ready(Some(Err(BodyError::Timeout)))
    }
}

/// The body of a request, read from the connection only when it is asked for.
struct RequestBody<S> {
    link: Rc<RefCell<Link<S>>>,
    request: u64,
}

impl<S> http_body::Body for RequestBody<S>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let link = &mut *self.link.borrow_mut();
        if link.request != self.request {
            return Poll::Ready(Some(Err(BodyError::Incomplete)));
        }
        if std::mem::take(&mut link.continue_owed) {
            let text = link.wire.output.text();
            text.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            // Where the socket does not take it, the response's write will carry it, or fail too.
            let _later = link.wire.poll_flush(context);
        }
        link.poll_piece(context)
    }

    fn is_end_stream(&self) -> bool {
        let link = self.link.borrow();
        link.request == self.request && link.incoming.has_ended()
    }

    fn size_hint(&self) -> SizeHint {
        let link = self.link.borrow();
        match link.incoming.exact_len() {
            Some(length) if link.request == self.request => SizeHint::with_exact(length),
            _ => SizeHint::default(),
        }
    }
}

impl<S> Drop for RequestBody<S> {
    fn drop(&mut self) {
        // Never borrowed here: the body is polled and dropped by others than its own link.
        if let Ok(mut link) = self.link.try_borrow_mut()
            && link.request == self.request
        {
            link.body_held = false;
        }
    }
}
