//! Tells the connections of a worker that the gateway is going to stop.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// One for all connections of a worker; clones are the same. It costs a connection one look at
/// a flag per request, and one registration in its life.
#[derive(Clone, Default)]
pub struct Drain(Rc<Draining>);

#[derive(Default)]
struct Draining {
    started: Cell<bool>,
    watchers: RefCell<Watchers>,
}

#[derive(Default)]
struct Watchers {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Drain {
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on no connection takes another request after the one it is at.
    pub fn start(&self) {
        self.0.started.set(true);
        // A waker may run code of its own: the list is not borrowed meanwhile.
        let wakers: Vec<Waker> = {
            let watchers = self.0.watchers.borrow();
            watchers.wakers.iter().flatten().cloned().collect()
        };
        wakers.iter().for_each(Waker::wake_by_ref);
    }

    pub fn has_started(&self) -> bool {
        self.0.started.get()
    }

    /// Waits for the start.
    pub async fn started(&self) {
        let mut watch = self.watch();
        std::future::poll_fn(|context| watch.poll_started(context)).await;
    }

    pub(super) fn watch(&self) -> Watch {
        Watch {
            drain: self.clone(),
            slot: None,
        }
    }
}

impl std::fmt::Debug for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Drain").field(&self.has_started()).finish()
    }
}

/// A connection's place in the list of those to be woken.
pub(super) struct Watch {
    drain: Drain,
    slot: Option<usize>,
}

impl Watch {
    pub fn has_started(&self) -> bool {
        self.drain.has_started()
    }

    /// Ready once the drain has started.
    pub fn poll_started(&mut self, context: &Context<'_>) -> Poll<()> {
        if self.has_started() {
            return Poll::Ready(());
        }
        let watchers = &mut *self.drain.0.watchers.borrow_mut();
        let slot = *self.slot.get_or_insert_with(|| {
            watchers.free.pop().unwrap_or_else(|| {
                watchers.wakers.push(None);
                watchers.wakers.len() - 1
            })
        });
        if let Some(waker) = watchers.wakers.get_mut(slot) {
            match waker {
                Some(waker) => waker.clone_from(context.waker()),
                None => *waker = Some(context.waker().clone()),
            }
        }
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        let waker = {
            let watchers = &mut *self.drain.0.watchers.borrow_mut();
            watchers.free.push(slot);
            watchers.wakers.get_mut(slot).and_then(Option::take)
        };
        // Dropped after the borrow has ended.
        drop(waker);
    }
}
