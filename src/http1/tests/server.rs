//! The server side as a client sees it: what is answered, and what becomes of the connection.

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::bodies::Fed;
use super::service::*;
use crate::exchange::{Body, Headers, Request, Response};
use crate::http1::{Drain, serve};

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_and_requests_are_answered_in_order() {
    assert_eq!(talk(GET).await, ok("hello"));
    let echo = post("/echo", "Content-Length: 3", "abc");
    let chunked = post(
        "/echo",
        "Transfer-Encoding: chunked",
        "3\r\ndef\r\n0\r\n\r\n",
    );
    let pipelined = [GET, &echo, GET, &chunked, GET].concat();
    let expected = [ok("hello"), ok("abc"), ok("hello"), ok("def"), ok("hello")].concat();
    assert_eq!(talk(&pipelined).await, expected);
}

#[tokio::test(start_paused = true)]
async fn bytes_may_come_one_at_a_time() {
    let echo = post("/echo", "Content-Length: 3", "abc");
    let chunked = post(
        "/trailers",
        "Transfer-Encoding: chunked",
        "3\r\ndef\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    let text = [GET, &echo, &chunked, GET].concat();
    let whole = talk(&text).await;
    let one_by_one = local(async {
        let mut client = connect();
        for byte in text.as_bytes() {
            client.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        read_all(&mut client).await
    });
    assert_eq!(one_by_one.await, whole);
    assert!(whole.contains(r#"{"x-sum": "1"}"#), "{whole}");
}

#[tokio::test(start_paused = true)]
async fn bytes_may_be_cut_anywhere() {
    let chunked = post(
        "/trailers",
        "Transfer-Encoding: chunked",
        "3\r\ndef\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    let text = [&chunked, GET].concat();
    let whole = talk(&text).await;
    for cut in 1..text.len() {
        let (first, second) = text.split_at(cut);
        let parts = local(async {
            let mut client = connect();
            client.write_all(first.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            client.write_all(second.as_bytes()).await.unwrap();
            read_all(&mut client).await
        });
        assert_eq!(parts.await, whole, "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_may_be_the_last() {
    let text = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(talk(text).await, ok_close("hello"));
    // What comes behind it is not answered.
    assert_eq!(talk(&[text, GET].concat()).await, ok_close("hello"));
}

#[tokio::test(start_paused = true)]
async fn http_1_0_is_spoken_too() {
    assert_eq!(talk("GET /hello HTTP/1.0\r\n\r\n").await, ok_close("hello"));
    let kept = "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let keep =
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\nhello".repeat(2);
    assert_eq!(talk(&kept.repeat(2)).await, keep);
    // Without chunks, the end of the connection is the end of the body.
    assert_eq!(
        talk("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await,
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello world"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_is_sent_in_chunks() {
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let request = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(
        talk(&[request, GET].concat()).await,
        [chunks, &ok("hello")].concat()
    );
    assert_eq!(
        talk("GET /with-trailers HTTP/1.1\r\nHost: a\r\n\r\n").await,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 9\r\n\r\n"
    );
}

#[tokio::test(start_paused = true)]
async fn head_204_and_304_have_no_body() {
    let head = "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(
        talk(&[head, GET].concat()).await,
        [length, &ok("hello")].concat()
    );
    let head = "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(
        talk(&[head, GET].concat()).await,
        ["HTTP/1.1 200 OK\r\n\r\n", &ok("hello")].concat()
    );
    let none = "GET /none HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(talk(none).await, "HTTP/1.1 204 No Content\r\n\r\n");
    let unchanged = "GET /unchanged HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(
        talk(&[unchanged, GET].concat()).await,
        ["HTTP/1.1 304 Not Modified\r\n\r\n", &ok("hello")].concat()
    );
}

#[tokio::test(start_paused = true)]
async fn framing_fields_of_a_response_are_never_written() {
    assert_eq!(
        talk("GET /fields HTTP/1.1\r\nHost: a\r\n\r\n").await,
        "HTTP/1.1 200 OK\r\nx-kept: 1\r\ndate: then\r\ncontent-length: 0\r\n\r\n"
    );
    let mut client_sees = String::new();
    local(async {
        let mut client = connect();
        client.write_all(GET.as_bytes()).await.unwrap();
        client.read_to_string(&mut client_sees).await.unwrap();
    })
    .await;
    assert!(client_sees.contains("\r\ndate: "), "{client_sees}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_answered_and_the_connection_closed() {
    for (text, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "400 Bad Request"),
        (
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "505 HTTP Version Not Supported",
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
            "501 Not Implemented",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n",
            "417 Expectation Failed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400 Bad Request",
        ),
        ("garbage\r\n", "400 Bad Request"),
    ] {
        let said = talk(&[text, GET].concat()).await;
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{text:?}: {said:?}"
        );
        assert!(said.contains("\r\nconnection: close\r\n"), "{said:?}");
        assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said:?}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000));
    assert!(talk(&long).await.starts_with("HTTP/1.1 414 "));
    let large = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "a".repeat(40_000)
    );
    assert!(talk(&large).await.starts_with("HTTP/1.1 431 "));
    let many = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(100)
    );
    assert!(talk(&many).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_may_go_on_sending_and_still_sees_the_answer() {
    local(async {
        let mut client = connect();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        for _ in 0..8 {
            client.write_all(&vec![b'x'; 50_000]).await.unwrap();
        }
        assert!(read_all(&mut client).await.starts_with("HTTP/1.1 400 "));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_malformed_body_ends_the_connection() {
    for body in [
        "5\r\nhello!\r\n0\r\n\r\n",
        "x\r\n",
        "5\nhello",
        "0\r\nHost: b\r\n\r\n",
    ] {
        let said = talk(&[&post("/echo", "Transfer-Encoding: chunked", body), GET].concat()).await;
        assert!(said.starts_with("HTTP/1.1 400 "), "{body:?}: {said:?}");
        assert!(said.contains("\r\nconnection: close\r\n"), "{said:?}");
        assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_left_unread_is_never_the_next_request() {
    let smuggled = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    let with_length = post(
        "/ignore",
        &format!("Content-Length: {}", smuggled.len()),
        smuggled,
    );
    assert_eq!(
        talk(&[&with_length, GET].concat()).await,
        [ok("ignored"), ok("hello")].concat()
    );
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let chunked = post("/ignore", "Transfer-Encoding: chunked", &chunk);
    assert_eq!(
        talk(&[&chunked, GET].concat()).await,
        [ok("ignored"), ok("hello")].concat()
    );
    // More than is worth reading: known beforehand, or found out.
    let large = post("/ignore", "Content-Length: 70000", &"a".repeat(70_000));
    assert_eq!(talk(&[&large, GET].concat()).await, ok_close("ignored"));
    let large = post(
        "/ignore",
        "Transfer-Encoding: chunked",
        &format!("11170\r\n{}\r\n0\r\n\r\n", "a".repeat(70_000)),
    );
    assert_eq!(talk(&[&large, GET].concat()).await, ok("ignored"));
    // Unreadable.
    let broken = post("/ignore", "Transfer-Encoding: chunked", "x\r\n");
    assert_eq!(
        talk(&[&broken, GET].concat())
            .await
            .matches("HTTP/1.1")
            .count(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_is_told_to_continue() {
    local(async {
        let mut client = connect();
        let head = post("/echo", "Content-Length: 3\r\nExpect: 100-continue", "");
        client.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(
            read_until(&mut client, "\r\n\r\n").await,
            "HTTP/1.1 100 Continue\r\n\r\n"
        );
        client.write_all(b"abc").await.unwrap();
        assert_eq!(read_until(&mut client, "abc").await, ok("abc"));
        client.write_all(GET.as_bytes()).await.unwrap();
        assert_eq!(read_until(&mut client, "hello").await, ok("hello"));
    })
    .await;
    // It has begun to send: it does not wait.
    let text = post("/echo", "Content-Length: 3\r\nExpect: 100-continue", "abc");
    assert_eq!(talk(&text).await, ok("abc"));
    // Nobody wants the body: whether it comes is unknown, so nothing after it is read.
    let text = post("/ignore", "Content-Length: 3\r\nExpect: 100-continue", "");
    assert_eq!(talk(&text).await, ok_close("ignored"));
    // HTTP/1.0 knows nothing of it.
    let text = "POST /echo HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc";
    assert_eq!(talk(text).await, ok_close("abc"));
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_is_copied_both_ways() {
    local(async {
        let mut client = connect();
        let request =
            "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\nab";
        client.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(
            read_until(&mut client, "\r\n\r\n").await,
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo/1\r\n\r\n"
        );
        client.write_all(b"cd").await.unwrap();
        assert_eq!(read_all(&mut client).await, "abcd");
    })
    .await;
    let said = talk("GET /upgrade HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 502 "), "{said}");
    let said = talk("GET /early HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 502 "), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_midway_has_no_clean_end() {
    let said = talk("GET /breaks HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!said.contains("0\r\n\r\n"), "{said:?}");
    // Nor is it hidden that there was a response.
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said:?}");
    assert!(said.ends_with("5\r\nhello\r\n"), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_is_not_taken_for_whole_where_only_the_close_ends_it() {
    assert_eq!(talk("GET /breaks HTTP/1.0\r\n\r\n").await, "");
}

#[tokio::test(start_paused = true)]
async fn every_piece_of_a_stream_is_sent_as_it_comes() {
    local(async {
        let (client, server) = tokio::io::duplex(1 << 16);
        let mut client = client;
        let fed = Fed::default();
        let feeding = fed.clone();
        let handler = move |_: Request| {
            let body = Body::stream(feeding.clone());
            async move { Response::new(StatusCode::OK, Headers::new(), body) }
        };
        tokio::task::spawn_local(serve(server, limits(), &Drain::new(), handler, refuse));
        client.write_all(GET.as_bytes()).await.unwrap();
        // The head does not wait for the first piece.
        read_until(&mut client, "\r\n\r\n").await;
        for event in ["one", "two"] {
            fed.push(event);
            assert_eq!(read_until(&mut client, "\r\n").await, "3\r\n");
            assert_eq!(
                read_until(&mut client, "\r\n").await,
                format!("{event}\r\n")
            );
        }
        fed.end();
        assert_eq!(read_until(&mut client, "\r\n\r\n").await, "0\r\n\r\n");
    })
    .await;
}
