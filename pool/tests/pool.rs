//! The pool against a model: after each of many random operations every page is accounted for.

#[path = "common/dice.rs"]
mod dice;

use dice::Dice;
use pool::{Limits, MIN_PAGES, Pool, PoolCounts, PoolError};
use std::collections::BTreeSet;
use std::rc::Rc;
use xen::{DomId, Granted, Memory as _, Page, ReadOnly, Xen};
use xen_sim::{Guest, MappedPage, Sim};

const MEMORY: usize = if cfg!(miri) { 200 } else { 400 };
const LIMITS: Limits = Limits { initial: 64, max: 160, quarantine: 24 };

/// A pool, the pages taken out of it, and the pages that the backend has mapped.
struct World {
    mapped: Vec<MappedPage>,
    out: Vec<Page<Granted<ReadOnly>>>,
    pool: Pool<ReadOnly>,
    backend: DomId,
    /// Free pages of the guest before the pool was made.
    memory: usize,
    xen: Rc<Xen<Guest>>,
    sim: Sim,
}

impl World {
    fn new() -> Self {
        let sim = Sim::builder().memory_pages(MEMORY).build();
        let xen = sim.xen();
        let memory = xen.machine.free_pages();
        Self {
            mapped: Vec::new(),
            out: Vec::new(),
            pool: Pool::new(LIMITS),
            backend: DomId(0),
            memory,
            xen,
            sim,
        }
    }

    /// Conditions that hold after every operation.
    fn check(&self) {
        let counts = self.pool.account(self.out.len(), 0).unwrap_or_else(|mismatch| panic!("{mismatch}"));
        assert!(counts.total - counts.quarantined <= LIMITS.max);
        // No page is lost, and none is in two places.
        assert_eq!(self.memory - self.xen.machine.free_pages(), counts.total);
        let granted = self.xen.machine.granted();
        assert_eq!(granted.len(), counts.total);
        let frames: BTreeSet<u64> = granted.iter().map(|entry| entry.gfn.0).collect();
        assert_eq!(frames.len(), counts.total, "each page is granted once");
        let out: BTreeSet<u64> = self.out.iter().map(|page| page.gfn().0).collect();
        assert_eq!(out.len(), self.out.len(), "each page is taken once");
        let ours = granted.iter().filter(|entry| entry.to == self.backend).count();
        assert!(ours >= counts.free + self.out.len());
        let stats = self.xen.grants.stats();
        assert_eq!(stats.issued.since(stats.ended), counts.total as u64);
    }

    /// Puts all pages back and prepares the pool for `backend`.
    fn change(&mut self, backend: DomId) -> Result<(), PoolError> {
        while let Some(page) = self.out.pop() {
            self.pool.put(page);
        }
        self.backend = backend;
        self.pool.prepare(&self.xen, backend)
    }

    fn step(&mut self, dice: &mut Dice) {
        match dice.below(100) {
            0..40 => {
                if let Some(mut page) = self.pool.take() {
                    page.bytes_mut()[dice.below(4096)] = self.backend.0 as u8 | 0x80;
                    self.out.push(page);
                } else if self.pool.grow(&self.xen) {
                    self.out.extend(self.pool.take());
                }
            }
            40..75 => {
                if !self.out.is_empty() {
                    let page = self.out.swap_remove(dice.below(self.out.len()));
                    self.pool.put(page);
                }
            }
            75..80 => {
                self.pool.shrink(&self.xen, dice.below(20));
            }
            80..88 => {
                self.pool.shrink_idle(&self.xen);
            }
            88..91 => self.pool.new_iteration(),
            91..95 => {
                let granted = self.xen.machine.granted();
                let entry = granted[dice.below(granted.len())];
                self.mapped.extend(self.sim.peer(entry.to).map(self.xen.machine.id(), entry.gref, false));
            }
            95..98 => {
                if !self.mapped.is_empty() {
                    self.mapped.swap_remove(dice.below(self.mapped.len()));
                }
            }
            _ => {
                let backend = DomId(dice.below(3) as u16 + 5);
                let changes = backend != self.backend;
                match self.change(backend) {
                    Ok(()) if changes => self.is_clean(),
                    Ok(()) => {}
                    Err(PoolError::Quarantine(pages)) => assert!(pages >= LIMITS.quarantine),
                    Err(error) => assert!(self.pool.free() < MIN_PAGES, "{error}"),
                }
            }
        }
    }

