//! Removes fields that concern one connection; adds those that tell where a request came from.

use std::io::Write as _;
use std::net::IpAddr;

use crate::exchange::{Exchange, Headers, Known, trace};

/// The gateway's name in `Via` (RFC 9110, 7.6.3): a pseudonym, so that it tells nothing.
const PSEUDONYM: &str = "concertina";

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
    for (known, name, value) in given.lines() {
        let passes = match known {
            Known::Te => wants_trailers(value),
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
        };
        if passes {
            // What is left of `TE` is the one thing that is true of every hop of ours.
            let value = if known == Known::Te {
                b"trailers"
            } else {
                value
            };
            headers.append_line((known, name, value));
        }
    }
    add_origin(&mut headers, exchange, trusted);
    add_identity(&mut headers, exchange);
    let mut value = Vec::with_capacity(16);
    value.extend_from_slice(exchange.version.as_str().as_bytes());
    value.push(b' ');
    value.extend_from_slice(PSEUDONYM.as_bytes());
    headers.append("via", &value);
    headers
}

/// Adds what ties a call to the request that caused it: `X-Request-Id`, and `traceparent` with a
/// span of its own.
fn add_identity(headers: &mut Headers, exchange: &Exchange) {
    headers.append("x-request-id", exchange.id.as_str().as_bytes());
    headers.append("traceparent", &exchange.trace.header(trace::new_span()));
}

fn add_origin(headers: &mut Headers, exchange: &Exchange, trusted: bool) {
    let peer = exchange.peer.address.ip().to_canonical();
    let mut value = Vec::with_capacity(96);

    push_given(&mut value, exchange, Known::XForwardedFor, trusted);
    // Writing to a vector does not fail.
    write!(value, "{peer}").unwrap_or_default();
    headers.append("x-forwarded-for", &value);

    headers.append("x-forwarded-proto", exchange.scheme.as_bytes());

    let given_host = exchange.headers.known(Known::XForwardedHost);
    let host = given_host
        .filter(|_| trusted)
        .unwrap_or(exchange.authority.as_bytes());
    headers.append("x-forwarded-host", host);

    value.clear();
    push_given(&mut value, exchange, Known::Forwarded, trusted);
    match peer {
        IpAddr::V4(address) => write!(value, "for={address}"),
        IpAddr::V6(address) => write!(value, "for=\"[{address}]\""),
    }
    .unwrap_or_default();
    value.extend_from_slice(b";host=");
    push_token_or_quoted(&mut value, exchange.authority.as_bytes());
    value.extend_from_slice(b";proto=");
    value.extend_from_slice(exchange.peer.scheme().as_bytes());
    headers.append("forwarded", &value);
}

/// What a trusted peer told, with a comma behind it: the list goes on.
fn push_given(value: &mut Vec<u8>, exchange: &Exchange, known: Known, trusted: bool) {
    for given in exchange.headers.all_known(known).filter(|_| trusted) {
        value.extend_from_slice(given);
        value.extend_from_slice(b", ");
    }
}

/// RFC 7239, 4: what is no token is quoted.
fn push_token_or_quoted(out: &mut Vec<u8>, text: &[u8]) {
    if crate::exchange::headers::is_token(text) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Whether backends commonly take the field for the client's own address or host.
fn tells_origin(name: &[u8]) -> bool {
    name.starts_with(b"x-forwarded-") || name == b"x-real-ip"
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
            peer: Arc::new(Peer {
                address: "[2001:db8::1]:5000".parse().unwrap(),
                local: "127.0.0.1:80".parse().unwrap(),
                tls: None,
                body_bytes: 0,
            }),
            peer_trusted: false,
            client: "2001:db8::1".parse().unwrap(),
            scheme: "http",
            started: tokio::time::Instant::now(),
            time: std::time::SystemTime::now(),
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
                "te",
                "accept",
                "via",
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
        let mut out = Vec::new();
        push_token_or_quoted(&mut out, b"a\"b\\c:1");
        assert_eq!(out, b"\"a\\\"b\\\\c:1\"");
    }
}
