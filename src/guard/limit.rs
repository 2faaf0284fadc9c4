//! Rate limits by GCRA and concurrency limits, each counted by a key and shared by all workers.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::{Quota, RateLimiter};

use super::spec::{LimitKind, LimitSpec};
use crate::exchange::Headers;
use crate::expression::{Budget, Expression, Scope};
use crate::store::{Cells, Counts, Key, Keyed, Place};

/// Keys that one rate limit remembers at once: at most 24 MiB of them. Beyond, those closest to
/// being forgotten are forgotten early.
const KEYS_MAX: usize = 1 << 20;
/// Bytes of a key that is a list or a map, as JSON.
const KEY_BYTES_MAX: usize = 16 * 1024;
/// What a client is told to wait for a place: nobody knows when one is given back.
const PLACE_WAIT: Duration = Duration::from_secs(1);
/// The longest a key may be remembered: some 146 years, half of what the counters can hold.
const SPAN_NANOS_MAX: u64 = u64::MAX / 4;

/// The limits of the file, in its order.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    list: Vec<Arc<Limit>>,
}

/// A limit with its counters.
#[derive(Debug)]
pub struct Limit {
    spec: LimitSpec,
    name: Arc<str>,
    keyed: Keyed,
    counter: Counter,
}

#[derive(Debug)]
enum Counter {
    Rate(Box<Rate<DefaultClock>>),
    Concurrency { counts: Arc<Counts>, most: u32 },
}

/// What a limit grants a request.
#[derive(Debug)]
pub(super) enum Grant {
    Rate(Standing),
    Permit(Permit),
}

/// Why a limit grants nothing now.
#[derive(Debug)]
pub(super) struct Exhausted {
    pub retry_after: Duration,
    pub standing: Option<Standing>,
}

/// A place in a concurrency limit; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _place: Place,
}

/// Where a request leaves a rate limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The limit's item of `RateLimit-Policy`, such as `"per-customer";q=20;w=12`.
    pub policy: Arc<str>,
    /// Its name as a quoted string of Structured Fields (RFC 9651).
    pub name: Arc<str>,
    /// Requests that may still come at once.
    pub remaining: u32,
    /// Seconds until the limit is whole again.
    pub reset: u64,
}

