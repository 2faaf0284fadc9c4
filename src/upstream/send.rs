//! Sends one request on one connection of a slot: an idle one, a shared one or a new one.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, timeout_at};

use super::Protocol;
use super::cap::OpenConnection;
use super::connect::{self, Opened, Stream};
use super::dial::Asked;
use super::group::OVERLOADED;
use super::http2::Http2;
use super::pool::{Http1, Slot, Wire};
use crate::exchange::{Body, CallError, Headers, Response};
use crate::http1::{OutgoingHead, SendError, SendFailure, SendOptions, Sending};

/// A request head on its way to one endpoint.
#[derive(Clone, Copy)]
pub(super) struct RequestHead<'a> {
    pub(super) method: &'a Method,
    pub(super) target: &'a str,
    pub(super) host: &'a str,
    pub(super) tls: bool,
    pub(super) headers: &'a Headers,
    pub(super) upgrade: Option<&'a str>,
}

/// The bounds on one attempt.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) connect: Duration,
    /// Until the response head is there.
    pub(super) head: Duration,
    /// When the whole exchange must be over.
    pub(super) deadline: Instant,
    pub(super) connections: Option<usize>,
}

/// An attempt without a response.
pub(super) struct SendFailed {
    pub(super) error: CallError,
    /// Whether anything of the request can have reached the endpoint.
    pub(super) reached: bool,
    /// The request body, where it was not touched.
    pub(super) unsent: Option<Body>,
    /// The connection was an old one, and closed before it said anything.
    pub(super) stale: bool,
}

impl SendFailed {
    pub(super) fn unsent(error: CallError, body: Body) -> Self {
        Self {
            error,
            reached: false,
            unsent: Some(body),
            stale: false,
        }
    }

    pub(super) const fn sent(error: CallError) -> Self {
        Self {
            error,
            reached: true,
            unsent: None,
            stale: false,
        }
    }
}

/// A connection with room for one request.
enum Connection {
    Http1 { connection: Http1, reused: bool },
    Http2 { connection: Rc<Http2>, reused: bool },
}

/// Sends a request and waits for the head of its response, within `bounds`. Without `reuse`, on
/// a new connection.
pub(super) fn send<'a>(
    slot: &'a Rc<Slot>,
    head: RequestHead<'a>,
    body: Body,
    bounds: Bounds,
    reuse: bool,
) -> impl Future<Output = Result<Response, SendFailed>> + use<'a> {
    let began = Instant::now();
    let until = within(began, bounds.head, bounds.deadline);
    let mut ready = None;
    if reuse {
        ready = at_hand(slot, is_http1_only(slot, head), began);
    }
    match ready {
        Some(Connection::Http1 { connection, reused }) => {
            let connection = (connection, reused);
            Attempt::AtHand(on_http1(slot, connection, head, body, (until, bounds)))
        }
        // Boxed: a call on a connection at hand, the usual one, does not carry its state.
        ready => Attempt::Otherwise(Box::pin(async move {
            let connection = match ready {
                Some(ready) => ready,
                None => match connection(slot, head, bounds, (began, until), reuse).await {
                    Ok(connection) => connection,
                    Err(error) => return Err(SendFailed::unsent(error, body)),
                },
            };
            send_on(connection, slot, head, body, (until, bounds)).await
        })),
    }
}

/// An attempt on its way.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and made where it stays"
)]
enum Attempt<'a, F> {
    /// On a connection of HTTP/1.1 that was at hand.
    AtHand(OnHttp1<'a, F>),
    Otherwise(Pin<Box<dyn Future<Output = Result<Response, SendFailed>> + 'a>>),
}

impl<F> Unpin for Attempt<'_, F> {}

impl<F: FnOnce(Http1) + 'static> Future for Attempt<'_, F> {
    type Output = Result<Response, SendFailed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::AtHand(sending) => Pin::new(sending).poll(context),
            Self::Otherwise(sending) => sending.as_mut().poll(context),
        }
    }
}

