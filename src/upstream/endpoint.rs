//! One address of an upstream: what all workers know about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::ServerName;

use super::cap::Cap;
use super::facts::{Counts, EndpointFacts};
use super::health::Health;
use super::resolve::Addresses;
use super::tls::{TlsError, TlsSettings};
use super::{EndpointSpec, Protocol};

/// One address of an upstream, and how it is spoken with.
pub(super) struct Endpoint {
    /// Names its connections in the pools. Another protocol or other certificates make another.
    pub(super) id: u64,
    pub(super) spec: EndpointSpec,
    pub(super) protocol: Protocol,
    /// Host and port as `Host` carries them.
    pub(super) authority: Box<str>,
    /// As the file writes it.
    pub(super) url: String,
    pub(super) tls: Option<EndpointTls>,
    pub(super) state: Arc<EndpointState>,
}

pub(super) struct EndpointTls {
    pub(super) settings: Arc<TlsSettings>,
    pub(super) name: ServerName<'static>,
}

/// What lives on when the way to speak with an endpoint changes.
pub(super) struct EndpointState {
    pub(super) addresses: Arc<Addresses>,
    pub(super) health: Health,
    pub(super) counts: Counts,
    pub(super) cap: Arc<Cap>,
}

impl Endpoint {
    /// An endpoint; with `previous`, the same one under other settings.
    pub(super) fn new(
        spec: &EndpointSpec,
        protocol: Protocol,
        settings: Option<&Arc<TlsSettings>>,
        previous: Option<&Self>,
    ) -> Result<Self, TlsError> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let tls = match settings {
            Some(settings) if spec.tls => Some(EndpointTls {
                settings: Arc::clone(settings),
                name: settings.name_for(&spec.host)?,
            }),
            _ => None,
        };
        let state = previous.map_or_else(
            || {
                Arc::new(EndpointState {
                    addresses: Arc::new(Addresses::new(&spec.host, spec.port)),
                    health: Health::new(),
                    counts: Counts::default(),
                    cap: Arc::default(),
                })
            },
            |previous| Arc::clone(&previous.state),
        );
        let authority = spec.authority();
        Ok(Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            spec: spec.clone(),
            protocol,
            url: format!("{}://{authority}", if spec.tls { "https" } else { "http" }),
            authority: authority.into(),
            tls,
            state,
        })
    }

    pub(super) fn facts(&self) -> EndpointFacts {
        let state = &self.state;
        EndpointFacts {
            url: self.url.clone(),
            health: state.health.state(),
            requests: state.counts.requests(),
            in_flight: state.counts.in_flight(),
            connects: state.counts.connects(),
            open_connections: state.cap.open() as u64,
            failures: state.counts.failures(),
        }
    }
}
