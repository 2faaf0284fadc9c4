//! HTTP/2 on the client side, by hyper: the same seam as `http1`.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

use super::{Body, BodyError, Finish, Head, Headers, Known, Request, Response, Version};

/// How often the peer is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

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

/// Why a request is refused before a stage sees it: a status, and a reason for the log.
type Refusal = (StatusCode, &'static str);

/// Serves one connection until it ends, is idle for too long, or `drain` is done: then streams at
/// work end and no new one begins (RFC 9113, 6.8). Every request goes to `handler`; one that is
/// refused before is answered by `refuse`.
pub async fn serve<S, H, F, R>(
    io: S,
    limits: Rc<Limits>,
    drain: impl Future<Output = ()>,
    handler: H,
    refuse: R,
) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(Request) -> F + 'static,
    F: Future<Output = Response> + 'static,
    R: Fn(StatusCode, &'static str) -> Response + 'static,
{
    let active = Rc::new(Active::default());
    let service = {
        let (limits, active) = (Rc::clone(&limits), Rc::clone(&active));
        let answer = Rc::new((handler, refuse));
        hyper::service::service_fn(move |request| {
            let stream = ActiveStream::begin(&active);
            let (limits, answer) = (Rc::clone(&limits), Rc::clone(&answer));
            async move {
                let (handler, refuse) = &*answer;
                let head_only = request.method() == http::Method::HEAD;
                let response = match understand(request, &limits) {
                    Ok(request) => handler(request).await,
                    Err((status, reason)) => refuse(status, reason),
                };
                Ok::<_, Infallible>(put(response, head_only, stream))
            }
        })
    };
    let connection = hyper::server::conn::http2::Builder::new(LocalTasks)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(Some(64))
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buf_size(256 * 1024)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let mut drain = std::pin::pin!(drain);
    let mut idle = std::pin::pin!(tokio::time::sleep(limits.idle));
    let mut stalled = std::pin::pin!(tokio::time::sleep(limits.body_time));
    let (mut closing, mut draining) = (false, false);
    loop {
        tokio::select! {
            ended = &mut connection => return ended,
            () = &mut drain, if !draining => {
                draining = true;
                closing = true;
                active.progress.set(Instant::now());
                connection.as_mut().graceful_shutdown();
            }
            () = &mut idle, if !closing => {
                if let Some(later) = active.idle_until(limits.idle) {
                    idle.as_mut().reset(later);
                } else {
                    closing = true;
                    active.progress.set(Instant::now());
                    connection.as_mut().graceful_shutdown();
                }
            }
            // A client that takes nothing, or that never answers the goodbye, keeps no connection:
            // hyper by itself would wait for as long as the client answers pings.
            () = &mut stalled => match active.stalled_until(limits.body_time, closing) {
                Some(later) => stalled.as_mut().reset(later),
                None => return Ok(()),
            },
        }
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

/// Streams at work, and since when there are none.
struct Active {
    streams: std::cell::Cell<usize>,
    /// Of these, how many have given a piece that hyper has no room to follow up: the client
    /// must first take something.
    blocked: std::cell::Cell<usize>,
    idle_since: std::cell::Cell<Instant>,
    /// When the client last brought a stream or took a piece of one.
    progress: std::cell::Cell<Instant>,
}

impl Default for Active {
    fn default() -> Self {
        Self {
            streams: std::cell::Cell::new(0),
            blocked: std::cell::Cell::new(0),
            idle_since: std::cell::Cell::new(Instant::now()),
            progress: std::cell::Cell::new(Instant::now()),
        }
    }
}

impl Active {
    /// When to look again; none when the connection has been idle for `bound`.
    fn idle_until(&self, bound: Duration) -> Option<Instant> {
        let now = Instant::now();
        let end = if self.streams.get() > 0 {
            now + bound
        } else {
            self.idle_since.get() + bound
        };
        (end > now).then_some(end)
    }

    /// When to look again; none when the client has let everything wait for `bound`. A connection
    /// that is `closing` without a stream at work waits for the client too.
    fn stalled_until(&self, bound: Duration, closing: bool) -> Option<Instant> {
        let now = Instant::now();
        let (streams, blocked) = (self.streams.get(), self.blocked.get());
        // A stream that waits for its answer is bounded by the deadline of its route.
        let waits = streams == blocked && (streams > 0 || closing);
        let end = if waits {
            self.progress.get() + bound
        } else {
            now + bound
        };
        (end > now).then_some(end)
    }
}

/// Counts one stream until its response has ended.
struct ActiveStream {
    active: Rc<Active>,
    blocked: bool,
}

impl ActiveStream {
    fn begin(active: &Rc<Active>) -> Self {
        active.streams.set(active.streams.get() + 1);
        active.progress.set(Instant::now());
        Self {
            active: Rc::clone(active),
            blocked: false,
        }
    }

    /// The body was asked for more, so there is room at the client; `blocked` when it gave a
    /// piece, after which it is asked again as soon as there is room.
    fn asked(&mut self, blocked: bool) {
        self.active.progress.set(Instant::now());
        if blocked != self.blocked {
            self.blocked = blocked;
            let count = self.active.blocked.get();
            self.active.blocked.set(if blocked {
                count + 1
            } else {
                count.saturating_sub(1)
            });
        }
    }
}

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.asked(false);
        let active = &self.active;
        active.streams.set(active.streams.get().saturating_sub(1));
        active.idle_since.set(Instant::now());
    }
}

/// The request as the stages know it, or the status it is refused with.
fn understand(request: http::Request<Incoming>, limits: &Limits) -> Result<Request, Refusal> {
    let (parts, incoming) = request.into_parts();
    if parts.method == http::Method::CONNECT {
        return Err((StatusCode::NOT_IMPLEMENTED, "CONNECT is not implemented"));
    }
    if parts.headers.len() > limits.headers {
        return Err((
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "more header fields than allowed",
        ));
    }
    let authority = authority(&parts)?;
    let mut headers = Headers::with_capacity(parts.headers.len() + 8, 512);
    for (name, value) in &parts.headers {
        if *name == header::HOST || *name == header::COOKIE {
            continue;
        }
        headers
            .try_append(name.as_str().as_bytes(), value.as_bytes())
            .map_err(|_| (StatusCode::BAD_REQUEST, "a malformed header field"))?;
    }
    headers.retain(|known, _| !known.is_hop_by_hop() && known != Known::ContentLength);
    if let Some(cookie) = joined_cookies(&parts.headers) {
        headers.append("cookie", &cookie);
    }
    let body = if http_body::Body::is_end_stream(&incoming) {
        Body::Empty
    } else {
        Body::stream(ClientBody {
            incoming,
            patience: limits.body_time,
            timer: None,
        })
    };
    Ok(Request {
        head: Head {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            authority,
            version: Version::Http2,
            headers,
        },
        body,
        upgrade: None,
    })
}

const AUTHORITY: Refusal = (
    StatusCode::BAD_REQUEST,
    "the authority is missing, malformed or not the one in `Host`",
);

/// `:authority`, or `Host` where a gateway translated from HTTP/1; both only when equal
/// (RFC 9113, 8.3.1).
fn authority(parts: &http::request::Parts) -> Result<String, Refusal> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = hosts.next().map(http::HeaderValue::to_str).transpose();
    let host = host.map_err(|_| AUTHORITY)?;
    if hosts.next().is_some() {
        return Err(AUTHORITY);
    }
    match (parts.uri.authority(), host) {
        (Some(authority), _) if authority.as_str().contains('@') => Err(AUTHORITY),
        (Some(authority), Some(host)) if !authority.as_str().eq_ignore_ascii_case(host) => {
            Err(AUTHORITY)
        }
        (Some(authority), _) => Ok(authority.as_str().to_owned()),
        (None, Some(host))
            if host
                .parse::<http::uri::Authority>()
                .is_ok_and(|it| !it.as_str().contains('@')) =>
        {
            Ok(host.to_owned())
        }
        (None, _) => Err(AUTHORITY),
    }
}

/// HTTP/2 lets a client split `Cookie`; everything behind us expects one field (RFC 9113, 8.2.3).
fn joined_cookies(headers: &http::HeaderMap) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    for value in headers.get_all(header::COOKIE) {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(value.as_bytes());
    }
    (!joined.is_empty()).then_some(joined)
}

