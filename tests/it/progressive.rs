//! Answers that are sent in parts, each when it is final: over both engines.

use std::fs;

use serde_json::{Value, json};

use crate::support::certs::Authority;
use crate::support::client::{request, tls_config};
use crate::support::h2::H2Client;
use crate::support::{Answer, Client, Gate, TestGateway, Upstream, eventually};

const LINES: (&str, &str) = ("accept", "application/x-ndjson");
const EVENTS: (&str, &str) = ("accept", "text/event-stream");

/// A flow of a part that is there at once, and one that an upstream may hold.
fn flow(fast: &Upstream, held: &Upstream) -> String {
    format!(
        r#"
        [upstreams.fast]
        endpoints = ["{}"]
        [upstreams.held]
        endpoints = ["{}"]

        [[routes]]
        name = "flow"
        path = "/{{id}}"
        progressive = true
        timeout = "20s"
        ip_deny = ["127.9.9.9"]
        [routes.steps.held]
        call = "GET held:/held"
        [routes.steps.fast]
        call = "GET fast:/fast/{{path.id}}"
        [routes.response]
        headers = {{ x-id = "{{path.id}}" }}
        "#,
        fast.url(),
        held.url(),
    )
}

fn well() -> Upstream {
    Upstream::saying(Answer::json("{\n \"n\": 0.10\n}"))
}

/// One piece of a chunked body; none at its end.
fn chunk(client: &mut Client) -> Option<String> {
    let reader = client.reader();
    let size = usize::from_str_radix(&reader.line().unwrap(), 16).unwrap();
    let piece = reader.exactly(size).unwrap();
    reader.line().unwrap();
    (size > 0).then(|| String::from_utf8(piece).unwrap())
}

