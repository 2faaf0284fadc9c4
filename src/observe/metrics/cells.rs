//! Plain counters, one set for each worker: written by one thread, summed when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Which set of cells a thread writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

impl Slot {
    /// For everything that is not a worker: reload, health probes, the admin listener.
    pub const CONTROL: Self = Self(usize::MAX);

    /// The slot of worker `index`, counted from 0. One thread alone writes to it.
    pub const fn worker(index: usize) -> Self {
        Self(index)
    }
}

/// A number that one thread increases and any may read.
///
/// A load and a store instead of a read-modify-write: five times cheaper, and right as long as a
/// cell has one writer, which [`Slot`] gives it.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, more: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    pub fn increment(&self) {
        self.add(1);
    }

    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counts by a word, for what is rare: failures by their cause. The words are constants of the
/// code, so their number is bounded.
#[derive(Debug, Default)]
pub struct Causes(Mutex<Vec<(&'static str, u64)>>);

impl Causes {
    pub fn increment(&self, cause: &'static str) {
        let mut counts = lock(&self.0);
        match counts.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, count)) => *count += 1,
            None => counts.push((cause, 1)),
        }
    }

    /// Adds what was counted here to `sums`.
    pub(super) fn sum_into(&self, sums: &mut Vec<(&'static str, u64)>) {
        for (cause, count) in lock(&self.0).iter() {
            match sums.iter_mut().find(|(known, _)| known == cause) {
                Some((_, sum)) => *sum += count,
                None => sums.push((cause, *count)),
            }
        }
    }
}

/// Upper bounds of the buckets of every histogram of durations, in microseconds: from what a
/// gateway in front of a cache takes to what a patient client waits.
pub const BOUNDS_MICROS: [u64; 16] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// One bucket more than bounds: the last has none.
pub const BUCKETS: usize = BOUNDS_MICROS.len() + 1;

/// How long things took, by bucket.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [Count; BUCKETS],
    sum_micros: Count,
}

impl Durations {
    pub fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        if let Some(count) = self.buckets.get(bucket) {
            count.increment();
        }
        self.sum_micros.add(micros);
    }
}

/// The sum of the [`Durations`] of all workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    pub buckets: [u64; BUCKETS],
    pub sum_micros: u64,
}

impl Distribution {
    pub(super) fn of<'a>(all: impl Iterator<Item = &'a Durations>) -> Self {
        let mut sum = Self::default();
        for durations in all {
            for (total, count) in sum.buckets.iter_mut().zip(&durations.buckets) {
                *total += count.get();
            }
            sum.sum_micros = sum.sum_micros.wrapping_add(durations.sum_micros.get());
        }
        sum
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The duration that `share` (0 to 1) of all stayed below, in milliseconds, interpolated within
    /// its bucket; none when nothing was recorded.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = share * float(count);
        let mut below = 0_f64;
        let mut lower = 0_f64;
        for (index, in_bucket) in self.buckets.iter().enumerate() {
            let Some(upper) = BOUNDS_MICROS.get(index) else {
                break;
            };
            let (upper, in_bucket) = (float(*upper), float(*in_bucket));
            if in_bucket > 0.0 && below + in_bucket >= rank {
                return Some((lower + (upper - lower) * (rank - below) / in_bucket) / 1e3);
            }
            below += in_bucket;
            lower = upper;
        }
        Some(lower / 1e3)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "what is lost beyond 2^53 microseconds or bytes, nobody sees"
)]
pub(super) const fn float(value: u64) -> f64 {
    value as f64
}

/// Keeps the cells of different workers on different cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<C>(C);

/// One set of cells for each worker and one for the rest of the process, under one set of labels.
#[derive(Debug)]
pub struct Series<C> {
    labels: Vec<Arc<str>>,
    workers: Box<[Padded<C>]>,
    control: Padded<C>,
}

impl<C: Default> Series<C> {
    pub(super) fn new(labels: &[&str], workers: usize) -> Self {
        Self {
            labels: labels.iter().map(|label| Arc::from(*label)).collect(),
            workers: (0..workers).map(|_| Padded::default()).collect(),
            control: Padded::default(),
        }
    }
}

impl<C> Series<C> {
    /// The cells that the owner of `slot` writes to.
    pub fn at(&self, slot: Slot) -> &C {
        &self.workers.get(slot.0).unwrap_or(&self.control).0
    }

    /// The first label's value: the name of the route, limit, listener and so on.
    pub fn name(&self) -> &str {
        self.labels.first().map_or("", |name| name)
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|label| &**label)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &C> {
        self.workers
            .iter()
            .chain([&self.control])
            .map(|padded| &padded.0)
    }

    pub(super) fn sum(&self, cell: impl Fn(&C) -> &Count) -> u64 {
        self.all()
            .map(|cells| cell(cells).get())
            .fold(0, u64::wrapping_add)
    }

    pub(super) fn sum_causes(&self, causes: impl Fn(&C) -> &Causes) -> Vec<(&'static str, u64)> {
        let mut sums = Vec::new();
        for cells in self.all() {
            causes(cells).sum_into(&mut sums);
        }
        sums
    }

    pub(super) fn distribution(&self, durations: impl Fn(&C) -> &Durations) -> Distribution {
        Distribution::of(self.all().map(durations))
    }
}

/// What a panicking thread leaves half done here is one count; nobody else need suffer.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_workers_are_summed() {
        let series: Series<Durations> = Series::new(&["r"], 2);
        for (slot, micros) in [
            (Slot::worker(0), 250),
            (Slot::worker(1), 251),
            (Slot::worker(1), 99_000_000),
            (Slot::CONTROL, 0),
        ] {
            series.at(slot).record(Duration::from_micros(micros));
        }
        let all = series.distribution(|cells| cells);
        assert_eq!(all.count(), 4);
        assert_eq!((all.buckets[0], all.buckets[1], all.buckets[16]), (2, 1, 1));
        assert_eq!(all.sum_micros, 99_000_501);
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let durations = Durations::default();
        for _ in 0..100 {
            durations.record(Duration::from_millis(4));
        }
        let all = Distribution::of([&durations].into_iter());
        let median = all.quantile_ms(0.5).unwrap();
        assert!((2.5..=5.0).contains(&median), "{median}");
        assert_eq!(Distribution::default().quantile_ms(0.5), None);
    }
}
