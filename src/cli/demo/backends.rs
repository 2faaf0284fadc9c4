//! The small services behind the demo's gateway: real HTTP servers on loopback.
//!
//! Each can be told to misbehave, so that a person can watch what the gateway makes of it:
//! `POST /demo/fail`, `/demo/slow`, `/demo/lie`, and `/demo/heal` to be well again.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::answers;

/// How long a slow service takes: longer than the gateway waits.
const SLOW: Duration = Duration::from_secs(10);

/// One of the demo's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Users,
    Orders,
    Offers,
    /// Signs tokens and publishes the keys to verify them.
    Identity,
}

impl Service {
    pub(super) const ALL: [Self; 4] = [Self::Users, Self::Orders, Self::Offers, Self::Identity];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Orders => "orders",
            Self::Offers => "offers",
            Self::Identity => "identity",
        }
    }

    /// The port that the repository's `routes.toml` expects it on.
    pub(super) const fn port(self) -> u16 {
        match self {
            Self::Users => 9101,
            Self::Orders => 9102,
            Self::Offers => 9103,
            Self::Identity => 9104,
        }
    }
}

/// A service with its socket, not yet answering.
pub(super) struct Bound {
    pub(super) service: Service,
    pub(super) address: SocketAddr,
    listener: std::net::TcpListener,
}

/// Binds every service to its own port, or to any free one.
pub(super) fn bind(any_port: bool) -> Result<Vec<Bound>, (Service, u16, io::Error)> {
    Service::ALL
        .into_iter()
        .map(|service| {
            let port = if any_port { 0 } else { service.port() };
            bind_one(service, port).map_err(|error| (service, port, error))
        })
        .collect()
}

fn bind_one(service: Service, port: u16) -> io::Result<Bound> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(Bound {
        service,
        address: listener.local_addr()?,
        listener,
    })
}

/// Answers on a thread of its own until the process ends. `jwks` is what identity publishes.
pub(super) fn serve(services: Vec<Bound>, jwks: String) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let jwks: Arc<str> = jwks.into();
    std::thread::Builder::new()
        .name("demo-backends".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                for bound in services {
                    tokio::spawn(accept(bound, Arc::clone(&jwks)));
                }
                std::future::pending::<Infallible>().await
            })
        })?;
    Ok(())
}

async fn accept(bound: Bound, jwks: Arc<str>) {
    let Ok(listener) = TcpListener::from_std(bound.listener) else {
        return;
    };
    let backend = Arc::new(Backend {
        service: bound.service,
        mood: AtomicU8::new(Mood::Well as u8),
        jwks,
    });
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, Arc::clone(&backend)));
            }
            // Out of file descriptors, say: there may be some in a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn converse(stream: TcpStream, backend: Arc<Backend>) {
    let service = service_fn(move |request| {
        let backend = Arc::clone(&backend);
        async move { Ok::<_, Infallible>(backend.answer(&request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // The peer went away in the middle: nobody is left to tell.
    drop(served);
}

/// How a service behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Mood {
    Well,
    /// Answers 500.
    Failing,
    /// Answers after [`SLOW`].
    Slow,
    /// Says JSON and sends something else.
    Lying,
}

impl Mood {
    fn named(name: &str) -> Option<Self> {
        match name {
            "heal" => Some(Self::Well),
            "fail" => Some(Self::Failing),
            "slow" => Some(Self::Slow),
            "lie" => Some(Self::Lying),
            _ => None,
        }
    }

    const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Failing,
            2 => Self::Slow,
            3 => Self::Lying,
            _ => Self::Well,
        }
    }
}

struct Backend {
    service: Service,
    mood: AtomicU8,
    jwks: Arc<str>,
}

impl Backend {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if let Some(mood) = path.strip_prefix("/demo/") {
            return self.change_mood(request.method(), mood);
        }
        if path == "/healthz" {
            return text(StatusCode::OK, "well\n".to_owned());
        }
        match Mood::from_number(self.mood.load(Ordering::Relaxed)) {
            Mood::Well => {}
            Mood::Failing => return problem("told to fail by /demo/fail"),
            Mood::Slow => tokio::time::sleep(SLOW).await,
            Mood::Lying => return json(r#"{"this is": "not J"#.to_owned()),
        }
        let found = match self.service {
            Service::Users => answers::users(path),
            Service::Orders => answers::orders(path, request.uri().query().unwrap_or_default()),
            Service::Offers => answers::offers(path),
            Service::Identity => {
                (path == "/.well-known/jwks.json").then(|| self.jwks.as_ref().to_owned())
            }
        };
        found.map_or_else(
            || text(StatusCode::NOT_FOUND, "nothing here\n".to_owned()),
            json,
        )
    }

    fn change_mood(&self, method: &Method, name: &str) -> Response<Full<Bytes>> {
        let Some(mood) = Mood::named(name) else {
            return text(
                StatusCode::NOT_FOUND,
                "heal, fail, slow or lie\n".to_owned(),
            );
        };
        if method != Method::POST {
            return text(StatusCode::METHOD_NOT_ALLOWED, "use POST\n".to_owned());
        }
        self.mood.store(mood as u8, Ordering::Relaxed);
        let state = match mood {
            Mood::Well => "well",
            Mood::Failing => "failing",
            Mood::Slow => "slow",
            Mood::Lying => "lying",
        };
        text(
            StatusCode::OK,
            format!("{} is {state}\n", self.service.name()),
        )
    }
}

fn json(body: String) -> Response<Full<Bytes>> {
    response(StatusCode::OK, "application/json", body)
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    response(status, "text/plain", body)
}

fn problem(detail: &str) -> Response<Full<Bytes>> {
    response(
        StatusCode::INTERNAL_SERVER_ERROR,
        "text/plain",
        format!("{detail}\n"),
    )
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(content_type),
    );
    response
}
