//! Maps of the expression language: in the order in which they were made, found by key.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::value::Value;

/// Up to this many entries a map is searched from end to end.
const INDEXED_FROM: usize = 12;

/// A key of a map. Whole numbers are the same key whichever way they are written.
#[derive(Clone, Debug)]
pub enum Key {
    Bool(bool),
    Int(i64),
    Uint(u64),
    String(Arc<str>),
}

impl Key {
    fn number(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(i128::from(*number)),
            Self::Uint(number) => Some(i128::from(*number)),
            Self::Bool(_) | Self::String(_) => None,
        }
    }

    /// The key as a value.
    pub fn value(&self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Uint(value) => Value::Uint(*value),
            Self::String(value) => Value::String(Arc::clone(value)),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::String(left), Self::String(right)) => left == right,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            _ => match (self.number(), other.number()) {
                (Some(left), Some(right)) => left == right,
                _ => false,
            },
        }
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::String(text) => text.hash(state),
            Self::Bool(value) => value.hash(state),
            Self::Int(_) | Self::Uint(_) => self.number().hash(state),
        }
    }
}

/// Entries in order, each key once.
#[derive(Clone, Debug, Default)]
pub struct Map {
    entries: Vec<(Key, Value)>,
    /// Once there are many.
    index: Option<Box<Index>>,
}

/// Where each key stands. Two tables, so that a text is found without making a key of it. The
/// hasher is seeded: keys come from documents of strangers.
#[derive(Clone, Debug, Default)]
struct Index {
    texts: HashMap<Arc<str>, usize>,
    others: HashMap<Key, usize>,
}

impl Index {
    fn note(&mut self, key: &Key, place: usize) {
        match key {
            Key::String(text) => self.texts.insert(Arc::clone(text), place),
            other => self.others.insert(other.clone(), place),
        };
    }
}

impl Map {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_capacity(entries: usize) -> Self {
        Self {
            entries: Vec::with_capacity(entries),
            index: None,
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Value)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    pub fn get(&self, key: &Key) -> Option<&Value> {
        let place = self.find(key)?;
        self.entries.get(place).map(|(_, value)| value)
    }

    pub fn get_text(&self, name: &str) -> Option<&Value> {
        let place = match &self.index {
            Some(index) => index.texts.get(name).copied(),
            None => self
                .entries
                .iter()
                .position(|(key, _)| matches!(key, Key::String(text) if **text == *name)),
        };
        self.entries.get(place?).map(|(_, value)| value)
    }

    fn find(&self, key: &Key) -> Option<usize> {
        match (&self.index, key) {
            (None, key) => self.entries.iter().position(|(known, _)| known == key),
            (Some(index), Key::String(text)) => index.texts.get(text).copied(),
            (Some(index), other) => index.others.get(other).copied(),
        }
    }

    /// Puts `value` at `key`: at the end, or in place of what was there, which is returned.
    pub fn insert(&mut self, key: Key, value: Value) -> Option<Value> {
        if let Some(place) = self.find(&key) {
            return self
                .entries
                .get_mut(place)
                .map(|(_, held)| std::mem::replace(held, value));
        }
        let place = self.entries.len();
        if let Some(index) = &mut self.index {
            index.note(&key, place);
        }
        self.entries.push((key, value));
        if self.index.is_none() && self.entries.len() >= INDEXED_FROM {
            let mut index = Index::default();
            for (place, (key, _)) in self.entries.iter().enumerate() {
                index.note(key, place);
            }
            self.index = Some(Box::new(index));
        }
        None
    }
}

impl<K: Into<Key>> FromIterator<(K, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (key, value) in entries {
            map.insert(key.into(), value);
        }
        map
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_map_and_a_large_one_behave_alike() {
        for count in [3, 11, 12, 13, 100] {
            let mut map = Map::new();
            for number in 0..count {
                assert!(
                    map.insert(Key::from(&*format!("k{number}")), Value::Int(number))
                        .is_none()
                );
                assert!(map.insert(Key::Int(number), Value::Int(-number)).is_none());
            }
            assert_eq!(i64::try_from(map.len()), Ok(2 * count));
            assert!(
                map.insert(Key::Uint(1), Value::Null).is_some(),
                "1u is the key 1"
            );
            assert!(matches!(map.get_text("k2"), Some(Value::Int(2))));
            assert!(matches!(map.get(&Key::Uint(2)), Some(Value::Int(-2))));
            assert!(matches!(map.get(&Key::Int(1)), Some(Value::Null)));
            assert!(map.get_text("none").is_none());
            let order: Vec<_> = map.iter().take(4).map(|(key, _)| key.clone()).collect();
            assert_eq!(order, ["k0".into(), Key::Int(0), "k1".into(), Key::Int(1)]);
        }
    }
}
