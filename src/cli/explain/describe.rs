//! One route as a request meets it: parameters, guards in their order, and what is done.

use std::time::Duration;

use serde::Serialize;

use super::plan::PlanText;
use crate::config::{ActionSpec, GatewaySpec, RouteSpec};
use crate::exchange::Exchange;
use crate::guard::{AuthenticatorKind, AuthenticatorSpec, KeySource, LimitKind, LimitSpec};
use crate::route::Params;
use crate::upstream::UpstreamSpec;

/// A route as a request meets it.
#[derive(Debug, Serialize)]
pub(super) struct Meeting {
    pub(super) name: String,
    pub(super) path: String,
    /// What else must be true of the request, and is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) when: Option<String>,
    pub(super) parameters: Vec<Parameter>,
    /// In the order in which they are checked.
    pub(super) guards: Vec<Guard>,
    pub(super) action: Action,
    /// Milliseconds until the client has an answer, at most: the route's `timeout`.
    pub(super) timeout_ms: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) value: String,
}

/// One demand of a route, and what the client gets when it is not met.
#[derive(Debug, Serialize)]
pub(super) struct Guard {
    pub(super) demands: String,
    pub(super) else_status: u16,
}

/// What a route does.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Proxy {
        upstream: String,
        endpoints: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        rewrite: Option<String>,
        calls_at_most: u32,
    },
    Flow(PlanText),
    Respond {
        status: u16,
    },
    Redirect {
        status: u16,
        location: String,
    },
}

impl Meeting {
    pub(super) fn of(
        spec: &GatewaySpec,
        route: &RouteSpec,
        params: &Params,
        exchange: &Exchange,
    ) -> Self {
        let parameters = route
            .pattern
            .parameters()
            .enumerate()
            .map(|(at, (name, _))| Parameter {
                name: name.to_owned(),
                value: params
                    .get(at, &exchange.path)
                    .unwrap_or_default()
                    .to_owned(),
            })
            .collect();
        Self {
            name: route.name.clone(),
            path: route.pattern.as_str().to_owned(),
            when: route.when.as_ref().map(|when| when.text().to_owned()),
            parameters,
            guards: guards(spec, route),
            action: action(spec, route),
            timeout_ms: milliseconds(route.timeout),
        }
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The demands of a route, in the order in which `guard` checks them.
fn guards(spec: &GatewaySpec, route: &RouteSpec) -> Vec<Guard> {
    let guard = &route.guard;
    let mut guards = Vec::new();
    let mut demand = |demands: String, else_status| {
        guards.push(Guard {
            demands,
            else_status,
        });
    };
    if !guard.ip_deny.is_empty() {
        demand(format!("address not in {}", list(&guard.ip_deny)), 403);
    }
    if !guard.ip_allow.is_empty() {
        demand(format!("address in {}", list(&guard.ip_allow)), 403);
    }
    let authenticators: Vec<String> = guard
        .authenticators
        .iter()
        .filter_map(|&index| spec.authenticators.get(index))
        .map(authenticator)
        .collect();
    if !authenticators.is_empty() {
        demand(format!("a caller by {}", authenticators.join(", or ")), 401);
    }
    if let Some(allow) = &guard.allow {
        demand(format!("allow: {}", allow.text()), 403);
    }
    for limit in guard
        .limits
        .iter()
        .filter_map(|&index| spec.limits.get(index))
    {
        demand(limit_text(limit), 429);
    }
    guards
}

fn list(items: &[impl ToString]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

fn authenticator(spec: &AuthenticatorSpec) -> String {
    match &spec.kind {
        AuthenticatorKind::Jwt(jwt) => {
            let algorithms: Vec<String> =
                jwt.algorithms.iter().map(|it| format!("{it:?}")).collect();
            let keys = match &jwt.keys {
                KeySource::Secret(_) => "a shared secret".to_owned(),
                KeySource::File(path) => path.display().to_string(),
                KeySource::Jwks(url) | KeySource::Discovery(url) => url.clone(),
            };
            format!(
                "`{}` (JWT, {}, keys from {keys})",
                spec.name,
                algorithms.join(" ")
            )
        }
        AuthenticatorKind::ApiKey(api_key) => {
            format!("`{}` (API key, {} known)", spec.name, api_key.keys.len())
        }
        AuthenticatorKind::Basic(basic) => {
            format!(
                "`{}` (name and password, {} known)",
                spec.name,
                basic.users.len()
            )
        }
    }
}

fn limit_text(limit: &LimitSpec) -> String {
    let by = limit
        .by
        .as_ref()
        .map_or("the client's address", |by| by.text());
    match limit.kind {
        LimitKind::Rate {
            count,
            period,
            burst,
        } => format!(
            "limit `{}`: {count} in {period:?}, {burst} at once, for each {by}",
            limit.name
        ),
        LimitKind::Concurrency(count) => {
            format!(
                "limit `{}`: {count} at work at once, for each {by}",
                limit.name
            )
        }
    }
}

fn action(spec: &GatewaySpec, route: &RouteSpec) -> Action {
    match &route.action {
        ActionSpec::Proxy { upstream, rewrite } => {
            let upstream = spec.upstreams.get(*upstream);
            Action::Proxy {
                upstream: upstream.map(|it| it.name.clone()).unwrap_or_default(),
                endpoints: upstream.map(endpoints).unwrap_or_default(),
                rewrite: rewrite.as_ref().map(|it| it.text().to_owned()),
                calls_at_most: upstream.map_or(1, attempts),
            }
        }
        ActionSpec::Flow(flow) => Action::Flow(PlanText::of(spec, flow)),
        ActionSpec::Respond { status, .. } => Action::Respond {
            status: status.as_u16(),
        },
        ActionSpec::Redirect { status, location } => Action::Redirect {
            status: status.as_u16(),
            location: location.text().to_owned(),
        },
    }
}

fn endpoints(upstream: &UpstreamSpec) -> Vec<String> {
    upstream
        .endpoints
        .iter()
        .map(|endpoint| {
            let scheme = if endpoint.tls { "https" } else { "http" };
            format!("{scheme}://{}", endpoint.authority())
        })
        .collect()
}

/// How often a call to the upstream is made at most.
pub(super) fn attempts(upstream: &UpstreamSpec) -> u32 {
    upstream.retry.as_ref().map_or(1, |retry| retry.attempts)
}
