//! Brings a request path to one canonical form before anything compares it.

use std::borrow::Cow;
use std::fmt;

/// A path in canonical form (RFC 3986, 6.2.2): absolute, no dot segments, no empty segments but a
/// last one, unreserved characters never percent-encoded, everything else that is not allowed in
/// a path always, with upper-case digits. What is matched is what is forwarded.
#[derive(Clone, PartialEq, Eq)]
pub struct CanonicalPath(String);

/// Why a path has no canonical form. The request is refused with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path does not start with `/`")]
    NotAbsolute,
    #[error("a `%` in the path is not followed by two hex digits")]
    Percent,
    #[error("the path holds a control character, a backslash or a byte that is not ASCII")]
    Character,
    #[error("the path climbs above its root")]
    AboveRoot,
}

impl CanonicalPath {
    /// The canonical form of a path as received, without its query.
    pub fn new(path: String) -> Result<Self, PathError> {
        if !path.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        if is_canonical(path.as_bytes()) {
            return Ok(Self(path));
        }
        canonical(&path).map(Self)
    }

    /// Whether `path` is in canonical form, seen at a glance: where not, [`Self::new`] makes it so.
    pub fn is_canonical(path: &str) -> bool {
        path.starts_with('/') && is_canonical(path.as_bytes())
    }

    /// `/`.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether nothing needs to be done: the usual case, found in one pass that looks at every byte
/// in the same way.
#[expect(
    clippy::indexing_slicing,
    reason = "a table of 256 entries has one for every byte"
)]
fn is_canonical(path: &[u8]) -> bool {
    const NEVER: u8 = 1;
    const AFTER_SLASH: u8 = 2;
    const SLASH: u8 = 4;
    /// Where each byte must not stand, and which of them is the slash.
    const TABLE: [u8; 256] = {
        let mut table = [NEVER; 256];
        let mut byte = 0;
        while byte < table.len() {
            if is_path_char(byte as u8) {
                table[byte] = 0;
            }
            byte += 1;
        }
        table[b'.' as usize] = AFTER_SLASH;
        table[b'/' as usize] = AFTER_SLASH | SLASH;
        table
    };
    let (mut wrong, mut before) = (0, 0);
    for &byte in path {
        let what = TABLE[usize::from(byte)];
        wrong |= what & (NEVER | before >> 1);
        before = what & SLASH;
    }
    wrong == 0
}

/// `pchar` without `%` (RFC 3986, 3.3).
const fn is_path_char(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

/// RFC 3986, 2.3.
pub const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn canonical(path: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len() + 8);
    let mut segments = path.split('/').skip(1).peekable();
    let mut segment = String::new();
    while let Some(raw) = segments.next() {
        let last = segments.peek().is_none();
        segment.clear();
        normalise_segment(raw, &mut segment)?;
        match segment.as_str() {
            ".." => {
                let parent = out.rfind('/').ok_or(PathError::AboveRoot)?;
                out.truncate(parent);
                if last {
                    out.push('/');
                }
            }
            "." | "" => {
                if last {
                    out.push('/');
                }
            }
            // Some servers drop what follows `;` before they look for dot segments.
            other if other.starts_with("..;") || other.starts_with(".;") => {
                return Err(PathError::AboveRoot);
            }
            other => {
                out.push('/');
                out.push_str(other);
            }
        }
    }
    if out.is_empty() {
        out.push('/');
    }
    Ok(out)
}

fn normalise_segment(raw: &str, out: &mut String) -> Result<(), PathError> {
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let (Some(high), Some(low)) =
                    (bytes.next().and_then(digit), bytes.next().and_then(digit))
                else {
                    return Err(PathError::Percent);
                };
                let decoded = high << 4 | low;
                if decoded < b' ' || decoded == 0x7f {
                    return Err(PathError::Character);
                }
                if is_unreserved(decoded) {
                    out.push(char::from(decoded));
                } else {
                    push_encoded(decoded, out);
                }
            }
            _ if is_path_char(byte) => out.push(char::from(byte)),
            b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                push_encoded(byte, out);
            }
            _ => return Err(PathError::Character),
        }
    }
    Ok(())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|value| value as u8)
}