async fn send_on(
    connection: Connection,
    slot: &Rc<Slot>,
    head: RequestHead<'_>,
    body: Body,
    (until, bounds): (Instant, Bounds),
) -> Result<Response, SendFailed> {
    match connection {
        Connection::Http1 { connection, reused } => {
            let connection = (connection, reused);
            on_http1(slot, connection, head, body, (until, bounds)).await
        }
        Connection::Http2 { connection, reused } => {
            match timeout_at(until, connection.send(head, body)).await {
                Ok(sent) => sent.map_err(|failed| SendFailed {
                    stale: reused && failed.unsent.is_some(),
                    ..failed
                }),
                Err(_) => Err(SendFailed::sent(late(patience(until, bounds)))),
            }
        }
    }
}

/// How long a response head is waited for; none where the exchange's own deadline comes first.
fn patience(until: Instant, bounds: Bounds) -> Option<Duration> {
    (until != bounds.deadline).then_some(bounds.head)
}

/// What it is called that no response head came in time.
fn late(patience: Option<Duration>) -> CallError {
    patience.map_or(CallError::Deadline, CallError::Timeout)
}

/// An upgrade is a matter of HTTP/1.1 (RFC 9113, 8.6).
fn is_http1_only(slot: &Slot, head: RequestHead<'_>) -> bool {
    head.upgrade.is_some() && slot.endpoint.protocol != Protocol::H2
}

/// `patience` after `began`, at the latest at `latest`.
fn within(began: Instant, patience: Duration, latest: Instant) -> Instant {
    began
        .checked_add(patience)
        .map_or(latest, |until| until.min(latest))
}

/// A request on its way on a connection of HTTP/1.1.
struct OnHttp1<'a, F> {
    sending: Sending<'a, Wire, F>,
    reused: bool,
    /// None where the exchange's own deadline comes first.
    patience: Option<Duration>,
}

impl<F> Unpin for OnHttp1<'_, F> {}

fn on_http1<'a>(
    slot: &Rc<Slot>,
    (connection, reused): (Http1, bool),
    head: RequestHead<'a>,
    body: Body,
    (until, bounds): (Instant, Bounds),
) -> OnHttp1<'a, impl FnOnce(Http1) + use<>> {
    let head = OutgoingHead {
        method: head.method,
        target: head.target,
        host: head.host,
        headers: head.headers,
        upgrade: head.upgrade,
    };
    let options = SendOptions {
        until: Some(until),
        ..SendOptions::default()
    };
    let home = Rc::clone(slot);
    let back = move |connection| home.put(connection);
    OnHttp1 {
        sending: connection.send(head, body, options, back),
        reused,
        patience: patience(until, bounds),
    }
}

impl<F: FnOnce(Http1) + 'static> Future for OnHttp1<'_, F> {
    type Output = Result<Response, SendFailed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let sent = ready!(Pin::new(&mut this.sending).poll(context));
        Poll::Ready(sent.map_err(|error| this.failed(error)))
    }
}

impl<F> OnHttp1<'_, F> {
    #[cold]
    fn failed(&self, error: SendError) -> SendFailed {
        SendFailed {
            stale: self.reused && error.is_stale(),
            reached: error.sent,
            ..SendFailed::sent(match error.failure {
                SendFailure::Closed | SendFailure::Io(_) => CallError::Reset(error.to_string()),
                SendFailure::Malformed(_) | SendFailure::HeadTooLarge => {
                    CallError::Malformed(error.to_string())
                }
                SendFailure::RequestBody(error) => CallError::RequestBody(error),
                SendFailure::Late => late(self.patience),
            })
        }
    }
}

