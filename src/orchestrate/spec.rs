//! A flow as the file describes it: steps, response, merge. Names are resolved, the graph is not
//! yet checked: `Plan::new` does that.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};

use super::plan::Plan;
use crate::decode::Format;
use crate::exchange::outgoing::RetrySpec;
use crate::expression::{Expression, Template};

/// A named graph of steps and the response made of them.
#[derive(Clone, Debug)]
pub struct FlowSpec {
    /// The flow's name, or its route's.
    pub name: String,
    /// In the order of the file.
    pub steps: Vec<StepSpec>,
    pub response: ResponseSpec,
    /// Bytes of one part held in memory at most; more is a failure of that part.
    pub part_bytes: u64,
    /// `partial_writes = "accept"`: several calls that write may be done in part.
    pub partial_writes: bool,
}

/// One node of a flow.
#[derive(Clone, Debug)]
pub struct StepSpec {
    pub name: String,
    pub kind: StepKind,
    /// False: the step is skipped, and null to those that read it.
    pub when: Option<Arc<Expression>>,
    /// Done once for each item of a list.
    pub foreach: Option<ForeachSpec>,
    /// Waits beside those that the expressions imply: indices of steps.
    pub after: Vec<usize>,
    /// Its failure does not fail the flow. In a `foreach` step: that of an item.
    pub optional: bool,
    /// What stands in its place when it failed; null where none. A skipped step is null. In a
    /// `foreach` step: in the place of an item.
    pub default: Option<Arc<Expression>>,
}

/// A step that is done once for each item: its `body`, `status` and `outcome` are lists in the
/// order of the items.
#[derive(Clone, Debug)]
pub struct ForeachSpec {
    /// A list. `when` is asked once, before it is read.
    pub items: Arc<Expression>,
    /// Calls at work at once, 1 at least.
    pub concurrency: usize,
    /// More items than these are an error of the step.
    pub max_items: usize,
    /// Equal calls are made once: same target, fields and body. With `chunk`, equal items are
    /// sent once.
    pub distinct: bool,
    /// One call for so many items, for upstreams that take several at once: `item` is a list of
    /// them. 1 at least.
    pub chunk: Option<usize>,
}

impl ForeachSpec {
    pub const CONCURRENCY: usize = 8;
    pub const MAX_ITEMS: usize = 100;

    /// Calls that one run makes at most.
    pub fn calls(&self) -> usize {
        self.max_items.div_ceil(self.chunk.unwrap_or(1).max(1))
    }
}

/// What a step does. Closed: a new kind is a new variant, and every match must answer for it.
#[derive(Clone, Debug)]
pub enum StepKind {
    Call(CallSpec),
    /// An expression's value, no call.
    Value(Arc<Expression>),
    /// Another flow, run within this one.
    Flow(FlowStep),
    /// Nothing, for a while. It contributes no part.
    Wait(WaitSpec),
}

/// A flow inside a flow. It reads the same request; its steps are its own.
#[derive(Clone, Debug)]
pub struct FlowStep {
    pub name: Arc<str>,
    /// Checked before the flow that has it can be: so flows never go round in circles.
    pub plan: Arc<Plan>,
    /// What it reads as `body`.
    pub body: BodySpec,
    /// Its share of the deadline; the rest of it where none.
    pub timeout: Option<Duration>,
}

/// How long a step waits.
#[derive(Clone, Debug)]
pub enum WaitSpec {
    For(Duration),
    /// The expression's value: a duration from now, or the time at which it ends.
    Until(Arc<Expression>),
}

/// A call to an upstream.
#[derive(Clone, Debug)]
pub struct CallSpec {
    pub method: Method,
    /// Index of the upstream in the gateway's list.
    pub upstream: usize,
    pub upstream_name: Arc<str>,
    /// Path and query.
    pub target: Template,
    /// Names in lower case.
    pub headers: Vec<(String, Template)>,
    /// Added behind the target's own query, percent-encoded.
    pub query: Vec<(String, Arc<Expression>)>,
    pub body: BodySpec,
    /// Request fields to pass on, lower case.
    pub forward: Vec<String>,
    /// Statuses that count as success.
    pub accept: Vec<StatusRange>,
    /// What the answer is read as.
    pub decode: Format,
    /// Of one attempt; the upstream's where none.
    pub timeout: Option<Duration>,
    /// When and how often it is tried again; the upstream's where none.
    pub retry: Option<Arc<RetrySpec>>,
    /// When no answer has come for so long, the same is asked once more; the first good answer
    /// counts, and the other call is cancelled. Only for what may be asked twice.
    pub hedge: Option<Duration>,
    /// What it brings is kept for a while.
    pub cache: Option<Arc<CacheSpec>>,
}

