//! Binds listening sockets, one for each worker, so that the kernel spreads connections over them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// `count` sockets bound to one address. With port 0 the system picks the port, the same for all.
///
/// They share the port by `SO_REUSEPORT`; another process that already holds it is found out
/// first, or it would silently keep a part of the connections.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    if address.port() != 0 {
        drop(open(address, false)?);
    }
    let first = open(address, true)?;
    let bound = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count {
        sockets.push(open(bound, true)?);
    }
    for socket in &sockets {
        // Listening begins only when all are bound, so that none is left without a reader.
        socket2::SockRef::from(socket).listen(BACKLOG)?;
    }
    Ok(sockets)
}

fn open(address: SocketAddr, share: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // One family a listener: `[::]` does not take IPv4 as well, whatever the system's default.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    if share {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn all_sockets_share_one_port() {
        let sockets = bind(any(), 3).unwrap();
        let first = sockets[0].local_addr().unwrap();
        assert!(
            sockets
                .iter()
                .all(|socket| socket.local_addr().unwrap() == first)
        );
    }

    #[test]
    fn a_port_that_somebody_else_listens_on_is_refused() {
        let holder = TcpListener::bind(any()).unwrap();
        let error = bind(holder.local_addr().unwrap(), 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
