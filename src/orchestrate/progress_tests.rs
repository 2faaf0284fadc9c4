//! What is given away of a run, and when, on a stopped clock.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::Instant;

use super::trial::{Backends, Trial, fails, flow, flow_to, ok, plan, status, step, text};
use super::{
    FinalPart, FlowAnswer, FlowError, FlowInput, Merge, Outlet, PartReport, Plan, ResponseSpec,
};
use crate::decode::Content;
use crate::exchange::{Body, CallError};

/// `12 name outcome body`: milliseconds, and what was given away.
struct Given {
    start: Instant,
    parts: RefCell<Vec<String>>,
    outcomes: RefCell<Vec<&'static str>>,
}

impl Outlet for Given {
    fn part(&self, part: FinalPart) {
        let ms = self.start.elapsed().as_millis();
        let outcome = part.outcome.as_str();
        self.parts
            .borrow_mut()
            .push(format!("{ms} {} {outcome} {}", part.name, part.body));
    }

    fn stands(&self, parts: Vec<PartReport>) {
        *self.outcomes.borrow_mut() = parts.iter().map(|part| part.outcome.as_str()).collect();
    }
}

async fn given(plan: &Plan, backends: &Backends) -> (Result<FlowAnswer, FlowError>, Vec<String>) {
    let trial = Trial::default();
    let given = Given {
        start: Instant::now(),
        parts: RefCell::default(),
        outcomes: RefCell::default(),
    };
    let input = FlowInput {
        scope: &trial.scope,
        exchange: &trial.exchange,
        body: Body::Empty,
        content: Content::of(&trial.exchange.headers),
        body_bytes: 0,
        deadline: Instant::now() + Duration::from_secs(1),
        call: backends,
    };
    let ended = plan.run_progressively(input, &given).await;
    (ended, given.parts.take())
}

#[tokio::test(start_paused = true)]
async fn each_part_is_given_away_the_moment_it_is_final() {
    let drafts = [
        step("slow", "GET /slow"),
        step("fast", "GET /fast"),
        step("next", "GET /next/{steps.fast.body}"),
        step("none", "GET /none").or("[]"),
    ];
    let backends = Backends::new(&[
        ("/slow", ok(50, "{ \"z\": 1e400 }")),
        ("/fast", ok(10, "1")),
        ("/next/1", ok(10, "2")),
        ("/none", status(30, 500, "")),
    ]);
    let (ended, parts) = given(&plan(&drafts), &backends).await;
    let expected = [
        "10 fast ok 1",
        "20 next ok 2",
        "30 none defaulted []",
        "50 slow ok { \"z\": 1e400 }",
    ];
    assert_eq!(parts, expected);
    let answer = ended.unwrap();
    assert_eq!(answer.status.as_u16(), 200);
    let outcomes: Vec<&str> = answer.parts.iter().map(|it| it.outcome.as_str()).collect();
    assert_eq!(outcomes, ["ok", "ok", "ok", "defaulted"]);
}

