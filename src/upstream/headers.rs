//! Removes fields that concern one connection; adds those that tell where a request came from.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::exchange::line::is_token;
use crate::exchange::{Exchange, Headers, Known, trace};

/// The gateway's name in `Via` (RFC 9110, 7.6.3): a pseudonym, so that it tells nothing.
const PSEUDONYM: &[u8] = b"concertina";

/// Bytes that the added fields commonly need.
const ADDED_BYTES: usize = 448;

/// How many fields are added at most.
const ADDED: usize = 9;

/// The fields of `exchange` as they go on to an upstream.
///
/// Left out: hop-by-hop fields and those that `Connection` lists (RFC 9110, 7.6.1), `Host` and
/// `Content-Length`, which are written anew, `Expect`, which the gateway itself meets, and a
/// `tracestate` whose `traceparent` was not understood. What tells where a request came from
/// (`Forwarded`, `X-Forwarded-*`, `X-Real-IP`) is kept only from a `trusted` peer. Added:
/// `X-Forwarded-For`, `-Proto` and `-Host`, `Forwarded` (RFC 7239), `X-Request-Id`, `traceparent`
/// with a span of its own, and `Via`. `TE: trailers` stays, for trailers pass.
pub fn for_upstream(exchange: &Exchange, trusted: bool) -> Headers {
    let given = &exchange.headers;
    let mut headers = Headers::with_capacity(given.len() + ADDED, given.bytes() + ADDED_BYTES);
    let listed = Listed::of(given);
    let mut trailers = false;
    headers.append_from(given, |known, name, value| match known {
        Known::Te => {
            trailers |= wants_trailers(value);
            false
        }
        Known::Host
        | Known::ContentLength
        | Known::Expect
        | Known::Traceparent
        | Known::XRequestId
        | Known::Forwarded
        | Known::XForwardedFor
        | Known::XForwardedHost
        | Known::XForwardedProto => false,
        Known::Tracestate => exchange.trace.parent_id.is_some(),
        Known::Other => (trusted || !tells_origin(name)) && !listed.has(name),
        _ => !known.is_hop_by_hop() && !listed.has(name),
    });
    if trailers {
        // What is left of `TE` is the one thing that is true of every hop of ours.
        headers.append("te", b"trailers");
    }
    add_origin(&mut headers, exchange, trusted);
    add_identity(&mut headers, exchange);
    let version = exchange.version.as_str().as_bytes();
    headers.add(Known::Via, [version, b" ", PSEUDONYM]);
    headers
}

/// Adds what ties a call to the request that caused it: `X-Request-Id`, and `traceparent` with a
/// span of its own.
fn add_identity(headers: &mut Headers, exchange: &Exchange) {
    headers.add(Known::XRequestId, [exchange.id.as_bytes()]);
    let parent = exchange.trace.header(trace::new_span());
    headers.add(Known::Traceparent, [&parent]);
}

fn add_origin(headers: &mut Headers, exchange: &Exchange, trusted: bool) {
    let (peer, given) = (exchange.peer.address_text.as_bytes(), &exchange.headers);
    let before = list(given, Known::XForwardedFor, trusted);
    headers.add(Known::XForwardedFor, [&before, peer]);

    headers.add(Known::XForwardedProto, [exchange.scheme.as_bytes()]);

    let authority = exchange.authority.as_bytes();
    let host = given.known(Known::XForwardedHost).filter(|_| trusted);
    headers.add(Known::XForwardedHost, [host.unwrap_or(authority)]);

    let before = list(given, Known::Forwarded, trusted);
    let (open, close): (&[u8], &[u8]) = match exchange.peer.address.ip().to_canonical() {
        IpAddr::V4(_) => (b"for=", b";host="),
        IpAddr::V6(_) => (b"for=\"[", b"]\";host="),
    };
    let (quote, host) = token_or_quoted(authority);
    let proto = exchange.peer.scheme().as_bytes();
    headers.add(
        Known::Forwarded,
        [
            &before, open, peer, close, quote, &host, quote, b";proto=", proto,
        ],
    );
}

/// What a trusted peer told, with a comma behind it: the list goes on.
fn list(given: &Headers, known: Known, trusted: bool) -> Vec<u8> {
    let mut before = Vec::new();
    for given in given.all_known(known).filter(|_| trusted) {
        before.extend_from_slice(given);
        before.extend_from_slice(b", ");
    }
    before
}

