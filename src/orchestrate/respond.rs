//! Makes the response of a decided run: its body, its fields, and the report of its parts.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::cache_control::Ceiling;
use super::call::set_rendered;
use super::fields::{Answer, forward};
use super::merge::{Part, merge};
use super::outcome::{
    FlowAnswer, FlowError, FlowFault, MergeError, Outcome, PartReport, parts_header,
};
use super::plan::{Node, Plan};
use super::progress::has_no_body;
use super::spec::StepKind;
use super::splice::Splice;
use super::state::{RunState, StepState};
use crate::exchange::{Body, Headers};
use crate::expression::{Budget, EvalError, EvalErrorKind, Key, Scope, Value};
use crate::json::{Json, write_string};

/// A fault, and the step to blame where one is.
pub(super) struct Blame {
    pub(super) fault: FlowFault,
    pub(super) step: Option<Arc<str>>,
}

impl Blame {
    fn whole(fault: FlowFault) -> Self {
        Self { fault, step: None }
    }
}

impl From<EvalError> for Blame {
    fn from(error: EvalError) -> Self {
        Self::whole(FlowFault::Expression(error))
    }
}

impl From<MergeError> for Blame {
    fn from(error: MergeError) -> Self {
        let step = match &error {
            MergeError::NoObject { part } | MergeError::NoArray { part } => Some(Arc::clone(part)),
            MergeError::Conflict { second, .. } | MergeError::Field { second, .. } => {
                Some(Arc::clone(second))
            }
            MergeError::TooLarge { .. } => None,
        };
        Self {
            fault: FlowFault::Merge(error),
            step,
        }
    }
}

impl Plan {
    /// The response of a run that has one.
    pub(super) fn answer(
        &self,
        state: &RunState,
        scope: &dyn Scope,
        budget: &Budget,
        parts: Vec<PartReport>,
    ) -> Result<FlowAnswer, FlowError> {
        let ceiling = Self::ceiling(state, &parts);
        match self.response(state, scope, budget, (&parts, ceiling)) {
            Ok((status, headers, body)) => Ok(FlowAnswer {
                status,
                headers,
                body,
                parts,
                ceiling,
            }),
            Err(Blame { fault, step }) => Err(FlowError { fault, step, parts }),
        }
    }

    fn response(
        &self,
        state: &RunState,
        scope: &dyn Scope,
        budget: &Budget,
        (parts, ceiling): (&[PartReport], Ceiling),
    ) -> Result<(StatusCode, Headers, Body), Blame> {
        let response = &self.spec().response;
        let status = response.status.unwrap_or(StatusCode::OK);
        let mut headers = Headers::with_capacity(4, 128);
        let body = if has_no_body(status) {
            Body::Empty
        } else {
            headers.append("content-type", b"application/json");
            self.body(state, scope, budget)?
        };
        if let Some(missing) = parts_header(parts) {
            headers.append("concertina-parts", missing.as_bytes());
        }
        if !response.forward.is_empty() {
            forward(&response.forward, &self.answers(state), &mut headers)?;
        }
        for (name, template) in &response.headers {
            set_rendered(&mut headers, name, template, scope, budget)?;
        }
        ceiling.hold(&mut headers);
        Ok((status, headers, body))
    }

    /// What may be said about storing the response.
    pub(super) fn ceiling(state: &RunState, parts: &[PartReport]) -> Ceiling {
        let is_whole = parts.iter().all(PartReport::is_whole);
        Ceiling::of(state.answers().map(|(_, headers)| headers), is_whole)
    }

    /// The fields of what the steps brought.
    fn answers<'a>(&'a self, state: &'a RunState) -> Vec<Answer<'a>> {
        let answers = state.answers().filter_map(|(step, headers)| {
            let name = &self.nodes().get(step)?.name;
            Some(Answer {
                step,
                name,
                headers,
            })
        });
        answers.collect()
    }

    fn body(&self, state: &RunState, scope: &dyn Scope, budget: &Budget) -> Result<Body, Blame> {
        let limit = self.response_bytes();
        let Some(body) = &self.spec().response.body else {
            let parts = self.parts(state)?;
            let response = &self.spec().response;
            return Ok(merge(response.merge, response.on_conflict, &parts, limit)?);
        };
        Ok(value_body(&body.evaluate(scope, budget)?, limit)?)
    }

    /// What each step contributes, in the order of the file.
    fn parts(&self, state: &RunState) -> Result<Vec<Part>, Blame> {
        let limit = self.response_bytes();
        let winner = self.winner(state);
        let mut parts = Vec::with_capacity(self.len());
        for (place, node) in self.nodes().iter().enumerate() {
            let is_wanted = self.candidates().is_empty() || winner == Some(place);
            let is_wait = matches!(self.kind(place), Some(StepKind::Wait(_)));
            if is_wait || !is_wanted {
                continue;
            }
            let json = match state.settled(place).map(|settled| &settled.body) {
                Some(Value::Json(json)) => json.clone(),
                None | Some(Value::Null) => Json::null(),
                Some(value) => value_json(value, limit).map_err(|error| Blame {
                    fault: FlowFault::Expression(error),
                    step: Some(Arc::clone(&node.name)),
                })?,
            };
            parts.push(Part {
                name: Arc::clone(&node.name),
                json,
            });
        }
        Ok(parts)
    }

