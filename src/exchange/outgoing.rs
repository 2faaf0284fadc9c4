//! One call to an upstream as the stages ask for it, and the ways in which it can fail.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::Instant;

use super::{Body, BodyError, Headers, Protocol};

/// A request to an upstream. Endpoint, connection, retries and framing are the upstream's matter.
#[derive(Debug)]
pub struct Outgoing {
    pub method: Method,
    /// Path and query, percent-encoded, starting with `/`.
    pub target: String,
    /// End-to-end fields. Without `Host` the endpoint's own is sent.
    pub headers: Headers,
    pub body: Body,
    pub upgrade: Option<Protocol>,
    /// How long one attempt may take until the response head is there; the upstream's where none.
    pub timeout: Option<Duration>,
    /// When and how often it is tried again; as the upstream says where none.
    pub retry: Option<Arc<RetrySpec>>,
    /// When the whole exchange must be over, retries and all.
    pub deadline: Instant,
}

/// When and how often a call is tried again. Only what is safe to repeat ever is (RFC 9110, 9.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySpec {
    /// Attempts in all, the first included.
    pub attempts: u32,
    pub on: RetryOn,
    /// The shortest and the longest pause between attempts; full jitter between.
    pub backoff: (Duration, Duration),
}

/// The causes that allow another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn {
    pub connect: bool,
    pub reset: bool,
    pub timeout: bool,
    /// 500 to 599.
    pub server_error: bool,
    /// 429 and 503 with `Retry-After`.
    pub busy: bool,
}

/// Why a call brought no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("no connection: {0}")]
    Connect(String),
    /// The response head did not come in time. The upstream may have acted.
    #[error("no response within {0:?}")]
    Timeout(Duration),
    /// The connection ended before a response. The upstream may have acted.
    #[error("the connection ended before the response: {0}")]
    Reset(String),
    /// What came is not HTTP as it must be.
    #[error("malformed response: {0}")]
    Malformed(String),
    /// No endpoint may be used now.
    #[error("no healthy endpoint")]
    Unavailable { retry_after: Duration },
    /// The upstream has as many requests or connections as it may have.
    #[error("too many requests at once for this upstream")]
    Overloaded { retry_after: Duration },
    /// The exchange's deadline passed.
    #[error("the deadline passed")]
    Deadline,
    /// The client's body broke off, was too large or malformed while it was passed on.
    #[error("the request body failed: {0}")]
    RequestBody(BodyError),
    /// The response body failed.
    #[error("the response body failed: {0}")]
    ResponseBody(BodyError),
    /// A status that does not count as success.
    #[error("status {0}")]
    Status(StatusCode),
    /// The body is not the JSON that was needed.
    #[error("not JSON: {0}")]
    Decode(String),
}

impl CallError {
    /// The cause in one word, as it stands in `Concertina-Parts`, problems, metrics and logs.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Timeout(_) | Self::ResponseBody(BodyError::Timeout) => "timeout",
            Self::Reset(_) => "reset",
            Self::Malformed(_) => "malformed",
            Self::Unavailable { .. } => "unavailable",
            Self::Overloaded { .. } => "overloaded",
            Self::Deadline => "deadline",
            Self::RequestBody(_) => "request-body",
            Self::ResponseBody(BodyError::TooLarge { .. }) => "too-large",
            Self::ResponseBody(_) => "truncated",
            Self::Status(_) => "status",
            Self::Decode(_) => "decode",
        }
    }
}
