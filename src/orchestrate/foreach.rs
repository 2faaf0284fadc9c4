//! A step that is done once for each item: so many calls at once, equal ones made once, and the
//! results in the order of the items.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::task::{Context, Poll};

use super::Local;
use super::call::{CallContext, Callee, Request};
use super::outcome::{Failure, Outcome};
use super::reply::{NoReply, Reply, status_value};
use super::spec::ForeachSpec;
use super::state::Settled;
use crate::exchange::{BodyError, CallError};
use crate::expression::{EvalError, EvalErrorKind, Value};

/// A value of a chunk as text at most, to see whether two are equal.
const KEY_BYTES_MAX: usize = 64 * 1024;

/// The items of a step: what `item` is, one after the other.
pub(super) fn items(spec: &ForeachSpec, list: &Value) -> Result<Vec<Value>, Failure> {
    let Some(mut items) = list.elements() else {
        return Err(EvalError::new(EvalErrorKind::Kind, "`foreach` takes a list").into());
    };
    if items.len() > spec.max_items {
        return Err(Failure::TooManyItems {
            items: items.len(),
            limit: spec.max_items,
        });
    }
    let Some(chunk) = spec.chunk else {
        return Ok(items);
    };
    if spec.distinct {
        let mut seen = HashSet::new();
        let mut distinct = Vec::with_capacity(items.len());
        for item in items {
            if seen.insert(item.to_json(KEY_BYTES_MAX)?) {
                distinct.push(item);
            }
        }
        items = distinct;
    }
    Ok(items
        .chunks(chunk.max(1))
        .map(|chunk| Value::List(chunk.into()))
        .collect())
}

/// The calls of a step at work.
pub(super) struct Each<'a> {
    callee: Callee<'a>,
    context: CallContext<'a>,
    items: Vec<Value>,
    /// The call that each item wants, or why it wants none.
    wants: Vec<Result<usize, Failure>>,
    /// Calls not begun yet, the next one last.
    waiting: Vec<(usize, Request)>,
    at_work: Vec<(usize, Local<'a, Result<Reply, NoReply>>)>,
    replies: Vec<Option<Result<Reply, NoReply>>>,
    concurrency: usize,
    /// The first failure decides.
    is_required: bool,
    /// What the bodies may have together, from now on.
    bytes_left: u64,
}

impl<'a> Each<'a> {
    /// The calls for `items`; `request` fills the holes for one of them.
    pub(super) fn new(
        callee: Callee<'a>,
        spec: &ForeachSpec,
        context: CallContext<'a>,
        items: Vec<Value>,
        is_required: bool,
        mut request: impl FnMut(&Value, usize) -> Result<Request, EvalError>,
    ) -> Self {
        let mut wants = Vec::with_capacity(items.len());
        let mut waiting = Vec::new();
        let mut made: HashMap<Vec<u8>, usize> = HashMap::new();
        for (place, item) in items.iter().enumerate() {
            let request = match request(item, place) {
                Ok(request) => request,
                Err(error) => {
                    wants.push(Err(error.into()));
                    continue;
                }
            };
            let next = waiting.len();
            if spec.distinct {
                match made.entry(request.key()) {
                    Entry::Occupied(equal) => {
                        wants.push(Ok(*equal.get()));
                        continue;
                    }
                    Entry::Vacant(free) => {
                        free.insert(next);
                    }
                }
            }
            wants.push(Ok(next));
            waiting.push((next, request));
        }
        waiting.reverse();
        Self {
            callee,
            items,
            replies: std::iter::repeat_with(|| None)
                .take(waiting.len())
                .collect(),
            wants,
            waiting,
            at_work: Vec::new(),
            concurrency: spec.concurrency.max(1),
            is_required,
            bytes_left: context.part_bytes,
            context,
        }
    }

