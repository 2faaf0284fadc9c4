//! Everything built from one checked file, swapped whole on reload.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::config::{ActionSpec, GatewaySpec, RespondBody, RouteSpec};
use crate::decode::Content;
use crate::exchange::{Exchange, TrustedPeers, http2};
use crate::expression::{Budget, Expression, Template};
use crate::guard::{Authenticators, Guard, Limits};
use crate::http1;
use crate::intake::{CHECKED_BYTES, IntakeSpec};
use crate::listen::ListenerSpec;
use crate::observe::metrics::{Handles, ListenerMetrics, PartMetrics, RouteMetrics};
use crate::observe::{Metrics, Quoted};
use crate::orchestrate::{FlowSpec, OnErrorSpec, Plan, StepKind};
use crate::route::scope::RequestScope;
use crate::route::{NoRoute, Params, PathPattern, Table};
use crate::tls::{self, Prepared, ServerTls};
use crate::upstream::Group;

/// One state of the gateway. A request meets one from start to end.
pub struct Snapshot {
    pub routes: Vec<Route>,
    table: Table,
    pub upstreams: Vec<Arc<Group>>,
    /// Their names as they are logged, in the same order.
    pub upstream_names: Vec<Quoted>,
    pub authenticators: Authenticators,
    pub limits: Limits,
    pub trusted: TrustedPeers,
    pub listeners: Vec<Arc<Listener>>,
    /// The port of the first listener with TLS: where plain requests are redirected to.
    pub https_port: Option<u16>,
    /// Counts requests that no route answers.
    pub unrouted: Arc<RouteMetrics>,
    /// What is counted about upstreams, authenticators and limits.
    pub handles: Handles,
    /// The names under which workers keep parts.
    pub caches: HashSet<Arc<str>>,
    /// Its table is empty: it has become the snapshot's.
    pub spec: GatewaySpec,
}

/// A route, ready to answer.
pub struct Route {
    pub name: String,
    /// The name as it is logged.
    pub logged: Quoted,
    pub pattern: PathPattern,
    pub when: Option<Arc<Expression>>,
    pub guard: Guard,
    pub action: Action,
    pub timeout: Duration,
    pub headers: Vec<(String, Template)>,
    pub remove_headers: Vec<String>,
    pub response_headers: Vec<(String, Template)>,
    pub on_error: Vec<OnErrorSpec>,
    pub body_bytes: Option<u64>,
    pub intake: IntakeSpec,
    /// Clients that ask for it get the parts of its flow as they become final.
    pub progressive: bool,
    pub metrics: Arc<RouteMetrics>,
    /// Of the steps of its flow and of the flows inside, in the order of their reports.
    pub parts: Vec<(Box<str>, Arc<PartMetrics>)>,
}

/// What a route does.
pub enum Action {
    Proxy {
        upstream: usize,
        rewrite: Option<Template>,
    },
    Flow(Arc<Plan>),
    Respond {
        status: StatusCode,
        headers: Vec<(String, Template)>,
        body: RespondBody,
    },
    Redirect {
        status: StatusCode,
        location: Template,
    },
}

/// A listener as its connections see it.
pub struct Listener {
    /// Stays the same while the address stays in the file.
    pub number: usize,
    pub spec: ListenerSpec,
    /// The address with the port that the system chose for port 0.
    pub bound: SocketAddr,
    pub tls: Option<Arc<ServerTls>>,
    pub metrics: Arc<ListenerMetrics>,
}

/// What a snapshot is built with, beside the file.
pub struct Surroundings<'a> {
    pub metrics: &'a Metrics,
    /// Where work in the background runs, such as fetching key sets.
    pub control: &'a tokio::runtime::Handle,
    /// Number and bound address of each listener, in the order of the file.
    pub bound: &'a [(usize, SocketAddr)],
}

/// Why a checked file could still not be put to work, such as a certificate that changed in
/// between.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(pub String);

