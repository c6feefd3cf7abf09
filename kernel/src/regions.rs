//! Free physical memory in a few stretches, before there is a heap.
//!
//! ```text
//!   memory map ─ image ─ loader's data ─ page 0 ─► stretches ─► page tables, heap ─► frames::Frames
//! ```
//!
//! Frames are taken from the bottom. Memory that is never taken is never touched (a guest with populate-on-demand
//! memory lives by that).

use boot::{BootInfo, MemoryRegion, RegionKind};

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
                free.add(Region {
                    start: start.saturating_add(PAGE - 1) & !(PAGE - 1),
                    end: end & !(PAGE - 1),
                });
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

    /// Takes up to `len` bytes from the end of the highest stretch; `None` if there is none or nothing is wanted.
    pub(crate) fn take_top(&mut self, len: u64) -> Option<Region> {
        let len = len & !(PAGE - 1);
        let region =
            self.regions.iter_mut().filter(|region| region.len() > 0).max_by_key(|region| region.end)?;
        let start = region.end.saturating_sub(len).max(region.start);
        let taken = Region { start, end: region.end };
        region.end = start;
        (taken.len() > 0).then_some(taken)
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
        FreeRegions::new(&info, &taken)
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
    fn the_top_is_taken_from_stretch_to_stretch() {
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
