//! The running process: binds listeners, starts workers, swaps snapshots, drains.

mod reload;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, mpsc, oneshot};

use crate::admin::{self, ReloadOutcome, ReloadReport};
use crate::config::watch::Sight;
use crate::config::{self, AdminSpec, GatewaySpec, Mistakes};
use crate::listen;
use crate::observe::metrics::Reload;
use crate::observe::{AccessLog, Metrics, Slot, Target};
use crate::operations::ForOperators;
use crate::snapshot::{BuildError, Snapshot, Surroundings};
use crate::worker::{self, Command, Shared};
use reload::Loader;

/// Commands that may wait for a worker.
const COMMANDS: usize = 64;

/// A running gateway. Dropping it ends it at once; `drain` ends it well.
pub struct Gateway {
    core: Arc<Core>,
    addresses: Vec<SocketAddr>,
    admin_address: Option<SocketAddr>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    /// Last: work in the background may hold what is above.
    control: Option<tokio::runtime::Runtime>,
}

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Mistakes(Mistakes),
    #[error("{0}")]
    Build(#[from] BuildError),
    #[error("{address}: {error}")]
    Bind {
        address: SocketAddr,
        error: std::io::Error,
    },
    #[error("{what}: {error}")]
    System {
        what: &'static str,
        error: std::io::Error,
    },
}

/// What reloads, drains and reports, whoever asks for it.
pub struct Core {
    pub shared: Arc<Shared>,
    pub metrics: Arc<Metrics>,
    access_log: Arc<AccessLog>,
    path: PathBuf,
    control: tokio::runtime::Handle,
    /// A loading is over, whatever came of it.
    reloaded: Notify,
    loader: Loader,
    /// Held while a reload is at work: one at a time, in order.
    state: Mutex<State>,
}

/// What changes with a reload, beside the snapshot.
struct State {
    workers: Vec<mpsc::Sender<Command>>,
    /// Number and bound address of each listener by the address in the file.
    listeners: HashMap<SocketAddr, (usize, SocketAddr)>,
    next_listener: usize,
    last: ReloadReport,
    /// The files of the last loading as they were when it began, whatever came of it.
    loaded: Sight,
}

impl Gateway {
    /// Loads `path`, binds its listeners and serves. When this returns, connections are accepted.
    pub fn start(path: &Path) -> Result<Self, StartError> {
        install_crypto();
        // Before the file is read, so that no edit falls in between.
        let (begin, sight) = (SystemTime::now(), Sight::of([path.to_owned()]));
        let spec = config::load(path).map_err(StartError::Mistakes)?;
        let loaded = sight.covering(&spec.files, begin);
        let count = worker_count(&spec);
        let control = control_runtime()?;
        let metrics = Metrics::new(count);
        let target = Target::open(&spec.server.access_log).map_err(BuildError)?;
        let access_log = AccessLog::start(target, &metrics).map_err(BuildError)?;
        let mut listeners = HashMap::new();
        let mut sockets = Vec::new();
        for (number, listener) in spec.listeners.iter().enumerate() {
            let (bound, own) = bind(listener.address, count)?;
            listeners.insert(listener.address, (number, bound));
            sockets.push((number, own));
        }
        let max_connections = spec.server.max_connections;
        let admin = spec.admin.clone();
        let bound = bound_in_order(&spec, &listeners);
        let snapshot = Snapshot::build(
            spec,
            None,
            &Surroundings {
                metrics: &metrics,
                control: control.handle(),
                bound: &bound,
            },
        )?;
        metrics.reloaded(Reload::Applied);
        let shared = Arc::new(Shared::new(Arc::new(snapshot), max_connections));
        let (workers, senders) = start_workers(count, &shared, &access_log)?;
        let core = Arc::new(Core {
            shared,
            metrics,
            access_log,
            path: path.to_owned(),
            control: control.handle().clone(),
            reloaded: Notify::new(),
            loader: Loader::start()?,
            state: Mutex::new(State {
                workers: senders,
                next_listener: listeners.len(),
                listeners,
                last: ReloadReport::now(ReloadOutcome::Applied, Vec::new()),
                loaded,
            }),
        });
        core.tend();
        for (number, own) in sockets {
            core.listen(number, own);
        }
        let admin_address = match admin {
            None => None,
            Some(admin) => Some(core.serve_admin(&admin)?),
        };
        control.spawn(Arc::clone(&core).heed());
        Ok(Self {
            core,
            addresses: bound.into_iter().map(|(_, address)| address).collect(),
            admin_address,
            workers: Mutex::new(workers),
            control: Some(control),
        })
    }

    /// One address for each `[[listen]]`, in the order of the file at start; port 0 is resolved.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub const fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    pub const fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Accepts no more, lets requests at work end, and returns when all have or `[server] drain`
    /// has passed.
    pub fn drain(&self) {
        let patience = self.core.shared.snapshot().spec.server.drain;
        self.core.drain(patience);
        let workers = std::mem::take(&mut *lock(&self.workers));
        for worker in workers {
            if worker.join().is_err() {
                tracing::error!("a worker had failed");
            }
        }
        self.core.access_log.close();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Without senders the workers end; what they still serve is cut off.
        lock(&self.core.state).workers.clear();
        for worker in std::mem::take(&mut *lock(&self.workers)) {
            if worker.join().is_err() {
                tracing::error!("a worker had failed");
            }
        }
        if let Some(control) = self.control.take() {
            control.shutdown_background();
        }
    }
}

