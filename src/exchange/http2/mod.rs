//! HTTP/2 on the client side, on the frames and streams of `h2`: the same seam as `http1`.

mod active;
mod cork;
mod request;
mod response;
mod streams;
#[cfg(test)]
mod tests;
mod wakes;
mod watch;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use self::active::Active;
use self::cork::{Cork, Corked};
use self::streams::{Answering, Stream, Streams};
use self::wakes::Wakes;
use self::watch::{Due, Watch};
use super::{Request, Response, boxed};

/// Bytes of a response that wait for the client to read, for each stream.
const SEND_BUFFER: usize = 256 * 1024;

/// How often streams and connection have their turn before others of the worker have theirs.
const ROUNDS: usize = 2;

/// The bounds of one HTTP/2 connection.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request head.
    pub header_bytes: usize,
    /// Fields of a request head.
    pub headers: usize,
    /// Concurrent streams.
    pub streams: u32,
    /// Between two pieces of a request body.
    pub body_time: Duration,
    /// Without any stream.
    pub idle: Duration,
}

/// Serves one connection until it ends, is idle for too long, or `drain` is done: then streams at
/// work end and no new one begins (RFC 9113, 6.8). Every request goes to `handler`; one that is
/// refused before is answered by `refuse`.
pub async fn serve<S, H, F, R>(
    io: S,
    limits: Rc<Limits>,
    drain: impl Future<Output = ()>,
    handler: H,
    refuse: R,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(Request) -> F,
    F: Future<Output = Response>,
    R: Fn(StatusCode, &'static str) -> Response,
{
    let (io, cork) = Corked::new(io);
    let opening = settings(&limits).handshake(io);
    let patience = limits.body_time.min(limits.idle);
    let Ok(opened) = tokio::time::timeout(patience, opening).await else {
        return Ok(());
    };
    let mut connection = opened.map_err(io::Error::other)?;
    cork.close();
    let watch = Watch::new(&limits, connection.ping_pong());
    let wakes = Wakes::default();
    let mut serving = Serving {
        streams: Streams::default(),
        waker: wakes.connection(),
        wakes,
        connection,
        cork,
        watch,
        active: Rc::default(),
        limits,
        handler,
        refuse,
        draining: false,
    };
    let mut drain = std::pin::pin!(drain);
    std::future::poll_fn(|context| serving.poll(context, drain.as_mut())).await
}

fn settings(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(Some(64))
        .initial_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// A connection at work, with its streams: all one task, so that what streams give at the same
/// moment goes out at once, and neither waits for a turn of the other.
struct Serving<S, H, F, R> {
    streams: Streams<F>,
    wakes: Wakes,
    /// Wakes the connection itself.
    waker: Waker,
    connection: Connection<Corked<S>, Bytes>,
    cork: Cork<S>,
    watch: Watch,
    active: Rc<Active>,
    limits: Rc<Limits>,
    handler: H,
    refuse: R,
    draining: bool,
}

impl<S, H, F, R> Serving<S, H, F, R>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(Request) -> F,
    F: Future<Output = Response>,
    R: Fn(StatusCode, &'static str) -> Response,
{
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        drain: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<io::Result<()>> {
        self.wakes.awake();
        if !self.draining && drain.poll(context).is_ready() {
            self.draining = true;
            self.close();
        }
        let polled = self.poll_all(context);
        self.wakes.sleep(context.waker());
        polled
    }

    fn poll_all(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Poll::Ready(ended) = self.poll_streams() {
                return Poll::Ready(ended);
            }
            match ready!(self.watch.poll(context, &self.active)) {
                Due::Goodbye => self.close(),
                Due::Ping => self.watch.ping(),
                Due::Stalled => return Poll::Ready(Ok(())),
                Due::Silent => {
                    self.connection.abrupt_shutdown(Reason::NO_ERROR);
                    self.waker.wake_by_ref();
                    // Once: whoever answers no ping need not read the goodbye either.
                    return match self.poll_streams() {
                        Poll::Ready(ended) => Poll::Ready(ended),
                        Poll::Pending => Poll::Ready(Ok(())),
                    };
                }
            }
        }
    }

    /// Goes on with what was woken, and sends what is ready; done when the connection is.
    fn poll_streams(&mut self) -> Poll<io::Result<()>> {
        for _ in 0..ROUNDS {
            self.streams.poll_woken(&self.wakes);
            if !self.wakes.wants_connection() {
                break;
            }
            if let Poll::Ready(ended) = self.poll_connection() {
                return Poll::Ready(ended);
            }
        }
        let context = &mut Context::from_waker(&self.waker);
        match self.cork.poll_flush(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Pending,
        }
    }

    /// Reads and writes frames, and begins the streams that have come.
    fn poll_connection(&mut self) -> Poll<io::Result<()>> {
        loop {
            self.wakes.heed_connection();
            let context = &mut Context::from_waker(&self.waker);
            match ready!(self.connection.poll_accept(context)) {
                Some(Ok((request, respond))) => self.begin(request, respond),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    fn begin(&mut self, request: http::Request<RecvStream>, respond: SendResponse<Bytes>) {
        let active = self.active.begin();
        let head_only = request.method() == Method::HEAD;
        let stream = match request::understand(request, &self.limits, &self.active) {
            Ok(understood) => Stream::Answering(Answering {
                answer: boxed::pin(|| (self.handler)(understood.request)),
                respond,
                active,
                head_only,
                owes_continue: understood.expects_continue,
            }),
            Err((status, reason)) => {
                let response = (self.refuse)(status, reason);
                match response::begin(response, head_only, respond, active) {
                    Some(sending) => Stream::Sending(sending),
                    None => return,
                }
            }
        };
        self.streams.begin(stream, &self.wakes);
    }

    /// Says goodbye: streams at work end, and no new one begins.
    fn close(&mut self) {
        self.watch.closing();
        self.connection.graceful_shutdown();
        self.waker.wake_by_ref();
    }
}

/// Runs the tasks of hyper's HTTP/2 on the worker whose connection they serve.
#[derive(Clone, Copy)]
pub(crate) struct LocalTasks;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalTasks {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
