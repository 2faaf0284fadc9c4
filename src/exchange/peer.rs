//! The connection that a request came over, and what upstreams are told of it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use super::{Headers, Version};

/// The connection a request came over. One for all of its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The other end of the socket, or what a PROXY header said.
    pub address: SocketAddr,
    /// Its address as text: every request passes it on.
    pub address_text: Box<str>,
    /// The address of the listener.
    pub local: SocketAddr,
    pub tls: Option<TlsFacts>,
    /// The bound on a request body, in bytes, where the route states none.
    pub body_bytes: u64,
    /// What upstreams were told of its first request; usually the same holds for those after it.
    pub told: OnceLock<Told>,
}

/// The fields that tell an upstream where a request came from, with what they depend on.
#[derive(Clone, Debug)]
pub struct Told {
    pub authority: Box<str>,
    pub version: Version,
    pub id_len: usize,
    pub headers: Headers,
}

/// What the TLS handshake told.
#[derive(Clone, Debug)]
pub struct TlsFacts {
    /// The server name asked for (RFC 6066, 3), in lower case.
    pub server_name: Option<Arc<str>>,
    /// The client's certificate, DER, when one was asked for and verified.
    pub client_certificate: Option<Arc<[u8]>>,
}

impl Peer {
    pub fn new(
        address: SocketAddr,
        local: SocketAddr,
        tls: Option<TlsFacts>,
        body_bytes: u64,
    ) -> Self {
        Self {
            address,
            address_text: address.ip().to_canonical().to_string().into(),
            local,
            tls,
            body_bytes,
            told: OnceLock::new(),
        }
    }

    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}
