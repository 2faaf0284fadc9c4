//! Which request heads are understood, and which are refused with what.

use http::Method;

use super::parsing::{accepted, parse_cut, refused, with};
use crate::exchange::Version;
use crate::http1::fields::{HeadError, HeadLimits};
use crate::http1::framing::Length;
use crate::http1::head::RequestParser;

#[test]
fn a_request_is_understood() {
    let parsed = accepted(
        "PUT /a/b?c=d HTTP/1.1\r\nhost: Example.com:8080\r\nX-One:  1 \t\r\nx-one:2\r\nempty:\r\n\
         Content-Length: 12\r\nObs: caf\u{e9}\r\n\r\n",
    );
    let head = parsed.head;
    assert_eq!(head.method, Method::PUT);
    assert_eq!(head.path, "/a/b");
    assert_eq!(head.query.as_deref(), Some("c=d"));
    assert_eq!(head.authority, "Example.com:8080");
    assert_eq!(head.version, Version::Http11);
    let fields: Vec<_> = head
        .headers
        .iter()
        .map(|(_, name, value)| (name, value))
        .collect();
    assert_eq!(
        fields,
        [
            ("x-one", &b"1"[..]),
            ("x-one", b"2"),
            ("empty", b""),
            ("obs", "caf\u{e9}".as_bytes()),
        ]
    );
    assert_eq!(parsed.length, Length::Exact(12));
    assert!(parsed.keep_alive);
}

#[test]
fn one_empty_line_before_a_request_is_forgiven() {
    accepted("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    refused("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
}

#[test]
fn a_request_line_has_three_words_and_two_spaces() {
    for line in [
        "GET",
        "GET /",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET / HTTP/1.1 x",
        "GET HTTP/1.1",
        "GET\u{b}/ HTTP/1.1",
        "(GET) / HTTP/1.1",
        "G@T / HTTP/1.1",
        "G\u{e9}T / HTTP/1.1",
        "\u{16}\u{3}\u{1}",
    ] {
        refused(format!("{line}\r\nHost: a\r\n\r\n"), 400);
    }
}

#[test]
fn a_version_is_1_0_or_1_1() {
    assert_eq!(
        accepted("GET / HTTP/1.1\r\nHost: a\r\n\r\n").head.version,
        Version::Http11
    );
    assert_eq!(
        accepted("GET / HTTP/1.0\r\nHost: a\r\n\r\n").head.version,
        Version::Http10
    );
    // RFC 9110, 6.2.
    assert_eq!(
        accepted("GET / HTTP/1.7\r\nHost: a\r\n\r\n").head.version,
        Version::Http11
    );
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/3.0", "HTTP/9.9"] {
        refused(format!("GET / {version}\r\nHost: a\r\n\r\n"), 505);
    }
    for version in [
        "http/1.1",
        "HTTP/1",
        "HTTP/1.",
        "HTTP/11",
        "HTTP/1.10",
        "HTTP/01.1",
        "HTTP/1,1",
        "HTTP/-1.1",
        "HTTP 1.1",
        "HTTPS/1.1",
        "HTTP/1.1\u{b}",
        "HTTP/1.\u{661}",
        "HTCPCP/1.0",
        "",
    ] {
        refused(format!("GET / {version}\r\nHost: a\r\n\r\n"), 400);
    }
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
}

