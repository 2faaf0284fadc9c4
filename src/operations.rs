//! What the gateway shows and does for the admin listener.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::admin::{Operations, Readiness, ReloadReport, inspect};
use crate::gateway::Core;

/// The gateway as operators see it.
pub struct ForOperators(pub Arc<Core>);

impl Operations for ForOperators {
    fn readiness(&self) -> Readiness {
        if self.0.shared.draining.load(Ordering::Relaxed) {
            Readiness::Draining
        } else {
            Readiness::Ready
        }
    }

    fn routes(&self) -> Value {
        inspect::routes(&self.0.shared.snapshot().spec, &self.0.metrics)
    }

    fn upstreams(&self) -> Value {
        inspect::upstreams(&self.0.shared.snapshot().upstreams, &self.0.metrics)
    }

    fn config(&self) -> Value {
        self.0.shared.snapshot().spec.effective.masked()
    }

    fn last_reload(&self) -> ReloadReport {
        self.0.last_reload()
    }

    fn reload(&self) -> ReloadReport {
        self.0.reload()
    }

    fn metrics(&self, out: &mut String) {
        let snapshot = self.0.shared.snapshot();
        let figures = inspect::figures(&snapshot.upstreams, &snapshot.authenticators);
        self.0.metrics.encode(figures, out);
    }
}
