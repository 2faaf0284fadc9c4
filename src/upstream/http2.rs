//! HTTP/2 towards endpoints, by hyper: one connection, many requests at once.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, Uri, header, uri};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;

use super::pool::Wire;
use super::send::{RequestHead, SendFailed};
use crate::exchange::http2::LocalTasks;
use crate::exchange::path::push_encoded;
use crate::exchange::trailers;
use crate::exchange::{Body, BodyError, CallError, Headers, Known, Response};

/// How often a silent endpoint is asked whether it is still there while it has work of ours.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Requests at once on one connection, where the endpoint allows more: beyond, another
/// connection does better, for they share one window and one lost packet stops them all.
const STREAMS_MAX: usize = 100;

/// How far an endpoint may send ahead on one stream.
const STREAM_WINDOW: u32 = 128 * 1024;

/// How far it may send ahead on all of them: so far that clients who do not read their responses
/// never hold up those of others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS_MAX as u32;

/// Bytes of a response head.
const HEADER_BYTES_MAX: u32 = 32 * 1024;

/// A connection that requests share.
pub(super) struct Http2 {
    sender: SendRequest<Sending>,
    /// Requests whose response has not ended.
    streams: Cell<usize>,
    /// What the endpoint allows now.
    streams_max: Rc<Cell<usize>>,
    born: Instant,
    idle_since: Cell<Instant>,
}

impl Http2 {
    /// Begins HTTP/2 on `wire`. The connection is driven by a task of its own, which ends when
    /// this and every response on it have been dropped.
    pub(super) async fn open(wire: Wire) -> Result<Rc<Self>, String> {
        let (sender, mut connection) = Builder::new(LocalTasks)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(256 * 1024)
            .max_header_list_size(HEADER_BYTES_MAX)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|error| format!("HTTP/2: {error}"))?;
        let streams_max = Rc::new(Cell::new(connection.current_max_send_streams()));
        let allowed = Rc::clone(&streams_max);
        tokio::task::spawn_local(async move {
            let ended = std::future::poll_fn(|context| {
                let polled = Pin::new(&mut connection).poll(context);
                allowed.set(connection.current_max_send_streams());
                polled
            });
            if let Err(error) = ended.await {
                tracing::debug!(%error, "an HTTP/2 connection to an endpoint ended");
            }
        });
        Ok(Rc::new(Self {
            sender,
            streams: Cell::new(0),
            streams_max,
            born: Instant::now(),
            idle_since: Cell::new(Instant::now()),
        }))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(super) fn has_room(&self) -> bool {
        self.streams.get() < self.streams_max.get().min(STREAMS_MAX)
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.get()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.streams.get() == 0
    }

