//! Single calls over HTTP/1.1: reuse, stale connections, bad answers, cancellation.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::backend::*;
use crate::exchange::{Body, BodyError, CallError};
use crate::upstream::{Failure, Pools};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A pause long enough to be noticed and short enough to wait for.
const SHORT: Duration = Duration::from_millis(60);

#[expect(
    clippy::unnecessary_wraps,
    reason = "compared with what a call returns"
)]
fn ok() -> Result<(u16, String), CallError> {
    Ok((200, "ok".to_owned()))
}

#[test]
fn a_connection_is_used_again() {
    on_worker(|| async {
        let backend = Backend::answering(OK).await;
        let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
        for _ in 0..5 {
            assert_eq!(ask(&group, &pools, get("/")).await, ok());
        }
        assert_eq!(backend.accepted.get(), 1);
        let facts = &group.facts().endpoints[0];
        assert_eq!((facts.requests, facts.in_flight), (5, 0));
        assert_eq!((facts.connects, facts.open_connections), (1, 1));
    });
}

#[test]
fn requests_at_once_have_connections_of_their_own_and_the_last_used_is_next() {
    on_worker(|| async {
        let backend = Backend::answering(OK).await;
        let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
        let answers = tokio::join!(
            ask(&group, &pools, get("/")),
            ask(&group, &pools, get("/")),
            ask(&group, &pools, get("/"))
        );
        assert_eq!(answers, (ok(), ok(), ok()));
        assert_eq!(backend.accepted.get(), 3);
        for _ in 0..6 {
            assert_eq!(ask(&group, &pools, get("/")).await, ok());
        }
        assert_eq!(backend.accepted.get(), 3);
    });
}

#[test]
fn the_request_arrives_as_it_was_asked_for() {
    on_worker(|| async {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&seen);
        let backend = Backend::start(move |mut talk| {
            let log = Rc::clone(&log);
            async move {
                while let Some(request) = talk.request().await {
                    log.borrow_mut().push(request);
                    talk.say(OK).await;
                }
            }
        })
        .await;
        let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
        assert_eq!(ask(&group, &pools, get("/a?b=c%20d")).await, ok());
        let mut outgoing = sending(Method::POST, "/", Bytes::from_static(b"hello").into());
        outgoing.headers.append("host", b"shop.example");
        outgoing.headers.append("x-one", b"1");
        assert_eq!(ask(&group, &pools, outgoing).await, ok());
        let expected = format!(
            "GET /a?b=c%20d HTTP/1.1\r\nhost: {}\r\n\r\n",
            backend.address
        );
        assert_eq!(seen.borrow()[0], expected);
        assert!(seen.borrow()[1].starts_with("POST / HTTP/1.1\r\nhost: shop.example\r\n"));
        assert!(seen.borrow()[1].contains("\r\nx-one: 1\r\n"));
        assert!(seen.borrow()[1].ends_with("\r\n\r\nhello"));
    });
}

/// Closes each connection after its first answer, without saying so: whether the gateway notices
/// before or after it has sent the next request is a race, and neither may be seen.
async fn tired_backend() -> Backend {
    Backend::start(|mut talk| async move {
        if talk.request().await.is_some() {
            talk.say(OK).await;
        }
    })
    .await
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_not_noticed() {
    on_worker(|| async {
        let backend = tired_backend().await;
        let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
        for round in 1..=20 {
            assert_eq!(ask(&group, &pools, get("/")).await, ok());
            assert_eq!(backend.accepted.get(), round);
        }
        assert_eq!(group.facts().retries, 0);
    });
}

/// Answers once, and closes when the second request has come.
async fn rude_backend() -> Backend {
    Backend::start(|mut talk| async move {
        talk.request().await;
        talk.say(OK).await;
        talk.request().await;
    })
    .await
}

#[test]
fn a_stale_connection_is_replaced_once_for_what_may_be_repeated() {
    on_worker(|| async {
        let backend = rude_backend().await;
        let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
        assert_eq!(ask(&group, &pools, get("/")).await, ok());
        assert_eq!(ask(&group, &pools, get("/")).await, ok());
        assert_eq!(backend.accepted.get(), 2);
        assert_eq!(group.facts().retries, 0);
        let post = || sending(Method::POST, "/", Bytes::from_static(b"x").into());
        let lost = ask(&group, &pools, post()).await;
        assert!(matches!(lost, Err(CallError::Reset(_))), "{lost:?}");
        let mut keyed = post();
        keyed.headers.append("idempotency-key", b"1");
        assert_eq!(ask(&group, &pools, get("/")).await, ok());
        assert_eq!(ask(&group, &pools, keyed).await, ok());
    });
}

#[test]
fn a_new_connection_that_closes_is_not_replaced() {
    on_worker(|| async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
        })
        .await;
        let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
        let answer = ask(&group, &pools, get("/")).await;
        assert!(matches!(answer, Err(CallError::Reset(_))), "{answer:?}");
        assert_eq!(backend.accepted.get(), 1);
        let facts = &group.facts().endpoints[0];
        assert!(facts.failures.contains(&(Failure::Reset, 1)));
        assert_eq!((facts.in_flight, facts.open_connections), (0, 0));
    });
}

