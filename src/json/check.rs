//! Checks that bytes are one JSON text, to the letter of RFC 8259, in one pass.
#![expect(
    clippy::inline_always,
    reason = "the whole check is to be one loop: calls would take a fifth of its time"
)]

use super::scan::{blanks_end, skip_blanks, special_in};

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
        fault: ("empty: no value", text.len()),
    };
    if checker.text(text, Brackets::new(depth)).is_some() {
        return Ok(());
    }
    let (what, left) = checker.fault;
    Err(JsonError {
        offset: text.len() - left,
        what,
    })
}

/// The brackets that are open, one bit each, set for an object. The innermost 64 are at hand.
struct Brackets {
    near: u64,
    far: [u64; DEPTH_MAX / 64],
    depth: usize,
    depth_max: usize,
}

impl Brackets {
    fn new(depth_max: usize) -> Self {
        Self {
            near: 0,
            far: [0; DEPTH_MAX / 64],
            depth: 0,
            depth_max: depth_max.min(DEPTH_MAX),
        }
    }

    /// False when nothing more may open.
    #[inline(always)]
    fn push(&mut self, object: bool) -> bool {
        if self.depth == self.depth_max {
            return false;
        }
        if self.depth.is_multiple_of(64)
            && let Some(word) = self.far.get_mut(self.depth / 64)
        {
            *word = self.near;
        }
        self.near = self.near << 1 | u64::from(object);
        self.depth += 1;
        true
    }

    #[inline(always)]
    fn pop(&mut self) {
        self.near >>= 1;
        self.depth = self.depth.saturating_sub(1);
        if self.depth.is_multiple_of(64)
            && let Some(word) = self.far.get(self.depth / 64)
        {
            self.near = *word;
        }
    }

    const fn innermost_is_object(&self) -> bool {
        self.near & 1 == 1
    }
}

/// Each method takes the rest of the text from where it starts and gives the rest from where it ends: all stay in
/// registers, which is why an error is put aside rather than returned.
struct Checker {
    /// What is wrong, and how many bytes are left from there.
    fault: (&'static str, usize),
}

impl Checker {
    fn text(&mut self, text: &[u8], mut open: Brackets) -> Option<()> {
        let mut rest = text;
        loop {
            // Each round starts at a value, or at white space before one.
            rest = match rest {
                [b'"', rest @ ..] => self.string(rest)?,
                [b'{' | b'[', ..] => match self.open(rest, &mut open)? {
                    (first, true) => {
                        rest = first;
                        continue;
                    }
                    (rest, false) => rest,
                },
                [b'-' | b'0'..=b'9', ..] => self.number(rest)?,
                [b't', b'r', b'u', b'e', rest @ ..]
                | [b'f', b'a', b'l', b's', b'e', rest @ ..]
                | [b'n', b'u', b'l', b'l', rest @ ..] => rest,
                [b' ' | b'\t' | b'\n' | b'\r', ..] => {
                    rest = blanks_end(rest);
                    continue;
                }
                [] if open.depth == 0 => return self.fail(rest, "empty: no value"),
                [] => return self.fail(rest, "the text ends where a value should be"),
                _ => return self.fail(rest, "not a value"),
            };
            rest = self.close(rest, &mut open)?;
            if open.depth == 0 {
                return match skip_blanks(rest) {
                    [] => Some(()),
                    more => self.fail(more, "something follows the value"),
                };
            }
        }
    }

    /// Passes an opening bracket up to its first value: true then; or an empty array or object.
    #[inline(always)]
    fn open<'t>(&mut self, text: &'t [u8], open: &mut Brackets) -> Option<(&'t [u8], bool)> {
        let object = text.first() == Some(&b'{');
        if !open.push(object) {
            return self.fail(text, TOO_DEEP);
        }
        let inside = skip_blanks(text.get(1..)?);
        match (inside, object) {
            ([b'}', rest @ ..], true) | ([b']', rest @ ..], false) => {
                open.pop();
                Some((rest, false))
            }
            (_, true) => Some((self.key(inside)?, true)),
            (_, false) => Some((inside, true)),
        }
    }

