//! How the fields that frame a request and govern its connection are understood.

use super::parsing::{accepted, post, refused, with};
use crate::http1::framing::Length;

#[test]
fn a_content_length_is_one_plain_number() {
    for (value, length) in [
        ("0", 0),
        ("5", 5),
        ("007", 7),
        ("9999999999999999999", 9_999_999_999_999_999_999),
    ] {
        let parsed = accepted(&post(&format!("Content-Length: {value}")));
        assert_eq!(parsed.length, Length::Exact(length), "{value}");
    }
    for value in [
        "",
        "+5",
        "-5",
        "5 5",
        "5, 5",
        "5,5",
        "5,",
        "0x5",
        "5.0",
        "5e1",
        "five",
        "18446744073709551616",
        "99999999999999999999",
        "00000000000000000005",
        "5;",
        "\"5\"",
        "5\u{b}",
        "\u{665}",
        "5_0",
    ] {
        refused(post(&format!("Content-Length: {value}")), 400);
    }
    refused(post("Content-Length: 5\r\nContent-Length: 5"), 400);
    refused(post("Content-Length: 5\r\ncontent-length: 6"), 400);
    refused(post("Content-Length : 5"), 400);
}

#[test]
fn a_coding_is_chunked_alone() {
    for value in ["chunked", "Chunked", " chunked\t"] {
        let parsed = accepted(&post(&format!("Transfer-Encoding: {value}")));
        assert_eq!(parsed.length, Length::Chunked, "{value}");
    }
    for value in [
        "",
        "identity",
        "gzip",
        "xchunked",
        "chunkedx",
        "chunked, gzip",
        "chunked, chunked",
        "chunked,",
        ",",
        "chunked;q=1",
        "chunked; a",
        "\"chunked\"",
        "chunked\u{b}",
        "chunk ed",
        "chunked identity",
        "gzip chunked",
        "gzip; q=1, chunked",
        ", chunked",
        "'chunked'",
        "chunked\0",
    ] {
        refused(post(&format!("Transfer-Encoding: {value}")), 400);
    }
    // RFC 9112, 6.1: well formed, but not done here.
    refused(post("Transfer-Encoding: gzip, chunked"), 501);
    refused(
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        400,
    );
    refused(
        post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"),
        400,
    );
    refused(
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
        400,
    );
    refused(post("Transfer-Encoding : chunked"), 400);
    refused(
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    );
}

#[test]
fn a_length_beside_a_coding_is_refused() {
    refused(post("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400);
    refused(post("Transfer-Encoding: chunked\r\nContent-Length: 0"), 400);
    refused(
        post("Transfer-Encoding: gzip, chunked\r\nContent-Length: 5"),
        400,
    );
}

#[test]
fn a_trace_has_no_content() {
    accepted("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(
        "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
        400,
    );
    refused(
        "TRACE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    );
}

#[test]
fn what_concerns_the_connection_is_not_passed_on() {
    let parsed = accepted(&with(
        "Connection: close, X-Private, ,TE\r\nKeep-Alive: 5\r\nProxy-Connection: a\r\nTE: trailers\r\n\
         X-Private: 1\r\nx-private: 2\r\nX-Public: 3\r\nContent-Length: 0\r\nUpgrade: foo\r\nExpect: 100-continue",
    ));
    let names: Vec<_> = parsed
        .head
        .headers
        .iter()
        .map(|(_, name, _)| name)
        .collect();
    assert_eq!(names, ["x-public"]);
    assert!(!parsed.keep_alive);
    for value in ["a b", "@", "close;", "\"close\"", "close\u{b}", "a=b"] {
        refused(with(&format!("Connection: {value}")), 400);
    }
    refused(with(&format!("Connection: {}", "a,".repeat(33))), 400);
    accepted(&with(&format!("Connection: {}", "a,".repeat(32))));
}

#[test]
fn a_connection_persists_as_the_version_says() {
    for (version, connection, keep_alive) in [
        ("1.1", "x", true),
        ("1.1", "keep-alive", true),
        ("1.1", "Close", false),
        ("1.1", "keep-alive, close", false),
        ("1.0", "x", false),
        ("1.0", "Keep-Alive", true),
        ("1.0", "keep-alive, close", false),
    ] {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
        assert_eq!(
            accepted(&text).keep_alive,
            keep_alive,
            "{version} {connection}"
        );
    }
}

#[test]
fn an_upgrade_is_asked_for_by_both_fields() {
    let upgrade = |fields: &str| accepted(&with(fields)).upgrade;
    assert_eq!(
        upgrade("Connection: Upgrade\r\nUpgrade: websocket").as_deref(),
        Some("websocket")
    );
    assert_eq!(
        upgrade("Connection: upgrade\r\nUpgrade: a/1, b").as_deref(),
        Some("a/1, b")
    );
    assert_eq!(
        upgrade("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b").as_deref(),
        Some("a, b")
    );
    assert_eq!(upgrade("Upgrade: websocket"), None);
    assert_eq!(upgrade("Connection: upgrade"), None);
    // These would lead past the routes.
    for protocol in ["h2c", "H2C", "HTTP/2.0", "websocket, h2c", "h2"] {
        let fields = format!(
            "Connection: upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: x"
        );
        let parsed = accepted(&with(&fields));
        assert_eq!(parsed.upgrade, None, "{protocol}");
        assert!(parsed.head.headers.is_empty(), "{protocol}");
    }
    let old = accepted("GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: b\r\n\r\n");
    assert_eq!(old.upgrade, None);
    for value in ["", "a b", "a,", "a/b/c", "/a", "\"a\""] {
        refused(
            with(&format!("Connection: upgrade\r\nUpgrade: {value}")),
            400,
        );
    }
}

#[test]
fn an_expectation_is_100_continue_or_417() {
    let expects = |text: &str| accepted(text).expects_continue;
    assert!(expects(&post("Expect: 100-Continue\r\nContent-Length: 1")));
    assert!(expects(&post(
        "Expect: 100-continue\r\nTransfer-Encoding: chunked"
    )));
    assert!(!expects(&post("Expect: 100-continue\r\nContent-Length: 0")));
    assert!(!expects(
        "POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    ));
    for value in ["", "x", "100-continue, x", "200-ok"] {
        refused(with(&format!("Expect: {value}")), 417);
    }
}
