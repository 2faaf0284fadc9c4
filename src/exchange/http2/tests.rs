//! Clients that hold an HTTP/2 connection without taking anything from it, and streams that share
//! one task.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use tokio::time::Instant;

use super::*;
use crate::exchange::{Body, BodyError, Headers};

const DATA: u8 = 0;
const RESET: u8 = 3;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const BODY_TIME: u64 = 30;
const IDLE: u64 = 75;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags];
    frame.extend_from_slice(&[0, 0, 0, stream]);
    frame.extend_from_slice(payload);
    frame
}

/// The preface, with the window that streams begin with.
fn preface(window: u8) -> Vec<u8> {
    let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    preface.extend(frame(4, 0, 0, &[0, 4, 0, 0, 0, window]));
    preface
}

/// `GET http://x/`, as fields that HPACK need not remember (RFC 7541, appendix A).
fn get(stream: u8) -> Vec<u8> {
    frame(1, 5, stream, b"\x82\x86\x84\x01\x01x")
}

/// Sends `opening`, then does nothing but answer pings; the seconds until the server hung up.
async fn held(opening: Vec<u8>, body: &'static [u8]) -> u64 {
    held_by(Client::AnswersPings, opening, body).await
}

#[derive(Clone, Copy, PartialEq)]
enum Client {
    AnswersPings,
    OnlyListens,
}

async fn held_by(client_is: Client, opening: Vec<u8>, body: &'static [u8]) -> u64 {
    let set = tokio::task::LocalSet::new();
    let handler = move |_: Request| async move { answer(body) };
    let begin = Instant::now();
    let client = serve_on(&set, handler);
    let until_closed = tokio::time::timeout(
        Duration::from_mins(10),
        set.run_until(answer_pings(client_is, client, opening)),
    );
    until_closed.await.expect("the connection is given up");
    begin.elapsed().as_secs()
}

fn answer(body: &'static [u8]) -> Response {
    Response::new(StatusCode::OK, Headers::new(), Bytes::from_static(body))
}

/// The client's end of a connection that `handler` answers on.
fn serve_on<F: Future<Output = Response> + 'static>(
    set: &tokio::task::LocalSet,
    handler: impl Fn(Request) -> F + 'static,
) -> DuplexStream {
    let (client, server) = tokio::io::duplex(1 << 16);
    let limits = Rc::new(Limits {
        header_bytes: 16 * 1024,
        headers: 100,
        streams: 100,
        body_time: Duration::from_secs(BODY_TIME),
        idle: Duration::from_secs(IDLE),
    });
    let refuse = |status, _| Response::new(status, Headers::new(), Body::Empty);
    set.spawn_local(
        async move { serve(server, limits, std::future::pending(), handler, refuse).await },
    );
    client
}

