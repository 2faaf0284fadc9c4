//! Shakes hands within a time limit, picking the certificate by server name.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{HandshakeKind, ServerConfig};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::names::{NameTable, Resolver};
use super::{Certificate, MinVersion, TlsSpec, certs, provider};
use crate::exchange::TlsFacts;
use crate::listen::Protocols;

/// TLS of one listener for as long as it listens. One for all workers: sessions that one of them
/// began are resumed by the others.
#[derive(Debug)]
pub struct ServerTls {
    current: ArcSwap<Built>,
}

/// A configuration and what it was built from.
#[derive(Debug)]
struct Built {
    config: Arc<ServerConfig>,
    resolver: Arc<Resolver>,
    settings: Settings,
}

/// Whatever, when it changes, asks for a new configuration, so that no session begun under the old
/// one is resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    client_ca: Option<Vec<CertificateDer<'static>>>,
    min_version: MinVersion,
    h1: bool,
    h2: bool,
}

/// Certificates and settings that were read and checked, not yet served.
#[derive(Debug)]
pub struct Prepared {
    pub certificates: Vec<Certificate>,
    settings: Settings,
    table: Arc<NameTable>,
    /// Built in any case: that it can be is part of the check.
    config: Arc<ServerConfig>,
    resolver: Arc<Resolver>,
}

impl Prepared {
    /// Reads and checks everything that `spec` names. The message says which file and why.
    pub fn new(spec: &TlsSpec, protocols: Protocols) -> Result<Self, String> {
        let certificates: Vec<_> = spec
            .certificates
            .iter()
            .map(certs::load)
            .collect::<Result<_, _>>()?;
        if certificates.is_empty() {
            return Err("TLS needs at least one certificate".to_owned());
        }
        let settings = Settings {
            client_ca: spec
                .client_ca
                .as_deref()
                .map(certs::read_chain)
                .transpose()?,
            min_version: spec.min_version,
            h1: protocols.h1,
            h2: protocols.h2,
        };
        let table = Arc::new(NameTable::new(&certificates));
        let resolver = Arc::new(Resolver(ArcSwap::new(Arc::clone(&table))));
        let config = server_config(spec, &settings, &resolver)?;
        Ok(Self {
            certificates,
            settings,
            table,
            config: Arc::new(config),
            resolver,
        })
    }
}

impl ServerTls {
    pub fn new(prepared: Prepared) -> Self {
        Self {
            current: ArcSwap::from_pointee(Built {
                config: prepared.config,
                resolver: prepared.resolver,
                settings: prepared.settings,
            }),
        }
    }

    /// Reads and checks, as [`Prepared::new`].
    pub fn build(spec: &TlsSpec, protocols: Protocols) -> Result<Self, String> {
        Prepared::new(spec, protocols).map(Self::new)
    }

    /// Serves what was prepared to every handshake from now on. Certificates alone are swapped
    /// under the configuration, so that sessions go on being resumed; other protocols, versions or
    /// client authorities end that, since a session begun under the old rules must not outlive
    /// them.
    pub fn apply(&self, prepared: Prepared) {
        let current = self.current.load();
        if current.settings == prepared.settings {
            current.resolver.0.store(prepared.table);
        } else {
            self.current.store(Arc::new(Built {
                config: prepared.config,
                resolver: prepared.resolver,
                settings: prepared.settings,
            }));
        }
    }

    /// The configuration of the moment.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }
}

fn server_config(
    spec: &TlsSpec,
    settings: &Settings,
    resolver: &Arc<Resolver>,
) -> Result<ServerConfig, String> {
    let versions: &[_] = match spec.min_version {
        MinVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        MinVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let builder = match &spec.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let authorities = Arc::new(certs::load_authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider())
                .build()
                .map_err(|error| {
                    format!(
                        "the authorities in {} cannot be used: {error}",
                        path.display()
                    )
                })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let resolver = Arc::clone(resolver);
    let mut config = builder.with_cert_resolver(resolver);
    if settings.h2 {
        config.alpn_protocols.push(Alpn::H2.id().to_vec());
    }
    if settings.h1 {
        config.alpn_protocols.push(Alpn::Http11.id().to_vec());
    }
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()
        .map_err(|error| format!("session tickets cannot be set up: {error}"))?;
    // Tickets hold the sessions; a store beside them would be memory that nobody reads.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    // Early data can be replayed (RFC 8446, 8): none is taken.
    config.max_early_data_size = 0;
    Ok(config)
}

/// The protocol that the handshake settled (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    Http11,
    H2,
}

impl Alpn {
    /// As it stands in the handshake.
    pub const fn id(self) -> &'static [u8] {
        match self {
            Self::Http11 => b"http/1.1",
            Self::H2 => b"h2",
        }
    }
}

/// Why a handshake brought no connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("no handshake within {0:?}")]
    Timeout(Duration),
    /// The peer went away, or the socket failed.
    #[error("the connection ended in the handshake: {0}")]
    Closed(io::Error),
    /// The peer broke the protocol, or shares no version, cipher or protocol with us.
    #[error("the handshake failed: {0}")]
    Refused(rustls::Error),
    /// The client's certificate is missing or not trusted.
    #[error("the client's certificate was refused: {0}")]
    ClientCertificate(rustls::Error),
    /// The listener speaks HTTP/2 alone, and the client did not ask for it (RFC 9113, 3.2).
    #[error("the client did not ask for HTTP/2, which is all that is spoken here")]
    NoProtocol,
}

impl HandshakeError {
    /// The cause in one word, as it stands in metrics and logs.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Closed(_) => "closed",
            Self::Refused(_) => "refused",
            Self::ClientCertificate(_) => "client-certificate",
            Self::NoProtocol => "no-protocol",
        }
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(
                tls @ (rustls::Error::NoCertificatesPresented
                | rustls::Error::InvalidCertificate(_)),
            ) => Self::ClientCertificate(tls.clone()),
            Some(tls) => Self::Refused(tls.clone()),
            None => Self::Closed(error),
        }
    }
}

/// Whether the session goes on from an earlier one, without a new proof of the certificate.
pub fn was_resumed<IO>(stream: &TlsStream<IO>) -> bool {
    let (_, connection) = stream.get_ref();
    connection.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Shakes hands over `io`, for no longer than `limit`.
pub async fn handshake<IO>(
    tls: &ServerTls,
    io: IO,
    limit: Duration,
) -> Result<(TlsStream<IO>, TlsFacts, Alpn), HandshakeError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let built = tls.current.load_full();
    let acceptor = TlsAcceptor::from(Arc::clone(&built.config));
    let stream = tokio::time::timeout(limit, acceptor.accept(io))
        .await
        .map_err(|_elapsed| HandshakeError::Timeout(limit))??;
    let (_, connection) = stream.get_ref();
    let facts = TlsFacts {
        server_name: connection
            .server_name()
            .map(|name| name.to_ascii_lowercase().into()),
        client_certificate: connection
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map(|leaf| Arc::from(leaf.as_ref())),
    };
    let alpn = match connection.alpn_protocol() {
        Some(id) if id == Alpn::H2.id() => Alpn::H2,
        Some(_) => Alpn::Http11,
        None if built.settings.h1 => Alpn::Http11,
        None => return Err(HandshakeError::NoProtocol),
    };
    Ok((stream, facts, alpn))
}