impl Limits {
    /// Builds what `specs` describe. Counters of a limit that did not change since `previous` live
    /// on.
    pub fn build(specs: &[LimitSpec], previous: Option<&Self>) -> Self {
        let kept = |spec: &LimitSpec| {
            let mut old = previous.iter().flat_map(|limits| &limits.list);
            old.find(|limit| limit.spec == *spec).map(Arc::clone)
        };
        Self {
            list: specs
                .iter()
                .map(|spec| kept(spec).unwrap_or_else(|| Arc::new(Limit::new(spec.clone()))))
                .collect(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&Arc<Limit>> {
        self.list.get(index)
    }
}

impl Limit {
    fn new(spec: LimitSpec) -> Self {
        let counter = match spec.kind {
            LimitKind::Rate {
                count,
                period,
                burst,
            } => {
                let rate = Rate::new(&spec.name, count, period, burst, DefaultClock::default());
                Counter::Rate(Box::new(rate))
            }
            LimitKind::Concurrency(most) => Counter::Concurrency {
                counts: Arc::new(Counts::new()),
                most,
            },
        };
        Self {
            name: spec.name.as_str().into(),
            spec,
            keyed: Keyed::new(),
            counter,
        }
    }

    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Counts one request.
    pub(super) fn take(&self, scope: &dyn Scope, client: IpAddr) -> Result<Grant, Exhausted> {
        let key = self.key(scope, client);
        match &self.counter {
            Counter::Rate(rate) => rate.check(&key).map(Grant::Rate),
            Counter::Concurrency { counts, most } => counts
                .take(key, *most)
                .map(|place| Grant::Permit(Permit { _place: place }))
                .ok_or(Exhausted {
                    retry_after: PLACE_WAIT,
                    standing: None,
                }),
        }
    }

    /// What the request is counted by. Where `by` has no value, or null, that is the client's
    /// address: who leaves out what is counted by is not let off.
    fn key(&self, scope: &dyn Scope, client: IpAddr) -> Key {
        let by_value = |by: &Arc<Expression>| {
            let value = by.evaluate(scope, &Budget::default()).ok()?;
            if value.is_null() {
                return None;
            }
            if let Ok(text) = value.to_text() {
                return Some(self.keyed.key((1_u8, text.as_ref())));
            }
            let json = value.to_json(KEY_BYTES_MAX).ok()?;
            Some(self.keyed.key((2_u8, json.as_ref())))
        };
        self.spec
            .by
            .as_ref()
            .and_then(by_value)
            .unwrap_or_else(|| self.keyed.key((0_u8, network(client))))
    }
}

/// The address as far as one client is told from another: an IPv6 client has a whole /64 to choose
/// its addresses from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let upper = u128::from(address) >> 64 << 64;
            IpAddr::V6(upper.into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// `count` requests a `period`, `burst` at once, by the generic cell rate algorithm.
struct Rate<C: Clock> {
    limiter: RateLimiter<Key, Cells, C, StateInformationMiddleware>,
    burst: u32,
    interval: Duration,
    policy: Arc<str>,
    name: Arc<str>,
}

impl<C: Clock> Rate<C> {
    fn new(name: &str, count: u32, period: Duration, burst: u32, clock: C) -> Self {
        let interval = (period / count.max(1)).max(Duration::from_nanos(1));
        let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        let nanos = nanos.min(SPAN_NANOS_MAX);
        // More at once than the counters can hold is as good as what they can hold.
        let burst_max = u32::try_from(SPAN_NANOS_MAX / nanos).unwrap_or(u32::MAX);
        let burst = NonZeroU32::new(burst.min(burst_max)).unwrap_or(NonZeroU32::MIN);
        let interval = Duration::from_nanos(nanos);
        let quota = Quota::with_period(interval)
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let name = quoted(name);
        // As a quota and a window, a burst is what may come while it refills.
        let window = seconds_up(interval.saturating_mul(burst.get()));
        Self {
            limiter: RateLimiter::new(quota, Cells::new(KEYS_MAX, nanos), clock),
            burst: burst.get(),
            interval,
            policy: format!("{name};q={burst};w={window}").into(),
            name: name.into(),
        }
    }

    fn check(&self, key: &Key) -> Result<Standing, Exhausted> {
        match self.limiter.check_key(key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let missing = self.burst.saturating_sub(remaining);
                Ok(self.standing(remaining, self.interval.saturating_mul(missing)))
            }
            Err(refused) => {
                let wait = refused.wait_time_from(self.limiter.clock().now());
                let refill = self.interval.saturating_mul(self.burst.saturating_sub(1));
                Err(Exhausted {
                    retry_after: wait,
                    standing: Some(self.standing(0, wait.saturating_add(refill))),
                })
            }
        }
    }

    fn standing(&self, remaining: u32, reset: Duration) -> Standing {
        Standing {
            policy: Arc::clone(&self.policy),
            name: Arc::clone(&self.name),
            remaining,
            reset: seconds_up(reset),
        }
    }
}

impl<C: Clock> std::fmt::Debug for Rate<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rate({})", self.policy)
    }
}

/// Whole seconds, never fewer than the duration has.
pub(super) fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// A string of Structured Fields (RFC 9651, 3.3.3); what cannot stand in one is left out.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars().filter(|c| matches!(c, ' '..='~')) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// Appends `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), nothing
/// for no rate limits.
pub fn append_fields(standings: &[Standing], headers: &mut Headers) {
    if standings.is_empty() {
        return;
    }
    // With room for three: most routes have one or two.
    let (mut policies, mut limits) = (String::with_capacity(192), String::with_capacity(192));
    for standing in standings {
        if !policies.is_empty() {
            policies.push_str(", ");
            limits.push_str(", ");
        }
        policies.push_str(&standing.policy);
        limits.push_str(&standing.name);
        // Writing to a string cannot fail.
        let _: std::fmt::Result = write!(limits, ";r={};t={}", standing.remaining, standing.reset);
    }
    headers.append("ratelimit-policy", policies.as_bytes());
    headers.append("ratelimit", limits.as_bytes());
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    use super::*;

    const KEY: Key = Key(1, 2);

    fn rate(
        count: u32,
        period: Duration,
        burst: u32,
    ) -> (Rate<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (
            Rate::new("limit", count, period, burst, clock.clone()),
            clock,
        )
    }

    fn passed(rate: &Rate<FakeRelativeClock>, asked: usize) -> usize {
        (0..asked).filter(|_| rate.check(&KEY).is_ok()).count()
    }

    #[test]
    fn a_burst_passes_whole_and_comes_back_at_the_rate() {
        let (rate, clock) = rate(100, Duration::from_mins(1), 20);
        for remaining in (0..20).rev() {
            let standing = rate.check(&KEY).unwrap();
            assert_eq!(standing.remaining, remaining);
            assert_eq!(
                standing.reset,
                u64::from(20 - remaining) * 6 / 10 + u64::from((20 - remaining) * 6 % 10 > 0)
            );
        }
        let refused = rate.check(&KEY).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_millis(600));
        let standing = refused.standing.unwrap();
        assert_eq!((standing.remaining, standing.reset), (0, 12));
        assert_eq!(&*standing.policy, "\"limit\";q=20;w=12");
        clock.advance(Duration::from_millis(599));
        assert!(rate.check(&KEY).is_err());
        clock.advance(Duration::from_millis(1));
        assert_eq!(passed(&rate, 5), 1);
        clock.advance(Duration::from_millis(1200));
        assert_eq!(passed(&rate, 5), 2);
        clock.advance(Duration::from_hours(1));
        assert_eq!(passed(&rate, 50), 20);
    }

