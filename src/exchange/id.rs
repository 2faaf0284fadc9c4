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

    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            IdText::Made(digits) => digits,
            IdText::Given(text) => text.as_bytes(),
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

/// 32 hex digits, lower case.
pub fn hex(value: u128) -> [u8; 32] {
    let halves = [hex_16((value >> 64) as u64), hex_16(value as u64)];
    halves.as_flattened().try_into().unwrap_or([b'0'; 32])
}

/// 16 hex digits, lower case.
pub fn hex_16(value: u64) -> [u8; 16] {
    let halves = [hex_8((value >> 32) as u32), hex_8(value as u32)];
    halves.as_flattened().try_into().unwrap_or([b'0'; 16])
}

/// Eight digits at once: the nibbles are spread over the bytes of a word, then raised to their
/// characters.
fn hex_8(value: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let spread = u64::from(value);
    let spread = (spread << 16 | spread) & 0x0000_ffff_0000_ffff;
    let spread = (spread << 8 | spread) & 0x00ff_00ff_00ff_00ff;
    let spread = (spread << 4 | spread) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (spread + 6 * ONES) >> 4 & ONES;
    let digits = spread + u64::from(b'0') * ONES + letters * u64::from(b'a' - b'9' - 1);
    digits.to_be_bytes()
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
        assert_eq!(
            &hex(0x0123_4567_89ab_cdef << 4),
            b"00000000000000000123456789abcdef0".split_at(1).1
        );
        for value in [0, 1, 9, 10, u64::MAX, 0xdead_beef] {
            assert_eq!(hex_16(value), format!("{value:016x}").as_bytes());
        }
    }

    #[test]
    fn a_given_id_with_odd_characters_is_replaced() {
        assert_eq!(RequestId::given(b"abc-1").as_str(), "abc-1");
        assert_eq!(RequestId::given(b"a\nb").as_str().len(), 32);
        assert_eq!(RequestId::given(b"a\"b").as_str().len(), 32);
        assert_eq!(RequestId::given(&[b'a'; 200]).as_str().len(), 32);
    }
}
