//! Keeps values within a bound of entries and one of bytes; what was used longest ago goes first.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A bounded map that forgets what was used longest ago. Every operation costs the same on
/// average, however much is kept.
#[derive(Debug)]
pub struct Kept<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Every use, the oldest first. One that a later use of its key follows means nothing.
    uses: VecDeque<(K, u64)>,
    turn: u64,
    bytes: usize,
    entries_max: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    /// When it was used last.
    turn: u64,
}

/// Uses that are let be before those that mean nothing are swept out.
const USES_SPARE: usize = 64;

impl<K: Clone + Eq + Hash, V> Kept<K, V> {
    pub fn new(entries_max: usize, bytes_max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            uses: VecDeque::new(),
            turn: 0,
            bytes: 0,
            entries_max,
            bytes_max,
        }
    }

    /// Sets other bounds; what is beyond them goes.
    pub fn bound(&mut self, entries_max: usize, bytes_max: usize) {
        (self.entries_max, self.bytes_max) = (entries_max, bytes_max);
        self.make_room(0, 0);
    }

    pub fn get(&mut self, key: &K) -> Option<&V> {
        if self.entries.contains_key(key) {
            self.note_use(key);
        }
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Keeps a value of `bytes` bytes in the place of what was kept under its key. One that is
    /// larger than all may be together is not kept.
    pub fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.remove(&key);
        if bytes > self.bytes_max || self.entries_max == 0 {
            return;
        }
        self.make_room(1, bytes);
        self.bytes += bytes;
        let turn = self.turn;
        self.entries
            .insert(key.clone(), Entry { value, bytes, turn });
        self.note_use(&key);
    }

    pub fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.bytes;
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many bytes the values have together.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn note_use(&mut self, key: &K) {
        self.turn += 1;
        if let Some(entry) = self.entries.get_mut(key) {
            entry.turn = self.turn;
            self.uses.push_back((key.clone(), self.turn));
        }
        if self.uses.len() > self.entries.len() * 2 + USES_SPARE {
            let entries = &self.entries;
            self.uses
                .retain(|(key, turn)| entries.get(key).is_some_and(|entry| entry.turn == *turn));
        }
    }

    /// Forgets until so many more entries and bytes fit.
    fn make_room(&mut self, entries: usize, bytes: usize) {
        while self.entries.len() + entries > self.entries_max || self.bytes + bytes > self.bytes_max
        {
            let Some((key, turn)) = self.uses.pop_front() else {
                return;
            };
            if self
                .entries
                .get(&key)
                .is_some_and(|entry| entry.turn == turn)
            {
                self.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut kept = Kept::new(3, 100);
        for key in ["a", "b", "c"] {
            kept.insert(key, key.len(), 10);
        }
        assert!(kept.get(&"a").is_some());
        kept.insert("d", 1, 10);
        assert!(kept.get(&"b").is_none());
        assert!(kept.get(&"a").is_some() && kept.get(&"c").is_some());
        kept.insert("e", 1, 75);
        assert_eq!((kept.len(), kept.bytes()), (3, 95));
        assert!(kept.get(&"d").is_none() && kept.get(&"c").is_some());
        kept.insert("c", 2, 101);
        assert!(kept.get(&"c").is_none(), "too large to be kept");
        kept.bound(0, 100);
        assert_eq!((kept.len(), kept.bytes()), (0, 0));
    }

    proptest! {
        #[test]
        fn bounds_hold_and_what_is_kept_is_what_was_put_last(
            steps in prop::collection::vec((0..20_u8, 0..40_usize, 0..3_u8), 0..300),
        ) {
            let mut kept = Kept::new(8, 100);
            let mut last = HashMap::new();
            for (key, bytes, what) in steps {
                match what {
                    0 => kept.remove(&key),
                    1 => {
                        kept.insert(key, bytes, bytes);
                        last.insert(key, bytes);
                        prop_assert_eq!(kept.get(&key), Some(&bytes));
                    }
                    _ => {
                        if let Some(found) = kept.get(&key) {
                            prop_assert_eq!(Some(found), last.get(&key));
                        }
                    }
                }
                let together: usize = kept.entries.values().map(|entry| entry.bytes).sum();
                prop_assert_eq!(kept.bytes(), together);
                prop_assert!(kept.len() <= 8 && kept.bytes() <= 100);
                prop_assert!(kept.uses.len() <= 8 * 2 + USES_SPARE);
            }
        }
    }
}
