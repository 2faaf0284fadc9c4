//! What is remembered of one exchange until it ends: then it is counted, and logged in one line.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use http::StatusCode;
use tokio::time::Instant;

use crate::error::{Fault, GatewayError};
use crate::exchange::path::PathError;
use crate::exchange::{Body, CanonicalPath, Exchange, Finish, Headers, Peer, Request};
use crate::guard::{Admission, Refusal};
use crate::observe::metrics::{ExchangeEnd, RouteCells};
use crate::observe::{self, Part};
use crate::orchestrate::Ceiling;
use crate::orchestrate::outcome::{CacheTally, PartReport};
use crate::progressive::Progress;
use crate::snapshot::{Route, Snapshot};
use crate::upstream::CallNote;
use crate::worker::Worker;

/// One exchange. Its drop is the exchange's end, whatever ended it: the last byte, a failure, or
/// a client that left before there was an answer.
pub struct Record {
    pub exchange: Exchange,
    pub notes: Notes,
}

/// What the stages found out.
pub struct Notes {
    worker: Rc<Worker>,
    gateway: Rc<Arc<Snapshot>>,
    /// Index of the route in the snapshot.
    route: Option<usize>,
    /// Index of the upstream that a proxy route called.
    upstream: Option<usize>,
    /// Where that call went.
    call: CallNote,
    /// Limits stay taken until the end.
    admission: Option<Admission>,
    parts: Vec<PartReport>,
    ceiling: Option<Ceiling>,
    cause: Option<&'static str>,
    status: Option<StatusCode>,
    received: Received,
    sent: u64,
    complete: bool,
    /// Of an answer that is sent in parts: its outcome is known at its end.
    progress: Option<Rc<Progress>>,
}

/// Bytes of the request body.
enum Received {
    /// It was there at once.
    All(u64),
    SoFar(Rc<Cell<u64>>),
}

impl Received {
    fn bytes(&self) -> u64 {
        match self {
            Self::All(bytes) => *bytes,
            Self::SoFar(bytes) => bytes.get(),
        }
    }
}

impl Record {
    /// Takes a request in. Boxed from the start: it is handed on until the exchange ends, and is
    /// not small. The path that has no canonical form is said to be `/`, and comes back with the
    /// reason, so that it can be logged and answered.
    pub fn begin(
        worker: &Rc<Worker>,
        gateway: Rc<Arc<Snapshot>>,
        request: Request,
        peer: &Arc<Peer>,
    ) -> (Box<Self>, Body, Result<(), PathError>) {
        let Request {
            mut head,
            body,
            upgrade,
        } = request;
        let (path, canonical) = match CanonicalPath::new(std::mem::take(&mut head.path)) {
            Ok(path) => (path, Ok(())),
            Err(error) => (CanonicalPath::root(), Err(error)),
        };
        let record = Self {
            exchange: Exchange::begin(head, path, upgrade, peer, &gateway.trusted),
            notes: Notes {
                worker: Rc::clone(worker),
                gateway,
                route: None,
                upstream: None,
                call: CallNote::default(),
                admission: None,
                parts: Vec::new(),
                ceiling: None,
                cause: None,
                status: None,
                received: Received::All(0),
                sent: 0,
                complete: false,
                progress: None,
            },
        };
        (Box::new(record), body, canonical)
    }

    /// The response head is known.
    pub fn answered(&mut self, status: StatusCode) {
        self.notes.status = Some(status);
    }

    fn log(&self, duration: std::time::Duration) {
        let (exchange, notes) = (&self.exchange, &self.notes);
        let parts: Vec<Part<'_>> = notes.parts.iter().map(part).collect();
        let upstream = notes
            .upstream
            .and_then(|at| notes.gateway.upstream_names.get(at));
        let caller = notes
            .admission
            .as_ref()
            .and_then(|admission| admission.caller.as_ref());
        notes.worker.log.write(&observe::Record {
            time: exchange.time.get_last(exchange.started),
            request_id: exchange.id.as_bytes(),
            trace_id: exchange.trace.trace_id(),
            client: exchange.client,
            // Whoever is not trusted speaks for itself.
            client_text: (!exchange.peer_trusted).then_some(&*exchange.peer.address_text),
            method: exchange.method.as_str(),
            scheme: exchange.scheme,
            host: &exchange.host,
            path: exchange.path.as_str(),
            protocol: exchange.version.as_str(),
            status: notes.status.map(|status| status.as_u16()),
            bytes_received: notes.received.bytes(),
            bytes_sent: notes.sent,
            duration,
            aborted: !notes.complete,
            route: notes.matched_route().map(|route| &route.logged),
            upstream,
            endpoint: notes.call.endpoint.as_deref(),
            caller: caller.map(|caller| &*caller.name),
            error: notes.cause,
            parts: &parts,
        });
    }
}

fn part(report: &PartReport) -> Part<'_> {
    Part {
        name: &report.name,
        outcome: report.outcome.as_str(),
        cause: report.cause,
        cache: report.cache.word(),
        duration: report.elapsed,
    }
}

impl Notes {
    /// A route was found.
    pub fn matched(&mut self, index: usize, route: &Route) {
        self.route = Some(index);
        route.metrics.at(self.worker.slot).begin();
    }

