//! Calls that are made twice because the first is slow.

use std::time::Duration;

use super::Plan;
use super::trial::{Backends, Draft, Trial, flow, ok, plan, status, step};

fn hedged(does: &'static str, delay: u64) -> Draft {
    let mut draft = step("a", does);
    draft.hedge = Some(Duration::from_millis(delay));
    draft
}

#[tokio::test(start_paused = true)]
async fn a_fast_answer_is_asked_for_once() {
    let plan = plan(&[hedged("GET /a", 20)]);
    let backends = Backends::new(&[("/a", ok(19, "1"))]);
    let answer = Trial::default().answer(&plan, &backends).await;
    assert_eq!(answer.2, r#"{"a":1}"#);
    assert_eq!(backends.seen.borrow().len(), 1);
    assert_eq!(plan.facts(&|_| Duration::ZERO).calls, 2);
}

#[tokio::test(start_paused = true)]
async fn the_first_good_answer_of_two_counts() {
    let plan = plan(&[hedged("GET /a", 20)]);
    for (first, second, expected, end, cancelled) in [
        (ok(900, "1"), ok(5, "2"), "2", 25, "25 /a"),
        (ok(30, "1"), ok(50, "2"), "1", 30, "30 /a"),
        (status(30, 500, ""), ok(50, "2"), "2", 70, ""),
        (ok(90, "1"), status(5, 500, ""), "1", 90, ""),
    ] {
        let backends = Backends::new(&[("/a", first)]).then("/a", second);
        let answer = Trial::default().answer(&plan, &backends).await;
        assert_eq!(answer.2, format!("{{\"a\":{expected}}}"));
        assert_eq!(*backends.seen.borrow(), ["0 GET /a", "20 GET /a"]);
        assert_eq!(backends.elapsed(), end);
        assert_eq!(backends.cancelled.borrow().join(" "), cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn when_both_fail_the_first_says_why() {
    let plan = plan(&[hedged("GET /a", 20)]);
    let backends = Backends::new(&[("/a", status(60, 404, ""))]).then("/a", status(1, 500, ""));
    let error = Trial::default().error(&plan, &backends).await;
    assert_eq!((error.0, backends.elapsed()), (404, 60));
    // A failure before the second call is made is not waited upon.
    let backends = Backends::new(&[("/a", status(10, 404, ""))]);
    let error = Trial::default().error(&plan, &backends).await;
    assert_eq!((error.0, backends.elapsed()), (404, 10));
}

#[test]
fn what_may_not_be_done_twice_is_not_hedged() {
    let found = Plan::new(flow(&[hedged("POST /a", 20)])).unwrap_err();
    let text = "step `a` has `hedge`, and its call may not be made twice";
    assert_eq!(found[0].kind.to_string(), text);
    let mut keyed = hedged("POST /a", 20);
    keyed.headers = &[("idempotency-key", "order-{path.user}")];
    assert!(Plan::new(flow(&[keyed])).is_ok());
    assert!(Plan::new(flow(&[hedged("PUT /a", 20)])).is_ok());
}
