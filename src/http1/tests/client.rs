//! The upstream side against a server that says exactly what a test wants.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::bodies::{Fed, data, pieces};
use crate::exchange::{Body, BodyError, Headers, Response};
use crate::http1::{Connection, OutgoingHead, SendError, SendFailure, SendOptions};

type Idle = Rc<RefCell<Option<Connection<DuplexStream>>>>;

/// One end of a connection in memory, and the other as an upstream connection.
fn connect() -> (DuplexStream, Connection<DuplexStream>) {
    let (server, client) = tokio::io::duplex(1 << 20);
    (server, Connection::new(client))
}

/// Sends a request, and where its connection goes when it is idle again.
async fn send_on(
    connection: Connection<DuplexStream>,
    method: Method,
    body: Body,
    upgrade: Option<&str>,
) -> (Result<Response, SendError>, Idle) {
    let idle = Idle::default();
    let put = Rc::clone(&idle);
    let mut headers = Headers::new();
    headers.append("x-one", b"1");
    let head = OutgoingHead {
        method: &method,
        target: "/a?b",
        host: "h:1",
        headers: &headers,
        upgrade,
    };
    let sent = connection.send(head, body, SendOptions::default(), move |connection| {
        *put.borrow_mut() = Some(connection);
    });
    (sent.await, idle)
}

/// Sends a GET to a server that answers `answer` and closes.
async fn get(answer: &str) -> (Result<Response, SendError>, Idle) {
    ask(Method::GET, answer, None).await
}

async fn ask(
    method: Method,
    answer: &str,
    upgrade: Option<&str>,
) -> (Result<Response, SendError>, Idle) {
    let (mut server, connection) = connect();
    server.write_all(answer.as_bytes()).await.unwrap();
    server.shutdown().await.unwrap();
    let result = send_on(connection, method, Body::Empty, upgrade).await;
    // Kept until here: a closed end would fail the write.
    drop(server);
    result
}

/// Everything that a request with `body` puts on the wire.
async fn written(method: Method, body: Body) -> String {
    let (mut server, connection) = connect();
    server.write_all(b"HTTP/1.1 204 x\r\n\r\n").await.unwrap();
    let (response, idle) = send_on(connection, method, body, None).await;
    response.unwrap();
    drop(idle.take());
    let mut text = String::new();
    server.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn a_request_is_written_anew() {
    assert_eq!(
        written(Method::GET, Body::Empty).await,
        "GET /a?b HTTP/1.1\r\nhost: h:1\r\nx-one: 1\r\n\r\n"
    );
    assert_eq!(
        written(Method::POST, Body::Empty).await,
        "POST /a?b HTTP/1.1\r\nhost: h:1\r\nx-one: 1\r\ncontent-length: 0\r\n\r\n"
    );
    assert_eq!(
        written(Method::PUT, Bytes::from_static(b"hello").into()).await,
        "PUT /a?b HTTP/1.1\r\nhost: h:1\r\nx-one: 1\r\ncontent-length: 5\r\n\r\nhello"
    );
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "9".parse().unwrap());
    let body = pieces(vec![
        data("hello"),
        data(""),
        data(" world"),
        Ok(Frame::trailers(trailers)),
    ]);
    assert_eq!(
        written(Method::POST, body).await,
        "POST /a?b HTTP/1.1\r\nhost: h:1\r\nx-one: 1\r\ntransfer-encoding: chunked\r\n\r\n\
         5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 9\r\n\r\n"
    );
}

#[tokio::test]
async fn what_concerns_the_connection_is_never_sent_but_te_trailers() {
    let (mut server, connection) = connect();
    server.write_all(b"HTTP/1.1 204 x\r\n\r\n").await.unwrap();
    let mut headers = Headers::new();
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "content-length",
        "upgrade",
        "host",
        "expect",
        "x-kept",
    ] {
        headers.append(name, b"1");
    }
    headers.append("te", b"trailers");
    let head = OutgoingHead {
        method: &Method::GET,
        target: "/",
        host: "h",
        headers: &headers,
        upgrade: Some("a"),
    };
    let sent = connection.send(head, Body::Empty, SendOptions::default(), drop);
    sent.await.unwrap();
    let mut text = String::new();
    server.read_to_string(&mut text).await.unwrap();
    assert_eq!(
        text,
        "GET / HTTP/1.1\r\nhost: h\r\nx-kept: 1\r\nte: trailers\r\nupgrade: a\r\nconnection: upgrade, te\r\n\r\n"
    );
}

