//! For tests: flows from a few words, and upstreams that answer by script on a stopped clock.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::Future as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::time::{Instant, sleep};

use super::{
    BodySpec, Call, CallSpec, FlowAnswer, FlowError, FlowInput, FlowSpec, FlowStep, ForeachSpec,
    Local, Plan, ResponseSpec, StatusRange, StepKind, StepSpec, WaitSpec,
};
use crate::decode::Content;
use crate::exchange::{
    Body, CallError, CanonicalPath, Exchange, Headers, Outgoing, Peer, RequestId, Response,
    TraceContext, Version,
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
                accept: self
                    .accept
                    .iter()
                    .map(|text| StatusRange::parse(text).unwrap())
                    .collect(),
                timeout: self.timeout,
                retry: None,
                hedge: self.hedge,
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

/// What an upstream answers on one path.
#[derive(Clone)]
pub(super) struct Script {
    after: Duration,
    /// From the head to the last byte of the body; none: the body never ends.
    body_takes: Option<Duration>,
    answer: Result<(u16, Bytes), CallError>,
    headers: &'static [(&'static str, &'static str)],
    cut: bool,
}

/// Answers `body` with 200 after so many milliseconds.
pub(super) fn ok(after: u64, body: &'static str) -> Script {
    status(after, 200, body)
}

pub(super) fn status(after: u64, status: u16, body: &'static str) -> Script {
    Script {
        after: Duration::from_millis(after),
        body_takes: Some(Duration::ZERO),
        answer: Ok((status, Bytes::from_static(body.as_bytes()))),
        headers: &[],
        cut: false,
    }
}

pub(super) fn fails(after: u64, error: CallError) -> Script {
    Script {
        answer: Err(error),
        ..status(after, 200, "")
    }
}

impl Script {
    pub(super) fn headers(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }

    pub(super) fn body_never_ends(mut self) -> Self {
        self.body_takes = None;
        self
    }

    pub(super) fn cut(mut self) -> Self {
        self.cut = true;
        self
    }
}

/// Upstreams by script, and what they saw.
pub(super) struct Backends {
    scripts: HashMap<&'static str, Script>,
    /// What is answered from the second time on, where that differs.
    again: HashMap<&'static str, Script>,
    start: Instant,
    /// `12 GET /target`: milliseconds, and what began.
    pub(super) seen: Rc<RefCell<Vec<String>>>,
    /// `12 /target`: calls that were dropped.
    pub(super) cancelled: Rc<RefCell<Vec<String>>>,
    pub(super) requests: RefCell<Vec<(String, Headers, Bytes)>>,
    pub(super) at_once: Rc<RefCell<(usize, usize)>>,
}

impl Backends {
    pub(super) fn new(scripts: &[(&'static str, Script)]) -> Self {
        Self {
            scripts: scripts.iter().cloned().collect(),
            again: HashMap::new(),
            start: Instant::now(),
            seen: Rc::default(),
            cancelled: Rc::default(),
            requests: RefCell::default(),
            at_once: Rc::default(),
        }
    }

    pub(super) fn then(mut self, target: &'static str, script: Script) -> Self {
        self.again.insert(target, script);
        self
    }

    pub(super) fn elapsed(&self) -> u128 {
        self.start.elapsed().as_millis()
    }
}

/// Notes a call that is dropped before its answer.
struct Guard {
    start: Instant,
    target: String,
    cancelled: Rc<RefCell<Vec<String>>>,
    at_once: Rc<RefCell<(usize, usize)>>,
    is_done: bool,
}

impl Guard {
    fn done(&mut self) {
        self.is_done = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.at_once.borrow_mut().0 -= 1;
        if !self.is_done {
            let ms = self.start.elapsed().as_millis();
            self.cancelled
                .borrow_mut()
                .push(format!("{ms} {}", self.target));
        }
    }
}

impl Call for Backends {
    fn call(&self, _: usize, outgoing: Outgoing) -> Local<'_, Result<Response, CallError>> {
        let path = outgoing.target.split('?').next().unwrap();
        let line = format!(" {} {}", outgoing.method, outgoing.target);
        let is_first = !self.seen.borrow().iter().any(|seen| seen.ends_with(&line));
        let again = self.again.get(outgoing.target.as_str());
        let script = again
            .filter(|_| !is_first)
            .or_else(|| self.scripts.get(outgoing.target.as_str()))
            .or_else(|| self.scripts.get(path))
            .unwrap_or_else(|| panic!("no script for {}", outgoing.target))
            .clone();
        let mut guard = Guard {
            start: self.start,
            target: outgoing.target.clone(),
            cancelled: Rc::clone(&self.cancelled),
            at_once: Rc::clone(&self.at_once),
            is_done: false,
        };
        {
            let mut at_once = self.at_once.borrow_mut();
            at_once.0 += 1;
            at_once.1 = at_once.1.max(at_once.0);
        }
        let ms = self.elapsed();
        self.seen.borrow_mut().push(format!("{ms}{line}"));
        Box::pin(async move {
            let sent = outgoing.body.collect(u64::MAX).await.unwrap();
            self.requests
                .borrow_mut()
                .push((outgoing.target, outgoing.headers, sent));
            sleep(script.after).await;
            let (status, body) = script.answer.inspect_err(|_| guard.done())?;
            let mut headers = Headers::new();
            for (name, value) in script.headers {
                headers.append(name, value.as_bytes());
            }
            let body = match (script.body_takes, script.cut) {
                (Some(Duration::ZERO), false) => Body::from(body),
                (takes, is_cut) => Body::stream(Scripted {
                    pieces: VecDeque::from([body]),
                    wait: takes.map(|takes| Box::pin(sleep(takes))),
                    is_cut,
                }),
            };
            guard.done();
            let status = StatusCode::from_u16(status).unwrap();
            Ok(Response::new(status, headers, body))
        })
    }
}

/// A body that comes late, breaks off, or never ends.
struct Scripted {
    pieces: VecDeque<Bytes>,
    wait: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
    is_cut: bool,
}

impl http_body::Body for Scripted {
    type Data = Bytes;
    type Error = crate::exchange::BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        use std::task::Poll;
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(Ok(http_body::Frame::data(piece))));
        }
        if self.is_cut {
            return Poll::Ready(Some(Err(crate::exchange::BodyError::Incomplete)));
        }
        match &mut self.wait {
            Some(wait) => wait.as_mut().poll(context).map(|()| None),
            None => Poll::Pending,
        }
    }
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

    pub(super) async fn run(
        &self,
        plan: &Plan,
        backends: &Backends,
    ) -> Result<FlowAnswer, FlowError> {
        plan.run(FlowInput {
            scope: &self.scope,
            exchange: &self.exchange,
            body: Body::from(Bytes::from_static(self.body.as_bytes())),
            content: Content::of(&self.exchange.headers),
            body_bytes: self.body_bytes,
            deadline: Instant::now() + self.deadline,
            call: backends,
        })
        .await
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
