//! Which endpoint a call goes to, when it is tried again, and what bounds it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::backend::*;
use crate::exchange::{Body, CallError};
use crate::upstream::{
    Balance, CallNote, Failure, Group, HealthSpec, HealthState, Pools, Protocol, RetryOn, RetrySpec,
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 3\r\n\r\nbad";

#[expect(
    clippy::unnecessary_wraps,
    reason = "compared with what a call returns"
)]
fn ok() -> Result<(u16, String), CallError> {
    Ok((200, "ok".to_owned()))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "compared with what a call returns"
)]
fn broken() -> Result<(u16, String), CallError> {
    Ok((500, "bad".to_owned()))
}

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

fn on_everything(attempts: u32) -> RetrySpec {
    RetrySpec {
        attempts,
        on: RetryOn {
            connect: true,
            reset: true,
            timeout: true,
            server_error: true,
            busy: true,
        },
        backoff: (Duration::from_millis(1), Duration::from_millis(3)),
    }
}

fn requests(group: &Group) -> Vec<u64> {
    let endpoints = group.facts().endpoints;
    endpoints.iter().map(|endpoint| endpoint.requests).collect()
}

#[test]
fn endpoints_take_turns() {
    on_worker(|| async {
        let (one, two) = (Backend::answering(OK).await, Backend::answering(OK).await);
        let group = group(&spec(&[one.address, two.address]));
        let pools = Pools::new();
        for _ in 0..10 {
            assert_eq!(ask(&group, &pools, get("/")).await, ok());
        }
        assert_eq!(requests(&group), [5, 5]);
    });
}

#[test]
fn a_busy_endpoint_gets_less() {
    on_worker(|| async {
        let stuck = Backend::start(|mut talk| async move { talk.closed().await }).await;
        let free = Backend::answering(OK).await;
        let mut spec = spec(&[stuck.address, free.address]);
        spec.balance = Balance::LeastRequest;
        let (group, pools) = (group(&spec), Pools::new());
        // Calls that hang pile up on one endpoint: one at most for each time that both were idle.
        let mut hanging = Vec::new();
        for _ in 0..30 {
            let (group, pools) = (Arc::clone(&group), Rc::clone(&pools));
            let call = async move { ask(&group, &pools, get("/")).await };
            hanging.push(tokio::task::spawn_local(call));
            tokio::task::yield_now().await;
        }
        until(|| hanging.iter().filter(|call| !call.is_finished()).count() <= 3).await;
        for call in &hanging {
            call.abort();
        }
    });
}

#[test]
fn a_dead_endpoint_is_not_noticed_and_soon_left_alone() {
    on_worker(|| async {
        let alive = Backend::answering(OK).await;
        let (group, pools) = (group(&spec(&[nobody().await, alive.address])), Pools::new());
        for _ in 0..20 {
            let post = sending(Method::POST, "/", Bytes::from_static(b"x").into());
            assert_eq!(ask(&group, &pools, post).await, ok());
        }
        let facts = group.facts();
        assert!(matches!(
            facts.endpoints[0].health,
            HealthState::Aside { .. }
        ));
        assert!(facts.endpoints[0].failures.contains(&(Failure::Connect, 3)));
        assert_eq!(facts.endpoints[1].requests, 20);
        assert_eq!(facts.retries, 0);
    });
}

#[test]
fn a_call_leaves_a_note_of_where_it_went() {
    on_worker(|| async {
        let alive = Backend::answering(BROKEN).await;
        let mut spec = spec(&[alive.address]);
        spec.retry = Some(on_everything(3));
        let (group, pools, mut note) = (group(&spec), Pools::new(), CallNote::default());
        drop(group.prepare(&pools, get("/"), &mut note).run().await);
        let url = format!("http://{}", alive.address);
        assert_eq!(note.endpoint.as_deref(), Some(&*url));
        assert_eq!(note.attempts, 3);
    });
}

