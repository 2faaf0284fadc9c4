//! The upstream stage against real sockets on loopback, honest and otherwise.

pub mod backend;
mod calls;
mod choices;
mod http2;
mod http2_backend;
mod tls;