#[test]
fn methods_that_are_not_served_are_501() {
    refused("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501);
    refused("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 501);
    refused(
        format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(33)),
        501,
    );
    let long = "M".repeat(32);
    let head = accepted(&format!("{long} / HTTP/1.1\r\nHost: a\r\n\r\n")).head;
    assert_eq!(head.method.as_str(), long);
}

#[test]
fn an_asterisk_is_for_options_alone() {
    assert_eq!(
        accepted("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").head.path,
        "*"
    );
    refused("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", 400);
}

#[test]
fn an_absolute_target_names_the_same_host() {
    let head = accepted("GET http://A.b/c?d HTTP/1.1\r\nHost: a.b\r\n\r\n").head;
    assert_eq!((head.path.as_str(), head.authority.as_str()), ("/c", "a.b"));
    accepted("GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n");
    accepted("GET https://a/ HTTP/1.1\r\nHost: a:443\r\n\r\n");
    refused("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400);
    refused("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused("GET http://a/ HTTP/1.1\r\n\r\n", 400);
    let head = accepted("GET http://a/ HTTP/1.0\r\n\r\n").head;
    assert_eq!(head.authority, "a");
}

#[test]
fn a_target_holds_visible_ascii_only() {
    for target in [
        "/\u{7f}", "/\0", "/a\rb", "/\u{e9}", "/#x", "/\"", "/<a>", "/\u{1b}",
    ] {
        refused(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    }
    refused(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400);
}

#[test]
fn there_is_exactly_one_host_and_it_is_well_formed() {
    for fields in [
        "X: y",
        "Host: a\r\nHost: a",
        "Host: a\r\nhost: b",
        "Host:",
        "Host: ",
        "Host: a, b",
        "Host: a b",
        "Host: u@a",
        "Host: a/b",
        "Host: a:b",
        "Host: a:",
        "Host: a:99999",
        "Host: http://a",
        "Host: a\tb",
        "Host : a",
        "Host: [::1",
        "Host: a?b",
        "Host: a%0d",
    ] {
        refused(format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n"), 400);
    }
    refused("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    refused("GET / HTTP/1.0\r\nHost: a,b\r\n\r\n", 400);
    assert_eq!(accepted("GET / HTTP/1.0\r\n\r\n").head.authority, "");
}

#[test]
fn no_white_space_stands_in_or_after_a_name() {
    for field in [
        "X : y",
        "X\t: y",
        " X: y",
        "\tX: y",
        "X Y: z",
        "X",
        "X Y",
        ": y",
        ":",
        "X\u{b}: y",
        "X\u{e9}: y",
        "X(: y",
        "\"X\": y",
        "X/Y: z",
        "X@: y",
        "X\0: y",
    ] {
        refused(with(field), 400);
    }
    // Between the request line and the first field.
    refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n", 400);
}

#[test]
fn a_folded_line_is_refused() {
    refused(with("X: y\r\n z"), 400);
    refused(with("X: y\r\n\tz"), 400);
    refused(with("Transfer-Encoding:\r\n chunked"), 400);
    refused(with("X: y\r\n "), 400);
}

#[test]
fn a_line_ends_in_cr_and_lf() {
    for text in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\n\nGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n",
    ] {
        refused(text, 400);
    }
}

#[test]
fn a_value_holds_no_control_character() {
    for byte in (0..32).chain([127]) {
        if matches!(byte, b'\t' | b'\n') {
            continue;
        }
        let text = [
            b"GET / HTTP/1.1\r\nHost: a\r\nX: y",
            &[byte][..],
            b"z\r\n\r\n",
        ]
        .concat();
        refused(text, 400);
    }
    accepted(&with("X: y\tz"));
}

#[test]
fn a_long_line_is_414_and_many_or_large_fields_are_431() {
    let limits = HeadLimits::default();
    let longest = limits.line_bytes - "GET / HTTP/1.1".len();
    let get = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(len));
    let result = |text: &str| parse_cut(text.as_bytes(), text.len()).map(|_| ());
    assert_eq!(result(&get(longest)), Ok(()));
    assert_eq!(result(&get(longest + 1)), Err(HeadError::LineTooLong));
    // Without waiting for its end.
    assert_eq!(
        result(&"G".repeat(limits.line_bytes + 2)),
        Err(HeadError::LineTooLong)
    );
    let field = |len: usize| with(&format!("X: {}", "a".repeat(len)));
    let largest = limits.header_bytes - "Host: a\r\nX: \r\n".len();
    assert_eq!(result(&field(largest)), Ok(()));
    assert_eq!(result(&field(largest + 1)), Err(HeadError::TooLarge));
    let unfinished = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}",
        "a".repeat(limits.header_bytes)
    );
    assert_eq!(result(&unfinished), Err(HeadError::TooLarge));
    let many = |count: usize| with(&"X: y\r\n".repeat(count)).replace("\r\n\r\n\r\n", "\r\n\r\n");
    assert_eq!(result(&many(limits.headers - 1)), Ok(()));
    assert_eq!(result(&many(limits.headers)), Err(HeadError::TooMany));
}

#[test]
fn a_name_that_is_too_long_to_be_kept_is_refused() {
    let limits = HeadLimits {
        header_bytes: 1 << 20,
        ..HeadLimits::default()
    };
    let result = |name_len: usize| {
        let text = with(&format!("A: 1\r\n{}: 2\r\nB: 3", "n".repeat(name_len)));
        let mut parser = RequestParser::new(&limits);
        let parsed = parser.parse(&mut text.clone().into_bytes())?;
        assert_eq!(parsed, (text.len(), true));
        let head = parser.finish()?.head;
        let lens = head.headers.iter().map(|(_, name, _)| name.len());
        Ok::<_, HeadError>(lens.collect::<Vec<_>>())
    };
    assert_eq!(result(65_535), Ok(vec![1, 65_535, 1]));
    let error = HeadError::Malformed("a field name is too long");
    assert_eq!(result(65_536), Err(error));
}
