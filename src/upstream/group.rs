//! A named group of endpoints, and the way of one call through it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::body::Permit;
use super::call::{Call, CallNote};
use super::endpoint::Endpoint;
use super::facts::GroupFacts;
use super::pool::Pools;
use super::retry::Budget;
use super::tls::{TlsError, TlsSettings};
use super::{UpstreamSpec, UpstreamTls};
use crate::exchange::{CallError, Outgoing, Response};

/// After how long it makes sense to come back to an upstream that has all it may have.
pub(super) const OVERLOADED: Duration = Duration::from_secs(1);

/// A named group of endpoints that serve the same thing. Shared by all workers.
pub struct Group {
    pub(super) id: u64,
    pub(super) spec: UpstreamSpec,
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    tls: Option<Arc<TlsSettings>>,
    pub(super) shared: Arc<Shared>,
    /// Whether probes and refreshes were started.
    pub(super) tended: AtomicBool,
}

/// What lives on when the settings of an upstream change.
pub(super) struct Shared {
    /// Counted only where it is bounded.
    at_work: Arc<AtomicUsize>,
    pub(super) budget: Budget,
    pub(super) retries: AtomicU64,
    pub(super) retries_refused: AtomicU64,
    overloaded: AtomicU64,
}

/// Why an upstream cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    #[error("upstream `{upstream}`: {error}")]
    Tls { upstream: String, error: TlsError },
    #[error("upstream `{0}` has no endpoint")]
    NoEndpoint(String),
}

impl Group {
    /// What `spec` says. With `previous`, the upstream of that name until now: where nothing has
    /// changed, in the text or in the files it names, that very group; else a new one in which
    /// what has not changed (endpoints, their connections, health, counts) lives on. Blocks.
    pub fn build(
        spec: &UpstreamSpec,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, BuildError> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let wrong = |error| BuildError::Tls {
            upstream: spec.name.clone(),
            error,
        };
        if spec.endpoints.is_empty() {
            return Err(BuildError::NoEndpoint(spec.name.clone()));
        }
        let tls = settings(spec, previous).map_err(wrong)?;
        let same_tls = previous.is_some_and(|previous| match (&previous.tls, &tls) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (None, None) => true,
            _ => false,
        });
        if let Some(previous) = previous
            && same_tls
            && previous.spec == *spec
        {
            return Ok(Arc::clone(previous));
        }
        let endpoints = spec.endpoints.iter().map(|endpoint| {
            let before =
                previous.and_then(|it| it.endpoints.iter().find(|it| it.spec == *endpoint));
            match before {
                Some(before) if same_tls && before.protocol == spec.protocol => {
                    Ok(Arc::clone(before))
                }
                _ => Endpoint::new(
                    endpoint,
                    spec.protocol,
                    tls.as_ref(),
                    before.map(|it| &**it),
                )
                .map(Arc::new),
            }
        });
        let endpoints: Vec<Arc<Endpoint>> = endpoints.collect::<Result<_, _>>().map_err(wrong)?;
        if spec.health.is_none() {
            // Nobody would find out that they are up again.
            for endpoint in &endpoints {
                endpoint.state.health.probed(true);
            }
        }
        Ok(Arc::new(Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            spec: spec.clone(),
            endpoints,
            tls,
            shared: previous.map_or_else(Shared::new, |previous| Arc::clone(&previous.shared)),
            tended: AtomicBool::new(false),
        }))
    }

    /// Another number whenever something about the upstream has changed.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The upstream's name in the file.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// What the upstream was built from.
    pub const fn spec(&self) -> &UpstreamSpec {
        &self.spec
    }

    /// The upstream at this moment.
    pub fn facts(&self) -> GroupFacts {
        GroupFacts {
            name: self.spec.name.clone(),
            retries: self.shared.retries.load(Ordering::Relaxed),
            retries_refused: self.shared.retries_refused.load(Ordering::Relaxed),
            overloaded: self.shared.overloaded.load(Ordering::Relaxed),
            endpoints: self.endpoints.iter().map(|it| it.facts()).collect(),
        }
    }

    /// Calls the upstream: an endpoint that is up, a connection at hand or a new one, another
    /// attempt where that is safe and allowed. Ends with the response's head at the latest at
    /// the deadline; its body is bounded between pieces. Dropping the future, or the response's
    /// body, ends the call at the endpoint too. To be called on the worker that owns `pools`.
    pub async fn call(&self, pools: &Rc<Pools>, outgoing: Outgoing) -> Result<Response, CallError> {
        let mut note = CallNote::default();
        self.prepare(pools, outgoing, &mut note).run().await
    }

    /// The same call, yet to be run, which tells in `note` where it went.
    pub fn prepare<'a>(
        &'a self,
        pools: &Rc<Pools>,
        outgoing: Outgoing,
        note: &'a mut CallNote,
    ) -> Call<'a> {
        Call::new(self, pools.local(self), outgoing, note)
    }

    /// A call was refused for what is at work already.
    pub(super) fn overloaded(&self) {
        self.shared.overloaded.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn admit(&self) -> Result<Option<Permit>, CallError> {
        let Some(bound) = self.spec.max_requests else {
            return Ok(None);
        };
        let permit = Permit::take(&self.shared.at_work, bound);
        if permit.is_none() {
            self.overloaded();
            return Err(CallError::Overloaded {
                retry_after: OVERLOADED,
            });
        }
        Ok(permit)
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Group({})", self.spec.name)
    }
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            at_work: Arc::new(AtomicUsize::new(0)),
            budget: Budget::new(),
            retries: AtomicU64::new(0),
            retries_refused: AtomicU64::new(0),
            overloaded: AtomicU64::new(0),
        })
    }
}

/// The TLS settings of `spec`: those of `previous` where the files still hold the same. None
/// where TLS is neither used nor configured.
fn settings(
    spec: &UpstreamSpec,
    previous: Option<&Arc<Group>>,
) -> Result<Option<Arc<TlsSettings>>, TlsError> {
    if spec.tls == UpstreamTls::default() && !spec.endpoints.iter().any(|it| it.tls) {
        return Ok(None);
    }
    let material = spec.tls.load()?;
    let before = previous.and_then(|previous| {
        let tls = previous.tls.as_ref()?;
        (previous.spec.protocol == spec.protocol && tls.material == material).then_some(tls)
    });
    Ok(Some(before.map_or_else(
        || Arc::new(TlsSettings::new(material, spec.protocol)),
        Arc::clone,
    )))
}
