//! Drives one accepted connection: TLS, then HTTP/1.1 or HTTP/2, then one request after another
//! into the pipeline.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::exchange::{Peer, Request, TlsFacts, http2};
use crate::http1;
use crate::listen::accept::Accepted;
use crate::pipeline;
use crate::snapshot::Listener;
use crate::tls::{self, Alpn};
use crate::worker::Worker;

/// The first bytes of an HTTP/2 connection without TLS (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Serves a connection that `listener` accepted, until it ends.
pub async fn connection(worker: &Rc<Worker>, listener: usize, accepted: Accepted) {
    let snapshot = worker.snapshot();
    // The listener may have left the file since: what it accepted before is refused like that.
    let Some(listener) = snapshot.listener(listener) else {
        return;
    };
    // Each request takes the snapshot of its moment; a connection must not keep an old one alive.
    drop(snapshot);
    let Accepted {
        stream,
        address,
        permit,
    } = accepted;
    let open = listener.metrics.connection(worker.slot);
    let cells = listener.metrics.at(worker.slot);
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let limit = listener.spec.limits.header_time;
    match &listener.tls {
        None => {
            let h2 = listener.spec.protocols.h2 && Box::pin(speaks_http2(&stream, limit)).await;
            let peer = peer(address, local, None, &listener);
            Box::pin(serve(worker, stream, peer, &listener, h2)).await;
        }
        // Each boxed: a connection must not weigh what its handshake or another protocol weighs.
        Some(tls) => match Box::pin(tls::handshake(tls, stream, limit)).await {
            Ok((stream, facts, alpn)) => {
                cells.handshake(tls::was_resumed(&stream));
                let peer = peer(address, local, Some(facts), &listener);
                Box::pin(serve(worker, stream, peer, &listener, alpn == Alpn::H2)).await;
            }
            Err(error) => {
                cells.handshake_failed(error.cause());
                tracing::debug!(%error, client = %address, "TLS handshake failed");
            }
        },
    }
    drop((open, permit));
}

fn peer(
    address: SocketAddr,
    local: SocketAddr,
    tls: Option<TlsFacts>,
    listener: &Listener,
) -> Arc<Peer> {
    let body_bytes = listener.spec.limits.body_bytes;
    Arc::new(Peer::new(address, local, tls, body_bytes))
}

/// Whether a connection without TLS opens with the preface of HTTP/2. The bytes stay unread.
async fn speaks_http2(stream: &TcpStream, limit: std::time::Duration) -> bool {
    let mut first = [0_u8; PREFACE.len()];
    match tokio::time::timeout(limit, stream.peek(&mut first)).await {
        // No method of HTTP/1.1 starts like that, so four bytes decide.
        Ok(Ok(count)) if count >= 4 => first
            .get(..count)
            .is_some_and(|seen| PREFACE.starts_with(seen)),
        _ => false,
    }
}

async fn serve<S>(worker: &Rc<Worker>, io: S, peer: Arc<Peer>, listener: &Arc<Listener>, h2: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    if h2 {
        serve_http2(worker, io, peer, listener).await;
        return;
    }
    let (limits, drain) = (listener.http1_limits(), &worker.drain);
    let refuse = |status, reason| pipeline::refuse(worker, status, reason, &peer);
    if listener.spec.redirect_https {
        let handler = async |request| pipeline::redirect_https(worker, request, &peer);
        http1::serve(io, limits, drain, handler, refuse).await;
    } else {
        let handler = |request| pipeline::answer(worker, request, &peer);
        http1::serve(io, limits, drain, handler, refuse).await;
    }
}

async fn serve_http2<S>(worker: &Rc<Worker>, io: S, peer: Arc<Peer>, listener: &Listener)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let redirect = listener.spec.redirect_https;
    let handler = {
        let (worker, peer) = (Rc::clone(worker), Arc::clone(&peer));
        move |request: Request| {
            let (worker, peer) = (Rc::clone(&worker), Arc::clone(&peer));
            async move {
                if redirect {
                    pipeline::redirect_https(&worker, request, &peer)
                } else {
                    pipeline::answer(&worker, request, &peer).await
                }
            }
        }
    };
    let refuse = {
        let (worker, peer) = (Rc::clone(worker), Arc::clone(&peer));
        move |status, reason| pipeline::refuse(&worker, status, reason, &peer)
    };
    let drained = async { worker.drain.started().await };
    let limits = listener.http2_limits();
    let served = Box::pin(http2::serve(io, limits, drained, handler, refuse));
    if let Err(error) = served.await {
        tracing::debug!(%error, client = %peer.address, "connection ended");
    }
}
