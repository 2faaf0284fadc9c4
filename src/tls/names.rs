//! Picks the certificate for the server name that a client asked for.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Certificate;

/// Certificates by the names they cover.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    exact: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// By what follows `*.`: a wildcard stands for one label (RFC 6125, 6.4.3).
    wildcard: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// In the order of the file: the first serves clients that ask for no name, or for one that
    /// nothing covers.
    all: Vec<Arc<CertifiedKey>>,
}

impl NameTable {
    pub(super) fn new(certificates: &[Certificate]) -> Self {
        let mut table = Self::default();
        for certificate in certificates {
            for name in &certificate.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut table.wildcard, rest),
                    None => (&mut table.exact, name.as_str()),
                };
                map.entry(name.into())
                    .or_default()
                    .push(Arc::clone(&certificate.key));
            }
            table.all.push(Arc::clone(&certificate.key));
        }
        table
    }

    /// `usable` says whether the client can verify the key of a certificate: one name may have an
    /// ECDSA and an RSA certificate.
    fn find(
        &self,
        name: Option<&str>,
        usable: impl Fn(&CertifiedKey) -> bool,
    ) -> Option<Arc<CertifiedKey>> {
        let lower = name.map(str::to_ascii_lowercase);
        let name = lower.as_deref();
        let named = name.and_then(|name| {
            self.exact.get(name).or_else(|| {
                let (_, rest) = name.split_once('.')?;
                self.wildcard.get(rest)
            })
        });
        let candidates = named.unwrap_or(&self.all);
        candidates
            .iter()
            .find(|key| usable(key))
            .or_else(|| candidates.first())
            .map(Arc::clone)
    }
}

/// What rustls asks: the table of the moment.
#[derive(Debug)]
pub(super) struct Resolver(pub(super) ArcSwap<NameTable>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        self.0.load().find(hello.server_name(), |key| {
            key.key.choose_scheme(schemes).is_some()
        })
    }
}
