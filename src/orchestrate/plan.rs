//! A flow as a checked graph: no cycles, each step with what it waits for, and why.

use std::fmt;
use std::sync::Arc;

use super::collide;
use super::mistake::{PlanMistake, PlanMistakeKind};
use super::progress::Member;
use super::spec::{
    BodySpec, CacheSpec, CallSpec, FlowSpec, FlowStep, Merge, StepKind, StepSpec, WaitSpec,
};
use super::state::StepSet;
use crate::expression::Reads;

/// Steps of one flow at most.
pub const STEPS_MAX: usize = 128;

/// A flow after checking. Only [`Plan::new`] makes one, so holding one proves that its graph has no
/// cycle and that every step matters.
#[derive(Debug)]
pub struct Plan {
    spec: FlowSpec,
    nodes: Vec<Node>,
    body_use: BodyUse,
    /// What a `first` merge chooses from; empty with any other.
    candidates: StepSet,
    /// What can be given away before the flow has ended.
    members: Vec<Member>,
}

/// What is known of a step before any request.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: Arc<str>,
    /// The name as a key of a Structured Fields dictionary.
    pub(super) key: Arc<str>,
    waits: Vec<Wait>,
    waits_for: StepSet,
}

/// How a flow uses the client's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum BodyUse {
    /// It is not read.
    #[default]
    None,
    /// It is passed on as it came.
    Bytes,
    /// An expression reads it, so it must be JSON.
    Parsed,
}

/// One reason for a step to wait for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The step waited for, by place.
    pub step: usize,
    pub why: Why,
}

/// Where a step says that it waits for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    After,
    When,
    Foreach,
    Target,
    Header(String),
    Query(String),
    Body,
    Value,
    Wait,
    Cache,
    Default,
}

