//! Flows run on a stopped clock against upstreams that answer by script.

use std::time::Duration;

use super::state::StepState;
use super::trial::{Backends, Draft, Trial, fails, flow, flow_to, ok, plan, status, step};
use super::{FlowFault, Plan};
use crate::exchange::{BodyError, CallError};

/// Runs a flow of the steps and checks status, `Concertina-Parts` and body.
async fn check(drafts: &[Draft], backends: &Backends, parts: Option<&str>, body: &str) {
    let answer = Trial::default().answer(&plan(drafts), backends).await;
    assert_eq!(answer, (200, parts.map(str::to_owned), body.to_owned()));
}

/// Runs a flow of the steps and checks the status and the step that is to blame.
async fn refuse(drafts: &[Draft], backends: &Backends, status: u16, blamed: &str) {
    let (got, step, _) = Trial::default().error(&plan(drafts), backends).await;
    assert_eq!((got, step.as_deref()), (status, Some(blamed)));
}

fn unavailable() -> CallError {
    CallError::Unavailable {
        retry_after: Duration::from_secs(3),
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_under_way_is_small() {
    let (plan, backends) = (plan(&[step("a", "GET /a")]), Backends::new(&[]));
    let trial = Trial::default();
    let run = trial.run(&plan, &backends);
    // Of hundreds at once, all must stay in the processor's cache; a step's state is held once more
    // for each step.
    let bytes = [size_of_val(&*run), size_of::<StepState>()];
    assert!(bytes[0] <= 576 && bytes[1] <= 256, "{bytes:?} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_step_starts_the_moment_what_it_waits_for_is_there() {
    let drafts = [
        step("d", "GET /d/{steps.b.body}/{steps.c.body}"),
        step("a", "GET /a"),
        step("b", "GET /b/{steps.a.body}"),
        step("c", "GET /c"),
        step("e", "GET /e").after(&["c"]),
    ];
    let backends = Backends::new(&[
        ("/a", ok(10, "1")),
        ("/b/1", ok(10, "2")),
        ("/c", ok(50, "3")),
        ("/d/2/3", ok(5, "4")),
        ("/e", ok(5, "5")),
    ]);
    let body = r#"{"d":4,"a":1,"b":2,"c":3,"e":5}"#;
    check(&drafts, &backends, None, body).await;
    let seen = backends.seen.borrow();
    let expected = [
        "0 GET /a",
        "0 GET /c",
        "10 GET /b/1",
        "50 GET /d/2/3",
        "50 GET /e",
    ];
    assert_eq!(*seen, expected);
    assert_eq!(backends.elapsed(), 55);
    assert!(backends.cancelled.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_required_failure_ends_the_flow_and_cancels_the_slow() {
    let drafts = [step("slow", "GET /slow"), step("broken", "GET /broken")];
    let backends = Backends::new(&[
        ("/slow", ok(900, "1")),
        ("/broken", status(5, 500, "secret")),
    ]);
    let error = Trial::default().error(&plan(&drafts), &backends).await;
    let parts = "slow=cancelled, broken=failed;cause=status";
    assert_eq!(error, (502, Some("broken".into()), Some(parts.into())));
    assert_eq!(backends.elapsed(), 5);
    assert_eq!(*backends.cancelled.borrow(), ["5 /slow"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_cancels_every_call() {
    let drafts = [step("a", "GET /a"), step("b", "GET /b")];
    let backends = Backends::new(&[("/a", ok(500, "1")), ("/b", ok(500, "1"))]);
    let (trial, plan) = (Trial::default(), plan(&drafts));
    let run = trial.run(&plan, &backends);
    let left = tokio::time::timeout(Duration::from_millis(20), run).await;
    assert!(left.is_err());
    assert_eq!(*backends.cancelled.borrow(), ["20 /a", "20 /b"]);
}

#[tokio::test(start_paused = true)]
async fn the_outcome_table_of_the_contract() {
    let deadline = Duration::from_secs(1);
    for (script, expected) in [
        (status(1, 400, ""), 400),
        (status(1, 404, ""), 404),
        (status(1, 409, ""), 409),
        (status(1, 410, ""), 410),
        (status(1, 412, ""), 412),
        (status(1, 415, ""), 415),
        (status(1, 422, ""), 422),
        (status(1, 401, ""), 502),
        (status(1, 403, ""), 502),
        (status(1, 429, ""), 502),
        (status(1, 500, ""), 502),
        (status(1, 503, ""), 502),
        (status(1, 302, ""), 502),
        (fails(1, CallError::Connect("refused".into())), 502),
        (fails(1, CallError::Reset("reset".into())), 502),
        (fails(1, CallError::Malformed("x".into())), 502),
        (ok(1, "{\"a\":"), 502),
        (ok(1, "<html>"), 502),
        (ok(1, "{} {}"), 502),
        (ok(1, "{\"a\":1}").cut(), 502),
        (ok(1, "{}").headers(&[("content-encoding", "gzip")]), 502),
        (ok(1, "{}").body_never_ends(), 504),
        (ok(2000, "1"), 504),
        (fails(1, CallError::Timeout(deadline)), 504),
        (fails(1, CallError::Deadline), 504),
        (fails(1, unavailable()), 503),
        (
            fails(
                1,
                CallError::Overloaded {
                    retry_after: deadline,
                },
            ),
            503,
        ),
    ] {
        let backends = Backends::new(&[("/a", script), ("/b", ok(0, "1"))]);
        let drafts = [step("a", "GET /a"), step("b", "GET /b")];
        refuse(&drafts, &backends, expected, "a").await;
        assert!(backends.elapsed() <= 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_upstream_says_when_to_come_again() {
    let backends = Backends::new(&[("/a", fails(0, unavailable()))]);
    let plan = plan(&[step("a", "GET /a")]);
    let error = Trial::default().run(&plan, &backends).await.unwrap_err();
    assert_eq!(error.fault.retry_after(), Some(Duration::from_secs(3)));
}

#[tokio::test(start_paused = true)]
async fn an_optional_failure_is_named_and_its_default_stands_in() {
    let drafts = [
        step("profile", "GET /profile"),
        step("orders", "GET /orders").or("[]"),
        step("Offers", "GET /offers").optional(),
        step("slow", "GET /slow").optional(),
        step("ads", "GET /ads").when("steps.profile.body.ads"),
    ];
    let backends = Backends::new(&[
        ("/profile", ok(1, r#"{"ads":false}"#)),
        ("/orders", fails(1, CallError::Connect("refused".into()))),
        ("/offers", ok(1, "not json")),
        (
            "/slow",
            fails(3, CallError::Timeout(Duration::from_millis(3))),
        ),
    ]);
    let parts = "orders=defaulted;cause=connect, offers=failed;cause=decode, \
                 slow=failed;cause=timeout, ads=skipped";
    let body = r#"{"profile":{"ads":false},"orders":[],"Offers":null,"slow":null,"ads":null}"#;
    check(&drafts, &backends, Some(parts), body).await;
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_flow_answers_without_what_is_optional() {
    let drafts = [
        step("fast", "GET /fast"),
        step("slow", "GET /slow").or("{'none': true}"),
        step("dribble", "GET /dribble").optional(),
        step("behind", "GET /behind").after(&["slow"]).optional(),
        step("count", "value size(steps.slow.body)"),
    ];
    let backends = Backends::new(&[
        ("/fast", ok(1, "1")),
        ("/slow", ok(5000, "2")),
        ("/dribble", ok(1, "[1").body_never_ends()),
    ]);
    let parts = "slow=defaulted;cause=deadline, dribble=failed;cause=deadline, \
                 behind=failed;cause=deadline";
    let body = r#"{"fast":1,"slow":{"none":true},"dribble":null,"behind":null,"count":1}"#;
    check(&drafts, &backends, Some(parts), body).await;
    assert_eq!(backends.elapsed(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_step_timeout_bounds_the_body_too() {
    let mut slow = step("slow", "GET /slow").optional();
    slow.timeout = Some(Duration::from_millis(40));
    let backends = Backends::new(&[("/slow", ok(10, "[1").body_never_ends())]);
    let parts = "slow=failed;cause=timeout";
    check(&[slow], &backends, Some(parts), r#"{"slow":null}"#).await;
    assert_eq!(backends.elapsed(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_hole_without_a_value_fails_its_step() {
    let drafts = [
        step("a", "GET /a").optional(),
        step("b", "GET /b/{steps.a.body.id}"),
    ];
    let backends = Backends::new(&[("/a", status(1, 404, "")), ("/b/1", ok(1, "1"))]);
    refuse(&drafts, &backends, 500, "b").await;
    let backends = Backends::new(&[("/a", ok(1, "{\"id\":null}"))]);
    refuse(&drafts, &backends, 500, "b").await;
    assert_eq!(backends.seen.borrow().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn readers_see_how_a_step_ended() {
    let drafts = [
        step("a", "GET /a").optional(),
        step("b", "GET /b").when("steps.a.outcome == 'ok'"),
        step(
            "c",
            "value [steps.a.outcome, steps.a.status, steps.a.body, steps.b.outcome, steps.b.status]",
        ),
        step("d", "GET /d"),
        step(
            "e",
            "value steps.d.headers['x-total'] + steps.d.headers['x-two']",
        ),
    ];
    let backends = Backends::new(&[
        ("/a", status(1, 404, "{\"secret\":1}")),
        (
            "/d",
            ok(1, "").headers(&[("x-total", "7"), ("x-two", "a"), ("x-two", "b")]),
        ),
    ]);
    let parts = "a=failed;cause=status, b=skipped";
    let body = r#"{"a":null,"b":null,"c":["failed",404,null,"skipped",null],"d":null,"e":"7a, b"}"#;
    check(&drafts, &backends, Some(parts), body).await;
}

#[tokio::test(start_paused = true)]
async fn bytes_of_parts_come_out_as_they_went_in() {
    let parts = [
        r#"{"z":1e400,"a":12345678901234567890,"m":0.10,"e":"\u00e9\ud83d\ude00\/","é":-0.0}"#,
        r#"[ 1E+2 , "a\"b" ,  {"b":1,"a":2,"b":3} ]"#,
        "\"text\"",
        "",
    ];
    let drafts = [
        step("one", "GET /one"),
        step("two", "GET /two"),
        step("three", "GET /three"),
        step("four", "GET /four"),
    ];
    let expected = format!(
        r#"{{"one":{},"two":{},"three":{},"four":null}}"#,
        parts[0], parts[1], parts[2]
    );
    // Whatever the order of arrival, three runs give the same bytes.
    for delays in [[1, 2, 3, 4], [4, 3, 2, 1], [2, 2, 1, 9]] {
        let backends = Backends::new(&[
            ("/one", ok(delays[0], parts[0])),
            ("/two", ok(delays[1], parts[1])),
            ("/three", ok(delays[2], parts[2])),
            ("/four", ok(delays[3], parts[3])),
        ]);
        check(&drafts, &backends, None, &expected).await;
        let plan = Plan::new(flow_to(
            &drafts,
            "{'one': steps.one.body, 'two': steps.two.body, 'three': steps.three.body, 'four': steps.four.body}",
        ))
        .unwrap();
        let answer = Trial::default().answer(&plan, &backends).await;
        assert_eq!(answer.2, expected);
        let plan = Plan::new(flow_to(
            &drafts[..1],
            "[steps.one.body.z, steps.one.body.a, {'x': steps.one.body.m, 'y': steps.one.body.e}]",
        ))
        .unwrap();
        let answer = Trial::default().answer(&plan, &backends).await;
        let picked = r#"[1e400,12345678901234567890,{"x":0.10,"y":"\u00e9\ud83d\ude00\/"}]"#;
        assert_eq!(answer.2, picked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_beyond_its_bounds_is_a_failure() {
    let mut spec = flow(&[step("a", "GET /a")]);
    spec.part_bytes = 10;
    let plan = Plan::new(spec).unwrap();
    let trial = Trial::default();
    let backends = Backends::new(&[("/a", ok(1, "[1,2,3,4,5]"))]);
    let error = trial.run(&plan, &backends).await.unwrap_err();
    let too_large = BodyError::TooLarge { limit: 10 };
    let fault = FlowFault::Upstream(CallError::ResponseBody(too_large));
    assert_eq!(error.fault, fault);
    assert_eq!(error.fault.cause(), "too-large");

    let bomb: &'static str = Box::leak("[".repeat(1_000_000).into_boxed_str());
    let backends = Backends::new(&[("/a", ok(1, bomb))]);
    refuse(&[step("a", "GET /a")], &backends, 502, "a").await;
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    let deep: &'static str = Box::leak(deep.into_boxed_str());
    let backends = Backends::new(&[("/a", ok(1, deep))]);
    refuse(&[step("a", "GET /a")], &backends, 502, "a").await;
}

#[tokio::test(start_paused = true)]
async fn success_is_any_2xx_and_what_the_step_accepts() {
    for code in [200, 201, 202, 203, 204, 206, 299] {
        let body = if code == 204 { "" } else { "1" };
        let merged = if code == 204 { "null" } else { "1" };
        let backends = Backends::new(&[("/a", status(1, code, body))]);
        let expected = format!(r#"{{"a":{merged}}}"#);
        check(&[step("a", "GET /a")], &backends, None, &expected).await;
    }
    let mut lenient = step("a", "GET /a");
    lenient.accept = &["2xx", "404"];
    for body in ["", "<h1>not found</h1>"] {
        let backends = Backends::new(&[("/a", status(1, 404, body))]);
        check(
            std::slice::from_ref(&lenient),
            &backends,
            None,
            r#"{"a":null}"#,
        )
        .await;
    }
    let backends = Backends::new(&[("/a", status(1, 201, "1"))]);
    let mut narrow = step("a", "GET /a");
    narrow.accept = &["200"];
    refuse(&[narrow], &backends, 502, "a").await;
}

#[tokio::test(start_paused = true)]
async fn a_call_carries_what_the_step_says_and_no_more() {
    let mut call =
        step("a", "POST /a/{path.user}?x={query.q}").body("{'id': path.user, 'n': 0.10}");
    call.headers = &[
        ("x-user", "u-{path.user}"),
        ("accept", "application/vnd.x+json"),
    ];
    call.query = &[
        ("page", "1 + 1"),
        ("q", "query.q"),
        ("none", "query[?'none']"),
    ];
    call.forward = &["accept-language", "connection", "x-absent"];
    let backends = Backends::new(&[("/a/..%2Fadmin%3Fx%3D1%23", ok(1, "1"))]);
    let mut trial = Trial::default();
    trial.scope.user = "../admin?x=1#";
    trial.scope.query.insert("q", "a&admin=true b");
    let (code, _, _) = trial.answer(&plan(&[call]), &backends).await;
    assert_eq!(code, 200);
    let requests = backends.requests.borrow();
    let (target, headers, body) = &requests[0];
    assert_eq!(
        target,
        "/a/..%2Fadmin%3Fx%3D1%23?x=a%26admin%3Dtrue%20b&page=2&q=a%26admin%3Dtrue%20b"
    );
    assert_eq!(body.as_ref(), br#"{"id":"../admin?x=1#","n":0.1}"#);
    let names: Vec<&str> = headers.iter().map(|(_, name, _)| name).collect();
    let expected = [
        "accept-encoding",
        "traceparent",
        "tracestate",
        "x-request-id",
        "accept-language",
        "content-type",
        "x-user",
        "accept",
    ];
    assert_eq!(names, expected);
    assert_eq!(headers.get_str("x-user"), Some("u-../admin?x=1#"));
    assert_eq!(headers.get_str("x-request-id"), Some("request-1"));
}

#[tokio::test(start_paused = true)]
async fn a_forwarded_field_stands_once_and_the_trace_is_the_gateways() {
    let mut call = step("a", "GET /a");
    call.forward = &[
        "accept",
        "tracestate",
        "traceparent",
        "x-request-id",
        "accept",
    ];
    let backends = Backends::new(&[("/a", ok(1, "1"))]);
    check(&[call], &backends, None, r#"{"a":1}"#).await;
    let requests = backends.requests.borrow();
    let headers = &requests[0].1;
    let accept: Vec<&[u8]> = headers.get_all("accept").collect();
    assert_eq!(accept, [b"application/hal+json"]);
    assert_eq!(headers.get_all("tracestate").count(), 1);
    assert_eq!(headers.get_all("traceparent").count(), 1);
    assert_eq!(headers.get_str("x-request-id"), Some("request-1"));
}

#[tokio::test(start_paused = true)]
async fn a_header_hole_with_line_breaks_is_refused() {
    let mut call = step("a", "GET /a");
    call.headers = &[("x-user", "{path.user}")];
    let backends = Backends::new(&[("/a", ok(1, "1"))]);
    let plan = plan(&[call]);
    for hostile in ["a\r\nx-admin: 1", "a\nb", "a\0b", "a\rb"] {
        let mut trial = Trial::default();
        trial.scope.user = hostile;
        let (code, blamed, _) = trial.error(&plan, &backends).await;
        assert_eq!((code, blamed.as_deref()), (500, Some("a")));
    }
    assert!(backends.seen.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_clients_body_is_read_as_the_plan_needs_it() {
    let as_it_came = plan(&[step("a", "PUT /a").body("client")]);
    let read = plan(&[step("a", "PUT /a").body("{'sku': body.sku}")]);
    let unread = plan(&[step("a", "GET /a")]);
    let backends = Backends::new(&[("/a", ok(1, "1"))]);
    let mut trial = Trial::default();
    for (plan, body, sent) in [
        (&as_it_came, "not { json", "not { json"),
        (&as_it_came, "", ""),
        (&read, r#"{"sku":"\u00e9", "x":1}"#, r#"{"sku":"\u00e9"}"#),
        (&unread, "not { json", ""),
    ] {
        trial.body = body;
        assert_eq!(trial.answer(plan, &backends).await.0, 200);
        assert_eq!(backends.requests.borrow().last().unwrap().2, sent);
    }
    let calls = backends.seen.borrow().len();
    for (body, expected) in [("{\"sku\":", 400), ("[1] x", 400)] {
        trial.body = body;
        assert_eq!(trial.error(&read, &backends).await, (expected, None, None));
    }
    trial.body_bytes = 5;
    trial.body = "[1,2,3]";
    assert_eq!(trial.error(&read, &backends).await.0, 413);
    assert_eq!(trial.error(&as_it_came, &backends).await.0, 413);
    assert_eq!(
        backends.seen.borrow().len(),
        calls,
        "refused before any call"
    );
}
