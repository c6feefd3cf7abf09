//! Physical frames: which memory is free, and pages out of it.
//!
//! ```text
//!   memory map ─ image ─ loader's data ─ page 0 ─► regions ─► page tables, heap, then Page<Private> by Page<Private>
//! ```
//!
//! Regions are taken from the bottom; pages that come back wait in a list and are zeroed when they go out again.
//! Memory that is never taken is never touched (a guest with populate-on-demand memory lives by that).

#![allow(unsafe_code, reason = "makes pages out of physical memory; see docs/soundness.md")]

use alloc::vec::Vec;
use boot::{BootInfo, MemoryRegion, RegionKind};
use core::cell::{Cell, RefCell};
use core::ptr::NonNull;
use xen::ids::PAGE_SIZE;
use xen::{Gfn, Memory, Page, Private};

/// Bytes of a page, as an address.
pub(crate) const PAGE: u64 = 4096;
const MAX_FREE_REGIONS: usize = 32;

/// A stretch of free frames: addresses of the first and of the one after the last, multiples of 4096.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Region {
    /// Its length in bytes.
    pub(crate) const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// Free memory in a few stretches, before there is a heap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FreeRegions {
    regions: [Region; MAX_FREE_REGIONS],
}

impl FreeRegions {
    /// The RAM of the memory map without the stretches in `taken`, in whole pages.
    pub(crate) fn new(info: &BootInfo, taken: &[Region]) -> Self {
        let mut free = Self { regions: [Region::default(); MAX_FREE_REGIONS] };
        for MemoryRegion { start, end, kind } in info.regions() {
            if *kind == RegionKind::Ram {
                free.add(Region { start: start.saturating_add(PAGE - 1) & !(PAGE - 1), end: end & !(PAGE - 1) });
            }
        }
        // What is reserved wins over what is RAM, should a map say both.
        for region in info.regions().iter().filter(|region| region.kind == RegionKind::Reserved) {
            free.remove(Region { start: region.start, end: region.end });
        }
        for region in taken {
            free.remove(*region);
        }
        free
    }

    fn add(&mut self, region: Region) {
        if region.len() > 0
            && let Some(slot) = self.regions.iter_mut().find(|slot| slot.len() == 0)
        {
            *slot = region;
        }
    }

    /// Cuts the pages that `hole` touches out of every stretch.
    fn remove(&mut self, hole: Region) {
        let hole =
            Region { start: hole.start & !(PAGE - 1), end: hole.end.saturating_add(PAGE - 1) & !(PAGE - 1) };
        for index in 0..MAX_FREE_REGIONS {
            let Some(region) = self.regions.get_mut(index) else { break };
            if hole.len() == 0 || hole.end <= region.start || region.end <= hole.start {
                continue;
            }
            let above = Region { start: hole.end.max(region.start), end: region.end };
            region.end = hole.start.max(region.start);
            self.add(above);
        }
    }

    /// Takes `len` bytes (rounded up to pages) from the lowest stretch below `limit` that has them.
    pub(crate) fn take(&mut self, len: u64, limit: u64) -> Option<Region> {
        let len = len.checked_add(PAGE - 1)? & !(PAGE - 1);
        let fitting = |region: &&mut Region| {
            region.start.checked_add(len).is_some_and(|end| end <= region.end && end <= limit)
        };
        let region = self.regions.iter_mut().filter(fitting).min_by_key(|region| region.start)?;
        let taken = Region { start: region.start, end: region.start.checked_add(len)? };
        region.start = taken.end;
        Some(taken)
    }

    /// Bytes that are free.
    pub(crate) fn total(&self) -> u64 {
        self.regions.iter().fold(0, |sum, region| sum.saturating_add(region.len()))
    }

    /// The longest stretch, in bytes.
    pub(crate) fn longest(&self) -> u64 {
        self.regions.iter().map(|region| region.len()).max().unwrap_or_default()
    }
}

/// The frames of the guest, once there is a heap.
#[derive(Debug)]
pub(crate) struct Frames {
    untouched: RefCell<FreeRegions>,
    returned: RefCell<Vec<Page<Private>>>,
    taken: Cell<usize>,
}

impl Frames {
    /// Owns what is left in `free`.
    pub(crate) fn new(free: FreeRegions) -> Self {
        Self { untouched: RefCell::new(free), returned: RefCell::new(Vec::new()), taken: Cell::new(0) }
    }

    /// Pages that are out.
    pub(crate) fn taken(&self) -> usize {
        self.taken.get()
    }

    fn page_at(address: u64) -> Option<Page<Private>> {
        let base = NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(usize::try_from(address).ok()?))?;
        // SAFETY: the region allocator gives each frame of RAM once; RAM is mapped at its physical address, and
        // nothing else refers to a free frame.
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
            .map_while(|index| Self::page_at(region.start.checked_add(u64::try_from(index).ok()?.checked_mul(PAGE)?)?))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn free(regions: &[(u64, u64)], taken: &[(u64, u64)]) -> FreeRegions {
        let mut all = FreeRegions { regions: [Region::default(); MAX_FREE_REGIONS] };
        regions.iter().for_each(|&(start, end)| all.add(Region { start, end }));
        taken.iter().for_each(|&(start, end)| all.remove(Region { start, end }));
        all
    }

    #[test]
    fn holes_are_cut_out_in_whole_pages() {
        let all = free(&[(0, 0x10000)], &[(0, 1), (0x4fff, 0x5001)]);
        assert_eq!(all.total(), 0x10000 - 0x1000 - 0x2000);
        assert_eq!(all.longest(), 0x10000 - 0x6000);
    }

    #[test]
    fn frames_are_taken_from_the_bottom_once_each() {
        let mut all = free(&[(0x8000, 0xa000), (0x1000, 0x2000)], &[]);
        assert_eq!(all.take(1, u64::MAX), Some(Region { start: 0x1000, end: 0x2000 }));
        assert_eq!(all.take(0x1001, u64::MAX), Some(Region { start: 0x8000, end: 0xa000 }));
        assert_eq!(all.take(1, u64::MAX), None);
    }

    #[test]
    fn a_limit_keeps_page_tables_below_what_is_mapped() {
        let mut all = free(&[(0x8000, 0xa000)], &[]);
        assert_eq!(all.take(0x2000, 0x9000), None);
        assert_eq!(all.take(0x1000, 0x9000), Some(Region { start: 0x8000, end: 0x9000 }));
    }
}
