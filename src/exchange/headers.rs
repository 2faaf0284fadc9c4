//! Header fields: an ordered list of names and values in one buffer, as lines ready to be sent.

use std::fmt;

use super::known::Known;
use super::line::{Line, LineError, is_token, is_value};

/// What stands between the name and the value of a line, and behind it.
const COLON: &[u8; 2] = b": ";
const END: &[u8; 2] = b"\r\n";

/// A field: where its line starts, how long name and value are.
#[derive(Clone, Copy)]
struct Field {
    start: u32,
    value_len: u32,
    name_len: u16,
    known: Known,
}

impl Field {
    const fn value_start(&self) -> usize {
        self.start as usize + self.name_len as usize + COLON.len()
    }

    const fn end(&self) -> usize {
        self.value_start() + self.value_len as usize + END.len()
    }
}

/// Header fields in the order they came. Names are lower case; values are as received, without
/// surrounding white space, and hold no CR, LF or NUL: whoever appends has checked that.
///
/// Each is kept as the line that will be sent, `name: value CRLF`, so that fields that are only
/// passed on are copied many at a time.
#[derive(Clone, Default)]
pub struct Headers {
    text: Vec<u8>,
    fields: Vec<Field>,
    /// A bit for each known name that a field was ever appended under.
    seen: u32,
}

/// Why a field was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    #[error("a field name is a token (RFC 9110, 5.1)")]
    Name,
    #[error("a field value holds no control characters (RFC 9110, 5.5)")]
    Value,
}

