//! The path of one request, stage by stage. Read this file first.

use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use http::{Method, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::config::RespondBody;
use crate::decode::Content;
use crate::error::GatewayError;
use crate::exchange::{
    Body, BodyError, CallError, Caller, Exchange, Headers, Known, Outgoing, Peer, Request,
    Response, boxed,
};
use crate::expression::{Budget, EvalError, EvalErrorKind, Scope, Template};
use crate::guard::Admission;
use crate::guard::limit::append_fields;
use crate::intake::Refused;
use crate::orchestrate::on_error::instead;
use crate::orchestrate::run::FlowInput;
use crate::orchestrate::{Call, ErrorFacts, FlowAnswer, FlowError, Local, PartCache, Plan};
use crate::progressive::{Format, Parts, Progress};
use crate::record::{Notes, Record};
use crate::route::Params;
use crate::route::scope::RequestScope;
use crate::snapshot::{Action, Route, Snapshot};
use crate::upstream::CallNote;
use crate::upstream::headers::for_upstream;
use crate::worker::Worker;

/// The largest answer that an expression of `respond` may make.
const RESPOND_BYTES_MAX: usize = 1024 * 1024;

/// Answers one request. A refusal or failure is a response too, so the engine has nothing to
/// handle; and every answer ends in one record, even when the client has left.
pub fn answer<'a>(
    worker: &'a Rc<Worker>,
    request: Request,
    peer: &Arc<Peer>,
) -> impl Future<Output = Response> + use<'a> {
    let gateway = worker.snapshot();
    // Begun here, so that the request has no place in the future beside its record.
    let (mut record, body, canonical) = Record::begin(worker, Rc::clone(&gateway), request, peer);
    async move {
        let Record { exchange, notes } = &mut *record;
        let outcome = match canonical {
            Ok(()) => walk(worker, &gateway, exchange, body, notes).await,
            Err(error) => Err(GatewayError::Path(error)),
        };
        finish(outcome, record)
    }
}

/// Each stage needs what the stage before it returned, so the compiler keeps their order.
async fn walk(
    worker: &Rc<Worker>,
    gateway: &Snapshot,
    exchange: &mut Exchange,
    body: Body,
    notes: &mut Notes,
) -> Result<Response, GatewayError> {
    let (index, route, params) = gateway.find(exchange)?;
    notes.matched(index, route);
    let body_bytes = route.body_bytes(exchange);
    let body = within(body, body_bytes, notes)?;
    let admission = route.guard.admit(exchange, &params).await?;
    let turn = Turn {
        worker,
        gateway,
        route,
        params: &params,
        caller: admission.caller.as_ref(),
        body_bytes,
    };
    let mut response = match turn.act(exchange, body, notes).await {
        Ok(response) => response,
        Err(error) => turn.recover(exchange, error, notes)?,
    };
    turn.dress(exchange, &admission, &mut response)?;
    notes.hold(&mut response.headers);
    notes.admitted(admission);
    Ok(response)
}

/// The body within its limit; refused at once where its length is known to be above.
fn within(body: Body, limit: u64, notes: &mut Notes) -> Result<Body, GatewayError> {
    match body.exact_len() {
        Some(len) if len > limit => Err(GatewayError::TooLarge { limit }),
        _ => Ok(notes.receives(body, limit)),
    }
}

/// An admitted request's turn: what the stages before have made, for the one that acts.
struct Turn<'a> {
    worker: &'a Rc<Worker>,
    gateway: &'a Snapshot,
    route: &'a Route,
    params: &'a Params,
    caller: Option<&'a Caller>,
    /// Of the request's body, at most.
    body_bytes: u64,
}

