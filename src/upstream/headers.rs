//! Removes fields that concern one connection; adds those that tell where a request came from.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::exchange::line::is_token;
use crate::exchange::{Exchange, Headers, Known, Told, trace};

/// The gateway's name in `Via` (RFC 9110, 7.6.3): a pseudonym, so that it tells nothing.
const PSEUDONYM: &[u8] = b"concertina";

/// `headers`, which came with `exchange`, as they go on to an upstream.
///
/// Left out: hop-by-hop fields and those that `Connection` lists (RFC 9110, 7.6.1), `Host` and
/// `Content-Length`, which are written anew, `Expect`, which the gateway itself meets, and a
/// `tracestate` whose `traceparent` was not understood. What tells where a request came from
/// (`Forwarded`, `X-Forwarded-*`, `X-Real-IP`) is kept only from a `trusted` peer. Added:
/// `X-Forwarded-For`, `-Proto` and `-Host`, `Forwarded` (RFC 7239), `X-Request-Id`, `traceparent`
/// with a span of its own, and `Via`. `TE: trailers` stays, for trailers pass.
pub fn for_upstream(mut headers: Headers, exchange: &Exchange, trusted: bool) -> Headers {
    let before = trusted.then(|| Before::of(&headers));
    remove(&mut headers, exchange, trusted);
    match before {
        Some(before) => add(&mut headers, exchange, &before),
        None => add_told(&mut headers, exchange),
    }
    headers
}

/// Leaves out what does not cross.
fn remove(headers: &mut Headers, exchange: &Exchange, trusted: bool) {
    let listed = listed(headers);
    let is_listed = |name: &[u8]| {
        let mut listed = listed.iter();
        listed.any(|listed| listed.eq_ignore_ascii_case(name))
    };
    let trailers = headers.all_known(Known::Te).any(wants_trailers);
    headers.retain(|known, name| match known {
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
        Known::Other => (trusted || !tells_origin(name)) && !is_listed(name),
        _ => !known.is_hop_by_hop() && !is_listed(name),
    });
    if trailers {
        // What is left of `TE` is the one thing that is true of every hop of ours.
        headers.add(Known::Te, [b"trailers"]);
    }
}

/// Adds what a peer that is not trusted cannot change: for all requests of a connection to one
/// host that is the same, but for what names the request itself.
fn add_told(headers: &mut Headers, exchange: &Exchange) {
    let (id, told) = (exchange.id.as_bytes(), &exchange.peer.told);
    let told = told.get_or_init(|| {
        let mut headers = Headers::new();
        add(&mut headers, exchange, &Before::default());
        Told {
            authority: exchange.authority.as_str().into(),
            version: exchange.version,
            id_len: id.len(),
            // Without the room to grow: it stays as long as the connection.
            headers: headers.clone(),
        }
    });
    let same = *told.authority == *exchange.authority
        && told.version == exchange.version
        && told.id_len == id.len();
    if !same {
        return add(headers, exchange, &Before::default());
    }
    headers.append_all(&told.headers);
    headers.fill(Known::XRequestId, id);
    headers.fill(Known::Traceparent, &traceparent(exchange));
}

/// `traceparent` with a span of its own.
fn traceparent(exchange: &Exchange) -> [u8; 55] {
    exchange.trace.header(trace::new_span())
}

/// Adds what tells where a request came from, and what ties the call to it.
fn add(headers: &mut Headers, exchange: &Exchange, before: &Before) {
    let peer = exchange.peer.address_text.as_bytes();
    headers.add(Known::XForwardedFor, [&before.forwarded_for, peer]);

    headers.add(Known::XForwardedProto, [exchange.scheme.as_bytes()]);

    let authority = exchange.authority.as_bytes();
    let host = before.host.as_deref().unwrap_or(authority);
    headers.add(Known::XForwardedHost, [host]);

    let (open, close): (&[u8], &[u8]) = match exchange.peer.address.ip().to_canonical() {
        IpAddr::V4(_) => (b"for=", b";host="),
        IpAddr::V6(_) => (b"for=\"[", b"]\";host="),
    };
    let (quote, host) = token_or_quoted(authority);
    let (before, proto) = (&before.forwarded, exchange.peer.scheme().as_bytes());
    headers.add(
        Known::Forwarded,
        [
            before, open, peer, close, quote, &host, quote, b";proto=", proto,
        ],
    );

    headers.add(Known::XRequestId, [exchange.id.as_bytes()]);
    headers.add(Known::Traceparent, [&traceparent(exchange)]);
    let version = exchange.version.as_str().as_bytes();
    headers.add(Known::Via, [version, b" ", PSEUDONYM]);
}

/// What a trusted peer told of the hops before it.
#[derive(Default)]
struct Before {
    forwarded_for: Vec<u8>,
    host: Option<Vec<u8>>,
    forwarded: Vec<u8>,
}

impl Before {
    fn of(given: &Headers) -> Self {
        Self {
            forwarded_for: list(given, Known::XForwardedFor),
            host: given.known(Known::XForwardedHost).map(<[u8]>::to_vec),
            forwarded: list(given, Known::Forwarded),
        }
    }
}

/// All values of a field, with a comma behind each: the list goes on.
fn list(given: &Headers, known: Known) -> Vec<u8> {
    let mut before = Vec::new();
    for given in given.all_known(known) {
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

/// The names that `Connection` lists. The engines take the field out, so there are none mostly.
fn listed(headers: &Headers) -> Vec<Box<[u8]>> {
    let fields = headers.all_known(Known::Connection);
    let names = fields.flat_map(|value| value.split(|&byte| byte == b','));
    names.map(|name| name.trim_ascii().into()).collect()
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

    fn crossed(exchange: &Exchange, trusted: bool) -> Headers {
        for_upstream(exchange.headers.clone(), exchange, trusted)
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
        let passed = crossed(&given, false);
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
        let passed = crossed(&exchange(SPOOFED), false);
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
        let passed = crossed(&exchange(SPOOFED), true);
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
    fn what_one_request_told_does_not_stand_for_another() {
        let mut given = exchange(&[("accept", "*/*")]);
        let first = crossed(&given, false);
        let ids = ["id-2", "id-3", "another"].map(|id| RequestId::given(id.as_bytes()));
        for (id, authority) in ids
            .into_iter()
            .zip(["shop.example:8443", "b", "shop.example:8443"])
        {
            given.authority = authority.to_owned();
            given.id = id.clone();
            given.trace = TraceContext::of(None);
            let next = crossed(&given, false);
            let names = |headers: &Headers| headers.iter().map(|it| it.0).collect::<Vec<_>>();
            assert_eq!(names(&next), names(&first));
            assert_eq!(all(&next, "x-request-id"), [id.as_str()]);
            assert_eq!(all(&next, "x-forwarded-host"), [authority]);
            let (own, trace) = (&all(&next, "traceparent")[0], given.trace.trace_id());
            assert!(own.starts_with(&format!("00-{trace:032x}-")), "{own}");
            assert_ne!(own, &all(&first, "traceparent")[0]);
        }
    }

    #[test]
    fn a_trace_goes_on_and_a_broken_one_starts_anew() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let passed = crossed(
            &exchange(&[("traceparent", given), ("tracestate", "a=1")]),
            false,
        );
        let parent = &all(&passed, "traceparent")[0];
        assert!(parent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && parent != given);
        assert_eq!(all(&passed, "tracestate"), ["a=1"]);
        let passed = crossed(
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
