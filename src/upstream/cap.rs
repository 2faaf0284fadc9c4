//! Bounds and counts the connections to one endpoint, over all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The connections to one endpoint.
#[derive(Default)]
pub(super) struct Cap {
    open: AtomicUsize,
    /// Calls, of any worker, that wait until they may open one.
    waiting: AtomicUsize,
    freed: Notify,
}

impl Cap {
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Counts a new connection; none when `bound` are open.
    pub(super) fn take(self: &Arc<Self>, bound: Option<usize>) -> Option<OpenConnection> {
        let bound = bound.unwrap_or(usize::MAX);
        let one_more = |open: usize| (open < bound).then(|| open + 1);
        self.open
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
            .is_ok()
            .then(|| OpenConnection(Arc::clone(self)))
    }

    /// Announces that a connection is wanted, until what it returns is dropped.
    pub(super) fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(Arc::clone(self))
    }

    /// Until a connection may have been closed. Listens from the first poll on.
    pub(super) fn freed(&self) -> tokio::sync::futures::Notified<'_> {
        self.freed.notified()
    }
}

/// Counts one connection until it is dropped.
pub(super) struct OpenConnection(Arc<Cap>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        if self.0.waiting() > 0 {
            self.0.freed.notify_one();
        }
    }
}

/// Counts one call that waits until it is dropped.
pub(super) struct Waiting(Arc<Cap>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
