//! What one request carries between the stages: its head, its body, who sent it, and its response.
//!
//! This is the seam between HTTP on the wire (`http1`, and `http2` here) and the stages: an
//! engine turns bytes into a [`Request`] and a [`Response`] into bytes, and knows nothing else.

pub mod authority;
pub mod begin;
pub mod body;
pub mod boxed;
pub mod caller;
pub mod clock;
pub mod date;
pub mod headers;
pub mod http2;
pub mod id;
pub mod known;
pub mod line;
pub mod margin;
pub mod outgoing;
pub mod path;
pub mod peer;
pub mod trace;
pub mod trailers;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

pub use begin::TrustedPeers;
pub use body::{Body, BodyError};
pub use caller::Caller;
pub use clock::WallTime;
pub use headers::Headers;
pub use id::RequestId;
pub use known::Known;
pub use outgoing::{CallError, Outgoing};
pub use path::CanonicalPath;
pub use peer::{Peer, TlsFacts, Told};
pub use trace::TraceContext;

/// The protocol a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
    Http2,
}

impl Version {
    /// As written in access logs and `Via`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }
}

/// Longer methods are not implemented (RFC 9112, 3).
pub const METHOD_BYTES_MAX: usize = 32;

/// A request head as the engine understood it: already strict (RFC 9112, 3 and 5), not yet
/// canonical.
#[derive(Clone, Debug)]
pub struct Head {
    pub method: Method,
    /// The path as received, percent-encoding and all; starts with `/`, or is `*` for OPTIONS.
    pub path: String,
    /// What stood behind `?`, as received.
    pub query: Option<String>,
    /// Host and port asked for, from `Host` or `:authority`; never with userinfo.
    pub authority: String,
    pub version: Version,
    /// Every field, without `Host`.
    pub headers: Headers,
}

/// What a client asks to switch to (RFC 9110, 7.8), when it does.
pub type Protocol = String;

/// A request from a client.
#[derive(Debug)]
pub struct Request {
    pub head: Head,
    pub body: Body,
    /// The protocol that `Upgrade` names, when `Connection` lists it and the version allows it.
    pub upgrade: Option<Protocol>,
}

impl Request {
    /// Stands for a request whose head could not be read.
    pub fn unreadable() -> Self {
        Self {
            head: Head {
                method: Method::GET,
                path: "/".to_owned(),
                query: None,
                authority: String::new(),
                version: Version::Http11,
                headers: Headers::new(),
            },
            body: Body::Empty,
            upgrade: None,
        }
    }
}

/// A byte stream both ways, such as an upgraded connection.
pub trait Duplex: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Duplex for T {}

/// A response to a client, or from an upstream.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    /// Every field but those that frame the message, which the engine writes itself.
    pub headers: Headers,
    pub body: Body,
    /// With status 101: the upstream's side of the switched connection.
    pub tunnel: Option<Tunnel>,
    /// Held by the engine until the last byte of the response is written or given up, then
    /// dropped: what must happen once at the end of an exchange hangs on it.
    pub finish: Option<Box<dyn Finish>>,
}

/// The other end of an upgraded connection.
pub struct Tunnel(pub Pin<Box<dyn Duplex>>);

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tunnel")
    }
}

/// Told how the sending of a response went; its drop is the end of the exchange.
pub trait Finish {
    /// Bytes of body handed to the connection so far.
    fn sent(&mut self, bytes: u64);
    /// The last byte was handed to the connection: not an aborted exchange.
    fn complete(&mut self);
}

impl std::fmt::Debug for dyn Finish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Finish")
    }
}

impl Response {
    pub fn new(status: StatusCode, headers: Headers, body: impl Into<Body>) -> Self {
        Self {
            status,
            headers,
            body: body.into(),
            tunnel: None,
            finish: None,
        }
    }
}

impl From<StatusCode> for Response {
    fn from(status: StatusCode) -> Self {
        Self::new(status, Headers::new(), Body::Empty)
    }
}

/// One request on its way through the stages: everything about it but its body.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub id: RequestId,
    pub method: Method,
    /// The one form of the path that everything compares and forwards.
    pub path: CanonicalPath,
    /// The query as received, without `?`.
    pub query: Option<String>,
    /// Host asked for: lower case, without port.
    pub host: String,
    /// Host and port as received.
    pub authority: String,
    pub version: Version,
    pub headers: Headers,
    pub upgrade: Option<Protocol>,
    pub peer: Arc<Peer>,
    /// The peer's forwarding fields are believed.
    pub peer_trusted: bool,
    /// The client's address: the peer's, or what a trusted peer forwarded.
    pub client: IpAddr,
    /// `https` or `http`, as the client used it.
    pub scheme: &'static str,
    pub trace: TraceContext,
    pub started: Instant,
    /// Wall clock at the start, for logs and expressions.
    pub time: WallTime,
}
