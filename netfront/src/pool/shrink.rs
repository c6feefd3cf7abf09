//! Pages that go: those that nobody needed, and first, where the backend keeps them mapped, the telling.
//!
//! ```text
//!   free ─► not mapped: end of the grant ─► memory
//!       └─► mapped: retiring ─► the backend is told ─► end of the grant ─► memory; still in use, says Xen: quarantine
//! ```

use super::{Pool, STEP};
use alloc::vec::Vec;
use xen::{Access, Granted, Gref, Machine, Page, Xen};

impl<A: Access> Pool<A> {
    /// Gives pages back that were not needed since the last call: half of those that were always free, a step at most.
    /// How many went.
    pub fn shrink_idle<M: Machine>(&mut self, xen: &Xen<M>) -> usize {
        let idle = self.low_water.div_ceil(2);
        self.low_water = self.free.len();
        let going = self.quarantine.len().saturating_add(self.retiring.len());
        let usable = self.total.saturating_sub(going);
        let surplus = usable.saturating_sub(self.limits.initial);
        self.shrink(xen, idle.min(surplus).min(STEP))
    }

    /// Gives up to `count` free pages back to the guest's memory. How many went. One that the backend keeps mapped goes
    /// once it does not any more.
    pub fn shrink<M: Machine>(&mut self, xen: &Xen<M>, count: usize) -> usize {
        let (mut gone, mut stay) = (0_usize, 0_usize);
        while gone < count && stay < self.free.len() {
            // From the end, where the pages are that came back last.
            let at = self.free.len().saturating_sub(1).saturating_sub(stay);
            let mapped = self.free.get(at).is_some_and(|page| self.books.is_mapped(page.gref()));
            if mapped && !self.can_retire {
                stay = stay.saturating_add(1);
                continue;
            }
            let page = self.free.swap_remove(at);
            if mapped {
                self.retiring.push(page);
            } else if let Some(page) = self.end(xen, page) {
                self.give_up(xen, page);
            }
            gone = gone.saturating_add(1);
        }
        if gone > 0 {
            self.stats.shrinks = self.stats.shrinks.wrapping_add(1);
        }
        gone
    }

    /// The backend can be told of pages that are to go, or not any more.
    pub(crate) const fn set_can_retire(&mut self, can: bool) {
        self.can_retire = can;
    }

    /// Up to so many pages that are to go, for the backend to be told of them.
    pub(crate) fn retiring(&self, most: usize) -> Vec<Gref> {
        self.retiring.iter().map(Page::gref).take(most).collect()
    }

    /// Whether pages wait for the backend to be told that they are to go.
    pub(crate) const fn has_retiring(&self) -> bool {
        !self.retiring.is_empty()
    }

    /// The backend was told that these go. Whether it still uses one is for Xen to say.
    pub(crate) fn retire<M: Machine>(&mut self, xen: &Xen<M>, told: &[Gref]) {
        let (go, stay) =
            core::mem::take(&mut self.retiring).into_iter().partition(|page| told.contains(&page.gref()));
        self.retiring = stay;
        let go: Vec<Page<Granted<A>>> = go;
        for page in go {
            if let Some(page) = self.end(xen, page) {
                self.give_up(xen, page);
            }
        }
    }

    /// The backend has gone, or nothing can be told to it any more: pages that were to go stay.
    pub(crate) fn forget_mappings(&mut self) {
        self.keep_retiring();
        self.books.forget_mapped();
    }

    /// Pages that were to go stay, for nobody can be told of them.
    pub(crate) fn keep_retiring(&mut self) {
        self.can_retire = false;
        self.free.append(&mut self.retiring);
    }
}