#[test]
fn nonsense_is_told_from_silence_and_from_nobody() {
    on_worker(|| async {
        for (said, cause) in [
            ("SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n", "malformed"),
            ("HTTP/1.1 200 OK\r\nbad header\r\n\r\n", "malformed"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
                "malformed",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n",
                "malformed",
            ),
            ("HTTP/1.1 200 OK\r\nx: ", "reset"),
            ("", "reset"),
        ] {
            let backend = Backend::start(move |mut talk| async move {
                talk.request().await;
                talk.say(said).await;
            })
            .await;
            let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
            let error = ask(&group, &pools, get("/")).await.unwrap_err();
            assert_eq!(error.cause(), cause, "{said:?}: {error}");
        }
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = nobody.local_addr().unwrap();
        drop(nobody);
        let (group, pools) = (group(&spec(&[address])), Pools::new());
        let error = ask(&group, &pools, get("/")).await.unwrap_err();
        assert_eq!(error.cause(), "connect");
    });
}

#[test]
fn a_head_without_end_is_cut_off() {
    on_worker(|| async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            talk.say("HTTP/1.1 200 OK\r\n").await;
            let field = format!("x: {}\r\n", "y".repeat(1000));
            // Bounded here too, in case nobody closes.
            for _ in 0..10_000 {
                if talk.stream.write_all(field.as_bytes()).await.is_err() {
                    return;
                }
            }
            panic!("the gateway read on");
        })
        .await;
        let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
        let error = ask(&group, &pools, get("/")).await.unwrap_err();
        assert_eq!(error.cause(), "malformed");
        until(|| backend.closed.get() == 1).await;
    });
}

#[test]
fn a_body_that_breaks_off_is_an_error_and_its_connection_is_gone() {
    on_worker(|| async {
        for said in [
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        ] {
            let backend = Backend::start(move |mut talk| async move {
                talk.request().await;
                talk.say(said).await;
            })
            .await;
            let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
            let response = group.call(&pools, get("/")).await.unwrap();
            assert_eq!(group.facts().endpoints[0].in_flight, 1);
            let error = response.body.collect(1000).await.unwrap_err();
            assert_eq!(error, BodyError::Incomplete);
            let facts = &group.facts().endpoints[0];
            assert!(facts.failures.contains(&(Failure::Body, 1)));
            assert_eq!((facts.in_flight, facts.open_connections), (0, 0));
        }
    });
}

#[test]
fn who_does_not_answer_in_time_is_left() {
    on_worker(|| async {
        let backend = Backend::start(|mut talk| async move {
            talk.request().await;
            talk.closed().await;
        })
        .await;
        let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
        let mut slow = get("/");
        slow.timeout = Some(SHORT);
        let answer = ask(&group, &pools, slow).await;
        assert_eq!(answer, Err(CallError::Timeout(SHORT)));
        let mut late = get("/");
        late.deadline = Instant::now() + SHORT;
        let answer = ask(&group, &pools, late).await;
        assert_eq!(answer, Err(CallError::Deadline));
        until(|| backend.closed.get() == 2).await;
        let facts = &group.facts().endpoints[0];
        assert!(facts.failures.contains(&(Failure::Timeout, 2)));
        assert_eq!((facts.in_flight, facts.open_connections), (0, 0));
    });
}

#[test]
fn a_call_that_is_dropped_ends_at_the_backend() {
    on_worker(|| async {
        let (told, mut heard) = mpsc::channel(4);
        let backend = Backend::start(move |mut talk| {
            let told = told.clone();
            async move {
                talk.request().await;
                told.send(()).await.unwrap();
                talk.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
                    .await;
                talk.closed().await;
            }
        })
        .await;
        let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
        {
            let call = group.call(&pools, get("/"));
            tokio::pin!(call);
            tokio::select! {
                biased;
                _ = heard.recv() => {}
                _ = &mut call => {}
            }
        }
        until(|| backend.closed.get() == 1).await;
        let response = group.call(&pools, get("/")).await.unwrap();
        assert_eq!(backend.accepted.get(), 2);
        drop(response);
        until(|| backend.closed.get() == 2).await;
        assert_eq!(group.facts().endpoints[0].in_flight, 0);
    });
}

