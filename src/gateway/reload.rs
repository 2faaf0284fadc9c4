//! Loads the file again, on a thread that does nothing else and also frees what is served no more.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};

use super::{Core, Gateway, StartError, State, bind, bound_in_order, listen_on, lock, send_all};
use crate::admin::{MistakeReport, ReloadOutcome, ReloadReport};
use crate::config::watch::{Sight, Watch};
use crate::config::{self, Mistakes};
use crate::observe::Target;
use crate::observe::metrics::Reload;
use crate::snapshot::{Snapshot, Surroundings};
use crate::worker::Command;

/// How often is looked whether the last request of an old snapshot has ended.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// The thread that loads. A worker would hold up its requests for as long as it frees a large
/// snapshot, and memory is freed with the least work where it was taken.
pub(super) struct Loader(Sender<Order>);

struct Order {
    core: Arc<Core>,
    /// Nothing is to be done if this is what was loaded last.
    unless: Option<Sight>,
    report: Sender<ReloadReport>,
}

impl Loader {
    pub(super) fn start() -> Result<Self, StartError> {
        let (sender, orders) = channel();
        std::thread::Builder::new()
            .name("loader".to_owned())
            .spawn(move || obey(&orders))
            .map_err(|error| StartError::System {
                what: "loader",
                error,
            })?;
        Ok(Self(sender))
    }
}

/// Loads as ordered, until nobody can order any more.
fn obey(orders: &Receiver<Order>) {
    // Held here until nobody else does, so that it is here that they are freed.
    let mut retired: Vec<Arc<Snapshot>> = Vec::new();
    loop {
        let next = if retired.is_empty() {
            orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            orders.recv_timeout(SWEEP_EVERY)
        };
        match next {
            Ok(Order {
                core,
                unless,
                report,
            }) => {
                let (told, old) = core.load(unless.as_ref());
                retired.extend(old);
                // Who asked may no longer wait.
                report.send(told).unwrap_or_default();
            }
            Err(RecvTimeoutError::Timeout) => {
                retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Gateway {
    /// Reads the file again. A file with mistakes changes nothing; the report names them.
    pub fn reload(&self) -> ReloadReport {
        self.core.reload()
    }
}

impl Core {
    /// Reads the file again and puts it to work if it is without mistakes.
    pub fn reload(self: &Arc<Self>) -> ReloadReport {
        self.order(None)
    }

    /// Reloads when a file that was read has changed.
    pub(super) async fn heed(self: Arc<Self>) {
        let mut watch = Watch::default();
        loop {
            watch.follow(lock(&self.state).loaded.clone());
            tokio::select! {
                () = watch.changed() => {
                    let (core, seen) = (Arc::clone(&self), watch.seen().clone());
                    let reload = move || core.order(Some(seen));
                    if tokio::task::spawn_blocking(reload).await.is_err() {
                        tracing::error!("a reload had failed");
                    }
                }
                // Whoever reloads may have read other files than before.
                () = self.reloaded.notified() => {}
            }
        }
    }

    /// Waits until the loader has done what is ordered.
    fn order(self: &Arc<Self>, unless: Option<Sight>) -> ReloadReport {
        let (report, told) = channel();
        let order = Order {
            core: Arc::clone(self),
            unless: unless.clone(),
            report,
        };
        let sent = self.loader.0.send(order).is_ok();
        match told.recv() {
            Ok(report) if sent => report,
            _ => {
                tracing::error!("the loader had failed");
                self.load(unless.as_ref()).0
            }
        }
    }

    /// Loads the file unless what was loaded last is what `unless` has seen. Also gives the snapshot
    /// that is served no more.
    fn load(self: &Arc<Self>, unless: Option<&Sight>) -> (ReloadReport, Option<Arc<Snapshot>>) {
        let mut state = lock(&self.state);
        if unless.is_some_and(|seen| seen.agrees(&state.loaded)) {
            return (state.last.clone(), None);
        }
        let (report, old) = match self.try_load(&mut state) {
            Ok(old) => {
                self.metrics.reloaded(Reload::Applied);
                self.access_log.reopen();
                tracing::info!("the file was reloaded");
                let report = ReloadReport::now(ReloadOutcome::Applied, Vec::new());
                (report, Some(old))
            }
            Err(Refused { text, mistakes }) => {
                tracing::error!("the file is refused, the gateway goes on as before:\n{text}");
                self.metrics.reloaded(Reload::Refused {
                    mistakes: mistakes.len(),
                });
                let report = ReloadReport::now(ReloadOutcome::Refused, mistakes);
                (report, None)
            }
        };
        state.last = report.clone();
        self.reloaded.notify_one();
        (report, old)
    }

    fn try_load(self: &Arc<Self>, state: &mut State) -> Result<Arc<Snapshot>, Refused> {
        // Before the file is read, so that no edit falls in between.
        let (begin, sight) = (SystemTime::now(), state.loaded.again());
        let loaded = config::load(&self.path);
        let files = loaded.as_ref().map_or_else(Mistakes::files, |it| &it.files);
        state.loaded = sight.covering(files, begin);
        let spec = loaded.map_err(Refused::mistakes)?;
        let target = Target::open(&spec.server.access_log).map_err(Refused::because)?;
        let count = state.workers.len();
        // Sockets first: an address that cannot be had must leave everything as it was.
        let mut added = Vec::new();
        let mut listeners = HashMap::new();
        for listener in &spec.listeners {
            let place = if let Some(known) = state.listeners.get(&listener.address) {
                *known
            } else {
                let (bound, own) = bind(listener.address, count).map_err(Refused::because)?;
                let number = state.next_listener + added.len();
                added.push((number, own));
                (number, bound)
            };
            listeners.insert(listener.address, place);
        }
        let bound = bound_in_order(&spec, &listeners);
        let previous = self.shared.snapshot();
        let snapshot = Snapshot::build(
            spec,
            Some(&previous),
            &Surroundings {
                metrics: &self.metrics,
                control: &self.control,
                bound: &bound,
            },
        )
        .map_err(Refused::because)?;
        self.shared.swap(Arc::new(snapshot));
        self.access_log.apply(target);
        self.tend();
        state.next_listener += added.len();
        for (address, (number, _)) in &state.listeners {
            if !listeners.contains_key(address) {
                send_all(&state.workers, || Command::Close(*number));
            }
        }
        state.listeners = listeners;
        for (number, own) in added {
            listen_on(&state.workers, number, own);
        }
        send_all(&state.workers, || Command::Refresh);
        Ok(previous)
    }
}

/// Why a reload changed nothing.
struct Refused {
    /// For people.
    text: String,
    mistakes: Vec<MistakeReport>,
}

impl Refused {
    fn because(reason: impl std::fmt::Display) -> Self {
        let text = reason.to_string();
        Self {
            mistakes: vec![MistakeReport {
                message: text.clone(),
                ..MistakeReport::default()
            }],
            text,
        }
    }

    fn mistakes(mistakes: Mistakes) -> Self {
        Self {
            text: mistakes.to_string(),
            mistakes: mistakes
                .iter()
                .map(|mistake| MistakeReport {
                    file: Some(mistake.file.display().to_string()),
                    line: Some(mistake.line),
                    column: Some(mistake.column),
                    message: mistake.message.clone(),
                    remedy: mistake.help.clone(),
                })
                .collect(),
        }
    }
}