impl Headers {
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty list with room for `fields` fields of together `bytes` bytes.
    pub fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self {
            text: Vec::with_capacity(bytes),
            fields: Vec::with_capacity(fields),
            seen: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.fields.len()
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The first value under `name` (lower case).
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|field| self.name_of(field) == name.as_bytes())
            .map(|field| self.value_of(field))
    }

    /// The first value under `name` as text; none where it is not UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value under `name` (lower case), in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |field| self.name_of(field) == name.as_bytes())
            .map(|field| self.value_of(field))
    }

    /// The first value of a known name.
    pub fn known(&self, known: Known) -> Option<&[u8]> {
        self.all_known(known).next()
    }

    /// Every value of a known name, in order.
    pub fn all_known(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        // Most names that are asked for are not there.
        let fields = if self.may_hold(known) {
            self.fields.as_slice()
        } else {
            &[]
        };
        fields
            .iter()
            .filter(move |field| field.known == known)
            .map(|field| self.value_of(field))
    }

    /// Every field in order: known name, name in lower case, value.
    pub fn iter(&self) -> impl Iterator<Item = (Known, &str, &[u8])> {
        self.fields.iter().map(|field| {
            // Names are tokens, which are ASCII; an empty name is never appended.
            let name = std::str::from_utf8(self.name_of(field)).unwrap_or_default();
            (field.known, name, self.value_of(field))
        })
    }

    /// Every field in order, its name as bytes: for whoever writes them down as they are.
    pub fn lines(&self) -> impl Iterator<Item = (Known, &[u8], &[u8])> {
        self.fields
            .iter()
            .map(|field| (field.known, self.name_of(field), self.value_of(field)))
    }

    /// Appends a field that the caller knows to be well formed; the name is put in lower case.
    pub fn append(&mut self, name: &str, value: &[u8]) {
        debug_assert!(is_token(name.as_bytes()) && is_value(value), "{name}");
        self.push(name.as_bytes(), value);
    }

    /// Appends a known field, whose value stands in pieces that the caller knows to be well formed.
    pub fn add<const N: usize>(&mut self, known: Known, value: [&[u8]; N]) {
        let name = known.as_str().as_bytes();
        let value_len: usize = value.iter().map(|piece| piece.len()).sum();
        let start = self.text.len();
        self.text
            .reserve(name.len() + value_len + COLON.len() + END.len());
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(COLON);
        for piece in value {
            debug_assert!(is_value(piece), "{known:?}");
            self.text.extend_from_slice(piece);
        }
        self.text.extend_from_slice(END);
        self.push_field(known, start, name.len(), value_len);
    }

    /// Replaces all values of a known field by one.
    pub fn put(&mut self, known: Known, value: &[u8]) {
        if self.may_hold(known) {
            self.fields.retain(|field| field.known != known);
        }
        self.add(known, [value]);
    }

    /// Writes over the value of the last field of a known name, which has as many bytes.
    pub fn fill(&mut self, known: Known, value: &[u8]) {
        let field = self.fields.iter().rfind(|field| field.known == known);
        let start = field.map_or(self.text.len(), Field::value_start);
        let place = self.text.get_mut(start..start + value.len());
        debug_assert!(place.is_some() && is_value(value), "{known:?}");
        if let Some(place) = place {
            place.copy_from_slice(value);
        }
    }

    /// Appends a field of unknown origin, checked, and says which it is.
    pub fn try_append(&mut self, name: &[u8], value: &[u8]) -> Result<Known, FieldError> {
        if !is_value(value) {
            return Err(FieldError::Value);
        }
        if !is_token(name) {
            return Err(FieldError::Name);
        }
        Ok(self.push(name, value))
    }

    /// Takes the field lines that stand complete at the start of `input` (RFC 9112, 5): checked,
    /// names in lower case, values without the white space around them. `keep` learns of each
    /// field with the length of its line, and may refuse it or leave it out. Returns how long they
    /// are, with the empty line if that follows, and whether it does.
    ///
    /// Names are put in lower case where they stand, so that lines are copied many at a time.
    pub fn take_lines<E: From<LineError>>(
        &mut self,
        input: &mut [u8],
        mut keep: impl FnMut(Known, &[u8], usize) -> Result<bool, E>,
    ) -> Result<(usize, bool), E> {
        let mut at = 0;
        // Lines from here on are kept, and not yet copied.
        let mut run = 0;
        let complete = loop {
            let rest = input.get_mut(at..).unwrap_or_default();
            if rest.starts_with(END) {
                break true;
            }
            let line = Line::read(rest).map_err(|error| error.moved(at))?;
            let Some(line) = line else {
                break false;
            };
            let known = Known::of(line.name);
            let kept = keep(known, line.value, line.len)?;
            let start = at;
            at += line.len;
            if kept && line.plain {
                let start = self.text.len() + start - run;
                self.push_field(known, start, line.name.len(), line.value.len());
                continue;
            }
            let odd = kept.then(|| [line.name, line.value].map(<[u8]>::to_vec));
            self.text.extend_from_slice(slice(input, run, start - run));
            run = at;
            if let Some([name, value]) = odd {
                self.append_checked(known, &name, &value);
            }
        };
        self.text.extend_from_slice(slice(input, run, at - run));
        Ok((if complete { at + END.len() } else { at }, complete))
    }

    /// Replaces all values under `name` by one.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        self.remove(name);
        self.append(name, value);
    }

    /// Removes every field called `name` (lower case).
    pub fn remove(&mut self, name: &str) {
        let text = &self.text;
        self.fields.retain(|field| {
            slice(text, field.start as usize, usize::from(field.name_len)) != name.as_bytes()
        });
    }

    /// Removes every field that `keep` refuses.
    pub fn retain(&mut self, mut keep: impl FnMut(Known, &[u8]) -> bool) {
        let text = &self.text;
        self.fields.retain(|field| {
            keep(
                field.known,
                slice(text, field.start as usize, usize::from(field.name_len)),
            )
        });
    }

    /// How many bytes the lines have together, with what was removed.
    pub const fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Writes the lines of those fields that `pass`: neighbours in one piece.
    pub fn write_to(&self, out: &mut Vec<u8>, mut pass: impl FnMut(Known, &[u8]) -> bool) {
        let mut run = 0..0;
        for field in &self.fields {
            if !pass(field.known, self.value_of(field)) {
                continue;
            }
            if field.start as usize != run.end {
                out.extend_from_slice(self.text.get(run).unwrap_or_default());
                run = field.start as usize..0;
            }
            run.end = field.end();
        }
        out.extend_from_slice(self.text.get(run).unwrap_or_default());
    }

    /// Appends every field of `other`.
    pub fn append_all(&mut self, other: &Self) {
        // Heads are capped far below 4 GiB by the listener's limits.
        let Ok(start) = u32::try_from(self.text.len()) else {
            return;
        };
        self.text.extend_from_slice(&other.text);
        self.fields.extend(other.fields.iter().map(|field| Field {
            start: start.saturating_add(field.start),
            ..*field
        }));
        self.seen |= other.seen;
    }

    fn push(&mut self, name: &[u8], value: &[u8]) -> Known {
        let start = self.text.len();
        self.text
            .reserve(name.len() + value.len() + COLON.len() + END.len());
        self.text.extend_from_slice(name);
        if let Some(written) = self.text.get_mut(start..) {
            written.make_ascii_lowercase();
        }
        let name_len = name.len();
        let known = Known::of(slice(&self.text, start, name_len));
        self.text.extend_from_slice(COLON);
        self.text.extend_from_slice(value);
        self.text.extend_from_slice(END);
        self.push_field(known, start, name_len, value.len())
    }

    /// Notes the line that was written from `start` on.
    fn push_field(
        &mut self,
        known: Known,
        start: usize,
        name_len: usize,
        value_len: usize,
    ) -> Known {
        // Heads are capped far below 4 GiB and names below 64 KiB by the listener's limits.
        let (Ok(start_at), Ok(value_len), Ok(name_len)) = (
            u32::try_from(start),
            u32::try_from(value_len),
            u16::try_from(name_len),
        ) else {
            self.text.truncate(start);
            return Known::Other;
        };
        self.fields.push(Field {
            start: start_at,
            value_len,
            name_len,
            known,
        });
        self.seen |= bit(known);
        known
    }

    const fn may_hold(&self, known: Known) -> bool {
        self.seen & bit(known) != 0
    }

    fn name_of(&self, field: &Field) -> &[u8] {
        slice(
            &self.text,
            field.start as usize,
            usize::from(field.name_len),
        )
    }

    fn value_of(&self, field: &Field) -> &[u8] {
        slice(&self.text, field.value_start(), field.value_len as usize)
    }
}

