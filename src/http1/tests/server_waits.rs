//! The server side when a client is slow, leaves, or is asked to: every wait ends.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use tokio::io::AsyncWriteExt;

use super::bodies::{data, pieces};
use super::service::*;
use crate::exchange::{BodyError, Finish, Headers, Request, Response};
use crate::http1::{Drain, Limits, serve};

/// Set when dropped.
struct Alarm(Rc<Cell<bool>>);

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// Whether work on `text` is stopped when the client closes its side.
async fn stops_when_left(text: &str, limits: Limits) -> bool {
    local(async {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let stopped = Rc::new(Cell::new(false));
        let alarm = Rc::clone(&stopped);
        let started = Rc::new(tokio::sync::Notify::new());
        let begun = Rc::clone(&started);
        let handler = move |request: Request| {
            let alarm = Alarm(Rc::clone(&alarm));
            begun.notify_one();
            async move {
                let _body = request.body;
                tokio::time::sleep(Duration::from_mins(1)).await;
                alarm.0.get();
                Response::from(StatusCode::OK)
            }
        };
        let served = tokio::task::spawn_local(serve(
            server,
            Rc::new(limits),
            &Drain::new(),
            handler,
            refuse,
        ));
        client.write_all(text.as_bytes()).await.unwrap();
        started.notified().await;
        assert!(!stopped.get());
        let begin = tokio::time::Instant::now();
        client.shutdown().await.unwrap();
        served.await.unwrap();
        assert!(stopped.get());
        begin.elapsed() < Duration::from_mins(1)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn work_for_a_client_that_has_left_is_stopped() {
    assert!(stops_when_left(GET, Limits::default()).await);
    assert!(stops_when_left(&post("/", "Content-Length: 3", "abc"), Limits::default()).await);
    // Unless another request waits, or the limits allow it.
    assert!(!stops_when_left(&GET.repeat(2), Limits::default()).await);
    let half_close = Limits {
        half_close: true,
        ..Limits::default()
    };
    assert!(!stops_when_left(GET, half_close).await);
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_408_and_an_idle_connection_is_closed() {
    local(async {
        let begin = tokio::time::Instant::now();
        let mut client = connect();
        assert_eq!(read_all(&mut client).await, "");
        assert_eq!(begin.elapsed().as_secs(), 75);
        // From the first byte on, however the others trickle in.
        let begin = tokio::time::Instant::now();
        let mut client = connect();
        tokio::time::sleep(Duration::from_secs(30)).await;
        for byte in &GET.as_bytes()[..9] {
            client.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let said = read_until(&mut client, "\r\n\r\n").await;
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        assert_eq!(begin.elapsed().as_secs(), 40);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stands_still_is_given_up() {
    local(async {
        let begin = tokio::time::Instant::now();
        let mut client = connect();
        let head = post("/echo", "Content-Length: 9", "");
        client.write_all(head.as_bytes()).await.unwrap();
        // Progress gives it time.
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(20)).await;
            client.write_all(b"a").await.unwrap();
        }
        let said = read_until(&mut client, "in time").await;
        assert!(
            said.starts_with("HTTP/1.1 400 ") && said.contains("connection: close"),
            "{said}"
        );
        assert_eq!(begin.elapsed().as_secs(), 130);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_given_up() {
    local(async {
        let (mut client, server) = tokio::io::duplex(1024);
        let handler = |_: Request| async {
            Response::new(
                StatusCode::OK,
                Headers::new(),
                Bytes::from(vec![b'a'; 100_000]),
            )
        };
        let served =
            tokio::task::spawn_local(serve(server, limits(), &Drain::new(), handler, refuse));
        let begin = tokio::time::Instant::now();
        client.write_all(GET.as_bytes()).await.unwrap();
        served.await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), 30);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_the_busy_finish_and_closes_the_idle() {
    local(async {
        let drain = Drain::new();
        let begin = tokio::time::Instant::now();
        let mut idle = connect_with(limits(), &drain);
        idle.write_all(GET.as_bytes()).await.unwrap();
        read_until(&mut idle, "hello").await;
        let mut late = connect_with(limits(), &drain);
        let mut busy = connect_with(limits(), &drain);
        busy.write_all(post("/echo", "Content-Length: 3", "a").as_bytes())
            .await
            .unwrap();
        tokio::task::yield_now().await;
        assert!(!drain.has_started());
        drain.start();
        drain.started().await;
        // It was on its way.
        late.write_all(GET.as_bytes()).await.unwrap();
        assert_eq!(read_all(&mut late).await, ok_close("hello"));
        assert_eq!(read_all(&mut idle).await, "");
        assert!(begin.elapsed() < Duration::from_secs(1));
        busy.write_all(b"bc").await.unwrap();
        assert_eq!(read_all(&mut busy).await, ok_close("abc"));
    })
    .await;
}

#[derive(Default)]
struct Seen {
    sent: Cell<u64>,
    complete: Cell<bool>,
    dropped: Cell<bool>,
}

struct Report(Rc<Seen>);

impl Finish for Report {
    fn sent(&mut self, bytes: u64) {
        self.0.sent.set(bytes);
    }

    fn complete(&mut self) {
        self.0.complete.set(true);
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.0.dropped.set(true);
    }
}

/// What is reported about a response with `frames`.
async fn reported(frames: Vec<Result<Frame<Bytes>, BodyError>>) -> Rc<Seen> {
    local(async {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let seen = Rc::new(Seen::default());
        let report = Rc::clone(&seen);
        let frames = RefCell::new(frames);
        let handler = move |_: Request| {
            let mut response = Response::new(StatusCode::OK, Headers::new(), pieces(frames.take()));
            response.finish = Some(Box::new(Report(Rc::clone(&report))));
            async move { response }
        };
        tokio::task::spawn_local(serve(server, limits(), &Drain::new(), handler, refuse));
        client.write_all(GET.as_bytes()).await.unwrap();
        read_all(&mut client).await;
        seen
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_response_is_reported() {
    let seen = reported(vec![data("hello"), data(" world")]).await;
    assert_eq!((seen.complete.get(), seen.dropped.get()), (true, true));
    assert_eq!(seen.sent.get(), 11);
    let seen = reported(vec![data("hello"), Err(BodyError::Incomplete)]).await;
    assert_eq!((seen.complete.get(), seen.dropped.get()), (false, true));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_small() {
    let (_client, server) = tokio::io::duplex(1);
    let served = serve(server, limits(), &Drain::new(), answer, refuse);
    assert!(size_of_val(&served) <= 512, "{}", size_of_val(&served));
    let link = size_of::<crate::http1::request_body::Link<tokio::net::TcpStream>>();
    assert!(link <= 512, "{link}");
}
