//! A small kernel of a guest: one loop, its tasks, its timer; and a machine with several guests.
//!
//! ```text
//!   dispatch events ─► pump xenstore ─► tasks ─► upper layer receives ─► tasks ─► it sends ─► set the timer ─► block in Xen
//! ```

use crate::upper::Upper;
use net::Turn;
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
use xen::signal::Signal;
use xen::{SystemTime, VcpuId, Xen};
use xen_sim::{Counters, Guest, Restored, Sim, block_on, boot, resume};

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

/// Iterations of the loop, counted as the kernel counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Iterations {
    pub(crate) all: u64,
    /// The timer came for a deadline that was cancelled.
    pub(crate) stale_timers: u64,
    /// No deadline had passed, and no event but the timer's came.
    pub(crate) without_work: u64,
}

/// One guest: booted, its vif opened, and something above the device.
pub(crate) struct Os<U> {
    // The tasks are dropped first: they own sockets of the layers above, which own the machine.
    tasks: Vec<Task>,
    pub(crate) upper: U,
    pub(crate) xen: Rc<Xen<Guest>>,
    naps: Rc<Naps>,
    timer: Rc<Signal>,
    /// When the loop meant to wake up.
    due: u64,
    /// What the timer is set to.
    armed: u64,
    pub(crate) iterations: Iterations,
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
        let timer = xen.events.listen(xen.machine.evtchn_bind_virq(Virq::Timer, VcpuId(0)).unwrap());
        let upper = upper(device, xen.machine.now());
        let naps = Rc::new(Naps::default());
        let (iterations, last_turn) = (Iterations::default(), Counters::default());
        let mut os =
            Self { tasks: vec![], upper, xen, naps, timer, due: 0, armed: u64::MAX, iterations, last_turn };
        os.spawn(life.run(os.sleeper()));
        os
    }

    /// What waits for a number of nanoseconds.
    pub(crate) fn sleeper(&self) -> impl AsyncFn(u64) + 'static {
        let (clock, naps) = (self.xen.machine.clone(), Rc::clone(&self.naps));
        async move |ns| nap(clock.clone(), Rc::clone(&naps), ns).await
    }

    /// Goes on after a restore, as the kernel does.
    pub(crate) fn resume(&mut self, restored: Restored) {
        resume(&self.xen, restored);
        let port = self.xen.machine.evtchn_bind_virq(Virq::Timer, VcpuId(0)).unwrap();
        self.timer = self.xen.events.listen(port);
        // Xen's timer is not set any more.
        (self.due, self.armed) = (0, u64::MAX);
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

    fn run_tasks(&mut self) {
        for task in &mut self.tasks {
            if task.done || !task.woken.0.swap(false, Ordering::Relaxed) {
                continue;
            }
            let waker = Waker::from(Arc::clone(&task.woken));
            task.done = task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        }
    }

    /// One iteration of the loop, in the kernel's order. Returns whether another one is due at once.
    pub(crate) fn turn(&mut self) -> bool {
        let before = self.xen.machine.counters();
        let now = self.xen.machine.now();
        let events = self.xen.events.dispatch();
        let timer = self.timer.take();
        self.iterations.all += 1;
        if now.0 < self.due && events <= u32::from(timer) {
            let is_stale = timer && now.0 >= self.armed;
            self.iterations.stale_timers += u64::from(is_stale);
            self.iterations.without_work += u64::from(!is_stale);
        }
        self.xen.store.pump(&self.xen.machine);
        let mut store = self.xen.store.maintain(&self.xen.machine, now);
        self.naps.wake(now.0);
        let received = self.upper.receive(now);
        self.run_tasks();
        let Turn { next, more } = self.upper.send();
        let maintenance = self.upper.device_mut().maintain(now);
        if self.xen.store.has_unsent() {
            self.xen.store.pump(&self.xen.machine);
            store = self.xen.store.maintain(&self.xen.machine, now);
        }
        self.last_turn = self.xen.machine.counters().since(&before);
        if let Err(mismatch) = self.upper.device().accounting() {
            panic!("pages do not add up: {mismatch}");
        }
        assert_eq!(self.device().stats().device.mismatches, 0, "what the guest counts of itself");
        let times = [next, maintenance, store].into_iter().flatten().map(|time| time.0);
        let next = times.chain(self.naps.next()).min();
        if let Some(next) = next.filter(|next| self.armed <= now.0 || *next < self.armed) {
            self.xen.machine.set_singleshot_timer(SystemTime(next)).unwrap();
            self.armed = next;
        }
        let woken = self.tasks.iter().any(|task| !task.done && task.woken.0.load(Ordering::Relaxed));
        let busy = received || more || woken;
        self.due = if busy { now.0 } else { next.unwrap_or(u64::MAX) };
        busy || self.xen.events.has_pending()
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

/// Runs a guest for a time in which it blocks whenever it has no work. The iterations of that time.
pub(crate) fn run_for<U: Upper>(sim: &Sim, os: &mut Os<U>, ns: u64) -> Iterations {
    let (end, before) = (sim.now() + ns, os.iterations);
    // The first iteration is the test's.
    os.due = 0;
    while sim.now() < end {
        assert!(os.iterations.all - before.all < MAX_ITERATIONS as u64, "the loop spins\n{}", sim.dump());
        if os.turn() {
            sim.run();
        } else {
            sim.sleep(&os.xen.machine, end);
        }
    }
    Iterations {
        all: os.iterations.all - before.all,
        stale_timers: os.iterations.stale_timers - before.stale_timers,
        without_work: os.iterations.without_work - before.without_work,
    }
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
            busy |= os.turn();
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
