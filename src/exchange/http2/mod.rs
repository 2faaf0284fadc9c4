//! HTTP/2 on the client side, on the frames and streams of `h2`: the same seam as `http1`.

mod active;
mod cork;
mod request;
mod response;
#[cfg(test)]
mod tests;
mod watch;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use self::active::{Active, ActiveStream};
use self::cork::{Cork, Corked};
use self::watch::{Due, Watch};
use super::{Request, Response, boxed};

/// Bytes of a response that wait for the client to read, for each stream.
const SEND_BUFFER: usize = 256 * 1024;

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
    H: Fn(Request) -> F + 'static,
    F: Future<Output = Response> + 'static,
    R: Fn(StatusCode, &'static str) -> Response + 'static,
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
    let shared = Rc::new(Shared {
        limits,
        active: Rc::new(Active::default()),
        handler,
        refuse,
    });
    let mut serving = Serving {
        connection,
        cork,
        watch,
        shared,
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

/// What the streams of a connection have in common.
struct Shared<H, R> {
    limits: Rc<Limits>,
    active: Rc<Active>,
    handler: H,
    refuse: R,
}

/// A connection at work.
struct Serving<S, H, R> {
    connection: Connection<Corked<S>, Bytes>,
    cork: Cork<S>,
    watch: Watch,
    shared: Rc<Shared<H, R>>,
    draining: bool,
}

impl<S, H, F, R> Serving<S, H, R>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(Request) -> F + 'static,
    F: Future<Output = Response> + 'static,
    R: Fn(StatusCode, &'static str) -> Response + 'static,
{
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        drain: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<io::Result<()>> {
        if !self.draining && drain.poll(context).is_ready() {
            self.draining = true;
            self.close();
        }
        loop {
            if let Poll::Ready(ended) = self.poll_streams(context) {
                return Poll::Ready(ended);
            }
            match ready!(self.watch.poll(context, &self.shared.active)) {
                Due::Goodbye => self.close(),
                Due::Ping => self.watch.ping(),
                Due::Stalled => return Poll::Ready(Ok(())),
                Due::Silent => {
                    self.connection.abrupt_shutdown(Reason::NO_ERROR);
                    // Once: whoever answers no ping need not read the goodbye either.
                    return match self.poll_streams(context) {
                        Poll::Ready(ended) => Poll::Ready(ended),
                        Poll::Pending => Poll::Ready(Ok(())),
                    };
                }
            }
        }
    }

    /// Begins the streams that have come, and sends what is ready; done when the connection is.
    fn poll_streams(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.connection.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let stream = self.shared.active.begin();
                    let shared = Rc::clone(&self.shared);
                    tokio::task::spawn_local(answer(shared, stream, request, respond));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(io::Error::other(error))),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        let busy = self.shared.active.streams() > 0;
        match self.cork.poll_flush(context, busy) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Pending,
        }
    }

    /// Says goodbye: streams at work end, and no new one begins.
    fn close(&mut self) {
        self.watch.closing();
        self.connection.graceful_shutdown();
    }
}

/// Answers one request. Given up when the client resets its stream.
async fn answer<H, F, R>(
    shared: Rc<Shared<H, R>>,
    stream: ActiveStream,
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) where
    H: Fn(Request) -> F,
    F: Future<Output = Response>,
    R: Fn(StatusCode, &'static str) -> Response,
{
    let head_only = request.method() == Method::HEAD;
    let understood = request::understand(request, &shared.limits, &shared.active);
    let response = match understood {
        Err((status, reason)) => (shared.refuse)(status, reason),
        Ok(request) => {
            // Boxed: it is large, and must not be moved as often as what holds it.
            let mut answering = boxed::pin(|| (shared.handler)(request));
            let answered = std::future::poll_fn(|context| {
                if let Poll::Ready(response) = answering.as_mut().poll(context) {
                    return Poll::Ready(Some(response));
                }
                respond.poll_reset(context).map(|_| None)
            });
            let Some(response) = answered.await else {
                return;
            };
            response
        }
    };
    response::send(response, head_only, respond, stream).await;
}

/// Runs the tasks of hyper's HTTP/2 on the worker whose connection they serve.
#[derive(Clone, Copy)]
pub(crate) struct LocalTasks;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalTasks {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
