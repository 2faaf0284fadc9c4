//! Parts that are kept: for equal calls, for a while, and in the place of calls that fail.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::client::request;
use crate::support::{Answer, Gate, TestGateway, Upstream, eventually};

/// One worker, so that it is known who shares with whom; `step` is the rest of the step `a`.
fn file(upstream: &Upstream, step: &str) -> String {
    format!(
        r#"
        [server]
        workers = 1
        access_log = "off"
        [[listen]]
        address = "127.0.0.1:0"
        [admin]
        address = "127.0.0.1:0"
        [upstreams.u]
        endpoints = ["{}"]
        [[routes]]
        name = "page"
        path = "/{{id}}"
        methods = ["GET"]
        timeout = "20s"
        steps.a = {{ call = "GET u:/v1/{{path.id}}", {step} }}
        "#,
        upstream.url()
    )
}

fn start(text: &str) -> TestGateway {
    TestGateway::start_exactly(tempfile::tempdir().unwrap(), text)
}

/// Answers with who asked and how often anybody did.
fn counting() -> Upstream {
    let count = AtomicUsize::new(0);
    Upstream::start(move |request| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let who = request.header("authorization").unwrap_or("nobody");
        Answer::json(&format!(r#"{{"for":"{who}","count":{number}}}"#))
    })
}

fn metrics(gateway: &TestGateway) -> String {
    gateway.admin().get("/metrics").expect(200).text()
}

/// Waits until so many requests are at work.
fn at_work(gateway: &TestGateway, count: usize) {
    let line = format!("concertina_requests_in_flight{{route=\"page\"}} {count}\n");
    eventually(&line, || metrics(gateway).contains(&line));
}

#[test]
fn a_hundred_equal_requests_at_once_are_one_call() {
    let gate = Gate::new();
    let upstream = Upstream::saying(Answer::json("[1]").behind(&gate));
    let gateway = start(&file(&upstream, r#"cache = "1h""#));
    let mut clients: Vec<_> = (0..100).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send(request("GET", "/7", &[], b""));
    }
    at_work(&gateway, 100);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.reply().expect(200).text(), r#"{"a":[1]}"#);
    }
    assert_eq!(upstream.count(), 1);
    gateway.get("/7").expect(200);
    gateway.get("/8").expect(200);
    assert_eq!(upstream.count(), 2);
    let metrics = metrics(&gateway);
    for (word, count) in [("hit", 1), ("shared", 99), ("miss", 2)] {
        let line = format!(
            "concertina_part_cache_total{{flow=\"/{{id}}\",step=\"a\",use=\"{word}\"}} {count}\n"
        );
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
}

#[test]
fn workers_keep_parts_of_their_own() {
    let upstream = counting();
    let text = file(&upstream, r#"cache = "1h""#).replace("workers = 1", "workers = 2");
    let gateway = start(&text);
    for _ in 0..40 {
        gateway.get("/7").expect(200);
    }
    assert!(upstream.count() <= 2, "{}", upstream.count());
}

#[test]
fn when_the_client_whose_call_it_was_leaves_another_s_is_made() {
    let count = AtomicUsize::new(0);
    let upstream = Upstream::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Answer::never(),
        _ => Answer::json("2"),
    });
    let gateway = start(&file(&upstream, r#"cache = "1h""#));
    let mut first = gateway.client();
    first.send(request("GET", "/7", &[], b""));
    upstream.wait_for_requests(1);
    let mut others: Vec<_> = (0..10).map(|_| gateway.client()).collect();
    for client in &mut others {
        client.send(request("GET", "/7", &[], b""));
    }
    at_work(&gateway, 11);
    assert_eq!(upstream.count(), 1);
    drop(first);
    for client in &mut others {
        assert_eq!(client.reply().expect(200).text(), r#"{"a":2}"#);
    }
    upstream.wait_for_abandoned(1);
    assert_eq!(upstream.count(), 2);
}

#[test]
fn callers_who_are_known_to_the_upstream_do_not_share() {
    let upstream = counting();
    let gateway = start(&file(
        &upstream,
        r#"forward = ["authorization"], headers = { x-tenant = "{cookies.?tenant.orValue('none')}" }, cache = "1h""#,
    ));
    let ask = |who: &str, cookie: &str| {
        let headers = [("authorization", who), ("cookie", cookie), ("x-noise", who)];
        let part = gateway.ask("GET", "/7", &headers, b"").expect(200).json();
        assert_eq!(part["a"]["for"], who);
        part["a"]["count"].as_u64().unwrap()
    };
    assert_eq!(ask("Bearer ann", "tenant=1"), 1);
    assert_eq!(ask("Bearer bo", "tenant=1"), 2);
    assert_eq!(ask("Bearer ann", "tenant=1"), 1);
    assert_eq!(ask("Bearer ann", "tenant=2"), 3);
    assert_eq!(ask("Bearer ann", "tenant=1; other=1"), 1);
    let nobody = gateway.get("/7").expect(200).json();
    assert_eq!(nobody["a"]["for"], "nobody");
}

#[test]
fn what_sets_a_cookie_or_is_private_is_for_the_one_who_asked() {
    let count = AtomicUsize::new(0);
    let upstream = Upstream::start(move |request| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let field = if request.first.contains("/cookie") {
            ("set-cookie", "session=1")
        } else {
            ("cache-control", "private")
        };
        Answer::with("200 OK", &[field], &number.to_string())
    });
    let gateway = start(&file(
        &upstream,
        r#"cache = { ttl = "1h", stale_if_error = "1h" }"#,
    ));
    for (number, path) in ["/cookie", "/cookie", "/private", "/private"]
        .iter()
        .enumerate()
    {
        let reply = gateway.get(path).expect(200);
        assert_eq!(reply.text(), format!("{{\"a\":{number}}}"));
    }
}

#[test]
fn a_part_past_its_time_stands_in_when_the_upstream_fails_and_is_named() {
    let count = AtomicUsize::new(0);
    let upstream = Upstream::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        // Never fresh, so the next request asks again.
        0 => Answer::with("200 OK", &[("cache-control", "max-age=0")], "\"old\""),
        1 => Answer::status(503),
        2 => Answer::json("{broken"),
        3 => Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1").close(),
        4 => Answer::status(404),
        _ => Answer::json("\"new\""),
    });
    let gateway = start(&file(
        &upstream,
        r#"optional = true, default = "'none'", cache = { ttl = "1h", stale_if_error = "1h" }"#,
    ));
    let stale = Some("a=ok;stale");
    for (part, parts) in [
        ("old", None),
        ("old", stale),
        ("old", stale),
        ("old", stale),
        ("none", Some("a=defaulted;cause=status")),
        ("new", None),
        ("new", None),
    ] {
        let reply = gateway.get("/7").expect(200);
        assert_eq!(reply.json()["a"], part);
        assert_eq!(reply.header("concertina-parts"), parts);
    }
    assert_eq!(upstream.count(), 6);
    assert!(metrics(&gateway).contains("step=\"a\",use=\"stale\"} 3\n"));
}

#[test]
fn parts_outlive_a_reload_that_leaves_their_upstream_as_it_is() {
    let upstream = counting();
    let text = file(&upstream, r#"cache = "1h""#);
    let gateway = start(&text);
    let count = |text: &str| {
        let next = gateway.folder().join("routes.toml.next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, gateway.file()).unwrap();
        gateway.gateway.reload();
        gateway.get("/7").expect(200).json()["a"]["count"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(count(&text), 1);
    let other = format!("{text}\n[[routes]]\npath = \"/x/y\"\nredirect = \"/\"\n");
    assert_eq!(count(&other), 1);
    let changed = text.replace("[[routes]]", "timeout = \"7s\"\n[[routes]]");
    assert_eq!(count(&changed), 2);
    let without = text.replace(", cache = \"1h\"", "");
    assert_eq!(count(&without), 3);
    assert_eq!(count(&text), 4, "what is no longer kept is forgotten");
}
