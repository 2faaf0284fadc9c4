//! A KrakenD configuration, version 3, as a `routes.toml`.
//!
//! What KrakenD does and this does not imitate: an answer of 200 that lacks parts without saying
//! which, 500 for every failure, the slowest backend winning every name.

mod backend;
mod conditions;
mod endpoint;
mod go;
mod guards;
mod remarks;
mod response;
mod shape;
mod target;
#[cfg(test)]
mod tests;

use serde_json::Value;

use self::endpoint::Named;
use super::ImportError;
use super::fields::Fields;
use super::page::{Block, Page, excerpt, list, quoted, table};

/// What all endpoints have from the service.
#[derive(Debug, Default)]
struct Service<'a> {
    timeout: Option<&'a str>,
    hosts: Vec<String>,
    output: &'a str,
    response_headers: Vec<(String, String)>,
    allowed_hosts: Vec<String>,
    limits: Vec<String>,
}

/// Reads the whole file.
pub(super) fn import(root: &Value) -> Result<Page, ImportError> {
    let fields = Fields::new(Some(root));
    match fields.word("version").as_deref() {
        Some("3") => {}
        Some(other) => return Err(ImportError::Version(other.to_owned())),
        None => return Err(ImportError::NotKrakend),
    }
    if fields.value("endpoints").is_some_and(|it| !it.is_array()) {
        return Err(ImportError::Endpoints);
    }
    let mut page = Page::default();
    page.head = vec![
        "Made from a KrakenD configuration by `concertina import krakend`.".to_owned(),
        "Every backend is required: when one fails the answer is an error that says so, not a 200 that \
         lacks a part. Where an answer without it is useful, say `optional = true` in its step."
            .to_owned(),
        "Of a name that two parts have, the later one in this file wins, not the slower one.".to_owned(),
    ];
    if let Some(name) = fields.text("name") {
        page.head.push(format!("It was called {}.", excerpt(name)));
    }
    let mut named = Named::default();
    let mut listener = Block::new("the service");
    listen(&fields, &mut listener);
    let mut service = Service {
        timeout: fields.text("timeout"),
        hosts: fields.texts("host"),
        output: fields.text("output_encoding").unwrap_or("json"),
        ..Service::default()
    };
    let extra = fields
        .object("extra_config")
        .unwrap_or_else(|| Fields::new(None));
    extras(&extra, &mut service, &mut named, &mut listener);
    let health = health(&extra);
    for (index, value) in fields.objects("endpoints").into_iter().enumerate() {
        page.route(endpoint::block(value, index, &service, &mut named));
    }
    if let Some(health) = health {
        page.route(health);
    }
    if fields.value("cache_ttl").is_some() {
        listener.note(endpoint::CACHE_TTL);
    }
    fields.skip(&[
        "sequential_start",
        "debug_endpoint",
        "echo_endpoint",
        "use_h2c",
        "disable_rest",
    ]);
    for name in fields.rest() {
        listener.note(remarks::key(name));
    }
    page.setting(listener);
    named
        .upstreams
        .blocks()
        .into_iter()
        .for_each(|block| page.named(block));
    named
        .registry
        .blocks()
        .into_iter()
        .for_each(|block| page.named(block));
    Ok(page)
}

/// The listener, with the service's bounds.
fn listen(fields: &Fields<'_>, block: &mut Block) {
    let port = fields.word("port").unwrap_or_else(|| "8080".to_owned());
    let ip = fields.text("listen_ip").unwrap_or("0.0.0.0");
    block.line("[[listen]]");
    if let Some(tls) = fields.object("tls") {
        secure(&tls, ip, &port, block);
    } else {
        block.text("address", &format!("{ip}:{port}"));
    }
    let mut bounds: Vec<(&str, String)> = Vec::new();
    for (theirs, ours) in [
        ("read_header_timeout", "header_time"),
        ("read_timeout", "body_time"),
        ("idle_timeout", "idle"),
    ] {
        let given = fields
            .text(theirs)
            .filter(|text| go::milliseconds(text).is_some_and(|it| it > 0.0));
        if let Some(time) = given.and_then(go::duration) {
            bounds.push((ours, time));
        }
    }
    if let Some(bytes) = fields
        .number("max_header_bytes")
        .filter(|bytes| *bytes >= 1.0)
    {
        bounds.push(("header_bytes", format!("{bytes:.0}B")));
    }
    if !bounds.is_empty() {
        block.line(format!("limits = {}", table(&bounds)));
    }
    fields.skip(&[
        "write_timeout",
        "max_idle_connections",
        "max_idle_connections_per_host",
        "idle_connection_timeout",
        "response_header_timeout",
        "expect_continue_timeout",
        "dialer_timeout",
        "dialer_keep_alive",
        "dialer_fallback_delay",
        "disable_keep_alives",
        "disable_compression",
        "max_shutdown_wait_time",
    ]);
}

