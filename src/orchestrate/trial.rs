//! For tests: flows from a few words, and a request to run them for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::time::Instant;

pub(super) use super::backends::{Backends, Script, fails, ok, status};
use super::{
    BodySpec, CacheSpec, CallSpec, FlowAnswer, FlowError, FlowInput, FlowSpec, FlowStep,
    ForeachSpec, Local, Plan, ResponseSpec, StatusRange, StepKind, StepSpec, WaitSpec,
};
use crate::decode::{Content, Format};
use crate::exchange::{
    Body, CanonicalPath, Exchange, Headers, Peer, RequestId, TraceContext, Version,
};
use crate::expression::{
    EvalError, Expression, Key, Map, Names, PathName, Place, Scope, Template, Value, Variable,
};

/// A step in a few words; `flow` compiles it.
#[derive(Clone, Default)]
pub(super) struct Draft {
    pub name: &'static str,
    /// `GET /target`, or `value` and an expression.
    pub does: &'static str,
    pub when: Option<&'static str>,
    pub after: &'static [&'static str],
    pub optional: bool,
    pub default: Option<&'static str>,
    /// `client`, or an expression.
    pub body: Option<&'static str>,
    pub headers: &'static [(&'static str, &'static str)],
    pub query: &'static [(&'static str, &'static str)],
    pub forward: &'static [&'static str],
    pub accept: &'static [&'static str],
    pub timeout: Option<Duration>,
    pub hedge: Option<Duration>,
    pub cache: Option<CacheSpec>,
    pub foreach: Option<Each>,
    pub flow: Option<Arc<Plan>>,
}

/// A `foreach` in a few words.
#[derive(Clone)]
pub(super) struct Each {
    pub items: &'static str,
    pub concurrency: usize,
    pub max_items: usize,
    pub distinct: bool,
    pub chunk: Option<usize>,
}

pub(super) fn each(items: &'static str) -> Each {
    Each {
        items,
        concurrency: ForeachSpec::CONCURRENCY,
        max_items: ForeachSpec::MAX_ITEMS,
        distinct: true,
        chunk: None,
    }
}

/// Kept for so many milliseconds, and so many more where the upstream fails.
pub(super) fn cache(ttl: u64, stale_if_error: u64) -> CacheSpec {
    CacheSpec {
        name: "trial.step".into(),
        ttl: Duration::from_millis(ttl),
        stale_if_error: Duration::from_millis(stale_if_error),
        key: None,
        max_entries: 100,
        max_bytes: 1 << 20,
        ignore_cache_control: false,
        read_only: false,
    }
}

pub(super) fn step(name: &'static str, does: &'static str) -> Draft {
    Draft {
        name,
        does,
        ..Default::default()
    }
}

impl Draft {
    pub(super) fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    pub(super) fn or(mut self, default: &'static str) -> Self {
        self.optional = true;
        self.default = Some(default);
        self
    }

    pub(super) fn when(mut self, when: &'static str) -> Self {
        self.when = Some(when);
        self
    }

