//! Every way a request can fail, whose fault it is, and the status it becomes.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::decode::{READABLE, Unreadable};
use crate::exchange::path::PathError;
use crate::exchange::{BodyError, CallError};
use crate::expression::EvalError;
use crate::guard::limit::append_fields;
use crate::guard::refusal::{Denial, Refusal};
use crate::intake;
use crate::orchestrate::outcome::{FlowError, FlowFault, Outcome, PartReport, parts_header};
use crate::respond::Problem;
use crate::route::NoRoute;

/// A request that does not get what it asked for.
#[derive(Debug)]
pub enum GatewayError {
    /// The engine refused the head: with this status, for this reason.
    Wire(StatusCode, &'static str),
    /// The path has no canonical form.
    Path(PathError),
    /// No route for this host, path and method.
    Route(NoRoute),
    /// The guard said no.
    Guard(Refusal),
    /// The request body announces more than the limit.
    TooLarge { limit: u64 },
    /// The route does not take such a body.
    Intake(intake::Refused),
    /// A proxied call brought no response.
    Call(CallError),
    /// A flow has no response.
    Flow(FlowError),
    /// A template of the route, such as `rewrite`, has no value for this request.
    Expression(EvalError),
}

/// Who has to act for the request to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Client,
    Upstream,
    Gateway,
}

impl GatewayError {
    /// The cause in one word, for logs and metrics.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Wire(..) => "malformed-request",
            Self::Path(_) => "path",
            Self::Route(NoRoute::NotFound) => "no-route",
            Self::Route(NoRoute::MethodNotAllowed(_)) => "method",
            Self::Guard(refusal) => refusal.cause(),
            Self::TooLarge { .. } => "too-large",
            Self::Intake(refused) => refused.cause(),
            Self::Call(error) => error.cause(),
            Self::Flow(error) => error.fault.cause(),
            Self::Expression(_) => "expression",
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        let status = self.problem().status;
        match status {
            StatusCode::BAD_GATEWAY
            | StatusCode::GATEWAY_TIMEOUT
            | StatusCode::SERVICE_UNAVAILABLE => Fault::Upstream,
            status if status.is_client_error() => Fault::Client,
            _ => Fault::Gateway,
        }
    }

    /// What became of a flow's steps, where one ran.
    pub fn parts(&self) -> &[PartReport] {
        match self {
            Self::Flow(error) => &error.parts,
            _ => &[],
        }
    }

    /// What the operator's log says beside the cause; may name inner matters.
    pub fn inner(&self) -> Option<String> {
        match self {
            Self::Call(error) => Some(error.to_string()),
            Self::Flow(error) => Some(error.to_string()),
            Self::Expression(error) => Some(error.to_string()),
            Self::Guard(Refusal::NotAllowed { error }) => error.clone(),
            Self::Wire(_, reason) => Some((*reason).to_owned()),
            Self::Intake(refused) => Some(refused.to_string()),
            Self::Path(_) | Self::Route(_) | Self::Guard(_) | Self::TooLarge { .. } => None,
        }
    }

    /// What the client is told. No wildcard: a new error does not compile until somebody has
    /// chosen its status.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Wire(status, reason) => wire(*status, reason),
            Self::Path(error) => Problem::new(
                StatusCode::BAD_REQUEST,
                "path",
                "The path is malformed",
                format!("Of the request target, {error}."),
            ),
            Self::Route(NoRoute::NotFound) => Problem::new(
                StatusCode::NOT_FOUND,
                "no-route",
                "No route",
                "Nothing is served at this host and path.",
            ),
            Self::Route(NoRoute::MethodNotAllowed(allowed)) => method_not_allowed(allowed),
            Self::Guard(refusal) => refused(refusal),
            Self::TooLarge { limit } => too_large(*limit),
            Self::Intake(refused) => not_taken(refused),
            Self::Call(error) => call(error),
            Self::Flow(error) => flow(error),
            Self::Expression(_) => expression(),
        }
    }
}

fn wire(status: StatusCode, reason: &'static str) -> Problem {
    Problem::new(
        status,
        "malformed-request",
        "The request is malformed",
        format!("Of the request, {reason}."),
    )
}

fn method_not_allowed(allowed: &[Method]) -> Problem {
    let list: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        "Method not allowed",
        "What is served here does not answer this method.",
    )
    .with("allow", &list.join(", "))
}

fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::Address => forbidden("The client's address is not admitted here."),
        Refusal::NotAllowed { .. } => forbidden("The caller may not do this."),
        Refusal::Unauthenticated {
            denial, challenges, ..
        } => challenges
            .iter()
            .fold(unauthenticated(*denial), |problem, challenge| {
                problem.with("www-authenticate", challenge)
            }),
        Refusal::KeysUnavailable { retry_after, .. } => unavailable(
            "keys-unavailable",
            "The credential cannot be checked now.",
            *retry_after,
        ),
        Refusal::PasswordsBusy { retry_after, .. } => unavailable(
            "busy",
            "Too many passwords are being checked at once.",
            *retry_after,
        ),
        Refusal::Limited {
            limit,
            retry_after,
            standings,
        } => {
            let mut problem = Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "limited",
                "Too many requests",
                format!("The limit `{limit}` is used up."),
            )
            .with("retry-after", &seconds(*retry_after));
            append_fields(standings, &mut problem.headers);
            problem
        }
    }
}

fn unauthenticated(denial: Denial) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthenticated",
        "Not authenticated",
        denial.detail(),
    )
}

fn forbidden(detail: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
}

