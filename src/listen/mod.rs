//! From an address to one accepted connection at a time.

pub mod accept;
pub mod socket;

use std::net::SocketAddr;
use std::time::Duration;

use crate::tls::TlsSpec;

/// A listener as checked.
#[derive(Clone, Debug)]
pub struct ListenerSpec {
    pub address: SocketAddr,
    pub tls: Option<TlsSpec>,
    /// Every request is answered with a redirect to the same address under `https`.
    pub redirect_https: bool,
    pub protocols: Protocols,
    pub limits: ConnectionLimits,
}

/// The versions of HTTP a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocols {
    pub h1: bool,
    pub h2: bool,
}

/// The bounds on what one connection may ask of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Bytes of a request head, request line and fields together.
    pub header_bytes: usize,
    /// Fields of a request head.
    pub headers: usize,
    /// From the first byte of a head to its last; also for the TLS handshake.
    pub header_time: Duration,
    /// Bytes of a request body, where the route states none.
    pub body_bytes: u64,
    /// Between two pieces of a request body; also how long a response may wait for a reader.
    pub body_time: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// Concurrent HTTP/2 streams.
    pub streams: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            headers: 100,
            header_time: Duration::from_secs(10),
            body_bytes: 10 * 1024 * 1024,
            body_time: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            streams: 128,
        }
    }
}