impl Turn<'_> {
    /// The body, where it is one that the route takes; held in memory only to be checked.
    async fn take(&self, exchange: &Exchange, body: Body) -> Result<Body, GatewayError> {
        let intake = &self.route.intake;
        let content = Content::of(&exchange.headers);
        if !body.is_empty() {
            intake.admit(content)?;
        }
        let Some(reading) = intake.must_read(content, &exchange.method, body.is_empty())? else {
            return Ok(body);
        };
        let deadline = exchange.started + self.route.timeout;
        // Boxed: few routes check bodies.
        let bytes = Box::pin(timeout_at(deadline, body.collect(self.body_bytes)))
            .await
            .unwrap_or(Err(BodyError::Timeout))
            .map_err(Refused::Body)?;
        intake.check(&reading, bytes.clone())?;
        Ok(bytes.into())
    }

    /// Does what the route is for.
    async fn act(
        &self,
        exchange: &mut Exchange,
        body: Body,
        notes: &mut Notes,
    ) -> Result<Response, GatewayError> {
        let body = self.take(exchange, body).await?;
        match &self.route.action {
            Action::Proxy { upstream, rewrite } => {
                let outgoing = self.outgoing(rewrite.as_ref(), exchange, body)?;
                let note = notes.proxied(*upstream);
                Ok(self.calls().make(*upstream, outgoing, note).await?)
            }
            Action::Flow(plan) => match self.asked_for_parts(exchange) {
                None => self.compose(plan, exchange, body, notes).await,
                Some(format) => Box::pin(self.progress(plan, format, exchange, body, notes)).await,
            },
            Action::Respond {
                status,
                headers,
                body,
            } => Ok(respond(*status, headers, body, &self.scope(exchange))?),
            Action::Redirect { status, location } => {
                Ok(redirect(*status, location, &self.scope(exchange))?)
            }
        }
    }

    /// What the route answers in the place of an error, where it says so. The error stays one for
    /// logs and metrics.
    #[cold]
    fn recover(
        &self,
        exchange: &Exchange,
        error: GatewayError,
        notes: &mut Notes,
    ) -> Result<Response, GatewayError> {
        if self.route.on_error.is_empty() {
            return Err(error);
        }
        let mut problem = error.problem();
        let facts = ErrorFacts {
            cause: error.cause(),
            status: problem.status,
            step: problem.step.as_deref(),
            detail: &problem.detail,
        };
        let Some(made) = instead(&self.route.on_error, &self.scope(exchange), &facts) else {
            return Err(error);
        };
        let id = exchange.id.as_str();
        problem.status = made.status;
        let mut response = match made.body {
            None => problem.response(id),
            Some(body) => {
                let mut headers = Headers::new();
                for parts in problem.headers.get_all("concertina-parts") {
                    headers.append("concertina-parts", parts);
                }
                Response::new(made.status, headers, body)
            }
        };
        for (_, name, value) in made.headers.iter() {
            response.headers.set(name, value);
        }
        notes.failed(error, id);
        Ok(response)
    }

    fn scope<'s>(&'s self, exchange: &'s Exchange) -> RequestScope<'s> {
        RequestScope::new(exchange, self.params, self.caller)
    }

    fn calls(&self) -> Calls<'_> {
        Calls {
            worker: self.worker,
            gateway: self.gateway,
            is_prompt: true,
        }
    }

    /// Runs a flow for the request.
    async fn compose(
        &self,
        plan: &Plan,
        exchange: &Exchange,
        body: Body,
        notes: &mut Notes,
    ) -> Result<Response, GatewayError> {
        let answer = plan
            .run(FlowInput {
                scope: &self.scope(exchange),
                exchange,
                body,
                content: Content::of(&exchange.headers),
                body_bytes: self.body_bytes,
                deadline: exchange.started + self.route.timeout,
                call: &self.calls(),
            })
            .await?;
        notes.composed(answer.parts);
        notes.may_be_stored(answer.ceiling);
        Ok(Response::new(answer.status, answer.headers, answer.body))
    }

    /// How the client wants the parts of the answer as they become final, where the route lets it.
    fn asked_for_parts(&self, exchange: &Exchange) -> Option<Format> {
        let format = self
            .route
            .progressive
            .then(|| Format::asked(&exchange.headers));
        format.flatten()
    }

    /// Runs a flow and answers with its first part; the others follow in the body. What fails
    /// before the first part is an error like any other.
    async fn progress(
        &self,
        plan: &Arc<Plan>,
        format: Format,
        exchange: &Exchange,
        body: Body,
        notes: &mut Notes,
    ) -> Result<Response, GatewayError> {
        let mut headers = fields(&plan.spec().response.headers, &self.scope(exchange))?;
        let progress = Rc::new(Progress::new(format, exchange.id.as_str()));
        let run = Progression {
            worker: Rc::clone(self.worker),
            gateway: notes.snapshot(),
            plan: Arc::clone(plan),
            params: self.params.clone(),
            caller: self.caller.cloned(),
            exchange: exchange.clone(),
            body,
            body_bytes: self.body_bytes,
            deadline: exchange.started + self.route.timeout,
        };
        let mut parts = Parts::new(Box::pin(run.run(Rc::clone(&progress))), &progress);
        parts.first().await?;
        notes.progresses(progress);
        headers.set("content-type", format.content_type().as_bytes());
        headers.set("cache-control", b"no-store");
        Ok(Response::new(StatusCode::OK, headers, Body::stream(parts)))
    }

    /// The request that a proxy route sends on.
    fn outgoing(
        &self,
        rewrite: Option<&Template>,
        exchange: &mut Exchange,
        body: Body,
    ) -> Result<Outgoing, GatewayError> {
        let scope = self.scope(exchange);
        let target = proxied_target(rewrite, exchange, &scope)?;
        let set = fields(&self.route.headers, &scope)?;
        let given = if self.route.reads_late() {
            exchange.headers.clone()
        } else {
            std::mem::take(&mut exchange.headers)
        };
        let mut headers = for_upstream(given, exchange, exchange.peer_trusted);
        for name in &self.route.remove_headers {
            headers.remove(name);
        }
        for (_, name, value) in set.iter() {
            headers.set(name, value);
        }
        Ok(Outgoing {
            method: exchange.method.clone(),
            target,
            headers,
            body,
            upgrade: exchange.upgrade.take(),
            retry: None,
            timeout: None,
            deadline: exchange.started + self.route.timeout,
        })
    }

    /// What the route and its limits add to every response of theirs.
    fn dress(
        &self,
        exchange: &Exchange,
        admission: &Admission,
        response: &mut Response,
    ) -> Result<(), GatewayError> {
        append_fields(&admission.standings, &mut response.headers);
        if !self.route.response_headers.is_empty() {
            let set = fields(&self.route.response_headers, &self.scope(exchange))?;
            for (_, name, value) in set.iter() {
                response.headers.set(name, value);
            }
        }
        if self.route.progressive {
            // RFC 9110, 12.5.5: what is answered here depends on it.
            response.headers.append("vary", b"accept");
        }
        Ok(())
    }
}

