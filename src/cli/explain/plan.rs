//! A flow as a request meets it: its steps, what each waits for, and what it comes to at worst.

use std::time::Duration;

use serde::Serialize;

use super::describe::{attempts, milliseconds};
use crate::config::GatewaySpec;
use crate::orchestrate::plan::Plan;
use crate::orchestrate::{
    CallSpec, FlowSpec, ForeachSpec, StepFacts, StepKind, StepSpec, Wait, WaitSpec,
};

/// A flow and its bounds.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct PlanText {
    pub(in crate::cli) steps: Vec<StepText>,
    /// The steps of the slowest chain, first to last.
    pub(in crate::cli) slowest: Vec<String>,
    /// How long that chain could take if the route did not end it.
    pub(in crate::cli) slowest_ms: u64,
    /// Retries counted.
    pub(in crate::cli) calls_at_most: u32,
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct StepText {
    pub(in crate::cli) name: String,
    pub(in crate::cli) does: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) when: Option<String>,
    pub(in crate::cli) optional: bool,
    pub(in crate::cli) waits: Vec<WaitText>,
    /// Milliseconds it takes at most.
    pub(in crate::cli) worst_ms: u64,
}

/// A step waited for, and what makes it so.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct WaitText {
    #[serde(rename = "for")]
    pub(in crate::cli) step: String,
    pub(in crate::cli) because: String,
}

impl PlanText {
    pub(in crate::cli) fn of(spec: &GatewaySpec, flow: &FlowSpec) -> Self {
        let mut text = Self {
            steps: Vec::new(),
            slowest: Vec::new(),
            slowest_ms: 0,
            calls_at_most: 0,
        };
        // The file was checked, so the flow has a plan.
        let Ok(plan) = Plan::new(flow.clone()) else {
            return text;
        };
        let facts = plan.facts(&|call| call_time(spec, call));
        text.slowest = names(flow, &facts.critical_path);
        text.slowest_ms = milliseconds(facts.worst_time);
        text.calls_at_most = flow.steps.iter().map(|step| calls(spec, step)).sum();
        text.steps = flow
            .steps
            .iter()
            .zip(&facts.steps)
            .map(|(step, facts)| StepText::of(flow, step, facts))
            .collect();
        text
    }
}

impl StepText {
    fn of(flow: &FlowSpec, step: &StepSpec, facts: &StepFacts) -> Self {
        Self {
            name: step.name.clone(),
            does: match &step.kind {
                StepKind::Call(call) => {
                    format!(
                        "{} {}:{}",
                        call.method,
                        call.upstream_name,
                        call.target.text()
                    )
                }
                StepKind::Value(value) => value.text().to_owned(),
                StepKind::Flow(inner) => format!("flow {}", inner.name),
                StepKind::Wait(WaitSpec::For(time)) => format!("wait {time:?}"),
                StepKind::Wait(WaitSpec::Until(until)) => format!("wait {}", until.text()),
            },
            when: step.when.as_ref().map(|when| when.text().to_owned()),
            optional: step.optional,
            waits: waits(flow, &facts.waits),
            worst_ms: milliseconds(facts.worst_time),
        }
    }
}

/// One entry for each step waited for, with every reason.
fn waits(flow: &FlowSpec, waits: &[Wait]) -> Vec<WaitText> {
    let mut texts: Vec<WaitText> = Vec::new();
    for wait in waits {
        let Some(step) = flow.steps.get(wait.step) else {
            continue;
        };
        let because = wait.why.to_string();
        match texts.iter_mut().find(|text| text.step == step.name) {
            Some(text) => {
                text.because.push_str(", ");
                text.because.push_str(&because);
            }
            None => texts.push(WaitText {
                step: step.name.clone(),
                because,
            }),
        }
    }
    texts
}

fn names(flow: &FlowSpec, steps: &[usize]) -> Vec<String> {
    steps
        .iter()
        .filter_map(|&index| flow.steps.get(index))
        .map(|step| step.name.clone())
        .collect()
}

fn calls(spec: &GatewaySpec, step: &StepSpec) -> u32 {
    let once = match &step.kind {
        StepKind::Call(call) => {
            let hedged = 1 + u32::from(call.hedge.is_some());
            let own = call.retry.as_ref().map(|retry| retry.attempts);
            let upstream = spec.upstreams.get(call.upstream);
            own.unwrap_or_else(|| upstream.map_or(1, attempts)) * hedged
        }
        StepKind::Flow(inner) => {
            let steps = inner.plan.spec().steps.iter();
            steps.map(|step| calls(spec, step)).sum()
        }
        StepKind::Value(_) | StepKind::Wait(_) => 0,
    };
    let items = step.foreach.as_ref().map_or(1, ForeachSpec::calls);
    once.saturating_mul(u32::try_from(items).unwrap_or(u32::MAX))
}

/// How long one call takes at most, with its retries and the pauses between them.
fn call_time(spec: &GatewaySpec, call: &CallSpec) -> Duration {
    let Some(upstream) = spec.upstreams.get(call.upstream) else {
        return Duration::ZERO;
    };
    let once = call.timeout.unwrap_or(upstream.timeout);
    let retry = call.retry.as_deref().or(upstream.retry.as_ref());
    let attempts = retry.map_or(1, |retry| retry.attempts);
    let pause = retry.map_or(Duration::ZERO, |retry| retry.backoff.1);
    once.saturating_mul(attempts)
        .saturating_add(pause.saturating_mul(attempts.saturating_sub(1)))
}
