//! What the gateway tells its operator: logs, one line per request, and metrics.

pub mod access_log;
mod line;
pub mod log;
pub mod metrics;
pub mod spec;

pub use access_log::{AccessLog, Part, Quoted, Record, Target, WorkerLog};
pub use metrics::{Metrics, Slot};
pub use spec::{AccessLogSpec, LogFormat};
