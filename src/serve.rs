//! Drives one accepted connection: TLS, then HTTP/1.1 or HTTP/2, then one request after another
//! into the pipeline.

use std::future::ready;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::exchange::{Peer, TlsFacts, boxed, http2};
use crate::http1;
use crate::listen::accept::Accepted;
use crate::pipeline;
use crate::snapshot::Listener;
use crate::tls::{self, Alpn, HandshakeError};
use crate::worker::{OpenConnection, Worker};

/// The first bytes of an HTTP/2 connection without TLS (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// A connection at work.
type Serving<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Serves a connection that `listener` accepted, until it ends; `counted` until then.
///
/// Everything that is large, a TLS session above all, is moved to where it stays before a future
/// begins, for a future keeps a place for all that it ever held.
pub fn connection(
    worker: Rc<Worker>,
    listener: usize,
    accepted: Accepted,
    counted: OpenConnection,
) -> impl Future<Output = ()> {
    // Each request takes the snapshot of its moment; a connection must not keep an old one alive.
    let listener = worker.snapshot().listener(listener);
    let Accepted {
        stream,
        address,
        permit,
    } = accepted;
    async move {
        // The listener may have left the file since: what it accepted before is refused like that.
        let Some(listener) = &listener else {
            return;
        };
        let open = listener.metrics.connection(worker.slot);
        let limit = listener.spec.limits.header_time;
        let serving = match &listener.tls {
            None => {
                let h2 = listener.spec.protocols.h2 && Box::pin(speaks_http2(&stream, limit)).await;
                serve_plain(&worker, stream, address, listener, h2)
            }
            Some(tls) => {
                let shaken = Box::pin(tls::handshake(tls, stream, limit)).await;
                serve_tls(&worker, shaken, address, listener)
            }
        };
        if let Some(serving) = serving {
            serving.await;
        }
        drop((open, permit, counted));
    }
}

/// None when the client has left already.
fn serve_plain<'a>(
    worker: &'a Rc<Worker>,
    stream: TcpStream,
    address: SocketAddr,
    listener: &'a Arc<Listener>,
    h2: bool,
) -> Option<Serving<'a>> {
    let local = stream.local_addr().ok()?;
    let peer = peer(address, local, None, listener);
    Some(serve(worker, stream, peer, listener, h2))
}

/// None when the handshake failed.
fn serve_tls<'a>(
    worker: &'a Rc<Worker>,
    shaken: Result<(TlsStream<TcpStream>, TlsFacts, Alpn), HandshakeError>,
    address: SocketAddr,
    listener: &'a Arc<Listener>,
) -> Option<Serving<'a>> {
    let cells = listener.metrics.at(worker.slot);
    match shaken {
        Ok((stream, facts, alpn)) => {
            cells.handshake(tls::was_resumed(&stream));
            let local = stream.get_ref().0.local_addr().ok()?;
            let peer = peer(address, local, Some(facts), listener);
            Some(serve(worker, stream, peer, listener, alpn == Alpn::H2))
        }
        Err(error) => {
            cells.handshake_failed(error.cause());
            tracing::debug!(%error, client = %address, "TLS handshake failed");
            None
        }
    }
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

fn serve<'a, S>(
    worker: &'a Rc<Worker>,
    io: S,
    peer: Arc<Peer>,
    listener: &Arc<Listener>,
    h2: bool,
) -> Serving<'a>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    if h2 {
        return serve_http2(worker, io, peer, listener);
    }
    let (limits, drain) = (listener.http1_limits(), &worker.drain);
    let refuse = {
        let peer = Arc::clone(&peer);
        move |status, reason| pipeline::refuse(worker, status, reason, &peer)
    };
    if listener.spec.redirect_https {
        let handler = move |request| ready(pipeline::redirect_https(worker, request, &peer));
        boxed::pin(|| http1::serve(io, limits, drain, handler, refuse))
    } else {
        let handler = move |request| pipeline::answer(worker, request, &peer);
        boxed::pin(|| http1::serve(io, limits, drain, handler, refuse))
    }
}

fn serve_http2<'a, S>(
    worker: &'a Rc<Worker>,
    io: S,
    peer: Arc<Peer>,
    listener: &Listener,
) -> Serving<'a>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let refuse = {
        let peer = Arc::clone(&peer);
        move |status, reason| pipeline::refuse(worker, status, reason, &peer)
    };
    let drained = async { worker.drain.started().await };
    let limits = listener.http2_limits();
    let address = peer.address;
    if listener.spec.redirect_https {
        let handler = move |request| ready(pipeline::redirect_https(worker, request, &peer));
        let served = boxed::pin(|| http2::serve(io, limits, drained, handler, refuse));
        Box::pin(until_it_ends(served, address))
    } else {
        let handler = move |request| pipeline::answer(worker, request, &peer);
        let served = boxed::pin(|| http2::serve(io, limits, drained, handler, refuse));
        Box::pin(until_it_ends(served, address))
    }
}

async fn until_it_ends<F>(served: Pin<Box<F>>, client: SocketAddr)
where
    F: Future<Output = std::io::Result<()>>,
{
    if let Err(error) = served.await {
        tracing::debug!(%error, %client, "connection ended");
    }
}
