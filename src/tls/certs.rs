//! Loads certificate chains and keys; refuses a pair that does not match.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{CertificateSpec, provider, x509};

/// A PEM file larger than this is none of ours. In bytes.
const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A certificate chain with its key, ready to be shown.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub key: Arc<CertifiedKey>,
    /// The DNS names it covers, lower case; a wildcard as `*.example.com`.
    pub names: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub not_after: i64,
    /// The file of the chain.
    pub path: PathBuf,
}

impl Certificate {
    /// What the operator should know although the certificate can be served: that it has ended, or
    /// covers no name.
    pub fn warning(&self) -> Option<String> {
        let path = self.path.display();
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if self.not_after < i64::try_from(now).unwrap_or(i64::MAX) {
            let ended = jiff::Timestamp::from_second(self.not_after).unwrap_or_default();
            return Some(format!(
                "the certificate in {path} ended at {ended}; clients will refuse it"
            ));
        }
        self.names.is_empty().then(|| {
            format!("the certificate in {path} covers no DNS name; clients will refuse it for any")
        })
    }
}

/// Reads chain and key of `spec`.
///
/// Refused, with a message that names the file and says why: a file that cannot be read or is
/// larger than 4 MiB, no certificate or key in it, a key of a kind that TLS does not know, and a key
/// that does not belong to the certificate. A certificate that has ended is not refused, since
/// serving the others must go on: see [`Certificate::warning`].
pub fn load(spec: &CertificateSpec) -> Result<Certificate, String> {
    let chain = read_chain(&spec.cert)?;
    let leaf = chain
        .first()
        .map(|leaf| x509::read(leaf))
        .unwrap_or_default();
    let facts = leaf.ok_or_else(|| {
        format!(
            "the first certificate in {} is malformed",
            spec.cert.display()
        )
    })?;
    let key = read_key(&spec.key)?;
    let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => format!(
            "the key in {} does not belong to the certificate in {}",
            spec.key.display(),
            spec.cert.display()
        ),
        other => format!(
            "the pair of {} and {} cannot be used: {other}",
            spec.cert.display(),
            spec.key.display()
        ),
    })?;
    Ok(Certificate {
        key: Arc::new(key),
        names: facts.dns_names,
        not_after: facts.not_after,
        path: spec.cert.clone(),
    })
}

/// Reads the authorities in the PEM file `path`: at least one certificate.
pub fn load_authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for authority in read_chain(path)? {
        store.add(authority).map_err(|error| {
            format!("an authority in {} cannot be used: {error}", path.display())
        })?;
    }
    Ok(store)
}

/// Reads every certificate of a PEM file, in its order: at least one.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{} is not valid PEM: {error}", path.display()))?;
    if chain.is_empty() {
        return Err(format!("{} holds no certificate", path.display()));
    }
    Ok(chain)
}

/// Reads the first private key of a PEM file.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => {
            format!("{} holds no private key", path.display())
        }
        other => format!("{} is not valid PEM: {other}", path.display()),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = File::open(path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(format!("cannot read {}: not a file", path.display()));
    }
    let mut text = Vec::new();
    file.take(PEM_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(cannot)?;
    if text.len() as u64 > PEM_BYTES_MAX {
        return Err(format!(
            "{} is larger than {PEM_BYTES_MAX} bytes",
            path.display()
        ));
    }
    Ok(text)
}
