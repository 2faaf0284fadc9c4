//! An upstream as the file describes it, checked.

use std::path::PathBuf;
use std::time::Duration;

pub use crate::exchange::outgoing::{RetryOn, RetrySpec};

/// A named group of endpoints that serve the same thing.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamSpec {
    pub name: String,
    pub endpoints: Vec<EndpointSpec>,
    pub protocol: Protocol,
    pub tls: UpstreamTls,
    pub balance: Balance,
    /// Until the response head of one attempt is there.
    pub timeout: Duration,
    pub connect_timeout: Duration,
    pub retry: Option<RetrySpec>,
    /// The field (lower case) that tells the endpoint how long its answer is waited for.
    pub deadline_header: Option<String>,
    pub health: Option<HealthSpec>,
    /// Open connections to one endpoint, over all workers; none: no bound.
    pub max_connections: Option<usize>,
    /// Requests at work at once, over all workers; none: no bound.
    pub max_requests: Option<usize>,
}

/// One address of an upstream: `http://10.0.0.1:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSpec {
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
}

impl EndpointSpec {
    /// Host and port as `Host` carries them: without the scheme's own port.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let own = if self.tls { 443 } else { 80 };
        if self.port == own {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// The protocol spoken with endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// What ALPN settles over TLS, else HTTP/1.1.
    #[default]
    Auto,
    H1,
    /// HTTP/2; without TLS by prior knowledge (h2c; RFC 9113, 3.3).
    H2,
}

/// How TLS endpoints are trusted, and how the gateway shows itself to them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct UpstreamTls {
    /// Authorities instead of the public ones: a PEM file.
    pub ca: Option<PathBuf>,
    /// Certificate chain and key shown to the endpoint: PEM files.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name to ask for and to verify, instead of the endpoint's host.
    pub server_name: Option<String>,
}

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Balance {
    #[default]
    RoundRobin,
    /// The less busy of two taken at random.
    LeastRequest,
}

/// Active probes: an endpoint that fails them is set aside until it passes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSpec {
    pub path: String,
    pub every: Duration,
    pub timeout: Duration,
    /// Failures in a row that set an endpoint aside.
    pub unhealthy_after: u32,
    /// Successes in a row that bring it back.
    pub healthy_after: u32,
}