#[test]
fn a_call_under_way_is_small() {
    on_worker(|| async {
        let alive = Backend::answering(BROKEN).await;
        let (group, pools, mut note) = (
            group(&spec(&[alive.address])),
            Pools::new(),
            CallNote::default(),
        );
        let mut call = group.prepare(&pools, get("/"), &mut note);
        // Of hundreds at once, all must stay in the processor's cache.
        let bytes = size_of_val(&call) + size_of_val(&call.run());
        assert!(bytes <= 1024, "{bytes} bytes");
    });
}

#[test]
fn the_last_endpoint_is_tried_even_when_set_aside() {
    on_worker(|| async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let (group, pools) = (group(&spec(&[address])), Pools::new());
        for _ in 0..5 {
            let error = ask(&group, &pools, get("/")).await.unwrap_err();
            assert_eq!(error.cause(), "connect");
        }
        assert_ne!(group.facts().endpoints[0].health, HealthState::Up);
        let listener = TcpListener::bind(address).await.unwrap();
        let _back = Backend::on(listener, |mut talk| async move {
            while talk.request().await.is_some() {
                talk.say(OK).await;
            }
        });
        assert_eq!(ask(&group, &pools, get("/")).await, ok());
        assert_eq!(group.facts().endpoints[0].health, HealthState::Up);
    });
}

#[test]
fn probes_set_aside_and_bring_back() {
    on_worker(|| async {
        let well = Rc::new(Cell::new(false));
        let asked = Rc::clone(&well);
        let sick = Backend::start(move |mut talk| {
            let for_probes = if asked.get() { OK } else { BROKEN };
            async move {
                while let Some(request) = talk.request().await {
                    let answers = [OK, for_probes];
                    let probe = request.starts_with("GET /healthz ");
                    talk.say(answers[usize::from(probe)]).await;
                }
            }
        })
        .await;
        let mut spec = spec(&[sick.address]);
        spec.health = Some(HealthSpec {
            path: "/healthz".to_owned(),
            every: Duration::from_millis(5),
            timeout: Duration::from_secs(5),
            unhealthy_after: 2,
            healthy_after: 2,
        });
        let (group, pools) = (group(&spec), Pools::new());
        group.tend(&tokio::runtime::Handle::current());
        group.tend(&tokio::runtime::Handle::current());
        until(|| group.facts().endpoints[0].health == HealthState::Down).await;
        assert_eq!(
            ask(&group, &pools, get("/")).await,
            Err(CallError::Unavailable {
                retry_after: Duration::from_millis(5)
            })
        );
        well.set(true);
        until(|| group.facts().endpoints[0].health == HealthState::Up).await;
        assert_eq!(ask(&group, &pools, get("/")).await, ok());
        // Probes end with the group.
        pools.retain_used(&[]);
        drop(group);
        let (mut before, mut quiet) = (sick.accepted.get(), 0);
        while quiet < 20 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let now = sick.accepted.get();
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
        }
    });
}

#[test]
fn what_is_safe_is_tried_again_elsewhere() {
    on_worker(|| async {
        let (bad, good) = (
            Backend::answering(BROKEN).await,
            Backend::answering(OK).await,
        );
        let mut spec = spec(&[bad.address, good.address]);
        spec.retry = Some(on_everything(2));
        let (group, pools) = (group(&spec), Pools::new());
        for _ in 0..8 {
            assert_eq!(ask(&group, &pools, get("/")).await, ok());
        }
        let facts = group.facts();
        assert_eq!(facts.retries, 4);
        assert!(facts.endpoints[0].failures.contains(&(Failure::Status, 4)));
        // The unwanted answers were read, and their connection kept.
        assert_eq!(bad.accepted.get(), 1);
        let mut answers = Vec::new();
        for _ in 0..2 {
            let post = sending(Method::POST, "/", Body::Empty);
            answers.push(ask(&group, &pools, post).await);
        }
        answers.sort_by_key(|answer| answer.clone().unwrap().0);
        assert_eq!(answers, [ok(), broken()]);
    });
}

