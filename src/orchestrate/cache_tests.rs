//! What is kept of a flow's parts: for whom, how long, and what stands in when a call fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{advance, timeout};

use super::trial::{Backends, Draft, Script, Trial, cache, each, fails, ok, plan, status, step};
use super::{CacheSpec, CacheTally, Outcome, Plan, PlanMistakeKind};
use crate::exchange::CallError;
use crate::expression::{Expression, Names};

/// One step that calls `/a` and keeps the part.
fn kept(spec: CacheSpec) -> Plan {
    plan(&[step("a", "GET /a").cached(spec)])
}

fn calls(backends: &Backends) -> usize {
    backends.seen.borrow().len()
}

/// Body, and how it was come by.
async fn ask(plan: &Plan, backends: &Backends) -> (String, &'static str) {
    ask_as(&Trial::default(), plan, backends).await
}

async fn ask_as(trial: &Trial, plan: &Plan, backends: &Backends) -> (String, &'static str) {
    match trial.run(plan, backends).await {
        Ok(answer) => {
            let word = answer.parts[0].cache.word().unwrap_or("none");
            (super::trial::text(answer.body).await, word)
        }
        Err(error) => (
            error.fault.status().as_u16().to_string(),
            error.parts[0].cache.word().unwrap_or("none"),
        ),
    }
}

fn has(value: &str, word: &'static str) -> (String, &'static str) {
    (format!("{{\"a\":{value}}}"), word)
}