    /// The request body, within `limit` and counted.
    pub fn receives(&mut self, body: Body, limit: u64) -> Body {
        if let Body::Stream(_) = body {
            let count = Rc::default();
            let limited = body.limited(limit, &count);
            self.received = Received::SoFar(count);
            return limited;
        }
        self.received = Received::All(body.exact_len().unwrap_or_default());
        body
    }

    /// The request goes to this upstream as it is; where to, stands in the note.
    pub const fn proxied(&mut self, upstream: usize) -> &mut CallNote {
        self.upstream = Some(upstream);
        &mut self.call
    }

    /// A flow ran.
    pub fn composed(&mut self, parts: Vec<PartReport>) {
        if let Some(route) = self.matched_route() {
            // Steps of a flow inside that was never run have no report.
            let mut known = route.parts.iter();
            for report in &parts {
                let metrics = known.find(|(name, _)| **name == *report.name);
                let Some((_, metrics)) = metrics else { break };
                let cells = metrics.at(self.worker.slot);
                cells.ended(report.outcome.as_str(), report.cause, report.elapsed);
                let CacheTally {
                    hits,
                    shared,
                    misses,
                    stale,
                } = report.cache;
                cells.kept([hits, shared, misses, stale]);
            }
        }
        self.parts = parts;
    }

    /// The snapshot that the request meets.
    pub fn snapshot(&self) -> Rc<Arc<Snapshot>> {
        Rc::clone(&self.gateway)
    }

    /// The answer is sent in parts, while the flow still runs.
    pub fn progresses(&mut self, progress: Rc<Progress>) {
        self.progress = Some(progress);
    }

    /// Takes over what became of an answer in parts: the status that the whole would have had
    /// stands for the 200 that its head had to say.
    fn conclude(&mut self, progress: &Progress, request_id: &str) {
        let standing = progress.take_standing();
        if let Some(status) = standing.status {
            self.status = Some(status);
        }
        if let Some(error) = standing.error {
            self.failed(error, request_id);
        }
        self.composed(standing.parts);
    }

    /// What the parts of a flow let its response say about being stored.
    pub const fn may_be_stored(&mut self, ceiling: Ceiling) {
        self.ceiling = Some(ceiling);
    }

    /// Holds the response of a flow to what its parts allow, whatever the route has set.
    pub fn hold(&self, headers: &mut Headers) {
        if let Some(ceiling) = self.ceiling {
            ceiling.hold(headers);
        }
    }

    /// The guard let the request pass.
    pub fn admitted(&mut self, admission: Admission) {
        if let Some(caller) = &admission.caller {
            let authenticators = &self.gateway.handles.authenticators;
            if let Some(metrics) = authenticators.get(&caller.authenticator) {
                metrics.at(self.worker.slot).admitted();
            }
        }
        self.admission = Some(admission);
    }

    /// The request gets a problem instead of what it asked for.
    pub fn failed(&mut self, error: GatewayError, request_id: &str) {
        self.cause = Some(error.cause());
        if let Some(inner) = error.inner() {
            let cause = error.cause();
            if error.fault() == Fault::Client {
                // Whoever sends nonsense must not fill the operator's log.
                tracing::debug!(request_id, cause, "request refused: {inner}");
            } else {
                tracing::warn!(request_id, cause, "request failed: {inner}");
            }
        }
        match error {
            GatewayError::Flow(error) => self.composed(error.parts),
            GatewayError::Guard(refusal) => self.refused(&refusal),
            _ => {}
        }
    }

    /// Counts who or what refused.
    fn refused(&self, refusal: &Refusal) {
        let (slot, handles) = (self.worker.slot, &self.gateway.handles);
        match refusal {
            Refusal::Unauthenticated { authenticator, .. }
            | Refusal::KeysUnavailable { authenticator, .. }
            | Refusal::PasswordsBusy { authenticator, .. } => {
                if let Some(metrics) = handles.authenticators.get(authenticator) {
                    metrics.at(slot).refused(refusal.cause());
                }
            }
            Refusal::Limited { limit, .. } => {
                if let Some(metrics) = handles.limits.get(limit) {
                    metrics.at(slot).refused();
                }
            }
            Refusal::Address | Refusal::NotAllowed { .. } => {}
        }
    }

    /// The cells that count this exchange. Reached through the snapshot: a handle of its own would
    /// be a counter that all workers write.
    fn cells(&self) -> &RouteCells {
        let metrics = match self.matched_route() {
            Some(route) => &route.metrics,
            None => &self.gateway.unrouted,
        };
        metrics.at(self.worker.slot)
    }

    fn matched_route(&self) -> Option<&Route> {
        self.gateway.routes.get(self.route?)
    }
}

impl Finish for Record {
    fn sent(&mut self, bytes: u64) {
        self.notes.sent = self.notes.sent.max(bytes);
    }

    fn complete(&mut self) {
        self.notes.complete = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let duration = Instant::now().duration_since(self.exchange.started);
        if let Some(progress) = self.notes.progress.take() {
            self.notes.conclude(&progress, self.exchange.id.as_str());
        }
        let notes = &self.notes;
        if notes.route.is_none() {
            notes.cells().begin();
        }
        notes.cells().end(&ExchangeEnd {
            status: notes.status.map(|status| status.as_u16()),
            aborted: !notes.complete,
            cause: notes.cause,
            duration,
            received: notes.received.bytes(),
            sent: notes.sent,
        });
        if notes.worker.log.enabled() {
            self.log(duration);
        }
    }
}