#[test]
fn attempts_end_with_their_number_and_with_the_deadline() {
    on_worker(|| async {
        let bad = Backend::answering(BROKEN).await;
        let mut spec = spec(&[bad.address]);
        spec.retry = Some(on_everything(3));
        let pools = Pools::new();
        let group_of_three = group(&spec);
        assert_eq!(ask(&group_of_three, &pools, get("/")).await, broken());
        assert_eq!(requests(&group_of_three), [3]);
        spec.retry = Some(RetrySpec {
            backoff: (Duration::from_secs(30), Duration::from_secs(30)),
            ..on_everything(3)
        });
        let patient = group(&spec);
        let mut soon = get("/");
        soon.deadline = Instant::now() + Duration::from_secs(10);
        assert_eq!(ask(&patient, &pools, soon).await, broken());
        assert_eq!(requests(&patient), [1]);
    });
}

#[test]
fn a_busy_upstream_is_heeded_or_its_answer_passed_on() {
    on_worker(|| async {
        const LATER: &str = "HTTP/1.1 503 Busy\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n";
        const NOW: &str = "HTTP/1.1 429 Busy\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
        for (said, expected) in [(LATER, 1), (NOW, 3)] {
            let busy = Backend::answering(said).await;
            let mut spec = spec(&[busy.address]);
            spec.retry = Some(on_everything(3));
            let (group, pools) = (group(&spec), Pools::new());
            let (status, _) = ask(&group, &pools, get("/")).await.unwrap();
            assert!(status == 503 || status == 429);
            assert_eq!(requests(&group), [expected]);
        }
    });
}

#[test]
fn retries_are_bounded_by_a_budget() {
    on_worker(|| async {
        let bad = Backend::answering(BROKEN).await;
        let mut spec = spec(&[bad.address]);
        spec.retry = Some(on_everything(2));
        let (group, pools) = (group(&spec), Pools::new());
        for _ in 0..100 {
            assert_eq!(ask(&group, &pools, get("/")).await, broken());
        }
        let facts = group.facts();
        // What was saved, a fifth of the requests, and one a second.
        assert!((28..50).contains(&facts.retries), "{}", facts.retries);
        assert_eq!(facts.retries + facts.retries_refused, 100);
    });
}

#[test]
fn a_body_that_streams_is_never_sent_twice() {
    on_worker(|| async {
        let bad = Backend::start(|mut talk| async move {
            talk.until("0\r\n\r\n").await;
            talk.say(BROKEN).await;
        })
        .await;
        let mut spec = spec(&[bad.address]);
        spec.retry = Some(on_everything(3));
        let (group, pools) = (group(&spec), Pools::new());
        let body = Body::stream(Body::Parts([Bytes::from_static(b"x")].into()));
        let mut put = sending(Method::PUT, "/", body);
        put.headers.append("idempotency-key", b"1");
        // Of unknown length, so that it is chunked.
        put.body = Body::stream(Unsized(put.body));
        assert_eq!(ask(&group, &pools, put).await, broken());
        assert_eq!(requests(&group), [1]);
    });
}

#[test]
fn more_requests_than_allowed_are_refused_until_one_ends() {
    on_worker(|| async {
        let slow = Backend::start(|mut talk| async move {
            while talk.request().await.is_some() {
                talk.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha")
                    .await;
                talk.say("lf").await;
            }
        })
        .await;
        let mut spec = spec(&[slow.address]);
        spec.max_requests = Some(2);
        let (group, pools) = (group(&spec), Pools::new());
        let one = group.call(&pools, get("/")).await.unwrap();
        let two = group.call(&pools, get("/")).await.unwrap();
        // Where the whole answer had come at once, the request is over already.
        if group.facts().endpoints[0].in_flight == 2 {
            let refused = ask(&group, &pools, get("/")).await.unwrap_err();
            assert_eq!(refused.cause(), "overloaded");
            assert_eq!(group.facts().overloaded, 1);
        }
        drop(one);
        assert_eq!(text(two).await, "half");
        for _ in 0..5 {
            assert!(ask(&group, &pools, get("/")).await.is_ok());
        }
    });
}

