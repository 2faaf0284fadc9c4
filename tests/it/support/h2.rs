//! An HTTP/2 client, and an upstream that speaks HTTP/2 without TLS as gRPC servers do.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::PATIENCE;
use super::message::Reply;

/// Method, URL, fields and body of a request.
pub type Asked<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8]);

/// One HTTP/2 connection over TLS, agreed on by ALPN.
pub struct H2Client {
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
}

impl H2Client {
    pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut config = ClientConfig::clone(config);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let connector = TlsConnector::from(Arc::new(config));
            let stream = connector.connect(name, stream).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender }
    }

    pub fn ask(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.all(&[(method, url, headers, body)]).remove(0)
    }

    /// Asks with GET and reads the head of the answer.
    pub fn open(&mut self, url: &str, headers: &[(&str, &str)]) -> H2Answer<'_> {
        let mut request = Request::builder().uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let reply = self
            .sender
            .send_request(request.body(Full::default()).unwrap());
        let reply = async { tokio::time::timeout(PATIENCE, reply).await };
        let (head, body) = self
            .runtime
            .block_on(reply)
            .expect("in time")
            .unwrap()
            .into_parts();
        H2Answer {
            runtime: &self.runtime,
            head,
            body,
        }
    }

    /// Sends all requests at once, each on a stream of its own.
    pub fn all(&mut self, asked: &[Asked<'_>]) -> Vec<Reply> {
        let Self { runtime, sender } = self;
        runtime.block_on(async {
            let mut replies = Vec::new();
            for (method, url, headers, body) in asked {
                let mut request = Request::builder().method(*method).uri(*url);
                for (name, value) in *headers {
                    request = request.header(*name, *value);
                }
                let body = Full::from(body.to_vec());
                replies.push(sender.send_request(request.body(body).unwrap()));
            }
            let mut read = Vec::new();
            for reply in replies {
                let reply = tokio::time::timeout(PATIENCE, reply).await;
                let (head, body) = reply.expect("in time").unwrap().into_parts();
                let body = body.collect().await.unwrap();
                let text =
                    |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
                let fields = |map: &HeaderMap| {
                    map.iter()
                        .map(|(name, value)| (name.to_string(), text(value)))
                        .collect()
                };
                let trailers = body.trailers().map(fields).unwrap_or_default();
                read.push(Reply {
                    status: head.status.as_u16(),
                    headers: fields(&head.headers),
                    body: body.to_bytes().to_vec(),
                    trailers,
                });
            }
            read
        })
    }
}

/// An answer whose body is read piece by piece. Dropping it resets its stream.
pub struct H2Answer<'a> {
    runtime: &'a Runtime,
    head: http::response::Parts,
    body: Incoming,
}

impl H2Answer<'_> {
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The next piece of the body; none at its end.
    pub fn piece(&mut self) -> Option<String> {
        let body = &mut self.body;
        let frame = async { tokio::time::timeout(PATIENCE, body.frame()).await };
        let frame = self.runtime.block_on(frame).expect("in time")?;
        let piece = frame.unwrap().into_data().unwrap();
        Some(String::from_utf8(piece.to_vec()).unwrap())
    }
}

/// Echoes request bodies, and says in trailers that all is well.
pub fn grpc_upstream() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service_fn(echo));
                tokio::spawn(serving);
            }
        });
    });
    address
}

async fn echo(
    request: Request<Incoming>,
) -> Result<Response<impl http_body::Body<Data = Bytes, Error = hyper::Error>>, hyper::Error> {
    let te = request.headers().get("te").cloned();
    let body = request.into_body().collect().await?.to_bytes();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("seen-te", te.unwrap_or(HeaderValue::from_static("none")));
    let body = Full::new(body)
        .map_err(|never| match never {})
        .with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    Ok(response)
}