    /// No response is larger than its parts can be together.
    pub(super) fn response_bytes(&self) -> usize {
        usize::try_from(self.spec().part_bytes)
            .unwrap_or(usize::MAX)
            .saturating_mul(self.len() + 1)
    }

    /// What became of each step, and of the steps of the flows inside.
    pub(super) fn reports(&self, state: &RunState, run_started: Instant) -> Vec<PartReport> {
        let mut reports = Vec::with_capacity(self.len());
        for (place, (node, step)) in self.nodes().iter().zip(state.steps()).enumerate() {
            let writes = self.kind(place).is_some_and(StepKind::writes);
            let report = report(node, step, writes, run_started);
            let inner = step.settled.iter().flat_map(|settled| &settled.parts);
            let start = report.started.unwrap_or_default();
            let inner: Vec<PartReport> = inner
                .map(|part| PartReport {
                    name: format!("{}.{}", node.name, part.name).into(),
                    key: format!("{}.{}", node.key, part.key).into(),
                    started: part.started.map(|started| start + started),
                    ..part.clone()
                })
                .collect();
            reports.push(report);
            reports.extend(inner);
        }
        reports
    }

    fn kind(&self, step: usize) -> Option<&StepKind> {
        self.spec().steps.get(step).map(|step| &step.kind)
    }
}

fn report(node: &Node, step: &StepState, writes: bool, run_started: Instant) -> PartReport {
    let settled = step.settled.as_ref();
    let outcome = match (settled, step.started) {
        (Some(settled), _) => settled.outcome,
        // Given up on its way: a call that writes may have arrived.
        (None, Some(_)) if writes => Outcome::Unknown,
        (None, _) => Outcome::Cancelled,
    };
    PartReport {
        name: Arc::clone(&node.name),
        key: Arc::clone(&node.key),
        outcome,
        cause: settled.and_then(|settled| Some(settled.failure.as_ref()?.cause())),
        status: settled.and_then(|settled| settled.answered),
        started: step
            .started
            .map(|started| started.saturating_duration_since(run_started)),
        elapsed: step.started.map_or(Duration::ZERO, |started| {
            let ended = step.ended.unwrap_or_else(Instant::now);
            ended.saturating_duration_since(started)
        }),
        cache: settled.map(|settled| settled.cache).unwrap_or_default(),
    }
}

/// A computed value as checked JSON.
pub(super) fn value_json(value: &Value, limit: usize) -> Result<Json, EvalError> {
    let text = value.to_json(limit)?;
    Json::parse(text, crate::json::DEPTH_MAX)
        .map_err(|error| EvalError::new(EvalErrorKind::Value, error.to_string()))
}

/// A value as a body. Of an object's members and a list's elements, those that came as JSON and are
/// large are moved, not copied.
fn value_body(value: &Value, limit: usize) -> Result<Body, EvalError> {
    let Value::Map(map) = value else {
        return Ok(Body::from(value.to_json(limit)?));
    };
    let too_large = |_| EvalError::new(EvalErrorKind::Budget, "the value as JSON is too large");
    let expected = map
        .iter()
        .map(|(_, value)| match value {
            Value::Json(json) => Splice::copied(json.bytes()) + 32,
            _ => 64,
        })
        .sum();
    let mut splice = Splice::new(limit, expected);
    let mut text = Vec::new();
    let mut before = b'{';
    for (key, value) in map.iter() {
        text.clear();
        text.push(before);
        match key {
            Key::String(name) => write_string(name, &mut text),
            Key::Bool(_) | Key::Int(_) | Key::Uint(_) => {
                write_string(&key.value().to_text()?, &mut text);
            }
        }
        text.push(b':');
        splice.text(&text).map_err(too_large)?;
        if let Value::Json(json) = value {
            splice.bytes(json.bytes()).map_err(too_large)?;
        } else {
            text.clear();
            value.write_json(limit, &mut text)?;
            splice.text(&text).map_err(too_large)?;
        }
        before = b',';
    }
    splice
        .text(if map.is_empty() { b"{}" } else { b"}" })
        .map_err(too_large)?;
    Ok(splice.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Map;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_spliced_body_is_what_writing_the_value_gives(
            members in prop::collection::vec(
                ("[a-c\"\u{e9}]{0,3}", "(\\[|\\{|\"a\":|1e400|\\]|\\}|,| |\n){0,6}|0.10|null", any::<i64>(), any::<bool>()),
                0..6,
            ),
            large in any::<bool>(),
        ) {
            let mut map = Map::new();
            for (name, text, number, moved) in members {
                let value = match Json::try_from(text.as_str()) {
                    Ok(json) if moved => Value::Json(json),
                    _ => Value::Int(number),
                };
                map.insert(Key::String(name.into()), value);
            }
            if large {
                let text = format!("\"{}\"", "x".repeat(70_000));
                map.insert(Key::String("large".into()), Value::Json(Json::try_from(text.as_str()).unwrap()));
            }
            let value = Value::Map(Arc::new(map));
            let spliced = match value_body(&value, 1 << 20).unwrap() {
                Body::Full(text) => text.to_vec(),
                Body::Parts(pieces) => pieces.into_iter().flatten().collect(),
                body => panic!("{body:?}"),
            };
            prop_assert_eq!(spliced, value.to_json(1 << 20).unwrap());
        }
    }
}