/// A request body that must keep coming.
struct ClientBody {
    incoming: Incoming,
    patience: Duration,
    /// Set only while there is something to wait for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(context) {
            this.timer = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|_| BodyError::Incomplete)));
        }
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(this.patience)));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Timeout))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

fn put(response: Response, head_only: bool, stream: ActiveStream) -> http::Response<Sent> {
    let mut headers = response.headers.to_map();
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
    ] {
        headers.remove(name);
    }
    let mut body = response.body;
    if head_only {
        if let Some(len) = body.exact_len().filter(|&len| len > 0) {
            headers.insert(header::CONTENT_LENGTH, len.into());
        }
        body = Body::Empty;
    } else {
        // hyper writes the length it knows.
        headers.remove(header::CONTENT_LENGTH);
    }
    let mut sent = Sent {
        body,
        bytes: 0,
        finish: response.finish,
        stream,
    };
    // Nothing is asked of the body before the client has room for it.
    sent.stream.asked(true);
    sent.note_end();
    let mut out = http::Response::new(sent);
    *out.status_mut() = if response.status == StatusCode::SWITCHING_PROTOCOLS {
        StatusCode::BAD_GATEWAY
    } else {
        response.status
    };
    *out.headers_mut() = headers;
    out
}

/// A response body that tells how far its sending came.
struct Sent {
    body: Body,
    /// Of the body, so far.
    bytes: u64,
    finish: Option<Box<dyn Finish>>,
    stream: ActiveStream,
}

impl Sent {
    /// hyper never asks again once a body says that it has ended.
    fn note_end(&mut self) {
        if self.body.is_empty()
            && let Some(finish) = &mut self.finish
        {
            finish.complete();
        }
    }
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        this.stream.asked(polled.is_ready());
        let frame = std::task::ready!(polled);
        if let (Some(Ok(frame)), Some(finish)) = (&frame, &mut this.finish)
            && let Some(piece) = frame.data_ref()
        {
            this.bytes += piece.len() as u64;
            finish.sent(this.bytes);
        }
        match &frame {
            None => {
                if let Some(finish) = &mut this.finish {
                    finish.complete();
                }
            }
            Some(Ok(_)) => this.note_end(),
            Some(Err(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

#[cfg(test)]
#[path = "http2_tests.rs"]
mod tests;
