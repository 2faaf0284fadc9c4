//! One call of a step: the request it sends, and who answers it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::cache::cached;
use super::outcome::{CacheTally, Failure, Outcome};
use super::reply::{Answer, NoReply, Reply, parse};
use super::run::FlowInput;
use super::spec::{BodySpec, CallSpec, FlowStep};
use super::{Call, Local};
use crate::decode::{Content, Format};
use crate::exchange::path::push_component;
use crate::exchange::{Body, CallError, Exchange, Headers, Known, Outgoing, boxed, trace};
use crate::expression::{Budget, EvalError, EvalErrorKind, Expression, Scope, Template, Value};

/// A target at most: an upstream would refuse what is longer.
const TARGET_BYTES_MAX: usize = 16 * 1024;

/// What the calls of a run have in common.
#[derive(Clone, Copy)]
pub(super) struct CallContext<'a> {
    pub(super) caller: &'a dyn Call,
    pub(super) exchange: &'a Exchange,
    /// What the client's body is.
    pub(super) content: Content<'a>,
    /// The client's body as it came.
    pub(super) client_body: &'a Bytes,
    pub(super) deadline: Instant,
    pub(super) part_bytes: u64,
}

/// Who answers a step: an upstream, or a flow inside this one, which reads the same request.
#[derive(Clone, Copy)]
pub(super) enum Callee<'a> {
    Upstream(&'a CallSpec),
    Flow(&'a FlowStep, &'a dyn Scope),
}

impl<'a> Callee<'a> {
    /// Fills the holes of the step.
    pub(super) fn request(
        self,
        context: CallContext<'_>,
        scope: &dyn Scope,
        budget: &Budget,
    ) -> Result<Request, EvalError> {
        match self {
            Self::Upstream(call) => Request::new(call, context, scope, budget),
            Self::Flow(flow, _) => Ok(Request {
                target: String::new(),
                headers: Headers::new(),
                body: sent(&flow.body, context, scope, budget)?,
                salt: Bytes::new(),
            }),
        }
    }

    /// Makes the call and reads the whole answer.
    pub(super) fn start(
        self,
        request: Request,
        context: CallContext<'a>,
    ) -> Local<'a, Result<Reply, NoReply>> {
        match self {
            Self::Upstream(call) => match &call.cache {
                None => request.make(call, context),
                Some(cache) => boxed::pin(|| cached(request, call, cache, context)),
            },
            Self::Flow(flow, scope) => {
                boxed::pin(|| run_inside(flow, scope, request.body, context))
            }
        }
    }

    pub(super) fn writes(self) -> bool {
        match self {
            Self::Upstream(call) => !call.method.is_safe(),
            Self::Flow(flow, _) => flow.plan.writes(),
        }
    }
}

/// What is particular to one call: its holes are filled.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Empty where a flow is called.
    pub(super) target: String,
    /// The step's own fields.
    pub(super) headers: Headers,
    pub(super) body: Bytes,
    /// What tells equal calls apart all the same where they are kept.
    pub(super) salt: Bytes,
}

impl Request {
    fn new(
        call: &CallSpec,
        context: CallContext<'_>,
        scope: &dyn Scope,
        budget: &Budget,
    ) -> Result<Self, EvalError> {
        let mut target = String::with_capacity(64);
        call.target.render(scope, budget, &mut target)?;
        push_query(&call.query, scope, budget, &mut target)?;
        if target.len() > TARGET_BYTES_MAX {
            return Err(EvalError::new(
                EvalErrorKind::Value,
                "the target is too long",
            ));
        }
        let mut headers = Headers::new();
        let body = sent(&call.body, context, scope, budget)?;
        match &call.body {
            BodySpec::Json(_) => Content::JSON.describe(&mut headers),
            BodySpec::Client if !body.is_empty() => context.content.describe(&mut headers),
            BodySpec::Client | BodySpec::Nothing => {}
        }
        for (name, template) in &call.headers {
            set_rendered(&mut headers, name, template, scope, budget)?;
        }
        let key = call.cache.as_ref().and_then(|cache| cache.key.as_ref());
        let salt = match key {
            Some(key) => key.evaluate(scope, budget)?.to_json(TARGET_BYTES_MAX)?,
            None => Bytes::new(),
        };
        Ok(Self {
            target,
            headers,
            body,
            salt,
        })
    }