fn too_large(limit: u64) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too-large",
        "The body is too large",
        format!("A request body here has at most {limit} bytes."),
    )
}

fn request_body(error: &BodyError) -> Problem {
    match error {
        BodyError::TooLarge { limit } => too_large(*limit),
        BodyError::Timeout => wire(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time",
        ),
        BodyError::Incomplete | BodyError::Malformed(_) | BodyError::Connection(_) => Problem::new(
            StatusCode::BAD_REQUEST,
            "request-body",
            "The body is malformed",
            "The request body did not arrive whole.",
        ),
    }
}

/// RFC 9110, 15.5.16: what would be taken is told.
fn unsupported(accept: &str) -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content-type",
        "Unsupported type of body",
        "A request body here is of another type, as `Accept` tells.",
    )
    .with("accept", accept)
}

fn not_taken(refused: &intake::Refused) -> Problem {
    match refused {
        intake::Refused::Type { accept } => unsupported(accept),
        intake::Refused::Body(error) => request_body(error),
        intake::Refused::Unreadable(error) => unreadable(error),
        // RFC 9110, 15.5.21: it can be read, which 400 would deny.
        intake::Refused::Invalid(violations) => Problem {
            errors: violations.clone(),
            ..Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-body",
                "The body does not fit",
                "The request body is not what is asked for here, as `errors` tells.",
            )
        },
    }
}

fn unreadable(error: &Unreadable) -> Problem {
    match error {
        Unreadable::Type => unsupported(READABLE),
        Unreadable::Coded => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-encoding",
            "Unsupported coding of body",
            "A request body here is not compressed.",
        )
        .with("accept-encoding", "identity"),
        Unreadable::Malformed { format, what } => Problem::new(
            StatusCode::BAD_REQUEST,
            "request-body",
            "The body is malformed",
            format!("The request body is not {format}: {what}."),
        ),
        Unreadable::TooMuch(what) => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            *what,
        ),
    }
}

fn unavailable(kind: &'static str, detail: &'static str, retry_after: Duration) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        kind,
        "Unavailable for now",
        detail,
    )
    .with("retry-after", &seconds(retry_after))
}

fn timeout() -> Problem {
    Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "timeout",
        "Not in time",
        "A service did not answer in time.",
    )
}

fn bad_gateway(cause: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, cause, "A service failed", detail)
}

fn expression() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "expression",
        "The answer could not be made",
        "An expression of the route has no value for this request.",
    )
}

fn call(error: &CallError) -> Problem {
    match error {
        CallError::RequestBody(error) => request_body(error),
        CallError::Timeout(_)
        | CallError::Deadline
        | CallError::ResponseBody(BodyError::Timeout) => timeout(),
        CallError::Unavailable { retry_after } => {
            unavailable("unavailable", "No service can answer now.", *retry_after)
        }
        CallError::Overloaded { retry_after } => unavailable(
            "overloaded",
            "The service has too much to do.",
            *retry_after,
        ),
        CallError::Connect(_) => bad_gateway("connect", "A service could not be reached."),
        CallError::Reset(_) => bad_gateway("reset", "A service broke off before it answered."),
        CallError::Malformed(_) => {
            bad_gateway("malformed", "A service answered with what is not HTTP.")
        }
        CallError::ResponseBody(_) => {
            bad_gateway("truncated", "A service broke off in its answer.")
        }
        CallError::Status(_) => bad_gateway("status", "A service answered with an error."),
        CallError::Decode(_) => {
            bad_gateway("decode", "A service answered with what cannot be read.")
        }
    }
}

fn flow(error: &FlowError) -> Problem {
    let mut problem = match &error.fault {
        FlowFault::Unreadable(error) => unreadable(error),
        FlowFault::Body(error) => request_body(error),
        FlowFault::ClientStatus(status) => Problem::new(
            *status,
            "status",
            "A service refused the request",
            format!(
                "A service that this answer needs answered with {}.",
                status.as_u16()
            ),
        ),
        FlowFault::Upstream(error) => call(error),
        FlowFault::Unavailable { retry_after } => unavailable(
            "unavailable",
            "A service that this answer needs cannot answer now.",
            *retry_after,
        ),
        FlowFault::Timeout => timeout(),
        FlowFault::Expression(_) => expression(),
        FlowFault::Merge(_) => Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "merge",
            "The answer could not be made",
            "The parts of this answer do not fit together.",
        ),
    };
    problem.step = error.step.as_deref().map(str::to_owned);
    let cancelled_only = error
        .parts
        .iter()
        .all(|part| part.outcome == Outcome::Cancelled);
    match parts_header(&error.parts) {
        Some(parts) if !cancelled_only => problem.with("concertina-parts", &parts),
        _ => problem,
    }
}

/// Whole seconds, at least one: `Retry-After: 0` invites a storm.
fn seconds(wait: Duration) -> String {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
        .max(1)
        .to_string()
}

impl From<NoRoute> for GatewayError {
    fn from(error: NoRoute) -> Self {
        Self::Route(error)
    }
}

impl From<Refusal> for GatewayError {
    fn from(error: Refusal) -> Self {
        Self::Guard(error)
    }
}

impl From<intake::Refused> for GatewayError {
    fn from(refused: intake::Refused) -> Self {
        Self::Intake(refused)
    }
}

impl From<CallError> for GatewayError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<FlowError> for GatewayError {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}

impl From<EvalError> for GatewayError {
    fn from(error: EvalError) -> Self {
        Self::Expression(error)
    }
}