#[test]
fn under_the_cap_calls_share_connections_one_after_another() {
    on_worker(|| async {
        let backend = Backend::answering(OK).await;
        let mut spec = spec(&[backend.address]);
        spec.max_connections = Some(2);
        let (group, pools) = (group(&spec), Pools::new());
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let (group, pools) = (Arc::clone(&group), Rc::clone(&pools));
                tokio::task::spawn_local(async move { ask(&group, &pools, get("/")).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), ok());
        }
        assert_eq!(backend.accepted.get(), 2);
    });
}

#[test]
fn a_worker_gives_up_a_connection_that_another_waits_for() {
    on_worker(|| async {
        let backend = Backend::answering(OK).await;
        let mut spec = spec(&[backend.address]);
        spec.max_connections = Some(1);
        let group = group(&spec);
        let (one, two) = (Pools::new(), Pools::new());
        for pools in [&one, &two, &one, &two] {
            assert_eq!(ask(&group, pools, get("/")).await, ok());
        }
        assert_eq!(group.facts().endpoints[0].open_connections, 1);
    });
}

#[test]
fn who_waits_in_vain_for_a_connection_is_told_that_there_are_too_many() {
    on_worker(|| async {
        let backend = Backend::start(|mut talk| async move { talk.closed().await }).await;
        let mut spec = spec(&[backend.address]);
        spec.max_connections = Some(1);
        spec.connect_timeout = Duration::from_millis(30);
        let (group, pools) = (group(&spec), Pools::new());
        let stuck = {
            let (group, pools) = (Arc::clone(&group), Rc::clone(&pools));
            tokio::task::spawn_local(async move { ask(&group, &pools, get("/")).await })
        };
        until(|| backend.accepted.get() == 1).await;
        let refused = ask(&group, &pools, get("/")).await.unwrap_err();
        assert_eq!(refused.cause(), "overloaded");
        assert_eq!(group.facts().endpoints[0].health, HealthState::Up);
        stuck.abort();
    });
}

#[test]
fn what_has_not_changed_lives_on_over_a_reload() {
    on_worker(|| async {
        let (one, two) = (Backend::answering(OK).await, Backend::answering(OK).await);
        let mut before = spec(&[one.address]);
        let old = group(&before);
        let pools = Pools::new();
        assert_eq!(ask(&old, &pools, get("/")).await, ok());

        let same = Group::build(&before, Some(&old)).unwrap();
        assert!(Arc::ptr_eq(&same, &old));

        before.timeout = Duration::from_secs(9);
        before.endpoints = spec(&[two.address, one.address]).endpoints;
        let new = Group::build(&before, Some(&old)).unwrap();
        assert!(!Arc::ptr_eq(&new, &old));
        for _ in 0..4 {
            assert_eq!(ask(&new, &pools, get("/")).await, ok());
        }
        assert_eq!(one.accepted.get(), 1, "its connection lived on");
        assert_eq!(requests(&new), [2, 3]);

        before.protocol = Protocol::H1;
        let other = Group::build(&before, Some(&new)).unwrap();
        pools.retain_used(std::slice::from_ref(&other));
        until(|| one.closed.get() == 1 && two.closed.get() == 1).await;
        assert_eq!(ask(&other, &pools, get("/")).await, ok());
        assert_eq!(requests(&other).iter().sum::<u64>(), 6, "counts live on");
    });
}

#[test]
fn an_upstream_without_endpoints_or_with_bad_files_is_refused() {
    let none = spec(&[]);
    assert!(Group::build(&none, None).is_err());
    let mut wrong = spec(&["127.0.0.1:1".parse().unwrap()]);
    wrong.tls.ca = Some("/nowhere/ca.pem".into());
    let error = Group::build(&wrong, None).unwrap_err().to_string();
    assert!(
        error.contains("/nowhere/ca.pem") && error.contains("backend"),
        "{error}"
    );
}

/// A body that does not tell its length.
struct Unsized(Body);

impl http_body::Body for Unsized {
    type Data = Bytes;
    type Error = crate::exchange::BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(context)
    }
}
