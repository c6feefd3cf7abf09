//! The loop: one iteration after another, and a sleep when an iteration leaves no work.
//!
//! ```text
//!   events ─► xenstore, console in ─► interfaces: reap, receive, deadlines ─► timers ─► tasks ─┐
//!      ▲                                                                                       │
//!      │                             store, console out ◄── interfaces: send, flush, check ◄───┘
//!      └── block in Xen until an event or the next deadline ◄── no work left ┘
//! ```
//!
//! Tasks run between receiving and sending: a request and its reply take one iteration. An iteration is bounded: frames
//! by the stack's budget, polls of tasks by the executor's.

mod suspend;

use crate::system::System;
use crate::system::interface::earliest;
use suspend::Outcome;
pub(crate) use suspend::Resumed;
use xen::{Clock, Hypervisor, SystemTime};

/// The longest sleep: the loop runs an iteration at least this often.
const LONGEST_SLEEP_NS: u64 = 60_000_000_000;

/// Runs the guest until it ends. After each resume `resumed` is called, before any task runs.
pub(crate) fn run(system: &System, resumed: fn(&System, Resumed)) -> ! {
    let mut armed = SystemTime(u64::MAX);
    // When the loop meant to wake up.
    let mut due = SystemTime(0);
    loop {
        // The clock is read once an iteration. A deadline that passes meanwhile makes the timer fire at once.
        let now = system.xen().machine.now();
        let (more, next) = iterate(system, now, due, armed);
        if let Some(reason) = system.ending() {
            system.end(reason);
        }
        match suspend::when_due(system) {
            Outcome::NotDue => {}
            outcome => {
                if let Outcome::Resumed(domain) = outcome {
                    resumed(system, domain);
                }
                // Xen's timer is not set any more, and what the suspend has put off is due.
                (armed, due) = (SystemTime(u64::MAX), SystemTime(0));
                continue;
            }
        }
        due = now;
        if !more {
            let next = earliest(next, suspend::deadline(system)).unwrap_or(SystemTime(u64::MAX));
            due = next.min(now.after(LONGEST_SLEEP_NS));
            idle(system, now, due, &mut armed);
        }
    }
}

/// One iteration. Returns whether there is more work at once, and otherwise the next deadline.
///
/// An iteration has work if it was due, or if an event other than the timer's began it. One that the timer began for a
/// deadline that was cancelled meanwhile is counted as that: there is at most one for each setting of the timer. Any other
/// is counted as one without work: it costs processor time for nothing.
fn iterate(
    system: &System,
    now: SystemTime,
    due: SystemTime,
    armed: SystemTime,
) -> (bool, Option<SystemTime>) {
    let xen = system.xen();
    let events = xen.events.dispatch();
    let rings = system.loop_signals().take_due(events);
    let mut stats = system.loop_stats();
    stats.iterations.bump();
    if now < due && events <= u32::from(rings.timer) {
        let is_stale = rings.timer && now >= armed;
        if is_stale {
            stats.stale_timers.bump()
        } else {
            stats.without_work.bump()
        };
    }
    system.set_loop_stats(stats);
    if rings.store {
        xen.store.pump(&xen.machine);
    }
    if rings.console {
        system.console().pump(&xen.machine);
    }
    // Before the tasks run: one whose request was cut off then makes it again on the new connection.
    let mut store_due = xen.store.maintain(&xen.machine, now);
    let mut more = false;
    for interface in system.interfaces_mut().iter_mut() {
        more |= interface.receive(now);
    }
    system.timers().fire(now);
    system.executor().run();
    let mut next = earliest(system.watchdog().feed(&xen.machine, now), system.timers().next());
    for interface in system.interfaces_mut().iter_mut() {
        let turn = interface.send(now);
        more |= turn.more;
        next = earliest(next, turn.next);
    }
    let turn = system.run_turns(now);
    (more, next) = (more || turn.more, earliest(next, turn.next));
    // What the tasks have requested of xenstore and written to the console goes out before the vCPU sleeps.
    if xen.store.has_unsent() {
        xen.store.pump(&xen.machine);
        store_due = xen.store.maintain(&xen.machine, now);
    }
    if !system.console().is_flushed() {
        system.console().pump(&xen.machine);
    }
    (more || system.executor().has_work(), earliest(next, store_due))
}

/// Sleeps until an event, or until `deadline`.
///
/// The timer is set only if it would fire too late. A timer that fires too early costs an iteration
/// ([`stale_timers`](crate::stats::LoopStats)); setting it costs a hypercall each time.
fn idle(system: &System, now: SystemTime, deadline: SystemTime, armed: &mut SystemTime) {
    let xen = system.xen();
    if xen.events.has_pending() {
        return;
    }
    if system.loop_signals().take_timer() {
        // Set it again even if the deadline is not reached by our clock, which may be behind that of the processor by
        // which Xen's timer fired.
        *armed = SystemTime(0);
    }
    if deadline <= now {
        return;
    }
    if *armed <= now || deadline < *armed {
        if xen.machine.set_singleshot_timer(deadline).is_err() {
            return;
        }
        *armed = deadline;
    }
    xen.machine.sched_block();
}
