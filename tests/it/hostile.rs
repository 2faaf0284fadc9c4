//! Clients that do not play by the rules.

use std::io::ErrorKind;

use crate::support::client::request;
use crate::support::{Answer, Client, TestGateway, Upstream};

fn gateway(upstream: &Upstream) -> TestGateway {
    let folder = tempfile::tempdir().unwrap();
    TestGateway::start_exactly(
        folder,
        &format!(
            r#"
            [server]
            workers = 2
            access_log = "off"
            [[listen]]
            address = "127.0.0.1:0"
            limits = {{ header_bytes = "4KiB", headers = 20, header_time = "500ms", body_bytes = "64KiB", body_time = "500ms", idle = "1s" }}
            [upstreams.u]
            endpoints = ["{}"]
            [[routes]]
            path = "/{{rest...}}"
            upstream = "u"
            "#,
            upstream.url()
        ),
    )
}

#[test]
fn what_is_not_http_is_refused_closed_and_never_sent_on() {
    let upstream = Upstream::saying(Answer::json("{}"));
    let gateway = gateway(&upstream);
    let cases: &[(&str, &str)] = &[
        ("no host", "GET / HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("a malformed host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        ("userinfo in host", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        (
            "a space before the colon",
            "GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
        ),
        (
            "a folded line",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
        ),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ),
        (
            "length and chunks",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "a signed length",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        ),
        (
            "an endless length",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        ),
        (
            "an unknown coding",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        ),
        (
            "a null in a value",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        ),
        (
            "a bare return in a value",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        ),
        ("an odd method", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("an odd target", "GET a/b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("an odd version", "GET / HTTP/9.9\r\nHost: a\r\n\r\n"),
        ("another protocol", "SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        ("a null byte first", "\0\0\0\0\r\n\r\n"),
    ];
    for (name, bytes) in cases {
        let mut client = gateway.client();
        client.send(bytes);
        client.finish();
        let answer = client.rest();
        let text = String::from_utf8_lossy(&answer);
        let refused = text.is_empty()
            || ["400", "501", "505"]
                .iter()
                .any(|it| text.starts_with(&format!("HTTP/1.1 {it}")));
        assert!(refused, "{name}: {text}");
        assert!(
            text.matches("HTTP/1.1 ").count() <= 1,
            "{name}: answered twice: {text}"
        );
    }
    assert_eq!(upstream.count(), 0);
    gateway.get("/").expect(200);
}

#[test]
fn heads_beyond_the_limits_are_431() {
    let upstream = Upstream::saying(Answer::json("{}"));
    let gateway = gateway(&upstream);
    let long = "x".repeat(8 * 1024);
    let mut client = gateway.client();
    client.send(request("GET", "/", &[("x-long", &long)], b""));
    client.reply().expect(431);
    let many: Vec<(String, &str)> = (0..40).map(|it| (format!("x-{it}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, *value)).collect();
    let mut client = gateway.client();
    client.send(request("GET", "/", &many, b""));
    client.reply().expect(431);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_body_beyond_its_limit_is_413_announced_or_not() {
    let upstream = Upstream::saying(Answer::json("{}"));
    let gateway = gateway(&upstream);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    client.reply().expect(413);
    assert_eq!(upstream.count(), 0);

    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    let mut status = None;
    for _ in 0..64 {
        // The gateway may close while the client still sends.
        if client.try_send(&chunk).is_err() {
            break;
        }
    }
    if let Ok(Some(reply)) = client.try_reply() {
        status = Some(reply.status);
    }
    assert!(matches!(status, Some(413) | None), "{status:?}");
    gateway.get("/").expect(200);
}

#[test]
fn a_client_that_dawdles_is_given_up() {
    let upstream = Upstream::saying(Answer::json("{}"));
    let gateway = gateway(&upstream);
    let mut in_head = gateway.client();
    in_head.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow");
    let mut in_body = gateway.client();
    in_body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab");
    let mut idle = gateway.client();
    idle.get("/").expect(200);
    for client in [&mut in_head, &mut in_body, &mut idle] {
        // Each wait has its end: the gateway answers or closes, and does not leave it to the client.
        let rest = client.rest();
        let text = String::from_utf8_lossy(&rest);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
    gateway.get("/").expect(200);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start(|request| {
        let path = request.first.split(' ').nth(1).unwrap_or_default();
        Answer::json(path.trim_start_matches('/'))
    });
    let gateway = gateway(&upstream);
    let mut client = gateway.client();
    let all: Vec<u8> = (0..10)
        .flat_map(|number| request("GET", &format!("/{number}"), &[], b""))
        .collect();
    client.send(all);
    for number in 0..10 {
        assert_eq!(client.reply().expect(200).text(), number.to_string());
    }
}

#[test]
fn connections_over_the_cap_wait_their_turn() {
    let gateway = TestGateway::start_exactly(
        tempfile::tempdir().unwrap(),
        r#"
        [server]
        workers = 1
        max_connections = 2
        access_log = "off"
        [[listen]]
        address = "127.0.0.1:0"
        [[routes]]
        path = "/"
        respond = { text = "ok" }
        "#,
    );
    let mut first = gateway.client();
    let mut second = gateway.client();
    first.get("/").expect(200);
    second.get("/").expect(200);
    let mut third = Client::connect(gateway.address());
    third.send(request("GET", "/", &[], b""));
    drop(first);
    third.reply().expect(200);
    second.get("/").expect(200);
}

#[test]
fn an_answer_that_breaks_off_is_not_passed_on_as_whole() {
    let upstream = Upstream::saying(
        Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort").close(),
    );
    let gateway = gateway(&upstream);
    let mut client = gateway.client();
    client.send(request("GET", "/", &[], b""));
    match client.try_reply() {
        Ok(Some(reply)) => assert_eq!(reply.status, 502),
        Ok(None) => {}
        Err(error) => assert_ne!(error.kind(), ErrorKind::WouldBlock, "{error}"),
    }
}

#[test]
fn an_upstream_that_smuggles_a_second_answer_is_believed_once() {
    let two = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let upstream = Upstream::saying(Answer::raw(two));
    let gateway = gateway(&upstream);
    let mut client = gateway.client();
    for _ in 0..5 {
        let reply = client.get("/");
        assert!(reply.text() != "evil", "{reply:?}");
    }
}