/// Appends `byte` as `%XX`.
pub fn push_encoded(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    for nibble in [byte >> 4, byte & 15] {
        out.push(char::from(
            DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'),
        ));
    }
}

/// Appends `text` percent-encoded so that it stays one path segment or one query value: only
/// unreserved characters stand for themselves.
pub fn push_component(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if is_unreserved(byte) {
            out.push(char::from(byte));
        } else {
            push_encoded(byte, out);
        }
    }
}

/// What a percent-encoded component says; none where that is not UTF-8.
pub fn decode_component(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = bytes.next().and_then(digit)?;
            let low = bytes.next().and_then(digit)?;
            out.push(high << 4 | low);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// What a component of a query or a form says (`+` is a space); none where a `%` is not followed by two
/// digits, or the whole is not UTF-8.
pub fn decode_form(component: &str) -> Option<Cow<'_, str>> {
    if !component.contains('+') {
        return decode_component(component);
    }
    let spaced = component.replace('+', " ");
    decode_component(&spaced).map(|decoded| Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(given: &str, expected: &str) {
        let path = CanonicalPath::new(given.to_owned());
        assert_eq!(
            path.as_ref().map(CanonicalPath::as_str),
            Ok(expected),
            "{given}"
        );
    }

    #[test]
    fn a_path_has_one_form() {
        check("/", "/");
        check("/a/b", "/a/b");
        check("/a/b/", "/a/b/");
        check("/a//b///c", "/a/b/c");
        check("//a", "/a");
        check("/a/./b/../c", "/a/c");
        check("/a/%2e%2E/c", "/c");
        check("/a/..", "/");
        check("/a/.", "/a/");
        check("/%7euser/%41", "/~user/A");
        check("/a%2fb", "/a%2Fb");
        check("/a/..%2fb", "/a/..%2Fb");
        check("/.well-known/x", "/.well-known/x");
        check("/a|b", "/a%7Cb");
        check("/caf%c3%a9", "/caf%C3%A9");
    }

    #[test]
    fn what_has_no_form_is_refused() {
        for (path, error) in [
            ("", PathError::NotAbsolute),
            ("a", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("/%", PathError::Percent),
            ("/%4", PathError::Percent),
            ("/%zz", PathError::Percent),
            ("/%00", PathError::Character),
            ("/%0d%0a", PathError::Character),
            ("/a\\b", PathError::Character),
            ("/a b", PathError::Character),
            ("/é", PathError::Character),
            ("/..", PathError::AboveRoot),
            ("/a/../../b", PathError::AboveRoot),
            ("/%2e%2e/etc", PathError::AboveRoot),
            ("/a/..;/b", PathError::AboveRoot),
        ] {
            assert_eq!(CanonicalPath::new(path.to_owned()), Err(error), "{path}");
        }
    }

    proptest! {
        #[test]
        fn canonical_form_is_a_fixed_point(path in "/[a-zA-Z0-9./%;|~_-]{0,40}") {
            if let Ok(once) = CanonicalPath::new(path) {
                let twice = CanonicalPath::new(once.as_str().to_owned());
                prop_assert_eq!(twice.as_ref(), Ok(&once));
                prop_assert!(!once.as_str().contains("/../") && !once.as_str().contains("//"));
            }
        }

        #[test]
        fn a_component_comes_back_as_it_was(text in any::<String>()) {
            let mut encoded = String::new();
            push_component(&text, &mut encoded);
            prop_assert!(encoded.bytes().all(|byte| is_unreserved(byte) || byte == b'%'));
            let decoded = decode_component(&encoded);
            prop_assert_eq!(decoded.as_deref(), Some(text.as_str()));
        }
    }
}
