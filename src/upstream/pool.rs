//! Keeps the connections of one worker: idle ones for reuse, shared ones with their streams.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Protocol;
use super::cap::OpenConnection;
use super::connect::Stream;
use super::dial::{Dial, Dialer};
use super::endpoint::Endpoint;
use super::facts::Shard;
use super::group::Group;
use super::http2::Http2;
use crate::exchange::id;
use crate::http1;

/// How long a connection waits for its next request. Servers commonly close after 60 or 75
/// seconds; closing first means never to write into a connection that is being closed.
const IDLE: Duration = Duration::from_secs(30);

/// How old a connection may grow, so that changed addresses are taken up.
const AGE_MAX: Duration = Duration::from_mins(10);

/// The most idle HTTP/1.1 connections that a worker keeps to one endpoint.
const IDLE_MAX: usize = 256;

/// How long a call that may not open a connection waits before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How often connections that wait for nothing are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// Every upstream connection of one worker. Nothing here is shared with other workers.
pub struct Pools {
    worker: usize,
    /// By the id of the group.
    groups: RefCell<BTreeMap<u64, Rc<LocalGroup>>>,
    /// By the id of the endpoint.
    slots: RefCell<BTreeMap<u64, Rc<Slot>>>,
    sweeping: Cell<bool>,
    dial: Option<Rc<dyn Dial>>,
}

/// A group as one worker sees it.
pub(super) struct LocalGroup {
    pub(super) slots: Vec<Rc<Slot>>,
    /// Whose turn it is; each worker starts elsewhere.
    pub(super) turn: Cell<usize>,
}

/// The connections of one worker to one endpoint.
pub(super) struct Slot {
    pub(super) endpoint: Arc<Endpoint>,
    /// The endpoint's URL for notes on calls: a count of references of the worker's own, for each
    /// call changes it.
    pub(super) url: Rc<str>,
    worker: usize,
    /// None: the network.
    pub(super) dialer: Option<Dialer>,
    /// The one used last is at the end, and is used first.
    idle: RefCell<Vec<Idle>>,
    pub(super) http2: RefCell<Vec<Rc<Http2>>>,
    /// Held while a connection is opened that many requests will share.
    pub(super) opening: tokio::sync::Mutex<()>,
    /// Whether the endpoint speaks HTTP/2, once that is known.
    pub(super) speaks_http2: Cell<Option<bool>>,
    /// Nobody will ask again: what comes back is not kept.
    closed: Cell<bool>,
    /// Calls of this worker that wait for a connection to come back, for no more may be opened.
    waiting: Cell<usize>,
    returned: Notify,
}

/// An HTTP/1.1 connection and since when it waits.
struct Idle {
    connection: Http1,
    since: Instant,
}

pub(super) type Http1 = http1::Connection<Wire>;

impl Pools {
    /// No connections yet. To be made on the worker's own runtime, once.
    pub fn new() -> Rc<Self> {
        static WORKERS: AtomicUsize = AtomicUsize::new(0);
        Rc::new(Self {
            worker: WORKERS.fetch_add(1, Ordering::Relaxed),
            groups: RefCell::default(),
            slots: RefCell::default(),
            sweeping: Cell::new(false),
            dial: None,
        })
    }

    /// No connections yet, and none to be made but by `dial`.
    pub fn dialled_by(dial: Rc<dyn Dial>) -> Rc<Self> {
        Rc::new(Self {
            worker: 0,
            groups: RefCell::default(),
            slots: RefCell::default(),
            sweeping: Cell::new(false),
            dial: Some(dial),
        })
    }

    /// What this worker has of `group`.
    pub(super) fn local(self: &Rc<Self>, group: &Group) -> Rc<LocalGroup> {
        if let Some(local) = self.groups.borrow().get(&group.id) {
            return Rc::clone(local);
        }
        let mut slots = self.slots.borrow_mut();
        let slots = group.endpoints.iter().map(|endpoint| {
            let slot = slots.entry(endpoint.id).or_insert_with(|| {
                let dialer = self.dial.as_ref().map(|dial| Dialer {
                    dial: Rc::clone(dial),
                    upstream: group.name().into(),
                });
                Rc::new(Slot::new(endpoint, self.worker, dialer))
            });
            Rc::clone(slot)
        });
        let local = Rc::new(LocalGroup {
            slots: slots.collect(),
            turn: Cell::new(id::random() as u32 as usize),
        });
        self.groups.borrow_mut().insert(group.id, Rc::clone(&local));
        if !self.sweeping.replace(true) {
            tokio::task::spawn_local(sweep(Rc::downgrade(self)));
        }
        local
    }

    /// Forgets every group but `groups`, with the connections of endpoints that only the others
    /// have. Requests under way on them go on.
    pub fn retain_used(&self, groups: &[Arc<Group>]) {
        self.groups
            .borrow_mut()
            .retain(|id, _| groups.iter().any(|group| group.id == *id));
        self.slots.borrow_mut().retain(|id, slot| {
            let mut endpoints = groups.iter().flat_map(|group| &group.endpoints);
            let used = endpoints.any(|endpoint| endpoint.id == *id);
            if !used {
                slot.close();
            }
            used
        });
    }
}