/// A run that outlives the call which began it: everything that it reads is its own.
struct Progression {
    worker: Rc<Worker>,
    gateway: Rc<Arc<Snapshot>>,
    plan: Arc<Plan>,
    params: Params,
    caller: Option<Caller>,
    exchange: Exchange,
    body: Body,
    body_bytes: u64,
    deadline: Instant,
}

impl Progression {
    async fn run(self, progress: Rc<Progress>) -> Result<FlowAnswer, FlowError> {
        let input = FlowInput {
            scope: &RequestScope::new(&self.exchange, &self.params, self.caller.as_ref()),
            exchange: &self.exchange,
            body: self.body,
            content: Content::of(&self.exchange.headers),
            body_bytes: self.body_bytes,
            deadline: self.deadline,
            call: &Calls {
                worker: &self.worker,
                gateway: &self.gateway,
                // A client that takes nothing holds it back.
                is_prompt: false,
            },
        };
        self.plan.run_progressively(input, &*progress).await
    }
}

/// The fields that templates make.
fn fields(templates: &[(String, Template)], scope: &dyn Scope) -> Result<Headers, EvalError> {
    let mut headers = Headers::new();
    if templates.is_empty() {
        return Ok(headers);
    }
    let budget = Budget::default();
    let mut value = String::new();
    for (name, template) in templates {
        value.clear();
        template.render(scope, &budget, &mut value)?;
        headers
            .try_append(name.as_bytes(), value.as_bytes())
            .map_err(|error| EvalError::new(EvalErrorKind::Value, error.to_string()))?;
    }
    Ok(headers)
}

/// A fixed answer. Not inlined, as [`redirect`]: the path of a proxied request stays short.
#[inline(never)]
fn respond(
    status: StatusCode,
    headers: &[(String, Template)],
    body: &RespondBody,
    scope: &dyn Scope,
) -> Result<Response, EvalError> {
    let content = content(body, scope)?;
    Ok(Response::new(status, fields(headers, scope)?, content))
}

#[inline(never)]
fn redirect(
    status: StatusCode,
    location: &Template,
    scope: &dyn Scope,
) -> Result<Response, EvalError> {
    let mut target = String::new();
    location.render(scope, &Budget::default(), &mut target)?;
    let mut headers = Headers::new();
    headers
        .try_append(b"location", target.as_bytes())
        .map_err(|error| EvalError::new(EvalErrorKind::Value, error.to_string()))?;
    Ok(Response::new(status, headers, Body::Empty))
}

/// The body of a fixed answer.
fn content(body: &RespondBody, scope: &dyn Scope) -> Result<Body, EvalError> {
    Ok(match body {
        RespondBody::Nothing => Body::Empty,
        RespondBody::Text(text) => text.clone().into_bytes().into(),
        RespondBody::Json(expression) => expression
            .evaluate(scope, &Budget::default())?
            .to_json(RESPOND_BYTES_MAX)?
            .into(),
    })
}

/// The upstream stage as a flow sees it.
struct Calls<'a> {
    worker: &'a Rc<Worker>,
    gateway: &'a Snapshot,
    /// The run goes on whatever its client does.
    is_prompt: bool,
}

