//! The shared page pool against a model: no user gets a page that the domain still has mapped for another.

#[path = "common/dice.rs"]
mod dice;

use dice::Dice;
use pool::SharedPagePool;
use pool::shared_pages::SPARE;
use std::collections::BTreeSet;
use std::rc::Rc;
use xen::context::ShareError;
use xen::granted_pages::NoPage;
use xen::{DomId, GrantedPage, GrantedPages, Gref, Memory as _, Xen};
use xen_sim::{Guest, MappedPage, Sim};

const PEER: DomId = DomId(3);

struct World {
    mapped: Vec<MappedPage>,
    out: Vec<GrantedPage>,
    /// The largest number of pages that were taken at once.
    most: usize,
    pool: SharedPagePool<Guest>,
    /// Free pages of the guest before the pool was made.
    memory: usize,
    xen: Rc<Xen<Guest>>,
    sim: Sim,
}

impl World {
    fn new(pages: usize) -> Self {
        let sim = Sim::builder().memory_pages(pages).build();
        let xen = sim.xen();
        let memory = xen.machine.free_pages();
        let pool = SharedPagePool::new(&xen, PEER);
        Self { mapped: Vec::new(), out: Vec::new(), most: 0, pool, memory, xen, sim }
    }

    fn map(&mut self, gref: Gref) {
        self.mapped.extend(self.sim.peer(PEER).map(self.xen.machine.id(), gref, true));
    }

    fn is_mapped(&self, gref: Gref) -> bool {
        self.mapped.iter().any(|page| page.gref() == gref)
    }

    /// Takes a page and checks that it is unmapped and zeroed.
    fn take(&mut self) -> Result<(), NoPage> {
        let page = self.pool.take()?;
        assert!(!self.is_mapped(page.gref()), "the domain still has it mapped");
        let mut bytes = [1; 4096];
        page.shared().read_bytes(0, &mut bytes);
        assert!(bytes.iter().all(|byte| *byte == 0), "bytes of the former user");
        page.shared().write_bytes(0, &[0xa5; 4096]);
        self.out.push(page);
        self.most = self.most.max(self.out.len());
        Ok(())
    }

    /// Conditions that hold after every operation.
    fn check(&self) {
        let counts = self.pool.account().unwrap_or_else(|mismatch| panic!("{mismatch}"));
        assert_eq!(counts.in_use, self.out.len());
        assert_eq!(self.memory - self.xen.machine.free_pages(), counts.total, "no page is lost");
        let granted = self.xen.machine.granted();
        assert_eq!(granted.len(), counts.total);
        assert!(granted.iter().all(|entry| entry.to == PEER && !entry.read_only));
        let frames: BTreeSet<u64> = granted.iter().map(|entry| entry.gfn.0).collect();
        assert_eq!(frames.len(), counts.total, "each page is granted once");
        let out: BTreeSet<u64> = self.out.iter().map(|page| page.gfn().0).collect();
        assert_eq!(out.len(), self.out.len(), "each page is taken once");
        assert!(counts.quarantined <= self.most + SPARE, "{counts:?}");
        assert!(counts.free + counts.in_use <= self.most, "more pages than were ever used: {counts:?}");
    }

    fn step(&mut self, dice: &mut Dice) {
        match dice.below(100) {
            0..40 => match self.take() {
                Ok(()) => {}
                Err(NoPage::StillMapped(count)) => assert!(count >= self.most + SPARE),
                Err(error) => panic!("{error:?}"),
            },
            40..75 if !self.out.is_empty() => {
                let page = self.out.swap_remove(dice.below(self.out.len()));
                self.pool.put(page);
            }
            75..88 if !self.out.is_empty() => self.map(self.out[dice.below(self.out.len())].gref()),
            88..100 if !self.mapped.is_empty() => {
                self.mapped.swap_remove(dice.below(self.mapped.len()));
            }
            _ => {}
        }
    }
}

#[test]
fn every_page_is_accounted_for_after_any_operation() {
    for seed in 0..if cfg!(miri) { 1 } else { 8 } {
        let (mut dice, mut world) = (Dice(seed), World::new(400));
        for _ in 0..if cfg!(miri) { 40 } else { 600 } {
            world.step(&mut dice);
            world.check();
        }
    }
}

#[test]
fn pages_are_reused_without_a_new_grant() {
    let mut world = World::new(100);
    for _ in 0..10 {
        world.take().unwrap();
    }
    for _ in 0..50 {
        // The domain unmaps the page before it is put back.
        world.map(world.out[3].gref());
        world.mapped.clear();
        while let Some(page) = world.out.pop() {
            world.pool.put(page);
        }
        assert_eq!(world.pool.account().unwrap().free, 10);
        for _ in 0..10 {
            world.take().unwrap();
        }
        world.check();
    }
    let stats = world.xen.grants.stats();
    assert_eq!((stats.issued.get(), stats.ended.get()), (10, 0));
}

#[test]
fn a_domain_that_never_unmaps_costs_a_limited_number_of_pages() {
    let mut world = World::new(400);
    let end = loop {
        match world.take() {
            Ok(()) => {
                world.map(world.out[0].gref());
                world.pool.put(world.out.pop().unwrap());
            }
            Err(end) => break end,
        }
        world.check();
        assert!(world.mapped.len() < 100);
    };
    assert_eq!(end, NoPage::StillMapped(1 + SPARE));
    world.mapped.clear();
    world.take().unwrap();
    world.check();
    let counts = world.pool.account().unwrap();
    assert_eq!((counts.total, counts.quarantined), (1, 0));
}

#[test]
fn without_memory_take_fails_and_no_page_is_lost() {
    let mut world = World::new(40);
    let all = world.memory;
    assert_eq!(world.pool.take_all(all + 1).err(), Some(NoPage::Share(ShareError::Memory)));
    world.most = all;
    world.check();
    let pages = world.pool.take_all(all).unwrap();
    assert_eq!(pages.len(), all);
    pages.into_iter().for_each(|page| world.pool.put(page));
    world.check();
}