    pub(super) fn after(mut self, after: &'static [&'static str]) -> Self {
        self.after = after;
        self
    }

    pub(super) fn body(mut self, body: &'static str) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn cached(mut self, cache: CacheSpec) -> Self {
        self.cache = Some(cache);
        self
    }

    pub(super) fn foreach(mut self, foreach: Each) -> Self {
        self.foreach = Some(foreach);
        self
    }

    fn spec(&self, names: &Names<'_>) -> StepSpec {
        let foreach = self.foreach.as_ref().map(|each| ForeachSpec {
            items: expression(each.items, names),
            concurrency: each.concurrency,
            max_items: each.max_items,
            distinct: each.distinct,
            chunk: each.chunk,
        });
        let names = &Names {
            item: foreach.is_some(),
            ..*names
        };
        StepSpec {
            foreach,
            name: self.name.to_owned(),
            kind: self.kind(names),
            when: self.when.map(|text| expression(text, names)),
            after: self
                .after
                .iter()
                .map(|name| names.steps.iter().position(|step| step == name).unwrap())
                .collect(),
            optional: self.optional,
            default: self.default.map(|text| expression(text, names)),
        }
    }

    pub(super) fn inside(mut self, flow: Plan) -> Self {
        self.flow = Some(Arc::new(flow));
        self
    }

    fn body_spec(&self, names: &Names<'_>) -> BodySpec {
        match self.body {
            None => BodySpec::Nothing,
            Some("client") => BodySpec::Client,
            Some(text) => BodySpec::Json(expression(text, names)),
        }
    }

    fn kind(&self, names: &Names<'_>) -> StepKind {
        let (verb, rest) = self.does.split_once(' ').unwrap();
        match verb {
            "value" => StepKind::Value(expression(rest, names)),
            "wait" => StepKind::Wait(match rest.strip_suffix("ms") {
                Some(time) => WaitSpec::For(Duration::from_millis(time.parse().unwrap())),
                None => WaitSpec::Until(expression(rest, names)),
            }),
            "flow" => StepKind::Flow(FlowStep {
                name: rest.into(),
                plan: Arc::clone(self.flow.as_ref().unwrap()),
                body: self.body_spec(names),
                timeout: self.timeout,
            }),
            method => StepKind::Call(CallSpec {
                method: Method::from_bytes(method.as_bytes()).unwrap(),
                upstream: 0,
                upstream_name: "backend".into(),
                target: Template::compile(rest, Place::Target, names).unwrap(),
                headers: templates(self.headers, names),
                query: self
                    .query
                    .iter()
                    .map(|(name, text)| ((*name).to_owned(), expression(text, names)))
                    .collect(),
                body: self.body_spec(names),
                forward: self.forward.iter().map(|&name| name.to_owned()).collect(),
                decode: Format::Json,
                accept: self
                    .accept
                    .iter()
                    .map(|text| StatusRange::parse(text).unwrap())
                    .collect(),
                timeout: self.timeout,
                retry: None,
                hedge: self.hedge,
                cache: self.cache.clone().map(Arc::new),
            }),
        }
    }
}

fn expression(text: &str, names: &Names<'_>) -> Arc<Expression> {
    Arc::new(Expression::compile(text, names).unwrap_or_else(|error| panic!("{text}: {error:?}")))
}

pub(super) fn templates(
    headers: &[(&'static str, &'static str)],
    names: &Names<'_>,
) -> Vec<(String, Template)> {
    headers
        .iter()
        .map(|(name, text)| {
            let template = Template::compile(text, Place::Header, names).unwrap();
            ((*name).to_owned(), template)
        })
        .collect()
}