impl Snapshot {
    /// Builds what `spec` says. Counters, pools, health and keys of what is as it was in `previous`
    /// live on.
    pub fn build(
        mut spec: GatewaySpec,
        previous: Option<&Self>,
        around: &Surroundings<'_>,
    ) -> Result<Self, BuildError> {
        let authenticators = Authenticators::build(
            &spec.authenticators,
            previous.map(|snapshot| &snapshot.authenticators),
            around.control,
        )
        .map_err(BuildError)?;
        let limits = Limits::build(&spec.limits, previous.map(|snapshot| &snapshot.limits));
        let upstreams = upstreams(&spec, previous)?;
        let table = std::mem::take(&mut spec.table);
        if table.route_count() != spec.routes.len() {
            return Err(BuildError("some routes would not be found".to_owned()));
        }
        let mut routes = Vec::with_capacity(spec.routes.len());
        for (at, route) in spec.routes.iter().enumerate() {
            let before = previous.and_then(|snapshot| snapshot.routes.get(at));
            let before = before.filter(|before| before.name == route.name);
            routes.push(Route::build(
                route,
                before,
                &authenticators,
                &limits,
                around.metrics,
            )?);
        }
        // Last: from here on nothing fails, and certificates are served as soon as they are read.
        let listeners = listeners(&spec, previous, around)?;
        Ok(Self {
            caches: caches(&routes),
            routes,
            table,
            upstream_names: upstreams.iter().map(|it| Quoted::new(it.name())).collect(),
            upstreams,
            authenticators,
            limits,
            trusted: TrustedPeers::new(spec.server.trusted_proxies.clone()),
            https_port: listeners
                .iter()
                .find(|listener| listener.tls.is_some())
                .map(|listener| listener.bound.port()),
            listeners,
            unrouted: around.metrics.unrouted(),
            handles: Handles::new(
                around.metrics,
                spec.upstreams.iter().map(|it| it.name.as_str()),
                spec.authenticators.iter().map(|it| it.name.as_str()),
                spec.limits.iter().map(|it| it.name.as_str()),
            ),
            spec,
        })
    }

    /// The route that answers, its place in the list, and its parameters.
    pub fn find(&self, exchange: &Exchange) -> Result<(usize, &Route, Params), NoRoute> {
        let accept = |index: usize, params: &Params| {
            self.routes
                .get(index)
                .is_some_and(|route| route.accepts(exchange, params))
        };
        let (index, params) =
            self.table
                .find(&exchange.host, &exchange.method, &exchange.path, accept)?;
        let route = self.routes.get(index).ok_or(NoRoute::NotFound)?;
        Ok((index, route, params))
    }

    pub fn listener(&self, number: usize) -> Option<Arc<Listener>> {
        self.listeners
            .iter()
            .find(|listener| listener.number == number)
            .map(Arc::clone)
    }
}

impl Route {
    /// Bytes of the request's body at most: what the route says of its type, or of any, or the
    /// listener; a body that is checked is not so large unless the route says so.
    pub fn body_bytes(&self, exchange: &Exchange) -> u64 {
        let stated = self
            .intake
            .body_bytes(Content::of(&exchange.headers))
            .or(self.body_bytes);
        match stated {
            Some(bytes) => bytes,
            None if self.intake.is_checked() => exchange.peer.body_bytes.min(CHECKED_BYTES),
            None => exchange.peer.body_bytes,
        }
    }

    /// Whether an expression of the route reads the request after it was sent on.
    pub const fn reads_late(&self) -> bool {
        !(self.response_headers.is_empty() && self.on_error.is_empty())
    }

    /// `before` is the route of this name in the snapshot before, if it was found at once.
    fn build(
        spec: &RouteSpec,
        before: Option<&Self>,
        authenticators: &Authenticators,
        limits: &Limits,
        metrics: &Metrics,
    ) -> Result<Self, BuildError> {
        let action = match &spec.action {
            ActionSpec::Proxy { upstream, rewrite } => Action::Proxy {
                upstream: *upstream,
                rewrite: rewrite.clone(),
            },
            ActionSpec::Flow(flow) => Plan::new((**flow).clone())
                .map(|plan| Action::Flow(Arc::new(plan)))
                .map_err(|_| {
                    BuildError(format!("the flow of route `{}` has mistakes", spec.name))
                })?,
            ActionSpec::Respond {
                status,
                headers,
                body,
            } => Action::Respond {
                status: *status,
                headers: headers.clone(),
                body: body.clone(),
            },
            ActionSpec::Redirect { status, location } => Action::Redirect {
                status: *status,
                location: location.clone(),
            },
        };
        let mut parts = Vec::new();
        if let Action::Flow(plan) = &action {
            parts_of(plan.spec(), "", metrics, &mut parts);
        }
        Ok(Self {
            name: spec.name.clone(),
            logged: before.map_or_else(|| Quoted::new(&spec.name), |it| it.logged.clone()),
            pattern: spec.pattern.clone(),
            when: spec.when.clone(),
            guard: Guard::build(&spec.guard, authenticators, limits).map_err(BuildError)?,
            action,
            timeout: spec.timeout,
            headers: spec.headers.clone(),
            remove_headers: spec.remove_headers.clone(),
            response_headers: spec.response_headers.clone(),
            on_error: spec.on_error.clone(),
            body_bytes: spec.body_bytes,
            intake: spec.intake.clone(),
            progressive: spec.progressive,
            metrics: before.map_or_else(|| metrics.route(&spec.name), |it| Arc::clone(&it.metrics)),
            parts,
        })
    }

