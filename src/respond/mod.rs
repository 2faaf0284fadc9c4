//! The only place where statuses and bodies for the client are made.

pub mod problem;

pub use problem::Problem;
