//! Runs a plan for one request: every step the moment what it waits for is there.
//!
//! One task, no spawns: the calls at work are polled in place, and dropped, which cancels them,
//! when the run is decided. What may start and how the run stands is [`state`](super::state)'s
//! matter; this file does it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::call::{CallContext, Callee};
use super::foreach::{self, Each};
use super::outcome::{Failure, FlowAnswer, FlowError, FlowFault, Outcome};
use super::plan::{BodyUse, Plan};
use super::progress::{Outlet, Showing};
use super::reply::{NoReply, Reply};
use super::respond::Blame;
use super::scope::FlowScope;
use super::spec::{ForeachSpec, StepKind, StepSpec, WaitSpec};
use super::state::{RunState, Settled, Verdict};
use super::{Call, Local};
use crate::decode::{Content, Reading};
use crate::exchange::{Body, BodyError, CallError, Exchange, Headers, boxed};
use crate::expression::{Budget, EvalError, EvalErrorKind, Scope, Value};

/// What a flow is run for, and with what.
pub struct FlowInput<'a> {
    /// Names but `body`, `steps`, `item`, `index` and `error`, which the flow itself answers.
    pub scope: &'a dyn Scope,
    pub exchange: &'a Exchange,
    /// The client's body, not read yet.
    pub body: Body,
    /// What it is.
    pub content: Content<'a>,
    /// How many bytes of it are taken; more is 413.
    pub body_bytes: u64,
    /// When the answer must be ready. The run keeps to it: no timer is needed around it. What is
    /// optional and still at work then has failed, and the flow answers without it.
    pub deadline: Instant,
    pub call: &'a dyn Call,
}

/// The body of a client that sent none, or none that is read.
static NO_BODY: Bytes = Bytes::new();

impl Plan {
    /// Runs the flow once, in the caller's task. Dropping the future cancels every call at work.
    pub fn run<'a>(&'a self, input: FlowInput<'a>) -> Local<'a, Result<FlowAnswer, FlowError>> {
        self.run_with(input, None)
    }

    /// The same, giving the parts away as they become final; the answer at the end has status and
    /// reports, and neither fields nor body. Nothing is given away before there was something to
    /// wait for, so that what fails at once fails before the first part.
    pub fn run_progressively<'a>(
        &'a self,
        input: FlowInput<'a>,
        outlet: &'a dyn Outlet,
    ) -> Local<'a, Result<FlowAnswer, FlowError>> {
        self.run_with(input, Some(outlet))
    }

    /// A run stands in its future once, made before that begins, unless a body must come first.
    fn run_with<'a>(
        &'a self,
        mut input: FlowInput<'a>,
        outlet: Option<&'a dyn Outlet>,
    ) -> Local<'a, Result<FlowAnswer, FlowError>> {
        let started = Instant::now();
        let body = std::mem::take(&mut input.body);
        if self.body_use() == BodyUse::None || body.is_empty() {
            return boxed::pin(|| {
                let mut run = Run::new(self, &input, (&NO_BODY, Value::Null), outlet, started);
                async move {
                    let decided = run.decide().await;
                    run.conclude(decided)
                }
            });
        }
        Box::pin(async move {
            let body = self.client_body((input.content, body), input.body_bytes, input.deadline);
            let (bytes, parsed) = Box::pin(body).await.map_err(|fault| FlowError {
                fault,
                step: None,
                parts: Vec::new(),
            })?;
            let mut run = Run::new(self, &input, (&bytes, parsed), outlet, started);
            let decided = run.decide().await;
            run.conclude(decided)
        })
    }

    /// The client's body, as far as the plan wants it: before the first step, so that what is
    /// refused has had no effect.
    async fn client_body(
        &self,
        (content, body): (Content<'_>, Body),
        limit: u64,
        deadline: Instant,
    ) -> Result<(Bytes, Value), FlowFault> {
        let reading = match self.body_use() {
            // What cannot be read need not arrive first.
            BodyUse::Parsed => Some(Reading::of(content).map_err(FlowFault::Unreadable)?),
            BodyUse::Bytes | BodyUse::None => None,
        };
        let bytes = match timeout_at(deadline, body.collect(limit)).await {
            Ok(collected) => collected.map_err(FlowFault::Body)?,
            Err(_) => return Err(FlowFault::Body(BodyError::Timeout)),
        };
        let Some(reading) = reading.filter(|_| !bytes.is_empty()) else {
            return Ok((bytes, Value::Null));
        };
        let json = reading.read(bytes.clone()).map_err(FlowFault::Unreadable)?;
        Ok((bytes, Value::Json(json)))
    }
}

