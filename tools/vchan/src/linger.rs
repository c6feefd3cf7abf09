//! Looking again for a moment before going to sleep.
//!
//! ```text
//!   look ─ not yet ─► give the processor away ─► look ─ … ─ not yet ─► sleep
//!                     found while looking: twice as many looks next time; not found: half as many, at least one
//! ```
//!
//! To sleep and to be woken costs dom0 more than a small block costs the guest. On a processor that both share, the first
//! look after giving it away finds the answer; on two processors it comes after some looks, or it takes the guest longer
//! and sleeping is right: how many are worth while is learnt, as KVM learns how long to poll before a halt.

use std::time::{Duration, Instant};

/// The most looks before a sleep.
const MOST: u32 = 64;
/// Looks at the start.
const FIRST: u32 = 8;
/// How long it is looked at most, and what counts as a short sleep. Twice what it costs to sleep and to be woken.
const LONGEST: Duration = Duration::from_micros(50);

/// How many looks are worth while.
#[derive(Debug)]
pub(crate) struct Linger {
    looks: u32,
}

impl Default for Linger {
    fn default() -> Self {
        Self { looks: FIRST }
    }
}

impl Linger {
    /// Looks, each time after giving the processor away. Whether it has come.
    pub(crate) fn until(&mut self, is_there: impl FnMut() -> bool, give_away: impl FnMut()) -> bool {
        let begun = Instant::now();
        self.until_over(is_there, give_away, || begun.elapsed() >= LONGEST)
    }

    /// As [`Linger::until`], for as long as it is not over.
    fn until_over(
        &mut self,
        mut is_there: impl FnMut() -> bool,
        mut give_away: impl FnMut(),
        mut is_over: impl FnMut() -> bool,
    ) -> bool {
        for _ in 0..self.looks {
            give_away();
            if is_there() {
                self.looks = (self.looks * 2).min(MOST);
                return true;
            }
            if is_over() {
                break;
            }
        }
        self.looks = (self.looks / 2).max(1);
        false
    }

    /// Something came after a sleep of this length: after a short one, looking longer would have found it.
    pub(crate) fn slept(&mut self, length: Duration) {
        if length < LONGEST {
            self.looks = (self.looks * 4).min(MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks until `nth` finds it, however long that takes; how many there were, and whether it was found.
    fn look(linger: &mut Linger, nth: u32) -> (u32, bool) {
        let (mut looks, mut given) = (0, 0);
        let found = linger.until_over(
            || {
                looks += 1;
                looks == nth
            },
            || given += 1,
            || false,
        );
        assert_eq!(given, looks, "the processor is given away before each look");
        (looks, found)
    }

    #[test]
    fn looks_that_find_something_become_more_and_vain_ones_fewer() {
        let mut linger = Linger::default();
        for _ in 0..10 {
            assert_eq!(look(&mut linger, 1), (1, true));
        }
        assert_eq!(linger.looks, MOST);
        let vain: Vec<u32> = (0..8).map(|_| look(&mut linger, u32::MAX).0).collect();
        assert_eq!(vain, [64, 32, 16, 8, 4, 2, 1, 1]);
    }

    #[test]
    fn a_short_sleep_makes_it_look_longer_and_a_long_one_does_not() {
        let mut linger = Linger { looks: 1 };
        linger.slept(LONGEST);
        assert_eq!(linger.looks, 1);
        linger.slept(LONGEST / 2);
        assert_eq!(linger.looks, 4);
        assert_eq!(look(&mut linger, 3), (3, true));
    }

    #[test]
    fn it_is_not_looked_longer_than_is_worth_while() {
        let mut linger = Linger { looks: MOST };
        let mut given = 0;
        let slow = || {
            given += 1;
            std::thread::sleep(LONGEST);
        };
        assert!(!linger.until(|| false, slow));
        assert_eq!((given, linger.looks), (1, MOST / 2));
    }
}
