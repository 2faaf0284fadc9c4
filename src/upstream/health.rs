//! Sets endpoints aside that cannot be reached or fail their probes, and brings them back.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::facts::HealthState;

/// Connections that must fail in a row until an endpoint is set aside.
const FAILURES: u32 = 3;

/// How long an endpoint is set aside at first; doubled each time in a row.
const ASIDE: Duration = Duration::from_secs(1);

/// The longest that an endpoint is set aside without another try.
const ASIDE_MAX: Duration = Duration::from_secs(30);

/// The health of one endpoint, as all workers see it.
pub(super) struct Health {
    born: Instant,
    /// What the last probes said.
    down: AtomicBool,
    /// Milliseconds after `born` until which the endpoint is left alone; 0: it is not.
    aside_until: AtomicU64,
    /// Connections that failed in a row.
    failures: AtomicU32,
    /// Times in a row that it was set aside.
    times: AtomicU32,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            born: Instant::now(),
            down: AtomicBool::new(false),
            aside_until: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            times: AtomicU32::new(0),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        let aside_until = self.aside_until.load(Ordering::Relaxed);
        // The clock is read only for an endpoint that was set aside.
        !self.is_down() && (aside_until == 0 || aside_until <= self.now())
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    pub(super) fn state(&self) -> HealthState {
        let left = self
            .aside_until
            .load(Ordering::Relaxed)
            .saturating_sub(self.now());
        if self.is_down() {
            HealthState::Down
        } else if left > 0 {
            HealthState::Aside {
                left: Duration::from_millis(left),
            }
        } else {
            HealthState::Up
        }
    }

    /// A connection was made.
    pub(super) fn connected(&self) {
        // Read first: a store would take the cache line from every other worker.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.times.store(0, Ordering::Relaxed);
            self.aside_until.store(0, Ordering::Relaxed);
        }
    }

    /// A connection could not be made. True when that sets the endpoint aside.
    pub(super) fn connect_failed(&self) -> bool {
        let failures = self
            .failures
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        // Calls that were under way when it was set aside do not set it aside for longer.
        if failures < FAILURES || self.aside_until.load(Ordering::Relaxed) > self.now() {
            return false;
        }
        let times = self.times.fetch_add(1, Ordering::Relaxed).min(16);
        let aside = ASIDE.saturating_mul(1 << times).min(ASIDE_MAX);
        let until = self.now() + aside.as_millis() as u64;
        self.aside_until.store(until, Ordering::Relaxed);
        true
    }

    /// What the probes found. True when that changes anything.
    pub(super) fn probed(&self, up: bool) -> bool {
        if up {
            self.connected();
        }
        self.down.swap(!up, Ordering::Relaxed) == up
    }

    fn now(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failing_connections_set_aside_for_a_growing_while() {
        let health = Health::new();
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(!health.connect_failed() && !health.connect_failed());
        assert!(health.is_up());
        assert!(health.connect_failed());
        assert_eq!(health.state(), HealthState::Aside { left: ASIDE });
        assert!(!health.connect_failed(), "it is set aside already");
        tokio::time::advance(ASIDE).await;
        assert!(health.is_up());
        assert!(health.connect_failed(), "one more failure is enough");
        assert_eq!(health.state(), HealthState::Aside { left: ASIDE * 2 });
        tokio::time::advance(ASIDE * 2).await;
        health.connected();
        assert!(!health.connect_failed() && health.is_up());
        for _ in 0..100 {
            health.connect_failed();
            tokio::time::advance(ASIDE_MAX).await;
        }
        assert!(health.connect_failed());
        assert_eq!(health.state(), HealthState::Aside { left: ASIDE_MAX });
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_probe_brings_back_what_was_set_aside() {
        let health = Health::new();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(health.probed(false) && !health.probed(false));
        assert_eq!(health.state(), HealthState::Down);
        for _ in 0..3 {
            health.connect_failed();
        }
        assert!(health.probed(true) && !health.probed(true));
        assert_eq!(health.state(), HealthState::Up);
    }
}
