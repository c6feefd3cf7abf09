//! What began an iteration of the loop, and whether it had work.
//!
//! ```text
//!   iteration ─► no work left ─► due: the next deadline ─► Xen's timer, unless it fires before ─► sleep ─► iteration
//!                                      ▲                          │ once for each setting           ▲
//!                                      └── by our clock           └── by that of the processor      └── an event
//! ```
//!
//! Two wake-ups come without work, and cost nothing more than their iteration, because each follows something that
//! happens once:
//!
//! - **The timer's**, for a deadline that was cancelled, or that is still to come by our clock. Xen's timer goes by the
//!   clock of the processor where it fires, and a domain has the numbers of the processor where it runs (`xen.h`,
//!   `struct vcpu_time_info`). There is one for each setting of the timer.
//! - **A late one.** Xen sets `evtchn_pending`, then `evtchn_pending_sel`, then `evtchn_upcall_pending` (`xen.h`,
//!   `struct vcpu_info`). An iteration in between finds the event by the first of them; the others then wake the vCPU for
//!   nothing. There is at most one for each iteration that took events.

use xen::SystemTime;

/// What began an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// The loop had work, a deadline that has passed, or an event other than the timer's.
    WithWork,
    /// Xen's timer, before the loop's next deadline.
    StaleTimer,
    /// The rest of an event that an iteration before has taken.
    LateEvent,
    /// Nothing that is known.
    WithoutWork,
}

/// When the loop means to wake up, and what may wake it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wake {
    /// When the loop meant to wake up.
    due: SystemTime,
    /// What Xen's timer is set to; it has fired if that has passed.
    armed: SystemTime,
    /// Events were taken, and no late wake-up has come since.
    may_be_late: bool,
}

impl Wake {
    /// The first iteration is due. Xen's timer is not set.
    pub(crate) const fn new() -> Self {
        Self { due: SystemTime(0), armed: SystemTime(u64::MAX), may_be_late: false }
    }

    /// The next iteration is due at `at`.
    pub(crate) const fn set_due(&mut self, at: SystemTime) {
        self.due = at;
    }

    /// An iteration begins that took `events` events, the timer's among them if `timer`.
    pub(crate) fn begin(&mut self, now: SystemTime, events: u32, timer: bool) -> Begun {
        let begun = match events {
            _ if now >= self.due || events > u32::from(timer) => Begun::WithWork,
            0 if self.may_be_late => Begun::LateEvent,
            0 => Begun::WithoutWork,
            _ => Begun::StaleTimer,
        };
        self.may_be_late = events > 0 || self.may_be_late && begun != Begun::LateEvent;
        begun
    }

    /// The timer's event was taken: the timer is not set any more.
    ///
    /// It is set again even if the deadline is not reached by our clock.
    pub(crate) const fn timer_fired(&mut self) {
        self.armed = SystemTime(0);
    }

    /// Whether Xen's timer is to be set, to wake the loop at `deadline`: it has fired, or would fire too late.
    ///
    /// A timer that fires too early costs an iteration; setting it costs a hypercall each time.
    pub(crate) fn is_to_be_set(&self, now: SystemTime, deadline: SystemTime) -> bool {
        self.armed <= now || deadline < self.armed
    }

    /// Xen's timer is set to `deadline`.
    pub(crate) const fn set(&mut self, deadline: SystemTime) {
        self.armed = deadline;
    }
}

#[cfg(test)]
mod tests {
    use super::{Begun, Wake};
    use xen::SystemTime;

    const DEADLINE: SystemTime = SystemTime(1_000);

    /// A loop that has had its first iteration, and sleeps until `DEADLINE`.
    fn sleeping() -> Wake {
        let mut wake = Wake::new();
        assert_eq!(wake.begin(SystemTime(1), 0, false), Begun::WithWork, "the first one is due");
        wake.set_due(DEADLINE);
        assert!(wake.is_to_be_set(SystemTime(1), DEADLINE));
        wake.set(DEADLINE);
        wake
    }

    #[test]
    fn a_deadline_that_has_passed_is_work() {
        assert_eq!(sleeping().begin(SystemTime(999), 0, false), Begun::WithoutWork);
        assert_eq!(sleeping().begin(DEADLINE, 0, false), Begun::WithWork);
        assert_eq!(sleeping().begin(DEADLINE, 1, true), Begun::WithWork);
    }

    #[test]
    fn an_event_other_than_the_timers_is_work() {
        assert_eq!(sleeping().begin(SystemTime(2), 1, false), Begun::WithWork);
        assert_eq!(sleeping().begin(SystemTime(2), 2, true), Begun::WithWork);
        assert_eq!(sleeping().begin(SystemTime(2), 1, true), Begun::StaleTimer);
    }

    #[test]
    fn a_timer_before_its_deadline_is_set_again() {
        let mut wake = sleeping();
        assert_eq!(wake.begin(SystemTime(999), 1, true), Begun::StaleTimer, "our clock is 1 ns behind");
        assert!(!wake.is_to_be_set(SystemTime(999), DEADLINE), "its event is not taken yet");
        wake.timer_fired();
        assert!(wake.is_to_be_set(SystemTime(999), DEADLINE));
    }

    #[test]
    fn a_timer_is_set_only_if_it_would_fire_too_late() {
        let wake = sleeping();
        assert!(!wake.is_to_be_set(SystemTime(2), DEADLINE));
        assert!(!wake.is_to_be_set(SystemTime(2), SystemTime(1_001)));
        assert!(wake.is_to_be_set(SystemTime(2), SystemTime(999)));
        assert!(wake.is_to_be_set(DEADLINE, SystemTime(2_000)), "it has fired");
    }

    #[test]
    fn taken_events_excuse_one_late_wake_up() {
        let mut wake = sleeping();
        wake.begin(SystemTime(2), 3, false);
        assert_eq!(wake.begin(SystemTime(3), 0, false), Begun::LateEvent);
        assert_eq!(wake.begin(SystemTime(4), 0, false), Begun::WithoutWork);
        wake.begin(SystemTime(5), 1, true);
        wake.begin(DEADLINE, 0, false);
        wake.set_due(SystemTime(2_000));
        assert_eq!(
            wake.begin(SystemTime(1_500), 0, false),
            Begun::LateEvent,
            "its rest may come later than others"
        );
        assert_eq!(wake.begin(SystemTime(1_501), 0, false), Begun::WithoutWork);
    }
}
