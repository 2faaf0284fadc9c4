//! What the streams of a connection tell it: how many are at work, and what their client does.

use std::cell::Cell;
use std::rc::Rc;

/// Streams at work.
#[derive(Default)]
pub(super) struct Active {
    streams: Cell<usize>,
    /// Of these, how many hold a piece that there is no room for: the client must first take
    /// something.
    blocked: Cell<usize>,
    /// A stream has begun, ended, or given a piece since the connection last looked.
    moved: Cell<bool>,
    /// The client has sent something since then.
    heard: Cell<bool>,
}

impl Active {
    /// Counts a stream that the client has begun.
    pub fn begin(self: &Rc<Self>) -> ActiveStream {
        self.streams.set(self.streams.get() + 1);
        self.moved.set(true);
        self.heard.set(true);
        ActiveStream {
            active: Rc::clone(self),
            is_blocked: false,
        }
    }

    pub fn streams(&self) -> usize {
        self.streams.get()
    }

    /// Whether everything waits for the client. A stream that waits for its answer is bounded by
    /// the deadline of its route.
    pub fn waits_for_client(&self) -> bool {
        self.streams.get() == self.blocked.get()
    }

    /// A piece of a request has come.
    pub fn hear(&self) {
        self.heard.set(true);
    }

    pub fn take_moved(&self) -> bool {
        self.moved.take()
    }

    pub fn take_heard(&self) -> bool {
        self.heard.take()
    }
}

/// Counts one stream until its response has ended.
pub(super) struct ActiveStream {
    active: Rc<Active>,
    is_blocked: bool,
}

impl ActiveStream {
    /// A piece was taken.
    pub fn moved(&self) {
        self.active.moved.set(true);
    }

    /// Whether a piece waits for room at the client.
    pub fn set_blocked(&mut self, is_blocked: bool) {
        let blocked = &self.active.blocked;
        match (self.is_blocked, is_blocked) {
            (false, true) => blocked.set(blocked.get() + 1),
            (true, false) => blocked.set(blocked.get().saturating_sub(1)),
            _ => {}
        }
        self.is_blocked = is_blocked;
    }
}

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.set_blocked(false);
        let active = &self.active;
        active.streams.set(active.streams.get().saturating_sub(1));
        active.moved.set(true);
    }
}
