//! Both sides over real sockets: a client, a gateway of a few lines, and an upstream behind it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::service::{answer, local, refuse};
use crate::exchange::{Headers, Request, Response};
use crate::http1::{Connection, Drain, Limits, OutgoingHead, SendOptions, serve};

/// Longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(30);

type Pool = Rc<RefCell<Vec<Connection<TcpStream>>>>;

/// Serves on a port of its own: its address, and how many connections it has taken.
async fn listen<H, F>(handler: H) -> (String, Rc<Cell<usize>>)
where
    H: Fn(Request) -> F + Clone + 'static,
    F: Future<Output = Response> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let taken = Rc::new(Cell::new(0));
    let count = Rc::clone(&taken);
    tokio::task::spawn_local(async move {
        let limits = Rc::new(Limits::default());
        let drain = Drain::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.set(count.get() + 1);
            let limits = Rc::clone(&limits);
            tokio::task::spawn_local(serve(stream, limits, &drain, handler.clone(), refuse));
        }
    });
    (address, taken)
}

/// Passes a request on to `upstream`.
async fn pass(request: Request, upstream: String, pool: Pool) -> Response {
    let Request {
        head,
        body,
        upgrade,
    } = request;
    let pooled = pool.borrow_mut().pop();
    let pooled = pooled.and_then(|mut idle| idle.is_reusable().then_some(idle));
    let connection = match pooled {
        Some(connection) => connection,
        None => Connection::new(TcpStream::connect(upstream).await.unwrap()),
    };
    let outgoing = OutgoingHead {
        method: &head.method,
        target: &head.path,
        host: &head.authority,
        headers: &head.headers,
        upgrade: upgrade.as_deref(),
    };
    let put = move |connection| pool.borrow_mut().push(connection);
    let sent = connection.send(outgoing, body, SendOptions::default(), put);
    sent.await
        .unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into())
}

/// A gateway before an upstream that does `handler`: its address, and how many connections the
/// upstream has taken.
async fn gateway<H, F>(handler: H) -> (String, Rc<Cell<usize>>)
where
    H: Fn(Request) -> F + Clone + 'static,
    F: Future<Output = Response> + 'static,
{
    let (upstream, taken) = listen(handler).await;
    let pool = Pool::default();
    let passing = move |request| pass(request, upstream.clone(), Rc::clone(&pool));
    (listen(passing).await.0, taken)
}

async fn within<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(PATIENCE, local(work)).await.unwrap()
}

async fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    while !text.ends_with(end) {
        text.push(stream.read_u8().await.unwrap());
    }
    text
}

#[tokio::test]
async fn requests_share_one_upstream_connection() {
    within(async {
        let (address, taken) = gateway(answer).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        for _ in 0..20 {
            let get =
                b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /stream HTTP/1.1\r\nHost: a\r\n\r\n";
            client.write_all(get).await.unwrap();
            read_until(&mut client, b"\r\n\r\nhello").await;
            read_until(&mut client, b"6\r\n world\r\n0\r\n\r\n").await;
        }
        assert_eq!(taken.get(), 1);
    })
    .await;
}

/// Reads a whole response in answer to `head` and `body`, which is sent beside it.
async fn exchange(address: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let mut client = TcpStream::connect(address).await.unwrap();
    let (mut reading, mut writing) = client.split();
    let mut answer = Vec::new();
    let sent = async {
        writing.write_all(head.as_bytes()).await.unwrap();
        writing.write_all(body).await.unwrap();
    };
    let (read, ()) = tokio::join!(reading.read_to_end(&mut answer), sent);
    read.unwrap();
    answer
}

#[tokio::test]
async fn large_bodies_pass_both_ways_whole() {
    within(async {
        // Sent back as it comes, so both directions are full at once.
        let echo = |request: Request| async {
            Response::new(StatusCode::OK, Headers::new(), request.body)
        };
        let (address, _) = gateway(echo).await;
        let body: Vec<u8> = (0..5_000_000_u32)
            .map(|at| (at * 7 + at / 251) as u8)
            .collect();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = exchange(&address, &head, &body).await;
        assert!(answer.ends_with(&body));
        let head =
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut chunks = Vec::new();
        for piece in body.chunks(70_001) {
            chunks.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            chunks.extend_from_slice(piece);
            chunks.extend_from_slice(b"\r\n");
        }
        chunks.extend_from_slice(b"0\r\n\r\n");
        let answer = exchange(&address, head, &chunks).await;
        let start = answer
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .unwrap()
            + 4;
        assert_eq!(joined(&answer[start..]), body);
    })
    .await;
}

/// The data of a chunked body.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let end = chunks.iter().position(|&byte| byte == b'\r').unwrap();
        let size = std::str::from_utf8(&chunks[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return data;
        }
        chunks = &chunks[end + 2..];
        data.extend_from_slice(&chunks[..size]);
        chunks = &chunks[size + 2..];
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_upstream_call_with_it() {
    within(async {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = upstream.local_addr().unwrap().to_string();
        let pool = Pool::default();
        let passing = move |request| pass(request, target.clone(), Rc::clone(&pool));
        let (address, _) = listen(passing).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let (mut call, _) = upstream.accept().await.unwrap();
        read_until(&mut call, b"\r\n\r\n").await;
        drop(client);
        // The end of the connection: nobody waits for an answer any more.
        assert_eq!(call.read(&mut [0]).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_passes_through() {
    within(async {
        let (address, _) = gateway(answer).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let ask =
            b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        client.write_all(ask).await.unwrap();
        let head = read_until(&mut client, b"\r\n\r\n").await;
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        client.write_all(b"abcd").await.unwrap();
        let mut back = Vec::new();
        client.read_to_end(&mut back).await.unwrap();
        assert_eq!(back, b"abcd");
    })
    .await;
}

#[tokio::test]
async fn a_refused_upload_still_sees_why() {
    within(async {
        // The body is far larger than what is read for politeness, and than the sockets hold.
        let refusing = |_: Request| async {
            let body = Bytes::from_static(b"too large");
            Response::new(StatusCode::PAYLOAD_TOO_LARGE, Headers::new(), body)
        };
        let (address, _) = listen(refusing).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut reading, mut writing) = client.split();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n";
        let sending = async {
            writing.write_all(head.as_bytes()).await.unwrap();
            let piece = vec![0; 100_000];
            for _ in 0..5 {
                writing.write_all(&piece).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        tokio::select! {
            () = sending => {}
            read = reading.read_to_end(&mut answer) => drop(read.unwrap()),
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("too large"),
            "{answer}"
        );
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    })
    .await;
}
