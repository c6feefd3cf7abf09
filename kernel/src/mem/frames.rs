//! The page allocator: [`xen::Memory`] over the free regions.
//!
//! A page that is freed waits in a list and is zeroed when it is allocated again.

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
    returned: RefCell<Vec<Page<Private>>>,
    taken: Cell<usize>,
}

impl Frames {
    /// Takes over the regions in `free`.
    pub(crate) fn new(free: FreeRegions) -> Self {
        Self { untouched: RefCell::new(free), returned: RefCell::new(Vec::new()), taken: Cell::new(0) }
    }

    /// Pages that are allocated.
    pub(crate) fn taken(&self) -> usize {
        self.taken.get()
    }

    fn page_at(address: u64) -> Option<Page<Private>> {
        let base =
            NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(usize::try_from(address).ok()?))?;
        // SAFETY: `FreeRegions::take` gives each frame of RAM once, RAM is mapped at its physical address, and nothing
        // else refers to a free frame.
        let mut page = unsafe { Page::from_raw(base, Gfn(address / PAGE)) };
        page.bytes_mut().fill(0);
        Some(page)
    }
}

impl Memory for Frames {
    fn alloc_page(&self) -> Option<Page<Private>> {
        let returned = self.returned.borrow_mut().pop();
        let page = match returned {
            Some(mut page) => {
                page.bytes_mut().fill(0);
                page
            }
            None => Self::page_at(self.untouched.borrow_mut().take(PAGE, u64::MAX)?.start)?,
        };
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
            .collect();
        self.taken.set(self.taken.get().saturating_add(count));
        Some(pages)
    }

    fn free_page(&self, page: Page<Private>) {
        self.taken.set(self.taken.get().saturating_sub(1));
        self.returned.borrow_mut().push(page);
    }

    fn free_pages(&self) -> usize {
        let untouched = usize::try_from(self.untouched.borrow().total() / PAGE).unwrap_or(usize::MAX);
        untouched.saturating_add(self.returned.borrow().len())
    }
}
