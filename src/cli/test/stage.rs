//! One case on its own stage: the gateway of the file, a clock that stands still, and upstreams
//! that answer by script. Nothing touches a network.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::runtime::{Builder, Handle, LocalOptions};
use tokio::time::Instant;

use super::caller::{self, Credential};
use super::script::{CallMade, Pipes, Script};
use crate::config::GatewaySpec;
use crate::config::cases::{CaseSpec, RequestSpec};
use crate::exchange::{
    Body, BodyError, CanonicalPath, Exchange, Head, Headers, Peer, Request, Response, TlsFacts,
    Version,
};
use crate::listen::ConnectionLimits;
use crate::observe::{AccessLog, AccessLogSpec, LogFormat, Metrics, Slot, Target};
use crate::pipeline;
use crate::snapshot::{Snapshot, Surroundings};
use crate::upstream::Pools;
use crate::worker::{Shared, Worker};

/// Bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// By the stopped clock; no file allows a longer wait.
const PATIENCE: Duration = Duration::from_hours(7 * 24);

/// How long, by the stopped clock, what goes on behind an answer is let go on.
const AFTERMATH: Duration = Duration::from_secs(10);

/// What cases share because it tells nothing of them.
pub(super) struct Bench {
    metrics: Arc<Metrics>,
    access_log: Arc<AccessLog>,
}

/// What came of a case.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) status: StatusCode,
    pub(super) headers: Headers,
    pub(super) body: Result<Bytes, BodyError>,
    /// The route that answered, if one did.
    pub(super) route: Option<String>,
    /// By the stopped clock, of the last request.
    pub(super) took: Duration,
    pub(super) calls: Vec<CallMade>,
}

impl Bench {
    pub(super) fn new() -> Result<Self, String> {
        crate::gateway::install_crypto();
        let metrics = Metrics::new(1);
        let off = AccessLogSpec {
            format: LogFormat::Off,
            file: None,
        };
        let access_log = AccessLog::start(Target::open(&off)?, &metrics)?;
        Ok(Self {
            metrics,
            access_log,
        })
    }

    /// Performs a case. The error says why it could not be.
    pub(super) fn perform(&self, spec: &GatewaySpec, case: &CaseSpec) -> Result<Came, String> {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build_local(LocalOptions::default())
            .map_err(|error| format!("cannot start the runtime: {error}"))?;
        runtime.block_on(async {
            let played = tokio::time::timeout(PATIENCE, self.play(spec.clone(), case));
            played
                .await
                .unwrap_or_else(|_| Err("no answer came, not in a week".to_owned()))
        })
    }

    async fn play(&self, mut spec: GatewaySpec, case: &CaseSpec) -> Result<Came, String> {
        let peer = Arc::new(peer(&spec, &case.request));
        let credentials = prepare(&mut spec, case)?;
        let redirects = case
            .request
            .listener
            .and_then(|at| spec.listeners.get(at))
            .is_some_and(|listener| listener.redirect_https);
        let https_port = spec
            .listeners
            .iter()
            .find(|listener| listener.tls.is_some())
            .map(|listener| listener.address.port());
        let snapshot = self.snapshot(spec, https_port)?;
        let Request { head, .. } = request(&case.request, None);
        let path = CanonicalPath::new(head.path.clone());
        let path = path.unwrap_or_else(|_| CanonicalPath::root());
        let exchange = Exchange::begin(head, path, None, &peer, &snapshot.trusted);
        let found = snapshot.find(&exchange).ok();
        let route = found.map(|(index, route, _)| (index, route.name.clone()));
        let credential = match &case.caller {
            None => None,
            Some(caller) => {
                let own = route
                    .as_ref()
                    .and_then(|(index, _)| snapshot.spec.routes.get(*index))
                    .and_then(|route| route.guard.authenticators.first().copied());
                let at = caller
                    .authenticator
                    .or(own)
                    .ok_or("the case states a caller, but no route that answers it asks for one")?;
                credentials.get(at)
            }
        };
        let script = Script::new(&case.answers);
        let pools = Pools::dialled_by(Rc::new(Pipes(Rc::clone(&script))));
        let shared = Arc::new(Shared::new(Arc::new(snapshot), 1));
        let slot = Slot::worker(0);
        let worker = Rc::new(Worker::new(shared, slot, self.access_log.worker(), pools));
        let mut last = None;
        for _ in 0..case.request.times {
            let request = request(&case.request, credential);
            let began = Instant::now();
            let response = if redirects {
                pipeline::redirect_https(&worker, request, &peer)
            } else {
                pipeline::answer(&worker, request, &peer).await
            };
            last = Some(received(response, &case.request.method, began).await);
        }
        tokio::time::sleep(AFTERMATH).await;
        let (status, headers, body, took) = last.ok_or("nothing was sent")?;
        Ok(Came {
            status,
            headers,
            body,
            route: route.map(|(_, name)| name).filter(|_| !redirects),
            took,
            calls: script.calls(),
        })
    }

