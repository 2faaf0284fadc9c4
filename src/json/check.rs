//! Checks that bytes are one JSON text, to the letter of RFC 8259, in one pass.

use super::scan::{skip_space, string_special};

/// How deep arrays and objects may nest where nothing else is said.
pub const DEPTH_DEFAULT: usize = 128;

/// How deep they may nest at all: a greater bound asked for is cut to this one.
pub const DEPTH_MAX: usize = 1024;

/// What a text is refused for that others may take.
pub(super) const TOO_DEEP: &str = "nested too deeply";

/// Why bytes are not one JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct JsonError {
    /// Bytes from the start of the text.
    pub offset: usize,
    pub what: &'static str,
}

/// Checks one JSON text: UTF-8 throughout, strict grammar, nothing behind it but whitespace, at
/// most `depth` brackets open at once.
pub fn check(text: &[u8], depth: usize) -> Result<(), JsonError> {
    if let Err(error) = std::str::from_utf8(text) {
        return Err(JsonError {
            offset: error.valid_up_to(),
            what: "not UTF-8",
        });
    }
    let mut checker = Checker {
        text,
        open: Brackets::new(depth),
        error: JsonError {
            offset: 0,
            what: "empty: no value",
        },
    };
    match checker.text() {
        Some(()) => Ok(()),
        None => Err(checker.error),
    }
}

/// The brackets that are open, outermost first, one bit each: set for an object.
struct Brackets {
    bits: [u64; DEPTH_MAX / 64],
    depth: usize,
    depth_max: usize,
}

impl Brackets {
    fn new(depth_max: usize) -> Self {
        Self {
            bits: [0; DEPTH_MAX / 64],
            depth: 0,
            depth_max: depth_max.min(DEPTH_MAX),
        }
    }

    /// False when nothing more may open.
    fn push(&mut self, object: bool) -> bool {
        if self.depth == self.depth_max {
            return false;
        }
        if let Some(word) = self.bits.get_mut(self.depth / 64) {
            let bit = 1 << (self.depth % 64);
            *word = if object { *word | bit } else { *word & !bit };
        }
        self.depth += 1;
        true
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Whether the innermost open bracket is an object's; none when nothing is open.
    fn innermost_is_object(&self) -> Option<bool> {
        let last = self.depth.checked_sub(1)?;
        self.bits
            .get(last / 64)
            .map(|word| word >> (last % 64) & 1 == 1)
    }
}

/// Each method takes where it starts and gives where what it passed ends: both stay in registers,
/// which is why an error is put aside rather than returned.
struct Checker<'a> {
    text: &'a [u8],
    open: Brackets,
    error: JsonError,
}

