//! JSON as bytes: checked once (RFC 8259), then cut and moved as slices, never built into a tree.
//!
//! [`Json::parse`] is the only way in: it checks the text strictly, in one pass without recursion,
//! and a [`Json`] is the proof. Whatever is cut out of it shares its buffer and keeps number text,
//! key order and escapes exactly as they came.

mod check;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod scan;
mod slice;
mod text;

#[cfg(test)]
mod tests;

pub use check::{DEPTH_DEFAULT, DEPTH_MAX, JsonError, check};
pub use slice::{Elements, Entries, Json, Kind};
pub use text::{write_escaped, write_string};
