//! Writes one access-log line, as JSON or as text, so that nothing a client sent can end or forge it.

use std::cell::Cell;
use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::exchange::id::hex;

/// What a line says of one exchange.
///
/// The query is left out on purpose, as are all header fields: that is where credentials stand.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When the request head was there.
    pub time: SystemTime,
    /// Visible ASCII without quotes and backslashes, as a [`RequestId`](crate::exchange::RequestId) is.
    pub request_id: &'a [u8],
    pub trace_id: u128,
    /// The client's address, as trusted proxies tell it.
    pub client: IpAddr,
    /// The same as text, where somebody has written it already.
    pub client_text: Option<&'a str>,
    /// A token.
    pub method: &'a str,
    pub scheme: &'a str,
    pub host: &'a str,
    /// The canonical path, without the query.
    pub path: &'a str,
    /// The version of HTTP: `1.1`.
    pub protocol: &'a str,
    /// None: the client left before there was one.
    pub status: Option<u16>,
    /// Bytes of the request body.
    pub bytes_received: u64,
    /// Bytes of the response body.
    pub bytes_sent: u64,
    /// To the last byte of the response, or until the client left.
    pub duration: Duration,
    /// The client left before the last byte.
    pub aborted: bool,
    pub route: Option<&'a Quoted>,
    pub upstream: Option<&'a Quoted>,
    pub endpoint: Option<&'a str>,
    /// The name of the caller.
    pub caller: Option<&'a str>,
    /// Why the gateway answered with a problem: its cause in one word.
    pub error: Option<&'a str>,
    /// The steps of a flow, in the order of the file.
    pub parts: &'a [Part<'a>],
}

/// A text as it stands in lines, quotes and all: made once for what many lines name.
#[derive(Clone, Debug)]
pub struct Quoted(Box<[u8]>);

impl Quoted {
    pub fn new(text: &str) -> Self {
        let mut made = Vec::new();
        quoted(&mut made, text);
        Self(made.into())
    }
}

/// What a line says of one step of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    pub name: &'a str,
    pub outcome: &'a str,
    pub cause: Option<&'a str>,
    /// How its calls were answered, where what they bring is kept.
    pub cache: Option<&'a str>,
    pub duration: Duration,
}

/// Appends `record` as one JSON object and a line end. What is absent has no key.
pub(super) fn write_json(line: &mut Vec<u8>, clock: &Clock, record: &Record<'_>) {
    line.extend_from_slice(b"{\"time\":\"");
    line.extend_from_slice(&clock.text(record.time));
    line.extend_from_slice(b"\",\"request_id\":\"");
    line.extend_from_slice(record.request_id);
    line.extend_from_slice(b"\",\"trace_id\":\"");
    line.extend_from_slice(&hex(record.trace_id));
    line.extend_from_slice(b"\",\"client\":\"");
    client(line, record);
    line.extend_from_slice(b"\",\"method\":\"");
    line.extend_from_slice(record.method.as_bytes());
    line.extend_from_slice(b"\",\"scheme\":\"");
    line.extend_from_slice(record.scheme.as_bytes());
    line.extend_from_slice(b"\",\"host\":\"");
    escaped(line, record.host);
    line.extend_from_slice(b"\",\"path\":\"");
    escaped(line, record.path);
    line.extend_from_slice(b"\",\"protocol\":\"");
    line.extend_from_slice(record.protocol.as_bytes());
    line.push(b'"');
    named(line, b",\"route\":", record.route);
    named(line, b",\"upstream\":", record.upstream);
    member(line, b",\"endpoint\":\"", record.endpoint);
    member(line, b",\"caller\":\"", record.caller);
    member(line, b",\"error\":\"", record.error);
    if let Some(status) = record.status {
        line.extend_from_slice(b",\"status\":");
        decimal(line, u64::from(status));
    }
    line.extend_from_slice(b",\"bytes_received\":");
    decimal(line, record.bytes_received);
    line.extend_from_slice(b",\"bytes_sent\":");
    decimal(line, record.bytes_sent);
    line.extend_from_slice(b",\"duration_ms\":");
    millis(line, record.duration);
    if record.aborted {
        line.extend_from_slice(b",\"aborted\":true");
    }
    if !record.parts.is_empty() {
        write_json_parts(line, record.parts);
    }
    line.extend_from_slice(b"}\n");
}

