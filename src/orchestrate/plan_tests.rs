//! What the graph of a flow says, and the mistakes that only it shows.

use std::time::Duration;

use super::trial::{Draft, each, flow, flow_to, flow_with, plan, step};
use super::{BodyUse, CallSpec, Plan, PlanMistakeKind, Why};

fn mistakes(spec: super::FlowSpec) -> Vec<(Option<usize>, String)> {
    Plan::new(spec)
        .unwrap_err()
        .into_iter()
        .map(|mistake| {
            assert!(!mistake.kind.help().is_empty());
            (mistake.step, mistake.kind.to_string())
        })
        .collect()
}

fn waits(plan: &Plan, step: usize) -> Vec<(&str, String)> {
    plan.waits(step)
        .iter()
        .map(|wait| (plan.name(wait.step), wait.why.to_string()))
        .collect()
}

#[test]
fn a_step_waits_for_what_its_expressions_read() {
    let mut last = step("last", "POST /{steps.a.body.id}?q={steps.b.body}")
        .when("steps.c.status == 200")
        .body("[steps.d.body, body.x]")
        .or("steps.e.body")
        .after(&["f"]);
    last.headers = &[("x-one", "{steps.a.body.token}")];
    last.query = &[("page", "steps.b.body.page")];
    let plan = plan(&[
        last,
        step("a", "GET /a"),
        step("b", "GET /b"),
        step("c", "GET /c"),
        step("d", "GET /d"),
        step("e", "GET /e"),
        step("f", "GET /f"),
        step("g", "value {'x': steps.last.outcome}"),
    ]);
    let expected = [
        ("f", "after"),
        ("c", "when"),
        ("a", "call"),
        ("b", "call"),
        ("a", "headers.x-one"),
        ("b", "query.page"),
        ("d", "body"),
        ("e", "default"),
    ]
    .map(|(step, why)| (step, why.to_owned()));
    assert_eq!(waits(&plan, 0), expected);
    assert_eq!(waits(&plan, 7), [("last", "value".to_owned())]);
    assert_eq!(plan.waits(7)[0].why, Why::Value);
    assert_eq!(plan.body_use(), BodyUse::Parsed);
    assert!(plan.writes());
}

#[test]
fn a_cycle_is_named_in_its_order_and_once() {
    let drafts = [
        step("free", "GET /"),
        step("c", "GET /{steps.a.body}"),
        step("a", "GET /{steps.b.body}"),
        step("b", "GET /").after(&["c"]),
        step("behind", "GET /{steps.a.body}"),
        step("x", "GET /").after(&["y"]),
        step("y", "GET /").when("steps.x.body"),
        step("self", "GET /").or("steps.self.status"),
    ];
    let expected = [
        (
            Some(1),
            "steps wait for each other: `c` waits for `a` waits for `b` waits for `c`",
        ),
        (
            Some(5),
            "steps wait for each other: `x` waits for `y` waits for `x`",
        ),
        (Some(7), "step `self` waits for itself"),
    ]
    .map(|(step, text)| (step, text.to_owned()));
    assert_eq!(mistakes(flow(&drafts)), expected);
}

#[test]
fn a_step_that_only_reads_must_be_used_where_the_response_has_a_body() {
    let drafts = [
        step("used", "GET /"),
        step("between", "GET /{steps.used.body}"),
        step("lost", "GET /{steps.between.body}"),
        step("write", "POST /"),
        step("count", "value 1"),
        step("before", "GET /"),
        step("shown", "GET /").after(&["before"]),
    ];
    let expected = [
        (Some(2), "step `lost` is never used".to_owned()),
        (Some(4), "step `count` is never used".to_owned()),
    ];
    assert_eq!(mistakes(flow_to(&drafts, "steps.shown.body")), expected);
    assert!(Plan::new(flow(&drafts)).is_ok(), "a merge uses every step");
}

#[test]
fn several_writes_need_consent() {
    let drafts = [
        step("one", "POST /"),
        step("get", "GET /"),
        step("put", "PUT /"),
        step("two", "PATCH /"),
    ];
    let found = Plan::new(flow(&drafts)).unwrap_err();
    assert_eq!(found[0].step, Some(3));
    let names = vec!["one".to_owned(), "two".to_owned()];
    assert_eq!(found[0].kind, PlanMistakeKind::PartialWrites { names });
    assert!(Plan::new(flow(&drafts[..3])).is_ok());
    assert!(Plan::new(flow_with(&drafts, |spec, _| spec.partial_writes = true)).is_ok());
}

