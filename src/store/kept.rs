//! Keeps values within a bound of entries and one of bytes; what was used longest ago goes first.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A bounded map that forgets what was used longest ago. Keys are cloned, so they should be cheap
/// to clone; of equal keys only the one that a value was put under is held.
#[derive(Debug)]
pub struct Kept<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Each key by the turn of its last use.
    uses: BTreeMap<u64, K>,
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

impl<K: Clone + Eq + Hash, V> Kept<K, V> {
    pub fn new(entries_max: usize, bytes_max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            uses: BTreeMap::new(),
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
        let entry = self.entries.get_mut(key)?;
        // The key that came may be as large as the one that is held, so that one stays.
        if let Some(held) = self.uses.remove(&entry.turn) {
            self.turn += 1;
            entry.turn = self.turn;
            self.uses.insert(self.turn, held);
        }
        Some(&entry.value)
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
        self.turn += 1;
        let turn = self.turn;
        self.uses.insert(turn, key.clone());
        self.entries.insert(key, Entry { value, bytes, turn });
    }

    pub fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.bytes;
            self.uses.remove(&entry.turn);
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

    /// Forgets until so many more entries and bytes fit.
    fn make_room(&mut self, entries: usize, bytes: usize) {
        while self.entries.len() + entries > self.entries_max || self.bytes + bytes > self.bytes_max
        {
            let Some((_, key)) = self.uses.pop_first() else {
                return;
            };
            self.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

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

    /// A key may be as large as a request's body: none may be held that nothing is kept under.
    #[test]
    fn no_key_is_held_but_those_of_what_is_kept() {
        let mut kept = Kept::new(3, 100);
        let held: Vec<Rc<str>> = (0..6).map(|_| Rc::from("a")).collect();
        for key in &held {
            kept.insert(Rc::clone(key), 1, 10);
            kept.get(&Rc::from("a"));
            kept.get(key);
        }
        for key in &held[..5] {
            assert_eq!(Rc::strong_count(key), 1, "replaced");
        }
        let asked: Vec<Rc<str>> = (0..6).map(|_| Rc::from("a")).collect();
        for key in &asked {
            assert!(kept.get(key).is_some());
            assert_eq!(Rc::strong_count(key), 1, "asked for");
        }
        let last = held.last().unwrap();
        kept.insert(Rc::clone(last), 1, 101);
        assert_eq!(Rc::strong_count(last), 1, "too large to be kept");
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
                prop_assert_eq!(kept.uses.len(), kept.len());
            }
        }
    }
}