/// Appends a text with its key, which brings the quote that opens it; nothing where there is none.
fn member(line: &mut Vec<u8>, key: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        line.extend_from_slice(key);
        escaped(line, value);
        line.push(b'"');
    }
}

/// The same for what is quoted already.
fn named(line: &mut Vec<u8>, key: &[u8], name: Option<&Quoted>) {
    if let Some(Quoted(name)) = name {
        line.extend_from_slice(key);
        line.extend_from_slice(name);
    }
}

fn write_json_parts(line: &mut Vec<u8>, parts: &[Part<'_>]) {
    let mut lead: &[u8] = b",\"parts\":[{\"name\":";
    for part in parts {
        line.extend_from_slice(lead);
        lead = b",{\"name\":";
        quoted(line, part.name);
        line.extend_from_slice(b",\"outcome\":");
        quoted(line, part.outcome);
        if let Some(cause) = part.cause {
            line.extend_from_slice(b",\"cause\":");
            quoted(line, cause);
        }
        if let Some(cache) = part.cache {
            line.extend_from_slice(b",\"cache\":");
            quoted(line, cache);
        }
        line.extend_from_slice(b",\"ms\":");
        millis(line, part.duration);
        line.push(b'}');
    }
    line.push(b']');
}

/// Appends `record` as one line for people:
/// `time client "METHOD url HTTP/version" status bytes duration key=value ...`
pub(super) fn write_text(line: &mut Vec<u8>, clock: &Clock, record: &Record<'_>) {
    line.extend_from_slice(&clock.text(record.time));
    line.push(b' ');
    client(line, record);
    line.extend_from_slice(b" \"");
    for (text, end) in [
        (record.method, " "),
        (record.scheme, "://"),
        (record.host, ""),
        (record.path, " HTTP/"),
        (record.protocol, "\" "),
    ] {
        escaped(line, text);
        line.extend_from_slice(end.as_bytes());
    }
    match record.status {
        Some(status) => decimal(line, u64::from(status)),
        None => line.push(b'-'),
    }
    line.push(b' ');
    decimal(line, record.bytes_sent);
    line.push(b' ');
    millis(line, record.duration);
    line.extend_from_slice(b"ms");
    if record.aborted {
        line.extend_from_slice(b" aborted");
    }
    named(line, b" route=", record.route);
    named(line, b" upstream=", record.upstream);
    member(line, b" endpoint=\"", record.endpoint);
    member(line, b" caller=\"", record.caller);
    member(line, b" error=\"", record.error);
    for part in record.parts {
        line.extend_from_slice(b" part=\"");
        escaped(line, part.name);
        line.push(b' ');
        escaped(line, part.outcome);
        if let Some(cause) = part.cause {
            line.push(b' ');
            escaped(line, cause);
        }
        line.push(b' ');
        millis(line, part.duration);
        line.extend_from_slice(b"ms\"");
    }
    line.extend_from_slice(b" id=\"");
    line.extend_from_slice(record.request_id);
    line.extend_from_slice(b"\" trace=");
    line.extend_from_slice(&hex(record.trace_id));
    line.push(b'\n');
}

/// Writes wall-clock times (RFC 3339, UTC, milliseconds); works the date out once a second.
#[derive(Debug)]
pub(super) struct Clock {
    /// Seconds since 1970, and the text of their first millisecond.
    second: Cell<(u64, TimeText)>,
}

/// Such as `2026-08-01T12:00:00.000Z`.
type TimeText = [u8; 24];

impl Default for Clock {
    fn default() -> Self {
        Self {
            second: Cell::new((0, to_the_second(0))),
        }
    }
}

impl Clock {
    fn text(&self, time: SystemTime) -> TimeText {
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let (known, mut text) = self.second.get();
        if known != since.as_secs() {
            text = to_the_second(since.as_secs());
            self.second.set((since.as_secs(), text));
        }
        let [.., hundreds, tens, ones, _] = &mut text;
        [*hundreds, *tens, *ones] = three_digits(since.subsec_millis());
        text
    }
}

fn to_the_second(seconds: u64) -> TimeText {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .unwrap_or_default();
    let text = time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
    text.as_bytes().try_into().unwrap_or([b'?'; 24])
}

fn quoted(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    escaped(line, text);
    line.push(b'"');
}

/// `text` as the inside of a JSON string, on one line and harmless in a terminal.
fn escaped(line: &mut Vec<u8>, text: &str) {
    // Nearly every text is.
    if is_plain(text.as_bytes()) {
        line.extend_from_slice(text.as_bytes());
    } else {
        escape(line, text);
    }
}

/// Whether `text` is visible ASCII and spaces, without quotes and backslashes. It looks at all of
/// it whatever it finds, eight bytes at a time, which takes few instructions.
fn is_plain(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk() else {
        return text
            .iter()
            .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
    };
    let (words, _) = text.as_chunks();
    // What the words leave over is in the last eight bytes.
    let odd = words
        .iter()
        .fold(odd_bytes(*last), |odd, word| odd | odd_bytes(*word));
    odd == 0
}

/// The highest bit of every byte that is not plain. No sum is carried into the next byte, since
/// all are of seven bits.
const fn odd_bytes(word: [u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let word = u64::from_le_bytes(word);
    let seven = word & !HIGH;
    let is_del = seven + ONES;
    let is_visible = seven + 0x60 * ONES;
    let is_no_quote = (seven ^ (b'"' as u64 * ONES)) + 0x7f * ONES;
    let is_no_backslash = (seven ^ (b'\\' as u64 * ONES)) + 0x7f * ONES;
    (word | is_del | !(is_visible & is_no_quote & is_no_backslash)) & HIGH
}

fn escape(line: &mut Vec<u8>, text: &str) {
    let mut encoded = [0; 4];
    for character in text.chars() {
        match character {
            '"' => line.extend_from_slice(b"\\\""),
            '\\' => line.extend_from_slice(b"\\\\"),
            '\n' => line.extend_from_slice(b"\\n"),
            '\r' => line.extend_from_slice(b"\\r"),
            '\t' => line.extend_from_slice(b"\\t"),
            hidden if is_hidden(hidden) => {
                // All of them lie in the basic plane, so one unit of UTF-16 says it.
                let written = write!(line, "\\u{:04x}", u32::from(hidden));
                debug_assert!(written.is_ok(), "writing to a vector does not fail");
            }
            other => line.extend_from_slice(other.encode_utf8(&mut encoded).as_bytes()),
        }
    }
}

/// Controls (C0, DEL, C1), line separators, and what turns the direction of writing around.
const fn is_hidden(character: char) -> bool {
    matches!(character,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn client(line: &mut Vec<u8>, record: &Record<'_>) {
    match record.client_text {
        Some(text) => line.extend_from_slice(text.as_bytes()),
        None => address(line, record.client),
    }
}

fn address(line: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    line.push(b'.');
                }
                if octet >= 100 {
                    line.push(b'0' + octet / 100);
                }
                if octet >= 10 {
                    line.push(b'0' + octet / 10 % 10);
                }
                line.push(b'0' + octet % 10);
            }
        }
        IpAddr::V6(address) => {
            let written = write!(line, "{address}");
            debug_assert!(written.is_ok(), "writing to a vector does not fail");
        }
    }
}

