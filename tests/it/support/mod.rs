//! What every test needs: a gateway, clients, scripted upstreams, certificates, tokens.

pub mod certs;
pub mod client;
pub mod gateway;
pub mod h2;
pub mod message;
pub mod process;
pub mod tokens;
pub mod upstream;

pub use client::Client;
pub use gateway::TestGateway;
pub use upstream::{Answer, Gate, Upstream};

use std::time::Duration;

/// The longest that any test waits for anything: only a failing test ever waits so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until the answer is yes, giving other threads their turn in between.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let given_up = tokio::time::Instant::now() + PATIENCE;
    let (never, nobody) = (std::sync::Condvar::new(), std::sync::Mutex::new(()));
    while !holds() {
        assert!(
            tokio::time::Instant::now() < given_up,
            "never came true: {what}"
        );
        // Nobody notifies: this only gives the others time.
        drop(never.wait_timeout(nobody.lock().unwrap(), Duration::from_millis(5)));
    }
}
