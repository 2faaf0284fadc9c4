//! JSON strings: what their escapes say, and how to write one.

use std::borrow::Cow;

use super::scan::string_special;

/// What the inside of a checked JSON string says. A lone surrogate becomes U+FFFD, since no text
/// can hold it.
pub(super) fn decode(inner: &str) -> Cow<'_, str> {
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        rest = decode_escape(escaped, &mut out);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Appends what the escape says whose backslash came before `escaped`, and returns what is behind
/// it.
fn decode_escape<'a>(escaped: &'a str, out: &mut String) -> &'a str {
    let mut chars = escaped.chars();
    let plain = match chars.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => return decode_unicode(chars.as_str(), out),
        Some(other) => other,
        None => return "",
    };
    out.push(plain);
    chars.as_str()
}

fn decode_unicode<'a>(digits: &'a str, out: &mut String) -> &'a str {
    let Some((unit, rest)) = code_unit(digits) else {
        return digits;
    };
    if let 0xd800..0xdc00 = unit
        && let Some((low @ 0xdc00..0xe000, after)) = rest.strip_prefix("\\u").and_then(code_unit)
    {
        let scalar = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        out.push(char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER));
        return after;
    }
    out.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
    rest
}

fn code_unit(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

/// Appends `text` as a JSON string with its quotes. Only what must be escaped is.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
}

/// Appends `text` as it stands between the quotes of a JSON string.
pub fn write_escaped(text: &str, out: &mut Vec<u8>) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(string_special(rest, 0));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = special.split_first() else {
            return;
        };
        rest = after;
        let short = match byte {
            b'"' | b'\\' => byte,
            8 => b'b',
            9 => b't',
            b'\n' => b'n',
            12 => b'f',
            b'\r' => b'r',
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend(
                    [byte >> 4, byte & 15]
                        .map(|nibble| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default()),
                );
                continue;
            }
        };
        out.extend([b'\\', short]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_say_what_the_rfc_says() {
        assert_eq!(decode(r#"a\"\\\/\b\f\n\r\tz"#), "a\"\\/\u{8}\u{c}\n\r\tz");
        assert_eq!(decode(r"\u00e9\u20ac\ud83d\ude00"), "é€😀");
    }

    #[test]
    fn lone_surrogate_is_replaced() {
        assert_eq!(decode(r"\ud83d"), "\u{fffd}");
        assert_eq!(decode(r"\ude00x"), "\u{fffd}x");
        assert_eq!(decode(r"\ud83d\u0041"), "\u{fffd}A");
        assert_eq!(decode(r"\ud83d\ud83d\ude00"), "\u{fffd}😀");
    }

    proptest! {
        #[test]
        fn a_written_string_reads_as_it_was(text in any::<String>()) {
            let mut out = Vec::new();
            write_string(&text, &mut out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text.clone());
            let inner = std::str::from_utf8(&out[1..out.len() - 1]).unwrap();
            prop_assert_eq!(decode(inner), text);
        }
    }
}
