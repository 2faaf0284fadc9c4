//! The gateway as its clients and its upstreams meet it: over sockets.

#![cfg(test)]
#![expect(
    clippy::format_push_string,
    reason = "in tests an allocation costs less than a second way to write text"
)]

mod support;

mod admin;
mod body;
mod cached;
mod cli;
mod composition;
mod drain;
mod explain;
mod flow;
mod guard;
mod guide;
mod hostile;
mod import;
mod memory;
mod observe;
mod progressive;
mod proxy;
mod reload;
mod route;
mod tls;
mod tour;
mod trial;
mod validate;
