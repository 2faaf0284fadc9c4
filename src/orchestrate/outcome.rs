//! How steps and flows end: outcomes, failures, reports of parts, and the status each becomes.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::cache_control::Ceiling;
use crate::decode::Unreadable;
use crate::exchange::{Body, BodyError, CallError, Headers};
use crate::expression::{EvalError, EvalErrorKind};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// It failed, and its default stands in its place.
    Defaulted,
    /// Its `when` was false.
    Skipped,
    Failed,
    /// Given up, or never started, because the flow was decided without it.
    Cancelled,
    /// It writes, and whether the upstream acted cannot be known.
    Unknown,
}

impl Outcome {
    /// The word of the contract, as expressions, headers, logs and metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Defaulted => "defaulted",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a response lacks nothing for it: what the flow did not want is not missed.
    pub const fn is_whole(self) -> bool {
        match self {
            Self::Ok | Self::Skipped | Self::Cancelled => true,
            Self::Defaulted | Self::Failed | Self::Unknown => false,
        }
    }
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Call(#[from] CallError),
    /// An expression or a hole of the step has no value, or not one that may stand there.
    #[error("expression: {0}")]
    Expression(#[from] EvalError),
    /// A `foreach` has more items than it may.
    #[error("{items} items; at most {limit} may be")]
    TooManyItems { items: usize, limit: usize },
    /// A flow inside this one has no response.
    #[error(transparent)]
    Flow(FlowFault),
}

impl Failure {
    /// The cause in one word, as it stands in `Concertina-Parts`, problems, metrics and logs.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Call(error) => error.cause(),
            Self::Expression(_) => "expression",
            Self::TooManyItems { .. } => "too-many-items",
            Self::Flow(fault) => fault.cause(),
        }
    }
}

/// How often a step's calls were answered by what is kept, and how often not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheTally {
    /// By a part that was kept.
    pub hits: u32,
    /// By an equal call that was at work.
    pub shared: u32,
    /// By the upstream.
    pub misses: u32,
    /// By a part past its time, because the upstream failed.
    pub stale: u32,
}

impl CacheTally {
    const NONE: Self = Self {
        hits: 0,
        shared: 0,
        misses: 0,
        stale: 0,
    };
    pub(super) const HIT: Self = Self {
        hits: 1,
        ..Self::NONE
    };
    pub(super) const SHARED: Self = Self {
        shared: 1,
        ..Self::NONE
    };
    pub(super) const MISS: Self = Self {
        misses: 1,
        ..Self::NONE
    };
    pub(super) const STALE: Self = Self {
        stale: 1,
        ..Self::NONE
    };

    /// One word for all: what an operator would want to know first. None where nothing is kept.
    pub const fn word(self) -> Option<&'static str> {
        if self.stale > 0 {
            Some("stale")
        } else if self.misses > 0 {
            Some("miss")
        } else if self.shared > 0 {
            Some("shared")
        } else if self.hits > 0 {
            Some("hit")
        } else {
            None
        }
    }
}

impl std::ops::AddAssign for CacheTally {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        self.shared += other.shared;
        self.misses += other.misses;
        self.stale += other.stale;
    }
}

/// What became of one step.
#[derive(Clone, Debug)]
pub struct PartReport {
    /// The step's name.
    pub name: Arc<str>,
    /// The name as a key of a Structured Fields dictionary.
    pub key: Arc<str>,
    pub outcome: Outcome,
    /// Why it is not ok, in one word.
    pub cause: Option<&'static str>,
    /// What the upstream answered, where it did.
    pub status: Option<StatusCode>,
    /// From the start of the run to the start of the step; none when it was never started.
    pub started: Option<Duration>,
    /// From the step's start to its end.
    pub elapsed: Duration,
    pub cache: CacheTally,
}

impl PartReport {
    /// Whether a response lacks nothing for it, and is as new as its parts can be.
    pub const fn is_whole(&self) -> bool {
        self.outcome.is_whole() && self.cache.stale == 0
    }
}

/// `Concertina-Parts`: a dictionary (RFC 9651, 3.2) of the parts that are not ok, or past their
/// time; none where all are as they should be.
pub fn parts_header(parts: &[PartReport]) -> Option<String> {
    let mut text = String::new();
    let is_named = |part: &&PartReport| part.outcome != Outcome::Ok || part.cache.stale > 0;
    for part in parts.iter().filter(is_named) {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}{}={}", part.key, part.outcome.as_str());
        if let Some(cause) = part.cause {
            let _ = write!(text, ";cause={cause}");
        }
        if part.cache.stale > 0 {
            text.push_str(";stale");
        }
    }
    (!text.is_empty()).then_some(text)
}

