//! What a field line may hold: tokens, values, and the white space around them (RFC 9110, 5).

/// Whether `name` is a token (RFC 9110, 5.6.2).
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| token_byte(byte) != 0)
}

/// `value` without spaces and tabs around it (RFC 9110, 5.6.3).
pub fn trim(value: &[u8]) -> &[u8] {
    let mut value = trim_start(value);
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

pub(super) fn trim_start(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    value
}

/// Puts the token at the start of `line` in lower case; how long it is.
pub(super) fn lower_name(line: &mut [u8]) -> usize {
    for (at, byte) in line.iter_mut().enumerate() {
        let lower = token_byte(*byte);
        if lower == 0 {
            return at;
        }
        *byte = lower;
    }
    line.len()
}

/// Where the value at the start of `line` ends: at the first control character but tab.
pub(super) fn value_len(line: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let (blocks, _) = line.as_chunks::<16>();
    let fine = blocks.iter().take_while(|block| are_value_bytes(block));
    let mut at = 16 * fine.count();
    while let Some(word) = line.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*word);
        let deletes = word ^ (0x7f * ONES);
        let marks =
            (word.wrapping_sub(0x20 * ONES) & !word) | (deletes.wrapping_sub(ONES) & !deletes);
        // A mark above a true one may be wrong: only the lowest counts.
        let marks = marks & HIGHS;
        if marks == 0 {
            at += 8;
            continue;
        }
        at += marks.trailing_zeros() as usize / 8;
        if line.get(at) != Some(&b'\t') {
            return at;
        }
        at += 1;
    }
    let rest = line.get(at..).unwrap_or_default();
    let end = rest.iter().position(|&byte| is_value_byte(byte) == 0);
    end.map_or(line.len(), |end| at + end)
}

/// A byte that a token may hold, in lower case; 0 for any other.
#[expect(
    clippy::indexing_slicing,
    reason = "a table of 256 entries has one for every byte"
)]
const fn token_byte(byte: u8) -> u8 {
    const TABLE: [u8; 256] = {
        let others = b"!#$%&'*+-.^_`|~";
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < table.len() {
            if (byte as u8).is_ascii_alphanumeric() {
                table[byte] = (byte as u8).to_ascii_lowercase();
            }
            byte += 1;
        }
        let mut at = 0;
        while at < others.len() {
            table[others[at] as usize] = others[at];
            at += 1;
        }
        table
    };
    TABLE[byte as usize]
}

/// Whether `value` may stand in a field (RFC 9110, 5.5): no control characters but tab. Of each
/// 32 bytes it looks at all whatever it finds, which the compiler does with a few instructions.
pub fn is_value(value: &[u8]) -> bool {
    let (chunks, rest) = value.as_chunks::<32>();
    let (words, rest) = rest.as_chunks::<8>();
    rest.iter().all(|&byte| is_value_byte(byte) != 0)
        && words.iter().all(are_value_bytes)
        && chunks.iter().all(are_value_bytes)
}

fn are_value_bytes<const N: usize>(bytes: &[u8; N]) -> bool {
    let fine = |all, &byte| all & is_value_byte(byte);
    bytes.iter().fold(1, fine) != 0
}

/// 1 where the byte may stand in a value.
fn is_value_byte(byte: u8) -> u8 {
    (u8::from(byte >= b' ') & u8::from(byte != 0x7f)) | u8::from(byte == b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_character_is_found_wherever_it_stands() {
        for byte in 0..=255 {
            let allowed = byte == b'\t' || (byte >= 32 && byte != 127);
            for place in 0..44 {
                let mut value = [b'a', b'\t', 0xff, b' '].repeat(11);
                value[place] = byte;
                assert_eq!(is_value(&value), allowed, "{byte} at {place}");
                let end = if allowed { value.len() } else { place };
                assert_eq!(value_len(&value), end, "{byte} at {place}");
            }
        }
    }
}
