//! One route as a request meets it: parameters, guards in their order, and what is done.

use std::time::Duration;

use serde::Serialize;

use super::plan::PlanText;
use super::settings;
use crate::config::{ActionSpec, GatewaySpec, RouteSpec};
use crate::exchange::Exchange;
use crate::expression::{Budget, EvalError};
use crate::guard::{AuthenticatorKind, AuthenticatorSpec, KeySource, LimitKind, LimitSpec};
use crate::orchestrate::OnErrorSpec;
use crate::pipeline;
use crate::route::Params;
use crate::route::scope::RequestScope;
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
    /// Clients that ask for it get each part when it is final.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) progressive: bool,
    /// What is answered in the place of errors, the first that holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) on_error: Vec<RuleText>,
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
    Proxy(ProxyText),
    Flow(PlanText),
    Respond {
        status: u16,
    },
    Redirect {
        status: u16,
        location: String,
        /// The location for this request.
        #[serde(flatten)]
        made: Made,
    },
}

/// A request that is passed on.
#[derive(Debug, Serialize)]
pub(super) struct ProxyText {
    pub(super) upstream: String,
    pub(super) endpoints: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rewrite: Option<String>,
    /// The path and query that are sent for this request.
    #[serde(flatten)]
    pub(super) made: Made,
    /// Header fields set and removed on the way: key and value.
    pub(super) settings: Vec<(String, String)>,
    /// Until the head of the response of one attempt is there, in milliseconds.
    pub(super) attempt_ms: u64,
    /// Until a connection is open, in milliseconds.
    pub(super) connect_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry: Option<String>,
    pub(super) calls_at_most: u32,
}

/// What a template gives for the request that is asked about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Made {
    Sends(String),
    /// Nothing, for this reason: what it reads may come with the caller.
    Unknown(String),
}

/// A rule for errors.
#[derive(Debug, Serialize)]
pub(super) struct RuleText {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) when: Option<String>,
    /// The error's own where none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
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
            action: action(spec, route, &RequestScope::new(exchange, params, None)),
            progressive: route.progressive,
            on_error: route.on_error.iter().map(rule).collect(),
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
    if let Some(most) = route.body_bytes {
        demand(format!("a body of {} at most", settings::bytes(most)), 413);
    }
    let accept = route.intake.accept();
    if !accept.is_empty() {
        demand(format!("a body, if any, of {accept}"), 415);
    }
    if route.intake.is_checked() {
        demand("a body that fits the schema".to_owned(), 422);
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

fn action(spec: &GatewaySpec, route: &RouteSpec, scope: &RequestScope<'_>) -> Action {
    match &route.action {
        ActionSpec::Proxy { upstream, rewrite } => {
            let upstream = spec.upstreams.get(*upstream);
            let made = pipeline::proxied_target(rewrite.as_ref(), scope.exchange, scope);
            let of = |time: fn(&UpstreamSpec) -> Duration| upstream.map_or(Duration::ZERO, time);
            Action::Proxy(ProxyText {
                upstream: upstream.map(|it| it.name.clone()).unwrap_or_default(),
                endpoints: upstream.map(endpoints).unwrap_or_default(),
                rewrite: rewrite.as_ref().map(|it| it.text().to_owned()),
                made: Made::of(made),
                settings: on_the_way(route),
                attempt_ms: milliseconds(of(|it| it.timeout)),
                connect_ms: milliseconds(of(|it| it.connect_timeout)),
                retry: upstream
                    .and_then(|it| it.retry.as_ref())
                    .map(settings::retries),
                calls_at_most: upstream.map_or(1, attempts),
            })
        }
        ActionSpec::Flow(flow) => Action::Flow(PlanText::with_inner(spec, flow)),
        ActionSpec::Respond { status, .. } => Action::Respond {
            status: status.as_u16(),
        },
        ActionSpec::Redirect { status, location } => {
            let mut made = String::new();
            let rendered = location.render(scope, &Budget::default(), &mut made);
            Action::Redirect {
                status: status.as_u16(),
                location: location.text().to_owned(),
                made: Made::of(rendered.map(|()| made)),
            }
        }
    }
}

impl Made {
    fn of(made: Result<String, EvalError>) -> Self {
        match made {
            Ok(text) => Self::Sends(text),
            Err(error) => Self::Unknown(error.to_string()),
        }
    }
}

/// Header fields that a proxy route sets and removes.
fn on_the_way(route: &RouteSpec) -> Vec<(String, String)> {
    let set = route.headers.iter();
    let mut settings: Vec<(String, String)> = set
        .map(|(name, template)| (format!("headers.{name}"), template.text().to_owned()))
        .collect();
    if !route.remove_headers.is_empty() {
        settings.push(("remove_headers".to_owned(), route.remove_headers.join(", ")));
    }
    settings
}

fn rule(rule: &OnErrorSpec) -> RuleText {
    RuleText {
        when: rule.when.as_ref().map(|it| it.text().to_owned()),
        status: rule.status.map(|it| it.as_u16()),
        body: rule.body.as_ref().map(|it| it.text().to_owned()),
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
