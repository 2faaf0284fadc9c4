//! A served connection in memory, and the service that the tests talk to.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::bodies::{data, pieces};
use crate::exchange::{Body, BodyError, Headers, Request, Response, Tunnel};
use crate::http1::{Drain, Limits, serve};

pub const GET: &str = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";

/// What the tests' service does, by path.
pub async fn answer(request: Request) -> Response {
    match request.head.path.as_str() {
        "/hello" => ok_with(Bytes::from_static(b"hello")),
        "/ignore" => ok_with(Bytes::from_static(b"ignored")),
        "/echo" => match request.body.collect(1 << 20).await {
            Ok(bytes) => ok_with(bytes),
            Err(error) => Response::new(
                StatusCode::BAD_REQUEST,
                Headers::new(),
                Bytes::from(error.to_string()),
            ),
        },
        "/trailers" => ok_with(Bytes::from(trailers_of(request.body).await)),
        "/stream" => ok_with(pieces(vec![data("hello"), data(""), data(" world")])),
        "/with-trailers" => {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "9".parse().unwrap());
            ok_with(pieces(vec![data("hello"), Ok(Frame::trailers(trailers))]))
        }
        "/breaks" => ok_with(pieces(vec![data("hello"), Err(BodyError::Incomplete)])),
        "/none" => StatusCode::NO_CONTENT.into(),
        "/unchanged" => {
            let body = Bytes::from_static(b"x");
            Response::new(StatusCode::NOT_MODIFIED, Headers::new(), body)
        }
        "/early" => StatusCode::EARLY_HINTS.into(),
        "/fields" => Response::new(StatusCode::OK, framing_fields(), Body::Empty),
        "/upgrade" => {
            let mut response = Response::from(StatusCode::SWITCHING_PROTOCOLS);
            response.tunnel = request.upgrade.map(|_| echoes_four_bytes());
            response
        }
        _ => StatusCode::NOT_FOUND.into(),
    }
}

fn ok_with(body: impl Into<Body>) -> Response {
    Response::new(StatusCode::OK, Headers::new(), body)
}

async fn trailers_of(mut body: Body) -> String {
    let mut seen = String::new();
    while let Some(Ok(frame)) = body.next().await {
        if let Ok(trailers) = frame.into_trailers() {
            seen = format!("{trailers:?}");
        }
    }
    seen
}

/// Fields that a service must not set, and two that it may.
fn framing_fields() -> Headers {
    let mut headers = Headers::new();
    for name in [
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
        "upgrade",
        "te",
        "x-kept",
    ] {
        headers.append(name, b"1");
    }
    headers.append("date", b"then");
    headers
}

fn echoes_four_bytes() -> Tunnel {
    let (mut near, far) = tokio::io::duplex(1024);
    tokio::task::spawn_local(async move {
        let mut bytes = [0; 4];
        near.read_exact(&mut bytes).await.unwrap();
        near.write_all(&bytes).await.unwrap();
    });
    Tunnel(Box::pin(far))
}

pub fn refuse(status: StatusCode, reason: &'static str) -> Response {
    Response::new(
        status,
        Headers::new(),
        Bytes::from_static(reason.as_bytes()),
    )
}

pub fn limits() -> Rc<Limits> {
    Rc::new(Limits::default())
}

/// A served connection's other end.
pub fn connect() -> DuplexStream {
    connect_with(limits(), &Drain::new())
}

pub fn connect_with(limits: Rc<Limits>, drain: &Drain) -> DuplexStream {
    let (client, server) = tokio::io::duplex(1 << 16);
    tokio::task::spawn_local(serve(server, limits, drain, answer, refuse));
    client
}

/// Runs what spawns local tasks.
pub async fn local<F: Future>(work: F) -> F::Output {
    tokio::task::LocalSet::new().run_until(work).await
}

/// Everything the server says to `text` until it closes, without dates. The clock stands still,
/// so an idle connection is closed at once.
pub async fn talk(text: &str) -> String {
    local(async {
        let mut client = connect();
        client.write_all(text.as_bytes()).await.unwrap();
        read_all(&mut client).await
    })
    .await
}

pub async fn read_all(client: &mut DuplexStream) -> String {
    let mut text = Vec::new();
    client.read_to_end(&mut text).await.unwrap();
    undated(&text)
}

/// Reads until `end` was read.
pub async fn read_until(client: &mut DuplexStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let byte = client.read_u8().await;
        text.push(
            byte.unwrap_or_else(|_| panic!("{end:?} not in {:?}", String::from_utf8_lossy(&text))),
        );
    }
    undated(&text)
}

pub fn undated(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines = text.split_inclusive("\r\n");
    lines
        .filter(|line| !line.starts_with("date: ") || line.contains("then"))
        .collect()
}

pub fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub fn ok_close(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

pub fn post(path: &str, fields: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}")
}