    pub(super) fn idle_for(&self) -> Duration {
        if self.is_idle() {
            self.idle_since.get().elapsed()
        } else {
            Duration::ZERO
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Sends a request and waits for the head of its response. Dropping the future or the
    /// response's body resets the stream, and that alone.
    pub(super) async fn send(
        self: Rc<Self>,
        head: RequestHead<'_>,
        body: Body,
    ) -> Result<Response, SendFailed> {
        let Some(request) = head_of(&head) else {
            let problem = "the request cannot be put in HTTP/2".to_owned();
            return Err(SendFailed::unsent(CallError::Malformed(problem), body));
        };
        let upload = Rc::new(Upload::default());
        let sending = Sending {
            body,
            upload: Rc::clone(&upload),
        };
        let stream = Stream::begin(self, upload);
        let sent = stream
            .connection
            .sender
            .clone()
            .try_send_request(request.map(|()| sending));
        match sent.await {
            Ok(response) => Ok(received(response, head.method, stream)),
            Err(mut error) => {
                // Given back whole: the connection was closing before it took the request.
                if let Some(unsent) = error.take_message() {
                    let problem = CallError::Reset(error.error().to_string());
                    return Err(SendFailed::unsent(problem, unsent.into_body().body));
                }
                let failed = stream.upload.failure.borrow_mut().take();
                Err(SendFailed::sent(match failed {
                    Some(error) => CallError::RequestBody(error),
                    None => why(error.error()),
                }))
            }
        }
    }
}

fn why(error: &hyper::Error) -> CallError {
    let mut text = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        text = format!("{text}: {source}");
    }
    if error.is_parse() || error.is_user() {
        CallError::Malformed(text)
    } else {
        CallError::Reset(text)
    }
}

/// The head as hyper wants it. None where it cannot be expressed.
fn head_of(head: &RequestHead<'_>) -> Option<http::Request<()>> {
    let mut parts = uri::Parts::default();
    parts.scheme = Some(if head.tls {
        uri::Scheme::HTTPS
    } else {
        uri::Scheme::HTTP
    });
    parts.authority = Some(head.host.parse().ok()?);
    parts.path_and_query = Some(path_and_query(head.target)?);
    let mut request = http::Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    *request.version_mut() = http::Version::HTTP_2;
    let mut fields = http::HeaderMap::with_capacity(head.headers.len() + 2);
    for (known, name, value) in head.headers.iter() {
        // hyper writes the length it knows.
        let anew = matches!(known, Known::Host | Known::Expect | Known::ContentLength);
        if !anew
            && !known.is_hop_by_hop()
            && let Ok(name) = http::HeaderName::from_bytes(name.as_bytes())
            && let Ok(value) = header::HeaderValue::from_bytes(value)
        {
            fields.append(name, value);
        }
    }
    // Trailers always pass (RFC 9110, 10.1.4), and gRPC will not answer without this.
    fields.insert(header::TE, header::HeaderValue::from_static("trailers"));
    *request.headers_mut() = fields;
    Some(request)
}

/// A query may hold what the `http` crate refuses, or takes for a fragment: that is encoded.
fn path_and_query(target: &str) -> Option<uri::PathAndQuery> {
    if !target.contains('#')
        && let Ok(parsed) = target.parse()
    {
        return Some(parsed);
    }
    let mut encoded = String::with_capacity(target.len() + 16);
    for byte in target.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'#' | b'<' | b'>' | b'^' | b'`' | b'\\') {
            encoded.push(char::from(byte));
        } else {
            push_encoded(byte, &mut encoded);
        }
    }
    encoded.parse().ok()
}

fn received(response: http::Response<Incoming>, method: &Method, stream: Stream) -> Response {
    let (parts, incoming) = response.into_parts();
    let mut headers = Headers::from(&parts.headers);
    headers.retain(|known, _| !known.is_hop_by_hop() && known != Known::ContentLength);
    let bodiless = *method == Method::HEAD || parts.status == StatusCode::NOT_MODIFIED;
    let body = if bodiless {
        let length = parts.headers.get(header::CONTENT_LENGTH);
        length
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .map_or(Body::Empty, Body::withheld)
    } else if http_body::Body::is_end_stream(&incoming) {
        Body::Empty
    } else {
        Body::stream(Received { incoming, stream })
    };
    Response::new(parts.status, headers, body)
}

/// One request on a connection, until it is over.
struct Stream {
    connection: Rc<Http2>,
    upload: Rc<Upload>,
}

impl Stream {
    fn begin(connection: Rc<Http2>, upload: Rc<Upload>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self { connection, upload }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let left = self.connection.streams.get().saturating_sub(1);
        self.connection.streams.set(left);
        self.connection.idle_since.set(Instant::now());
        self.upload.cancel();
    }
}

/// What is known about a request body on its way.
#[derive(Default)]
struct Upload {
    failure: RefCell<Option<BodyError>>,
    cancelled: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Upload {
    /// Nobody waits for the response any more: hyper must not go on with the request.
    fn cancel(&self) {
        self.cancelled.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// A request body on its way.
#[derive(Default)]
struct Sending {
    body: Body,
    upload: Rc<Upload>,
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.upload.cancelled.get() {
            return Poll::Ready(Some(Err(BodyError::Incomplete)));
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        match &polled {
            Poll::Pending => *this.upload.waker.borrow_mut() = Some(context.waker().clone()),
            Poll::Ready(Some(Err(error))) => {
                *this.upload.failure.borrow_mut() = Some(error.clone());
            }
            Poll::Ready(_) => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

/// A response body on its way.
struct Received {
    incoming: Incoming,
    stream: Stream,
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.incoming).poll_frame(context);
        let polled = polled.map_ok(|frame| match frame.into_trailers() {
            Ok(fields) => Frame::trailers(trailers::passing(fields)),
            Err(frame) => frame,
        });
        polled.map_err(|error| {
            let failed = this.stream.upload.failure.borrow_mut().take();
            failed.unwrap_or_else(|| {
                tracing::debug!(%error, "a response body broke off");
                BodyError::Incomplete
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