/// How long a part is kept, and how much is kept of a step, on each worker.
#[derive(Clone, Debug)]
pub struct CacheSpec {
    /// Flow and step: what is kept under this name lives on over a reload.
    pub name: Arc<str>,
    pub ttl: Duration,
    /// How long after that it may still stand in for a call that fails.
    pub stale_if_error: Duration,
    /// Told apart beside all that the call sends.
    pub key: Option<Arc<Expression>>,
    pub max_entries: usize,
    /// With keys and fields.
    pub max_bytes: usize,
    /// Kept even where the upstream's `Cache-Control` says otherwise.
    pub ignore_cache_control: bool,
    /// The call changes nothing, though its method might.
    pub read_only: bool,
}

/// What a call sends.
#[derive(Clone, Debug, Default)]
pub enum BodySpec {
    #[default]
    Nothing,
    /// The client's body as it came, with its `Content-Type`.
    Client,
    /// The expression's value as JSON.
    Json(Arc<Expression>),
}

/// Statuses from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    pub first: u16,
    pub last: u16,
}

impl StatusRange {
    pub const SUCCESS: Self = Self {
        first: 200,
        last: 299,
    };

    /// `2xx` or `404`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_suffix("xx") {
            let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
            return Some(Self {
                first: class * 100,
                last: class * 100 + 99,
            });
        }
        let status = text
            .parse()
            .ok()
            .filter(|status| (100..=599).contains(status))?;
        Some(Self {
            first: status,
            last: status,
        })
    }

    pub const fn contains(self, status: u16) -> bool {
        self.first <= status && status <= self.last
    }
}

/// The response made of the parts.
#[derive(Clone, Debug, Default)]
pub struct ResponseSpec {
    /// 200 where none.
    pub status: Option<StatusCode>,
    /// Names in lower case.
    pub headers: Vec<(String, Template)>,
    /// Fields of the parts' answers to pass on; `headers` of the file stand in their place.
    pub forward: Vec<ForwardSpec>,
    /// None: the parts are merged by `merge`.
    pub body: Option<Arc<Expression>>,
    pub merge: Merge,
    pub on_conflict: OnConflict,
}

/// A field that the response takes from the answers of the steps. Of `cache-control` the strictest
/// is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardSpec {
    /// In lower case.
    pub name: String,
    /// Of these steps only; of any where empty.
    pub from: Vec<usize>,
    pub on_conflict: FieldConflict,
}

/// What happens when several answers have a field that is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FieldConflict {
    /// That of the step that stands first in the file.
    #[default]
    First,
    Last,
    /// All of them, each a line of its own.
    Append,
    /// Where they differ: 500.
    Error,
}

/// How parts become one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Merge {
    /// Each part under its step's name.
    #[default]
    Nest,
    /// Objects side by side.
    Flatten,
    /// Objects side by side; where several have an object under one key, those are merged too.
    Deep,
    /// Arrays one behind the other.
    Concat,
    /// The first part to succeed, of those that no other step waits for; the rest are cancelled.
    First,
}

/// What happens when two parts of a `flatten` or `deep` merge have the same key. The key stands
/// where it first stood, whoever wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// The merge fails: 500.
    #[default]
    Error,
    /// The part that stands first in the file wins.
    First,
    Last,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_a_class_or_one() {
        assert_eq!(StatusRange::parse("2xx"), Some(StatusRange::SUCCESS));
        assert!(StatusRange::parse("404").is_some_and(|range| range.contains(404)));
        for bad in ["", "xx", "9xx", "20x", "99", "600", "2XX"] {
            assert_eq!(StatusRange::parse(bad), None, "{bad}");
        }
    }
}
