//! HTTP/2 backends for tests, which see what clients give up.

use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::backend::spec;
use crate::exchange::BodyError;
use crate::exchange::http2::LocalTasks;
use crate::upstream::{EndpointSpec, Protocol, UpstreamSpec};

/// What a backend of these tests answers with.
pub type Answer = http::Response<Frames>;

/// An HTTP/2 backend: what it has seen, and how.
pub struct Http2Backend {
    pub address: SocketAddr,
    pub accepted: Rc<Cell<usize>>,
    /// Streams of which the peer gave up the request or the response.
    pub given_up: Rc<Cell<usize>>,
}

impl Http2Backend {
    pub async fn start<F>(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(http::Request<Incoming>) -> F + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, given_up) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (count, lost, answer) = (Rc::clone(&accepted), Rc::clone(&given_up), Rc::new(answer));
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.set(count.get() + 1);
                let (answer, tls, lost) = (Rc::clone(&answer), tls.clone(), Rc::clone(&lost));
                tokio::task::spawn_local(take(stream, tls, answer, lost));
            }
        });
        Self {
            address,
            accepted,
            given_up,
        }
    }

    pub fn spec(&self, tls: bool) -> UpstreamSpec {
        let mut spec = spec(&[]);
        spec.protocol = if tls { Protocol::Auto } else { Protocol::H2 };
        spec.endpoints = vec![EndpointSpec {
            tls,
            host: if tls {
                "localhost".to_owned()
            } else {
                "127.0.0.1".to_owned()
            },
            port: self.address.port(),
        }];
        spec
    }
}

async fn take<A, F>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    answer: Rc<A>,
    lost: Rc<Cell<usize>>,
) where
    A: Fn(http::Request<Incoming>) -> F + 'static,
    F: Future<Output = Answer> + 'static,
{
    let Some(tls) = tls else {
        return serve(stream, answer, lost).await;
    };
    if let Ok(stream) = tls.accept(stream).await {
        serve(stream, answer, lost).await;
    }
}

async fn serve<S, A, F>(stream: S, answer: Rc<A>, lost: Rc<Cell<usize>>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    A: Fn(http::Request<Incoming>) -> F + 'static,
    F: Future<Output = Answer> + 'static,
{
    let service = hyper::service::service_fn(move |request| {
        let mut request_watch = Watch(Rc::clone(&lost), false);
        let answered = answer(request);
        async move {
            let answer = answered.await;
            request_watch.1 = true;
            let watch = Watch(Rc::clone(&request_watch.0), false);
            Ok::<_, Infallible>(answer.map(|body| Watched(body, watch)))
        }
    });
    let http = hyper::server::conn::http2::Builder::new(LocalTasks);
    // The tests see what clients see; how a connection ended is no matter of theirs.
    drop(http.serve_connection(TokioIo::new(stream), service).await);
}

/// Counts what was dropped before it was done.
struct Watch(Rc<Cell<usize>>, bool);

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.1 {
            self.0.set(self.0.get() + 1);
        }
    }
}

struct Watched(Frames, Watch);

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.0).poll_frame(context);
        if let Poll::Ready(None) = polled {
            self.1.1 = true;
        }
        polled
    }
}

/// Frames one after another, then an end or none.
pub struct Frames(pub VecDeque<Frame<Bytes>>, pub bool);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.0.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None if self.1 => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

pub fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

pub fn trailers(name: &'static str, value: &'static str) -> Frame<Bytes> {
    let mut map = HeaderMap::new();
    map.insert(name, HeaderValue::from_static(value));
    Frame::trailers(map)
}

pub fn answer(frames: impl IntoIterator<Item = Frame<Bytes>>) -> Answer {
    http::Response::new(Frames(frames.into_iter().collect(), true))
}
