//! Notices that this guest was suspended: saved and restored, or resumed where it is.
//!
//! After that the channel is dead, and nothing says so: its event channel and its grants belong to the old domain. But Linux
//! counts the time of a suspend in `CLOCK_BOOTTIME` and not in `CLOCK_MONOTONIC`:
//!
//! ```text
//!   boot − monotonic, as exactly as three looks at the clocks tell:   |lower ── upper|        |lower ── upper|
//!                                                                          before       <          after
//! ```

use rustix::time::{ClockId, clock_gettime};

/// How far the two clocks are apart, at least and at most, in ns.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    lower: i128,
    upper: i128,
}

impl Default for Clocks {
    fn default() -> Self {
        Self::look()
    }
}

impl Clocks {
    fn look() -> Self {
        let now = |clock| {
            let time = clock_gettime(clock);
            i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
        };
        let (first, boot, last) =
            (now(ClockId::Monotonic), now(ClockId::Boottime), now(ClockId::Monotonic));
        Self { lower: boot - last, upper: boot - first }
    }

    /// Whether there was a suspend since the last call.
    pub fn suspended(&mut self) -> bool {
        self.compare(Self::look())
    }

    fn compare(&mut self, now: Self) -> bool {
        let suspended = now.lower > self.upper;
        *self = if suspended {
            now
        } else {
            // What both say is known more exactly than before.
            Self { lower: self.lower.max(now.lower), upper: self.upper.min(now.upper) }
        };
        suspended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_look_is_no_suspend_and_a_short_suspend_is_one() {
        let mut clocks = Clocks { lower: 0, upper: 100 };
        assert!(!clocks.compare(Clocks { lower: 90, upper: 5_000_000 }));
        assert!(!clocks.compare(Clocks { lower: 50, upper: 95 }));
        assert!(clocks.compare(Clocks { lower: 96, upper: 110 }));
        assert!(!clocks.compare(Clocks { lower: 96, upper: 110 }));
        let mut real = Clocks::default();
        assert!((0..1000).all(|_| !real.suspended()));
    }
}
