//! Shows loaded routes and upstreams with their traffic.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use crate::config::{ActionSpec, GatewaySpec, RouteSpec};
use crate::guard::Authenticators;
use crate::observe::Metrics;
use crate::observe::metrics::{EndpointFigures, Figures, KeySetFigures, UNROUTED, UpstreamFigures};
use crate::upstream::{EndpointFacts, Group, GroupFacts, HealthState};

/// An array with one object for each route, in the order of the file, and one for the requests
/// that no route answers.
///
/// `name`, `hosts`, `path`, `methods`, `priority`, `timeout_ms`, `action` (`kind` and what it
/// names), `guard` (names of `auth` and `limits`, `allow` as whether there is one), and `traffic`:
/// a [`Summary`](crate::observe::metrics::Summary).
pub fn routes(spec: &GatewaySpec, metrics: &Metrics) -> Value {
    let mut routes: Vec<Value> = spec
        .routes
        .iter()
        .map(|route| {
            let mut value = route_value(spec, route);
            if let Some(object) = value.as_object_mut() {
                let traffic = json!(metrics.route(&route.name).summary());
                object.insert("traffic".to_owned(), traffic);
            }
            value
        })
        .collect();
    routes.push(json!({
        "name": UNROUTED,
        "traffic": metrics.unrouted().summary(),
    }));
    Value::Array(routes)
}

fn route_value(spec: &GatewaySpec, route: &RouteSpec) -> Value {
    let text = |items: &mut dyn Iterator<Item = String>| -> Vec<String> { items.collect() };
    json!({
        "name": route.name,
        "hosts": text(&mut route.hosts.iter().map(ToString::to_string)),
        "path": route.pattern.as_str(),
        "methods": text(&mut route.methods.iter().map(Method::to_string)),
        "priority": route.priority,
        "timeout_ms": route.timeout.as_millis(),
        "action": action(spec, &route.action),
        "guard": {
            "auth": names(&route.guard.authenticators, |index| {
                spec.authenticators.get(index).map(|authenticator| &*authenticator.name)
            }),
            "limits": names(&route.guard.limits, |index| {
                spec.limits.get(index).map(|limit| &*limit.name)
            }),
            "allow": route.guard.allow.is_some(),
        },
    })
}

fn action(spec: &GatewaySpec, action: &ActionSpec) -> Value {
    match action {
        ActionSpec::Proxy { upstream, .. } => json!({
            "kind": "proxy",
            "upstream": spec.upstreams.get(*upstream).map(|upstream| &upstream.name),
        }),
        ActionSpec::Flow(flow) => json!({
            "kind": "flow",
            "flow": flow.name,
            "steps": flow.steps.iter().map(|step| &step.name).collect::<Vec<_>>(),
        }),
        ActionSpec::Respond { status, .. } => json!({
            "kind": "respond",
            "status": status.as_u16(),
        }),
        ActionSpec::Redirect { status, .. } => json!({
            "kind": "redirect",
            "status": status.as_u16(),
        }),
    }
}

fn names<'a>(indices: &[usize], name: impl Fn(usize) -> Option<&'a str>) -> Vec<&'a str> {
    indices.iter().filter_map(|index| name(*index)).collect()
}

/// An array with one object for each upstream, in the order of the file.
///
/// `name`, `timeout_ms`, `traffic` (a [`Summary`](crate::observe::metrics::Summary) of calls,
/// retries and all), `retries`, `retries_refused`, `overloaded`, and `endpoints`, each with `url`,
/// `health` (`up`, `aside`, `down`), and of single attempts `requests`, `in_flight`, `failures` by
/// cause, `connections` open and `connects` ever made.
pub fn upstreams(groups: &[Arc<Group>], metrics: &Metrics) -> Value {
    groups
        .iter()
        .map(|group| {
            let facts = group.facts();
            let endpoints: Vec<Value> = facts.endpoints.iter().map(endpoint).collect();
            json!({
                "name": facts.name,
                "timeout_ms": group.spec().timeout.as_millis(),
                "traffic": metrics.upstream(&facts.name).summary(),
                "retries": facts.retries,
                "retries_refused": facts.retries_refused,
                "overloaded": facts.overloaded,
                "endpoints": endpoints,
            })
        })
        .collect()
}

fn endpoint(facts: &EndpointFacts) -> Value {
    let failures: BTreeMap<_, _> = failures(facts).into_iter().collect();
    json!({
        "url": facts.url,
        "health": facts.health.as_str(),
        "requests": facts.requests,
        "in_flight": facts.in_flight,
        "failures": failures,
        "connections": facts.open_connections,
        "connects": facts.connects,
    })
}

fn failures(facts: &EndpointFacts) -> Vec<(&'static str, u64)> {
    let happened = facts.failures.iter().filter(|(_, count)| *count > 0);
    happened
        .map(|(failure, count)| (failure.as_str(), *count))
        .collect()
}

/// What upstreams and authenticators count for themselves, for a page of metrics.
pub fn figures(groups: &[Arc<Group>], authenticators: &Authenticators) -> Figures {
    Figures {
        upstreams: groups
            .iter()
            .map(|it| upstream_figures(it.facts()))
            .collect(),
        key_sets: authenticators
            .key_states()
            .into_iter()
            .map(|state| KeySetFigures {
                authenticator: state.authenticator.to_string(),
                keys: state.keys.unwrap_or(0),
                fetches: state.fetches,
                failures: state.failures,
            })
            .collect(),
    }
}

fn upstream_figures(facts: GroupFacts) -> UpstreamFigures {
    UpstreamFigures {
        name: facts.name,
        retries: facts.retries,
        retries_refused: facts.retries_refused,
        endpoints: facts
            .endpoints
            .into_iter()
            .map(|facts| EndpointFigures {
                failures: failures(&facts),
                healthy: facts.health == HealthState::Up,
                requests: facts.requests,
                in_flight: facts.in_flight,
                connections: facts.open_connections,
                connects: facts.connects,
                url: facts.url,
            })
            .collect(),
    }
}