#[tokio::test(start_paused = true)]
async fn a_member_of_the_body_is_given_away_when_the_steps_that_it_reads_are_there() {
    let drafts = [
        step("a", "GET /a"),
        step("b", "GET /b"),
        step("c", "GET /c"),
    ];
    let scripts = [
        ("/a", ok(10, "1")),
        ("/b", ok(20, "2")),
        ("/c", ok(30, "{\"secret\":0,\"open\":3}")),
    ];
    let body = "{'kind': 'sum', 'sum': steps.a.body + steps.b.body, 'a': steps.a.body, 'open': steps.c.body.open}";
    let plan = Plan::new(flow_to(&drafts, body)).unwrap();
    let (ended, parts) = given(&plan, &Backends::new(&scripts)).await;
    ended.unwrap();
    let expected = [
        "10 kind ok \"sum\"",
        "10 a ok 1",
        "20 sum ok 3",
        "30 open ok 3",
    ];
    assert_eq!(parts, expected);
    // Side by side they are the answer that other clients get.
    let whole = Trial::default().run(&plan, &Backends::new(&scripts)).await;
    let whole = text(whole.unwrap().body).await;
    assert_eq!(whole, r#"{"kind":"sum","sum":3,"a":1,"open":3}"#);
}

#[tokio::test(start_paused = true)]
async fn a_required_failure_ends_what_is_given_away() {
    let drafts = [
        step("a", "GET /a"),
        step("b", "GET /b"),
        step("slow", "GET /slow"),
    ];
    let backends = Backends::new(&[
        ("/a", ok(10, "1")),
        ("/b", fails(20, CallError::Reset("gone".to_owned()))),
        ("/slow", ok(500, "2")),
    ]);
    let (ended, parts) = given(&plan(&drafts), &backends).await;
    assert_eq!(parts, ["10 a ok 1"]);
    let error = ended.unwrap_err();
    assert_eq!(error.fault.status().as_u16(), 502);
    assert_eq!(error.step.as_deref(), Some("b"));
    assert_eq!(*backends.cancelled.borrow(), ["20 /slow"]);
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_waiting_does_not_go_out_before_there_was_an_answer() {
    let drafts = [step("v", "value 1"), step("a", "GET /a")];
    let backends = Backends::new(&[("/a", status(10, 500, ""))]);
    let (ended, parts) = given(&plan(&drafts), &backends).await;
    ended.unwrap_err();
    assert!(parts.is_empty(), "{parts:?}");
    let only = [step("v", "value 1")];
    let (ended, parts) = given(&plan(&only), &Backends::new(&[])).await;
    ended.unwrap();
    assert_eq!(parts, ["0 v ok 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_member_without_a_value_fails_the_flow() {
    let drafts = [step("a", "GET /a"), step("b", "GET /b")];
    let backends = Backends::new(&[("/a", ok(10, "1")), ("/b", ok(20, "2"))]);
    let body = "{'a': steps.a.body, 'b': steps.b.body.none}";
    let plan = Plan::new(flow_to(&drafts, body)).unwrap();
    let (ended, parts) = given(&plan, &backends).await;
    assert_eq!(parts, ["10 a ok 1"]);
    assert_eq!(ended.unwrap_err().fault.status().as_u16(), 500);
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_what_is_optional_is_given_away_as_failed() {
    let drafts = [step("a", "GET /a"), step("slow", "GET /slow").optional()];
    let backends = Backends::new(&[("/a", ok(10, "1")), ("/slow", ok(9_000, "2"))]);
    let (ended, parts) = given(&plan(&drafts), &backends).await;
    assert_eq!(parts, ["10 a ok 1", "1000 slow failed null"]);
    assert_eq!(ended.unwrap().status.as_u16(), 200);
}

#[test]
fn only_a_body_of_members_can_be_given_away() {
    let drafts = [step("a", "GET /a"), step("b", "GET /b")];
    let progresses = |response: ResponseSpec| {
        let mut spec = flow(&drafts);
        spec.response = response;
        spec.may_progress()
    };
    assert!(progresses(ResponseSpec::default()));
    for merge in [Merge::Flatten, Merge::Deep, Merge::Concat, Merge::First] {
        let response = ResponseSpec {
            merge,
            ..Default::default()
        };
        assert!(!progresses(response), "{merge:?}");
    }
    let response = ResponseSpec {
        status: Some(http::StatusCode::NO_CONTENT),
        ..Default::default()
    };
    assert!(!progresses(response));
    for (body, expected) in [
        ("{'a': steps.a.body, \"b\": steps.b.body}", true),
        ("{steps.a.body: 1, 'b': steps.b.body}", false),
        ("{?'a': steps.a.?body, 'b': steps.b.body}", false),
        ("{'a': steps.a.body, 'a': steps.b.body}", false),
        ("[steps.a.body, steps.b.body]", false),
        ("steps.a.body == steps.b.body", false),
    ] {
        let names = ["a".to_owned(), "b".to_owned()];
        let names = crate::expression::Names {
            steps: &names,
            ..Default::default()
        };
        let Ok(body) = crate::expression::Expression::compile(body, &names) else {
            assert!(!expected, "{body}");
            continue;
        };
        let response = ResponseSpec {
            body: Some(std::sync::Arc::new(body.clone())),
            ..Default::default()
        };
        assert_eq!(progresses(response), expected, "{body}");
    }
}