    #[test]
    fn threads_share_one_burst() {
        let (rate, _clock) = rate(1, Duration::from_hours(1), 1000);
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| passed(&rate, 500))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(passed, 1000);
    }

    #[test]
    fn extreme_limits_neither_panic_nor_stop_counting() {
        for (count, period, burst) in [
            (u32::MAX, Duration::from_nanos(1), u32::MAX),
            (1, Duration::from_hours(24 * 366 * 100), u32::MAX),
            (1, Duration::MAX, 1),
            (0, Duration::ZERO, 0),
        ] {
            let (rate, clock) = rate(count, period, burst);
            assert!(rate.check(&KEY).is_ok(), "{rate:?}");
            clock.advance(Duration::from_hours(24 * 366));
            let _either = rate.check(&KEY);
        }
    }

    proptest! {
        #[test]
        fn no_more_pass_than_burst_and_rate_allow(
            count in 1_u32..50, burst in 1_u32..20, pauses in prop::collection::vec(0_u64..3000, 1..200),
        ) {
            let (rate, clock) = rate(count, Duration::from_secs(1), burst);
            let mut elapsed = 0;
            let mut passed: u64 = 0;
            for pause in pauses {
                clock.advance(Duration::from_millis(pause));
                elapsed += pause;
                passed += u64::from(rate.check(&KEY).is_ok());
                let most = u64::from(burst) + elapsed * u64::from(count) / 1000 + 1;
                prop_assert!(passed <= most, "{passed} of {most}");
            }
        }
    }

    #[test]
    fn a_name_is_quoted_for_structured_fields() {
        assert_eq!(quoted("per-customer"), "\"per-customer\"");
        assert_eq!(quoted("a\"b\\c\u{e9}\r\n"), "\"a\\\"b\\\\c\"");
        assert_eq!(seconds_up(Duration::from_millis(1001)), 2);
        assert_eq!(seconds_up(Duration::ZERO), 0);
    }
}
