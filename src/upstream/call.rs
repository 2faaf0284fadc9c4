//! One call: its attempts, and what may be sent again.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use super::balance::{Candidates, Tried, choose};
use super::body::{AtWork, Permit, guarded};
use super::deadline;
use super::facts::{Failure, HealthState};
use super::group::Group;
use super::pool::{LocalGroup, Slot};
use super::retry;
use super::send::{Bounds, RequestHead, SendFailed, send};
use super::spec::RetrySpec;
use crate::exchange::{Body, CallError, Headers, Known, Outgoing, Protocol, Response};

/// After how long it makes sense to come back when probes have found every endpoint down, where
/// the file does not say how often they ask.
const DOWN: Duration = Duration::from_secs(5);

/// How many endpoints one attempt tries to connect to. Moving on is safe whatever the request:
/// nothing of it was sent.
const CONNECTS_MAX: usize = 3;

/// How many pieces of an unwanted response are read so that its connection can be kept.
const PIECES_MAX: usize = 16;

/// How an attempt ended: with a response, and with the endpoint at work until it has ended.
type Ended = Result<(Response, AtWork), CallError>;

/// What a call went through so far; right also when the call was dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallNote {
    /// The endpoint tried last, as the file writes it.
    pub endpoint: Option<Rc<str>>,
    /// Attempts, the first included.
    pub attempts: u32,
}

/// A call that is to be made, with all that its attempts need.
pub struct Call<'a> {
    group: &'a Group,
    local: Rc<LocalGroup>,
    method: Method,
    target: String,
    headers: Headers,
    upgrade: Option<Protocol>,
    /// None once it was sent and must not be sent again.
    body: Option<Body>,
    repeatable: bool,
    timeout: Duration,
    /// The call's own, where it has one.
    retry: Option<Arc<RetrySpec>>,
    deadline: Instant,
    note: &'a mut CallNote,
    tried: Tried,
}

impl<'a> Call<'a> {
    pub(super) fn new(
        group: &'a Group,
        local: Rc<LocalGroup>,
        outgoing: Outgoing,
        note: &'a mut CallNote,
    ) -> Self {
        Self {
            group,
            local,
            repeatable: retry::is_repeatable(&outgoing.method, &outgoing.headers),
            method: outgoing.method,
            target: outgoing.target,
            headers: outgoing.headers,
            upgrade: outgoing.upgrade,
            body: Some(outgoing.body),
            timeout: outgoing.timeout.unwrap_or(group.spec.timeout),
            retry: outgoing.retry,
            deadline: outgoing.deadline,
            note,
            tried: Tried::default(),
        }
    }

    /// Tries, and tries again where that is safe and allowed.
    pub async fn run(&mut self) -> Result<Response, CallError> {
        let mut permit = self.group.admit()?;
        if self.retry.is_some() || self.group.spec.retry.is_some() {
            self.group.shared.budget.deposit();
        }
        loop {
            let ended = self.attempt().await;
            let pause = match self.conclude(ended, &mut permit) {
                ControlFlow::Break(result) => return result,
                ControlFlow::Continue(pause) => pause,
            };
            pause.await;
        }
    }

    /// The outcome of the call, or the pause before its next attempt.
    fn conclude(
        &self,
        ended: Ended,
        permit: &mut Option<Permit>,
    ) -> ControlFlow<Result<Response, CallError>, Pin<Box<impl Future<Output = ()> + use<>>>> {
        let Some(pause) = self.next_pause(&ended) else {
            return ControlFlow::Break(
                ended.map(|(response, at_work)| guarded(response, (at_work, permit.take()))),
            );
        };
        // Boxed: few calls pause.
        ControlFlow::Continue(Box::pin(async move {
            if let Ok((response, _)) = ended {
                finish_early(response).await;
            }
            tokio::time::sleep(pause).await;
        }))
    }

    /// Tries once; on to another endpoint where there is no connection to the first.
    async fn attempt(&mut self) -> Ended {
        self.note.attempts += 1;
        let mut connects = 1;
        loop {
            let index = self.choose()?;
            let Some(slot) = self.local.slots.get(index).map(Rc::clone) else {
                return Err(unavailable(self.group));
            };
            self.tried.add(index);
            self.note.endpoint = Some(Rc::clone(&slot.url));
            let at_work = AtWork::begin(&slot);
            let ended = self.send_to(&slot).await;
            match &ended {
                Ok(response) if response.status.is_server_error() => {
                    slot.counts().failed(Failure::Status);
                }
                Ok(_) => {}
                Err(error) => {
                    if let Some(failure) = Failure::of(error) {
                        slot.counts().failed(failure);
                    }
                    if matches!(error, CallError::Overloaded { .. }) {
                        self.group.overloaded();
                    }
                    let elsewhere = matches!(error, CallError::Connect(_))
                        && connects < CONNECTS_MAX
                        && self.has_untried();
                    if elsewhere {
                        connects += 1;
                        continue;
                    }
                }
            }
            return ended.map(|response| (response, at_work));
        }
    }