/// The response of a flow.
#[derive(Debug)]
pub struct FlowAnswer {
    pub status: StatusCode,
    /// `Content-Type`, `Concertina-Parts` and the file's own.
    pub headers: Headers,
    pub body: Body,
    /// One for each step, in the order of the file.
    pub parts: Vec<PartReport>,
    /// What else is said about storing it is held to this.
    pub ceiling: Ceiling,
}

/// A flow that has no response.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct FlowError {
    pub fault: FlowFault,
    /// The step to blame.
    pub step: Option<Arc<str>>,
    /// One for each step, in the order of the file.
    pub parts: Vec<PartReport>,
}

/// Why a flow has no response. The texts are for logs, never for clients.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FlowFault {
    /// An expression reads the client's body, and it cannot be read.
    #[error("of the request, {0}")]
    Unreadable(Unreadable),
    /// The client's body did not arrive whole.
    #[error("the request body failed: {0}")]
    Body(BodyError),
    /// A required step got a status that concerns the client and passes through.
    #[error("status {0}")]
    ClientStatus(StatusCode),
    /// A required call failed otherwise.
    #[error(transparent)]
    Upstream(CallError),
    /// No upstream may be called now.
    #[error("no upstream may be called now")]
    Unavailable { retry_after: Duration },
    /// The deadline passed, or a required call took longer than it may.
    #[error("not in time")]
    Timeout,
    #[error("expression: {0}")]
    Expression(EvalError),
    #[error("merge: {0}")]
    Merge(MergeError),
}

/// Why parts cannot be merged. Keys are the upstreams' and stay in the log.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MergeError {
    #[error("part `{part}` is no object")]
    NoObject { part: Arc<str> },
    #[error("part `{part}` is no array")]
    NoArray { part: Arc<str> },
    #[error("the key {key:?} stands in `{first}` and in `{second}`")]
    Conflict {
        key: String,
        first: Arc<str>,
        second: Arc<str>,
    },
    #[error("the header `{field}` differs between `{first}` and `{second}`")]
    Field {
        field: String,
        first: Arc<str>,
        second: Arc<str>,
    },
    #[error("what is merged is larger than {limit} bytes")]
    TooLarge { limit: usize },
}

impl FlowFault {
    /// The fault of a flow whose required step failed.
    pub fn of_step(failure: Failure) -> Self {
        match failure {
            Failure::Expression(error) => Self::Expression(error),
            Failure::Flow(fault) => fault,
            failure @ Failure::TooManyItems { .. } => {
                Self::Expression(EvalError::new(EvalErrorKind::Range, failure.to_string()))
            }
            Failure::Call(CallError::Status(status)) if concerns_client(status) => {
                Self::ClientStatus(status)
            }
            Failure::Call(error) => match error {
                CallError::Deadline
                | CallError::Timeout(_)
                | CallError::ResponseBody(BodyError::Timeout) => Self::Timeout,
                CallError::Unavailable { retry_after } | CallError::Overloaded { retry_after } => {
                    Self::Unavailable { retry_after }
                }
                CallError::RequestBody(error) => Self::Body(error),
                CallError::Connect(_)
                | CallError::Reset(_)
                | CallError::Malformed(_)
                | CallError::ResponseBody(_)
                | CallError::Status(_)
                | CallError::Decode(_) => Self::Upstream(error),
            },
        }
    }

    /// The status that the client gets: the table of the contract (DESIGN 3.3).
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unreadable(unreadable) => match unreadable {
                Unreadable::Type | Unreadable::Coded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                Unreadable::Malformed { .. } => StatusCode::BAD_REQUEST,
                Unreadable::TooMuch(_) => StatusCode::PAYLOAD_TOO_LARGE,
            },
            Self::Body(error) => match error {
                BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                BodyError::Timeout => StatusCode::REQUEST_TIMEOUT,
                BodyError::Incomplete | BodyError::Malformed(_) | BodyError::Connection(_) => {
                    StatusCode::BAD_REQUEST
                }
            },
            Self::ClientStatus(status) => *status,
            Self::Upstream(_) => StatusCode::BAD_GATEWAY,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Expression(_) | Self::Merge(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What `Retry-After` says, where it is sent.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// The cause in one word, for metrics, logs and `on_error`.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Unreadable(unreadable) => unreadable.cause(),
            Self::Body(_) => "request-body",
            Self::ClientStatus(_) => "status",
            Self::Upstream(error) => error.cause(),
            Self::Unavailable { .. } => "unavailable",
            Self::Timeout => "timeout",
            Self::Expression(_) => "expression",
            Self::Merge(_) => "merge",
        }
    }
}

/// Statuses of a required step that the client can do something about: they pass through.
const fn concerns_client(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 404 | 409 | 410 | 412 | 415 | 422)
}
