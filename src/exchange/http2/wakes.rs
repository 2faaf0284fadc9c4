//! Tells a connection which of its streams can go on, so that one task serves them all.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// What was woken since the connection last looked. A waker can be used by any thread, hence the
/// lock; only rarely does another one do so.
#[derive(Default)]
pub(super) struct Wakes(Arc<Shared>);

#[derive(Default)]
struct Shared(Mutex<State>);

struct State {
    /// The streams to poll, by their slots.
    streams: Vec<usize>,
    /// Whether to poll the connection itself: for frames that came, or that streams gave.
    connection: bool,
    /// The task, while it sleeps. At work it looks here before it sleeps again, so that what
    /// streams and connection tell each other costs no turn of the runtime.
    asleep: Option<Waker>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            streams: Vec::new(),
            // Nothing has asked for its first turn.
            connection: true,
            asleep: None,
        }
    }
}

impl Wakes {
    /// What wakes the connection itself.
    pub fn connection(&self) -> Waker {
        Waker::from(Arc::new(ConnectionWaker(Arc::clone(&self.0))))
    }

    /// What wakes the stream in this slot.
    pub fn stream(&self, slot: usize) -> StreamWaker {
        let inner = Arc::new(Inner {
            shared: Arc::clone(&self.0),
            slot,
            woken: AtomicBool::new(false),
        });
        StreamWaker {
            waker: Waker::from(Arc::clone(&inner)),
            inner,
        }
    }

    /// The task is at work.
    pub fn awake(&self) {
        self.0.state().asleep = None;
    }

    /// The task has done what it could; woken at once where something has come up since.
    pub fn sleep(&self, task: &Waker) {
        let mut state = self.0.state();
        if state.connection || !state.streams.is_empty() {
            task.wake_by_ref();
        } else {
            state.asleep = Some(task.clone());
        }
    }

    /// The connection is about to be polled: it need not be for what has happened until now.
    pub fn heed_connection(&self) {
        self.0.state().connection = false;
    }

    pub fn wants_connection(&self) -> bool {
        self.0.state().connection
    }

    /// Takes the streams to poll, in exchange for an empty list.
    pub fn take_streams(&self, list: &mut Vec<usize>) {
        mem::swap(&mut self.0.state().streams, list);
    }
}

impl Drop for Wakes {
    /// Wakers may outlive the connection; its task must not be kept by them.
    fn drop(&mut self) {
        self.awake();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something to do.
    fn wake(&self, note: impl FnOnce(&mut State)) {
        let mut state = self.state();
        note(&mut state);
        let asleep = state.asleep.take();
        drop(state);
        if let Some(task) = asleep {
            task.wake();
        }
    }
}

struct ConnectionWaker(Arc<Shared>);

impl Wake for ConnectionWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake(|state| state.connection = true);
    }
}

/// What wakes one slot, for one stream after another.
pub(super) struct StreamWaker {
    pub waker: Waker,
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    slot: usize,
    /// Already noted.
    woken: AtomicBool,
}

impl StreamWaker {
    /// The stream is about to be polled: it need not be for what has happened until now.
    pub fn heed(&self) {
        self.inner.woken.store(false, Ordering::Release);
    }
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.shared.wake(|state| state.streams.push(self.slot));
        }
    }
}
