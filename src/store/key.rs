//! Keys of counters: 128 bits of a seeded hash, so that a key of any length costs the same.

use std::hash::{BuildHasher, Hash, RandomState};

/// What a counter is found by. With 128 bits, two texts with the same key are not to be expected;
/// with a seed that nobody outside knows, they cannot be looked for either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key(pub u64, pub u64);

/// Makes keys, with seeds of its own.
#[derive(Clone, Debug, Default)]
pub struct Keyed {
    first: RandomState,
    second: RandomState,
}

impl Keyed {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn key(&self, of: impl Hash) -> Key {
        Key(self.first.hash_one(&of), self.second.hash_one(&of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_text_and_seed() {
        let (one, two) = (Keyed::new(), Keyed::new());
        assert_eq!(one.key(b"a"), one.key(b"a"));
        assert_ne!(one.key(b"a"), one.key(b"b"));
        assert_ne!(one.key(b"a"), two.key(b"a"));
    }
}