    /// Makes the call, and once more where it is hedged.
    pub(super) fn make<'a>(
        self,
        call: &'a CallSpec,
        context: CallContext<'a>,
    ) -> Local<'a, Result<Reply, NoReply>> {
        match call.hedge {
            None => boxed::pin(|| self.send(call, context)),
            Some(delay) => boxed::pin(|| self.send_hedged(call, context, delay)),
        }
    }

    /// Equal for requests that ask for the same.
    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.target.len() + self.headers.bytes() + 64);
        let mut put = |text: &[u8]| {
            key.extend_from_slice(&text.len().to_be_bytes());
            key.extend_from_slice(text);
        };
        put(self.target.as_bytes());
        put(&self.body);
        for (_, name, value) in self.headers.iter() {
            put(name.as_bytes());
            put(value);
        }
        key
    }

    /// The request is handed on before the future begins, which would keep it until it ends.
    fn send<'a>(
        self,
        call: &'a CallSpec,
        context: CallContext<'a>,
    ) -> impl Future<Output = Result<Reply, NoReply>> + use<'a> {
        let outgoing = self.outgoing(call, context);
        let asked = context.caller.call(call.upstream, outgoing);
        let limit = context.part_bytes;
        async move {
            let mut answer = Answer::of(call, asked.await)?;
            if !answer.is_whole() {
                // Boxed: a small body comes with its head.
                Box::pin(answer.fetch(call, limit)).await?;
            }
            answer.reply(call, limit)
        }
    }

    /// Asks once more when no answer has come for `delay`.
    fn send_hedged<'a>(
        self,
        call: &'a CallSpec,
        context: CallContext<'a>,
        delay: Duration,
    ) -> impl Future<Output = Result<Reply, NoReply>> + use<'a> {
        let again = self.clone();
        let first = self.send(call, context);
        async move {
            let mut first = pin!(first);
            if let Ok(ended) = timeout(delay, first.as_mut()).await {
                return ended;
            }
            let mut second = pin!(again.send(call, context));
            let mut failed = [None, None];
            poll_fn(|waker| {
                let [first_failed, second_failed] = &mut failed;
                if let Poll::Ready(reply) = poll_once(first.as_mut(), first_failed, waker) {
                    return Poll::Ready(Ok(reply));
                }
                if let Poll::Ready(reply) = poll_once(second.as_mut(), second_failed, waker) {
                    return Poll::Ready(Ok(reply));
                }
                match (first_failed.take(), second_failed.take()) {
                    // The first answer says why.
                    (Some(failure), Some(_)) => Poll::Ready(Err(failure)),
                    (first, second) => {
                        failed = [first, second];
                        Poll::Pending
                    }
                }
            })
            .await
        }
    }

    fn outgoing(self, call: &CallSpec, context: CallContext<'_>) -> Outgoing {
        let mut headers = base_headers(context.exchange, call.decode);
        for name in &call.forward {
            forward(name, &context.exchange.headers, &mut headers);
        }
        // What the step says stands in the place of what every call carries.
        for (_, name, value) in self.headers.iter() {
            headers.set(name, value);
        }
        Outgoing {
            method: call.method.clone(),
            target: self.target,
            headers,
            body: Body::from(self.body),
            upgrade: None,
            timeout: call.timeout,
            retry: call.retry.clone(),
            deadline: context.deadline,
        }
    }
}

/// The body that a step sends.
fn sent(
    body: &BodySpec,
    context: CallContext<'_>,
    scope: &dyn Scope,
    budget: &Budget,
) -> Result<Bytes, EvalError> {
    match body {
        BodySpec::Nothing => Ok(Bytes::new()),
        BodySpec::Client => Ok(context.client_body.clone()),
        BodySpec::Json(body) => {
            let limit = usize::try_from(context.part_bytes).unwrap_or(usize::MAX);
            body.evaluate(scope, budget)?.to_json(limit)
        }
    }
}

/// Sets the field `name` to what the template gives.
pub(super) fn set_rendered(
    headers: &mut Headers,
    name: &str,
    template: &Template,
    scope: &dyn Scope,
    budget: &Budget,
) -> Result<(), EvalError> {
    let mut value = String::new();
    template.render(scope, budget, &mut value)?;
    headers.remove(name);
    headers
        .try_append(name.as_bytes(), value.as_bytes())
        .map(drop)
        .map_err(|error| EvalError::new(EvalErrorKind::Value, error.to_string()))
}