impl Checker<'_> {
    fn text(&mut self) -> Option<()> {
        let mut at = skip_space(self.text, 0);
        if at == self.text.len() {
            return self.fail(at, "empty: no value");
        }
        loop {
            // Each round starts at a value. An opened bracket that is not closed at once has its
            // first value in the next round.
            let opened;
            (at, opened) = self.value(at)?;
            if !opened {
                at = self.close(at)?;
                if at == usize::MAX {
                    return Some(());
                }
            }
        }
    }

    fn peek(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    #[cold]
    fn fail<T>(&mut self, at: usize, what: &'static str) -> Option<T> {
        self.error = JsonError { offset: at, what };
        None
    }

    /// Passes a scalar, an empty array or object, or an opening up to its first value: true then.
    #[inline]
    fn value(&mut self, at: usize) -> Option<(usize, bool)> {
        let end = match self.peek(at) {
            Some(b'"') => self.string(at)?,
            Some(b'{') => {
                if !self.open.push(true) {
                    return self.fail(at, TOO_DEEP);
                }
                let inside = skip_space(self.text, at + 1);
                if self.peek(inside) != Some(b'}') {
                    return Some((self.key(inside)?, true));
                }
                self.open.pop();
                inside + 1
            }
            Some(b'[') => {
                if !self.open.push(false) {
                    return self.fail(at, TOO_DEEP);
                }
                let inside = skip_space(self.text, at + 1);
                if self.peek(inside) != Some(b']') {
                    return Some((inside, true));
                }
                self.open.pop();
                inside + 1
            }
            Some(b'-' | b'0'..=b'9') => self.number(at)?,
            Some(b't') => self.word(at, b"true")?,
            Some(b'f') => self.word(at, b"false")?,
            Some(b'n') => self.word(at, b"null")?,
            Some(_) => return self.fail(at, "not a value"),
            None => return self.fail(at, "the text ends where a value should be"),
        };
        Some((end, false))
    }

    /// After a value: passes what closes, up to the next value; [`usize::MAX`] at the end of the
    /// text.
    #[inline]
    fn close(&mut self, mut at: usize) -> Option<usize> {
        loop {
            at = skip_space(self.text, at);
            let Some(object) = self.open.innermost_is_object() else {
                return match self.peek(at) {
                    None => Some(usize::MAX),
                    Some(_) => self.fail(at, "something follows the value"),
                };
            };
            match (self.peek(at), object) {
                (Some(b','), true) => {
                    let key = skip_space(self.text, at + 1);
                    return self.key(key);
                }
                (Some(b','), false) => return Some(skip_space(self.text, at + 1)),
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.open.pop();
                    at += 1;
                }
                (Some(_), true) => return self.fail(at, "expected `,` or `}`"),
                (Some(_), false) => return self.fail(at, "expected `,` or `]`"),
                (None, _) => return self.fail(at, "the text ends inside an array or object"),
            }
        }
    }

    /// Passes a key and its colon, up to the value.
    #[inline]
    fn key(&mut self, at: usize) -> Option<usize> {
        if self.peek(at) != Some(b'"') {
            return self.fail(at, "expected a key in quotes");
        }
        let end = self.string(at)?;
        let colon = skip_space(self.text, end);
        if self.peek(colon) != Some(b':') {
            return self.fail(colon, "expected `:`");
        }
        Some(skip_space(self.text, colon + 1))
    }

    #[inline]
    fn string(&mut self, at: usize) -> Option<usize> {
        let mut at = at + 1;
        loop {
            at = string_special(self.text, at);
            match self.peek(at) {
                Some(b'"') => return Some(at + 1),
                Some(b'\\') => at = self.escape(at)?,
                Some(_) => return self.fail(at, "a control character in a string"),
                None => return self.fail(at, "the text ends inside a string"),
            }
        }
    }

    fn escape(&mut self, at: usize) -> Option<usize> {
        match self.peek(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Some(at + 2),
            Some(b'u') => match self.text.get(at + 2..at + 6) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => Some(at + 6),
                _ => self.fail(at, "`\\u` without four hex digits"),
            },
            _ => self.fail(at, "an escape that JSON does not have"),
        }
    }

    #[inline]
    fn digits(&mut self, mut at: usize) -> Option<usize> {
        if !matches!(self.peek(at), Some(b'0'..=b'9')) {
            return self.fail(at, "expected a digit");
        }
        while matches!(self.peek(at), Some(b'0'..=b'9')) {
            at += 1;
        }
        Some(at)
    }

    fn number(&mut self, mut at: usize) -> Option<usize> {
        if self.peek(at) == Some(b'-') {
            at += 1;
        }
        if self.peek(at) == Some(b'0') {
            at += 1;
            if matches!(self.peek(at), Some(b'0'..=b'9')) {
                return self.fail(at, "a number with a leading zero");
            }
        } else {
            at = self.digits(at)?;
        }
        if self.peek(at) == Some(b'.') {
            at = self.digits(at + 1)?;
        }
        if matches!(self.peek(at), Some(b'e' | b'E')) {
            at += 1;
            if matches!(self.peek(at), Some(b'+' | b'-')) {
                at += 1;
            }
            at = self.digits(at)?;
        }
        Some(at)
    }

    fn word(&mut self, at: usize, word: &[u8]) -> Option<usize> {
        let rest = self.text.get(at..);
        if !rest.is_some_and(|rest| rest.starts_with(word)) {
            return self.fail(at, "not a value");
        }
        Some(at + word.len())
    }
}
