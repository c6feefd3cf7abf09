//! A small kernel of a guest: one loop, its tasks, its timer; and a machine with several guests.
//!
//! ```text
//!   dispatch events ─► pump xenstore ─► tasks ─► upper layer receives ─► tasks ─► it sends ─► set the timer ─► block in Xen
//! ```

use crate::upper::Upper;
use net::Iteration;
use netfront::{Config, NetDevice};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use xen::hypervisor::{Clock as _, Hypervisor as _, Virq};
use xen::{SystemTime, VcpuId, Xen};
use xen_sim::{Counters, Guest, Restored, Sim, block_on, boot, iterate, resume};

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Flag>,
    done: bool,
}

/// What a task returned, once it has.
pub(crate) struct Join<T>(Rc<RefCell<Option<T>>>);

impl<T> Join<T> {
    pub(crate) fn is_done(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(crate) fn take(&self) -> T {
        self.0.borrow_mut().take().expect("the task is done")
    }
}

/// Sleepers by the time at which they wake.
#[derive(Default)]
struct Naps(RefCell<BTreeMap<u64, Vec<Waker>>>);

impl Naps {
    fn wake(&self, now: u64) {
        let later = self.0.borrow_mut().split_off(&(now + 1));
        let due = self.0.replace(later);
        due.into_values().flatten().for_each(Waker::wake);
    }

    fn next(&self) -> Option<u64> {
        self.0.borrow().keys().next().copied()
    }
}

/// One guest: booted, its vif opened, and something above the device.
pub(crate) struct Os<U> {
    // The tasks are dropped first: they own sockets of the layers above, which own the machine.
    tasks: Vec<Task>,
    pub(crate) upper: U,
    pub(crate) xen: Rc<Xen<Guest>>,
    naps: Rc<Naps>,
    /// The hypercalls of the guest's last iteration.
    pub(crate) last_turn: Counters,
}

impl<U: Upper> Os<U> {
    /// Boots a guest, opens its first vif, and puts something above it.
    pub(crate) fn boot(
        guest: Guest,
        config: Config,
        upper: impl FnOnce(NetDevice<Guest>, SystemTime) -> U,
    ) -> Self {
        let xen = boot(guest);
        let (device, life) = block_on(&xen, netfront::open(Rc::clone(&xen), 0, config)).expect("a vif");
        xen.events.listen(xen.machine.evtchn_bind_virq(Virq::Timer, VcpuId(0)).unwrap());
        let upper = upper(device, xen.machine.now());
        let naps = Rc::new(Naps::default());
        let mut os = Self { tasks: vec![], upper, xen, naps, last_turn: Counters::default() };
        let (clock, naps) = (os.xen.machine.clone(), Rc::clone(&os.naps));
        os.spawn(life.run(move |ns| nap(clock.clone(), Rc::clone(&naps), ns)));
        os
    }

    /// Goes on after a restore, as the kernel does.
    pub(crate) fn resume(&mut self, restored: Restored) {
        resume(&self.xen, restored);
        self.xen.events.listen(self.xen.machine.evtchn_bind_virq(Virq::Timer, VcpuId(0)).unwrap());
    }

    pub(crate) fn spawn<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> Join<T> {
        let result = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&result);
        let future = Box::pin(async move {
            let value = future.await;
            *slot.borrow_mut() = Some(value);
        });
        self.tasks.push(Task { future, woken: Arc::new(Flag(AtomicBool::new(true))), done: false });
        Join(result)
    }

    fn run_tasks(&mut self) -> bool {
        let mut ran = false;
        for task in &mut self.tasks {
            if task.done || !task.woken.0.swap(false, Ordering::Relaxed) {
                continue;
            }
            let waker = Waker::from(Arc::clone(&task.woken));
            task.done = task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            ran = true;
        }
        ran
    }

    /// One iteration of the loop. Returns whether another one is due at once.
    pub(crate) fn iterate(&mut self) -> bool {
        let before = self.xen.machine.counters();
        iterate(&self.xen);
        self.naps.wake(self.xen.machine.now().0);
        self.run_tasks();
        let received = self.upper.receive(self.xen.machine.now());
        let ran = self.run_tasks();
        let Iteration { next, more } = self.upper.send();
        let maintenance = self.upper.device_mut().maintain(self.xen.machine.now());
        let moved = iterate(&self.xen);
        self.last_turn = self.xen.machine.counters().since(&before);
        if let Err(mismatch) = self.upper.device().accounting() {
            panic!("pages do not add up: {mismatch}");
        }
        assert_eq!(self.device().stats().device.mismatches, 0, "what the guest counts of itself");
        let times = [next, maintenance].into_iter().flatten().map(|time| time.0);
        let next = times.chain(self.naps.next()).min();
        if let Some(next) = next {
            self.xen.machine.set_singleshot_timer(SystemTime(next)).unwrap();
        }
        let woken = self.tasks.iter().any(|task| !task.done && task.woken.0.load(Ordering::Relaxed));
        received || more || ran || woken || moved
    }

    pub(crate) fn device(&self) -> &NetDevice<Guest> {
        self.upper.device()
    }

    /// How often a rule of the protocol was broken by the backend.
    pub(crate) fn misbehaved(&self, rule: &str) -> u64 {
        let stats = self.device().stats();
        let found = stats.misbehaviour.iter().find(|(name, ..)| *name == rule);
        found.unwrap_or_else(|| panic!("no such rule: {rule}")).2
    }
}

async fn nap(clock: Guest, naps: Rc<Naps>, ns: u64) {
    let end = clock.now().after(ns);
    poll_fn(|cx| {
        if clock.now() >= end {
            return Poll::Ready(());
        }
        naps.0.borrow_mut().entry(end.0).or_default().push(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// Iterations after which a test has failed.
const MAX_ITERATIONS: usize = 100_000;

/// Runs guests in turn until a condition holds. Guests without work block; if nothing can wake them, the test fails.
pub(crate) fn run_until<U: Upper>(
    sim: &Sim,
    guests: &mut [Os<U>],
    what: &str,
    so: impl Fn(&[Os<U>]) -> bool,
) {
    let handles: Vec<Guest> = guests.iter().map(|os| os.xen.machine.clone()).collect();
    for _ in 0..MAX_ITERATIONS {
        let mut busy = false;
        for os in &mut *guests {
            busy |= os.iterate();
        }
        if so(guests) {
            return;
        }
        if busy {
            sim.run();
        } else {
            sim.block(&handles);
        }
    }
    panic!("not after {MAX_ITERATIONS} iterations: {what}\n{}", sim.dump());
}
