//! Free physical memory as a short list of regions, before there is a heap.
//!
//! ```text
//!   memory map − image − loader's data − page 0 ─► regions ─► page tables, heap ─► frames::Frames
//! ```
//!
//! A loader's map may list a page twice, or as RAM and as reserved. Here each page is in at most one region, and a
//! reserved page is in none. Pages are taken from the bottom. A page that is never taken is never touched, which a guest
//! with populate-on-demand memory (`maxmem=` above `memory=`) relies on.

use boot::{BootInfo, MemoryRegion, RegionKind};
use heapless::Vec;

/// Bytes of a page, as an address.
pub const PAGE: u64 = 4096;
/// Regions that the list holds. Of more, the smallest stay unused.
pub const MAX_FREE_REGIONS: usize = 64;

/// A region of physical memory: byte addresses, multiples of 4096.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// The first byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl Region {
    /// Its length in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "bytes, not elements")]
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// The free regions.
#[derive(Clone, Debug)]
pub struct FreeRegions {
    /// Sorted by address and disjoint, so that the first region that fits is the lowest. A region that was taken as a
    /// whole stays in the list with length 0.
    regions: Vec<Region, MAX_FREE_REGIONS>,
}

impl FreeRegions {
    /// The RAM of the memory map below `limit`, without the regions in `taken`, in whole pages.
    #[must_use]
    pub fn new(info: &BootInfo, limit: u64, taken: &[Region]) -> Self {
        let mut free = Self { regions: Vec::new() };
        for MemoryRegion { start, end, kind } in info.regions() {
            if *kind == RegionKind::Ram {
                let start = start.saturating_add(PAGE - 1) & !(PAGE - 1);
                free.insert(Region { start, end: (*end).min(limit) & !(PAGE - 1) });
            }
        }
        // Reserved wins over RAM if the map lists a page as both.
        for region in info.regions().iter().filter(|region| region.kind == RegionKind::Reserved) {
            free.remove(Region { start: region.start, end: region.end });
        }
        for region in taken {
            free.remove(*region);
        }
        free
    }

    /// Adds a region of whole pages. Pages that are in the list already are there once afterwards.
    pub fn insert(&mut self, region: Region) {
        if region.len() > 0 {
            self.remove(region);
            self.add(region);
        }
    }

    /// Adds a region that overlaps no other, unless it is empty. If the list is full, the smallest region is dropped.
    fn add(&mut self, region: Region) {
        if self.regions.is_full() {
            let smallest = self.regions.iter().map(|other| other.len()).min().unwrap_or_default();
            let index = self.regions.iter().position(|other| other.len() == smallest);
            if let Some(index) = index.filter(|_| smallest < region.len()) {
                self.regions.remove(index);
            }
        }
        if region.len() > 0 {
            let place = self.regions.iter().take_while(|other| other.start < region.start).count();
            // The list is still full only if all other regions are at least as large.
            let _ = self.regions.insert(place, region);
        }
    }

    /// Removes the pages that `hole` touches.
    pub fn remove(&mut self, hole: Region) {
        let end = hole.end.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
        let hole = Region { start: hole.start & !(PAGE - 1), end };
        for region in core::mem::take(&mut self.regions) {
            if hole.len() == 0 {
                self.add(region);
            } else {
                self.add(Region { start: region.start, end: region.end.min(hole.start) });
                self.add(Region { start: region.start.max(hole.end), end: region.end });
            }
        }
    }

    /// Takes `len` bytes, rounded up to pages, from the lowest region below `limit` that has them.
    pub fn take(&mut self, len: u64, limit: u64) -> Option<Region> {
        let len = len.checked_add(PAGE - 1)? & !(PAGE - 1);
        let fitting = |region: &&mut Region| {
            region.start.checked_add(len).is_some_and(|end| end <= region.end && end <= limit)
        };
        let region = self.regions.iter_mut().find(fitting)?;
        let taken = Region { start: region.start, end: region.start.checked_add(len)? };
        region.start = taken.end;
        Some(taken)
    }

    /// Takes up to `len` bytes from the end of the highest region; `None` if nothing is free or `len` is less than a
    /// page.
    pub fn take_top(&mut self, len: u64) -> Option<Region> {
        let len = len & !(PAGE - 1);
        let region = self.regions.iter_mut().rfind(|region| region.len() > 0)?;
        let start = region.end.saturating_sub(len).max(region.start);
        let taken = Region { start, end: region.end };
        region.end = start;
        (taken.len() > 0).then_some(taken)
    }