/// A run at work.
struct Run<'a> {
    plan: &'a Plan,
    scope: &'a dyn Scope,
    /// The client's body, parsed.
    body: Value,
    context: CallContext<'a>,
    /// One for all expressions of the run.
    budget: Budget,
    state: RunState,
    /// The deadline has passed.
    is_late: bool,
    started: Instant,
    /// Of an answer that is given away part by part.
    showing: Option<Showing<'a>>,
}

/// What a step does while the run waits for it.
enum Work<'a> {
    One(Local<'a, Result<Reply, NoReply>>),
    Each(Box<Each<'a>>),
    Wait(Pin<Box<Sleep>>),
}

/// Work that has ended.
enum Ended<'a> {
    One(Result<Reply, NoReply>),
    Each(Box<Each<'a>>),
    Wait { is_over: bool },
}

impl<'a> Work<'a> {
    /// Whether it has ended; `Each` keeps its own results.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Reply, NoReply>>> {
        match self {
            Self::One(call) => call.as_mut().poll(context).map(Some),
            Self::Each(each) => each.poll(context).map(|()| None),
            Self::Wait(sleep) => sleep.as_mut().poll(context).map(|()| None),
        }
    }

    /// What it came to: `one`, or as far as the items got.
    fn end(self, one: Option<Result<Reply, NoReply>>, writes: bool) -> Ended<'a> {
        match self {
            Self::One(_) => Ended::One(one.unwrap_or_else(|| Err(NoReply::late(writes)))),
            Self::Each(each) => Ended::Each(each),
            Self::Wait(sleep) => Ended::Wait {
                is_over: sleep.is_elapsed(),
            },
        }
    }
}

/// The steps at work. Each wake-up polls all of them: they are few, a call that is not ready costs
/// no system call, and parts that arrive together are taken together.
struct AtWork<'a>(Vec<(usize, Work<'a>)>);

/// A step whose work has ended, and with what.
type Done<'a> = (usize, Work<'a>, Option<Result<Reply, NoReply>>);

impl<'a> AtWork<'a> {
    /// Takes out what has ended; pending when nothing has and the deadline has not passed.
    fn poll(
        &mut self,
        mut deadline: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) -> Poll<Vec<Done<'a>>> {
        let mut done = Vec::new();
        let mut place = 0;
        while let Some((_, work)) = self.0.get_mut(place) {
            match work.poll(context) {
                Poll::Ready(one) => {
                    let (step, work) = self.0.remove(place);
                    done.push((step, work, one));
                }
                Poll::Pending => place += 1,
            }
        }
        if done.is_empty() && deadline.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(done)
    }
}