#[test]
fn bodies_and_trailers_pass_both_ways() {
    on_worker(|| async {
        let seen = Rc::new(RefCell::new(String::new()));
        let log = Rc::clone(&seen);
        let backend = Backend::start(move |mut talk| {
            let log = Rc::clone(&log);
            async move {
                let head = talk.until("\r\n\r\n").await.unwrap();
                let body = talk.until("\r\n\r\n").await.unwrap();
                *log.borrow_mut() = head + &body;
                talk.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                    .await;
                talk.say("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n").await;
                talk.closed().await;
            }
        })
        .await;
        let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-check", http::HeaderValue::from_static("1"));
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"up"))),
            Ok(Frame::trailers(trailers)),
        ];
        let outgoing = sending(Method::POST, "/", stream_of(frames));
        let mut response = group.call(&pools, outgoing).await.unwrap();
        let data = response.body.next().await.unwrap().unwrap();
        assert_eq!(data.into_data().unwrap(), "ok");
        let trailers = response.body.next().await.unwrap().unwrap();
        assert_eq!(trailers.into_trailers().unwrap()["x-sum"], "7");
        assert!(response.body.next().await.is_none());
        assert!(seen.borrow().contains("\r\ntransfer-encoding: chunked\r\n"));
        assert!(
            seen.borrow()
                .ends_with("2\r\nup\r\n0\r\nx-check: 1\r\n\r\n")
        );
        assert_eq!(group.facts().endpoints[0].in_flight, 0);
    });
}

#[test]
fn a_client_body_that_fails_is_not_the_upstreams_fault() {
    on_worker(|| async {
        let backend = Backend::start(|mut talk| async move { talk.closed().await }).await;
        let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"up"))),
            Err(BodyError::Timeout),
        ];
        let outgoing = sending(Method::PUT, "/", stream_of(frames));
        let answer = ask(&group, &pools, outgoing).await;
        assert_eq!(answer, Err(CallError::RequestBody(BodyError::Timeout)));
        until(|| backend.closed.get() == 1).await;
        let facts = &group.facts().endpoints[0];
        assert!(facts.failures.iter().all(|(_, count)| *count == 0));
    });
}

#[test]
fn a_switched_connection_carries_bytes_both_ways_and_is_counted() {
    on_worker(|| async {
        let backend = Backend::start(|mut talk| async move {
            let request = talk.request().await.unwrap();
            assert!(request.contains("\r\nupgrade: websocket\r\nconnection: upgrade\r\n"));
            talk.say("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhi ")
                .await;
            let ping = talk.until("ping").await.unwrap();
            talk.say(&ping).await;
            talk.closed().await;
        })
        .await;
        let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
        let mut outgoing = get("/chat");
        outgoing.upgrade = Some("websocket".to_owned());
        let response = group.call(&pools, outgoing).await.unwrap();
        assert_eq!(response.status.as_u16(), 101);
        let mut tunnel = response.tunnel.unwrap().0;
        tunnel.write_all(b"ping").await.unwrap();
        let mut got = [0; 7];
        tunnel.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"hi ping");
        assert_eq!(group.facts().endpoints[0].in_flight, 1);
        drop(tunnel);
        until(|| backend.closed.get() == 1).await;
        let facts = &group.facts().endpoints[0];
        assert_eq!((facts.in_flight, facts.open_connections), (0, 0));
    });
}

#[test]
fn an_answer_to_head_has_the_length_and_no_body() {
    on_worker(|| async {
        let backend = Backend::answering("HTTP/1.1 200 OK\r\ncontent-length: 70\r\n\r\n").await;
        let (group, pools) = (group(&spec(&[backend.address])), Pools::new());
        for _ in 0..3 {
            let head = sending(Method::HEAD, "/", Body::Empty);
            let response = group.call(&pools, head).await.unwrap();
            assert_eq!(response.body.exact_len(), Some(70));
            assert_eq!(text(response).await, "");
        }
        assert_eq!(backend.accepted.get(), 1);
    });
}

fn stream_of<const N: usize>(frames: [Result<Frame<Bytes>, BodyError>; N]) -> Body {
    Body::stream(Frames(frames.into_iter().collect()))
}

struct Frames(std::collections::VecDeque<Result<Frame<Bytes>, BodyError>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        std::task::Poll::Ready(self.0.pop_front())
    }
}