// `Other` is the last of them.
const _: () = assert!((Known::Other as u32) < u32::BITS, "each has a bit");

const fn bit(known: Known) -> u32 {
    1 << known as u8
}

impl From<&http::HeaderMap> for Headers {
    fn from(map: &http::HeaderMap) -> Self {
        let mut headers = Self::with_capacity(map.len() + 8, map.len() * 48);
        for (name, value) in map {
            let name = name.as_str().as_bytes();
            headers.append_checked(Known::of(name), name, value.as_bytes());
        }
        headers
    }
}

impl Headers {
    /// Appends a field out of a map, which has checked it and put its name in lower case.
    pub(super) fn append_checked(&mut self, known: Known, name: &[u8], value: &[u8]) {
        let start = self.text.len();
        self.text
            .reserve(name.len() + value.len() + COLON.len() + END.len());
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(COLON);
        self.text.extend_from_slice(value);
        self.text.extend_from_slice(END);
        self.push_field(known, start, name.len(), value.len());
    }

    /// The same fields as HTTP/2 wants them.
    pub fn to_map(&self) -> http::HeaderMap {
        self.to_map_of(0, |_| true)
    }

    /// Those fields that `pass`, as HTTP/2 wants them, in a map with room for `more`.
    pub fn to_map_of(&self, more: usize, mut pass: impl FnMut(Known) -> bool) -> http::HeaderMap {
        let mut map = http::HeaderMap::with_capacity(self.len() + more);
        for (known, name, value) in self.lines() {
            if !pass(known) {
                continue;
            }
            let name = known
                .header_name()
                .map_or_else(|| http::HeaderName::from_bytes(name), Ok);
            // Both were checked when they were appended.
            if let (Ok(name), Ok(mut value)) = (name, http::HeaderValue::from_bytes(value)) {
                // What no two messages share must not push out of the compression table what they
                // do (RFC 7541, 6.2.3).
                value.set_sensitive(matches!(known, Known::XRequestId | Known::Traceparent));
                map.append(name, value);
            }
        }
        map
    }
}

impl fmt::Debug for Headers {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(_, name, _)| name))
            .finish()
    }
}

fn slice(text: &[u8], start: usize, len: usize) -> &[u8] {
    text.get(start..start + len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_lose_their_case() {
        let mut headers = Headers::new();
        headers.append("X-One", b"1");
        headers.append("Host", b"a");
        headers.append("x-one", b"2");
        let all: Vec<_> = headers
            .iter()
            .map(|(_, name, value)| (name, value))
            .collect();
        assert_eq!(all, [("x-one", &b"1"[..]), ("host", b"a"), ("x-one", b"2")]);
        assert_eq!(headers.known(Known::Host), Some(&b"a"[..]));
        headers.set("x-one", b"3");
        assert_eq!(headers.get_all("x-one").collect::<Vec<_>>(), [b"3"]);
    }

    #[test]
    fn lines_are_taken_wherever_they_stand_and_others_left_out() {
        let kinds = [
            ("Plain-One: 1\r\n", "plain-one: 1\r\n"),
            ("Host: a\r\n", ""),
            ("odd:\t 2 \r\n", "odd: 2\r\n"),
            ("Empty:\r\n", "empty: \r\n"),
        ];
        // Every order of every choice of four.
        for choice in 0..256_usize {
            let chosen = [0, 2, 4, 6].map(|shift| kinds[choice >> shift & 3]);
            let mut input = chosen.map(|(line, _)| line).concat().into_bytes();
            let len = input.len();
            input.extend_from_slice(b"\r\nBODY");
            let mut headers = Headers::new();
            let mut seen = 0;
            let taken = headers.take_lines(&mut input, |known, _, len| {
                seen += len;
                Ok::<_, LineError>(known != Known::Host)
            });
            assert_eq!(taken, Ok((len + 2, true)));
            assert_eq!(seen, len);
            assert!(input.ends_with(b"\r\nBODY"));
            let mut written = Vec::new();
            headers.write_to(&mut written, |_, _| true);
            let expected = chosen.map(|(_, line)| line).concat();
            assert_eq!(String::from_utf8(written).unwrap(), expected);
        }
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let mut headers = Headers::new();
        assert_eq!(
            headers.try_append(b"a", b"x\r\ny: z"),
            Err(FieldError::Value)
        );
        assert_eq!(headers.try_append(b"a b", b"x"), Err(FieldError::Name));
        assert_eq!(headers.try_append(b"", b"x"), Err(FieldError::Name));
        assert!(headers.is_empty());
    }
}
