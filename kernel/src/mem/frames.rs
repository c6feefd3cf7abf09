//! The page allocator: [`xen::Memory`] over the free regions.
//!
//! A page that is freed waits in a list and is zeroed when it is allocated again. The list lies in the free pages
//! themselves, so that to free a page needs no memory:
//!
//! ```text
//!   returned ─► [ address of the next │ … ] ─► [ address of the next │ … ] ─► [ 0 │ … ]
//! ```

#![allow(unsafe_code, reason = "makes pages out of physical memory; see docs/soundness.md")]

use super::regions::{FreeRegions, PAGE};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ptr::NonNull;
use xen::ids::PAGE_SIZE;
use xen::{Gfn, Memory, Page, Private};

/// The free pages of the guest outside of image, page tables and heap.
#[derive(Debug)]
pub(crate) struct Frames {
    untouched: RefCell<FreeRegions>,
    /// The physical address of the page that was freed last; 0: there is none.
    returned: Cell<u64>,
    /// Pages in that list.
    nr_returned: Cell<usize>,
    taken: Cell<usize>,
}

impl Frames {
    /// Takes over the regions in `free`.
    pub(crate) fn new(free: FreeRegions) -> Self {
        let untouched = RefCell::new(free);
        Self { untouched, returned: Cell::new(0), nr_returned: Cell::new(0), taken: Cell::new(0) }
    }

    /// Pages that are allocated.
    pub(crate) fn taken(&self) -> usize {
        self.taken.get()
    }

    /// The page at a physical address that [`FreeRegions::take`] gave, or that the list of freed pages held.
    fn page_at(address: u64) -> Option<Page<Private>> {
        let base =
            NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(usize::try_from(address).ok()?))?;
        // SAFETY: `FreeRegions::take` gives each frame of RAM once, and `free_page` takes the page before it lists its frame,
        // which leaves the list when it is given again. RAM is mapped at its physical address. So nothing else refers to a
        // free frame.
        Some(unsafe { Page::from_raw(base, Gfn(address / PAGE)) })
    }

    /// The page that was freed last, not zeroed.
    fn take_returned(&self) -> Option<Page<Private>> {
        let page = Self::page_at(self.returned.get())?;
        let next = page.bytes().first_chunk().map_or(0, |next| u64::from_ne_bytes(*next));
        self.returned.set(next);
        self.nr_returned.set(self.nr_returned.get().saturating_sub(1));
        Some(page)
    }

    fn take_untouched(&self) -> Option<Page<Private>> {
        Self::page_at(self.untouched.borrow_mut().take(PAGE, u64::MAX)?.start)
    }
}

impl Memory for Frames {
    fn alloc_page(&self) -> Option<Page<Private>> {
        let mut page = self.take_returned().or_else(|| self.take_untouched())?;
        page.bytes_mut().fill(0);
        self.taken.set(self.taken.get().saturating_add(1));
        Some(page)
    }

    fn alloc_contiguous(&self, count: usize) -> Option<Vec<Page<Private>>> {
        let len = u64::try_from(count.checked_mul(PAGE_SIZE)?).ok()?;
        let region = self.untouched.borrow_mut().take(len, u64::MAX)?;
        let pages = (0..count)
            .map_while(|index| {
                Self::page_at(region.start.checked_add(u64::try_from(index).ok()?.checked_mul(PAGE)?)?)
            })
            .map(|mut page| {
                page.bytes_mut().fill(0);
                page
            })
            .collect();
        self.taken.set(self.taken.get().saturating_add(count));
        Some(pages)
    }

    fn free_page(&self, mut page: Page<Private>) {
        self.taken.set(self.taken.get().saturating_sub(1));
        if let Some(next) = page.bytes_mut().first_chunk_mut() {
            *next = self.returned.get().to_ne_bytes();
        }
        self.returned.set(page.gfn().0.saturating_mul(PAGE));
        self.nr_returned.set(self.nr_returned.get().saturating_add(1));
    }

    fn free_pages(&self) -> usize {
        let untouched = usize::try_from(self.untouched.borrow().total() / PAGE).unwrap_or(usize::MAX);
        untouched.saturating_add(self.nr_returned.get())
    }
}
