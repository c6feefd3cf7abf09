//! What the tests of the channel share: a client with ring code of its own, and a loop that starves a task that waits for
//! an event that was forgotten.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

pub mod client;
pub mod frames;
pub mod server;

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use datafront::vchan::{Path, Server, Settings, Sizes};
use pool::SharedPagePool;
use xen::{DomId, GrantedPages, Xen};
use xen_sim::{Guest, Sim};

pub const DOM0: DomId = DomId(0);

pub struct Bench {
    pub sim: Sim,
    pub xen: Rc<Xen<Guest>>,
    /// What dom0 may access.
    pub pool: Rc<SharedPagePool<Guest>>,
}

impl Bench {
    pub fn new() -> Self {
        Self::with_memory(2048)
    }

    /// A machine with this number of pages.
    pub fn with_memory(pages: usize) -> Self {
        let sim = Sim::builder().memory_pages(pages).build();
        let xen = sim.xen();
        let pool = Rc::new(SharedPagePool::new(&xen, DOM0));
        Self { sim, xen, pool }
    }

    pub fn pages(&self) -> Rc<dyn GrantedPages> {
        Rc::<SharedPagePool<Guest>>::clone(&self.pool)
    }

    pub fn settings(&self, port: &str) -> Settings {
        let own = self.sim.guest().id();
        Settings::new(Path::usual(own, DOM0, port).unwrap(), own)
    }

    pub fn server(&self, sizes: Sizes, first_index: u32) -> Server<Guest> {
        let mut settings = self.settings("push");
        settings.sizes = sizes;
        settings.first_index = first_index;
        Server::open(&self.xen, &self.pages(), settings).unwrap()
    }

    /// Runs the guest's future beside the other side's steps, until the future ends. Both act only on events: if
    /// neither can go on, somebody forgot to notify, and the test stops.
    pub fn run<T>(&self, future: impl Future<Output = T>, mut other: impl FnMut() -> bool) -> T {
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        let mut idle = 0;
        loop {
            let mut progress = false;
            if woken.0.swap(false, Ordering::SeqCst) {
                progress = true;
                if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
                    xen_sim::iterate(&self.xen);
                    return result;
                }
            }
            progress |= xen_sim::iterate(&self.xen);
            self.sim.run();
            progress |= other();
            idle = if progress { 0 } else { idle + 1 };
            assert!(idle < 4, "nobody can go on: an event was forgotten\n{}", self.sim.dump());
        }
    }

    /// As [`Bench::run`], without another side.
    pub fn alone<T>(&self, future: impl Future<Output = T>) -> T {
        self.run(future, || false)
    }

    pub fn node(&self, name: &str) -> Option<u32> {
        let id = self.sim.guest().id();
        self.sim.store().read(&format!("/local/domain/{id}/data/vchan/0/push/{name}"))?.parse().ok()
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A small generator: the same seed, the same test.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Bytes that tell where they are from.
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..len).map(|_| dice.next() as u8).collect()
}

/// Shared notes of a test.
pub type Notes<T> = Rc<RefCell<T>>;

/// Both futures, to the end of both.
pub async fn join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(move |cx| {
        if first.is_none()
            && let Poll::Ready(done) = a.as_mut().poll(cx)
        {
            first = Some(done);
        }
        if second.is_none()
            && let Poll::Ready(done) = b.as_mut().poll(cx)
        {
            second = Some(done);
        }
        match (first.take(), second.take()) {
            (Some(x), Some(y)) => Poll::Ready((x, y)),
            (x, y) => {
                (first, second) = (x, y);
                Poll::Pending
            }
        }
    })
    .await
}