    /// Whether the route's `when` lets the request in. One that cannot be evaluated does not.
    fn accepts(&self, exchange: &Exchange, params: &Params) -> bool {
        let Some(when) = &self.when else { return true };
        let scope = RequestScope::new(exchange, params, None);
        when.decide(&scope, &Budget::default()).unwrap_or(false)
    }
}

impl Listener {
    /// The bounds for the HTTP/1.1 engine.
    pub fn http1_limits(&self) -> Rc<http1::Limits> {
        let limits = &self.spec.limits;
        Rc::new(http1::Limits {
            head: http1::HeadLimits {
                header_bytes: limits.header_bytes,
                headers: limits.headers,
                ..http1::HeadLimits::default()
            },
            header_time: limits.header_time,
            body_time: limits.body_time,
            idle: limits.idle,
            ..http1::Limits::default()
        })
    }

    /// The bounds for the HTTP/2 engine.
    pub fn http2_limits(&self) -> Rc<http2::Limits> {
        let limits = &self.spec.limits;
        Rc::new(http2::Limits {
            header_bytes: limits.header_bytes,
            headers: limits.headers,
            streams: limits.streams,
            body_time: limits.body_time,
            idle: limits.idle,
        })
    }
}

/// The metrics of a flow's steps, each under the name that its reports have.
fn parts_of(
    flow: &FlowSpec,
    within: &str,
    metrics: &Metrics,
    parts: &mut Vec<(Box<str>, Arc<PartMetrics>)>,
) {
    for step in &flow.steps {
        let name = format!("{within}{}", step.name);
        let inside = format!("{name}.");
        parts.push((name.into(), metrics.part(&flow.name, &step.name)));
        // The items of a list of flows are reported as one step.
        if let StepKind::Flow(inner) = &step.kind
            && step.foreach.is_none()
        {
            parts_of(inner.plan.spec(), &inside, metrics, parts);
        }
    }
}

/// The names under which workers keep parts.
fn caches(routes: &[Route]) -> HashSet<Arc<str>> {
    let mut names = HashSet::new();
    for route in routes {
        if let Action::Flow(plan) = &route.action {
            plan.each_cache(&mut |cache| {
                names.insert(Arc::clone(&cache.name));
            });
        }
    }
    names
}

fn upstreams(
    spec: &GatewaySpec,
    previous: Option<&Snapshot>,
) -> Result<Vec<Arc<Group>>, BuildError> {
    spec.upstreams
        .iter()
        .map(|upstream| {
            let before = previous.and_then(|snapshot| {
                snapshot
                    .upstreams
                    .iter()
                    .find(|group| group.name() == upstream.name)
            });
            Group::build(upstream, before).map_err(|error| BuildError(error.to_string()))
        })
        .collect()
}

/// When each certificate ends goes to the metrics, and to the log where that is over.
fn tell_of_certificates<'a>(prepared: impl Iterator<Item = &'a Prepared>, metrics: &Metrics) {
    let served = prepared.flat_map(|prepared| &prepared.certificates);
    let mut ends = Vec::new();
    for certificate in served {
        if let Some(warning) = certificate.warning() {
            tracing::warn!("{warning}");
        }
        ends.push((
            certificate.path.display().to_string(),
            certificate.not_after,
        ));
    }
    metrics.certificates(ends);
}

fn listeners(
    spec: &GatewaySpec,
    previous: Option<&Snapshot>,
    around: &Surroundings<'_>,
) -> Result<Vec<Arc<Listener>>, BuildError> {
    // All are read before any is put to work, so that a mistake leaves everything as it was.
    let prepared = spec
        .listeners
        .iter()
        .map(|listener| match &listener.tls {
            None => Ok(None),
            Some(tls) => tls::development::provide(tls)
                .and_then(|()| Prepared::new(tls, listener.protocols))
                .map(Some),
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(BuildError)?;
    tell_of_certificates(prepared.iter().flatten(), around.metrics);
    let listeners = spec.listeners.iter().zip(around.bound).zip(prepared);
    Ok(listeners
        .map(|((listener, &(number, bound)), prepared)| {
            let before = previous.and_then(|snapshot| snapshot.listener(number));
            let tls = prepared.map(|prepared| {
                match before.as_ref().and_then(|before| before.tls.as_ref()) {
                    Some(tls) => {
                        tls.apply(prepared);
                        Arc::clone(tls)
                    }
                    None => Arc::new(ServerTls::new(prepared)),
                }
            });
            Arc::new(Listener {
                number,
                spec: listener.clone(),
                bound,
                tls,
                metrics: around.metrics.listener(&listener.address.to_string()),
            })
        })
        .collect())
}
