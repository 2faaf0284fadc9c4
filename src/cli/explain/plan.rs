//! A flow as a request meets it: its steps, what each waits for, and what it comes to at worst.

use std::time::Duration;

use serde::Serialize;

use super::describe::{attempts, milliseconds};
use super::settings;
use crate::config::GatewaySpec;
use crate::orchestrate::plan::Plan;
use crate::orchestrate::{
    CallSpec, FlowSpec, ForeachSpec, ResponseSpec, StepFacts, StepKind, StepSpec, Wait, WaitSpec,
};

/// A flow and its bounds.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct PlanText {
    pub(in crate::cli) steps: Vec<StepText>,
    pub(in crate::cli) response: ResponseText,
    /// The steps of the slowest chain, first to last.
    pub(in crate::cli) slowest: Vec<String>,
    /// How long that chain could take if the route did not end it.
    pub(in crate::cli) slowest_ms: u64,
    /// Items, retries and hedges counted.
    pub(in crate::cli) calls_at_most: u32,
    /// Bytes of one part that are held in memory at most.
    pub(in crate::cli) part_bytes: u64,
    /// The flows inside it, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::cli) inner: Vec<InnerText>,
}

/// A flow that steps of another run.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct InnerText {
    pub(in crate::cli) name: String,
    pub(in crate::cli) flow: PlanText,
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct StepText {
    pub(in crate::cli) name: String,
    pub(in crate::cli) does: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) when: Option<String>,
    pub(in crate::cli) optional: bool,
    /// What stands in its place when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) default: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) foreach: Option<ForeachText>,
    /// What else the file says of it: key and value.
    pub(in crate::cli) settings: Vec<(String, String)>,
    pub(in crate::cli) waits: Vec<WaitText>,
    /// Milliseconds it takes at most.
    pub(in crate::cli) worst_ms: u64,
    /// Items, retries and hedges counted.
    pub(in crate::cli) calls_at_most: u32,
}

/// What a step is done for each of.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct ForeachText {
    pub(in crate::cli) items: String,
    pub(in crate::cli) max_items: usize,
    pub(in crate::cli) concurrency: usize,
    /// Items of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) chunk: Option<usize>,
    /// Equal calls are made once.
    pub(in crate::cli) distinct: bool,
}

/// A step waited for, and what makes it so.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct WaitText {
    #[serde(rename = "for")]
    pub(in crate::cli) step: String,
    pub(in crate::cli) because: String,
}

/// What the parts become.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct ResponseText {
    pub(in crate::cli) status: u16,
    /// The steps it is made of.
    pub(in crate::cli) waits: Vec<WaitText>,
    /// What else the file says of it: key and value.
    pub(in crate::cli) settings: Vec<(String, String)>,
}

impl PlanText {
    /// The flow with the flows inside it.
    pub(in crate::cli) fn with_inner(spec: &GatewaySpec, flow: &FlowSpec) -> Self {
        let mut text = Self::of(spec, flow);
        inner(spec, flow, &mut text.inner);
        text
    }

    pub(in crate::cli) fn of(spec: &GatewaySpec, flow: &FlowSpec) -> Self {
        let mut text = Self {
            steps: Vec::new(),
            response: ResponseText::of(flow),
            slowest: Vec::new(),
            slowest_ms: 0,
            calls_at_most: 0,
            part_bytes: flow.part_bytes,
            inner: Vec::new(),
        };
        // The file was checked, so the flow has a plan.
        let Ok(plan) = Plan::new(flow.clone()) else {
            return text;
        };
        let facts = plan.facts(&|call| call_time(spec, call));
        text.slowest = names(flow, &facts.critical_path);
        text.slowest_ms = milliseconds(facts.worst_time);
        text.calls_at_most = sum(spec, flow);
        text.steps = flow
            .steps
            .iter()
            .zip(&facts.steps)
            .map(|(step, facts)| StepText::of(spec, flow, step, facts))
            .collect();
        text
    }
}

/// Adds the flows inside a flow. Flows never go round in circles.
fn inner(spec: &GatewaySpec, flow: &FlowSpec, found: &mut Vec<InnerText>) {
    for step in &flow.steps {
        if let StepKind::Flow(within) = &step.kind
            && !found.iter().any(|known| *known.name == *within.name)
        {
            found.push(InnerText {
                name: within.name.to_string(),
                flow: PlanText::of(spec, within.plan.spec()),
            });
            inner(spec, within.plan.spec(), found);
        }
    }
}

impl StepText {
    fn of(spec: &GatewaySpec, flow: &FlowSpec, step: &StepSpec, facts: &StepFacts) -> Self {
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
            default: step.default.as_ref().map(|it| it.text().to_owned()),
            foreach: step.foreach.as_ref().map(|foreach| ForeachText {
                items: foreach.items.text().to_owned(),
                max_items: foreach.max_items,
                concurrency: foreach.concurrency,
                chunk: foreach.chunk,
                distinct: foreach.distinct,
            }),
            settings: settings::of_step(spec, step),
            waits: waits(flow, &facts.waits),
            worst_ms: milliseconds(facts.worst_time),
            calls_at_most: calls(spec, step),
        }
    }
}

impl ResponseText {
    fn of(flow: &FlowSpec) -> Self {
        let waits = parts(flow).into_iter().filter_map(|(step, because)| {
            let step = flow.steps.get(step)?.name.clone();
            Some(WaitText { step, because })
        });
        Self {
            status: flow.response.status.map_or(200, |status| status.as_u16()),
            waits: waits.collect(),
            settings: settings::of_response(&flow.response),
        }
    }
}

/// The steps that the response is made of, each with the key that says so.
pub(in crate::cli) fn parts(flow: &FlowSpec) -> Vec<(usize, String)> {
    let ResponseSpec {
        headers,
        body,
        merge,
        ..
    } = &flow.response;
    let mut parts: Vec<(usize, String)> = match body {
        Some(body) => body
            .reads()
            .steps
            .iter()
            .map(|&step| (step, "body".to_owned()))
            .collect(),
        None => flow
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| !matches!(step.kind, StepKind::Wait(_)))
            .map(|(place, _)| (place, settings::word(merge)))
            .collect(),
    };
    for (name, template) in headers {
        for &step in &template.reads().steps {
            let because = format!("headers.{name}");
            match parts.iter_mut().find(|(known, _)| *known == step) {
                Some((_, text)) => {
                    text.push_str(", ");
                    text.push_str(&because);
                }
                None => parts.push((step, because)),
            }
        }
    }
    parts
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

/// Calls that all steps make at most.
fn sum(spec: &GatewaySpec, flow: &FlowSpec) -> u32 {
    let each = flow.steps.iter().map(|step| calls(spec, step));
    each.fold(0, u32::saturating_add)
}

fn calls(spec: &GatewaySpec, step: &StepSpec) -> u32 {
    let once = match &step.kind {
        StepKind::Call(call) => {
            let hedged = 1 + u32::from(call.hedge.is_some());
            let own = call.retry.as_ref().map(|retry| retry.attempts);
            let upstream = spec.upstreams.get(call.upstream);
            own.unwrap_or_else(|| upstream.map_or(1, attempts))
                .saturating_mul(hedged)
        }
        StepKind::Flow(inner) => sum(spec, inner.plan.spec()),
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
