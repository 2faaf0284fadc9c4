//! Steps that wait, and flows inside flows.

use std::time::Duration;

use super::trial::{Backends, Trial, each, fails, flow_to, ok, plan, status, step, text};
use super::{Merge, Outcome, Plan};
use crate::exchange::CallError;

#[tokio::test(start_paused = true)]
async fn a_wait_delays_what_comes_after_it_and_is_no_part() {
    let drafts = [
        step("a", "GET /a"),
        step("pause", "wait 30ms").after(&["a"]),
        step("b", "GET /b").after(&["pause"]),
        step("computed", "wait duration('5ms')"),
        step("past", "wait timestamp('2001-01-01T00:00:00Z')"),
        step("c", "GET /c").after(&["computed", "past"]),
    ];
    let backends = Backends::new(&[("/a", ok(10, "1")), ("/b", ok(1, "2")), ("/c", ok(1, "3"))]);
    let answer = Trial::default().answer(&plan(&drafts), &backends).await;
    assert_eq!(answer, (200, None, r#"{"a":1,"b":2,"c":3}"#.to_owned()));
    let expected = ["0 GET /a", "5 GET /c", "40 GET /b"];
    assert_eq!(*backends.seen.borrow(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_wait_keeps_to_the_deadline_and_to_its_kind() {
    let backends = Backends::new(&[("/a", ok(1, "1"))]);
    let long = [step("pause", "wait 99999ms"), step("a", "GET /a")];
    let error = Trial::default().error(&plan(&long), &backends).await;
    assert_eq!((error.0, error.1.as_deref()), (504, Some("pause")));
    assert_eq!(backends.elapsed(), 1000);
    let never = [
        step("pause", "wait timestamp('9999-01-01T00:00:00Z')").optional(),
        step("a", "GET /a"),
    ];
    let answer = Trial::default().answer(&plan(&never), &backends).await;
    let parts = "pause=failed;cause=deadline";
    assert_eq!(
        answer,
        (200, Some(parts.to_owned()), r#"{"a":1}"#.to_owned())
    );
    let wrong = [step("pause", "wait 'soon'"), step("a", "GET /a")];
    let error = Trial::default().error(&plan(&wrong), &backends).await;
    assert_eq!((error.0, error.1.as_deref()), (500, Some("pause")));
}

/// Fetches the orders of the user that its body names.
fn orders() -> Plan {
    Plan::new(flow_to(
        &[
            step("list", "GET /orders/{body.user}"),
            step("notes", "GET /notes/{body.user}").optional(),
        ],
        "{'orders': steps.list.body, 'notes': steps.notes.body}",
    ))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_flow_inside_a_flow_is_a_part() {
    let drafts = [
        step("user", "GET /user"),
        step("orders", "flow orders")
            .inside(orders())
            .body("{'user': steps.user.body.id}"),
        step(
            "first",
            "value [steps.orders.status, steps.orders.body.orders[0]]",
        ),
    ];
    let backends = Backends::new(&[
        ("/user", ok(5, r#"{"id":7}"#)),
        ("/orders/7", ok(10, "[1e400, 2]")),
        ("/notes/7", fails(1, CallError::Connect("refused".into()))),
    ]);
    let answer = Trial::default().answer(&plan(&drafts), &backends).await;
    let body =
        r#"{"user":{"id":7},"orders":{"orders":[1e400, 2],"notes":null},"first":[200,1e400]}"#;
    let parts = "orders.notes=failed;cause=connect";
    assert_eq!(answer, (200, Some(parts.to_owned()), body.to_owned()));

    let answer = Trial::default()
        .run(&plan(&drafts), &backends)
        .await
        .unwrap();
    let inner = answer
        .parts
        .iter()
        .find(|part| &*part.name == "orders.list");
    assert_eq!(inner.unwrap().started, Some(Duration::from_millis(5)));
}

#[tokio::test(start_paused = true)]
async fn a_flow_that_fails_inside_fails_the_step() {
    let outer = step("orders", "flow orders")
        .inside(orders())
        .body("{'user': 7}");
    let required = plan(std::slice::from_ref(&outer));
    let backends = Backends::new(&[
        ("/orders/7", status(1, 404, "")),
        ("/notes/7", ok(900, "1")),
    ]);
    let error = Trial::default().error(&required, &backends).await;
    let parts =
        "orders=failed;cause=status, orders.list=failed;cause=status, orders.notes=cancelled";
    assert_eq!(error, (404, Some("orders".into()), Some(parts.into())));
    assert_eq!(*backends.cancelled.borrow(), ["1 /notes/7"]);

    let optional = plan(&[outer.clone().or("{}")]);
    let answer = Trial::default().answer(&optional, &backends).await;
    assert_eq!(answer.2, r#"{"orders":{}}"#);

    let without = plan(&[step("orders", "flow orders").inside(orders())]);
    let error = Trial::default().error(&without, &backends).await;
    assert_eq!((error.0, error.1.as_deref()), (500, Some("orders")));
}

#[tokio::test(start_paused = true)]
async fn a_flow_inside_has_its_share_of_the_deadline() {
    let mut outer = step("orders", "flow orders")
        .inside(orders())
        .body("{'user': 7}")
        .optional();
    outer.timeout = Some(Duration::from_millis(50));
    let backends = Backends::new(&[("/orders/7", ok(10, "1")), ("/notes/7", ok(900, "1"))]);
    let answer = Trial::default().answer(&plan(&[outer]), &backends).await;
    assert_eq!(answer.2, r#"{"orders":{"orders":1,"notes":null}}"#);
    assert_eq!(backends.elapsed(), 50);
}

#[tokio::test(start_paused = true)]
async fn flows_are_run_for_each_item_and_pass_the_clients_body_on() {
    let each_user = step("all", "flow orders")
        .inside(orders())
        .foreach(each("body.users"))
        .body("{'user': item}");
    let backends = Backends::new(&[
        ("/orders/1", ok(10, "[1]")),
        ("/orders/2", ok(1, "[2]")),
        ("/notes/1", ok(1, "1")),
        ("/notes/2", ok(1, "2")),
    ]);
    let mut trial = Trial::sending(r#"{"users":[1,2,1]}"#);
    let answer = trial.answer(&plan(&[each_user]), &backends).await;
    let one = r#"{"orders":[1],"notes":1}"#;
    let body = format!(r#"{{"all":[{one},{{"orders":[2],"notes":2}},{one}]}}"#);
    assert_eq!(answer, (200, None, body));
    assert_eq!(backends.seen.borrow().len(), 4);

    let passing = plan(&[step("o", "flow orders").inside(orders()).body("client")]);
    trial.body = r#"{"user":2}"#;
    let answer = trial.answer(&passing, &backends).await;
    assert_eq!(answer.2, r#"{"o":{"orders":[2],"notes":2}}"#);
    trial.body = "not json";
    assert_eq!(trial.error(&passing, &backends).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn what_a_flow_inside_writes_the_outer_one_writes() {
    let pay = || plan(&[step("pay", "POST /pay")]);
    let outer = plan(&[step("flow", "flow pay").inside(pay())]);
    assert!(outer.writes());
    let facts = outer.facts(&|_| Duration::from_millis(7));
    assert_eq!(
        (facts.calls, facts.worst_time),
        (1, Duration::from_millis(7))
    );
    let twice = [
        step("one", "flow pay").inside(pay()),
        step("two", "flow pay").inside(pay()),
    ];
    assert!(Plan::new(super::trial::flow(&twice)).is_err());

    let timeout = CallError::Timeout(Duration::from_millis(1));
    let backends = Backends::new(&[("/pay", fails(1, timeout))]);
    let error = Trial::default().run(&outer, &backends).await.unwrap_err();
    assert_eq!(error.parts[0].outcome, Outcome::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_no_candidate_of_a_first_merge() {
    let drafts = [step("pause", "wait 1ms"), step("a", "GET /a")];
    let spec = super::trial::flow_with(&drafts, |spec, _| spec.response.merge = Merge::First);
    let backends = Backends::new(&[("/a", ok(20, "1"))]);
    let plan = Plan::new(spec).unwrap();
    let answer = Trial::default().run(&plan, &backends).await.unwrap();
    assert_eq!(text(answer.body).await, "1");
}
