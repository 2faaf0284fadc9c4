//! Steps that are done once for each item.

use std::time::Duration;

use super::trial::{Backends, Draft, Each, Script, Trial, each, fails, ok, plan, status, step};
use crate::exchange::CallError;

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// A step that gets `/item/{item}` for each id of `/ids`.
fn items(foreach: Each) -> [Draft; 2] {
    [
        step("ids", "GET /ids"),
        step("items", "GET /item/{item}").foreach(foreach),
    ]
}

fn backends(ids: &'static str, scripts: &[(&'static str, Script)]) -> Backends {
    let mut all = vec![("/ids", ok(0, ids))];
    all.extend_from_slice(scripts);
    Backends::new(&all)
}

#[tokio::test(start_paused = true)]
async fn of_a_thousand_ids_the_distinct_are_fetched_a_few_at_once_and_in_order() {
    let ids: Vec<usize> = (0..1000).map(|place| (place * 7) % 300).collect();
    let text = leak(format!("{ids:?}"));
    // The later an id, the sooner its answer.
    let scripts: Vec<(&'static str, Script)> = (0..300)
        .map(|id| {
            let body = leak(format!("{{\"id\":{id}.0}}"));
            (leak(format!("/item/{id}")), ok(300 - id, body))
        })
        .collect();
    let mut foreach = each("steps.ids.body");
    foreach.max_items = 1000;
    let plan = plan(&items(foreach));
    let trial = Trial {
        deadline: Duration::from_mins(1),
        ..Trial::default()
    };
    let backends = backends(text, &scripts);
    let (code, parts, body) = trial.answer(&plan, &backends).await;
    assert_eq!((code, parts), (200, None));
    let bodies: Vec<String> = ids.iter().map(|id| format!("{{\"id\":{id}.0}}")).collect();
    let expected = format!("{{\"ids\":{text},\"items\":[{}]}}", bodies.join(","));
    assert_eq!(body, expected);
    assert_eq!(backends.seen.borrow().len(), 301);
    assert_eq!(backends.at_once.borrow().1, 8);
}

#[tokio::test(start_paused = true)]
async fn equal_calls_are_made_each_time_when_that_is_wanted() {
    let mut foreach = each("steps.ids.body");
    foreach.distinct = false;
    foreach.concurrency = 1;
    let backends = backends(
        "[1,1,2]",
        &[("/item/1", ok(10, "1")), ("/item/2", ok(10, "2"))],
    );
    let answer = Trial::default()
        .answer(&plan(&items(foreach)), &backends)
        .await;
    assert_eq!(answer.2, r#"{"ids":[1,1,2],"items":[1,1,2]}"#);
    let expected = [
        "0 GET /ids",
        "0 GET /item/1",
        "10 GET /item/1",
        "20 GET /item/2",
    ];
    assert_eq!(*backends.seen.borrow(), expected);
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_makes_no_call() {
    let backends = backends("[]", &[]);
    let answer = Trial::default()
        .answer(&plan(&items(each("steps.ids.body"))), &backends)
        .await;
    assert_eq!(answer, (200, None, r#"{"ids":[],"items":[]}"#.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn too_many_items_or_no_list_are_an_error_and_nothing_is_called() {
    let mut foreach = each("steps.ids.body");
    foreach.max_items = 2;
    let plan = plan(&items(foreach));
    for ids in ["[1,2,3]", "{\"a\":1}", "null", "7"] {
        let backends = backends(ids, &[]);
        let error = Trial::default().error(&plan, &backends).await;
        assert_eq!((error.0, error.1.as_deref()), (500, Some("items")));
        assert_eq!(backends.seen.borrow().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_required_item_that_fails_ends_the_flow_at_once() {
    let backends = backends(
        "[1,2,3]",
        &[
            ("/item/1", ok(500, "1")),
            ("/item/2", status(5, 404, "")),
            ("/item/3", ok(500, "3")),
        ],
    );
    let plan = plan(&items(each("steps.ids.body")));
    let error = Trial::default().error(&plan, &backends).await;
    assert_eq!((error.0, error.1.as_deref()), (404, Some("items")));
    assert_eq!(backends.elapsed(), 5);
    assert_eq!(*backends.cancelled.borrow(), ["5 /item/1", "5 /item/3"]);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_may_fail_is_null_or_its_default() {
    let scripts = [
        ("/item/1", ok(1, "{\"n\":1e400}")),
        ("/item/2", status(1, 500, "")),
        ("/item/3", fails(1, CallError::Connect("refused".into()))),
    ];
    let mut drafts = items(each("steps.ids.body")).to_vec();
    drafts[1] = drafts[1].clone().optional();
    drafts.push(step(
        "facts",
        "value [steps.items.outcome, steps.items.status]",
    ));
    let ids = "[1,2,3,null]";
    let answer = Trial::default()
        .answer(&plan(&drafts), &backends(ids, &scripts))
        .await;
    let body = r#"{"ids":[1,2,3,null],"items":[{"n":1e400},null,null,null],"facts":[["ok","failed","failed","failed"],[200,500,null,null]]}"#;
    let parts = "items=failed;cause=status";
    assert_eq!(answer, (200, Some(parts.to_owned()), body.to_owned()));

    drafts[1] = drafts[1].clone().or("{'id': item, 'at': index}");
    let answer = Trial::default()
        .answer(&plan(&drafts[..2]), &backends("[1,2]", &scripts))
        .await;
    let body = r#"{"ids":[1,2],"items":[{"n":1e400},{"id":2,"at":1}]}"#;
    let parts = "items=defaulted;cause=status";
    assert_eq!(answer, (200, Some(parts.to_owned()), body.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_items_that_came_are_kept() {
    let mut foreach = each("steps.ids.body");
    foreach.concurrency = 2;
    let mut drafts = items(foreach);
    drafts[1] = drafts[1].clone().optional();
    let backends = backends(
        "[1,2,3,4]",
        &[
            ("/item/1", ok(10, "1")),
            ("/item/2", ok(5000, "2")),
            ("/item/3", ok(10, "3")),
            ("/item/4", ok(5000, "4")),
        ],
    );
    let answer = Trial::default().answer(&plan(&drafts), &backends).await;
    let body = r#"{"ids":[1,2,3,4],"items":[1,null,3,null]}"#;
    let parts = "items=failed;cause=deadline";
    assert_eq!(answer, (200, Some(parts.to_owned()), body.to_owned()));
    assert_eq!(backends.elapsed(), 1000);
}

#[tokio::test(start_paused = true)]
async fn several_items_go_in_one_call_and_are_joined_by_key() {
    let mut foreach = each("body.ids");
    foreach.chunk = Some(2);
    let drafts = [
        step("found", "GET /many?ids={item.join(',')}").foreach(foreach),
        step(
            "joined",
            "value body.ids.map(id, default(steps.found.body.flatten().filter(x, x.id == id)[?0], null))",
        ),
    ];
    let backends = Backends::new(&[
        ("/many?ids=3%2C1", ok(1, r#"[{"id":1},{"id":3,"n":0.10}]"#)),
        ("/many?ids=2", ok(1, "[]")),
    ]);
    let trial = Trial::sending(r#"{"ids":[3,1,3,2]}"#);
    let (code, parts, body) = trial.answer(&plan(&drafts), &backends).await;
    assert_eq!((code, parts), (200, None));
    let expected = r#"{"found":[[{"id":1},{"id":3,"n":0.10}],[]],"joined":[{"id":3,"n":0.10},{"id":1},{"id":3,"n":0.10},null]}"#;
    assert_eq!(body, expected);
    assert_eq!(backends.seen.borrow().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_items_together_keep_to_the_bound_of_a_part() {
    let mut spec = super::trial::flow(&items(each("steps.ids.body")));
    spec.part_bytes = 10;
    let plan = super::Plan::new(spec).unwrap();
    let backends = backends(
        "[1,2]",
        &[("/item/1", ok(1, "[1,2,3]")), ("/item/2", ok(1, "[4,5,6]"))],
    );
    let error = Trial::default().run(&plan, &backends).await.unwrap_err();
    assert_eq!(error.fault.cause(), "too-large");
}