fn decimal(line: &mut Vec<u8>, value: u64) {
    if let digit @ 0..=9 = value {
        line.push(b'0' + digit as u8);
        return;
    }
    let mut digits = [0; 20];
    let mut rest = value;
    let mut length = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    line.extend_from_slice(digits.get(20 - length..).unwrap_or_default());
}

/// Milliseconds with three decimals: `12.345`.
fn millis(line: &mut Vec<u8>, duration: Duration) {
    let millis = duration.as_secs().saturating_mul(1000);
    decimal(line, millis.saturating_add(duration.subsec_millis().into()));
    let [hundreds, tens, ones] = three_digits(duration.subsec_micros() % 1000);
    line.extend_from_slice(&[b'.', hundreds, tens, ones]);
}

fn three_digits(value: u32) -> [u8; 3] {
    [value / 100, value / 10, value].map(|value| b'0' + (value % 10) as u8)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn record<'a>(path: &'a str, parts: &'a [Part<'a>]) -> Record<'a> {
        static ROUTE: LazyLock<Quoted> = LazyLock::new(|| Quoted::new("GET /a"));
        Record {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_785_586_400_012),
            request_id: b"0af7",
            trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            client: [192, 0, 2, 10].into(),
            client_text: None,
            method: "GET",
            scheme: "https",
            host: "api.example.com",
            path,
            protocol: "2",
            status: Some(200),
            bytes_received: 0,
            bytes_sent: u64::MAX,
            duration: Duration::from_micros(1_234_005),
            aborted: false,
            route: Some(&ROUTE),
            upstream: None,
            endpoint: None,
            caller: Some("alice"),
            error: None,
            parts,
        }
    }

    fn json(record: &Record<'_>) -> (String, Value) {
        let mut line = Vec::new();
        write_json(&mut line, &Clock::default(), record);
        let text = String::from_utf8(line).unwrap();
        let value = serde_json::from_str(&text).unwrap();
        (text, value)
    }

    #[test]
    fn a_json_line_holds_what_happened() {
        let parts = [Part {
            name: "orders",
            outcome: "failed",
            cause: Some("timeout"),
            cache: Some("miss"),
            duration: Duration::from_millis(800),
        }];
        let (text, value) = json(&record("/a/b", &parts));
        assert!(text.ends_with("}\n"));
        assert_eq!(value["time"], "2026-08-01T12:13:20.012Z");
        assert_eq!(value["client"], "192.0.2.10");
        assert_eq!(value["bytes_sent"], u64::MAX);
        assert!(text.contains("\"duration_ms\":1234.005"));
        assert_eq!(value["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(value["parts"][0]["cause"], "timeout");
        assert_eq!(value.get("upstream"), None);
        assert_eq!(value.get("aborted"), None);
    }

    #[test]
    fn a_text_line_reads_from_left_to_right() {
        let parts = [Part {
            name: "orders",
            outcome: "ok",
            cause: None,
            cache: None,
            duration: Duration::from_millis(7),
        }];
        let mut line = Vec::new();
        let aborted = Record {
            status: None,
            aborted: true,
            ..record("/a\"\n", &parts)
        };
        write_text(&mut line, &Clock::default(), &aborted);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "2026-08-01T12:13:20.012Z 192.0.2.10 \"GET https://api.example.com/a\\\"\\n HTTP/2\" - \
             18446744073709551615 1234.005ms aborted route=\"GET /a\" caller=\"alice\" \
             part=\"orders ok 7.000ms\" id=\"0af7\" trace=4bf92f3577b34da6a3ce929d0e0e4736\n"
        );
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_one_line(path: String, host: String, name: String) {
            let parts = [Part { name: &name, outcome: "ok", cause: None, cache: None, duration: Duration::ZERO }];
            let route = Quoted::new(&name);
            let record = Record {
                host: &host,
                route: Some(&route),
                caller: Some(&name),
                ..record(&path, &parts)
            };
            let (text, value) = json(&record);
            prop_assert_eq!(value["path"].as_str(), Some(&*path));
            prop_assert_eq!(value["host"].as_str(), Some(&*host));
            prop_assert_eq!(value["route"].as_str(), Some(&*name));
            prop_assert_eq!(value["caller"].as_str(), Some(&*name));
            let hidden = text.trim_end_matches('\n').chars().any(is_hidden);
            prop_assert!(!hidden);
            let mut line = Vec::new();
            write_text(&mut line, &Clock::default(), &record);
            let text = String::from_utf8(line).unwrap();
            prop_assert_eq!(text.lines().count(), 1);
            prop_assert!(!text.trim_end_matches('\n').chars().any(is_hidden));
        }

        #[test]
        fn one_odd_character_is_found_wherever_it_stands(text in "[ -~]{0,40}", odd: u8, at: usize) {
            let mut bytes: Vec<u8> = text.into_bytes();
            bytes.retain(|byte| !matches!(byte, b'"' | b'\\'));
            prop_assert!(is_plain(&bytes));
            let fine = matches!(odd, b' '..=b'~' if odd != b'"' && odd != b'\\');
            bytes.insert(at % (bytes.len() + 1), odd);
            prop_assert_eq!(is_plain(&bytes), fine);
        }

        #[test]
        fn addresses_are_written_as_the_standard_library_does(octets: [u8; 4]) {
            let mut line = Vec::new();
            address(&mut line, octets.into());
            prop_assert_eq!(String::from_utf8(line).unwrap(), IpAddr::from(octets).to_string());
        }

        #[test]
        fn numbers_are_written_as_the_standard_library_does(value: u64, id: u128) {
            let mut line = Vec::new();
            decimal(&mut line, value);
            prop_assert_eq!(String::from_utf8(line).unwrap(), value.to_string());
            let mut line = Vec::new();
            line.extend_from_slice(&hex(id));
            prop_assert_eq!(String::from_utf8(line).unwrap(), format!("{id:032x}"));
        }
    }
}
