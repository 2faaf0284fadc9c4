//! Turns one request into the steps of its plan and one result.

pub mod spec;
pub mod plan;
pub mod mistake;
mod collide;
mod facts;
pub mod state;
mod scope;
mod reply;
mod call;
mod foreach;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod run;
mod splice;
pub mod merge;
pub mod cache_control;
mod fields;
mod progress;
pub mod cache;
mod respond;
pub mod on_error;
pub mod outcome;

#[cfg(test)]
mod cache_tests;
#[cfg(test)]
mod backends;
#[cfg(test)]
mod trial;
#[cfg(test)]
mod foreach_tests;
#[cfg(test)]
mod hedge_tests;
#[cfg(test)]
mod nest_tests;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod progress_tests;
#[cfg(test)]
mod run_tests;
#[cfg(test)]
mod answer_tests;

use std::future::Future;
use std::pin::Pin;

use crate::exchange::{CallError, Outgoing, Response};

pub use cache::PartCache;
pub use cache_control::Ceiling;
pub use facts::{PlanFacts, StepFacts};
pub use mistake::{PlanMistake, PlanMistakeKind};
pub use on_error::{ErrorFacts, Instead, OnErrorSpec};
pub use outcome::{
    CacheTally, Failure, FlowAnswer, FlowError, FlowFault, MergeError, Outcome, PartReport,
    parts_header,
};
pub use plan::{BodyUse, Plan, STEPS_MAX, Wait, Why};
pub use progress::{FinalPart, Outlet};
pub use run::FlowInput;
pub use spec::{
    BodySpec, CacheSpec, CallSpec, FieldConflict, FlowSpec, FlowStep, ForeachSpec, ForwardSpec,
    Merge, OnConflict, ResponseSpec, StatusRange, StepKind, StepSpec, WaitSpec,
};

/// A future of one worker.
pub type Local<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What a flow needs of the stage behind it: somebody who calls upstreams.
pub trait Call {
    /// Calls upstream `upstream` (its index in the gateway's list). Dropping the future cancels
    /// the call.
    fn call(&self, upstream: usize, outgoing: Outgoing) -> Local<'_, Result<Response, CallError>>;

    /// Where parts are kept; without it none are.
    fn parts(&self) -> Option<&PartCache> {
        None
    }

    /// Whether the run goes on whatever its client does. Nobody waits for a call of one that does
    /// not.
    fn is_prompt(&self) -> bool {
        true
    }

    /// Another number whenever another upstream goes by the same name: what was kept of the one is
    /// not given for the other.
    fn generation(&self, _upstream: usize) -> u64 {
        0
    }
}