/// The body of the answer, and whether the connection may be used again.
async fn answered(answer: &str) -> (String, bool) {
    let (response, idle) = get(answer).await;
    let body = response.unwrap().body.collect(1 << 20).await.unwrap();
    (
        String::from_utf8(body.to_vec()).unwrap(),
        idle.take().is_some(),
    )
}

#[tokio::test]
async fn a_connection_is_handed_back_after_a_clean_end() {
    for (answer, body, reused) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "hello",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "hello",
            true,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", "", true),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            "",
            true,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
            "hello",
            true,
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "hello",
            true,
        ),
        // As far as the connection reaches.
        ("HTTP/1.1 200 OK\r\n\r\nhello", "hello", false),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "hello",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
            "hello",
            false,
        ),
        // More than was asked for: whoever asks next must not get it.
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
            "hello",
            false,
        ),
        (
            "HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\nhello",
            "",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx",
            "",
            false,
        ),
    ] {
        assert_eq!(
            answered(answer).await,
            (body.to_owned(), reused),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_small_body_that_is_there_is_in_one_piece() {
    let (response, _) = get("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    assert!(matches!(response.unwrap().body, Body::Full(_)));
}

#[tokio::test]
async fn a_response_to_head_keeps_its_length() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let (response, idle) = ask(Method::HEAD, answer, None).await;
    let response = response.unwrap();
    assert_eq!(response.body.exact_len(), Some(5));
    assert!(response.body.is_empty());
    assert_eq!(response.body.collect(9).await.unwrap(), "");
    assert!(idle.take().is_some());
}

#[tokio::test]
async fn trailers_come_after_the_body() {
    let answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 9\r\n\r\n";
    let (response, idle) = get(answer).await;
    let mut body = response.unwrap().body;
    assert_eq!(
        body.next().await.unwrap().unwrap().into_data().unwrap(),
        "a"
    );
    let trailers = body.next().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["x-sum"], "9");
    assert!(body.next().await.is_none());
    assert!(idle.take().is_some());
}

#[tokio::test]
async fn a_body_cut_short_is_an_error_and_its_connection_lost() {
    for (answer, expected) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            BodyError::Incomplete,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            BodyError::Incomplete,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!",
            BodyError::Malformed("a chunk holds more than its size says"),
        ),
    ] {
        let (response, idle) = get(answer).await;
        let collected = response.unwrap().body.collect(99).await;
        assert_eq!(collected, Err(expected), "{answer:?}");
        assert!(idle.take().is_none());
    }
}

#[tokio::test]
async fn a_body_dropped_halfway_closes_its_connection() {
    let (mut server, connection) = connect();
    server
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
        .await
        .unwrap();
    let (response, idle) = send_on(connection, Method::GET, Body::Empty, None).await;
    drop(response);
    assert!(idle.take().is_none());
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn a_bad_response_is_told_from_a_closed_connection() {
    let failure = async |answer: &str| {
        let (response, idle) = get(answer).await;
        assert!(idle.take().is_none());
        response.unwrap_err()
    };
    let error = failure("").await;
    assert!(matches!(error.failure, SendFailure::Closed) && error.is_stale() && error.sent);
    let error = failure("HTTP/1.1 200").await;
    assert!(matches!(error.failure, SendFailure::Closed) && !error.is_stale() && error.received);
    for answer in [
        "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n",
        "SSH-2.0-x\r\n",
    ] {
        let error = failure(answer).await;
        assert!(
            matches!(error.failure, SendFailure::Malformed(_)),
            "{answer:?}: {error:?}"
        );
        assert!(!error.is_stale());
    }
    let interim = "HTTP/1.1 103 x\r\n\r\n".repeat(9);
    assert!(matches!(
        failure(&interim).await.failure,
        SendFailure::Malformed(_)
    ));
    let large = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(40_000));
    assert!(matches!(
        failure(&large).await.failure,
        SendFailure::HeadTooLarge
    ));
}

#[tokio::test]
async fn an_idle_connection_that_spoke_or_closed_is_not_used_again() {
    let (_server, mut connection) = connect();
    assert!(connection.is_reusable());
    let (mut server, mut connection) = connect();
    server.write_all(b"H").await.unwrap();
    assert!(!connection.is_reusable());
    let (server, mut connection) = connect();
    drop(server);
    assert!(!connection.is_reusable());
    std::future::poll_fn(|context| connection.poll_unusable(context)).await;
}

