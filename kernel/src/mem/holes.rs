//! A hole in the physical address space for frames that Xen maps: `shared_info`, the grant table, foreign pages.
//!
//! ```text
//!   | shared_info: 1 page | grant table: up to 32 pages | foreign pages, see `foreign_frames` |
//! ```
//!
//! Our page tables map the whole hole read-write.

use super::regions::{PAGE, Region};
use boot::{BootInfo, MemoryRegion};

/// Finds `len` bytes of physical address space below `limit` that no entry of the memory map covers: the first such hole
/// on a 2 MiB boundary, between RAM and devices below 4 GiB or, if RAM leaves no room there, above 4 GiB.
///
/// It is a hole and not RAM, since giving up a page of RAM would split a superpage in Xen's tables and waste the page.
#[must_use]
pub fn find_hole(info: &BootInfo, len: u64, limit: u64) -> Option<Region> {
    const STEP: u64 = 2 << 20;
    // Above the second address are the local APIC, the I/O APIC, Xen's special pages and ACPI tables.
    const BELOW: (u64, u64) = (2 << 20, 0xfc00_0000);
    const ABOVE: u64 = 4 << 30;
    let len = len.checked_next_multiple_of(PAGE)?;
    let search = |(lowest, highest): (u64, u64)| {
        let mut start = lowest;
        loop {
            let hole = Region { start, end: start.checked_add(len).filter(|end| *end <= highest)? };
            let touches = |region: &&MemoryRegion| region.start < hole.end && hole.start < region.end;
            // Continue behind the region in the way: the search takes as many steps as the map has entries.
            match info.regions().iter().find(touches) {
                None => return Some(hole),
                Some(region) => start = region.end.checked_next_multiple_of(STEP)?,
            }
        }
    };
    search(BELOW).or_else(|| search((ABOVE, limit)))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use super::*;
    use boot::RegionKind;

    fn hole(regions: &[(u64, u64)], len: u64) -> Option<u64> {
        let mut info = BootInfo::empty();
        for &(start, end) in regions {
            info.add_region(MemoryRegion { start, end, kind: RegionKind::Ram });
        }
        find_hole(&info, len, 1 << 40).map(|hole| hole.start)
    }

    #[test]
    fn the_hole_is_above_ram_on_a_2_mib_boundary() {
        assert_eq!(hole(&[(0, 32 << 20)], 4096), Some(32 << 20));
        assert_eq!(hole(&[(0, (32 << 20) + 1)], 4096), Some(34 << 20));
        assert_eq!(hole(&[(0, 1 << 20)], 4096), Some(2 << 20));
    }

    #[test]
    fn the_hole_is_long_enough_and_below_the_devices() {
        assert_eq!(
            hole(&[(0, 4 << 20), (0x60_1000, 8 << 20)], 0x20_2000),
            Some(8 << 20),
            "the gap at 4 MiB is too short"
        );
        // Without a hole below 4 GiB, the one above 4 GiB is behind the rest of the RAM.
        assert_eq!(hole(&[(0, 0xfbff_f000)], 0x2000), Some(4 << 30));
        assert_eq!(hole(&[(0, 0xfc00_0000), (4 << 30, (5 << 30) + 1)], 0x2000), Some((5 << 30) + (2 << 20)));
        assert_eq!(hole(&[(0, 0xfc00_0000), (4 << 30, (1 << 40) - 1)], 0x2000), None);
        assert_eq!(hole(&[(0, u64::MAX)], 1), None);
    }
}