/// Appends the parameters. One whose value is an absent optional (`query.?page`) is left out; null
/// is an error, as in any hole.
fn push_query(
    query: &[(String, Arc<Expression>)],
    scope: &dyn Scope,
    budget: &Budget,
    target: &mut String,
) -> Result<(), EvalError> {
    let mut separator = if target.contains('?') { '&' } else { '?' };
    for (name, expression) in query {
        let value = match expression.evaluate(scope, budget)? {
            Value::Optional(None) => continue,
            Value::Optional(Some(value)) => value.as_ref().clone(),
            value => value,
        };
        target.push(separator);
        separator = '&';
        push_component(name, target);
        target.push('=');
        push_component(&value.to_text()?, target);
    }
    Ok(())
}

/// Passes the client's fields called `name` on, in the place of the gateway's own.
pub(super) fn forward(name: &str, from: &Headers, to: &mut Headers) {
    let known = Known::of(name.as_bytes());
    // What frames the message is the engine's; the trace is passed on as it goes on from here.
    let is_kept = known.is_hop_by_hop()
        || matches!(
            known,
            Known::ContentLength
                | Known::Host
                | Known::Traceparent
                | Known::Tracestate
                | Known::XRequestId
        );
    if is_kept || from.get(name).is_none() {
        return;
    }
    to.remove(name);
    for value in from.get_all(name) {
        to.append(name, value);
    }
}

/// What every call of a flow carries: where it stands in the trace, the request id, and that the
/// answer must be as it is read.
fn base_headers(exchange: &Exchange, decode: Format) -> Headers {
    let mut headers = Headers::with_capacity(8, 256);
    headers.add(Known::Accept, [decode.accept().as_bytes()]);
    // A part is spliced as it comes; nothing here decompresses.
    headers.append("accept-encoding", b"identity");
    let place = exchange.trace.header(trace::new_span());
    headers.add(Known::Traceparent, [&place]);
    for state in exchange.headers.all_known(Known::Tracestate) {
        headers.append("tracestate", state);
    }
    headers.add(Known::XRequestId, [exchange.id.as_bytes()]);
    headers
}

/// Polls a call that has not failed yet; keeps its failure.
fn poll_once(
    call: Pin<&mut impl Future<Output = Result<Reply, NoReply>>>,
    failed: &mut Option<NoReply>,
    waker: &mut Context<'_>,
) -> Poll<Reply> {
    if failed.is_some() {
        return Poll::Pending;
    }
    match call.poll(waker) {
        Poll::Ready(Ok(reply)) => Poll::Ready(reply),
        Poll::Ready(Err(no_reply)) => {
            *failed = Some(no_reply);
            Poll::Pending
        }
        Poll::Pending => Poll::Pending,
    }
}

/// Runs a flow as a step of another: its answer is a part.
async fn run_inside(
    flow: &FlowStep,
    scope: &dyn Scope,
    body: Bytes,
    context: CallContext<'_>,
) -> Result<Reply, NoReply> {
    let share = flow
        .timeout
        .and_then(|share| Instant::now().checked_add(share));
    let ran = flow.plan.run(FlowInput {
        scope,
        exchange: context.exchange,
        body: Body::from(body),
        content: match flow.body {
            BodySpec::Client => context.content,
            BodySpec::Json(_) | BodySpec::Nothing => Content::JSON,
        },
        body_bytes: u64::MAX,
        deadline: share.map_or(context.deadline, |share| share.min(context.deadline)),
        call: context.caller,
    });
    let answer = ran.await.map_err(|error| NoReply {
        status: None,
        may_have_acted: error
            .parts
            .iter()
            .any(|part| part.outcome == Outcome::Unknown),
        failure: Failure::Flow(error.fault),
        parts: error.parts,
        cache: CacheTally::default(),
    })?;
    let (status, headers) = (answer.status, answer.headers);
    let text = answer.body.collect(context.part_bytes).await;
    let body = text
        .map_err(CallError::ResponseBody)
        .and_then(|text| parse(text, &Headers::new(), Format::Json));
    match body {
        Ok(body) => Ok(Reply {
            status,
            headers,
            body,
            parts: answer.parts,
            cache: CacheTally::default(),
        }),
        Err(error) => Err(NoReply {
            status: Some(status),
            failure: error.into(),
            may_have_acted: flow.plan.writes(),
            parts: answer.parts,
            cache: CacheTally::default(),
        }),
    }
}