/// A listener that spoke TLS never becomes one that does not.
fn secure(tls: &Fields<'_>, ip: &str, port: &str, block: &mut Block) {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut pair = |fields: &Fields<'_>| {
        if let (Some(cert), Some(key)) = (fields.text("public_key"), fields.text("private_key")) {
            pairs.push((cert.to_owned(), key.to_owned()));
        }
    };
    pair(tls);
    tls.objects("keys")
        .into_iter()
        .for_each(|it| pair(&Fields::new(Some(it))));
    let certificates: Vec<String> = pairs
        .iter()
        .map(|(cert, key)| format!("{{ cert = {}, key = {} }}", quoted(cert), quoted(key)))
        .collect();
    block.note(format!(
        "TLS: a development certificate on this machine's own address stands in until the certificates are here: write `address = {}` and `tls = {{ certificates = [{}] }}`",
        quoted(&format!("{ip}:{port}")),
        certificates.join(", ")
    ));
    block.text("address", &format!("127.0.0.1:{port}"));
    let newest = tls.text("min_version") == Some("TLS13");
    let version = if newest {
        ", min_version = \"1.3\""
    } else {
        ""
    };
    block.line(format!("tls = {{ development = true{version} }}"));
    if tls.flag("enable_mtls") {
        block.note("mTLS: say `client_ca` in `tls`, with the authority that signs the certificates of clients");
    }
    tls.skip(&[
        "max_version",
        "disabled",
        "prefer_server_cipher_suites",
        "curve_preferences",
        "cipher_suites",
        "ca_certs",
    ]);
    for name in tls.rest() {
        block.note(format!("`tls` {} is not carried over", excerpt(name)));
    }
}

/// The service's `extra_config`.
fn extras<'a>(extra: &Fields<'a>, service: &mut Service<'a>, named: &mut Named, block: &mut Block) {
    if let Some(limits) = extra.object("qos/ratelimit/service") {
        service.limits = named.registry.router(&limits, "service", block);
    }
    if let Some(http) = extra.object("security/http") {
        security(&http, service, block);
    }
    if let Some(router) = extra.object("router") {
        let proxies = router.texts("trusted_proxies");
        if !proxies.is_empty() {
            block.line("");
            block.line("[server]");
            block.line(format!("trusted_proxies = {}", list(&proxies)));
        }
        router.skip(&[
            "disable_health",
            "health_path",
            "return_error_msg",
            "disable_access_log",
            "logger_skip_paths",
            "forwarded_by_client_ip",
            "remote_ip_headers",
            "hide_version_header",
            "use_h2c",
        ]);
        for name in router.rest() {
            block.note(format!("`router` {} is not carried over", excerpt(name)));
        }
    }
    for name in extra.rest() {
        block.note(remarks::service(name));
    }
}

/// `security/http`: header fields of every answer, and the hosts that are served.
fn security<'a>(http: &Fields<'a>, service: &mut Service<'a>, block: &mut Block) {
    let mut set =
        |name: &str, value: String| service.response_headers.push((name.to_owned(), value));
    if let Some(seconds) = http.number("sts_seconds").filter(|it| *it > 0.0) {
        let inner = if http.flag("sts_include_subdomains") {
            "; includeSubDomains"
        } else {
            ""
        };
        set(
            "strict-transport-security",
            format!("max-age={seconds:.0}{inner}"),
        );
    }
    if let Some(value) = http.text("custom_frame_options_value") {
        set("x-frame-options", super::page::literal(value));
    } else if http.flag("frame_deny") {
        set("x-frame-options", "DENY".to_owned());
    }
    if http.flag("content_type_nosniff") {
        set("x-content-type-options", "nosniff".to_owned());
    }
    for (theirs, ours) in [
        ("content_security_policy", "content-security-policy"),
        ("referrer_policy", "referrer-policy"),
    ] {
        if let Some(value) = http.text(theirs).filter(|value| !value.is_empty()) {
            set(ours, super::page::literal(value));
        }
    }
    service.allowed_hosts = http.texts("allowed_hosts");
    http.skip(&["browser_xss_filter", "is_development", "frame_deny"]);
    if http.flag("ssl_redirect") {
        block.note("`ssl_redirect`: add a listener with `redirect = \"https\"`");
    }
    for name in http.rest() {
        block.note(format!(
            "`security/http` {} is not carried over",
            excerpt(name)
        ));
    }
}

/// What load balancers ask for, on the same port.
fn health(extra: &Fields<'_>) -> Option<Block> {
    let router = extra.object("router").unwrap_or_else(|| Fields::new(None));
    if router.flag("disable_health") {
        return None;
    }
    let mut block = Block::new("what KrakenD answers to probes; `/ready` of `[admin]` knows more");
    block.line("[[routes]]");
    block.text("path", router.text("health_path").unwrap_or("/__health"));
    block.line("methods = [\"GET\"]");
    block.line("respond = { body = \"{'status': 'ok'}\" }");
    Some(block)
}
