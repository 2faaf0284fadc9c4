//! Backends for tests: what each connection does is written down byte by byte.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::exchange::{Body, CallError, Headers, Outgoing, Response};
use crate::upstream::{Balance, EndpointSpec, Group, Pools, Protocol, UpstreamSpec, UpstreamTls};

/// No test waits longer, whatever goes wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test as a worker runs: one thread, futures that stay on it.
pub fn on_worker<F: Future<Output = ()> + 'static>(test: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(async move {
        tokio::time::timeout(PATIENCE, test()).await.unwrap();
    });
}

/// A listener, and what it has seen.
pub struct Backend {
    pub address: SocketAddr,
    pub accepted: Rc<Cell<usize>>,
    pub closed: Rc<Cell<usize>>,
}

/// One accepted connection.
pub struct Conversation {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Backend {
    /// Treats each connection as `handle` says.
    pub async fn start<F>(handle: impl Fn(Conversation) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), handle)
    }

    pub fn on<F>(listener: TcpListener, handle: impl Fn(Conversation) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let address = listener.local_addr().unwrap();
        let (accepted, closed) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let counts = (Rc::clone(&accepted), Rc::clone(&closed));
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counts.0.set(counts.0.get() + 1);
                let conversation = Conversation {
                    stream,
                    read: Vec::new(),
                };
                let (handled, closed) = (handle(conversation), Rc::clone(&counts.1));
                tokio::task::spawn_local(async move {
                    handled.await;
                    closed.set(closed.get() + 1);
                });
            }
        });
        Self {
            address,
            accepted,
            closed,
        }
    }

    /// Answers every request with `answer`, on connections that stay open.
    pub async fn answering(answer: &'static str) -> Self {
        Self::start(move |mut talk| async move {
            while talk.request().await.is_some() {
                talk.say(answer).await;
            }
        })
        .await
    }
}

impl Conversation {
    /// The next request, head and body of known length; none once the other side has closed.
    pub async fn request(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse().unwrap());
                let whole = end + 4 + length;
                if self.read.len() >= whole {
                    let rest = self.read.split_off(whole);
                    let request = std::mem::replace(&mut self.read, rest);
                    return Some(String::from_utf8_lossy(&request).into_owned());
                }
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Reads until `text` has come, and gives everything up to its end.
    pub async fn until(&mut self, text: &str) -> Option<String> {
        loop {
            if let Some(at) = find(&self.read, text.as_bytes()) {
                let rest = self.read.split_off(at + text.len());
                let read = std::mem::replace(&mut self.read, rest);
                return Some(String::from_utf8_lossy(&read).into_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.read).await, Ok(1..))
    }

    /// Until the other side closes.
    pub async fn closed(&mut self) {
        while self.more().await {}
    }

    pub async fn say(&mut self, text: &str) {
        // Where the gateway has gone away in the meantime, the test says so.
        self.stream
            .write_all(text.as_bytes())
            .await
            .unwrap_or_default();
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// An upstream of these addresses, patient enough for a busy machine.
pub fn spec(addresses: &[SocketAddr]) -> UpstreamSpec {
    UpstreamSpec {
        name: "backend".to_owned(),
        endpoints: addresses
            .iter()
            .map(|address| EndpointSpec {
                tls: false,
                host: address.ip().to_string(),
                port: address.port(),
            })
            .collect(),
        protocol: Protocol::Auto,
        tls: UpstreamTls::default(),
        balance: Balance::RoundRobin,
        timeout: PATIENCE,
        connect_timeout: PATIENCE,
        retry: None,
        deadline_header: None,
        health: None,
        max_connections: None,
        max_requests: None,
    }
}

pub fn group(spec: &UpstreamSpec) -> Arc<Group> {
    Group::build(spec, None).unwrap()
}

pub fn get(target: &str) -> Outgoing {
    sending(Method::GET, target, Body::Empty)
}

pub fn sending(method: Method, target: &str, body: Body) -> Outgoing {
    Outgoing {
        method,
        target: target.to_owned(),
        headers: Headers::new(),
        body,
        upgrade: None,
        retry: None,
        timeout: None,
        deadline: Instant::now() + PATIENCE,
    }
}

pub async fn text(response: Response) -> String {
    let bytes = response.body.collect(1024 * 1024).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Calls and reads the whole answer.
pub async fn ask(
    group: &Group,
    pools: &Rc<Pools>,
    outgoing: Outgoing,
) -> Result<(u16, String), CallError> {
    let response = group.call(pools, outgoing).await?;
    Ok((response.status.as_u16(), text(response).await))
}

/// Lets other tasks run until `done`.
pub async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
