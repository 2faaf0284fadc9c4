//! HTTP/1.1 on both sides of the gateway: strict heads and framing, and what drives a connection.
//!
//! Bytes become an [`exchange::Request`](crate::exchange::Request) or
//! [`exchange::Response`](crate::exchange::Response) here and nowhere else. What is sent is always
//! built anew from what was understood; a received length, coding or connection field never
//! crosses. `docs/http.md` lists every rule with its test.

mod buffer;
mod chunk;
pub mod client;
pub mod connection;
mod drain;
mod fields;
mod framing;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod head;
mod request_body;
mod target;
mod timer;
mod tunnel;
mod write;

#[cfg(test)]
mod tests;

pub use client::{Connection, OutgoingHead, SendError, SendFailure, SendOptions, Sending};
pub use connection::{Limits, serve};
pub use drain::Drain;
pub use fields::{HeadError, HeadLimits};
pub use timer::{Timer, Wait};
