//! Which response heads of upstreams are understood, and how far their bodies reach.

use http::Method;

use crate::http1::fields::{HeadError, HeadLimits};
use crate::http1::framing::Length;
use crate::http1::head::{ResponseHead, ResponseParser};

fn parse_cut(text: &[u8], cut: usize, method: &Method) -> Result<ResponseHead, HeadError> {
    let mut parser = ResponseParser::new(&HeadLimits::default());
    let mut at = 0;
    for end in [cut, text.len()] {
        let (consumed, complete) = parser.parse(&mut text[at..end].to_vec())?;
        at += consumed;
        if complete {
            assert_eq!(at, text.len());
            return parser.finish(method);
        }
    }
    panic!("{:?} is incomplete", String::from_utf8_lossy(text));
}

#[track_caller]
fn accepted(text: &str, method: &Method) -> ResponseHead {
    let whole = parse_cut(text.as_bytes(), text.len(), method);
    for cut in 0..text.len() {
        let again = parse_cut(text.as_bytes(), cut, method);
        assert_eq!(
            format!("{again:?}"),
            format!("{whole:?}"),
            "{text:?} cut at {cut}"
        );
    }
    whole.unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[track_caller]
fn refused(text: &str) {
    for cut in 0..=text.len() {
        let parsed = parse_cut(text.as_bytes(), cut, &Method::GET);
        assert!(parsed.is_err(), "{text:?} was accepted as {parsed:?}");
    }
}

fn with(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n")
}

#[test]
fn a_status_line_is_a_version_a_status_and_a_reason() {
    for line in [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 ",
        "HTTP/1.0 200 a b\tc",
        "HTTP/1.1 200 caf\u{e9}",
        "HTTP/1.1 200",
    ] {
        let head = accepted(
            &format!("{line}\r\nContent-Length: 0\r\n\r\n"),
            &Method::GET,
        );
        assert_eq!(head.status, 200, "{line}");
    }
    for line in [
        "",
        " HTTP/1.1 200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 200OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 600 OK",
        "HTTP/1.1 999 OK",
        "HTTP/1.1 +20 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/2.0 200 OK",
        "HTTP/2 200",
        "http/1.1 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 200 O\u{1}K",
        "HTTP/1.1 200 O\rK",
        "ICY 200 OK",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 200 \u{7f}",
    ] {
        refused(&format!("{line}\r\nContent-Length: 0\r\n\r\n"));
    }
}

#[test]
fn a_response_is_held_to_the_rules_of_a_request() {
    for fields in [
        "X : y",
        " X: y",
        "X: y\r\n z",
        "X",
        ": y",
        "X: y\u{1}",
        "X: y\0",
        "X: y\rz",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: ",
        "Content-Length: 5 ",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Connection: a b",
        "Upgrade: a b",
    ] {
        if fields == "Content-Length: 5 " {
            accepted(&with(fields), &Method::GET);
        } else {
            refused(&with(fields));
        }
    }
    refused("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n");
    refused("HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n");
    refused("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n");
    refused("HTTP/1.1 200 OK\r\n X: y\r\n\r\n");
    refused("\r\nHTTP/1.1 200 OK\r\n\r\n");
    refused("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

/// Status and fields; how far the body reaches, and whether the connection is kept.
#[rustfmt::skip]
const BODIES: [(&str, Method, Length, bool); 18] = [
    ("1.1 200 OK\r\nContent-Length: 5", Method::GET, Length::Exact(5), true),
    ("1.1 200 OK\r\nTransfer-Encoding: chunked", Method::GET, Length::Chunked, true),
    ("1.1 200 OK", Method::GET, Length::UntilClose, false),
    ("1.0 200 OK\r\nConnection: keep-alive", Method::GET, Length::UntilClose, false),
    ("1.0 200 OK\r\nContent-Length: 5", Method::GET, Length::Exact(5), false),
    ("1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive", Method::GET, Length::Exact(5), true),
    ("1.1 200 OK\r\nContent-Length: 5\r\nConnection: close", Method::GET, Length::Exact(5), false),
    ("1.1 200 OK\r\nContent-Length: 5", Method::HEAD, Length::Withheld(5), true),
    ("1.1 200 OK\r\nTransfer-Encoding: chunked", Method::HEAD, Length::NONE, true),
    ("1.1 200 OK", Method::HEAD, Length::NONE, true),
    ("1.1 304 x\r\nContent-Length: 5", Method::GET, Length::NONE, true),
    ("1.1 304 x", Method::GET, Length::NONE, true),
    ("1.1 204 x", Method::GET, Length::NONE, true),
    ("1.1 204 x\r\nContent-Length: 0", Method::GET, Length::NONE, true),
    ("1.1 204 x\r\nContent-Length: 5", Method::GET, Length::NONE, false),
    ("1.1 204 x\r\nTransfer-Encoding: chunked", Method::GET, Length::NONE, false),
    ("1.1 100 x", Method::GET, Length::NONE, true),
    ("1.1 205 x\r\nContent-Length: 0", Method::GET, Length::Exact(0), true),
];

#[test]
fn a_body_reaches_as_far_as_the_rfc_says() {
    for (text, method, length, keep_alive) in BODIES {
        let parsed = accepted(&format!("HTTP/{text}\r\n\r\n"), &method);
        assert_eq!(
            (parsed.length, parsed.keep_alive),
            (length, keep_alive),
            "{method} {text:?}"
        );
    }
}

#[test]
fn what_concerns_the_connection_is_not_passed_back() {
    let parsed = accepted(
        &with(
            "Connection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: a\r\nServer: s\r\nContent-Length: 0",
        ),
        &Method::GET,
    );
    let names: Vec<_> = parsed.headers.iter().map(|(_, name, _)| name).collect();
    assert_eq!(names, ["server"]);
}
