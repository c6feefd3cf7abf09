//! When a connection to xenstored is to be reset: after it broke, or after an answer that does not come.
//!
//! ```text
//!   a request waits ──nothing moves for ANSWER_LIMIT_NS──► Step::NoAnswer ┐
//!   an index or a length is impossible, or `error` is set ► Step::Broken ─┴► at once, then 1 s, 2 s … 60 s apart
//! ```
//!
//! Pure state and no clock of its own: the caller gives the time, and gets the next one at which to ask.

use crate::backoff::{Backoff, LONGEST_NS};
use crate::ids::SystemTime;

/// How long nothing may move while a request waits for its answer, in nanoseconds. A live update of xenstored stops it
/// for seconds.
pub(super) const ANSWER_LIMIT_NS: u64 = 30_000_000_000;
/// The time without a reset after which the next one is at once, in nanoseconds: the connection was a good one.
const GOOD_NS: u64 = 2 * LONGEST_NS;

/// The state of a connection when it is checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    /// A request waits for its answer.
    pub(super) waiting: bool,
    /// The connection is broken.
    pub(super) broken: bool,
    /// A count that changes whenever bytes move either way.
    pub(super) activity: u64,
}

/// The due action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Nothing,
    /// A connection that broke.
    Broken,
    /// A daemon that does not answer.
    NoAnswer,
}

/// Since when a connection has been as it is.
#[derive(Debug)]
pub(super) struct Recovery {
    /// While a request waits: the activity that was seen last, and when.
    waiting_since: Option<(u64, SystemTime)>,
    /// When the last reset was, and when the next may be.
    last_reset: Option<(SystemTime, SystemTime)>,
    /// The pauses between resets.
    backoff: Backoff<()>,
}

impl Recovery {
    pub(super) const fn new() -> Self {
        Self { waiting_since: None, last_reset: None, backoff: Backoff::new() }
    }

    /// The action that is due now, and when to ask again.
    pub(super) fn look(&mut self, now: SystemTime, observed: Observed) -> (Step, Option<SystemTime>) {
        if observed.broken {
            return self.when_allowed(now, Step::Broken);
        }
        if !observed.waiting {
            self.waiting_since = None;
            return (Step::Nothing, None);
        }
        let since = match self.waiting_since {
            Some((activity, since)) if activity == observed.activity => since,
            _ => {
                self.waiting_since = Some((observed.activity, now));
                now
            }
        };
        let limit = since.after(ANSWER_LIMIT_NS);
        if now < limit {
            return (Step::Nothing, Some(limit));
        }
        self.when_allowed(now, Step::NoAnswer)
    }

    /// The step, if the pause since the last one is over.
    fn when_allowed(&mut self, now: SystemTime, step: Step) -> (Step, Option<SystemTime>) {
        if let Some((last, next)) = self.last_reset {
            if now < next {
                return (Step::Nothing, Some(next));
            }
            if now >= last.after(GOOD_NS) {
                self.backoff.reset();
            }
        }
        let next = now.after(self.backoff.failed(()).ns);
        self.last_reset = Some((now, next));
        self.waiting_since = None;
        (step, Some(next))
    }
}

#[cfg(test)]
mod tests {
    use super::{ANSWER_LIMIT_NS, Observed, Recovery, Step};
    use crate::ids::SystemTime;
    use alloc::vec::Vec;

    const S: u64 = 1_000_000_000;
    const WAITING: Observed = Observed { waiting: true, broken: false, activity: 7 };
    const BROKEN: Observed = Observed { waiting: false, broken: true, activity: 7 };

    fn at(s: u64) -> SystemTime {
        SystemTime(s * S)
    }

    #[test]
    fn an_idle_connection_asks_for_no_time() {
        let mut recovery = Recovery::new();
        let idle = Observed { waiting: false, ..WAITING };
        assert_eq!(recovery.look(at(5), idle), (Step::Nothing, None));
    }

    #[test]
    fn silence_has_a_limit_that_any_byte_extends() {
        let mut recovery = Recovery::new();
        let limit = ANSWER_LIMIT_NS / S;
        assert_eq!(recovery.look(at(0), WAITING), (Step::Nothing, Some(at(limit))));
        assert_eq!(recovery.look(at(limit - 1), WAITING), (Step::Nothing, Some(at(limit))));
        let moved = Observed { activity: 8, ..WAITING };
        assert_eq!(recovery.look(at(limit - 1), moved), (Step::Nothing, Some(at(2 * limit - 1))));
        assert_eq!(recovery.look(at(limit), moved).0, Step::Nothing);
        assert_eq!(recovery.look(at(2 * limit - 1), moved).0, Step::NoAnswer);
        // The next wait has the whole time again.
        assert_eq!(recovery.look(at(2 * limit), moved), (Step::Nothing, Some(at(3 * limit))));
        assert_eq!(recovery.look(at(3 * limit), Observed { waiting: false, ..moved }), (Step::Nothing, None));
        assert_eq!(recovery.look(at(4 * limit), moved), (Step::Nothing, Some(at(5 * limit))));
    }

    #[test]
    fn a_connection_that_stays_broken_is_reset_ever_more_rarely() {
        let mut recovery = Recovery::new();
        let mut resets = Vec::new();
        let mut now = 0;
        while now < 300 {
            let (step, next) = recovery.look(at(now), BROKEN);
            if step == Step::Broken {
                resets.push(now);
            }
            now = next.expect("there is a next time").0 / S;
        }
        assert_eq!(resets, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
        // After two good minutes the next one is at once, and the pauses begin at a second.
        assert_eq!(recovery.look(at(500), BROKEN), (Step::Broken, Some(at(501))));
    }
}
