//! Finds the bytes that matter in JSON text, eight at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

const fn splat(byte: u8) -> u64 {
    ONES * byte as u64
}

/// Marks the high bit of each zero byte. A byte above a true mark may be marked too, so only the
/// lowest mark counts.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// Marks the high bit of each quote and control character; only the lowest mark counts. Turning
/// over the bit 2 brings the quote (0x22) next to the controls (below 0x20): one comparison.
const fn quotes_and_controls(word: u64) -> u64 {
    (word ^ splat(2)).wrapping_sub(splat(0x21)) & !word & HIGHS
}

/// Marks the high bit of each quote, backslash and control character; only the lowest mark counts.
#[inline]
pub(super) const fn special_in(word: u64) -> u64 {
    quotes_and_controls(word) | zeros(word ^ splat(b'\\'))
}

#[inline]
fn word_at(text: &[u8], at: usize) -> Option<u64> {
    let word = text.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*word))
}

/// The first quote, backslash or control character at or after `at`; the length when there is none.
#[inline]
pub(super) fn string_special(text: &[u8], mut at: usize) -> usize {
    while let Some(word) = word_at(text, at) {
        let marks = special_in(word);
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = text.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            break;
        }
        at += 1;
    }
    at
}

/// The first byte at or after `at` that is not whitespace. There is none in most places.
#[inline]
pub(super) fn skip_space(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(0..=b' ') => space_end(text, at),
        _ => at,
    }
}

fn space_end(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
        // Indentation comes in runs.
        while word_at(text, at) == Some(splat(b' ')) {
            at += 8;
        }
    }
    at
}

/// The rest from the first byte that is not whitespace. There is none in most places.
#[inline]
pub(super) fn skip_blanks(rest: &[u8]) -> &[u8] {
    match rest {
        [0..=b' ', ..] => blanks_end(rest),
        _ => rest,
    }
}

/// The rest behind the whitespace at its start.
#[inline(never)]
pub(super) fn blanks_end(rest: &[u8]) -> &[u8] {
    rest.get(space_end(rest, 0)..).unwrap_or_default()
}

/// In checked text: one past the closing quote of the string whose opening quote is at `at`.
#[inline]
pub(super) fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        at = string_special(text, at);
        match text.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return text.len(),
        }
    }
}

/// In checked text: one past the value that starts at `at`.
pub(super) fn value_end(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => string_end(text, at),
        Some(b'{' | b'[') => brackets_end(text, at),
        _ => {
            let mut at = at;
            while let Some(&byte) = text.get(at) {
                if matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r') {
                    break;
                }
                at += 1;
            }
            at
        }
    }
}

/// Between strings there are only a few bytes, so that one at a time is the fastest.
fn brackets_end(text: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn eight_at_a_time_finds_what_one_at_a_time_finds(
            text in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\"\\[]{} \x1f\x7f\x80\xa2\xdb".to_vec())], 0..40),
            at in 0..40_usize,
        ) {
            let from = at.min(text.len());
            let slow = |wanted: &dyn Fn(u8) -> bool| {
                text.iter().skip(from).position(|&byte| wanted(byte)).map_or(text.len(), |found| found + from)
            };
            prop_assert_eq!(string_special(&text, from), slow(&|byte| matches!(byte, b'"' | b'\\' | 0..0x20)));
            prop_assert_eq!(skip_space(&text, from), slow(&|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')));
        }
    }
}
