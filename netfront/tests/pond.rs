//! The pool that lends its pages to channels, against a model: nobody gets a page that somebody else has mapped.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_core,
    clippy::alloc_instead_of_core,
    clippy::unwrap_used,
    reason = "a test stops when something is not as it should be"
)]

#[path = "common/dice.rs"]
mod dice;

use dice::Dice;
use netfront::pool::{Pond, SPARE};
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
    /// The most that were ever out.
    most: usize,
    pond: Pond<Guest>,
    /// Pages that the guest had before the pond.
    memory: usize,
    xen: Rc<Xen<Guest>>,
    sim: Sim,
}

impl World {
    fn new(pages: usize) -> Self {
        let sim = Sim::builder().memory_pages(pages).build();
        let xen = sim.xen();
        let memory = xen.machine.free_pages();
        let pond = Pond::new(&xen, PEER);
        Self { mapped: Vec::new(), out: Vec::new(), most: 0, pond, memory, xen, sim }
    }

    fn map(&mut self, gref: Gref) {
        self.mapped.extend(self.sim.peer(PEER).map(self.xen.machine.id(), gref, true));
    }

    fn is_mapped(&self, gref: Gref) -> bool {
        self.mapped.iter().any(|page| page.gref() == gref)
    }

    /// Takes a page, and sees that it is as new.
    fn take(&mut self) -> Result<(), NoPage> {
        let page = self.pond.take()?;
        assert!(!self.is_mapped(page.gref()), "somebody else still has it");
        let mut bytes = [1; 4096];
        page.shared().read_bytes(0, &mut bytes);
        assert!(bytes.iter().all(|byte| *byte == 0), "what was in it before");
        page.shared().write_bytes(0, &[0xa5; 4096]);
        self.out.push(page);
        self.most = self.most.max(self.out.len());
        Ok(())
    }

    /// Everything that must hold after every operation.
    fn check(&self) {
        let counts = self.pond.account().unwrap_or_else(|mismatch| panic!("{mismatch}"));
        assert_eq!(counts.lent, self.out.len());
        assert_eq!(self.memory - self.xen.machine.free_pages(), counts.total, "no page is lost");
        let granted = self.xen.machine.granted();
        assert_eq!(granted.len(), counts.total);
        assert!(granted.iter().all(|entry| entry.to == PEER && !entry.read_only));
        let frames: BTreeSet<u64> = granted.iter().map(|entry| entry.gfn.0).collect();
        assert_eq!(frames.len(), counts.total, "each page is granted once");
        let out: BTreeSet<u64> = self.out.iter().map(|page| page.gfn().0).collect();
        assert_eq!(out.len(), self.out.len(), "each page is lent once");
        assert!(counts.quarantined <= self.most + SPARE, "{counts:?}");
        assert!(counts.free + counts.lent <= self.most, "more than anybody ever needed: {counts:?}");
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
                self.pond.put(page);
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
fn any_sequence_of_operations_keeps_the_books() {
    for seed in 0..if cfg!(miri) { 1 } else { 8 } {
        let (mut dice, mut world) = (Dice(seed), World::new(400));
        for _ in 0..if cfg!(miri) { 40 } else { 600 } {
            world.step(&mut dice);
            world.check();
        }
    }
}

#[test]
fn pages_go_round_without_a_grant() {
    let mut world = World::new(100);
    for _ in 0..10 {
        world.take().unwrap();
    }
    for _ in 0..50 {
        // The other side lets go before we do.
        world.map(world.out[3].gref());
        world.mapped.clear();
        while let Some(page) = world.out.pop() {
            world.pond.put(page);
        }
        assert_eq!(world.pond.account().unwrap().free, 10);
        for _ in 0..10 {
            world.take().unwrap();
        }
        world.check();
    }
    let stats = world.xen.grants.stats();
    assert_eq!((stats.issued, stats.ended), (10, 0));
}

#[test]
fn a_side_that_never_lets_go_costs_so_many_pages_and_no_more_and_all_come_back_in_the_end() {
    let mut world = World::new(400);
    let end = loop {
        match world.take() {
            Ok(()) => {
                world.map(world.out[0].gref());
                world.pond.put(world.out.pop().unwrap());
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
    let counts = world.pond.account().unwrap();
    assert_eq!((counts.total, counts.quarantined), (1, 0));
}

#[test]
fn without_memory_there_are_none_and_nothing_is_lost() {
    let mut world = World::new(40);
    let all = world.memory;
    assert_eq!(world.pond.take_all(all + 1).err(), Some(NoPage::Share(ShareError::Memory)));
    world.most = all;
    world.check();
    let pages = world.pond.take_all(all).unwrap();
    assert_eq!(pages.len(), all);
    pages.into_iter().for_each(|page| world.pond.put(page));
    world.check();
}
