//! Decides whether a failed call may be tried again, when, and within which budget.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use tokio::time::Instant;

use super::{RetryOn, RetrySpec};
use crate::exchange::{Body, CallError, Headers, Response, id};

/// What a retry costs, in hundredths.
const COST: u64 = 100;

/// What each request adds: so retries are at most a fifth of recent requests.
const SHARE: u64 = 20;

/// The most that is saved up: ten retries.
const SAVED_MAX: u64 = 10 * COST;

/// How often one retry is free, however few requests there are.
const FLOOR: Duration = Duration::from_secs(1);

/// Bounds the retries of an upstream, so that they cannot finish off one that is struggling.
pub(super) struct Budget {
    born: Instant,
    saved: AtomicU64,
    /// Milliseconds after `born` when the last free retry was taken, plus one; 0: none was.
    free_at: AtomicU64,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            born: Instant::now(),
            saved: AtomicU64::new(SAVED_MAX),
            free_at: AtomicU64::new(0),
        }
    }

    /// A request was begun.
    pub(super) fn deposit(&self) {
        // While nothing fails this only reads: workers do not fight for the cache line.
        if self.saved.load(Ordering::Relaxed) < SAVED_MAX {
            self.saved.fetch_add(SHARE, Ordering::Relaxed);
        }
    }

    /// Whether one retry may be made; it is paid for.
    pub(super) fn withdraw(&self) -> bool {
        let pay = |saved: u64| saved.checked_sub(COST);
        let paid = self
            .saved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay);
        paid.is_ok() || self.take_free()
    }

    fn take_free(&self) -> bool {
        let now = self.born.elapsed().as_millis() as u64 + 1;
        let due = |last: u64| (last == 0 || now >= last + FLOOR.as_millis() as u64).then_some(now);
        self.free_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, due)
            .is_ok()
    }
}

/// Whether sending the same request twice does no more than sending it once (RFC 9110, 9.2.2),
/// or the upstream is told how to see that it is the same.
pub(super) fn is_repeatable(method: &Method, headers: &Headers) -> bool {
    method.is_idempotent() || headers.get("idempotency-key").is_some()
}

/// The same body once more, where it is in memory.
pub(super) fn copy_of(body: &Body) -> Option<Body> {
    match body {
        Body::Empty => Some(Body::Empty),
        Body::Full(bytes) => Some(Body::Full(bytes.clone())),
        Body::Parts(parts) => Some(Body::Parts(parts.clone())),
        Body::Stream(_) => None,
    }
}