    /// After a value: passes what closes, up to the next value or the end of the outermost one.
    #[inline(always)]
    fn close<'t>(&mut self, mut rest: &'t [u8], open: &mut Brackets) -> Option<&'t [u8]> {
        while open.depth > 0 {
            let object = open.innermost_is_object();
            match rest {
                [b',', behind @ ..] if object => return self.key(skip_blanks(behind)),
                [b',', behind @ ..] => return Some(behind),
                [b'}', behind @ ..] if object => {
                    open.pop();
                    rest = behind;
                }
                [b']', behind @ ..] if !object => {
                    open.pop();
                    rest = behind;
                }
                [b' ' | b'\t' | b'\n' | b'\r', ..] => rest = blanks_end(rest),
                [] => return self.fail(rest, "the text ends inside an array or object"),
                _ if object => return self.fail(rest, "expected `,` or `}`"),
                _ => return self.fail(rest, "expected `,` or `]`"),
            }
        }
        Some(rest)
    }

    #[cold]
    #[inline(never)]
    fn fail<T>(&mut self, rest: &[u8], what: &'static str) -> Option<T> {
        self.fault = (what, rest.len());
        None
    }

    /// Passes a key and its colon.
    #[inline(always)]
    fn key<'t>(&mut self, rest: &'t [u8]) -> Option<&'t [u8]> {
        let [b'"', key @ ..] = rest else {
            return self.fail(rest, "expected a key in quotes");
        };
        match self.string(key)? {
            [b':', value @ ..] => Some(value),
            rest => match skip_blanks(rest) {
                [b':', value @ ..] => Some(value),
                rest => self.fail(rest, "expected `:`"),
            },
        }
    }

    /// Passes a string behind its opening quote.
    #[inline(always)]
    fn string<'t>(&mut self, rest: &'t [u8]) -> Option<&'t [u8]> {
        if let Some(word) = rest.first_chunk() {
            let word = u64::from_le_bytes(*word);
            let marks = special_in(word);
            let bits = marks.trailing_zeros();
            // Most keys and many strings end within eight bytes.
            if marks != 0 && (word >> (bits & 0x38)) as u8 == b'"' {
                return rest.get(bits as usize / 8 + 1..);
            }
        }
        self.long_string(rest)
    }

    #[inline(never)]
    fn long_string<'t>(&mut self, mut rest: &'t [u8]) -> Option<&'t [u8]> {
        loop {
            while let Some((word, behind)) = rest.split_first_chunk() {
                let marks = special_in(u64::from_le_bytes(*word));
                if marks != 0 {
                    rest = rest.get((marks.trailing_zeros() / 8) as usize..)?;
                    break;
                }
                rest = behind;
            }
            rest = match rest {
                [b'"', rest @ ..] => return Some(rest),
                [b'\\', escaped @ ..] => match escaped {
                    [
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                        rest @ ..,
                    ] => rest,
                    [b'u', a, b, c, d, rest @ ..]
                        if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
                    {
                        rest
                    }
                    [b'u', ..] => return self.fail(rest, "`\\u` without four hex digits"),
                    _ => return self.fail(rest, "an escape that JSON does not have"),
                },
                [0..0x20, ..] => return self.fail(rest, "a control character in a string"),
                [_, rest @ ..] => rest,
                [] => return self.fail(rest, "the text ends inside a string"),
            }
        }
    }

    #[inline(always)]
    fn number<'t>(&mut self, rest: &'t [u8]) -> Option<&'t [u8]> {
        let rest = match rest {
            [b'-', rest @ ..] => rest,
            _ => rest,
        };
        let mut rest = match rest {
            [b'0', rest @ ..] => match rest {
                [b'0'..=b'9', ..] => return self.fail(rest, "a number with a leading zero"),
                _ => rest,
            },
            _ => self.digits(rest)?,
        };
        if let [b'.', fraction @ ..] = rest {
            rest = self.digits(fraction)?;
        }
        if let [b'e' | b'E', b'+' | b'-', power @ ..] | [b'e' | b'E', power @ ..] = rest {
            rest = self.digits(power)?;
        }
        Some(rest)
    }

    #[inline(always)]
    fn digits<'t>(&mut self, mut rest: &'t [u8]) -> Option<&'t [u8]> {
        let [b'0'..=b'9', more @ ..] = rest else {
            return self.fail(rest, "expected a digit");
        };
        rest = more;
        while let [b'0'..=b'9', more @ ..] = rest {
            rest = more;
        }
        Some(rest)
    }
}
