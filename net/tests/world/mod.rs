//! A world for tests: stacks joined by links in memory, virtual time, and the smallest executor.
//!
//! ```text
//!   tasks ─► Stack ─ MemNic ══ link (delay, loss, slots) ══ MemNic ─ Stack ◄─ tasks
//!                       or                                  Raw: the test itself
//! ```
//!
//! Nothing reads the host's clock or randomness: a test that fails, fails again.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod frames;
pub(crate) mod nic;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use ledger::Ledger;
use net::{
    Addressing, Config, IpEndpoint, Ipv4Address, Ipv4Cidr, Ipv6Address, Ipv6Addressing, Ipv6Cidr, Limits,
    Net, Probing, Stack,
};
use smoltcp::wire::ArpOperation;
use xen::SystemTime;

pub(crate) use nic::{MemNic, Raw, Wire};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// One stack that knows the test's address, 10.0.0.9.
pub(crate) fn target(change: impl Fn(&mut Config)) -> (World, Net, Raw) {
    let (mut world, net, raw) = World::single(change);
    raw.send(frames::arp(ArpOperation::Request, ip(9), ip(1)));
    world.run(MS);
    raw.take();
    (world, net, raw)
}

/// What a stack sends within a millisecond after a frame.
pub(crate) fn replies(world: &mut World, raw: &Raw, frame: Vec<u8>) -> Vec<Vec<u8>> {
    raw.send(frame);
    world.run(MS);
    raw.take()
}

/// The address of the stack with this number.
pub(crate) fn ip(last: u8) -> Ipv4Address {
    Ipv4Address::new(10, 0, 0, last)
}

pub(crate) fn at(last: u8, port: u16) -> IpEndpoint {
    IpEndpoint::new(ip(last).into(), port)
}

pub(crate) fn config(last: u8) -> Config {
    Config {
        addressing: Addressing::Static {
            address: Ipv4Cidr::new(ip(last), 24),
            gateway: Some(ip(254)),
            dns: vec![],
        },
        ipv6: Ipv6Addressing::Off,
        hostname: "guest".into(),
        seed: [42 + last; 32],
        probing: Probing::Off,
        limits: Limits::default(),
        ledger: Ledger::new(512 << 20),
    }
}

/// 2001:db8::1 and 2001:db8::2 as well.
pub(crate) fn fixed(config: &mut Config) {
    let Addressing::Static { address, .. } = &config.addressing else { unreachable!("the world's own") };
    let last = u16::from(address.address().octets()[3]);
    config.ipv6 = Ipv6Addressing::Static { address: Ipv6Cidr::new(global(last), 64), gateway: None };
}

pub(crate) fn global(last: u16) -> Ipv6Address {
    Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Flag>,
}

/// What a task will have returned.
pub(crate) struct Join<T>(Rc<RefCell<Option<T>>>);

impl<T> Join<T> {
    pub(crate) fn done(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.0.borrow_mut().take()
    }
}