#[tokio::test]
async fn a_response_may_come_before_the_request_has_ended() {
    let (mut server, connection) = connect();
    let fed = Fed::default();
    fed.push("first");
    // Head and what is there of the body go out; the answer comes though the body has not ended.
    let answer = "HTTP/1.1 413 x\r\nContent-Length: 3\r\n\r\nbig";
    server.write_all(answer.as_bytes()).await.unwrap();
    let (response, idle) = send_on(connection, Method::POST, Body::stream(fed.clone()), None).await;
    let response = response.unwrap();
    assert_eq!(response.status, 413);
    assert_eq!(response.body.collect(9).await.unwrap(), "big");
    assert!(idle.take().is_none());
    let mut text = String::new();
    server.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with("\r\n\r\n5\r\nfirst\r\n"), "{text:?}");
}

#[tokio::test]
async fn both_bodies_may_flow_at_once() {
    let (mut server, connection) = connect();
    let fed = Fed::default();
    server
        .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let (response, idle) = send_on(connection, Method::POST, Body::stream(fed.clone()), None).await;
    let mut body = response.unwrap().body;
    let mut text = vec![0; 1024];
    assert!(server.read(&mut text).await.unwrap() > 0);
    for (asked, chunk) in [("ping", "4\r\nping\r\n"), ("pong", "4\r\npong\r\n")] {
        fed.push(asked);
        let reading = body.next();
        let serving = async {
            let mut text = vec![0; chunk.len()];
            server.read_exact(&mut text).await.unwrap();
            assert_eq!(text, chunk.as_bytes());
            server.write_all(chunk.as_bytes()).await.unwrap();
        };
        let (frame, ()) = tokio::join!(reading, serving);
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), asked);
    }
    fed.end();
    server.write_all(b"0\r\n\r\n").await.unwrap();
    assert!(body.next().await.is_none());
    assert!(idle.take().is_some());
}

#[tokio::test]
async fn a_request_body_that_fails_ends_the_request() {
    let (mut server, connection) = connect();
    let body = pieces(vec![data("a"), Err(BodyError::Timeout)]);
    let (response, idle) = send_on(connection, Method::POST, body, None).await;
    let error = response.unwrap_err();
    assert!(
        matches!(error.failure, SendFailure::RequestBody(BodyError::Timeout)) && !error.is_stale()
    );
    assert!(idle.take().is_none());
    let mut text = String::new();
    server.read_to_string(&mut text).await.unwrap();
    assert!(!text.contains("0\r\n\r\n"), "{text:?}");
}

#[tokio::test]
async fn an_answer_given_before_the_server_hung_up_is_read() {
    let (mut server, connection) = connect();
    server
        .write_all(b"HTTP/1.1 413 x\r\nContent-Length: 3\r\n\r\nbig")
        .await
        .unwrap();
    drop(server);
    let body = Bytes::from(vec![0; 100_000]).into();
    let (response, idle) = send_on(connection, Method::POST, body, None).await;
    assert_eq!(response.unwrap().body.collect(9).await.unwrap(), "big");
    assert!(idle.take().is_none());
}

#[tokio::test]
async fn an_upgrade_gives_a_tunnel_where_it_matches() {
    let answer = |protocol: &str| {
        format!("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\nearly")
    };
    let (response, idle) = ask(Method::GET, &answer("WebSocket"), Some("websocket, b")).await;
    let response = response.unwrap();
    assert_eq!(response.headers.get("upgrade"), Some(&b"WebSocket"[..]));
    let mut tunnel = response.tunnel.unwrap();
    let mut early = String::new();
    tunnel.0.read_to_string(&mut early).await.unwrap();
    assert_eq!(early, "early");
    assert!(idle.take().is_none());
    for (answer, asked) in [
        (answer("c"), Some("websocket, b")),
        (answer("websocket, c"), Some("websocket")),
        (answer("websocket"), None),
        (
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n".to_owned(),
            Some("websocket"),
        ),
        (
            "HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n".to_owned(),
            Some("websocket"),
        ),
    ] {
        let (response, _) = ask(Method::GET, &answer, asked).await;
        let error = response.unwrap_err();
        assert!(
            matches!(error.failure, SendFailure::Malformed(_)),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_said_is_not_sent_whole() {
    struct Said(Body, u64);
    impl http_body::Body for Said {
        type Data = Bytes;
        type Error = BodyError;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<super::bodies::Piece>> {
            std::pin::Pin::new(&mut self.0).poll_frame(context)
        }
        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::with_exact(self.1)
        }
    }
    for said in [4, 6] {
        let (_server, connection) = connect();
        let body = Body::stream(Said(pieces(vec![data("hello")]), said));
        let (response, _) = send_on(connection, Method::POST, body, None).await;
        assert!(
            matches!(response.unwrap_err().failure, SendFailure::RequestBody(_)),
            "{said}"
        );
    }
}
