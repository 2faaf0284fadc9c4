//! Traces, request ids, and one line in the access log for every request.

use std::fs;

use serde_json::Value;

use crate::support::client::request;
use crate::support::{Answer, TestGateway, Upstream, eventually};

fn gateway(upstream: &Upstream, server: &str) -> TestGateway {
    TestGateway::start_exactly(
        tempfile::tempdir().unwrap(),
        &format!(
            r#"
            [server]
            workers = 2
            {server}
            [[listen]]
            address = "127.0.0.1:0"
            [upstreams.u]
            endpoints = ["{0}"]
            timeout = "300ms"
            [[routes]]
            name = "proxy"
            path = "/proxy"
            upstream = "u"
            [[routes]]
            name = "flow"
            path = "/flow"
            methods = ["GET"]
            [routes.steps.well]
            call = "GET u:/well"
            forward = "accept-language"
            [routes.steps.not]
            when = "false"
            call = "GET u:/not"
            [routes.steps.slow]
            call = "GET u:/slow"
            optional = true
            "#,
            upstream.url()
        ),
    )
}

/// `/slow` never answers.
fn upstream() -> Upstream {
    Upstream::start(|request| match request.first.as_str() {
        first if first.contains("/slow") => Answer::never(),
        _ => Answer::json("{}"),
    })
}

#[test]
fn every_request_leaves_one_line_even_when_the_client_left() {
    let upstream = upstream();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let server = format!(
        "access_log = {{ format = \"json\", file = \"{}\" }}",
        file.display()
    );
    let gateway = gateway(&upstream, &server);
    gateway.get("/proxy").expect(200);
    gateway.get("/flow?secret=query").expect(200);
    gateway.get("/nowhere%22%0Aforged").expect(400);
    let mut leaving = gateway.client();
    leaving.send(request("GET", "/flow", &[], b""));
    upstream.wait_for_requests(5);
    drop(leaving);
    let mut lines = Vec::new();
    eventually("four lines are written", || {
        lines = fs::read_to_string(&file)
            .unwrap_or_default()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .collect();
        lines.len() == 4
    });
    let by_route = |route: &'static str| lines.iter().filter(move |line| line["route"] == route);
    assert_eq!(by_route("proxy").next().unwrap()["status"], 200);
    let flows: Vec<&Value> = by_route("flow").collect();
    assert_eq!(flows.len(), 2);
    let whole = flows.iter().find(|line| line["status"] == 200).unwrap();
    let outcomes: Vec<&str> = whole["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["ok", "skipped", "failed"]);
    assert!(
        flows.iter().any(|line| line["aborted"] == true),
        "{lines:#?}"
    );
    assert!(!format!("{lines:?}").contains("secret"), "{lines:#?}");
}

#[test]
fn a_skipped_step_is_named_and_null() {
    let reply = gateway(&upstream(), "access_log = \"off\"")
        .get("/flow")
        .expect(200);
    assert_eq!(reply.text(), r#"{"well":{},"not":null,"slow":null}"#);
    assert_eq!(
        reply.header("concertina-parts"),
        Some("not=skipped, slow=failed;cause=timeout")
    );
}

#[test]
fn a_trace_goes_on_and_only_what_is_forwarded_crosses_in_a_flow() {
    let upstream = upstream();
    let gateway = gateway(&upstream, "access_log = \"off\"");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let sent = [
        ("traceparent", &*parent),
        ("tracestate", "vendor=1"),
        ("accept-language", "de"),
        ("cookie", "session=1"),
        ("authorization", "Bearer x"),
    ];
    gateway.ask("GET", "/flow", &sent, b"").expect(200);
    let seen = upstream.requests();
    let well = seen.iter().find(|it| it.first.contains("/well")).unwrap();
    let passed = well.header("traceparent").unwrap();
    assert!(passed.starts_with(&format!("00-{trace}-")), "{passed}");
    assert!(
        !passed.contains("00f067aa0ba902b7"),
        "the parent of the call is the gateway"
    );
    assert_eq!(well.header("accept-language"), Some("de"));
    assert_eq!(well.header("cookie"), None);
    assert_eq!(well.header("authorization"), None);
    let slow = seen.iter().find(|it| it.first.contains("/slow")).unwrap();
    assert_eq!(slow.header("accept-language"), None);
}

#[test]
fn what_a_trusted_proxy_says_of_the_client_is_believed() {
    let upstream = upstream();
    let gateway = gateway(
        &upstream,
        "access_log = \"off\"\ntrusted_proxies = [\"127.0.0.0/8\"]",
    );
    let said = [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "given-by-the-proxy"),
    ];
    let reply = gateway.ask("GET", "/proxy", &said, b"").expect(200);
    assert_eq!(reply.header("x-request-id"), Some("given-by-the-proxy"));
    let seen = upstream.requests().remove(0);
    assert_eq!(seen.header("x-request-id"), Some("given-by-the-proxy"));
    assert!(
        seen.header("x-forwarded-for")
            .unwrap()
            .starts_with("192.0.2.7"),
        "{seen:?}"
    );
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
}

#[test]
fn the_log_tells_the_bytes_of_a_body_however_it_is_streamed() {
    const BYTES: u64 = 3_000_000;
    let upstream = Upstream::start(|_| {
        Answer::raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n"
        ))
        .fill(BYTES)
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let server = format!(
        "access_log = {{ format = \"json\", file = \"{}\" }}",
        file.display()
    );
    let gateway = gateway(&upstream, &server);
    let reply = gateway.get("/proxy").expect(200);
    assert_eq!(reply.body.len() as u64, BYTES);
    let mut line = Value::Null;
    eventually("the line is written", || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        line = serde_json::from_str(&text).unwrap_or_default();
        line != Value::Null
    });
    assert_eq!(line["bytes_sent"], BYTES);
}
