//! Returning memory to Xen that the memory map lists but the domain does not have: `maxmem=` above `memory=`.
//!
//! ```text
//!   memory map   │ page 0 …                                        │      maxmem: RAM of the map
//!   Xen has      │ …                      │                               memory: frames are allocated at first use
//!                                         └──── returned at once ────┘
//! ```
//!
//! Xen populates such a guest's frames on demand from a stock of `memory=`, and crashes the guest when the stock is
//! empty. The excess is returned before any of it is touched. From then on each page that the guest counts as its own
//! has a frame, and a save meets no page without one.

use super::regions::{FreeRegions, PAGE, Region};

/// Pages that Xen counts as the domain's and the map does not list as RAM: console, xenstore and others, about ten.
const SPECIAL_PAGES: u64 = 64;
/// Extents in one hypercall.
const BATCH: usize = 64;
/// The order of a large extent: 2 MiB, the largest that Xen accepts from a domU (`CONFIG_DOMU_MAX_ORDER`).
const LARGE_ORDER: u32 = 9;
/// Frames of a large extent.
const LARGE: u64 = 1 << LARGE_ORDER;

/// Takes the RAM of the map beyond `reserved_pages` from the top of `free` and passes it to `give_back`: frame numbers
/// of extents, and their order. Returns the bytes that were passed.
pub(crate) fn return_excess(
    free: &mut FreeRegions,
    ram_bytes: u64,
    reserved_pages: u64,
    mut give_back: impl FnMut(&[u64], u32),
) -> u64 {
    let excess = (ram_bytes / PAGE).saturating_sub(reserved_pages);
    if excess == 0 {
        return 0;
    }
    let wanted = excess.saturating_add(SPECIAL_PAGES).saturating_mul(PAGE);
    let mut returned = 0_u64;
    while let Some(region) = free.take_top(wanted.saturating_sub(returned)) {
        returned = returned.saturating_add(region.len());
        pass_region(region, &mut give_back);
    }
    returned
}

/// Passes a region in extents: large ones where they are aligned, single frames before and behind them.
fn pass_region(region: Region, give_back: &mut impl FnMut(&[u64], u32)) {
    let (start, end) = (region.start / PAGE, region.end / PAGE);
    let first = start.next_multiple_of(LARGE).min(end);
    let last = (end / LARGE).saturating_mul(LARGE).max(first);
    batches(start, first, 0, give_back);
    batches(first, last, LARGE_ORDER, give_back);
    batches(last, end, 0, give_back);
}

fn batches(start: u64, end: u64, order: u32, give_back: &mut impl FnMut(&[u64], u32)) {
    let step = 1_usize << order;
    let mut extents = (start..end).step_by(step).peekable();
    while extents.peek().is_some() {
        let mut batch = [0; BATCH];
        let mut len = 0_usize;
        for (slot, extent) in batch.iter_mut().zip(&mut extents) {
            *slot = extent;
            len = len.saturating_add(1);
        }
        give_back(batch.get(..len).unwrap_or_default(), order);
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use super::*;
    use boot::{BootInfo, MemoryRegion, RegionKind};
    use std::collections::BTreeSet;

    fn free(end: u64) -> FreeRegions {
        let mut info = BootInfo::empty();
        info.add_region(MemoryRegion { start: 0, end, kind: RegionKind::Ram });
        FreeRegions::new(&info, u64::MAX, &[Region { start: 0, end: 0x10_0000 }])
    }

    #[test]
    fn a_guest_with_all_of_its_memory_returns_nothing() {
        let mut all = free(16 << 20);
        let before = all.total();
        // Xen counts the pages of console and xenstore too.
        for reserved in [4096, 4106, u64::MAX] {
            let returned = return_excess(&mut all, 16 << 20, reserved, |_, _| panic!("nothing"));
            assert_eq!((returned, all.total()), (0, before));
        }
    }

    #[test]
    fn each_frame_above_the_reservation_is_returned_once() {
        // maxmem 64 MiB and a bit, memory 16 MiB.
        let (ram, reserved) = ((64 << 20) + 5 * PAGE, (16 << 8) + 10);
        let mut all = free(ram);
        let mut frames = BTreeSet::new();
        let returned = return_excess(&mut all, ram, reserved, |extents, order| {
            assert!((1..=BATCH).contains(&extents.len()) && [0, LARGE_ORDER].contains(&order));
            for first in extents {
                assert!(first.is_multiple_of(1 << order), "extents are aligned to their size");
                for frame in *first..first + (1 << order) {
                    assert!(frames.insert(frame), "frame {frame} goes twice");
                }
            }
        });
        let kept = ram / PAGE - u64::try_from(frames.len()).unwrap();
        assert_eq!(returned, u64::try_from(frames.len()).unwrap() * PAGE);
        assert_eq!(kept, reserved - SPECIAL_PAGES);
        assert_eq!(frames.first(), Some(&kept), "the top goes");
        assert_eq!(frames.last(), Some(&(ram / PAGE - 1)));
        assert_eq!(all.take(ram, u64::MAX), None);
        assert_eq!(all.total(), kept * PAGE - 0x10_0000);
    }

    #[test]
    fn a_map_larger_than_memory_returns_all_and_ends() {
        let mut all = free(16 << 20);
        let returned = return_excess(&mut all, u64::MAX, 0, |_, _| {});
        assert_eq!((returned, all.total()), (15 << 20, 0));
    }
}
