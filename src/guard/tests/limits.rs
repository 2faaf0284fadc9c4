//! Limits as requests meet them.

use super::*;
use crate::expression::{Expression, Names};
use crate::guard::limit::append_fields;

fn rate(name: &str, count: u32, burst: u32, by: Option<&str>) -> LimitSpec {
    LimitSpec {
        name: name.to_owned(),
        kind: LimitKind::Rate {
            count,
            // So long that nothing comes back while a test runs.
            period: Duration::from_hours(1000),
            burst,
        },
        by: by.map(expression),
    }
}

fn concurrency(most: u32) -> LimitSpec {
    LimitSpec {
        name: "at-once".to_owned(),
        kind: LimitKind::Concurrency(most),
        by: None,
    }
}

fn expression(text: &str) -> Arc<Expression> {
    let names = Names {
        caller: true,
        ..Names::default()
    };
    Arc::new(Expression::compile(text, &names).unwrap())
}

fn limited(specs: &[LimitSpec]) -> Guard {
    limited_by(specs, &Limits::build(specs, None))
}

fn limited_by(specs: &[LimitSpec], limits: &Limits) -> Guard {
    let spec = GuardSpec {
        limits: (0..specs.len()).collect(),
        ..GuardSpec::default()
    };
    Guard::build(&spec, &Authenticators::default(), limits).unwrap()
}

async fn passes(guard: &Guard, mut exchange: Exchange) -> bool {
    match admit(guard, &mut exchange).await {
        Ok(_) => true,
        Err(Refusal::Limited { .. }) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn addresses_are_counted_apart_and_ipv6_by_its_network() {
    let guard = limited(&[rate("each", 1, 2, None)]);
    for address in [
        "192.0.2.1",
        "192.0.2.2",
        "2001:db8:0:1::1",
        "2001:db8:0:2::1",
    ] {
        assert!(passes(&guard, from(address)).await);
        assert!(passes(&guard, from(address)).await);
        assert!(!passes(&guard, from(address)).await, "{address}");
    }
    assert!(!passes(&guard, from("2001:db8:0:1:ffff::9")).await);
    assert!(!passes(&guard, from("::ffff:192.0.2.1")).await);
}

#[tokio::test]
async fn requests_are_counted_by_any_expression() {
    let guard = limited(&[rate("tenant", 1, 1, Some("headers['x-tenant']"))]);
    let tenant = |name: &str| request(&format!("GET /\nx-tenant: {name}"));
    assert!(passes(&guard, tenant("a")).await);
    assert!(passes(&guard, tenant("b")).await);
    assert!(!passes(&guard, tenant("a")).await);
    // Who leaves the key out is counted by address, and no tenant is called like an address.
    assert!(passes(&guard, tenant("192.0.2.1")).await);
    assert!(passes(&guard, request("GET /")).await);
    assert!(!passes(&guard, request("GET /")).await);
    let list = limited(&[rate("both", 1, 1, Some("[request.host, request.path]"))]);
    assert!(passes(&list, request("GET /a")).await);
    assert!(passes(&list, request("GET /b")).await);
    assert!(!passes(&list, request("GET /a")).await);
}

#[tokio::test]
async fn a_refusal_says_which_limit_and_how_long() {
    let guard = limited(&[rate("a\"b", 1000, 2, None), rate("small", 1000, 1, None)]);
    let admission = admit(&guard, &mut from("192.0.2.1")).await.unwrap();
    let mut headers = Headers::new();
    append_fields(&admission.standings, &mut headers);
    assert_eq!(
        headers.get_str("ratelimit-policy"),
        Some("\"a\\\"b\";q=2;w=7200, \"small\";q=1;w=3600")
    );
    assert_eq!(
        headers.get_str("ratelimit"),
        Some("\"a\\\"b\";r=1;t=3600, \"small\";r=0;t=3600")
    );
    match admit(&guard, &mut from("192.0.2.1")).await {
        Err(Refusal::Limited {
            limit,
            retry_after,
            standings,
        }) => {
            assert_eq!(&*limit, "small");
            assert!(
                (3590..=3600).contains(&retry_after.as_secs()),
                "{retry_after:?}"
            );
            assert_eq!(standings.len(), 2);
            assert_eq!(standings[1].remaining, 0);
        }
        other => panic!("{other:?}"),
    }
    let mut none = Headers::new();
    append_fields(&[], &mut none);
    assert!(none.is_empty());
}

#[tokio::test]
async fn places_are_given_back_when_the_exchange_ends() {
    let guard = limited(&[concurrency(2)]);
    let first = admit(&guard, &mut from("192.0.2.1")).await.unwrap();
    let second = admit(&guard, &mut from("192.0.2.1")).await.unwrap();
    assert!(!passes(&guard, from("192.0.2.1")).await);
    assert!(passes(&guard, from("192.0.2.9")).await);
    drop(first);
    assert!(passes(&guard, from("192.0.2.1")).await);
    drop(second);
}

#[tokio::test]
async fn a_later_limit_that_refuses_gives_back_earlier_places() {
    let guard = limited(&[concurrency(1), rate("two", 1, 2, None)]);
    assert!(passes(&guard, from("192.0.2.1")).await);
    assert!(passes(&guard, from("192.0.2.1")).await);
    for _ in 0..3 {
        match admit(&guard, &mut from("192.0.2.1")).await {
            Err(Refusal::Limited { limit, .. }) => assert_eq!(&*limit, "two"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn counters_live_on_where_the_limit_did_not_change() {
    let before = [rate("kept", 1, 1, None), rate("changed", 1, 1, None)];
    let old = Limits::build(&before, None);
    assert!(passes(&limited_by(&before, &old), from("192.0.2.1")).await);
    let after = [rate("changed", 1, 5, None), rate("kept", 1, 1, None)];
    let new = Limits::build(&after, Some(&old));
    assert!(passes(&limited_by(&after[..1], &new), from("192.0.2.1")).await);
    match admit(&limited_by(&after, &new), &mut from("192.0.2.1")).await {
        Err(Refusal::Limited { limit, .. }) => assert_eq!(&*limit, "kept"),
        other => panic!("{other:?}"),
    }
}
