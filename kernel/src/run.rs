//! The loop: one turn after another, and sleep when a turn finds nothing.
//!
//! ```text
//!   events ─► xenstore, console in ─► interfaces: reap, receive, deadlines ─► timers ─► tasks ─┐
//!      ▲                                                                                       │
//!      │                              store, console out ◄── interfaces: send, flush, look ◄───┘
//!      └── block in Xen until an event or the next deadline ◄── nothing left to do ┘
//! ```
//!
//! The tasks run between what comes in and what goes out: a request and its reply are one turn.
//!
//! A turn is bounded everywhere: frames by the stack's budget, polls of tasks by the executor's.

use crate::machine::DomU;
use crate::system::{Inner, System};
use alloc::rc::Rc;
use core::cell::Cell;
use net::{Net, Stack, Turn};
use xen::evtchn::EventChannels;
use xen::signal::Signal;
use xen::{Clock, EvtchnPort, Hypervisor, SystemTime};

/// An interface with its stack, as the loop and the status page see it.
pub(crate) trait Interface {
    fn receive(&mut self, now: SystemTime) -> bool;
    fn send(&mut self, now: SystemTime) -> Turn;
    fn net(&self) -> Net;
    fn stats(&self) -> netfront::Stats;
    /// The N of `device/vif/N`.
    fn handle(&self) -> u32;
}

/// A stack over a vif.
pub(crate) struct Vif {
    pub(crate) handle: u32,
    pub(crate) stack: Stack<netfront::NetDevice<DomU>>,
}

impl Interface for Vif {
    fn receive(&mut self, now: SystemTime) -> bool {
        self.stack.receive(now)
    }
    fn send(&mut self, now: SystemTime) -> Turn {
        let Turn { next, more } = self.stack.send();
        Turn { next: earliest(next, self.stack.nic_mut().tend(now)), more }
    }
    fn net(&self) -> Net {
        self.stack.net()
    }
    fn stats(&self) -> netfront::Stats {
        self.stack.nic().stats()
    }
    fn handle(&self) -> u32 {
        self.handle
    }
}

/// Deadlines further away than this are not worth the name: the guest looks after itself at least so often.
const LONGEST_SLEEP_NS: u64 = 60_000_000_000;

/// Runs the guest until it ends.
pub(crate) fn run(system: &System) -> ! {
    let inner = &*system.0;
    let mut armed = SystemTime(u64::MAX);
    loop {
        // One reading of the clock a turn: what has come due meanwhile is found by the timer, which rings at once then.
        let now = inner.xen.machine.now();
        let (more, next) = turn(inner, now);
        if let Some(reason) = inner.ending.get() {
            inner.end(reason);
        }
        if crate::suspend::when_due(system) {
            // The timer was Xen's, and is not set any more.
            armed = SystemTime(u64::MAX);
            continue;
        }
        if !more {
            idle(inner, now, next, &mut armed);
        }
    }
}

/// The events that the loop itself listens to.
pub(crate) struct Bells {
    /// Xen's timer has rung.
    timer: Rc<Signal>,
    /// xenstored has read or written.
    store: Rc<Signal>,
    /// xenconsoled has read or written.
    console: Rc<Signal>,
    /// Turns that an event of xenstore's began, and no other.
    of_store: Cell<u64>,
}

impl Bells {
    /// Listens to the three ports; `rings` are xenstore's and the console's.
    pub(crate) fn hang(events: &EventChannels, timer: EvtchnPort, rings: [EvtchnPort; 2]) -> Self {
        let [store, console] = rings.map(|port| events.listen(port));
        Self { timer: events.listen(timer), store, console, of_store: Cell::new(0) }
    }

    /// Turns that an event of xenstore's began, and no other.
    pub(crate) const fn turns_of_store(&self) -> u64 {
        self.of_store.get()
    }
}

/// Looks at xenstore's and the console's rings, unless this turn is another event's: a frame's, as a rule. A turn that
/// no event began, or the timer, looks everywhere: an event that was lost costs a wait then, and not the guest.
fn look_at_rings(inner: &Inner, events: u32) {
    let machine = &inner.xen.machine;
    let bells = inner.bells.borrow();
    let everywhere = events == 0 || bells.timer.is_set();
    if events == 1 && bells.store.is_set() {
        bells.of_store.set(bells.of_store.get().wrapping_add(1));
    }
    let store = bells.store.take() || everywhere;
    let console = bells.console.take() || everywhere;
    drop(bells);
    if store {
        inner.xen.store.pump(machine);
    }
    if console {
        inner.console.pump(machine);
    }
}

/// One turn: whether another is due at once, and else the next deadline.
fn turn(inner: &Inner, now: SystemTime) -> (bool, Option<SystemTime>) {
    let machine = &inner.xen.machine;
    look_at_rings(inner, inner.xen.events.dispatch());
    let mut more = false;
    for interface in inner.interfaces.borrow_mut().iter_mut() {
        more |= interface.receive(now);
    }
    inner.timers.fire(now);
    inner.executor.run();
    let mut next = earliest(inner.watchdog.tend(machine, now), inner.timers.next());
    for interface in inner.interfaces.borrow_mut().iter_mut() {
        let turn = interface.send(now);
        more |= turn.more;
        next = earliest(next, turn.next);
    }
    // What the tasks have asked of xenstore and written to the console goes out before the vCPU sleeps.
    if inner.xen.store.has_unsent() {
        inner.xen.store.pump(machine);
    }
    if !inner.console.is_flushed() {
        inner.console.pump(machine);
    }
    more |= inner.executor.has_work() || inner.suspending.get().is_some();
    (more, next)
}

fn earliest(a: Option<SystemTime>, b: Option<SystemTime>) -> Option<SystemTime> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Sleeps until an event, or until `next`. The timer is set only when it would ring too late: one that rings too early
/// costs a turn without work, setting it anew costs a hypercall each time.
fn idle(inner: &Inner, now: SystemTime, next: Option<SystemTime>, armed: &mut SystemTime) {
    let machine = &inner.xen.machine;
    if inner.xen.events.has_pending() {
        return;
    }
    if inner.bells.borrow().timer.take() {
        // Set anew even if our clock says that the time is yet to come: it may be behind the one that Xen's timer went
        // by, which is another processor's.
        *armed = SystemTime(0);
    }
    let deadline = next.unwrap_or(SystemTime(u64::MAX)).min(now.after(LONGEST_SLEEP_NS));
    if deadline <= now {
        return;
    }
    if *armed <= now || deadline < *armed {
        if machine.set_singleshot_timer(deadline).is_err() {
            return;
        }
        *armed = deadline;
    }
    machine.sched_block();
}
