//! What a field line may hold: tokens, values, and the white space around them (RFC 9110, 5).

/// A longer name is no name. What holds fields counts on it.
pub const NAME_BYTES_MAX: usize = u16::MAX as usize;

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

fn trim_start(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    value
}

/// What is wrong with a received field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// The line at this offset does not begin with a name and a colon.
    Name(usize),
    /// There is a control character in the value.
    Value,
    /// The line ends in LF without CR.
    BareLf,
}

impl LineError {
    /// The same of lines that stand `offset` further on.
    pub(super) const fn moved(self, offset: usize) -> Self {
        match self {
            Self::Name(at) => Self::Name(at + offset),
            Self::Value | Self::BareLf => self,
        }
    }
}

/// A field line, its name in lower case, its value without the white space around it.
pub(super) struct Line<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
    /// Of all of it, with CRLF.
    pub len: usize,
    /// It is just the name, a colon, one space, the value and CRLF.
    pub plain: bool,
}

impl<'a> Line<'a> {
    /// The line at the start of `input`, whose name is put in lower case where it stands; none
    /// while its end has not come.
    #[expect(
        clippy::inline_always,
        reason = "by itself it is not, which costs each line 30 instructions"
    )]
    #[inline(always)]
    pub fn read(input: &'a mut [u8]) -> Result<Option<Self>, LineError> {
        let name_len = lower_name(input);
        let input = &*input;
        // What is wrong is said once the line is there, however it arrives.
        let wrong = |error| {
            if input.contains(&b'\n') {
                Err(error)
            } else {
                Ok(None)
            }
        };
        let (name, behind) = input.split_at_checked(name_len).unwrap_or_default();
        let (1..=NAME_BYTES_MAX, [b':', behind @ ..]) = (name_len, behind) else {
            return wrong(LineError::Name(0));
        };
        let raw_len = value_len(behind);
        let (raw, end) = behind.split_at_checked(raw_len).unwrap_or_default();
        if !end.starts_with(b"\r\n") {
            let bare = end.first() == Some(&b'\n');
            return wrong(if bare {
                LineError::BareLf
            } else {
                LineError::Value
            });
        }
        let plain = raw
            .strip_prefix(b" ")
            .filter(|value| !matches!(value, [..=b' ', ..] | [.., ..=b' ']));
        Ok(Some(Line {
            name,
            value: plain.unwrap_or_else(|| trim(raw)),
            len: name_len + raw_len + 3,
            plain: plain.is_some(),
        }))
    }
}

/// Puts the token at the start of `line` in lower case; how long it is. Letters and hyphens, of
/// which names mostly consist, are done 16 at a time.
fn lower_name(line: &mut [u8]) -> usize {
    let mut at = 0;
    let mut rest = line;
    loop {
        let count = rest.first_chunk_mut().map_or(0, lower_letters);
        at += count;
        let Some([byte, behind @ ..]) = rest.get_mut(count..) else {
            return at;
        };
        let lower = token_byte(*byte);
        if lower == 0 {
            return at;
        }
        *byte = lower;
        at += 1;
        rest = behind;
    }
}

/// Puts the letters and hyphens at the start in lower case; how many they are.
fn lower_letters(block: &mut [u8; 16]) -> usize {
    /// The bit that lower case sets, 16 times, and 16 times nothing.
    const CASE: [u8; 32] = {
        let mut case = [0; 32];
        let (first, _) = case.split_at_mut(16);
        first.copy_from_slice(&[0x20; 16]);
        case
    };
    let count = count_fine(block, is_letter_or_hyphen);
    let case = CASE.get(16 - count..).unwrap_or_default();
    for (byte, case) in block.iter_mut().zip(case) {
        *byte |= case;
    }
    count
}

#[expect(
    clippy::needless_bitwise_bool,
    reason = "with branches the compiler would not judge many bytes at once"
)]
const fn is_letter_or_hyphen(byte: u8) -> bool {
    (byte | 0x20).is_ascii_lowercase() | (byte == b'-')
}

/// Where the value at the start of `line` ends: at the first control character but tab.
fn value_len(line: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = line.get(at..).and_then(<[u8]>::first_chunk) {
        if !all_fine(block, is_value_byte) {
            return at + count_fine(block, is_value_byte);
        }
        at += block.len();
    }
    let rest = line.get(at..).unwrap_or_default();
    let end = rest.iter().position(|&byte| !is_value_byte(byte));
    end.map_or(line.len(), |end| at + end)
}

/// How many bytes at the start are `fine`. In this form the compiler judges all at once.
fn count_fine(block: &[u8; 16], fine: impl Fn(u8) -> bool) -> usize {
    let marks = block.map(|byte| u8::from(fine(byte)).wrapping_sub(1));
    u128::from_le_bytes(marks).trailing_zeros() as usize / 8
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

/// Whether `value` may stand in a field (RFC 9110, 5.5): no control characters but tab.
pub fn is_value(value: &[u8]) -> bool {
    all(value, is_value_byte)
}

/// Whether all of `bytes` are `fine`.
pub fn all(bytes: &[u8], fine: impl Fn(u8) -> bool) -> bool {
    let (blocks, rest) = bytes.as_chunks();
    blocks.iter().all(|block| all_fine(block, &fine)) && rest.iter().all(|&byte| fine(byte))
}

fn all_fine(block: &[u8; 16], fine: impl Fn(u8) -> bool) -> bool {
    u128::from_ne_bytes(block.map(|byte| u8::from(!fine(byte)))) == 0
}

#[expect(
    clippy::needless_bitwise_bool,
    reason = "with branches the compiler would not judge many bytes at once"
)]
const fn is_value_byte(byte: u8) -> bool {
    (byte == b'\t') | ((byte >= b' ') & (byte != 0x7f))
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

    #[test]
    fn a_name_ends_where_its_token_does_and_nothing_behind_it_changes() {
        for byte in 0..=255 {
            for place in 0..44 {
                let mut line = b"aB-Z_9z.Y".repeat(5);
                line[place] = byte;
                let end = if is_token(&[byte]) { line.len() } else { place };
                let mut lower = line.clone();
                lower[..end].make_ascii_lowercase();
                assert_eq!(lower_name(&mut line), end, "{byte} at {place}");
                assert_eq!(line, lower, "{byte} at {place}");
            }
        }
    }
}
