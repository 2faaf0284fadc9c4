//! How many of each key are at work now: counters that go with the last of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key::Key;

/// How many locks the counters are spread over.
const SHARDS: usize = 16;

/// Counters of what is at work, by key. There are never more entries than there is work.
#[derive(Debug, Default)]
pub struct Counts {
    shards: [Mutex<HashMap<Key, u32>>; SHARDS],
}

/// One that is at work; it is counted until it is dropped.
#[derive(Debug)]
pub struct Place {
    counts: Arc<Counts>,
    key: Key,
}

impl Counts {
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one more, unless `most` are at work.
    pub fn take(self: &Arc<Self>, key: Key, most: u32) -> Option<Place> {
        let mut shard = self.shard(key)?;
        let count = shard.entry(key).or_insert(0);
        if *count >= most {
            if *count == 0 {
                shard.remove(&key);
            }
            return None;
        }
        *count += 1;
        drop(shard);
        Some(Place {
            counts: Arc::clone(self),
            key,
        })
    }

    /// How many are at work under `key`.
    pub fn count(&self, key: Key) -> u32 {
        self.shard(key)
            .and_then(|shard| shard.get(&key).copied())
            .unwrap_or(0)
    }

    fn shard(&self, key: Key) -> Option<MutexGuard<'_, HashMap<Key, u32>>> {
        let shard = self.shards.get(key.1 as usize % SHARDS)?;
        // A panic elsewhere leaves the counters as they were: each change is one step.
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(mut shard) = self.counts.shard(self.key)
            && let Some(count) = shard.get_mut(&self.key)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                shard.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_and_leave_nothing_behind() {
        let counts = Arc::new(Counts::new());
        let (one, two) = (Key(1, 1), Key(2, 2));
        let first = counts.take(one, 2).unwrap();
        let second = counts.take(one, 2).unwrap();
        assert!(counts.take(one, 2).is_none());
        assert!(counts.take(two, 2).is_some());
        drop(first);
        assert_eq!(counts.count(one), 1);
        drop(second);
        assert!(counts.take(one, 0).is_none());
        for shard in &counts.shards {
            assert!(shard.lock().unwrap().is_empty());
        }
    }

    #[test]
    fn threads_never_have_more_places_than_there_are() {
        let counts = Arc::new(Counts::new());
        let ask = || {
            for _ in 0..2000 {
                let place = counts.take(Key(7, 7), 3);
                assert!(counts.count(Key(7, 7)) <= 3);
                drop(place);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(ask);
            }
        });
        assert_eq!(counts.count(Key(7, 7)), 0);
    }
}
