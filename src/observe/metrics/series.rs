//! What is counted about routes, upstreams, parts, guards and listeners, each by its own handle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::cells::{Causes, Count, Distribution, Durations, Series, Slot, float};

/// Handles: resolved by name when a snapshot is built, then only indexed.
pub type RouteMetrics = Series<RouteCells>;
pub type UpstreamMetrics = Series<UpstreamCells>;
pub type PartMetrics = Series<PartCells>;
pub type LimitMetrics = Series<LimitCells>;
pub type AuthenticatorMetrics = Series<AuthenticatorCells>;
pub type ListenerMetrics = Series<ListenerCells>;

/// Responses by the first digit of their status.
#[derive(Debug, Default)]
pub struct Classes([Count; CLASSES.len()]);

/// The last is for exchanges that ended before they had a status.
pub const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

impl Classes {
    fn increment(&self, status: Option<u16>) {
        let class = status.map_or(5, |status| usize::from(status / 100).saturating_sub(1));
        if let Some(count) = self.0.get(class.min(5)) {
            count.increment();
        }
    }
}

/// Sums by class over all workers.
pub(super) fn sum_classes<C>(
    series: &Series<C>,
    classes: impl Fn(&C) -> &Classes,
) -> [u64; CLASSES.len()] {
    let mut sums = [0; CLASSES.len()];
    for cells in series.all() {
        for (sum, count) in sums.iter_mut().zip(&classes(cells).0) {
            *sum += count.get();
        }
    }
    sums
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExchangeEnd {
    /// None: the client left before there was one.
    pub status: Option<u16>,
    /// The client left before the last byte.
    pub aborted: bool,
    /// Why the gateway answered with a problem of its own.
    pub cause: Option<&'static str>,
    pub duration: Duration,
    /// Bytes of body.
    pub received: u64,
    /// Bytes of body.
    pub sent: u64,
}

/// One route, one worker.
#[derive(Debug, Default)]
pub struct RouteCells {
    pub(super) begun: Count,
    pub(super) by_class: Classes,
    pub(super) aborted: Count,
    pub(super) received: Count,
    pub(super) sent: Count,
    pub(super) durations: Durations,
    pub(super) failures: Causes,
}

impl RouteCells {
    pub fn begin(&self) {
        self.begun.increment();
    }

    pub fn end(&self, end: &ExchangeEnd) {
        self.by_class.increment(end.status);
        self.durations.record(end.duration);
        self.received.add(end.received);
        self.sent.add(end.sent);
        if end.aborted {
            self.aborted.increment();
        }
        if let Some(cause) = end.cause {
            self.failures.increment(cause);
        }
    }
}

/// Calls to one upstream, one worker: each from its first attempt to its last.
#[derive(Debug, Default)]
pub struct UpstreamCells {
    pub(super) begun: Count,
    pub(super) by_class: Classes,
    pub(super) failures: Causes,
    pub(super) durations: Durations,
}

impl UpstreamCells {
    /// A call starts.
    pub fn call(&self) -> OngoingCall<'_> {
        self.begun.increment();
        OngoingCall {
            cells: self,
            started: Instant::now(),
            ended: false,
        }
    }
}

/// A call to an upstream. When it is dropped before it has an end, it counts as `cancelled`.
#[derive(Debug)]
pub struct OngoingCall<'a> {
    cells: &'a UpstreamCells,
    started: Instant,
    ended: bool,
}

impl OngoingCall<'_> {
    /// A response head came.
    pub fn answered(mut self, status: u16) {
        self.cells.by_class.increment(Some(status));
        self.end();
    }

    /// No response head came: `cause` is the call's error in one word.
    pub fn failed(mut self, cause: &'static str) {
        self.fail(cause);
    }

    fn fail(&mut self, cause: &'static str) {
        self.cells.by_class.increment(None);
        self.cells.failures.increment(cause);
        self.end();
    }

    fn end(&mut self) {
        self.cells.durations.record(self.started.elapsed());
        self.ended = true;
    }
}

impl Drop for OngoingCall<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.fail("cancelled");
        }
    }
}

/// How a step can end, in DESIGN's words.
pub const OUTCOMES: [&str; 6] = [
    "ok",
    "defaulted",
    "skipped",
    "failed",
    "cancelled",
    "unknown",
];

/// One step of a flow, one worker.
#[derive(Debug, Default)]
pub struct PartCells {
    pub(super) outcomes: [Count; OUTCOMES.len()],
    pub(super) failures: Causes,
    pub(super) durations: Durations,
    /// In the order of [`CACHE_USES`].
    pub(super) cache: [Count; CACHE_USES.len()],
}

