//! What has to be polled for egress, and when: a list without duplicates and a tree of deadlines.
//!
//! ```text
//!   application wrote ─┐                    ┌─► egress: poll_egress, then poll_at ─► arm
//!   frame came in ─────┼─► dirty (FIFO) ────┤
//!   deadline reached ──┘                    └─ more to send: again at the back
//!         ▲
//!       timers ◄────────────────────────────────────── arm
//! ```
//!
//! Nothing here looks at a job that is neither dirty nor due: ten thousand idle connections cost their memory only.
//!
//! Timers are lazy. A connection's deadline moves with every segment; the tree is touched only when it moves
//! *forward*. A deadline that moved back is found to be early when it fires, and armed anew: one idle pass instead of
//! two tree operations for each segment.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use smoltcp::time::Instant;

/// Something that smoltcp is to be polled for: a set of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Job {
    /// The sending side of a UDP socket, by its number.
    Udp(usize),
    /// A connection, by its number.
    Tcp(usize),
}

/// A job's own part of the schedule, kept in the job.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    queued: bool,
    /// Waits for a neighbour's hardware address.
    stuck: bool,
    /// Waited for one until an ARP frame came in.
    retried: bool,
    /// The entry in the tree; at or before `deadline`.
    armed: Option<Instant>,
    deadline: Option<Instant>,
}

/// The list and the tree.
#[derive(Debug, Default)]
pub(crate) struct Sched {
    dirty: VecDeque<Job>,
    timers: BTreeSet<(Instant, Job)>,
    stuck: Vec<Job>,
}

impl Sched {
    /// Puts the job at the end of the list, unless it is there.
    pub(crate) fn mark(&mut self, job: Job, slot: &mut Slot) {
        if !slot.queued {
            slot.queued = true;
            self.dirty.push_back(job);
        }
    }

    /// Puts the job first: it was interrupted.
    pub(crate) fn mark_first(&mut self, job: Job, slot: &mut Slot) {
        if !slot.queued {
            slot.queued = true;
            self.dirty.push_front(job);
        }
    }

    /// The next job to poll; its slot must be told with [`Slot::taken`].
    pub(crate) fn take(&mut self) -> Option<Job> {
        self.dirty.pop_front()
    }

    pub(crate) fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// Sets the job's deadline; `None`: it has none.
    pub(crate) fn arm(&mut self, job: Job, slot: &mut Slot, deadline: Option<Instant>) {
        slot.deadline = deadline;
        let Some(at) = deadline else { return };
        if slot.armed.is_some_and(|armed| armed <= at) {
            return;
        }
        if let Some(armed) = slot.armed.replace(at) {
            self.timers.remove(&(armed, job));
        }
        self.timers.insert((at, job));
    }

    /// Takes the earliest entry that is due; its slot must be asked with [`Sched::fired`].
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Job> {
        match self.timers.first() {
            Some((at, _)) if *at <= now => self.timers.pop_first().map(|(_, job)| job),
            _ => None,
        }
    }

    /// Whether the job whose entry was taken is really due; else it is armed anew.
    pub(crate) fn fired(&mut self, job: Job, slot: &mut Slot, now: Instant) -> bool {
        slot.armed = None;
        match slot.deadline.take() {
            Some(at) if at > now => {
                self.arm(job, slot, Some(at));
                false
            }
            due => due.is_some(),
        }
    }

    /// The earliest entry in the tree.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(crate) fn timers(&self) -> usize {
        self.timers.len()
    }

    /// Remembers a job that waits for a neighbour's hardware address.
    pub(crate) fn stick(&mut self, job: Job, slot: &mut Slot) {
        if !slot.stuck {
            slot.stuck = true;
            self.stuck.push(job);
        }
    }

    /// The jobs that wait for a neighbour; each is to be told with [`Slot::unstuck`].
    pub(crate) fn take_stuck(&mut self) -> Vec<Job> {
        core::mem::take(&mut self.stuck)
    }

    /// Removes a job that ends. An entry that stays in a list is harmless: nobody has that number, or another job is
    /// polled once in vain.
    pub(crate) fn forget(&mut self, job: Job, slot: &mut Slot) {
        if let Some(armed) = slot.armed.take() {
            self.timers.remove(&(armed, job));
        }
        slot.deadline = None;
    }
}

impl Slot {
    /// The job was taken from the list.
    pub(crate) fn taken(&mut self) {
        self.queued = false;
    }

    /// The job was taken from those that wait for a neighbour, to be tried again.
    pub(crate) fn unstuck(&mut self) {
        self.stuck = false;
        self.retried = true;
    }

    /// Whether the job is tried again since an ARP frame came in; asked once.
    pub(crate) fn retried(&mut self) -> bool {
        core::mem::take(&mut self.retried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn a_job_is_in_the_list_once() {
        let (mut sched, mut slot) = (Sched::default(), Slot::default());
        sched.mark(Job::Tcp(1), &mut slot);
        sched.mark(Job::Tcp(1), &mut slot);
        sched.mark_first(Job::Tcp(1), &mut slot);
        assert_eq!((sched.dirty(), sched.take(), sched.take()), (1, Some(Job::Tcp(1)), None));
        slot.taken();
        sched.mark(Job::Tcp(1), &mut slot);
        assert_eq!(sched.dirty(), 1);
    }

    #[test]
    fn a_deadline_that_moved_back_fires_at_its_new_time_only() {
        let (mut sched, mut slot) = (Sched::default(), Slot::default());
        sched.arm(Job::Tcp(1), &mut slot, Some(at(10)));
        sched.arm(Job::Tcp(1), &mut slot, Some(at(50)));
        assert_eq!((sched.timers(), sched.next()), (1, Some(at(10))));
        assert_eq!(sched.take_due(at(10)), Some(Job::Tcp(1)));
        assert!(!sched.fired(Job::Tcp(1), &mut slot, at(10)));
        assert_eq!((sched.take_due(at(49)), sched.next()), (None, Some(at(50))));
        assert_eq!(sched.take_due(at(50)), Some(Job::Tcp(1)));
        assert!(sched.fired(Job::Tcp(1), &mut slot, at(50)));
        assert_eq!(sched.timers(), 0);
    }

    #[test]
    fn a_deadline_that_moved_forward_fires_early_enough_and_once() {
        let (mut sched, mut slot) = (Sched::default(), Slot::default());
        sched.arm(Job::Tcp(1), &mut slot, Some(at(50)));
        sched.arm(Job::Tcp(1), &mut slot, Some(at(10)));
        assert_eq!((sched.timers(), sched.next()), (1, Some(at(10))));
        sched.arm(Job::Tcp(1), &mut slot, None);
        assert_eq!(sched.take_due(at(10)), Some(Job::Tcp(1)));
        assert!(!sched.fired(Job::Tcp(1), &mut slot, at(10)), "a deadline that was taken back is not due");
        assert_eq!(sched.timers(), 0);
    }

    #[test]
    fn a_forgotten_job_has_no_timer() {
        let (mut sched, mut slot) = (Sched::default(), Slot::default());
        sched.arm(Job::Udp(1), &mut slot, Some(at(10)));
        sched.forget(Job::Udp(1), &mut slot);
        assert_eq!((sched.timers(), sched.take_due(at(99))), (0, None));
    }
}
