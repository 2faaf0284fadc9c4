//! Concertina: an API gateway with built-in request orchestration.
//!
//! The modules stand in the order in which a request meets them; `pipeline` is the path itself.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod gateway;
pub mod operations;
pub mod worker;
pub mod serve;
pub mod snapshot;
pub mod pipeline;
pub mod progressive;
pub mod record;
pub mod error;

pub mod listen;
pub mod tls;
pub mod http1;
pub mod exchange;
pub mod route;
pub mod guard;
pub mod intake;
pub mod orchestrate;
pub mod upstream;
pub mod respond;

pub mod expression;
pub mod json;
pub mod decode;

pub mod fetch;
pub mod config;
pub mod store;
pub mod observe;
pub mod admin;
pub mod cli;