/// Chunks until one ends a line.
fn line(client: &mut Client) -> Value {
    let mut text = String::new();
    while !text.ends_with('\n') {
        text += &chunk(client).expect("a line, not the end");
    }
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_part_is_sent_while_another_is_still_held() {
    let gate = Gate::new();
    let (fast, held) = (well(), Upstream::saying(Answer::json("[2]").behind(&gate)));
    let gateway = TestGateway::start(&flow(&fast, &held));
    let mut client = gateway.client();
    client.send(request("GET", "/7", &[LINES], b""));
    let head = client.head();
    assert!(head.first.contains(" 200 "), "{head:?}");
    for (name, value) in [
        ("content-type", "application/x-ndjson"),
        ("cache-control", "no-store"),
        ("vary", "accept"),
        ("transfer-encoding", "chunked"),
        ("x-id", "7"),
    ] {
        assert_eq!(head.header(name), Some(value), "{head:?}");
    }
    assert_eq!(
        chunk(&mut client).unwrap(),
        "{\"part\":\"fast\",\"outcome\":\"ok\",\"status\":200,\"body\":{  \"n\": 0.10 }}\n",
        "its bytes as they came, but on one line"
    );
    // Only now may the other answer.
    gate.open();
    let held = json!({"part": "held", "outcome": "ok", "status": 200, "body": [2]});
    assert_eq!(line(&mut client), held);
    let end = json!({
        "end": "ok", "status": 200,
        "steps": {"held": {"outcome": "ok"}, "fast": {"outcome": "ok"}},
    });
    assert_eq!(line(&mut client), end);
    assert_eq!(chunk(&mut client), None);
    // The connection goes on.
    client.get("/8").expect(200);
}

#[test]
fn over_http_2_a_part_is_sent_while_another_is_still_held() {
    let gate = Gate::new();
    let (fast, held) = (well(), Upstream::saying(Answer::json("[2]").behind(&gate)));
    let (gateway, authority) = encrypted(&flow(&fast, &held), "access_log = \"off\"");
    let config = tls_config(authority.roots());
    let mut client = H2Client::connect(gateway.address(), &config, "localhost");
    let mut answer = client.open("https://localhost/7", &[EVENTS]);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(
        answer.piece().unwrap(),
        "event: part\ndata: {\"part\":\"fast\",\"outcome\":\"ok\",\"status\":200,\"body\":{  \"n\": 0.10 }}\n\n"
    );
    gate.open();
    let mut rest = String::new();
    while let Some(piece) = answer.piece() {
        rest += &piece;
    }
    let events: Vec<&str> = rest.split_inclusive("\n\n").collect();
    let starts = [
        "event: part\ndata: {\"part\":\"held\",",
        "event: end\ndata: {\"end\":\"ok\",",
    ];
    assert_eq!(events.len(), 2, "{rest}");
    for (event, start) in events.iter().zip(starts) {
        assert!(
            event.starts_with(start) && event.ends_with("}\n\n"),
            "{rest}"
        );
    }
}

/// The flow behind TLS, so that clients may speak HTTP/2.
fn encrypted(flow: &str, server: &str) -> (TestGateway, Authority) {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    authority.write(folder.path(), "one", &["localhost"]);
    let text = format!(
        r#"
        [server]
        workers = 1
        {server}
        [[listen]]
        address = "127.0.0.1:0"
        tls = {{ certificates = [{{ cert = "one.pem", key = "one.key" }}] }}
        {flow}
        "#
    );
    (TestGateway::start_exactly(folder, &text), authority)
}

#[test]
fn a_client_that_leaves_in_the_middle_cancels_what_is_left() {
    let (fast, held) = (well(), Upstream::saying(Answer::never()));
    let gateway = TestGateway::start(&flow(&fast, &held));
    let mut client = gateway.client();
    client.send(request("GET", "/7", &[LINES], b""));
    client.head();
    chunk(&mut client).unwrap();
    drop(client);
    held.wait_for_abandoned(1);
}

#[test]
fn over_http_2_a_client_that_leaves_in_the_middle_cancels_what_is_left() {
    let (fast, held) = (well(), Upstream::saying(Answer::never()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let log = format!(
        "access_log = {{ format = \"json\", file = \"{}\" }}",
        file.display()
    );
    let (gateway, authority) = encrypted(&flow(&fast, &held), &log);
    let config = tls_config(authority.roots());
    let mut client = H2Client::connect(gateway.address(), &config, "localhost");
    let mut answer = client.open("https://localhost/7", &[LINES]);
    answer.piece().unwrap();
    // The stream is reset; the connection goes on.
    drop(answer);
    held.wait_for_abandoned(1);
    let line = logged(&file);
    assert_eq!(line["aborted"], true, "{line}");
    assert_eq!(line["status"], 200, "{line}");
    assert_eq!(outcomes(&line), ["cancelled", "ok"]);
}

/// The one line of an access log.
fn logged(file: &std::path::Path) -> Value {
    let mut line = Value::Null;
    eventually("the line is written", || {
        let text = fs::read_to_string(file).unwrap_or_default();
        line = serde_json::from_str(&text).unwrap_or_default();
        line != Value::Null
    });
    line
}

fn outcomes(line: &Value) -> Vec<&str> {
    let parts = line["parts"].as_array().unwrap().iter();
    parts
        .map(|part| part["outcome"].as_str().unwrap())
        .collect()
}

#[test]
fn a_failure_behind_the_first_part_is_told_at_the_end_and_to_operators() {
    let gate = Gate::new();
    let (fast, held) = (well(), Upstream::saying(Answer::status(500).behind(&gate)));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    let text = format!(
        r#"
        [[listen]]
        address = "127.0.0.1:0"
        [admin]
        address = "127.0.0.1:0"
        [server]
        workers = 1
        access_log = {{ format = "json", file = "{}" }}
        {}
        "#,
        file.display(),
        flow(&fast, &held)
    );
    let gateway = TestGateway::start_exactly(folder, &text);
    let mut client = gateway.client();
    client.send(request("GET", "/7", &[LINES], b""));
    let head = client.head();
    assert!(head.first.contains(" 200 "), "{head:?}");
    assert_eq!(line(&mut client)["part"], "fast");
    gate.open();
    let end = line(&mut client);
    assert_eq!(end["end"], "failed", "{end}");
    assert_eq!(end["status"], 502, "{end}");
    assert_eq!(
        end["steps"]["held"],
        json!({"outcome": "failed", "cause": "status"}),
        "{end}"
    );
    assert_eq!(end["problem"]["step"], "held", "{end}");
    assert_eq!(end["problem"]["status"], 502, "{end}");
    let id = head.header("x-request-id").unwrap();
    assert_eq!(end["problem"]["request_id"], id, "{end}");
    assert_eq!(chunk(&mut client), None);

    let line = logged(&file);
    assert_eq!(line["status"], 502, "{line}");
    assert_eq!(line["error"], "status", "{line}");
    assert_eq!(line["aborted"], Value::Null, "{line}");
    assert_eq!(outcomes(&line), ["failed", "ok"]);
    let metrics = gateway.admin().get("/metrics").expect(200).text();
    let counted = |line: &str| line.contains("route=\"flow\"") && line.contains("cause=\"status\"");
    assert!(metrics.lines().any(counted), "{metrics}");
}

#[test]
fn what_fails_before_the_first_part_is_an_answer_like_any_other() {
    let (fast, held) = (
        Upstream::saying(Answer::never()),
        Upstream::saying(Answer::status(404)),
    );
    let gateway = TestGateway::start(&flow(&fast, &held));
    let reply = gateway.ask("GET", "/7", &[LINES], b"").expect(404);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(reply.json()["step"], "held");
    fast.wait_for_abandoned(1);
}

#[test]
fn refusals_of_the_guard_are_answers_like_any_other() {
    let (fast, held) = (well(), well());
    let text = flow(&fast, &held).replace("127.9.9.9", "127.0.0.0/8");
    let gateway = TestGateway::start(&text);
    let reply = gateway.ask("GET", "/7", &[LINES], b"").expect(403);
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(fast.count() + held.count(), 0);
}

#[test]
fn a_client_that_does_not_ask_for_parts_gets_the_answer_whole() {
    let (fast, held) = (well(), Upstream::saying(Answer::json("2")));
    let gateway = TestGateway::start(&flow(&fast, &held));
    for accept in [
        "*/*",
        "application/json",
        "text/event-stream;q=0.5, application/json",
        "application/x-ndjson;q=0, */*",
    ] {
        let reply = gateway
            .ask("GET", "/7", &[("accept", accept)], b"")
            .expect(200);
        assert_eq!(
            reply.text(),
            "{\"held\":2,\"fast\":{\n \"n\": 0.10\n}}",
            "{accept}"
        );
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("vary"), Some("accept"));
    }
    // A route that does not say so sends nothing in parts.
    let gateway = TestGateway::start(&flow(&fast, &held).replace("progressive = true", ""));
    let reply = gateway.ask("GET", "/7", &[EVENTS], b"").expect(200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("vary"), None);
}

#[test]
fn the_deadline_holds_in_the_middle_of_an_answer() {
    let (fast, held) = (well(), Upstream::saying(Answer::never()));
    let text = flow(&fast, &held).replace("timeout = \"20s\"", "timeout = \"300ms\"");
    let gateway = TestGateway::start(&text);
    let mut client = gateway.client();
    client.send(request("GET", "/7", &[LINES], b""));
    client.head();
    assert_eq!(line(&mut client)["part"], "fast");
    let end = line(&mut client);
    assert_eq!(end["status"], 504, "{end}");
    held.wait_for_abandoned(1);
}

#[test]
fn a_client_that_takes_nothing_holds_the_flow_back() {
    const BYTES: u64 = 24 << 20;
    let upstream = Upstream::start(|request| {
        let path = request.first.split(' ').nth(1).unwrap();
        if path != "/large" {
            return Answer::json(&format!("\"{}\"", path.trim_start_matches('/')));
        }
        Answer::raw(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n\""
        ))
        .fill(BYTES - 2)
        .send("\"")
    });
    let gateway = TestGateway::start(&format!(
        r#"
        [upstreams.u]
        endpoints = ["{}"]
        [[routes]]
        path = "/"
        progressive = true
        part_bytes = "32MiB"
        [routes.steps.large]
        call = "GET u:/large"
        [routes.steps.second]
        call = "GET u:/second"
        after = ["large"]
        [routes.steps.third]
        call = "GET u:/{{steps.second.body}}-and-third"
        "#,
        upstream.url()
    ));
    let mut client = gateway.client();
    client.send(request("GET", "/", &[LINES], b""));
    client.head();
    upstream.wait_for_requests(2);
    // The large part fills the way to the client, so nobody asks for what comes behind it.
    assert_eq!(upstream.count(), 2, "the third call waits for the client");
    let mut lines = String::new();
    while let Some(piece) = chunk(&mut client) {
        lines += &piece;
    }
    let starts = lines.lines().map(|line| line.chars().take(15).collect());
    let parts: Vec<String> = starts.collect();
    assert_eq!(
        parts,
        [
            r#"{"part":"large""#,
            r#"{"part":"second"#,
            r#"{"part":"third""#,
            r#"{"end":"ok","st"#
        ]
    );
    assert!(lines.len() as u64 > BYTES);
    assert_eq!(upstream.count(), 3);
}
