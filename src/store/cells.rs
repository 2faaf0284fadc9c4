//! The state of rate limits: a time for each key, in tables that grow to a bound and no further.

use std::sync::{Mutex, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;

use super::key::Key;

/// How many locks the cells are spread over.
const SHARDS: usize = 64;
/// Cells that share a place in a table. A key stands in any of them.
const WAYS: usize = 8;

/// Theoretical arrival times (GCRA) by key, shared by all threads.
///
/// A cell whose time has passed says nothing that an absent one does not, so it is overwritten.
/// Where eight keys with times to come fall on one place, the table doubles; at its bound, the one
/// of the eight that is closest to being forgotten gives way. That key may then come sooner than
/// it should: a table that is full of live keys errs on the side of letting through.
pub struct Cells {
    shards: Vec<Mutex<Shard>>,
    /// Nanoseconds that one request adds to its key's time.
    increment: u64,
}

struct Shard {
    /// A power of two of them.
    buckets: Vec<Bucket>,
    buckets_max: usize,
}

type Bucket = [Cell; WAYS];

#[derive(Clone, Copy, Default)]
struct Cell {
    key: Key,
    /// Nanoseconds since the limiter's start; 0: the cell is free.
    time: u64,
}

impl Cells {
    /// Holds up to about `keys_max` keys, of 24 bytes each; `increment` is the time between two
    /// requests at the limit's rate, in nanoseconds.
    pub fn new(keys_max: usize, increment: u64) -> Self {
        let buckets_max = (keys_max / (SHARDS * WAYS)).max(1).next_power_of_two();
        let shard = || {
            Mutex::new(Shard {
                buckets: vec![Bucket::default(); 1],
                buckets_max,
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            increment,
        }
    }

    /// How many keys there is room for now.
    pub fn room(&self) -> usize {
        let room = |shard: &Mutex<Shard>| lock(shard).buckets.len() * WAYS;
        self.shards.iter().map(room).sum()
    }
}

fn lock(shard: &Mutex<Shard>) -> std::sync::MutexGuard<'_, Shard> {
    // A panic elsewhere leaves every cell whole: each is written in one step.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StateStore for Cells {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let Some(shard) = self.shards.get(key.1 as usize % SHARDS) else {
            return decide(None).map(|(outcome, _)| outcome);
        };
        let mut shard = lock(shard);
        if let Some(cell) = shard.find(key) {
            let (outcome, time) = decide(Some(Nanos::new(cell.time)))?;
            cell.time = time.as_u64();
            return Ok(outcome);
        }
        let (outcome, time) = decide(None)?;
        let time = time.as_u64();
        // A key that starts anew gets the present and one increment.
        let now = time.saturating_sub(self.increment);
        shard.insert(Cell { key: *key, time }, now);
        Ok(outcome)
    }
}

impl Shard {
    fn bucket(&mut self, key: &Key) -> Option<&mut Bucket> {
        let place = key.0 as usize & (self.buckets.len() - 1);
        self.buckets.get_mut(place)
    }

    fn find(&mut self, key: &Key) -> Option<&mut Cell> {
        self.bucket(key)?
            .iter_mut()
            .find(|cell| cell.time != 0 && cell.key == *key)
    }

    fn insert(&mut self, new: Cell, now: u64) {
        loop {
            let may_grow = self.buckets.len() < self.buckets_max;
            let Some(bucket) = self.bucket(&new.key) else {
                return;
            };
            let Some(oldest) = bucket.iter_mut().min_by_key(|cell| cell.time) else {
                return;
            };
            if oldest.time <= now || !may_grow {
                *oldest = new;
                return;
            }
            self.grow(now);
        }
    }

    /// Doubles the table; cells whose time has passed are left behind.
    fn grow(&mut self, now: u64) {
        let doubled = vec![Bucket::default(); self.buckets.len() * 2];
        let buckets = std::mem::replace(&mut self.buckets, doubled);
        for cell in buckets.into_iter().flatten() {
            // One place becomes two: none of them can be short of room.
            if cell.time > now
                && let Some(bucket) = self.bucket(&cell.key)
                && let Some(free) = bucket.iter_mut().find(|cell| cell.time == 0)
            {
                *free = cell;
            }
        }
    }
}

impl std::fmt::Debug for Cells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cells(room for {})", self.room())
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::Keyed;
    use super::*;

    /// One request at `now` of a limit that allows a burst of `burst`, by the rule of GCRA.
    fn ask(cells: &Cells, key: &Key, now: u64, burst: u64) -> bool {
        let increment = cells.increment;
        cells
            .measure_and_replace(key, |time| {
                let time = time.map_or(now, Nanos::as_u64);
                if now < time.saturating_sub(increment * (burst - 1)) {
                    return Err(());
                }
                Ok(((), Nanos::new(time.max(now) + increment)))
            })
            .is_ok()
    }

    #[test]
    fn each_of_many_keys_has_its_own_time() {
        // So few that no nine of them fall on one place, however keys are hashed this time.
        let cells = Cells::new(100_000, 10);
        let keyed = Keyed::new();
        let key = |number: u32| keyed.key(number);
        for round in 0..3 {
            for number in 0..4_000 {
                assert_eq!(ask(&cells, &key(number), 1000, 2), round < 2, "{number}");
            }
        }
        for number in 0..4_000 {
            assert!(ask(&cells, &key(number), 1010, 2));
            assert!(!ask(&cells, &key(number), 1010, 2));
        }
    }

    #[test]
    fn room_is_bounded_and_a_new_key_is_always_served() {
        let cells = Cells::new(4096, 1_000_000);
        let keyed = Keyed::new();
        for number in 0..200_000_u32 {
            assert!(ask(&cells, &keyed.key(number), 5, 1));
        }
        assert_eq!(cells.room(), 4096);
    }

    #[test]
    fn keys_whose_time_has_passed_make_room() {
        let cells = Cells::new(1_000_000, 10);
        let keyed = Keyed::new();
        for number in 0..100_000_u64 {
            assert!(ask(&cells, &keyed.key(number), number * 100, 1));
        }
        assert!(cells.room() <= SHARDS * WAYS, "{}", cells.room());
    }

    #[test]
    fn threads_share_one_count() {
        let cells = Cells::new(1024, 1);
        let key = Keyed::new().key(b"one");
        let passed: usize = std::thread::scope(|scope| {
            let ask = || (0..1000).filter(|_| ask(&cells, &key, 7, 500)).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(passed, 500);
    }
}