async fn answer_pings(client_is: Client, mut client: DuplexStream, opening: Vec<u8>) {
    client.write_all(&opening).await.unwrap();
    loop {
        let mut head = [0; 9];
        if client.read_exact(&mut head).await.is_err() {
            return;
        }
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        client.read_exact(&mut payload).await.unwrap();
        if client_is == Client::AnswersPings
            && head[3] == PING
            && head[4] == 0
            && client
                .write_all(&frame(PING, 1, 0, &payload))
                .await
                .is_err()
        {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_of_a_response_is_given_up() {
    let opening = [preface(0), get(1), get(3)].concat();
    assert_eq!(held(opening, b"hello").await, BODY_TIME);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_some_of_a_response_is_given_up() {
    let opening = [preface(3), get(1)].concat();
    let held = held(opening, b"hello").await;
    assert!((BODY_TIME..=IDLE + 2 * BODY_TIME).contains(&held), "{held}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_finishes_its_opening_is_given_up() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let held = held(preface, b"").await;
    assert!((IDLE..=IDLE + 2 * BODY_TIME).contains(&held), "{held}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_given_up() {
    let held = held_by(Client::OnlyListens, preface(255), b"").await;
    assert_eq!(held, 50, "a ping after 30 seconds, and 20 to answer it");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_half_a_preface_is_given_up() {
    let held = held(b"PRI * HTTP/2.0\r\n".to_vec(), b"").await;
    assert_eq!(held, BODY_TIME);
}

/// Sends `opening`; the streams whose answers come, in their order, until there are `count`.
async fn answered(client: &mut DuplexStream, opening: &[u8], count: usize) -> Vec<u8> {
    client.write_all(opening).await.unwrap();
    let mut ended = Vec::new();
    while ended.len() < count {
        let mut head = [0; 9];
        client.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        client.read_exact(&mut payload).await.unwrap();
        if head[0..4] == [0, 0, payload.len() as u8, DATA] && head[4] & END_STREAM != 0 {
            ended.push(head[8]);
        }
    }
    ended
}

async fn within_a_minute<T>(set: &tokio::task::LocalSet, client: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), set.run_until(client))
        .await
        .expect("the streams are answered")
}

/// The last one first.
async fn let_go(mut waiting: Vec<tokio::sync::oneshot::Sender<()>>) {
    while let Some(go) = waiting.pop() {
        go.send(()).unwrap();
        turn().await;
    }
}

/// Goes on at once, but not before it was polled once more.
async fn turn() {
    let mut turned = false;
    let turn = std::future::poll_fn(|context| {
        if std::mem::replace(&mut turned, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    });
    turn.await;
}

#[tokio::test]
async fn streams_end_in_the_order_in_which_their_answers_are_there() {
    let set = tokio::task::LocalSet::new();
    // The first three wait for the fourth, and go on in the opposite order.
    let waiting = Rc::new(std::cell::RefCell::new(Vec::new()));
    let handler = move |_: Request| {
        let waiting = Rc::clone(&waiting);
        async move {
            if waiting.borrow().len() == 3 {
                let_go(waiting.take()).await;
                return answer(b"hello");
            }
            let (go, went) = tokio::sync::oneshot::channel();
            waiting.borrow_mut().push(go);
            went.await.unwrap();
            answer(b"hello")
        }
    };
    let mut client = serve_on(&set, handler);
    let opening = [preface(255), get(1), get(3), get(5), get(7)].concat();
    let ended = within_a_minute(&set, answered(&mut client, &opening, 4)).await;
    assert_eq!(ended, [5, 3, 1, 7]);
}

#[tokio::test]
async fn a_stream_that_is_always_ready_holds_up_no_other() {
    let set = tokio::task::LocalSet::new();
    let first = Rc::new(Cell::new(true));
    let handler = move |_: Request| {
        let mut turns = if first.take() { usize::MAX } else { 0 };
        async move {
            while turns > 0 {
                turns -= 1;
                turn().await;
            }
            answer(b"hello")
        }
    };
    let mut client = serve_on(&set, handler);
    let opening = [preface(255), get(1), get(3)].concat();
    let ended = within_a_minute(&set, async {
        let mut ended = answered(&mut client, &opening, 1).await;
        ended.extend(answered(&mut client, &get(5), 1).await);
        ended
    });
    assert_eq!(ended.await, [3, 5]);
}

#[tokio::test]
async fn a_stream_can_be_woken_by_another_thread() {
    let set = tokio::task::LocalSet::new();
    let handler = |_: Request| async {
        let (go, went) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || go.send(()));
        went.await.unwrap();
        answer(b"hello")
    };
    let mut client = serve_on(&set, handler);
    let ended = within_a_minute(&set, async {
        let mut ended = answered(&mut client, &preface(255), 0).await;
        for stream in (1..100).step_by(2) {
            ended.extend(answered(&mut client, &get(stream), 1).await);
        }
        ended
    });
    assert_eq!(ended.await, (1..100).step_by(2).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_that_is_reset_is_given_up_and_its_place_is_taken_by_another() {
    /// Tells when it is dropped.
    struct Told(tokio::sync::mpsc::Sender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.try_send(()).unwrap();
        }
    }
    let set = tokio::task::LocalSet::new();
    let (told, mut given_up) = tokio::sync::mpsc::channel(1);
    let told = std::cell::RefCell::new(Some(Told(told)));
    let handler = move |_: Request| {
        let told = told.take();
        async move {
            if told.is_some() {
                std::future::pending::<()>().await;
            }
            answer(b"hello")
        }
    };
    let mut client = serve_on(&set, handler);
    let ended = within_a_minute(&set, async {
        answered(&mut client, &[preface(255), get(1)].concat(), 0).await;
        answered(&mut client, &frame(RESET, 0, 1, &[0, 0, 0, 8]), 0).await;
        given_up.recv().await.unwrap();
        answered(&mut client, &get(3), 1).await
    });
    assert_eq!(ended.await, [3]);
}

type Client2 = h2::client::SendRequest<Bytes>;

/// Speaks HTTP/2 as another implementation of the client's side does.
async fn speak(client: DuplexStream) -> Client2 {
    let (sender, connection) = h2::client::handshake(client).await.unwrap();
    tokio::task::spawn_local(connection);
    sender
}

/// Asks with `name` and one field; the status that comes first, of an interim response perhaps.
async fn first_status(sender: &mut Client2, name: &str, field: (&str, &str)) -> u16 {
    let request = http::Request::builder().method(name).uri("http://x/");
    let request = request.header(field.0, field.1).body(()).unwrap();
    let (mut response, mut body) = sender.send_request(request, false).unwrap();
    let interim = std::future::poll_fn(|context| response.poll_informational(context)).await;
    if let Some(interim) = interim {
        body.send_data(Bytes::from_static(b"hello"), true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
        return interim.unwrap().status().as_u16();
    }
    response.await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_client_that_waits_for_it_is_told_to_continue() {
    let set = tokio::task::LocalSet::new();
    let handler = |request: Request| async {
        let body = request.body.collect(5).await.unwrap();
        Response::new(StatusCode::OK, Headers::new(), body)
    };
    let client = serve_on(&set, handler);
    within_a_minute(&set, async {
        let mut sender = speak(client).await;
        let expects = ("expect", "100-Continue");
        assert_eq!(first_status(&mut sender, "POST", expects).await, 100);
    })
    .await;
}

#[tokio::test]
async fn what_is_answered_at_once_needs_no_body() {
    let set = tokio::task::LocalSet::new();
    let client = serve_on(&set, |_: Request| async { answer(b"") });
    within_a_minute(&set, async {
        let mut sender = speak(client).await;
        let expects = ("expect", "100-continue");
        assert_eq!(first_status(&mut sender, "POST", expects).await, 200);
    })
    .await;
}

#[tokio::test]
async fn what_http_1_refuses_is_refused() {
    let set = tokio::task::LocalSet::new();
    let client = serve_on(&set, |_: Request| async { answer(b"") });
    within_a_minute(&set, async {
        let mut sender = speak(client).await;
        let [long, longer] = [32, 33].map(|len| "M".repeat(len));
        for (name, field, status) in [
            ("POST", ("expect", "a miracle"), 417),
            ("TRACE", ("accept", "*/*"), 400),
            (&longer, ("accept", "*/*"), 501),
            (&long, ("accept", "*/*"), 200),
        ] {
            let given = first_status(&mut sender, name, field).await;
            assert_eq!(given, status, "{name} {field:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_connection_and_no_other() {
    let set = tokio::task::LocalSet::new();
    let handler = |request: Request| async move {
        assert_ne!(request.head.method, Method::DELETE, "as meant");
        answer(b"hello")
    };
    let (client, mut other) = (serve_on(&set, handler), serve_on(&set, handler));
    let ended = within_a_minute(&set, async {
        let opening = [preface(255), get(1)].concat();
        let mut ended = answered(&mut other, &opening, 1).await;
        let mut sender = speak(client).await;
        let request = http::Request::delete("http://x/").body(()).unwrap();
        let (response, _body) = sender.send_request(request, true).unwrap();
        response.await.unwrap_err();
        ended.extend(answered(&mut other, &get(3), 1).await);
        ended
    });
    assert_eq!(ended.await, [1, 3]);
}

/// A body without an end, and how much was taken of it.
struct Endless(Rc<Cell<usize>>);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        static PIECE: [u8; 8 * 1024] = [0; 8 * 1024];
        self.0.set(self.0.get() + PIECE.len());
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE)))))
    }
}

#[tokio::test]
async fn little_is_taken_of_a_body_that_the_client_does_not_read() {
    let set = tokio::task::LocalSet::new();
    let taken = Rc::new(Cell::new(0));
    let counter = Rc::clone(&taken);
    let handler = move |_: Request| {
        let body = Body::stream(Endless(Rc::clone(&counter)));
        async move { Response::new(StatusCode::OK, Headers::new(), body) }
    };
    let mut client = serve_on(&set, handler);
    // It leaves room for a gigabyte, of each stream and of all.
    let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    opening.extend(frame(4, 0, 0, &[0, 4, 0x40, 0, 0, 0]));
    opening.extend(frame(8, 0, 0, &[0x40, 0, 0, 0]));
    opening.extend(get(1));
    within_a_minute(&set, async {
        client.write_all(&opening).await.unwrap();
        let (mut before, mut turns) = (0, 0);
        while turns < 1000 {
            turn().await;
            turns = if taken.get() == before { turns + 1 } else { 0 };
            before = taken.get();
        }
    })
    .await;
    // What the pipe holds, what is gathered, what waits, and a piece behind it.
    let most = SEND_BUFFER + (64 + 16 + 8) * 1024;
    assert!((SEND_BUFFER..=most).contains(&taken.get()), "{taken:?}");
}
