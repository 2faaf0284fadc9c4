//! One endpoint as a route: a proxy where answers pass as they come, else a flow.

use serde_json::Value;

use super::backend::Backend;
use super::guards::{Guarded, Guards, Rate, Registry, slug};
use super::{Service, go, remarks, response, shape, target};
use crate::cli::import::cel;
use crate::cli::import::fields::Fields;
use crate::cli::import::page::{Block, excerpt, key, list, quoted, table};
use crate::cli::import::upstreams::Upstreams;

/// How an endpoint's time is divided where a second call is sent before the first has answered.
const HEDGE_SHARE: f64 = 4.0;

/// What is said of `cache_ttl`, of an endpoint and of the service.
pub(super) const CACHE_TTL: &str = "`cache_ttl`: no `Cache-Control` is made up; where an answer may \
    be kept, say `headers = { cache-control = \"...\" }` in its `response`";

/// Request headers that most backends mean when they are sent all.
const USUAL_HEADERS: [&str; 7] = [
    "accept",
    "accept-language",
    "authorization",
    "cookie",
    "if-none-match",
    "origin",
    "user-agent",
];

/// Header fields that the gateway writes itself.
const OWN_HEADERS: [&str; 14] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// What a backend has to know of its endpoint.
#[derive(Debug)]
pub(super) struct Surroundings<'s, 'a> {
    pub(super) method: &'a str,
    /// Those of the service.
    pub(super) hosts: &'s [String],
    pub(super) parameters: Vec<String>,
}

/// An endpoint, read.
#[derive(Debug)]
struct Endpoint<'a> {
    parameters: Vec<String>,
    backends: Vec<Backend<'a>>,
    guards: Guards,
    sequential: bool,
    fixed: Option<response::Fixed<'a>>,
    output: &'a str,
    /// Milliseconds.
    timeout: Option<f64>,
    concurrent: bool,
    queries: Vec<String>,
    headers: Vec<String>,
}

/// What all endpoints share and add to.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) upstreams: Upstreams,
    pub(super) registry: Registry,
}

/// The endpoint as a block of routes. What cannot be carried over is a comment that says why.
pub(super) fn block<'a>(
    value: &'a Value,
    index: usize,
    service: &Service<'a>,
    named: &mut Named,
) -> Block {
    let fields = Fields::new(Some(value));
    let method = fields.text("method").unwrap_or("GET").to_ascii_uppercase();
    let path = fields.text("endpoint").unwrap_or_default();
    let mut block = Block::new(format!("endpoints[{index}] {method} {path}"));
    if path.is_empty() {
        block.leave_out("it has no `endpoint`");
        return block;
    }
    let (pattern, parameters) = target::pattern(path);
    block.line("[[routes]]");
    block.text("path", &pattern);
    block.line(format!("methods = [{}]", quoted(&method)));
    if let Err(why) = route(&fields, path, parameters, service, named, &mut block) {
        block.leave_out(why);
    }
    for name in fields.rest() {
        block.note(format!("{} is not carried over", excerpt(name)));
    }
    block
}

fn route<'a>(
    fields: &Fields<'a>,
    path: &str,
    parameters: Vec<String>,
    service: &Service<'a>,
    named: &mut Named,
    block: &mut Block,
) -> Result<(), String> {
    let endpoint = read(fields, path, parameters, service, named, block)?;
    let guards = &endpoint.guards;
    block.texts("hosts", &service.allowed_hosts);
    block.texts("auth", &guards.auth);
    if !guards.allow.is_empty() {
        block.text("allow", &guards.allow.join(" && "));
    }
    block.texts("ip_allow", &guards.ip_allow);
    block.texts("ip_deny", &guards.ip_deny);
    let limits: Vec<String> = service
        .limits
        .iter()
        .chain(&guards.limits)
        .cloned()
        .collect();
    block.texts("limits", &limits);
    let timeout = fields.text("timeout").or(service.timeout).unwrap_or("2s");
    match go::duration(timeout) {
        Some(timeout) => block.text("timeout", &timeout),
        None => block.note(format!("timeout {} is not known", excerpt(timeout))),
    }
    if !service.response_headers.is_empty() {
        block.line(format!(
            "response_headers = {}",
            table(&service.response_headers)
        ));
    }
    if endpoint.passes_answers() {
        endpoint.proxy(block)
    } else {
        endpoint.flow(block)
    }
}