impl fmt::Display for Why {
    /// The key of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After => f.write_str("after"),
            Self::When => f.write_str("when"),
            Self::Foreach => f.write_str("foreach"),
            Self::Target => f.write_str("call"),
            Self::Header(name) => write!(f, "headers.{name}"),
            Self::Query(name) => write!(f, "query.{name}"),
            Self::Body => f.write_str("body"),
            Self::Value => f.write_str("value"),
            Self::Wait => f.write_str("wait"),
            Self::Cache => f.write_str("cache.key"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Plan {
    /// Checks the graph; every mistake at once.
    pub fn new(spec: FlowSpec) -> Result<Self, Vec<PlanMistake>> {
        if spec.steps.len() > STEPS_MAX {
            let steps = spec.steps.len();
            return Err(vec![PlanMistake {
                step: None,
                kind: PlanMistakeKind::TooMany { steps },
            }]);
        }
        let mut body_use = BodyUse::None;
        let mut nodes: Vec<Node> = Vec::with_capacity(spec.steps.len());
        for step in &spec.steps {
            let waits = waits_of(step, &mut body_use);
            nodes.push(Node {
                name: step.name.as_str().into(),
                key: dictionary_key(&step.name, &nodes),
                waits_for: waits.iter().map(|wait| wait.step).collect(),
                waits,
            });
        }
        let response = response_reads(&spec);
        if response.body {
            body_use = BodyUse::Parsed;
        }
        let plan = Self {
            candidates: candidates(&spec, &nodes),
            members: Member::all(&spec),
            spec,
            nodes,
            body_use,
        };
        let mistakes = plan.mistakes(&response);
        if mistakes.is_empty() {
            Ok(plan)
        } else {
            Err(mistakes)
        }
    }

    pub const fn spec(&self) -> &FlowSpec {
        &self.spec
    }

    /// How many steps there are.
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A plan has a step at least.
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub const fn body_use(&self) -> BodyUse {
        self.body_use
    }

    /// Whether a call of it writes: not GET, HEAD or OPTIONS (RFC 9110, 9.2.1).
    pub fn writes(&self) -> bool {
        self.spec.steps.iter().any(|step| step.kind.writes())
    }

    /// Calls that leave something else behind when they are made again.
    fn unrepeatable_calls(&self) -> usize {
        self.spec
            .steps
            .iter()
            .map(StepSpec::unrepeatable_calls)
            .sum()
    }

    /// Tells of every step, also of the flows inside, whose parts are kept.
    pub fn each_cache(&self, tell: &mut dyn FnMut(&CacheSpec)) {
        for step in &self.spec.steps {
            match &step.kind {
                StepKind::Call(call) => {
                    if let Some(cache) = &call.cache {
                        tell(cache);
                    }
                }
                StepKind::Flow(flow) => flow.plan.each_cache(tell),
                StepKind::Value(_) | StepKind::Wait(_) => {}
            }
        }
    }

    /// What step `step` waits for, and why.
    pub fn waits(&self, step: usize) -> &[Wait] {
        self.nodes.get(step).map_or(&[], |node| &node.waits)
    }

    pub(super) fn waits_for(&self, step: usize) -> StepSet {
        self.nodes
            .get(step)
            .map_or(StepSet::default(), |node| node.waits_for)
    }

    pub(super) fn is_optional(&self, step: usize) -> bool {
        self.spec.steps.get(step).is_some_and(|step| step.optional)
    }

    /// What a `first` merge chooses from; empty with any other.
    pub(super) const fn candidates(&self) -> StepSet {
        self.candidates
    }

    /// The members of the response's body that can be given away one by one.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The steps, each behind those that it waits for; fewer than all where there is a cycle.
    pub(super) fn order(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.len());
        let mut placed = StepSet::default();
        loop {
            let before = order.len();
            for (step, node) in self.nodes.iter().enumerate() {
                if !placed.contains(step) && node.waits_for.is_within(placed) {
                    placed.insert(step);
                    order.push(step);
                }
            }
            if order.len() == before {
                return order;
            }
        }
    }

    fn mistakes(&self, response: &Reads) -> Vec<PlanMistake> {
        let mut mistakes = Vec::new();
        if self.is_empty() {
            mistakes.push(PlanMistake {
                step: None,
                kind: PlanMistakeKind::NoSteps,
            });
        }
        self.check_names(&mut mistakes);
        self.check_cycles(&mut mistakes);
        self.check_use(response, &mut mistakes);
        self.check_writes(&mut mistakes);
        self.check_forward(&mut mistakes);
        mistakes.extend(collide::mistakes(&self.spec));
        for (place, step) in self.spec.steps.iter().enumerate() {
            let mut mistake = |kind| {
                mistakes.push(PlanMistake {
                    step: Some(place),
                    kind,
                });
            };
            let name = || step.name.clone();
            if step.default.is_some() && !step.optional {
                mistake(PlanMistakeKind::DefaultWithoutOptional { name: name() });
            }
            if let StepKind::Call(call) = &step.kind
                && call.hedge.is_some()
                && !call.may_be_made_twice()
            {
                mistake(PlanMistakeKind::HedgedWrite { name: name() });
            }
            if let StepKind::Call(call) = &step.kind
                && call.cache.as_ref().is_some_and(|cache| !cache.read_only)
                && !call.method.is_safe()
            {
                mistake(PlanMistakeKind::CachedWrite { name: name() });
            }
            if step.foreach.is_some() && matches!(step.kind, StepKind::Value(_) | StepKind::Wait(_))
            {
                mistake(PlanMistakeKind::ForeachWithoutCall { name: name() });
            }
        }
        mistakes
    }

    fn check_names(&self, mistakes: &mut Vec<PlanMistake>) {
        let steps = &self.spec.steps;
        for (place, step) in steps.iter().enumerate() {
            if steps
                .iter()
                .take(place)
                .any(|other| other.name == step.name)
            {
                mistakes.push(PlanMistake {
                    step: Some(place),
                    kind: PlanMistakeKind::SameName {
                        name: step.name.clone(),
                    },
                });
            }
        }
    }

    /// Names each cycle once, from its first step in the file.
    fn check_cycles(&self, mistakes: &mut Vec<PlanMistake>) {
        let ordered: StepSet = self.order().into_iter().collect();
        let stuck = StepSet::first(self.len()).without(ordered);
        let mut seen = StepSet::default();
        for start in stuck.iter() {
            let mut walk: Vec<usize> = Vec::new();
            let mut at = start;
            // Every stuck step waits for one that is stuck, so the walk meets itself or an older one.
            while !seen.contains(at) {
                seen.insert(at);
                walk.push(at);
                let Some(next) = self.waits_for(at).iter().find(|&step| stuck.contains(step))
                else {
                    break;
                };
                at = next;
            }
            let Some(from) = walk.iter().position(|&step| step == at) else {
                continue;
            };
            let cycle = walk.get(from..).unwrap_or_default();
            let first = cycle.iter().copied().min().unwrap_or(at);
            let turn = cycle.iter().position(|&step| step == first).unwrap_or(0);
            let names = cycle.iter().cycle().skip(turn).take(cycle.len());
            mistakes.push(PlanMistake {
                step: Some(first),
                kind: PlanMistakeKind::Cycle(
                    names.map(|&step| self.name(step).to_owned()).collect(),
                ),
            });
        }
    }

    /// With a merge every step is a part; with a body expression a step that only reads must be
    /// read.
    fn check_use(&self, response: &Reads, mistakes: &mut Vec<PlanMistake>) {
        if self.spec.response.body.is_none() {
            return;
        }
        let used = self.nodes.iter().fold(
            response.steps.iter().copied().collect(),
            |used: StepSet, node| used.union(node.waits_for),
        );
        for (place, step) in self.spec.steps.iter().enumerate() {
            if !step.kind.writes() && !used.contains(place) {
                mistakes.push(PlanMistake {
                    step: Some(place),
                    kind: PlanMistakeKind::Unused {
                        name: step.name.clone(),
                    },
                });
            }
        }
    }

    /// Headers come from answers.
    fn check_forward(&self, mistakes: &mut Vec<PlanMistake>) {
        for rule in &self.spec.response.forward {
            for &place in &rule.from {
                let kind = self.spec.steps.get(place).map(|step| &step.kind);
                if matches!(kind, Some(StepKind::Value(_) | StepKind::Wait(_))) {
                    mistakes.push(PlanMistake {
                        step: Some(place),
                        kind: PlanMistakeKind::NothingToForward {
                            name: self.name(place).to_owned(),
                            header: rule.name.clone(),
                        },
                    });
                }
            }
        }
    }

    fn check_writes(&self, mistakes: &mut Vec<PlanMistake>) {
        if self.spec.partial_writes {
            return;
        }
        let mut names = Vec::new();
        let mut calls = 0;
        for step in &self.spec.steps {
            let writes = step.unrepeatable_calls();
            if writes > 0 {
                names.push(step.name.clone());
                calls += writes;
            }
        }
        if calls > 1 {
            let second = names.get(1).or(names.first());
            mistakes.push(PlanMistake {
                step: self
                    .spec
                    .steps
                    .iter()
                    .position(|step| Some(&step.name) == second),
                kind: PlanMistakeKind::PartialWrites { names },
            });
        }
    }

    pub(super) fn name(&self, step: usize) -> &str {
        self.nodes.get(step).map_or("", |node| &node.name)
    }
}

impl StepKind {
    /// Whether it asks an upstream to change something (RFC 9110, 9.2.1).
    pub(super) fn writes(&self) -> bool {
        match self {
            Self::Call(call) => !call.method.is_safe(),
            Self::Flow(flow) => flow.plan.writes(),
            Self::Value(_) | Self::Wait(_) => false,
        }
    }
}

impl CallSpec {
    /// Whether making it twice does no more than making it once (RFC 9110, 9.2.2), or the upstream
    /// is told how to see that it is the same.
    fn may_be_made_twice(&self) -> bool {
        self.method.is_idempotent()
            || self
                .headers
                .iter()
                .any(|(name, _)| name == "idempotency-key")
    }
}

impl StepSpec {
    /// Of its calls, those that leave something else behind when they are made again: a flow that
    /// ends half-way between them cannot just be asked for once more.
    fn unrepeatable_calls(&self) -> usize {
        let once = match &self.kind {
            StepKind::Call(call) => usize::from(!call.method.is_idempotent()),
            StepKind::Flow(flow) => flow.plan.unrepeatable_calls(),
            StepKind::Value(_) | StepKind::Wait(_) => 0,
        };
        // Any item after the first may fail.
        if self.foreach.is_some() {
            once * 2
        } else {
            once
        }
    }
}

/// Everything a step reads of other steps, and where.
fn waits_of(step: &StepSpec, body_use: &mut BodyUse) -> Vec<Wait> {
    let mut waits: Vec<Wait> = step
        .after
        .iter()
        .map(|&step| Wait {
            step,
            why: Why::After,
        })
        .collect();
    let mut note = |why: Why, reads: &Reads| {
        if reads.body {
            *body_use = BodyUse::Parsed;
        }
        waits.extend(reads.steps.iter().map(|&step| Wait {
            step,
            why: why.clone(),
        }));
    };
    if let Some(when) = &step.when {
        note(Why::When, when.reads());
    }
    if let Some(foreach) = &step.foreach {
        note(Why::Foreach, foreach.items.reads());
    }
    match &step.kind {
        StepKind::Value(value) => note(Why::Value, value.reads()),
        StepKind::Wait(WaitSpec::Until(until)) => note(Why::Wait, until.reads()),
        StepKind::Wait(WaitSpec::For(_)) => {}
        StepKind::Flow(flow) => {
            if let BodySpec::Json(body) = &flow.body {
                note(Why::Body, body.reads());
            }
        }
        StepKind::Call(call) => {
            note(Why::Target, call.target.reads());
            for (name, template) in &call.headers {
                note(Why::Header(name.clone()), template.reads());
            }
            for (name, value) in &call.query {
                note(Why::Query(name.clone()), value.reads());
            }
            if let BodySpec::Json(body) = &call.body {
                note(Why::Body, body.reads());
            }
            if let Some(key) = call.cache.as_ref().and_then(|cache| cache.key.as_ref()) {
                note(Why::Cache, key.reads());
            }
        }
    }
    if let Some(default) = &step.default {
        note(Why::Default, default.reads());
    }
    if let StepKind::Call(CallSpec { body, .. }) | StepKind::Flow(FlowStep { body, .. }) =
        &step.kind
        && matches!(body, BodySpec::Client)
    {
        *body_use = (*body_use).max(BodyUse::Bytes);
    }
    waits
}

/// The steps that no other waits for, where the first of them to succeed is the response.
fn candidates(spec: &FlowSpec, nodes: &[Node]) -> StepSet {
    if spec.response.body.is_some() || spec.response.merge != Merge::First {
        return StepSet::default();
    }
    let parts = spec.steps.iter().enumerate();
    let parts = parts.filter(|(_, step)| !matches!(step.kind, StepKind::Wait(_)));
    nodes.iter().fold(
        parts.map(|(place, _)| place).collect(),
        |left: StepSet, node| left.without(node.waits_for),
    )
}

/// What the response reads.
fn response_reads(spec: &FlowSpec) -> Reads {
    let mut reads = Reads::default();
    if let Some(body) = &spec.response.body {
        reads.join(body.reads());
    }
    for (_, template) in &spec.response.headers {
        reads.join(template.reads());
    }
    for rule in &spec.response.forward {
        for step in &rule.from {
            if !reads.steps.contains(step) {
                reads.steps.push(*step);
            }
        }
    }
    reads.steps.sort_unstable();
    reads
}

/// `name` as a key of a dictionary (RFC 9651, 3.1.2): lower case, and none of `taken`.
fn dictionary_key(name: &str, taken: &[Node]) -> Arc<str> {
    let mut key = String::with_capacity(name.len() + 1);
    for letter in name.chars() {
        match letter.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9' | '_' | '-' | '.' | '*') => {
                if key.is_empty() && !letter.is_ascii_lowercase() && letter != '*' {
                    key.push('*');
                }
                key.push(letter);
            }
            _ if key.is_empty() => key.push_str("*_"),
            _ => key.push('_'),
        }
    }
    let is_taken = |key: &str| taken.iter().any(|node| *node.key == *key);
    let mut free = key.clone();
    for number in 2..=STEPS_MAX {
        if !is_taken(&free) {
            break;
        }
        free = format!("{key}.{number}");
    }
    free.into()
}
