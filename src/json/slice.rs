//! A checked JSON text, and the ways to find one value inside it without building a tree.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::check::{DEPTH_DEFAULT, JsonError, check};
use super::scan::{skip_space, string_end, value_end};
use super::text::decode;

/// One JSON value as its text, checked, without surrounding whitespace. Clones and parts share
/// the buffer.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

/// What kind of value a [`Json`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Json {
    /// Checks `text` strictly; `depth` is how many brackets may be open at once.
    pub fn parse(text: Bytes, depth: usize) -> Result<Self, JsonError> {
        check(&text, depth)?;
        let start = skip_space(&text, 0);
        let end = start + text.slice(start..).trim_ascii_end().len();
        Ok(Self(text.slice(start..end)))
    }

    /// `null`.
    pub const fn null() -> Self {
        Self(Bytes::from_static(b"null"))
    }

    pub fn kind(&self) -> Kind {
        match self.0.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// The text, as it came.
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The same in a buffer of its own, so that keeping it keeps nothing else.
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The text, as it came.
    pub fn text(&self) -> &str {
        // Checked when it was parsed, and cut only at ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self.0.first() {
            Some(b't') => Some(true),
            Some(b'f') => Some(false),
            _ => None,
        }
    }

    /// A number without fraction or exponent that fits.
    pub fn as_i64(&self) -> Option<i64> {
        if self.kind() != Kind::Number || self.0.len() > 20 {
            return None;
        }
        self.text().parse().ok()
    }

    /// Any number; infinite where it is too great for a double.
    pub fn as_f64(&self) -> Option<f64> {
        if self.kind() != Kind::Number {
            return None;
        }
        self.text().parse().ok()
    }

    /// What a string says, escapes undone; a lone surrogate is U+FFFD.
    pub fn as_str(&self) -> Option<Cow<'_, str>> {
        if self.kind() != Kind::String {
            return None;
        }
        let inner = self.0.get(1..self.0.len() - 1)?;
        Some(decode(std::str::from_utf8(inner).ok()?))
    }

    /// The value of a key of an object; of a key that stands twice, the last. None for other kinds.
    pub fn field(&self, name: &str) -> Option<Self> {
        let mut found = None;
        let mut entries = self.entries();
        while let Some((key, start, end)) = entries.advance() {
            if key_is(key, name) {
                found = Some(start..end);
            }
        }
        found.map(|range| Self(self.0.slice(range)))
    }

    /// The element of an array at `index`, counted from 0. None for other kinds.
    pub fn element(&self, index: usize) -> Option<Self> {
        let mut elements = self.elements();
        for _ in 0..index {
            elements.advance()?;
        }
        elements.next()
    }

    /// The keys and values of an object in the order of the text, a repeated key each time. Empty
    /// for other kinds.
    pub fn entries(&self) -> Entries<'_> {
        Entries {
            json: self,
            at: (self.kind() == Kind::Object).then_some(1),
        }
    }

    /// The keys and values of an object in the order of the text, each key as the JSON string that
    /// it is. Empty for other kinds.
    pub fn members(&self) -> impl Iterator<Item = (Self, Self)> {
        let mut entries = self.entries();
        std::iter::from_fn(move || {
            let (key, start, end) = entries.spans()?;
            Some((Self(self.0.slice(key)), Self(self.0.slice(start..end))))
        })
    }

    /// The elements of an array in order. Empty for other kinds.
    pub fn elements(&self) -> Elements<'_> {
        Elements {
            json: self,
            at: (self.kind() == Kind::Array).then_some(1),
        }
    }
}

impl TryFrom<&str> for Json {
    type Error = JsonError;

    fn try_from(text: &str) -> Result<Self, JsonError> {
        Self::parse(Bytes::copy_from_slice(text.as_bytes()), DEPTH_DEFAULT)
    }
}

impl fmt::Debug for Json {
    /// At most the first hundred characters or so: a body does not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        match text.char_indices().nth(100) {
            Some((cut, _)) => write!(f, "{}...", text.get(..cut).unwrap_or_default()),
            None => f.write_str(text),
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Whether the inside of a checked string says `name`.
fn key_is(key: &[u8], name: &str) -> bool {
    if key == name.as_bytes() {
        // A key with a backslash says something else than its bytes.
        return memchr::memchr(b'\\', key).is_none();
    }
    // An escaped key is longer than what it says.
    key.len() > name.len()
        && memchr::memchr(b'\\', key).is_some()
        && std::str::from_utf8(key).is_ok_and(|key| decode(key) == name)
}

/// The entries of an object.
#[derive(Debug)]
pub struct Entries<'a> {
    json: &'a Json,
    /// Behind the `{` or `,` before the next key; none when there is no next.
    at: Option<usize>,
}

impl<'a> Entries<'a> {
    /// The inside of the next key, and where its value starts and ends.
    fn advance(&mut self) -> Option<(&'a [u8], usize, usize)> {
        let (key, start, end) = self.spans()?;
        let text: &'a [u8] = &self.json.0;
        Some((text.get(key.start + 1..key.end - 1)?, start, end))
    }

    /// Where the next key stands, with its quotes, and where its value starts and ends.
    fn spans(&mut self) -> Option<(Range<usize>, usize, usize)> {
        let text: &[u8] = &self.json.0;
        let key = skip_space(text, self.at.take()?);
        if text.get(key) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(text, key);
        let colon = skip_space(text, key_end);
        let start = skip_space(text, colon + 1);
        let end = value_end(text, start);
        let next = skip_space(text, end);
        if text.get(next) == Some(&b',') {
            self.at = Some(next + 1);
        }
        Some((key..key_end, start, end))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Cow<'a, str>, Json);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, start, end) = self.advance()?;
        let key = decode(std::str::from_utf8(key).ok()?);
        Some((key, Json(self.json.0.slice(start..end))))
    }
}

/// The elements of an array.
#[derive(Debug)]
pub struct Elements<'a> {
    json: &'a Json,
    /// Behind the `[` or `,` before the next element; none when there is no next.
    at: Option<usize>,
}

impl Elements<'_> {
    fn advance(&mut self) -> Option<(usize, usize)> {
        let text: &[u8] = &self.json.0;
        let start = skip_space(text, self.at.take()?);
        if text.get(start) == Some(&b']') {
            return None;
        }
        let end = value_end(text, start);
        let next = skip_space(text, end);
        if text.get(next) == Some(&b',') {
            self.at = Some(next + 1);
        }
        Some((start, end))
    }
}

impl Iterator for Elements<'_> {
    type Item = Json;

    fn next(&mut self) -> Option<Json> {
        let (start, end) = self.advance()?;
        Some(Json(self.json.0.slice(start..end)))
    }
}
