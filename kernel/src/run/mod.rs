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

use crate::stats::LoopStats;
use crate::system::System;
use crate::system::interface::earliest;
use crate::task::wake::{Begun, Wake};
use suspend::Outcome;
pub(crate) use suspend::Resumed;
use xen::{Clock, Hypervisor, SystemTime};

/// The longest sleep: the loop runs an iteration at least this often.
const LONGEST_SLEEP_NS: u64 = 60_000_000_000;

/// Runs the guest until it ends. After each resume `resumed` is called, before any task runs.
pub(crate) fn run(system: &System, resumed: fn(&System, Resumed)) -> ! {
    let mut wake = Wake::new();
    loop {
        // The clock is read once an iteration. A deadline that passes meanwhile makes the timer fire at once.
        let now = system.xen().machine.now();
        let (more, next) = iterate(system, now, &mut wake);
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
                wake = Wake::new();
                continue;
            }
        }
        wake.set_due(now);
        if !more {
            let next = earliest(next, suspend::deadline(system)).unwrap_or(SystemTime(u64::MAX));
            let due = next.min(now.after(LONGEST_SLEEP_NS));
            wake.set_due(due);
            idle(system, now, due, &mut wake);
        }
    }
}

/// One iteration. Returns whether there is more work at once, and otherwise the next deadline.
fn iterate(system: &System, now: SystemTime, wake: &mut Wake) -> (bool, Option<SystemTime>) {
    let xen = system.xen();
    let events = xen.events.dispatch();
    let rings = system.loop_signals().take_due(events);
    system.set_loop_stats(counted(system.loop_stats(), wake.begin(now, events, rings.timer)));
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
        let sent = interface.send(now);
        more |= sent.more;
        next = earliest(next, sent.next);
    }
    let done = system.run_iterations(now);
    (more, next) = (more || done.more, earliest(next, done.next));
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

/// Counts an iteration by what began it.
fn counted(mut stats: LoopStats, begun: Begun) -> LoopStats {
    stats.iterations.bump();
    match begun {
        Begun::WithWork => {}
        Begun::StaleTimer => stats.stale_timers.bump(),
        Begun::LateEvent => stats.late_events.bump(),
        Begun::WithoutWork => stats.without_work.bump(),
    }
    stats
}

/// Sleeps until an event, or until `deadline`.
fn idle(system: &System, now: SystemTime, deadline: SystemTime, wake: &mut Wake) {
    let xen = system.xen();
    if xen.events.has_pending() {
        return;
    }
    if system.loop_signals().take_timer() {
        wake.timer_fired();
    }
    if deadline <= now {
        return;
    }
    if wake.is_to_be_set(now, deadline) {
        if xen.machine.set_singleshot_timer(deadline).is_err() {
            return;
        }
        wake.set(deadline);
    }
    xen.machine.sched_block();
}
