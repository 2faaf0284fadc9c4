//! Accepts connections up to a cap; backs off when the system runs out of files.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long to wait when a connection cannot be taken, before trying again.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A connection, counted until it is dropped.
pub struct Accepted {
    pub stream: TcpStream,
    pub address: SocketAddr,
    pub permit: OwnedSemaphorePermit,
}

/// The next connection. Over the cap nothing is accepted: clients wait in the kernel's queue.
/// None when the cap is closed, which ends accepting for good.
pub async fn accept(listener: &TcpListener, cap: &Arc<Semaphore>) -> Option<Accepted> {
    let permit = Arc::clone(cap).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Answers are written whole; waiting for more to send only delays them.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no delay could not be set");
                }
                return Some(Accepted {
                    stream,
                    address,
                    permit,
                });
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// The peer went away between its handshake and our accept: nothing to wait for.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