#[test]
fn writes_in_a_loop_need_consent_and_only_calls_are_repeated() {
    let post = step("pay", "POST /").foreach(each("body.ids"));
    let found = Plan::new(flow(std::slice::from_ref(&post))).unwrap_err();
    assert_eq!(found[0].step, Some(0));
    let names = vec!["pay".to_owned()];
    assert_eq!(found[0].kind, PlanMistakeKind::PartialWrites { names });
    let value = step("v", "value item").foreach(each("body"));
    let text = "step `v` has `foreach`, and makes no call";
    assert_eq!(mistakes(flow(&[value])), [(Some(0), text.to_owned())]);
}

#[test]
fn a_loop_costs_its_waves() {
    let mut items = each("steps.ids.body");
    items.max_items = 20;
    let mut chunks = items.clone();
    chunks.chunk = Some(7);
    let plan = plan(&[
        step("ids", "GET /"),
        step("loop", "GET /{item}").foreach(items),
        step("chunks", "GET /{item.join(',')}").foreach(chunks),
    ]);
    assert_eq!(waits(&plan, 1), [("ids", "foreach".to_owned())]);
    let facts = plan.facts(&|_| Duration::from_millis(10));
    assert_eq!(facts.steps[1].worst_time, Duration::from_millis(30));
    assert_eq!(facts.steps[2].worst_time, Duration::from_millis(10));
    assert_eq!(facts.calls, 1 + 20 + 3);
}

#[test]
fn flows_have_a_bounded_number_of_steps_with_names_of_their_own() {
    let steps = |count| -> Vec<Draft> {
        (0..count)
            .map(|number| step(Box::leak(format!("s{number}").into_boxed_str()), "GET /"))
            .collect()
    };
    assert!(Plan::new(flow(&steps(128))).is_ok());
    let found = mistakes(flow(&steps(129)));
    assert_eq!(
        found,
        [(None, "129 steps; a flow has at most 128".to_owned())]
    );
    assert_eq!(
        mistakes(flow(&[])),
        [(None, "the flow has no steps".to_owned())]
    );
    let twice = [step("a", "GET /"), step("a", "GET /")];
    let found = mistakes(flow(&twice));
    assert_eq!(found, [(Some(1), "two steps are called `a`".to_owned())]);
}

#[test]
fn a_default_of_a_required_step_is_a_mistake() {
    let mut required = step("a", "GET /");
    required.default = Some("1");
    let text = "the default of step `a` never stands in: the step is required";
    assert_eq!(mistakes(flow(&[required])), [(Some(0), text.to_owned())]);
}

#[test]
fn names_become_keys_of_a_dictionary() {
    let names = ["orders", "Orders", "_x", "9", "userOrders", "a b", "é"];
    let drafts: Vec<Draft> = names.iter().map(|name| step(name, "GET /")).collect();
    // Such names do not compile in expressions, but a plan takes any.
    let plan = plan(&drafts);
    let keys: Vec<&str> = plan.nodes().iter().map(|node| &*node.key).collect();
    let expected = ["orders", "orders.2", "*_x", "*9", "userorders", "a_b", "*_"];
    assert_eq!(keys, expected);
}

#[test]
fn facts_tell_the_slowest_chain_and_what_it_takes() {
    let plan = plan(&[
        step("d", "GET /{steps.b.body}/{steps.c.body}"),
        step("a", "GET /100"),
        step("b", "GET /20/{steps.a.body}"),
        step("c", "GET /110"),
        step("e", "value steps.d.body"),
    ]);
    let call_time = |call: &CallSpec| {
        let text = call.target.text().split('/').nth(1).unwrap_or_default();
        Duration::from_millis(text.parse().unwrap_or(7))
    };
    let facts = plan.facts(&call_time);
    assert_eq!(facts.worst_time, Duration::from_millis(127));
    assert_eq!(facts.critical_path, [1, 2, 0, 4]);
    assert_eq!(facts.calls, 4);
    assert_eq!(facts.body, BodyUse::None);
    assert!(!facts.writes);
    assert_eq!(facts.steps[3].worst_end, Duration::from_millis(110));
    assert_eq!(facts.steps[0].waits.len(), 2);
}

#[test]
fn a_plan_is_shared_between_workers() {
    fn shared<T: Send + Sync>() {}
    shared::<Plan>();
}
