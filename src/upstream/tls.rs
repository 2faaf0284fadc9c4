//! Reads the certificates of an upstream and makes the TLS settings of its connections.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::{Protocol, UpstreamTls};

/// More than any file of certificates has.
const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What is wrong with a file of certificates or a key, or with the name to verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    #[error("{}: {problem}", file.display())]
    File { file: PathBuf, problem: String },
    #[error("TLS cannot be set up: {0}")]
    Settings(String),
    #[error("`{0}` is neither a host name nor an address")]
    ServerName(String),
}

/// What an upstream's files hold, read and found to fit together.
#[derive(Clone)]
pub struct TlsMaterial {
    config: ClientConfig,
    server_name: Option<ServerName<'static>>,
    /// Tells whether files have changed since they were read.
    digest: [u8; 32],
}

impl PartialEq for TlsMaterial {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.server_name == other.server_name
    }
}

impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsMaterial")
    }
}

impl UpstreamTls {
    /// Reads the files and checks that they hold what they should. Blocks: for load and check.
    pub fn load(&self) -> Result<TlsMaterial, TlsError> {
        let mut digest = digest::Context::new(&digest::SHA256);
        let roots = match &self.ca {
            Some(file) => authorities(file, &mut digest)?,
            None => RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            },
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(|error| TlsError::Settings(error.to_string()))?
            .with_root_certificates(roots);
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = certificates(&read(cert, &mut digest)?, cert)?;
                let key_der = private_key(&read(key, &mut digest)?, key)?;
                builder
                    .with_client_auth_cert(chain, key_der)
                    .map_err(|error| {
                        problem(key, format!("does not fit {}: {error}", cert.display()))
                    })?
            }
        };
        let server_name = self.server_name.as_deref().map(server_name).transpose()?;
        let mut sum = [0; 32];
        sum.copy_from_slice(digest.finish().as_ref());
        Ok(TlsMaterial {
            config,
            server_name,
            digest: sum,
        })
    }
}

/// The TLS settings of an upstream's connections.
#[derive(Debug)]
pub(super) struct TlsSettings {
    /// Offers what the protocol of the upstream allows.
    pub(super) any: Arc<ClientConfig>,
    /// Offers HTTP/1.1 only: for requests that ask to switch protocols.
    pub(super) http1: Arc<ClientConfig>,
    pub(super) material: TlsMaterial,
}

impl TlsSettings {
    pub(super) fn new(material: TlsMaterial, protocol: Protocol) -> Self {
        let offering = |protocols: &[&[u8]]| {
            let mut config = material.config.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        let http1 = offering(&[b"http/1.1"]);
        let any = match protocol {
            Protocol::Auto => offering(&[b"h2", b"http/1.1"]),
            Protocol::H1 => Arc::clone(&http1),
            Protocol::H2 => offering(&[b"h2"]),
        };
        Self {
            any,
            http1,
            material,
        }
    }

    /// The name to ask `host` for and to verify.
    pub(super) fn name_for(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        match &self.material.server_name {
            Some(name) => Ok(name.clone()),
            None => server_name(host),
        }
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(text.to_owned()).map_err(|_| TlsError::ServerName(text.to_owned()))
}

fn problem(file: &Path, problem: String) -> TlsError {
    TlsError::File {
        file: file.to_owned(),
        problem,
    }
}

fn read(file: &Path, digest: &mut digest::Context) -> Result<Vec<u8>, TlsError> {
    let mut text = Vec::new();
    File::open(file)
        .and_then(|open| open.take(PEM_BYTES_MAX).read_to_end(&mut text))
        .map_err(|error| problem(file, format!("cannot be read: {error}")))?;
    // The length keeps the end of one file apart from the start of the next.
    digest.update(&(text.len() as u64).to_be_bytes());
    digest.update(&text);
    Ok(text)
}

fn certificates(text: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|error| problem(file, format!("is not PEM: {error}")))?;
    if found.is_empty() {
        return Err(problem(file, "holds no certificate".to_owned()));
    }
    Ok(found)
}

fn private_key(text: &[u8], file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(text)
        .map_err(|error| problem(file, format!("holds no private key: {error}")))
}

fn authorities(file: &Path, digest: &mut digest::Context) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&read(file, digest)?, file)? {
        roots.add(certificate).map_err(|error| {
            problem(
                file,
                format!("holds a certificate that cannot be used: {error}"),
            )
        })?;
    }
    Ok(roots)
}