    /// Goes on as far as it can; ready when every call has ended, or a failure has decided.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_required && self.has_failed() {
            return Poll::Ready(());
        }
        loop {
            while self.at_work.len() < self.concurrency
                && let Some((place, request)) = self.waiting.pop()
            {
                let call = self.callee.start(request, self.context);
                self.at_work.push((place, call));
            }
            if self.at_work.is_empty() {
                return Poll::Ready(());
            }
            let mut done = Vec::new();
            self.at_work
                .retain_mut(|(place, call)| match call.as_mut().poll(context) {
                    Poll::Ready(reply) => {
                        done.push((*place, reply));
                        false
                    }
                    Poll::Pending => true,
                });
            if done.is_empty() {
                return Poll::Pending;
            }
            for (place, reply) in done {
                if self.note(place, reply) && self.is_required {
                    self.at_work.clear();
                    return Poll::Ready(());
                }
            }
        }
    }

    fn has_failed(&self) -> bool {
        self.wants.iter().any(Result::is_err) || self.replies.iter().flatten().any(Result::is_err)
    }

    /// Keeps a reply, within what the step may hold; whether it is a failure.
    fn note(&mut self, place: usize, reply: Result<Reply, NoReply>) -> bool {
        let reply = reply.and_then(|reply| {
            let len = reply.body.bytes().len() as u64;
            match self.bytes_left.checked_sub(len) {
                Some(left) => {
                    self.bytes_left = left;
                    Ok(reply)
                }
                None => Err(NoReply {
                    status: Some(reply.status),
                    failure: CallError::ResponseBody(BodyError::TooLarge {
                        limit: self.context.part_bytes,
                    })
                    .into(),
                    may_have_acted: self.callee.writes(),
                    parts: reply.parts,
                    cache: reply.cache,
                }),
            }
        });
        let failed = reply.is_err();
        if let Some(slot) = self.replies.get_mut(place) {
            *slot = Some(reply);
        }
        failed
    }

    /// What the step came to. `default` gives what stands in the place of an item, where something
    /// does.
    pub(super) fn settle(
        self,
        default: impl Fn(&Value, usize) -> Option<Result<Value, EvalError>>,
    ) -> Settled {
        let late = NoReply::late(self.callee.writes());
        let is_decided = self.is_required && self.has_failed();
        let mut lists = Lists::default();
        for (place, (item, wanted)) in self.items.iter().zip(&self.wants).enumerate() {
            let reply = match wanted {
                Ok(call) => self.replies.get(*call).and_then(Option::as_ref),
                Err(failure) => {
                    lists.failed(Outcome::Failed, Value::Null, failure, default(item, place));
                    continue;
                }
            };
            match reply {
                Some(Ok(reply)) => {
                    lists.ok(status_value(reply.status), Value::Json(reply.body.clone()));
                }
                Some(Err(error)) => {
                    let default = default(item, place);
                    lists.failed(
                        error.outcome(),
                        error.status_value(),
                        &error.failure,
                        default,
                    );
                }
                // Given up because another item has failed: that one is to be told of.
                None if is_decided => lists.push(Outcome::Cancelled, Value::Null, Value::Null),
                None => {
                    let default = default(item, place);
                    lists.failed(late.outcome(), Value::Null, &late.failure, default);
                }
            }
        }
        let mut settled = lists.settled();
        for reply in self.replies.into_iter().flatten() {
            match reply {
                Ok(reply) => {
                    settled.cache += reply.cache;
                    settled.items.push(reply.headers);
                }
                Err(no_reply) => settled.cache += no_reply.cache,
            }
        }
        settled
    }
}

/// What the items came to, one list for each field of the step.
#[derive(Default)]
struct Lists {
    bodies: Vec<Value>,
    statuses: Vec<Value>,
    outcomes: Vec<Value>,
    /// Of the step: the worst of its items.
    outcome: Option<Outcome>,
    failure: Option<Failure>,
}

impl Lists {
    fn ok(&mut self, status: Value, body: Value) {
        self.push(Outcome::Ok, status, body);
    }

    fn failed(
        &mut self,
        outcome: Outcome,
        status: Value,
        failure: &Failure,
        default: Option<Result<Value, EvalError>>,
    ) {
        let (outcome, body) = match default {
            Some(Ok(value)) => (Outcome::Defaulted, value),
            Some(Err(_)) | None => (outcome, Value::Null),
        };
        self.push(outcome, status, body);
        let worse = match (self.outcome, outcome) {
            (Some(Outcome::Unknown), _) | (Some(Outcome::Failed), Outcome::Defaulted) => false,
            (Some(Outcome::Failed), _) => outcome == Outcome::Unknown,
            _ => true,
        };
        if worse {
            self.outcome = Some(outcome);
        }
        // The first item to fail is the one to tell of, but a default makes up for it.
        if self.failure.is_none() || (worse && outcome != Outcome::Defaulted) {
            self.failure = Some(failure.clone());
        }
    }

    fn push(&mut self, outcome: Outcome, status: Value, body: Value) {
        self.outcomes.push(Value::String(outcome.as_str().into()));
        self.statuses.push(status);
        self.bodies.push(body);
    }

    fn settled(self) -> Settled {
        Settled {
            outcomes: Some(Box::new(Value::List(self.outcomes.into()))),
            status: Value::List(self.statuses.into()),
            body: Value::List(self.bodies.into()),
            ..Settled::null(self.outcome.unwrap_or(Outcome::Ok), self.failure)
        }
    }
}
