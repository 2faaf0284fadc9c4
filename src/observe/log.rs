//! The log of the gateway itself, for its operator: on standard error, as text or JSON.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// How the operator's log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Sends events to standard error from now on; once a process.
///
/// `filter` says what is shown: a level such as `info`, or levels by module, in the syntax of
/// `tracing_subscriber`'s `EnvFilter`.
pub fn start(format: Format, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| format!("`{filter}` is not a log level or filter: {error}"))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(format == Format::Text && stderr().is_terminal())
        .with_target(format == Format::Json);
    let started = match format {
        Format::Text => lines.try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| format!("the log cannot be started: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let error = start(Format::Text, "concertina=loud=x").unwrap_err();
        assert!(error.contains("concertina=loud=x"), "{error}");
    }
}
