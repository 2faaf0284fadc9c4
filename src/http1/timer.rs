//! One coarse timer for all deadlines of a connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is set again only when it rings or when a deadline is nearer than what it is set
/// to. Deadlines that move away, as an idle connection's does with each request, cost nothing.
#[derive(Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready once `deadline` has passed.
    pub fn poll_deadline(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(context));
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

/// A wait that has a bound.
#[derive(Default)]
pub struct Wait {
    since: Option<Instant>,
}

impl Wait {
    /// What was waited for has come.
    pub const fn over(&mut self) {
        self.since = None;
    }

    /// Ready once the wait, which begins with the first call, has lasted for `bound`.
    pub fn poll_too_long(
        &mut self,
        bound: Duration,
        timer: &mut Timer,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        timer.poll_deadline(since + bound, context)
    }
}
