//! The upstream side: one connection, one request at a time, driven by the task that asks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::buffer::{Input, Wire};
use super::fields::{HeadError, HeadLimits};
use super::framing::{Incoming, Length};
use super::head::{ResponseHead, ResponseParser};
use super::timer::Timer;
use super::write::{Encoding, Outgoing, write_request};
use crate::exchange::{Body, BodyError, Headers, Response, Tunnel};

/// How many interim responses (RFC 9110, 15.2) are skipped before the final one must come.
const INTERIM_MAX: usize = 8;

/// A connection to an endpoint, idle. Dropping it closes it.
pub struct Connection<S> {
    wire: Box<Wire<S>>,
    /// Kept from request to request: see [`Timer`].
    timer: Timer,
}

/// The head of a request to an upstream.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingHead<'a> {
    pub method: &'a Method,
    /// Path and query, already canonical.
    pub target: &'a str,
    /// What `Host` says: host and perhaps port.
    pub host: &'a str,
    /// Fields that frame the message or govern the connection are left out, but `te: trailers`.
    pub headers: &'a Headers,
    /// The protocols to ask a switch to.
    pub upgrade: Option<&'a str>,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendOptions {
    /// Bounds on the response's head and trailers.
    pub limits: HeadLimits,
    /// When the head of the final response must be there.
    pub until: Option<Instant>,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub struct SendError {
    pub failure: SendFailure,
    /// Whether a byte of the request may have reached the server.
    pub sent: bool,
    /// Whether a byte of a response came.
    pub received: bool,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum SendFailure {
    #[error("the server closed the connection before its response was complete")]
    Closed,
    #[error("the connection failed: {0}")]
    Io(#[source] io::Error),
    #[error("the response is malformed: {0}")]
    Malformed(&'static str),
    #[error("the response's head is larger than allowed")]
    HeadTooLarge,
    #[error("the request body failed: {0}")]
    RequestBody(#[source] BodyError),
    #[error("the response's head did not come in time")]
    Late,
}

impl SendError {
    /// Whether the connection went away before it said anything: what a server does with an idle
    /// connection it is tired of. A request that may be repeated may be sent again on another.
    pub const fn is_stale(&self) -> bool {
        !self.received && matches!(self.failure, SendFailure::Closed | SendFailure::Io(_))
    }
}

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    pub fn new(stream: S) -> Self {
        Self {
            wire: Box::new(Wire::new(stream, usize::MAX)),
            timer: Timer::default(),
        }
    }

    pub const fn stream(&self) -> &S {
        &self.wire.stream
    }

    /// Whether an idle connection may be used again: it is open, and the server has not said
    /// anything unasked. To be called on the way into a pool or out of it.
    pub fn is_reusable(&mut self) -> bool {
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.wire.stream)
            .poll_read(&mut context, &mut byte)
            .is_pending()
    }

    /// Ready when an idle connection must not be used again, so that a pool can drop it at once.
    pub fn poll_unusable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        Pin::new(&mut self.wire.stream)
            .poll_read(context, &mut byte)
            .map(|_| ())
    }

    /// Sends a request and waits for the head of its response. The response's body owns the
    /// connection and hands it to `on_idle` once both bodies have ended cleanly and the server
    /// keeps it open; in every other case it is closed. Dropping the future closes it too.
    ///
    /// The caller bounds how long it waits for each piece of the body.
    pub fn send<F>(
        self,
        head: OutgoingHead<'_>,
        body: Body,
        options: SendOptions,
        on_idle: F,
    ) -> Sending<'_, S, F>
    where
        F: FnOnce(Self) + 'static,
    {
        let encoding = Encoding::of_request(head.method, &body);
        let mut call = Call {
            wire: self.wire,
            timer: self.timer,
            sending: Outgoing::new(body, encoding),
            write_error: None,
            sent: false,
            received: false,
            incoming: Incoming::Ended,
        };
        write_request(&head, encoding, call.wire.output.text());
        Sending {
            call: Some((call, on_idle)),
            waiting: Waiting {
                method: head.method,
                upgrade: head.upgrade,
                parser: None,
                interim_left: INTERIM_MAX,
                limits: options.limits,
            },
            until: options.until,
        }
    }
}

/// A request on its way: ready once the head of its response is there. Made by
/// [`Connection::send`].
///
/// Written out, for an async function keeps its arguments twice, and every call holds one of
/// these.
pub struct Sending<'a, S, F> {
    /// None once it is over.
    call: Option<(Call<S>, F)>,
    waiting: Waiting<'a>,
    until: Option<Instant>,
}

impl<S, F> Unpin for Sending<'_, S, F> {}