    fn snapshot(&self, mut spec: GatewaySpec, https_port: Option<u16>) -> Result<Snapshot, String> {
        for listener in &mut spec.listeners {
            // Nobody shakes hands here, and no certificate is to be made.
            listener.tls = None;
        }
        let bound: Vec<(usize, SocketAddr)> = spec
            .listeners
            .iter()
            .map(|listener| listener.address)
            .enumerate()
            .collect();
        let around = Surroundings {
            metrics: &self.metrics,
            control: &Handle::current(),
            bound: &bound,
        };
        let mut snapshot =
            Snapshot::build(spec, None, &around).map_err(|error| error.to_string())?;
        snapshot.https_port = https_port;
        Ok(snapshot)
    }
}

/// Leaves out what a case does not ask for and what would need a network. Gives a credential for
/// each authenticator where the case states a caller.
fn prepare(spec: &mut GatewaySpec, case: &CaseSpec) -> Result<Vec<Credential>, String> {
    if !case.limits {
        for route in &mut spec.routes {
            route.guard.limits.clear();
        }
    }
    let mut credentials = Vec::new();
    for authenticator in &mut spec.authenticators {
        match &case.caller {
            None => caller::cut_off(authenticator),
            Some(who) => credentials.push(caller::admit(authenticator, who)?),
        }
    }
    Ok(credentials)
}

/// The client's connection.
fn peer(spec: &GatewaySpec, request: &RequestSpec) -> Peer {
    let listener = request.listener.and_then(|at| spec.listeners.get(at));
    let tls = listener
        .and_then(|listener| listener.tls.as_ref())
        .map(|_| TlsFacts {
            server_name: Some(request.host.as_str().into()),
            client_certificate: None,
        });
    let local = listener.map_or_else(
        || SocketAddr::from(([127, 0, 0, 1], 0)),
        |listener| listener.address,
    );
    let body_bytes = listener.map_or_else(
        || ConnectionLimits::default().body_bytes,
        |listener| listener.limits.body_bytes,
    );
    Peer::new(
        SocketAddr::new(request.from, 50_000),
        local,
        tls,
        body_bytes,
    )
}

fn request(spec: &RequestSpec, credential: Option<&Credential>) -> Request {
    let mut headers = spec.headers.clone();
    if !spec.body.is_empty() {
        headers.append("content-length", spec.body.len().to_string().as_bytes());
    }
    let mut query = spec.query.clone();
    if let Some(credential) = credential {
        credential.put(&mut headers, &mut query);
    }
    Request {
        head: Head {
            method: spec.method.clone(),
            path: spec.path.clone(),
            query,
            authority: spec.host.clone(),
            version: Version::Http11,
            headers,
        },
        body: Body::from(spec.body.clone()),
        upgrade: None,
    }
}

/// Takes a response as a client does.
async fn received(
    response: Response,
    method: &Method,
    began: Instant,
) -> (StatusCode, Headers, Result<Bytes, BodyError>, Duration) {
    let Response {
        status,
        headers,
        body,
        finish,
        ..
    } = response;
    let body = if *method == Method::HEAD {
        Ok(Bytes::new())
    } else {
        body.collect(ANSWER_BYTES_MAX).await
    };
    let took = began.elapsed();
    // A limit's place is given back when the exchange ends.
    drop(finish);
    (status, headers, body, took)
}
