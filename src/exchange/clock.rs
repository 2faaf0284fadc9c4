//! The time of day at a moment of a request, without a clock read for each.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The time of day at a moment, worked out only when it is asked for.
#[derive(Clone, Debug, Default)]
pub struct WallTime(OnceLock<SystemTime>);

impl WallTime {
    /// The time of day at `moment`. The same whenever it is asked for.
    pub fn get(&self, moment: Instant) -> SystemTime {
        *self.0.get_or_init(|| time_of_day(moment))
    }

    /// The same for whoever asks last: to keep the answer costs more than to find it.
    pub fn get_last(&self, moment: Instant) -> SystemTime {
        self.0
            .get()
            .map_or_else(|| time_of_day(moment), |time| *time)
    }
}

impl From<SystemTime> for WallTime {
    fn from(time: SystemTime) -> Self {
        Self(time.into())
    }
}

/// The time of day at `moment`. One reading of both clocks serves for all moments within a second
/// of it, so that a request pays for none.
fn time_of_day(moment: Instant) -> SystemTime {
    const SPAN: Duration = Duration::from_secs(1);
    thread_local! {
        static READ: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
    }
    if let Some((steady, wall)) = READ.get() {
        match moment.checked_duration_since(steady) {
            Some(after) if after < SPAN => return wall + after,
            Some(_) => {}
            None => {
                let before = steady.duration_since(moment);
                if before < SPAN {
                    return wall - before;
                }
            }
        }
    }
    let (steady, wall) = (Instant::now(), SystemTime::now());
    READ.set(Some((steady, wall)));
    wall - steady.duration_since(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_as_far_apart_as_their_moments() {
        let step = Duration::from_millis(10);
        let now = Instant::now();
        let moments = [now, now - step, now + step, now];
        let [first, before, after, again] = moments.map(|moment| WallTime::default().get(moment));
        assert_eq!((before + step, after - step, again), (first, first, first));
        let hour = Duration::from_hours(1);
        let long_ago = WallTime::default().get_last(now - hour);
        let minute = Duration::from_mins(1);
        assert!(long_ago > first - hour - minute && long_ago < first - hour + minute);
    }
}
