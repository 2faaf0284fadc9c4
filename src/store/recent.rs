//! Remembers what was used lately, within a bound, and forgets the rest.

use std::collections::HashMap;
use std::hash::Hash;

/// A bounded map of two halves: when the young one is full, it becomes the old one, and what the
/// old one held is forgotten. What is read moves to the young half, so what is used stays. No
/// operation looks at more than one entry.
#[derive(Debug)]
pub struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Holds `half` entries at least, and twice as many at most.
    pub fn new(half: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            half: half.max(1),
        }
    }

    pub fn get(&mut self, key: &K) -> Option<&V> {
        // Where not even half as many are in use as may be, there are no old ones.
        if !self.old.is_empty() && !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.insert(key, value);
        }
        self.young.get(key)
    }

    pub fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(key, value);
    }

    pub fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_size_is_bounded() {
        let mut recent = Recent::new(10);
        recent.insert(0, "kept");
        for number in 1..1000 {
            recent.insert(number, "new");
            assert_eq!(recent.get(&0), Some(&"kept"), "at {number}");
            assert_eq!(recent.get(&number), Some(&"new"));
            assert!(recent.len() <= 20);
        }
        assert_eq!(recent.get(&500), None);
        recent.remove(&0);
        assert_eq!(recent.get(&0), None);
    }

    #[test]
    fn a_new_value_replaces_the_old_one_wherever_it_was() {
        let mut recent = Recent::new(2);
        recent.insert("a", 1);
        recent.insert("b", 1);
        recent.insert("c", 1);
        recent.insert("a", 2);
        assert_eq!(recent.get(&"a"), Some(&2));
        assert!(recent.len() <= 4);
    }
}