impl<S, F> Future for Sending<'_, S, F>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    F: FnOnce(Connection<S>) + 'static,
{
    type Output = Result<Response, SendError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some((call, _)) = &mut this.call else {
            return Poll::Pending;
        };
        let got = match (call.poll_head(&mut this.waiting, context), this.until) {
            (Poll::Ready(got), _) => got,
            (Poll::Pending, None) => return Poll::Pending,
            (Poll::Pending, Some(until)) => {
                ready!(call.timer.poll_deadline(until, context));
                Err(SendFailure::Late)
            }
        };
        let Some((call, on_idle)) = this.call.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match got {
            Err(failure) => Err(SendError {
                failure,
                sent: call.sent,
                received: call.received,
            }),
            Ok(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                call.switched(head, this.waiting.upgrade)
            }
            Ok(head) => Ok(call.respond(head, &this.waiting.limits, on_idle)),
        })
    }
}

/// What a response's head is waited for with.
struct Waiting<'a> {
    method: &'a Method,
    /// The protocols that were asked for.
    upgrade: Option<&'a str>,
    /// Of a head that has come in part: most come whole, and need no parser but for that moment.
    parser: Option<Box<ResponseParser>>,
    interim_left: usize,
    limits: HeadLimits,
}

impl Waiting<'_> {
    /// Reads on in `input`; the head of the final response once it is complete.
    fn read(&mut self, input: &mut Input) -> Result<Option<ResponseHead>, SendFailure> {
        while !input.is_empty() {
            let mut begun = None;
            let parser = match &mut self.parser {
                Some(parser) => &mut **parser,
                None => begun.insert(ResponseParser::new(&self.limits)),
            };
            let (consumed, complete) = parser.parse(input.as_mut_slice())?;
            input.consume(consumed);
            if !complete {
                if let Some(begun) = begun {
                    self.parser = Some(Box::new(begun));
                }
                break;
            }
            let got = parser.finish(self.method)?;
            if !is_interim(got.status) {
                return Ok(Some(got));
            }
            self.parser = None;
            let left = self.interim_left.checked_sub(1);
            self.interim_left = left.ok_or(SendFailure::Malformed(
                "there are too many interim responses",
            ))?;
        }
        Ok(None)
    }
}

/// A request that was begun, with the connection it occupies.
struct Call<S> {
    wire: Box<Wire<S>>,
    timer: Timer,
    sending: Outgoing,
    write_error: Option<io::Error>,
    sent: bool,
    received: bool,
    incoming: Incoming,
}