/// A new connection, or one that comes back meanwhile. The wait for leave to open one and the
/// opening itself share the connect timeout.
async fn connection(
    slot: &Rc<Slot>,
    head: RequestHead<'_>,
    bounds: Bounds,
    (began, until): (Instant, Instant),
    reuse: bool,
) -> Result<Connection, CallError> {
    let http1_only = is_http1_only(slot, head);
    let until = within(began, bounds.connect, until);
    let leave = timeout_at(until, leave(slot, bounds, http1_only, reuse));
    let (counted, _opening) = match leave.await {
        Ok(Leave::Open { counted, opening }) => (counted, opening),
        Ok(Leave::Ready(connection)) => return Ok(connection),
        Err(_) if until == bounds.deadline => return Err(CallError::Deadline),
        Err(_) => {
            return Err(CallError::Overloaded {
                retry_after: OVERLOADED,
            });
        }
    };
    let opened = match timeout_at(until, open(slot, head, counted)).await {
        Ok(opened) => opened,
        // A deadline that leaves less than the usual time tells nothing about the endpoint.
        Err(_) if until == bounds.deadline => return Err(CallError::Deadline),
        Err(_) => Err(format!("no connection within {:?}", bounds.connect)),
    };
    let health = &slot.endpoint.state.health;
    match &opened {
        Ok(_) => health.connected(),
        Err(error) if health.connect_failed() => {
            tracing::warn!(endpoint = %slot.endpoint.url, %error, "connections fail: set aside");
        }
        Err(_) => {}
    }
    opened.map_err(|error| CallError::Connect(format!("{}: {error}", slot.endpoint.url)))
}

/// What a call without a connection may do.
enum Leave<'a> {
    /// Take what has come back meanwhile.
    Ready(Connection),
    /// Open one; those that will share it wait for as long as `opening` is held.
    Open {
        counted: OpenConnection,
        opening: Option<tokio::sync::MutexGuard<'a, ()>>,
    },
}

/// Waits for leave to open a connection, or for one that is shared or comes back.
async fn leave(slot: &Slot, bounds: Bounds, http1_only: bool, reuse: bool) -> Leave<'_> {
    let may_share = || !http1_only && slot.speaks_http2.get() != Some(false);
    let mut opening = None;
    if may_share() {
        opening = Some(slot.opening.lock().await);
        // Another call may have opened one, or found out what is spoken, while this one waited.
        if reuse && let Some(connection) = slot.shared() {
            return Leave::Ready(Connection::Http2 {
                connection,
                reused: true,
            });
        }
        opening = opening.filter(|_| may_share());
    }
    loop {
        if let Some(counted) = slot.endpoint.state.cap.take(bounds.connections) {
            return Leave::Open { counted, opening };
        }
        if let Some(ready) = at_hand(slot, http1_only, Instant::now()) {
            return Leave::Ready(ready);
        }
        if !http1_only && let Some(connection) = slot.least_shared() {
            return Leave::Ready(Connection::Http2 {
                connection,
                reused: true,
            });
        }
        slot.wait().await;
    }
}

fn at_hand(slot: &Slot, http1_only: bool, now: Instant) -> Option<Connection> {
    if !http1_only && let Some(connection) = slot.shared() {
        return Some(Connection::Http2 {
            connection,
            reused: true,
        });
    }
    slot.take(now).map(|connection| Connection::Http1 {
        connection,
        reused: true,
    })
}

async fn open(
    slot: &Slot,
    head: RequestHead<'_>,
    counted: OpenConnection,
) -> Result<Connection, String> {
    let http1_only = is_http1_only(slot, head);
    let Opened { stream, http2 } = match &slot.dialer {
        None => connect::open(&slot.endpoint, http1_only).await?,
        Some(dialer) => Opened {
            stream: Stream::Dialled(dialer.dial.dial(Asked {
                upstream: &dialer.upstream,
                method: head.method,
                target: head.target,
            })?),
            http2: false,
        },
    };
    slot.counts().connected();
    let wire = Wire::new(stream, counted);
    if !http1_only {
        slot.speaks_http2.set(Some(http2));
    }
    if !http2 {
        return Ok(Connection::Http1 {
            connection: Http1::new(wire),
            reused: false,
        });
    }
    let connection = Http2::open(wire).await?;
    slot.http2.borrow_mut().push(Rc::clone(&connection));
    Ok(Connection::Http2 {
        connection,
        reused: false,
    })
}
