//! Counts what happens, cheaply, and writes it down when Prometheus asks.
//!
//! A handle for each route, upstream, step, limit and so on is resolved by name when a snapshot is
//! built; a request only indexes it by its worker's [`Slot`]. The same name gives the same cells, so
//! counts live on over a reload; what no snapshot holds any more is forgotten. Labels are names from
//! the file and words from the code, never anything a client sent, so their number is bounded.

mod cells;
mod encode;
mod families;
mod figures;
mod named;
mod process;
mod series;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

use prometheus_client::registry::Registry;

use cells::lock;
pub use cells::{BOUNDS_MICROS, Causes, Count, Distribution, Durations, Series, Slot};
pub use families::{FAMILIES, Family};
pub use figures::{EndpointFigures, Figures, KeySetFigures, UpstreamFigures};
pub use named::{Handles, Named};
pub use series::{
    AuthenticatorCells, AuthenticatorMetrics, ExchangeEnd, LimitCells, LimitMetrics, ListenerCells,
    ListenerMetrics, OUTCOMES, OngoingCall, OpenConnection, PartCells, PartMetrics, RouteCells,
    RouteMetrics, Summary, UpstreamCells, UpstreamMetrics,
};

/// The route label of requests that no route answers.
pub const UNROUTED: &str = "(none)";

/// What `Content-Type` says of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is counted in this process.
#[derive(Debug)]
pub struct Metrics {
    workers: usize,
    started: SystemTime,
    routes: Table<RouteCells>,
    upstreams: Table<UpstreamCells>,
    parts: Table<PartCells>,
    limits: Table<LimitCells>,
    authenticators: Table<AuthenticatorCells>,
    listeners: Table<ListenerCells>,
    /// Held here, so that it is never forgotten.
    unrouted: Arc<RouteMetrics>,
    config: Mutex<ConfigState>,
    /// Files of the certificates served, and when they end, in seconds since 1970.
    certificates: Mutex<Vec<(String, i64)>>,
    log: Arc<LogCounts>,
}

/// How loading the file went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    Applied,
    Refused { mistakes: usize },
}

#[derive(Debug, Default)]
struct ConfigState {
    applied: u64,
    refused: u64,
    /// Seconds since 1970.
    last_success: f64,
    successful: bool,
    mistakes: usize,
}

/// Lines of the access log; written by several threads.
#[derive(Debug, Default)]
pub(super) struct LogCounts {
    pub lines: AtomicU64,
    pub dropped: AtomicU64,
}

impl Metrics {
    /// For a process with `workers` workers.
    pub fn new(workers: usize) -> Arc<Self> {
        let routes = Table::default();
        let unrouted = routes.resolve(&[UNROUTED], workers);
        Arc::new(Self {
            workers,
            started: SystemTime::now(),
            routes,
            upstreams: Table::default(),
            parts: Table::default(),
            limits: Table::default(),
            authenticators: Table::default(),
            listeners: Table::default(),
            unrouted,
            config: Mutex::default(),
            certificates: Mutex::default(),
            log: Arc::default(),
        })
    }

    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        self.routes.resolve(&[name], self.workers)
    }

    /// For requests that no route answers.
    pub fn unrouted(&self) -> Arc<RouteMetrics> {
        Arc::clone(&self.unrouted)
    }

    pub fn upstream(&self, name: &str) -> Arc<UpstreamMetrics> {
        self.upstreams.resolve(&[name], self.workers)
    }

    pub fn part(&self, flow: &str, step: &str) -> Arc<PartMetrics> {
        self.parts.resolve(&[flow, step], self.workers)
    }

    pub fn limit(&self, name: &str) -> Arc<LimitMetrics> {
        self.limits.resolve(&[name], self.workers)
    }

    pub fn authenticator(&self, name: &str) -> Arc<AuthenticatorMetrics> {
        self.authenticators.resolve(&[name], self.workers)
    }

    /// `address` as in the file.
    pub fn listener(&self, address: &str) -> Arc<ListenerMetrics> {
        self.listeners.resolve(&[address], self.workers)
    }

    /// The file was loaded, at start or again.
    pub fn reloaded(&self, reload: Reload) {
        let mut config = lock(&self.config);
        match reload {
            Reload::Applied => config.applied += 1,
            Reload::Refused { .. } => config.refused += 1,
        }
        config.mistakes = match reload {
            Reload::Applied => 0,
            Reload::Refused { mistakes } => mistakes,
        };
        config.successful = !matches!(reload, Reload::Refused { .. });
        if config.successful {
            config.last_success = seconds(SystemTime::now());
        }
    }

    /// The certificates that are served from now on: file, and end in seconds since 1970. One that
    /// several listeners serve may stand there several times.
    pub fn certificates(&self, mut served: Vec<(String, i64)>) {
        served.sort();
        served.dedup_by(|one, other| one.0 == other.0);
        *lock(&self.certificates) = served;
    }

    /// Appends every family to `out`, in the OpenMetrics text format.
    pub fn encode(self: &Arc<Self>, figures: Figures, out: &mut String) {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(encode::Snapshot {
            metrics: Arc::clone(self),
            figures,
        }));
        let written = prometheus_client::encoding::text::encode(out, &registry);
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }

    pub(super) fn log_counts(&self) -> Arc<LogCounts> {
        Arc::clone(&self.log)
    }
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// Series by their labels. It does not keep them alive: who counts does.
#[derive(Debug)]
struct Table<C>(Mutex<Known<C>>);

#[derive(Debug)]
struct Known<C> {
    series: BTreeMap<Vec<Box<str>>, Weak<Series<C>>>,
    /// When there are more than this, those that nobody holds are swept out.
    sweep_at: usize,
}

impl<C> Default for Table<C> {
    fn default() -> Self {
        Self(Mutex::new(Known {
            series: BTreeMap::new(),
            sweep_at: 64,
        }))
    }
}

impl<C: Default> Table<C> {
    fn resolve(&self, labels: &[&str], workers: usize) -> Arc<Series<C>> {
        let key: Vec<Box<str>> = labels.iter().map(|label| Box::from(*label)).collect();
        let mut known = lock(&self.0);
        if let Some(series) = known.series.get(&key).and_then(Weak::upgrade) {
            return series;
        }
        let series = Arc::new(Series::new(labels, workers));
        known.series.insert(key, Arc::downgrade(&series));
        if known.series.len() > known.sweep_at {
            known.series.retain(|_, series| series.strong_count() > 0);
            known.sweep_at = known.series.len() * 2 + 64;
        }
        series
    }

    /// Those that somebody holds, in the order of their labels.
    fn live(&self) -> Vec<Arc<Series<C>>> {
        lock(&self.0)
            .series
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }
}

#[cfg(test)]
mod tests;