impl Calls<'_> {
    /// Prepared before the future begins, for the arguments of an async function are kept twice.
    fn make<'s>(
        &'s self,
        upstream: usize,
        outgoing: Outgoing,
        note: &'s mut CallNote,
    ) -> impl Future<Output = Result<Response, CallError>> + use<'s> {
        let group = self.gateway.upstreams.get(upstream);
        let mut call = group.map(|group| group.prepare(&self.worker.pools, outgoing, note));
        async move {
            let Some(call) = &mut call else {
                return Err(CallError::Connect("no such upstream".to_owned()));
            };
            let metrics = self.gateway.handles.upstreams.get(upstream);
            let ongoing = metrics.map(|metrics| metrics.at(self.worker.slot).call());
            let ended = call.run().await;
            match (ongoing, &ended) {
                (Some(ongoing), Ok(response)) => ongoing.answered(response.status.as_u16()),
                (Some(ongoing), Err(error)) => ongoing.failed(error.cause()),
                (None, _) => {}
            }
            ended
        }
    }
}

impl Call for Calls<'_> {
    fn parts(&self) -> Option<&PartCache> {
        Some(&self.worker.parts)
    }

    fn is_prompt(&self) -> bool {
        self.is_prompt
    }

    fn generation(&self, upstream: usize) -> u64 {
        let group = self.gateway.upstreams.get(upstream);
        group.map_or(0, |group| group.id())
    }

    fn call(&self, upstream: usize, outgoing: Outgoing) -> Local<'_, Result<Response, CallError>> {
        // A box of its own, given back once the call is prepared: the future keeps what it is
        // given until it ends.
        let outgoing = Box::new(outgoing);
        boxed::pin(|| async move {
            let mut note = CallNote::default();
            self.make(upstream, *outgoing, &mut note).await
        })
    }
}

/// Makes a response of the outcome, and hangs the record on its end.
fn finish(outcome: Result<Response, GatewayError>, mut record: Box<Record>) -> Response {
    let Record { exchange, notes } = &mut *record;
    let mut response = outcome.unwrap_or_else(|error| {
        let id = exchange.id.as_str();
        let response = error.problem().response(id);
        notes.failed(error, id);
        response
    });
    response
        .headers
        .put(Known::XRequestId, exchange.id.as_bytes());
    record.answered(response.status);
    response.finish = Some(record);
    response
}

/// Answers a head that the engine refused: nothing of it can be trusted but that it came.
pub fn refuse(
    worker: &Rc<Worker>,
    status: StatusCode,
    reason: &'static str,
    peer: &Arc<Peer>,
) -> Response {
    let (record, ..) = Record::begin(worker, worker.snapshot(), Request::unreadable(), peer);
    finish(Err(GatewayError::Wire(status, reason)), record)
}

/// Sends a client of a plain listener to the same address under `https`.
pub fn redirect_https(worker: &Rc<Worker>, request: Request, peer: &Arc<Peer>) -> Response {
    let gateway = worker.snapshot();
    let port = gateway.https_port;
    let (record, _, canonical) = Record::begin(worker, gateway, request, peer);
    let outcome = canonical
        .map_err(GatewayError::Path)
        .map(|()| https_redirect(&record.exchange, port));
    finish(outcome, record)
}

fn https_redirect(exchange: &Exchange, port: Option<u16>) -> Response {
    let mut location = format!("https://{}", exchange.host);
    // A client that named no port reached this listener by the scheme's own, through a mapping
    // perhaps, and will reach the other in the same way.
    let named = exchange
        .authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
        });
    if let Some(port) = port.filter(|&port| named && port != 443) {
        // Writing to a string does not fail.
        write!(location, ":{port}").unwrap_or_default();
    }
    location.push_str(exchange.path.as_str());
    if let Some(query) = &exchange.query {
        location.push('?');
        location.push_str(query);
    }
    // 308 keeps method and body; browsers follow 301 with GET as they always have.
    let status = if matches!(exchange.method, Method::GET | Method::HEAD) {
        StatusCode::MOVED_PERMANENTLY
    } else {
        StatusCode::PERMANENT_REDIRECT
    };
    let mut headers = Headers::new();
    headers
        .try_append(b"location", location.as_bytes())
        .map(drop)
        .unwrap_or_default();
    Response::new(status, headers, Body::Empty)
}

/// The path and query that a proxy route sends for a request, whose own query stands behind that of
/// `rewrite`.
pub fn proxied_target(
    rewrite: Option<&Template>,
    exchange: &Exchange,
    scope: &dyn Scope,
) -> Result<String, EvalError> {
    let mut target = match rewrite {
        None => exchange.path.as_str().to_owned(),
        Some(template) => {
            let mut text = String::new();
            template.render(scope, &Budget::default(), &mut text)?;
            text
        }
    };
    if let Some(query) = &exchange.query {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(query);
    }
    Ok(target)
}