/// Whether an attempt that ended so is one that another may follow.
pub(super) fn allows(on: RetryOn, ended: Result<&Response, &CallError>) -> bool {
    match ended {
        Ok(response) => {
            on.server_error && response.status.is_server_error()
                || on.busy && is_busy(response.status) && retry_after(&response.headers).is_some()
        }
        Err(CallError::Connect(_)) => on.connect,
        Err(CallError::Reset(_)) => on.reset,
        Err(CallError::Timeout(_)) => on.timeout,
        Err(
            CallError::Malformed(_)
            | CallError::Unavailable { .. }
            | CallError::Overloaded { .. }
            | CallError::Deadline
            | CallError::RequestBody(_)
            | CallError::ResponseBody(_)
            | CallError::Status(_)
            | CallError::Decode(_),
        ) => false,
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

/// How long to wait before attempt `attempt` (2 is the first that repeats): what the upstream
/// asks for, else a time at random below a bound that doubles (full jitter), so that those who
/// failed together do not come back together.
pub(super) fn pause(
    spec: &RetrySpec,
    attempt: u32,
    ended: Result<&Response, &CallError>,
) -> Duration {
    let (shortest, longest) = spec.backoff;
    let doublings = attempt.saturating_sub(1).min(16);
    let bound = shortest.saturating_mul(1 << doublings).min(longest);
    let spread = bound.saturating_sub(shortest).as_micros() as u64;
    let jitter = Duration::from_micros((id::random() as u64) % spread.saturating_add(1));
    let chosen = shortest.min(longest) + jitter;
    match ended {
        Ok(response) if is_busy(response.status) => {
            retry_after(&response.headers).map_or(chosen, |asked| asked.max(chosen))
        }
        _ => chosen,
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &Headers) -> Option<Duration> {
    let text = headers.get_str("retry-after")?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let date = SystemTime::from(date);
    // A date that has passed asks for no wait at all.
    Some(
        date.duration_since(SystemTime::now())
            .unwrap_or(Duration::ZERO),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_fifth_of_requests_and_one_a_second_at_least() {
        let budget = Budget::new();
        let withdrawn = |budget: &Budget| (0..100).filter(|_| budget.withdraw()).count();
        assert_eq!(withdrawn(&budget), 11, "what was saved, and a free one");
        for _ in 0..20 {
            budget.deposit();
        }
        assert_eq!(withdrawn(&budget), 4);
        tokio::time::advance(FLOOR).await;
        assert_eq!(withdrawn(&budget), 1);
        for _ in 0..1000 {
            budget.deposit();
        }
        assert_eq!(withdrawn(&budget), 10, "no more than that is saved");
    }

    #[test]
    fn only_what_is_safe_to_repeat_is_repeatable() {
        let none = Headers::new();
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            assert!(is_repeatable(&method, &none));
        }
        assert!(!is_repeatable(&Method::POST, &none));
        assert!(!is_repeatable(&Method::PATCH, &none));
        let mut keyed = Headers::new();
        keyed.append("idempotency-key", b"1");
        assert!(is_repeatable(&Method::POST, &keyed));
    }

    const ON: RetryOn = RetryOn {
        connect: true,
        reset: true,
        timeout: true,
        server_error: false,
        busy: true,
    };

    #[expect(clippy::unnecessary_wraps, reason = "stands beside failures")]
    fn answer(status: u16, retry_after: Option<&str>) -> Result<Response, CallError> {
        let mut headers = Headers::new();
        if let Some(value) = retry_after {
            headers.append("retry-after", value.as_bytes());
        }
        let status = StatusCode::from_u16(status).unwrap();
        Ok(Response::new(status, headers, Body::Empty))
    }

    #[test]
    fn a_busy_upstream_is_asked_again_when_it_says_when() {
        assert!(!allows(ON, answer(503, None).as_ref()));
        assert!(!allows(ON, answer(500, Some("1")).as_ref()));
        assert!(allows(ON, answer(503, Some("1")).as_ref()));
        assert!(allows(ON, answer(429, Some("0")).as_ref()));
        assert!(!allows(ON, answer(429, Some("soon")).as_ref()));
        assert!(!allows(ON, Err(&CallError::Deadline)));
    }

    #[test]
    fn pauses_grow_stay_within_bounds_and_heed_the_upstream() {
        let milliseconds = Duration::from_millis;
        let spec = RetrySpec {
            attempts: 9,
            on: ON,
            backoff: (milliseconds(20), milliseconds(100)),
        };
        let reset = CallError::Reset(String::new());
        let failed = Err(&reset);
        for _ in 0..200 {
            let first = pause(&spec, 2, failed);
            assert!(first >= milliseconds(20) && first <= milliseconds(40));
            let fifth = pause(&spec, 6, failed);
            assert!(fifth >= milliseconds(20) && fifth <= milliseconds(100));
        }
        assert_eq!(
            pause(&spec, 2, answer(503, Some("7")).as_ref()),
            Duration::from_secs(7)
        );
        let past = answer(429, Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert!(pause(&spec, 2, past.as_ref()) <= milliseconds(100));
        let odd = RetrySpec {
            backoff: (milliseconds(50), milliseconds(10)),
            ..spec
        };
        assert_eq!(pause(&odd, 2, failed), milliseconds(10));
    }
}