fn read<'a>(
    fields: &Fields<'a>,
    path: &str,
    parameters: Vec<String>,
    service: &Service<'a>,
    named: &mut Named,
    block: &mut Block,
) -> Result<Endpoint<'a>, String> {
    let extra = fields
        .object("extra_config")
        .unwrap_or_else(|| Fields::new(None));
    let headers: Vec<String> = fields
        .texts("input_headers")
        .iter()
        .map(|it| it.to_ascii_lowercase())
        .collect();
    let proxy = extra.object("proxy").unwrap_or_else(|| Fields::new(None));
    let signer = extra.value("auth/signer").is_some();
    let guarded = Guarded {
        slug: slug(path),
        parameters: &parameters,
        passes_token: headers
            .iter()
            .any(|name| name == "*" || name == "authorization"),
    };
    let mut guards = named.registry.read(&extra, &guarded, block);
    if signer {
        return Err("`auth/signer`: the gateway signs no tokens, and what would be signed must not go out as it is".to_owned());
    }
    let around = Surroundings {
        method: fields.text("method").unwrap_or("GET"),
        hosts: &service.hosts,
        parameters: parameters.clone(),
    };
    let backends = backends(fields, &around, named, block)?;
    guards
        .limits
        .extend(limits(&backends, &guarded.slug, named, block));
    remark(fields, &extra, block);
    let endpoint = Endpoint {
        sequential: proxy.flag("sequential"),
        fixed: response::Fixed::read(&proxy, block),
        output: fields.text("output_encoding").unwrap_or(service.output),
        timeout: fields
            .text("timeout")
            .or(service.timeout)
            .and_then(go::milliseconds),
        concurrent: fields
            .number("concurrent_calls")
            .is_some_and(|calls| calls > 1.0),
        queries: fields.texts("input_query_strings"),
        parameters,
        backends,
        guards,
        headers,
    };
    if proxy.value("flatmap_filter").is_some() {
        block.note("`flatmap_filter` is not carried over: say it in `response.body`, with `map`, `pick`, `omit` and `flatten`");
    }
    for name in proxy.rest() {
        block.note(format!("`proxy` {} is not carried over", excerpt(name)));
    }
    Ok(endpoint)
}

/// The limits that backends have, by name.
fn limits(
    backends: &[Backend<'_>],
    slug: &str,
    named: &mut Named,
    block: &mut Block,
) -> Vec<String> {
    let mut limits = Vec::new();
    for backend in backends {
        let rate = backend.rate.as_ref();
        let Some(rate) = rate.and_then(|it| Rate::read(it, "max_rate", "capacity")) else {
            continue;
        };
        let name = format!("{slug}-{}", backend.step.replace('_', "-"));
        let by = Some("'all'".to_owned());
        limits.extend(named.registry.limit(&name, rate, by, block));
        block.note("the rate limit of a backend bounds the whole route: more is 429");
    }
    limits
}

/// What is said of parts that have no counterpart.
fn remark(fields: &Fields<'_>, extra: &Fields<'_>, block: &mut Block) {
    for name in extra
        .rest()
        .into_iter()
        .filter(|name| !remarks::guards(name))
    {
        block.note(remarks::endpoint(name));
    }
    if fields.value("cache_ttl").is_some() {
        block.note(CACHE_TTL);
    }
}

/// The backends that are called, one at least.
fn backends<'a>(
    fields: &Fields<'a>,
    around: &Surroundings<'_, 'a>,
    named: &mut Named,
    block: &mut Block,
) -> Result<Vec<Backend<'a>>, String> {
    let mut backends: Vec<Backend<'a>> = Vec::new();
    for value in fields.objects("backend") {
        let mut backend = Backend::read(value, around, &mut named.upstreams, block)?;
        if backend.shadow {
            block
                .note("a shadow backend is not called: what it would have been sent is not copied");
            continue;
        }
        backend.name(&backends);
        backends.push(backend);
    }
    if backends.is_empty() {
        return Err("it has no backend".to_owned());
    }
    Ok(backends)
}

