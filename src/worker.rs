//! One worker: a thread with its own runtime, listening sockets, pools and counters.
//!
//! Workers share nothing on the path of a request but what is read and never written: the
//! snapshot, and counters of which each worker has its own. Connections are spread over workers by
//! the kernel and stay where they were accepted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::http1::Drain;
use crate::listen;
use crate::observe::{Slot, WorkerLog};
use crate::orchestrate::PartCache;
use crate::serve;
use crate::snapshot::Snapshot;
use crate::upstream::Pools;

/// How long a worker that drains goes on taking connections that the kernel had already
/// established: to close a socket with a queue would reset them.
const BACKLOG_GRACE: Duration = Duration::from_millis(20);

/// What all workers see.
pub struct Shared {
    snapshot: ArcSwap<Snapshot>,
    /// Grows with every snapshot, so that a worker finds out about a new one by one load.
    generation: AtomicU64,
    /// One permit for each client connection that may be open.
    pub connections: Arc<Semaphore>,
    /// The process is to end.
    pub draining: AtomicBool,
}

impl Shared {
    pub fn new(snapshot: Arc<Snapshot>, max_connections: usize) -> Self {
        Self {
            snapshot: ArcSwap::new(snapshot),
            generation: AtomicU64::new(0),
            connections: Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS))),
            draining: AtomicBool::new(false),
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Requests that begin from now on meet `snapshot`.
    pub fn swap(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// What the gateway tells a worker.
pub enum Command {
    /// Accept connections from this socket, for the listener with this number.
    Listen(usize, TcpListener),
    /// Accept no more for this listener. Its connections live on.
    Close(usize),
    /// A new snapshot is there: let go of the old one even if no request comes.
    Refresh,
    /// End when the last connection has, or at once when the channel closes.
    Drain(oneshot::Sender<()>),
}

/// The state of one worker. Never leaves its thread.
pub struct Worker {
    pub shared: Arc<Shared>,
    /// Which cells of every counter this worker writes.
    pub slot: Slot,
    pub log: WorkerLog,
    pub pools: Rc<Pools>,
    /// Parts of flows that are kept for a while.
    pub parts: PartCache,
    /// Tells this worker's connections that the process is to end.
    pub drain: Drain,
    held: RefCell<Held>,
    open: Open,
}

/// The snapshot as this worker holds it: requests clone an `Rc`, so that no counter is shared
/// between cores.
struct Held {
    generation: u64,
    snapshot: Rc<Arc<Snapshot>>,
}

/// Connections open on this worker.
#[derive(Default)]
struct Open {
    count: std::cell::Cell<usize>,
    ended: Notify,
}

impl Worker {
    /// A worker whose calls go through `pools`.
    pub fn new(shared: Arc<Shared>, slot: Slot, log: WorkerLog, pools: Rc<Pools>) -> Self {
        let held = Held {
            generation: shared.generation.load(Ordering::Acquire),
            snapshot: Rc::new(shared.snapshot()),
        };
        Self {
            shared,
            slot,
            log,
            pools,
            parts: PartCache::default(),
            drain: Drain::new(),
            held: RefCell::new(held),
            open: Open::default(),
        }
    }

    /// The snapshot for a request that begins now.
    pub fn snapshot(&self) -> Rc<Arc<Snapshot>> {
        let generation = self.shared.generation.load(Ordering::Acquire);
        let mut held = self.held.borrow_mut();
        if held.generation != generation {
            held.generation = generation;
            held.snapshot = Rc::new(self.shared.snapshot());
        }
        Rc::clone(&held.snapshot)
    }

    /// Waits until every connection has ended.
    async fn idle(&self) {
        while self.open.count.get() > 0 {
            self.open.ended.notified().await;
        }
    }
}

/// Counts a connection on its worker.
pub struct OpenConnection(Rc<Worker>);

impl OpenConnection {
    fn new(worker: &Rc<Worker>) -> Self {
        worker.open.count.set(worker.open.count.get() + 1);
        Self(Rc::clone(worker))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let open = &self.0.open;
        open.count.set(open.count.get().saturating_sub(1));
        open.ended.notify_one();
    }
}

/// Runs a worker on the calling thread until it has drained or its commands end.
pub fn run(
    shared: Arc<Shared>,
    slot: Slot,
    log: WorkerLog,
    commands: mpsc::Receiver<Command>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(16)
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(async move {
        let worker = Rc::new(Worker::new(shared, slot, log, Pools::new()));
        obey(&worker, commands).await;
    });
    // Connections that outlived the grace period end here, whatever they wait for.
    runtime.shutdown_background();
    Ok(())
}

async fn obey(worker: &Rc<Worker>, mut commands: mpsc::Receiver<Command>) {
    let mut accepting: HashMap<usize, tokio::task::JoinHandle<()>> = HashMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen(listener, socket) => match tokio::net::TcpListener::from_std(socket) {
                Ok(socket) => {
                    let task = accept_forever(Rc::clone(worker), listener, socket);
                    accepting.insert(listener, tokio::task::spawn_local(task));
                }
                Err(error) => tracing::error!(%error, "a socket could not be used"),
            },
            Command::Close(listener) => {
                if let Some(task) = accepting.remove(&listener) {
                    task.abort();
                }
            }
            Command::Refresh => {
                let snapshot = worker.snapshot();
                worker.pools.retain_used(&snapshot.upstreams);
                worker.parts.retain(|name| snapshot.caches.contains(name));
            }
            Command::Drain(done) => {
                worker.drain.start();
                for (_, task) in accepting.drain() {
                    // The accept loop sees the drain signal too and ends by itself.
                    if task.await.is_err() {
                        tracing::error!("an accept loop had failed");
                    }
                }
                worker.idle().await;
                // Nobody may be waiting any more.
                done.send(()).unwrap_or_default();
                return;
            }
        }
    }
}

/// Takes connections for one listener until the gateway drains.
async fn accept_forever(worker: Rc<Worker>, listener: usize, socket: tokio::net::TcpListener) {
    let cap = Arc::clone(&worker.shared.connections);
    let mut last_call = None;
    loop {
        let patience = async {
            match last_call {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            accepted = listen::accept::accept(&socket, &cap) => {
                let Some(accepted) = accepted else { return };
                let counted = OpenConnection::new(&worker);
                let worker = Rc::clone(&worker);
                let task = serve::connection(worker, listener, accepted, counted);
                tokio::task::spawn_local(task);
            }
            () = patience => return,
            () = worker.drain.started(), if last_call.is_none() => {
                last_call = Some(tokio::time::Instant::now() + BACKLOG_GRACE);
            }
        }
    }
}
