//! The page allocator: [`xen::Memory`] over the free regions.
//!
//! A page that is freed waits in a list and is zeroed when it is allocated again. The list lies in the free pages
//! themselves, so that to free a page needs no memory:
//!
//! ```text
//!   returned ─► [ address of the next │ … ] ─► [ address of the next │ … ] ─► [ 0 │ … ]
//! ```
//!
//! Contiguous pages come from the free regions, or else from that list, in which a buffer that was freed page by page is
//! found whole.

#![allow(unsafe_code, reason = "makes pages out of physical memory; see docs/soundness.md")]

use super::regions::{FreeRegions, PAGE};
use alloc::collections::BinaryHeap;
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
        self.returned.set(next_of(&page));
        self.nr_returned.set(self.nr_returned.get().saturating_sub(1));
        Some(page)
    }

    fn take_untouched(&self) -> Option<Page<Private>> {
        Self::page_at(self.untouched.borrow_mut().take(PAGE, u64::MAX)?.start)
    }

    /// Contiguous pages that were never allocated.
    fn take_untouched_run(&self, count: usize) -> Option<Vec<Page<Private>>> {
        let len = u64::try_from(count.checked_mul(PAGE_SIZE)?).ok()?;
        let region = self.untouched.borrow_mut().take(len, u64::MAX)?;
        let address = |index: usize| {
            region.start.checked_add(u64::try_from(index).ok()?.checked_mul(PAGE)?).and_then(Self::page_at)
        };
        Some((0..count).map_while(address).collect())
    }

    /// Contiguous pages out of the list of freed pages. `None` also without memory to sort the list.
    fn take_returned_run(&self, count: usize) -> Option<Vec<Page<Private>>> {
        if self.nr_returned.get() < count {
            return None;
        }
        let mut frames = Vec::new();
        frames.try_reserve_exact(self.nr_returned.get()).ok()?;
        let mut next = self.returned.get();
        while let Some(page) = Self::page_at(next) {
            frames.push(page.gfn().0);
            next = next_of(&page);
        }
        let frames = BinaryHeap::from(frames).into_sorted_vec();
        let is_run = |run: &&[u64]| {
            run.first().zip(run.last()).is_some_and(|(first, last)| {
                usize::try_from(last.saturating_sub(*first))
                    .is_ok_and(|len| len == run.len().saturating_sub(1))
            })
        };
        let run = frames.windows(count).find(is_run)?;
        let (first, last) = run.first().copied().zip(run.last().copied())?;
        // The list again, without the run.
        let mut taken = Vec::new();
        taken.try_reserve_exact(count).ok()?;
        self.returned.set(0);
        self.nr_returned.set(0);
        for page in frames.iter().rev().filter_map(|frame| Self::page_at(frame.saturating_mul(PAGE))) {
            if (first..=last).contains(&page.gfn().0) {
                taken.push(page);
            } else {
                self.list(page);
            }
        }
        taken.reverse();
        Some(taken)
    }

    /// Puts a page into the list of freed pages.
    fn list(&self, mut page: Page<Private>) {
        if let Some(next) = page.bytes_mut().first_chunk_mut() {
            *next = self.returned.get().to_ne_bytes();
        }
        self.returned.set(page.gfn().0.saturating_mul(PAGE));
        self.nr_returned.set(self.nr_returned.get().saturating_add(1));
    }
}

/// The address that a page of the list holds.
fn next_of(page: &Page<Private>) -> u64 {
    page.bytes().first_chunk().map_or(0, |next| u64::from_ne_bytes(*next))
}

impl Memory for Frames {
    fn alloc_page(&self) -> Option<Page<Private>> {
        let mut page = self.take_returned().or_else(|| self.take_untouched())?;
        page.bytes_mut().fill(0);
        self.taken.set(self.taken.get().saturating_add(1));
        Some(page)
    }

    fn alloc_contiguous(&self, count: usize) -> Option<Vec<Page<Private>>> {
        let mut pages = self.take_untouched_run(count).or_else(|| self.take_returned_run(count))?;
        pages.iter_mut().for_each(|page| page.bytes_mut().fill(0));
        self.taken.set(self.taken.get().saturating_add(count));
        Some(pages)
    }

    fn free_page(&self, page: Page<Private>) {
        self.taken.set(self.taken.get().saturating_sub(1));
        self.list(page);
    }

    fn free_pages(&self) -> usize {
        let untouched = usize::try_from(self.untouched.borrow().total() / PAGE).unwrap_or(usize::MAX);
        untouched.saturating_add(self.nr_returned.get())
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use super::*;
    use crate::mem::regions::Region;
    use boot::BootInfo;

    const PAGES: usize = 40;

    /// A page allocator over memory of the host.
    fn frames() -> Frames {
        let memory = std::vec![0xee_u8; (PAGES + 1) * PAGE_SIZE].leak();
        let start = memory.as_mut_ptr().expose_provenance().next_multiple_of(PAGE_SIZE);
        let start = u64::try_from(start).unwrap();
        let mut free = FreeRegions::new(&BootInfo::empty(), u64::MAX, &[]);
        free.insert(Region { start, end: start + u64::try_from(PAGES).unwrap() * PAGE });
        Frames::new(free)
    }

    fn is_contiguous(pages: &[Page<Private>]) -> bool {
        pages.windows(2).all(|two| two[0].gfn().0 + 1 == two[1].gfn().0)
            && pages.iter().all(|page| page.bytes().iter().all(|byte| *byte == 0))
    }

    #[test]
    fn a_buffer_that_is_freed_in_pieces_comes_back_whole() {
        let frames = frames();
        let mut buffer = frames.alloc_contiguous(16).unwrap();
        let mut others: Vec<_> = core::iter::from_fn(|| frames.alloc_page()).collect();
        assert_eq!((buffer.len() + others.len(), frames.free_pages()), (PAGES, 0));
        // In some order, with other pages in between.
        for index in [3, 0, 9, 2] {
            frames.free_page(buffer.swap_remove(index));
            frames.free_page(others.swap_remove(index));
        }
        assert!(frames.alloc_contiguous(16).is_none());
        assert_eq!((frames.free_pages(), frames.taken()), (8, PAGES - 8));
        buffer.into_iter().for_each(|page| frames.free_page(page));
        let again = frames.alloc_contiguous(16).unwrap();
        assert!(again.len() == 16 && is_contiguous(&again));
        assert_eq!((frames.free_pages(), frames.taken()), (4, PAGES - 4));
        // The rest of the list is intact.
        let rest: Vec<_> = core::iter::from_fn(|| frames.alloc_page()).collect();
        assert_eq!((rest.len(), frames.free_pages(), frames.taken()), (4, 0, PAGES));
        let all: std::collections::BTreeSet<_> =
            again.iter().chain(&others).chain(&rest).map(|page| page.gfn().0).collect();
        assert_eq!(all.len(), PAGES, "no page twice");
    }
}
