//! The clock of a connection: when it is idle, when its client takes nothing, when it is silent.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep};

use super::Limits;
use super::active::Active;

/// How often the client is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long it may take to answer that.
const PONG_TIME: Duration = Duration::from_secs(20);

/// What it is time for.
pub(super) enum Due {
    /// The connection was idle for too long.
    Goodbye,
    /// The client has let everything wait for too long.
    Stalled,
    /// Nothing was heard for a while: see [`Watch::ping`].
    Ping,
    /// The client does not answer.
    Silent,
}

/// Timers look at what has happened only when they are due, and there is one for all of them, so
/// that requests cost none.
pub(super) struct Watch {
    idle: Duration,
    patience: Duration,
    pings: Option<PingPong>,
    /// A ping was sent that the client has not answered.
    awaits_pong: bool,
    closing: bool,
    /// When the client last brought a stream or took a piece of one.
    progress: Instant,
    idle_since: Instant,
    /// When the client last sent something.
    heard: Instant,
    look_at: LookAt,
    sleep: Pin<Box<Sleep>>,
}

/// When to look for what.
struct LookAt {
    idle: Instant,
    stalled: Instant,
    silent: Instant,
}

impl LookAt {
    fn first(&self) -> Instant {
        self.idle.min(self.stalled).min(self.silent)
    }
}

impl Watch {
    pub fn new(limits: &Limits, pings: Option<PingPong>) -> Self {
        let now = Instant::now();
        let look_at = LookAt {
            idle: now + limits.idle,
            stalled: now + limits.body_time,
            silent: now + KEEP_ALIVE,
        };
        Self {
            idle: limits.idle,
            patience: limits.body_time,
            pings,
            awaits_pong: false,
            closing: false,
            progress: now,
            idle_since: now,
            heard: now,
            sleep: Box::pin(tokio::time::sleep_until(look_at.first())),
            look_at,
        }
    }

    /// The connection is to end: its client must let it.
    pub fn closing(&mut self) {
        self.closing = true;
        self.progress = Instant::now();
    }

    /// Asks the client whether it is still there.
    pub fn ping(&mut self) {
        let now = Instant::now();
        self.look_at.silent = now + KEEP_ALIVE;
        if let Some(pings) = &mut self.pings
            && pings.send_ping(Ping::opaque()).is_ok()
        {
            self.awaits_pong = true;
            self.look_at.silent = now + PONG_TIME;
        }
        self.sleep.as_mut().reset(self.look_at.first());
    }

    /// Ready when it is time for something.
    pub fn poll(&mut self, context: &mut Context<'_>, active: &Active) -> Poll<Due> {
        self.note(active);
        if self.awaits_pong
            && let Some(pings) = &mut self.pings
            && pings.poll_pong(context).is_ready()
        {
            self.awaits_pong = false;
            self.heard = Instant::now();
            self.look_at.silent = self.heard + KEEP_ALIVE;
        }
        loop {
            ready!(self.sleep.as_mut().poll(context));
            let due = self.due(active);
            self.sleep.as_mut().reset(self.look_at.first());
            if let Some(due) = due {
                return Poll::Ready(due);
            }
        }
    }

    /// Notes when things happened. The connection is woken whenever one does.
    fn note(&mut self, active: &Active) {
        if !active.take_moved() {
            return;
        }
        let now = Instant::now();
        self.progress = now;
        if active.streams() == 0 {
            self.idle_since = now;
        }
        if active.take_heard() {
            self.heard = now;
        }
    }

    fn due(&mut self, active: &Active) -> Option<Due> {
        let now = Instant::now();
        let due = |end: Instant| end <= now;
        if due(self.look_at.stalled) {
            let waits = active.waits_for_client() && (active.streams() > 0 || self.closing);
            let since = if waits { self.progress } else { now };
            self.look_at.stalled = since + self.patience;
            if due(self.look_at.stalled) {
                return Some(Due::Stalled);
            }
        }
        if due(self.look_at.silent) {
            if self.awaits_pong {
                return Some(Due::Silent);
            }
            if active.take_heard() {
                self.heard = now;
            }
            self.look_at.silent = self.heard + KEEP_ALIVE;
            if due(self.look_at.silent) {
                self.look_at.silent = now + KEEP_ALIVE;
                return Some(Due::Ping);
            }
        }
        if due(self.look_at.idle) {
            let since = if active.streams() > 0 {
                now
            } else {
                self.idle_since
            };
            self.look_at.idle = since + self.idle;
            if due(self.look_at.idle) {
                self.look_at.idle = now + self.idle;
                return (!self.closing).then_some(Due::Goodbye);
            }
        }
        None
    }
}