impl<S> Call<S>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    /// Sends, and reads until the head of the final response is there, whichever comes first:
    /// a server may answer before it has read everything.
    fn poll_head(
        &mut self,
        waiting: &mut Waiting<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, SendFailure>> {
        if let Poll::Ready(Err(error)) = self.poll_send(context) {
            return Poll::Ready(Err(SendFailure::RequestBody(error)));
        }
        loop {
            self.received |= !self.wire.input.is_empty();
            if let Some(head) = waiting.read(&mut self.wire.input)? {
                return Poll::Ready(Ok(head));
            }
            let Poll::Ready(read) = self.wire.poll_fill(context) else {
                self.wire.input.settle();
                return Poll::Pending;
            };
            match read {
                Ok(1..) => {}
                Ok(0) => return Poll::Ready(Err(SendFailure::Closed)),
                // What the write said is closer to the cause.
                Err(error) => {
                    let error = self.write_error.take().unwrap_or(error);
                    return Poll::Ready(Err(SendFailure::Io(error)));
                }
            }
        }
    }

    /// Sends what can be sent. Ready once there is nothing more to send, or nothing more can be:
    /// a failed write is remembered, for the server may have answered before it closed.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        loop {
            let mut body_pending = false;
            while self.sending.is_going() && self.wire.output.has_room() && !body_pending {
                match self.sending.poll_frame(context) {
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(Some(Ok(frame))) => {
                        self.sending.encode(Some(frame), &mut self.wire.output)?;
                    }
                    Poll::Ready(None) => {
                        self.sending.encode(None, &mut self.wire.output)?;
                    }
                    Poll::Pending => body_pending = true,
                }
            }
            if self.write_error.is_some() {
                return Poll::Ready(Ok(()));
            }
            let waiting = self.wire.output.len();
            let flushed = self.wire.poll_flush(context);
            self.sent |= self.wire.output.len() < waiting;
            if let Err(error) = ready!(flushed) {
                self.write_error = Some(error);
                self.sending.stop();
                return Poll::Ready(Ok(()));
            }
            if !self.sending.is_going() {
                return Poll::Ready(Ok(()));
            }
            if body_pending {
                return Poll::Pending;
            }
        }
    }

    /// Whether the whole request was sent.
    fn is_sent(&self) -> bool {
        self.write_error.is_none() && !self.sending.is_going() && self.wire.output.is_empty()
    }

    fn respond<F>(mut self, head: ResponseHead, limits: &HeadLimits, on_idle: F) -> Response
    where
        F: FnOnce(Connection<S>) + 'static,
    {
        self.incoming = Incoming::new(head.length, limits);
        let body = match (self.incoming.at_hand(&mut self.wire.input), head.length) {
            (Some(bytes), _) => Body::Full(bytes),
            (None, Length::Withheld(length)) => Body::withheld(length),
            (None, _) => Body::Empty,
        };
        if self.incoming.has_ended() {
            if head.keep_alive {
                self.release(on_idle);
            }
            return Response::new(head.status, head.headers, body);
        }
        let body = Body::stream(ResponseBody {
            call: Some(self),
            on_idle: Some(on_idle).filter(|_| head.keep_alive),
        });
        Response::new(head.status, head.headers, body)
    }

    /// The response has ended: the connection is handed on if nothing is left over on it.
    fn release<F>(self, on_idle: F)
    where
        F: FnOnce(Connection<S>),
    {
        // Bytes after the response were not asked for: the server is out of step.
        if self.is_sent() && self.wire.input.is_empty() {
            on_idle(Connection {
                wire: self.wire,
                timer: self.timer,
            });
        }
    }

    /// RFC 9110, 7.8: only what was asked for, and only after the whole request.
    fn switched(self, mut head: ResponseHead, asked: Option<&str>) -> Result<Response, SendError> {
        let wrong = |reason| SendError {
            failure: SendFailure::Malformed(reason),
            sent: true,
            received: true,
        };
        let asked = asked.ok_or(wrong("it switches protocols unasked"))?;
        let protocol = head
            .upgrade
            .filter(|protocol| matches(protocol, asked))
            .ok_or(wrong("it switches to a protocol not asked for"))?;
        if !self.is_sent() {
            return Err(wrong("it switches protocols in the middle of the request"));
        }
        head.headers.set("upgrade", protocol.as_bytes());
        let mut response = Response::new(head.status, head.headers, Body::Empty);
        response.tunnel = Some(Tunnel(Box::pin(Switched { wire: self.wire })));
        Ok(response)
    }
}

fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Whether every protocol of `answered` is among `asked`.
fn matches(answered: &str, asked: &str) -> bool {
    answered.split(',').map(str::trim).all(|answered| {
        let mut asked = asked.split(',').map(str::trim);
        !answered.is_empty() && asked.any(|asked| asked.eq_ignore_ascii_case(answered))
    })
}

impl From<HeadError> for SendFailure {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::LineTooLong | HeadError::TooLarge | HeadError::TooMany => Self::HeadTooLarge,
            HeadError::Malformed(_)
            | HeadError::NotImplemented(_)
            | HeadError::Version
            | HeadError::Expectation => Self::Malformed(error.reason()),
        }
    }
}

/// The body of a response, with the connection it comes over and the rest of the request.
struct ResponseBody<S, F> {
    call: Option<Call<S>>,
    /// Where the connection goes; none where it must not be used again.
    on_idle: Option<F>,
}

impl<S, F> Unpin for ResponseBody<S, F> {}

impl<S, F> http_body::Body for ResponseBody<S, F>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    F: FnOnce(Connection<S>),
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(call) = &mut this.call else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(Err(error)) = call.poll_send(context) {
            this.call = None;
            return Poll::Ready(Some(Err(error)));
        }
        let frame = ready!(call.incoming.poll_frame(&mut call.wire, context));
        if call.incoming.has_ended() {
            if let (Some(call), Some(on_idle)) = (this.call.take(), this.on_idle.take()) {
                call.release(on_idle);
            }
        } else if call.incoming.is_over() {
            this.call = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.call.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.call {
            None => SizeHint::with_exact(0),
            Some(call) => call
                .incoming
                .exact_len()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// A connection after 101: what was read ahead comes first.
struct Switched<S> {
    wire: Box<Wire<S>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Switched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut *self.get_mut().wire;
        let waiting = wire.input.as_slice();
        if waiting.is_empty() {
            return Pin::new(&mut wire.stream).poll_read(context, buffer);
        }
        let count = waiting.len().min(buffer.remaining());
        buffer.put_slice(waiting.get(..count).unwrap_or_default());
        wire.input.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Switched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().wire.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().wire.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire.stream).poll_shutdown(context)
    }
}
