//! Header fields: an ordered list of names and values in one buffer, names in lower case.

use std::fmt;

/// Names the gateway itself looks at. Told apart once, when a field is appended, so that later
/// stages compare one byte instead of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Known {
    Accept,
    Authorization,
    Connection,
    ContentLength,
    ContentType,
    Cookie,
    Date,
    Expect,
    Forwarded,
    Host,
    KeepAlive,
    Origin,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    Server,
    Te,
    Trailer,
    TransferEncoding,
    Traceparent,
    Tracestate,
    Upgrade,
    XForwardedFor,
    XForwardedHost,
    XForwardedProto,
    XRequestId,
    Other,
}

impl Known {
    /// The known name equal to `name`, which is in lower case.
    pub fn of(name: &[u8]) -> Self {
        match name {
            b"te" => Self::Te,
            b"host" => Self::Host,
            b"date" => Self::Date,
            b"accept" => Self::Accept,
            b"cookie" => Self::Cookie,
            b"expect" => Self::Expect,
            b"origin" => Self::Origin,
            b"server" => Self::Server,
            b"upgrade" => Self::Upgrade,
            b"trailer" => Self::Trailer,
            b"forwarded" => Self::Forwarded,
            b"connection" => Self::Connection,
            b"keep-alive" => Self::KeepAlive,
            b"tracestate" => Self::Tracestate,
            b"traceparent" => Self::Traceparent,
            b"content-type" => Self::ContentType,
            b"x-request-id" => Self::XRequestId,
            b"authorization" => Self::Authorization,
            b"content-length" => Self::ContentLength,
            b"x-forwarded-for" => Self::XForwardedFor,
            b"x-forwarded-host" => Self::XForwardedHost,
            b"proxy-connection" => Self::ProxyConnection,
            b"x-forwarded-proto" => Self::XForwardedProto,
            b"transfer-encoding" => Self::TransferEncoding,
            b"proxy-authenticate" => Self::ProxyAuthenticate,
            b"proxy-authorization" => Self::ProxyAuthorization,
            _ => Self::Other,
        }
    }

    /// Whether the field concerns one connection only and never crosses (RFC 9110, 7.6.1).
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyAuthenticate
                | Self::ProxyAuthorization
                | Self::ProxyConnection
                | Self::Te
                | Self::Trailer
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }
}

/// A field: where its name starts, how long name and value are. The value follows the name.
#[derive(Clone, Copy)]
struct Field {
    start: u32,
    value_len: u32,
    name_len: u16,
    known: Known,
}

/// Header fields in the order they came. Names are lower case; values are as received, without
/// surrounding white space, and hold no CR, LF or NUL: whoever appends has checked that.
#[derive(Clone, Default)]
pub struct Headers {
    text: Vec<u8>,
    fields: Vec<Field>,
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
        self.fields
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

    /// Appends a field of unknown origin, checked, and says which it is.
    pub fn try_append(&mut self, name: &[u8], value: &[u8]) -> Result<Known, FieldError> {
        if !is_value(value) {
            return Err(FieldError::Value);
        }
        let start = self.text.len();
        self.text.reserve(name.len() + value.len());
        let mut sound = !name.is_empty();
        self.text.extend(name.iter().map(|&byte| {
            let lower = token_byte(byte);
            sound &= lower != 0;
            lower
        }));
        if !sound {
            self.text.truncate(start);
            return Err(FieldError::Name);
        }
        Ok(self.push_value(start, value))
    }

    /// Removes the last field.
    pub fn pop(&mut self) {
        if let Some(field) = self.fields.pop() {
            self.text.truncate(field.start as usize);
        }
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
            slice(text, field.start, usize::from(field.name_len)) != name.as_bytes()
        });
    }

    /// Removes every field that `keep` refuses.
    pub fn retain(&mut self, mut keep: impl FnMut(Known, &[u8]) -> bool) {
        let text = &self.text;
        self.fields.retain(|field| {
            keep(
                field.known,
                slice(text, field.start, usize::from(field.name_len)),
            )
        });
    }

    /// How many bytes names and values have together.
    pub fn bytes(&self) -> usize {
        self.fields
            .iter()
            .map(|field| usize::from(field.name_len) + field.value_len as usize)
            .sum()
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.text.len();
        self.text.reserve(name.len() + value.len());
        self.text.extend_from_slice(name);
        if let Some(written) = self.text.get_mut(start..) {
            written.make_ascii_lowercase();
        }
        self.push_value(start, value);
    }

    /// Appends a field of another list, whose name is told apart and in lower case already.
    pub fn append_line(&mut self, (known, name, value): (Known, &[u8], &[u8])) {
        let start = self.text.len();
        self.text.reserve(name.len() + value.len());
        self.text.extend_from_slice(name);
        self.push_known(known, start, value);
    }

    /// Completes the field whose name was written from `start` on.
    fn push_value(&mut self, start: usize, value: &[u8]) -> Known {
        let known = Known::of(self.text.get(start..).unwrap_or_default());
        self.push_known(known, start, value)
    }

    fn push_known(&mut self, known: Known, start: usize, value: &[u8]) -> Known {
        let name = self.text.get(start..).unwrap_or_default();
        // Heads are capped far below 4 GiB and names below 64 KiB by the listener's limits.
        let (Ok(start_at), Ok(value_len), Ok(name_len)) = (
            u32::try_from(start),
            u32::try_from(value.len()),
            u16::try_from(name.len()),
        ) else {
            self.text.truncate(start);
            return Known::Other;
        };
        self.text.extend_from_slice(value);
        self.fields.push(Field {
            start: start_at,
            value_len,
            name_len,
            known,
        });
        known
    }

    fn name_of(&self, field: &Field) -> &[u8] {
        slice(&self.text, field.start, usize::from(field.name_len))
    }

    fn value_of(&self, field: &Field) -> &[u8] {
        slice(
            &self.text,
            field.start + u32::from(field.name_len),
            field.value_len as usize,
        )
    }
}

impl From<&http::HeaderMap> for Headers {
    fn from(map: &http::HeaderMap) -> Self {
        let mut headers = Self::with_capacity(map.len() + 8, map.len() * 48);
        for (name, value) in map {
            headers.push(name.as_str().as_bytes(), value.as_bytes());
        }
        headers
    }
}

impl Headers {
    /// The same fields as hyper wants them, for HTTP/2.
    pub fn to_map(&self) -> http::HeaderMap {
        let mut map = http::HeaderMap::with_capacity(self.len());
        for (_, name, value) in self.iter() {
            // Both were checked when they were appended.
            if let (Ok(name), Ok(value)) = (
                http::HeaderName::from_bytes(name.as_bytes()),
                http::HeaderValue::from_bytes(value),
            ) {
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

fn slice(text: &[u8], start: u32, len: usize) -> &[u8] {
    let start = start as usize;
    text.get(start..start + len).unwrap_or_default()
}

/// Whether `name` is a token (RFC 9110, 5.6.2).
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| token_byte(byte) != 0)
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
    fn a_control_character_is_found_wherever_it_stands() {
        for byte in 0..=255 {
            let allowed = byte == b'\t' || (byte >= 32 && byte != 127);
            for place in 0..44 {
                let mut value = [b'a', b'\t', 0xff, b' '].repeat(11);
                value[place] = byte;
                assert_eq!(is_value(&value), allowed, "{byte} at {place}");
            }
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