async fn later(millis: u64) {
    advance(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_is_given_again_until_its_time_is_over() {
    let plan = kept(cache(100, 0));
    let mut backends = Backends::new(&[("/a", ok(10, "1"))]);
    assert_eq!(ask(&plan, &backends).await, has("1", "miss"));
    backends.turn_to(&[("/a", ok(10, "2"))]);
    later(99).await;
    assert_eq!(ask(&plan, &backends).await, has("1", "hit"));
    later(1).await;
    assert_eq!(ask(&plan, &backends).await, has("2", "miss"));
    assert_eq!(calls(&backends), 2);
}

#[tokio::test(start_paused = true)]
async fn equal_calls_at_work_are_made_once() {
    let plan = kept(cache(100, 0));
    let backends = Backends::new(&[("/a", ok(10, "1"))]);
    let (one, two, three) = tokio::join!(
        ask(&plan, &backends),
        ask(&plan, &backends),
        ask(&plan, &backends)
    );
    assert_eq!(one, has("1", "miss"));
    assert_eq!((two, three), (has("1", "shared"), has("1", "shared")));
    assert_eq!(calls(&backends), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_run_that_its_client_may_hold_back() {
    let plan = kept(cache(100, 0));
    let mut backends = Backends::new(&[("/a", ok(10, "1"))]);
    backends.is_prompt = false;
    let (one, two) = tokio::join!(ask(&plan, &backends), ask(&plan, &backends));
    assert_eq!((one, two), (has("1", "miss"), has("1", "miss")));
    assert_eq!(ask(&plan, &backends).await, has("1", "hit"));
    assert_eq!(calls(&backends), 2);
}

#[tokio::test(start_paused = true)]
async fn when_the_one_who_calls_leaves_another_takes_over() {
    let plan = kept(cache(100, 0));
    let backends = Backends::new(&[("/a", ok(10, "1"))]);
    let (left, two, three) = tokio::join!(
        timeout(Duration::from_millis(4), ask(&plan, &backends)),
        ask(&plan, &backends),
        ask(&plan, &backends)
    );
    assert!(left.is_err());
    let mut others = [two, three];
    others.sort();
    assert_eq!(others, [has("1", "miss"), has("1", "shared")]);
    assert_eq!(*backends.cancelled.borrow(), ["4 /a"]);
    assert_eq!(backends.seen.borrow().as_slice(), ["0 GET /a", "4 GET /a"]);
}

#[tokio::test(start_paused = true)]
async fn each_waits_within_its_own_deadline() {
    let plan = kept(cache(100, 0));
    let within = |millis| Trial {
        deadline: Duration::from_millis(millis),
        ..Trial::default()
    };
    let backends = Backends::new(&[("/a", ok(50, "1"))]);
    let (hasty, patient) = (within(20), within(100));
    // The first has no time left; that is no reason for the second to fail.
    let (one, two) = tokio::join!(
        ask_as(&hasty, &plan, &backends),
        ask_as(&patient, &plan, &backends)
    );
    assert_eq!(one.0, "504");
    assert_eq!(two, has("1", "miss"));
    assert_eq!(backends.elapsed(), 70);
    later(100).await;
    let (one, two) = tokio::join!(
        ask_as(&patient, &plan, &backends),
        ask_as(&hasty, &plan, &backends)
    );
    assert_eq!((one, two.0.as_str()), (has("1", "miss"), "504"));
    assert_eq!(calls(&backends), 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_and_not_kept() {
    let plan = kept(cache(100, 0));
    let mut backends = Backends::new(&[("/a", status(10, 404, ""))]);
    let (one, two) = tokio::join!(ask(&plan, &backends), ask(&plan, &backends));
    assert_eq!((one.0.as_str(), two.0.as_str()), ("404", "404"));
    assert_eq!(calls(&backends), 1);
    backends.turn_to(&[("/a", ok(10, "1"))]);
    assert_eq!(ask(&plan, &backends).await, has("1", "miss"));
}

#[tokio::test(start_paused = true)]
async fn what_is_past_its_time_stands_in_for_a_call_that_fails() {
    let failures: [(Script, bool); 6] = [
        (status(1, 500, ""), true),
        (status(1, 429, ""), true),
        (fails(1, CallError::Reset("gone".to_owned())), true),
        (ok(1, "{broken"), true),
        // It hangs until the route's time is up.
        (ok(5000, "2"), true),
        // That is an answer.
        (status(1, 404, ""), false),
    ];
    for (failure, stands_in) in failures {
        for drafts in [step("a", "GET /a"), step("a", "GET /a").or("'default'")] {
            let plan = plan(&[drafts.cached(cache(100, 2000))]);
            let mut backends = Backends::new(&[("/a", ok(1, "1"))]);
            ask(&plan, &backends).await;
            later(500).await;
            backends.turn_to(&[("/a", failure.clone())]);
            let run = Trial::default().run(&plan, &backends).await;
            let parts = match &run {
                Ok(answer) => answer.headers.get_str("concertina-parts"),
                Err(_) => None,
            };
            assert_eq!(parts == Some("a=ok;stale"), stands_in, "{run:?}");
            later(3000).await;
            let too_old = ask(&plan, &backends).await;
            assert!(too_old.1 == "miss" || too_old.1 == "none", "{too_old:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_with_a_stale_part_is_not_stored() {
    let spec = super::trial::flow_with(
        &[step("a", "GET /a").cached(cache(10, 5000))],
        |spec, names| {
            let stated = [("cache-control", "max-age=60")];
            spec.response.headers = super::trial::templates(&stated, names);
        },
    );
    let plan = Plan::new(spec).unwrap();
    let mut backends = Backends::new(&[("/a", ok(1, "1"))]);
    for expected in ["max-age=60", "no-store"] {
        let answer = Trial::default().run(&plan, &backends).await.unwrap();
        assert_eq!(answer.headers.get_str("cache-control"), Some(expected));
        later(11).await;
        backends.turn_to(&[("/a", status(1, 503, ""))]);
    }
}

#[tokio::test(start_paused = true)]
async fn callers_who_send_something_else_have_parts_of_their_own() {
    let call = Draft {
        forward: &["authorization", "cookie"],
        headers: &[("x-user", "{path.user}")],
        ..step("a", "GET /a").cached(cache(1000, 1000))
    };
    let plan = plan(&[call]);
    let backends = Backends::new(&[("/a", ok(1, "1"))]);
    let mut trial = Trial::default();
    let mut expected = 0;
    for (name, value) in [
        ("authorization", "Bearer one"),
        ("authorization", "Bearer two"),
        ("cookie", "session=2"),
        ("accept-language", "not sent"),
    ] {
        trial.exchange.headers.set(name, value.as_bytes());
        expected += usize::from(name != "accept-language");
        ask_as(&trial, &plan, &backends).await;
        ask_as(&trial, &plan, &backends).await;
        assert_eq!(calls(&backends), expected, "{name}: {value}");
    }
    trial.scope.user = "eve";
    ask_as(&trial, &plan, &backends).await;
    trial.exchange.headers.remove("cookie");
    ask_as(&trial, &plan, &backends).await;
    assert_eq!(calls(&backends), expected + 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_tells_apart_what_is_sent_alike() {
    let names = Names::default();
    let key = Expression::compile("query.v", &names).unwrap();
    let plan = kept(CacheSpec {
        key: Some(Arc::new(key)),
        ..cache(1000, 0)
    });
    let backends = Backends::new(&[("/a", ok(1, "1"))]);
    let mut trial = Trial::default();
    for (value, expected) in [("1", 1), ("2", 2), ("1", 2)] {
        trial.scope.query.insert("v", value);
        ask_as(&trial, &plan, &backends).await;
        assert_eq!(calls(&backends), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_meant_for_one_is_neither_kept_nor_shared() {
    let fields: [&'static [(&str, &str)]; 6] = [
        &[("cache-control", "private, max-age=60")],
        &[("cache-control", "no-store")],
        &[("cache-control", "no-cache")],
        &[("set-cookie", "session=1")],
        &[("vary", " * ")],
        &[("cache-control", "max-age=60"), ("set-cookie", "a=1")],
    ];
    for (place, fields) in fields.into_iter().enumerate() {
        for ignored in [false, true] {
            let plan = kept(CacheSpec {
                ignore_cache_control: ignored,
                ..cache(1000, 1000)
            });
            let mut backends = Backends::new(&[("/a", ok(10, "1").headers(fields))]);
            let (one, two) = tokio::join!(ask(&plan, &backends), ask(&plan, &backends));
            assert_eq!((&one.0, &two.0), (&has("1", "").0, &has("1", "").0));
            ask(&plan, &backends).await;
            let expected = if ignored && place < 3 { 1 } else { 3 };
            assert_eq!(calls(&backends), expected, "{fields:?}");
            // Nor do those who ask later wait for each other.
            let start = backends.elapsed();
            tokio::join!(ask(&plan, &backends), ask(&plan, &backends));
            assert!(backends.elapsed() <= start + 10);
            backends.turn_to(&[("/a", status(1, 500, ""))]);
            later(1500).await;
            let stale = ask(&plan, &backends).await;
            assert_eq!(stale.1 == "stale", expected == 1, "{fields:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_answer_that_is_private_does_not_end_the_keeping() {
    let plan = kept(cache(3_600_000, 0));
    let private: &'static [_] = &[("cache-control", "private")];
    let mut backends = Backends::new(&[("/a", ok(1, "1").headers(private))]);
    ask(&plan, &backends).await;
    backends.turn_to(&[("/a", ok(1, "2"))]);
    ask(&plan, &backends).await;
    ask(&plan, &backends).await;
    assert_eq!(calls(&backends), 3, "each asks for itself at first");
    later(61_000).await;
    ask(&plan, &backends).await;
    ask(&plan, &backends).await;
    assert_eq!(calls(&backends), 4);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_may_shorten_the_time_and_forbid_what_is_stale() {
    let plan = kept(cache(60_000, 60_000));
    let fields: &'static [_] = &[
        ("cache-control", "max-age=7, must-revalidate"),
        ("age", "5"),
    ];
    let mut backends = Backends::new(&[("/a", ok(1, "1").headers(fields))]);
    ask(&plan, &backends).await;
    later(1500).await;
    let answer = Trial::default().run(&plan, &backends).await.unwrap();
    assert_eq!(answer.parts[0].cache, CacheTally::HIT);
    later(600).await;
    assert_eq!(ask(&plan, &backends).await.1, "miss");
    backends.turn_to(&[("/a", status(1, 500, ""))]);
    later(2000).await;
    assert_eq!(ask(&plan, &backends).await.0, "502");
}

#[tokio::test(start_paused = true)]
async fn no_more_is_kept_than_may_be() {
    let spec = CacheSpec {
        max_entries: 2,
        ..cache(10_000, 0)
    };
    let plan = plan(&[step("a", "GET /{path.user}").cached(spec)]);
    let backends = Backends::new(&[("/x", ok(1, "1")), ("/y", ok(1, "2")), ("/z", ok(1, "3"))]);
    let mut trial = Trial::default();
    for (user, expected) in [("x", 1), ("y", 2), ("x", 2), ("z", 3), ("x", 3), ("y", 4)] {
        trial.scope.user = user;
        ask_as(&trial, &plan, &backends).await;
        assert_eq!(calls(&backends), expected, "{user}");
    }
    let small = CacheSpec {
        max_bytes: 1000,
        ..cache(10_000, 0)
    };
    let large: &'static str = Box::leak(format!("\"{}\"", "x".repeat(1000)).into_boxed_str());
    let backends = Backends::new(&[("/a", ok(1, large))]);
    for expected in 1..3 {
        ask(&kept(small.clone()), &backends).await;
        assert_eq!(calls(&backends), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn items_are_kept_one_by_one() {
    let items = each("query.ids.split(',')");
    let plan = plan(&[step("a", "GET /{item}")
        .foreach(items)
        .cached(cache(100, 1000))]);
    let mut backends = Backends::new(&[("/x", ok(1, "1")), ("/y", ok(1, "2")), ("/z", ok(1, "3"))]);
    let mut trial = Trial::default();
    trial.scope.query.insert("ids", "x,y");
    ask_as(&trial, &plan, &backends).await;
    trial.scope.query.insert("ids", "y,z");
    let answer = trial.run(&plan, &backends).await.unwrap();
    let cache = answer.parts[0].cache;
    assert_eq!((cache.hits, cache.misses, calls(&backends)), (1, 1, 3));
    backends.turn_to(&[("/y", status(1, 500, "")), ("/z", ok(1, "4"))]);
    later(200).await;
    let answer = trial.run(&plan, &backends).await.unwrap();
    assert_eq!(answer.parts[0].outcome, Outcome::Ok);
    let parts = answer.headers.get_str("concertina-parts");
    assert_eq!(parts, Some("a=ok;stale"));
    assert_eq!(super::trial::text(answer.body).await, r#"{"a":[2,4]}"#);
}

#[test]
fn only_what_changes_nothing_is_kept() {
    let told = |does, read_only| {
        let spec = CacheSpec {
            read_only,
            ..cache(100, 0)
        };
        let drafts = [step("a", does).cached(spec)];
        Plan::new(super::trial::flow(&drafts)).map_or_else(|mistakes| mistakes, |_| Vec::new())
    };
    assert!(told("GET /a", false).is_empty() && told("HEAD /a", false).is_empty());
    for does in ["POST /a", "PUT /a", "DELETE /a"] {
        let mistakes = told(does, false);
        assert!(
            matches!(mistakes[0].kind, PlanMistakeKind::CachedWrite { .. }),
            "{does}"
        );
        assert!(told(does, true).is_empty());
    }
}
