//! Request ids: 128 random bits from a generator of each worker's own, written as 32 hex digits.

use std::cell::Cell;
use std::fmt;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// Names one request in logs, problems, traces and towards upstreams.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(IdText);

#[derive(Clone, PartialEq, Eq)]
enum IdText {
    Made([u8; 32]),
    /// Given by a trusted peer.
    Given(Box<str>),
}

impl RequestId {
    /// A new id. Unique, not secret.
    pub fn new() -> Self {
        Self(IdText::Made(hex(random())))
    }

    /// An id that a trusted peer sent: 1 to 128 visible ASCII characters, else a new one.
    pub fn given(text: &[u8]) -> Self {
        let fits = (1..=128).contains(&text.len())
            && text
                .iter()
                .all(|byte| byte.is_ascii_graphic() && *byte != b'"' && *byte != b'\\');
        match std::str::from_utf8(text) {
            Ok(text) if fits => Self(IdText::Given(text.into())),
            _ => Self::new(),
        }
    }

    pub fn as_str(&self) -> &str {
        match &self.0 {
            IdText::Made(digits) => std::str::from_utf8(digits).unwrap_or_default(),
            IdText::Given(text) => text,
        }
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// 128 bits: xoshiro256++ (Blackman and Vigna), seeded by the system once a thread. A system call
/// for every request would be a fifth of the calls a proxied request makes.
pub fn random() -> u128 {
    thread_local! {
        static STATE: Cell<[u64; 4]> = Cell::new(seed());
    }
    STATE.with(|cell| {
        let mut state = cell.get();
        let high = step(&mut state);
        let low = step(&mut state);
        cell.set(state);
        (u128::from(high) << 64) | u128::from(low)
    })
}

fn step(state: &mut [u64; 4]) -> u64 {
    let [a, b, c, d] = *state;
    let out = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
    let (c, d) = (c ^ a, d ^ b);
    *state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
    out
}

fn seed() -> [u64; 4] {
    let mut bytes = [0_u8; 32];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        // Ids need no secrecy: an address and the clock still tell processes and threads apart.
        let here = std::ptr::from_ref(&bytes).addr() as u64;
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |since| since.as_nanos() as u64);
        return [here, now, here ^ now, !now];
    }
    let mut words = [0_u64; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
    }
    words
}

fn hex(value: u128) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'0'; 32];
    let mut rest = value;
    for place in text.iter_mut().rev() {
        *place = DIGITS.get((rest & 15) as usize).copied().unwrap_or(b'0');
        rest >>= 4;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_hex_digits_and_differ() {
        let (one, two) = (RequestId::new(), RequestId::new());
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), 32);
        assert!(one.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(&hex(0x0123_4567_89ab_cdef)[16..], b"0123456789abcdef");
    }

    #[test]
    fn a_given_id_with_odd_characters_is_replaced() {
        assert_eq!(RequestId::given(b"abc-1").as_str(), "abc-1");
        assert_eq!(RequestId::given(b"a\nb").as_str().len(), 32);
        assert_eq!(RequestId::given(b"a\"b").as_str().len(), 32);
        assert_eq!(RequestId::given(&[b'a'; 200]).as_str().len(), 32);
    }
}