    /// The regions, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = Region> + '_ {
        self.regions.iter().copied().filter(|region| region.len() > 0)
    }

    /// Free bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.regions.iter().fold(0, |sum, region| sum.saturating_add(region.len()))
    }

    /// The length of the longest region, in bytes.
    #[must_use]
    pub fn longest(&self) -> u64 {
        self.regions.iter().map(|region| region.len()).max().unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use super::*;

    fn free(regions: &[(u64, u64)], taken: &[(u64, u64)]) -> FreeRegions {
        let mut info = BootInfo::empty();
        for &(start, end) in regions {
            info.add_region(MemoryRegion { start, end, kind: RegionKind::Ram });
        }
        let taken: std::vec::Vec<Region> = taken.iter().map(|&(start, end)| Region { start, end }).collect();
        FreeRegions::new(&info, u64::MAX, &taken)
    }

    #[test]
    fn holes_are_cut_out_in_whole_pages() {
        let all = free(&[(0, 0x10000)], &[(0, 1), (0x4fff, 0x5001)]);
        assert_eq!(all.total(), 0x10000 - 0x1000 - 0x2000);
        assert_eq!(all.longest(), 0x10000 - 0x6000);
    }

    #[test]
    fn a_page_listed_twice_is_kept_once_and_reserved_pages_are_not() {
        let mut info = BootInfo::empty();
        for (start, end, kind) in [
            (0x1000, 0x9000, RegionKind::Ram),
            (0x4000, 0xc000, RegionKind::Ram),
            (0x6800, 0x7800, RegionKind::Reserved),
            (0x1_0000, u64::MAX, RegionKind::Ram),
        ] {
            info.add_region(MemoryRegion { start, end, kind });
        }
        let mut all = FreeRegions::new(&info, 0x1_2000, &[]);
        assert_eq!(all.total(), 0xb000 - 0x2000 + 0x2000);
        let mut seen = std::collections::BTreeSet::new();
        while let Some(page) = all.take(PAGE, u64::MAX) {
            assert!(seen.insert(page.start), "{page:?} twice");
        }
        assert!(!seen.contains(&0x6000) && !seen.contains(&0x7000) && seen.contains(&0x1_1000));
    }

    #[test]
    fn a_full_list_keeps_the_largest_regions() {
        let mut all = free(&[(0, 0x1000_0000)], &[]);
        let pages = u64::try_from(MAX_FREE_REGIONS).unwrap() * 2;
        for page in 0..pages {
            all.remove(Region { start: page * 0x2000, end: page * 0x2000 + 1 });
        }
        assert_eq!(all.longest(), 0x1000_0000 - pages * 0x2000 + PAGE);
        assert_eq!(all.iter().count(), MAX_FREE_REGIONS);
    }

    #[test]
    fn the_list_agrees_with_a_set_of_pages_in_random_use() {
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let (mut regions, mut set) = (free(&[], &[]), std::collections::BTreeSet::new());
            for _ in 0..40 {
                let (start, len) = (random(200), random(20));
                let region = Region { start: start * PAGE, end: (start + len) * PAGE };
                let pages = start..start + len;
                match random(4) {
                    0 => {
                        regions.remove(region);
                        set.retain(|page| !pages.contains(page));
                    }
                    1 => {
                        let lowest = regions.take(PAGE, u64::MAX).map(|page| page.start / PAGE);
                        assert_eq!(lowest, set.pop_first());
                    }
                    2 => {
                        let Some(run) = regions.take(len * PAGE, u64::MAX) else { continue };
                        assert!((run.start / PAGE..run.end / PAGE).all(|page| set.remove(&page)), "{run:?}");
                    }
                    _ => {
                        regions.insert(region);
                        set.extend(pages);
                    }
                }
                let all = regions.iter().flat_map(|region| region.start / PAGE..region.end / PAGE);
                assert!(all.eq(set.iter().copied()), "{regions:?}");
            }
        }
    }

    #[test]
    fn frames_are_taken_from_the_bottom_once_each() {
        let mut all = free(&[(0x8000, 0xa000), (0x1000, 0x2000)], &[]);
        assert_eq!(all.take(1, u64::MAX), Some(Region { start: 0x1000, end: 0x2000 }));
        assert_eq!(all.take(0x1001, u64::MAX), Some(Region { start: 0x8000, end: 0xa000 }));
        assert_eq!(all.take(1, u64::MAX), None);
    }

    #[test]
    fn the_top_is_taken_region_by_region() {
        let mut all = free(&[(0x8000, 0xa000), (0x1000, 0x3000)], &[]);
        assert_eq!(all.take_top(0), None);
        assert_eq!(all.take_top(0x1fff), Some(Region { start: 0x9000, end: 0xa000 }));
        assert_eq!(all.take_top(0x5000), Some(Region { start: 0x8000, end: 0x9000 }));
        assert_eq!(all.take_top(0x1000), Some(Region { start: 0x2000, end: 0x3000 }));
        assert_eq!(all.total(), 0x1000);
    }

    #[test]
    fn a_limit_keeps_page_tables_below_what_is_mapped() {
        let mut all = free(&[(0x8000, 0xa000)], &[]);
        assert_eq!(all.take(0x2000, 0x9000), None);
        assert_eq!(all.take(0x1000, 0x9000), Some(Region { start: 0x8000, end: 0x9000 }));
    }
}