    /// The new backend sees no byte of the former one.
    fn is_clean(&self) {
        for entry in self.xen.machine.granted().iter().filter(|entry| entry.to == self.backend) {
            let bytes = self.xen.machine.page_bytes(entry.gfn).unwrap();
            // A page that was quarantined when this backend was here before keeps its bytes.
            let own = self.backend.0 as u8 | 0x80;
            assert!(bytes.iter().all(|byte| *byte == 0 || *byte == own), "{entry:?}");
        }
    }
}

#[test]
fn every_page_is_accounted_for_after_any_operation() {
    let steps = if cfg!(miri) { 40 } else { 600 };
    for seed in 0..if cfg!(miri) { 1 } else { 8 } {
        let mut dice = Dice(seed);
        let mut world = World::new();
        world.change(DomId(5)).unwrap();
        world.check();
        for _ in 0..steps {
            world.step(&mut dice);
            world.check();
        }
    }
}

#[test]
fn a_pool_without_a_backend_stays_empty() {
    let mut world = World::new();
    assert!(!world.pool.grow(&world.xen));
    assert!(world.pool.take().is_none());
    assert_eq!(world.pool.shrink_idle(&world.xen), 0);
    world.check();
}

#[test]
fn shrinking_stops_at_the_initial_size_and_spares_used_pages() {
    let mut world = World::new();
    world.change(DomId(5)).unwrap();
    while world.out.len() < LIMITS.max {
        if world.pool.free() == 0 {
            assert!(world.pool.grow(&world.xen));
        }
        world.out.extend(world.pool.take());
    }
    world.pool.new_iteration();
    assert!(!world.pool.grow(&world.xen), "the limit");
    assert_eq!(world.pool.shrink_idle(&world.xen), 0, "everything is in use");
    while let Some(page) = world.out.pop() {
        world.pool.put(page);
    }
    assert_eq!(world.pool.shrink_idle(&world.xen), 0, "everything was in use a moment ago");
    for _ in 0..100 {
        world.pool.shrink_idle(&world.xen);
    }
    assert_eq!(world.pool.free(), LIMITS.initial);
    world.check();
}

#[test]
fn little_memory_gives_a_smaller_pool_or_an_error() {
    let all = [MIN_PAGES - 1, MIN_PAGES, 0, 1, LIMITS.initial - 1, LIMITS.initial];
    for spare in all.into_iter().take(if cfg!(miri) { 2 } else { all.len() }) {
        let mut world = World::new();
        let taken: Vec<_> = (spare..world.memory).map(|_| world.xen.machine.alloc_page().unwrap()).collect();
        let result = world.change(DomId(5));
        if spare < MIN_PAGES {
            assert_eq!(result, Err(PoolError::Memory { have: spare, need: MIN_PAGES }));
        } else {
            assert_eq!((result, world.pool.free()), (Ok(()), spare.min(LIMITS.initial)));
        }
        for page in taken {
            world.xen.machine.free_page(page);
        }
        world.check();
    }
}

#[test]
fn the_counts_of_two_pools_are_added() {
    let counts = |free| PoolCounts {
        free,
        in_ring: free + 1,
        in_use: free + 2,
        quarantined: free + 3,
        total: free + 4,
        max: free + 5,
    };
    let mut both = counts(1);
    both.add(&counts(10));
    let expected = PoolCounts { free: 11, in_ring: 13, in_use: 15, quarantined: 17, total: 19, max: 21 };
    assert_eq!(both, expected);
}

#[test]
fn a_pool_has_a_surplus_when_it_is_larger_than_at_its_start() {
    let World { mut pool, xen, backend, sim: _sim, .. } = World::new();
    pool.prepare(&xen, backend).unwrap();
    assert!(!pool.has_surplus(0), "its initial size");
    assert!(pool.grow(&xen));
    assert!(pool.has_surplus(0));
    let pages: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
    assert!(!pool.has_surplus(0) && pool.has_surplus(1), "its free pages are elsewhere");
    pages.into_iter().for_each(|page| pool.put(page));
}