pub(crate) struct World {
    pub(crate) now: Rc<Cell<u64>>,
    pub(crate) stacks: Vec<Stack<MemNic>>,
    tasks: Vec<Option<Task>>,
    /// Iterations of all stacks.
    pub(crate) iterations: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { now: Rc::new(Cell::new(SECOND)), stacks: vec![], tasks: vec![], iterations: 0 }
    }

    /// Two stacks, 10.0.0.1 and 10.0.0.2.
    pub(crate) fn pair(change: impl Fn(&mut Config), wire: Wire) -> (Self, Net, Net) {
        let mut world = Self::new();
        let (a, b) = MemNic::pair(&world.now, wire);
        let mut configs = [config(1), config(2)];
        configs.iter_mut().for_each(change);
        let [first, second] = configs;
        let a = world.add(a, first);
        let b = world.add(b, second);
        (world, a, b)
    }

    /// One stack, 10.0.0.1 unless changed, and the other end of its link.
    pub(crate) fn single(change: impl Fn(&mut Config)) -> (Self, Net, Raw) {
        let mut world = Self::new();
        let (nic, raw) = MemNic::raw(&world.now);
        let mut config = config(1);
        change(&mut config);
        let net = world.add(nic, config);
        (world, net, raw)
    }

    pub(crate) fn add(&mut self, nic: MemNic, config: Config) -> Net {
        let stack = Stack::new(nic, config, self.time());
        let net = stack.net();
        self.stacks.push(stack);
        net
    }

    pub(crate) fn time(&self) -> SystemTime {
        SystemTime(self.now.get())
    }

    pub(crate) fn spawn<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> Join<T> {
        let result = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&result);
        let future = Box::pin(async move { *slot.borrow_mut() = Some(future.await) });
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        self.tasks.push(Some(Task { future, woken }));
        Join(result)
    }

    /// Runs until the task is done; at most `limit` ns of virtual time.
    pub(crate) fn wait<T>(&mut self, limit: u64, join: &Join<T>) -> T {
        let end = self.now.get() + limit;
        while !join.done() {
            assert!(self.step(end, &|| join.done()) || join.done(), "not done after {} ms", limit / MS);
        }
        join.take().unwrap()
    }

    pub(crate) fn block_on<T: 'static>(
        &mut self,
        limit: u64,
        future: impl Future<Output = T> + 'static,
    ) -> T {
        let join = self.spawn(future);
        self.wait(limit, &join)
    }

    /// Runs for `span` ns of virtual time.
    pub(crate) fn run(&mut self, span: u64) {
        let end = self.now.get() + span;
        while self.step(end, &|| false) {}
    }

    /// Polls woken tasks, runs every stack, then advances the time, unless it is `done`. `false`: `end` is
    /// reached.
    fn step(&mut self, end: u64, done: &dyn Fn() -> bool) -> bool {
        let mut next = end;
        for round in 0.. {
            assert!(round < 200_000, "the stacks spin");
            let now = self.time();
            let mut busy = self.poll_tasks();
            for stack in &mut self.stacks {
                busy |= stack.receive(now);
                self.iterations += 1;
            }
            busy |= self.poll_tasks();
            next = end;
            for stack in &mut self.stacks {
                let iteration = stack.send();
                busy |= iteration.more;
                let due = iteration.next.map_or(u64::MAX, |at| at.0);
                // An interface that cannot send has nothing to gain from a deadline that is past.
                next = next.min(if due <= now.0 { u64::MAX } else { due });
            }
            // Only now: the frames of the last stack are in flight to the first.
            for nic in self.stacks.iter().map(Stack::nic) {
                busy |= nic.arrived();
                next = next.min(nic.next_arrival());
            }
            if !busy && !self.woken() {
                break;
            }
        }
        if done() {
            return true;
        }
        if next >= end {
            self.now.set(end);
            return false;
        }
        self.now.set(next.max(self.now.get()));
        true
    }

    fn woken(&self) -> bool {
        self.tasks.iter().flatten().any(|task| task.woken.0.load(Ordering::Relaxed))
    }

    /// Polls the tasks that were woken; whether there were any.
    pub(crate) fn poll_tasks(&mut self) -> bool {
        let mut busy = false;
        for slot in &mut self.tasks {
            let Some(task) = slot else { continue };
            if !task.woken.0.swap(false, Ordering::Relaxed) {
                continue;
            }
            busy = true;
            let waker = Waker::from(Arc::clone(&task.woken));
            if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                *slot = None;
            }
        }
        busy
    }
}

/// xorshift64*, for bytes and losses.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.roll() >> 16) as usize % n.max(1)
    }

    pub(crate) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| (self.roll() >> 32) as u8).collect()
    }
}

/// Waits for both.
pub(crate) async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (Box::pin(a), Box::pin(b));
    let (mut left, mut right) = (None, None);
    std::future::poll_fn(|cx| {
        if left.is_none()
            && let Poll::Ready(value) = a.as_mut().poll(cx)
        {
            left = Some(value);
        }
        if right.is_none()
            && let Poll::Ready(value) = b.as_mut().poll(cx)
        {
            right = Some(value);
        }
        if left.is_some() && right.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (left.unwrap(), right.unwrap())
}
