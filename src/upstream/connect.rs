//! Opens a connection to an endpoint, with TLS where asked.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Protocol;
use super::endpoint::Endpoint;

/// How long one address is waited for before the next is tried beside it (RFC 8305, 5).
const STAGGER: Duration = Duration::from_millis(250);

/// The most addresses tried for one connection.
const ADDRESSES_TRIED: usize = 6;

/// When the system asks a silent peer whether it is still there, and how often.
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_mins(1))
    .with_interval(Duration::from_secs(15));

/// A byte stream to an endpoint.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Of a [`Dial`](super::dial::Dial).
    Dialled(DuplexStream),
}

/// A new connection and the protocol to speak on it.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) http2: bool,
}

/// Opens a connection to `endpoint`; with `http1_only`, one that can be upgraded. The caller
/// bounds the time. The error says what failed, for the log.
pub(super) async fn open(endpoint: &Endpoint, http1_only: bool) -> Result<Opened, String> {
    let addresses = endpoint.state.addresses.get().await?;
    let stream = dial(&addresses).await?;
    if let Err(error) = stream
        .set_nodelay(true)
        .and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&KEEP_ALIVE))
    {
        tracing::debug!(%error, "a socket option could not be set");
    }
    let Some(tls) = &endpoint.tls else {
        return Ok(Opened {
            stream: Stream::Plain(stream),
            http2: endpoint.protocol == Protocol::H2 && !http1_only,
        });
    };
    let config = if http1_only {
        &tls.settings.http1
    } else {
        &tls.settings.any
    };
    let stream = TlsConnector::from(Arc::clone(config))
        .connect(tls.name.clone(), stream)
        .await
        .map_err(|error| format!("TLS: {error}"))?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if endpoint.protocol == Protocol::H2 && !http2 && !http1_only {
        return Err("TLS: the endpoint does not speak HTTP/2".to_owned());
    }
    Ok(Opened {
        stream: Stream::Tls(Box::new(stream)),
        http2,
    })
}

/// The first of `addresses` that takes a connection: each is tried when the one before it has
/// failed or has taken its time, and those not needed are given up.
async fn dial(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    if let [address] = addresses {
        return connect(*address).await;
    }
    let mut rest = addresses.iter().take(ADDRESSES_TRIED).copied();
    let mut tries = JoinSet::new();
    let mut last_error = "no address".to_owned();
    loop {
        let more = match rest.next() {
            Some(address) => {
                tries.spawn(connect(address));
                rest.len() > 0
            }
            None => false,
        };
        tokio::select! {
            ended = tries.join_next() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => last_error = error,
                Some(Err(error)) => last_error = error.to_string(),
                None => return Err(last_error),
            },
            () = tokio::time::sleep(STAGGER), if more => {}
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address)
        .await
        .map_err(|error| format!("{address}: {error}"))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Dialled(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Dialled(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Dialled(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Dialled(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::Dialled(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Dialled(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::backend::on_worker;

    #[test]
    fn an_address_that_fails_does_not_hold_up_the_next() {
        on_worker(|| async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let alive = listener.local_addr().unwrap();
            let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let dead = gone.local_addr().unwrap();
            drop(gone);
            for addresses in [
                vec![dead, alive],
                vec![dead, dead, alive],
                vec![alive, dead],
            ] {
                let stream = dial(&addresses).await.unwrap();
                assert_eq!(stream.peer_addr().unwrap(), alive);
            }
            assert!(dial(&[dead, dead]).await.unwrap_err().contains("refused"));
            assert!(dial(&[]).await.is_err());
        });
    }
}