/// What stands around a value and the value itself, escaped: what is no token is quoted
/// (RFC 7239, 4).
fn token_or_quoted(text: &[u8]) -> (&'static [u8], Cow<'_, [u8]>) {
    if is_token(text) {
        return (b"", Cow::Borrowed(text));
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\');
    if !text.iter().any(special) {
        return (b"\"", Cow::Borrowed(text));
    }
    let mut escaped = Vec::with_capacity(text.len() + 2);
    for byte in text {
        if special(byte) {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    (b"\"", Cow::Owned(escaped))
}

/// Whether backends commonly take the field for the client's own address or host. To those that
/// get fields as variables (RFC 3875, 4.1.18) an underscore is a hyphen.
fn tells_origin(name: &[u8]) -> bool {
    let is = |byte: &u8, other: &u8| byte == other || (*byte == b'_' && *other == b'-');
    let starts = |start: &[u8]| {
        name.len() >= start.len() && name.iter().zip(start).all(|(byte, other)| is(byte, other))
    };
    name.first() == Some(&b'x')
        && (starts(b"x-forwarded-") || (name.len() == 9 && starts(b"x-real-ip")))
}

fn wants_trailers(value: &[u8]) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// The names that `Connection` lists.
struct Listed<'a>(Vec<&'a [u8]>);

impl<'a> Listed<'a> {
    fn of(headers: &'a Headers) -> Self {
        let fields = headers.all_known(Known::Connection);
        let names = fields.flat_map(|value| value.split(|&byte| byte == b','));
        Self(
            names
                .map(<[u8]>::trim_ascii)
                .filter(|name| !name.is_empty())
                .collect(),
        )
    }

    fn has(&self, name: &[u8]) -> bool {
        self.0
            .iter()
            .any(|listed| listed.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Method;

    use super::*;
    use crate::exchange::{CanonicalPath, Peer, RequestId, TraceContext, Version};

    fn exchange(fields: &[(&str, &str)]) -> Exchange {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(name, value.as_bytes());
        }
        Exchange {
            id: RequestId::given(b"id-1"),
            method: Method::GET,
            path: CanonicalPath::new("/".to_owned()).unwrap(),
            query: None,
            host: "shop.example".to_owned(),
            authority: "shop.example:8443".to_owned(),
            version: Version::Http11,
            trace: TraceContext::of(headers.known(Known::Traceparent)),
            headers,
            upgrade: None,
            peer: Arc::new(Peer::new(
                "[2001:db8::1]:5000".parse().unwrap(),
                "127.0.0.1:80".parse().unwrap(),
                None,
                0,
            )),
            peer_trusted: false,
            client: "2001:db8::1".parse().unwrap(),
            scheme: "http",
            started: tokio::time::Instant::now(),
            time: std::time::SystemTime::now().into(),
        }
    }

    fn all(headers: &Headers, name: &str) -> Vec<String> {
        headers
            .get_all(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    #[test]
    fn fields_of_one_connection_do_not_cross() {
        let given = exchange(&[
            ("connection", "keep-alive, X-Secret"),
            ("connection", "x-other"),
            ("keep-alive", "timeout=5"),
            ("x-secret", "1"),
            ("x-other", "2"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip, trailers;q=1, trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("upgrade", "h2c"),
            ("expect", "100-continue"),
            ("accept", "*/*"),
            ("via", "1.0 fred"),
        ]);
        let passed = for_upstream(&given, false);
        let names: Vec<&str> = passed.iter().map(|(_, name, _)| name).collect();
        assert_eq!(
            names,
            [
                "accept",
                "via",
                "te",
                "x-forwarded-for",
                "x-forwarded-proto",
                "x-forwarded-host",
                "forwarded",
                "x-request-id",
                "traceparent",
                "via"
            ]
        );
        assert_eq!(all(&passed, "te"), ["trailers"]);
        assert_eq!(all(&passed, "via"), ["1.0 fred", "1.1 concertina"]);
    }

    const SPOOFED: &[(&str, &str)] = &[
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "1"),
        ("x-real-ip", "1.1.1.1"),
        ("x_forwarded_for", "1.1.1.1"),
        ("X_Real-IP", "1.1.1.1"),
        ("forwarded", "for=1.1.1.1"),
        ("x-request-id", "theirs"),
    ];

    #[test]
    fn what_a_stranger_says_about_the_origin_is_dropped() {
        let passed = for_upstream(&exchange(SPOOFED), false);
        assert_eq!(all(&passed, "x-forwarded-for"), ["2001:db8::1"]);
        assert_eq!(all(&passed, "x-forwarded-host"), ["shop.example:8443"]);
        assert_eq!(all(&passed, "x-forwarded-proto"), ["http"]);
        assert_eq!(
            all(&passed, "forwarded"),
            ["for=\"[2001:db8::1]\";host=\"shop.example:8443\";proto=http"]
        );
        assert_eq!(all(&passed, "x-request-id"), ["id-1"]);
        assert!(passed.get("x-real-ip").is_none() && passed.get("x-forwarded-port").is_none());
        assert!(passed.get("x_forwarded_for").is_none() && passed.get("x_real-ip").is_none());
    }

    #[test]
    fn what_a_trusted_peer_says_is_continued() {
        let passed = for_upstream(&exchange(SPOOFED), true);
        assert_eq!(
            all(&passed, "x-forwarded-for"),
            ["1.1.1.1, 2.2.2.2, 2001:db8::1"]
        );
        assert_eq!(all(&passed, "x-forwarded-host"), ["evil.example"]);
        assert_eq!(all(&passed, "x-real-ip"), ["1.1.1.1"]);
        assert!(all(&passed, "forwarded")[0].starts_with("for=1.1.1.1, for=\"[2001:db8::1]\";"));
        assert_eq!(all(&passed, "x-request-id"), ["id-1"]);
    }

    #[test]
    fn a_trace_goes_on_and_a_broken_one_starts_anew() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let passed = for_upstream(
            &exchange(&[("traceparent", given), ("tracestate", "a=1")]),
            false,
        );
        let parent = &all(&passed, "traceparent")[0];
        assert!(parent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && parent != given);
        assert_eq!(all(&passed, "tracestate"), ["a=1"]);
        let passed = for_upstream(
            &exchange(&[("traceparent", "nonsense"), ("tracestate", "a=1")]),
            false,
        );
        assert_eq!(all(&passed, "traceparent").len(), 1);
        assert!(passed.get("tracestate").is_none());
    }

    #[test]
    fn a_host_that_would_end_its_quotes_is_escaped() {
        let (quote, escaped) = token_or_quoted(b"a\"b\\c:1");
        assert_eq!((quote, &*escaped), (&b"\""[..], &b"a\\\"b\\\\c:1"[..]));
    }
}
