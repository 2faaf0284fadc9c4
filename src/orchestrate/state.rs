//! Where a run stands: what each step came to, what may start, and whether the run is decided.
//!
//! Nothing here does anything: it is a function of the plan and of outcomes, so that outcomes read
//! back from a journal lead to the same decisions as those of a moment ago.

use http::StatusCode;
use tokio::time::Instant;

use super::outcome::{CacheTally, Failure, Outcome, PartReport};
use super::plan::{Plan, STEPS_MAX};
use crate::exchange::Headers;
use crate::expression::Value;

/// A set of steps, by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StepSet(u128);

const _: () = assert!(STEPS_MAX == u128::BITS as usize);

impl StepSet {
    /// The steps before `len`.
    pub const fn first(len: usize) -> Self {
        if len >= STEPS_MAX {
            Self(u128::MAX)
        } else {
            Self((1 << len) - 1)
        }
    }

    pub const fn insert(&mut self, step: usize) {
        if step < STEPS_MAX {
            self.0 |= 1 << step;
        }
    }

    pub const fn contains(self, step: usize) -> bool {
        step < STEPS_MAX && self.0 & (1 << step) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// In the order of the file.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let step = left.trailing_zeros() as usize;
            left &= left - 1;
            Some(step)
        })
    }
}

impl FromIterator<usize> for StepSet {
    fn from_iter<T: IntoIterator<Item = usize>>(steps: T) -> Self {
        let mut set = Self::default();
        for step in steps {
            set.insert(step);
        }
        set
    }
}

/// What a step came to.
#[derive(Debug)]
pub struct Settled {
    pub outcome: Outcome,
    /// Why it is not ok, unless it was skipped.
    pub failure: Option<Box<Failure>>,
    /// What became of the steps of the flow inside.
    pub parts: Vec<PartReport>,
    /// What `steps.NAME.outcome` reads where it is a list, one for each item.
    pub outcomes: Option<Box<Value>>,
    /// What `steps.NAME.status` reads: an int, a list of them, or null.
    pub status: Value,
    /// What the upstream answered, where there was one call and it did.
    pub answered: Option<StatusCode>,
    pub headers: Headers,
    /// How its calls were answered, where what they bring is kept.
    pub cache: CacheTally,
    /// The fields of the answers of its items, where there were several calls.
    pub items: Vec<Headers>,
    /// What `steps.NAME.body` reads, and what the step contributes to the response.
    pub body: Value,
}

impl Settled {
    /// A step that contributes nothing.
    pub fn null(outcome: Outcome, failure: Option<Failure>) -> Self {
        Self {
            outcome,
            failure: failure.map(Box::new),
            parts: Vec::new(),
            outcomes: None,
            status: Value::Null,
            answered: None,
            headers: Headers::new(),
            cache: CacheTally::default(),
            items: Vec::new(),
            body: Value::Null,
        }
    }

    pub fn ok(body: Value) -> Self {
        Self {
            body,
            ..Self::null(Outcome::Ok, None)
        }
    }

    pub fn failed(failure: impl Into<Failure>) -> Self {
        Self::null(Outcome::Failed, Some(failure.into()))
    }

    /// The fields of every answer that it brought.
    pub(super) fn answers(&self) -> impl Iterator<Item = &Headers> {
        let own = self.answered.is_some() && self.is_good();
        own.then_some(&self.headers).into_iter().chain(&self.items)
    }

    /// Whether the flow can have what it wanted of the step.
    pub const fn is_good(&self) -> bool {
        match self.outcome {
            Outcome::Ok | Outcome::Defaulted | Outcome::Skipped => true,
            Outcome::Failed | Outcome::Cancelled | Outcome::Unknown => false,
        }
    }
}

/// One step of a run.
#[derive(Debug, Default)]
pub struct StepState {
    pub started: Option<Instant>,
    pub ended: Option<Instant>,
    pub settled: Option<Settled>,
}

/// A run: its steps, each where it stands.
#[derive(Debug)]
pub struct RunState {
    steps: Vec<StepState>,
    started: StepSet,
    settled: StepSet,
    /// The first required step that failed.
    broken: Option<usize>,
    /// The first step that failed, required or not.
    first_failed: Option<usize>,
    /// The first step that was ok, of those that a `first` merge chooses from.
    winner: Option<usize>,
}

