//! One call to one group of servers, with all that makes it dependable.
//!
//! [`Group::call`] chooses an endpoint, takes a connection from the worker's own [`Pools`] or
//! opens one, sends the request, and tries again where that is safe. What workers share (health,
//! bounds, counters) is atomic; connections never leave the worker that opened them.

pub mod spec;
pub mod group;
pub mod headers;
pub mod facts;
pub mod dial;
mod balance;
mod body;
mod cap;
mod endpoint;
mod health;
mod resolve;
mod tls;
mod connect;
mod deadline;
mod pool;
mod send;
mod http2;
mod retry;
mod call;
mod tend;
#[cfg(test)]
mod tests;

pub use call::CallNote;
pub use facts::{EndpointFacts, Failure, GroupFacts, HealthState};
pub use group::{BuildError, Group};
pub use pool::Pools;
pub use spec::{
    Balance, EndpointSpec, HealthSpec, Protocol, RetryOn, RetrySpec, UpstreamSpec, UpstreamTls,
};
pub use tls::{TlsError, TlsMaterial};
