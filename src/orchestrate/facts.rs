//! What a plan comes to at worst, for people who want to know before a request does.

use std::time::Duration;

use super::plan::{BodyUse, Plan, Wait};
use super::spec::{CallSpec, ForeachSpec, StepKind, WaitSpec};

/// What a flow comes to at worst.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFacts {
    /// In the order of the file.
    pub steps: Vec<StepFacts>,
    /// The steps of the slowest chain, first to last.
    pub critical_path: Vec<usize>,
    /// How long that chain takes at worst.
    pub worst_time: Duration,
    /// Calls that one request makes at most, retries not counted.
    pub calls: usize,
    pub body: BodyUse,
    pub writes: bool,
}

/// What one step waits for, and how long it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFacts {
    pub name: String,
    pub waits: Vec<Wait>,
    /// How long it takes at worst.
    pub worst_time: Duration,
    /// From the start of the run to its end, at worst.
    pub worst_end: Duration,
    /// Calls it makes at most, retries not counted.
    pub calls: usize,
}

impl ForeachSpec {
    /// How many calls follow one another at worst.
    fn waves(&self) -> u32 {
        let waves = self.calls().div_ceil(self.concurrency.max(1));
        u32::try_from(waves).unwrap_or(u32::MAX)
    }
}

impl Plan {
    /// What the flow comes to at worst. `call_time` says how long one call may take with its
    /// retries: the upstream's settings are not the plan's matter.
    pub fn facts(&self, call_time: &dyn Fn(&CallSpec) -> Duration) -> PlanFacts {
        let mut steps: Vec<StepFacts> = self
            .spec()
            .steps
            .iter()
            .enumerate()
            .map(|(place, step)| {
                let (worst_time, calls): (Duration, usize) = match &step.kind {
                    StepKind::Call(call) => {
                        (call_time(call), 1 + usize::from(call.hedge.is_some()))
                    }
                    StepKind::Value(_) | StepKind::Wait(WaitSpec::Until(_)) => (Duration::ZERO, 0),
                    StepKind::Wait(WaitSpec::For(time)) => (*time, 0),
                    StepKind::Flow(flow) => {
                        let inner = flow.plan.facts(call_time);
                        let share = flow.timeout.unwrap_or(Duration::MAX);
                        (inner.worst_time.min(share), inner.calls)
                    }
                };
                let (worst_time, calls) = match &step.foreach {
                    Some(foreach) => (
                        worst_time.saturating_mul(foreach.waves()),
                        calls.saturating_mul(foreach.calls()),
                    ),
                    None => (worst_time, calls),
                };
                StepFacts {
                    name: step.name.clone(),
                    waits: self.waits(place).to_vec(),
                    worst_time,
                    worst_end: Duration::ZERO,
                    calls,
                }
            })
            .collect();
        // Each step's slowest predecessor.
        let mut behind: Vec<Option<usize>> = vec![None; steps.len()];
        for step in self.order() {
            let slowest = self
                .waits_for(step)
                .iter()
                .max_by_key(|&other| steps.get(other).map(|facts| facts.worst_end));
            let start = slowest
                .and_then(|other| steps.get(other))
                .map_or(Duration::ZERO, |facts| facts.worst_end);
            if let (Some(facts), Some(behind)) = (steps.get_mut(step), behind.get_mut(step)) {
                facts.worst_end = start.saturating_add(facts.worst_time);
                *behind = slowest;
            }
        }
        let last =
            (0..steps.len()).max_by_key(|&step| steps.get(step).map(|facts| facts.worst_end));
        let mut critical_path: Vec<usize> =
            std::iter::successors(last, |&step| behind.get(step).copied().flatten()).collect();
        critical_path.reverse();
        PlanFacts {
            critical_path,
            worst_time: last
                .and_then(|step| steps.get(step))
                .map_or(Duration::ZERO, |facts| facts.worst_end),
            calls: steps.iter().map(|facts| facts.calls).sum(),
            body: self.body_use(),
            writes: self.writes(),
            steps,
        }
    }
}
