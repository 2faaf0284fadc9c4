//! What a decided run answers: merges, status, fields, and the report of its parts.

use std::time::Duration;

use http::StatusCode;

use super::trial::{
    Backends, Draft, Trial, fails, flow_to, flow_with, ok, plan, status, step, templates, text,
};
use super::{FlowFault, Merge, MergeError, OnConflict, Outcome, Plan};
use crate::exchange::CallError;

#[tokio::test(start_paused = true)]
async fn flatten_puts_objects_side_by_side() {
    let drafts = [
        step("a", "GET /a"),
        step("b", "GET /b").optional(),
        step("c", "GET /c"),
    ];
    let run = async |on_conflict, a, b, c| {
        let spec = flow_with(&drafts, |spec, _| {
            spec.response.merge = Merge::Flatten;
            spec.response.on_conflict = on_conflict;
        });
        let backends = Backends::new(&[("/a", ok(3, a)), ("/b", ok(2, b)), ("/c", ok(1, c))]);
        let plan = Plan::new(spec).unwrap();
        match Trial::default().run(&plan, &backends).await {
            Ok(answer) => text(answer.body).await,
            Err(error) => {
                assert_eq!(error.fault.status(), StatusCode::INTERNAL_SERVER_ERROR);
                match error.fault {
                    FlowFault::Merge(MergeError::Conflict { key, .. }) => key,
                    other => other.to_string(),
                }
            }
        }
    };
    let (a, b, c) = (r#"{"x":1.0,"y":{"k":1}}"#, " { } ", r#"{ "z" : 1e400 }"#);
    assert_eq!(
        run(OnConflict::Error, a, b, c).await,
        r#"{"x":1.0,"y":{"k":1},"z" : 1e400}"#
    );
    assert_eq!(
        run(OnConflict::Error, a, "oops", "").await,
        r#"{"x":1.0,"y":{"k":1}}"#
    );
    assert_eq!(run(OnConflict::Error, "{}", "{}", "{}").await, "{}");
    assert_eq!(
        run(OnConflict::Error, a, "[1]", c).await,
        "merge: part `b` is no object"
    );
    // The same name, however it is escaped.
    let (b, c) = (r#"{"\u0078":2,"n":3}"#, r#"{"m":4,"n":5,"n":6}"#);
    assert_eq!(run(OnConflict::Error, a, b, c).await, "x");
    let first = r#"{"x":1.0,"y":{"k":1},"n":3,"m":4}"#;
    assert_eq!(run(OnConflict::First, a, b, c).await, first);
    let last = r#"{"x":2,"y":{"k":1},"n":6,"m":4}"#;
    assert_eq!(run(OnConflict::Last, a, b, c).await, last);
}

fn merging(drafts: &[Draft], merge: Merge) -> Plan {
    Plan::new(flow_with(drafts, |spec, _| spec.response.merge = merge)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn deep_and_concat_keep_the_bytes_too() {
    let drafts = [step("a", "GET /a"), step("b", "GET /b")];
    let backends = Backends::new(&[
        ("/a", ok(2, r#"{"n":{"x":1e400,"y":{"p":0.10}},"k":[1]}"#)),
        ("/b", ok(1, r#"{"n":{"z":-0,"y":{"q":"\u00e9"}},"l":2}"#)),
    ]);
    let deep = r#"{"n":{"x":1e400,"y":{"p":0.10,"q":"\u00e9"},"z":-0},"k":[1],"l":2}"#;
    let plan = merging(&drafts, Merge::Deep);
    let answer = Trial::default().answer(&plan, &backends).await;
    assert_eq!(answer, (200, None, deep.to_owned()));

    let plan = merging(&drafts, Merge::Concat);
    let error = Trial::default().error(&plan, &backends).await;
    assert_eq!((error.0, error.1.as_deref()), (500, Some("a")));
    let backends = Backends::new(&[("/a", ok(2, "[1e400, 2]")), ("/b", ok(1, "[0.10]"))]);
    let answer = Trial::default().answer(&plan, &backends).await;
    assert_eq!(answer.2, "[1e400, 2,0.10]");
}

#[tokio::test(start_paused = true)]
async fn of_several_the_first_to_succeed_is_the_answer() {
    let drafts = [
        step("token", "GET /token"),
        step("slow", "GET /slow/{steps.token.body}"),
        step("broken", "GET /broken/{steps.token.body}"),
        step("fast", "GET /fast/{steps.token.body}"),
    ];
    let plan = merging(&drafts, Merge::First);
    let backends = Backends::new(&[
        ("/token", ok(1, "7")),
        ("/slow/7", ok(500, "\"slow\"")),
        ("/broken/7", status(1, 500, "")),
        ("/fast/7", ok(20, "\"fast\"")),
    ]);
    let answer = Trial::default().answer(&plan, &backends).await;
    let parts = "slow=cancelled, broken=failed;cause=status";
    assert_eq!(answer, (200, Some(parts.to_owned()), "\"fast\"".to_owned()));
    assert_eq!(*backends.cancelled.borrow(), ["21 /slow/7"]);

    let backends = Backends::new(&[
        ("/token", ok(1, "7")),
        ("/slow/7", status(9, 404, "")),
        ("/broken/7", status(1, 500, "")),
        ("/fast/7", status(2, 404, "")),
    ]);
    let error = Trial::default().error(&plan, &backends).await;
    assert_eq!((error.0, error.1.as_deref()), (502, Some("broken")));
    let backends = Backends::new(&[("/token", status(3, 404, ""))]);
    let error = Trial::default().error(&plan, &backends).await;
    assert_eq!((error.0, error.1.as_deref()), (404, Some("token")));

    let drafts = [step("a", "GET /a").or("1"), step("b", "GET /b").or("2")];
    let plan = merging(&drafts, Merge::First);
    let backends = Backends::new(&[("/a", status(9, 500, "")), ("/b", status(1, 500, ""))]);
    let answer = Trial::default().answer(&plan, &backends).await;
    assert_eq!(answer.2, "1");
}

#[tokio::test(start_paused = true)]
async fn the_response_has_the_status_and_headers_of_the_file() {
    let spec = flow_with(&[step("a", "GET /a")], |spec, names| {
        spec.response.status = Some(StatusCode::CREATED);
        spec.response.headers = templates(&[("location", "/a/{steps.a.body.id}")], names);
    });
    let plan = Plan::new(spec).unwrap();
    let backends = Backends::new(&[("/a", ok(1, r#"{"id":7}"#))]);
    let answer = Trial::default().run(&plan, &backends).await.unwrap();
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.headers.get_str("location"), Some("/a/7"));
    assert_eq!(
        answer.headers.get_str("content-type"),
        Some("application/json")
    );
    assert_eq!(answer.headers.get("cache-control"), None);
    let backends = Backends::new(&[("/a", ok(1, r#"{"id":"a\r\nb"}"#))]);
    let error = Trial::default().run(&plan, &backends).await.unwrap_err();
    assert_eq!(error.fault.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test(start_paused = true)]
async fn a_response_is_stored_no_longer_than_its_parts_allow() {
    for (stated, part, expected) in [
        (None, "max-age=60", None),
        (None, "private, max-age=60", Some("private")),
        (None, "No-Store", Some("no-store")),
        (
            Some("public, max-age=60"),
            "max-age=60",
            Some("public, max-age=60"),
        ),
        (
            Some("public, max-age=60"),
            "private",
            Some("private, max-age=60"),
        ),
        (Some("public, max-age=60"), "no-store", Some("no-store")),
        (Some("private"), "private", Some("private")),
    ] {
        let spec = flow_with(
            &[step("a", "GET /a"), step("b", "GET /b")],
            |spec, names| {
                let stated = stated.map(|text| ("cache-control", text));
                spec.response.headers = templates(stated.as_slice(), names);
            },
        );
        let part: &'static [(&str, &str)] = Box::leak(Box::new([("cache-control", part)]));
        let backends = Backends::new(&[("/a", ok(1, "1").headers(part)), ("/b", ok(1, "1"))]);
        let plan = Plan::new(spec).unwrap();
        let answer = Trial::default().run(&plan, &backends).await.unwrap();
        assert_eq!(answer.headers.get_str("cache-control"), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_may_have_arrived_is_unknown() {
    let drafts = [
        step("pay", "POST /pay").optional(),
        step("slow", "PUT /slow"),
        step("read", "GET /read").after(&["pay"]),
    ];
    let backends = Backends::new(&[
        (
            "/pay",
            fails(1, CallError::Timeout(Duration::from_millis(1))),
        ),
        ("/slow", ok(500, "1")),
        ("/read", status(1, 500, "")),
    ]);
    let plan = plan(&drafts);
    let error = Trial::default().run(&plan, &backends).await.unwrap_err();
    let outcomes: Vec<Outcome> = error.parts.iter().map(|part| part.outcome).collect();
    assert_eq!(
        outcomes,
        [Outcome::Unknown, Outcome::Unknown, Outcome::Failed]
    );
    assert_eq!(error.parts[2].started, Some(Duration::from_millis(1)));
    assert_eq!(error.parts[2].elapsed, Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn large_parts_are_moved_and_come_out_whole() {
    let large: &'static str = Box::leak(format!("[{}1]", "1,".repeat(100_000)).into_boxed_str());
    let backends = Backends::new(&[
        ("/a", ok(1, large)),
        ("/b", ok(1, "2")),
        ("/c", ok(1, large)),
    ]);
    let drafts = [
        step("a", "GET /a"),
        step("b", "GET /b"),
        step("c", "GET /c"),
    ];
    let expected = format!(r#"{{"a":{large},"b":2,"c":{large}}}"#);
    let answer = Trial::default().answer(&plan(&drafts), &backends).await;
    assert_eq!(answer, (200, None, expected.clone()));
    let body = "{'a': steps.a.body, 'b': steps.b.body, 'c': steps.c.body}";
    let plan = Plan::new(flow_to(&drafts, body)).unwrap();
    let answer = Trial::default().run(&plan, &backends).await.unwrap();
    assert_eq!(answer.body.exact_len(), Some(expected.len() as u64));
    assert_eq!(text(answer.body).await, expected);
}
