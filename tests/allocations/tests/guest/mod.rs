//! A guest for appliances on the host: `System` as they use it, over the stack of net's tests.
//!
//! ```text
//!   the appliance's own source ─► kernel::System ─┐
//!   extern crate self as kernel ──────────────────┴─► this System: the stack 10.0.0.2, virtual time, a ledger
//!                                                       ║ link in memory
//!   the test's client ──────────────────────────────► the stack 10.0.0.1
//! ```
//!
//! A test program names itself `kernel`, so that an appliance's files compile in it unchanged.

use crate::world::{Join, MS, Wire, World};
use ledger::{Account, Ledger, Refused};
use net::Net;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};
use xen::SystemTime;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The part of `kernel::System` that these appliances use.
#[derive(Clone)]
pub(crate) struct System(Rc<Inner>);

struct Inner {
    net: Net,
    now: Rc<Cell<u64>>,
    ledger: Ledger,
    spawned: RefCell<Vec<Task>>,
    sleepers: RefCell<Vec<(SystemTime, Waker)>>,
}

#[allow(dead_code, reason = "each appliance uses a part")]
impl System {
    pub(crate) fn now(&self) -> SystemTime {
        SystemTime(self.0.now.get())
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    pub(crate) fn each_net(&self, serve: impl Fn(Net) + 'static) {
        serve(self.0.net.clone());
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.0.spawned.borrow_mut().push(Box::pin(future));
    }

    pub(crate) fn try_spawn(
        &self,
        account: &Account,
        beside: usize,
        future: impl Future<Output = ()> + 'static,
    ) -> Result<(), Refused> {
        let reservation = account.reserve(beside + size_of_val(&future))?;
        self.spawn(async move {
            future.await;
            drop(reservation);
        });
        Ok(())
    }

    pub(crate) async fn sleep_until(&self, deadline: SystemTime) {
        poll_fn(|cx| {
            if self.now() >= deadline {
                return Poll::Ready(());
            }
            self.0.sleepers.borrow_mut().push((deadline, cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    pub(crate) async fn timeout<F: Future>(&self, ns: u64, future: F) -> Option<F::Output> {
        let (mut future, mut sleep) = (pin!(future), pin!(self.sleep_until(self.now().after(ns))));
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
        })
        .await
    }
}

/// The guest, and the stack of its client.
#[allow(dead_code, reason = "echo takes its stack from the system")]
pub(crate) struct Guest {
    pub(crate) system: System,
    /// The stack of the guest.
    pub(crate) server: Net,
    pub(crate) client: Net,
    pub(crate) world: World,
}

impl Guest {
    pub(crate) fn new() -> Self {
        let (world, client, net) = World::pair(|_| {}, Wire::default());
        let server = net.clone();
        let inner = Inner {
            net,
            now: Rc::clone(&world.now),
            ledger: Ledger::new(64 << 20),
            spawned: RefCell::default(),
            sleepers: RefCell::default(),
        };
        Self { system: System(Rc::new(inner)), server, client, world }
    }

    /// Starts the appliance, until it listens.
    pub(crate) fn start(&mut self, main: impl Future<Output = ()> + 'static) {
        self.system.spawn(main);
        for _ in 0..5 {
            self.step();
        }
    }

    /// Runs until the client has finished; at most `limit` ns of virtual time. `None`: it has not.
    pub(crate) fn run<T>(&mut self, limit: u64, client: &Join<T>) -> Option<T> {
        let end = self.world.now.get() + limit;
        while !client.done() && self.world.now.get() < end {
            self.step();
        }
        client.take()
    }

    /// A millisecond.
    fn step(&mut self) {
        for task in self.system.0.spawned.take() {
            self.world.spawn(task);
        }
        let now = self.system.now();
        self.system.0.sleepers.borrow_mut().retain(|(deadline, waker)| {
            let is_due = *deadline <= now;
            if is_due {
                waker.wake_by_ref();
            }
            !is_due
        });
        self.world.run(MS);
    }
}
