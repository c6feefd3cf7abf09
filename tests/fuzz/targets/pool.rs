//! Any operations on a pool, in any order, with backends that keep pages mapped: the accounting balances after each,
//! and no page is in two places.
//!
//! ```text
//!   0: take   1 n: put the n-th   2: grow   3 n: shrink   4: shrink_idle   5: new iteration   6 n: the backend maps the n-th
//!   7 n: unmaps one               8 n: another backend
//! ```

#![no_main]

use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use pool::{Limits, Pool};
use std::collections::BTreeSet;
use std::rc::Rc;
use xen::{DomId, Granted, Memory as _, Page, ReadOnly, Xen};
use xen_sim::{Guest, MappedPage, Sim};

const LIMITS: Limits = Limits { initial: 40, max: 100, quarantine: 24 };
/// Operations that one input may have.
const MOST: usize = 200;

struct World {
    mapped: Vec<MappedPage>,
    out: Vec<Page<Granted<ReadOnly>>>,
    pool: Pool<ReadOnly>,
    memory: usize,
    xen: Rc<Xen<Guest>>,
    sim: Sim,
}

impl World {
    fn new() -> Self {
        let sim = Sim::builder().memory_pages(160).build();
        // One frame of the table has entries enough, and a check looks at each.
        let xen = sim.xen_with_grant_frames(1);
        let memory = xen.machine.free_pages();
        let mut world =
            Self { mapped: Vec::new(), out: Vec::new(), pool: Pool::new(LIMITS), memory, xen, sim };
        let _ = world.pool.prepare(&world.xen, DomId(5));
        world
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 9 {
            0 => self.out.extend(self.pool.take()),
            1 if !self.out.is_empty() => {
                let page = self.out.swap_remove(usize::from(input.byte()) % self.out.len());
                self.pool.put(page);
            }
            2 if self.pool.free() == 0 => drop(self.pool.grow(&self.xen)),
            3 => drop(self.pool.shrink(&self.xen, usize::from(input.byte()))),
            4 => drop(self.pool.shrink_idle(&self.xen)),
            5 => self.pool.new_turn(),
            6 => {
                let granted = self.xen.machine.granted();
                if let Some(entry) = granted.get(usize::from(input.byte())) {
                    self.mapped.extend(self.sim.peer(entry.to).map(self.xen.machine.id(), entry.gref, false));
                }
            }
            7 if !self.mapped.is_empty() => {
                self.mapped.swap_remove(usize::from(input.byte()) % self.mapped.len());
            }
            8 => {
                self.out.drain(..).for_each(|page| self.pool.put(page));
                let _ = self.pool.prepare(&self.xen, DomId(5 + u16::from(input.byte() % 3)));
            }
            _ => {}
        }
    }

    fn check(&self) {
        let counts = self.pool.account(self.out.len(), 0).expect("the accounting balances");
        assert!(counts.total - counts.quarantined <= LIMITS.max);
        assert_eq!(self.memory - self.xen.machine.free_pages(), counts.total);
        let granted = self.xen.machine.granted();
        let frames: BTreeSet<u64> = granted.iter().map(|entry| entry.gfn.0).collect();
        assert_eq!((granted.len(), frames.len()), (counts.total, counts.total), "each page is granted once");
        let out: BTreeSet<u64> = self.out.iter().map(|page| page.gfn().0).collect();
        assert_eq!(out.len(), self.out.len(), "each page is taken once");
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let mut world = World::new();
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.check();
    }
});