    /// How long to wait before the next attempt; none when there is none to be made.
    fn next_pause(&self, ended: &Ended) -> Option<Duration> {
        let spec = self.retry.as_deref();
        let spec = spec.or(self.group.spec.retry.as_ref())?;
        let ended = ended.as_ref().map(|(response, _)| response);
        if self.note.attempts >= spec.attempts
            || self.body.is_none()
            || !retry::allows(spec.on, ended)
        {
            return None;
        }
        let pause = retry::pause(spec, self.note.attempts + 1, ended);
        let again = Instant::now().checked_add(pause);
        if again.is_none_or(|again| again >= self.deadline) {
            return None;
        }
        let shared = &self.group.shared;
        if !shared.budget.withdraw() {
            shared.retries_refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        shared.retries.fetch_add(1, Ordering::Relaxed);
        Some(pause)
    }

    /// An endpoint that is up, rather one not tried before. When none is up, those that are only
    /// set aside for failed connections are tried all the same, for refusing would make an
    /// outage of a hiccup; what probes have found down is not.
    fn choose(&self) -> Result<usize, CallError> {
        let slots = Slots(&self.local.slots);
        let mut turn = self.local.turn.get();
        let chosen = choose(&slots, self.group.spec.balance, &mut turn, self.tried);
        // A call has one turn, however often it tries: or two endpoints of which one fails would
        // keep step with the attempts, and every call would meet the failing one first.
        if self.tried.is_empty() {
            self.local.turn.set(turn);
        }
        let last_resort = || {
            let aside = (0..slots.len()).filter_map(|index| {
                match slots.0.get(index)?.endpoint.state.health.state() {
                    HealthState::Down => None,
                    HealthState::Aside { left } => Some((self.tried.has(index), left, index)),
                    HealthState::Up => Some((self.tried.has(index), Duration::ZERO, index)),
                }
            });
            aside.min().map(|(_, _, index)| index)
        };
        chosen
            .or_else(last_resort)
            .ok_or_else(|| unavailable(self.group))
    }

    fn has_untried(&self) -> bool {
        let slots = Slots(&self.local.slots);
        (0..slots.len()).any(|index| !self.tried.has(index) && slots.is_up(index))
    }

    /// Sends to one endpoint: once more, on a new connection, where an old one had gone stale.
    async fn send_to(&mut self, slot: &Rc<Slot>) -> Result<Response, CallError> {
        let mut reuse = true;
        loop {
            let (sending, copy) = self.send(slot, reuse);
            let failed = match sending.await {
                Ok(response) => {
                    self.body = copy.filter(|_| self.repeatable);
                    return Ok(response);
                }
                Err(failed) => failed,
            };
            let repeatable = self.repeatable || !failed.reached;
            self.body = failed.unsent.or(copy.filter(|_| repeatable));
            if !(reuse && failed.stale && self.body.is_some()) {
                return Err(failed.error);
            }
            reuse = false;
        }
    }

    /// Begins to send, and keeps a copy of the body where it can be had.
    fn send<'s>(
        &'s mut self,
        slot: &'s Rc<Slot>,
        reuse: bool,
    ) -> (
        impl Future<Output = Result<Response, SendFailed>> + use<'s, 'a>,
        Option<Body>,
    ) {
        let bounds = Bounds {
            connect: self.group.spec.connect_timeout,
            head: self.timeout,
            deadline: self.deadline,
            connections: self.group.spec.max_connections,
        };
        let body = self.body.take().unwrap_or_default();
        let copy = retry::copy_of(&body);
        self.tell_time();
        (send(slot, self.head(slot), body, bounds, reuse), copy)
    }

    /// Tells the endpoint how long this attempt will be waited for, where the file says so.
    fn tell_time(&mut self) {
        if let Some(name) = &self.group.spec.deadline_header {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let value = deadline::value(name, left.min(self.timeout));
            self.headers.set(name, value.as_bytes());
        }
    }

    fn head<'h>(&'h self, slot: &'h Slot) -> RequestHead<'h> {
        let host = self.headers.known(Known::Host);
        let host = host.and_then(|host| std::str::from_utf8(host).ok());
        RequestHead {
            method: &self.method,
            target: &self.target,
            host: host.unwrap_or(&slot.endpoint.authority),
            tls: slot.endpoint.tls.is_some(),
            headers: &self.headers,
            upgrade: self.upgrade.as_deref(),
        }
    }
}

/// Reads what is left of a response nobody wants, as far as it is there already, so that its
/// connection can be used again.
async fn finish_early(response: Response) {
    let mut body = response.body;
    std::future::poll_fn(|context| {
        for _ in 0..PIECES_MAX {
            let piece = http_body::Body::poll_frame(Pin::new(&mut body), context);
            if !matches!(piece, std::task::Poll::Ready(Some(Ok(_)))) {
                break;
            }
        }
        std::task::Poll::Ready(())
    })
    .await;
}

fn unavailable(group: &Group) -> CallError {
    CallError::Unavailable {
        retry_after: group.spec.health.as_ref().map_or(DOWN, |it| it.every),
    }
}

struct Slots<'a>(&'a [Rc<Slot>]);

impl Candidates for Slots<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_up(&self, index: usize) -> bool {
        self.0
            .get(index)
            .is_some_and(|slot| slot.endpoint.state.health.is_up())
    }

    fn in_flight(&self, index: usize) -> u64 {
        self.0
            .get(index)
            .map_or(0, |slot| slot.endpoint.state.counts.in_flight())
    }
}
