//! Accepts operators' connections, each bounded in number, size and time.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::Operations;
use super::answer::{self, Page};
use super::entry::Door;

/// Connections open at once; more wait.
const CONNECTIONS_MAX: usize = 64;
/// For a whole request head; also how long a connection may lie idle.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// A connection is ended after this, so that a reader that has stopped reading holds nothing.
const CONNECTION_TIME_MAX: Duration = Duration::from_mins(2);
/// For connections at work when the process ends.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(3);
/// Bytes of a request head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const BACK_OFF: Duration = Duration::from_millis(50);

/// Answers operators on `listener` until `shutdown` is there, then lets answers at work end.
///
/// With `token`, every request must carry it as `Authorization: Bearer`.
pub async fn serve(
    listener: TcpListener,
    operations: Arc<dyn Operations>,
    token: Option<String>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let door = Arc::new(Door::new(token.as_deref()));
    let page = Arc::new(Page::new());
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            _ = connections.join_next(), if !connections.is_empty() => {}
            (slot, accepted) = next => match accepted {
                Ok((stream, peer)) => {
                    let visitor = Visitor {
                        operations: Arc::clone(&operations),
                        door: Arc::clone(&door),
                        page: Arc::clone(&page),
                    };
                    let stopped = stopped.clone();
                    connections.spawn(async move {
                        connection(stream, peer, visitor, stopped).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "an operator's connection could not be accepted");
                    tokio::time::sleep(BACK_OFF).await;
                }
            },
        }
    }
    drop(listener);
    stop.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIME_MAX, all).await.is_err() {
        tracing::warn!("operators' connections were cut off");
    }
}

/// What a connection needs to answer.
#[derive(Clone)]
struct Visitor {
    operations: Arc<dyn Operations>,
    door: Arc<Door>,
    page: Arc<Page>,
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    visitor: Visitor,
    mut stopped: watch::Receiver<bool>,
) {
    let set = SetResponseHeaderLayer::overriding;
    let service = ServiceBuilder::new()
        // Outermost, so that refusals and failures carry them too.
        .layer(set(X_CONTENT_TYPE_OPTIONS, text("nosniff")))
        .layer(set(X_FRAME_OPTIONS, text("DENY")))
        .layer(set(REFERRER_POLICY, text("no-referrer")))
        .layer(set(CACHE_CONTROL, text("no-store")))
        // The page states what it needs; nothing else may load or run anything.
        .layer(SetResponseHeaderLayer::if_not_present(
            CONTENT_SECURITY_POLICY,
            text("default-src 'none'; frame-ancestors 'none'"),
        ))
        // A fault in one answer must not end the connection without one.
        .layer(CatchPanicLayer::custom(answer::failed))
        .service_fn(move |request: Request<Incoming>| {
            let visitor = visitor.clone();
            async move {
                let (head, _) = request.into_parts();
                let answer =
                    answer::answer(&visitor.operations, &visitor.door, &visitor.page, head).await;
                Ok::<Response<answer::Content>, Infallible>(answer)
            }
        });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut served = std::pin::pin!(served);
    // True or gone: either way the process ends.
    let stop = async { drop(stopped.wait_for(|stopped| *stopped).await) };
    let ended = tokio::time::timeout(CONNECTION_TIME_MAX, async {
        tokio::select! {
            ended = served.as_mut() => ended,
            () = stop => {
                served.as_mut().graceful_shutdown();
                served.as_mut().await
            }
        }
    });
    match ended.await {
        Ok(Err(error)) => tracing::debug!(%error, %peer, "an operator's connection failed"),
        Ok(Ok(())) => {}
        Err(_elapsed) => tracing::debug!(%peer, "an operator's connection was ended"),
    }
}

const fn text(value: &'static str) -> HeaderValue {
    HeaderValue::from_static(value)
}
