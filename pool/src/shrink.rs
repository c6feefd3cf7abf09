//! Returning pages to the guest's memory.
//!
//! ```text
//!   free ─► not mapped: grant ended ─► memory
//!       └─► mapped: retiring ─► the backend is asked to unmap it ─► grant ended ─► memory, or quarantine if still in use
//! ```

use crate::{Pool, STEP};
use alloc::vec::Vec;
use xen::{Access, Granted, Gref, Machine, Page, Xen};

impl<A: Access> Pool<A> {
    /// Frees half of the pages that were free since the last call, at most a step, and not below the initial size.
    /// Returns the number of pages.
    pub fn shrink_idle<M: Machine>(&mut self, xen: &Xen<M>) -> usize {
        let idle = self.low_water.div_ceil(2);
        self.low_water = self.free.len();
        let going = self.quarantine.len().saturating_add(self.retiring.len());
        let usable = self.total.saturating_sub(going);
        let surplus = usable.saturating_sub(self.limits.initial);
        self.shrink(xen, idle.min(surplus).min(STEP))
    }

    /// Frees up to `count` pages, whatever the initial size. A page that the backend keeps mapped is freed once the
    /// backend has unmapped it. Returns the number of pages.
    pub fn shrink<M: Machine>(&mut self, xen: &Xen<M>, count: usize) -> usize {
        let (mut gone, mut stay) = (0_usize, 0_usize);
        while gone < count
            && let Some(page) = self.private.pop()
        {
            self.release(xen, page);
            gone = gone.saturating_add(1);
        }
        while gone < count && stay < self.free.len() {
            // From the end, where the pages are that came back last.
            let at = self.free.len().saturating_sub(1).saturating_sub(stay);
            let mapped = self.free.get(at).is_some_and(|page| self.grefs.is_mapped(page.gref()));
            if mapped && !self.can_retire {
                stay = stay.saturating_add(1);
                continue;
            }
            let page = self.free.swap_remove(at);
            if mapped {
                self.retiring.push(page);
            } else if let Some(page) = self.end(xen, page) {
                self.release(xen, page);
            }
            gone = gone.saturating_add(1);
        }
        if gone > 0 {
            self.stats.shrinks.bump();
        }
        gone
    }

    /// Sets whether the backend can be asked to unmap pages.
    pub const fn set_can_retire(&mut self, can: bool) {
        self.can_retire = can;
    }

    /// Up to `most` pages that the backend is to unmap.
    #[must_use]
    pub fn retiring(&self, most: usize) -> Vec<Gref> {
        self.retiring.iter().map(Page::gref).take(most).collect()
    }

    /// Whether the backend is to unmap a page.
    #[must_use]
    pub const fn has_retiring(&self) -> bool {
        !self.retiring.is_empty()
    }

    /// Frees these retiring pages: the backend was asked to unmap them. A page that Xen still sees in use is
    /// quarantined.
    pub fn retire<M: Machine>(&mut self, xen: &Xen<M>, told: &[Gref]) {
        let (go, stay) =
            core::mem::take(&mut self.retiring).into_iter().partition(|page| told.contains(&page.gref()));
        self.retiring = stay;
        let go: Vec<Page<Granted<A>>> = go;
        for page in go {
            if let Some(page) = self.end(xen, page) {
                self.release(xen, page);
            }
        }
    }

    /// Forgets which pages are mapped, at the end of a connection. Retiring pages stay in the pool.
    pub fn forget_mappings(&mut self) {
        self.keep_retiring();
        self.grefs.forget_mapped();
    }

    /// Puts retiring pages back: the backend cannot be asked any more.
    pub fn keep_retiring(&mut self) {
        self.can_retire = false;
        self.free.append(&mut self.retiring);
    }
}
