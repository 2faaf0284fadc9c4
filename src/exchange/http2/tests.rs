//! Clients that hold an HTTP/2 connection without taking anything from it.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use super::*;
use crate::exchange::{Body, Headers};

const PING: u8 = 6;
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
    let (client, server) = tokio::io::duplex(1 << 16);
    let limits = Rc::new(Limits {
        header_bytes: 16 * 1024,
        headers: 100,
        streams: 100,
        body_time: Duration::from_secs(BODY_TIME),
        idle: Duration::from_secs(IDLE),
    });
    let handler = move |_: Request| async move {
        Response::new(StatusCode::OK, Headers::new(), Bytes::from_static(body))
    };
    let refuse = |status, _| Response::new(status, Headers::new(), Body::Empty);
    let begin = Instant::now();
    set.spawn_local(
        async move { serve(server, limits, std::future::pending(), handler, refuse).await },
    );
    let until_closed = tokio::time::timeout(
        Duration::from_mins(10),
        set.run_until(answer_pings(client_is, client, opening)),
    );
    until_closed.await.expect("the connection is given up");
    begin.elapsed().as_secs()
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
