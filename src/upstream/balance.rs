//! Chooses an endpoint: in turn, or the less busy of two taken at random.

use super::Balance;
use crate::exchange::id;

/// What the choice needs to know about the endpoints of a group, by index.
pub(super) trait Candidates {
    fn len(&self) -> usize;
    fn is_up(&self, index: usize) -> bool;
    /// Requests at work.
    fn in_flight(&self, index: usize) -> u64;
}

/// The endpoints that one call has tried. Only the first 64 are told apart: a call never tries
/// that many.
#[derive(Clone, Copy, Default)]
pub(super) struct Tried(u64);

impl Tried {
    pub(super) fn add(&mut self, index: usize) {
        if index < 64 {
            self.0 |= 1 << index;
        }
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn has(self, index: usize) -> bool {
        index < 64 && self.0 & (1 << index) != 0
    }
}

/// An endpoint that is up, rather one that was not tried; none when none is up. `turn` is the
/// worker's own and moves on with each choice, so that workers share nothing.
pub(super) fn choose(
    candidates: &impl Candidates,
    balance: Balance,
    turn: &mut usize,
    tried: Tried,
) -> Option<usize> {
    let fits = |index: usize| !tried.has(index) && candidates.is_up(index);
    let fresh = match balance {
        Balance::RoundRobin => in_turn(candidates.len(), turn, fits),
        Balance::LeastRequest => less_busy(candidates, fits),
    };
    if fresh.is_some() || tried.is_empty() {
        return fresh;
    }
    choose(candidates, balance, turn, Tried::default())
}

fn in_turn(len: usize, turn: &mut usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    for _ in 0..len {
        let index = *turn % len;
        *turn = index + 1;
        if fits(index) {
            return Some(index);
        }
    }
    None
}

fn less_busy(candidates: &impl Candidates, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let up = (0..candidates.len()).filter(|&index| fits(index)).count();
    if up == 0 {
        return None;
    }
    let chance = id::random();
    let (high, low) = ((chance >> 64) as usize, chance as u64 as usize);
    let first = high % up;
    // Two different ones, where there are two.
    let second = if up == 1 {
        first
    } else {
        (first + 1 + low % (up - 1)) % up
    };
    let nth = |n: usize| (0..candidates.len()).filter(|&index| fits(index)).nth(n);
    // Health may change between count and pick; then the first that is up does.
    let (one, two) = (
        nth(first).or_else(|| nth(0))?,
        nth(second).or_else(|| nth(0))?,
    );
    Some(if candidates.in_flight(two) < candidates.in_flight(one) {
        two
    } else {
        one
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(Vec<(bool, u64)>);

    impl Candidates for Fake {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn is_up(&self, index: usize) -> bool {
            self.0[index].0
        }
        fn in_flight(&self, index: usize) -> u64 {
            self.0[index].1
        }
    }

    fn counts(fake: &Fake, balance: Balance, tried: Tried) -> Vec<usize> {
        let mut counts = vec![0; fake.len()];
        let mut turn = 0;
        for _ in 0..1200 {
            if let Some(index) = choose(fake, balance, &mut turn, tried) {
                counts[index] += 1;
            }
        }
        counts
    }

    #[test]
    fn each_gets_its_turn_and_those_set_aside_none() {
        let fake = Fake(vec![(true, 0), (false, 0), (true, 0), (true, 0)]);
        assert_eq!(
            counts(&fake, Balance::RoundRobin, Tried::default()),
            [400, 0, 400, 400]
        );
    }

    #[test]
    fn the_busiest_of_all_is_never_taken_and_equals_share() {
        let fake = Fake(vec![(true, 9), (true, 1), (true, 1), (false, 0)]);
        let counts = counts(&fake, Balance::LeastRequest, Tried::default());
        assert_eq!((counts[0], counts[3]), (0, 0));
        assert!(counts[1] > 400 && counts[2] > 400, "{counts:?}");
    }

    #[test]
    fn what_was_tried_is_taken_again_only_when_nothing_else_is_up() {
        let mut tried = Tried::default();
        tried.add(0);
        for balance in [Balance::RoundRobin, Balance::LeastRequest] {
            let two = Fake(vec![(true, 0), (true, 9)]);
            assert_eq!(counts(&two, balance, tried), [0, 1200]);
            let one = Fake(vec![(true, 0), (false, 0)]);
            assert_eq!(counts(&one, balance, tried), [1200, 0]);
            let none = Fake(vec![(false, 0), (false, 0)]);
            assert_eq!(counts(&none, balance, tried), [0, 0]);
            assert!(counts(&Fake(Vec::new()), balance, tried).is_empty());
        }
    }
}