/// How a run is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is a response.
    Answer,
    /// The flow fails by this step.
    Fails(usize),
}

impl RunState {
    pub fn new(plan: &Plan) -> Self {
        Self {
            steps: std::iter::repeat_with(StepState::default)
                .take(plan.len())
                .collect(),
            started: StepSet::default(),
            settled: StepSet::default(),
            broken: None,
            first_failed: None,
            winner: None,
        }
    }

    pub fn steps(&self) -> &[StepState] {
        &self.steps
    }

    /// What a step came to, once it has.
    pub fn settled(&self, step: usize) -> Option<&Settled> {
        self.steps.get(step)?.settled.as_ref()
    }

    /// Whether all of these steps have come to something.
    pub fn have_settled(&self, steps: StepSet) -> bool {
        steps.is_within(self.settled)
    }

    /// The fields of every answer that the steps brought, in the order of the file, each with its
    /// step.
    pub(super) fn answers(&self) -> impl Iterator<Item = (usize, &Headers)> {
        self.steps.iter().enumerate().flat_map(|(place, step)| {
            let answers = step.settled.iter().flat_map(Settled::answers);
            answers.map(move |headers| (place, headers))
        })
    }

    pub fn start(&mut self, step: usize, now: Instant) {
        self.started.insert(step);
        if let Some(state) = self.steps.get_mut(step) {
            state.started = Some(now);
        }
    }

    /// Notes what a step came to. The first word counts.
    pub fn settle(&mut self, plan: &Plan, step: usize, settled: Settled, now: Instant) {
        let Some(state) = self.steps.get_mut(step) else {
            return;
        };
        if self.settled.contains(step) {
            return;
        }
        if !settled.is_good() {
            self.first_failed.get_or_insert(step);
            if !plan.is_optional(step) {
                self.broken.get_or_insert(step);
            }
        }
        if settled.outcome == Outcome::Ok && plan.candidates().contains(step) {
            self.winner.get_or_insert(step);
        }
        state.ended = Some(now);
        state.settled = Some(settled);
        self.started.insert(step);
        self.settled.insert(step);
    }
}

impl Plan {
    /// The steps that may start now: not started, and all that they wait for is settled.
    pub fn ready(&self, state: &RunState) -> StepSet {
        let waiting = StepSet::first(self.len()).without(state.started);
        waiting
            .iter()
            .filter(|&step| self.waits_for(step).is_within(state.settled))
            .collect()
    }

    /// Whether the run is decided.
    pub fn verdict(&self, state: &RunState) -> Option<Verdict> {
        if !self.candidates().is_empty() {
            return self.race(state);
        }
        if let Some(step) = state.broken {
            return Some(Verdict::Fails(step));
        }
        (state.settled == StepSet::first(self.len())).then_some(Verdict::Answer)
    }

    /// Of a `first` merge: one success decides, and a failure only when nothing else is left.
    fn race(&self, state: &RunState) -> Option<Verdict> {
        if state.winner.is_some() {
            return Some(Verdict::Answer);
        }
        if state.settled != StepSet::first(self.len()) {
            return None;
        }
        Some(match (self.winner(state), state.first_failed) {
            (None, Some(failed)) => Verdict::Fails(failed),
            _ => Verdict::Answer,
        })
    }

    /// The step whose part is the response of a `first` merge: the first to succeed, else the first
    /// in the file that has a default.
    pub(super) fn winner(&self, state: &RunState) -> Option<usize> {
        state.winner.or_else(|| {
            self.candidates().iter().find(|&step| {
                state
                    .settled(step)
                    .is_some_and(|settled| settled.outcome == Outcome::Defaulted)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_its_steps_in_order() {
        let set: StepSet = [127, 3, 0, 64].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 3, 64, 127]);
        assert_eq!(set.len(), 4);
        assert!(set.contains(64) && !set.contains(65) && !set.contains(500));
        assert_eq!(StepSet::first(128).len(), 128);
        assert_eq!(StepSet::first(0), StepSet::default());
        assert!(StepSet::first(2).is_within(StepSet::first(3)));
        assert!(!StepSet::first(3).is_within(StepSet::first(2)));
    }
}
