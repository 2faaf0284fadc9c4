//! What the expressions of a flow read: the request's names, the client's body, and other steps.

use std::sync::Arc;

use super::outcome::Outcome;
use super::state::RunState;
use crate::exchange::Headers;
use crate::expression::{EvalError, Key, Map, Scope, StepField, Value, Variable};

/// The names in scope of one evaluation.
pub(super) struct FlowScope<'a> {
    /// What the flow does not know itself.
    pub(super) request: &'a dyn Scope,
    /// The client's body, parsed.
    pub(super) body: &'a Value,
    pub(super) state: &'a RunState,
    /// The item of a `foreach`, and its place.
    pub(super) item: Option<(&'a Value, usize)>,
}

impl Scope for FlowScope<'_> {
    fn variable(&self, variable: &Variable) -> Result<Value, EvalError> {
        match variable {
            Variable::Body => Ok(self.body.clone()),
            Variable::Item => Ok(self.item.map_or(Value::Null, |(item, _)| item.clone())),
            Variable::Index => Ok(self
                .item
                .map_or(Value::Null, |(_, place)| Value::Uint(place as u64))),
            Variable::Step { index, field } => Ok(self.step(*index, *field)),
            other => self.request.variable(other),
        }
    }
}

impl FlowScope<'_> {
    /// A field of a step. A plan lets nobody read a step that is not settled, but the response of
    /// a flow that was decided without it: then it was cancelled.
    fn step(&self, step: usize, field: StepField) -> Value {
        let settled = self.state.settled(step);
        match (field, settled) {
            (StepField::Outcome, settled) => {
                if let Some(outcomes) = settled.and_then(|settled| settled.outcomes.as_deref()) {
                    return outcomes.clone();
                }
                let outcome = settled.map_or(Outcome::Cancelled, |settled| settled.outcome);
                Value::String(outcome.as_str().into())
            }
            (StepField::Body, Some(settled)) => settled.body.clone(),
            (StepField::Status, Some(settled)) => settled.status.clone(),
            (StepField::Headers, Some(settled)) => headers_value(&settled.headers),
            (StepField::Body | StepField::Status | StepField::Headers, None) => Value::Null,
        }
    }
}

/// Fields as a map of strings, in order; repeated ones joined by `, ` (RFC 9110, 5.3).
fn headers_value(headers: &Headers) -> Value {
    let mut map = Map::new();
    for (_, name, value) in headers.iter() {
        let value = String::from_utf8_lossy(value);
        let value = match map.get_text(name).and_then(Value::as_text) {
            Some(before) => format!("{before}, {value}").into(),
            None => value.as_ref().into(),
        };
        map.insert(Key::String(name.into()), Value::String(value));
    }
    Value::Map(Arc::new(map))
}