async fn sweep(pools: Weak<Pools>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(pools) = pools.upgrade() else {
            return;
        };
        for slot in pools.slots.borrow().values() {
            slot.tidy();
        }
    }
}

impl Slot {
    fn new(endpoint: &Arc<Endpoint>, worker: usize, dialer: Option<Dialer>) -> Self {
        Self {
            endpoint: Arc::clone(endpoint),
            url: endpoint.url.as_str().into(),
            worker,
            dialer,
            idle: RefCell::default(),
            http2: RefCell::default(),
            opening: tokio::sync::Mutex::new(()),
            speaks_http2: Cell::new(match endpoint.protocol {
                Protocol::H2 => Some(true),
                Protocol::H1 => Some(false),
                Protocol::Auto => endpoint.tls.is_none().then_some(false),
            }),
            closed: Cell::new(false),
            waiting: Cell::new(0),
            returned: Notify::new(),
        }
    }

    /// Where this worker counts what it asks of the endpoint.
    pub(super) fn counts(&self) -> &Shard {
        self.endpoint.state.counts.shard(self.worker)
    }

    /// The connection used last of those that can still be used.
    pub(super) fn take(&self, now: Instant) -> Option<Http1> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut last) = idle.pop() {
            if now.saturating_duration_since(last.since) > IDLE {
                // Those before it have waited for longer still.
                idle.clear();
            } else if last.connection.is_reusable() {
                return Some(last.connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, connection: Http1) {
        if self.dialer.is_some() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let now = Instant::now();
        let young = now.saturating_duration_since(connection.stream().since) < AGE_MAX;
        if young && idle.len() < IDLE_MAX && !self.closed.get() && !self.is_wanted_elsewhere() {
            idle.push(Idle {
                connection,
                since: now,
            });
            if self.waiting.get() > 0 {
                self.returned.notify_one();
            }
        }
    }

    /// Waits until a connection of this worker comes back, or one of any worker is closed.
    pub(super) async fn wait(&self) {
        let cap = &self.endpoint.state.cap;
        let _announced = cap.wait();
        let _counted = LocalWaiting::begin(&self.waiting);
        tokio::select! {
            // Before it waits for the first time, the caller has looked in vain; what was closed
            // since is found by looking again soon.
            () = cap.freed() => {}
            () = self.returned.notified() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }

    /// Whether a connection does better to be closed than to be kept: another worker waits to
    /// open one. Where calls of this worker wait too, one in four goes elsewhere.
    fn is_wanted_elsewhere(&self) -> bool {
        let (all, here) = (self.endpoint.state.cap.waiting(), self.waiting.get());
        all > here && (here == 0 || id::random().is_multiple_of(4))
    }

    /// The shared connection with the least to do, whether or not it has room: requests queue.
    pub(super) fn least_shared(&self) -> Option<Rc<Http2>> {
        let shared = self.http2.borrow();
        let open = shared.iter().filter(|connection| !connection.is_closed());
        open.min_by_key(|connection| connection.streams())
            .map(Rc::clone)
    }

    /// A shared connection that takes one more request.
    pub(super) fn shared(&self) -> Option<Rc<Http2>> {
        let mut shared = self.http2.borrow_mut();
        shared.retain(|connection| !connection.is_closed());
        let found = shared
            .iter()
            .find(|connection| connection.has_room() && connection.age() < AGE_MAX);
        found.map(Rc::clone)
    }

    fn close(&self) {
        self.closed.set(true);
        self.idle.borrow_mut().clear();
        self.http2.borrow_mut().clear();
    }

    fn tidy(&self) {
        self.idle.borrow_mut().retain_mut(|waiting| {
            waiting.since.elapsed() <= IDLE && waiting.connection.is_reusable()
        });
        let mut wanted = self.endpoint.state.cap.waiting();
        if wanted > self.waiting.get() {
            let mut idle = self.idle.borrow_mut();
            let kept = idle.len().saturating_sub(wanted);
            wanted = wanted.saturating_sub(idle.len());
            idle.truncate(kept);
        } else {
            wanted = 0;
        }
        self.http2.borrow_mut().retain(|connection| {
            let old = (connection.age() >= AGE_MAX || wanted > 0) && connection.is_idle();
            !(old || connection.is_closed() || connection.idle_for() > IDLE)
        });
    }
}

/// Counts one call of this worker that waits until it is dropped.
struct LocalWaiting<'a>(&'a Cell<usize>);

impl<'a> LocalWaiting<'a> {
    fn begin(waiting: &'a Cell<usize>) -> Self {
        waiting.set(waiting.get() + 1);
        Self(waiting)
    }
}

impl Drop for LocalWaiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// A byte stream that is counted for as long as it is open.
pub(super) struct Wire {
    stream: Stream,
    since: Instant,
    _open: OpenConnection,
}

impl Wire {
    pub(super) fn new(stream: Stream, open: OpenConnection) -> Self {
        Self {
            stream,
            since: Instant::now(),
            _open: open,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