/// How a call of a step that keeps what it brings can be answered.
pub const CACHE_USES: [&str; 4] = ["hit", "shared", "miss", "stale"];

impl PartCells {
    /// So many calls were answered in each of the ways of [`CACHE_USES`].
    pub fn kept(&self, uses: [u32; CACHE_USES.len()]) {
        for (count, more) in self.cache.iter().zip(uses) {
            if more > 0 {
                count.add(u64::from(more));
            }
        }
    }

    /// A step ended as `outcome`, one of [`OUTCOMES`]; with the cause where it failed.
    pub fn ended(&self, outcome: &str, cause: Option<&'static str>, duration: Duration) {
        let place = OUTCOMES.iter().position(|known| *known == outcome);
        // A word that is not in the list must not vanish.
        if let Some(count) = self.outcomes.get(place.unwrap_or(OUTCOMES.len() - 1)) {
            count.increment();
        }
        if let Some(cause) = cause {
            self.failures.increment(cause);
        }
        if outcome != "skipped" {
            self.durations.record(duration);
        }
    }
}

/// One limit, one worker.
#[derive(Debug, Default)]
pub struct LimitCells {
    pub(super) refused: Count,
}

impl LimitCells {
    pub fn refused(&self) {
        self.refused.increment();
    }
}

/// One authenticator, one worker.
#[derive(Debug, Default)]
pub struct AuthenticatorCells {
    pub(super) admitted: Count,
    pub(super) refusals: Causes,
}

impl AuthenticatorCells {
    pub fn admitted(&self) {
        self.admitted.increment();
    }

    /// `reason` in one word: `missing`, `expired`, `signature`.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.increment(reason);
    }
}

/// One listener, one worker.
#[derive(Debug, Default)]
pub struct ListenerCells {
    pub(super) accepted: Count,
    pub(super) closed: Count,
    pub(super) turned_away: Count,
    pub(super) full_handshakes: Count,
    pub(super) resumed_handshakes: Count,
    pub(super) handshake_failures: Causes,
}

impl ListenerCells {
    /// Closed at once: as many were open as may be.
    pub fn turned_away(&self) {
        self.turned_away.increment();
    }

    pub fn handshake(&self, resumed: bool) {
        if resumed {
            self.resumed_handshakes.increment();
        } else {
            self.full_handshakes.increment();
        }
    }

    /// `cause` of [`crate::tls::HandshakeError`].
    pub fn handshake_failed(&self, cause: &'static str) {
        self.handshake_failures.increment(cause);
    }
}

impl ListenerMetrics {
    /// Counts a connection as open until what is returned is dropped.
    pub fn connection(self: &Arc<Self>, slot: Slot) -> OpenConnection {
        self.at(slot).accepted.increment();
        OpenConnection {
            listener: Arc::clone(self),
            slot,
        }
    }
}

/// A client's connection, counted until it is dropped.
#[derive(Debug)]
pub struct OpenConnection {
    listener: Arc<ListenerMetrics>,
    slot: Slot,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.listener.at(self.slot).closed.increment();
    }
}

/// What the admin listener shows of a route or an upstream.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Ended, by class of status.
    pub responses: BTreeMap<&'static str, u64>,
    pub in_flight: u64,
    /// By cause.
    pub failures: BTreeMap<&'static str, u64>,
    pub mean_ms: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

impl Summary {
    fn new(
        begun: u64,
        by_class: [u64; CLASSES.len()],
        failures: Vec<(&'static str, u64)>,
        durations: &Distribution,
    ) -> Self {
        let ended: u64 = by_class.iter().sum();
        let count = durations.count();
        Self {
            responses: CLASSES
                .into_iter()
                .zip(by_class)
                .filter(|(_, count)| *count > 0)
                .collect(),
            in_flight: begun.saturating_sub(ended),
            failures: failures.into_iter().collect(),
            mean_ms: (count > 0).then(|| float(durations.sum_micros) / 1e3 / float(count)),
            p50_ms: durations.quantile_ms(0.5),
            p99_ms: durations.quantile_ms(0.99),
        }
    }
}

impl RouteMetrics {
    pub fn summary(&self) -> Summary {
        Summary::new(
            self.sum(|cells| &cells.begun),
            sum_classes(self, |cells| &cells.by_class),
            self.sum_causes(|cells| &cells.failures),
            &self.distribution(|cells| &cells.durations),
        )
    }
}

impl UpstreamMetrics {
    pub fn summary(&self) -> Summary {
        Summary::new(
            self.sum(|cells| &cells.begun),
            sum_classes(self, |cells| &cells.by_class),
            self.sum_causes(|cells| &cells.failures),
            &self.distribution(|cells| &cells.durations),
        )
    }
}
