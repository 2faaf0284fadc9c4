//! The parts of a response that are given away as they become final: the members of its body, each
//! as soon as the steps that it reads are settled.

use std::sync::Arc;

use http::StatusCode;

use super::outcome::{FlowFault, Outcome, PartReport};
use super::plan::Plan;
use super::respond::{Blame, value_json};
use super::spec::{FlowSpec, Merge, StepKind};
use super::state::{RunState, StepSet};
use crate::expression::{Budget, Expression, Scope, Value};
use crate::json::Json;

/// Takes the parts of a response as they become final.
pub trait Outlet {
    /// The next part. In the order in which they become final; what becomes final at once comes in
    /// the order of the file.
    fn part(&self, part: FinalPart);

    /// Where every step stands now, as it would be told if the run ended here.
    fn stands(&self, parts: Vec<PartReport>);
}

/// A part that will not change.
#[derive(Debug)]
pub struct FinalPart {
    /// The member of the body: a step's name, or the key in the file.
    pub name: Arc<str>,
    /// Of the steps that it reads: `ok`, or the first in the file that is something else.
    pub outcome: Outcome,
    /// Why that one is not ok.
    pub cause: Option<&'static str>,
    /// What the upstream answered, where it reads one step and that made one call.
    pub status: Option<StatusCode>,
    pub body: Json,
}

/// A member of the response's body.
#[derive(Debug)]
pub(super) struct Member {
    name: Arc<str>,
    /// The steps that it reads.
    steps: StepSet,
    value: MemberValue,
}

#[derive(Debug)]
enum MemberValue {
    /// The part of a step.
    Step(usize),
    Computed(Expression),
}

impl Member {
    /// The members of the body that the response of `spec` has; none where it is not made of
    /// members that can be told before the flow has ended.
    pub(super) fn all(spec: &FlowSpec) -> Vec<Self> {
        let response = &spec.response;
        if response.status.is_some_and(has_no_body) {
            return Vec::new();
        }
        match &response.body {
            Some(body) => {
                let members = body.members().iter();
                let members = members.map(|(name, value)| Self {
                    name: Arc::clone(name),
                    steps: value.reads().steps.iter().copied().collect(),
                    value: MemberValue::Computed(value.clone()),
                });
                members.collect()
            }
            None if response.merge == Merge::Nest => {
                let steps = spec.steps.iter().enumerate();
                let parts = steps.filter(|(_, step)| !matches!(step.kind, StepKind::Wait(_)));
                let members = parts.map(|(place, step)| Self {
                    name: step.name.as_str().into(),
                    steps: [place].into_iter().collect(),
                    value: MemberValue::Step(place),
                });
                members.collect()
            }
            None => Vec::new(),
        }
    }
}

impl FlowSpec {
    /// Whether the response can be given away in parts, as they become final: its body is made of
    /// the parts, each under a name of its own.
    pub fn may_progress(&self) -> bool {
        !Member::all(self).is_empty()
    }
}

/// RFC 9110, 6.4.1.
pub(super) const fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// What was given away of one run.
pub(super) struct Showing<'a> {
    outlet: &'a dyn Outlet,
    /// By the place of the member.
    shown: Vec<bool>,
}

impl<'a> Showing<'a> {
    pub(super) fn new(plan: &Plan, outlet: &'a dyn Outlet) -> Self {
        Self {
            outlet,
            shown: vec![false; plan.members().len()],
        }
    }

    pub(super) fn stands(&self, parts: Vec<PartReport>) {
        self.outlet.stands(parts);
    }

    /// Gives away what has become final.
    pub(super) fn show(
        &mut self,
        plan: &Plan,
        state: &RunState,
        scope: &dyn Scope,
        budget: &Budget,
    ) -> Result<(), Blame> {
        for (member, shown) in plan.members().iter().zip(&mut self.shown) {
            if *shown || !state.have_settled(member.steps) {
                continue;
            }
            *shown = true;
            let part = final_part(plan, member, state, scope, budget)?;
            self.outlet.part(part);
        }
        Ok(())
    }
}

fn final_part(
    plan: &Plan,
    member: &Member,
    state: &RunState,
    scope: &dyn Scope,
    budget: &Budget,
) -> Result<FinalPart, Blame> {
    let limit = plan.response_bytes();
    let body = match &member.value {
        MemberValue::Step(place) => match state.settled(*place).map(|settled| &settled.body) {
            None => Json::null(),
            Some(value) => part_json(value, limit).map_err(|error| Blame {
                fault: FlowFault::Expression(error),
                step: Some(Arc::clone(&member.name)),
            })?,
        },
        MemberValue::Computed(value) => part_json(&value.evaluate(scope, budget)?, limit)?,
    };
    let settled = || member.steps.iter().filter_map(|step| state.settled(step));
    let blamed = settled().find(|settled| settled.outcome != Outcome::Ok);
    let alone = settled().next().filter(|_| member.steps.len() == 1);
    Ok(FinalPart {
        name: Arc::clone(&member.name),
        outcome: blamed.map_or(Outcome::Ok, |settled| settled.outcome),
        cause: blamed.and_then(|settled| Some(settled.failure.as_ref()?.cause())),
        status: alone.and_then(|settled| settled.answered),
        body,
    })
}

/// What came as JSON is moved; what was computed is written.
fn part_json(value: &Value, limit: usize) -> Result<Json, crate::expression::EvalError> {
    match value {
        Value::Json(json) => Ok(json.clone()),
        Value::Null => Ok(Json::null()),
        value => value_json(value, limit),
    }
}