impl Core {
    /// How the last loading went.
    pub fn last_reload(&self) -> ReloadReport {
        lock(&self.state).last.clone()
    }

    fn listen(&self, number: usize, sockets: Vec<std::net::TcpListener>) {
        listen_on(&lock(&self.state).workers, number, sockets);
    }

    /// Ends accepting, and waits for the workers.
    fn drain(&self, patience: Duration) {
        self.shared.draining.store(true, Ordering::Relaxed);
        let workers = std::mem::take(&mut lock(&self.state).workers);
        let (done, wait): (Vec<_>, Vec<_>) = workers.iter().map(|_| oneshot::channel()).unzip();
        for (worker, done) in workers.iter().zip(done) {
            // A worker that is gone has drained.
            worker.try_send(Command::Drain(done)).unwrap_or_default();
        }
        let all = async {
            for one in wait {
                one.await.unwrap_or_default();
            }
        };
        let waited = self
            .control
            .block_on(async { tokio::time::timeout(patience, all).await });
        if waited.is_err() {
            tracing::warn!(
                ?patience,
                "requests were still at work when the drain time was over"
            );
        }
        // The senders go here: a worker that still serves ends now.
        drop(workers);
    }

    /// Answers operators at `spec`'s address until the gateway ends.
    fn serve_admin(self: &Arc<Self>, spec: &AdminSpec) -> Result<SocketAddr, StartError> {
        let address = spec.address;
        let failed = |error| StartError::Bind { address, error };
        let socket = std::net::TcpListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let bound = socket.local_addr().map_err(failed)?;
        let _runtime = self.control.enter();
        let listener = tokio::net::TcpListener::from_std(socket).map_err(failed)?;
        // It goes on answering while the workers drain, and ends with the control runtime.
        self.control.spawn(admin::serve(
            listener,
            Arc::new(ForOperators(Arc::clone(self))),
            spec.token.clone(),
            std::future::pending(),
        ));
        Ok(bound)
    }

    /// Starts the work in the background that the current snapshot needs.
    fn tend(self: &Arc<Self>) {
        for group in &self.shared.snapshot().upstreams {
            group.tend(&self.control);
        }
    }
}

/// The crypto library of the process. Libraries that find two would panic at first use.
pub fn install_crypto() {
    // Another part of the process, such as a test, may have been first: with the same.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER
        .install_default()
        .unwrap_or_default();
}

fn worker_count(spec: &GatewaySpec) -> usize {
    match spec.server.workers {
        // Respects the affinity mask and the cgroup's quota.
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        count => count,
    }
}

fn control_runtime() -> Result<tokio::runtime::Runtime, StartError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(8)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| StartError::System {
            what: "runtime",
            error,
        })
}

fn bind(
    address: SocketAddr,
    count: usize,
) -> Result<(SocketAddr, Vec<std::net::TcpListener>), StartError> {
    let failed = |error| StartError::Bind { address, error };
    let sockets = listen::socket::bind(address, count).map_err(failed)?;
    let bound = match sockets.first() {
        Some(first) => first.local_addr().map_err(failed)?,
        None => address,
    };
    Ok((bound, sockets))
}

fn bound_in_order(
    spec: &GatewaySpec,
    listeners: &HashMap<SocketAddr, (usize, SocketAddr)>,
) -> Vec<(usize, SocketAddr)> {
    spec.listeners
        .iter()
        .filter_map(|listener| listeners.get(&listener.address).copied())
        .collect()
}

type Workers = (Vec<JoinHandle<()>>, Vec<mpsc::Sender<Command>>);

fn start_workers(
    count: usize,
    shared: &Arc<Shared>,
    access_log: &AccessLog,
) -> Result<Workers, StartError> {
    let mut threads = Vec::with_capacity(count);
    let mut senders = Vec::with_capacity(count);
    for index in 0..count {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let (shared, log) = (Arc::clone(shared), access_log.worker());
        let thread = std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                if let Err(error) = worker::run(shared, Slot::worker(index), log, commands) {
                    tracing::error!(%error, "a worker could not run");
                }
            })
            .map_err(|error| StartError::System {
                what: "worker",
                error,
            })?;
        threads.push(thread);
        senders.push(sender);
    }
    Ok((threads, senders))
}

/// Gives every worker its socket of a listener.
fn listen_on(
    workers: &[mpsc::Sender<Command>],
    number: usize,
    sockets: Vec<std::net::TcpListener>,
) {
    for (worker, socket) in workers.iter().zip(sockets) {
        if worker.try_send(Command::Listen(number, socket)).is_err() {
            tracing::error!("a worker takes no commands");
        }
    }
}

fn send_all(workers: &[mpsc::Sender<Command>], command: impl Fn() -> Command) {
    for worker in workers {
        if worker.try_send(command()).is_err() {
            tracing::error!("a worker takes no commands");
        }
    }
}

/// A lock whose holder failed is as good as any: what it guards is replaced whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