impl<'a> Run<'a> {
    fn new(
        plan: &'a Plan,
        input: &FlowInput<'a>,
        (client_body, body): (&'a Bytes, Value),
        outlet: Option<&'a dyn Outlet>,
        started: Instant,
    ) -> Self {
        Self {
            plan,
            scope: input.scope,
            body,
            context: CallContext {
                caller: input.call,
                exchange: input.exchange,
                content: input.content,
                client_body,
                deadline: input.deadline,
                part_bytes: plan.spec().part_bytes,
            },
            budget: Budget::default(),
            state: RunState::new(plan),
            is_late: false,
            started,
            showing: outlet.map(|outlet| Showing::new(plan, outlet)),
        }
    }

    /// The response of the run, or why it has none.
    fn conclude(&self, decided: Result<Verdict, Blame>) -> Result<FlowAnswer, FlowError> {
        let plan = self.plan;
        let parts = plan.reports(&self.state, self.started);
        match decided {
            Ok(Verdict::Answer) if self.showing.is_some() => Ok(FlowAnswer {
                status: plan.spec().response.status.unwrap_or(StatusCode::OK),
                headers: Headers::new(),
                body: Body::Empty,
                ceiling: Plan::ceiling(&self.state, &parts),
                parts,
            }),
            Ok(Verdict::Answer) => {
                plan.answer(&self.state, &self.flow_scope(), &self.budget, parts)
            }
            Ok(Verdict::Fails(step)) => Err(FlowError {
                fault: self.fault(step),
                step: plan.nodes().get(step).map(|node| Arc::clone(&node.name)),
                parts,
            }),
            Err(Blame { fault, step }) => Err(FlowError { fault, step, parts }),
        }
    }

    /// Goes on until the run is decided, or a part of it cannot be made.
    async fn decide(&mut self) -> Result<Verdict, Blame> {
        let mut at_work = AtWork(Vec::with_capacity(self.plan.len()));
        let mut deadline = pin!(sleep_until(self.context.deadline));
        let mut has_waited = false;
        loop {
            let verdict = self.start_ready(&mut at_work);
            let is_answer = verdict == Some(Verdict::Answer);
            if is_answer || (has_waited && verdict.is_none()) {
                self.show()?;
            }
            if let Some(verdict) = verdict {
                return Ok(verdict);
            }
            if at_work.0.is_empty() {
                // A plan has no cycle, so this is not met; but no wait is without end.
                return Ok(Verdict::Answer);
            }
            if let Some(showing) = &self.showing {
                showing.stands(self.plan.reports(&self.state, self.started));
            }
            let mut done = poll_fn(|context| at_work.poll(deadline.as_mut(), context)).await;
            if done.is_empty() {
                self.is_late = true;
                let given_up = at_work.0.drain(..);
                done = given_up.map(|(step, work)| (step, work, None)).collect();
            }
            let now = Instant::now();
            for (step, work, one) in done {
                self.finish(step, work, one, now);
            }
            has_waited = true;
        }
    }

    /// Gives away the parts that have become final, where they are wanted one by one.
    fn show(&mut self) -> Result<(), Blame> {
        let Some(showing) = &mut self.showing else {
            return Ok(());
        };
        let scope = FlowScope {
            request: self.scope,
            body: &self.body,
            state: &self.state,
            item: None,
        };
        showing.show(self.plan, &self.state, &scope, &self.budget)
    }

    /// Starts what may start, and what that settles at once lets start.
    fn start_ready(&mut self, at_work: &mut AtWork<'a>) -> Option<Verdict> {
        loop {
            if let Some(verdict) = self.plan.verdict(&self.state) {
                return Some(verdict);
            }
            let ready = self.plan.ready(&self.state);
            if ready.is_empty() {
                return None;
            }
            let now = Instant::now();
            for place in ready.iter() {
                let Some(step) = self.plan.spec().steps.get(place) else {
                    continue;
                };
                self.state.start(place, now);
                match self.begin(step) {
                    Ok(Begun::Working(work)) => at_work.0.push((place, work)),
                    Ok(Begun::Settled(settled)) => self.settle(place, *settled, now),
                    Err(failure) => self.settle(place, Settled::failed(failure), now),
                }
            }
        }
    }

    fn begin(&self, step: &'a StepSpec) -> Result<Begun<'a>, Failure> {
        let scope = self.flow_scope();
        if let Some(when) = &step.when
            && !when.decide(&scope, &self.budget)?
        {
            return Ok(Begun::settled(Settled::null(Outcome::Skipped, None)));
        }
        let callee = match &step.kind {
            StepKind::Value(value) => {
                let value = value.evaluate(&scope, &self.budget)?;
                return Ok(Begun::settled(Settled::ok(value)));
            }
            StepKind::Wait(_) | StepKind::Call(_) | StepKind::Flow(_) if self.is_late => {
                return Err(CallError::Deadline.into());
            }
            StepKind::Wait(wait) => {
                let end = self.end_of(wait)?;
                return Ok(Begun::Working(Work::Wait(Box::pin(sleep_until(end)))));
            }
            StepKind::Call(call) => Callee::Upstream(call),
            StepKind::Flow(flow) => Callee::Flow(flow, self.scope),
        };
        if let Some(foreach) = &step.foreach {
            let each = self.each(step, callee, foreach)?;
            return Ok(Begun::Working(Work::Each(Box::new(each))));
        }
        let request = callee.request(self.context, &scope, &self.budget)?;
        let call = callee.start(request, self.context);
        Ok(Begun::Working(Work::One(call)))
    }

    fn each(
        &self,
        step: &StepSpec,
        callee: Callee<'a>,
        foreach: &ForeachSpec,
    ) -> Result<Each<'a>, Failure> {
        let list = foreach.items.evaluate(&self.flow_scope(), &self.budget)?;
        let items = foreach::items(foreach, &list)?;
        let request = |item: &Value, place| {
            callee.request(self.context, &self.item_scope(item, place), &self.budget)
        };
        Ok(Each::new(
            callee,
            foreach,
            self.context,
            items,
            !step.optional,
            request,
        ))
    }

    /// When a wait ends; what lies beyond the clock lies beyond the deadline.
    fn end_of(&self, wait: &WaitSpec) -> Result<Instant, EvalError> {
        let time = match wait {
            WaitSpec::For(time) => *time,
            WaitSpec::Until(until) => {
                let time = match until.evaluate(&self.flow_scope(), &self.budget)? {
                    Value::Duration(time) => time,
                    Value::Timestamp(end) => end.duration_since(jiff::Timestamp::now()),
                    _ => {
                        let message = "`wait` takes a duration or a timestamp";
                        return Err(EvalError::new(EvalErrorKind::Kind, message));
                    }
                };
                // What is past is over.
                Duration::try_from(time).unwrap_or_default()
            }
        };
        let now = Instant::now();
        Ok(now.checked_add(time).unwrap_or(self.context.deadline))
    }

    /// Settles a step whose work has ended.
    fn finish(
        &mut self,
        place: usize,
        work: Work<'a>,
        one: Option<Result<Reply, NoReply>>,
        now: Instant,
    ) {
        let Some(step) = self.plan.spec().steps.get(place) else {
            return;
        };
        match work.end(one, step.kind.writes()) {
            Ended::One(ended) => self.settle(place, Settled::of(ended), now),
            Ended::Wait { is_over: true } => self.settle(place, Settled::ok(Value::Null), now),
            Ended::Wait { is_over: false } => {
                self.settle(place, Settled::failed(CallError::Deadline), now);
            }
            Ended::Each(each) => {
                let settled = each.settle(|item, index| {
                    let default = step.default.as_ref().filter(|_| step.optional)?;
                    Some(default.evaluate(&self.item_scope(item, index), &self.budget))
                });
                self.state.settle(self.plan, place, settled, now);
            }
        }
    }

    /// Notes what a step came to; the default stands in for a failure that may be.
    fn settle(&mut self, place: usize, mut settled: Settled, now: Instant) {
        if !settled.is_good()
            && let Some(default) = self.default_of(place)
        {
            match default {
                Ok(value) => {
                    settled.outcome = Outcome::Defaulted;
                    settled.body = value;
                }
                Err(error) => settled.failure = Some(Box::new(error.into())),
            }
        }
        self.state.settle(self.plan, place, settled, now);
    }

    fn default_of(&self, place: usize) -> Option<Result<Value, EvalError>> {
        let step = self.plan.spec().steps.get(place)?;
        // That of a `foreach` stands in for an item.
        let default = step
            .default
            .as_ref()
            .filter(|_| step.optional && step.foreach.is_none())?;
        Some(default.evaluate(&self.flow_scope(), &self.budget))
    }

    fn flow_scope(&self) -> FlowScope<'_> {
        FlowScope {
            request: self.scope,
            body: &self.body,
            state: &self.state,
            item: None,
        }
    }

    fn item_scope<'s>(&'s self, item: &'s Value, place: usize) -> FlowScope<'s> {
        FlowScope {
            item: Some((item, place)),
            ..self.flow_scope()
        }
    }

    /// Why the flow fails that step `step` fails.
    fn fault(&self, step: usize) -> FlowFault {
        self.state
            .settled(step)
            .and_then(|settled| settled.failure.as_deref().cloned())
            .map_or(FlowFault::Timeout, FlowFault::of_step)
    }
}

/// What comes of beginning a step.
enum Begun<'a> {
    Settled(Box<Settled>),
    Working(Work<'a>),
}

impl Begun<'_> {
    fn settled(settled: Settled) -> Self {
        Self::Settled(Box::new(settled))
    }
}