/// A flow of these steps; `shape` sees the names to compile the response with.
pub(super) fn flow_with(
    drafts: &[Draft],
    shape: impl FnOnce(&mut FlowSpec, &Names<'_>),
) -> FlowSpec {
    let steps: Vec<String> = drafts.iter().map(|draft| draft.name.to_owned()).collect();
    let path = [PathName {
        name: "user".to_owned(),
        tail: false,
    }];
    let names = Names {
        path: &path,
        steps: &steps,
        body: true,
        ..Names::default()
    };
    let mut spec = FlowSpec {
        name: "trial".to_owned(),
        steps: drafts.iter().map(|draft| draft.spec(&names)).collect(),
        response: ResponseSpec::default(),
        part_bytes: 1024 * 1024,
        partial_writes: false,
    };
    shape(&mut spec, &names);
    spec
}

pub(super) fn flow(drafts: &[Draft]) -> FlowSpec {
    flow_with(drafts, |_, _| {})
}

/// A flow whose response is an expression.
pub(super) fn flow_to(drafts: &[Draft], body: &str) -> FlowSpec {
    flow_with(drafts, |spec, names| {
        spec.response.body = Some(expression(body, names));
    })
}

pub(super) fn plan(drafts: &[Draft]) -> Plan {
    Plan::new(flow(drafts)).unwrap()
}

/// The request's names: a path parameter `user`, and query and headers as told.
#[derive(Default)]
pub(super) struct RequestNames {
    pub user: &'static str,
    pub query: HashMap<&'static str, &'static str>,
}

impl Scope for RequestNames {
    fn variable(&self, variable: &Variable) -> Result<Value, EvalError> {
        match variable {
            Variable::Path(0) => Ok(Value::String(self.user.into())),
            Variable::Query(name) => self
                .query
                .get(&**name)
                .map(|&value| Value::String(value.into()))
                .ok_or_else(|| EvalError::missing(name)),
            Variable::QueryAll => {
                let mut map = Map::new();
                for (&name, &value) in &self.query {
                    map.insert(Key::String(name.into()), Value::String(value.into()));
                }
                Ok(Value::Map(Arc::new(map)))
            }
            other => Err(EvalError::missing(&format!("{other:?}"))),
        }
    }
}

/// A request to run flows for.
pub(super) struct Trial {
    pub exchange: Exchange,
    pub scope: RequestNames,
    pub body: &'static str,
    pub body_bytes: u64,
    pub deadline: Duration,
}

impl Default for Trial {
    fn default() -> Self {
        Self {
            exchange: exchange(),
            scope: RequestNames {
                user: "ada",
                ..Default::default()
            },
            body: "",
            body_bytes: 1024,
            deadline: Duration::from_secs(1),
        }
    }
}

impl Trial {
    pub(super) fn sending(body: &'static str) -> Self {
        Self {
            body,
            ..Self::default()
        }
    }

    pub(super) fn run<'a>(
        &'a self,
        plan: &'a Plan,
        backends: &'a Backends,
    ) -> Local<'a, Result<FlowAnswer, FlowError>> {
        plan.run(FlowInput {
            scope: &self.scope,
            exchange: &self.exchange,
            body: Body::from(Bytes::from_static(self.body.as_bytes())),
            content: Content::of(&self.exchange.headers),
            body_bytes: self.body_bytes,
            deadline: Instant::now() + self.deadline,
            call: backends,
        })
    }

    /// Status, `Concertina-Parts` and body.
    pub(super) async fn answer(
        &self,
        plan: &Plan,
        backends: &Backends,
    ) -> (u16, Option<String>, String) {
        let answer = self.run(plan, backends).await.unwrap();
        let parts = answer
            .headers
            .get_str("concertina-parts")
            .map(str::to_owned);
        (answer.status.as_u16(), parts, text(answer.body).await)
    }

    /// Status, step to blame and `Concertina-Parts`.
    pub(super) async fn error(
        &self,
        plan: &Plan,
        backends: &Backends,
    ) -> (u16, Option<String>, Option<String>) {
        let error = self.run(plan, backends).await.unwrap_err();
        (
            error.fault.status().as_u16(),
            error.step.map(|step| step.to_string()),
            super::parts_header(&error.parts),
        )
    }
}

pub(super) async fn text(body: Body) -> String {
    String::from_utf8(body.collect(u64::MAX).await.unwrap().to_vec()).unwrap()
}

fn exchange() -> Exchange {
    let mut headers = Headers::new();
    headers.append("authorization", b"Bearer secret");
    headers.append("accept-language", b"de");
    headers.append("accept", b"application/hal+json");
    headers.append("content-type", b"application/json");
    headers.append("cookie", b"a=1");
    headers.append("connection", b"x-hop");
    headers.append("tracestate", b"v=1");
    let peer = Peer::new(
        "192.0.2.1:5000".parse().unwrap(),
        "192.0.2.2:443".parse().unwrap(),
        None,
        1024,
    );
    Exchange {
        id: RequestId::given(b"request-1"),
        method: Method::GET,
        path: CanonicalPath::new("/".to_owned()).unwrap(),
        query: None,
        host: "api.example".to_owned(),
        authority: "api.example".to_owned(),
        version: Version::Http11,
        headers,
        upgrade: None,
        peer_trusted: false,
        client: peer.address.ip(),
        peer: Arc::new(peer),
        scheme: "https",
        trace: TraceContext::of(None),
        started: Instant::now(),
        time: std::time::SystemTime::UNIX_EPOCH.into(),
    }
}
