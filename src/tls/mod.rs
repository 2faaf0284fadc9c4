//! From a raw connection to an encrypted one with a known protocol.

pub mod accept;
pub mod certs;
pub mod development;
mod names;
mod x509;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;

pub use accept::{Alpn, HandshakeError, Prepared, ServerTls, handshake, was_resumed};
pub use certs::Certificate;

/// TLS on a listener, as checked.
#[derive(Clone, Debug)]
pub struct TlsSpec {
    pub certificates: Vec<CertificateSpec>,
    /// With it, clients must show a certificate that one of these authorities signed.
    pub client_ca: Option<PathBuf>,
    pub min_version: MinVersion,
    /// The certificate is made at the start where there is none; loopback addresses only.
    pub development: bool,
}

/// A certificate chain and its key: PEM files. Read at load and again whenever they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSpec {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The oldest version of TLS spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MinVersion {
    #[default]
    Tls12,
    Tls13,
}

/// The one crypto library of the process, aws-lc, handed to rustls explicitly wherever a
/// configuration is built: nothing depends on a process-wide default being installed first.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}
