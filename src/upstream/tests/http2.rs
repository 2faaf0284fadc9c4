//! HTTP/2 towards endpoints: sharing, trailers, resets.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use super::backend::*;
use super::http2_backend::*;
use crate::exchange::http2::LocalTasks;
use crate::exchange::{Body, BodyError, CallError};
use crate::upstream::{HealthSpec, HealthState, Pools, Protocol};

#[test]
fn many_requests_share_one_connection() {
    on_worker(|| async {
        let backend = Http2Backend::start(None, |request| async move {
            assert_eq!(request.version(), http::Version::HTTP_2);
            answer([data("ok")])
        })
        .await;
        let (group, pools) = (group(&backend.spec(false)), Pools::new());
        let calls: Vec<_> = (0..50)
            .map(|_| {
                let (group, pools) = (Arc::clone(&group), Rc::clone(&pools));
                tokio::task::spawn_local(async move { ask(&group, &pools, get("/")).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), Ok((200, "ok".to_owned())));
        }
        assert_eq!(backend.accepted.get(), 1);
        let facts = &group.facts().endpoints[0];
        assert_eq!(
            (facts.requests, facts.in_flight, facts.open_connections),
            (50, 0, 1)
        );
        pools.retain_used(&[]);
        drop(group);
    });
}

#[test]
fn grpc_passes_with_trailers_both_ways() {
    on_worker(|| async {
        let seen = Rc::new(RefCell::new(None));
        let log = Rc::clone(&seen);
        let backend = Http2Backend::start(None, move |request: http::Request<Incoming>| {
            let log = Rc::clone(&log);
            async move {
                assert_eq!(request.headers()["te"], "trailers");
                assert_eq!(request.uri().path_and_query().unwrap(), "/s.S/M?q=%7B%23");
                assert_eq!(request.uri().authority().unwrap(), "shop.example");
                assert!(request.headers().get("host").is_none());
                let body = request.into_body().collect().await.unwrap();
                let check = body.trailers().unwrap()["x-check"].clone();
                *log.borrow_mut() = Some((check, body.to_bytes()));
                answer([data("pong"), trailers("grpc-status", "0")])
            }
        })
        .await;
        let (group, pools) = (group(&backend.spec(false)), Pools::new());
        let body = Body::stream(Frames(
            VecDeque::from([data("ping"), trailers("x-check", "1")]),
            true,
        ));
        let mut outgoing = sending(Method::POST, "/s.S/M?q=%7B#", body);
        outgoing.headers.append("host", b"shop.example");
        outgoing.headers.append("content-type", b"application/grpc");
        let mut response = group.call(&pools, outgoing).await.unwrap();
        assert_eq!(
            response
                .body
                .next()
                .await
                .unwrap()
                .unwrap()
                .into_data()
                .unwrap(),
            "pong"
        );
        let trailers = response
            .body
            .next()
            .await
            .unwrap()
            .unwrap()
            .into_trailers()
            .unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        assert!(response.body.next().await.is_none());
        let seen = seen.borrow().clone().unwrap();
        assert_eq!(
            seen,
            (HeaderValue::from_static("1"), Bytes::from_static(b"ping"))
        );
        assert_eq!(group.facts().endpoints[0].in_flight, 0);
    });
}

#[test]
fn a_dropped_call_resets_its_stream_and_no_other() {
    on_worker(|| async {
        let backend = Http2Backend::start(None, |request: http::Request<Incoming>| async move {
            match request.uri().path() {
                "/never" => std::future::pending().await,
                "/half" => http::Response::new(Frames(VecDeque::from([data("half")]), false)),
                "/upload" => {
                    // Answers at once and reads on.
                    tokio::task::spawn_local(request.into_body().collect());
                    http::Response::new(Frames(VecDeque::new(), false))
                }
                _ => answer([data("ok")]),
            }
        })
        .await;
        let (group, pools) = (group(&backend.spec(false)), Pools::new());
        let never = {
            let (group, pools) = (Arc::clone(&group), Rc::clone(&pools));
            tokio::task::spawn_local(async move { ask(&group, &pools, get("/never")).await })
        };
        let half = group.call(&pools, get("/half")).await.unwrap();
        let endless = Body::stream(Frames(VecDeque::from([data("up")]), false));
        let upload = group.call(&pools, sending(Method::POST, "/upload", endless));
        let upload = upload.await.unwrap();
        assert_eq!(group.facts().endpoints[0].in_flight, 3);
        never.abort();
        until(|| backend.given_up.get() == 1).await;
        drop(half);
        until(|| backend.given_up.get() == 2).await;
        drop(upload);
        until(|| backend.given_up.get() == 3).await;
        assert_eq!(
            ask(&group, &pools, get("/")).await,
            Ok((200, "ok".to_owned()))
        );
        assert_eq!(backend.accepted.get(), 1);
        assert_eq!(group.facts().endpoints[0].in_flight, 0);
    });
}

#[test]
fn a_client_body_that_fails_over_http2_is_named() {
    on_worker(|| async {
        let backend = Http2Backend::start(None, |request: http::Request<Incoming>| async move {
            drop(request.into_body().collect().await);
            answer([])
        })
        .await;
        let (group, pools) = (group(&backend.spec(false)), Pools::new());
        let outgoing = sending(
            Method::PUT,
            "/",
            Body::stream(Body::Full(Bytes::from_static(b"x")).limited(0, &Rc::default())),
        );
        let error = ask(&group, &pools, outgoing).await.unwrap_err();
        assert_eq!(
            error,
            CallError::RequestBody(BodyError::TooLarge { limit: 0 })
        );
    });
}

#[test]
fn a_connection_that_went_away_is_replaced() {
    on_worker(|| async {
        let backend = Http2Backend::start(None, |_| async { answer([data("ok")]) }).await;
        let (group, pools) = (group(&backend.spec(false)), Pools::new());
        assert_eq!(
            ask(&group, &pools, get("/")).await,
            Ok((200, "ok".to_owned()))
        );
        for slot in &pools.local(&group).slots {
            slot.http2.borrow_mut().clear();
        }
        assert_eq!(
            ask(&group, &pools, get("/")).await,
            Ok((200, "ok".to_owned()))
        );
        assert_eq!(backend.accepted.get(), 2);
    });
}

#[test]
fn probes_speak_the_protocol_of_the_upstream() {
    on_worker(|| async {
        let probes = Rc::new(Cell::new(0));
        let count = Rc::clone(&probes);
        let backend = Http2Backend::start(None, move |request: http::Request<Incoming>| {
            count.set(count.get() + usize::from(request.uri().path() == "/healthz"));
            let mut refusal = answer([]);
            *refusal.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            let well = count.get() > 3;
            async move { if well { answer([data("ok")]) } else { refusal } }
        })
        .await;
        let mut spec = backend.spec(false);
        spec.health = Some(HealthSpec {
            path: "/healthz".to_owned(),
            every: Duration::from_millis(5),
            timeout: Duration::from_secs(5),
            unhealthy_after: 1,
            healthy_after: 1,
        });
        let group = group(&spec);
        group.tend(&tokio::runtime::Handle::current());
        until(|| group.facts().endpoints[0].health == HealthState::Down).await;
        until(|| group.facts().endpoints[0].health == HealthState::Up).await;
        assert!(probes.get() > 3);
    });
}

#[test]
fn a_burst_on_a_cold_worker_opens_one_connection() {
    on_worker(|| async {
        let backend = Http2Backend::start(None, |_| async { answer([data("ok")]) }).await;
        let mut spec = backend.spec(false);
        spec.max_connections = Some(1);
        let (group, pools) = (group(&spec), Pools::new());
        // More than one connection takes at once: what is above waits for its turn.
        let calls: Vec<_> = (0..250)
            .map(|_| {
                let (group, pools) = (Arc::clone(&group), Rc::clone(&pools));
                tokio::task::spawn_local(async move { ask(&group, &pools, get("/")).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), Ok((200, "ok".to_owned())));
        }
        assert_eq!(backend.accepted.get(), 1);
    });
}

#[test]
fn responses_that_nobody_reads_hold_up_no_other() {
    on_worker(|| async {
        let backend = Http2Backend::start(None, |request: http::Request<Incoming>| async move {
            match request.uri().path() {
                "/large" => {
                    let piece = Frame::data(Bytes::from(vec![b'x'; 1024 * 1024]));
                    http::Response::new(Frames(VecDeque::from([piece]), true))
                }
                _ => answer([data("ok")]),
            }
        })
        .await;
        let (group, pools) = (group(&backend.spec(false)), Pools::new());
        let mut unread = Vec::new();
        for _ in 0..60 {
            unread.push(group.call(&pools, get("/large")).await.unwrap());
        }
        for _ in 0..20 {
            let answer = ask(&group, &pools, get("/")).await;
            assert_eq!(answer, Ok((200, "ok".to_owned())));
        }
        assert_eq!(backend.accepted.get(), 1);
        let whole = unread
            .pop()
            .unwrap()
            .body
            .collect(1024 * 1024)
            .await
            .unwrap();
        assert_eq!(whole.len(), 1024 * 1024);
    });
}

#[test]
fn a_connection_that_says_goodbye_is_replaced() {
    on_worker(|| async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut spec = spec(&[listener.local_addr().unwrap()]);
        spec.protocol = Protocol::H2;
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(answer_and_leave(stream));
            }
        });
        let (group, pools) = (group(&spec), Pools::new());
        for _ in 0..20 {
            let post = sending(Method::POST, "/", Bytes::from_static(b"x").into());
            assert_eq!(ask(&group, &pools, post).await, Ok((200, "ok".to_owned())));
        }
    });
}

#[test]
fn who_does_not_speak_http2_is_found_out() {
    on_worker(|| async {
        let backend =
            Backend::answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        let mut spec = spec(&[backend.address]);
        spec.protocol = Protocol::H2;
        let (group, pools) = (group(&spec), Pools::new());
        let error = ask(&group, &pools, get("/")).await.unwrap_err();
        assert_eq!(error.cause(), "reset", "{error}");
    });
}

/// Takes a request and then sends GOAWAY (RFC 9113, 6.8).
async fn answer_and_leave(stream: tokio::net::TcpStream) {
    let leaving = Rc::new(tokio::sync::Notify::new());
    let leave = Rc::clone(&leaving);
    let service = hyper::service::service_fn(move |_| {
        leave.notify_one();
        async { Ok::<_, std::convert::Infallible>(answer([data("ok")])) }
    });
    let http = hyper::server::conn::http2::Builder::new(LocalTasks);
    let serving = http.serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        _ = &mut serving => return,
        () = leaving.notified() => serving.as_mut().graceful_shutdown(),
    }
    drop(serving.await);
}