impl Endpoint<'_> {
    /// Whether the answer of the one backend goes out as it comes.
    fn passes_answers(&self) -> bool {
        let [only] = self.backends.as_slice() else {
            return false;
        };
        let is_plain =
            matches!(shape::part(only), shape::Part::Plain(_)) && !only.safe && only.when.is_none();
        let all_queries = self.queries.iter().any(|name| name == "*");
        only.raw || self.output == "no-op" || (is_plain && self.fixed.is_none() && all_queries)
    }

    fn proxy(&self, block: &mut Block) -> Result<(), String> {
        let Some(backend) = self.backends.first() else {
            return Ok(());
        };
        let is_shaped =
            !matches!(shape::part(backend), shape::Part::Plain(_)) || self.fixed.is_some();
        if is_shaped && self.output != "no-op" {
            return Err("its answer is not JSON, so it cannot be changed on its way".to_owned());
        }
        if is_shaped {
            block
                .note("with `no-op` the answer passes as it comes, whatever is said of its fields");
        }
        if let Some(when) = &backend.when {
            return Err(format!(
                "{} cannot be said of a proxy route: say it in `allow`",
                excerpt(when)
            ));
        }
        block.text("upstream", &backend.upstream);
        let claims = !self.guards.auth.is_empty();
        block.text(
            "rewrite",
            &target::template(backend, &self.parameters, &[], claims)?,
        );
        if !self.queries.iter().any(|name| name == "*") {
            block.note("passed on as it comes: the whole query goes to the backend, not only `input_query_strings`");
        }
        let headers = self.sent_headers(backend);
        if !headers.is_empty() {
            block.line(format!("headers = {}", table(&headers)));
        }
        if !self.headers.iter().any(|name| name == "*") {
            let credentials = ["authorization", "cookie"];
            let wanted = |name: &&str| !self.headers.iter().any(|it| it == name);
            let removed: Vec<String> = credentials
                .iter()
                .copied()
                .filter(wanted)
                .map(str::to_owned)
                .collect();
            block.texts("remove_headers", &removed);
            block.note("passed on as it comes: all request headers go to the backend, not only `input_headers`, but for credentials that are not among them");
        }
        if self.concurrent {
            block.note(
                "`concurrent_calls` is not carried over for an answer that passes as it comes",
            );
        }
        Ok(())
    }

    fn flow(&self, block: &mut Block) -> Result<(), String> {
        if self.backends.iter().any(|backend| backend.raw) {
            return Err(
                "the answer of one of its backends is not JSON, so it cannot be merged".to_owned(),
            );
        }
        if self
            .backends
            .iter()
            .filter(|backend| backend.is_write())
            .count()
            > 1
        {
            block.line("partial_writes = \"accept\"");
            block.note("several backends write: when one fails, the others stay done");
        }
        self.tell_of_all(block);
        for (at, backend) in self.backends.iter().enumerate() {
            self.step(at, backend, block)?;
        }
        response::write(&self.backends, self.fixed.as_ref(), self.output, block);
        Ok(())
    }

    /// What `*` means, which a flow cannot say.
    fn tell_of_all(&self, block: &mut Block) {
        if self.queries.iter().any(|name| name == "*") {
            block.note("`input_query_strings` `*`: name the parameters in `query` of the steps");
        }
        if self.headers.iter().any(|name| name == "*") {
            block.note("`input_headers` `*`: the usual ones are in `forward` of the steps; name others there");
        }
    }

    fn step(&self, at: usize, backend: &Backend<'_>, block: &mut Block) -> Result<(), String> {
        let earlier = if self.sequential {
            self.backends.get(..at)
        } else {
            None
        };
        let claims = !self.guards.auth.is_empty();
        let target = target::template(
            backend,
            &self.parameters,
            earlier.unwrap_or_default(),
            claims,
        )?;
        block.line("");
        block.line(format!("[routes.steps.{}]", backend.step));
        block.text(
            "call",
            &format!("{} {}:{target}", backend.method, backend.upstream),
        );
        if let Some(before) = earlier.and_then(<[Backend<'_>]>::last)
            && !target.contains(&format!("steps.{}.", before.step))
        {
            block.line(format!("after = [{}]", quoted(&before.step)));
        }
        if let Some(when) = &backend.when {
            block.text("when", when);
        }
        let queries: Vec<(String, String)> = self
            .queries
            .iter()
            .filter(|name| *name != "*")
            .map(|name| (name.clone(), cel::optional("query", name)))
            .collect();
        if !queries.is_empty() {
            block.line(format!("query = {}", table(&queries)));
        }
        let forwarded = self.forwarded();
        if !forwarded.is_empty() {
            block.line(format!("forward = {}", list(&forwarded)));
        }
        let headers = self.sent_headers(backend);
        if !headers.is_empty() {
            block.line(format!("headers = {}", table(&headers)));
        }
        if backend.sends_body() {
            block.line("body = \"body\"");
        }
        if let Some(timeout) = backend.timeout.and_then(go::duration) {
            block.text("timeout", &timeout);
        }
        self.hedge(backend, block);
        Ok(())
    }

    fn hedge(&self, backend: &Backend<'_>, block: &mut Block) {
        if !self.concurrent {
            return;
        }
        if matches!(backend.method.as_str(), "GET" | "HEAD") {
            let after = self.timeout.unwrap_or(2000.0) / HEDGE_SHARE;
            if let Some(after) = go::duration(&format!("{after:.0}ms")) {
                block.text("hedge", &after);
            }
            block.note("`concurrent_calls`: a second call is sent when the first is slow, not several at once");
        } else {
            block.note("`concurrent_calls`: a call that writes is never made twice");
        }
    }

    /// Header fields of the request that go to the backends.
    fn forwarded(&self) -> Vec<String> {
        let all = self.headers.iter().any(|name| name == "*");
        let usual = USUAL_HEADERS
            .iter()
            .filter(|_| all)
            .map(|&name| name.to_owned());
        let mut names: Vec<String> = usual.collect();
        for name in &self.headers {
            if name != "*" && !OWN_HEADERS.contains(&name.as_str()) && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Header fields that are set towards a backend.
    fn sent_headers(&self, backend: &Backend<'_>) -> Vec<(String, String)> {
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in backend.headers.iter().chain(&self.guards.headers) {
            if !headers.iter().any(|(known, _)| known == name) {
                headers.push((name.clone(), value.clone()));
            }
        }
        headers
    }
}

/// A comment line that shows where a table of a route begins.
pub(super) fn table_of_route(name: &str, block: &mut Block) {
    block.line("");
    block.line(format!("[routes.{}]", key(name)));
}
