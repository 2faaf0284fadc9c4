//! Sends one request on one connection of a slot: an idle one, a shared one or a new one.

use std::rc::Rc;
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
use crate::http1::{OutgoingHead, SendFailure, SendOptions};

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
pub(super) async fn send(
    slot: &Rc<Slot>,
    head: RequestHead<'_>,
    body: Body,
    bounds: Bounds,
    reuse: bool,
) -> Result<Response, SendFailed> {
    let began = Instant::now();
    let until = within(began, bounds.head, bounds.deadline);
    let http1_only = is_http1_only(slot, head);
    let ready = if reuse {
        at_hand(slot, http1_only, began)
    } else {
        None
    };
    let connection = match ready {
        Some(ready) => ready,
        // Boxed: a call on a connection at hand, the usual one, does not carry its state.
        None => match Box::pin(connection(slot, head, bounds, (began, until), reuse)).await {
            Ok(connection) => connection,
            Err(error) => return Err(SendFailed::unsent(error, body)),
        },
    };
    match connection {
        Connection::Http1 { connection, reused } => {
            on_http1(slot, connection, reused, head, body, (until, bounds)).await
        }
        Connection::Http2 { connection, reused } => {
            let sent = Box::pin(timeout_at(until, connection.send(head, body)));
            match sent.await {
                Ok(sent) => sent.map_err(|failed| SendFailed {
                    stale: reused && failed.unsent.is_some(),
                    ..failed
                }),
                Err(_) => Err(SendFailed::sent(late(until, bounds))),
            }
        }
    }
}

/// What it is called that no response head came until `until`.
fn late(until: Instant, bounds: Bounds) -> CallError {
    if until == bounds.deadline {
        CallError::Deadline
    } else {
        CallError::Timeout(bounds.head)
    }
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

async fn on_http1(
    slot: &Rc<Slot>,
    connection: Http1,
    reused: bool,
    head: RequestHead<'_>,
    body: Body,
    (until, bounds): (Instant, Bounds),
) -> Result<Response, SendFailed> {
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
    let sent = connection.send(head, body, options, back);
    sent.await.map_err(|error| SendFailed {
        stale: reused && error.is_stale(),
        reached: error.sent,
        ..SendFailed::sent(match error.failure {
            SendFailure::Closed | SendFailure::Io(_) => CallError::Reset(error.to_string()),
            SendFailure::Malformed(_) | SendFailure::HeadTooLarge => {
                CallError::Malformed(error.to_string())
            }
            SendFailure::RequestBody(error) => CallError::RequestBody(error),
            SendFailure::Late => late(until, bounds),
        })
    })
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
