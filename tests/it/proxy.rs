//! Requests that go on to one upstream, and what comes back.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::client::request;
use crate::support::upstream::dead_address;
use crate::support::{Answer, Gate, TestGateway, Upstream};

fn in_front_of(upstream: &Upstream) -> TestGateway {
    TestGateway::start(&format!(
        r#"
        [upstreams.u]
        endpoints = ["{}"]

        [[routes]]
        path = "/{{rest...}}"
        upstream = "u"
        "#,
        upstream.url()
    ))
}

#[test]
fn request_and_response_cross_as_they_are() {
    let upstream = Upstream::saying(Answer::with(
        "201 Created",
        &[
            ("x-part", "one"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ],
        "made",
    ));
    let gateway = in_front_of(&upstream);
    let reply = gateway.ask("POST", "/a%2Fb?c=d%20e&c", &[("x-own", "mine")], b"body");
    assert_eq!(reply.status, 201);
    assert_eq!(reply.text(), "made");
    let cookies = reply
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie");
    assert_eq!(cookies.count(), 2);
    let seen = upstream.requests().remove(0);
    assert_eq!(seen.first, "POST /a%2Fb?c=d%20e&c HTTP/1.1");
    assert_eq!(seen.header("x-own"), Some("mine"));
    assert_eq!(seen.body, b"body");
}

#[test]
fn hop_by_hop_fields_and_spoofed_ones_do_not_cross() {
    let upstream = Upstream::saying(Answer::with(
        "200 OK",
        &[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
        ],
        "",
    ));
    let gateway = in_front_of(&upstream);
    let spoofed = [
        ("connection", "x-private"),
        ("x-private", "1"),
        ("te", "gzip"),
        ("proxy-authorization", "Basic eDp5"),
        ("x-forwarded-for", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
        ("x-request-id", "chosen"),
    ];
    let reply = gateway.ask("GET", "/", &spoofed, b"").expect(200);
    assert_eq!(reply.header("x-hop"), None);
    assert_eq!(reply.header("keep-alive"), None);
    let seen = upstream.requests().remove(0);
    assert_eq!(seen.header("x-private"), None);
    assert_eq!(seen.header("proxy-authorization"), None);
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert!(!format!("{seen:?}").contains("6.6.6.6"), "{seen:?}");
    assert_eq!(seen.header("x-request-id"), reply.header("x-request-id"));
    assert!(seen.header("traceparent").is_some());
}

#[test]
fn pieces_arrive_as_they_are_sent() {
    let gate = Gate::new();
    let upstream = Upstream::saying(
        Answer::raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
            .wait(&gate)
            .send("9\r\ndata: 2\n\n\r\n0\r\n\r\n"),
    );
    let gateway = in_front_of(&upstream);
    let mut client = gateway.client();
    client.send(request("GET", "/events", &[], b""));
    assert!(client.head().first.contains("200"));
    let first = client.reader().until(b"data: 1\n\n").unwrap();
    assert!(first.ends_with(b"data: 1\n\n"));
    gate.open();
    client.reader().until(b"data: 2\n\n").unwrap();
}

#[test]
fn a_client_that_leaves_cancels_the_call() {
    let upstream = Upstream::saying(Answer::never());
    let gateway = in_front_of(&upstream);
    let mut client = gateway.client();
    client.send(request("GET", "/", &[], b""));
    upstream.wait_for_requests(1);
    drop(client);
    upstream.wait_for_abandoned(1);
}

#[test]
fn an_upgrade_becomes_a_tunnel() {
    let upstream = Upstream::saying(
        Answer::raw("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello from behind").close(),
    );
    let gateway = in_front_of(&upstream);
    let mut client = gateway.client();
    let upgrade = [("connection", "upgrade"), ("upgrade", "echo")];
    client.send(request("GET", "/ws", &upgrade, b""));
    let head = client.head();
    assert!(head.first.contains("101"), "{}", head.first);
    assert_eq!(head.header("upgrade"), Some("echo"));
    assert_eq!(client.rest(), b"hello from behind");
}

#[test]
fn trailers_cross() {
    let upstream = Upstream::saying(Answer::raw(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 42\r\n\r\n",
    ));
    let gateway = in_front_of(&upstream);
    let reply = gateway
        .ask("GET", "/", &[("te", "trailers")], b"")
        .expect(200);
    assert_eq!(reply.text(), "hi");
    assert_eq!(reply.trailers, [("x-sum".to_owned(), "42".to_owned())]);
}

#[test]
fn what_is_safe_to_repeat_is_tried_again_and_the_rest_is_not() {
    let calls = AtomicUsize::new(0);
    let upstream = Upstream::start(move |_| match calls.fetch_add(1, Ordering::Relaxed) {
        0 => Answer::status(503),
        _ => Answer::json("{}"),
    });
    let with_retry = |url: &str| {
        format!(
            r#"
            [upstreams.u]
            endpoints = ["{url}"]
            retry = {{ attempts = 3, on = ["connect", "reset", "5xx"], backoff = "1ms..2ms" }}

            [[routes]]
            path = "/"
            upstream = "u"
            "#
        )
    };
    TestGateway::start(&with_retry(&upstream.url()))
        .get("/")
        .expect(200);
    assert_eq!(upstream.count(), 2);

    let failing = Upstream::saying(Answer::status(503));
    let gateway = TestGateway::start(&with_retry(&failing.url()));
    gateway.ask("POST", "/", &[], b"once").expect(503);
    assert_eq!(failing.count(), 1);
}

#[test]
fn a_dead_endpoint_is_passed_over_for_a_living_one() {
    let upstream = Upstream::saying(Answer::json("{}"));
    let gateway = TestGateway::start(&format!(
        r#"
        [upstreams.u]
        endpoints = ["http://{}", "{}"]
        retry = {{ attempts = 2, on = ["connect"], backoff = "1ms..2ms" }}

        [[routes]]
        path = "/"
        upstream = "u"
        "#,
        dead_address(),
        upstream.url()
    ));
    for _ in 0..6 {
        gateway.get("/").expect(200);
    }
}

#[test]
fn failures_of_an_upstream_have_their_statuses_and_name_no_address() {
    let script = |request: &crate::support::message::Message| match request.first.as_str() {
        first if first.starts_with("GET /slow") => Answer::never(),
        first if first.starts_with("GET /garbage") => Answer::raw("SMTP ready\r\n\r\n").close(),
        _ => Answer::default().close(),
    };
    let upstream = Upstream::start(script);
    let gateway = TestGateway::start(&format!(
        r#"
        [upstreams.u]
        endpoints = ["{}"]
        timeout = "200ms"

        [upstreams.dead]
        endpoints = ["http://{}"]

        [[routes]]
        path = "/{{rest...}}"
        upstream = "u"

        [[routes]]
        path = "/dead"
        upstream = "dead"
        "#,
        upstream.url(),
        dead_address(),
    ));
    for (path, status) in [
        ("/slow", 504),
        ("/garbage", 502),
        ("/silent", 502),
        ("/dead", 502),
    ] {
        let reply = gateway.get(path).expect(status);
        assert!(!reply.text().contains("127.0.0.1"), "{}", reply.text());
    }
}

#[test]
fn connections_to_an_upstream_are_used_again() {
    let upstream = Upstream::saying(Answer::json("{}"));
    let gateway = in_front_of(&upstream);
    let mut client = gateway.client();
    for _ in 0..20 {
        client.get("/").expect(200);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn http2_is_spoken_without_tls_where_it_is_asked_for() {
    let backend = TestGateway::start(
        r#"
        [[routes]]
        path = "/{rest...}"
        respond = { body = "request.path" }
        "#,
    );
    let gateway = TestGateway::start(&format!(
        r#"
        [upstreams.u]
        endpoints = ["http://{}"]
        protocol = "h2"

        [[routes]]
        path = "/{{rest...}}"
        upstream = "u"
        "#,
        backend.address()
    ));
    let mut client = gateway.client();
    for number in 0..20 {
        let path = format!("/{number}");
        assert_eq!(client.get(&path).expect(200).text(), format!("\"{path}\""));
    }
}

#[test]
fn an_endpoint_is_told_how_long_its_answer_is_waited_for() {
    let upstream = Upstream::saying(Answer::json("1"));
    let gateway = TestGateway::start(&format!(
        r#"
        [upstreams.u]
        endpoints = ["{0}"]
        timeout = "20s"
        deadline_header = "X-Request-Timeout-Ms"
        [upstreams.grpc]
        endpoints = ["{0}"]
        deadline_header = "grpc-timeout"

        [[routes]]
        path = "/proxied"
        upstream = "u"
        [[routes]]
        path = "/short"
        upstream = "u"
        timeout = "5s"
        [[routes]]
        path = "/composed"
        timeout = "10s"
        steps.own = {{ call = "GET u:/own", timeout = "3s" }}
        steps.rpc = {{ call = "GET grpc:/rpc", after = ["own"] }}
        "#,
        upstream.url()
    ));
    let forged = [("x-request-timeout-ms", "999999999")];
    for path in ["/proxied", "/short", "/composed"] {
        gateway.ask("GET", path, &forged, b"").expect(200);
    }
    let told: Vec<u32> = upstream
        .requests()
        .iter()
        .map(|request| {
            let plain = request.header("x-request-timeout-ms");
            let text = plain.or_else(|| request.header("grpc-timeout")?.strip_suffix('m'));
            text.unwrap().parse().unwrap()
        })
        .collect();
    for (told, most) in told.iter().zip([20_000, 5000, 3000, 10_000]) {
        assert!((1..=most).contains(told), "{told} of {most}");
    }
    assert_eq!(told.len(), 4);
    assert!(told[0] > 5000, "{told:?}");
}
