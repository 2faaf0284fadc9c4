//! What is said of the parts of a KrakenD file that have no counterpart here.

use crate::cli::import::page::excerpt;

/// Whether a part of `extra_config` decides who may ask: without it an endpoint must be closed.
pub(super) fn guards(name: &str) -> bool {
    let open = [
        "auth/client-credentials",
        "auth/gcp",
        "auth/ntlm",
        "auth/signer",
        "security/bot-detector",
        "security/cors",
        "security/http",
    ];
    let prefixes = ["auth/", "security/", "governance/", "qos/quota"];
    prefixes.iter().any(|prefix| name.starts_with(prefix)) && !open.contains(&name)
}

/// Of a part of a backend's `extra_config`.
pub(super) fn backend(name: &str) -> String {
    let says = match name {
        "qos/circuit-breaker" => {
            "there is no circuit breaker; `health` of an upstream sets failing endpoints aside, and the route's `timeout` bounds every wait"
        }
        "qos/http-cache" => "answers of backends are not kept",
        "auth/client-credentials" | "auth/gcp" | "auth/ntlm" => {
            "the call is made without the token that it needs; set one in `headers`, or put a service in between that knows how"
        }
        name if name.starts_with("modifier/lua") => {
            "Lua is not run: say what it did in expressions, or in an upstream"
        }
        name if name.starts_with("modifier/") => {
            "not carried over: say it in `headers`, `query`, `body` or `response.body`"
        }
        name if name.starts_with("plugin/") => "there are no plugins",
        name if name.starts_with("telemetry/") => {
            "every step is measured and traced without being told"
        }
        _ => "not carried over",
    };
    format!("backend, {}: {says}", excerpt(name))
}

/// Of a part of an endpoint's `extra_config`.
pub(super) fn endpoint(name: &str) -> String {
    let says = match name {
        name if name.starts_with("modifier/lua") => {
            "Lua is not run: say what it did in expressions, or in an upstream; what it refused is not refused now"
        }
        name if name.starts_with("modifier/") => "not carried over: say it in `response.body`",
        name if name.starts_with("validation/") => {
            "bodies are not checked against it: let the upstream do it"
        }
        name if name.starts_with("plugin/") => "there are no plugins",
        name if name.starts_with("telemetry/") => {
            "every route is measured and traced without being told"
        }
        name if name.starts_with("documentation/") => {
            "not needed to serve; `concertina explain` tells about a route"
        }
        _ => "not carried over",
    };
    format!("{}: {says}", excerpt(name))
}

/// Of a part of the service's `extra_config`.
pub(super) fn service(name: &str) -> String {
    let says = match name {
        "security/cors" => {
            "not carried over: answer preflights by an upstream, and set the fields in `response_headers`"
        }
        "security/bot-detector" => {
            "not carried over: say it in `allow`, with `headers['user-agent'].matches(...)`"
        }
        "auth/revoker" => "tokens are not revoked one by one; keep their life short",
        "telemetry/logging" => {
            "the log goes to standard error, `run --log` says how much; `[server] access_log` is the other one"
        }
        "telemetry/metrics"
        | "telemetry/influx"
        | "telemetry/newrelic"
        | "telemetry/moesif"
        | "telemetry/gelf"
        | "telemetry/logstash"
        | "telemetry/opencensus"
        | "telemetry/opentelemetry" => {
            "metrics are at `/metrics` of `[admin]`, for Prometheus; trace context is passed on"
        }
        "qos/ratelimit/tiered" => {
            "not carried over: write a limit for each tier, and routes with `when`"
        }
        name if name.starts_with("modifier/lua") => "Lua is not run",
        name if name.starts_with("plugin/") || name.contains("plugin") => "there are no plugins",
        name if name.starts_with("documentation/") => "not needed to serve",
        _ => "not carried over",
    };
    format!("{}: {says}", excerpt(name))
}

/// Of a key of the service that was not read.
pub(super) fn key(name: &str) -> String {
    let says = match name {
        "async_agent" => "the gateway consumes no queues: put a service in between",
        "plugin" => "there are no plugins",
        "client_tls" => "write `tls` of the upstreams: `ca`, `cert`, `key`",
        "allow_insecure_connections" => {
            "certificates of upstreams are always verified: name their authority in `tls = { ca = ... }`"
        }
        "dns_cache_ttl" => "names are looked up as their records say",
        _ => "not carried over",
    };
    format!("{}: {says}", excerpt(name))
}
