//! What composing promises: equal answers every time, values that stay data, calls that are counted,
//! and an end as soon as the outcome is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::message::Reply;
use crate::support::{Answer, Gate, TestGateway, Upstream};

/// Answers as scripted by path, each only when its gate is open.
fn gated(answers: &'static [(&'static str, &'static str)], gates: &[Gate]) -> Upstream {
    let gates = gates.to_vec();
    Upstream::start(move |request| {
        let path = request.first.split(' ').nth(1).unwrap();
        let place = answers.iter().position(|(known, _)| *known == path);
        match place {
            None => Answer::status(500),
            Some(place) => Answer::json(answers[place].1).behind(&gates[place]),
        }
    })
}

/// The whole answer, but for what names the request and its time.
fn lasting(reply: Reply) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let own = ["date", "x-request-id"];
    let headers = reply.headers.into_iter();
    let headers = headers.filter(|(name, _)| !own.contains(&name.as_str()));
    (reply.status, headers.collect(), reply.body)
}

const ANSWERS: &[(&str, &str)] = &[
    ("/a", r#"{ "id":1, "n":{"x":1.0,"y":[ ]}, "only_a":1e400 }"#),
    ("/b", r#"{"id":2,"n":{"z":0.10,"x":2},"only_b":"\u00e9"}"#),
    ("/c", r#"{"n":{"x":3},"id":3}"#),
    ("/list", "[3, 1, 2, 3]"),
    ("/3", "\"three\""),
    ("/1", "\"one\""),
    ("/2", "\"two\""),
];

const OBJECTS: &str = r#"
    steps.a = { call = "GET u:/a" }
    steps.b = { call = "GET u:/b" }
    steps.c = { call = "GET u:/c" }
    steps.gone = { call = "GET u:/gone", optional = true }
"#;

const LISTS: &str = r#"
    steps.list = { call = "GET u:/list" }
    steps.each = { call = "GET u:/{item}", foreach = "steps.list.body" }
"#;

/// A flow of these steps and this response; `turn` says which upstream answers first.
fn answered(steps: &str, response: &str, turn: usize) -> Reply {
    let gates: Vec<Gate> = ANSWERS.iter().map(|_| Gate::new()).collect();
    let upstream = gated(ANSWERS, &gates);
    let gateway = TestGateway::start(&format!(
        r#"
        [upstreams.u]
        endpoints = ["{}"]
        [[routes]]
        path = "/"
        {steps}
        {response}
        "#,
        upstream.url()
    ));
    let asked = std::thread::spawn(move || gateway.get("/").expect(200));
    for place in 0..gates.len() {
        gates[(place + turn * 2) % gates.len()].open();
    }
    asked.join().unwrap()
}

#[test]
fn three_equal_runs_of_any_merge_give_byte_equal_answers() {
    let flows = [
        (OBJECTS, ""),
        (OBJECTS, "response.merge = \"nest\""),
        (
            OBJECTS,
            "response = { merge = \"flatten\", on_conflict = \"first\" }",
        ),
        (
            OBJECTS,
            "response = { merge = \"flatten\", on_conflict = \"last\" }",
        ),
        (
            OBJECTS,
            "response = { merge = \"deep\", on_conflict = \"first\" }",
        ),
        (
            OBJECTS,
            "response = { merge = \"deep\", on_conflict = \"last\" }",
        ),
        (LISTS, "response.merge = \"concat\""),
        (LISTS, ""),
        (
            OBJECTS,
            r#"response.body = "{'all': [steps.a.body, steps.b.body].map(p, p.n), 'c': steps.c.body, 'gone': steps.gone.outcome}""#,
        ),
    ];
    for (steps, response) in flows {
        let first = lasting(answered(steps, response, 0));
        for turn in 1..3 {
            assert_eq!(
                first,
                lasting(answered(steps, response, turn)),
                "{response}"
            );
        }
    }
}

#[test]
fn three_equal_runs_of_the_first_to_succeed_have_one_body() {
    // Whether the other has failed or was cancelled is told in a field: that is a race by nature.
    let steps = "steps.gone = { call = \"GET u:/gone\" }\nsteps.a = { call = \"GET u:/a\" }";
    for turn in 0..3 {
        let reply = answered(steps, "response.merge = \"first\"", turn);
        assert_eq!(reply.text(), ANSWERS[0].1);
    }
}

/// A call whose path, query, field and body hold what the client says.
fn holes(upstream: &Upstream) -> TestGateway {
    TestGateway::start(&format!(
        r#"
        [upstreams.u]
        endpoints = ["{}"]
        [[routes]]
        path = "/path"
        steps.s = {{ call = "GET u:/v1/users/{{query.v}}/orders" }}
        [[routes]]
        path = "/query"
        steps.s = {{ call = "GET u:/v1/users?name={{query.v}}&role=guest", query = {{ also = "query.v" }} }}
        [[routes]]
        path = "/header"
        steps.s = {{ call = "GET u:/v1/users", headers = {{ x-name = "{{query.v}}" }} }}
        [[routes]]
        path = "/json"
        methods = ["POST"]
        steps.s = {{ call = "POST u:/v1/users", body = "{{'name': query.v, 'role': 'guest'}}" }}
        "#,
        upstream.url()
    ))
}

#[test]
fn a_path_hole_filled_with_a_path_stays_one_segment() {
    let upstream = Upstream::saying(Answer::json("1"));
    let gateway = holes(&upstream);
    gateway.get("/path?v=..%2Fadmin%3Fx%3D1%23").expect(200);
    assert_eq!(
        upstream.requests()[0].first,
        "GET /v1/users/..%2Fadmin%3Fx%3D1%23/orders HTTP/1.1"
    );
    // A segment that is a step up is no data: the step fails before anything is sent.
    gateway.get("/path?v=..").expect(500);
    gateway.get("/path?v=%2E%2E").expect(500);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_query_hole_filled_with_a_parameter_stays_one_value() {
    let upstream = Upstream::saying(Answer::json("1"));
    let gateway = holes(&upstream);
    gateway.get("/query?v=x%26admin%3Dtrue%23%2B").expect(200);
    assert_eq!(
        upstream.requests()[0].first,
        "GET /v1/users?name=x%26admin%3Dtrue%23%2B&role=guest&also=x%26admin%3Dtrue%23%2B HTTP/1.1"
    );
}

#[test]
fn a_header_hole_filled_with_a_line_end_is_refused() {
    let upstream = Upstream::saying(Answer::json("1"));
    let gateway = holes(&upstream);
    for evil in ["a%0D%0Ax-admin:%20true", "a%0Ab", "a%0Db", "a%00b"] {
        let reply = gateway.get(&format!("/header?v={evil}")).expect(500);
        assert_eq!(reply.json()["step"], "s");
    }
    assert_eq!(upstream.count(), 0, "nothing of it was sent");
    gateway.get("/header?v=Ann%20%22B%22,%20x:%20y").expect(200);
    let seen = upstream.requests().remove(0);
    assert_eq!(seen.header("x-name"), Some("Ann \"B\", x: y"));
    assert_eq!(seen.header("x-admin"), None);
}

#[test]
fn a_json_hole_filled_with_quotes_stays_one_text() {
    let upstream = Upstream::saying(Answer::json("1"));
    let gateway = holes(&upstream);
    let evil = "/json?v=x%22,%22role%22:%22admin%5C%0A";
    gateway.ask("POST", evil, &[], b"").expect(200);
    let seen: Value = serde_json::from_slice(&upstream.requests()[0].body).unwrap();
    let expected = json!({"name": "x\",\"role\":\"admin\\\n", "role": "guest"});
    assert_eq!(seen, expected);
}

#[test]
fn of_1000_ids_with_300_distinct_300_are_asked_few_at_once_and_1000_come_back_in_order() {
    const AT_ONCE: usize = 7;
    let ids: Vec<usize> = (0..1000).map(|place| place * 7919 % 300).collect();
    let list = Upstream::saying(Answer::json(&json!(ids).to_string()));
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let full = Gate::new();
    let items = {
        let (now, most, full) = (Arc::clone(&now), Arc::clone(&most), full.clone());
        Upstream::start(move |request| {
            let at_work = now.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(at_work, Ordering::SeqCst);
            // The first wait for one another: so many are at work at once.
            if at_work == AT_ONCE {
                full.open();
            }
            full.pass();
            // Before the answer is sent, so what comes after it is not counted with it.
            now.fetch_sub(1, Ordering::SeqCst);
            let id = request.first.split(' ').nth(1).unwrap();
            Answer::json(&format!("{{\"id\":{}}}", id.trim_start_matches('/')))
        })
    };
    let gateway = TestGateway::start(&format!(
        r#"
        [upstreams.list]
        endpoints = ["{}"]
        [upstreams.items]
        endpoints = ["{}"]
        [[routes]]
        path = "/"
        steps.list = {{ call = "GET list:/" }}
        [routes.steps.items]
        call = "GET items:/{{item}}"
        foreach = "steps.list.body"
        concurrency = {AT_ONCE}
        max_items = 1000
        [routes.response]
        body = "steps.items.body"
        "#,
        list.url(),
        items.url()
    ));
    let answer = gateway.get("/").expect(200).json();
    let expected: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
    assert_eq!(answer, Value::from(expected));
    assert_eq!(items.count(), 300);
    assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
}

#[test]
fn the_answer_of_a_flow_that_failed_is_out_while_a_call_is_held_and_the_call_is_cancelled() {
    let broken = Upstream::saying(Answer::status(500));
    let slow = Upstream::saying(Answer::never());
    let gateway = TestGateway::start(&format!(
        r#"
        [upstreams.broken]
        endpoints = ["{}"]
        [upstreams.slow]
        endpoints = ["{}"]
        [[routes]]
        path = "/"
        steps.wanted = {{ call = "GET slow:/" }}
        steps.broken = {{ call = "GET broken:/" }}
        "#,
        broken.url(),
        slow.url()
    ));
    // The slow upstream never answers: that there is an answer shows that nobody waited for it.
    let reply = gateway.get("/").expect(502);
    assert_eq!(reply.json()["step"], "broken");
    assert_eq!(
        reply.header("concertina-parts"),
        Some("wanted=cancelled, broken=failed;cause=status")
    );
    slow.wait_for_abandoned(1);
}
