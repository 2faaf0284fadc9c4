//! Why a request may not go on, with what its answer needs to say.

use std::sync::Arc;
use std::time::Duration;

use super::limit::Standing;

/// Why the guard stops a request. `respond` chooses the words, `error` the status; what each
/// variant means is fixed here.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// 403: the client's address is denied, or not among those allowed.
    Address,
    /// 401: no authenticator of the route admitted the request.
    Unauthenticated {
        /// The authenticator that came closest, by its name in the file.
        authenticator: Arc<str>,
        denial: Denial,
        /// A value of `WWW-Authenticate` for each way to authenticate (RFC 9110, 11.6.1).
        challenges: Vec<String>,
    },
    /// 503: a token cannot be judged because its issuer's keys were never had.
    KeysUnavailable {
        authenticator: Arc<str>,
        retry_after: Duration,
    },
    /// 503: as many passwords are being checked as may be at once.
    PasswordsBusy {
        authenticator: Arc<str>,
        retry_after: Duration,
    },
    /// 403: the route's `allow` is not true for this request.
    NotAllowed {
        /// `allow` could not be evaluated: what is said in the log, never to the client.
        error: Option<String>,
    },
    /// 429: a limit is used up.
    Limited {
        /// The limit's name in the file.
        limit: Arc<str>,
        retry_after: Duration,
        /// For `RateLimit` and `RateLimit-Policy`; empty for a concurrency limit.
        standings: Vec<Standing>,
    },
}

impl Refusal {
    /// The cause in one word, as it stands in metrics and logs.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Unauthenticated { denial, .. } => denial.cause(),
            Self::KeysUnavailable { .. } => "keys-unavailable",
            Self::PasswordsBusy { .. } => "passwords-busy",
            Self::NotAllowed { error: None } => "not-allowed",
            Self::NotAllowed { error: Some(_) } => "allow-failed",
            Self::Limited { .. } => "limited",
        }
    }

    /// What `Retry-After` says, where it is sent.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::KeysUnavailable { retry_after, .. }
            | Self::PasswordsBusy { retry_after, .. }
            | Self::Limited { retry_after, .. } => Some(*retry_after),
            Self::Address | Self::Unauthenticated { .. } | Self::NotAllowed { .. } => None,
        }
    }
}

/// What is wrong with a credential. Says nothing of what the credential holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// There is none.
    Missing,
    /// There are several in one place, or it is not in the form that it must have.
    Malformed,
    /// Longer than any credential may be.
    TooLarge,
    /// An algorithm that this authenticator does not admit, `none` among them.
    Algorithm,
    /// The token demands an extension that the gateway does not know (RFC 7515, 4.1.11).
    Critical,
    /// No key of the issuer has the token's `kid`, or fits its algorithm.
    UnknownKey,
    Signature,
    Expired,
    NotYetValid,
    Issuer,
    Audience,
    /// A claim that must be there is missing, or one is not of its type.
    Claims,
    /// No such API key, or no such user with this password.
    Unknown,
}

impl Denial {
    /// One word for metrics and logs.
    pub const fn cause(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::Algorithm => "algorithm",
            Self::Critical => "critical",
            Self::UnknownKey => "unknown-key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claims => "claims",
            Self::Unknown => "unknown",
        }
    }

    /// A sentence for the client; plain ASCII without quotes, so that it may stand in a challenge.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Missing => "This route needs a credential, and the request has none.",
            Self::Malformed => "The credential is not in the form that it must have.",
            Self::TooLarge => "The credential is too large.",
            Self::Algorithm => "The token is signed by an algorithm that is not admitted here.",
            Self::Critical => "The token demands an extension that is not known here.",
            Self::UnknownKey => "The token is signed by a key that is not known here.",
            Self::Signature => "The signature of the token does not fit.",
            Self::Expired => "The token has expired.",
            Self::NotYetValid => "The token is not valid yet.",
            Self::Issuer => "The token is from another issuer.",
            Self::Audience => "The token is meant for another audience.",
            Self::Claims => "A claim of the token is missing or not of its type.",
            Self::Unknown => "The credential is not known here.",
        }
    }
}
