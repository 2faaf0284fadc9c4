//! The access log as the file describes it, checked.

use std::path::PathBuf;

/// Where access-log lines go and how they look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogSpec {
    pub format: LogFormat,
    /// None: standard output.
    pub file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    Off,
    #[default]
    Json,
    Text,
}
