//! A second listener, for operators only.
//!
//! It knows the gateway by one small trait, [`Operations`], and runs on the control runtime, so that
//! nothing an operator asks for waits behind requests, or they behind it.

mod answer;
mod entry;
pub mod inspect;
mod serve;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::Value;

pub use serve::serve;

/// What the admin listener asks of the gateway. Every method may block for as long as building a
/// snapshot takes; they are called on threads where that is allowed.
pub trait Operations: Send + Sync + 'static {
    /// Whether this process should be sent requests.
    fn readiness(&self) -> Readiness;

    /// An array of routes in the order of the file: see [`inspect::routes`].
    fn routes(&self) -> Value;

    /// An array of upstreams in the order of the file: see [`inspect::upstreams`].
    fn upstreams(&self) -> Value;

    /// The file that is served, secrets masked.
    fn config(&self) -> Value;

    /// How the file was last loaded.
    fn last_reload(&self) -> ReloadReport;

    /// Loads the file again, as SIGHUP does.
    fn reload(&self) -> ReloadReport;

    /// Appends the metrics to `out`, as [`crate::observe::Metrics::encode`] does.
    fn metrics(&self, out: &mut String);
}

/// Whether requests are welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// Not yet: nothing is served.
    Starting,
    /// Not any more: the process is about to end.
    Draining,
}

/// How loading the file went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReloadReport {
    pub outcome: ReloadOutcome,
    /// When, as RFC 3339.
    pub time: String,
    /// What keeps the file from being served. Empty unless it was refused.
    pub mistakes: Vec<MistakeReport>,
}

/// How loading the file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReloadOutcome {
    Applied,
    /// It has mistakes: what was served before still is.
    Refused,
}

/// One mistake, and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MistakeReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    pub message: String,
    /// How to put it right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl ReloadReport {
    /// A report of something that ended just now.
    pub fn now(outcome: ReloadOutcome, mistakes: Vec<MistakeReport>) -> Self {
        Self {
            outcome,
            time: jiff::Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string(),
            mistakes,
        }
    }
}
