//! What endpoints have been asked and how they answered: counted without locks, read as a whole.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::exchange::{BodyError, CallError};

/// How many workers count each in a place of their own; more workers share places.
const SHARDS: usize = 16;

/// Why a request to an endpoint failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or none that TLS accepted.
    Connect,
    /// No response head in time.
    Timeout,
    /// The connection ended before the response head.
    Reset,
    /// Not HTTP as it must be.
    Malformed,
    /// The response body broke off, stalled or was malformed.
    Body,
    /// A response with a status from 500 on.
    Status,
}

impl Failure {
    pub const ALL: [Self; 6] = [
        Self::Connect,
        Self::Timeout,
        Self::Reset,
        Self::Malformed,
        Self::Body,
        Self::Status,
    ];

    /// The label in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Malformed => "malformed",
            Self::Body => "body",
            Self::Status => "status",
        }
    }

    /// What to count for `error`; none where the endpoint is not to blame.
    pub(super) const fn of(error: &CallError) -> Option<Self> {
        match error {
            CallError::Connect(_) => Some(Self::Connect),
            CallError::Timeout(_) | CallError::Deadline => Some(Self::Timeout),
            CallError::Reset(_) => Some(Self::Reset),
            CallError::Malformed(_) => Some(Self::Malformed),
            CallError::ResponseBody(
                BodyError::Timeout
                | BodyError::Incomplete
                | BodyError::Malformed(_)
                | BodyError::Connection(_),
            ) => Some(Self::Body),
            CallError::ResponseBody(BodyError::TooLarge { .. })
            | CallError::Unavailable { .. }
            | CallError::Overloaded { .. }
            | CallError::RequestBody(_)
            | CallError::Status(_)
            | CallError::Decode(_) => None,
        }
    }
}

/// Whether an endpoint is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    Up,
    /// Set aside because connections to it failed; tried again after `left`.
    Aside {
        left: Duration,
    },
    /// Set aside by active probes until they pass again.
    Down,
}

impl HealthState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Aside { .. } => "aside",
            Self::Down => "down",
        }
    }
}

/// An upstream at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFacts {
    pub name: String,
    /// Attempts beyond the first, those on a stale connection aside.
    pub retries: u64,
    /// Retries that the budget refused.
    pub retries_refused: u64,
    /// Calls refused because as many were at work as may be.
    pub overloaded: u64,
    pub endpoints: Vec<EndpointFacts>,
}

/// An endpoint at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointFacts {
    /// As the file writes it: `http://10.0.0.1:8080`.
    pub url: String,
    pub health: HealthState,
    pub requests: u64,
    /// Requests whose response has not ended.
    pub in_flight: u64,
    /// Connections ever opened.
    pub connects: u64,
    /// Connections open now, idle ones included.
    pub open_connections: u64,
    pub failures: [(Failure, u64); Failure::ALL.len()],
}

/// The counts of one endpoint by those workers that share this place. Aligned so that no two
/// workers write to one cache line.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Shard {
    requests: AtomicU64,
    in_flight: AtomicU64,
    connects: AtomicU64,
    failures: [AtomicU64; Failure::ALL.len()],
}

impl Shard {
    pub(super) fn begin(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn connected(&self) {
        self.connects.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, failure: Failure) {
        if let Some(count) = self.failures.get(failure as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The counts of one endpoint by all workers.
#[derive(Default)]
pub(super) struct Counts([Shard; SHARDS]);

impl Counts {
    /// The place where `worker` counts.
    pub(super) fn shard(&self, worker: usize) -> &Shard {
        let [first, ..] = &self.0;
        self.0.get(worker % SHARDS).unwrap_or(first)
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.sum(|shard| &shard.in_flight)
    }

    pub(super) fn requests(&self) -> u64 {
        self.sum(|shard| &shard.requests)
    }

    pub(super) fn connects(&self) -> u64 {
        self.sum(|shard| &shard.connects)
    }

    pub(super) fn failures(&self) -> [(Failure, u64); Failure::ALL.len()] {
        Failure::ALL.map(|failure| {
            let count = self
                .0
                .iter()
                .filter_map(|it| it.failures.get(failure as usize));
            (failure, count.map(|it| it.load(Ordering::Relaxed)).sum())
        })
    }

    fn sum(&self, count: impl Fn(&Shard) -> &AtomicU64) -> u64 {
        self.0
            .iter()
            .map(|shard| count(shard).load(Ordering::Relaxed))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_workers_are_summed() {
        let counts = Counts::default();
        for worker in 0..40 {
            counts.shard(worker).begin();
            counts.shard(worker).failed(Failure::Reset);
        }
        counts.shard(3).end();
        assert_eq!((counts.requests(), counts.in_flight()), (40, 39));
        assert!(counts.failures().contains(&(Failure::Reset, 40)));
        assert!(counts.failures().contains(&(Failure::Body, 0)));
    }
}
