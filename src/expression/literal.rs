//! What the inside of a string or bytes literal says.

use super::error::Mistake;

/// The text of a string literal whose inside is `inner` and starts at byte `at`.
pub(super) fn text(inner: &str, at: usize, raw: bool) -> Result<String, Mistake> {
    if raw || !inner.contains('\\') {
        return Ok(inner.to_owned());
    }
    let mut out = String::with_capacity(inner.len());
    each(inner, at, |piece, place| {
        match piece {
            Piece::Plain(c) => out.push(c),
            Piece::Byte(value) | Piece::Unicode(value) => match char::from_u32(value) {
                Some(c) => out.push(c),
                None => return Err(Mistake::new(place, "the escape is not a character")),
            },
        }
        Ok(())
    })?;
    Ok(out)
}

/// The bytes of a bytes literal.
pub(super) fn bytes(inner: &str, at: usize, raw: bool) -> Result<Vec<u8>, Mistake> {
    if raw || !inner.contains('\\') {
        return Ok(inner.as_bytes().to_vec());
    }
    let mut out = Vec::with_capacity(inner.len());
    each(inner, at, |piece, place| {
        match piece {
            Piece::Plain(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Piece::Byte(value) => out.push(value as u8),
            Piece::Unicode(_) => {
                return Err(Mistake::new(place, "`\\u` does not stand in bytes")
                    .help("write each byte as `\\x` and two digits"));
            }
        }
        Ok(())
    })?;
    Ok(out)
}

enum Piece {
    Plain(char),
    /// `\x` or octal: at most 255.
    Byte(u32),
    Unicode(u32),
}

fn each(
    inner: &str,
    start: usize,
    mut take: impl FnMut(Piece, std::ops::Range<usize>) -> Result<(), Mistake>,
) -> Result<(), Mistake> {
    let mut at = 0;
    while let Some(c) = inner.get(at..).and_then(|rest| rest.chars().next()) {
        let (piece, len) = if c == '\\' {
            let rest = inner.get(at + 1..).unwrap_or_default();
            escape(rest)
                .map(|(piece, len)| (piece, len + 1))
                .ok_or_else(|| {
                    let odd = rest.chars().next().map_or(0, char::len_utf8);
                    Mistake::new(start + at..start + at + 1 + odd, "not an escape")
                        .help("write `\\\\` for a backslash, or put `r` before the quote")
                })?
        } else {
            (Piece::Plain(c), c.len_utf8())
        };
        take(piece, start + at..start + at + len)?;
        at += len;
    }
    Ok(())
}

/// The escape after a backslash, and how many bytes it takes.
fn escape(rest: &str) -> Option<(Piece, usize)> {
    let plain = match rest.chars().next()? {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        c @ ('\\' | '?' | '"' | '\'' | '`') => c,
        'x' | 'X' => return Some((Piece::Byte(digits(rest, 1, 2, 16)?), 3)),
        'u' => return Some((Piece::Unicode(digits(rest, 1, 4, 16)?), 5)),
        'U' => return Some((Piece::Unicode(digits(rest, 1, 8, 16)?), 9)),
        '0'..='3' => return Some((Piece::Byte(digits(rest, 0, 3, 8)?), 3)),
        _ => return None,
    };
    Some((Piece::Plain(plain), 1))
}

fn digits(rest: &str, from: usize, count: usize, radix: u32) -> Option<u32> {
    let digits = rest.get(from..from + count)?;
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}
